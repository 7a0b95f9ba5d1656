"""Estimators: refusals, numbers that are not finite, many calls, many threads."""

import itertools
import subprocess
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn
from conftest import PYTHON
from estimator_cases import CLASSES, PAIRS, VERSION, fit_both, needs_weights, problem
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.neural_network import _multilayer_perceptron as originals

import fastnn
from fastnn import kernels, trainable
from fastnn.estimators import fitting

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

needs_poisson = pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn 1.6 has no Poisson loss")

# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.skipif(VERSION >= (1, 7), reason="newer scikit-learn has weights")
def test_scikit_learn_without_weights_is_named():
    with pytest.raises(TypeError, match="sample_weight needs scikit-learn"):
        fastnn.MLPClassifier().fit([[0], [1]], [0, 1], sample_weight=[1, 2])
    with pytest.raises(ValueError, match="class_weight needs scikit-learn"):
        fastnn.MLPClassifier(class_weight="balanced").fit([[0], [1]], [0, 1])


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, "2"])
def test_n_jobs_is_checked(n_jobs):
    with pytest.raises(ValueError, match="n_jobs' parameter of MLPClassifier must be"):
        fastnn.MLPClassifier(n_jobs=n_jobs).fit([[0], [1]], [0, 1])


def test_not_fitted():
    with pytest.raises(NotFittedError):
        fastnn.MLPRegressor().predict([[0]])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_divergence_is_an_error_and_leaves_finite_parameters(solver):
    X, y = problem("one output", 50, 4, 0)
    mlp = fastnn.MLPRegressor(
        solver=solver, activation="identity", learning_rate_init=1e300, max_iter=5, random_state=0
    )
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        mlp.fit(X, y)
    assert not np.isfinite(mlp.loss_curve_[-1])
    assert np.isfinite(mlp.predict(X)).all()


@needs_weights
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_weights_that_sum_to_zero(solver):
    X, y = problem("one output", 50, 4, 0)
    for cls in PAIRS[1]:
        with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
            cls(solver=solver).fit(X, y, sample_weight=np.tile([1.0, -1.0], 25))


@needs_weights
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_batch_whose_weights_sum_to_zero_says_in_which_epoch(solver):
    """Five of eight rows weigh nothing; in batches of four they come together sooner or later."""
    X, y = problem("one output", 8, 4, 0)
    weight, epochs = np.array([0, 0, 0, 0, 0, 1.0, 1, 1]), set()
    for seed in range(20):
        mlp = fastnn.MLPRegressor(
            hidden_layer_sizes=(3,),
            solver=solver,
            batch_size=4,
            max_iter=500,
            random_state=seed,
            tol=0,
        )
        with pytest.raises(ZeroDivisionError) as caught:
            mlp.fit(X, y, sample_weight=weight)
        epochs.add(mlp.n_iter_)
        assert f"in epoch {mlp.n_iter_ + 1}." in str(caught.value)
    assert len(epochs) > 3


@needs_weights
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_validation_weights_that_are_all_zero(ours, theirs):
    X, y = problem("binary" if ours is fastnn.MLPClassifier else "one output", 60, 5, 0)
    params = {"hidden_layer_sizes": (), "early_stopping": True, "random_state": 0, "max_iter": 2}
    weight, errors = np.ones(60), []
    split = train_test_split
    with pytest.MonkeyPatch.context() as patch:
        for room in (fitting, originals):
            patch.setattr(
                room, "train_test_split",
                lambda *arrays, **kw: [
                    np.zeros_like(part) if i == 5 else part
                    for i, part in enumerate(split(*arrays, **kw))
                ],
            )  # fmt: skip
        for cls in (ours, theirs):
            with pytest.raises((ValueError, ZeroDivisionError)) as caught:
                cls(**params).fit(X, y, sample_weight=weight)
            errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@needs_poisson
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
def test_poisson_loss_refuses_negative_targets(solver):
    """scikit-learn trains on them, with NaN for a loss."""
    X, y = problem("counts", 60, 5, 0)
    y[3] = -1
    mlp = fastnn.MLPRegressor(loss="poisson", solver=solver)
    with pytest.raises(ValueError, match=r"y must be at least 0 .*, got y\[3, 0\] = -1"):
        mlp.fit(X, y)
    assert not hasattr(mlp, "coefs_")


def test_a_warm_start_with_another_number_of_layers():
    X, y = problem("binary", 60, 5, 0)
    for solver in ("adam", "lbfgs"):
        mlp = fastnn.MLPClassifier((8,), warm_start=True, max_iter=2, solver=solver).fit(X, y)
        mlp.set_params(hidden_layer_sizes=(8, 8))
        with pytest.raises(ValueError, match="a warm start needs the hidden_layer_sizes"):
            mlp.fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", ["_backprop", "_compute_loss_grad", "_forward_pass"])
def test_arithmetic_of_a_subclass_is_used(name, solver):
    X, y = problem("one output", 60, 5, 0)
    calls = []

    def own(self, *args):
        calls.append(1)
        return getattr(super(Own, self), name)(*args)

    Own = type("Own", (fastnn.MLPRegressor,), {name: own})
    params = {"solver": solver, "max_iter": 3, "random_state": 0}
    with pytest.warns(UserWarning, match=f"Own has its own {name}"):
        mlp = Own(**params).fit(X, y)
    assert len(calls) >= 3
    np.testing.assert_allclose(mlp.predict(X), fastnn.MLPRegressor(**params).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="calls no callbacks of fastnn's"):
        Own(**params).set_callbacks(print).fit(X, y)


def test_subclasses_with_constructors_of_their_own():
    class Narrow(fastnn.MLPRegressor):
        def __init__(self, width=3):
            super().__init__(hidden_layer_sizes=(width,))
            self.width = width

    class Old(fastnn.MLPRegressor):
        def __init__(self, width=3):
            super(fastnn.MLPRegressor, self).__init__()  # past fastnn's own
            self.width = width

    X, y = problem("one output", 60, 5, 0)
    for cls in (Narrow, Old):
        mlp = clone(cls(4)).fit(X, y)
        other = mlp.to_sklearn()
        assert type(other) is originals.MLPRegressor
        np.testing.assert_allclose(other.predict(X), mlp.predict(X))
    kept = fastnn.MLPRegressor.from_sklearn(fastnn.MLPRegressor(n_jobs=2))
    assert kept.n_jobs == 2


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
def test_ctrl_c(solver, monkeypatch):
    X, y = problem("one output", 50, 4, 0)
    calls = []

    def press():
        calls.append(solver)
        if len(calls) == 8:
            raise KeyboardInterrupt

    class Interrupted(kernels.build.Epochs):
        def until(self, stop):
            for epoch in range(self.epoch, stop):
                press()
                super().until(epoch + 1)

    def interrupted(*args, kernel=kernels.build.loss_and_grad):
        press()
        return kernel(*args)

    monkeypatch.setattr(kernels.build, "Epochs", Interrupted)
    monkeypatch.setattr(kernels.build, "loss_and_grad", interrupted)
    mlp = fastnn.MLPRegressor(solver=solver, random_state=0)
    if solver == "adam":
        with pytest.warns(UserWarning, match="interrupted by user"):
            mlp.fit(X, y)
        assert mlp.n_iter_ == 7
    else:
        with pytest.raises(KeyboardInterrupt):
            mlp.fit(X, y)
    start = fastnn.MLPRegressor(solver="adam", random_state=0, max_iter=1, learning_rate_init=1e-9)
    assert mlp.score(X, y) > start.fit(X, y).score(X, y)


# ---- losses and parameters that are not finite --------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_infinite_loss_is_an_error(solver, dtype):
    """With finite parameters, too; scikit-learn returns."""
    X, y = problem("one output", 50, 4, 0)
    X, y = X.astype(dtype), (y * np.sqrt(np.finfo(dtype).max) * 4).astype(dtype)
    mlp = fastnn.MLPRegressor(solver=solver, max_iter=3, random_state=0, learning_rate_init=1e-300)
    start = fastnn.MLPRegressor(solver=solver, max_iter=1, random_state=0).fit(X, 0 * y)
    if dtype == np.float32:
        mlp.set_params(learning_rate_init=1e-30)
    message = (
        r"The loss is (inf|nan)\. .* intercepts_ are those that the fit began with\. Try a "
        r"learning rate below 1e-3\d+, or y scaled to mean 0 and variance 1\. See docs: "
    )
    with pytest.raises(ValueError, match=message):
        mlp.fit(X, y)
    assert not np.isfinite(mlp.loss_)
    assert all(np.isfinite(a).all() for a in mlp.coefs_ + mlp.intercepts_)
    assert [a.shape for a in mlp.coefs_] == [a.shape for a in start.coefs_]


def test_lbfgs_with_an_infinite_loss_is_an_error():
    X, y = problem("one output", 50, 4, 0)
    mlp = fastnn.MLPRegressor(solver="lbfgs", max_iter=20, random_state=0, warm_start=True)
    mlp.fit(X, y)
    before = [a.copy() for a in mlp.coefs_ + mlp.intercepts_]
    for bad in (y * 1e200, np.where(np.arange(50) == 7, 1e300, y)):
        message = r"The loss is (inf|nan)\. .* began with\. Try y scaled to mean 0 .*\. See docs: "
        with pytest.raises(ValueError, match=message):
            mlp.fit(X, bad)
        for a, b in zip(mlp.coefs_ + mlp.intercepts_, before, strict=True):
            np.testing.assert_array_equal(a, b)
    mlp.fit(X, y)
    assert np.isfinite(mlp.loss_)


@pytest.mark.parametrize("sparse", [False, True])
def test_parameters_kept_are_called_what_they_are(sparse):
    X, y = problem("one output", 50, 4, 0)
    X[3] *= 1e3
    X = scipy.sparse.csr_array(X) if sparse else X
    mlp = fastnn.MLPRegressor(solver="sgd", learning_rate_init=1e3, max_iter=50, random_state=0)
    message = (
        r"intercepts_ are the last that gave a finite loss\. Try a learning rate below 1000, or X "
        r"scaled to mean 0 and variance 1\. See docs: "
    )
    with pytest.raises(ValueError, match=message):
        mlp.fit(X, y)
    assert np.isfinite(mlp.loss_curve_[0])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_recovers_from_an_infinite_loss(solver):
    """The parameters stay those before the call, and the solver's state is not infinite."""
    X, y = problem("one output", 50, 4, 0)
    mlp = fastnn.MLPRegressor(solver=solver, random_state=0)
    for _ in range(3):
        mlp.partial_fit(X, y)
    before = [a.copy() for a in mlp.coefs_ + mlp.intercepts_]
    for bad in (y * 1e200, y * 1e308):
        with pytest.raises(ValueError, match="scaled to mean 0"):
            mlp.partial_fit(X, bad)
        for a, b in zip(mlp.coefs_ + mlp.intercepts_, before, strict=True):
            np.testing.assert_array_equal(a, b)
    losses = [mlp.partial_fit(X, y).loss_ for _ in range(20)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_early_stopping_keeps_its_best_parameters_when_training_diverges():
    """As in scikit-learn, which does not warn."""
    X, y = problem("one output", 100, 4, 0)
    params = {
        "solver": "sgd", "activation": "identity", "learning_rate_init": 0.9, "max_iter": 40,
        "random_state": 0, "early_stopping": True,
    }  # fmt: skip
    mlp = fastnn.MLPRegressor(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        with pytest.raises(ConvergenceWarning, match="the best validation score"):
            mlp.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.fit(X, y)
        theirs = originals.MLPRegressor(**params).fit(X, y)
    assert not np.isfinite(mlp.loss_)
    assert np.isfinite(mlp.best_validation_score_)
    np.testing.assert_allclose(mlp.predict(X), theirs.predict(X), rtol=1e-6)
    with pytest.raises(ValueError, match=r"The loss is (inf|nan)\."):  # no score was finite
        fastnn.MLPRegressor(max_iter=5, early_stopping=True, random_state=0).fit(X, y * 1e200)


def test_targets_too_large_for_float32_are_refused():
    """scikit-learn would compute in float64."""
    X, y = problem("one output", 50, 4, 0)
    y[7] = 1e300
    with pytest.raises(ValueError, match=r"y\[7, 0\] is 1e\+300 \(too large for float32\)"):
        fastnn.MLPRegressor(max_iter=3).fit(X.astype(np.float32), y)


# ---- targets of other types ---------------------------------------------------------------------

N = np.arange(12)
NUMBERS = {
    "int": N,
    "uint8": N.astype(np.uint8),
    "bool": N % 2 == 0,
    "float16": N.astype(np.float16),
    "longdouble": N.astype(np.longdouble),
    "objects": N.astype(object),
    "objects, bool": (N % 2 == 0).astype(object),
    "objects, str": np.array(["1.5", "2"] * 6, object),  # which scikit-learn converts, too
    "two columns": np.column_stack([N, N % 2]),
}
NO_NUMBERS = {
    "str": np.array(["1.5", "2"] * 6),
    "list of str": ["1.5", "2"] * 6,
    "two columns": np.array([["1", "2"]] * 12),
    "bytes": np.array([b"1", b"2"] * 6),
    "datetime": np.array(["2020-01-01", "2021-01-01"] * 6, "M8[D]"),
    "timedelta": N.astype("m8[s]"),
    "records": np.zeros(12, [("a", "f8"), ("b", "f8")]),
    "complex objects": (N * 1j).astype(object),
    "dicts": np.array([{} for _ in N], object),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_regression_on_numbers_of_any_type(kind, solver):
    X = np.random.RandomState(0).randn(12, 3)
    params = {"hidden_layer_sizes": (3,), "random_state": 0, "max_iter": 3, "solver": solver}
    a, b = fit_both(*PAIRS[1], X, NUMBERS[kind], params)
    np.testing.assert_allclose(a.loss_, b.loss_, rtol=1e-6)


@pytest.mark.parametrize("how", ["adam", "lbfgs", "lm", "early_stopping", "partial_fit"])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_regression_on_no_numbers_is_a_type_error(kind, how):
    X, y = np.random.RandomState(0).randn(12, 3), NO_NUMBERS[kind]
    for cls in PAIRS[1]:
        mlp = cls(
            solver=how if how in ("lbfgs", "lm") else "adam",
            early_stopping=how == "early_stopping",
        )
        with pytest.raises(TypeError):
            (mlp.partial_fit if how == "partial_fit" else mlp.fit)(X, y)


def test_regression_on_strings_names_y():
    with pytest.raises(TypeError, match="y must hold real numbers, got dtype <U3"):
        fastnn.MLPRegressor().fit([[0.0], [1.0]], ["1.5", "2"])
    with pytest.raises(TypeError, match="y is sparse; pass a dense array"):
        fastnn.MLPRegressor().fit([[0.0], [1.0]], scipy.sparse.csr_array(np.eye(2)))


# ---- parameters ---------------------------------------------------------------------------------

HINTS = [
    ("activation", "sigmoid", "Did you mean 'logistic'?"),
    ("activation", "linear", "Did you mean 'identity'?"),
    ("activation", "rleu", "Did you mean 'relu'?"),
    ("activation", "swish", "Did you mean 'silu'?"),
    ("activation", "leaky", "Did you mean 'leaky_relu'?"),
    ("solver", "adma", "Did you mean 'adam'?"),
    ("learning_rate", "adaptiv", "Did you mean 'adaptive'?"),
]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("name", "value", "hint"), HINTS)
def test_near_names_are_hinted_at(cls, name, value, hint):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {cls.__name__} must") as info:
        cls(**{name: value}).fit([[0], [1]], [0, 1])
    assert str(info.value).endswith(hint) or f"{hint}." in str(info.value)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
@pytest.mark.parametrize("cls", CLASSES)
def test_what_is_unknown_is_refused_without_scikit_learns_validation(cls, solver):
    """Some activations are for outputs only: scikit-learn has no name for them."""
    for name in ("softmax", "exp", "nonsense", "Relu"):
        mlp = cls(activation=name, solver=solver)
        with sklearn.config_context(skip_parameter_validation=True):
            with pytest.raises(ValueError, match=f"activation must be one of .*, got {name!r}"):
                mlp.fit([[0], [1]], [0, 1])
    mlp = cls(solver=solver)
    mlp.loss = "binary_log_loss"
    with sklearn.config_context(skip_parameter_validation=True):
        with pytest.raises(ValueError, match=r"loss must be one of .*, got 'binary_log_loss'"):
            mlp.fit([[0], [1]], [0, 1])


@needs_poisson
def test_names_of_losses_are_hinted_at():
    for name, hint in {
        "mse": "Did you mean 'squared_error'?", "poison": "Did you mean 'poisson'?",
        "bce": "The loss of MLPClassifier is the log loss.",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match="The 'loss' parameter") as info:
            fastnn.MLPRegressor(loss=name).fit([[0], [1]], [0, 1])
        assert str(info.value).endswith(hint)


def test_unknown_parameters_are_hinted_at():
    with pytest.raises(TypeError, match="did you mean 'learning_rate_init'"):
        fastnn.MLPClassifier(learning_rate_ini=0.1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'loss'"):
        fastnn.MLPClassifier(loss="bce")
    with pytest.raises(TypeError, match="takes from"):
        fastnn.MLPClassifier(*range(9), solver="adam")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_a_generator_is_a_random_state(ours, theirs, solver):
    """Its bit generator is used and advanced; scikit-learn's own classes refuse it."""
    X, y = problem("binary" if ours is fastnn.MLPClassifier else "one output", 60, 5, 0)
    generator = np.random.default_rng(3)
    params = {"max_iter": 4, "solver": solver, "early_stopping": True}
    with pytest.raises(ValueError, match="random_state"):
        theirs(random_state=generator, **params).fit(X, y)
    mlp = ours(random_state=generator, **params)
    copy = clone(mlp)
    mlp.fit(X, y)
    assert mlp.random_state is generator
    same = np.random.RandomState(np.random.PCG64(3))
    other = ours(random_state=same, **params).fit(X, y)
    assert generator.random() == same.random_sample()
    for estimator in (other, copy.fit(X, y)):
        for a, b in zip(mlp.coefs_, estimator.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    converted = mlp.to_sklearn()
    assert isinstance(converted.random_state, np.random.RandomState)
    converted.fit(X, y)
    assert "Generator" in ours.__doc__
    mlp.set_params(random_state="x")
    with pytest.raises(ValueError, match="random_state"):
        mlp.fit(X, y)


# ---- many calls ---------------------------------------------------------------------------------


def test_partial_fit_keeps_the_last_losses(monkeypatch):
    X, y = problem("one output", 30, 4, 0)
    every, few = (fastnn.MLPRegressor(random_state=0) for _ in range(2))
    for _ in range(25):
        every.partial_fit(X, y)
    assert len(every.loss_curve_) == 25
    monkeypatch.setattr(trainable, "LONGEST_CURVE", 10)
    lengths = []
    for _ in range(25):
        few.partial_fit(X, y)
        lengths.append(len(few.loss_curve_))
    assert max(lengths) == 10
    assert min(lengths[10:]) > 5
    assert few.loss_curve_ == every.loss_curve_[-len(few.loss_curve_) :]
    assert (few.n_iter_, few.t_) == (every.n_iter_, every.t_) == (1, 25 * 30)
    for a, b in zip(few.coefs_, every.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_warm_starts_keep_the_last_losses_and_scores(monkeypatch):
    X, y = problem("one output", 60, 4, 0)
    monkeypatch.setattr(trainable, "LONGEST_CURVE", 10)
    mlp = fastnn.MLPRegressor(
        warm_start=True, early_stopping=True, max_iter=3, random_state=0, n_iter_no_change=1000
    )
    for _ in range(9):
        mlp.fit(X, y)
        assert mlp.n_iter_ == 3
        assert 3 <= len(mlp.loss_curve_) == len(mlp.validation_scores_) <= 13
    # one fit keeps all of its own
    assert len(mlp.set_params(max_iter=30).fit(X, y).loss_curve_) >= 30


# ---- threads ------------------------------------------------------------------------------------


def in_threads(function, n=4):
    """What n threads raise that call function() at once."""
    barrier, errors = threading.Barrier(n), []

    def call():
        barrier.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=call) for _ in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return errors


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "lm"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_threads_may_fit_one_estimator(solver, early_stopping):
    """They take turns: each fit comes to what it comes to alone."""
    X, y = problem("multiclass", 90, 5, 0)
    params = {
        "solver": solver, "random_state": 0, "max_iter": 30, "early_stopping": early_stopping
    }  # fmt: skip
    mlp = fastnn.MLPClassifier(**params)
    alone = fastnn.MLPClassifier(**params).fit(X, y)
    calls = []
    mlp.set_callbacks(lambda net: calls.append(threading.get_ident()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # filters are the process's own
        assert in_threads(lambda: mlp.fit(X, y)) == []
    assert sum(a != b for a, b in itertools.pairwise(calls)) == 3
    for a, b in zip(mlp.coefs_ + mlp.intercepts_, alone.coefs_ + alone.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_may_partially_fit_one_estimator():
    X, y = problem("multiclass", 90, 5, 0)
    mlp, alone = (fastnn.MLPClassifier(random_state=0) for _ in range(2))

    def some():
        for _ in range(25):
            mlp.partial_fit(X, y, classes=[0, 10, 20])

    assert in_threads(some) == []
    for _ in range(100):
        alone.partial_fit(X, y, classes=[0, 10, 20])
    assert mlp.t_ == 100 * 90
    assert mlp.loss_curve_ == alone.loss_curve_


def test_a_forked_child_may_fit_what_a_thread_is_fitting(tmp_path):
    code = """
import os, threading, warnings
import numpy as np
import fastnn
warnings.simplefilter("ignore")
X, y = np.random.RandomState(0).randn(30, 4), np.arange(30) % 2
mlp = fastnn.MLPClassifier(max_iter=3, random_state=0)
fitting, forked = threading.Event(), threading.Event()
def wait(net):
    fitting.set()
    forked.wait()
mlp.set_callbacks(wait)
thread = threading.Thread(target=mlp.fit, args=(X, y))
thread.start()
fitting.wait()
child = os.fork()
if child == 0:
    mlp.set_callbacks().fit(X, y)
    os._exit(7)
forked.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [*PYTHON, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout == "7\n", done.stderr
