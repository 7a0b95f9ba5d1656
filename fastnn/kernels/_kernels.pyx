# Every hot loop of fastnn, once; the other builds are this file included by their shims.
#
# Design
# ------
# Memory. A call gets every byte it uses from Python: packed parameters (each layer's panels of
#   outputs, then its intercepts; see simd_real.h), the solver's state in the same layout, and a
#   workspace. That begins with a table of layers; offsets behind it are in numbers and
#   multiples of 64 bytes. A "desk" in it has the activations and deltas of one chunk of samples, a
#   "slice" the gradients of a part of the batch.
# Rows. x is dense, or sparse as scipy's CSR arrays are. The first layer multiplies a chunk of
#   really sparse rows as they are stored; others become dense as they are gathered into tiles.
#   Either way the bits are those of dense rows. Few rows are multiplied with plain parameters, as
#   packing those would take longer than it saves, and so are really sparse ones by the first
#   layer. A column of y more than there are outputs has the weight of each row; it is one row more
#   in a tile of y.
# Order of work. A batch is cut into chunks whose activations stay in the first-level cache (or,
#   for wide nets, whose coefficients are read seldom). Each chunk goes forward, through the loss
#   and back before the next; gradients are summed over chunks; the solver steps once a batch, row
#   block by row block behind the gradient where the batch is one chunk, so that wide gradients are
#   never written to memory. Narrow layers sum their gradients lane by lane over the batch, wide
#   ones by panels of outputs.
# Threads (threads.h). Batches of few chunks: every phase of a chunk (gather, each layer's forward
#   pass, each delta, all gradients with the solver's step) is split by features, outputs or rows
#   of coefs, whose sums nobody shares. Batches of many chunks are cut into 16 slices, whatever the
#   number of threads, each summed on its own and added in order. Either way a thread decides
#   who computes, not what: the bits are those of one thread. A phase that is too short to share is
#   the caller's alone.
# Signals. train_epoch does about `budget` multiply-adds and returns; `cursor` says where to go on,
#   so Ctrl-C is Python's business between two calls and nothing here ever looks at a signal. The
#   cursor has the epoch to finish at, too: from one pause to the next, for whoever listens, no
#   argument changes, and arrays that typed_views has looked at need not be looked at again.
# Numerics. Sums over features have one order for every sample; sums over samples follow chunks and
#   slices. A batch whose loss is not finite, or an epoch whose parameters are not, puts the
#   parameters back to where its epoch began, unless the caller wants scikit-learn's way, which is
#   to go on. No floating-point mode is touched.
# Errors. None: network.py has checked everything. Enumerations are those of simd.h, reference.py.

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport sqrt, pow, isfinite
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

ctypedef fused real:
    float
    double

# The functions of simd.h. `void *` stands for `real *`: each is a C macro that takes the version
# for the type it is given, and the C compiler checks that type.
cdef extern from "simd.h" nogil:
    const char *FASTNN_TARGET
    const char *FASTNN_COMPILER
    enum: IDENTITY, SIGMOID, TANH, RELU, SOFTMAX, EXP
    enum: SQUARED_ERROR, BINARY_LOG_LOSS, LOG_LOSS, POISSON, MEAN_SQUARED_ERROR
    enum: LANES_F32, LANES_F64, PANEL_F32, PANEL_F64
    int tile_vectors(Py_ssize_t left)

    enum: MAX_TILE, TILE_ROWS, GRAD_ROWS
    void c_gather_rows(
        const void *sources, Py_ssize_t width, Py_ssize_t first, Py_ssize_t end, void *out)
    void c_split_rows(
        const void *rows, Py_ssize_t width, Py_ssize_t n_features, void *out)
    void c_dense_forward(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, Py_ssize_t panel, const void *coef, const void *intercept, const void *x,
        void *out, int activation)
    void c_sparse_forward(
        Py_ssize_t n_samples, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, const void *coef, const void *intercept, const void *values,
        const int *columns, const Py_ssize_t *starts, const Py_ssize_t *order, Py_ssize_t row,
        void *out, int activation)
    void c_softmax_chunk(Py_ssize_t n_vectors, Py_ssize_t n, void *z)
    void c_rows_forward(
        Py_ssize_t n_rows, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef,
        const void *intercept, const void *x, Py_ssize_t x_step, void *out, Py_ssize_t out_step,
        int activation)
    void c_stored_forward(
        Py_ssize_t n_rows, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef,
        const void *intercept, const void *values, const int *columns, const Py_ssize_t *starts,
        void *out, Py_ssize_t out_step, int activation)
    void c_propagate_delta(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, Py_ssize_t panel, const void *coef, const void *delta, const void *a,
        void *out, int activation)
    void c_lane_gradient(
        Py_ssize_t n_vectors, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, int fresh, const void *x, const void *delta, void *sums)
    void c_add_lanes(
        Py_ssize_t fan_out, Py_ssize_t first, Py_ssize_t end, const void *sums, void *grad,
        Py_ssize_t grad_panel)
    void c_transpose_delta(
        Py_ssize_t n_vectors, Py_ssize_t fan_out, Py_ssize_t first, Py_ssize_t end,
        const void *delta, void *out)
    void c_panel_gradient(
        Py_ssize_t n_vectors, Py_ssize_t n_samples, Py_ssize_t fan_in, Py_ssize_t fan_out,
        Py_ssize_t first, Py_ssize_t end, int fresh, const void *x, const void *delta, void *grad,
        Py_ssize_t grad_panel)
    void c_sparse_gradient(
        Py_ssize_t n_vectors, Py_ssize_t n_samples, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, int fresh, const void *values, const int *columns,
        const Py_ssize_t *starts, const Py_ssize_t *order, Py_ssize_t row, const void *delta,
        void *grad, Py_ssize_t grad_panel)
    void c_panel_sums(
        Py_ssize_t n_vectors, Py_ssize_t first, Py_ssize_t end, int fresh, const void *delta,
        void *grad)
    void c_add(Py_ssize_t n, const void *x, void *sum)
    double c_loss_delta(
        Py_ssize_t n_samples, Py_ssize_t n_outputs, const void *a, void *y, void *delta, int loss,
        int activation)
    double c_weighted_loss_delta(
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

cdef extern from "threads.h" nogil:
    enum: FASTNN_HAS_THREADS
    ctypedef void (*team_task)(void *context, int part, int parts) noexcept nogil
    Py_ssize_t team_bytes(int n_threads)
    void team_open(void *memory, int n_threads)
    void team_serve(void *memory, int index)
    void team_run(void *memory, team_task task, void *context, int parts)
    void team_close(void *memory)
    void team_free(void *memory)
    Py_ssize_t team_take(Py_ssize_t *next)

cdef enum:
    SGD = 0
    NESTEROV = 1
    ADAM = 2

cdef enum:                  # fields of a cursor
    CURSOR_EPOCH = 0        # epochs finished
    CURSOR_ROW = 1          # the present batch's first row + how many of its rounds are done
    CURSOR_STEP = 2         # solver steps ever done (Adam's t)
    CURSOR_STATUS = 3
    CURSOR_FIRST = 4        # the epoch that it began with; written at the start
    CURSOR_STOP = 5         # epochs after which to finish

cdef enum:                  # values of cursor[CURSOR_STATUS]
    START = 0               # pack the parameters first
    RUNNING = 1             # the budget ran out
    FINISHED = 2
    DIVERGED = 3
    WEIGHTLESS = 4          # the weights of a batch add up to 0

cdef enum:
    SLICES = 16             # that a batch of so many chunks is cut into
    SLICE_BYTES = 16 << 20  # bytes that their gradients may take, and the tiles of a full batch
    BLOCK_BYTES = 192 << 10  # of a wide gradient between its sum and the solver's step
    PENALTY_BLOCK = 4096    # coefs whose squares are summed by one thread
    PART_WORK = 12288       # vector multiply-adds (2-3 us) for which a thread is asked to help
    STORED_WORK = 5         # dense multiply-adds in whose time one with a stored value is done

cdef struct Layer:
    Py_ssize_t fan_in, fan_out
    int activation
    bint by_lanes           # gradient summed lane by lane (narrow) or by panels (wide)
    Py_ssize_t panel        # outputs in a panel: all of a very narrow layer, without padding
    Py_ssize_t coef, intercept, coef_size, intercept_size   # in packed parameters
    Py_ssize_t a, delta, transposed     # in a desk: activations and deltas of a chunk
    Py_ssize_t lanes        # in a slice: lane sums
    Py_ssize_t block        # rows of the gradient between the solver's steps

cdef struct Plan:
    Layer *layers
    Py_ssize_t n_layers, lanes, panel, chunk, packed_size, slices, penalty_blocks
    Py_ssize_t n_targets    # columns of y: one for each output, and with weights one more
    bint cached             # x and y hold the tiles of a whole batch of several chunks
    # in the workspace
    Py_ssize_t params, x, y, backup, partials, slice, slice_size, desk, desk_size, size
    Py_ssize_t scratch, scratch_size    # for each thread, where a batch is one chunk
    Py_ssize_t desk_x, desk_y   # in a desk

cdef struct Rows:           # of inputs
    const void *values      # (n, n_features), or those stored in sparse rows
    const int *columns      # of each stored value
    const Py_ssize_t *starts    # where each sparse row begins, and the last ends; NULL: dense
    const Py_ssize_t *order     # in which they are used; NULL: as they lie

cdef struct Chunk:
    Py_ssize_t row, count, n_vectors    # its first row in the epoch's order, samples, vectors
    Py_ssize_t x, y, desk, slice        # in the workspace
    bint fresh                          # the first of its slice
    bint last                           # the last of a batch of one slice: the solver steps
    const Rows *sparse                  # what the first layer takes as it is stored; NULL: tiles


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t multiple) noexcept nogil:
    return (n + multiple - 1) // multiple * multiple


# ---- layout -------------------------------------------------------------------------------------

cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t unit, int part, int parts) noexcept nogil:
    """Where `part` of `parts` begins among n things that are split by units."""
    if part == 0 or part == parts:      # a thread alone need not divide
        return n if part else 0
    return min(n, (n + unit - 1) // unit * part // parts * unit)


cdef inline int parts_of(double work, int n_threads) noexcept nogil:
    """How many threads share so many vector multiply-adds."""
    return <int> max(1.0, min(<double> n_threads, work / PART_WORK))


cdef inline Py_ssize_t rows_unit(Plan *plan, Layer *layer) noexcept nogil:
    """By how many rows a layer's gradient is split: those of a tile, or whole vectors of sums."""
    return plan.panel if layer.by_lanes else <Py_ssize_t> GRAD_ROWS


cdef void make_plan(
    Plan *plan,
    const Py_ssize_t *layer_units,
    const int *activations,         # NULL: sizes only
    Py_ssize_t n_layers,
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
    # cache. Wide ones, where that would be too few samples to pay for reading the coefs: 256, or
    # so few that a chunk of the widest takes no longer than Ctrl-C may wait.
    tile = 3 * plan.lanes
    plan.chunk = 24576 // (per_sample * itemsize) // tile * tile
    if plan.chunk < 2 * tile:
        plan.chunk = round_up(max(tile, min(256, 1500000000 // per_row)), tile)
    # A batch of too few chunks to be sliced saves more by fewer calls than the cache would.
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
        at += plan.packed_size      # forward and loss_and_grad pack the parameters here
    plan.x = at
    if plan.cached:
        at += round_up(round_up(batch, plan.lanes) * layer_units[0], align)
    plan.y = at
    if plan.cached:
        at += round_up(round_up(batch, plan.lanes) * plan.n_targets, align)
    plan.backup = at
    if n_states >= 0:
        at += plan.packed_size
    plan.partials = at              # doubles: the loss of each slice, the penalty's blocks
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
    Py_ssize_t batch,
    Py_ssize_t n_states,
    int n_threads,
    bint weighted,
    unsigned char *workspace,
    const real *type_of,            # only its type matters
) noexcept nogil:
    """The plan of a workspace, its table filled in; where the numbers behind the table begin."""
    make_plan(plan, layer_units, activations, n_layers, batch, sizeof(real), n_states, n_threads,
              weighted, <Layer *> workspace)
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

    n_states = -1: for forward and loss_and_grad, which do not train. weighted: y has a column of
    weights.
    """
    cdef Plan plan
    cdef Py_ssize_t n_layers = layer_units.shape[0] - 1
    make_plan(&plan, &layer_units[0], NULL, n_layers, batch_size, itemsize, n_states, n_threads,
              weighted, NULL)
    return round_up(n_layers * <Py_ssize_t> sizeof(Layer), 128) + plan.size * itemsize


def packed_size(const Py_ssize_t[::1] layer_units, int itemsize):
    """How many numbers the packed parameters take."""
    cdef Plan plan
    make_plan(&plan, &layer_units[0], NULL, layer_units.shape[0] - 1, 1, itemsize, 0, 1, False,
              NULL)
    return plan.packed_size


# ---- threads ------------------------------------------------------------------------------------

def useful_threads(
    const Py_ssize_t[::1] layer_units, Py_ssize_t batch_size, int itemsize, int n_threads
):
    """How many of n_threads have something to do in a step of training."""
    cdef Plan plan
    cdef Py_ssize_t i, n_layers = layer_units.shape[0] - 1
    cdef double total = 0
    make_plan(&plan, &layer_units[0], NULL, n_layers, batch_size, itemsize, 0, n_threads, False,
              NULL)
    if not FASTNN_HAS_THREADS:
        return 1
    for i in range(n_layers):
        total += <double> layer_units[i] * layer_units[i + 1] / plan.lanes
    if plan.slices > 1:
        return parts_of(3 * total * batch_size, min(n_threads, <int> SLICES))
    return parts_of(total * plan.chunk, n_threads)


def team_size(int n_threads):
    """Bytes of memory for a team of n_threads."""
    return team_bytes(n_threads)


def open_team(unsigned char[::1] team, int n_threads):
    """Make a team of memory that starts at a multiple of 128 bytes."""
    team_open(&team[0], n_threads)


def serve_team(unsigned char[::1] team, int index):
    """Be helper `index`, 1 .. n_threads - 1, until the team is closed."""
    with nogil:
        team_serve(&team[0], index)


def close_team(unsigned char[::1] team):
    """Send the helpers home; they leave soon after."""
    team_close(&team[0])


def free_team(unsigned char[::1] team):
    """Once all helpers have left: the memory is plain memory again."""
    team_free(&team[0])


# ---- packing ------------------------------------------------------------------------------------

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
    pack_layers(params, plan, 0, plan.n_layers, packed)


cdef void pack_layers(
    const real *params, Plan *plan, Py_ssize_t first, Py_ssize_t end, real *packed
) noexcept nogil:
    """Layers first .. end; params are those of the whole net."""
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
                       layer_units.shape[0] - 1, 1, 0, 1, False, &workspace[0], &params[0])
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
                       layer_units.shape[0] - 1, 1, 0, 1, False, &workspace[0], &packed[0])
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
    int part,
    int parts,
) noexcept nogil:
    cdef Py_ssize_t start = 0, width, s, row, padded = round_up(n_samples, lanes), f0, f1
    cdef const real *sources[MAX_TILE]
    # parts of whole vectors of features; what is left over goes with the last
    f0 = share(max(1, n_features // lanes), 1, part, parts) * lanes
    f1 = share(max(1, n_features // lanes), 1, part + 1, parts) * lanes
    if part == parts - 1:
        f1 = n_features
    if f0 == f1:
        return
    while start < padded:
        width = next_tile(padded - start, lanes)
        if order == NULL and n_features <= 2 and start + width <= n_samples:
            c_split_rows(rows + (first + start) * n_features, width, n_features, out)
        else:
            for s in range(width):
                row = first + min(start + s, n_samples - 1)
                sources[s] = rows + (row if order == NULL else order[row]) * n_features
            c_gather_rows(sources, width, f0, f1, out)
        out += width * n_features
        start += width


cdef void gather_sparse(
    const Rows *rows,
    Py_ssize_t first,
    Py_ssize_t n_samples,
    Py_ssize_t n_features,
    Py_ssize_t lanes,
    real *out,                      # OUT tiles, as gather's
    int part,
    int parts,
) noexcept nogil:
    cdef const real *values = <const real *> rows.values
    cdef Py_ssize_t start = 0, width, s, i, row, padded = round_up(n_samples, lanes)
    # the tiles that begin in a part's share of the vectors
    cdef Py_ssize_t begin = share(padded, lanes, part, parts)
    cdef Py_ssize_t end = share(padded, lanes, part + 1, parts)
    while start < end:
        width = next_tile(padded - start, lanes)
        if start >= begin:
            memset(out, 0, width * n_features * sizeof(real))
            for s in range(width):
                row = first + min(start + s, n_samples - 1)
                if rows.order != NULL:
                    row = rows.order[row]
                for i in range(rows.starts[row], rows.starts[row + 1]):
                    out[rows.columns[i] * width + s] += values[i]
        out += width * n_features
        start += width


cdef inline void gather_inputs(
    const Rows *rows, Plan *plan, Chunk *chunk, real *work, int part, int parts
) noexcept nogil:
    """The chunk's inputs to its tiles, unless they are taken as they are stored."""
    cdef Py_ssize_t n_features = plan.layers[0].fan_in
    if chunk.sparse != NULL:
        return
    if rows.starts == NULL:
        gather(<const real *> rows.values, rows.order, chunk.row, chunk.count, n_features,
               plan.lanes, work + chunk.x, part, parts)
    else:
        gather_sparse(rows, chunk.row, chunk.count, n_features, plan.lanes, work + chunk.x, part,
                      parts)


cdef const Rows *as_stored(
    const Rows *rows, Plan *plan, Chunk *chunk, bint plain
) noexcept nogil:
    """The rows, if the first layer had better take the chunk's as they are stored; else NULL.

    They must be really sparse, and each with rising columns: else sums would have another order
    than those over dense rows. Packed parameters of narrow layers, and gradients that are summed
    by lanes, want tiles; plain parameters do not.
    """
    cdef Py_ssize_t i, s, row, stored = 0
    if rows.starts == NULL or (plan.layers[0].by_lanes and not plain):
        return NULL
    for s in range(chunk.row, chunk.row + chunk.count):
        row = s if rows.order == NULL else rows.order[s]
        stored += rows.starts[row + 1] - rows.starts[row]
        for i in range(rows.starts[row] + 1, rows.starts[row + 1]):
            if rows.columns[i] <= rows.columns[i - 1]:
                return NULL
    if stored * STORED_WORK > chunk.count * plan.layers[0].fan_in:
        return NULL
    return rows


cdef Rows rows_of(const real[:, ::1] x, columns, row_starts) except *:
    """Where the rows are, for as long as somebody else holds the arrays.

    These are no memoryviews of the functions below, as to look into two empty arrays would take
    8% of predicting one row by a small net.
    """
    cdef Rows rows
    cdef const int[::1] columns_view
    cdef const Py_ssize_t[::1] starts_view
    memset(&rows, 0, sizeof(rows))
    rows.values = &x[0, 0]
    if len(row_starts):
        columns_view, starts_view = columns, row_starts
        rows.columns, rows.starts = &columns_view[0], &starts_view[0]
    return rows


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


# ---- one chunk through the net: phases, of each of which a thread does its part -----------------

cdef inline Chunk at_desk(Plan *plan, Py_ssize_t row, Py_ssize_t count, int desk) noexcept nogil:
    """A chunk whose inputs and targets are gathered to the desk itself."""
    cdef Chunk chunk
    chunk.row, chunk.count = row, count
    chunk.n_vectors = (count + plan.lanes - 1) // plan.lanes
    chunk.desk = plan.desk + desk * plan.desk_size
    chunk.x, chunk.y = chunk.desk + plan.desk_x, chunk.desk + plan.desk_y
    chunk.slice = plan.slice
    chunk.fresh = row == 0
    chunk.last = False
    chunk.sparse = NULL
    return chunk


cdef inline real *inputs_of(Plan *plan, Py_ssize_t i, Chunk *chunk, real *work) noexcept nogil:
    return work + (chunk.x if i == 0 else chunk.desk + plan.layers[i - 1].a)


cdef void forward_layer(
    Plan *plan, Py_ssize_t i, const real *packed, real *work, Chunk *chunk, int part, int parts
) noexcept nogil:
    """a = f(x W + b); softmax is left to output_of."""
    cdef Layer *layer = &plan.layers[i]
    cdef const Rows *rows = chunk.sparse if i == 0 else NULL
    if rows != NULL:
        c_sparse_forward(chunk.count, layer.fan_in, layer.fan_out,
                         share(layer.fan_out, plan.panel, part, parts),
                         share(layer.fan_out, plan.panel, part + 1, parts), packed + layer.coef,
                         packed + layer.intercept, <const real *> rows.values, rows.columns,
                         rows.starts, rows.order, chunk.row, work + chunk.desk + layer.a,
                         layer.activation)
        return
    c_dense_forward(chunk.n_vectors, layer.fan_in, layer.fan_out,
                    share(layer.fan_out, TILE_ROWS, part, parts),
                    share(layer.fan_out, TILE_ROWS, part + 1, parts), layer.panel,
                    packed + layer.coef, packed + layer.intercept, inputs_of(plan, i, chunk, work),
                    work + chunk.desk + layer.a, layer.activation)


cdef real *output_of(Plan *plan, real *work, Chunk *chunk) noexcept nogil:
    """The activations of the last layer, whose other phases are done."""
    cdef Layer *layer = &plan.layers[plan.n_layers - 1]
    cdef real *a = work + chunk.desk + layer.a
    if layer.activation == SOFTMAX:
        c_softmax_chunk(chunk.n_vectors, layer.fan_out, a)
    return a


cdef real *forward_chunk(
    Plan *plan, const real *packed, real *work, Chunk *chunk, Py_ssize_t first
) noexcept nogil:
    """Layers from `first` on."""
    cdef Py_ssize_t i
    for i in range(first, plan.n_layers):
        forward_layer(plan, i, packed, work, chunk, 0, 1)
    return output_of(plan, work, chunk)


cdef double loss_of(Plan *plan, real *work, Chunk *chunk, int loss) noexcept nogil:
    """The chunk's loss, and the deltas of the last layer."""
    cdef Layer *layer = &plan.layers[plan.n_layers - 1]
    cdef real *delta = work + chunk.desk + layer.delta
    cdef double total
    if plan.n_targets > layer.fan_out:
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
    """The deltas of layer i - 1 = f'(x) (delta W^T)."""
    cdef Layer *layer = &plan.layers[i]
    cdef Layer *before = &plan.layers[i - 1]
    cdef Py_ssize_t first = share(layer.fan_in, plan.panel, part, parts)
    cdef Py_ssize_t end = share(layer.fan_in, plan.panel, part + 1, parts)
    cdef real *desk = work + chunk.desk
    c_propagate_delta(chunk.n_vectors, layer.fan_in, layer.fan_out, first, end, layer.panel,
                      packed + layer.coef, desk + layer.delta, desk + before.a,
                      desk + before.delta, before.activation)
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
    """dC/dW += x^T delta for some rows of W; a narrow layer's sums, with dC/db behind the last."""
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
    """dC/db += sum of delta for a wide layer's outputs first .. end, whole panels."""
    c_panel_sums(chunk.n_vectors, first, end, chunk.fresh, work + chunk.desk + layer.transposed,
                 work + chunk.slice + layer.intercept)


cdef double weight_of(
    const real *y, const Py_ssize_t *order, Py_ssize_t first, Py_ssize_t n_samples,
    Py_ssize_t n_targets
) noexcept nogil:
    """The sum of the weights, the last column of y, of some rows."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(first, first + n_samples):
        total += y[((i if order == NULL else order[i]) + 1) * n_targets - 1]
    return total


cdef void backward_chunk(Plan *plan, const real *packed, real *work, Chunk *chunk) noexcept nogil:
    """From the output deltas back; every layer's gradient, without the solver's step."""
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
    """Lane sums of a narrow layer -> rows first .. end of its packed gradient."""
    cdef real *sums = work + plan.slice + plan.packed_size + layer.lanes
    if layer.panel == plan.panel:
        c_add_lanes(layer.fan_out, first, end, sums, grad, grad_panel)
    elif first < end:                   # rows without padding between them are one long row
        c_add_lanes((end - first) * layer.fan_out, 0, 1, sums + first * layer.fan_out * plan.lanes,
                    grad, plan.panel)


cdef double *penalty_partials(Plan *plan, real *work) noexcept nogil:
    return <double *> (work + plan.partials) + plan.slices


cdef void penalty_part(
    Plan *plan, const real *packed, real *work, int part, int parts
) noexcept nogil:
    """The sums of squares of some blocks of coefs."""
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
    """alpha / 2 times the sum of the squared coefficients, whose blocks have been summed."""
    cdef Py_ssize_t i
    cdef double total = 0
    cdef double *partials = penalty_partials(plan, work)
    for i in range(plan.penalty_blocks):
        total += partials[i]
    return 0.5 * alpha * total


cdef enum:                  # up to so many rows, packing takes longer than it saves:
    FEW_ROWS = 12           # whatever the net,
    FEW_BYTES = 16384       # one for so many bytes of packed parameters, but
    FEW_MOST = 96


cdef inline void forward_stored(
    Layer *layer, const real *params, Chunk *chunk, real *a, Py_ssize_t a_step
) noexcept nogil:
    """The first layer of a chunk of sparse rows, as they are stored, with plain parameters."""
    cdef const Rows *rows = chunk.sparse
    c_stored_forward(chunk.count, layer.fan_in, layer.fan_out, params,
                     params + layer.fan_in * layer.fan_out, <const real *> rows.values,
                     rows.columns, rows.starts + chunk.row, a, a_step, layer.activation)


cdef void forward_few(
    Plan *plan, const real *params, const Rows *rows, Chunk *chunk, real *work, real *out,
    Py_ssize_t out_step
) noexcept nogil:
    """A chunk through the net with plain parameters; out takes the last layer or every one."""
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


# ---- whole-network calls ------------------------------------------------------------------------

def forward(
    const real[::1] params,             # IN  plain parameters, or packed ones
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: (1, n_stored)
    columns,                            # IN  int32 (n_stored,) of the values in x, or empty
    row_starts,                         # IN  intp (n + 1,) where rows begin, or empty: dense
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[:, ::1] out,                   # OUT (n, layer_units[-1]), or (n, sum(layer_units[1:]))
    bint packed=False,                  # params are
):
    """a_l = f_l(a_(l-1) W_l + b_l) for every row of x.

    Sparse rows are scipy's CSR: row i has the values row_starts[i] .. row_starts[i + 1] of x, in
    any order; those of one column are added. out takes the last layer's activations, or all
    layers' side by side if it has room for them.
    """
    cdef Plan plan
    cdef Layer *layer
    cdef Chunk chunk
    cdef Rows rows = rows_of(x, columns, row_starts)
    cdef real *work
    cdef const real *coefs
    cdef Py_ssize_t i, row = 0, n_rows = out.shape[0], first, column, width = out.shape[1]
    cdef Py_ssize_t n_packed = 0    # layers at the end that are packed
    cdef bint few
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, n_rows, -1, 1, False, &workspace[0],
                              &params[0])
        coefs = &params[0] if packed else work + plan.params
        few = not packed and n_rows <= max(
            <Py_ssize_t> FEW_ROWS,
            min(<Py_ssize_t> FEW_MOST,
                plan.packed_size * <Py_ssize_t> sizeof(real) // FEW_BYTES))
        while row < n_rows:
            chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
            chunk.sparse = as_stored(&rows, &plan, &chunk, not packed)
            row += chunk.count
            # the only layer of a net needs no tile for the next
            if few or (plan.n_layers == 1 and chunk.sparse != NULL and not packed):
                forward_few(&plan, &params[0], &rows, &chunk, work, &out[chunk.row, 0], width)
                continue
            first = 1 if chunk.sparse != NULL and not packed else 0
            if not packed and n_packed < plan.n_layers - first:
                pack_layers(&params[0], &plan, first, plan.n_layers - n_packed,
                            work + plan.params)
                n_packed = plan.n_layers - first
            if first:
                layer = &plan.layers[0]
                forward_stored(layer, &params[0], &chunk, work + chunk.desk + layer.delta,
                               layer.fan_out)
                gather(work + chunk.desk + layer.delta, NULL, 0, chunk.count, layer.fan_out,
                       plan.lanes, work + chunk.desk + layer.a, 0, 1)
            else:
                gather_inputs(&rows, &plan, &chunk, work, 0, 1)
            forward_chunk(&plan, coefs, work, &chunk, first)
            column = 0
            for i in range(0 if width > layer_units[plan.n_layers] else plan.n_layers - 1,
                           plan.n_layers):
                layer = &plan.layers[i]
                scatter(work + chunk.desk + layer.a, NULL, chunk.row, chunk.count, layer.fan_out,
                        plan.lanes, &out[0, column], width)
                column += layer.fan_out


cdef void mean_gradient(
    Plan *plan, real *work, const real *params, double weight, double alpha, real *grads
) noexcept nogil:
    """The gradient of the mean loss from the sums over all chunks, in the one slice there is."""
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


def loss_and_grad(
    const real[::1] params,             # IN  plain parameters
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    int loss,
    double alpha,
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: see forward
    columns,
    row_starts,
    const real[:, ::1] y,               # IN  (n, layer_units[-1]), or with a column of weights
    unsigned char[::1] workspace,       # workspace_size(layer_units, n, itemsize, -1) bytes
    real[::1] grads,                    # OUT laid out like params; empty: the loss alone
):
    """Mean loss over the rows plus the penalty alpha / (2 n) sum W^2, and its gradient.

    Where y has one column more than there are outputs, that is the weight of each row: the mean
    is a weighted one, and n the sum of the weights.
    """
    cdef Plan plan
    cdef Chunk chunk
    cdef real *work
    cdef Rows rows = rows_of(x, columns, row_starts)
    cdef double total = 0, weight = y.shape[0]
    cdef Py_ssize_t row = 0, n_rows = y.shape[0]
    cdef bint weighted = y.shape[1] > layer_units[layer_units.shape[0] - 1]
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, n_rows, -1, 1, weighted, &workspace[0],
                              &params[0])
        if weighted:
            weight = weight_of(&y[0, 0], NULL, 0, n_rows, plan.n_targets)
        memset(work + plan.params, 0, plan.packed_size * sizeof(real))
        pack_params(&params[0], &plan, work + plan.params)
        while row < n_rows:
            chunk = at_desk(&plan, row, min(plan.chunk, n_rows - row), 0)
            chunk.sparse = as_stored(&rows, &plan, &chunk, False)
            gather_inputs(&rows, &plan, &chunk, work, 0, 1)
            gather(&y[0, 0], NULL, row, chunk.count, plan.n_targets, plan.lanes, work + chunk.y,
                   0, 1)
            forward_chunk(&plan, work + plan.params, work, &chunk, 0)
            total += loss_of(&plan, work, &chunk, loss)
            if grads.shape[0]:
                backward_chunk(&plan, work + plan.params, work, &chunk)
            row += chunk.count
        if alpha != 0:
            penalty_part(&plan, work + plan.params, work, 0, 1)
            total += penalty(&plan, work, alpha)
        total /= weight
        if grads.shape[0]:
            mean_gradient(&plan, work, &params[0], weight, alpha, &grads[0])
    return total


# ---- training -----------------------------------------------------------------------------------

cdef enum:                  # what a Job asks for
    GATHER = 0
    FORWARD = 1
    DELTA = 2
    GRADIENT = 3            # of all layers, and in a batch's last chunk the solver's step
    PENALTY = 4
    SLICE_CHUNKS = 5        # some chunks of every slice, from gather to gradient
    SLICE_STEP = 6          # add the slices, and the solver's step

cdef struct Job:            # what a team is asked to do
    int phase
    int itemsize            # of the real type, behind all that is void here
    int loss
    Plan *plan
    Chunk chunk
    Py_ssize_t layer
    void *packed
    void *state
    void *work
    Rows x
    const void *y
    void *output            # of the last epoch, or NULL
    bint keep_going         # through losses that are not finite
    const Py_ssize_t *order
    # the step: see train_epoch
    int solver
    Py_ssize_t n_states
    double rate, momentum, beta_2, epsilon, coef_scale, intercept_scale, decay
    double weight           # of the batch: its samples, or the sum of their weights
    # slices of the batch from row `start` on
    Py_ssize_t start, batch, n_chunks, n_rounds, round, end_round, seen, next


cdef void place(Job *job, Py_ssize_t c, Chunk *chunk) noexcept nogil:
    """Chunk c of the batch, at the desk that it has; where its inputs are."""
    cdef Plan *plan = job.plan
    cdef Py_ssize_t row = c * plan.chunk
    chunk.row = job.start + row
    chunk.count = min(plan.chunk, job.batch - row)
    chunk.n_vectors = (chunk.count + plan.lanes - 1) // plan.lanes
    if plan.cached:
        chunk.x = plan.x + row * plan.layers[0].fan_in
        chunk.y = plan.y + row * plan.n_targets
    else:
        chunk.x, chunk.y = chunk.desk + plan.desk_x, chunk.desk + plan.desk_y
    chunk.sparse = as_stored(&job.x, plan, chunk, False)


cdef void gather_part(Job *job, Chunk *chunk, real *work, int part, int parts) noexcept nogil:
    cdef Plan *plan = job.plan
    gather_inputs(&job.x, plan, chunk, work, part, parts)
    if part == 0:
        gather(<const real *> job.y, job.order, chunk.row, chunk.count, plan.n_targets,
               plan.lanes, work + chunk.y, 0, 1)


cdef void scatter_output(Job *job, Chunk *chunk, real *work) noexcept nogil:
    cdef Layer *last = &job.plan.layers[job.plan.n_layers - 1]
    if job.output != NULL:
        scatter(work + chunk.desk + last.a, job.order, chunk.row, chunk.count, last.fan_out,
                job.plan.lanes, <real *> job.output, last.fan_out)


cdef void solver_step(
    Job *job, Py_ssize_t at, Py_ssize_t n, const real *grad, double scale, double decay
) noexcept nogil:
    """n packed parameters from `at` on, of which grad is the gradient summed over the batch."""
    cdef real *param = <real *> job.packed + at
    cdef real *state = <real *> job.state + at if job.n_states else NULL
    if job.solver == ADAM:
        c_adam_update(n, param, grad, state, state + job.plan.packed_size, job.rate, job.momentum,
                      job.beta_2, job.epsilon, scale, decay)
    else:
        c_sgd_update(n, param, grad, state, job.rate, job.momentum, job.solver == NESTEROV, scale,
                     decay)


cdef void step_rows(
    Job *job, Layer *layer, Py_ssize_t first, Py_ssize_t end, const real *grad,
    Py_ssize_t grad_panel
) noexcept nogil:
    """The solver's step on rows first .. end of a layer's coefs."""
    cdef Py_ssize_t width = layer.panel, panel = layer.fan_in * width, p
    if end - first == layer.fan_in and grad_panel == panel:
        solver_step(job, layer.coef, layer.coef_size, grad, job.coef_scale, job.decay)
        return
    for p in range(layer.intercept_size // job.plan.panel):
        solver_step(job, layer.coef + p * panel + first * width, (end - first) * width,
                    grad + p * grad_panel, job.coef_scale, job.decay)


cdef void gradient_part(Job *job, real *work, int part, int parts) noexcept nogil:
    """Rows of every layer's gradient; after the last chunk of the batch, their step."""
    cdef Plan *plan = job.plan
    cdef Chunk *chunk = &job.chunk
    cdef Layer *layer
    cdef real *grads = work + chunk.slice
    cdef real *grad
    cdef Py_ssize_t i, k, first, end, stop, grad_panel
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        first = share(layer.fan_in, rows_unit(plan, layer), part, parts)
        end = share(layer.fan_in, rows_unit(plan, layer), part + 1, parts)
        k = first
        while k < end:
            stop = min(k + layer.block, end)
            if plan.scratch_size:
                grad = work + plan.scratch + part * plan.scratch_size
                grad_panel = (stop - k) * layer.panel
            else:
                grad = grads + layer.coef + k * layer.panel
                grad_panel = layer.fan_in * layer.panel
            gradient_rows(plan, i, work, chunk, k, stop, grad, grad_panel)
            if chunk.last:
                if layer.by_lanes:
                    add_lanes_of(plan, layer, work, k, stop, grad, grad_panel)
                step_rows(job, layer, k, stop, grad, grad_panel)
            k = stop
        if layer.by_lanes:
            first = 0 if end == layer.fan_in and part == parts - 1 else layer.intercept_size
            end = layer.intercept_size
            if chunk.last and first < end:
                add_lanes_of(plan, layer, work, layer.fan_in, layer.fan_in + 1,
                             grads + layer.intercept, plan.panel)
        else:
            first = share(layer.intercept_size, plan.panel, part, parts)
            end = share(layer.intercept_size, plan.panel, part + 1, parts)
            intercept_gradient(plan, layer, work, chunk, first, end)
        if chunk.last and first < end:
            solver_step(job, layer.intercept + first, end - first, grads + layer.intercept + first,
                        job.intercept_scale, 0.0)


cdef void slice_chunks(Job *job, real *work, int part) noexcept nogil:
    """Rounds of slices that no other thread has taken: in each round every slice does a chunk."""
    cdef Plan *plan = job.plan
    cdef Chunk chunk
    cdef double *losses = <double *> (work + plan.partials)
    cdef double loss
    cdef Py_ssize_t s = team_take(&job.next), r, c
    while s * job.n_rounds < job.n_chunks:
        for r in range(job.round, job.end_round):
            c = s * job.n_rounds + r
            if c >= job.n_chunks:
                break
            chunk = at_desk(plan, 0, 0, part)
            place(job, c, &chunk)
            chunk.slice = plan.slice + s * plan.slice_size
            chunk.fresh = r == 0
            if job.seen + (r - job.round) < job.n_rounds:
                gather_part(job, &chunk, work, 0, 1)
            forward_chunk(plan, <const real *> job.packed, work, &chunk, 0)
            scatter_output(job, &chunk, work)
            loss = loss_of(plan, work, &chunk, job.loss)
            losses[s] = loss if r == 0 else losses[s] + loss
            backward_chunk(plan, <const real *> job.packed, work, &chunk)
        s = team_take(&job.next)


cdef void slice_step(Job *job, real *work, int part, int parts) noexcept nogil:
    """Rows of every layer: the gradients of all slices added in order, and the solver's step."""
    cdef Plan *plan = job.plan
    cdef Layer *layer
    cdef real *grads = work + plan.slice
    cdef real *grad
    cdef Py_ssize_t i, s, p, first, end, at, panel, rows
    cdef Py_ssize_t used = (job.n_chunks + job.n_rounds - 1) // job.n_rounds
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        first = share(layer.fan_in, rows_unit(plan, layer), part, parts)
        end = share(layer.fan_in, rows_unit(plan, layer), part + 1, parts)
        grad = grads + layer.coef + first * layer.panel
        panel = layer.fan_in * layer.panel
        if layer.by_lanes:
            rows = end - first + (part == parts - 1)    # the intercepts' row behind the last
            at = plan.packed_size + layer.lanes + first * layer.fan_out * plan.lanes
            for s in range(1, used):
                c_add(rows * layer.fan_out * plan.lanes, grads + s * plan.slice_size + at,
                      grads + at)
            add_lanes_of(plan, layer, work, first, end, grad, panel)
        else:
            for p in range(layer.intercept_size // plan.panel):
                for s in range(1, used):
                    at = layer.coef + p * panel + first * plan.panel
                    c_add((end - first) * plan.panel, grads + s * plan.slice_size + at, grads + at)
        step_rows(job, layer, first, end, grad, panel)
        if part < parts - 1:
            continue
        if layer.by_lanes:
            add_lanes_of(plan, layer, work, layer.fan_in, layer.fan_in + 1,
                         grads + layer.intercept, plan.panel)
        else:
            for s in range(1, used):
                c_add(layer.intercept_size, grads + s * plan.slice_size + layer.intercept,
                      grads + layer.intercept)
        solver_step(job, layer.intercept, layer.intercept_size, grads + layer.intercept,
                    job.intercept_scale, 0.0)


cdef void perform_typed(Job *job, real *work, int part, int parts) noexcept nogil:
    cdef const real *packed = <const real *> job.packed
    if job.phase == GATHER:
        gather_part(job, &job.chunk, work, part, parts)
    elif job.phase == FORWARD:
        forward_layer(job.plan, job.layer, packed, work, &job.chunk, part, parts)
    elif job.phase == DELTA:
        delta_layer(job.plan, job.layer, packed, work, &job.chunk, part, parts)
    elif job.phase == GRADIENT:
        gradient_part(job, work, part, parts)
    elif job.phase == PENALTY:
        penalty_part(job.plan, packed, work, part, parts)
    elif job.phase == SLICE_CHUNKS:
        slice_chunks(job, work, part)
    else:
        slice_step(job, work, part, parts)


cdef void perform(void *context, int part, int parts) noexcept nogil:
    cdef Job *job = <Job *> context
    if job.itemsize == 4:
        perform_typed(job, <float *> job.work, part, parts)
    else:
        perform_typed(job, <double *> job.work, part, parts)


cdef void run_phase(
    Job *job, void *team, int n_threads, int phase, double multiply_adds
) noexcept nogil:
    job.phase = phase
    if n_threads == 1:
        perform(job, 0, 1)
    else:
        team_run(team, perform, job, parts_of(multiply_adds / job.plan.lanes, n_threads))


cdef double train_chunk(Job *job, real *work, void *team, int n_threads) noexcept nogil:
    """job.chunk from gather to gradient and step; its loss. If it ends training: no gradient."""
    cdef Plan *plan = job.plan
    cdef Chunk *chunk = &job.chunk
    cdef Layer *layer
    cdef Py_ssize_t i
    cdef double loss, n = chunk.n_vectors * plan.lanes, total = 0
    if job.seen < job.n_rounds:
        # a feature gathered costs about as much as 8 multiply-adds
        run_phase(job, team, n_threads, GATHER, 8 * n * plan.layers[0].fan_in)
    for i in range(plan.n_layers):
        layer = &plan.layers[i]
        job.layer = i
        run_phase(job, team, n_threads, FORWARD, n * layer.fan_in * layer.fan_out)
        total += n * layer.fan_in * layer.fan_out
    output_of(plan, work, chunk)
    scatter_output(job, chunk, work)
    loss = loss_of(plan, work, chunk, job.loss)
    if not (isfinite(loss) or job.keep_going):
        return loss
    for i in range(plan.n_layers - 1, 0, -1):
        layer = &plan.layers[i]
        job.layer = i
        run_phase(job, team, n_threads, DELTA, n * layer.fan_in * layer.fan_out)
    run_phase(job, team, n_threads, GRADIENT, total)
    return loss


cdef void step_of(
    Job *job, double learning_rate, double alpha, bint sum_coef_grads, Py_ssize_t t
) noexcept nogil:
    """The numbers of the t-th step; momentum is Adam's beta_1."""
    job.rate = learning_rate
    if job.solver == ADAM:
        job.rate *= sqrt(1 - pow(job.beta_2, t)) / (1 - pow(job.momentum, t))
    job.intercept_scale = 1.0 / job.weight
    job.coef_scale = 1.0 if sum_coef_grads else job.intercept_scale
    job.decay = alpha / job.weight


def typed_views(
    real[::1] params,
    real[:, ::1] packed_rows,
    const Py_ssize_t[::1] layer_units,
    const int[::1] activations,
    const real[:, ::1] x,
    const real[:, ::1] y,
    const Py_ssize_t[::1] order,
    unsigned char[::1] workspace,
    Py_ssize_t[::1] cursor,
    double[::1] loss_curve,
):
    """Arrays of train_epoch's as what it makes of them, which a call takes a microsecond sooner.

    They are not read or written here. bench/callbacks.py says from how many calls on it pays.
    """
    return (
        params, packed_rows, layer_units, activations, x, y, order, workspace, cursor, loss_curve)


def train_epoch(
    real[::1] params,                   # IN/OUT plain parameters; written at the end
    real[:, ::1] packed_rows,           # IN/OUT (1, 2 or 3, packed_size): the same packed, zero in
                                        #        the padding; then, like it, velocities, or m and v
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
    bint keep_going,                    # whatever is not finite, as scikit-learn does
    const real[:, ::1] x,               # IN  (n, layer_units[0]), or sparse rows: see forward
    columns,
    row_starts,
    const real[:, ::1] y,               # IN  (n, layer_units[-1]), or with a column of weights
    const Py_ssize_t[::1] order,        # IN  (n,) the epoch's shuffle, or empty or None
    Py_ssize_t batch_size,
    double budget,                      # return after about this many multiply-adds
    unsigned char[::1] workspace,       # workspace_size(.., batch_size, .., n_threads, weighted)
    unsigned char[::1] team,            # an open team; empty or None: one thread
    int n_threads,                      # of the team
    Py_ssize_t[::1] cursor,             # IN/OUT (6,): epoch, row, step, status, first, stop
    double[::1] loss_curve,             # OUT (stop,) mean loss of each epoch, before its steps
    real[:, ::1] output,                # OUT (n, units) outputs in the last epoch; empty or None
):
    """Epochs of mini-batch descent: forward, loss, deltas, gradients, solver's step.

    Epochs are counted from cursor[0], which is kept in cursor[4], to cursor[5]. cursor[3] is 0 at
    the first call. Call again while it is 1. 2: finished; with cursor[3] 0 and a higher cursor[5]
    training goes on, from what params then are. 3: epoch cursor[0] left the finite numbers: params
    are those it began with, packed_rows are of no use. With keep_going nobody looks, and training
    ends when its epochs do.

    Where y has one column more than there are outputs, that is the weight of each row, which
    multiplies its loss and its gradient; a batch then has the sum of its weights where else it has
    its number of rows, and an epoch's loss is the mean of its batches' losses, each counted as
    often as it has rows. 4: the weights of a batch of epoch cursor[0] add up to 0, and params are
    those before its step.
    """
    cdef Plan plan
    cdef Job job
    cdef real *packed = &packed_rows[0, 0]
    cdef real *work
    cdef double *losses
    cdef void *helpers = NULL
    cdef Py_ssize_t n_rows = y.shape[0], n_params = 0, i, done
    cdef Py_ssize_t row = cursor[CURSOR_ROW], epoch = cursor[CURSOR_EPOCH], size
    cdef Py_ssize_t n_epochs = cursor[CURSOR_STOP]
    cdef double work_done = 0, per_row = 0, per_round, loss_sum, loss_scale
    cdef bint diverged = False, weightless = False, full_batch = batch_size >= n_rows
    cdef bint weighted = y.shape[1] > layer_units[layer_units.shape[0] - 1]
    cdef bint keep_output = output is not None and output.shape[0]
    if team is not None and team.shape[0]:
        helpers = &team[0]
    else:
        n_threads = 1
    memset(&job, 0, sizeof(job))
    job.plan = &plan
    job.itemsize = sizeof(real)
    job.loss, job.solver, job.n_states = loss, solver, packed_rows.shape[0] - 1
    job.momentum, job.beta_2, job.epsilon = momentum, beta_2, epsilon
    job.keep_going = keep_going
    job.packed, job.y = packed, &y[0, 0]
    job.x = rows_of(x, columns, row_starts)
    if order is not None and order.shape[0]:
        job.order = job.x.order = &order[0]
    if job.n_states:
        job.state = &packed_rows[1, 0]
    with nogil:
        work = open_workspace(&plan, &layer_units[0], &activations[0],
                              layer_units.shape[0] - 1, batch_size, job.n_states, n_threads,
                              weighted, &workspace[0], packed)
        job.work = work
        losses = <double *> (work + plan.partials)
        size = plan.packed_size
        if cursor[CURSOR_STATUS] == START:
            pack_params(&params[0], &plan, packed)
            cursor[CURSOR_STATUS], cursor[CURSOR_FIRST] = RUNNING, epoch
        for i in range(plan.n_layers):
            per_row += 3.0 * layer_units[i] * layer_units[i + 1] + 20.0 * layer_units[i + 1]
            n_params += (layer_units[i] + 1) * layer_units[i + 1]
        while epoch < n_epochs and work_done < budget:
            if row == 0:
                # where the first epoch began, params still is
                if epoch > cursor[CURSOR_FIRST] and not keep_going:
                    memcpy(work + plan.backup, packed, size * sizeof(real))
                loss_curve[epoch] = 0
            if keep_output and epoch == n_epochs - 1:
                job.output = &output[0, 0]
            while row < n_rows and work_done < budget:
                job.start = row // batch_size * batch_size
                job.batch = min(batch_size, n_rows - job.start)
                job.n_chunks = (job.batch + plan.chunk - 1) // plan.chunk
                job.n_rounds = (job.n_chunks + plan.slices - 1) // plan.slices
                job.round = row - job.start
                if not weighted:
                    job.weight = job.batch
                elif job.weight == 0 or job.round == 0 and not full_batch:
                    job.weight = weight_of(&y[0, 0], job.order, job.start, job.batch,
                                           plan.n_targets)
                    weightless = job.weight == 0
                    if weightless:
                        break
                # weighted losses are divided by the weight; what a batch of n rows adds is n times
                loss_scale = job.batch / job.weight
                step_of(&job, learning_rate, alpha, sum_coef_grads, cursor[CURSOR_STEP] + 1)
                if job.round == 0 and alpha != 0:
                    run_phase(&job, helpers, n_threads, PENALTY, n_params)
                if plan.slices == 1:
                    done = 1
                    job.chunk = at_desk(&plan, 0, 0, 0)
                    place(&job, job.round, &job.chunk)
                    job.chunk.fresh = job.round == 0
                    job.chunk.last = job.round == job.n_rounds - 1
                    loss_sum = train_chunk(&job, work, helpers, n_threads)
                    loss_curve[epoch] += loss_sum * loss_scale
                    work_done += job.chunk.count * per_row
                else:
                    per_round = per_row * plan.chunk * plan.slices
                    done = <Py_ssize_t> min((budget - work_done) / per_round,
                                            <double> (job.n_rounds - job.round))
                    done = max(done, 1)
                    job.end_round = job.round + done
                    job.next = 0
                    run_phase(&job, helpers, min(n_threads, <int> SLICES), SLICE_CHUNKS,
                              done * per_round)
                    work_done += done * per_round
                    loss_sum = 0
                    for i in range((job.n_chunks + job.n_rounds - 1) // job.n_rounds):
                        loss_sum += losses[i]
                if not (isfinite(loss_sum) or keep_going):
                    diverged = True
                    break
                row += done
                if full_batch and (plan.cached or job.n_chunks == 1):
                    job.seen += done    # the same rows come again in every epoch
                if job.round + done == job.n_rounds:
                    row = job.start + job.batch
                    cursor[CURSOR_STEP] += 1
                    if alpha != 0:
                        loss_curve[epoch] += penalty(&plan, work, alpha) * loss_scale
                    if plan.slices > 1:
                        loss_curve[epoch] += loss_sum * loss_scale
                        run_phase(&job, helpers, n_threads, SLICE_STEP,
                                  4.0 * plan.slices * plan.slice_size)
                    work_done += 4.0 * n_params
            if row == n_rows and not diverged:
                loss_curve[epoch] /= n_rows
                if not keep_going:
                    diverged = not (isfinite(loss_curve[epoch])
                                    and c_all_finite(packed, size))
            if diverged:
                row = 0
                cursor[CURSOR_STATUS] = DIVERGED
                break
            if weightless:
                row = 0
                cursor[CURSOR_STATUS] = WEIGHTLESS
                break
            if row == n_rows:
                row = 0
                epoch += 1
        if epoch >= n_epochs:
            cursor[CURSOR_STATUS] = FINISHED
        if cursor[CURSOR_STATUS] == FINISHED or weightless:
            unpack_params(packed, &plan, &params[0])
        elif cursor[CURSOR_STATUS] == DIVERGED and epoch > cursor[CURSOR_FIRST]:
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
    cdef Chunk chunk
    cdef real *work
    cdef Py_ssize_t row = 0, n_rows = x.shape[0]
    with nogil:
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, 1, False, &workspace[0],
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
    cdef Chunk chunk
    cdef real *work
    cdef real *deltas
    cdef Py_ssize_t row = 0, n_rows = a.shape[0]
    with nogil:
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, 1, False, &workspace[0],
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
        work = open_workspace(&plan, units, codes, 1, n_rows, -1, 1, False, &workspace[0],
                              &z[0, 0])
        tile = work + plan.desk + plan.desk_x
        while row < n_rows:
            width = plan.lanes
            count = min(width, n_rows - row)
            gather(&z[0, 0], NULL, row, count, n, width, tile, 0, 1)
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


cdef struct BitGenerator:               # the beginning of numpy/random/bitgen.h's
    void *state
    void *next_uint64
    uint32_t (*next_uint32)(void *state) noexcept nogil


def shuffle(bit_generator, Py_ssize_t[::1] order):
    """RandomState(bit_generator).shuffle(order), fewer than 2^32 numbers, in half the time.

    Fisher and Yates, each j drawn among 0 .. i by masking bits until one is small enough. Here a
    draw that is too large swaps i with itself and does not count: no branch to mispredict.
    """
    cdef BitGenerator *generator = <BitGenerator *> PyCapsule_GetPointer(
        bit_generator.capsule, "BitGenerator")
    cdef Py_ssize_t i = order.shape[0] - 1, j, mask = 1, taken
    with nogil:
        while mask < i:
            mask = 2 * mask + 1
        while i > 0:
            j = generator.next_uint32(generator.state) & mask
            taken = j <= i
            j = j if taken else i
            order[i], order[j] = order[j], order[i]
            i -= taken
            mask >>= i <= mask >> 1


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
        "threads": bool(FASTNN_HAS_THREADS),
    }
