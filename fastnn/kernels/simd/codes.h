/* The enumerations that kernels share with Python: a row each. The catalog (fastnn/catalog) has
 * the same names and codes; a test compares them. Switches over activations and solvers are
 * generated from these rows, so none of them can miss a case. */

/* Activations: enumerator, code, name. name_group and name_derivative are in activations.h. */

/* name_group(count, z), and name_derivative(a), a function of the value a */
#define FASTNN_FROM_VALUE(ROW)                                                                    \
    ROW(IDENTITY, 0, identity)                                                                    \
    ROW(SIGMOID, 1, sigmoid)                                                                      \
    ROW(TANH, 2, tanh)                                                                            \
    ROW(RELU, 3, relu)                                                                            \
    ROW(EXP, 5, exp)                                                                              \
    ROW(ELU, 7, elu)                                                                              \
    ROW(LEAKY_RELU, 8, leaky_relu)                                                                \
    ROW(SELU, 9, selu)

/* name_group(count, z, slope): the derivative is no function of the value, or costs more from there,
 * so the forward pass of training stores it, the slope */
#define FASTNN_SLOPES(ROW)                                                                        \
    ROW(SILU, 6, silu)                                                                            \
    ROW(GELU, 10, gelu)                                                                           \
    ROW(GELU_TANH, 11, gelu_tanh)                                                                 \
    ROW(MISH, 12, mish)                                                                           \
    ROW(SOFTPLUS, 13, softplus)

/* For layers whose stored slope stands in for the activation's: dropout's. */
#define STORED_SLOPE SILU

/* softmax is the one that is not elementwise */
#define FASTNN_ACTIVATIONS(ROW)                                                                   \
    FASTNN_FROM_VALUE(ROW)                                                                        \
    FASTNN_SLOPES(ROW)                                                                            \
    ROW(SOFTMAX, 4, softmax)

/* Losses: enumerator, code, name, whether they are computed from the logits (the outputs' z). The
 * functions are in losses.h. */

/* name_losses, of all outputs of a sample; the derivative is a - y */
#define FASTNN_WHOLE_LOSSES(ROW)                                                                  \
    ROW(SQUARED_ERROR, 0, squared_error, 0)                                                       \
    ROW(BINARY_LOG_LOSS, 1, binary_log_loss, 1)                                                   \
    ROW(LOG_LOSS, 2, log_loss, 1)                                                                 \
    ROW(POISSON, 3, poisson, 1)                                                                   \
    ROW(MEAN_SQUARED_ERROR, 4, mean_squared_error, 0)                                             \
    ROW(CLIPPED_BINARY_LOG_LOSS, 5, clipped_binary_log_loss, 0)                                   \
    ROW(CLIPPED_LOG_LOSS, 6, clipped_log_loss, 0)                                                 \
    ROW(POISSON_OF_VALUES, 7, poisson_of_values, 0)

/* name_term, of one output, with its own derivative: by z for losses of the logits, else by a */
#define FASTNN_TERM_LOSSES(ROW)                                                                   \
    ROW(ABSOLUTE_ERROR, 8, absolute_error, 0)                                                     \
    ROW(HUBER, 9, huber, 0)                                                                       \
    ROW(QUANTILE, 10, quantile, 0)                                                                \
    ROW(LOG_COSH, 11, log_cosh, 0)                                                                \
    ROW(GAMMA, 12, gamma, 1)                                                                      \
    ROW(GIVEN, 13, given, 0)

#define FASTNN_LOSSES(ROW)                                                                        \
    FASTNN_WHOLE_LOSSES(ROW)                                                                      \
    FASTNN_TERM_LOSSES(ROW)

/* Solvers: enumerator, code, name, vectors of state; in solvers.h are name_update, */
#define FASTNN_SOLVERS(ROW)                                                                       \
    FASTNN_STEP_SOLVERS(ROW)                                                                      \
    ROW(RPROP, 7, rprop, 2)

/* and name_step of these. */
#define FASTNN_STEP_SOLVERS(ROW)                                                                  \
    ROW(SGD, 0, sgd, 0)                                                                           \
    ROW(NESTEROV, 1, nesterov, 1)                                                                 \
    ROW(ADAM, 2, adam, 2)                                                                         \
    ROW(MOMENTUM, 3, momentum, 1)                                                                 \
    ROW(ADAMW, 4, adamw, 2)                                                                       \
    ROW(NADAM, 5, nadam, 2)                                                                       \
    ROW(RMSPROP, 6, rmsprop, 1)

/* Vectors of state at most, with the average of the parameters. */
enum { MOST_STATES = 3 };

/* What train_epoch leaves in a cursor's status. */
#define FASTNN_STATUS(ROW)                                                                        \
    ROW(START, 0, start)           /* set by the caller: pack the parameters first */             \
    ROW(RUNNING, 1, running)       /* the budget ran out: call again */                           \
    ROW(FINISHED, 2, finished)                                                                    \
    ROW(DIVERGED, 3, diverged)     /* the loss or a parameter left the finite numbers */          \
    ROW(WEIGHTLESS, 4, weightless) /* the weights of a batch add up to 0 */

#define ENUMERATOR(CODE, code, ...) CODE = code,
enum { FASTNN_ACTIVATIONS(ENUMERATOR) };
enum { FASTNN_LOSSES(ENUMERATOR) };
enum { FASTNN_SOLVERS(ENUMERATOR) };
enum { FASTNN_STATUS(ENUMERATOR) };
#undef ENUMERATOR

/* Names and codes of each enumeration, for Python; a row without a name ends it. */
typedef struct {
    const char *name;
    int code;
} fastnn_enumerator;
#define ENTRY(CODE, code, name, ...) {#name, code},
static const fastnn_enumerator fastnn_activations[] = {FASTNN_ACTIVATIONS(ENTRY) {0, 0}};
static const fastnn_enumerator fastnn_losses[] = {FASTNN_LOSSES(ENTRY) {0, 0}};
static const fastnn_enumerator fastnn_solvers[] = {FASTNN_SOLVERS(ENTRY) {0, 0}};
static const fastnn_enumerator fastnn_status[] = {FASTNN_STATUS(ENTRY) {0, 0}};
#undef ENTRY

/* Whether the forward pass of training stores an activation's derivative. */
FASTNN_INLINE int stores_slope(int activation)
{
#define CASE(CODE, code, name) case CODE:
    switch (activation) {
    FASTNN_SLOPES(CASE) return 1;
    default: return 0;
    }
#undef CASE
}

/* Whether a loss is a sum of terms, each of one output and with its own derivative. */
FASTNN_INLINE int has_terms(int loss)
{
#define CASE(CODE, code, name, logits) case CODE:
    switch (loss) {
    FASTNN_TERM_LOSSES(CASE) return 1;
    default: return 0;
    }
#undef CASE
}

/* Whether a loss is computed from the logits, which the forward pass of training then keeps. */
FASTNN_INLINE int uses_logits(int loss)
{
#define CASE(CODE, code, name, logits) case CODE: return logits;
    switch (loss) {
    FASTNN_LOSSES(CASE)
    default: FASTNN_UNREACHABLE("loss"); return 0;
    }
#undef CASE
}

/* Whether second-order training has a model of a loss's curvature; the cases are those of
 * curvature_root in second_order.h. */
FASTNN_INLINE int has_curvature(int loss)
{
    switch (loss) {
    case ABSOLUTE_ERROR: case QUANTILE: case GIVEN: return 0;
    default: return 1;
    }
}

/* Whether a solver multiplies its gradients by the rate at once. */
FASTNN_INLINE int descends(int solver)
{
    return solver == SGD || solver == MOMENTUM || solver == NESTEROV;
}

/* Vectors of state that a solver carries. */
FASTNN_INLINE int solver_states(int solver)
{
#define CASE(CODE, code, name, n_states) case CODE: return n_states;
    switch (solver) {
    FASTNN_SOLVERS(CASE)
    default: FASTNN_UNREACHABLE("solver"); return 0;
    }
#undef CASE
}
