"""MLPClassifier and MLPRegressor against scikit-learn's own: the same numbers and manners."""

import copy
import inspect
import io
import pickle
import threading
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse
from estimator_cases import (
    CLASSES,
    KINDS,
    PAIRS,
    VERSION,
    assert_same_fit,
    fit_both,
    names_are_scored,
    needs_weights,
    parametrize_with_checks,
    problem,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import fastnn
from fastnn import threads, work
from fastnn.estimators import extras

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# ---- the same numbers ---------------------------------------------------------------------------


@st.composite
def configurations(draw):
    """A problem and the parameters of a fit."""
    kind = draw(st.sampled_from(KINDS if VERSION >= (1, 7) else KINDS[:-1]))
    n = draw(st.integers(12, 250))
    solver = draw(st.sampled_from(["adam", "sgd"]))
    params = {
        "hidden_layer_sizes": draw(
            st.lists(st.sampled_from([1, 2, 7, 8, 16, 17, 33]), min_size=0, max_size=3)
        ),
        "activation": draw(st.sampled_from(["identity", "logistic", "tanh", "relu"])),
        "solver": solver,
        "alpha": draw(st.sampled_from([0.0, 1e-4, 0.1, 3.0])),
        "batch_size": draw(st.sampled_from(["auto", 1, 7, 16, 64, n])),
        "learning_rate_init": draw(st.sampled_from([1e-4, 1e-3, 0.02])),
        "max_iter": draw(st.integers(1, 25)),
        "shuffle": draw(st.booleans()),
        "random_state": draw(st.integers(0, 1000)),
        "tol": draw(st.sampled_from([0.0, 1e-4, 0.05])),
        "early_stopping": draw(st.booleans()),
        "validation_fraction": draw(st.sampled_from([0.2, 0.4])),
        "n_iter_no_change": draw(st.sampled_from([1, 2, 10, np.inf])),
    }
    if params["batch_size"] != "auto":
        params["batch_size"] = min(params["batch_size"], n // 2 if params["early_stopping"] else n)
        if params["batch_size"] == 1:
            params["max_iter"] = min(params["max_iter"], 5)
    if solver == "sgd":
        params["learning_rate"] = draw(st.sampled_from(["constant", "invscaling", "adaptive"]))
        params["power_t"] = draw(st.sampled_from([0.25, 0.5]))
        params["momentum"] = draw(st.sampled_from([0.0, 0.5, 0.9]))
        params["nesterovs_momentum"] = draw(st.booleans())
    else:
        params["beta_1"] = draw(st.sampled_from([0.0, 0.9]))
        params["beta_2"] = draw(st.sampled_from([0.9, 0.999]))
        params["epsilon"] = draw(st.sampled_from([1e-8, 1e-3]))
        if params["alpha"] > 1:
            # the penalty takes coefs to 0, where Adam divides gradients by their own size: an
            # error of rounding grows a thousandfold an epoch, in scikit-learn too
            params["epsilon"] = 0.1
    sparse = draw(st.sampled_from([None, "csr", "csc"]))
    weighted = VERSION >= (1, 7) and draw(st.booleans())
    return kind, n, draw(st.integers(1, 20)), draw(st.integers(0, 1000)), params, sparse, weighted


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(configurations())
def test_follows_scikit_learn(configuration):
    kind, n, n_features, seed, params, sparse, weighted = configuration
    X, y = problem(kind, n, n_features, seed)
    ours, theirs_ = PAIRS[kind in ("one output", "outputs", "counts")]
    if kind == "counts":
        params = {**params, "loss": "poisson"}
    if sparse:
        X = np.where(np.random.RandomState(seed).rand(*X.shape) < 0.5, X, 0)
        X = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}[sparse](X)
    fit_params = {}
    if weighted:
        fit_params["sample_weight"] = np.random.RandomState(seed).uniform(0.1, 3, n)
    results = []
    for cls in (ours, theirs_):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                estimator = cls(**params).fit(X, y, **fit_params)
            results.append((estimator, sorted({str(w.message) for w in caught})))
        except ValueError as error:  # a class too rare to split, for one
            results.append((None, str(error)))
    (a, said), (b, said_there) = results
    assert (a is None) == (b is None), results
    assert said == said_there
    if a is not None:
        assert_same_fit(a, b)
        prediction, expected = a.predict(X), b.predict(X)
        if kind in ("one output", "outputs", "counts"):
            np.testing.assert_allclose(prediction, expected, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-6)
            assert prediction.dtype == expected.dtype
            assert prediction.shape == expected.shape


SCHEDULES = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate_init": 0.01},
    {"solver": "sgd", "learning_rate_init": 0.01, "momentum": 0.0},
    {"solver": "sgd", "learning_rate_init": 0.01, "nesterovs_momentum": False},
    {"solver": "sgd", "learning_rate_init": 0.1, "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate_init": 0.05, "learning_rate": "adaptive", "tol": 0.01},
]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_follows_scikit_learn_on_digits(activation, schedule, early_stopping):
    X, y = load_digits(return_X_y=True)
    params = {
        "hidden_layer_sizes": (30, 20), "activation": activation, "max_iter": 20,
        "random_state": 3, "early_stopping": early_stopping, "n_iter_no_change": 2, **schedule,
    }  # fmt: skip
    assert_same_fit(*fit_both(*PAIRS[0], X[:600] / 16, y[:600], params))


@pytest.mark.parametrize("kind", KINDS)
def test_follows_scikit_learn_by_lbfgs(kind):
    if kind == "counts" and VERSION < (1, 7):
        pytest.skip("scikit-learn 1.6 has no Poisson loss")
    X, y = problem(kind, 150, 6, 1)
    pair = PAIRS[kind in ("one output", "outputs", "counts")]
    params = {"solver": "lbfgs", "hidden_layer_sizes": (7, 5), "random_state": 0, "max_iter": 15}
    if kind == "counts":
        params["loss"] = "poisson"
    a, b = fit_both(*pair, X, y, params)
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(a.loss_, b.loss_, rtol=1e-8)
    for x, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(x, other, rtol=1e-6, atol=1e-6)


@needs_weights
def test_lbfgs_with_weights():
    X, y = problem("multiclass", 150, 6, 1)
    weight = np.random.RandomState(0).uniform(0, 3, 150)
    params = {"solver": "lbfgs", "hidden_layer_sizes": 7, "random_state": 0, "max_iter": 15}
    a, b = fit_both(*PAIRS[0], X, y, params, sample_weight=weight)
    np.testing.assert_allclose(a.loss_, b.loss_, rtol=1e-8)


def test_one_pass_after_another():
    """partial_fit draws, steps and reports as scikit-learn's."""
    X, y = problem("multiclass", 90, 5, 0)
    for solver in ("adam", "sgd"):
        a, b = (
            cls(hidden_layer_sizes=9, solver=solver, batch_size=20, random_state=1)
            for cls in PAIRS[0]
        )
        for _ in range(20):
            for estimator in (a, b):
                estimator.partial_fit(X, y, classes=[0, 10, 20])
        assert_same_fit(a, b)


def test_warm_start():
    X, y = problem("one output", 90, 5, 0)
    a, b = (
        cls(hidden_layer_sizes=9, warm_start=True, max_iter=5, random_state=1) for cls in PAIRS[1]
    )
    for _ in range(4):
        for estimator in (a, b):
            estimator.fit(X, y)
    assert len(a.loss_curve_) == 20
    assert_same_fit(a, b)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_float32_stays(ours, theirs):
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32) / 16
    y = y.astype(np.float32) if ours is fastnn.MLPRegressor else y
    a, b = fit_both(ours, theirs, X, y, {"max_iter": 10, "random_state": 0})
    assert {p.dtype for p in a.coefs_ + a.intercepts_} == {np.dtype(np.float32)}
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-4)
    for rows in (X, X.astype(np.float64), X[:1], (16 * X).astype(int)):
        got, want = a.predict(rows), b.predict(rows)
        assert got.dtype == want.dtype
        assert got.shape == want.shape


def test_verbose_says_the_same(capsys):
    X, y = problem("binary", 90, 5, 0)
    params = {
        "verbose": True, "random_state": 0, "max_iter": 60, "solver": "sgd", "tol": 0.01,
        "learning_rate": "adaptive", "learning_rate_init": 0.1, "n_iter_no_change": 2,
    }  # fmt: skip
    for early_stopping in (False, True):
        said = []
        for cls in PAIRS[0]:
            cls(**params, early_stopping=early_stopping).fit(X, y)
            said.append(capsys.readouterr().out)
        assert "Setting learning rate to" in said[0]
        assert ("Validation score" in said[0]) == early_stopping
        assert said[0] == said[1]


NO_WEIGHTS = {"check_class_weight_classifiers": "scikit-learn 1.6 has no weights"}

# ---- the same manners ---------------------------------------------------------------------------


@parametrize_with_checks(
    [cls(solver=s, max_iter=100) for cls in CLASSES for s in ("adam", "sgd", "lbfgs", "lm")],
    expected_failed_checks=lambda _: NO_WEIGHTS if VERSION < (1, 7) else {},
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_are_validated(cls):
    estimator_checks.check_param_validation(cls.__name__, cls())


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("cls", CLASSES)
def test_names_of_columns_are_kept(cls, early_stopping):
    pytest.importorskip("pandas")
    estimator = cls(early_stopping=early_stopping, max_iter=20)
    estimator_checks.check_dataframe_column_names_consistency(cls.__name__, estimator)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_same_parameters_and_methods(ours, theirs):
    own, other = ours().get_params(), theirs().get_params()
    rows = extras.rows_of("classifier" if ours is fastnn.MLPClassifier else "regressor")
    for row in rows:
        assert own.pop(row.name) is row.default
    assert own == other
    parameters = list(inspect.signature(ours).parameters.values())
    assert parameters[: -len(rows)] == list(inspect.signature(theirs).parameters.values())
    assert parameters[-len(rows) :] == extras.keywords(rows)
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public <= set(dir(ours))
    assert isinstance(ours(), theirs)
    for row in rows:
        assert f"\n{row.name} : " in inspect.getdoc(ours)
    assert "validation_fraction : float" in ours.__doc__
    assert repr(ours(max_iter=3)) == repr(theirs(max_iter=3))
    assert ours()._repr_html_().count(ours.__name__) >= 1


def test_composes():
    X, y = load_iris(return_X_y=True)
    mlp = fastnn.MLPClassifier(8, learning_rate_init=0.05, max_iter=60, random_state=0)
    pipeline = make_pipeline(StandardScaler(), mlp).set_output(transform="default")
    grid = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=3, n_jobs=2)
    assert grid.fit(X, y).best_score_ > 0.8
    assert cross_val_predict(mlp, X, y, cv=3, method="predict_proba").shape == (150, 3)
    assert CalibratedClassifierCV(mlp, cv=3).fit(X, y).score(X, y) > 0.6
    voting = VotingClassifier([("a", mlp), ("b", clone(mlp))], voting="soft").fit(X, y)
    assert voting.score(X, y) > 0.6
    bagging = BaggingRegressor(
        fastnn.MLPRegressor(hidden_layer_sizes=8, max_iter=60, random_state=0), n_estimators=3,
        n_jobs=2, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert bagging.predict(X).shape == (150,)


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True, as_frame=True)
    for early_stopping in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ConvergenceWarning)
            mlp = fastnn.MLPClassifier(max_iter=5, early_stopping=early_stopping).fit(X, y)
            mlp.predict(X)
        assert mlp.feature_names_in_.tolist() == X.columns.tolist()
        with pytest.warns(UserWarning, match="feature names"):
            mlp.predict(X.to_numpy())
        with pytest.raises(ValueError, match="feature names"):
            mlp.predict(X.rename(columns=str.upper))
    assert isinstance(y, pandas.Series)


@pytest.mark.parametrize("how", ["pickle", "joblib", "deepcopy", "copy"])
def test_copies_are_whole_and_their_own(how):
    X, y = problem("multiclass", 90, 5, 0)
    mlp = fastnn.MLPClassifier(hidden_layer_sizes=9, max_iter=10, random_state=0).fit(X, y)
    if how == "pickle":
        other = pickle.loads(pickle.dumps(mlp))
    elif how == "joblib":
        file = io.BytesIO()
        joblib.dump(mlp, file)
        file.seek(0)
        other = joblib.load(file)
    else:
        other = getattr(copy, how)(mlp)
    before = mlp.predict_proba(X)
    np.testing.assert_array_equal(other.predict_proba(X), before)
    for estimator in (mlp, other):
        estimator._random_state = np.random.RandomState(0)
    other.partial_fit(X, y)
    assert not np.array_equal(other.predict_proba(X), before)
    np.testing.assert_array_equal(mlp.predict_proba(X), before)
    if how != "copy":  # which shares the solver's state, as copies of scikit-learn's do
        mlp.partial_fit(X, y)
        np.testing.assert_array_equal(mlp.predict_proba(X), other.predict_proba(X))


def test_parameters_may_be_edited_and_replaced():
    X, y = problem("one output", 50, 4, 0)
    mlp = fastnn.MLPRegressor(hidden_layer_sizes=3, max_iter=3, random_state=0).fit(X, y)
    before = mlp.predict(X)
    mlp.intercepts_[-1] += 1
    np.testing.assert_allclose(mlp.predict(X), before + 1)
    mlp.coefs_[-1] = np.zeros((3, 1))
    np.testing.assert_allclose(mlp.predict(X), mlp.intercepts_[-1][0])
    mlp.partial_fit(X, y)
    assert mlp.coefs_[-1].any()
    mlp.coefs_[0] = np.zeros((5, 3))
    for use in (mlp.predict, lambda X: mlp.partial_fit(X, y)):
        with pytest.raises(ValueError, match=r"X has 4 features, but coefs_\[0\] takes 5"):
            use(X)
    mlp.coefs_[0] = np.zeros((4, 2))
    with pytest.raises(ValueError, match="do not fit together"):
        mlp.predict(X)


def test_many_threads_may_predict():
    X, y = load_digits(return_X_y=True)
    mlp = fastnn.MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    want, wrong = mlp.predict_proba(X), []

    def predict():
        for _ in range(20):
            if not np.array_equal(mlp.predict_proba(X), want):
                wrong.append(True)

    workers = [threading.Thread(target=predict) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_number_of_threads_changes_no_bit(monkeypatch):
    monkeypatch.setattr(threads, "_available", lambda: 3)
    rng = np.random.RandomState(0)
    X, y = rng.randn(3000, 40), rng.randint(0, 5, 3000)
    many = rng.randn(20000, 40)
    assert len(many) * 27000 > work.WORTH_A_THREAD
    results = []
    for n_jobs in (1, 2, 3):
        mlp = fastnn.MLPClassifier((256, 64), max_iter=2, random_state=0, n_jobs=n_jobs).fit(X, y)
        results.append((mlp.loss_curve_, mlp.predict_proba(many).tobytes()))
    assert results[0] == results[1] == results[2]


def test_sparse_rows_are_dense_rows():
    X, y = load_digits(return_X_y=True)
    fits = [
        fastnn.MLPClassifier(max_iter=5, random_state=0).fit(rows, y)
        for rows in (X, scipy.sparse.csr_matrix(X), scipy.sparse.csc_array(X))
    ]
    for other in fits[1:]:
        assert other.loss_curve_ == fits[0].loss_curve_
        np.testing.assert_array_equal(
            other.predict_proba(scipy.sparse.csr_array(X)), fits[0].predict_proba(X)
        )


@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_input_is_not_modified(container):
    X, y = problem("binary", 60, 5, 0)
    rows = container(X)
    rows.data = np.r_[rows.data, np.zeros(50)]  # more than is used, which SciPy would cut off
    rows.indices = np.r_[rows.indices, np.zeros(50, rows.indices.dtype)]
    rows.indptr = rows.indptr.astype(np.int64)
    before = {name: getattr(rows, name) for name in ("data", "indices", "indptr")}
    mlp = fastnn.MLPClassifier(max_iter=2, random_state=0).fit(rows, y)
    mlp.predict(rows)
    for name, array in before.items():
        assert getattr(rows, name) is array, name
    rows.indices[3] = 50_000_000
    for use in (mlp.predict, lambda rows: mlp.fit(rows, y)):
        with pytest.raises(ValueError, match=r"ind\w+ (values )?must be <"):
            use(rows)


@pytest.mark.parametrize("early_stopping", [
    False,
    pytest.param(
        True,
        marks=[
            pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn 1.6 fails with them"),
            names_are_scored,
        ],
    ),
])  # fmt: skip
@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix])
def test_sparse_labels(container, early_stopping):
    X, y = problem("multilabel", 90, 5, 0)
    params = {"max_iter": 5, "random_state": 0, "early_stopping": early_stopping}
    a, b = fit_both(*PAIRS[0], X, container(y), params)
    assert_same_fit(a, b)
    assert scipy.sparse.issparse(a.predict(X)) == scipy.sparse.issparse(b.predict(X))


# ---- to scikit-learn and back -------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_conversion_is_exact(ours, theirs, solver):
    kind = "multilabel" if ours is fastnn.MLPClassifier else "outputs"
    X, y = problem(kind, 90, 5, 0)
    mlp = ours(hidden_layer_sizes=(9, 4), solver=solver, max_iter=8, random_state=0, n_jobs=2)
    mlp.fit(X, y)
    other = mlp.to_sklearn()
    assert type(other) is theirs
    back = ours.from_sklearn(other)
    assert type(back) is ours
    for converted in (other, back):
        for a, b in zip(
            mlp.coefs_ + mlp.intercepts_, converted.coefs_ + converted.intercepts_, strict=True
        ):
            np.testing.assert_array_equal(a, b)
            assert not np.shares_memory(a, b)
    np.testing.assert_array_equal(mlp.predict(X), back.predict(X))
    np.testing.assert_allclose(mlp.predict(X), other.predict(X), rtol=1e-12)
    if solver not in ("lbfgs", "lm"):
        for estimator in (mlp, other, back):
            estimator.partial_fit(X, y)
        assert_same_fit(mlp, other, rtol=1e-10)
        assert mlp.loss_ == back.loss_
    assert type(ours().to_sklearn()) is theirs
    with pytest.raises(TypeError, match="must be a scikit-learn"):
        ours.from_sklearn(StandardScaler())


BROKEN = {
    r"ind\w+ (values )?must be <": lambda X: X.indices.__setitem__(0, 50),
    r"ind\w+ (values )?must be >=": lambda X: X.indices.__setitem__(-1, -1),
    "non-decreasing": lambda X: X.indptr.__setitem__(3, 1000),
    "start with 0": lambda X: X.indptr.__setitem__(0, 1),
    "Last value": lambda X: X.indptr.__setitem__(-1, 10**6),
    "same size": lambda X: setattr(X, "data", X.data[:-1]),
    "pointer size": lambda X: setattr(X, "indptr", X.indptr[:-1]),
    "must not fall": lambda X: X.indptr.__setitem__([3, -1], [1000, 0]),  # SciPy sees no values
}


@pytest.mark.parametrize("message", BROKEN)
def test_sparse_arrays_that_are_none_are_refused(message):
    """The kernels would read where nothing is."""
    X = scipy.sparse.random(20, 50, 0.1, format="csr", random_state=0)
    mlp = fastnn.MLPClassifier((5,), max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, np.arange(20) % 2)
    BROKEN[message](X)
    with pytest.raises(ValueError, match=message):
        mlp._forward_pass_fast(X, check_input=False)
