"""Problems, and pairs of classes to fit on them, for the tests of estimators."""

import contextlib
import warnings
from unittest import mock

import numpy as np
import pytest
import sklearn
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.utils import estimator_checks

import fastnn
from fastnn.estimators import labels, shortcuts

VERSION = tuple(map(int, sklearn.__version__.split(".")[:2]))
needs_weights = pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn 1.6 has no weights")
needs_losses = pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn 1.6 has one loss")
names_are_scored = pytest.mark.skipif(
    VERSION == (1, 8), reason="scikit-learn 1.8 scores neither names nor sparse labels in a fit"
)
PAIRS = [
    (fastnn.MLPClassifier, originals.MLPClassifier),
    (fastnn.MLPRegressor, originals.MLPRegressor),
]
CLASSES = [ours for ours, _ in PAIRS]


def parametrize_with_checks(estimators, **options):
    """scikit-learn's own, whose cases are a generator in 1.6, which pytest 10 refuses."""
    mark = estimator_checks.parametrize_with_checks(estimators, **options)
    names, cases = mark.args
    return pytest.mark.parametrize(names, list(cases), **mark.kwargs)


def fit_both(ours, theirs, X, y, params, **fit_params):
    """Both classes fitted alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(cls(**params).fit(X, y, **fit_params) for cls in (ours, theirs))


@contextlib.contextmanager
def no_shortcuts():
    """Everything goes scikit-learn's way."""
    with (
        mock.patch.multiple(
            shortcuts,
            is_plain=lambda *_: False,
            is_fitted=lambda _: False,
            is_heard=lambda _: True,
            are_weights=lambda *_: False,
        ),
        mock.patch.object(labels, "are_plain", return_value=False),
        mock.patch.object(shortcuts.KnownParameters, "has", return_value=False),
    ):
        yield


def assert_same_fit(a, b, rtol=1e-6):
    """Everything that two fits left, number by number."""
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=rtol)
    np.testing.assert_allclose(a.loss_, b.loss_, rtol=rtol)
    for name in ("t_", "n_layers_", "n_outputs_", "out_activation_", "_no_improvement_count"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("best_loss_", "best_validation_score_", "validation_scores_"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(a._optimizer.learning_rate, b._optimizer.learning_rate, rtol=1e-12)
    scale = max(np.abs(c).max() for c in b.coefs_)
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6 * scale)


def problem(kind, n, n_features, seed):
    """X, y of one of KINDS."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n, n_features)
    signal = np.tanh(X @ rng.randn(n_features, 3) / np.sqrt(n_features))
    signal += 0.1 * rng.randn(n, 3)
    if kind == "binary":
        # scikit-learn before 1.9 failed on strings in early stopping
        labels = ["yes", "no"] if VERSION >= (1, 9) else [7, 2]
        y = np.where(signal[:, 0] > 0, *labels)
        y[:4] = labels * 2
    elif kind == "multiclass":
        y = signal.argmax(axis=1) * 10
        y[:6] = [0, 10, 20, 0, 10, 20]
    elif kind == "multilabel":
        y = (signal > 0).astype(int)
    elif kind == "one output":
        y = signal[:, 0]
    elif kind == "outputs":
        y = signal
    else:
        y = rng.poisson(np.exp(signal[:, 0]))
    return X, y


KINDS = ["binary", "multiclass", "multilabel", "one output", "outputs", "counts"]
