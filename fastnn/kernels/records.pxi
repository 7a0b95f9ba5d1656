# The records and enumerations that Python and kernels share.
#
# Fields, types and codes are those of fastnn/catalog. Functions take records as bytes and
# cast them: to check a structured buffer takes microseconds a call.

cdef struct Step:
    double learning_rate, alpha, momentum, beta_1, beta_2, epsilon, budget
    double weight_decay, clip_norm, ema, input_noise
    int64_t batch_size, seed
    int32_t loss, solver, sum_coef_grads, keep_going, n_threads
    int32_t decay_intercepts, take_back, reserved, n_loss_numbers, n_dropout

cdef struct Cursor:
    int64_t epoch, row, step, status, first, stop, schedule
    double last_loss

cdef struct Stopping:
    double tol, best_loss, n_iter_no_change
    int64_t no_improvement_count, finite


cdef inline const double *loss_numbers_of(const Step *step) noexcept nogil:
    """One for each output, or NULL."""
    return <const double *> (step + 1) if step.n_loss_numbers else NULL


cdef inline const double *dropout_of(const Step *step) noexcept nogil:
    """The share of units that is dropped, one for each layer, or NULL."""
    if step.n_dropout == 0:
        return NULL
    return <const double *> (step + 1) + step.n_loss_numbers


cdef dict codes_of(const fastnn_enumerator *rows):
    codes = {}
    while rows.name != NULL:
        codes[rows.name.decode("ascii")] = rows.code
        rows += 1
    return codes


def enumerations():
    """{"activations": {name: code}, and likewise "losses", "solvers" and "status"}."""
    return {
        "activations": codes_of(fastnn_activations),
        "losses": codes_of(fastnn_losses),
        "solvers": codes_of(fastnn_solvers),
        "status": codes_of(fastnn_status),
    }


def record_layouts():
    """{"step": [(field, offset, itemsize), ...], "cursor": [...], "stopping": [...]} in bytes."""
    cdef Step step
    cdef Cursor cursor
    cdef Stopping rule
    return {
        "step": [
            ("learning_rate", <char *> &step.learning_rate - <char *> &step, sizeof(double)),
            ("alpha", <char *> &step.alpha - <char *> &step, sizeof(double)),
            ("momentum", <char *> &step.momentum - <char *> &step, sizeof(double)),
            ("beta_1", <char *> &step.beta_1 - <char *> &step, sizeof(double)),
            ("beta_2", <char *> &step.beta_2 - <char *> &step, sizeof(double)),
            ("epsilon", <char *> &step.epsilon - <char *> &step, sizeof(double)),
            ("budget", <char *> &step.budget - <char *> &step, sizeof(double)),
            ("weight_decay", <char *> &step.weight_decay - <char *> &step, sizeof(double)),
            ("clip_norm", <char *> &step.clip_norm - <char *> &step, sizeof(double)),
            ("ema", <char *> &step.ema - <char *> &step, sizeof(double)),
            ("input_noise", <char *> &step.input_noise - <char *> &step, sizeof(double)),
            ("batch_size", <char *> &step.batch_size - <char *> &step, sizeof(int64_t)),
            ("seed", <char *> &step.seed - <char *> &step, sizeof(int64_t)),
            ("loss", <char *> &step.loss - <char *> &step, sizeof(int32_t)),
            ("solver", <char *> &step.solver - <char *> &step, sizeof(int32_t)),
            ("sum_coef_grads", <char *> &step.sum_coef_grads - <char *> &step, sizeof(int32_t)),
            ("keep_going", <char *> &step.keep_going - <char *> &step, sizeof(int32_t)),
            ("n_threads", <char *> &step.n_threads - <char *> &step, sizeof(int32_t)),
            ("decay_intercepts", <char *> &step.decay_intercepts - <char *> &step,
             sizeof(int32_t)),
            ("take_back", <char *> &step.take_back - <char *> &step, sizeof(int32_t)),
            ("reserved", <char *> &step.reserved - <char *> &step, sizeof(int32_t)),
            ("n_loss_numbers", <char *> &step.n_loss_numbers - <char *> &step, sizeof(int32_t)),
            ("n_dropout", <char *> &step.n_dropout - <char *> &step, sizeof(int32_t)),
        ],
        "cursor": [
            ("epoch", <char *> &cursor.epoch - <char *> &cursor, sizeof(int64_t)),
            ("row", <char *> &cursor.row - <char *> &cursor, sizeof(int64_t)),
            ("step", <char *> &cursor.step - <char *> &cursor, sizeof(int64_t)),
            ("status", <char *> &cursor.status - <char *> &cursor, sizeof(int64_t)),
            ("first", <char *> &cursor.first - <char *> &cursor, sizeof(int64_t)),
            ("stop", <char *> &cursor.stop - <char *> &cursor, sizeof(int64_t)),
            ("schedule", <char *> &cursor.schedule - <char *> &cursor, sizeof(int64_t)),
            ("last_loss", <char *> &cursor.last_loss - <char *> &cursor, sizeof(double)),
        ],
        "stopping": [
            ("tol", <char *> &rule.tol - <char *> &rule, sizeof(double)),
            ("best_loss", <char *> &rule.best_loss - <char *> &rule, sizeof(double)),
            ("n_iter_no_change", <char *> &rule.n_iter_no_change - <char *> &rule, sizeof(double)),
            ("no_improvement_count", <char *> &rule.no_improvement_count - <char *> &rule,
             sizeof(int64_t)),
            ("finite", <char *> &rule.finite - <char *> &rule, sizeof(int64_t)),
        ],
    }
