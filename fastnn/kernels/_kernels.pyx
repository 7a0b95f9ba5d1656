# All hot loops of fastnn. The other builds' shims include this file.
#
# Design
# ------
# Files. records.pxi: records and enumerations; layout.pxi: where everything is in memory;
#   rows.pxi: rows to tiles and back; forward.pxi, backward.pxi: one chunk through the net, and the
#   functions on whole nets; epochs.pxi: between epochs; training.pxi: epochs; calls.pxi: the short
#   way from Python; curved.pxi, second_order.pxi, dual.pxi, lbfgs.pxi: searches over all rows, in
#   float64. The vector code is C, in simd/.
# Memory. Python provides every byte that a call uses: packed parameters (each layer's panels of
#   outputs, then its intercepts; see simd/real.h), the solver's state in the same layout, and a
#   workspace. The workspace begins with a table of layers; offsets after it count numbers and are
#   multiples of 128 bytes. A "desk" holds the activations and deltas of one chunk of samples, a
#   "slice" the gradients of a part of the batch.
# Rows. x is dense, or sparse in scipy's CSR format. The first layer multiplies a chunk of very
#   sparse rows as they are stored; other sparse rows become dense when they are gathered into
#   tiles. The bits are those of dense rows either way. Two products use plain parameters, because
#   packing would take longer than it saves: predictions of few rows, and of very sparse rows by
#   the first layer. If y has one column more than there are outputs, that is the weight of each
#   row; a tile of y has a row for it.
# Slopes. A derivative that is no function of the activation's value is stored by the forward pass
#   in the layer's delta slot, unused until then; back-propagation multiplies it in place. Losses
#   that are computed from the logits find them in the delta slot of the last layer.
# Order of work. A batch is cut into chunks whose activations stay in the first-level cache (or,
#   for wide nets, whose coefs are read seldom). Each chunk goes forward, through the loss and back
#   before the next; gradients are summed over chunks; the solver steps once a batch. If the batch
#   is one chunk, the solver follows the gradient block by block of rows, so that wide gradients
#   are never written to memory. Narrow layers sum their gradients lane by lane over the batch,
#   wide ones by panels of outputs. Deltas of wide layers are summed block by block of outputs,
#   in their order; the size of blocks changes no bit.
# Threads (threads.h). In a batch of few chunks, every phase of a chunk (gather, each layer's
#   forward pass, each delta, all gradients with the solver's step) is split by features, outputs
#   or rows of coefs, so that no two threads add to the same sum. A batch of many chunks is cut
#   into 16 slices, whatever the number of threads; each is summed on its own and they are added in
#   order. So the number of threads decides who computes, not what: the bits are those of one
#   thread. The caller alone does phases that are too short to share.
# Signals. train_epoch does about `budget` multiply-adds and returns; the cursor says where to go
#   on. Signals are looked at between two calls, by Python or by Epochs (calls.pxi).
# Numerics. Sums over features have one order for every sample; sums over samples follow chunks and
#   slices. If the loss of a batch or, after an epoch, a parameter is not finite, the parameters go
#   back to where the epoch began, unless keep_going asks for scikit-learn's way. Floating-point
#   modes are never touched. Padding lanes of packed arrays are always 0, absent samples of the
#   last tile have zero deltas, so neither changes a sum.
# Errors. None: Python has checked everything. Debug builds (FASTNN_DEBUG) stop at unknown codes.

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.math cimport INFINITY, isfinite, ldexp, log, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

cnp.import_array()

ctypedef fused real:
    float
    double

# Functions of simd.h. `void *` stands for `real *`: each is a macro that selects the function for
# the type of its argument, which the C compiler checks.
cdef extern from "simd.h" nogil:
    const char *FASTNN_TARGET
    const char *FASTNN_COMPILER
    enum: IDENTITY, SOFTMAX, STORED_SLOPE
    enum: RPROP
    enum: START, RUNNING, FINISHED, DIVERGED, WEIGHTLESS
    ctypedef struct fastnn_enumerator:
        const char *name
        int code
    const fastnn_enumerator *fastnn_activations
    const fastnn_enumerator *fastnn_losses
    const fastnn_enumerator *fastnn_solvers
    const fastnn_enumerator *fastnn_status
    ctypedef struct solver_numbers:
        int solver, n_states, first, take_back
        double rate, grad_rate, shrink, average, momentum, beta_1, beta_2, epsilon
    int solver_states(int solver)
    void set_rates(solver_numbers *numbers, double rate, double t)
    ctypedef struct noise_key:
        uint32_t first, second
    noise_key noise_key_of_layer(int64_t seed, int64_t step, int64_t layer)
    bint stores_slope(int activation)
    bint uses_logits(int loss)
    bint has_terms(int loss)
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
    bint has_curvature(int loss)
    ctypedef struct feature_product:
        int32_t a_start, a_units, a, b_start, b_units, b
    void curvature_root_f64(
        Py_ssize_t n_samples, Py_ssize_t n_outputs, Py_ssize_t k, const double *a,
        const double *y, const double *kept, double *root, double *residual, int loss,
        int activation, const double *numbers, int weighted)
    void product_panels_f64(
        Py_ssize_t n_vectors, Py_ssize_t n, Py_ssize_t rows, Py_ssize_t terms, Py_ssize_t stride,
        const feature_product *products, const double *a_data, const double *b_data,
        double *panels)
    void product_rows_f64(
        Py_ssize_t n_vectors, Py_ssize_t n, Py_ssize_t terms, Py_ssize_t stride,
        const feature_product *products, const double *data, double *out)
    void cross_f64(
        Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t end, Py_ssize_t depth, const double *rows,
        const double *columns, double *c, Py_ssize_t step)
    void gram_f64(
        Py_ssize_t first, Py_ssize_t end, Py_ssize_t top, Py_ssize_t depth, Py_ssize_t panel,
        const double *x, double *c, Py_ssize_t step, int subtract)
    ctypedef struct layer_panels:
        Py_ssize_t fan_in, fan_out
        double *a
        double *delta
    void to_panels_f64(Py_ssize_t n_vectors, Py_ssize_t units, const double *x, double *out)
    void feature_dots_f64(
        Py_ssize_t n_vectors, Py_ssize_t units, const double *x, const double *y, double *sums)
    void add_weighted_f64(
        Py_ssize_t n_vectors, Py_ssize_t units, const double *x, const double *weights,
        double *out)
    void dual_products_f64(
        Py_ssize_t first, Py_ssize_t end, Py_ssize_t n_vectors, Py_ssize_t n_layers,
        const layer_panels *layers, double *coefs, double *intercepts, Py_ssize_t step)
    bint factor_block_f64(
        Py_ssize_t top, Py_ssize_t bottom, Py_ssize_t order, Py_ssize_t panel, double *x,
        double *c, Py_ssize_t step, double *inverse)
    void factor_rows_f64(
        Py_ssize_t top, Py_ssize_t bottom, Py_ssize_t first, Py_ssize_t end, Py_ssize_t panel,
        double *x, double *c, Py_ssize_t step, const double *inverse)
    void back_substitute_f64(
        Py_ssize_t first, Py_ssize_t end, Py_ssize_t order, const double *c, Py_ssize_t step,
        const double *inverse, double *x)
    double dot_f64(Py_ssize_t n, const double *a, const double *b)
    void add_multiple_f64(Py_ssize_t n, double factor, const double *a, double *sum)
    bint all_finite_f64(const double *x, Py_ssize_t n)
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
    double c_term_loss_delta(
        Py_ssize_t n_samples, Py_ssize_t n_outputs, void *a, void *y, void *delta, int loss,
        int activation, const double *numbers, int weighted)
    void c_solver_update(
        Py_ssize_t n, void *param, const void *grad, void *states, Py_ssize_t stride,
        const solver_numbers *numbers, double scale, double decay)
    double c_gradient_squares(
        Py_ssize_t n, const void *param, const void *grad, double scale, double decay)
    void c_dropout(
        Py_ssize_t n_vectors, Py_ssize_t fan_out, Py_ssize_t first, Py_ssize_t end, Py_ssize_t row,
        void *a, void *slope, noise_key layer, double rate, int activation)
    void c_add_noise(
        Py_ssize_t n_vectors, Py_ssize_t n_features, Py_ssize_t first, Py_ssize_t end,
        Py_ssize_t row, void *x, noise_key inputs, double size)
    enum: NET_TILE
    void c_nets_gather(
        Py_ssize_t n, Py_ssize_t count, Py_ssize_t present, const void *table,
        const int32_t *order, void *out)
    void c_nets_forward(
        Py_ssize_t count, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef, const void *x,
        void *out, void *kept, int activation)
    void c_nets_delta(
        Py_ssize_t count, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *coef,
        const void *delta, const void *kept, void *sums, void *delta_in, int activation)
    void c_nets_gradient(
        Py_ssize_t count, Py_ssize_t fan_in, Py_ssize_t fan_out, const void *x,
        const void *delta, void *grad, int fresh)
    void c_nets_losses(
        Py_ssize_t count, Py_ssize_t n_outputs, const void *a, const void *y,
        const void *weights, void *delta, int loss, int activation, const double *numbers,
        double *totals)
    void c_nets_numbers(const solver_numbers *numbers, void *out)
    void c_nets_update(
        Py_ssize_t n, void *param, const void *grad, void *states, Py_ssize_t stride, int solver,
        const void *numbers, const void *scale, const void *decay, const void *rest)
    void c_nets_squares(Py_ssize_t n, const void *x, double *totals)
    void c_nets_finite(Py_ssize_t n, const void *x, void *sums)
    void c_nets_copy(Py_ssize_t n, const void *marks, const void *x, void *out)
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
include "epochs.pxi"
include "training.pxi"
include "lengths.pxi"
include "calls.pxi"
include "curved.pxi"
include "second_order.pxi"
include "dual.pxi"
include "lbfgs.pxi"
include "nets.pxi"


# ---- threads ------------------------------------------------------------------------------------

def team_size(int n_threads):
    """Bytes of memory for a team of n_threads."""
    return team_bytes(n_threads)


# No typed arguments, which allocate: helpers must be sent home where no memory is left.

cdef void *team_of(object team, int n_threads) except NULL:
    """The memory of a team of at least n_threads."""
    cdef void *memory = data_of(team, cnp.NPY_UINT8, 1, True)
    enough(n_threads, 1, "team")
    enough(cnp.PyArray_SIZE(team), team_bytes(n_threads), "team")
    return memory


def open_team(team, int n_threads):
    """Make a team in memory that starts at a multiple of 128 bytes."""
    team_open(team_of(team, n_threads), n_threads)


def serve_team(team, int index):
    """Be helper `index`, 1 .. n_threads - 1, until the team is closed."""
    cdef void *memory = team_of(team, index + 1 if index > 0 else 0)
    with nogil:
        team_serve(memory, index)


def close_team(team):
    """Dismiss the helpers; they leave soon after."""
    team_close(team_of(team, 1))


def free_team(team):
    """Release the team once all helpers have left; its memory is plain memory again."""
    team_free(team_of(team, 1))


# ---- odds and ends ------------------------------------------------------------------------------

def all_finite(const real[::1] x):
    """Whether x holds neither NaN nor infinity."""
    if x.shape[0] == 0:
        return True
    return bool(c_all_finite(&x[0], x.shape[0]))


def peak_multiply_adds(Py_ssize_t turns, real[::1] sink):
    """Do 12 independent chains of `turns` multiply-adds; return their number."""
    cdef double n
    with nogil:
        n = c_peak_loop(turns, &sink[0])
    return n


def build_info():
    """Target, compiler and vector lengths of this build."""
    return {
        "target": FASTNN_TARGET.decode("ascii"),
        "compiler": FASTNN_COMPILER.decode("ascii"),
        "lanes_f32": LANES_F32,
        "lanes_f64": LANES_F64,
        "threads": bool(FASTNN_HAS_THREADS),
    }
