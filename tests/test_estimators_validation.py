"""A validation set and a scorer of one's own, in estimators."""

import inspect
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn
from estimator_cases import CLASSES, KINDS, VERSION, assert_same_fit, needs_weights, problem
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, make_scorer, mean_squared_error
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pair(kind):
    """A class, and a problem in two parts."""
    regression = kind in ("one output", "outputs", "counts")
    X, y = problem(kind, 160, 6, 0)
    return (MLPRegressor if regression else MLPClassifier), X[:100], y[:100], X[100:], y[100:]


def new(cls, **params):
    return cls(**{"hidden_layer_sizes": 20, "max_iter": 40, "learning_rate_init": 0.02,
                  "random_state": 0, **params})  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_scores_after_each_epoch(kind):
    cls, X, y, X_val, y_val = pair(kind)
    mlp = new(cls, n_iter_no_change=5).fit(X, y, X_val=X_val, y_val=y_val)
    want = []
    for n in range(1, mlp.n_iter_ + 1):
        other = new(cls, max_iter=n, n_iter_no_change=99, tol=0.0).fit(X, y)
        want.append(other.score(X_val, y_val))
    np.testing.assert_allclose(mlp.validation_scores_, want, rtol=1e-10)
    assert mlp.best_iteration_ == 1 + np.argmax(want)
    assert mlp.best_validation_score_ == mlp.validation_scores_[mlp.best_iteration_ - 1]
    assert mlp.score(X_val, y_val) == pytest.approx(max(want), rel=1e-10)
    assert mlp.best_loss_ is None


@pytest.mark.parametrize("kind", ["binary", "multiclass", "one output", "outputs"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_it_is_early_stopping_with_another_set(kind, solver):
    """The same fit as by early_stopping, given what that splits off."""
    cls, X, y, _, _ = pair(kind)
    by_class = y if kind == "binary" else None
    X_train, X_val, y_train, y_val = train_test_split(
        X, y, test_size=0.2, random_state=0, stratify=by_class
    )
    params = {"solver": solver, "n_iter_no_change": 3, "shuffle": False, "warm_start": True}
    a = new(cls, validation_fraction=0.2, **params)
    b = new(cls, **params)
    for mlp in (a, b):
        mlp.set_params(max_iter=1).fit(X_train, y_train)  # the same beginning
        mlp.validation_scores_, mlp.best_validation_score_ = [], -np.inf
        mlp.best_loss_ = None
        mlp.set_params(max_iter=30, random_state=0)
    a.set_params(early_stopping=True).fit(X, y)
    b.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    assert_same_fit(a, b)
    assert a.best_iteration_ == b.best_iteration_ > 0


def test_a_set_comes_before_the_split():
    cls, X, y, X_val, y_val = pair("multiclass")
    a = new(cls).fit(X, y, X_val=X_val, y_val=y_val)
    b = new(cls, early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)
    assert_same_fit(a, b)


def test_early_stopping_has_a_best_iteration_too():
    cls, X, y, _, _ = pair("multiclass")
    mlp = new(cls, early_stopping=True).fit(X, y)
    assert mlp.best_iteration_ == 1 + np.argmax(mlp.validation_scores_)
    assert mlp.set_params(early_stopping=False).fit(X, y).best_iteration_ is None
    assert mlp.validation_scores_ is None


def test_fits_of_one_estimator_by_turns():
    cls, X, y, X_val, y_val = pair("one output")
    val = {"X_val": X_val, "y_val": y_val}
    mlp = new(cls, max_iter=3).fit(X, y, **val)
    assert_same_fit(mlp.fit(X, y), new(cls, max_iter=3).fit(X, y))
    mlp.fit(X, y, **val).partial_fit(X, y)
    assert len(mlp.validation_scores_) == 3
    warm = new(cls, max_iter=3, warm_start=True).fit(X, y)
    warm.fit(X, y, **val)
    assert len(warm.validation_scores_) == 3
    warm.fit(X, y).fit(X, y, **val)
    assert len(warm.validation_scores_) == 6
    assert "_validation" not in vars(warm)
    assert "_validation" not in vars(pickle.loads(pickle.dumps(warm)))


# ---- scoring ------------------------------------------------------------------------------------


def own_score(estimator, X, y, sample_weight=None):
    return -mean_squared_error(y, estimator.predict(X), sample_weight=sample_weight)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_scorers_of_regressors(early_stopping):
    cls, X, y, X_val, y_val = pair("one output")
    fits = []
    for scoring in ("neg_mean_squared_error", own_score):
        mlp = new(cls, scoring=scoring, early_stopping=early_stopping)
        given = {} if early_stopping else {"X_val": X_val, "y_val": y_val}
        fits.append(mlp.fit(X, y, **given))
    assert_same_fit(*fits)
    if not early_stopping:
        assert fits[0].best_validation_score_ == own_score(fits[0], X_val, y_val)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_scorers_of_classifiers(kind):
    cls, X, y, X_val, y_val = pair(kind)
    names = ["accuracy", "f1_macro", "neg_log_loss"]
    if kind != "multilabel":
        names += ["balanced_accuracy", make_scorer(balanced_accuracy_score)]
    else:
        names.remove("neg_log_loss")
    for scoring in names:
        mlp = new(cls, scoring=scoring, max_iter=8).fit(X, y, X_val=X_val, y_val=y_val)
        scorer = sklearn.metrics.get_scorer(scoring) if isinstance(scoring, str) else scoring
        assert mlp.best_validation_score_ == pytest.approx(scorer(mlp, X_val, y_val))
        new(cls, scoring=scoring, max_iter=3, early_stopping=True).fit(X, y)
    default = new(cls, max_iter=8).fit(X, y, X_val=X_val, y_val=y_val)
    accuracy = new(cls, max_iter=8, scoring="accuracy").fit(X, y, X_val=X_val, y_val=y_val)
    assert_same_fit(default, accuracy)


@needs_weights
@pytest.mark.parametrize("scoring", [None, "r2", own_score])
def test_weights_of_the_validation_set(scoring):
    cls, X, y, X_val, y_val = pair("one output")
    w = np.random.RandomState(0).exponential(size=len(y_val))
    mlp = new(cls, scoring=scoring).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)
    score = own_score if callable(scoring) else cls.score
    assert mlp.best_validation_score_ == pytest.approx(score(mlp, X_val, y_val, sample_weight=w))
    assert mlp.best_validation_score_ != pytest.approx(score(mlp, X_val, y_val))


def test_data_of_other_kinds():
    pandas = pytest.importorskip("pandas")
    cls, X, y, X_val, y_val = pair("multiclass")
    want = new(cls, max_iter=4).fit(X, y, X_val=X_val, y_val=y_val)
    columns = list("abcdef")
    for scoring in (None, "accuracy"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ConvergenceWarning)
            mlp = new(cls, max_iter=4, scoring=scoring).fit(
                pandas.DataFrame(X, columns=columns), pandas.Series(y),
                X_val=pandas.DataFrame(X_val, columns=columns), y_val=pandas.Series(y_val),
            )  # fmt: skip
            early = new(cls, max_iter=4, scoring=scoring, early_stopping=True)
            early.fit(pandas.DataFrame(X, columns=columns), y)
        assert_same_fit(mlp, want)
        assert mlp.feature_names_in_.tolist() == early.feature_names_in_.tolist() == columns
    sparse = new(cls, max_iter=4).fit(
        scipy.sparse.csr_matrix(X), y, X_val=scipy.sparse.csc_matrix(X_val), y_val=y_val.tolist()
    )
    assert_same_fit(sparse, want)
    names = np.array(["a", "b", "c"])
    named = new(cls, max_iter=4).fit(X, names[y // 10], X_val=X_val, y_val=names[y_val // 10])
    assert named.validation_scores_ == want.validation_scores_
    small = X_val.astype(np.float32)
    assert new(cls, max_iter=4).fit(X, y, X_val=small, y_val=y_val).coefs_[0].dtype == np.float64


@pytest.mark.parametrize("given", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("given_val", [np.asarray, scipy.sparse.csr_matrix])
def test_labels_of_a_set_may_be_sparse(given, given_val):
    labels = (X[:, :3] > 0).astype(int)
    mlp = new(MLPClassifier, max_iter=4)
    mlp.fit(X[:80], given(labels[:80]), X_val=X[80:], y_val=given_val(labels[80:]))
    dense = new(MLPClassifier, max_iter=4)
    dense.fit(X[:80], labels[:80], X_val=X[80:], y_val=labels[80:])
    assert mlp.validation_scores_ == dense.validation_scores_


def test_callbacks_hear_of_such_fits():
    cls, X, y, X_val, y_val = pair("multiclass")
    seen = []
    mlp = new(cls, max_iter=5)
    mlp.set_callbacks(lambda net: seen.append(len(mlp.validation_scores_)))
    mlp.fit(X, y, X_val=X_val, y_val=y_val)
    assert seen == [1, 2, 3, 4, 5]

    def inner(net):
        if len(seen) == 5:
            seen.append(0)
            mlp.set_callbacks()
            clone(mlp).fit(X, y)

    mlp.set_callbacks(inner)
    mlp.fit(X, y, X_val=X_val, y_val=y_val)
    assert len(mlp.validation_scores_) == 5


def test_verbose(capsys):
    cls, X, y, X_val, y_val = pair("multiclass")
    new(cls, verbose=True, n_iter_no_change=1, tol=1.0).fit(X, y, X_val=X_val, y_val=y_val)
    printed = capsys.readouterr().out
    assert "Validation score: " in printed
    assert "Validation score did not improve more than tol=1.000000" in printed


@pytest.mark.parametrize("cls", CLASSES)
def test_signature_documentation_and_routing(cls):
    keywords = ["X_val", "y_val", "sample_weight_val"][: 2 + (VERSION >= (1, 7))]
    parameters = list(inspect.signature(cls.fit).parameters.values())[-len(keywords) - 1 :]
    assert [p.name for p in parameters] == [*keywords, "resume"]
    assert "\nresume : path-like" in inspect.getdoc(cls.fit)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is None for p in parameters)
    for name in keywords:
        assert f"\n{name} : array-like" in inspect.getdoc(cls.fit)
    assert "\nbest_iteration_ : int or None" in inspect.getdoc(cls)
    with sklearn.config_context(enable_metadata_routing=True):
        cls().set_fit_request(**dict.fromkeys(keywords, True))


# ---- what is refused ----------------------------------------------------------------------------

CLASSIFIER, X, Y, X_VAL, Y_VAL = pair("multiclass")
PLACE = "the validation set (X_val, y_val): "
WRONG = [
    ({"X_val": X_VAL[:, :5]}, ValueError, "X has 5 features"),
    ({"X_val": X_VAL[0]}, ValueError, "Expected 2D array"),
    ({"X_val": np.full((60, 6), np.nan)}, ValueError, "contains NaN"),
    ({"y_val": Y_VAL + 1}, ValueError, r"y\[0\] is .*, which is none of the classes \[0, 10, 20"),
    ({"y_val": Y_VAL[1:]}, ValueError, "inconsistent numbers of samples"),
    ({"y_val": ["a"] * 60}, ValueError, "none of the classes"),
    ({"y_val": np.eye(3)}, ValueError, "y should be a 1d array"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG)
@pytest.mark.parametrize("warm_start", [False, True])
def test_another_set_is_refused_before_training(warm_start, wrong, error, message):
    mlp = new(CLASSIFIER, warm_start=warm_start, max_iter=2).fit(X, Y)
    before = mlp.coefs_[0].copy()
    with pytest.raises(error, match=message) as caught:
        mlp.fit(X, Y, **{"X_val": X_VAL, "y_val": Y_VAL, **wrong})
    assert str(caught.value).startswith(PLACE)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(mlp.coefs_[0], before)
    mlp.fit(X, Y)  # and the set is forgotten
    assert mlp.validation_scores_ is None


def test_other_targets_are_refused():
    cls, X, y, X_val, y_val = pair("outputs")
    for wrong in (y_val[:, 0], y_val[:, :2]):
        with pytest.raises(ValueError, match="outputs, and that of training 3"):
            new(cls).fit(X, y, X_val=X_val, y_val=wrong)
    with pytest.raises(TypeError, match="y must hold real numbers"):
        new(cls).fit(X, y, X_val=X_val, y_val=y_val.astype(str))
    cls, X, y, X_val, y_val = pair("multilabel")
    with pytest.raises(ValueError, match="y has 2 outputs, and that of training 3"):
        new(cls).fit(X, y, X_val=X_val, y_val=y_val[:, :2])
    with pytest.raises(ValueError, match="y must hold 0 or 1"):
        new(cls).fit(X, y, X_val=X_val, y_val=y_val + 1)


def test_parts_and_solvers_are_refused():
    mlp = new(CLASSIFIER)
    with pytest.raises(ValueError, match="X_val needs a validation set: give both"):
        mlp.fit(X, Y, X_val=X_VAL)
    with pytest.raises(ValueError, match="y_val needs a validation set: give both"):
        mlp.fit(X, Y, y_val=Y_VAL)
    with pytest.raises(ValueError, match="X_val is not for solver 'lbfgs'"):
        new(CLASSIFIER, solver="lbfgs").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    with pytest.raises(TypeError, match="X_val"):
        mlp.partial_fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    with pytest.raises(TypeError, match="positional"):
        mlp.fit(X, Y, None, X_VAL, Y_VAL)

    class Own(MLPClassifier):
        def _backprop(self, *args):
            return super()._backprop(*args)

    with pytest.raises(ValueError, match="Own trains by code of its own, which takes no X_val"):
        Own().fit(X, Y, X_val=X_VAL, y_val=Y_VAL)


@needs_weights
def test_bad_weights_are_refused():
    for weights, message in (
        (np.ones(59), "sample_weight_val: "), (np.zeros(60), "non-zero|more than 0"),
        (np.full(60, np.nan), "sample_weight_val: .*NaN"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            new(CLASSIFIER).fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weights)
    with pytest.raises(ValueError, match="sample_weight_val needs a validation set"):
        new(CLASSIFIER).fit(X, Y, sample_weight_val=np.ones(60))


@pytest.mark.parametrize("scoring", ["acuracy", 3, ["accuracy"]])
def test_bad_scoring_is_refused(scoring):
    with pytest.raises(ValueError, match="'scoring' parameter of MLPClassifier must be"):
        new(CLASSIFIER, scoring=scoring).fit(X, Y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_scorer_that_raises_leaves_a_usable_estimator(early_stopping):
    calls = []

    def raises(estimator, X, y):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more")
        return 0.5 * len(calls)

    given = {} if early_stopping else {"X_val": X_VAL, "y_val": Y_VAL}
    mlp = new(CLASSIFIER, scoring=raises, early_stopping=early_stopping)
    with pytest.raises(RuntimeError, match="no more"):
        mlp.fit(X, Y, **given)
    assert len(mlp.loss_curve_) == 3
    assert len(mlp.validation_scores_) == 2
    assert np.isfinite(mlp.predict_proba(X)).all()
    mlp.set_params(early_stopping=False).partial_fit(X, Y)
    for wrong in (lambda *_: "good", lambda *_: [1.0]):
        with pytest.raises(TypeError, match="scoring must give one number"):
            new(CLASSIFIER, scoring=wrong).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)


def test_a_callback_may_not_change_the_scorer():
    mlp = new(CLASSIFIER, max_iter=3)
    mlp.set_callbacks(lambda net: mlp.set_params(scoring="accuracy"))
    with pytest.raises(ValueError, match="a callback set scoring"):
        mlp.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
