"""Levenberg-Marquardt and L-BFGS: step by step against NumPy, what they find, what they refuse."""

import itertools
import math

import numpy as np
import pytest
from conftest import UNCHECKED_ONLY
from sklearn.datasets import make_circles

from fastnn import Network, kernels, reference, work
from fastnn.catalog import losses
from fastnn.training import second_order

RNG = np.random.RandomState(0)
X, Y = RNG.randn(60, 3), RNG.rand(60, 2)
OWN = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y)
BOTH = pytest.mark.parametrize("solver", ["lm", "lbfgs"])
WITH_CURVATURE = [row for row in losses.LOSSES if row.public and row.curvature]


def new(loss="squared_error", units=(3, 5, 2), seed=0, **options):
    out = (losses.BY_NAME[loss].out_activation if isinstance(loss, str) else None) or "identity"
    return Network(units, "tanh", out_activation=out, loss=loss, random_state=seed, **options)


def targets(loss):
    if losses.BY_NAME[loss].rows_sum_to_one:
        return np.eye(2)[RNG.randint(2, size=60)]
    return np.random.RandomState(1).uniform(0.1, 0.9, (60, 2))


def sinc(n=200):
    x = np.linspace(-1, 1, n)[:, np.newaxis]
    return x, np.sinc(3 * x)


# ---- against NumPy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [{"solver": "lm"}, {"solver": "lm", "gain_ratio": False}, {"solver": "lbfgs"}],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", [row.name for row in WITH_CURVATURE])
def test_every_step_is_the_oracles(monkeypatch, loss, weighted, given):
    y, weights = targets(loss), np.arange(60.0) if weighted else None
    options = {"alpha": 0.01, "sample_weight": weights, **given}
    number = {"delta": 0.3} if loss == "huber" else {}
    ours = new(loss, **number)
    for _ in range(14):
        plain = ours.__getstate__()["_state"]  # the oracle packs nothing
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "build", reference)
            own = Network.from_params(
                ours.params_.copy(), ours.layer_units, ours.activations, loss=loss, **number
            )
            if ours._state is not None:
                own._state = ours._state._replace(packed=plain)
            own.partial_fit(X, y, **options)
        ours.partial_fit(X, y, **options)
        np.testing.assert_allclose(ours.params_, own.params_, rtol=1e-9, atol=1e-9)
        assert ours.loss_ == pytest.approx(own.loss_, rel=1e-12)
        assert ours._state.last_loss == pytest.approx(own._state.last_loss, rel=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "poisson"])
def test_every_step_of_the_dual_form_is_the_oracles(monkeypatch, loss, alpha):
    """Fewer rows than parameters."""
    ours, y = new(loss, (3, 40, 2)), targets(loss)
    assert work.order_of_matrix(ours._units, 60)[1]
    for _ in range(8):
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "build", reference)
            own = Network.from_params(
                ours.params_.copy(), ours.layer_units, ours.activations, loss=loss
            )
            own._state = ours._state  # which holds no vectors
            own.partial_fit(X, y, solver="lm", alpha=alpha)
        ours.partial_fit(X, y, solver="lm", alpha=alpha)
        np.testing.assert_allclose(ours.params_, own.params_, rtol=1e-9, atol=1e-9)
        assert ours._state.last_loss == pytest.approx(own._state.last_loss, rel=1e-8)


def test_the_smaller_matrix_counts_rows_in_groups():
    """Of 8 samples, which vectors fill; more outputs than parameters by row stay primal."""
    units = np.array([2, 5000])
    assert work.order_of_matrix(units, 1) == (15000, False)
    second_order.check_memory((2, 5000), 1)
    assert work.order_of_matrix(np.array([3, 40, 2]), 60) == (128, True)
    assert work.order_of_matrix(np.array([3, 40, 2]), 60, evidence=True) == (242, False)


def test_the_dual_form_converges_with_a_penalty():
    """Its damping ends where its digits would; the other form finds the same minimum."""
    x, y = np.random.RandomState(0).randn(40, 300), np.random.RandomState(1).randn(40, 1)
    net = Network([300, 1], "identity", random_state=0)
    net.fit(x, y, solver="lm", alpha=1.0, max_iter=50, damping=1e-15)
    design = np.hstack([x, np.ones((40, 1))])
    penalty = np.diag([*np.ones(300), 0.0])
    exact = np.linalg.solve(design.T @ design + penalty, design.T @ y)[:, 0]
    np.testing.assert_allclose(net.params_, exact, rtol=0, atol=1e-9)


def test_both_forms_take_the_same_step(monkeypatch):
    """From the same damping, which is a share of each matrix's diagonal."""
    state = new(units=(3, 40, 2)).partial_fit(X, Y, solver="lm")._state
    steps = []
    for dual in (True, False):
        monkeypatch.setattr(second_order.LevenbergMarquardt, "_may_be_dual", dual)
        net = new(units=(3, 40, 2))
        net._state = state
        steps.append(net.partial_fit(X, Y, solver="lm", alpha=0.01).params_)
    np.testing.assert_allclose(*steps, rtol=1e-9, atol=1e-9)


def test_a_step_solves_the_damped_normal_equations():
    """Written out: h = -(J^T J + mu I)^-1 J^T r of a linear net."""
    net = Network([3, 2], "identity", random_state=0)
    before = net.params_.copy()
    design = np.hstack([X, np.ones((60, 1))])
    W = np.vstack([net.coefs_[0], net.intercepts_[0]])
    mu = 1e-3 * np.diag(design.T @ design).max()
    h = -np.linalg.solve(design.T @ design + mu * np.eye(4), design.T @ (design @ W - Y))
    net.fit(X, Y, solver="lm", max_iter=1)
    np.testing.assert_allclose(net.params_ - before, h.ravel(), rtol=1e-10)
    # the step kept what it promised, nearly: a third of the damping (Nielsen, 1999)
    assert net._state.last_loss == pytest.approx(mu / 3, rel=1e-6)


# ---- what it finds ------------------------------------------------------------------------------


def test_rings_in_a_dozen_steps():
    rings, ring = make_circles(500, factor=0.5, noise=0.05, random_state=0)
    solved = []
    for seed in range(8):
        net = Network([2, 4, 8, 1], "sigmoid", init="uniform", random_state=seed)
        net.fit(rings, ring[:, np.newaxis], solver="lm", max_iter=60)
        below = [i for i, loss in enumerate(net.loss_curve_) if loss < 2e-3]
        solved.append(below[0] if below else math.inf)
        assert all(np.diff(net.loss_curve_) < 0)
    assert np.median(solved) <= 20
    assert np.isfinite(solved).sum() >= 7


def test_a_smooth_function_to_many_digits():
    x, y = sinc()
    for seed in range(4):
        net = Network([1, 10, 1], "tanh", out_activation="identity", random_state=seed)
        net.fit(x, y, solver="lm", max_iter=200)
        assert net.loss(x, y) < 5e-7


@pytest.mark.parametrize("loss", [row.name for row in WITH_CURVATURE])
@BOTH
def test_every_loss_gets_to_where_its_gradient_vanishes(loss, solver):
    y = targets(loss)
    net = new(loss, (3, 2)).fit(X, y, solver=solver, max_iter=100, alpha=0.1)
    _, coef_grads, intercept_grads = net.loss_and_grad(X, y, alpha=0.1)
    assert max(np.abs(g).max() for g in (*coef_grads, *intercept_grads)) < 1e-6
    assert net.n_iter_ < 100  # it ends by itself
    assert all(np.diff(net.loss_curve_) < 0)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_losses_with_kinks_by_lbfgs(loss):
    """Lines that end at kinks give no pair; the search goes on."""
    level = {"quantile": [0.3, 0.7]} if loss == "quantile" else {}
    y = Y[:, :1] if loss == "quantile" else Y
    net = new(loss, **level).fit(X, y, solver="lbfgs", max_iter=200)
    adam = new(loss, **level).fit(X, y, max_iter=400, learning_rate_init=0.01)
    assert net.loss(X, y) < 1.2 * adam.loss(X, y)


def test_a_loss_of_ones_own_by_lbfgs():
    one = new(OWN).fit(X, Y, solver="lbfgs", max_iter=12)
    other = new().fit(X, Y, solver="lbfgs", max_iter=12)
    np.testing.assert_allclose(one.params_, other.params_, rtol=1e-6, atol=1e-8)


def test_scipy_needs_as_many_evaluations(monkeypatch):
    """Of the loss, to the same loss, within a third, on nets of several shapes."""
    from scipy.optimize import minimize

    ours, theirs = [], []
    for units, seed in itertools.product([(3, 2), (3, 5, 2), (3, 20, 10, 2)], range(3)):
        net = new(units=units, seed=seed)
        start, grads = net.params_.copy(), np.empty_like(net.params_)

        def loss(params, net=net, grads=grads):
            net.params_[:] = params
            value, *both = net.loss_and_grad(X, Y, alpha=0.1)
            parts = [g.ravel() for pair in zip(*both, strict=True) for g in pair]
            return value, np.concatenate(parts)

        result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
        net.params_[:] = start
        curve = net.fit(X, Y, solver="lbfgs", max_iter=120, alpha=0.1).loss_curve_
        reached = [i for i, value in enumerate(curve) if value <= result.fun * (1 + 1e-6)]
        assert reached, (units, seed)
        ours.append(reached[0])
        theirs.append(result.nit)
    assert np.median(ours) <= 1.33 * np.median(theirs)


@UNCHECKED_ONLY
def test_many_rows_are_done_in_parts_by_lbfgs(monkeypatch):
    """The losses of parts, which threads share, give the search of one call."""
    whole = new().fit(X, Y, solver="lbfgs", max_iter=5)
    params = []
    x, y = np.tile(X, (40, 1)), np.tile(Y, (40, 1))
    for n_jobs in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr("fastnn.work.BUDGET", 1e5)
            patch.setattr("fastnn.work.WORTH_A_THREAD", 0)
            patch.setattr("fastnn.threads._available", lambda: 2)
            net = new(n_jobs=n_jobs).fit(x, y, solver="lbfgs", max_iter=5)
        np.testing.assert_allclose(net.params_, whole.params_, rtol=1e-7, atol=1e-9)
        params.append(net.params_.tobytes())
    assert params[0] == params[1]


@BOTH
def test_float32_is_rounded_float64(solver):
    x, y = sinc()
    nets = [
        Network([1, 6, 1], "tanh", out_activation="identity", random_state=0, dtype=dtype)
        for dtype in ("f4", "f8")
    ]
    nets[1].params_[:] = nets[0].params_
    for net in nets:
        net.fit(x, y, solver=solver, max_iter=30 if solver == "lm" else 300)
    assert nets[0].params_.dtype == np.float32
    assert nets[0].loss(x, y) == pytest.approx(nets[1].loss(x, y), rel=0.5, abs=1e-5)
    assert nets[0].loss(x, y) < 1e-4


@BOTH
def test_weights_are_repetitions(solver):
    times = np.random.RandomState(0).randint(4, size=60)
    one = new().fit(X, Y, solver=solver, max_iter=6, sample_weight=times, alpha=0.1)
    other = new().fit(np.repeat(X, times, 0), np.repeat(Y, times, 0), solver=solver, max_iter=6,
                      alpha=0.1)  # fmt: skip
    np.testing.assert_allclose(one.params_, other.params_, rtol=1e-8, atol=1e-10)


# ---- as any other solver ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_partial_fit_goes_on(solver, dtype):
    one = new(dtype=dtype).fit(X, Y, solver=solver, max_iter=17)
    other = new(dtype=dtype)
    for _ in range(17):
        other.partial_fit(X, Y, solver=solver)
    np.testing.assert_array_equal(one.params_, other.params_)
    assert one.loss_curve_ == other.loss_curve_
    other.reset_solver()
    other.partial_fit(X, Y, solver=solver)
    assert other._state.n_steps == 1


@BOTH
def test_curve_callbacks_and_early_end(solver):
    seen = []
    net = new(units=(3, 2))
    losses_before = []

    def look(net):
        seen.append((net.n_iter_, net.params_.copy()))
        losses_before.append(net.loss_)

    start = net.loss(X, Y)
    net.fit(X, Y, solver=solver, max_iter=99, callback=look)
    assert net.n_iter_ == len(net.loss_curve_) == seen[-1][0] < 99
    assert net.loss_curve_[0] == start
    assert [n for n, _ in seen] == list(range(1, net.n_iter_ + 1))
    assert losses_before == net.loss_curve_
    stopped = new(units=(3, 2)).fit(X, Y, solver=solver, callback=lambda net: net.n_iter_ == 2)
    assert stopped.n_iter_ == 2
    np.testing.assert_array_equal(stopped.params_, seen[1][1])


@BOTH
def test_a_callback_may_change_parameters(solver):
    def nudge(net):
        if net.n_iter_ == 3:
            net.params_[:] += 0.1

    net = new().fit(X, Y, solver=solver, max_iter=6, callback=nudge)
    first = new().fit(X, Y, solver=solver, max_iter=3)
    first.params_[:] += 0.1
    for _ in range(3):
        first.partial_fit(X, Y, solver=solver)
    np.testing.assert_array_equal(net.params_, first.params_)


@BOTH
def test_early_stopping(solver):
    net = Network([3, 30, 2], "tanh", out_activation="identity", random_state=0)
    net.fit(X[:30], Y[:30], solver=solver, X_val=X[30:], y_val=Y[30:], n_iter_no_change=3)
    assert net.n_iter_ < 50
    assert max(net.validation_scores_) == pytest.approx(-net.loss(X[30:], Y[30:]))


@UNCHECKED_ONLY
def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr("fastnn.work.WORTH_A_THREAD", 0)
    monkeypatch.setattr("fastnn.threads._available", lambda: 4)
    params = []
    for n_jobs in (1, 2, 4):
        net = new(units=(3, 60, 2), n_jobs=n_jobs)
        params.append(net.fit(X, Y, solver="lm", max_iter=4).params_.tobytes())
    assert len(set(params)) == 1


# ---- hard cases ---------------------------------------------------------------------------------


@BOTH
def test_a_perfect_fit_stays(solver):
    net = new()
    before = net.params_.copy()
    net.fit(X, net.predict(X), solver=solver, max_iter=9)
    assert net.n_iter_ == 1
    assert net.loss_ == 0
    np.testing.assert_array_equal(net.params_, before)


@BOTH
@pytest.mark.parametrize("what", ["constant", "zero", "twice"])
def test_features_that_say_nothing(what, solver):
    x = X.copy()
    x[:, 1] = {"constant": 1.0, "zero": 0.0, "twice": x[:, 0]}[what]
    net = new().fit(x, Y, solver=solver, max_iter=30)
    assert net.loss(x, Y) < new().loss(x, Y) / 2
    assert np.isfinite(net.params_).all()


@BOTH
def test_dead_units_and_saturated_outputs(solver):
    net = Network([3, 4, 1], "relu", loss="binary_log_loss", random_state=0)
    net.intercepts_[0][:] = -100  # no unit is ever on
    net.intercepts_[1][:] = 40  # sigmoid is 1 there
    y = (X[:, :1] > 0).astype(float)
    before = net.loss(X, y)
    net.fit(X, y, solver=solver, max_iter=30)
    assert net.loss(X, y) < before
    assert np.isfinite(net.params_).all()


@BOTH
def test_rows_of_weight_0_do_not_count(solver):
    weights = np.r_[np.ones(40), np.zeros(20)]
    y = Y.copy()
    one = new().fit(X, y, solver=solver, max_iter=4, sample_weight=weights)
    y[40:] = 1e3
    other = new().fit(X, y, solver=solver, max_iter=4, sample_weight=weights)
    np.testing.assert_array_equal(one.params_, other.params_)


@BOTH
def test_numbers_beyond_range(solver):
    """A loss that overflows at the start is an error; one on the way is a step too far."""
    net = new()
    before = net.params_.copy()
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        net.fit(X, 1e300 * Y, solver=solver)
    np.testing.assert_array_equal(net.params_, before)
    steep = Network([3, 4, 1], "softplus", out_activation="exp", random_state=0)
    steep.fit(X, 5 * Y[:, :1], solver=solver, max_iter=30, damping=1e-12)
    assert np.isfinite(steep.params_).all()
    assert all(np.diff(steep.loss_curve_) < 0)


@pytest.mark.parametrize("way", ["inputs", "coefs", "penalty"])
def test_second_derivatives_beyond_range(way):
    """The loss is finite and its matrix is not: an error, and the parameters stay."""
    x, options = X.copy(), {}
    net = Network([3, 5, 2], "tanh", random_state=0)
    if way == "inputs":
        x[3, 1] = 1e160
        net.coefs_[0][:] = 0
    elif way == "coefs":
        net.coefs_[0][:], net.intercepts_[0][:], net.coefs_[1][:] = 0, 0, 1e160
    else:
        options = {"alpha": 1.7e308, "sample_weight": np.full(60, 1e250)}
    before = net.params_.copy()
    with pytest.raises(FloatingPointError, match=r"beyond float64's range|no longer finite"):
        net.fit(x, Y, solver="lm", max_iter=5, **options)
    np.testing.assert_array_equal(net.params_, before)
    assert net.loss_curve_ == []


@pytest.mark.parametrize(
    ("made", "given", "error", "message"),
    [
        ({"loss": "absolute_error"}, {}, ValueError, "needs the curvature .* 'absolute_error'"),
        ({"loss": "quantile", "quantile": [0.1, 0.9]}, {}, ValueError, "needs the curvature"),
        ({"loss": OWN}, {}, ValueError, "a loss of one's own"),
        ({}, {"batch_size": 10}, ValueError, '"lm" needs all 60 rows'),
        ({}, {"batch_size": 10, "solver": "lbfgs"}, ValueError, '"lbfgs" needs all 60 rows'),
        ({}, {"dropout": 0.5, "solver": "lbfgs"}, ValueError, "dropout is not for"),
        ({}, {"learning_rate": "cosine"}, ValueError, "takes no schedule"),
        ({}, {"clip_norm": 1.0}, ValueError, "clip_norm is not for"),
        ({}, {"ema": 0.5}, ValueError, "ema is not for"),
        ({}, {"input_noise": 0.5}, ValueError, "input_noise is not for"),
        ({}, {"dropout": [0.5]}, ValueError, "dropout is not for"),
        ({}, {"damping": 0.0}, ValueError, "damping"),
        ({}, {"gain_ratio": "yes"}, TypeError, "gain_ratio"),
    ],
)
def test_refused(made, given, error, message):
    net = Network([3, 4, 2], random_state=0, **made)
    before, y = net.params_.copy(), Y[:, :1] if made.get("loss") == "quantile" else Y
    with pytest.raises(error, match=message):
        net.fit(X, y, **{"solver": "lm", **given})
    np.testing.assert_array_equal(net.params_, before)
    assert net.loss_curve_ == []


def test_more_memory_than_allowed_is_refused(monkeypatch):
    net = Network([100, 200, 10], random_state=0)
    x, y = np.zeros((2300, 100)), np.zeros((2300, 10))
    sizes = r"22210 parameters \(3\.7 GiB\), or of 2300 rows of 10 outputs \(4\.0 GiB\)"
    with pytest.raises(ValueError, match=rf"needs 3\.7 GiB for the matrix of {sizes}"):
        net.fit(x, y, solver="lm")
    with pytest.raises(ValueError, match=r"needs 3\.7 GiB for the matrix of 22210 parameters \("):
        net.fit(x[:5], y[:5], solver="lm", alpha="evidence")
    # which takes the matrix of rows without
    x[:, 0], y[:5] = range(2300), 1
    net.fit(x[:5], y[:5], solver="lm", max_iter=5)
    assert net.loss_curve_[-1] < 0.5 * net.loss_curve_[0]
    monkeypatch.setattr(second_order, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match='solver "lm" needs'):
        new().fit(X, Y, solver="lm")


@UNCHECKED_ONLY
def test_ctrl_c_within_a_step():
    """Signals are looked at between pieces of the sums and of the factorisation."""
    import signal
    import time

    x = np.random.RandomState(0).randn(4000, 40)
    net = Network([40, 60, 1], "tanh", out_activation="identity", random_state=0, n_jobs=1)
    before = net.params_.copy()
    began = []

    def interrupt(*_):
        began.append(time.perf_counter())
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            net.fit(x, x[:, :1], solver="lm", max_iter=1000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(began) == 1
    assert np.isfinite(net.params_).all()
    assert net.n_iter_ > 0 or (net.params_ == before).all()
