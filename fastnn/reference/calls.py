"""The short way from Python, which in NumPy is no shorter: the long way does everything."""

import itertools
import math
from typing import Any

import numpy as np

from fastnn.reference.layout import Array
from fastnn.reference.rows import is_matrix
from fastnn.reference.training import mean_loss


def is_ready(array: Any, type_number: int, n_columns: int) -> bool:
    """Whether array is an ndarray (n, n_columns), n >= 1, of finite numbers, as kernels read it.

    False for large arrays, too, which the caller looks at by itself.
    """
    n_rows = array.shape[0] if type(array) is np.ndarray and array.ndim else 0
    return bool(
        0 < n_rows * n_columns < 10_000
        and is_matrix(array, type_number, n_rows, n_columns)
        and np.isfinite(array).all()
    )


def can_train(
    params: Array,
    x: Any,
    y: Any,
    n_rows: int,
    n_features: int,
    n_outputs: int,
    low: float,
    high: float,
    rows_sum_to_one: bool,
) -> bool:
    """Whether params may be trained on x and y without another look.

    x, (n_rows, n_features), and y, (n_rows, n_outputs), are plain arrays of the type of params
    that share no memory with it; all are finite; targets are between low and high, and each row
    sums to 1 if it must. n_rows 0: any number of them.
    """
    n_rows = n_rows or (len(x) if type(x) is np.ndarray and x.ndim else 0)
    if n_rows == 0:
        return False
    for array, n_columns in ((x, n_features), (y, n_outputs)):
        if not is_matrix(array, params.dtype.num, n_rows, n_columns):
            return False
        if not np.isfinite(array).all() or np.may_share_memory(array, params):
            return False
    sums = y.sum(axis=1, dtype=np.float64)
    near = np.abs(sums - 1) <= 4 * np.finfo(y.dtype).eps * y.shape[1]
    return bool(
        np.isfinite(params).all()
        and (y >= low).all()
        and (y <= high).all()
        and (near.all() or not rows_sum_to_one)
    )


def short_loss(
    params: Array,
    layer_units: Array,
    activations: Array,
    x: Any,
    y: Any,
    loss: int,
    alpha: Any,
    low: float,
    high: float,
    rows_sum_to_one: bool,
    grads: Array | None,
) -> float | None:
    """`loss_and_grad` if params, x and y are as `can_train` wants them; or None.

    grads is None for the loss alone. None as well if alpha is no finite float >= 0, or if there
    are so many rows that the work is cut into parts.
    """
    shape = 0, layer_units[0], layer_units[-1]
    if (
        type(alpha) is not float
        or not 0 <= alpha < math.inf
        or not can_train(params, x, y, *shape, low, high, rows_sum_to_one)
        or len(x) > 1024
    ):
        return None
    return mean_loss(params, layer_units, activations, loss, alpha, x, y, grads)


def aligned_bytes(n_bytes: int, zeros: bool) -> Array:
    """Give n_bytes at a multiple of 128, zeros or uninitialised."""
    raw = (np.zeros if zeros else np.empty)(n_bytes + 128, np.uint8)
    start = -raw.__array_interface__["data"][0] % 128
    return raw[start : start + n_bytes]


def views_of(vector: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Make views of consecutive parts of a plain vector, of one or two dimensions."""
    views, at = [], 0
    for shape in shapes:
        size = math.prod(shape)
        if min(shape) < 0 or at + size > len(vector):
            raise ValueError("the shapes need more numbers than the vector has")
        views.append(vector[at : at + size].reshape(shape))
        at += size
    return views


def give_views(
    objects: list[Any], names: tuple[str, ...], vector: Array, shapes: tuple[tuple[int, ...], ...]
) -> tuple[Array, ...]:
    """Give each object in order views of a vector as attributes `names`; return the views."""
    views = tuple(views_of(vector, shapes))
    places = [(one, name) for one in objects for name in names]
    if len(places) != len(views):
        n_objects = len(places) // len(names)
        raise ValueError(f"{len(views)} arrays for {n_objects} layers: others came or went")
    for (one, name), view in zip(places, views, strict=True):
        setattr(one, name, view)
    return views


def holds(objects: list[Any], names: tuple[str, ...], values: tuple[Any, ...]) -> bool:
    """Whether the attributes `names` of each object, in order, are these very values.

    Arrays are coefs and intercepts in turn, and must still have shapes that go together.
    """
    found: list[Any] = [getattr(one, name, None) for one in objects for name in names]
    if len(found) != len(values) or not all(map(lambda a, b: a is b, found, values)):
        return False
    coefs, intercepts = found[::2], found[1::2]
    if not all(isinstance(array, np.ndarray) for array in found):
        return True
    return (
        all(W.ndim == 2 for W in coefs)
        and all(a.shape[1] == b.shape[0] for a, b in itertools.pairwise(coefs))
        and all(
            b.ndim > 0 and b.shape[-1] == b.size == W.shape[1]
            for W, b in zip(coefs, intercepts, strict=True)
        )
    )


class Forward:
    """Forward passes through one net; here the long way does them all."""

    def __init__(self, arrays: list[Any], activations: Array) -> None:
        if len(arrays) == 0 or len(arrays) != 2 * len(activations):
            raise ValueError("there must be a W and a b for each activation")

    def __call__(self, x: Any, every: bool = False) -> None:
        return None
