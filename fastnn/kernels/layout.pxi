# Where everything is in memory: layers, the plan of a workspace, packed parameters.

cdef enum:
    SLICES = 16             # of a batch of at least as many chunks
    SLICE_BYTES = 16 << 20  # limit for the gradients of all slices, and for the tiles of a batch
    BLOCK_BYTES = 192 << 10  # of a wide gradient, summed before the solver steps
    PENALTY_BLOCK = 4096    # coefs whose squares one thread sums
    PART_WORK = 12288       # vector multiply-adds (2-3 us) that are worth asking a thread for help
    STORED_WORK = 5         # dense multiply-adds that take as long as one with a stored value

cdef struct Layer:
    Py_ssize_t fan_in, fan_out
    int activation
    int derivative          # the activation, or STORED_SLOPE: what deltas are multiplied by
    bint by_lanes           # narrow: gradients are summed lane by lane; wide: by panels
    Py_ssize_t panel        # outputs of a panel; a very narrow layer has one panel, unpadded
    Py_ssize_t coef, intercept, coef_size, intercept_size   # in packed parameters
    Py_ssize_t a, delta, transposed     # in a desk: activations and deltas of a chunk
    Py_ssize_t kept         # in a desk: where the forward pass stores slopes or z; -1: neither
    Py_ssize_t derived      # in a desk: values or slopes, which give the derivative
    Py_ssize_t lanes        # in a slice: lane sums
    Py_ssize_t block        # rows of the gradient that are summed before the solver steps

cdef struct Plan:
    Layer *layers
    Py_ssize_t n_layers, lanes, panel, chunk, packed_size, slices, penalty_blocks
    Py_ssize_t n_targets    # columns of y: the outputs, and one of weights if there are any
    bint cached             # the workspace keeps the tiles of a whole batch of several chunks
    # in the workspace
    Py_ssize_t params, x, y, backup, partials, slice, slice_size, desk, desk_size, size
    Py_ssize_t scratch, scratch_size    # of each thread, if the batch is one chunk
    Py_ssize_t desk_x, desk_y   # in a desk


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t multiple) noexcept nogil:
    return (n + multiple - 1) // multiple * multiple


cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t unit, int part, int parts) noexcept nogil:
    """Where `part` of `parts` begins, if n items are split in multiples of `unit`."""
    if part == 0 or part == parts:      # no division for a single thread
        return n if part else 0
    return min(n, (n + unit - 1) // unit * part // parts * unit)


cdef inline int parts_of(double work, int n_threads) noexcept nogil:
    """Number of threads for that many vector multiply-adds."""
    return <int> max(1.0, min(<double> n_threads, work / PART_WORK))


cdef inline Py_ssize_t rows_unit(Plan *plan, Layer *layer) noexcept nogil:
    """A layer's gradient is split by this many rows: a tile, or whole vectors of sums."""
    return plan.panel if layer.by_lanes else <Py_ssize_t> GRAD_ROWS


cdef void make_plan(
    Plan *plan,
    const Py_ssize_t *layer_units,
    const int *activations,         # NULL: sizes only
    Py_ssize_t n_layers,
    int loss,                       # -1: prediction
    Py_ssize_t batch,
    Py_ssize_t itemsize,
    Py_ssize_t n_states,            # arrays of solver state; -1: no training
    int n_threads,
    bint weighted,
    Layer *layers,                  # NULL: sizes only
) noexcept nogil:
    cdef Layer scratch
    cdef Layer *layer
    cdef Py_ssize_t i, panels, per_sample, per_row = 0, tile, align = 128 // itemsize
    cdef Py_ssize_t at, sums = 0, partials, unit
    plan.layers = layers
    plan.n_layers = n_layers
    plan.lanes = LANES_F32 if itemsize == 4 else LANES_F64
    plan.panel = PANEL_F32 if itemsize == 4 else PANEL_F64
    plan.n_targets = layer_units[n_layers] + weighted

    per_sample = layer_units[0] + layer_units[n_layers]
    for i in range(n_layers):
        per_sample += 2 * layer_units[i + 1]
        per_row += 3 * layer_units[i] * layer_units[i + 1]
    # Narrow nets: activations and deltas of a chunk fill at most 24 KB of the 32 KB first-level
    # cache. Wide nets, for which that would be too few samples for each read of the coefs: 256
    # samples, or fewer if Ctrl-C would wait too long for a chunk of the widest.
    tile = 3 * plan.lanes
    plan.chunk = 24576 // (per_sample * itemsize) // tile * tile
    if plan.chunk < 2 * tile:
        plan.chunk = round_up(max(tile, min(256, 1500000000 // per_row)), tile)
    # If the batch has too few chunks to be sliced, fewer calls save more than the cache does.
    if batch <= (SLICES - 1) * plan.chunk:
        plan.chunk = max(plan.chunk, 131072 // (per_sample * itemsize) // tile * tile)
    plan.chunk = min(plan.chunk, round_up(batch, plan.lanes))

    # packed parameters, and the sums and the desk that go with each layer
    plan.packed_size = plan.penalty_blocks = plan.scratch_size = 0
    plan.desk_x = 0
    plan.desk_y = round_up(plan.chunk * layer_units[0], align)
    plan.desk_size = plan.desk_y + round_up(plan.chunk * plan.n_targets, align)
    for i in range(n_layers):
        layer = &scratch if layers == NULL else &layers[i]
        layer.fan_in = layer_units[i]
        layer.fan_out = layer_units[i + 1]
        layer.activation = IDENTITY if activations == NULL else activations[i]
        layer.by_lanes = (
            4 * layer.fan_out <= plan.panel or layer.fan_in * layer.fan_out <= batch
        )
        layer.panel = plan.panel if 4 * layer.fan_out > plan.panel else layer.fan_out
        panels = round_up(layer.fan_out, plan.panel) // plan.panel
        layer.coef = plan.packed_size
        layer.coef_size = round_up(panels * layer.fan_in * layer.panel, plan.panel)
        layer.intercept = layer.coef + layer.coef_size
        layer.intercept_size = panels * plan.panel
        plan.packed_size = round_up(layer.intercept + layer.intercept_size, align)
        plan.penalty_blocks += (layer.coef_size + PENALTY_BLOCK - 1) // PENALTY_BLOCK
        layer.a = plan.desk_size
        layer.delta = layer.a + round_up(plan.chunk * layer.fan_out, align)
        layer.transposed = layer.delta + round_up(plan.chunk * layer.fan_out, align)
        plan.desk_size = layer.transposed
        # the delta slot is unused until deltas are written
        layer.kept, layer.derived, layer.derivative = -1, layer.a, layer.activation
        if loss >= 0 and layers != NULL:
            if stores_slope(layer.activation):
                layer.kept = layer.derived = layer.delta
            elif i == n_layers - 1 and uses_logits(loss):
                layer.kept = layer.delta
        layer.lanes = sums
        if layer.by_lanes:
            sums += (layer.fan_in + 1) * layer.fan_out * plan.lanes
        else:
            plan.desk_size += round_up(plan.chunk * panels * plan.panel, align)
        unit = rows_unit(plan, layer)
        layer.block = max(BLOCK_BYTES // (panels * plan.panel * itemsize) // unit, 1) * unit
        plan.scratch_size = max(
            plan.scratch_size, min(layer.block, layer.fan_in) * panels * plan.panel)

    plan.slice_size = round_up(plan.packed_size + sums, align)
    plan.slices = 1
    if (n_states >= 0 and batch > (SLICES - 1) * plan.chunk
            and SLICES * plan.slice_size * itemsize <= SLICE_BYTES):
        plan.slices = SLICES
    plan.cached = (
        n_states >= 0 and batch > plan.chunk
        and batch * (layer_units[0] + plan.n_targets) * itemsize <= SLICE_BYTES
    )
    if batch > plan.chunk or n_states < 0:
        plan.scratch_size = 0
    plan.scratch_size = round_up(plan.scratch_size, align)

    plan.params = at = 0
    if n_states < 0:
        at += plan.packed_size      # where forward and loss_and_grad pack the parameters
    plan.x = at
    if plan.cached:
        at += round_up(round_up(batch, plan.lanes) * layer_units[0], align)
    plan.y = at
    if plan.cached:
        at += round_up(round_up(batch, plan.lanes) * plan.n_targets, align)
    plan.backup = at
    if n_states >= 0:
        at += plan.packed_size
    plan.partials = at              # doubles: losses of the slices, then the penalty's blocks
    partials = (plan.slices + plan.penalty_blocks) * <Py_ssize_t> sizeof(double) // itemsize
    at += round_up(partials, align)
    plan.slice = at
    at += plan.slices * plan.slice_size
    plan.scratch = at
    at += n_threads * plan.scratch_size
    plan.desk = at
    at += (n_threads if plan.slices > 1 else 1) * plan.desk_size
    plan.size = at


cdef inline real *open_workspace(
    Plan *plan,
    const Py_ssize_t *layer_units,
    const int *activations,
    Py_ssize_t n_layers,
    int loss,
    Py_ssize_t batch,
    Py_ssize_t n_states,
    int n_threads,
    bint weighted,
    unsigned char *workspace,
    const real *type_of,            # only its type matters
) noexcept nogil:
    """Make the plan of a workspace and fill in its table; return where its numbers begin."""
    make_plan(plan, layer_units, activations, n_layers, loss, batch, sizeof(real), n_states,
              n_threads, weighted, <Layer *> workspace)
    return <real *> (workspace + round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128))


def workspace_size(
    const Py_ssize_t[::1] layer_units,
    Py_ssize_t batch_size,
    int itemsize,
    int n_states,
    int n_threads,
    bint weighted=False,
):
    """Bytes of workspace for batches of batch_size rows and n_states arrays of solver state.

    n_states is -1 for forward and loss_and_grad, which do not train. weighted: whether y has a
    column of weights.
    """
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    count_params(&layer_units[0], n_layers + 1, n_layers)
    return bytes_of_workspace(&layer_units[0], n_layers, batch_size, itemsize, n_states,
                              n_threads, weighted)


def packed_size(const Py_ssize_t[::1] layer_units, int itemsize):
    """Length of the packed parameters."""
    cdef Plan plan
    count_params(&layer_units[0], layer_units.shape[0], layer_units.shape[0] - 1)
    make_plan(&plan, &layer_units[0], NULL, layer_units.shape[0] - 1, -1, 1, itemsize, 0, 1,
              False, NULL)
    return plan.packed_size


def useful_threads(
    const Py_ssize_t[::1] layer_units, Py_ssize_t batch_size, int itemsize, int n_threads
):
    """Number of threads, of n_threads, that have work in a step of training."""
    cdef Plan plan
    cdef Py_ssize_t i, n_layers = layer_units.shape[0] - 1
    cdef double total = 0
    count_params(&layer_units[0], n_layers + 1, n_layers)
    make_plan(&plan, &layer_units[0], NULL, n_layers, -1, batch_size, itemsize, 0, n_threads,
              False, NULL)
    if not FASTNN_HAS_THREADS:
        return 1
    for i in range(n_layers):
        total += <double> layer_units[i] * layer_units[i + 1] / plan.lanes
    if plan.slices > 1:
        return parts_of(3 * total * batch_size, min(n_threads, <int> SLICES))
    return parts_of(total * plan.chunk, n_threads)


cdef void pack_layer(
    const real *coef,               # IN  (fan_in, fan_out)
    const real *intercept,          # IN  (fan_out,)
    Py_ssize_t fan_in,
    Py_ssize_t fan_out,
    Py_ssize_t panel,
    real *packed_coef,              # OUT [panels][fan_in][panel]; padding is not written
    real *packed_intercept,         # OUT [panels][panel]
) noexcept nogil:
    cdef Py_ssize_t k, n = 0, width
    while n < fan_out:
        width = min(panel, fan_out - n) * <Py_ssize_t> sizeof(real)
        for k in range(fan_in):
            memcpy(packed_coef + n * fan_in + k * panel, coef + k * fan_out + n, width)
        n += panel
    memcpy(packed_intercept, intercept, fan_out * sizeof(real))


cdef void unpack_layer(
    const real *packed_coef,        # IN  [panels][fan_in][panel]
    const real *packed_intercept,   # IN  [panels][panel]
    Py_ssize_t fan_in,
    Py_ssize_t fan_out,
    Py_ssize_t panel,
    real *coef,                     # OUT (fan_in, fan_out)
    real *intercept,                # OUT (fan_out,)
) noexcept nogil:
    cdef Py_ssize_t k, n = 0, width
    while n < fan_out:
        width = min(panel, fan_out - n) * <Py_ssize_t> sizeof(real)
        for k in range(fan_in):
            memcpy(coef + k * fan_out + n, packed_coef + n * fan_in + k * panel, width)
        n += panel
    memcpy(intercept, packed_intercept, fan_out * sizeof(real))


cdef void pack_params(const real *params, Plan *plan, real *packed) noexcept nogil:
    pack_layers(params, plan, 0, plan.n_layers, packed)


cdef void pack_layers(
    const real *params, Plan *plan, Py_ssize_t first, Py_ssize_t end, real *packed
) noexcept nogil:
    """Pack layers first .. end; params are those of the whole net."""
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(end):
        layer = &plan.layers[i]
        if i >= first:
            pack_layer(params, params + layer.fan_in * layer.fan_out, layer.fan_in, layer.fan_out,
                       layer.panel, packed + layer.coef, packed + layer.intercept)
        params += (layer.fan_in + 1) * layer.fan_out


cdef void unpack_params(const real *packed, Plan *plan, real *params) noexcept nogil:
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        unpack_layer(packed + layer.coef, packed + layer.intercept, layer.fan_in, layer.fan_out,
                     layer.panel, params, params + layer.fan_in * layer.fan_out)
        params += (layer.fan_in + 1) * layer.fan_out


def pack(
    const real[::1] params,             # IN  coef, intercept of each layer, row-major: one vector
                                        #     or several, one after the other
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    unsigned char[::1] workspace,
    real[::1] packed,                   # OUT, zero in the padding, which is not written
):
    """Plain parameters to packed ones."""
    cdef Plan plan
    cdef Py_ssize_t i, n, n_rows = check_packing(
        layer_units, activations, workspace, params.shape[0], packed.shape[0], sizeof(real))
    n = params.shape[0] // n_rows
    with nogil:
        open_workspace(&plan, &layer_units[0], &activations[0],
                       layer_units.shape[0] - 1, -1, 1, 0, 1, False, &workspace[0], &params[0])
        for i in range(n_rows):
            pack_params(&params[i * n], &plan, &packed[i * plan.packed_size])


def unpack(
    const real[::1] packed,             # IN  one vector, or several
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    unsigned char[::1] workspace,
    real[::1] params,                   # OUT
):
    """Packed parameters to plain ones."""
    cdef Plan plan
    cdef Py_ssize_t i, n, n_rows = check_packing(
        layer_units, activations, workspace, params.shape[0], packed.shape[0], sizeof(real))
    n = params.shape[0] // n_rows
    with nogil:
        open_workspace(&plan, &layer_units[0], &activations[0],
                       layer_units.shape[0] - 1, -1, 1, 0, 1, False, &workspace[0], &packed[0])
        for i in range(n_rows):
            unpack_params(&packed[i * plan.packed_size], &plan, &params[i * n])
