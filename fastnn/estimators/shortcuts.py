"""What needs no validation: input in which scikit-learn's own could find nothing to refuse, to
convert or to warn of. Everything else goes scikit-learn's way."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils import check_random_state

from fastnn import kernels
from fastnn.data import checks

# A dtype in native byte order is this object, unless it comes out of a pickle.
_FLOATS = np.dtype(np.float64), np.dtype(np.float32)


# ---- data ---------------------------------------------------------------------------------------


def is_plain(array: Any, n_dimensions: int) -> bool:
    """Whether this is a plain, contiguous, aligned array of finite floats, and not empty."""
    if type(array) is not np.ndarray or array.ndim != n_dimensions or not array.size:
        return False
    dtype, flags = array.dtype, array.flags
    if not ((dtype is _FLOATS[0] or dtype is _FLOATS[1]) and flags.c_contiguous and flags.aligned):
        return False
    finite: bool = kernels.for_dtype(kernels.build.all_finite, dtype)(array.reshape(-1))
    return finite


def fits(estimator: Any, X: Any) -> bool:
    """Whether X is plain rows of as many features as in the fit, which had no names."""
    return (
        is_plain(X, 2)
        and getattr(estimator, "n_features_in_", None) == X.shape[1]
        and not hasattr(estimator, "feature_names_in_")  # scikit-learn warns that X has none
    )


def take_features(estimator: Any, X: NDArray[Any]) -> None:
    """Have the features of plain rows."""
    vars(estimator).pop("feature_names_in_", None)
    estimator.n_features_in_ = X.shape[1]


def are_targets(y: Any, n: int) -> bool:
    """Whether y is plain numbers for n rows; scikit-learn warns of a single column."""
    return (
        type(y) is np.ndarray  # a list of lists has no shape
        and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1))
        and is_plain(y, y.ndim)
        and len(y) == n
    )


def are_weights(sample_weight: Any, n: int) -> bool:
    """Whether sample_weight is n plain numbers that are not all zero."""
    return is_plain(sample_weight, 1) and len(sample_weight) == n and bool(sample_weight.any())


# ---- estimators ---------------------------------------------------------------------------------


def is_fitted(estimator: Any) -> bool:
    """Whether scikit-learn's check_is_fitted has nothing to say."""
    return type(estimator).__sklearn_is_fitted__ is is_whole and is_whole(estimator)


def is_whole(estimator: Any) -> bool:
    """Whether all layers are there: an interrupt may have ended the first fit before.

    Layers too many are not missing; whoever reads them refuses them.
    """
    own = vars(estimator)
    try:
        n = own["n_layers_"] - 1
        whole = len(own["coefs_"]) >= n and len(own["intercepts_"]) >= n
    except KeyError:
        whole = False  # a debugger that raises at a `return` in here leaves the KeyError behind
    return whole and "out_activation_" in own


def is_heard(estimator: Any) -> bool:
    """Whether callbacks, its own or those of meta-estimators, follow its fits."""
    if "_skl_callbacks" in vars(estimator):
        return True
    return has_callbacks(getattr(estimator, "_parent_callback_ctx", None))


def has_callbacks(context: Any) -> bool:
    """Whether callbacks follow what this context of scikit-learn's, if any, is of."""
    while context is not None:
        if context._callbacks:
            return True
        context = context.parent
    return False


def random_state(given: Any, seeded: np.random.RandomState | None = None) -> np.random.RandomState:
    """What scikit-learn's check_random_state gives, sooner.

    seeded, if given, is what this returned for a seed before; it may be used again.
    """
    if type(given) is int or isinstance(given, Integral):
        if seeded is None:
            return checks.seeded(given)
        seeded.seed(given)  # type: ignore[arg-type]
        return seeded
    state: np.random.RandomState = check_random_state(given)
    return state


def must_validate() -> bool:
    """Whether parameters are to be validated; in a fit of a meta-estimator they are not."""
    return not get_config()["skip_parameter_validation"]


# Values of these types are valid or not whoever they belong to ...
_BY_VALUE = frozenset({int, float, str, bool, type(None), np.float64, np.int64})
# ... and these whatever is in them.
_BY_TYPE = frozenset({tuple, list, np.random.RandomState})


class KnownParameters:
    """Parameters of one class that scikit-learn found valid: names with values, or with types.

    Parameters
    ----------
    names : iterable of str
        Of all parameters.
    """

    MOST = 1000  # a search may try any number of values

    def __init__(self, names: Iterable[str]) -> None:
        self.names, self._known = tuple(names), set[tuple[Any, ...]]()
        self._values = operator.attrgetter(*self.names)

    def values_of(self, estimator: Any) -> tuple[Any, ...]:
        """The values of all its parameters."""
        try:
            values: tuple[Any, ...] = self._values(estimator)
        except AttributeError:  # of a subclass with a constructor of its own
            values = tuple(getattr(estimator, name, None) for name in self.names)
        return values

    def _keys(self, estimator: Any) -> list[tuple[Any, ...]]:
        attributes = vars(estimator)
        keys: list[tuple[Any, ...]] = []
        for name in self.names:
            value = attributes[name]
            kind = type(value)
            if kind in _BY_VALUE:
                keys.append((name, kind, value))
            elif kind in _BY_TYPE:
                keys.append((name, kind))
            else:
                keys.append((name, kind, object()))  # never known
        return keys

    def has(self, estimator: Any) -> bool:
        """Whether all its parameters are known to be valid."""
        try:
            return self._known.issuperset(self._keys(estimator))
        except KeyError:  # an attribute is missing or a property
            return False

    def add(self, estimator: Any) -> None:
        """Take note of valid parameters."""
        if len(self._known) > self.MOST:
            self._known.clear()
        self._known.update(self._keys(estimator))


def hidden_layers(sizes: Any) -> list[Any]:
    """hidden_layer_sizes as a list, refused as scikit-learn does."""
    units: list[Any] = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    plain = all(type(n) is int and n > 0 for n in units)
    if not plain and np.any(np.array(units) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {units}.")
    return units
