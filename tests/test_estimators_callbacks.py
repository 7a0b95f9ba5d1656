"""Callbacks of estimators: fastnn's own and scikit-learn's."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from estimator_cases import VERSION, problem
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.preprocessing import LabelBinarizer

import fastnn
from fastnn.callbacks import Callback, ProgressBar, Recorder, ValidationLoss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

callbacks = pytest.mark.skipif(VERSION < (1, 9), reason="scikit-learn has callbacks from 1.9 on")
SOLVERS = ["sgd", "adam", "lbfgs", "lm"]
X, Y = load_iris(return_X_y=True)


def classifier(**params):
    return fastnn.MLPClassifier(**{"hidden_layer_sizes": (8,), "random_state": 0, **params})


def regressor(**params):
    """With one step an epoch."""
    given = {"hidden_layer_sizes": (5,), "random_state": 0, "tol": 0, "n_iter_no_change": 1000}
    return fastnn.MLPRegressor(**{**given, **params})


def assert_same_params(a, b):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(x, y)


# ---- scikit-learn's -----------------------------------------------------------------------------


class Listener:
    """A callback of scikit-learn's, with what it hears."""

    def __init__(self, stop_after=None, fail_at=None):
        self.events, self.stop_after, self.fail_at = [], stop_after, fail_at

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        steps = sum(event.startswith("end") for event in self.events)
        if self.fail_at == steps:
            raise RuntimeError("no more")
        score = None if fitted_estimator is None else fitted_estimator.score(X, y)
        self.events.append(f"end {context.task_name}")
        self.score = score
        return steps + 1 == self.stop_after


@callbacks
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "lm"])
def test_callbacks_hear_of_every_step(solver):
    X, y = load_iris(return_X_y=True)
    listener = Listener()
    mlp = fastnn.MLPClassifier(solver=solver, max_iter=6, random_state=0)
    mlp.set_callbacks(listener).fit(X, y)
    name = "iteration" if solver in ("lbfgs", "lm") else "epoch"
    assert listener.events == [
        "setup", "begin fit", *[f"begin {name}", f"end {name}"] * 6, "end fit", "teardown"
    ]  # fmt: skip
    assert listener.score == mlp.score(X, y)
    alone = fastnn.MLPClassifier(solver=solver, max_iter=6, random_state=0).fit(X, y)
    np.testing.assert_array_equal(mlp.predict_proba(X), alone.predict_proba(X))
    pickle.dumps(mlp.set_callbacks())


@callbacks
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "lm"])
def test_callbacks_stop_and_fail(solver):
    X, y = load_iris(return_X_y=True)
    mlp = fastnn.MLPClassifier(solver=solver, max_iter=50, random_state=0)
    mlp.set_callbacks(Listener(stop_after=4)).fit(X, y)
    assert mlp.n_iter_ == 4
    short = fastnn.MLPClassifier(solver=solver, max_iter=4, random_state=0).fit(X, y)
    np.testing.assert_allclose(mlp.predict_proba(X), short.predict_proba(X), rtol=1e-12)
    listener = Listener(fail_at=3)
    mlp.set_callbacks(listener)
    with pytest.raises(RuntimeError, match="no more"):
        mlp.fit(X, y)
    assert listener.events[-1] == "teardown"
    assert mlp.predict(X).shape == (150,)


@callbacks
def test_scikit_learns_own_callbacks():
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = load_iris(return_X_y=True)
    monitor = ScoringMonitor(scoring="accuracy")
    mlp = fastnn.MLPClassifier(max_iter=5, random_state=0)
    mlp.set_callbacks(monitor, ProgressBar()).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) == 6  # five epochs, and the fit
    assert scores[-1] == mlp.score(X, y)


# ---- fastnn's -----------------------------------------------------------------------------------


class Log(Callback):
    """Everything that a callback of fastnn's hears."""

    def __init__(self, every=1, stop_after=None):
        self.every, self.stop_after, self.events, self.losses = every, stop_after, [], []

    def begin(self, net, X, y, max_iter):
        self.data, self.max_iter, self.first = (X, y), max_iter, net.params_.copy()
        self.events.append("begin")

    def __call__(self, net):
        self.events.append(net.n_iter_)
        self.losses.append(net.loss_)
        return net.n_iter_ == self.stop_after

    def end(self, net, completed):
        self.events.append(completed)
        self.last, self.curve = net.params_.copy(), list(net.loss_curve_)


@pytest.mark.parametrize("solver", SOLVERS)
def test_fastnns_callbacks_hear_of_every_step(solver):
    log, seen = Log(), []
    mlp = classifier(solver=solver, max_iter=6).set_callbacks(log, lambda net: seen.append(net))
    alone = classifier(solver=solver, max_iter=6).fit(X, Y)
    for _ in range(2):  # as often as one likes
        log.events.clear()
        mlp.fit(X, Y)
        assert log.events == ["begin", 1, 2, 3, 4, 5, 6, True]
        assert log.max_iter == 6
        assert_same_params(mlp, alone)
    assert len(seen) == 12
    net = seen[-1]
    assert isinstance(net, fastnn.Network)
    assert net.layer_units == (4, 8, 3)
    assert net.activations == ("relu", "softmax")
    assert net.loss_function == "clipped_log_loss"
    assert all(np.shares_memory(a, b) for a, b in zip(net.coefs_, mlp.coefs_, strict=True))
    np.testing.assert_array_equal(net.predict(X), mlp.predict_proba(X))
    np.testing.assert_array_equal(log.data[0], X)
    np.testing.assert_array_equal(log.data[1], np.eye(3)[Y])
    assert not np.array_equal(log.first, log.last)
    if solver in ("lbfgs", "lm"):
        assert net.loss(X, Y, alpha=mlp.alpha) == pytest.approx(mlp.loss_, rel=1e-12)
        assert log.losses[-1] == mlp.loss_
    else:
        assert log.losses[-6:] == net.loss_curve_ == mlp.loss_curve_


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_so_many_epochs_and_after_the_last(solver):
    logs = [Log(every=4), Log(every=100), Log(every=3)]
    mlp = classifier(solver=solver, max_iter=10).set_callbacks(*logs).fit(X, Y)
    assert [log.events[1:-1] for log in logs] == [[4, 8, 10], [10], [3, 6, 9, 10]]
    # a fit that scikit-learn's rules, or L-BFGS, end earlier
    mlp.set_params(max_iter=500, tol=0.05, n_iter_no_change=2).fit(X, Y)
    n = mlp.n_iter_
    assert n < 500
    assert logs[0].events[-2] == logs[1].events[-2] == logs[2].events[-2] == n
    assert logs[0].events.count(n) == 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_ends_the_fit(solver):
    log = Log(stop_after=4)
    mlp = classifier(solver=solver, max_iter=50).set_callbacks(log, Log(every=30)).fit(X, Y)
    assert mlp.n_iter_ == 4
    assert log.events == ["begin", 1, 2, 3, 4, True]
    short = classifier(solver=solver, max_iter=4).fit(X, Y)
    np.testing.assert_allclose(mlp.predict_proba(X), short.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_raises(solver):
    class Refuses(Callback):
        def begin(self, net, X, y, max_iter):
            raise RuntimeError("not this fit")

    def fails(net):
        if net.n_iter_ == 3:
            raise RuntimeError("no more")

    log = Log()
    mlp = classifier(solver=solver, max_iter=50).set_callbacks(log, fails)
    with pytest.raises(RuntimeError, match="no more"):
        mlp.fit(X, Y)
    assert log.events == ["begin", 1, 2, 3, False]
    assert_same_params(mlp, classifier(solver=solver, max_iter=3).fit(X, Y))
    log.events.clear()
    with pytest.raises(RuntimeError, match="not this fit"):
        mlp.set_callbacks(log, Refuses()).fit(X, Y)
    assert log.events == ["begin", False]
    mlp.set_callbacks().fit(X, Y)


def test_ctrl_c_in_a_callback():
    """The fit ends as scikit-learn's do: with a warning, and completed."""

    def interrupts(net):
        if net.n_iter_ == 3:
            raise KeyboardInterrupt

    log = Log()
    mlp = classifier(max_iter=50).set_callbacks(log, interrupts)
    with pytest.warns(UserWarning, match="interrupted by user"):
        mlp.fit(X, Y)
    assert mlp.n_iter_ == 3
    assert log.events == ["begin", 1, 2, 3, True]


@pytest.mark.parametrize("what", [3, "x", None, Log, [Log()]])
def test_what_is_no_callback(what):
    mlp = classifier()
    with pytest.raises(TypeError, match=r"must be a fastnn.callbacks.Callback, a function of the"):
        mlp.set_callbacks(Log(), what)
    assert not hasattr(mlp, "_skl_callbacks")


def test_clones_and_pickles_keep_callbacks():
    mlp = classifier(max_iter=3).set_callbacks(Recorder())
    copies = [clone(mlp), pickle.loads(pickle.dumps(mlp.fit(X, Y)))]
    for copy in copies:
        copy.fit(X, Y)
        (wrapped,) = copy._skl_callbacks
        assert len(wrapped.callback) == 4
    log = Log()
    search = GridSearchCV(classifier(max_iter=2).set_callbacks(log), {"alpha": [1e-4, 1e-2]}, cv=2)
    search.fit(X, Y)
    assert log.events == ["begin", 1, 2, True] * 5


@pytest.mark.parametrize("kind", ["binary", "multilabel", "one output", "outputs"])
def test_the_network_of_each_kind(kind):
    data, y = problem(kind, 60, 5, 0)
    cls = fastnn.MLPRegressor if "output" in kind else fastnn.MLPClassifier
    log, nets = Log(), []
    mlp = cls(max_iter=3, random_state=0, batch_size=60, alpha=0.1, solver="sgd")
    mlp.set_callbacks(log, lambda net: nets.append(net.copy())).fit(data, y)
    # one step an epoch: the loss of an epoch is that of the parameters before it
    for before, after in itertools.pairwise(nets):
        for targets in (y, log.data[1]):
            loss = before.loss(data, targets, alpha=0.1)
            np.testing.assert_allclose(after.loss_, loss, rtol=1e-12)
    outputs = mlp.predict_proba(data)[:, -1:] if kind == "binary" else None
    if kind == "multilabel":
        outputs = mlp.predict_proba(data)
    if outputs is None:
        outputs = mlp.predict(data).reshape(60, -1)
    np.testing.assert_array_equal(nets[-1].predict(data), outputs)


def test_labels_are_targets_of_the_network():
    data, y = problem("multiclass", 90, 5, 0)
    nets = []
    mlp = classifier(max_iter=3).set_callbacks(nets.append).fit(data, y)
    net = nets[0]
    one_hot = LabelBinarizer().fit_transform(y)
    assert net.loss(data, y) == net.loss(data, y.tolist()) == net.loss(data, one_hot)
    with pytest.raises(ValueError, match=r"y\[1\] is 7, which is none of the classes \[0, 10"):
        net.loss(data[:2], [10, 7])
    assert mlp.n_iter_ == net.n_iter_ == 3
    copy = pickle.loads(pickle.dumps(net))
    assert copy.loss(data, y) == net.loss(data, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_sets_samples_aside(solver):
    log = Log()
    mlp = classifier(solver=solver, early_stopping=True, validation_fraction=0.2, max_iter=20)
    mlp.set_callbacks(log).fit(X, Y)
    assert [len(a) for a in log.data] == ([150] * 2 if solver in ("lbfgs", "lm") else [120] * 2)
    alone = classifier(solver=solver, early_stopping=True, validation_fraction=0.2, max_iter=20)
    assert_same_params(mlp, alone.fit(X, Y))
    # at the end the best parameters are in place
    joined = [a.ravel() for pair in zip(mlp.coefs_, mlp.intercepts_, strict=True) for a in pair]
    np.testing.assert_array_equal(log.last, np.concatenate(joined))


def test_weights_are_no_target():
    log = Log()
    if VERSION >= (1, 7):
        weight = np.random.RandomState(0).uniform(0.1, 3, 150)
        regressor(max_iter=2).set_callbacks(log).fit(X, Y, sample_weight=weight)
        np.testing.assert_array_equal(log.data[1], Y[:, None])
    regressor(max_iter=2).set_callbacks(log).fit(X.astype(np.float32), Y)
    assert {a.dtype for a in log.data} == {np.dtype(np.float32)} == {log.last.dtype}


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_rows_stay_sparse(solver):
    log, recorder = Log(), Recorder()
    rows = scipy.sparse.csr_array(X)
    mlp = classifier(solver=solver, max_iter=4)
    mlp.set_callbacks(log, recorder, ValidationLoss(X, Y)).fit(rows, Y)
    assert scipy.sparse.issparse(log.data[0])
    assert (log.data[0] != rows).nnz == 0
    assert len(recorder) == 5
    np.testing.assert_array_equal(recorder[-1].predict(X), mlp.predict_proba(X))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array]
)
def test_validation_loss_of_sparse_rows(kind, solver):
    dense, sparse = ValidationLoss(X, Y), ValidationLoss(kind(X), Y)
    targets = ValidationLoss(kind(X), np.eye(3)[Y])
    classifier(solver=solver, max_iter=4).set_callbacks(dense, sparse, targets).fit(X, Y)
    np.testing.assert_allclose(sparse.losses_, dense.losses_, rtol=1e-13)
    assert targets.losses_ == sparse.losses_
    numbers = ValidationLoss(kind(X.astype(np.float32)), Y.astype(np.float32))
    regressor(solver=solver, max_iter=4).set_callbacks(numbers).fit(X.astype(np.float32), Y)
    assert len(numbers.losses_) == 4


def test_bad_sparse_rows_are_refused():
    rows = scipy.sparse.csr_array(X)
    bad = rows.copy()
    bad.data[5] = np.nan
    for given, y, message in (
        (rows[:, :3], Y, "X has 3 features"), (bad, Y, "X holds NaN"),
        (rows[:0], Y[:0], "got shape"), (rows, Y[:-1], "y must have 150 rows"),
        (rows, Y + 7, "none of the classes"),
    ):  # fmt: skip
        mlp = classifier(max_iter=4).set_callbacks(ValidationLoss(given, y))
        with pytest.raises(ValueError, match=message):
            mlp.fit(X, Y)


def test_partial_fit_is_one_epoch_of_which_nobody_hears():
    log = Log()
    mlp = classifier().set_callbacks(log).partial_fit(X, Y, classes=[0, 1, 2])
    assert log.events == []
    assert mlp.n_iter_ == 1


# ---- fastnn's own callbacks ---------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_loss(solver):
    """It takes labels, ends the fit, and puts the best parameters back."""
    rng = np.random.RandomState(0)
    order = rng.permutation(150)
    train, held_out = order[:40], order[40:]
    noisy = np.where(rng.rand(40) < 0.3, rng.randint(0, 3, 40), Y[train])
    names = np.array(["setosa", "versicolor", "virginica"])
    validation = ValidationLoss(X[held_out], names[Y[held_out]], n_iter_no_change=5, tol=0)
    mlp = classifier(
        hidden_layer_sizes=(40,), solver=solver, max_iter=500, learning_rate_init=0.05, tol=0,
        n_iter_no_change=1000, alpha=0,
    )  # fmt: skip
    mlp.set_callbacks(validation).fit(X[train], names[noisy])
    assert mlp.n_iter_ == len(validation.losses_) < 500
    best = int(np.argmin(validation.losses_))
    assert len(validation.losses_) == best + 6
    p = np.clip(mlp.predict_proba(X[held_out]), np.finfo(float).eps, 1 - np.finfo(float).eps)
    loss = -np.log(p[np.arange(110), Y[held_out]]).mean()
    assert loss == pytest.approx(validation.best_loss_, rel=1e-12)
    if solver not in ("lbfgs", "lm"):  # the solver's state belonged to other parameters
        assert getattr(mlp._optimizer, "t", 0) == 0
        state = getattr(mlp._optimizer, "ms", None) or mlp._optimizer.velocities
        assert not any(a.any() for a in state)


@pytest.mark.parametrize("solver", SOLVERS)
def test_recorder_and_animation(solver, tmp_path):
    recorder = Recorder(every=2)
    mlp = classifier(solver=solver, max_iter=7).set_callbacks(recorder).fit(X[:, :2], Y)
    assert recorder.epochs_ == [0, 2, 4, 6, 7]
    np.testing.assert_array_equal(recorder[-1].predict(X[:, :2]), mlp.predict_proba(X[:, :2]))
    assert recorder[1].n_iter_ == 2
    if solver not in ("lbfgs", "lm"):
        assert recorder[-1].loss_curve_ == mlp.loss_curve_
    pytest.importorskip("matplotlib")
    from fastnn.plotting import animate

    assert animate(recorder, tmp_path / "iris.html").stat().st_size > 10_000


def test_progress_bar(capsys):
    pytest.importorskip("tqdm")
    classifier(max_iter=7).set_callbacks(ProgressBar()).fit(X, Y)
    shown = capsys.readouterr().err
    assert "7/7" in shown
    assert "loss" in shown


@pytest.mark.parametrize("solver", SOLVERS)
def test_live_plot(solver, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from fastnn.plotting import LivePlot

    pyplot.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "fake", raising=False)
    monkeypatch.setattr(matplotlib.figure.Figure, "show", lambda self: None)
    try:
        live = LivePlot(every=5)
        mlp = classifier(solver=solver, max_iter=10).set_callbacks(live).fit(X[:, :2], Y)
        assert live.n_frames_ >= 3
        if solver not in ("lbfgs", "lm"):
            curves = [line.get_ydata() for line in live.figure_.axes[1].get_lines()]
            assert any(np.array_equal(curve, mlp.loss_curve_) for curve in curves)
    finally:
        pyplot.close("all")


# ---- what callbacks change ----------------------------------------------------------------------


def by_network(net, mlp, value):
    net.params_ = value


def in_place(net, mlp, value):
    for a in mlp.coefs_ + mlp.intercepts_:
        a[...] = value[0]


def by_other_arrays(net, mlp, value):
    mlp.coefs_ = [np.full_like(a, value[0]) for a in mlp.coefs_]
    mlp.intercepts_ = [np.full_like(a, value[0]) for a in mlp.intercepts_]


def by_state(net, mlp, value):
    other = net.copy()
    other.params_ = value
    net.__setstate__(other.__getstate__())


def by_training(net, mlp, value):
    net.partial_fit(X, Y, solver="sgd")
    net.params_ = value


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("way", [by_network, in_place, by_other_arrays, by_state, by_training])
def test_changed_parameters_are_trained_on(way, solver):
    """One step an epoch: the loss of the next one is that of the changed parameters."""
    mlp, seen = regressor(solver=solver, max_iter=6, alpha=0, batch_size=150), []

    def change(net):
        if len(seen) == 2:
            value = np.full(len(net.params_), 0.1)
            way(net, mlp, value)
            copy = net.copy()
            copy.params_ = value
            seen.append(copy.loss(X, Y))
            return
        seen.append(net.loss_)

    mlp.set_callbacks(change).fit(X, Y)
    assert len(seen) == mlp.n_iter_ == 6
    if solver == "lm":
        assert mlp.loss_ == seen[-1] < seen[3] < seen[2]
    elif solver == "lbfgs":  # an iteration's loss is that at its end
        start = regressor(solver="lbfgs", max_iter=3, alpha=0, warm_start=True, random_state=0)
        start.fit(X, Y)
        for a in start.coefs_ + start.intercepts_:
            a[...] = 0.1
        np.testing.assert_allclose(mlp.loss_, start.fit(X, Y).loss_, rtol=1e-12)
    else:
        np.testing.assert_allclose(seen[3], seen[2], rtol=1e-12)
        assert mlp.loss_ == seen[-1] != seen[2]


@pytest.mark.parametrize("solver", SOLVERS)
def test_another_architecture_is_refused(solver):
    other = fastnn.Network([4, 3, 1])
    mlp = regressor(solver=solver, max_iter=5)
    mlp.set_callbacks(lambda net: net.__setstate__(other.__getstate__()))
    with pytest.raises(ValueError, match="another network"):
        mlp.fit(X, Y)
    mlp.set_callbacks(lambda net: setattr(mlp, "coefs_", [np.zeros((4, 2)), np.zeros((2, 1))]))
    with pytest.raises(ValueError, match=r"coefs_"):
        mlp.fit(X, Y)


def rate_by_network(net, mlp, rate):
    net.learning_rate_ = rate


def rate_by_attribute(net, mlp, rate):
    mlp.learning_rate_init = rate


def rate_by_parameter(net, mlp, rate):
    mlp.set_params(learning_rate_init=rate)


RATES = [rate_by_network, rate_by_attribute, rate_by_parameter]


@pytest.mark.parametrize("way", RATES)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_callback_sets_the_learning_rate(way, solver):
    """As if scikit-learn's optimizer had been given the other rate after three epochs."""
    params = {
        "hidden_layer_sizes": (5,), "solver": solver, "learning_rate_init": 0.01, "tol": 0,
        "random_state": 0, "shuffle": False, "batch_size": 50,
    }  # fmt: skip
    theirs = originals.MLPRegressor(**params)
    for epoch in range(8):
        if epoch == 3:
            theirs._optimizer.learning_rate_init = theirs._optimizer.learning_rate = 0.002
        theirs.partial_fit(X, Y)
    mlp, rates = fastnn.MLPRegressor(**params, max_iter=8), []

    def change(net):
        if net.n_iter_ == 3:
            way(net, mlp, 0.002)
        rates.append(net.learning_rate_)

    mlp.set_callbacks(change).fit(X, Y)
    np.testing.assert_allclose(mlp.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(mlp.predict(X), theirs.predict(X), rtol=1e-6)
    assert rates[:2] == [0.01] * 2
    assert rates[3:] == [0.002] * 5
    # and partial_fit goes on with it
    mlp.learning_rate_init = 0.01
    assert_close_steps(mlp, theirs)


def assert_close_steps(mlp, theirs):
    for estimator in (mlp, theirs):
        estimator.partial_fit(X, Y)
    np.testing.assert_allclose(mlp.predict(X), theirs.predict(X), rtol=1e-6)


@pytest.mark.parametrize("way", RATES)
@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
def test_schedules_go_on_from_the_rate_that_was_set(way, schedule):
    mlp = regressor(
        solver="sgd", learning_rate=schedule, learning_rate_init=0.01, max_iter=8, power_t=0.5,
        n_iter_no_change=1, tol=1e9,
    )  # fmt: skip
    quiet, rates = [], []
    mlp.set_callbacks(lambda net: quiet.append(net.learning_rate_)).fit(X, Y)

    def change(net):
        if net.n_iter_ == 2:
            share = 2 if way is rate_by_network else quiet[1] / 0.01
            way(net, mlp, 2 * net.learning_rate_ / (1 if share == 2 else share))
        rates.append(net.learning_rate_)

    mlp.set_callbacks(change).fit(X, Y)
    assert len(set(quiet)) > 2
    np.testing.assert_allclose(rates[2:6], np.multiply(2, quiet[2:6]), rtol=1e-12)


@pytest.mark.parametrize("way", RATES)
def test_learning_rates_are_checked(way):
    for rate, error in ((-1.0, ValueError), (np.nan, ValueError), ("x", TypeError)):
        mlp = regressor(max_iter=5)

        def change(net, mlp=mlp, rate=rate):
            way(net, mlp, rate)

        with pytest.raises(error, match="learning_rate_init must be a finite number"):
            mlp.set_callbacks(change).fit(X, Y)


def test_a_learning_rate_stays_when_a_callback_trains_the_network():
    rates = []

    def train_and_look(net):
        net.partial_fit(X, np.zeros(len(X)), learning_rate_init=0.5)
        rates.append(net.learning_rate_)
        net.learning_rate_ /= 2

    regressor(max_iter=3, learning_rate_init=0.02).set_callbacks(train_and_look).fit(X, Y)
    assert rates == [0.02, 0.01, 0.005]


def test_learning_rate_of_a_network_whose_fit_is_over():
    nets = []
    regressor(max_iter=2).set_callbacks(nets.append).fit(X, Y)
    with pytest.raises(AttributeError, match="while a fit runs"):
        nets[0].learning_rate_ = 0.1


def test_l_bfgs_has_no_learning_rate():
    def look(net):
        nets.append(net)
        return net.learning_rate_

    def change(net):
        net.learning_rate_ = 0.1

    nets = []
    for callback in (look, change):
        mlp = regressor(max_iter=2, solver="lbfgs").set_callbacks(callback)
        with pytest.raises(AttributeError, match="L-BFGS has no learning rate"):
            mlp.fit(X, Y)
    with pytest.raises(AttributeError, match="while a fit runs"):
        nets[0].learning_rate_ = 0.1


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_learning_rate_of_a_callback_is_the_networks(solver):
    mlp = regressor(max_iter=5, solver=solver)
    mlp.set_callbacks(lambda net: setattr(mlp, "learning_rate_", 0.1))
    with pytest.raises(ValueError, match=r"a callback set learning_rate_ to 0\.1, which the fit"):
        mlp.fit(X, Y)


def test_alpha_may_be_changed():
    mlp = regressor(solver="sgd", momentum=0, shuffle=False, max_iter=6)
    mlp.set_callbacks(lambda net: mlp.set_params(alpha=1.0) if net.n_iter_ == 3 else None)
    mlp.fit(X, Y)
    parts = regressor(solver="sgd", momentum=0, shuffle=False, max_iter=3, warm_start=True)
    assert_same_params(mlp, parts.fit(X, Y).set_params(alpha=1.0).fit(X, Y))


FIXED = [
    ("adam", {"batch_size": 7}), ("adam", {"max_iter": 3}), ("adam", {"beta_1": 0.5}),
    ("adam", {"activation": "tanh"}), ("adam", {"hidden_layer_sizes": (6,)}),
    ("sgd", {"momentum": 0.1}), ("sgd", {"learning_rate": "adaptive"}),
    ("sgd", {"early_stopping": True}), ("lbfgs", {"alpha": 1.0}), ("lbfgs", {"tol": 1.0}),
    ("lbfgs", {"learning_rate_init": 1.0}), ("lbfgs", {"learning_rate": "adaptive"}),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "change"), FIXED)
def test_what_a_running_fit_does_not_take_up_is_refused(solver, change):
    mlp = regressor(solver=solver, max_iter=5)
    mlp.set_callbacks(lambda net: mlp.set_params(**change) and None)
    with pytest.raises(
        ValueError, match=f"a callback set {next(iter(change))} to .*does not take"
    ):
        mlp.fit(X, Y)


# ---- both kinds ---------------------------------------------------------------------------------


@callbacks
@pytest.mark.parametrize("solver", SOLVERS)
def test_both_kinds_together(solver):
    """scikit-learn's are called first; either may end the fit."""
    order = []
    theirs, ours = Listener(), Log()
    theirs.on_fit_task_begin = lambda estimator, context: order.append("theirs")
    mlp = classifier(solver=solver, max_iter=6)
    mlp.set_callbacks(lambda net: order.append("ours"), theirs, ours).fit(X, Y)
    assert ours.events == ["begin", 1, 2, 3, 4, 5, 6, True]
    assert order == ["theirs", *["theirs", "ours"] * 6]
    assert [event for event in theirs.events if "fit" in event] == ["end fit"]
    assert theirs.events[0] == "setup"
    assert theirs.events[-1] == "teardown"
    assert_same_params(mlp, classifier(solver=solver, max_iter=6).fit(X, Y))
    for stop in (Listener(stop_after=3), Log(stop_after=3)):
        other = Log(every=50)
        mlp.set_callbacks(other, stop, Listener()).fit(X, Y)
        assert mlp.n_iter_ == 3
        if isinstance(stop, Listener):
            assert other.events == ["begin", 3, True]


@callbacks
def test_meta_estimators_hand_down_their_callbacks():
    pytest.importorskip("rich")
    from sklearn.callback import ScoringMonitor

    log, monitor = Log(), ScoringMonitor(scoring="accuracy")
    mlp = classifier(max_iter=2).set_callbacks(log)
    search = GridSearchCV(mlp, {"alpha": [1e-4, 1e-2]}, cv=2)
    if not hasattr(search, "set_callbacks"):
        pytest.skip("no callbacks in this scikit-learn's GridSearchCV")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.set_callbacks(monitor)
        search.fit(X, Y)
    assert log.events == ["begin", 1, 2, True] * 5
