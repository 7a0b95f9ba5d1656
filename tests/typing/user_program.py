"""A user's program, with all of fastnn's public interface. test_typing.py checks and runs it.

Assignments with types are what a user may rely on.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import (
    BaggedMLPClassifier,
    BaggedMLPRegressor,
    MLPClassifier,
    MLPRegressor,
    Network,
    NetworkEnsemble,
    callbacks,
    find_learning_rate,
    schedules,
    tutorial,
)
from fastnn.callbacks import Callback, ProgressBar, Recorder, ValidationLoss
from fastnn.plotting import (
    ActivationDisplay,
    FeatureSlice,
    HiddenUnitsDisplay,
    LearningRateDisplay,
    LivePlot,
    LossCurveDisplay,
    NetworkDisplay,
    animate,
)
from fastnn.tutorial import create_nn, l2_cost, neural_layer, relu, sigm, train

X: NDArray[np.float64] = np.random.RandomState(0).uniform(-1, 1, (60, 2))
y = (X[:, 0] * X[:, 1] > 0).astype(float)
Y = y[:, np.newaxis]


# ---- networks -----------------------------------------------------------------------------------


def networks() -> None:
    Network([2, 4, 1])
    Network((2, 4, 1), "relu", out_activation="sigmoid", loss="binary_log_loss", init="glorot")
    Network([2, 4, 4, 1], ["tanh", "relu", "exp"], loss="poisson", init="uniform")
    Network([2, 8, 3], activation=("silu", "softmax"), loss="log_loss", n_jobs=-1)
    Network([2, 8, 1], ["gelu", "identity"], init="orthogonal", last_layer_scale=0)
    Network([2, 4, 1], loss="huber", delta=0.5)
    Network([2, 4, 3], "tanh", loss="quantile", quantile=[0.05, 0.5, 0.95])
    own = Network([2, 4, 1], loss=(lambda a, y: abs(a - y), lambda a, y: np.sign(a - y)))
    own.fit(X, y, max_iter=1)
    labels = Network([2, 4, 1], loss="binary_log_loss").fit(X, y, label_smoothing=0.1, max_iter=1)
    Network.from_params(labels.params_, [2, 4, 1], "sigmoid", loss="huber", delta=2.0)
    Network(np.array([2, 4, 1]).tolist(), random_state=np.random.default_rng(0))
    for random_state in (None, 0, np.random.RandomState(0)):
        Network([2, 1], random_state=random_state)
    for dtype in (np.float64, np.float32, X.dtype, np.dtype(np.float32)):
        Network([2, 1], dtype=dtype)
    Network([2, 1], dtype="float32")
    types: Sequence[Literal["float64", "float32"]] = ("float64", "float32")
    for name in types:
        Network([2, 1], dtype=name)

    net = Network([2, 8, 1], activation="tanh", loss="binary_log_loss", random_state=0)
    same: Network = net.fit(X, y)
    same = net.fit(
        X.tolist(), Y, solver="adam", learning_rate_init=0.01, beta_1=0.9, beta_2=0.999,
        epsilon=1e-8, alpha=1e-4, max_iter=3, batch_size="auto", shuffle=True,
    )  # fmt: skip
    same = net.fit(X, y, solver="sgd", momentum=0.9, nesterovs_momentum=False, batch_size=20)
    same = net.partial_fit(X, y, solver="sgd", batch_size=len(X), shuffle=False)
    net.fit(X, y, sample_weight=y + 1, max_iter=2).partial_fit(X, y, sample_weight=[1.0] * 60)
    net.loss(X, y, sample_weight=y + 1)
    net.fit(X, y, X_val=X, y_val=y, n_iter_no_change=3, tol=0.0, sample_weight_val=y + 1)
    net.fit(X, y, X_val=X, y_val=y, scoring="accuracy", max_iter=2)
    net.fit(X, y, X_val=X, y_val=y, scoring=lambda net, X, y: -net.loss(X, y), max_iter=2)
    best: int | None = net.best_iteration_
    scores: list[float] | None = net.validation_scores_
    curve: list[float] | None = net.validation_loss_curve_
    print(best, scores, curve)
    summary = net.summary(n_samples=len(X))
    counts: list[int] = [layer.n_params for layer in summary.layers]
    print(summary, counts, summary.n_bytes + summary.multiply_adds)
    net.reset_solver()
    another = Network(
        net.layer_units, net.activations, loss=net.loss_function, dtype=net.dtype,
        n_jobs=net.n_jobs,
    )  # fmt: skip
    another.params_ = net.params_
    another.coefs_ = [coef / 2 for coef in net.coefs_]
    another.intercepts_ = net.intercepts_
    another.coefs_[0] *= 2
    another.coefs_[-1] = np.ones((8, 1))
    another.n_jobs = None
    another.n_jobs = 2
    same.copy().loss_curve_ = []

    outputs: NDArray[np.float64] = net.predict(X)
    layers: list[NDArray[Any]] = net.forward(X)
    loss: float = net.loss(X, y, alpha=0.1) + net.loss_ + net.loss_curve_[-1]
    loss, coef_grads, intercept_grads = net.loss_and_grad(X, y, alpha=0.1)
    gradients: list[NDArray[Any]] = coef_grads + intercept_grads
    epochs: int = net.n_iter_
    first: NDArray[Any] = net.coefs_[0]
    some: list[NDArray[Any]] = net.coefs_[1:] + net.intercepts_[:1]
    n_params: int = net.params_.size + len(net.coefs_)
    probabilities: NDArray[Any] = net.predict_proba(X)
    classes: NDArray[np.float64] = net.classes_
    numbers: NDArray[Any] = Network([2, 1], "tanh").decision_function(X)
    x_checked, y_checked = net.check_data(X, y)
    total = x_checked.sum() + y_checked.sum() + numbers.sum() + first.sum() + sum(map(len, some))
    print(net, loss, epochs, n_params, total, classes, len(layers), len(gradients))
    print(f"{np.mean((outputs.ravel() > 0.5) == y):.1%} {probabilities.shape}")

    shared = Network.from_params(np.zeros(13), [2, 3, 1], ["relu", "identity"])
    print(shared.params_.sum())


# ---- learning rates -----------------------------------------------------------------------------


def learning_rates() -> None:
    net = Network([2, 4, 1], "tanh", random_state=0)
    found = find_learning_rate(net, X, y, low=1e-5, high=1.0, n_steps=20, solver="sgd")
    found = find_learning_rate(MLPRegressor(), X, y, batch_size=20, alpha=0.1, random_state=1)
    net.fit(X, y, learning_rate="one_cycle", learning_rate_init=found.valley, max_iter=2)
    net.fit(X, y, learning_rate=schedules.Cosine(0.1), dropout=lambda t: 0.1, max_iter=2)
    decay = 0.1 * schedules.Linear()
    net.fit(X, y, solver="adamw", learning_rate=lambda t: 1 - t, weight_decay=decay, max_iter=2)
    MLPRegressor(learning_rate=0.5 * schedules.OneCycle(), max_iter=2)
    MLPClassifier(learning_rate=lambda t: 1 - t, max_iter=2)
    best: float = found.suggestion + found.valley
    losses: NDArray[np.float64] = found.losses + found.batch_losses + found.learning_rates
    for schedule in (
        schedules.Constant(), schedules.Linear(0.1), schedules.Cosine(warm_up=0.1, end=0.01),
        schedules.OneCycle(pct_start=0.2), schedules.Step([0.3, 0.6], 0.5), schedules.Step(0.5),
        schedules.Exponential(0.1), schedules.InverseSquareRoot(0.1), 0.5 * schedules.Cosine(),
    ):  # fmt: skip
        factors: NDArray[np.float64] = schedule(np.linspace(0, 0.9, 10))
        print(schedule, factors.sum(), best, losses.sum())


def losses_of_estimators() -> None:
    MLPRegressor("huber", delta=0.5).fit(X, y)
    MLPRegressor(loss="quantile", quantile=[0.05, 0.5, 0.95], max_iter=3).fit(X, y)


# ---- callbacks ----------------------------------------------------------------------------------


class Slower(Callback):
    """Lowers the learning rate, and ends the training in time."""

    every = 2

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        self.stop = max_iter // 2

    def __call__(self, net: Network) -> bool:
        net.learning_rate_ *= 0.9
        net.params_[:] = net.params_.clip(-10, 10)
        return net.n_iter_ >= self.stop

    def end(self, net: Network, completed: bool) -> None:
        print(completed, net.loss_)


def enough(net: Network) -> bool:
    return net.loss_ < 0.01


def listening() -> None:
    net = Network([2, 4, 1], "tanh", random_state=0)
    validation = ValidationLoss(X, y, every=2, n_iter_no_change=3, tol=1e-3)
    recorder = Recorder(every=2)
    net.fit(X, y, max_iter=4, callback=enough)
    net.fit(X, y, max_iter=4, callback=lambda net: print(net.loss_), callback_every=2)
    net.fit(X, y, max_iter=8, callback=Slower())
    net.fit(X, y, max_iter=8, callback=[recorder, print, validation])
    net.fit(X, y, max_iter=4, callback=(ProgressBar(every=2, leave=False), enough))
    kept: list[Network] = [recorder[i] for i in range(len(recorder))]
    looked: list[tuple[int, float]] = list(
        zip(validation.epochs_, validation.losses_, strict=True)
    )
    best: float = validation.best_loss_
    print(len(kept), recorder.epochs_, recorder.X_.shape, recorder.max_iter_, looked, best)
    for kind in (callbacks.Recorder, callbacks.ProgressBar):
        print(kind)


# ---- pictures -----------------------------------------------------------------------------------


def pictures() -> None:
    from matplotlib import pyplot
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    ax: Axes = pyplot.subplots()[1]
    recorder, validation = Recorder(), ValidationLoss(X, y)
    net = Network([2, 4, 1], "tanh", loss="binary_log_loss", random_state=0)
    net.fit(X, y, max_iter=3, callback=[recorder, validation])
    curve = LossCurveDisplay.from_network(net, validation=validation, name="tanh", ax=ax)
    curve = LossCurveDisplay.from_estimator(net, log_scale=False, color="C1")
    drawn: Figure = curve.figure_
    curve.plot(ax=curve.ax_)
    NetworkDisplay.from_network(net, kind="graph", feature_names=["a", "b"])
    HiddenUnitsDisplay.from_network(net, X)
    ActivationDisplay.from_names("silu", "tanh", limits=(-3, 3), derivative=False)
    rates: LearningRateDisplay = find_learning_rate(net, X, y).plot(ax, color="C1")
    print(rates.line_)
    wide = Network([3, 1], random_state=0)
    wide.fit(np.column_stack([X, y]), y, max_iter=1)
    petals = FeatureSlice(wide, np.column_stack([X, y]), features=(0, 2))
    print(petals.features_, drawn)
    with tempfile.TemporaryDirectory() as folder:
        path: Path = animate(recorder, Path(folder, "a.html"), fps=5, dpi=20, title="rings")
        animate(recorder, f"{folder}/a.gif", dpi=20, hold=1)
        print(path.stat().st_size)
    pyplot.close("all")


def watch(net: Network) -> None:
    """Needs a window."""
    live = LivePlot(every=2, features=(0, 1))
    net.fit(X, y, callback=live)
    print(live.n_frames_, live.figure_)
    MLPClassifier().set_callbacks(live, ProgressBar()).fit(X, y)


# ---- the tutorial -------------------------------------------------------------------------------


class OwnLayer:
    def __init__(self, n_conn: int, n_neur: int) -> None:
        self.W = np.random.rand(n_conn, n_neur)
        self.b = np.zeros((1, n_neur))
        self.act_f = relu


def the_tutorial() -> None:
    np.random.seed(0)
    net: list[neural_layer] = create_nn([2, 4, 1], sigm)
    outputs: NDArray[Any] = train(net, X, Y, l2_cost, lr=0.05)
    outputs = train(net, X, Y, l2_cost, 0.05, epochs=3)
    outputs = train(net, X, None, l2_cost, train=False)
    error: float = l2_cost[0](outputs, Y)
    layer = neural_layer(2, 1, relu)
    print(net[0].W.shape, layer.b, layer.act_f[0](outputs), sigm(outputs).mean(), error)
    train([OwnLayer(2, 3), OwnLayer(3, 1)], X, Y, tutorial.l2_cost, lr=0.01)


# ---- in scikit-learn's place --------------------------------------------------------------------


def estimators() -> None:
    classifier = MLPClassifier(
        (8, 8), "tanh", solver="lbfgs", max_iter=500, random_state=0, n_jobs=1
    )
    names = ["inside", "outside"]
    labels = np.where(y > 0, *names)
    fitted: MLPClassifier = classifier.fit(X, labels)
    score: float = fitted.score(X, labels)
    predicted: NDArray[Any] = classifier.predict(X)
    probabilities: NDArray[Any] = classifier.predict_proba(X) + classifier.predict_log_proba(X)
    MLPClassifier(class_weight="balanced").fit(X, labels)
    MLPClassifier(class_weight={"inside": 2, "outside": 0.5}).partial_fit(X, labels, classes=names)
    MLPClassifier().set_params(alpha=0.1).partial_fit(X, labels, classes=["inside", "outside"])
    regressor = MLPRegressor(
        hidden_layer_sizes=[8], activation="relu", solver="sgd", learning_rate="adaptive",
        batch_size=20, early_stopping=True, max_iter=200, momentum=0.5, tol=0.1,
    )  # fmt: skip
    regressor.fit(X.tolist(), y).score(X, y, sample_weight=np.ones(len(y)))
    coefs: list[NDArray[Any]] = regressor.coefs_ + regressor.intercepts_
    theirs = regressor.to_sklearn()
    back: MLPRegressor = MLPRegressor.from_sklearn(theirs)
    losses: list[float] = back.loss_curve_
    regressor.n_jobs = None
    held = MLPRegressor(scoring="r2", n_jobs=2).fit(
        X, y, X_val=X, y_val=y, sample_weight_val=y + 1
    )
    MLPClassifier(scoring=lambda mlp, X, y: mlp.score(X, y), early_stopping=True).fit(X, labels)
    best: int | None = held.best_iteration_
    print(best, held.validation_scores_)
    print(score, predicted.shape, probabilities.shape, len(coefs), losses[:1], back.n_iter_)
    print(classifier.classes_, classifier.get_params()["alpha"], back.out_activation_)


def ensembles() -> None:
    nets = NetworkEnsemble(3, [2, 4, 1], "tanh", loss="huber", delta=0.5, random_state=0)
    nets.fit(X, y, bootstrap=True, max_iter=2).fit(X, Y, rows=[[0, 1], None, [2]], max_iter=1)
    every: NDArray[Any] = nets.predict(X)
    mean, std = nets.predict_mean(X, return_std=True)
    first: Network = nets[0]
    nets.coefs_[0][:] = 0
    print(every.shape, mean.shape, std.shape, len(nets), first, nets.predict_mean(X).shape)
    labels = np.where(y > 0, "inside", "outside")
    bag = BaggedMLPClassifier(2, hidden_layer_sizes=(4,), max_iter=20, oob_score=True)
    fitted: BaggedMLPClassifier = bag.fit(X, labels)
    member: MLPClassifier = fitted.estimators_[0]
    print(fitted.predict_proba(X).shape, member.n_iter_, fitted.oob_score_, fitted.classes_)
    regressors = BaggedMLPRegressor(n_estimators=2, solver="lbfgs", max_samples=0.5, quantile=0.5)
    print(regressors.fit(X, y).predict(X).shape, [one.loss_ for one in regressors])


def patched() -> None:
    fastnn.patch_sklearn()
    fastnn.unpatch_sklearn()
    with fastnn.patch_sklearn():
        from sklearn.neural_network import MLPClassifier

        print(MLPClassifier())


# ---- settings -----------------------------------------------------------------------------------


def settings() -> None:
    threads: int = fastnn.get_num_threads()
    fastnn.set_num_threads(1)
    fastnn.set_num_threads(None)
    version: str = fastnn.__version__
    print(threads, version, dir(fastnn), fastnn.reference.__doc__)
    fastnn.show_config()
    for room in (
        fastnn.callbacks,
        fastnn.estimators,
        fastnn.plotting,
        fastnn.schedules,
        fastnn.tutorial,
    ):
        print(room.__name__)


if __name__ == "__main__":
    networks()
    learning_rates()
    losses_of_estimators()
    listening()
    pictures()
    the_tutorial()
    estimators()
    ensembles()
    patched()
    settings()
