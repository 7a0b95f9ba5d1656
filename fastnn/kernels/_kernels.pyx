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
# Errors. None: Python has checked everything. Debug builds (FASTNN_DEBUG) stop at unknown codes.

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

ctypedef fused real:
    float
    double

# The functions of simd.h. `void *` stands for `real *`: each is a C macro that takes the version
# for the type it is given, and the C compiler checks that type.
cdef extern from "simd.h" nogil:
    const char *FASTNN_TARGET
    const char *FASTNN_COMPILER
    enum: IDENTITY, SOFTMAX
    enum: START, RUNNING, FINISHED, DIVERGED, WEIGHTLESS
    ctypedef struct fastnn_enumerator:
        const char *name
        int code
    const fastnn_enumerator *fastnn_activations
    const fastnn_enumerator *fastnn_losses
    const fastnn_enumerator *fastnn_solvers
    const fastnn_enumerator *fastnn_status
    ctypedef struct solver_numbers:
        int solver
        double rate, momentum, beta_1, beta_2, epsilon
    double solver_rate(int solver, double rate, double beta_1, double beta_2, double t)
    bint stores_slope(int activation)
    bint uses_logits(int loss)
    void FASTNN_UNREACHABLE(const char *what)
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
        void *out, void *kept, int activation)
    void c_sparse_forward(
        Py_ssize_t n_samples, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t first,
        Py_ssize_t end, const void *coef, const void *intercept, const void *values,
        const int *columns, const Py_ssize_t *starts, const Py_ssize_t *order, Py_ssize_t row,
        void *out, void *kept, int activation)
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
        Py_ssize_t end, Py_ssize_t panel, const void *coef, const void *delta, const void *kept,
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
        Py_ssize_t n_samples, Py_ssize_t n_outputs, void *a, void *y, void *delta, int loss,
        int activation)
    double c_weighted_loss_delta(
        Py_ssize_t n_samples, Py_ssize_t n_outputs, void *a, void *y, void *delta, int loss,
        int activation)
    void c_solver_update(
        Py_ssize_t n, void *param, const void *grad, void *states, Py_ssize_t stride,
        const solver_numbers *numbers, double scale, double decay)
    void c_softmax_tile(void *z, Py_ssize_t n, Py_ssize_t width)
    int c_all_finite(const void *x, Py_ssize_t n)
    double c_sum_squares(const void *x, Py_ssize_t n)
    double c_peak_loop(Py_ssize_t turns, void *sink)
    void c_activate_array(const void *x, void *out, Py_ssize_t n, int activation)
    void c_derivative_array(const void *x, void *out, Py_ssize_t n, int activation)

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


include "records.pxi"
include "layout.pxi"
include "rows.pxi"
include "forward.pxi"
include "backward.pxi"
include "training.pxi"


# ---- threads ------------------------------------------------------------------------------------

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


# ---- odds and ends ------------------------------------------------------------------------------

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
