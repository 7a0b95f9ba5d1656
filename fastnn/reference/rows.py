"""Rows of inputs and targets, and their order."""

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
    """Shuffle order as NumPy's RandomState does."""
    np.random.RandomState(bit_generator).shuffle(order)


def draw_uniform(
    bit_generator: np.random.BitGenerator, bounds: Sequence[float], arrays: Sequence[Array]
) -> None:
    """Each array of arrays[...] = RandomState(bit_generator).uniform(-bound, bound, array.shape).

    One after the other, with a bound for each.
    """
    for bound, array in zip(bounds, arrays, strict=True):
        array[...] = np.random.RandomState(bit_generator).uniform(-bound, bound, array.shape)


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
