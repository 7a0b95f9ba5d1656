"""Network: what people see, over the build that fastnn chose."""

import inspect
import pickle
import signal
import threading
import typing

import numpy as np
import pytest

import fastnn
from fastnn import Network, kernels, reference, trainable, work
from fastnn.catalog import activations, initializers, losses, solvers
from fastnn.data.rows import SparseRows
from fastnn.training.options import SolverOptions, new_step
from fastnn.training.run import TrainingRun

SOLVERS = {
    "plain": {"solver": "sgd", "learning_rate_init": 0.1},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.8,
                 "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.8},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}  # fmt: skip


@pytest.fixture
def moons(rng):
    X = rng.randn(150, 2)
    return X, (X[:, :1] * X[:, 1:] > 0).astype(float)


def flat(net):
    return np.concatenate([a.ravel() for a in [*net.coefs_, *net.intercepts_]])


# ---- construction -------------------------------------------------------------------------------


def test_defaults_and_repr():
    net = Network([2, 4, 8, 1], activation="sigmoid", random_state=0)
    assert net.layer_units == (2, 4, 8, 1)
    assert net.activations == ("sigmoid",) * 3
    assert [c.shape for c in net.coefs_] == [(2, 4), (4, 8), (8, 1)]
    assert [b.shape for b in net.intercepts_] == [(4,), (8,), (1,)]
    text = "Network([2, 4, 8, 1], activation='sigmoid', loss='squared_error', dtype='float64')"
    assert repr(net) == text
    again = eval(text, {"Network": Network})
    assert again.activations == net.activations
    mixed = Network([2, 4, 3], ["relu", "softmax"], loss="log_loss", dtype="float32")
    assert eval(repr(mixed), {"Network": Network}).activations == ("relu", "softmax")


@pytest.mark.parametrize(
    ("options", "activations"),
    [
        ({}, ("sigmoid", "sigmoid")),
        ({"activation": "relu"}, ("relu", "identity")),
        ({"activation": "tanh", "loss": "binary_log_loss"}, ("tanh", "sigmoid")),
        ({"activation": "logistic", "loss": "log_loss"}, ("sigmoid", "softmax")),
        ({"activation": "relu", "out_activation": "tanh"}, ("relu", "tanh")),
        ({"activation": ["tanh", "relu"]}, ("tanh", "relu")),
        ({"loss": "categorical_cross_entropy"}, ("sigmoid", "softmax")),
        ({"loss": "poisson", "activation": "relu"}, ("relu", "exp")),
        ({"activation": ["tanh", "exp"]}, ("tanh", "exp")),
    ],
)
def test_activations(options, activations):
    assert Network([3, 4, 2], **options).activations == activations


def test_glorot_draws_as_scikit_learn():
    from sklearn.neural_network import MLPRegressor

    for ours, theirs in (("sigmoid", "logistic"), ("relu", "relu")):
        regressor = MLPRegressor(
            hidden_layer_sizes=(5, 4), activation=theirs, random_state=3, max_iter=1,
            learning_rate_init=1e-300,
        )  # fmt: skip
        with pytest.warns(Warning, match="Maximum iterations"):
            regressor.fit(np.zeros((3, 2)), np.zeros(3))
        net = Network([2, 5, 4, 1], ours, random_state=3)
        for a, b in zip(net.coefs_, regressor.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(net.intercepts_, regressor.intercepts_, strict=True):
            np.testing.assert_array_equal(a, b)


def test_uniform_draws_as_the_tutorial():
    from fastnn import tutorial

    np.random.seed(7)
    layers = tutorial.create_nn([2, 4, 1], tutorial.sigm)
    net = Network([2, 4, 1], init="uniform", random_state=7)
    for i, layer in enumerate(layers):
        np.testing.assert_array_equal(net.coefs_[i], layer.W)
        np.testing.assert_array_equal(net.intercepts_[i], layer.b[0])


@pytest.mark.parametrize("name", ["identity", "sigmoid", "tanh", "relu", "silu", "elu"])
@pytest.mark.parametrize("out", ["identity", "exp", "softmax"])
def test_auto_is_glorot_for_what_scikit_learn_draws_so(name, out):
    for units, names in (([3, 9, 5, 2], [name, "tanh", out]), ([3, 2], [out])):
        auto, glorot = (
            Network(units, names, random_state=3, **more) for more in ({}, {"init": "glorot"})
        )
        np.testing.assert_array_equal(auto.params_, glorot.params_)


@pytest.mark.parametrize(
    "row", [row for row in activations.ACTIVATIONS if row.hidden], ids=lambda row: row.name
)
def test_auto_draws_what_the_catalog_says(row, dtype):
    net = Network([4, 7, 5, 2], ["tanh", row.name, "identity"], dtype=dtype, random_state=5)
    rng = np.random.RandomState(5)
    # the output layer takes what the layer before it has
    for i, wanted in enumerate([activations.BY_NAME["tanh"], row, row]):
        shape = net.coefs_[i].shape
        if wanted.init == "glorot":
            bound = np.sqrt(wanted.gain / sum(shape))
            coef, intercept = (rng.uniform(-bound, bound, size) for size in (shape, shape[1]))
        else:
            variance = {"he": 2, "lecun": 1}[wanted.init] / shape[0]
            coef = rng.standard_normal(shape) * np.sqrt(variance)
            intercept = np.zeros(shape[1])
        np.testing.assert_array_equal(net.coefs_[i], coef.astype(dtype))
        np.testing.assert_array_equal(net.intercepts_[i], intercept.astype(dtype))
    assert net._random_state.randint(2**32) == rng.randint(2**32)


@pytest.mark.parametrize(("name", "gain"), [("gelu", 2), ("relu", 2), ("tanh", 1), ("selu", 1)])
def test_orthogonal(name, gain, dtype):
    net = Network([6, 20, 20, 3], name, init="orthogonal", dtype=dtype, random_state=0)
    for coef, intercept in zip(net.coefs_, net.intercepts_, strict=True):
        wide = coef if coef.shape[0] <= coef.shape[1] else coef.T
        np.testing.assert_allclose(
            wide @ wide.T, gain * np.eye(len(wide)), rtol=0, atol=20 * np.finfo(dtype).eps
        )
        assert not intercept.any()
    # the signs are those of a uniform draw: no entry is always of one sign
    signs = [np.sign(Network([2, 2], init="orthogonal", random_state=i).coefs_[0]).ravel()
             for i in range(40)]  # fmt: skip
    assert (np.abs(np.mean(signs, axis=0)) < 0.6).all()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu"])
def test_signals_keep_their_size(name, rng):
    """Through 20 layers, for those whose init was derived so."""
    init = "he" if name == "relu" else "auto"
    X = rng.randn(200, 300)
    layers = Network([300] * 21, [name] * 20, init=init, random_state=0).forward(X)
    size = np.mean(layers[-1] ** 2)
    assert 0.02 < size / np.mean(layers[0] ** 2) < 5


@pytest.mark.parametrize("init", list(initializers.CHOICES))
def test_last_layer_scale(init, dtype):
    given = {"init": init, "dtype": dtype, "random_state": 1}
    whole, tenth, zero = (
        Network([3, 8, 4], "gelu", last_layer_scale=scale, **given) for scale in (1, 0.125, 0)
    )
    np.testing.assert_array_equal(tenth.coefs_[0], whole.coefs_[0])
    np.testing.assert_array_equal(tenth.coefs_[1], whole.coefs_[1] / 8)
    np.testing.assert_array_equal(tenth.intercepts_[1], whole.intercepts_[1] / 8)
    assert not zero.predict(np.ones((2, 3))).any()
    assert not np.signbit(zero.coefs_[1]).any()
    assert whole._random_state.randint(2**32) == zero._random_state.randint(2**32)


def test_global_random_state_is_the_default():
    np.random.seed(5)
    a = Network([2, 3, 1])
    np.testing.assert_array_equal(flat(a), flat(Network([2, 3, 1], random_state=5)))


# ---- looking ------------------------------------------------------------------------------------


def test_predict_before_fit_is_the_untrained_net(every_build, rng):
    net = Network([3, 4, 2], "tanh", random_state=0)
    X = rng.randn(10, 3)
    hidden = np.tanh(X @ net.coefs_[0] + net.intercepts_[0])
    out = hidden @ net.coefs_[1] + net.intercepts_[1]
    np.testing.assert_allclose(net.predict(X), out, rtol=1e-12, atol=1e-14)
    first, last = net.forward(X)
    np.testing.assert_allclose(first, hidden, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(last, net.predict(X))


def test_predict_in_blocks_is_predict(monkeypatch, rng, dtype):
    net = Network([3, 4, 2], random_state=0, dtype=dtype)
    X = rng.randn(2000, 3)
    whole = net.predict(X)
    monkeypatch.setattr(work, "BUDGET", 1.0)
    np.testing.assert_array_equal(net.predict(X), whole)


@pytest.mark.parametrize("loss", ["squared_error", "binary_log_loss", "log_loss", "poisson"])
def test_a_row_alone_has_the_bits_of_the_row_among_others(every_build, rng, dtype, loss):
    for units in ([64, 100, 10], [3, 7, 33, 2], [97, 16, 17]):
        for activation in ("sigmoid", "tanh", "relu"):
            net = Network(units, activation, loss=loss, random_state=0, dtype=dtype)
            X = rng.randn(20, units[0])
            many = net.forward(X)
            for n in (1, 2, 4):
                for one, among in zip(net.forward(X[3 : 3 + n]), many, strict=True):
                    if kernels.build is reference:  # BLAS has its own ways
                        np.testing.assert_allclose(one, among[3 : 3 + n], rtol=1e-4)
                    else:
                        np.testing.assert_array_equal(one, among[3 : 3 + n])


def test_loss_and_grad_by_central_differences(every_build, rng):
    net = Network([3, 5, 2], "tanh", loss="log_loss", random_state=0)
    X, y = rng.randn(7, 3), np.eye(2)[rng.randint(2, size=7)]
    loss, coef_grads, intercept_grads = net.loss_and_grad(X, y, alpha=0.1)
    assert loss == net.loss(X, y, alpha=0.1)
    assert loss > net.loss(X, y)
    for views, grads in ((net.coefs_, coef_grads), (net.intercepts_, intercept_grads)):
        for view, grad in zip(views, grads, strict=True):
            where = (0,) * view.ndim
            kept, h = view[where], 1e-5
            view[where] = kept + h
            above = net.loss(X, y, alpha=0.1)
            view[where] = kept - h
            below = net.loss(X, y, alpha=0.1)
            view[where] = kept
            np.testing.assert_allclose(
                grad[where], (above - below) / (2 * h), rtol=1e-7, atol=1e-10
            )


@pytest.mark.parametrize("n", [1, 40, 1024, 1025])
def test_the_loss_of_lists_is_that_of_arrays(every_build, dtype, n, rng):
    net = Network([3, 7, 2], "tanh", loss="log_loss", dtype=dtype, random_state=0)
    X, y = rng.randn(n, 3).astype(dtype), np.eye(2, dtype=dtype)[rng.randint(2, size=n)]
    for alpha in (0.0, 0.1):
        assert net.loss(X, y, alpha=alpha) == net.loss(X.tolist(), y.tolist(), alpha=alpha)
        plain = net.loss_and_grad(X, y, alpha=alpha)
        listed = net.loss_and_grad(X.tolist(), y.tolist(), alpha=alpha)
        assert plain[0] == listed[0] == net.loss(X, y, alpha=np.float64(alpha))
        for grads, others in zip(plain[1:], listed[1:], strict=True):
            for grad, other in zip(grads, others, strict=True):
                np.testing.assert_array_equal(grad, other)


def test_the_loss_still_refuses_bad_input(every_build, monkeypatch):
    net = Network([2, 3, 1], "tanh", loss="binary_log_loss", random_state=0)
    X, y = np.ones((4, 2)), np.ones((4, 1))
    for method in (net.loss, net.loss_and_grad):
        for options, error in (({"alpha": True}, TypeError), ({"alpha": -1.0}, ValueError),
                               ({"alpha": np.nan}, ValueError)):  # fmt: skip
            with pytest.raises(error, match="alpha"):
                method(X, y, **options)
        with pytest.raises(ValueError, match="X\\[0, 0\\] is nan"):
            method(X * np.nan, y)
        with pytest.raises(ValueError, match="y must be between 0 and 1"):
            method(X, y * 2)
        with pytest.raises(ValueError, match="y must have 4 rows"):
            method(X, y[:3])
        with monkeypatch.context() as patch:
            patch.setenv("FASTNN_NUM_THREADS", "none")
            with pytest.raises(ValueError, match="FASTNN_NUM_THREADS"):
                method(X, y)
    # of a loss, unlike a fit, the output need not reach the targets
    reach = Network([2, 3, 1], random_state=0)
    assert reach.loss(X, y * 346) == reach.loss(X.tolist(), y * 346)
    net.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_"):
        net.loss(X, y)


def test_a_fit_of_lists_is_that_of_arrays(every_build, dtype, rng):
    X, y = rng.randn(30, 3).astype(dtype), rng.rand(30, 2).astype(dtype)
    for options in ({}, {"batch_size": 8}, {"solver": "sgd", "alpha": 0.1}):
        plain, listed = (Network([3, 5, 2], dtype=dtype, random_state=0) for _ in range(2))
        plain.fit(X, y, max_iter=3, **options)
        listed.fit(X.tolist(), y.tolist(), max_iter=3, **options)
        np.testing.assert_array_equal(plain.params_, listed.params_)
        assert plain.loss_curve_ == listed.loss_curve_


def test_a_fit_still_refuses_bad_input(every_build):
    net = Network([2, 3, 1], random_state=0)
    X, y = np.ones((4, 2)), np.ones((4, 1))
    net.fit(X, y, max_iter=2)
    before, curve = net.params_.copy(), list(net.loss_curve_)
    for data, options in (
        ((X * np.inf, y), {}), ((X[:, :1], y), {}), ((X, y[:2]), {}), ((X, y * 346), {}),
        ((X, y), {"batch_size": 0}), ((X, y), {"alpha": True}), ((X, y), {"shuffle": 1}),
        ((X, y), {"max_iter": 0}), ((X, y), {"callback_every": 0}), ((X, y), {"callback": 3}),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            net.fit(*data, **options)
        assert (net.params_ == before).all()
        assert net.loss_curve_ == curve


def test_layer_units_are_whole_numbers_of_any_type():
    for units in (np.array([2, 3]), (n for n in (2, 3)), [np.int8(2), 3]):
        assert Network(units, random_state=0).layer_units == (2, 3)
    for units in ([True, 3], [2.0, 3], [2, 0], [2, 2**48 + 1]):
        Network([1, 3] if units[0] is True else [2, 3])  # what equals it was taken before
        with pytest.raises((TypeError, ValueError), match="layer_units\\["):
            Network(units)


def test_a_step_has_no_other_fields():
    step = kernels.new_step(alpha=0.5, batch_size=7)
    assert step["alpha"] == 0.5
    assert step["batch_size"] == 7
    assert step["budget"] == np.inf
    assert step["n_threads"] == 1
    assert step["momentum"] == step["loss"] == 0
    with pytest.raises(ValueError, match="no velocity"):
        kernels.new_step(velocity=1.0)


def test_a_step_ends_with_the_numbers_of_its_loss_and_of_dropout():
    step = kernels.new_step(loss_numbers=[0.1, 0.9], dropout=[0.5, 0.25, 0.0], seed=7)
    data = kernels.step_bytes(step)
    assert len(data) == kernels.STEP.itemsize + 5 * 8
    assert data[: kernels.STEP.itemsize].view(kernels.STEP)["seed"] == 7
    assert data[kernels.STEP.itemsize :].view("f8").tolist() == [0.1, 0.9, 0.5, 0.25, 0.0]
    step["seed"] = 8  # the bytes are the record's
    assert data[: kernels.STEP.itemsize].view(kernels.STEP)["seed"] == 8
    assert len(kernels.step_bytes(kernels.new_step())) == kernels.STEP.itemsize


def test_parameters_are_views_that_may_be_read_set_and_edited(rng):
    net = Network([2, 3, 1], random_state=0)
    X = rng.randn(5, 2)
    view = net.coefs_[0]
    before = net.predict(X)
    view[0, 0] += 1
    assert (net.predict(X) != before).any()
    net.coefs_[0] = np.zeros((2, 3), np.float32)
    assert not view.any()
    given = [np.ones((2, 3)), np.ones((3, 1))]
    net.coefs_ = given
    given[0][:] = 9
    assert (view == 1).all()
    net.intercepts_ = [[1, 2, 3], [4]]
    assert net.intercepts_[0].tolist() == [1, 2, 3]
    net.fit(X, np.zeros(5), max_iter=1)
    assert view is net.coefs_[0]
    assert (view != 1).any()


def test_assignment_from_its_own_views():
    net = Network([2, 2, 2], random_state=0)
    a, b = net.coefs_[0].copy(), net.coefs_[1].copy()
    net.coefs_ = [net.coefs_[1], net.coefs_[0]]
    np.testing.assert_array_equal(net.coefs_[0], b)
    np.testing.assert_array_equal(net.coefs_[1], a)


# ---- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch_size", [1, 16, "auto", 150])
def test_fit_agrees_with_the_reference(solver, batch_size, moons, monkeypatch):
    X, y = moons
    nets = []
    for build in (kernels.build, reference):
        monkeypatch.setattr(kernels, "build", build)
        net = Network([2, 7, 1], "tanh", loss="binary_log_loss", random_state=1)
        nets.append(net.fit(X, y, max_iter=3, batch_size=batch_size, **SOLVERS[solver]))
    np.testing.assert_allclose(flat(nets[0]), flat(nets[1]), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(nets[0].loss_curve_, nets[1].loss_curve_, rtol=1e-10)


def test_poisson_learns_from_rates_that_underflow(every_build, dtype):
    """exp(-800) is 0 in both types; the loss is computed from its logarithm."""
    net = Network([1, 1], loss="poisson", dtype=dtype, random_state=0)
    net.coefs_[0], net.intercepts_[0] = [[0.0]], [-800.0]
    X, y = np.zeros((4, 1)), np.full((4, 1), 3.0)
    want = 3 * np.log(3) + 3 * 800 - 3
    np.testing.assert_allclose(net.loss(X, y), want, rtol=4 * np.finfo(dtype).eps)
    net.fit(X, y, solver="sgd", learning_rate_init=0.5, max_iter=600)
    np.testing.assert_allclose(net.predict(X), 3, rtol=1e-4)
    net.intercepts_[0] = [800.0]
    assert net.loss(X, y) == np.inf


def test_poisson_learns_rates(every_build, dtype, rng):
    X = rng.uniform(-1, 1, (2000, 2))
    rates = np.exp(1 + X[:, :1] - 2 * X[:, 1:])
    y = rng.poisson(rates)
    assert (y == 0).any()
    net = Network([2, 1], loss="poisson", random_state=0, dtype=dtype)
    assert repr(net).startswith("Network([2, 1], activation=('exp',), loss='poisson'")
    net.fit(X, y, learning_rate_init=0.05, max_iter=40)
    # about 1 / sqrt(the sum of the counts) is what chance leaves of them
    coefs = np.ravel([*net.coefs_[0], net.intercepts_[0]])
    np.testing.assert_allclose(coefs, [1, -2, 1], rtol=0, atol=0.1)
    with pytest.raises(ValueError, match=r"at least 0 for loss 'poisson', got y\[1, 0\] = -1"):
        net.fit(X[:3], [0, -1, 2.5])


def test_runs_on_sparse_rows_with_weights(every_build, dtype, rng):
    """What a room above does for whoever has such data."""
    net = Network([6, 9, 1], "tanh", random_state=0, dtype=dtype)
    dense = rng.randn(50, 6).astype(dtype) * (rng.rand(50, 6) < 0.3)
    y = rng.randn(50, 2).astype(dtype)
    y[:, 1] = 1
    row, column = dense.nonzero()
    starts = np.searchsorted(row, np.arange(51)).astype(np.intp)
    rows = SparseRows(dense[row, column][None], column.astype(np.int32), starts)
    numbers = {"learning_rate_init": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    step = new_step("squared_error", solver="adam", batch_size=20, **numbers)
    ends, curves = [], []
    for x in (rows, dense):
        run = TrainingRun(net._units, net._codes, step, dtype, weighted=True)
        ends.append(net.params_.copy())
        curves.append(np.empty(3))
        with run:
            run.epochs(ends[-1], x, y, curves[-1])
    np.testing.assert_array_equal(*ends)
    np.testing.assert_array_equal(*curves)
    y[20:40, 1] = np.tile([1, -1], 10)
    with pytest.raises(ZeroDivisionError, match=r"Weights sum to zero.* in epoch 4"):
        run.epochs(ends[0], rows, y, curves[0])
    assert run.n_steps == 3 * 3 + 1
    assert (ends[0] != ends[1]).any()


def test_a_run_that_keeps_going(every_build, rng):
    net = Network([3, 1], "identity", random_state=0)
    x, y = rng.randn(50, 3), rng.randn(50, 1)
    for keep_going in (False, True):
        step = new_step(
            "squared_error", solver="sgd", learning_rate_init=1e200, batch_size=50,
            keep_going=keep_going,
        )  # fmt: skip
        params, curve = net.params_.copy(), np.zeros(5)
        run = TrainingRun(net._units, net._codes, step, net.dtype)
        if keep_going:
            run.epochs(params, x, y, curve)
            assert run.epochs_done == 5
            assert np.isfinite(curve).tolist() == [True, False, False, False, False]
            assert np.isnan(params).all()
        else:
            with pytest.raises(FloatingPointError):
                run.epochs(params, x, y, curve)
            assert np.isfinite(params).all()


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_fit_takes_scikit_learns_steps(solver):
    """The same start, order and arithmetic as MLPRegressor's."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.RandomState(0)
    X, y = rng.randn(90, 3), rng.randn(90)
    options = {"learning_rate_init": 0.01, "alpha": 0.01, "batch_size": 32, "max_iter": 5}
    names = {"adam": {"solver": "adam"}, "nesterov": {"solver": "sgd", "momentum": 0.9}}[solver]
    theirs = MLPRegressor(
        hidden_layer_sizes=(8,), activation="tanh", random_state=4, n_iter_no_change=99,
        **names, **options,
    )  # fmt: skip
    with pytest.warns(Warning, match="Maximum iterations"):
        theirs.fit(X, y)
    ours = Network([3, 8, 1], "tanh", random_state=4).fit(X, y, **names, **options)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("solver", SOLVERS)
def test_fit_learns(every_build, dtype, solver, moons):
    X, y = moons
    net = Network([2, 16, 1], "tanh", loss="binary_log_loss", random_state=0, dtype=dtype)
    assert net.fit(X, y, max_iter=150, batch_size=25, **SOLVERS[solver]) is net
    assert net.loss_ < 0.3
    assert net.loss_ == net.loss_curve_[-1] < net.loss_curve_[0]
    assert net.n_iter_ == len(net.loss_curve_) == 150
    assert ((net.predict(X) > 0.5) == y).mean() > 0.9
    assert net.predict(X).dtype == dtype


def test_fit_goes_on_from_the_present_parameters(moons):
    X, y = moons
    options = {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 150}
    once = Network([2, 4, 1], random_state=0).fit(X, y, max_iter=20, **options)
    twice = Network([2, 4, 1], random_state=0).fit(X, y, max_iter=10, **options)
    curve = list(twice.loss_curve_)
    twice.fit(X, y, max_iter=10, **options)
    np.testing.assert_array_equal(flat(once), flat(twice))
    assert curve + twice.loss_curve_ == once.loss_curve_


@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_keeps_the_solvers_state(every_build, solver, moons):
    X, y = moons
    options = {"batch_size": 40, **SOLVERS[solver]}
    whole = Network([2, 20, 1], random_state=0).fit(X, y, max_iter=4, shuffle=False, **options)
    parts = Network([2, 20, 1], random_state=0)
    for _ in range(4):
        assert parts.partial_fit(X, y, shuffle=False, **options) is parts
        parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(flat(whole), flat(parts))
    assert parts.loss_curve_ == whole.loss_curve_


def test_another_solver_starts_afresh(moons):
    X, y = moons
    a = Network([2, 5, 1], random_state=0).partial_fit(X, y, solver="adam")
    b = a.copy()
    b.reset_solver()
    options = {"solver": "sgd", "momentum": 0.5}
    np.testing.assert_array_equal(
        flat(a.partial_fit(X, y, **options)), flat(b.partial_fit(X, y, **options))
    )


def test_copies_and_pickles_train_alike_and_apart(moons):
    X, y = moons
    net = Network([2, 5, 1], random_state=0).fit(X, y, max_iter=2, batch_size=20)
    before = flat(net)
    twins = [net.copy(), pickle.loads(pickle.dumps(net))]
    for twin in twins:
        assert repr(twin) == repr(net)
        assert twin.loss_curve_ == net.loss_curve_
        twin.fit(X, y, max_iter=2, batch_size=20)
    np.testing.assert_array_equal(flat(net), before)
    net.fit(X, y, max_iter=2, batch_size=20)
    for twin in twins:
        np.testing.assert_array_equal(flat(net), flat(twin))


def test_inputs_of_any_layout_are_right_and_untouched(dtype, rng):
    base = (rng.randint(0, 2, (60, 3)), rng.randint(0, 2, (60, 1)))
    want = flat(Network([3, 4, 1], random_state=0, dtype=dtype).fit(*base, max_iter=3))

    def unaligned(a):
        raw = np.zeros(a.size * 8 + 1, np.uint8)
        view = raw[1:].view(np.float64).reshape(a.shape)
        view[:] = a
        return view

    def read_only(a):
        a = a.astype(float)
        a.flags.writeable = False
        return a

    layouts = {
        "list": lambda a: a.tolist(),
        "bool": lambda a: a.astype(bool),
        "int8": lambda a: a.astype(np.int8),
        "float16": lambda a: a.astype(np.float16),
        "fortran": lambda a: np.asfortranarray(a, float),
        "strided": lambda a: np.repeat(np.repeat(a.astype(float), 2, 0), 3, 1)[::2, ::3],
        "reversed": lambda a: a[::-1].astype(float)[::-1],
        "byte-swapped": lambda a: a.astype(">f8"),
        "unaligned": unaligned,
        "read-only": read_only,
        "subclass": lambda a: a.astype(float).view(type("Sub", (np.ndarray,), {})),
        "longdouble": lambda a: a.astype(np.longdouble),
    }
    for name, layout in layouts.items():
        X, y = (layout(a) for a in base)
        copies = np.array(X, copy=True), np.array(y, copy=True)
        net = Network([3, 4, 1], random_state=0, dtype=dtype).fit(X, y, max_iter=3)
        np.testing.assert_array_equal(flat(net), want, err_msg=name)
        np.testing.assert_array_equal(X, copies[0])
        np.testing.assert_array_equal(y, copies[1])


def test_a_y_of_one_dimension_is_one_output(moons):
    X, y = moons
    a = Network([2, 3, 1], random_state=0).fit(X, y, max_iter=2)
    b = Network([2, 3, 1], random_state=0).fit(X, y.ravel(), max_iter=2)
    np.testing.assert_array_equal(flat(a), flat(b))


def test_views_of_the_parameters_as_data():
    a, b = (Network([4, 4, 4], "tanh", random_state=0) for _ in range(2))
    options = {"max_iter": 20, "batch_size": 2, "shuffle": False}
    a.fit(a.coefs_[0], a.coefs_[1], **options)
    b.fit(b.coefs_[0].copy(), b.coefs_[1].copy(), **options)
    np.testing.assert_array_equal(flat(a), flat(b))


def test_a_pickle_of_read_only_buffers_trains(moons):
    buffers = []
    net = Network([2, 3, 1], random_state=0)
    data = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    again = pickle.loads(data, buffers=[bytes(buffer) for buffer in buffers])
    np.testing.assert_array_equal(flat(again.fit(*moons)), flat(net.fit(*moons)))


# ---- when things go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [10, 150])
def test_divergence_restores_and_explains(every_build, dtype, batch_size, moons):
    X, y = moons
    net = Network([2, 8, 1], "relu", random_state=0, dtype=dtype)
    with pytest.raises(FloatingPointError, match=r"diverged in epoch (\d+).*learning rate"):
        net.fit(X * 100, y, solver="sgd", learning_rate_init=10.0, max_iter=500,
                batch_size=batch_size)  # fmt: skip
    assert np.isfinite(flat(net)).all()
    assert np.isfinite(net.loss_curve_).all()
    finished = net.n_iter_
    again = Network([2, 8, 1], "relu", random_state=0, dtype=dtype)
    if finished:
        again.fit(X * 100, y, solver="sgd", learning_rate_init=10.0, max_iter=finished,
                  batch_size=batch_size)  # fmt: skip
    np.testing.assert_array_equal(flat(net), flat(again))


@pytest.mark.parametrize(
    ("layer_units", "n", "batch_size"),
    [([30, 200, 100, 1], 40_000, 50), ([30, 200, 100, 1], 40_000, 40_000),
     ([30, 1000, 1000, 1], 2000, 256)],
)  # fmt: skip
def test_ctrl_c_answers_and_leaves_the_net_usable(monkeypatch, layer_units, n, batch_size):
    """After the compiled call that it interrupts; an epoch here takes several.

    Calls are counted once the signal is pending: on a busy machine the presser can wait before.
    """
    net = Network(layer_units, "tanh", random_state=0)
    rng = np.random.RandomState(0)
    X, y = rng.randn(n, 30), rng.randn(n, 1)
    runs, pressed = [], []

    class Watched(kernels.build.Epochs):
        def until(self, stop):
            runs.append(self)
            if len(runs) == 1:
                presser.start()
            super().until(stop)

    def press():
        signal.raise_signal(signal.SIGINT)
        pressed.append(sum(run.n_calls for run in set(runs)))

    presser = threading.Timer(0.05, press)

    monkeypatch.setattr(kernels.build, "Epochs", Watched)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, max_iter=1000, batch_size=batch_size)
    presser.join()
    assert runs[-1].n_calls - pressed[0] <= 1
    assert np.isfinite(flat(net)).all()
    assert net.n_iter_ < 1000
    net.fit(X[:50], y[:50], max_iter=1)
    net.fit(X, y, max_iter=1, batch_size=batch_size)
    assert runs[-1].n_calls > 5 or kernels.ISA == "reference"  # NumPy does an epoch in one call


def test_signal_handlers_and_the_environment_are_left_alone(moons):
    import os

    before = signal.getsignal(signal.SIGINT), dict(os.environ), threading.active_count()
    Network([2, 3, 1], random_state=0).fit(*moons, max_iter=3)
    assert before == (signal.getsignal(signal.SIGINT), dict(os.environ), threading.active_count())


def test_nets_train_in_parallel_threads(moons):
    from concurrent.futures import ThreadPoolExecutor

    def train(seed):
        return flat(Network([2, 9, 1], random_state=seed).fit(*moons, max_iter=20, batch_size=30))

    one_by_one = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for a, b in zip(pool.map(train, range(8)), one_by_one, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_spelling_of_the_catalog_is_taken():
    for spelling, name in activations.SPELLINGS.items():
        assert Network([2, 3, 2], "tanh", out_activation=spelling).activations[-1] == name
    for spelling, name in losses.SPELLINGS.items():
        more = {"quantile": [0.1, 0.9]} if name == "quantile" else {}
        assert Network([2, 3, 2], "tanh", loss=spelling, **more).loss_function == name
    for literal, table in (
        (activations.ActivationName, activations.SPELLINGS),
        (losses.LossName, losses.SPELLINGS),
        (solvers.SolverName, solvers.SPELLINGS),
    ):
        assert sorted(typing.get_args(literal)) == sorted(table)


def test_solver_options_are_those_of_the_catalog():
    names = ["solver", "learning_rate", *(p.name for p in solvers.PARAMETERS), "dropout"]
    assert list(typing.get_type_hints(SolverOptions)) == names
    for method in (Network.fit, Network.partial_fit):
        shown = inspect.signature(method).parameters
        assert list(shown)[-len(names) :] == names
        assert [shown[p.name].default for p in solvers.PARAMETERS] == [
            p.default for p in solvers.PARAMETERS
        ]
    for name in names:
        assert f"\n{name} : " in inspect.getdoc(Network.fit)
    for row in activations.ACTIVATIONS:
        assert f'``"{row.name}"``' in Network.__doc__
    for row in losses.LOSSES:
        assert (f'``"{row.name}"``' in Network.__doc__) == row.public
    assert "{" not in Network.__doc__


@pytest.mark.parametrize("bit_generator", [np.random.MT19937, np.random.PCG64])
def test_a_generator_is_drawn_from_and_advanced(bit_generator, moons):
    """The same stream as a RandomState over the same bit generator."""
    nets = []
    for wrap in (np.random.Generator, np.random.RandomState):
        source = wrap(bit_generator(3))
        net = Network([2, 5, 1], random_state=source)
        nets.append(net.fit(*moons, batch_size=20, max_iter=2))
        again = pickle.loads(pickle.dumps(net)).fit(*moons, batch_size=20, max_iter=2)
        other = Network([2, 5, 1], random_state=source)
        assert (flat(other) != flat(net)).any()
        net.fit(*moons, batch_size=20, max_iter=2)
        assert np.isfinite(flat(again)).all()
    np.testing.assert_array_equal(flat(nets[0]), flat(nets[1]))


def test_partial_fit_keeps_the_last_losses_only(moons, monkeypatch):
    monkeypatch.setattr(trainable, "LONGEST_CURVE", 10)
    net, losses_seen = Network([2, 3, 1], random_state=0), []
    for i in range(1, 36):
        net.partial_fit(*moons)
        losses_seen.append(net.loss_)
        assert net.n_iter_ == i
        assert len(net.loss_curve_) <= 10
        assert net.loss_curve_ == losses_seen[-len(net.loss_curve_) :]
    assert pickle.loads(pickle.dumps(net)).n_iter_ == 35
    net.fit(*moons, max_iter=12)  # a fit keeps all of its own
    assert net.n_iter_ == len(net.loss_curve_) == 12


def test_from_params_shares_the_vector(moons):
    net = Network([2, 5, 1], "tanh", loss="mse", random_state=0)
    params = net.params_.copy()
    shared = Network.from_params(params, net.layer_units, net.activations)
    assert shared.params_ is params
    np.testing.assert_array_equal(shared.predict(moons[0]), net.predict(moons[0]))
    shared.fit(*moons, max_iter=2, shuffle=False)
    net.fit(*moons, max_iter=2, shuffle=False)
    np.testing.assert_array_equal(params, net.params_)
    for wrong in (params[1:], params[::2], params.astype(int), list(params)):
        with pytest.raises(ValueError, match=r"must be"):
            Network.from_params(wrong, net.layer_units, net.activations)
    params.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        Network.from_params(params, net.layer_units, net.activations)


def test_params_can_be_assigned(moons):
    net, other = (Network([2, 5, 1], random_state=seed) for seed in range(2))
    vector = net.params_
    net.params_ = other.params_
    assert net.params_ is vector
    np.testing.assert_array_equal(net.coefs_[0], other.coefs_[0])
    for wrong in (vector[1:], np.full_like(vector, np.nan)):
        with pytest.raises(ValueError, match="params_"):
            net.params_ = wrong
    np.testing.assert_array_equal(net.params_, other.params_)


def test_names_of_the_package():
    assert not {"Path", "sys", "importlib", "network", "annotations"} & set(dir(fastnn))
    assert set(fastnn.__all__) <= set(dir(fastnn))
    with pytest.raises(AttributeError, match="no attribute 'Netwrok'; did you mean 'Network'"):
        fastnn.Netwrok  # noqa: B018


def test_show_config(capsys):
    assert fastnn.show_config() is None
    text = capsys.readouterr().out
    assert fastnn.__version__ in text
    assert kernels.ISA in text
    assert np.__version__ in text
    assert "threads" in text
