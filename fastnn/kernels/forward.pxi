# The forward pass of a chunk, and of a whole net.

cdef inline Chunk at_desk(Plan *plan, Py_ssize_t row, Py_ssize_t count, int desk) noexcept nogil:
    """A chunk whose inputs and targets are gathered into its desk."""
    cdef Chunk chunk
    chunk.row, chunk.count = row, count
    chunk.n_vectors = (count + plan.lanes - 1) // plan.lanes
    chunk.desk = plan.desk + desk * plan.desk_size
    chunk.x, chunk.y = chunk.desk + plan.desk_x, chunk.desk + plan.desk_y
    chunk.slice = plan.slice
    chunk.fresh = row == 0
    chunk.last = False
    chunk.noise, chunk.sparse = NULL, NULL
    return chunk


cdef inline real *inputs_of(Plan *plan, Py_ssize_t i, Chunk *chunk, real *work) noexcept nogil:
    return work + (chunk.x if i == 0 else chunk.desk + plan.layers[i - 1].a)


cdef void forward_layer(
    Plan *plan, Py_ssize_t i, const real *packed, real *work, Chunk *chunk, int part, int parts
) noexcept nogil:
    """a = f(x W + b), what is kept of z or f'(z), and dropout; softmax is left to output_of."""
    cdef Layer *layer = &plan.layers[i]
    cdef real *kept = work + chunk.desk + layer.kept if layer.kept >= 0 else NULL
    cdef const Rows *rows = chunk.sparse if i == 0 else NULL
    cdef Py_ssize_t unit = plan.panel if rows != NULL else <Py_ssize_t> TILE_ROWS
    cdef Py_ssize_t first = share(layer.fan_out, unit, part, parts)
    cdef Py_ssize_t end = share(layer.fan_out, unit, part + 1, parts)
    if rows != NULL:
        c_sparse_forward(chunk.count, layer.fan_in, layer.fan_out, first, end,
                         packed + layer.coef, packed + layer.intercept,
                         <const real *> rows.values, rows.columns, rows.starts, rows.order,
                         chunk.row, work + chunk.desk + layer.a, kept, layer.activation)
    else:
        c_dense_forward(chunk.n_vectors, layer.fan_in, layer.fan_out, first, end, layer.panel,
                        packed + layer.coef, packed + layer.intercept,
                        inputs_of(plan, i, chunk, work), work + chunk.desk + layer.a, kept,
                        layer.activation)
    if chunk.noise != NULL and chunk.noise.rates != NULL and chunk.noise.rates[i] > 0:
        c_dropout(chunk.n_vectors, layer.fan_out, first, end, chunk.row - chunk.noise.start,
                  work + chunk.desk + layer.a, work + chunk.desk + layer.derived,
                  noise_key_of_layer(chunk.noise.seed, chunk.noise.step, i + 1),
                  chunk.noise.rates[i] * chunk.noise.factor, layer.activation)


cdef real *output_of(Plan *plan, real *work, Chunk *chunk) noexcept nogil:
    """The last layer's activations, after softmax if it has that."""
    cdef Layer *layer = &plan.layers[plan.n_layers - 1]
    cdef real *a = work + chunk.desk + layer.a
    if layer.activation == SOFTMAX:
        c_softmax_chunk(chunk.n_vectors, layer.fan_out, a)
    return a


cdef real *forward_chunk(
    Plan *plan, const real *packed, real *work, Chunk *chunk, Py_ssize_t first
) noexcept nogil:
    """The layers from `first` on."""
    cdef Py_ssize_t i
    for i in range(first, plan.n_layers):
        forward_layer(plan, i, packed, work, chunk, 0, 1)
    return output_of(plan, work, chunk)


cdef enum:                  # packing takes longer than it saves up to so many rows:
    FEW_ROWS = 12           # for every net;
    FEW_BYTES = 16384       # one row more for so many bytes of packed parameters,
    FEW_MOST = 96           # up to this many


cdef inline Py_ssize_t few_rows_of(Py_ssize_t n_bytes) noexcept nogil:
    """Up to how many rows pass through a net of so many bytes of plain parameters."""
    return max(<Py_ssize_t> FEW_ROWS, min(<Py_ssize_t> FEW_MOST, n_bytes // FEW_BYTES))


cdef inline void forward_stored(
    Layer *layer, const real *params, Chunk *chunk, real *a, Py_ssize_t a_step
) noexcept nogil:
    """The first layer from sparse rows as they are stored and plain parameters."""
    cdef const Rows *rows = chunk.sparse
    c_stored_forward(chunk.count, layer.fan_in, layer.fan_out, params,
                     params + layer.fan_in * layer.fan_out, <const real *> rows.values,
                     rows.columns, rows.starts + chunk.row, a, a_step, layer.activation)


cdef void forward_few(
    Plan *plan, const real *params, const Rows *rows, Chunk *chunk, real *work, real *out,
    Py_ssize_t out_step
) noexcept nogil:
    """A chunk through the net with plain parameters; out takes the last layer or all layers."""
    cdef Py_ssize_t i, s, width = plan.layers[plan.n_layers - 1].fan_out
    cdef Py_ssize_t x_step = plan.layers[0].fan_in, a_step
    cdef bint every = out_step > width
    cdef Layer *layer
    cdef const real *x = <const real *> rows.values + chunk.row * x_step
    cdef real *a
    if rows.starts != NULL and chunk.sparse == NULL:
        x = work + chunk.x
        for s in range(chunk.count):
            gather_sparse(rows, chunk.row + s, 1, x_step, 1, work + chunk.x + s * x_step, 0, 1)
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        a, a_step = out, out_step
        if every:
            out += layer.fan_out
        elif i < plan.n_layers - 1:
            a, a_step = work + chunk.desk + layer.a, layer.fan_out
        if i == 0 and chunk.sparse != NULL:
            forward_stored(layer, params, chunk, a, a_step)
        else:
            c_rows_forward(chunk.count, layer.fan_in, layer.fan_out, params,
                           params + layer.fan_in * layer.fan_out, x, x_step, a, a_step,
                           layer.activation)
        params += (layer.fan_in + 1) * layer.fan_out
        x, x_step = a, a_step


cdef void forward_net(
    const real *params, const Py_ssize_t *layer_units, const int *activations,
    Py_ssize_t n_layers, const Rows *rows, Py_ssize_t n_rows, unsigned char *workspace, real *out,
    Py_ssize_t width, bint packed
) noexcept nogil:
    """`forward`, for n_rows rows; width is that of out."""
    cdef Plan plan
    cdef Layer *layer
    cdef Chunk chunk
    cdef real *work
    cdef const real *coefs
    cdef Py_ssize_t i, row = 0, first, column
    cdef Py_ssize_t n_packed = 0    # layers at the end that are packed
    cdef bint few
    work = open_workspace(&plan, layer_units, activations, n_layers, -1, n_rows, -1, 1, False,
                          workspace, params)
    coefs = params if packed else work + plan.params
    few = not packed and n_rows <= few_rows_of(
        plan.packed_size * <Py_ssize_t> sizeof(real))
    while row < n_rows:
        chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
        chunk.sparse = as_stored(rows, &plan, &chunk, not packed)
        row += chunk.count
        # without a second layer no tile is needed
        if few or (plan.n_layers == 1 and chunk.sparse != NULL and not packed):
            forward_few(&plan, params, rows, &chunk, work, out + chunk.row * width, width)
            continue
        first = 1 if chunk.sparse != NULL and not packed else 0
        if not packed and n_packed < plan.n_layers - first:
            pack_layers(params, &plan, first, plan.n_layers - n_packed,
                        work + plan.params)
            n_packed = plan.n_layers - first
        if first:
            layer = &plan.layers[0]
            forward_stored(layer, params, &chunk, work + chunk.desk + layer.delta,
                           layer.fan_out)
            gather(work + chunk.desk + layer.delta, NULL, 0, chunk.count, layer.fan_out,
                   plan.lanes, work + chunk.desk + layer.a, 0, 1)
        else:
            gather_inputs(rows, &plan, &chunk, work, 0, 1)
        forward_chunk(&plan, coefs, work, &chunk, first)
        column = 0
        for i in range(0 if width > layer_units[plan.n_layers] else plan.n_layers - 1,
                       plan.n_layers):
            layer = &plan.layers[i]
            scatter(work + chunk.desk + layer.a, NULL, chunk.row, chunk.count, layer.fan_out,
                    plan.lanes, out + column, width)
            column += layer.fan_out


def forward(
    const real[::1] params,             # IN  plain parameters, or packed ones
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: (1, n_stored)
    columns,                            # IN  int32 (n_stored,) of the values in x, or empty
    row_starts,                         # IN  intp (n + 1,) where rows begin, or empty: dense
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, layer_units[-1]), or (n, sum(layer_units[1:]))
    bint packed=False,                  # whether params are packed
):
    """a_l = f_l(a_(l-1) W_l + b_l) for every row of x.

    Sparse rows are as in scipy's CSR format: row i has the values row_starts[i] ..
    row_starts[i + 1] of x, in any order; values of the same column are added. out takes the last
    layer's activations, or all layers' side by side if it is wide enough.
    """
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1, i, width = 0
    cdef Rows rows
    check_forward(layer_units, activations, params.shape[0], workspace, out.shape[0], sizeof(real),
                  packed)
    for i in range(n_layers):
        width += layer_units[i + 1]
    if out.shape[1] != width:
        same(out.shape[1], layer_units[n_layers], "a row of out")
    rows = rows_of(x, columns, row_starts, out.shape[0], layer_units[0])
    if out.shape[0] * params.shape[0] < BRIEF:  # to let the lock go and take it costs more
        forward_net(&params[0], &layer_units[0], &activations[0], n_layers, &rows, out.shape[0],
                    &workspace[0], &out[0, 0], out.shape[1], packed)
        return
    with nogil:
        forward_net(&params[0], &layer_units[0], &activations[0], n_layers, &rows, out.shape[0],
                    &workspace[0], &out[0, 0], out.shape[1], packed)


def dense_forward(
    const real[:, ::1] x,               # IN  (n, fan_in)
    const real[:, ::1] coef,            # IN  (fan_in, fan_out)
    const real[::1] intercept,          # IN  (fan_out,)
    int activation,
    unsigned char[::1] workspace,       # workspace_size([fan_in, fan_out], n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, fan_out)
):
    """a = f(x W + b)."""
    cdef Py_ssize_t[2] units = [coef.shape[0], coef.shape[1]]
    cdef int[1] codes = [activation]
    cdef Plan plan
    cdef Layer *layer
    cdef Chunk chunk
    cdef real *work
    cdef Py_ssize_t row = 0, n_rows = x.shape[0]
    count_params(units, 2, 1)
    same(x.shape[1], units[0], "a row of x")
    same(intercept.shape[0], units[1], "intercept")
    same(out.shape[0], n_rows, "out")
    same(out.shape[1], units[1], "a row of out")
    check_workspace(workspace, units, 1, n_rows, sizeof(real))
    with nogil:
        work = open_workspace(&plan, units, codes, 1, -1, n_rows, -1, 1, False, &workspace[0],
                              &x[0, 0])
        layer = &plan.layers[0]
        pack_layer(&coef[0, 0], &intercept[0], layer.fan_in, layer.fan_out, layer.panel,
                   work + layer.coef, work + layer.intercept)
        while row < n_rows:
            chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
            gather(&x[0, 0], NULL, row, chunk.count, layer.fan_in, plan.lanes, work + chunk.x,
                   0, 1)
            scatter(forward_chunk(&plan, work, work, &chunk, 0), NULL, row, chunk.count,
                    layer.fan_out, plan.lanes, &out[0, 0], layer.fan_out)
            row += chunk.count


def softmax(
    const real[:, ::1] z,               # IN  (n, n_outputs)
    unsigned char[::1] workspace,       # workspace_size([n_outputs, n_outputs], n, itemsize, -1)
    real[:, ::1] out,                   # OUT (n, n_outputs)
):
    """p_j = e^z_j / sum_i e^z_i, shifted by the largest z of the row so that nothing overflows."""
    cdef Py_ssize_t[2] units = [z.shape[1], z.shape[1]]
    cdef int[1] codes = [SOFTMAX]
    cdef Plan plan
    cdef real *work
    cdef real *tile
    cdef Py_ssize_t row = 0, n_rows = z.shape[0], width, count, n = z.shape[1]
    count_params(units, 2, 1)
    same(out.shape[0], n_rows, "out")
    same(out.shape[1], n, "a row of out")
    check_workspace(workspace, units, 1, n_rows, sizeof(real))
    with nogil:
        work = open_workspace(&plan, units, codes, 1, -1, n_rows, -1, 1, False, &workspace[0],
                              &z[0, 0])
        tile = work + plan.desk + plan.desk_x
        while row < n_rows:
            width = plan.lanes
            count = min(width, n_rows - row)
            gather(&z[0, 0], NULL, row, count, n, width, tile, 0, 1)
            c_softmax_tile(tile, n, width)
            scatter(tile, NULL, row, count, n, width, &out[0, 0], n)
            row += count


def activate(
    const real[::1] x,                  # IN
    int activation,                     # elementwise
    real[::1] out,                      # OUT
):
    """f(x). exp is 0 below the smallest normal number, infinity above the largest."""
    same(out.shape[0], x.shape[0], "out")
    c_activate_array(&x[0], &out[0], x.shape[0], activation)


def derivative(
    const real[::1] x,                  # IN  values a; z if the activation stores its slope
    int activation,                     # elementwise
    real[::1] out,                      # OUT
):
    """f'(z), from a = f(z) or, for activations that store their slope, from z."""
    same(out.shape[0], x.shape[0], "out")
    c_derivative_array(&x[0], &out[0], x.shape[0], activation)
