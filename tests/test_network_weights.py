"""Network: weights of samples in everything that has a mean."""

import numpy as np
import pytest

from fastnn import Network
from fastnn.callbacks import Callback, Recorder

RNG = np.random.RandomState(0)
N = 150
X = RNG.randn(N, 5)
LABELS = RNG.randint(3, size=N)
W = RNG.exponential(size=N) * RNG.choice([0, 1, 1], N)
PROBLEMS = {
    "squared_error": (2, RNG.rand(N, 2)),
    "binary_log_loss": (1, RNG.randint(2, size=N).astype(float)),
    "log_loss": (3, np.eye(3)[LABELS]),
    "poisson": (2, RNG.poisson(2.0, (N, 2)).astype(float)),
}
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def new(loss, dtype="float64", **options):
    n_outputs = PROBLEMS[loss][0]
    return Network([5, 7, n_outputs], "tanh", loss=loss, dtype=dtype, random_state=1, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", PROBLEMS)
def test_a_weighted_mean(every_build, loss, dtype):
    net, y = new(loss, dtype), PROBLEMS[loss][1]
    each = [net.loss(X[i : i + 1], y[i : i + 1]) for i in range(N)]
    got = net.loss(X, y, sample_weight=W)
    assert got == pytest.approx(np.average(each, weights=W), rel=TOLERANCE[dtype])
    value, coef_grads, intercept_grads = net.loss_and_grad(X, y, sample_weight=W)
    assert value == pytest.approx(got, rel=TOLERANCE[dtype])
    by_row = [net.loss_and_grad(X[i : i + 1], y[i : i + 1])[1:] for i in range(N)]
    for kind, grads in enumerate((coef_grads, intercept_grads)):
        for layer, grad in enumerate(grads):
            want = np.average([row[kind][layer] for row in by_row], axis=0, weights=W)
            np.testing.assert_allclose(grad, want, rtol=0, atol=TOLERANCE[dtype] * 3)


def test_the_penalty_is_of_the_sum_of_weights(every_build):
    net, y = new("squared_error"), PROBLEMS["squared_error"][1]
    penalty = sum((coef**2).sum() for coef in net.coefs_) * 0.3 / (2 * W.sum())
    with_penalty = net.loss(X, y, sample_weight=W, alpha=0.3)
    assert with_penalty == pytest.approx(net.loss(X, y, sample_weight=W) + penalty, rel=1e-12)


def test_whole_weights_are_repeated_rows(every_build):
    weights = RNG.randint(4, size=N)
    y = PROBLEMS["log_loss"][1]
    again = np.repeat(np.arange(N), weights)
    a, b = new("log_loss"), new("log_loss")
    options = {"learning_rate_init": 0.1, "batch_size": 10**6, "alpha": 0.1, "max_iter": 5}
    a.fit(X, y, solver="sgd", sample_weight=weights, **options)
    b.fit(X[again], y[again], solver="sgd", **options)
    np.testing.assert_allclose(a.params_, b.params_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_mini_batches_have_their_own_means(every_build, solver):
    y, options = PROBLEMS["binary_log_loss"][1], {"solver": solver, "shuffle": False}
    a, b = new("binary_log_loss"), new("binary_log_loss")
    a.fit(X, y, sample_weight=W, batch_size=32, max_iter=2, **options)
    for _ in range(2):
        for rows in (slice(start, start + 32) for start in range(0, N, 32)):
            b.partial_fit(X[rows], y[rows], sample_weight=W[rows], batch_size=32, **options)
    np.testing.assert_allclose(a.params_, b.params_, rtol=1e-11, atol=1e-14)


def test_equal_weights_change_nothing():
    y = PROBLEMS["log_loss"][1]
    a, b = new("log_loss"), new("log_loss")
    a.fit(X, y, sample_weight=np.ones(N), max_iter=5)
    b.fit(X, y, max_iter=5)
    np.testing.assert_allclose(a.params_, b.params_, rtol=1e-10, atol=1e-12)
    assert a.loss(X, y, sample_weight=[2] * N) == pytest.approx(b.loss(X, y), rel=1e-9)


def test_rows_of_no_weight_are_left_out():
    y = PROBLEMS["poisson"][1]
    net, kept = new("poisson"), W > 0
    assert 0 < kept.sum() < N
    whole = net.loss(X, y, sample_weight=W)
    assert whole == pytest.approx(net.loss(X[kept], y[kept], sample_weight=W[kept]), rel=1e-13)


def test_many_rows_in_parts_and_threads():
    rng = np.random.RandomState(0)
    x, w = rng.randn(30_000, 50), rng.exponential(size=30_000)
    y = rng.randn(30_000, 1)
    fits = []
    for n_jobs in (1, 2):
        net = Network([50, 100, 1], "relu", random_state=0, n_jobs=n_jobs)
        losses = [net.loss(x, y, sample_weight=w)]
        net.fit(x, y, sample_weight=w, max_iter=1)
        fits.append((losses, net.loss_curve_, net.params_.tobytes()))
    assert fits[0] == fits[1]


def test_partial_fit_by_turns():
    """What one call leaves for the next is for calls without weights."""
    y = PROBLEMS["squared_error"][1]
    a, b = new("squared_error"), new("squared_error")
    for i in range(6):
        weights = {} if i % 3 else {"sample_weight": W}
        a.partial_fit(X, y, **weights)
        b._again = None
        b.partial_fit(X, y, **weights)
    np.testing.assert_array_equal(a.params_, b.params_)


def test_callbacks_see_targets_without_weights():
    seen = {}

    class Look(Callback):
        def begin(self, net, X, y, max_iter):
            seen["y"] = y

    y, recorder = PROBLEMS["log_loss"][1], Recorder()
    new("log_loss").fit(X, y, sample_weight=W, max_iter=2, callback=[Look(), recorder])
    assert seen["y"] is y
    assert recorder.y_ is y


def test_input_is_not_modified():
    y, w = PROBLEMS["log_loss"][1].copy(), W.copy()
    y.flags.writeable = w.flags.writeable = False
    net = new("log_loss").fit(X, y, sample_weight=w, max_iter=2)
    net.partial_fit(X, y, sample_weight=w)
    for weights in (w.tolist(), w.astype(np.float32), np.repeat(w, 2)[::2], w.astype(">f8")):
        net.loss(X, y, sample_weight=weights)


# ---- what is refused ----------------------------------------------------------------------------

NOT_WEIGHTS = [
    (np.ones(N - 1), ValueError, r"sample_weight must have shape \(150,\), one weight for each"),
    (np.ones((N, 1)), ValueError, r"sample_weight must have shape \(150,\)"),
    (1.0, ValueError, r"sample_weight must have shape \(150,\)"),
    ("balanced", TypeError, "sample_weight must hold real numbers"),
    (np.full(N, np.nan), ValueError, r"sample_weight\[0\] is nan"),
    (np.linspace(1, -1, N), ValueError, r"sample_weight must be at least 0, got"),
    (np.zeros(N), ValueError, "sample_weight is 0 for every row"),
    (np.full(N, 1e308), ValueError, "sample_weight adds up to more than float64 can hold"),
]


@pytest.mark.parametrize(("weights", "error", "message"), NOT_WEIGHTS)
@pytest.mark.parametrize("method", ["loss", "loss_and_grad", "fit", "partial_fit"])
def test_bad_weights_are_refused(method, weights, error, message):
    net, y = new("log_loss"), PROBLEMS["log_loss"][1]
    net.fit(X, y, max_iter=1)
    before, curve = net.params_.copy(), net.loss_curve_
    with pytest.raises(error, match=message):
        getattr(net, method)(X, y, sample_weight=weights)
    assert net.loss_curve_ is curve
    np.testing.assert_array_equal(net.params_, before)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_batch_without_weight_ends_training(method):
    net, y = new("log_loss"), PROBLEMS["log_loss"][1]
    weights = np.repeat([1.0, 0.0], [120, 30])
    with pytest.raises(ZeroDivisionError, match="those of a batch in epoch 1"):
        getattr(net, method)(X, y, sample_weight=weights, batch_size=30, shuffle=False)
    assert np.isfinite(net.predict(X)).all()
    net.partial_fit(X, y, sample_weight=weights)  # and goes on
