"""A validation set of one's own, given to fit, and scorers in place of accuracy and R^2."""

from __future__ import annotations

import functools
import inspect
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastnn.data import checks
from fastnn.estimators import documenting, optimizers, quantiles, resuming
from fastnn.estimators.fitting import HAS_WEIGHTS
from fastnn.training.stopping import as_score

KEYWORDS = ("X_val", "y_val", "sample_weight_val")[: 2 + HAS_WEIGHTS]

_DOC = """
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            A validation set. After each epoch its score goes into
            `validation_scores_`; the fit ends and keeps the best parameters by
            the rules of `early_stopping`, without a split of X. Not for
            ``solver='lbfgs'``. This and the following are keyword-only, and
            not of scikit-learn's class.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Its targets; labels must be among those of y.
"""
_DOC_OF_WEIGHTS = """
        sample_weight_val : array-like of shape (n_val,), default=None
            Its samples' weights.
"""


class Given(NamedTuple):
    """A validation set."""

    X: Any
    y: Any
    sample_weight: Any


def show(method: Any) -> Any:
    """Decorator: the keywords in the signature and the documentation of fit."""
    signature = inspect.signature(method)
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in (*KEYWORDS, "resume")
    ]
    method.__signature__ = signature.replace(
        parameters=[*signature.parameters.values(), *keywords]
    )
    more = [_DOC, *[_DOC_OF_WEIGHTS] * HAS_WEIGHTS, resuming.DOC]
    method.__doc__ = documenting.of_fit(method, more)
    return method


def take(estimator: Any, keywords: dict[str, Any]) -> Given | None:
    """The validation set among the keywords of fit, which lose it.

    Raises
    ------
    ValueError
        If a part of it is missing, or the solver has no epochs.
    """
    given = {name: keywords.pop(name, None) for name in KEYWORDS}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        return None
    if given["X_val"] is None or given["y_val"] is None:
        raise ValueError(f"{names[0]} needs a validation set: give both X_val and y_val")
    if estimator.solver in optimizers.SEARCHES:
        raise ValueError(
            f"X_val is not for solver {estimator.solver!r}, which has no epochs to take scores "
            "after"
        )
    return Given(*given.values(), *[None] * (3 - len(given)))


def checked(estimator: Any, given: Given, n_outputs: int) -> Given:
    """A validation set as scores are computed of it.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        It has taken the features and classes of the training set.
    given : Given
    n_outputs : int

    Raises
    ------
    TypeError, ValueError
        If it has other features, outputs or classes.
    """
    with checks.naming("the validation set (X_val, y_val)"):
        X = validate_data(
            estimator, given.X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32),
            reset=False,
        )  # fmt: skip
        y = _labels(estimator, given.y) if is_classifier(estimator) else _numbers(given.y)
        check_consistent_length(X, y)
        if estimator.loss == "quantile":
            y = quantiles.targets(estimator, y)
        found = y.shape[1] if y.ndim == 2 else 1
        # labels of one dimension have a class for each output
        if found != n_outputs and not (y.ndim == 1 and is_classifier(estimator)):
            raise ValueError(f"y has {found} outputs, and that of training {n_outputs}")
    weights = given.sample_weight
    if weights is not None:
        with checks.naming("sample_weight_val"):
            weights = _check_sample_weight(weights, X)
            if not np.sum(weights) > 0:
                raise ValueError("the weights must add up to more than 0")
    return Given(X, y, weights)


def _labels(estimator: Any, y: Any) -> Any:
    if estimator._label_binarizer.y_type_.startswith("multilabel"):
        y = check_array(y, accept_sparse="csr")
        values = y.data if hasattr(y, "tocsr") else y
        if not np.isin(values, (0, 1)).all():
            raise ValueError("y must hold 0 or 1 for each label, as that of training does")
        if estimator._label_binarizer.sparse_input_:  # as predictions are
            return scipy.sparse.csr_matrix(y)
        return y.toarray() if hasattr(y, "tocsr") else y
    y, known = column_or_1d(y, warn=True), estimator._label_binarizer.classes_
    unknown = ~np.isin(y, known)
    if unknown.any():
        i = int(unknown.argmax())
        raise ValueError(
            f"y[{i}] is {y[i : i + 1].tolist()[0]!r}, which is none of the classes "
            f"{checks.shown(known.tolist())}"
        )
    return y


def _numbers(y: Any) -> Any:
    checks.numeric_array("y", y)
    y = check_array(y, ensure_2d=False, dtype=(np.float64, np.float32))
    return y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y


_scorer = functools.cache(get_scorer)


def score(estimator: Any, X: Any, y: Any, sample_weight: Any) -> float:
    """What the estimator's `scoring` gives for validated data.

    Raises
    ------
    TypeError
        If it is no number.
    """
    scoring = estimator.scoring
    scorer = _scorer(scoring) if isinstance(scoring, str) else scoring
    if not is_classifier(estimator) and y.ndim == 2:
        if estimator.loss == "quantile":
            y = y[:, :1]  # of which there is a column for each level
        y = y.ravel() if y.shape[1] == 1 else y  # as it was given to fit
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    # validated data have no names, of which scikit-learn would warn after each epoch
    names = vars(estimator).pop("feature_names_in_", None)
    try:
        return as_score(scorer(estimator, X, y, **weights))
    finally:
        if names is not None:
            estimator.feature_names_in_ = names
