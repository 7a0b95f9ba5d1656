"""Fits over the partitions of Dask collections: bits, refusals, lost workers, searches."""

import _thread
import contextlib
import os
import pickle
import re
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED_ONLY, THOROUGH
from estimator_cases import VERSION, needs_weights
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from test_many import X as ROWS
from test_many import Y as TARGETS
from test_many import networks
from test_readme import printed_by

import fastnn

pytest.importorskip("dask.array")
pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

import dask  # noqa: E402
import dask.array as da  # noqa: E402
import dask.dataframe as dd  # noqa: E402

import fastnn.dask  # noqa: E402

pytestmark = [
    COMPILED_ONLY,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "dask.md"
RNG = np.random.RandomState(0)
X = RNG.randn(203, 4)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] * X[:, 1], [-0.4, 0.4])]
NUMBERS = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
WEIGHTS = RNG.rand(203)
ODD = (1, 50, 7, 100, 45)  # rows of partitions
CLASSIFIER = fastnn.MLPClassifier, fastnn.dask.MLPClassifier, LABELS
REGRESSOR = fastnn.MLPRegressor, fastnn.dask.MLPRegressor, NUMBERS
KINDS = pytest.mark.parametrize(("local", "over", "y"), [CLASSIFIER, REGRESSOR],
                                ids=["classifier", "regressor"])  # fmt: skip


def cut(array, rows=ODD):
    """A Dask array with these rows in its partitions."""
    chunks = (rows, *((n,) for n in array.shape[1:]))
    return da.from_array(array, chunks=chunks)


def parts(array, rows=ODD):
    """The partitions as arrays."""
    return np.split(array, np.cumsum(rows)[:-1])


def given(**more):
    return {"hidden_layer_sizes": (6, 3), "max_iter": 7, "random_state": 0, **more}


def same(nets, others):
    """Whatever pickles keep; what is one object in some may be two in others."""
    for net, other in zip(nets, others, strict=True):
        states = [pickle.loads(pickle.dumps(one)).__getstate__() for one in (net, other)]
        one, two = ({k: pickle.dumps(v) for k, v in state.items()} for state in states)
        assert one == two


def parameters(estimator):
    return np.concatenate([a.ravel() for a in estimator.coefs_ + estimator.intercepts_])


@contextlib.contextmanager
def workers(n, **options):
    """A client of n workers in this process."""
    options = {"threads_per_worker": 1, "processes": False, **options}
    with (
        distributed.LocalCluster(n_workers=n, dashboard_address=":0", **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def two_workers():
    with workers(2) as client:
        yield client


@pytest.fixture
def client(two_workers):
    """The one that computes."""
    with two_workers.as_current():
        yield two_workers


# ---- numbers ------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_partition_has_the_bits_of_a_local_fit(local, over, y, dtype):
    params, x = given(solver="lbfgs", alpha=0.1), X.astype(dtype)
    one, other = local(**params).fit(x, y), over(**params).fit(cut(x, (203,)), cut(y, (203,)))
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert (one.loss_, one.n_iter_) == (other.loss_, other.n_iter_)
    assert one.__getstate__().keys() == other.__getstate__().keys()
    np.testing.assert_array_equal(one.predict(x), other.predict(x))


@KINDS
def test_partitions_give_the_loss_and_gradient_of_all_rows(local, over, y):
    params = given(solver="lbfgs", alpha=3.0, max_iter=2)
    weights = WEIGHTS.copy()
    weights[1:51] = 0  # a partition without weight
    weights = {"sample_weight": weights} if VERSION >= (1, 7) else {}
    one = local(**params).fit(X, y, **weights)
    cut_weights = {name: cut(values) for name, values in weights.items()}
    other = over(**params).fit(cut(X), cut(y), **cut_weights)
    np.testing.assert_allclose(parameters(one), parameters(other), rtol=1e-9)
    assert other.loss_ == pytest.approx(one.loss_, rel=1e-12)


@needs_weights
@pytest.mark.parametrize("class_weight", ["balanced", {"a": 2.0, "b": 0.5}])
def test_class_weights(class_weight):
    if isinstance(class_weight, dict):
        class_weight = {**class_weight, "c": 1.0}
    params = given(solver="lbfgs", max_iter=2, class_weight=class_weight)
    one = fastnn.MLPClassifier(**params).fit(X, LABELS, WEIGHTS)
    other = fastnn.dask.MLPClassifier(**params).fit(cut(X), cut(LABELS), cut(WEIGHTS))
    np.testing.assert_allclose(parameters(one), parameters(other), rtol=1e-9)
    assert other.class_weight == class_weight
    other.set_params(solver="adam").fit(cut(X), cut(LABELS), cut(WEIGHTS))
    assert other.class_weight == class_weight


@KINDS
@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
def test_bits_whoever_computes(local, over, y, solver):
    params, x, targets = given(solver=solver, max_iter=3), cut(X), cut(y)
    with dask.config.set(scheduler="synchronous"):
        expected = over(**params).fit(x, targets)
    found = [over(**params).fit(x, targets)]
    for n in (1, 2, 4):
        with workers(n) as client, client.as_current():
            found.append(over(**params).fit(x, targets))
    for one in found:
        np.testing.assert_array_equal(parameters(one), parameters(expected))
        assert one.loss_ == expected.loss_
        assert getattr(one, "loss_curve_", None) == getattr(expected, "loss_curve_", None)


@KINDS
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "adam", "batch_size": 16},
        {"solver": "adam", "random_state": "instance", "dropout": 0.2},
        {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.5, "ema": 0.9},
        {"solver": "adamw", "shuffle": False, "weight_decay": 0.1},
        {"solver": "rmsprop", "random_state": "generator"},
    ],
    ids=lambda options: options["solver"],
)
def test_epochs_are_those_of_partial_fit(local, over, y, options, client):
    made = {"instance": np.random.RandomState, "generator": np.random.default_rng}
    make = made.get(options.get("random_state"), lambda seed: seed)
    rows = (60, 1, 100, 42)
    one = local(**given(**{**options, "max_iter": 3, "random_state": make(5)}))
    other = over(**given(**{**options, "max_iter": 3, "random_state": make(5)}))
    losses, classes = [], {"classes": np.unique(LABELS)} if y is LABELS else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # batches that are larger than a partition
        for _ in range(3):
            of_epoch = []
            for x, targets in zip(parts(X, rows), parts(y, rows), strict=True):
                one.partial_fit(x, targets, **classes)
                of_epoch.append(one.loss_)
            losses.append(float(np.array(rows) / 203 @ of_epoch))
        other.fit(cut(X, rows), cut(y, rows))
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert other.loss_curve_ == losses
    assert (other.n_iter_, other.t_, other.loss_) == (3, 609, losses[-1])
    one.partial_fit(X, y)  # both go on alike
    other.partial_fit(X, y)
    np.testing.assert_array_equal(parameters(one), parameters(other))


def test_epochs_end_by_scikit_learns_rule(capsys):
    params = given(max_iter=50, tol=10.0, n_iter_no_change=2, verbose=True)
    fitted = fastnn.dask.MLPRegressor(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fitted.fit(cut(X), cut(NUMBERS))
    assert fitted.n_iter_ == 4  # the first is better than none
    assert len(fitted.loss_curve_) == 4
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[:4]] == [f"Iteration {i}" for i in (1, 2, 3, 4)]
    assert "did not improve more than tol=10" in lines[4]
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)"):
        fitted.set_params(max_iter=2, tol=0.0).fit(cut(X), cut(NUMBERS))
    assert fitted.n_iter_ == 2
    capsys.readouterr()
    fitted.set_params(solver="lbfgs").fit(cut(X), cut(NUMBERS))
    lines = capsys.readouterr().out.splitlines()
    rounds = [line for line in lines if line.startswith("Round ")]
    assert rounds[-1].split()[-1] == f"{fitted.loss_:.8f}"
    assert len(rounds) >= 3


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_warm_start_goes_on(solver):
    whole = fastnn.dask.MLPRegressor(**given(solver=solver, warm_start=True))
    whole.fit(cut(X), cut(NUMBERS))
    before = parameters(whole)
    curve = list(getattr(whole, "loss_curve_", []))
    local = whole.to_local()
    whole.fit(cut(X, (203,)), cut(NUMBERS, (203,)))
    if solver == "lbfgs":
        local.fit(X, NUMBERS)
        np.testing.assert_array_equal(parameters(local), parameters(whole))
    else:
        assert whole.loss_curve_[: len(curve)] == curve
        assert len(whole.loss_curve_) == 14
    assert not np.array_equal(before, parameters(whole))


# ---- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_data_frames(solver, client):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("pqrs"))
    frame["y"] = LABELS
    collection = dd.from_pandas(frame, npartitions=4)
    x, y = collection[list("pqrs")], collection["y"]
    rows = tuple(len(part) for part in dask.compute(*x.to_delayed()))
    fitted = fastnn.dask.MLPClassifier(**given(solver=solver)).fit(x, y)
    other = fastnn.dask.MLPClassifier(**given(solver=solver)).fit(cut(X, rows), cut(LABELS, rows))
    np.testing.assert_array_equal(parameters(fitted), parameters(other))
    assert fitted.feature_names_in_.tolist() == list("pqrs")
    assert fitted.classes_.tolist() == ["a", "b", "c"]
    predicted = fitted.predict(x)
    assert isinstance(predicted, da.Array)
    assert predicted.dtype == fitted.classes_.dtype
    np.testing.assert_array_equal(predicted.compute(), fitted.predict(frame[list("pqrs")]))
    probabilities = fitted.predict_proba(x).compute()
    np.testing.assert_array_equal(probabilities, fitted.predict_proba(frame[list("pqrs")]))
    assert fitted.score(x, y) == pytest.approx(fitted.score(frame[list("pqrs")], LABELS))
    unknown = x.to_dask_array()  # without the number of rows
    assert np.isnan(unknown.chunks[0]).all()
    again = fastnn.dask.MLPClassifier(**given(solver=solver)).fit(unknown, y)
    np.testing.assert_array_equal(parameters(again), parameters(other))


def test_what_arrays_X_and_y_both_come_from_is_loaded_once():
    loads = []

    def block(rows):
        loads.append(len(rows))
        return rows

    table = cut(X).map_blocks(block, meta=X[:0])
    for solver in ("adam", "lbfgs"):
        fitted = fastnn.dask.MLPRegressor(**given(max_iter=1, solver=solver))
        loads.clear()
        fitted.fit(table[:, :3], 2 * table[:, 3])
        assert len(loads) % 5 == 0
        assert len(loads) <= (2 if solver == "adam" else 4) * 5


def test_classes_that_are_not_in_every_partition():
    order = np.argsort(LABELS, kind="stable")
    x, y, rows = X[order], LABELS[order], (60, 43, 100)
    assert len(np.unique(y[:60])) < 3
    for solver in ("lbfgs", "adam"):
        fitted = fastnn.dask.MLPClassifier(**given(solver=solver, max_iter=3))
        fitted.fit(cut(x, rows), cut(y, rows))
        assert fitted.classes_.tolist() == ["a", "b", "c"]
        assert fitted.predict_proba(cut(x, rows)).compute().shape == (203, 3)
        fitted.fit(cut(x, rows), cut(y, rows), classes=["a", "b", "c", "d"])
        assert fitted.predict_proba(X).shape == (203, 4)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_two_classes_and_several_labels(solver):
    for y, shape in ((X[:, 0] > 0, (203,)), ((X[:, :3] > 0).astype(int), (203, 3))):
        fitted = fastnn.dask.MLPClassifier(**given(solver=solver, max_iter=3))
        fitted.fit(cut(X), cut(y))
        predicted = fitted.predict(cut(X)).compute()
        np.testing.assert_array_equal(predicted, fitted.predict(X))
        assert predicted.shape == shape
        assert fitted.score(cut(X), cut(y)) == pytest.approx(fitted.score(X, y))


@pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn 1.6 has one loss and no weights")
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber", "quantile"])
def test_losses_of_regressors(loss):
    y = np.abs(NUMBERS[:, 0])
    params = given(solver="lbfgs", loss=loss, max_iter=2)
    fitted = fastnn.dask.MLPRegressor(**params).fit(cut(X), cut(y), cut(WEIGHTS))
    local = fastnn.MLPRegressor(**params).fit(X, y, WEIGHTS)
    np.testing.assert_allclose(parameters(fitted), parameters(local), rtol=1e-8)
    np.testing.assert_array_equal(fitted.predict(cut(X)).compute(), fitted.predict(X))
    if loss == "quantile":
        with pytest.raises(ValueError, match="needs all rows at once"):
            fitted.score(cut(X), cut(y))
        return
    found = fitted.score(cut(X), cut(y), cut(WEIGHTS))
    assert found == pytest.approx(fitted.score(X, y, WEIGHTS), rel=1e-9)


def test_predictions_are_lazy_and_keep_the_partitions():
    read = []

    def block(rows):
        read.append(len(rows))
        return rows

    fitted = fastnn.dask.MLPRegressor(**given()).fit(cut(X), cut(NUMBERS))
    predicted = fitted.predict(cut(X).map_blocks(block, meta=X[:0]))
    assert predicted.chunks == (ODD, (2,))
    assert read == []
    np.testing.assert_array_equal(predicted[1:51].compute(), fitted.predict(X[1:51]))
    assert read == [50]
    single = X.astype(np.float32)
    fitted = fastnn.dask.MLPClassifier(**given()).fit(cut(single), cut(LABELS))
    for x in (X, single):
        probabilities = fitted.predict_proba(cut(x))
        assert probabilities.dtype == fitted.predict_proba(x).dtype
        np.testing.assert_array_equal(probabilities.compute(), fitted.predict_proba(x))
    log = fitted.predict_log_proba(cut(X)).compute()
    np.testing.assert_allclose(log, fitted.predict_log_proba(X))


def test_it_is_fastnns_estimator():
    over = fastnn.dask.MLPClassifier(**given())
    local = fastnn.MLPClassifier(**given())
    assert over.get_params() == local.get_params()
    assert type(clone(over)) is fastnn.dask.MLPClassifier
    np.testing.assert_array_equal(
        parameters(over.fit(X, LABELS)), parameters(local.fit(X, LABELS))
    )
    over.fit(cut(X), cut(LABELS))
    for other in (over.to_local(), pickle.loads(pickle.dumps(over))):
        np.testing.assert_array_equal(parameters(other), parameters(over))
        np.testing.assert_array_equal(other.predict(X), over.predict(X))
    assert type(over.to_local()) is fastnn.MLPClassifier
    over.to_local().coefs_[0][:] = 0
    assert over.coefs_[0].all()
    assert type(clone(over).to_local()) is fastnn.MLPClassifier
    assert "Attributes" in fastnn.dask.MLPClassifier.__doc__


# ---- refusals -----------------------------------------------------------------------------------


def with_one(value, row=160):
    """X and a partition, the fourth, that holds this."""
    x = X.copy()
    x[row, 1] = value
    return cut(x)


REFUSED = {
    "NaN": (lambda: (with_one(np.nan), cut(LABELS)), "partition 4: Input X contains NaN"),
    "no labels": (lambda: (cut(X), cut(X[:, 0])), "partition 0: Unknown label type"),
    "lengths": (lambda: (cut(X), cut(LABELS, (50, 1, 7, 100, 45))),
                "partition 0 has 1 rows of X, and 50 of y"),
    "numbers": (lambda: (cut(X), cut(LABELS, (100, 103))),
                "X has 5 partitions, and y has 2: rechunk"),
    "empty": (lambda: (cut(X, (100, 0, 103)), cut(LABELS, (100, 0, 103))),
              "partition 1: there are no rows"),
    "columns": (lambda: (da.from_array(X, chunks=(50, 2)), cut(LABELS)),
                r"X is cut into 2 blocks of columns.*X.rechunk\({1: -1}\)"),
    "dimensions": (lambda: (cut(X[:, :, None]), cut(LABELS)), "X must have one or two dimensions"),
    "an array": (lambda: (cut(X), LABELS), "y must be a Dask array, data frame or series, got"),
    "unknown lengths": (
        lambda: (cut(X)[da.from_array(np.arange(203) != 7, chunks=(ODD,))], cut(LABELS)),
        "partition 1: 49 rows of X, and 50 of y",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_bad_data_are_refused_before_anything_changes(case, solver):
    make, message = REFUSED[case]
    new = fastnn.dask.MLPClassifier(**given(solver=solver))
    fitted = clone(new).fit(cut(X), cut(LABELS))
    before = pickle.dumps(fitted)
    for estimator in (new, fitted):
        with pytest.raises((TypeError, ValueError), match=message):
            estimator.fit(*make())
    assert not hasattr(new, "coefs_")
    assert pickle.dumps(fitted) == before


def test_other_bad_input():
    over, x, y = fastnn.dask.MLPClassifier, cut(X), cut(LABELS)
    for params, message in (
        ({"solver": "lm"}, "solver 'lm' is not for Dask collections"),
        ({"solver": "rprop"}, "solver 'rprop' is not for Dask collections"),
        ({"early_stopping": True}, "early_stopping=True is not for Dask collections"),
        ({"learning_rate": "cosine"}, "learning_rate='cosine' is not for Dask collections"),
        ({"solver": "sgd", "learning_rate": "adaptive"}, "learning_rate='adaptive' is not"),
        ({"alpha": -1}, "'alpha' parameter"),
        ({"hidden_layer_sizes": (0,), "solver": "lbfgs"}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
    ):
        estimator = over(**given(**params))
        with pytest.raises(ValueError, match=message):
            estimator.fit(x, y)
        assert not hasattr(estimator, "coefs_")
    with pytest.raises(ValueError, match="callbacks are not for fits of Dask"):
        over().set_callbacks(lambda net: None).fit(x, y)
    with pytest.raises(ValueError, match="X_val is not for fits of Dask"):
        over().fit(x, y, X_val=X, y_val=LABELS)
    with pytest.raises(ValueError, match="label 'c', which is not in classes"):
        over().fit(x, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="classes is for Dask"):
        over().fit(X, LABELS, classes=["a"])
    with pytest.raises(TypeError, match="partial_fit takes no Dask collections"):
        over().partial_fit(x, y, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="return_std is not for Dask"):
        fastnn.dask.MLPRegressor(**given()).fit(X, NUMBERS).predict(x, return_std=True)
    with pytest.raises(NotFittedError):
        over().predict(x)


@needs_weights
def test_bad_weights():
    over, x, y = fastnn.dask.MLPClassifier, cut(X), cut(LABELS)
    for solver in ("lbfgs", "adam"):
        for weights, error, message in (
            (np.zeros(203), ValueError, "the weights of all partitions are 0"),
            (-WEIGHTS, ValueError, "partition 0: sample_weight must be at least 0"),
            (WEIGHTS * np.nan, ValueError, "partition 0: sample_weight"),
            (np.array(["a"] * 203), TypeError, "partition 0: sample_weight"),
        ):
            with pytest.raises(error, match=message):
                over(**given(solver=solver)).fit(x, y, cut(weights))
        with pytest.raises(ValueError, match=r"class_weight|classes"):
            over(**given(solver=solver, class_weight={"nobody": 2.0, "a": 1.0})).fit(x, y)


# ---- what goes wrong on the way -----------------------------------------------------------------


class Flaky:
    """Partitions of X, the nth of which cannot be loaded."""

    def __init__(self, n):
        self.left, self.lock = n, threading.Lock()

    def __call__(self, rows):
        with self.lock:
            self.left -= 1
            if self.left == 0:
                raise OSError("the disk is gone")
        return rows


@pytest.mark.parametrize(("solver", "done"), [
    ("lbfgs", "2 iterations are done"), ("adam", "2 epochs and 3 of 5 partitions are done"),
])  # fmt: skip
def test_a_fit_that_fails_keeps_what_it_reached(solver, done):
    params, y = given(solver=solver, max_iter=9), cut(NUMBERS)
    with dask.config.set(scheduler="synchronous"):  # so that loads can be counted
        n = 5 + 2 * 5 + 4 if solver == "adam" else 5 + 3 * 5 + 2
        flaky = cut(X).map_blocks(Flaky(n), meta=X[:0])
        fitted = fastnn.dask.MLPRegressor(**params)
        with pytest.raises(RuntimeError, match=f"OSError: the disk is gone; {done}") as caught:
            fitted.fit(flaky, y)
        assert isinstance(caught.value.__cause__, OSError)
        assert fitted.n_iter_ == 2
        if solver == "lbfgs":
            expected = fastnn.dask.MLPRegressor(**{**params, "max_iter": 2}).fit(cut(X), y)
        else:
            expected = fastnn.MLPRegressor(**params)
            for x, targets in [*zip(parts(X), parts(NUMBERS), strict=True)] * 2:
                expected.partial_fit(x, targets)
            for x, targets in [*zip(parts(X), parts(NUMBERS), strict=True)][:3]:
                expected.partial_fit(x, targets)
        np.testing.assert_array_equal(parameters(fitted), parameters(expected))
        score = fitted.score(X, NUMBERS)
        fitted.set_params(warm_start=True).fit(cut(X), y)
        assert fitted.score(X, NUMBERS) > score
        new = fastnn.dask.MLPRegressor(**params)
        with pytest.raises(RuntimeError, match="nothing has changed"):
            new.fit(cut(X).map_blocks(Flaky(6), meta=X[:0]), y)
        assert not hasattr(new, "coefs_")


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_warm_start_refuses_a_new_label_before_anything_changes(solver):
    labels = np.where(NUMBERS[:, 0] > 0, "a", "b")
    fitted = fastnn.dask.MLPClassifier(**given(solver=solver, warm_start=True))
    fitted.fit(cut(X), cut(labels))
    before = parameters(fitted).copy(), fitted.n_iter_
    other = np.append(labels[:-1], "c")
    with pytest.raises(ValueError, match="label 'c', which is not in classes"):
        fitted.fit(cut(X), cut(other))
    np.testing.assert_array_equal(parameters(fitted), before[0])
    assert fitted.n_iter_ == before[1]


class Interrupting(Flaky):
    """Partitions of X, during the load of the nth of which somebody presses Ctrl-C."""

    def __call__(self, rows):
        try:
            return super().__call__(rows)
        except OSError:
            _thread.interrupt_main()
            return rows


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_ctrl_c(solver):
    params = given(solver=solver, max_iter=10**6, tol=0.0, n_iter_no_change=10**6)
    fitted, y = fastnn.dask.MLPRegressor(**params), cut(NUMBERS)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(cut(X).map_blocks(Interrupting(30), meta=X[:0]), y)
    assert 0 < fitted.n_iter_ < 10**6
    score = fitted.score(X, NUMBERS)
    fitted.set_params(warm_start=True, max_iter=5).fit(cut(X), y)
    assert fitted.score(X, NUMBERS) > score


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_a_fit_that_diverges(solver):
    params = given(solver=solver, activation="identity", warm_start=True)
    fitted = fastnn.dask.MLPRegressor(**params).fit(cut(X), cut(NUMBERS))
    before = parameters(fitted)
    x = X * 1e160 if solver == "lbfgs" else X
    fitted.set_params(learning_rate_init=1e160)
    with pytest.raises(ValueError, match=r"The loss is|non-finite"):
        fitted.fit(cut(x), cut(NUMBERS))
    assert np.isfinite(parameters(fitted)).all()
    if solver == "lbfgs":  # at the first loss
        np.testing.assert_array_equal(parameters(fitted), before)


ENOUGH = threading.Event()
LOADS = []


def counted(rows):
    """Load a partition; after 40 of them it is time for the cluster to go."""
    LOADS.append(len(rows))
    if len(LOADS) == 40:
        ENOUGH.set()
    return rows


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_cluster_that_goes_away(solver):
    LOADS.clear()
    ENOUGH.clear()
    endless = given(solver=solver, max_iter=10**6, tol=0.0, n_iter_no_change=10**6)
    fitted = fastnn.dask.MLPRegressor(**endless)
    with workers(1) as client, client.as_current():

        def close():
            ENOUGH.wait()
            client.close()

        thread = threading.Thread(target=close)
        thread.start()
        # which error Dask has depends on what it was about to do
        with pytest.raises(RuntimeError, match=r"a task failed, .+ are done") as caught:
            fitted.fit(cut(X).map_blocks(counted, meta=X[:0]), cut(NUMBERS))
        thread.join()
    assert "warm_start=True" in str(caught.value)
    assert np.isfinite(parameters(fitted)).all()


def killing(rows, path, first):
    """Load a partition; the first worker that loads it in a round ends without a word."""
    if len(rows) and rows[0, 0] == first:
        with open(path, "a+") as file:
            file.seek(0)
            n = len(file.read())
            file.write(".")
        if n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return rows


@pytest.mark.skipif(not THOROUGH, reason="starts processes and kills one")
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_worker_that_is_killed(solver, tmp_path):
    expected = fastnn.dask.MLPRegressor(**given(solver=solver)).fit(cut(X), cut(NUMBERS))
    with workers(2, processes=True) as client, client.as_current():
        path = tmp_path / "loads"
        x = cut(X).map_blocks(killing, str(path), float(X[58, 0]), meta=X[:0])
        fitted = fastnn.dask.MLPRegressor(**given(solver=solver)).fit(x, cut(NUMBERS))
    assert len(path.read_text()) > 4
    np.testing.assert_array_equal(parameters(fitted), parameters(expected))


# ---- many fits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["samples", "nets"])
@pytest.mark.parametrize("n_tasks", [None, 1, 4, 100])
def test_networks_have_the_bits_of_fit_many(client, n_tasks, layout):
    options = {"max_iter": [1, 9, 3, 2, 5, 4], "batch_size": 16, "layout": layout}
    rows = [np.arange(20 + i) for i in range(5)] + [None]
    found, expected = networks(), networks()
    assert fastnn.dask.fit_many(
        found, ROWS, TARGETS, rows=rows, n_tasks=n_tasks, **options
    ) == [None] * 6  # fmt: skip
    fastnn.fit_many(expected, ROWS, TARGETS, rows=rows, **options)
    same(found, expected)


def test_networks_that_diverge_or_cannot_be_trained(client):
    options = {"max_iter": 30, "solver": "sgd", "batch_size": 10,
               "learning_rate_init": [0.01, 1e30, 0.01, 1e200]}  # fmt: skip
    failures = fastnn.dask.fit_many(networks(4), ROWS, TARGETS, errors="keep", **options)
    assert [type(one) for one in failures] == [
        type(None), FloatingPointError, type(None), FloatingPointError,
    ]  # fmt: skip
    with pytest.raises(FloatingPointError, match=r"2 of 4 networks \(1, 3\) diverged"):
        fastnn.dask.fit_many(networks(4), ROWS, TARGETS, **options)
    found, before = networks(), networks()
    with pytest.raises(ValueError, match=r"nets\[3\]: max_iter"):
        fastnn.dask.fit_many(found, ROWS, TARGETS, max_iter=[1, 1, 1, 0, 1, 1])
    with pytest.raises(TypeError, match="n_tasks must be a whole number"):
        fastnn.dask.fit_many(found, ROWS, TARGETS, n_tasks=1.5)
    with pytest.raises(TypeError, match="takes no n_jobs"):
        fastnn.dask.fit_many(found, ROWS, TARGETS, n_jobs=1)
    with pytest.raises(ValueError, match="layout"):
        fastnn.dask.fit_many(found, ROWS, TARGETS, layout="auto")
    same(found, before)


def test_networks_without_a_cluster_are_trained_here(monkeypatch):
    monkeypatch.setattr(dask, "compute", None)
    found, expected = networks(), networks()
    fastnn.dask.fit_many(found, ROWS, TARGETS, max_iter=2)
    fastnn.fit_many(expected, ROWS, TARGETS, max_iter=2, layout="samples")
    same(found, expected)


def test_a_search_by_joblib(client):
    joblib = pytest.importorskip("joblib")
    search = GridSearchCV(
        fastnn.MLPClassifier(**given()), {"alpha": [0.01, 1.0], "solver": ["adam", "lbfgs"]}, cv=2
    )
    expected = clone(search).fit(X, LABELS)
    with joblib.parallel_config("dask"):
        search.fit(X, LABELS)
    assert search.best_params_ == expected.best_params_
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(
        parameters(search.best_estimator_), parameters(expected.best_estimator_)
    )


def test_the_how_to_page():
    """All of its examples, those too that `test_readme` leaves out where Dask may be missing."""
    text = PAGE.read_text(encoding="utf-8")
    examples = re.findall(r"```py(?:thon)?\n(.*?)```(?:\s+```text\n(.*?)```)?", text, re.DOTALL)
    assert len(examples) == 4
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for code, output in examples:
            assert printed_by(code, names, "dask.md") == output
