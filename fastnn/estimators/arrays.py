"""Arrays as scikit-learn has them, and as the kernels read them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn.data import checks
from fastnn.data.rows import Rows, SparseRows

_INT32, _INTP = np.dtype(np.int32), np.dtype(np.intp)


def float_type(*arrays: Any) -> np.dtype[Any]:
    """float32 if arithmetic with these arrays is done in it, else float64."""
    return np.dtype(np.float32 if np.result_type(*arrays) == np.float32 else np.float64)


# ---- parameters ---------------------------------------------------------------------------------


def join(coefs: Sequence[NDArray[Any]], intercepts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """coefs and intercepts, layer by layer, in one vector."""
    dtype = float_type(*coefs, *intercepts)
    layers = zip(coefs, intercepts, strict=True)
    return np.concatenate([np.ravel(a) for layer in layers for a in layer], dtype=dtype)


def split_packed(
    packed: NDArray[Any], units: NDArray[np.intp]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """coefs and intercepts of a vector in scikit-learn's order: all coefs, then all intercepts."""
    coefs, intercepts, at = [], [], 0
    for k, n in itertools.pairwise(units.tolist()):
        coefs.append(packed[at : at + k * n].reshape(k, n))
        at += k * n
    for n in units.tolist()[1:]:
        intercepts.append(packed[at : at + n])
        at += n
    return coefs, intercepts


def units_of(
    coefs: Sequence[NDArray[Any]], intercepts: Sequence[NDArray[Any]]
) -> NDArray[np.intp]:
    """Units of every layer, inputs first; the user may have replaced the arrays.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    shapes = [np.shape(coef) for coef in coefs]
    intercept_shapes = [np.shape(intercept) for intercept in intercepts]
    units = [*shapes[0][:1], *(shape[-1] for shape in shapes if shape)] if shapes else []
    if [*shapes, *intercept_shapes] != shapes_of(units) or not shapes:
        raise ValueError(
            f"coefs_ and intercepts_ do not fit together: their shapes are {shapes} and "
            f"{intercept_shapes}"
        )
    return np.array(units, np.intp)


def shapes_of(units: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes of coefs, then of intercepts, of layers with these units, inputs first."""
    return [*itertools.pairwise(units), *((n,) for n in units[1:])]


# ---- data ---------------------------------------------------------------------------------------


def as_type(dtype: DTypeLike, array: ArrayLike) -> NDArray[Any]:
    """array, or a contiguous, aligned copy of that type."""
    if type(array) is np.ndarray:  # np.require takes 2 us
        if array.dtype != dtype:
            return array.astype(dtype, "C")
        if array.flags.carray:
            return array
    return np.require(array, dtype, ["C", "A"])


def as_rows(X: Any, n_features: int, dtype: np.dtype[Any], to_train: bool = False) -> Rows:
    """X, validated by scikit-learn, as the kernels read it.

    Parameters
    ----------
    X : ndarray or sparse array
    n_features : int
    dtype : dtype
    to_train : bool
        Whether code of the user's, such as callbacks, scorers and signal handlers, may run before
        the rows are last read. Which numbers of a sparse X are read is then its own copy, that
        nobody changes after the check; the numbers themselves may be X's in either case.

    Raises
    ------
    ValueError
        If X has another number of features, or is a broken sparse array.
    """
    if X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, but coefs_[0] takes {n_features}")
    if not hasattr(X, "tocsr"):
        return as_type(dtype, X)
    indices, indptr = (X.indices.copy(), X.indptr.copy()) if to_train else (X.indices, X.indptr)
    # a new object: SciPy repairs and flags the object that it checks
    X = type(X)((X.data, indices, indptr), shape=X.shape)
    X.check_format(full_check=True)  # the kernels trust it
    if (X.indptr[1:] < X.indptr[:-1]).any():  # which that does not look at where the last is 0
        raise ValueError("X is a broken sparse array: its indptr must not fall")
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return SparseRows(
        as_type(dtype, X.data).reshape(1, -1),
        as_type(_INT32, X.indices),
        as_type(_INTP, X.indptr),
    )


def as_targets(
    y: NDArray[Any], sample_weight: NDArray[Any] | None, n_outputs: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """y with the samples' weights as its last column, as the kernels read it.

    Raises
    ------
    ValueError
        If y has another number of outputs, or a number is too large for dtype.
    """
    y = y.reshape(len(y), -1)
    if y.shape[1] != n_outputs:
        raise ValueError(f"y has {y.shape[1]} outputs, but coefs_[-1] gives {n_outputs}")
    if dtype.itemsize < y.dtype.itemsize and y.dtype.kind == "f":
        y = checks.finite_array("y", y, dtype)
    if sample_weight is not None:
        y = np.column_stack([y, sample_weight])
    return as_type(dtype, y)
