"""The oracle is held by central differences, and by what others compute."""

import threading

import numpy as np
import pytest
from cases import (
    ACTIVATIONS,
    DENSE,
    EVERY_BUILD,
    HIDDEN,
    LOSSES,
    OUTPUTS,
    loss_numbers,
    step_of,
    targets,
)

from fastnn import Network, reference, threads
from fastnn.catalog import solvers
from fastnn.reference.activations import sigmoid
from fastnn.reference.dense import forward_pass
from fastnn.reference.losses import loss_delta
from fastnn.reference.rows import dense_rows


def assert_gradient_is_central_differences(loss, out, hidden, depth, alpha, weighted):
    units = np.array([3, *[5, 4, 6][: depth - 1], 2], np.intp)
    codes = np.array([ACTIVATIONS[hidden]] * (depth - 1) + [ACTIVATIONS[out]], np.int32)
    record = step_of(loss=loss, alpha=alpha, loss_numbers=loss_numbers(loss, 2))
    h = 1e-5
    steps = h * np.eye(reference.packed_size(units, 8))

    def problem(seed):
        rng = np.random.RandomState(seed)
        params = rng.uniform(-1, 1, len(steps))
        x, y = rng.randn(9, 3), targets(rng, 9, 2, loss)
        if weighted:
            y = np.hstack([y, [[1], [0], [2], [0.5], [-0.3], [0], [3], [1], [0.1]]])
        return params, x, y

    def f(p):
        if loss == "given":  # y are the derivatives of something whose value is their product
            weights = y[:, 2:] if weighted else np.ones((9, 1))
            return np.sum(weights * y[:, :2] * forward_pass(p, units, codes, x)[0][-1]) / (
                weights.sum()
            )
        return reference.loss_and_grad(p, units, codes, record, x, *DENSE, y, None, p[:0])

    def signs(p):
        a, z = forward_pass(p, units, codes, x)
        return np.hstack([a[-1] > y[:, :2], *(layer > 0 for layer in z)])

    # a difference quotient means nothing across a kink, relu's or an error's, and a net whose
    # outputs are all zero has no gradient: take the first net that is neither
    for seed in range(100):
        params, x, y = problem(seed)
        same = [signs(params + step) == signs(params - step) for step in steps]
        if np.all(same) and signs(params)[:, -2:].any():
            break
    else:
        pytest.fail("no net without a kink")

    grads = np.empty_like(params)
    reference.loss_and_grad(params, units, codes, record, x, *DENSE, y, None, grads)
    numeric = np.array([(f(params + step) - f(params - step)) / (2 * h) for step in steps])
    if loss == "mean_squared_error":
        # what it shows is divided by the number of outputs, its gradient is not; the penalty,
        # whose gradient is right, has no part in that
        assert alpha == 0
        numeric *= 2
    assert np.abs(grads).max() > 1e-3
    # rounding of the quotient is about eps / h of the loss
    bound = 1e-7 * np.abs(grads).max() + 4 * np.finfo(float).eps / h * abs(f(params))
    np.testing.assert_allclose(grads, numeric, rtol=0, atol=bound)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "out", "hidden"),
    [(*output, HIDDEN[i % len(HIDDEN)]) for i, output in enumerate(OUTPUTS)],
)
def test_gradient_by_central_differences(loss, out, hidden, weighted):
    assert_gradient_is_central_differences(loss, out, hidden, 3, 0.0, weighted)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_gradient_by_depth_and_penalty(loss, hidden, depth, alpha):
    out = {"squared_error": "tanh", "log_loss": "softmax"}[loss]
    assert_gradient_is_central_differences(loss, out, hidden, depth, alpha, True)


def test_softmax_and_sigmoid_against_scipy(rng):
    scipy_special = pytest.importorskip("scipy.special")
    z = rng.randn(20, 7) * 30
    out = np.empty_like(z)
    reference.softmax(z, None, out)
    np.testing.assert_allclose(out, scipy_special.softmax(z, axis=1), rtol=1e-13)
    sigmoid(z, out)
    np.testing.assert_allclose(out, scipy_special.expit(z), rtol=1e-14)


def total(loss, out, a, y):
    """The summed loss of activations a, and its deltas by z."""
    with np.errstate(all="ignore"):
        z = np.log(a) - (np.log1p(-a) if out == "sigmoid" else 0)
    return loss_delta(a, z, y, LOSSES[loss], ACTIVATIONS[out])


@pytest.mark.parametrize("prefix", ["", "clipped_"])
def test_log_losses_against_scikit_learn(prefix, rng):
    from sklearn.metrics import log_loss

    p = rng.dirichlet(np.ones(3), size=30)
    y = np.eye(3)[rng.randint(3, size=30)]
    got, _ = total(f"{prefix}log_loss", "softmax", p, y)
    np.testing.assert_allclose(got / 30, log_loss(y, p), rtol=1e-12)
    binary, _ = total(f"{prefix}binary_log_loss", "sigmoid", p[:, :1], y[:, :1])
    np.testing.assert_allclose(binary / 30, log_loss(y[:, 0], p[:, 0]), rtol=1e-12)


def test_log_losses_of_large_logits_against_scipy(rng):
    special = pytest.importorskip("scipy.special")
    z, y = 500 * rng.randn(30, 4), np.eye(4)[rng.randint(4, size=30)]
    a = special.softmax(z, axis=1)
    got, delta = loss_delta(a, z, y, LOSSES["log_loss"], ACTIVATIONS["softmax"])
    np.testing.assert_allclose(got, -np.sum(y * special.log_softmax(z, axis=1)), rtol=1e-14)
    np.testing.assert_array_equal(delta, a - y)
    a = special.expit(z)
    got, delta = loss_delta(a, z, y, LOSSES["binary_log_loss"], ACTIVATIONS["sigmoid"])
    want = -np.sum(y * special.log_expit(z) + (1 - y) * special.log_expit(-z))
    np.testing.assert_allclose(got, want, rtol=1e-14)
    np.testing.assert_array_equal(delta, a - y)


def test_whole_weights_are_repetitions(rng):
    units, codes = np.array([3, 5, 2], np.intp), np.array([2, 4], np.int32)
    params, x = rng.randn(reference.packed_size(units, 8)), rng.randn(6, 3)
    y, times = targets(rng, 6, 2, "log_loss"), np.array([1, 0, 3, 2, 1, 0])
    grads, want = np.empty_like(params), np.empty_like(params)
    args = (params, units, codes, step_of(loss="log_loss", alpha=0.3))
    loss = reference.loss_and_grad(*args, x, *DENSE, np.column_stack([y, times]), None, grads)
    x, y = (np.repeat(a, times, axis=0) for a in (x, y))
    np.testing.assert_allclose(
        loss, reference.loss_and_grad(*args, x, *DENSE, y, None, want), rtol=1e-14
    )
    np.testing.assert_allclose(grads, want, rtol=1e-12, atol=1e-15)


def test_sparse_rows_are_scipys(rng):
    from scipy.sparse import csr_array

    x = csr_array(np.where(rng.rand(9, 6) < 0.3, rng.rand(9, 6), 0))
    got = dense_rows(x.data[None], x.indices, x.indptr, 6)
    np.testing.assert_array_equal(got, x.toarray())
    part = dense_rows(x.data[None], x.indices, x.indptr[3:8], 6)
    np.testing.assert_array_equal(part, x.toarray()[3:7])


@pytest.mark.parametrize("loss", ["poisson", "poisson_of_values"])
def test_poisson_is_half_the_deviance(loss, rng):
    from sklearn.metrics import mean_poisson_deviance

    a, y = rng.exponential(size=(30, 2)), rng.poisson(1.5, (30, 2)).astype(float)
    assert (y == 0).any()
    got, _ = total(loss, "exp", a, y)
    want = sum(mean_poisson_deviance(y[:, j], a[:, j]) for j in range(2)) / 2
    np.testing.assert_allclose(got / 30, want, rtol=1e-12)


def test_gamma_is_half_the_deviance(rng):
    from sklearn.metrics import mean_gamma_deviance

    a, y = rng.exponential(size=(30, 2)), rng.exponential(size=(30, 2))
    got, _ = total("gamma", "exp", a, y)
    want = sum(mean_gamma_deviance(y[:, j], a[:, j]) for j in range(2)) / 2
    np.testing.assert_allclose(got / 30, want, rtol=1e-12)


def test_errors_against_scikit_learn(rng):
    from sklearn.metrics import mean_absolute_error, mean_pinball_loss

    a, y, levels = rng.randn(30, 2), rng.randn(30, 2), np.array([0.1, 0.7])
    z, identity = a, ACTIVATIONS["identity"]
    got, _ = loss_delta(a, z, y, LOSSES["absolute_error"], identity)
    np.testing.assert_allclose(got / 60, mean_absolute_error(y, a), rtol=1e-13)
    got, _ = loss_delta(a, z, y, LOSSES["quantile"], identity, levels)
    want = sum(mean_pinball_loss(y[:, j], a[:, j], alpha=levels[j]) for j in range(2))
    np.testing.assert_allclose(got / 30, want, rtol=1e-13)


def test_mean_squared_error_has_the_deltas_of_the_sum(rng):
    """As MLPRegressor: the loss that it shows is not the one whose gradient it takes."""
    a, y = rng.randn(30, 4), rng.randn(30, 4)
    got, delta = loss_delta(a, a, y, LOSSES["mean_squared_error"], ACTIVATIONS["identity"])
    np.testing.assert_allclose(got / 30, np.mean((a - y) ** 2) / 2, rtol=1e-14)
    np.testing.assert_array_equal(delta, a - y)


@pytest.mark.parametrize("loss", ["clipped_binary_log_loss", "clipped_log_loss"])
def test_clipped_losses_stay_finite_where_the_net_is_surely_wrong(loss, dtype):
    a, y = np.array([[1.0, 0.0]], dtype), np.array([[0.0, 1.0]], dtype)
    got, delta = loss_delta(a, a, y, LOSSES[loss], ACTIVATIONS["softmax"])
    assert np.isfinite(got)
    assert got >= -np.log(np.finfo(dtype).eps)
    assert delta.tolist() == [[1.0, -1.0]]


# ---- solvers, by their definitions ------------------------------------------------------------


def descent(g, t, numbers):
    for _ in range(t):
        yield -numbers["learning_rate"] * g


def momentum(g, t, numbers):
    v = 0.0
    for _ in range(t):
        v = numbers["momentum"] * v - numbers["learning_rate"] * g
        yield v


def nesterov(g, t, numbers):
    for v in momentum(g, t, numbers):
        yield numbers["momentum"] * v - numbers["learning_rate"] * g


def adam(g, t, numbers):
    m = v = 0.0
    b1, b2 = numbers["beta_1"], numbers["beta_2"]
    for i in range(1, t + 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = m / (1 - b1**i), v / (1 - b2**i)
        # epsilon stands beside the root before its bias correction, as in scikit-learn
        epsilon = numbers["epsilon"] / np.sqrt(1 - b2**i)
        yield -numbers["learning_rate"] * m_hat / (np.sqrt(v_hat) + epsilon)


def adamw(g, t, numbers):
    """Adam's step from a parameter that shrank."""
    theta, shrink = 1.0, numbers["learning_rate"] * numbers["weight_decay"]
    for change in adam(g, t, numbers):
        yield change - shrink * theta
        theta += change - shrink * theta


def nadam(g, t, numbers):
    b1, b2, m, v, product = numbers["beta_1"], numbers["beta_2"], 0.0, 0.0, 1.0
    for i in range(1, t + 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        now, ahead = (b1 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (i, i + 1))
        product *= now
        step = (1 - now) / (1 - product) * g + ahead / (1 - product * ahead) * m
        root = np.sqrt(v / (1 - b2**i)) + numbers["epsilon"] / np.sqrt(1 - b2**i)
        yield -numbers["learning_rate"] * step / root


def rmsprop(g, t, numbers):
    v = 0.0
    for _ in range(t):
        v = numbers["beta_2"] * v + (1 - numbers["beta_2"]) * g * g
        yield -numbers["learning_rate"] * g / (np.sqrt(v) + numbers["epsilon"])


def rprop(g, t, numbers):
    for i in range(t):
        yield -numbers["learning_rate"] * 1.2**i * np.sign(g)


DEFINITIONS = {
    "sgd": descent, "momentum": momentum, "nesterov": nesterov, "adam": adam, "adamw": adamw,
    "nadam": nadam, "rmsprop": rmsprop, "rprop": rprop,
}  # fmt: skip


@pytest.mark.parametrize("solver", [row.name for row in solvers.SOLVERS if not row.searches])
def test_solvers_against_their_definitions(solver, dtype):
    """Five steps of one parameter with a constant gradient."""
    numbers = {"learning_rate": 0.5, "momentum": 0.25, "beta_1": 0.75, "beta_2": 0.875,
               "epsilon": 1e-3, "weight_decay": 0.125}  # fmt: skip
    step = step_of(solver=solver, **numbers)
    params, grads = np.ones(1, dtype), np.full(1, 3, dtype)
    states, want = np.zeros((solvers.BY_NAME[solver].n_states, 1), dtype), 1.0
    for t, change in enumerate(DEFINITIONS[solver](3.0, 5, numbers), start=1):
        reference.solver_update(params, grads, states, step, t)
        want += change
        tolerance = 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(params, want, rtol=tolerance, atol=tolerance)


def test_adam_first_step_is_the_learning_rate(dtype):
    # m / sqrt(v) is the sign of the gradient at t = 1 (Kingma and Ba, 2015, section 2.1), but for
    # epsilon beside the smaller sqrt(v), .25 * sqrt(.001)
    params, grads = np.zeros(3, dtype), np.array([4.0, -0.25, 0.0], dtype)
    step = step_of(solver="adam", learning_rate=0.01)
    reference.solver_update(params, grads, np.zeros((2, 3), dtype), step, 1)
    np.testing.assert_allclose(params, [-0.01, 0.01, 0.0], rtol=2e-6)


@EVERY_BUILD
def test_rprop_takes_the_sign_of_a_subnormal_gradient(module, dtype):
    """Though none is kept for the next step."""
    params, tiny = np.zeros(8, dtype), np.finfo(dtype).tiny
    grads, states = np.array([tiny / 4, -tiny / 4] * 4, dtype), np.zeros((2, 8), dtype)
    states[0] = 0.5
    module.solver_update(params, grads, states, step_of(solver="rprop"), 2)
    np.testing.assert_array_equal(params, [-0.5, 0.5] * 4)
    np.testing.assert_array_equal(states[1], np.zeros(8))


def test_a_gamma_deviance_overflows_in_its_own_type():
    """As in the kernels."""
    net = Network([1, 1], "identity", loss="gamma", out_activation="exp", dtype="f4")
    net.params_ = [-1, 0]
    with np.errstate(over="ignore"):
        assert net.loss([[100.0]], [1.0]) == np.inf
    z, y = np.array([[-100.0]], np.float32), np.ones((1, 1), np.float32)
    got, _ = loss_delta(np.exp(z), z, y, LOSSES["gamma"], ACTIVATIONS["exp"])
    assert got == np.inf


# ---- numbers that are drawn ---------------------------------------------------------------------


class Held:
    """A lock that its thread cannot take again, as NumPy 2.0's; it says so instead of waiting."""

    def __init__(self):
        self.lock = threading.Lock()

    def __enter__(self):
        assert self.lock.acquire(blocking=False), "taken twice"

    def __exit__(self, *_):
        self.lock.release()


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64])
def test_it_draws_while_the_lock_is_held(kind):
    class Generator(kind):
        lock = Held()

    same = np.random.RandomState(kind(0))
    generator, order, drawn = Generator(0), np.arange(50), [np.empty(7), np.empty((3, 2))]
    with pytest.raises(AssertionError, match="taken twice"), generator.lock:
        np.random.RandomState(generator).uniform(size=3)
    threads.draw(reference.shuffle, generator, order)
    threads.draw(reference.draw_uniform, generator, [0.5, 2.0], drawn)
    expected = np.arange(50)
    same.shuffle(expected)
    np.testing.assert_array_equal(order, expected)
    for bound, array in zip([0.5, 2.0], drawn, strict=True):
        np.testing.assert_array_equal(array, same.uniform(-bound, bound, array.shape))
    assert np.random.RandomState(generator).uniform() == same.uniform()
