"""Weights of classes and of samples, in estimators."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from estimator_cases import names_are_scored, needs_weights, problem
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_class_weight, compute_sample_weight

from fastnn import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    needs_weights,
]


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def imbalanced():
    return make_classification(
        1000, 12, n_informative=6, n_classes=3, weights=[0.93, 0.05, 0.02], random_state=0
    )


def named():
    X, y = imbalanced()
    return X, np.array(["often", "rare", "rarest"])[y]


def multilabel():
    return problem("multilabel", 200, 7, 0)


def same_bits(a, b):
    assert a.loss_curve_ == b.loss_curve_ if hasattr(a, "loss_curve_") else a.loss_ == b.loss_
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd", "momentum": 0.8, "batch_size": 50},
        {"solver": "lbfgs"},
        {"early_stopping": True},
    ],
    ids=["adam", "sgd", "lbfgs", "early stopping"],
)
@pytest.mark.parametrize(
    "data",
    [breast_cancer, imbalanced, pytest.param(named, marks=names_are_scored), multilabel],
)
def test_balanced_is_weights_by_hand(data, options, weighted, dtype):
    X, y = data()
    X = X.astype(dtype)
    own = np.random.RandomState(0).exponential(size=len(y)) if weighted else None
    by_class = compute_sample_weight("balanced", y)
    by_hand = by_class if own is None else by_class * own
    new = MLPClassifier(8, max_iter=8, random_state=0, **options)
    a = clone(new).set_params(class_weight="balanced").fit(X, y, sample_weight=own)
    same_bits(a, clone(new).fit(X, y, sample_weight=by_hand))
    assert not np.array_equal(a.coefs_[0], clone(new).fit(X, y, sample_weight=own).coefs_[0])


@pytest.mark.parametrize("data", [imbalanced, named])
def test_a_dict_is_weights_by_hand(data):
    X, y = data()
    class_weight = dict(zip(np.unique(y), [0.5, 3.0, 0.0], strict=True))
    by_hand = compute_sample_weight(class_weight, y)
    new = MLPClassifier(8, max_iter=5, random_state=0)
    weighted = clone(new).set_params(class_weight=class_weight)
    same_bits(clone(weighted).fit(X, y), clone(new).fit(X, y, sample_weight=by_hand))
    # labels given in other ways
    same_bits(
        clone(weighted).fit(X.tolist(), y.tolist()), clone(new).fit(X, y, sample_weight=by_hand)
    )
    with pytest.warns(match="column-vector"):
        column = clone(weighted).fit(X, y.reshape(-1, 1))
    same_bits(column, clone(weighted).fit(X, y))


def test_partial_fit_takes_a_dict():
    X, y = named()
    class_weight = {"often": 0.5, "rarest": 3.0}  # and 1 for "rare"
    a = MLPClassifier(8, random_state=0, class_weight=class_weight)
    b = MLPClassifier(8, random_state=0)
    frequent = np.flatnonzero(y == "often")[:30]  # a call without most of the classes
    for rows in (np.arange(100), np.arange(100, 200), frequent):
        a.partial_fit(X[rows], y[rows], classes=np.unique(y))
        by_hand = np.array([class_weight.get(label, 1.0) for label in y[rows]])
        b.partial_fit(X[rows], y[rows], classes=np.unique(y), sample_weight=by_hand)
    same_bits(a, b)


def test_rare_classes_are_found():
    X, y = imbalanced()
    recalls = [
        recall_score(
            y,
            MLPClassifier(8, learning_rate_init=0.01, max_iter=20, random_state=0, class_weight=w)
            .fit(X, y)
            .predict(X),
            average="macro",
        )
        for w in (None, "balanced")
    ]
    assert recalls[1] > recalls[0] + 0.2


def test_sparse_rows_and_labels():
    X, y = multilabel()
    new = MLPClassifier(8, max_iter=4, random_state=0, class_weight="balanced")
    dense = clone(new).fit(X, y)
    same_bits(clone(new).fit(X, scipy.sparse.csr_matrix(y)), dense)
    np.testing.assert_allclose(
        clone(new).fit(scipy.sparse.csr_matrix(X), y).coefs_[0], dense.coefs_[0], rtol=1e-9
    )


def test_a_subclass_with_its_own_arithmetic_weighs_too():
    class Own(MLPClassifier):
        def _backprop(self, *args):
            return super()._backprop(*args)

    X, y = imbalanced()
    fits = []
    for params, weight in (
        ({"class_weight": "balanced"}, None),
        ({}, compute_sample_weight("balanced", y)),
    ):
        with pytest.warns(match="the slow way"):
            fits.append(Own(max_iter=3, random_state=0, **params).fit(X, y, sample_weight=weight))
    same_bits(*fits)


def test_in_a_search():
    X, y = imbalanced()
    grid = GridSearchCV(
        MLPClassifier(8, max_iter=5, random_state=0),
        {"class_weight": [None, "balanced", {0: 1, 1: 5, 2: 9}]}, scoring="balanced_accuracy",
    ).fit(X, y)  # fmt: skip
    assert grid.best_params_["class_weight"] is not None


# ---- what is refused ----------------------------------------------------------------------------


def test_balanced_in_partial_fit_is_refused_as_in_scikit_learn():
    X, y = imbalanced()
    for model in (MLPClassifier(class_weight="balanced"), SGDClassifier(class_weight="balanced")):
        with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
            model.partial_fit(X, y, classes=[0, 1, 2])
        assert not hasattr(model, "coefs_")
    # the way that the message shows
    each = compute_class_weight("balanced", classes=np.arange(3), y=y)
    weighted = MLPClassifier(class_weight=dict(enumerate(each)))
    weighted.partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("class_weight", ["balance", 1.0, [1, 2], np.ones(2)])
def test_other_values_are_refused(class_weight):
    with pytest.raises(ValueError, match="'class_weight' parameter of MLPClassifier must be"):
        MLPClassifier(class_weight=class_weight).fit([[0], [1]], [0, 1])


def test_weights_that_do_not_fit_are_refused():
    X, y = imbalanced()
    mlp = MLPClassifier(max_iter=2, random_state=0, class_weight={7: 1.0})
    with pytest.raises(ValueError, match="class_weight"):
        mlp.fit(X, y)
    with pytest.raises(ZeroDivisionError, match="sum to zero"):
        mlp.set_params(class_weight=dict.fromkeys(range(3), 0.0)).fit(X, y)
    with pytest.raises(TypeError, match="class_weight"):
        MLPRegressor(class_weight="balanced")


def test_conversion_says_what_it_leaves_out():
    X, y = imbalanced()
    mlp = MLPClassifier(8, max_iter=3, random_state=0, class_weight="balanced", n_jobs=1)
    mlp.fit(X, y)
    with pytest.warns(UserWarning, match="no class_weight: it predicts the same"):
        theirs = mlp.to_sklearn()
    assert not hasattr(theirs, "class_weight")
    np.testing.assert_allclose(theirs.predict_proba(X), mlp.predict_proba(X))
    assert MLPClassifier.from_sklearn(mlp).class_weight == "balanced"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlp.set_params(class_weight=None).to_sklearn()


def test_a_callback_may_not_change_it():
    X, y = imbalanced()
    mlp = MLPClassifier(max_iter=3, random_state=0)
    mlp.set_callbacks(lambda net: mlp.set_params(class_weight="balanced"))
    with pytest.raises(ValueError, match="a callback set class_weight"):
        mlp.fit(X, y)
