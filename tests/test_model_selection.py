"""Searches and cross-validation against scikit-learn's over the same estimators: equal results."""

import copy
import inspect
import pickle
import re
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn
from conftest import UNCHECKED_ONLY
from estimator_cases import needs_weights
from sklearn import config_context, get_config
from sklearn import model_selection as theirs
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor, threads
from fastnn import model_selection as ours
from fastnn.estimators import extras, fitting
from fastnn.estimators.fitting import ended_by

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, LABELS = make_blobs(90, 5, centers=3, cluster_std=4.0, random_state=0)
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2] / 50])
KINDS = ["adam", "sgd", "lbfgs", *extras.MORE_SOLVERS]
N_JOBS = [None, 2, 4]


def classifier(**params):
    return MLPClassifier(**{"hidden_layer_sizes": 4, "max_iter": 5, "random_state": 0, **params})


def regressor(**params):
    return MLPRegressor(**{"hidden_layer_sizes": 4, "max_iter": 5, "random_state": 0, **params})


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """As many threads as are asked for, whatever this machine has."""
    monkeypatch.setattr(threads, "_available", lambda: 4)


@pytest.fixture
def handed_on(monkeypatch):
    """The numbers of fits that joblib was given, which are done here whatever n_jobs says."""
    given = []

    class Parallel(ours.Parallel):
        def __init__(self, n_jobs, **options):
            super().__init__(n_jobs=1, **options)

        def __call__(self, calls):
            calls = list(calls)
            given.append(len(calls))
            return super().__call__(calls)

    monkeypatch.setattr(ours, "Parallel", Parallel)
    return given


def found_by(*args, **options):
    """A search, its warnings, and what it left of NumPy's own random state.

    In a new thread: errors that interrupts of other tests left half-handled in this one would be
    the context of those that a fit reports.
    """
    config = get_config()

    def found():
        with config_context(**config):
            return found_here(*args, **options)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(found).result()


def found_here(room, name, estimator, *args, data, fit_params=None, **options):
    np.random.seed(3)
    search = getattr(room, name)(estimator, *args, **options)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        search.fit(*copy.deepcopy(data), **(fit_params or {}))  # some steps write to it
    messages = sorted((one.category.__name__, str(one.message)) for one in heard)
    return search, messages, np.random.get_state()[1].tolist()


def without_places(messages):
    """Warnings without the files and lines that a traceback of a failed fit has."""
    return [(kind, re.sub(r'(  File "|    |Traceback).*\n', "", text)) for kind, text in messages]


def assert_same(name, estimator, *args, data=(X, LABELS), **options):
    """That both rooms' searches find the same; returns this room's."""
    options = {"cv": 3, **options}
    given = {"data": data, **options}
    n_jobs = given.pop("n_jobs", None)
    one, *rest = found_by(ours, name, estimator, *args, n_jobs=n_jobs, **given)
    other, *expected = found_by(theirs, name, estimator, *args, **given)
    assert without_places(rest[0]) == without_places(expected[0])
    assert rest[1] == expected[1]
    same_search(one, other, data[0])
    return one


def same_search(one, other, rows):
    results, expected = one.cv_results_, other.cv_results_
    assert list(results) == list(expected)
    for key, values in expected.items():
        if "_time" not in key:
            assert type(results[key]) is type(values)
            assert getattr(results[key], "dtype", None) == getattr(values, "dtype", None)
            np.testing.assert_equal(results[key], values)
    names = {name for name in vars(other) if name.endswith("_")}
    assert {name for name in vars(one) if name.endswith("_")} == names
    for name in names - {"cv_results_", "best_estimator_", "refit_time_", "scorer_"}:
        np.testing.assert_equal(getattr(one, name), getattr(other, name))
    assert repr(one.scorer_) == repr(other.scorer_)
    if one.refit:
        assert repr(one.best_estimator_) == repr(other.best_estimator_)
        predicted = (search.predict(copy.deepcopy(rows)) for search in (one, other))
        np.testing.assert_equal(*predicted)


# ---- nets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("solver", KINDS)
def test_solvers(solver, n_jobs, handed_on):
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [3, (4, 3)]}
    assert_same("GridSearchCV", classifier(solver=solver), grid, n_jobs=n_jobs)
    assert not handed_on


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize(
    ("estimator", "grid", "y"),
    [
        (regressor(), {"activation": ["tanh", "relu"]}, Y),
        (regressor(early_stopping=True), [{"batch_size": [10]}, {"alpha": [0, 1]}], Y[:, 0]),
        (classifier(), {"random_state": [1, np.int64(2), np.random.RandomState(3)]}, LABELS),
        (classifier(), {"learning_rate_init": [1e-3, 1e-1]}, np.array([*"abc"])[LABELS]),
        (classifier(), {"max_iter": [2, 9]}, np.eye(3, dtype=int)[LABELS]),
        (classifier(dropout=0.1, label_smoothing=0.1), {"alpha": [0, 1]}, LABELS > 0),
    ],
    ids=["regression", "stopping", "seeds", "words", "multilabel", "binary"],
)
def test_kinds(estimator, grid, y, n_jobs, handed_on):
    assert_same("GridSearchCV", estimator, grid, data=(X, y), n_jobs=n_jobs,
                return_train_score=True)  # fmt: skip
    assert not handed_on


def test_data_of_other_kinds(handed_on):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[*"vwxyz"])
    for given in (X.tolist(), frame, scipy.sparse.csr_array(X), X.astype(np.float32), X[:, ::2]):
        assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]}, data=(given, LABELS),
                    n_jobs=2)  # fmt: skip
    assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]},
                data=(frame, pandas.Series(LABELS)))  # fmt: skip
    assert not handed_on


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("RandomizedSearchCV", [{"alpha": [0, 1, 2, 3], "momentum": [0.5, 0.9]}], {"n_iter": 5}),
        ("HalvingRandomSearchCV", [{"alpha": [0, 1, 2, 3, 4, 5]}], {"factor": 2}),
        ("HalvingGridSearchCV", [{"alpha": [0, 1, 2, 3, 4]}],
         {"resource": "max_iter", "max_resources": 9}),
    ],
    ids=["random", "halving", "epochs"],
)  # fmt: skip
def test_other_searches(name, args, options, n_jobs, handed_on):
    assert_same(name, classifier(), *args, n_jobs=n_jobs, random_state=0, **options)
    assert not handed_on


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize(
    "options",
    [
        {"scoring": "f1_macro"},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"},
        {"scoring": {"a": "accuracy", "b": "roc_auc_ovr"}, "refit": False},
        {"scoring": make_scorer(mean_absolute_error, greater_is_better=False)},
        {"refit": lambda results: int(np.argmin(results["mean_test_score"]))},
        {"refit": False},
        {"cv": [(np.arange(60), np.arange(60, 90)), (list(range(30, 90)), np.arange(90) < 30)]},
        {"cv": theirs.ShuffleSplit(2, random_state=0)},
    ],
    ids=["scorer", "multimetric", "named", "own", "callable", "no refit", "lists", "shuffles"],
)
def test_options(options, n_jobs, handed_on):
    assert_same("GridSearchCV", classifier(), {"alpha": [1e-4, 1.0]}, n_jobs=n_jobs,
                return_train_score=True, **options)  # fmt: skip
    assert not handed_on


@needs_weights
@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_weights_and_groups(n_jobs, handed_on):
    weights, groups = np.random.RandomState(0).rand(90), np.arange(90) // 9
    given = {"fit_params": {"sample_weight": weights, "groups": groups},
             "cv": theirs.GroupKFold(3), "n_jobs": n_jobs}  # fmt: skip
    assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]}, **given)
    given["fit_params"] = {"net__sample_weight": weights, "groups": groups}
    steps = Pipeline([("scale", StandardScaler()), ("net", classifier())])
    assert_same("GridSearchCV", steps, {"net__alpha": [0, 1]}, **given)
    assert not handed_on


# ---- pipelines ----------------------------------------------------------------------------------


class Counting(TransformerMixin, BaseEstimator):
    """Multiplies, and counts its fits."""

    fits = 0

    def __init__(self, by=1.0, does=None):
        self.by, self.does = by, does

    def fit(self, X, y=None):
        Counting.fits += 1
        if self.does == "warn":
            warnings.warn("a step warns", stacklevel=2)
        if self.does == "fail":
            raise ValueError("a step fails")
        self.factor_ = self.by * (1 + (np.random.rand() if self.does == "draw" else 0))
        return self

    def transform(self, X):
        if self.does == "write":
            X += 1
        return self.factor_ * X


@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_steps_are_fitted_once(n_jobs, handed_on):
    steps = Pipeline([("count", Counting()), ("pca", PCA(3)), ("net", classifier())])
    grid = {"count__by": [0.5, 1], "pca__n_components": [2, 3], "net__alpha": [0, 1, 2]}
    Counting.fits = 0
    one = ours.GridSearchCV(steps, grid, cv=3, n_jobs=n_jobs).fit(X, LABELS)
    assert Counting.fits == 3 * 2 * 2 + 1
    assert not handed_on
    same_search(one, theirs.GridSearchCV(steps, grid, cv=3).fit(X, LABELS), X)
    Counting.fits = 0
    options = {"resource": "net__max_iter", "max_resources": 9, "cv": 3, "n_jobs": n_jobs}
    one = ours.HalvingGridSearchCV(steps, grid, **options).fit(X, LABELS)
    n_settings = [3 * 2 * 2, *(3 * 2 for n in one.n_candidates_[1:])]
    assert 3 * len(one.n_candidates_) < Counting.fits <= sum(n_settings) + 1
    assert not handed_on


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize(
    ("estimator", "grid", "y"),
    [
        (make_pipeline(StandardScaler(), PCA(random_state=0), classifier()),
         {"pca": [PCA(2), "passthrough", PCA(3, whiten=True)], "mlpclassifier__alpha": [0, 1]},
         LABELS),
        (make_pipeline(StandardScaler(), regressor()),
         [{"standardscaler__with_mean": [True, False]}, {"mlpregressor__alpha": [0, 1]}], Y),
        (make_pipeline("passthrough", classifier()),
         {"mlpclassifier": [classifier(), classifier(solver="lbfgs")]}, LABELS),
    ],
    ids=["steps", "regression", "nets"],
)  # fmt: skip
def test_pipelines(estimator, grid, y, n_jobs, handed_on):
    options = {"data": (X, y), "n_jobs": n_jobs, "return_train_score": True}
    assert_same("GridSearchCV", estimator, grid, **options)
    assert_same("HalvingGridSearchCV", estimator, grid, factor=2, random_state=0, **options)
    assert not handed_on


@pytest.mark.parametrize("does", ["warn", "draw", "write", "fail"])
def test_steps_that_cannot_be_shared(does, handed_on):
    """They warn, draw or fail for each candidate, as in scikit-learn."""
    steps = make_pipeline(Counting(), classifier())
    grid = {"counting__does": [None, does], "mlpclassifier__alpha": [0, 1]}
    options = {"return_train_score": True, "data": (X, LABELS)}
    if does == "fail":
        options["error_score"] = 0.25
    assert_same("GridSearchCV", steps, grid, **options)
    assert sum(handed_on) == 6
    in_place = make_pipeline(StandardScaler(copy=False), classifier())
    assert_same("GridSearchCV", in_place, {"mlpclassifier__alpha": [0, 1]}, **options)


def test_pipelines_that_do_more(handed_on, capsys, tmp_path):
    """Their own code runs."""
    grid = {"mlpclassifier__alpha": [0, 1]}
    steps = [("standardscaler", StandardScaler()), ("mlpclassifier", classifier())]
    for options in ({"memory": joblib.Memory(tmp_path, verbose=0)}, {"verbose": True}):
        assert_same("GridSearchCV", Pipeline(steps, **options), grid)
    assert sum(handed_on) == 12
    printed = re.sub(r"total=.*", "", capsys.readouterr().out).splitlines()
    assert printed[:14] == printed[14:]
    named = Pipeline([("memory", StandardScaler()), ("mlpclassifier", classifier())])
    with pytest.raises(ValueError, match="conflict with constructor arguments"):
        ours.GridSearchCV(named, grid, cv=3).fit(X, LABELS)


# ---- random numbers, failures -------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
def test_random_numbers_that_others_draw(early_stopping, handed_on):
    """They come in scikit-learn's order; several threads would have none."""
    net = classifier(random_state=None, early_stopping=early_stopping)
    assert_same("GridSearchCV", net, {"alpha": [0, 1, 2]})
    steps = make_pipeline(PCA(3, svd_solver="randomized"), net)
    grid = {"mlpclassifier__alpha": [0, 1], "pca__n_components": [2, 3]}
    assert not handed_on
    assert_same("GridSearchCV", steps, grid)
    assert sum(handed_on) == 12


def test_random_numbers_and_threads(handed_on):
    """Nets and steps that draw from NumPy's own are left to joblib, others not."""
    grid = {"random_state": [None, 1], "alpha": [0, 1]}
    assert_same("GridSearchCV", classifier(), grid, n_jobs=2)
    assert handed_on == [6]
    steps = make_pipeline(PCA(3), classifier())
    grid = {"pca__svd_solver": ["full", "randomized"], "mlpclassifier__alpha": [0, 1]}
    assert_same("GridSearchCV", steps, grid, n_jobs=2)
    assert handed_on == [6, 6]


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("scoring", [None, ["accuracy", "f1_macro"]])
def test_fits_that_fail(n_jobs, scoring, handed_on):
    bad = {"hidden_layer_sizes": [3, -2], "alpha": [1.0, 0.0, -1.0]}
    options = {"scoring": scoring, "refit": False, "return_train_score": True, "n_jobs": n_jobs}
    assert_same("GridSearchCV", classifier(), bad, error_score=-7, **options)
    _, messages, _ = found_by(
        ours, "GridSearchCV", classifier(), bad, data=(X, LABELS), cv=3, **options
    )
    assert FitFailedWarning.__name__ in [kind for kind, _ in messages]
    assert not handed_on
    with pytest.raises(ValueError, match=r"(?s)All the 3 fits failed.*hidden_layer_sizes"):
        ours.GridSearchCV(
            classifier(), {"hidden_layer_sizes": [-2]}, cv=3, n_jobs=n_jobs
        ).fit(X, LABELS)  # fmt: skip
    search = ours.GridSearchCV(classifier(), bad, cv=3, n_jobs=n_jobs, error_score="raise")
    with pytest.raises(ValueError, match=r"hidden_layer_sizes|alpha"):
        search.fit(X, LABELS)
    assert not hasattr(search, "cv_results_")
    with pytest.raises(ValueError, match="Invalid parameter 'alhpa'"):
        ours.GridSearchCV(classifier(), {"alhpa": [1]}, cv=3, n_jobs=n_jobs).fit(X, LABELS)


class Keeps(TransformerMixin, BaseEstimator):
    """Gives out the same array for as many rows."""

    def fit(self, X, y=None):
        self.room_ = {}
        return self

    def transform(self, X):
        room = self.room_.setdefault(X.shape, np.empty_like(X))
        np.multiply(X, 2, out=room)
        return room


@pytest.mark.parametrize("train_score", [False, True])
def test_steps_that_write_to_what_they_gave_out(train_score):
    """Two folds are as long: what a net is to train on would be overwritten."""
    net = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    assert_same("GridSearchCV", make_pipeline(Keeps(), net), {"mlpregressor__alpha": [0, 1]},
                data=(X, X[:, 0]), cv=2, return_train_score=train_score)  # fmt: skip


@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_scores_that_fail(n_jobs, handed_on):
    """With scikit-learn's warnings: ROC AUC of three classes needs to know how."""
    assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]}, scoring=["accuracy", "roc_auc"],
                refit="accuracy", error_score=0.5, n_jobs=n_jobs)  # fmt: skip
    search = ours.GridSearchCV(
        classifier(), {"alpha": [0, 1]}, scoring="roc_auc", error_score="raise", n_jobs=n_jobs
    )
    with pytest.raises(ValueError, match="multi_class"):
        search.fit(X, LABELS)
    assert not handed_on


def test_bad_arguments():
    for options in ({"cv": "five"}, {"error_score": "none"}, {"n_jobs": 0}, {"n_jobs": 1.5}):
        errors = []
        for room in (ours, theirs):
            with pytest.raises(ValueError, match=r"n_jobs|cv|error_score") as error:
                room.GridSearchCV(classifier(), {"alpha": [0]}, **options).fit(X, LABELS)
            errors.append((type(error.value), str(error.value)))
        assert errors[0] == errors[1]
    with pytest.raises(ValueError, match="'cv' parameter of cross_val_score must be"):
        ours.cross_val_score(classifier(), X, LABELS, cv="five")


# ---- what goes scikit-learn's way ---------------------------------------------------------------


def test_other_estimators(handed_on):
    for estimator in (GaussianNB(), make_pipeline(PCA(3), GaussianNB())):
        assert_same("GridSearchCV", estimator, [{}, {}])

    class Net(MLPClassifier):
        pass

    assert_same("GridSearchCV", Net(4, max_iter=3, random_state=0), {"alpha": [0, 1]})
    assert handed_on == [6, 6, 6]
    swapped = Pipeline([("last", classifier())])
    assert_same("GridSearchCV", swapped, {"last": [GaussianNB(), classifier()]})
    assert sum(handed_on) == 24


def test_verbose(handed_on, capsys):
    for verbose in (1, 3, 10):
        assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]}, verbose=verbose)
        printed = re.sub(r"\.*( total)? time=.*", "", capsys.readouterr().out).splitlines()
        half = len(printed) // 2
        assert half
        assert printed[:half] == printed[half:]
    assert handed_on == [6, 6]
    assert_same("GridSearchCV", classifier(verbose=True), {"alpha": [0, 1]})
    assert sum(handed_on) == 18


def test_functions_of_users(handed_on):
    """A function that scores may look at all of the estimator."""

    def n_parameters(estimator, X, y):
        return -float(sum(coef.size for coef in estimator[-1].coefs_))

    steps = make_pipeline(PCA(3), classifier())
    assert_same("GridSearchCV", steps, {"pca__n_components": [2, 3]}, scoring=n_parameters)
    assert handed_on == [6]


def test_callbacks(handed_on):
    heard = []
    net = classifier().set_callbacks(lambda net: heard.append(net.layer_units))
    ours.GridSearchCV(net, {"alpha": [0, 1]}, cv=3, refit=False).fit(X, LABELS)
    assert len(heard) == 6 * 5
    assert sum(handed_on) == 6


def test_callbacks_of_scikit_learn(handed_on):
    callback = pytest.importorskip("sklearn.callback")

    class Counted:
        begun = 0

        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_end = setup

        def on_fit_task_begin(self, estimator, context, **others):
            Counted.begun += 1

    for room in (ours, theirs):
        Counted.begun = 0
        search = room.GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=3)
        search.set_callbacks(Counted()).fit(X, LABELS)
        heard = [*locals().get("heard", []), Counted.begun]
    assert callback
    assert heard[0] == heard[1] > 6
    assert handed_on == [6]


def test_metadata_routing(handed_on):
    with sklearn.config_context(enable_metadata_routing=True):
        assert_same("GridSearchCV", classifier(), {"alpha": [0, 1]})
    assert handed_on == [6]


def test_backends_of_joblib(handed_on):
    """What somebody chose runs the fits; threads and numbers of jobs are ours."""
    search = ours.GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=3)
    with joblib.parallel_config(backend="loky", n_jobs=1):
        search.fit(X, LABELS)
    assert handed_on == [6]
    given = {"backend": "threading", "n_jobs": 2}, {"n_jobs": 2}, {"backend": "sequential"}
    for chosen in given:
        with joblib.parallel_config(**chosen):
            same_search(
                ours.GridSearchCV(**search.get_params(deep=False)).fit(X, LABELS), search, X
            )
    assert handed_on == [6]


def test_scikit_learn_that_looks_for_no_parallel():
    def function(a, *, b=2):
        return a + b

    assert ours._with(function, Parallel=ours._Fits) is function
    # in every version that is supported it does
    for found in (ours._Search.fit, ours._cross_validate):
        assert inspect.unwrap(found).__globals__["Parallel"] is ours._Fits
    found = inspect.unwrap(ours._cross_val_score).__globals__
    assert found["cross_validate"] is ours._cross_validate


# ---- memory, threads, interrupts ----------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("room", [0, 20_000])
def test_little_room(room, n_jobs, monkeypatch, handed_on):
    """Rows that are not kept are taken again."""
    monkeypatch.setattr(ours, "_MOST_KEPT", room)
    monkeypatch.setattr(ours, "_AT_ONCE", 4)
    assert_same("GridSearchCV", classifier(), {"alpha": [0, 1, 2]}, n_jobs=n_jobs)
    steps = make_pipeline(StandardScaler(), classifier())
    assert_same("GridSearchCV", steps, {"mlpclassifier__alpha": [0, 1, 2]}, n_jobs=n_jobs)
    unseeded = classifier(random_state=None)
    assert_same("GridSearchCV", unseeded, {"alpha": [0, 1, 2]})
    assert not handed_on


def test_data_stay_as_they_are():
    rows, labels = X.copy(), LABELS.copy()
    ours.GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=3, n_jobs=2).fit(rows, labels)
    np.testing.assert_equal((rows, labels), (X, LABELS))
    assert rows.flags.writeable
    assert labels.flags.writeable


@pytest.mark.parametrize(
    "params",
    [
        *({"solver": solver} for solver in KINDS),
        {"max_iter": 60, "tol": 1e-2, "learning_rate_init": 0.1},
        {"max_iter": 60, "solver": "sgd", "learning_rate": "adaptive", "tol": 0.05},
        {"max_iter": 30, "learning_rate": "cosine", "ema": 0.9, "dropout": 0.1},
        {"early_stopping": True, "shuffle": False, "random_state": 3},
    ],
    ids=str,
)
def test_fits_in_parts(params, monkeypatch):
    """A fit beside others has the bits of one alone, however often it looks up."""
    alone, net, over = classifier(**params), classifier(**params), threading.Event()
    alone.fit(X, LABELS)
    for part in (0, 1e5, 1e8):
        monkeypatch.setattr(fitting, "_PART", part)
        with ended_by(over, net):
            net.fit(X, LABELS)
        assert pickle.dumps(net) == pickle.dumps(alone)


@pytest.mark.parametrize("solver", KINDS)
def test_fits_of_many_end_when_others_do(solver):
    over, net = threading.Event(), classifier(solver=solver).fit(X, LABELS)
    over.set()
    with ended_by(over, net), pytest.raises(KeyboardInterrupt):
        net.fit(X, LABELS)
    assert pickle.loads(pickle.dumps(net)).fit(X, LABELS).score(X, LABELS) > 0.3


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
def test_ctrl_c(n_jobs, solver):
    """All fits end soon; the search has no results, and can be fitted."""
    rows = np.random.RandomState(0).randn(2000, 20)
    net = regressor(hidden_layer_sizes=20, solver=solver, max_iter=10**5, tol=0, max_fun=10**7,
                    n_iter_no_change=10**5, activation="tanh")  # fmt: skip
    search = ours.GridSearchCV(net, {"alpha": [0.0, 1e-3]}, cv=2, n_jobs=n_jobs)
    before, old, pressed = threading.active_count(), signal.getsignal(signal.SIGALRM), []

    def interrupt(*_):
        pressed.append(time.perf_counter())
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            search.fit(rows, np.sin(rows).sum(axis=1))
        took = time.perf_counter() - pressed[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took < 2.0  # 0.2 on an idle machine
    assert threading.active_count() == before
    assert not hasattr(search, "cv_results_")
    assert search.set_params(estimator=regressor()).fit(rows, rows[:, 0]).best_score_ < 1


# ---- cross-validation, classes ------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize(
    "estimator",
    [classifier(), make_pipeline(StandardScaler(), classifier())],
    ids=["net", "steps"],
)
def test_cross_validate(estimator, n_jobs, handed_on):
    options = {"cv": 3, "return_train_score": True, "return_estimator": True,
               "return_indices": True, "scoring": ["accuracy", "f1_macro"]}  # fmt: skip
    one = ours.cross_validate(estimator, X, LABELS, n_jobs=n_jobs, **options)
    other = theirs.cross_validate(estimator, X, LABELS, **options)
    assert list(one) == list(other)
    for key in set(other) - {"fit_time", "score_time", "estimator"}:
        np.testing.assert_equal(one[key], other[key])
    for fitted, expected in zip(one["estimator"], other["estimator"], strict=True):
        np.testing.assert_equal(fitted.predict_proba(X), expected.predict_proba(X))
        assert repr(fitted) == repr(expected)
    np.testing.assert_equal(
        ours.cross_val_score(estimator, X, LABELS, cv=4, n_jobs=n_jobs, scoring="f1_macro"),
        theirs.cross_val_score(estimator, X, LABELS, cv=4, scoring="f1_macro"),
    )
    assert not handed_on
    ours.cross_val_score(GaussianNB(), X, LABELS)
    assert handed_on == [5]


def test_signatures():
    for name in ("cross_validate", "cross_val_score"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert str(inspect.signature(one)) == str(inspect.signature(other))
    for name in ("GridSearchCV", "RandomizedSearchCV", "HalvingRandomSearchCV"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert issubclass(one, other)
        assert str(inspect.signature(one)) == str(inspect.signature(other))
        assert inspect.signature(one.fit) == inspect.signature(other.fit)
        assert one.__module__ == "fastnn.model_selection"


@pytest.mark.parametrize("name", ["GridSearchCV", "HalvingRandomSearchCV"])
def test_copies(name):
    search = getattr(ours, name)(classifier(), {"alpha": list(range(9))}, cv=3, n_jobs=2)
    other = clone(search)
    assert type(other) is type(search)
    assert repr(other.get_params()) == repr(search.get_params())
    if "random_state" in search.get_params():
        search.set_params(random_state=0)
    search.fit(X, LABELS)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_equal(again.predict(X), search.predict(X))
    same_search(again, clone(search).fit(X, LABELS), X)


def test_within_another_search():
    """Nested cross-validation, in a worker of joblib too."""
    inner = ours.GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=2, n_jobs=2)
    expected = theirs.cross_val_score(inner.set_params(n_jobs=None), X, LABELS, cv=3)
    inner.set_params(n_jobs=2)
    np.testing.assert_equal(ours.cross_val_score(inner, X, LABELS, cv=3), expected)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        np.testing.assert_equal(theirs.cross_val_score(inner, X, LABELS, cv=3), expected)
