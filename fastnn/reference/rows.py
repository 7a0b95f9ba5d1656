"""Rows of inputs and targets, and their order."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.reference.layout import Array


def dense_rows(x: Array, columns: Array, row_starts: Array, n_features: int) -> Array:
    """x, or the dense form of the sparse rows in it; values in the same column are added."""
    if len(row_starts) == 0:
        return x
    rows = np.zeros((len(row_starts) - 1, n_features), x.dtype)
    stored = slice(row_starts[0], row_starts[-1])
    row_numbers = np.repeat(np.arange(len(rows)), np.diff(row_starts))
    np.add.at(rows, (row_numbers, columns[stored]), x[0, stored])
    return rows


def weights_of(y: Array, n_outputs: int) -> Array:
    """Sample weights, (n, 1): the column of y after the targets, or ones."""
    return y[:, n_outputs:] if y.shape[1] > n_outputs else np.ones((len(y), 1), y.dtype)


def shuffle(bit_generator: np.random.BitGenerator, order: Array) -> None:
    """Shuffle order as NumPy's RandomState does.

    Parameters
    ----------
    bit_generator : numpy.random.BitGenerator
        Draws.
    order : ndarray of intp
        Shuffled in place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> order, same = np.arange(5), np.arange(5)
    >>> reference.shuffle(np.random.MT19937(0), order)
    >>> np.random.RandomState(np.random.MT19937(0)).shuffle(same)
    >>> np.array_equal(order, same)
    True
    """
    _drawing(bit_generator).shuffle(order)


def draw_uniform(
    bit_generator: np.random.BitGenerator, bounds: Sequence[float], arrays: Sequence[Array]
) -> None:
    """Draw each array as RandomState(bit_generator).uniform(-bound, bound, array.shape).

    Parameters
    ----------
    bit_generator : numpy.random.BitGenerator
        Draws.
    bounds : sequence of float
        One for each array.
    arrays : sequence of ndarray
        Drawn in place, one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> drawn = np.empty(100)
    >>> reference.draw_uniform(np.random.MT19937(0), [0.5], [drawn])
    >>> bool(abs(drawn).max() <= 0.5)
    True
    """
    random_state = _drawing(bit_generator)
    for bound, array in zip(bounds, arrays, strict=True):
        array[...] = random_state.uniform(-bound, bound, array.shape)


class _Held:
    """A bit generator whose lock the caller of a kernel holds.

    RandomState would take it once more, which in NumPy 2.0 waits forever.
    """

    def __init__(self, bit_generator: np.random.BitGenerator):
        self.bit_generator = bit_generator  # as long as its state is drawn from
        self.capsule = bit_generator.capsule
        self.lock = contextlib.nullcontext()


def _drawing(bit_generator: np.random.BitGenerator) -> np.random.RandomState:
    return np.random.RandomState(_Held(bit_generator))  # type: ignore[arg-type]


def is_matrix(array: Any, type_number: int, n_rows: int, n_columns: int) -> bool:
    """Whether array is an ndarray (n_rows, n_columns) as kernels read it.

    type_number is its dtype's num.
    """
    return bool(
        type(array) is np.ndarray
        and array.dtype.num == type_number
        and array.shape == (n_rows, n_columns)
        and array.flags.c_contiguous
        and array.flags.aligned
        and array.dtype.isnative
    )
