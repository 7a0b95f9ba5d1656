# From the loss back to the gradient of a chunk, and of a whole net.

cdef double loss_of(
    Plan *plan, real *work, Chunk *chunk, int loss, const double *loss_numbers
) noexcept nogil:
    """Return the chunk's loss; compute the deltas of the last layer."""
    cdef Layer *layer = &plan.layers[plan.n_layers - 1]
    cdef real *delta = work + chunk.desk + layer.delta
    cdef double total
    if has_terms(loss):
        total = c_term_loss_delta(
            chunk.count, layer.fan_out, work + chunk.desk + layer.a, work + chunk.y, delta, loss,
            layer.activation, loss_numbers, plan.n_targets > layer.fan_out)
    elif plan.n_targets > layer.fan_out:
        total = c_weighted_loss_delta(
            chunk.count, layer.fan_out, work + chunk.desk + layer.a, work + chunk.y, delta, loss,
            layer.activation)
    else:
        total = c_loss_delta(
            chunk.count, layer.fan_out, work + chunk.desk + layer.a, work + chunk.y, delta, loss,
            layer.activation)
    if not layer.by_lanes:
        c_transpose_delta(chunk.n_vectors, layer.fan_out, 0, layer.fan_out, delta,
                          work + chunk.desk + layer.transposed)
    return total


cdef void delta_layer(
    Plan *plan, Py_ssize_t i, const real *packed, real *work, Chunk *chunk, int part, int parts
) noexcept nogil:
    """Deltas of layer i - 1: f' (delta W^T)."""
    cdef Layer *layer = &plan.layers[i]
    cdef Layer *before = &plan.layers[i - 1]
    cdef Py_ssize_t first = share(layer.fan_in, plan.panel, part, parts)
    cdef Py_ssize_t end = share(layer.fan_in, plan.panel, part + 1, parts)
    cdef real *desk = work + chunk.desk
    c_propagate_delta(chunk.n_vectors, layer.fan_in, layer.fan_out, first, end, layer.panel,
                      packed + layer.coef, desk + layer.delta, desk + before.derived,
                      desk + before.delta, before.derivative)
    if not before.by_lanes:
        c_transpose_delta(chunk.n_vectors, before.fan_out, first, end, desk + before.delta,
                          desk + before.transposed)


cdef void gradient_rows(
    Plan *plan,
    Py_ssize_t i,
    real *work,
    Chunk *chunk,
    Py_ssize_t first,
    Py_ssize_t end,
    real *grad,                     # OUT rows first .. end of a wide layer
    Py_ssize_t grad_panel,
) noexcept nogil:
    """dC/dW += x^T delta for rows of W; a narrow layer's sums, with dC/db after the last row."""
    cdef Layer *layer = &plan.layers[i]
    cdef const Rows *rows = chunk.sparse if i == 0 else NULL
    cdef real *x = inputs_of(plan, i, chunk, work)
    if rows != NULL:
        c_sparse_gradient(chunk.n_vectors, chunk.count, layer.fan_out, first, end, chunk.fresh,
                          <const real *> rows.values, rows.columns, rows.starts, rows.order,
                          chunk.row, work + chunk.desk + layer.transposed, grad, grad_panel)
    elif layer.by_lanes:
        c_lane_gradient(chunk.n_vectors, layer.fan_in, layer.fan_out, first, end, chunk.fresh, x,
                        work + chunk.desk + layer.delta,
                        work + chunk.slice + plan.packed_size + layer.lanes)
    else:
        c_panel_gradient(chunk.n_vectors, chunk.count, layer.fan_in, layer.fan_out, first, end,
                         chunk.fresh, x, work + chunk.desk + layer.transposed, grad, grad_panel)


cdef void intercept_gradient(
    Plan *plan, Layer *layer, real *work, Chunk *chunk, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """dC/db += sum of delta for outputs first .. end of a wide layer, in whole panels."""
    c_panel_sums(chunk.n_vectors, first, end, chunk.fresh, work + chunk.desk + layer.transposed,
                 work + chunk.slice + layer.intercept)


cdef double weight_of(
    const real *y, const Py_ssize_t *order, Py_ssize_t first, Py_ssize_t n_samples,
    Py_ssize_t n_targets
) noexcept nogil:
    """Sum of the weights, the last column of y, of n_samples rows."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(first, first + n_samples):
        total += y[((i if order == NULL else order[i]) + 1) * n_targets - 1]
    return total


cdef void backward_chunk(Plan *plan, const real *packed, real *work, Chunk *chunk) noexcept nogil:
    """From the output deltas back: every layer's gradient, without the solver's step."""
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers - 1, -1, -1):
        layer = &plan.layers[i]
        gradient_rows(plan, i, work, chunk, 0, layer.fan_in, work + chunk.slice + layer.coef,
                      layer.fan_in * plan.panel)
        if not layer.by_lanes:
            intercept_gradient(plan, layer, work, chunk, 0, layer.intercept_size)
        if i > 0:
            delta_layer(plan, i, packed, work, chunk, 0, 1)


cdef void add_lanes_of(
    Plan *plan, Layer *layer, real *work, Py_ssize_t first, Py_ssize_t end, real *grad,
    Py_ssize_t grad_panel
) noexcept nogil:
    """Lane sums of a narrow layer to rows first .. end of its packed gradient."""
    cdef real *sums = work + plan.slice + plan.packed_size + layer.lanes
    if layer.panel == plan.panel:
        c_add_lanes(layer.fan_out, first, end, sums, grad, grad_panel)
    elif first < end:                   # without padding, the rows are one long row
        c_add_lanes((end - first) * layer.fan_out, 0, 1, sums + first * layer.fan_out * plan.lanes,
                    grad, plan.panel)


cdef double *penalty_partials(Plan *plan, real *work) noexcept nogil:
    return <double *> (work + plan.partials) + plan.slices


cdef void penalty_part(
    Plan *plan, const real *packed, real *work, int part, int parts
) noexcept nogil:
    """Sums of the squares of this part's blocks of coefs."""
    cdef Py_ssize_t i, at, block = 0
    cdef Py_ssize_t first = share(plan.penalty_blocks, 1, part, parts)
    cdef Py_ssize_t end = share(plan.penalty_blocks, 1, part + 1, parts)
    cdef double *partials = penalty_partials(plan, work)
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        at = 0
        while at < layer.coef_size:
            if first <= block < end:
                partials[block] = c_sum_squares(
                    packed + layer.coef + at,
                    min(layer.coef_size - at, <Py_ssize_t> PENALTY_BLOCK))
            block += 1
            at += PENALTY_BLOCK


cdef double penalty(Plan *plan, real *work, double alpha) noexcept nogil:
    """alpha / 2 times the sum of the squared coefs, from penalty_part's sums."""
    cdef Py_ssize_t i
    cdef double total = 0
    cdef double *partials = penalty_partials(plan, work)
    for i in range(plan.penalty_blocks):
        total += partials[i]
    return 0.5 * alpha * total


cdef void mean_gradient(
    Plan *plan, real *work, const real *params, double weight, double alpha, real *grads
) noexcept nogil:
    """The gradient of the mean loss from the sums over all chunks, which are in one slice."""
    cdef Layer *layer
    cdef real scale = <real> (1.0 / weight), decay = <real> (alpha / weight)
    cdef Py_ssize_t i, j, count
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        if layer.by_lanes:
            add_lanes_of(plan, layer, work, 0, layer.fan_in, work + plan.slice + layer.coef,
                         layer.fan_in * layer.panel)
            add_lanes_of(plan, layer, work, layer.fan_in, layer.fan_in + 1,
                         work + plan.slice + layer.intercept, plan.panel)
    unpack_params(work + plan.slice, plan, grads)
    j = 0
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        for count in range(j, j + layer.fan_in * layer.fan_out):
            grads[count] = grads[count] * scale + params[count] * decay
        j += layer.fan_in * layer.fan_out
        for count in range(j, j + layer.fan_out):
            grads[count] = grads[count] * scale
        j += layer.fan_out


cdef double loss_of_net(
    const real *params, const Py_ssize_t *layer_units, const int *activations,
    Py_ssize_t n_layers, int loss, const double *loss_numbers, double alpha, const Rows *rows,
    const real *y, Py_ssize_t n_rows, bint weighted, unsigned char *workspace, real *grads
) noexcept nogil:
    """`loss_and_grad`, for n_rows rows; without grads (NULL) the loss alone."""
    cdef Plan plan
    cdef Chunk chunk
    cdef real *work
    cdef double total = 0, weight = n_rows
    cdef Py_ssize_t row = 0
    work = open_workspace(&plan, layer_units, activations, n_layers, loss, n_rows, -1, 1, weighted,
                          workspace, params)
    if weighted:
        weight = weight_of(y, NULL, 0, n_rows, plan.n_targets)
    memset(work + plan.params, 0, plan.packed_size * sizeof(real))
    pack_params(params, &plan, work + plan.params)
    while row < n_rows:
        chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
        chunk.sparse = as_stored(rows, &plan, &chunk, False)
        gather_inputs(rows, &plan, &chunk, work, 0, 1)
        gather(y, NULL, row, chunk.count, plan.n_targets, plan.lanes, work + chunk.y, 0, 1)
        forward_chunk(&plan, work + plan.params, work, &chunk, 0)
        total += loss_of(&plan, work, &chunk, loss, loss_numbers)
        if grads != NULL:
            backward_chunk(&plan, work + plan.params, work, &chunk)
        row += chunk.count
    if alpha != 0:
        penalty_part(&plan, work + plan.params, work, 0, 1)
        total += penalty(&plan, work, alpha)
    if grads != NULL:
        mean_gradient(&plan, work, params, weight, alpha, grads)
    return total / weight


def loss_and_grad(
    const real[::1] params,             # IN  plain parameters
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const unsigned char[::1] step,      # IN  a step record: the loss, its numbers, alpha
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: see forward
    columns,
    row_starts,
    const real[:, ::1] y,               # IN  (n, layer_units[-1]), or with a column of weights
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[::1] grads,                    # OUT laid out like params; empty: the loss alone
):
    """Mean loss over the rows plus the penalty alpha / (2 n) sum W^2, and its gradient.

    If y has one column more than there are outputs, that is the weight of each row: the mean is
    weighted, and n is the sum of the weights.
    """
    cdef Rows rows
    cdef const Step *numbers = <const Step *> &step[0]
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    cdef real *out = &grads[0] if grads.shape[0] else NULL
    cdef double loss
    cdef bint weighted
    check_forward(layer_units, activations, params.shape[0], workspace, y.shape[0], sizeof(real))
    check_step(numbers, step.shape[0], n_layers, layer_units[n_layers])
    if out != NULL:
        same(grads.shape[0], params.shape[0], "grads")
    weighted = y.shape[1] > layer_units[n_layers]
    same(y.shape[1], layer_units[n_layers] + weighted, "a row of y")
    if weighted:
        check_workspace(workspace, &layer_units[0], n_layers, y.shape[0], sizeof(real), True)
    rows = rows_of(x, columns, row_starts, y.shape[0], layer_units[0])
    with nogil:
        loss = loss_of_net(&params[0], &layer_units[0], &activations[0], n_layers, numbers.loss,
                           loss_numbers_of(numbers), numbers.alpha, &rows, &y[0, 0], y.shape[0],
                           weighted, &workspace[0], out)
    return loss


def propagate_delta(
    const real[:, ::1] delta,           # IN  (n, fan_out)
    const real[:, ::1] coef,            # IN  (fan_in, fan_out)
    const real[:, ::1] a,               # IN  (n, fan_in) activations of the layer before, or its
                                        #     slopes if its activation stores them
    int activation,                     # of the layer before
    unsigned char[::1] workspace,       # workspace_size([fan_in, fan_out], n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, fan_in)
):
    """delta_in = f' (delta W^T), with f' computed from a."""
    cdef Py_ssize_t[2] units = [coef.shape[0], coef.shape[1]]
    cdef int[1] codes = [activation]
    cdef Plan plan
    cdef Layer *layer
    cdef Chunk chunk
    cdef real *work
    cdef real *deltas
    cdef Py_ssize_t row = 0, n_rows = a.shape[0]
    count_params(units, 2, 1)
    same(delta.shape[0], n_rows, "delta")
    same(delta.shape[1], units[1], "a row of delta")
    same(a.shape[1], units[0], "a row of a")
    same(out.shape[0], n_rows, "out")
    same(out.shape[1], units[0], "a row of out")
    check_workspace(workspace, units, 1, n_rows, sizeof(real))
    with nogil:
        work = open_workspace(&plan, units, codes, 1, -1, n_rows, -1, 1, False, &workspace[0],
                              &a[0, 0])
        layer = &plan.layers[0]
        deltas = work + plan.desk + layer.delta
        pack_layer(&coef[0, 0], &coef[0, 0], layer.fan_in, layer.fan_out, layer.panel,
                   work + layer.coef, work + layer.intercept)
        while row < n_rows:
            chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
            gather(&a[0, 0], NULL, row, chunk.count, layer.fan_in, plan.lanes, work + chunk.x,
                   0, 1)
            gather(&delta[0, 0], NULL, row, chunk.count, layer.fan_out, plan.lanes, deltas, 0, 1)
            # in place: a row of the result depends on no other row of a
            c_propagate_delta(chunk.n_vectors, layer.fan_in, layer.fan_out, 0, layer.fan_in,
                              layer.panel, work + layer.coef, deltas, work + chunk.x,
                              work + chunk.x, activation)
            scatter(work + chunk.x, NULL, row, chunk.count, layer.fan_in, plan.lanes, &out[0, 0],
                    layer.fan_in)
            row += chunk.count
