"""Bagged estimators against scikit-learn's bagging of fastnn's estimators: the same bits."""

import copy
import pickle
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse
from conftest import UNCHECKED_ONLY
from estimator_cases import parametrize_with_checks
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import fastnn
from fastnn import BaggedMLPClassifier, BaggedMLPRegressor, MLPClassifier, MLPRegressor, work
from fastnn.estimators import fitting
from fastnn.estimators.fitting import HAS_WEIGHTS
from fastnn.estimators.keeping import NOT_COPIED

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores:UserWarning"),
    pytest.mark.filterwarnings("ignore:When fitting Bag.* with sample_weight:UserWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning"),
]

RNG = np.random.RandomState(0)
X = RNG.randn(90, 4)
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
LABELS = np.array(["high", "low", "mid"])[np.digitize(Y, [-0.5, 0.5])]
CLASSES = {
    "classifier": (BaggedMLPClassifier, BaggingClassifier, MLPClassifier, LABELS),
    "regressor": (BaggedMLPRegressor, BaggingRegressor, MLPRegressor, Y),
}
OF_BAGGING = {
    "n_estimators", "max_samples", "max_features", "bootstrap", "bootstrap_features", "oob_score",
    "random_state", "warm_start",
}  # fmt: skip


def pair(kind, **given):
    """Ours, and scikit-learn's bagging of fastnn's estimator, of the same parameters."""
    ours, theirs, estimator, y = CLASSES[kind]
    of_bagging = {name: value for name, value in given.items() if name in OF_BAGGING}
    own = {k: v for k, v in given.items() if k not in OF_BAGGING and k != "n_jobs"}
    return ours(**given), theirs(estimator(**own), **of_bagging), y


def attributes(estimator):
    """Names of those that copies and files have, too."""
    return vars(estimator).keys() - {*NOT_COPIED}


def same(own, other, x=X):
    """Everything that a fit leaves, and what it predicts."""
    assert len(own.estimators_) == len(other.estimators_)
    assert vars(other).keys() <= vars(own).keys()
    for one, two in zip(own.estimators_, other.estimators_, strict=True):
        assert attributes(one) == attributes(two)
        assert one.get_params() == two.get_params()
        assert one.loss_curve_ == two.loss_curve_ if hasattr(two, "loss_curve_") else True
        for a, b in zip([*one.coefs_, *one.intercepts_], [*two.coefs_, *two.intercepts_],
                        strict=True):  # fmt: skip
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    for name in ("estimators_samples_", "estimators_features_"):
        for a, b in zip(getattr(own, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)
    for name in ("oob_score_", "oob_decision_function_", "oob_prediction_"):
        assert hasattr(own, name) == hasattr(other, name)
        if hasattr(own, name):
            np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
    same_predictions(own, other, x)


def same_predictions(own, other, x=X):
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(other, name):
            a, b = getattr(own, name)(x), getattr(other, name)(x)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def drawn(seed):
    """Parameters, and the data's type and weights."""
    rng = np.random.RandomState(seed)

    def one(*values):
        return values[rng.randint(len(values))]

    bootstrap = one(True, True, False)
    given = {
        "n_estimators": one(1, 3, 7), "random_state": int(rng.randint(100)),
        "max_samples": one(0.5, 40, 1.0), "max_features": one(1.0, 0.5, 3, 4),
        "bootstrap": bootstrap, "bootstrap_features": one(False, False, True),
        "oob_score": bootstrap and one(True, False),
        "hidden_layer_sizes": one((5,), (4, 3), [6], ()), "activation": one("relu", "silu"),
        "solver": one("adam", "adam", "sgd", "lbfgs", "nadam", "lm"), "max_iter": one(1, 4, 9),
        "batch_size": one("auto", 16, 32), "early_stopping": one(False, False, False, True),
        "alpha": one(1e-4, 0.1), "n_jobs": one(1, 2, 3),
    }  # fmt: skip
    return given, one(np.float64, np.float32, np.int64), HAS_WEIGHTS and one(False, False, True)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("seed", range(16))
def test_bits_of_scikit_learns_bagging(seed, kind):
    given, dtype, weighted = drawn(seed)
    own, other, y = pair(kind, **given)
    x = (3 * X).astype(dtype)
    if dtype == np.int64:
        x = np.asfortranarray(x)
    x.flags.writeable = False  # input is never changed
    keywords = {"sample_weight": 0.1 + np.random.RandomState(seed).rand(90)} if weighted else {}
    failed = []
    for one in (own, other):
        try:
            one.fit(x, y, **keywords)
        except (ValueError, ZeroDivisionError) as error:  # a batch of rows that were not drawn
            failed.append((type(error), str(error)))
    if failed:
        assert failed == [failed[0]] * 2
    else:
        same(own, other, x)
        if not own.oob_score:
            assert not hasattr(own, "oob_score_")


@pytest.mark.parametrize("kind", CLASSES)
def test_sparse_rows(kind):
    x = scipy.sparse.csr_array(np.where(X > 0, X, 0))
    for max_features in (1.0, 0.5):
        own, other, y = pair(
            kind, n_estimators=3, random_state=0, max_iter=3, max_features=max_features, n_jobs=2
        )
        same(own.fit(x, y), other.fit(x, y), x)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("fitted", [">f4", "f4", "f2", "i2"])
def test_types_of_x(kind, fitted):
    own, other, y = pair(kind, n_estimators=2, random_state=0, max_iter=2)
    x = (3 * X).astype(fitted)
    same(own.fit(x, y), other.fit(x, y))
    for dtype in (">f8", "f8", "f4", "f2", "i2", "i8", "?"):
        same_predictions(own, other, np.asfortranarray((3 * X).astype(dtype)))


def test_several_targets_and_quantiles():
    both = np.column_stack([Y, -Y])
    own, other, _ = pair("regressor", n_estimators=3, random_state=0, max_iter=3)
    same(own.fit(X, both), other.fit(X, both))
    if "loss" in own.get_params():
        own, other, _ = pair("regressor", n_estimators=3, random_state=0, max_iter=3,
                             loss="quantile", quantile=[0.1, 0.9])  # fmt: skip
        same(own.fit(X, Y), other.fit(X, Y))
        assert own.predict(X).shape == (90, 2)


def test_two_classes_and_one():
    own, other, _ = pair("classifier", n_estimators=3, random_state=0, max_iter=3)
    same(own.fit(X, Y > 0), other.fit(X, Y > 0))
    own.fit(X, np.full(90, "only"))
    assert (own.predict(X) == "only").all()
    assert own.predict_proba(X).shape == (90, 1)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_warm_start_adds_estimators(kind):
    own, other, y = pair(kind, n_estimators=3, random_state=0, max_iter=2, warm_start=True)
    for one in (own.fit(X, y), other.fit(X, y)):
        one.set_params(n_estimators=5).fit(X, y)
    same_predictions(own, other)
    whole = clone(own).fit(X, y)
    same_predictions(whole, own)
    with pytest.warns(UserWarning, match="without increasing n_estimators"):
        own.fit(X, y)
    with pytest.raises(ValueError, match="n_estimators=2 must be larger or equal"):
        own.set_params(n_estimators=2).fit(X, y)
    assert len(own) == 5
    same_predictions(whole, own)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
def test_long_fits_by_several_threads(solver, monkeypatch):
    """They look whether they are to end, which changes nothing."""
    given = {"n_estimators": 3, "random_state": 0, "max_iter": 6, "solver": solver}
    alone = BaggedMLPRegressor(**given, n_jobs=1).fit(X, Y)
    monkeypatch.setattr(fitting, "_PART", 1.0)
    monkeypatch.setattr("fastnn.threads._available", lambda: 3)
    same(BaggedMLPRegressor(**given, n_jobs=3).fit(X, Y), alone)


@pytest.mark.parametrize("kind", CLASSES)
def test_predictions_by_several_threads(kind, monkeypatch):
    own, other, y = pair(kind, n_estimators=4, random_state=0, max_iter=3)
    own.fit(X, y)
    other.fit(X, y)
    rows = np.random.RandomState(1).randn(1000, 4)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 1e5)
    monkeypatch.setattr("fastnn.threads._available", lambda: 3)
    for n_jobs in (1, 2, 3):
        same_predictions(own.set_params(n_jobs=n_jobs), other, rows)
        same_predictions(own, other, scipy.sparse.csc_array(rows))


@pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn 1.6 has no sample weights")
def test_class_weights_are_of_the_labels():
    weights = {"high": 3.0, "low": 0.5, "mid": 1.0}
    numbers = {i: weights[label] for i, label in enumerate(["high", "low", "mid"])}
    given = {"n_estimators": 3, "random_state": 0, "max_iter": 5}
    own = BaggedMLPClassifier(**given, class_weight=weights).fit(X, LABELS)
    other = BaggingClassifier(MLPClassifier(max_iter=5, class_weight=numbers), 3, random_state=0)
    other.fit(X, LABELS)
    same_predictions(own, other)
    assert own.get_params()["class_weight"] is weights


# ---- scikit-learn's conventions -----------------------------------------------------------------


DRAWN = {
    f"check_sample_weight_equivalence_on_{kind}_data": "rows are drawn"
    for kind in ("dense", "sparse")
}
# scikit-learn 1.6 has no weights for its MLPs, nor has its bagging of them
NO_WEIGHTS = dict.fromkeys(
    (
        "check_sample_weights_pandas_series", "check_sample_weights_not_an_array",
        "check_sample_weights_list", "check_sample_weights_shape",
        "check_sample_weights_not_overwritten", "check_classifiers_one_label_sample_weights",
        "check_class_weight_classifiers",
    ),
    "scikit-learn 1.6 has no sample weights",
)  # fmt: skip


@parametrize_with_checks(
    [
        # one check's bad row must be among those that are drawn
        cls(2, hidden_layer_sizes=(5,), solver="lbfgs", max_iter=40, random_state=0)
        for cls in (BaggedMLPClassifier, BaggedMLPRegressor)
    ],
    expected_failed_checks=lambda _: DRAWN if HAS_WEIGHTS else {**DRAWN, **NO_WEIGHTS},
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [BaggedMLPClassifier, BaggedMLPRegressor])
def test_parameters(cls):
    estimator_checks.check_param_validation(cls.__name__, cls())
    bag = cls(4, hidden_layer_sizes=(3,), alpha=0.5)
    assert bag.get_params()["alpha"] == 0.5
    assert bag.get_params()["n_estimators"] == 4
    other = clone(bag.set_params(alpha=0.1, max_samples=0.5))
    assert other.get_params() == bag.get_params()
    assert repr(bag).startswith(f"{cls.__name__}(")
    with pytest.raises(TypeError, match="did you mean 'n_estimators'"):
        cls(n_estimator=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'estimator'"):
        cls(estimator=MLPRegressor())
    member = {
        *CLASSES["classifier" if cls is BaggedMLPClassifier else "regressor"][2]().get_params()
    }
    assert member | OF_BAGGING | {"verbose"} == {*bag.get_params()}


def test_in_a_search():
    search = GridSearchCV(
        BaggedMLPRegressor(3, hidden_layer_sizes=(4,), max_iter=3, random_state=0),
        {"alpha": [0.1, 1.0], "n_estimators": [1, 3]}, cv=2,
    ).fit(X, Y)  # fmt: skip
    assert search.best_params_.keys() == {"alpha", "n_estimators"}
    with pytest.raises(NotFittedError):
        BaggedMLPRegressor().predict(X)


@pytest.mark.parametrize(
    ("given", "x", "y", "message"),
    [
        ({"activation": "sigmoid"}, X, Y, "'activation' parameter of BaggedMLPRegressor"),
        ({"n_estimators": 0}, X, Y, "'n_estimators' parameter of BaggedMLPRegressor"),
        ({"n_jobs": 0}, X, Y, "'n_jobs' parameter of BaggedMLPRegressor"),
        ({"learning_rate": "cosin"}, X, Y, "learning_rate"),
        ({"max_features": 5}, X, Y, "max_features must be <= n_features"),
        ({"oob_score": True, "bootstrap": False}, X, Y, "only available if bootstrap=True"),
        ({"solver": "rprop", "batch_size": 5}, X, Y, "rprop"),
        ({}, np.where(X > 2, np.nan, X), Y, "X contains NaN"),
        ({}, X, np.where(Y > 1, np.inf, Y), "y contains infinity|infinity"),
        ({}, X[:50], Y, "inconsistent numbers of samples"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_refused_before_anything_changes(given, x, y, message, n_jobs):
    bag = BaggedMLPRegressor(**{"n_estimators": 3, "max_iter": 2, "n_jobs": n_jobs, **given})
    before = vars(bag).copy()
    with pytest.raises(ValueError, match=message):
        bag.fit(x, y)
    assert vars(bag) == before
    fitted = BaggedMLPRegressor(2, max_iter=2, random_state=0).fit(X, Y)
    predicted, params = fitted.predict(X), fitted.get_params()
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**given).fit(x, y)
    fitted.set_params(**params)
    np.testing.assert_array_equal(fitted.predict(X), predicted)


# ---- nothing is lost ----------------------------------------------------------------------------


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c(n_jobs):
    """The first estimators stay, and a warm start goes on after them."""
    x = np.random.RandomState(0).randn(400, 4)
    y = np.sin(x[:, 0])
    given = {"hidden_layer_sizes": (8,), "max_iter": 20, "tol": 0, "n_iter_no_change": 99,
             "random_state": 0, "warm_start": True}  # fmt: skip
    n = 60
    begin = time.process_time()
    whole = BaggedMLPRegressor(n, **given, n_jobs=n_jobs).fit(x, y)
    after, before, interrupted = time.process_time() - begin, threading.active_count(), False

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(20):  # other fits may be faster, and Python loses what comes in a finalizer
            after *= 0.7
            bag = BaggedMLPRegressor(n, **given, n_jobs=n_jobs)
            signal.setitimer(signal.ITIMER_REAL, after)
            try:
                bag.fit(x, y)
            except KeyboardInterrupt:
                interrupted = True
                break
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert interrupted
    assert threading.active_count() == before
    n_done = len(bag.estimators_) if hasattr(bag, "estimators_") else 0
    for one, other in zip(whole, bag.estimators_ if n_done else (), strict=False):
        np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
        assert "_ends_with_others" not in vars(other)
    if n_done:
        assert len(bag.estimators_samples_) == len(bag.estimators_features_) == n_done
        np.testing.assert_allclose(
            bag.predict(x), np.mean([one.predict(x) for one in bag], axis=0)
        )
    np.testing.assert_array_equal(bag.fit(x, y).predict(x), whole.predict(x))


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_long_fits_end_soon(n_jobs):
    x = np.random.RandomState(0).randn(3000, 4)
    bag = BaggedMLPRegressor(
        4, hidden_layer_sizes=(60, 60), max_iter=3000, n_iter_no_change=3000, n_jobs=n_jobs
    )
    pressed, before = [], threading.active_count()

    def interrupt(*_):
        pressed.append(time.perf_counter())
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3, 2.0)
        with pytest.raises(KeyboardInterrupt):
            bag.fit(x, np.sin(x[:, 0]))
        took = time.perf_counter() - pressed[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took < 2.0  # 0.1 on an idle machine
    assert threading.active_count() == before
    assert not hasattr(bag, "estimators_")


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_an_estimator_that_fails(n_jobs, monkeypatch):
    """Those before it stay."""
    made, whole = [], BaggedMLPRegressor(6, max_iter=2, random_state=0).fit(X, Y)
    seeds = [one.random_state for one in whole]
    monkeypatch.setattr("fastnn.threads._available", lambda: 3)
    fit = MLPRegressor.fit

    def failing(self, *args, **kwargs):
        made.append(self.random_state)
        if self.random_state == seeds[3]:
            while len(made) < min(n_jobs, 3):  # the others are under way
                time.sleep(0.001)
            raise ValueError("no luck")
        return fit(self, *args, **kwargs)

    bag = BaggedMLPRegressor(6, max_iter=2, random_state=0, warm_start=True, n_jobs=n_jobs)
    monkeypatch.setattr(MLPRegressor, "fit", failing)
    with pytest.raises(ValueError, match="no luck"):
        bag.fit(X, Y)
    done = vars(bag).get("estimators_", [])  # others may have been under way
    assert len(done) == 3 if n_jobs == 1 else len(done) <= 3
    assert [one.random_state for one in done] == seeds[: len(done)]
    monkeypatch.setattr(MLPRegressor, "fit", fit)
    same_predictions(bag.fit(X, Y), whole)


# ---- keeping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("copied", [lambda b: pickle.loads(pickle.dumps(b)), copy.deepcopy])
def test_copies(kind, copied):
    own, _, y = pair(kind, n_estimators=3, random_state=0, max_iter=2)
    again = copied(own.fit(X, y))
    same(again, own)
    assert type(again) is type(own)


@pytest.mark.parametrize("kind", CLASSES)
def test_files(kind, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "bag.fastnn"
    own, _, y = pair(
        kind, n_estimators=4, random_state=0, max_iter=2, max_features=0.5, oob_score=True,
        hidden_layer_sizes=[3],
    )  # fmt: skip
    own.save(path)
    assert not hasattr(fastnn.load(path), "estimators_")
    own.note = "mine"
    own.fit(X, y).save(path, date=True)
    again = fastnn.load(path)
    same(again, own)
    assert again.note == "mine"
    assert again.get_params() == own.get_params()
    assert again.metadata.keys() == own.metadata.keys() | {"date"}
    assert again.metadata["n_features"] == 4
    again.save(tmp_path / "again.fastnn")
    own.save(path)
    assert path.read_bytes() == (tmp_path / "again.fastnn").read_bytes()
    same(again.fit(X, y), own)
    own.thing = object()
    with pytest.raises(TypeError, match="thing"):
        own.save(path)
    data = bytearray(path.read_bytes())
    for at in (8, len(data) // 2, len(data) - 1):
        damaged = data.copy()
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"bag\.fastnn"):
            fastnn.load(path)


@pytest.mark.parametrize("kind", CLASSES)
def test_as_scikit_learns_own(kind):
    own, _, y = pair(
        kind, n_estimators=3, random_state=0, max_iter=2, max_features=0.5, n_jobs=1, alpha=0.1
    )
    assert not hasattr(own.to_sklearn(), "estimators_")
    own.fit(X, y)
    theirs = CLASSES[kind][1]
    for one in (own.to_sklearn(), fastnn.to_sklearn(make_pipeline(own))[0]):
        assert type(one) is theirs
        assert type(one.estimators_[0]) is type(one.estimator)
        assert type(one.estimator).__module__.startswith("sklearn.")
        assert one.estimator.alpha == 0.1
        np.testing.assert_allclose(
            one.predict_proba(X) if kind == "classifier" else one.predict(X),
            own.predict_proba(X) if kind == "classifier" else own.predict(X),
            rtol=1e-9, atol=1e-12,
        )  # fmt: skip
        again = one.fit(X, y).predict(X)
        if kind == "classifier":
            np.testing.assert_array_equal(again, own.predict(X))
        else:
            np.testing.assert_allclose(again, own.predict(X), rtol=1e-6, atol=1e-9)


def _without(name):
    return lambda content: content["fitted"].pop(name)


def _put(name, value):
    return lambda content: content["fitted"].update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        _without("_seeds"), _without("n_features_in_"), _without("estimators_features_"),
        _put("_n_samples", 0), _put("_max_features", 3), _put("n_classes_", 7),
        _put("predict", 3), _put("classes_", {"tuple": []}),
        lambda content: content["estimators"].pop(),
        lambda content: content["estimators"].append(3),
        lambda content: content["params"].update(n_estimators=0),
        lambda content: content["params"].update(depth=1),
        lambda content: content.pop("estimators"),
    ],
)  # fmt: skip
def test_files_that_do_not_hold_together(change, tmp_path):
    """With a right checksum."""
    pytest.importorskip("safetensors")
    from fastnn.files import container

    path = tmp_path / "bag.fastnn"
    BaggedMLPClassifier(3, max_iter=2, random_state=0).fit(X, LABELS).save(path)
    description, tensors = container.read(path)
    for name in ("checksum", "format"):
        del description[name]
    change(description["content"])
    container.write(path, description, tensors)
    with pytest.raises(ValueError, match="does not hold together"):
        fastnn.load(path)
