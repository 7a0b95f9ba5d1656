"""The oracle is held by central differences, and by what others compute."""

import numpy as np
import pytest

from fastnn import reference
from fastnn.kernels import ACTIVATIONS, LOSSES

DENSE = (np.empty(0, np.int32), np.empty(0, np.intp))

HIDDEN = ["identity", "sigmoid", "tanh", "relu"]
# the log losses go with one output activation each
OUTPUTS = [("squared_error", name) for name in [*HIDDEN, "softmax", "exp"]]
OUTPUTS += [("binary_log_loss", "sigmoid"), ("log_loss", "softmax"), ("poisson", "exp")]


def targets(rng, n, n_outputs, loss):
    if loss == "log_loss":
        return np.eye(n_outputs)[rng.randint(n_outputs, size=n)]
    if loss == "poisson":
        return rng.poisson(1.5, (n, n_outputs)).astype(float)
    return rng.rand(n, n_outputs)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("loss", "out"), OUTPUTS)
def test_gradient_by_central_differences(loss, out, hidden, depth, alpha, weighted):
    units = np.array([3, *[5, 4, 6][: depth - 1], 2], np.intp)
    codes = np.array([ACTIVATIONS[hidden]] * (depth - 1) + [ACTIVATIONS[out]], np.int32)
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
        unused = np.empty_like(p)
        return reference.loss_and_grad(
            p, units, codes, LOSSES[loss], alpha, x, *DENSE, y, None, unused
        )

    def signs(p):
        a = reference.activations_of(p, units, codes, x)
        return np.hstack([layer > 0 for layer in a[1:]])

    # a difference quotient means nothing across relu's kink, and a net whose outputs are all zero
    # has no gradient: take the first net that is neither
    for seed in range(100):
        params, x, y = problem(seed)
        same = [signs(params + step) == signs(params - step) for step in steps]
        if np.all(same) and signs(params)[:, -2:].any():
            break
    else:
        pytest.fail("no net without a kink")

    grads = np.empty_like(params)
    reference.loss_and_grad(params, units, codes, LOSSES[loss], alpha, x, *DENSE, y, None, grads)
    numeric = np.array([(f(params + step) - f(params - step)) / (2 * h) for step in steps])
    assert np.abs(grads).max() > 1e-3
    # rounding of the quotient is about eps / h of the loss
    bound = 1e-7 * np.abs(grads).max() + 4 * np.finfo(float).eps / h * abs(f(params))
    np.testing.assert_allclose(grads, numeric, rtol=0, atol=bound)


def test_softmax_and_sigmoid_against_scipy(rng):
    scipy_special = pytest.importorskip("scipy.special")
    z = rng.randn(20, 7) * 30
    out = np.empty_like(z)
    reference.softmax(z, None, out)
    np.testing.assert_allclose(out, scipy_special.softmax(z, axis=1), rtol=1e-13)
    reference.sigmoid(z, out)
    np.testing.assert_allclose(out, scipy_special.expit(z), rtol=1e-14)


def test_log_losses_against_scikit_learn(rng):
    from sklearn.metrics import log_loss

    p = rng.dirichlet(np.ones(3), size=30)
    y = np.eye(3)[rng.randint(3, size=30)]
    total, _ = reference.loss_delta(p, y, LOSSES["log_loss"], ACTIVATIONS["softmax"])
    np.testing.assert_allclose(total / 30, log_loss(y, p), rtol=1e-12)
    binary, _ = reference.loss_delta(
        p[:, :1], y[:, :1], LOSSES["binary_log_loss"], ACTIVATIONS["sigmoid"]
    )
    np.testing.assert_allclose(binary / 30, log_loss(y[:, 0], p[:, 0]), rtol=1e-12)


def test_whole_weights_are_repetitions(rng):
    units, codes = np.array([3, 5, 2], np.intp), np.array([2, 4], np.int32)
    params, x = rng.randn(reference.packed_size(units, 8)), rng.randn(6, 3)
    y, times = targets(rng, 6, 2, "log_loss"), np.array([1, 0, 3, 2, 1, 0])
    grads, want = np.empty_like(params), np.empty_like(params)
    args = (params, units, codes, LOSSES["log_loss"], 0.3)
    loss = reference.loss_and_grad(*args, x, *DENSE, np.column_stack([y, times]), None, grads)
    x, y = (np.repeat(a, times, axis=0) for a in (x, y))
    np.testing.assert_allclose(
        loss, reference.loss_and_grad(*args, x, *DENSE, y, None, want), rtol=1e-14
    )
    np.testing.assert_allclose(grads, want, rtol=1e-12, atol=1e-15)


def test_sparse_rows_are_scipys(rng):
    from scipy.sparse import csr_array, random_array

    x = csr_array(random_array((9, 6), density=0.3, rng=rng))
    got = reference.dense_rows(x.data[None], x.indices, x.indptr, 6)
    np.testing.assert_array_equal(got, x.toarray())
    part = reference.dense_rows(x.data[None], x.indices, x.indptr[3:8], 6)
    np.testing.assert_array_equal(part, x.toarray()[3:7])


def test_poisson_is_half_the_deviance(rng):
    from sklearn.metrics import mean_poisson_deviance

    a, y = rng.exponential(size=(30, 2)), rng.poisson(1.5, (30, 2)).astype(float)
    assert (y == 0).any()
    total, _ = reference.loss_delta(a, y, LOSSES["poisson"], ACTIVATIONS["exp"])
    want = sum(mean_poisson_deviance(y[:, j], a[:, j]) for j in range(2)) / 2
    np.testing.assert_allclose(total / 30, want, rtol=1e-12)


def test_mean_squared_error_has_the_deltas_of_the_sum(rng):
    """As MLPRegressor: the loss that it shows is not the one whose gradient it takes."""
    a, y = rng.randn(30, 4), rng.randn(30, 4)
    total, delta = reference.loss_delta(
        a, y, LOSSES["mean_squared_error"], ACTIVATIONS["identity"]
    )
    np.testing.assert_allclose(total / 30, np.mean((a - y) ** 2) / 2, rtol=1e-14)
    np.testing.assert_array_equal(delta, a - y)


@pytest.mark.parametrize("loss", ["binary_log_loss", "log_loss"])
def test_log_losses_stay_finite_where_the_net_is_surely_wrong(loss, dtype):
    a, y = np.array([[1.0, 0.0]], dtype), np.array([[0.0, 1.0]], dtype)
    total, delta = reference.loss_delta(a, y, LOSSES[loss], ACTIVATIONS["softmax"])
    assert np.isfinite(total)
    assert total > -np.log(2 * np.finfo(dtype).eps)
    assert delta.tolist() == [[1.0, -1.0]]


def test_adam_first_step_is_the_learning_rate(dtype):
    # m / sqrt(v) is the sign of the gradient at t = 1 (Kingma and Ba, 2015, section 2.1), but for
    # epsilon beside the smaller sqrt(v), .25 * sqrt(.001)
    params, grads = np.zeros(3, dtype), np.array([4.0, -0.25, 0.0], dtype)
    m, v = np.zeros(3, dtype), np.zeros(3, dtype)
    reference.adam_update(params, grads, m, v, 0.01, 0.9, 0.999, 1e-8, 1)
    np.testing.assert_allclose(params, [-0.01, 0.01, 0.0], rtol=2e-6)


def test_momentum_against_its_definition(dtype):
    params, v = np.zeros(1, dtype), np.zeros(1, dtype)
    for _ in range(2):
        reference.sgd_update(params, np.ones(1, dtype), v, 0.5, 0.5, False)
    assert (params[0], v[0]) == (-1.25, -0.75)
    params, v = np.zeros(1, dtype), np.zeros(1, dtype)
    for _ in range(2):
        reference.sgd_update(params, np.ones(1, dtype), v, 0.5, 0.5, True)
    assert (params[0], v[0]) == (-1.625, -0.75)
