# Every hot loop of fastnn, once; the other builds are this file included by their shims.
#
# Design
# ------
# Memory. A call gets every byte it uses from Python: parameters packed for the kernels ("packed":
#   per layer panels of outputs, then intercepts; see simd_real.h), the solver's state in the same
#   layout, and a workspace. The workspace begins with a table of layers; then come the activations
#   and deltas of one chunk of samples, targets, gradients and a backup of parameters.
#   All offsets are in numbers from its base and multiples of 64 bytes.
# Order of work. A batch is cut into chunks whose activations stay in the first-level cache (or,
#   for wide nets, whose coefficients are read seldom). Each chunk goes forward, through the loss
#   and back before the next; gradients are summed over chunks; the solver steps once a batch.
#   Narrow layers sum their gradients lane by lane over the batch, wide ones by panels of outputs.
# Signals. train_epoch does about `budget` multiply-adds and returns; `cursor` says where to go on,
#   so Ctrl-C is Python's business between two calls and nothing here ever looks at a signal.
# Numerics. Sums over features have one order for every sample; sums over samples follow chunks,
#   never threads. A batch whose loss is not finite, or an epoch whose parameters are not, puts the
#   parameters back to where its epoch began. No floating-point mode is touched.
# Errors. None: network.py has checked everything. Enumerations are those of simd.h, reference.py.

from libc.math cimport sqrt, pow, isfinite
from libc.string cimport memcpy, memset

ctypedef fused real:
    float
    double

# The functions of simd.h. `void *` stands for `real *`: each is a C macro that takes the version
# for the type it is given, and the C compiler checks that type.
cdef extern from "simd.h" nogil:
    const char *FASTNN_TARGET
    const char *FASTNN_COMPILER
    enum: IDENTITY, SIGMOID, TANH, RELU, SOFTMAX
    enum: SQUARED_ERROR, BINARY_LOG_LOSS, LOG_LOSS
    enum: LANES_F32, LANES_F64, PANEL_F32, PANEL_F64
    int tile_vectors(Py_ssize_t left)

    enum: MAX_TILE
    void c_gather_rows(
        const void *sources, Py_ssize_t width, Py_ssize_t n_features, void *out)
    void c_split_rows(
        const void *rows, Py_ssize_t width, Py_ssize_t n_features, void *out)
    void c_dense_forward(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef,
        const void *intercept, const void *x, void *out, int activation)
    void c_row_forward(
        Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef, const void *intercept,
        const void *x, void *out, int activation)
    void c_propagate_delta(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef,
        const void *delta, const void *a, void *out, int activation)
    void c_lane_gradient(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *x,
        const void *delta, void *sums)
    void c_add_lanes(
        Py_ssize_t fan_in, Py_ssize_t fan_out, const void *sums, void *coef_grad,
        void *intercept_grad)
    void c_transpose_delta(
        Py_ssize_t n_vectors, Py_ssize_t fan_out, const void *delta, void *out)
    void c_panel_gradient(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *x,
        const void *delta, void *coef_grad, void *intercept_grad)
    double c_loss_delta(
        Py_ssize_t n_samples, Py_ssize_t n_outputs, const void *a, void *y, void *delta, int loss,
        int activation)
    void c_sgd_update(
        Py_ssize_t n, void *param, const void *grad, void *velocity, double rate,
        double momentum, int nesterov, double scale, double decay)
    void c_adam_update(
        Py_ssize_t n, void *param, const void *grad, void *first, void *second, double rate,
        double beta_1, double beta_2, double epsilon, double scale, double decay)
    void c_softmax_tile(void *z, Py_ssize_t n, Py_ssize_t width)
    int c_all_finite(const void *x, Py_ssize_t n)
    double c_sum_squares(const void *x, Py_ssize_t n)
    double c_peak_loop(Py_ssize_t turns, void *sink)
    void c_exp(const void *x, void *out, Py_ssize_t n)
    void c_sigmoid(const void *x, void *out, Py_ssize_t n)
    void c_tanh(const void *x, void *out, Py_ssize_t n)
    void c_relu(const void *x, void *out, Py_ssize_t n)
    void c_sigmoid_derivative(const void *a, void *out, Py_ssize_t n)
    void c_tanh_derivative(const void *a, void *out, Py_ssize_t n)
    void c_relu_derivative(const void *a, void *out, Py_ssize_t n)

cdef enum:
    SGD = 0
    NESTEROV = 1
    ADAM = 2

cdef enum:                  # fields of a cursor
    CURSOR_EPOCH = 0        # epochs finished
    CURSOR_ROW = 1          # rows of the present epoch done
    CURSOR_STEP = 2         # solver steps ever done (Adam's t)
    CURSOR_STATUS = 3

cdef enum:                  # values of cursor[CURSOR_STATUS]
    START = 0               # pack the parameters first
    RUNNING = 1             # the budget ran out
    FINISHED = 2
    DIVERGED = 3

cdef struct Layer:
    Py_ssize_t fan_in, fan_out
    int activation
    bint by_lanes           # gradient summed lane by lane (narrow) or by panels (wide)
    Py_ssize_t coef, intercept, coef_size, intercept_size   # in packed parameters
    Py_ssize_t x, a, delta  # in the workspace: inputs, activations, deltas of a chunk
    Py_ssize_t lanes        # in the workspace: lane sums

cdef struct Plan:
    Layer *layers
    Py_ssize_t n_layers, lanes, panel, chunk, packed_size
    Py_ssize_t params, x, y, sums, sums_size, transposed, grads, backup, size   # in the workspace


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t multiple) noexcept nogil:
    return (n + multiple - 1) // multiple * multiple


# ---- layout -------------------------------------------------------------------------------------

cdef void make_plan(
    Plan *plan,
    const Py_ssize_t *layer_units,
    const int *activations,         # NULL: sizes only
    Py_ssize_t n_layers,
    Py_ssize_t batch,
    Py_ssize_t itemsize,
    Py_ssize_t n_states,            # arrays of solver state; -1: no training, no gradients
    Layer *layers,                  # NULL: sizes only
) noexcept nogil:
    cdef Layer scratch
    cdef Layer *layer
    cdef Py_ssize_t i, panels, per_sample, per_row = 0, tile, align = 128 // itemsize
    cdef Py_ssize_t rows, widest = 0, at = 0
    plan.layers = layers
    plan.n_layers = n_layers
    plan.lanes = LANES_F32 if itemsize == 4 else LANES_F64
    plan.panel = PANEL_F32 if itemsize == 4 else PANEL_F64

    per_sample = layer_units[0] + layer_units[n_layers]
    for i in range(n_layers):
        per_sample += 2 * layer_units[i + 1]
        per_row += 3 * layer_units[i] * layer_units[i + 1]
    # Narrow nets: activations and deltas of a chunk fill at most 24 KB of the 32 KB first-level
    # cache. Wide ones, where that would be too few samples to pay for reading the coefs: 256, or
    # so few that a chunk of the widest takes no longer than Ctrl-C may wait.
    tile = 3 * plan.lanes
    plan.chunk = 24576 // (per_sample * itemsize) // tile * tile
    if plan.chunk < 2 * tile:
        plan.chunk = round_up(max(tile, min(256, 1500000000 // per_row)), tile)
    plan.chunk = min(plan.chunk, round_up(batch, plan.lanes))

    plan.packed_size = 0
    plan.sums_size = 0
    plan.params = 0
    for i in range(n_layers):
        layer = &scratch if layers == NULL else &layers[i]
        layer.fan_in = layer_units[i]
        layer.fan_out = layer_units[i + 1]
        layer.activation = IDENTITY if activations == NULL else activations[i]
        layer.by_lanes = (
            4 * layer.fan_out <= plan.panel or layer.fan_in * layer.fan_out <= batch
        )
        panels = round_up(layer.fan_out, plan.panel) // plan.panel
        layer.coef = plan.packed_size
        layer.coef_size = panels * layer.fan_in * plan.panel
        layer.intercept = layer.coef + layer.coef_size
        layer.intercept_size = panels * plan.panel
        plan.packed_size = round_up(layer.intercept + layer.intercept_size, align)
        layer.lanes = plan.sums_size
        if layer.by_lanes:
            plan.sums_size += (layer.fan_in + 1) * layer.fan_out * plan.lanes
        else:
            widest = max(widest, panels * plan.panel)

    # Inputs and targets of a whole batch: a full batch is gathered once for many epochs.
    rows = plan.chunk if n_states < 0 else round_up(batch, plan.lanes)
    if n_states < 0:
        at = plan.packed_size       # forward and loss_and_grad pack the parameters here
    for i in range(n_layers):
        layer = &scratch if layers == NULL else &layers[i]
        layer.x = at if i == 0 else layers[i - 1].a if layers != NULL else 0
        if i == 0:
            plan.x = at
            at += round_up(rows * layer_units[0], align)
        layer.a = at
        at += round_up(plan.chunk * layer_units[i + 1], align)
        layer.delta = at
        at += round_up(plan.chunk * layer_units[i + 1], align)
    plan.y = at
    at += round_up(rows * layer_units[n_layers], align)
    plan.sums = at
    at += round_up(plan.sums_size, align)
    plan.transposed = at
    at += round_up(plan.chunk * widest, align)
    plan.grads = at
    at += plan.packed_size
    plan.backup = at
    at += plan.packed_size
    plan.size = at


cdef inline real *open_workspace(
    Plan *plan,
    const Py_ssize_t *layer_units,
    const int *activations,
    Py_ssize_t n_layers,
    Py_ssize_t batch,
    Py_ssize_t n_states,
    unsigned char *workspace,
    const real *type_of,            # only its type matters
) noexcept nogil:
    """The plan of a workspace, its table filled in; where the numbers behind the table begin."""
    make_plan(plan, layer_units, activations, n_layers, batch, sizeof(real), n_states,
              <Layer *> workspace)
    return <real *> (workspace + round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128))


def workspace_size(
    const Py_ssize_t[::1] layer_units, Py_ssize_t batch_size, int itemsize, int n_states
):
    """Bytes of workspace for batches of batch_size rows and n_states arrays of solver state.

    n_states = -1: for forward and loss_and_grad, which do not train.
    """
    cdef Plan plan
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    make_plan(&plan, &layer_units[0], NULL, n_layers, batch_size, itemsize, n_states, NULL)
    return round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * itemsize


def packed_size(const Py_ssize_t[::1] layer_units, int itemsize):
    """How many numbers the packed parameters take."""
    cdef Plan plan
    make_plan(&plan, &layer_units[0], NULL, layer_units.shape[0] - 1, 1, itemsize, 0, NULL)
    return plan.packed_size


cdef void pack_layer(
    const real *coef,               # IN  (fan_in, fan_out)
    const real *intercept,          # IN  (fan_out,)
    Py_ssize_t fan_in,
    Py_ssize_t fan_out,
    Py_ssize_t panel,
    real *packed_coef,              # OUT [panels][fan_in][panel]; padding is left alone
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
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        pack_layer(params, params + layer.fan_in * layer.fan_out, layer.fan_in, layer.fan_out,
                   plan.panel, packed + layer.coef, packed + layer.intercept)
        params += (layer.fan_in + 1) * layer.fan_out


cdef void unpack_params(const real *packed, Plan *plan, real *params) noexcept nogil:
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        unpack_layer(packed + layer.coef, packed + layer.intercept, layer.fan_in, layer.fan_out,
                     plan.panel, params, params + layer.fan_in * layer.fan_out)
        params += (layer.fan_in + 1) * layer.fan_out


def pack(
    const real[::1] params,             # IN  coef, intercept of each layer, row-major
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    unsigned char[::1] workspace,
    real[::1] packed,                   # OUT, zero where nothing is written
):
    """Parameters as people see them -> as the kernels want them."""
    cdef Plan plan
    with nogil:
        open_workspace(&plan, &layer_units[0], &activations[0],
                       layer_units.shape[0] - 1, 1, 0, &workspace[0], &params[0])
        pack_params(&params[0], &plan, &packed[0])


def unpack(
    const real[::1] packed,
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    unsigned char[::1] workspace,
    real[::1] params,                   # OUT
):
    """Parameters as the kernels want them -> as people see them."""
    cdef Plan plan
    with nogil:
        open_workspace(&plan, &layer_units[0], &activations[0],
                       layer_units.shape[0] - 1, 1, 0, &workspace[0], &packed[0])
        unpack_params(&packed[0], &plan, &params[0])


# ---- rows to tiles and back ---------------------------------------------------------------------

cdef inline Py_ssize_t next_tile(Py_ssize_t left, Py_ssize_t lanes) noexcept nogil:
    """Samples in the next tile of those left, padded to whole vectors."""
    return lanes * tile_vectors((left + lanes - 1) // lanes)


cdef void gather(
    const real *rows,               # IN  (any, n_features)
    const Py_ssize_t *order,        # IN  which rows; NULL: as they lie
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *out,                      # OUT tiles; absent samples repeat the last row
) noexcept nogil:
    cdef Py_ssize_t start = 0, width, s, row, padded = round_up(n_samples, lanes)
    cdef const real *sources[MAX_TILE]
    while start < padded:
        width = next_tile(padded - start, lanes)
        if order == NULL and n_features <= 2 and start + width <= n_samples:
            c_split_rows(rows + (first + start) * n_features, width, n_features, out)
        else:
            for s in range(width):
                row = first + min(start + s, n_samples - 1)
                sources[s] = rows + (row if order == NULL else order[row]) * n_features
            c_gather_rows(sources, width, n_features, out)
        out += width * n_features
        start += width


cdef void scatter(
    const real *tiles,              # IN
    const Py_ssize_t *order,
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *rows,                     # OUT (any, row_stride)
    Py_ssize_t row_stride,
) noexcept nogil:
    cdef Py_ssize_t start = 0, width, s, f, row
    cdef real *target
    if n_features == 1 and row_stride == 1 and order == NULL:
        memcpy(rows + first, tiles, n_samples * sizeof(real))
        return
    while start < n_samples:
        width = next_tile(round_up(n_samples, lanes) - start, lanes)
        for s in range(min(width, n_samples - start)):
            row = first + start + s
            if order != NULL:
                row = order[row]
            target = rows + row * row_stride
            for f in range(n_features):
                target[f] = tiles[f * width + s]
        tiles += width * n_features
        start += width


# ---- one chunk through the net ------------------------------------------------------------------

cdef void forward_chunk(
    Plan *plan, const real *packed, real *work, Py_ssize_t n_vectors
) noexcept nogil:
    """a = f(x W + b), layer after layer, over one gathered chunk."""
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        c_dense_forward(n_vectors, layer.fan_in, layer.fan_out, packed + layer.coef,
                        packed + layer.intercept, work + layer.x, work + layer.a, layer.activation)


cdef void gradient_layer(
    Plan *plan, Layer *layer, real *work, Py_ssize_t n_vectors
) noexcept nogil:
    """dC/dW += x^T delta, dC/db += sum of delta."""
    if layer.by_lanes:
        c_lane_gradient(n_vectors, layer.fan_in, layer.fan_out, work + layer.x, work + layer.delta,
                        work + plan.sums + layer.lanes)
    else:
        c_transpose_delta(n_vectors, layer.fan_out, work + layer.delta, work + plan.transposed)
        c_panel_gradient(n_vectors, layer.fan_in, layer.fan_out, work + layer.x,
                         work + plan.transposed, work + plan.grads + layer.coef,
                         work + plan.grads + layer.intercept)


cdef void backward_chunk(
    Plan *plan, const real *packed, real *work, Py_ssize_t n_vectors
) noexcept nogil:
    """From the output deltas back: delta_in = f'(x) (delta W^T), and each layer's gradient."""
    cdef Py_ssize_t i = plan.n_layers
    cdef Layer *layer
    while i > 0:
        i -= 1
        layer = &plan.layers[i]
        gradient_layer(plan, layer, work, n_vectors)
        if i > 0:
            c_propagate_delta(n_vectors, layer.fan_in, layer.fan_out, packed + layer.coef,
                              work + layer.delta, work + layer.x, work + plan.layers[i - 1].delta,
                              plan.layers[i - 1].activation)


cdef void clear_grads(Plan *plan, real *work) noexcept nogil:
    memset(work + plan.sums, 0, plan.sums_size * sizeof(real))
    memset(work + plan.grads, 0, plan.packed_size * sizeof(real))


cdef void finish_grads(Plan *plan, real *work) noexcept nogil:
    """Lane sums -> packed gradients."""
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        if layer.by_lanes:
            c_add_lanes(layer.fan_in, layer.fan_out, work + plan.sums + layer.lanes,
                        work + plan.grads + layer.coef, work + plan.grads + layer.intercept)


cdef double penalty(Plan *plan, const real *packed, double alpha) noexcept nogil:
    """alpha / 2 times the sum of the squared coefficients."""
    cdef Py_ssize_t i
    cdef double total = 0
    if alpha == 0:
        return 0
    for i in range(plan.n_layers):
        total += c_sum_squares(packed + plan.layers[i].coef, plan.layers[i].coef_size)
    return 0.5 * alpha * total


cdef enum:
    FEW_ROWS = 4            # with up to so many rows, packing takes longer than it saves


cdef void forward_row(
    Plan *plan, const real *params, const real *x, real *work, real *out, bint every
) noexcept nogil:
    """One row through the net with plain parameters; out takes the last layer or every one."""
    cdef Py_ssize_t i
    cdef Layer *layer
    cdef real *a
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        a = out if every or i == plan.n_layers - 1 else work + layer.a
        c_row_forward(layer.fan_in, layer.fan_out, params, params + layer.fan_in * layer.fan_out,
                      x, a, layer.activation)
        params += (layer.fan_in + 1) * layer.fan_out
        x = a
        if every:
            out += layer.fan_out


# ---- whole-network calls ------------------------------------------------------------------------

def forward(
    const real[::1] params,             # IN  plain parameters
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const real[:, ::1] x,               # IN  (n, layer_units[0])
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, layer_units[-1]), or (n, sum(layer_units[1:]))
):
    """a_l = f_l(a_(l-1) W_l + b_l) for every row of x.

    out takes the last layer's activations, or all layers' side by side if it has room for them.
    """
    cdef Plan plan
    cdef Layer *layer
    cdef real *work
    cdef Py_ssize_t i, row = 0, n_rows = x.shape[0], count, column
    cdef bint every = out.shape[1] > layer_units[layer_units.shape[0] - 1]
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, n_rows, -1, &workspace[0], &params[0])
        if n_rows <= FEW_ROWS:
            while row < n_rows:
                forward_row(&plan, &params[0], &x[row, 0], work, &out[row, 0], every)
                row += 1
        else:
            pack_params(&params[0], &plan, work + plan.params)
        while row < n_rows:
            count = min(plan.chunk, n_rows - row)
            gather(&x[0, 0], NULL, row, count, layer_units[0], plan.lanes, work + plan.layers[0].x)
            forward_chunk(&plan, work + plan.params, work,
                          round_up(count, plan.lanes) // plan.lanes)
            column = 0
            for i in range(0 if every else plan.n_layers - 1, plan.n_layers):
                layer = &plan.layers[i]
                scatter(work + layer.a, NULL, row, count, layer.fan_out, plan.lanes,
                        &out[0, column], out.shape[1])
                column += layer.fan_out
            row += count


def loss_and_grad(
    const real[::1] params,             # IN  plain parameters
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    int loss,
    double alpha,
    const real[:, ::1] x,               # IN  (n, layer_units[0])
    const real[:, ::1] y,               # IN  (n, layer_units[-1])
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[::1] grads,                    # OUT laid out like params
):
    """Mean loss over the rows plus the penalty alpha / (2 n) sum W^2, and its gradient."""
    cdef Plan plan
    cdef Layer *layer
    cdef real *work
    cdef real scale, decay
    cdef double total = 0
    cdef Py_ssize_t i, j, row = 0, n_rows = x.shape[0], count, n_vectors
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, n_rows, -1, &workspace[0], &params[0])
        memset(work + plan.params, 0, plan.packed_size * sizeof(real))
        pack_params(&params[0], &plan, work + plan.params)
        clear_grads(&plan, work)
        layer = &plan.layers[plan.n_layers - 1]
        while row < n_rows:
            count = min(plan.chunk, n_rows - row)
            n_vectors = round_up(count, plan.lanes) // plan.lanes
            gather(&x[0, 0], NULL, row, count, layer_units[0], plan.lanes, work + plan.layers[0].x)
            gather(&y[0, 0], NULL, row, count, layer.fan_out, plan.lanes, work + plan.y)
            forward_chunk(&plan, work + plan.params, work, n_vectors)
            total += c_loss_delta(count, layer.fan_out, work + layer.a, work + plan.y,
                                  work + layer.delta, loss, layer.activation)
            backward_chunk(&plan, work + plan.params, work, n_vectors)
            row += count
        finish_grads(&plan, work)
        total = (total + penalty(&plan, work + plan.params, alpha)) / n_rows
        unpack_params(work + plan.grads, &plan, &grads[0])
        scale = <real> (1.0 / n_rows)
        decay = <real> (alpha / n_rows)
        j = 0
        for i in range(plan.n_layers):
            layer = &plan.layers[i]
            for count in range(j, j + layer.fan_in * layer.fan_out):
                grads[count] = grads[count] * scale + params[count] * decay
            j += layer.fan_in * layer.fan_out
            for count in range(j, j + layer.fan_out):
                grads[count] = grads[count] * scale
            j += layer.fan_out
    return total


cdef void step(
    Plan *plan,
    real *packed,                   # IN/OUT
    real *state,                    # IN/OUT n_states arrays of packed_size numbers
    Py_ssize_t n_states,
    const real *grads,              # IN  sums over the batch
    int solver,
    double learning_rate,
    double momentum,
    double beta_2,
    double epsilon,
    double alpha,
    bint sum_coef_grads,
    Py_ssize_t batch,
    Py_ssize_t t,
) noexcept nogil:
    """One step of the solver on every layer; momentum is Adam's beta_1."""
    cdef Py_ssize_t i, part, at, size, n = plan.packed_size
    cdef Layer *layer
    cdef double scale, decay, rate = learning_rate
    if solver == ADAM:
        rate *= sqrt(1 - pow(beta_2, t)) / (1 - pow(momentum, t))
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        for part in range(2):
            at = layer.intercept if part else layer.coef
            size = layer.intercept_size if part else layer.coef_size
            scale = 1.0 if sum_coef_grads and not part else 1.0 / batch
            decay = 0.0 if part else alpha / batch
            if solver == ADAM:
                c_adam_update(size, packed + at, grads + at, state + at, state + n + at, rate,
                              momentum, beta_2, epsilon, scale, decay)
            else:
                c_sgd_update(size, packed + at, grads + at, state + at if n_states else NULL, rate,
                             momentum, solver == NESTEROV, scale, decay)


def train_epoch(
    real[::1] params,                   # IN/OUT plain parameters; written at the end
    real[::1] packed,                   # IN/OUT the same packed, zero in the padding
    real[:, ::1] state,                 # IN/OUT (0, 1 or 2, packed_size): nothing; velocity; m, v
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    int loss,
    int solver,
    double learning_rate,
    double momentum,                    # Adam: beta_1
    double beta_2,
    double epsilon,
    double alpha,
    bint sum_coef_grads,                # the tutorial's arithmetic: coefs by the sum, not the mean
    const real[:, ::1] x,               # IN  (n, layer_units[0])
    const real[:, ::1] y,               # IN  (n, layer_units[-1])
    const Py_ssize_t[::1] order,        # IN  (n,) the epoch's shuffle, or empty
    Py_ssize_t batch_size,
    Py_ssize_t n_epochs,                # go on until this many are finished
    double budget,                      # return after about this many multiply-adds
    unsigned char[::1] workspace,       # workspace_size(layer_units, batch_size, itemsize, states)
    Py_ssize_t[::1] cursor,             # IN/OUT (4,): epoch, row, step, status
    double[::1] loss_curve,             # OUT (n_epochs,) mean loss of each epoch, before its steps
    real[:, ::1] output,                # OUT (n, units) outputs in the last epoch, or empty
):
    """Epochs of mini-batch descent: forward, loss, deltas, gradients, solver's step.

    cursor[3] is 0 at the first call. Call again while it is 1; 2: finished; 3: epoch cursor[0]
    left the finite numbers: params are those it began with, packed and state are of no use.
    """
    cdef Plan plan
    cdef Layer *last
    cdef real *work
    cdef real *chunk_y
    cdef real *states = NULL
    cdef const Py_ssize_t *rows = NULL
    cdef Py_ssize_t n_rows = x.shape[0], n_states = state.shape[0], n_params, batch_start, batch
    cdef Py_ssize_t row = cursor[CURSOR_ROW], epoch = cursor[CURSOR_EPOCH], count, n_vectors, i
    cdef Py_ssize_t size, gathered = 0
    cdef double work_done = 0, per_row = 0, chunk_loss
    cdef bint diverged = False, wants_output = output.shape[0] > 0
    if order.shape[0]:
        rows = &order[0]
    if n_states:
        states = &state[0, 0]
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, batch_size, n_states, &workspace[0],
                              &packed[0])
        last = &plan.layers[plan.n_layers - 1]
        size = plan.packed_size
        if cursor[CURSOR_STATUS] == START:
            pack_params(&params[0], &plan, &packed[0])
            cursor[CURSOR_STATUS] = RUNNING
        n_params = 0
        for i in range(plan.n_layers):
            per_row += 3.0 * layer_units[i] * layer_units[i + 1] + 20.0 * layer_units[i + 1]
            n_params += (layer_units[i] + 1) * layer_units[i + 1]
        while epoch < n_epochs and work_done < budget:
            if row == 0:
                if epoch > 0:       # where the first epoch began, params still is
                    memcpy(work + plan.backup, &packed[0], size * sizeof(real))
                loss_curve[epoch] = 0
            while row < n_rows and work_done < budget:
                batch_start = row // batch_size * batch_size
                batch = min(batch_size, n_rows - batch_start)
                if row == batch_start:
                    clear_grads(&plan, work)
                count = min(plan.chunk, batch_start + batch - row)
                n_vectors = round_up(count, plan.lanes) // plan.lanes
                plan.layers[0].x = plan.x + (row - batch_start) * layer_units[0]
                chunk_y = work + plan.y + (row - batch_start) * last.fan_out
                if gathered < row + count:
                    gather(&x[0, 0], rows, row, count, layer_units[0], plan.lanes,
                           work + plan.layers[0].x)
                    gather(&y[0, 0], rows, row, count, last.fan_out, plan.lanes, chunk_y)
                    if batch_size >= n_rows and row == gathered:
                        gathered = row + count      # the same rows come again in every epoch
                forward_chunk(&plan, &packed[0], work, n_vectors)
                if wants_output and epoch == n_epochs - 1:
                    scatter(work + last.a, rows, row, count, last.fan_out, plan.lanes,
                            &output[0, 0], last.fan_out)
                chunk_loss = c_loss_delta(count, last.fan_out, work + last.a, chunk_y,
                                          work + last.delta, loss, last.activation)
                if not isfinite(chunk_loss):
                    diverged = True
                    break
                loss_curve[epoch] += chunk_loss
                backward_chunk(&plan, &packed[0], work, n_vectors)
                row += count
                work_done += count * per_row
                if row == batch_start + batch:
                    finish_grads(&plan, work)
                    loss_curve[epoch] += penalty(&plan, &packed[0], alpha)
                    cursor[CURSOR_STEP] += 1
                    step(&plan, &packed[0], states, n_states, work + plan.grads, solver,
                         learning_rate, momentum, beta_2, epsilon, alpha, sum_coef_grads, batch,
                         cursor[CURSOR_STEP])
                    work_done += 4.0 * n_params
            if row == n_rows and not diverged:
                loss_curve[epoch] /= n_rows
                diverged = not (isfinite(loss_curve[epoch]) and c_all_finite(&packed[0], size))
            if diverged:
                row = 0
                cursor[CURSOR_STATUS] = DIVERGED
                break
            if row == n_rows:
                row = 0
                epoch += 1
        if epoch == n_epochs:
            cursor[CURSOR_STATUS] = FINISHED
        if cursor[CURSOR_STATUS] == FINISHED:
            unpack_params(&packed[0], &plan, &params[0])
        elif cursor[CURSOR_STATUS] == DIVERGED and epoch > 0:
            unpack_params(work + plan.backup, &plan, &params[0])
        cursor[CURSOR_EPOCH] = epoch
        cursor[CURSOR_ROW] = row


# ---- single operations, for tests and for people who want to look -------------------------------

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
    cdef real *work
    cdef Py_ssize_t row = 0, n_rows = x.shape[0], count
    with nogil:
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, &workspace[0], &x[0, 0])
        layer = &plan.layers[0]
        pack_layer(&coef[0, 0], &intercept[0], layer.fan_in, layer.fan_out, plan.panel,
                   work + layer.coef, work + layer.intercept)
        while row < n_rows:
            count = min(plan.chunk, n_rows - row)
            gather(&x[0, 0], NULL, row, count, layer.fan_in, plan.lanes, work + layer.x)
            forward_chunk(&plan, work, work, round_up(count, plan.lanes) // plan.lanes)
            scatter(work + layer.a, NULL, row, count, layer.fan_out, plan.lanes, &out[0, 0],
                    layer.fan_out)
            row += count


def propagate_delta(
    const real[:, ::1] delta,           # IN  (n, fan_out)
    const real[:, ::1] coef,            # IN  (fan_in, fan_out)
    const real[:, ::1] a,               # IN  (n, fan_in) activations of the layer before
    int activation,                     # of the layer before
    unsigned char[::1] workspace,       # workspace_size([fan_in, fan_out], n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, fan_in)
):
    """delta_in = f'(a) (delta W^T), with the derivative taken from the activations a."""
    cdef Py_ssize_t[2] units = [coef.shape[0], coef.shape[1]]
    cdef int[1] codes = [activation]
    cdef Plan plan
    cdef Layer *layer
    cdef real *work
    cdef Py_ssize_t row = 0, n_rows = a.shape[0], count
    with nogil:
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, &workspace[0], &a[0, 0])
        layer = &plan.layers[0]
        pack_layer(&coef[0, 0], &coef[0, 0], layer.fan_in, layer.fan_out, plan.panel,
                   work + layer.coef, work + layer.intercept)
        while row < n_rows:
            count = min(plan.chunk, n_rows - row)
            gather(&a[0, 0], NULL, row, count, layer.fan_in, plan.lanes, work + layer.x)
            gather(&delta[0, 0], NULL, row, count, layer.fan_out, plan.lanes, work + layer.delta)
            # in place: a row of the result depends on no other row of a
            c_propagate_delta(round_up(count, plan.lanes) // plan.lanes, layer.fan_in,
                              layer.fan_out, work + layer.coef, work + layer.delta, work + layer.x,
                              work + layer.x, activation)
            scatter(work + layer.x, NULL, row, count, layer.fan_in, plan.lanes, &out[0, 0],
                    layer.fan_in)
            row += count


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
    with nogil:
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, &workspace[0], &z[0, 0])
        tile = work + plan.layers[0].x
        while row < n_rows:
            width = plan.lanes
            count = min(width, n_rows - row)
            gather(&z[0, 0], NULL, row, count, n, width, tile)
            c_softmax_tile(tile, n, width)
            scatter(tile, NULL, row, count, n, width, &out[0, 0], n)
            row += count


def sgd_update(
    real[::1] params,                   # IN/OUT
    const real[::1] grads,              # IN
    real[::1] velocities,               # IN/OUT, or empty for plain descent
    double learning_rate,
    double momentum,
    bint nesterov,
):
    """v = momentum v - lr g; params += v, or momentum v - lr g with Nesterov's look-ahead."""
    c_sgd_update(params.shape[0], &params[0], &grads[0],
                 &velocities[0] if velocities.shape[0] else NULL, learning_rate, momentum,
                 nesterov, 1.0, 0.0)


def adam_update(
    real[::1] params,                   # IN/OUT
    const real[::1] grads,              # IN
    real[::1] first_moments,            # IN/OUT
    real[::1] second_moments,           # IN/OUT
    double learning_rate,
    double beta_1,
    double beta_2,
    double epsilon,
    Py_ssize_t t,                       # 1 at the first step
):
    """m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
    params -= lr sqrt(1-b2^t) / (1-b1^t) m / (sqrt(v) + epsilon)."""
    c_adam_update(params.shape[0], &params[0], &grads[0], &first_moments[0], &second_moments[0],
                  learning_rate * sqrt(1 - pow(beta_2, t)) / (1 - pow(beta_1, t)), beta_1, beta_2,
                  epsilon, 1.0, 0.0)


def exp(const real[::1] x, real[::1] out):
    """e^x; 0 below the smallest normal number, infinity above the largest."""
    c_exp(&x[0], &out[0], x.shape[0])


def sigmoid(const real[::1] x, real[::1] out):
    """s(x) = 1 / (1 + e^-x)."""
    c_sigmoid(&x[0], &out[0], x.shape[0])


def sigmoid_derivative(const real[::1] a, real[::1] out):
    """s'(x) = a (1 - a) with a = s(x)."""
    c_sigmoid_derivative(&a[0], &out[0], a.shape[0])


def tanh(const real[::1] x, real[::1] out):
    """tanh x."""
    c_tanh(&x[0], &out[0], x.shape[0])


def tanh_derivative(const real[::1] a, real[::1] out):
    """tanh' x = 1 - a^2 with a = tanh x."""
    c_tanh_derivative(&a[0], &out[0], a.shape[0])


def relu(const real[::1] x, real[::1] out):
    """max(0, x)."""
    c_relu(&x[0], &out[0], x.shape[0])


def relu_derivative(const real[::1] a, real[::1] out):
    """1 where a > 0, else 0, with a = relu x."""
    c_relu_derivative(&a[0], &out[0], a.shape[0])


def all_finite(const real[::1] x):
    """Whether x holds neither NaN nor infinity."""
    if x.shape[0] == 0:
        return True
    return bool(c_all_finite(&x[0], x.shape[0]))


def peak_multiply_adds(Py_ssize_t turns, real[::1] sink):
    """Do 12 independent chains of `turns` multiply-adds; how many that were."""
    cdef double n
    with nogil:
        n = c_peak_loop(turns, &sink[0])
    return n


def build_info():
    """What this build was compiled for, by what, and how many numbers its vectors hold."""
    return {
        "target": FASTNN_TARGET.decode("ascii"),
        "compiler": FASTNN_COMPILER.decode("ascii"),
        "lanes_f32": LANES_F32,
        "lanes_f64": LANES_F64,
    }
