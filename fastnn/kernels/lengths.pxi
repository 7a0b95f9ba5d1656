# What is compared before anything is read: the lengths of the arrays that a kernel is handed.

cdef enum:
    MOST_UNITS = 2147483647     # of a layer: their products fit into 64 bits

cdef Py_ssize_t MOST_PARAMS = <Py_ssize_t> 1 << 56


cdef int same(Py_ssize_t length, Py_ssize_t needed, str name) except -1:
    """Refuse an array of another length."""
    if length != needed:
        raise ValueError(f"{name} has {length} elements, expected {needed}")
    return 0


cdef int enough(Py_ssize_t length, Py_ssize_t needed, str name) except -1:
    """Refuse an array that is too short."""
    if length < needed:
        raise ValueError(f"{name} has {length} elements, expected at least {needed}")
    return 0


cdef Py_ssize_t count_params(
    const Py_ssize_t *layer_units, Py_ssize_t n_units, Py_ssize_t n_activations
) except -1:
    """Parameters of a net; units and activations that make none are refused."""
    cdef Py_ssize_t i, count = 0
    if n_units < 2 or n_activations != n_units - 1:
        raise ValueError(f"{n_units} layer_units do not go with {n_activations} activations")
    for i in range(n_units):
        if not 1 <= layer_units[i] <= MOST_UNITS:
            raise ValueError(f"layer_units[{i}] is {layer_units[i]}")
        if i > 0:
            if count > MOST_PARAMS - (layer_units[i - 1] + 1) * layer_units[i]:
                raise ValueError("layer_units make more parameters than memory can hold")
            count += (layer_units[i - 1] + 1) * layer_units[i]
    return count


cdef Py_ssize_t bytes_of_workspace(
    const Py_ssize_t *layer_units, Py_ssize_t n_layers, Py_ssize_t batch, Py_ssize_t itemsize,
    Py_ssize_t n_states, int n_threads, bint weighted
) noexcept nogil:
    """`workspace_size`."""
    cdef Plan plan
    make_plan(&plan, layer_units, NULL, n_layers, -1, batch, itemsize, n_states, n_threads,
              weighted, NULL)
    return round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * itemsize


cdef int check_workspace(
    const unsigned char[::1] workspace, const Py_ssize_t *layer_units, Py_ssize_t n_layers,
    Py_ssize_t n_rows, Py_ssize_t itemsize, bint weighted=False
) except -1:
    """Of a call that does not train; no rows are refused, too."""
    enough(n_rows, 1, "the rows")
    return enough(
        workspace.shape[0],
        bytes_of_workspace(layer_units, n_layers, n_rows, itemsize, -1, 1, weighted), "workspace")


cdef int check_rows(
    const Rows *rows, Py_ssize_t n_rows, Py_ssize_t n_features, Py_ssize_t height,
    Py_ssize_t width, Py_ssize_t n_columns, Py_ssize_t n_starts
) except -1:
    """Inputs of (height, width) numbers, with columns and row_starts if they are sparse."""
    if rows.starts == NULL:
        same(height, n_rows, "x")
        return same(width, n_features, "a row of x")
    same(height, 1, "x")
    same(n_starts, n_rows + 1, "row_starts")
    same(n_columns, width, "columns")
    if rows.starts[0] < 0:
        raise ValueError(f"row_starts begins with {rows.starts[0]}")
    return enough(width, rows.starts[n_rows], "x")


cdef int check_step(
    const Step *step, Py_ssize_t n_bytes, Py_ssize_t n_layers, Py_ssize_t n_outputs
) except -1:
    """The record of a step, with its tail of numbers."""
    enough(n_bytes, sizeof(Step), "step")
    if step.n_loss_numbers:
        same(step.n_loss_numbers, n_outputs, "the loss's numbers")
    if step.n_dropout:
        same(step.n_dropout, n_layers, "dropout")
    return enough(n_bytes, <Py_ssize_t> sizeof(Step) + 8 * (
        <Py_ssize_t> step.n_loss_numbers + step.n_dropout), "step")


cdef Py_ssize_t check_packing(
    const Py_ssize_t[::1] layer_units, const int[::1] activations,
    const unsigned char[::1] workspace, Py_ssize_t n_params, Py_ssize_t n_packed,
    Py_ssize_t itemsize
) except -1:
    """`pack` and `unpack`, which use the workspace's table of layers alone; how many vectors."""
    cdef Plan plan
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    cdef Py_ssize_t size = count_params(&layer_units[0], n_layers + 1, activations.shape[0])
    cdef Py_ssize_t n_rows = max(1, n_params // size)
    same(n_params, n_rows * size, "params")
    make_plan(&plan, &layer_units[0], NULL, n_layers, -1, 1, itemsize, 0, 1, False, NULL)
    same(n_packed, n_rows * plan.packed_size, "packed")
    enough(workspace.shape[0], round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128), "workspace")
    return n_rows


cdef int check_forward(
    const Py_ssize_t[::1] layer_units, const int[::1] activations, Py_ssize_t n_params,
    const unsigned char[::1] workspace, Py_ssize_t n_rows, Py_ssize_t itemsize,
    bint packed=False, bint weighted=False
) except -1:
    """Parameters and workspace of `forward` and `loss_and_grad`."""
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    cdef Py_ssize_t needed = count_params(&layer_units[0], n_layers + 1, activations.shape[0])
    cdef Plan plan
    if packed:
        make_plan(&plan, &layer_units[0], NULL, n_layers, -1, 1, itemsize, 0, 1, False, NULL)
        needed = plan.packed_size
    same(n_params, needed, "params")
    return check_workspace(workspace, &layer_units[0], n_layers, n_rows, itemsize, weighted)


cdef int check_net(
    const Training *t, Py_ssize_t n_params, Py_ssize_t n_activations, Py_ssize_t packed_size,
    Py_ssize_t n_step, Py_ssize_t n_workspace, Py_ssize_t n_cursor, Py_ssize_t itemsize,
    bint weighted
) except -1:
    """The arrays of a Training that do not depend on the data."""
    cdef Plan plan
    cdef const Step *step = t.step
    cdef Py_ssize_t n_layers = t.n_layers, needed
    needed = count_params(t.layer_units, n_layers + 1, n_activations)
    if n_params >= 0:
        same(n_params, needed, "params")
    check_step(step, n_step, n_layers, t.layer_units[n_layers])
    enough(n_cursor, sizeof(Cursor), "cursor")
    if step.batch_size < 1 or step.batch_size > MOST_PARAMS:
        raise ValueError(f"batch_size is {step.batch_size}")
    make_plan(&plan, t.layer_units, NULL, n_layers, -1, step.batch_size, itemsize, t.n_states,
              max(1, step.n_threads), weighted, NULL)
    same(packed_size, plan.packed_size, "a row of packed_rows")
    enough(t.n_states, solver_states(step.solver) + (step.ema != 0), "the solver's state")
    return enough(
        n_workspace,
        round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * itemsize, "workspace")


cdef int check_targets(const Training *t) except -1:
    """Targets, and whether there is one more column, of weights."""
    cdef Py_ssize_t n_outputs = t.layer_units[t.n_layers]
    enough(t.n_rows, 1, "y")
    return same(t.n_targets, n_outputs + (t.n_targets > n_outputs), "a row of y")
