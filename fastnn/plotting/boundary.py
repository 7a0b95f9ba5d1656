"""Models over a plane: any model as one of two features, and the grid that is drawn."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.data import checks
from fastnn.network import Network

_METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class FeatureSlice:
    """A fitted model as a function of two of its features, the others held at their means.

    scikit-learn takes it as a fitted estimator of two features, such as in
    `sklearn.inspection.DecisionBoundaryDisplay.from_estimator`.

    Parameters
    ----------
    model : Network or estimator
        It predicts.
    X : array-like or data frame, (n, n_features)
        For the means of the other features.
    features : pair of int, or of str for the columns of a data frame
        The two that vary.

    Attributes
    ----------
    features_ : tuple of int
        The columns of X that vary.

    Raises
    ------
    TypeError, ValueError
        If there are no such two features, or X is not a table of numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.inspection import DecisionBoundaryDisplay
    >>> from fastnn import MLPClassifier
    >>> from fastnn.plotting import FeatureSlice
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(random_state=0, max_iter=1000).fit(X, y)
    >>> petals = FeatureSlice(model, X, features=(2, 3))
    >>> petals.predict([[1.4, 0.2], [6.0, 2.3]])
    array([0, 2])
    """

    features_: tuple[int, ...]

    def __init__(
        self, model: Any, X: Any, features: Sequence[int] | Sequence[str] | str = (0, 1)
    ) -> None:
        self._columns = getattr(X, "columns", None)
        # a model that was fitted with names expects them
        named = self._columns is not None and hasattr(model, "feature_names_in_")
        self._frame = type(X) if named else None
        # the argument for names in pandas and in polars
        self._named = "columns" if hasattr(X, "iloc") else "schema"
        values = checks.numeric_array("X", np.asarray(X))
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(f"X must have two dimensions, got shape {values.shape}")
        values = checks.finite_array("X", values, np.dtype(np.float64))
        self.features_ = _two_features(features, values.shape[1], self._columns)
        self._model, self._row = model, values.mean(axis=0)

    def _widen(self, X: ArrayLike) -> Any:
        x = checks.matrix("X", np.asarray(X), np.dtype(np.float64), 2, "feature")
        wide = np.tile(self._row, (len(x), 1))
        wide[:, self.features_] = x
        if self._frame is not None and self._columns is not None:
            return self._frame(wide, **{self._named: list(self._columns)})
        return wide

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_model" not in self.__dict__:
            raise AttributeError(name)
        attribute = getattr(self._model, name)
        if name not in _METHODS:
            return attribute

        @functools.wraps(attribute)
        def of_two_features(X: ArrayLike) -> Any:
            return attribute(self._widen(X))

        return of_two_features

    def fit(self, X: object, y: object = None) -> NoReturn:
        """Refuse: a slice is of a fitted model.

        Parameters
        ----------
        X, y : object
            Not looked at.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("a FeatureSlice is of a fitted model; fit that instead")

    def __sklearn_is_fitted__(self) -> bool:
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(self._model)
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self) -> Any:
        return self._model.__sklearn_tags__()


def _two_features(features: Any, n_features: int, columns: Any = None) -> tuple[int, ...]:
    """The numbers of two different features."""
    message = (
        f"features must be two different columns of the {n_features}, got {checks.shown(features)}"
    )
    try:
        chosen = list(features)
    except TypeError:
        raise TypeError(message) from None
    if columns is not None:
        chosen = [list(columns).index(f) if f in list(columns) else f for f in chosen]
    if len(chosen) != 2 or any(isinstance(f, str) for f in chosen):
        raise ValueError(message)
    chosen = [checks.whole_number("features", f, 0) for f in chosen]
    if chosen[0] == chosen[1] or max(chosen) >= n_features:
        raise ValueError(message)
    return tuple(chosen)


class Plane:
    """The plane of two features of a network's data, as a grid of points.

    Parameters
    ----------
    n_features : int
        Of the network.
    X : ndarray, (n, n_features)
    features : None or pair of int
        None for networks of two features.
    resolution : int
        Points in each direction.

    Attributes
    ----------
    features : tuple of int
    extent : tuple of float
        Left, right, bottom, top.
    points : ndarray, (resolution^2, n_features)
        Row after row from the bottom; other features are at their means.
    """

    def __init__(
        self,
        n_features: int,
        X: NDArray[Any],
        features: Sequence[int] | None = None,
        resolution: int = 100,
    ) -> None:
        if features is None and n_features != 2:
            raise ValueError(
                f"a plane needs two features, and this network takes {n_features}: say which two "
                "vary, such as features=(0, 1), the others staying at their means"
                if n_features > 2
                else "a plane needs two features, and this network takes 1"
            )
        self.features = _two_features((0, 1) if features is None else features, n_features)
        seen = X[:, self.features].astype(np.float64)
        margin = 0.15 * (np.ptp(seen, axis=0).max() or 1.0)
        low, high = seen.min(axis=0) - margin, seen.max(axis=0) + margin
        self.extent = tuple(float(v) for pair in zip(low, high, strict=True) for v in pair)
        self.x0, self.x1 = (np.linspace(low[i], high[i], resolution) for i in range(2))
        self.points = np.tile(X.mean(axis=0, dtype=np.float64), (resolution**2, 1))
        for feature, grid in zip(self.features, np.meshgrid(self.x0, self.x1), strict=True):
            self.points[:, feature] = grid.ravel()

    def label(self, i: int, names: Any = None) -> str:
        """The name of an axis of the plane."""
        feature = self.features[i]
        return str(names[feature]) if names is not None else f"$x_{{{feature}}}$"

    def field(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values at the points, (resolution^2, k), as images (resolution, resolution, k)."""
        return np.asarray(values, np.float64).reshape(len(self.x1), len(self.x0), -1)


def check_network(net: object) -> None:
    """Refuse anything but a Network."""
    if not isinstance(net, Network):
        raise TypeError(f"net must be a fastnn.Network, got {checks.shown(net)}")
