"""Dropout and input noise: numbers that are functions of seed, step, layer, unit and row.

kernels/simd/noise.h says where the arithmetic is from.
"""

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.layout import Array, quiet

Words = NDArray[np.uint64]


def keys_under(above: Words, n: Words) -> Words:
    """The n-th keys of 64 bits under another."""
    with np.errstate(over="ignore"):
        z = above + (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Words = z ^ (z >> np.uint64(31))
        return mixed


def layer_key(seed: int, step: int, layer: int) -> Words:
    """The key of a layer, 0 the inputs, in a step."""
    key = np.zeros(1, np.uint64)
    for n in (seed, step, layer):
        key = keys_under(key, np.array([n], np.int64).view(np.uint64))
    return key


def fractions(key: Words, n_rows: int, columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers k / 2^23 of [0, 1), (n_rows, n_columns)."""
    rows = keys_under(key, np.arange(n_rows, dtype=np.uint64)).astype(np.uint32)[:, None]
    units = keys_under(key, (~columns).view(np.uint64))
    first, second = units.astype(np.uint32), (units >> np.uint64(32)).astype(np.uint32)
    with np.errstate(over="ignore"):
        h = (rows ^ first) * np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h = (h + second) * np.uint32(0x846CA68B)
    return (h >> np.uint32(9)) / 2.0**23


def dropout_factors(
    rates: Array, layer_units: Array, n_rows: int, seed: int, step: int
) -> list[Array | None]:
    """What each layer's activations (n_rows, units) are multiplied by: 0 for a share of them.

    The others grow by 1 / (1 - rate): inverted dropout (Srivastava et al., 2014).
    """
    factors: list[Array | None] = []
    for i, rate in enumerate(rates.tolist()):
        u = fractions(layer_key(seed, step, i + 1), n_rows, np.arange(layer_units[i + 1]))
        factors.append(np.where(u < rate, 0, 1 / (1 - rate)) if rate else None)
    return factors


@quiet
def noisy(x: Array, size: float, seed: int, step: int) -> Array:
    """x + size times normal numbers (Box and Muller, 1958)."""
    if not size:
        return x
    key, columns = layer_key(seed, step, 0), np.arange(x.shape[1])
    u = fractions(key, len(x), 2 * columns) + 0.5 / 2**23
    turns = fractions(key, len(x), 2 * columns + 1)
    normal = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * turns)
    added: Array = (size * normal).astype(x.dtype)
    return x + added
