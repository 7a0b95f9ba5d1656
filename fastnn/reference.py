"""The oracle: every function of the kernels in the shortest correct NumPy.

Names and signatures are those of `fastnn.kernels._kernels`, so either can stand for the other;
tests hold the kernels to these functions, and these to central differences. Nothing here is fast.
"Packed" parameters are plain ones here, and a workspace is ignored.
"""

import itertools

import numpy as np

IDENTITY, SIGMOID, TANH, RELU, SOFTMAX, EXP = range(6)
SQUARED_ERROR, BINARY_LOG_LOSS, LOG_LOSS, POISSON, MEAN_SQUARED_ERROR = range(5)
SGD, NESTEROV, ADAM = range(3)
START, RUNNING, FINISHED, DIVERGED, WEIGHTLESS = range(5)

# Arithmetic here overflows on purpose now and then: e^1000 is infinity, its sigmoid 1.
quiet = np.errstate(all="ignore")


# ---- layout ---------------------------------------------------------------------------------


def workspace_size(layer_units, batch_size, itemsize, n_states, n_threads, weighted=False):
    """Bytes of workspace that a call needs: none here."""
    return 0


def packed_size(layer_units, itemsize):
    """How many numbers the packed parameters take."""
    return sum((k + 1) * n for k, n in itertools.pairwise(layer_units))


def useful_threads(layer_units, batch_size, itemsize, n_threads):
    """How many of n_threads have something to do in a step of training: one."""
    return 1


def team_size(n_threads):
    """Bytes of memory for a team: none here, where the caller does everything."""
    return 0


def open_team(team, n_threads):
    """Make a team."""


def serve_team(team, index):
    """Be a helper until the team is closed: at once."""


def close_team(team):
    """Send the helpers home."""


def free_team(team):
    """The memory is plain memory again."""


def pack(params, layer_units, activations, workspace, packed):
    """Parameters as people see them -> as the kernels want them."""
    packed[:] = params


def unpack(packed, layer_units, activations, workspace, params):
    """Parameters as the kernels want them -> as people see them."""
    params[:] = packed


def split(params, layer_units):
    """Views of a flat vector: [coef (fan_in, fan_out), intercept (fan_out,)] of each layer."""
    layers, at = [], 0
    for k, n in itertools.pairwise(layer_units):
        coef = params[at : at + k * n].reshape(k, n)
        layers.append((coef, params[at + k * n : at + k * n + n]))
        at += (k + 1) * n
    return layers


# ---- elementwise functions ------------------------------------------------------------------


@quiet
def exp(x, out):
    """e^x; 0 below the smallest normal number, infinity above the largest."""
    np.exp(x, out=out)
    out[out < np.finfo(out.dtype).tiny] = 0


@quiet
def sigmoid(x, out):
    """s(x) = 1 / (1 + e^-x)."""
    out[...] = 1 / (1 + np.exp(-x))


def sigmoid_derivative(a, out):
    """s'(x) = a (1 - a) with a = s(x)."""
    out[...] = a * (1 - a)


def tanh(x, out):
    """tanh x."""
    np.tanh(x, out=out)


def tanh_derivative(a, out):
    """tanh' x = 1 - a^2 with a = tanh x."""
    out[...] = 1 - a * a


def relu(x, out):
    """max(0, x)."""
    np.maximum(x, 0, out=out)


def relu_derivative(a, out):
    """1 where a > 0, else 0, with a = relu x."""
    out[...] = a > 0


@quiet
def softmax(z, workspace, out):
    """p_j = e^z_j / sum_i e^z_i, shifted by the largest z of the row so that nothing overflows."""
    exp(z - z.max(axis=1, keepdims=True), out)
    out /= out.sum(axis=1, keepdims=True)


ACTIVATE = {SIGMOID: sigmoid, TANH: tanh, RELU: relu, EXP: exp}
DERIVATIVE = {SIGMOID: sigmoid_derivative, TANH: tanh_derivative, RELU: relu_derivative}


# ---- layers ---------------------------------------------------------------------------------


@quiet
def dense_forward(x, coef, intercept, activation, workspace, out):
    """a = f(x W + b)."""
    out[...] = x @ coef + intercept
    if activation == SOFTMAX:
        softmax(out, workspace, out)
    elif activation != IDENTITY:
        ACTIVATE[activation](out, out)


@quiet
def propagate_delta(delta, coef, a, activation, workspace, out):
    """delta_in = f'(a) (delta W^T), with the derivative taken from the activations a."""
    derivative = np.ones_like(a)
    if activation != IDENTITY:
        DERIVATIVE[activation](a, derivative)
    out[...] = (delta @ coef.T) * derivative


def weights_of(y, n_outputs):
    """The weight of each row, (n, 1): the column of y behind the outputs', or else 1."""
    return y[:, n_outputs:] if y.shape[1] > n_outputs else np.ones((len(y), 1), y.dtype)


@quiet
def loss_delta(a, y, loss, activation):
    """The loss summed over the rows, and its derivative by the last layer's weighted sums.

    Both times the row's weight, where y has a column of weights behind the outputs'.

    Per row: squared error 1/2 sum_j (a_j - y_j)^2; binary log loss
    -sum_j y_j log a_j + (1 - y_j) log(1 - a_j); log loss -sum_j y_j log a_j; Poisson
    sum_j y_j log(y_j / a_j) - y_j + a_j, half the deviance. Squares and quotients are taken in a's
    own type, and overflow there. The log losses take logarithms of a clipped to [eps, 1 - eps], as
    scikit-learn does. These three with their own activations (sigmoid, softmax, exp) have the
    derivative a - y. The mean squared error is the squared error divided by the number of outputs,
    but its derivative is not divided: so is scikit-learn's.
    """
    n_outputs = a.shape[1]
    weights, y = weights_of(y, n_outputs), y[:, :n_outputs]
    delta = a - y
    if loss in (SQUARED_ERROR, MEAN_SQUARED_ERROR):
        terms = np.square(delta) / (2 if loss == SQUARED_ERROR else 2 * n_outputs)
        if activation == SOFTMAX:
            delta = a * (delta - np.sum(delta * a, axis=1, keepdims=True))
        elif activation == EXP:
            delta = delta * a
        elif activation != IDENTITY:
            derivative = np.empty_like(a)
            DERIVATIVE[activation](a, derivative)
            delta = delta * derivative
    elif loss == POISSON:
        terms = np.where(y == 0, 0, y * np.log(y / a)) + delta  # NaN for y < 0
    else:
        eps = np.finfo(a.dtype).eps
        p = np.clip(a, eps, 1 - eps).astype(np.float64)
        terms = -np.where(y == 0, 0, y * np.log(p))
        if loss == BINARY_LOG_LOSS:
            terms -= np.where(y == 1, 0, (1 - y) * np.log1p(-p))
    return float(np.sum(weights * terms, dtype=np.float64)), weights * delta


# ---- the whole network ----------------------------------------------------------------------


def dense_rows(x, columns, row_starts, n_features):
    """x, or what the sparse rows in it stand for; values of one column of a row are added."""
    if len(row_starts) == 0:
        return x
    rows = np.zeros((len(row_starts) - 1, n_features), x.dtype)
    stored = slice(row_starts[0], row_starts[-1])
    row_numbers = np.repeat(np.arange(len(rows)), np.diff(row_starts))
    np.add.at(rows, (row_numbers, columns[stored]), x[0, stored])
    return rows


def activations_of(params, layer_units, activations, x):
    """[x, a_1, ..., a_L]: the input and every layer's activations."""
    a = [x]
    for (coef, intercept), code in zip(split(params, layer_units), activations, strict=True):
        a.append(np.empty((len(x), len(intercept)), x.dtype))
        dense_forward(a[-2], coef, intercept, code, None, a[-1])
    return a


@quiet
def gradient_sums(params, layer_units, activations, loss, x, y):
    """The loss summed over the rows, its gradient laid out like params, and the outputs."""
    a = activations_of(params, layer_units, activations, x)
    total, delta = loss_delta(a[-1], y, loss, activations[-1])
    grads = np.empty_like(params)
    coef_grads = split(grads, layer_units)
    layers = split(params, layer_units)
    for i in reversed(range(len(layers))):
        coef_grad, intercept_grad = coef_grads[i]
        coef_grad[...] = a[i].T @ delta
        intercept_grad[...] = delta.sum(axis=0)
        if i > 0:
            delta_in = np.empty_like(a[i])
            propagate_delta(delta, layers[i][0], a[i], activations[i - 1], None, delta_in)
            delta = delta_in
    return total, grads, a[-1]


def forward(
    params, layer_units, activations, x, columns, row_starts, workspace, out, packed=False
):
    """a_l = f_l(a_(l-1) W_l + b_l) for every row of x. Packed parameters are the same here.

    Sparse rows are scipy's CSR: row i has the values row_starts[i] .. row_starts[i + 1] of x, in
    any order; those of one column are added. out takes the last layer's activations, or all
    layers' side by side if it has room for them.
    """
    x = dense_rows(x, columns, row_starts, layer_units[0])
    a = activations_of(params, layer_units, activations, x)
    out[...] = np.hstack(a[1:]) if out.shape[1] > layer_units[-1] else a[-1]


@quiet
def penalty(params, layer_units, alpha):
    """alpha / 2 times the sum of the squared coefficients."""
    squares = (np.sum(np.square(c), dtype=np.float64) for c, _ in split(params, layer_units))
    return float(0.5 * alpha * sum(squares)) if alpha else 0.0


@quiet
def loss_and_grad(
    params, layer_units, activations, loss, alpha, x, columns, row_starts, y, workspace, grads
):
    """Mean loss over the rows plus the penalty alpha / (2 n) sum W^2, and its gradient.

    Where y has one column more than there are outputs, that is the weight of each row: the mean
    is a weighted one, and n the sum of the weights. With empty grads the loss alone.
    """
    x = dense_rows(x, columns, row_starts, layer_units[0])
    n = float(weights_of(y, layer_units[-1]).sum(dtype=np.float64))
    total, sums, _ = gradient_sums(params, layer_units, activations, loss, x, y)
    if len(grads):
        grads[:] = sums / n
        layers = zip(split(params, layer_units), split(grads, layer_units), strict=True)
        for (coef, _), (coef_grad, _) in layers:
            coef_grad += alpha * coef / n
    return float(np.divide(total + penalty(params, layer_units, alpha), n))


# ---- solvers --------------------------------------------------------------------------------


def flush(x):
    """Subnormal numbers to zero, in place: they change nothing and are slow."""
    x[np.abs(x) < np.finfo(x.dtype).tiny] = 0


@quiet
def sgd_update(params, grads, velocities, learning_rate, momentum, nesterov):
    """v = momentum v - lr g; params += v, or momentum v - lr g with Nesterov's look-ahead."""
    step = learning_rate * grads
    if len(velocities) == 0:
        params -= step
        return
    velocities *= momentum
    velocities -= step
    flush(velocities)
    params += momentum * velocities - step if nesterov else velocities


@quiet
def adam_update(
    params, grads, first_moments, second_moments, learning_rate, beta_1, beta_2, epsilon, t
):
    """m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
    params -= lr sqrt(1-b2^t) / (1-b1^t) m / (sqrt(v) + epsilon)."""
    first_moments *= beta_1
    first_moments += (1 - beta_1) * grads
    second_moments *= beta_2
    second_moments += (1 - beta_2) * grads**2
    flush(first_moments)
    flush(second_moments)
    rate = learning_rate * float(np.sqrt(1 - beta_2**t)) / (1 - beta_1**t)
    params -= rate * first_moments / (np.sqrt(second_moments) + epsilon)


def typed_views(
    params, packed_rows, layer_units, activations, x, y, order, workspace, cursor, loss_curve
):
    """Arrays as train_epoch takes them best: here as they are."""
    return (
        params, packed_rows, layer_units, activations, x, y, order, workspace, cursor, loss_curve,
    )  # fmt: skip


@quiet
def train_epoch(
    params,
    packed_rows,
    layer_units,
    activations,
    loss,
    solver,
    learning_rate,
    momentum,
    beta_2,
    epsilon,
    alpha,
    sum_coef_grads,
    keep_going,
    x,
    columns,
    row_starts,
    y,
    order,
    batch_size,
    budget,
    workspace,
    team,
    n_threads,
    cursor,
    loss_curve,
    output,
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

    Whatever the budget, this version returns at the end of an epoch only.
    """
    packed, state, n_epochs = packed_rows[0], packed_rows[1:], cursor[5]
    if cursor[3] == START:
        packed[:], cursor[3], cursor[4] = params, RUNNING, cursor[0]
    x = dense_rows(x, columns, row_starts, layer_units[0])
    rows = np.arange(len(x)) if order is None or not len(order) else order
    work = 0.0
    while cursor[0] < n_epochs and work < budget:
        params[:] = packed
        total = 0.0
        for start in range(0, len(x), batch_size):
            batch = rows[start : start + batch_size]
            weight = float(weights_of(y[batch], layer_units[-1]).sum(dtype=np.float64))
            if weight == 0:
                cursor[3], params[:] = WEIGHTLESS, packed
                return
            batch_loss, grads, out = gradient_sums(
                packed, layer_units, activations, loss, x[batch], y[batch]
            )
            batch_loss += penalty(packed, layer_units, alpha)
            total += batch_loss * (len(batch) / weight)
            if not (np.isfinite(total) or keep_going):
                break
            if output is not None and len(output) and cursor[0] == n_epochs - 1:
                output[batch] = out
            for (coef, _), (coef_grad, intercept_grad) in zip(
                split(packed, layer_units), split(grads, layer_units), strict=True
            ):
                if not sum_coef_grads:
                    coef_grad /= weight
                coef_grad += alpha / weight * coef
                intercept_grad /= weight
            cursor[2] += 1
            if solver == ADAM:
                adam_update(
                    packed, grads, state[0], state[1], learning_rate, momentum, beta_2, epsilon,
                    int(cursor[2]),
                )  # fmt: skip
            else:
                velocities = state[0] if len(state) else packed[:0]
                sgd_update(packed, grads, velocities, learning_rate, momentum, solver == NESTEROV)
            work += 3.0 * len(batch) * len(packed)
        if not (keep_going or (np.isfinite(total) and np.isfinite(packed).all())):
            cursor[3] = DIVERGED
            break
        loss_curve[cursor[0]] = total / len(x)
        cursor[0] += 1
    if cursor[0] >= n_epochs:
        cursor[3] = FINISHED
    if cursor[3] == FINISHED:
        params[:] = packed


# ---- odds and ends --------------------------------------------------------------------------


def shuffle(bit_generator, order):
    """Shuffle order as NumPy's RandomState does."""
    np.random.RandomState(bit_generator).shuffle(order)


def all_finite(x):
    """Whether x holds neither NaN nor infinity."""
    return bool(np.isfinite(x).all())


def peak_multiply_adds(turns, sink):
    """Do 12 independent chains of `turns` multiply-adds; how many that were."""
    chains = np.arange(12, dtype=sink.dtype)
    for _ in range(turns):
        chains = chains * 0.999 + 1e-3
    sink[0] = chains.sum()
    return 12.0 * turns


def build_info():
    """What this build was compiled for, by what, and how many numbers its vectors hold."""
    return {
        "target": "reference",
        "compiler": "none: NumPy",
        "lanes_f32": 1,
        "lanes_f64": 1,
        "threads": False,
    }
