"""First parameters: functions of a random state, coefs and intercepts to fill, and activations.

The activations are those of the layers, except that the output layer has the one before it, as in
scikit-learn: its inputs come from there. The rows of fastnn/catalog/initializers.py say what is
drawn, and in which order.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, threads
from fastnn.catalog.activations import BY_NAME, Activation
from fastnn.catalog.initializers import CHOICES
from fastnn.data import checks

Initializer = Callable[
    [
        np.random.RandomState,
        Sequence[NDArray[Any]],
        Sequence[NDArray[Any]],
        Sequence[Activation],
    ],
    None,
]


def start_of(
    init: str, last_layer_scale: float
) -> Callable[
    [np.random.RandomState, Sequence[NDArray[Any]], Sequence[NDArray[Any]], Sequence[str]], None
]:
    """What draws the parameters of layers by the names of their activations.

    The last layer's are multiplied by last_layer_scale afterwards.

    Raises
    ------
    TypeError, ValueError
        For an unknown init, or a scale that is no number from 0 to a million.
    """
    name = checks.choice("init", init, CHOICES)
    scale = checks.real_number("last_layer_scale", last_layer_scale, 0.0, 1e6, closed="both")

    def draw(
        random_state: np.random.RandomState,
        coefs: Sequence[NDArray[Any]],
        intercepts: Sequence[NDArray[Any]],
        names: Sequence[str],
    ) -> None:
        for initializer, layers, rows in _shares(name, tuple(names)):
            initializer(random_state, coefs[layers], intercepts[layers], rows)
        if scale != 1:
            for array in (coefs[-1], intercepts[-1]):
                array *= scale
                array += 0.0  # no -0.0

    return draw


@functools.lru_cache
def _shares(
    init: str, names: tuple[str, ...]
) -> list[tuple[Initializer, slice, list[Activation]]]:
    """Who draws which layers, of these activations."""
    rows = [BY_NAME[name] for name in names]
    if len(rows) > 1:  # the output's own activation does not count
        rows[-1] = rows[-2]
    if init != "auto":
        return [(INITIALIZERS[init], slice(None), rows)]
    shares, start = [], 0
    for name, some in itertools.groupby(rows, lambda row: row.init):
        layers = slice(start, start := start + len(list(some)))
        shares.append((INITIALIZERS[name], layers, rows[layers]))
    return shares


def glorot(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    rows: Sequence[Activation],
) -> None:
    """Uniform within sqrt(gain / (fan_in + fan_out)), coefs then intercepts of each layer.

    Glorot and Bengio (2010), in scikit-learn's order.
    """
    bounds: list[float] = []
    arrays: list[NDArray[Any]] = []
    for coef, intercept, row in zip(coefs, intercepts, rows, strict=True):
        bound = math.sqrt(row.gain / sum(coef.shape))
        bounds += bound, bound
        arrays += coef, intercept
    _draw_uniform(random_state, bounds, arrays)


def he(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    rows: Sequence[Activation],
) -> None:
    """Normal with variance 2 / fan_in, intercepts 0.

    He et al. (2015), equation 10: for relu it keeps the second moment from layer to layer.
    Equation 15 has 2 / (1 + slope^2) for leaky_relu, 0.01% less.
    """
    _draw_normal(random_state, coefs, intercepts, 2.0)


def lecun(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    rows: Sequence[Activation],
) -> None:
    """Normal with variance 1 / fan_in, intercepts 0.

    LeCun et al. (1998), equation 16; selu normalises itself from there (Klambauer et al., 2017).
    """
    _draw_normal(random_state, coefs, intercepts, 1.0)


def orthogonal(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    rows: Sequence[Activation],
) -> None:
    """Orthonormal rows or columns, whichever are fewer, times a gain; intercepts 0.

    Saxe et al. (2014). They are Q of the QR decomposition of standard normal draws, with the
    longer side first, and the signs of R's diagonal: otherwise not all orthogonal matrices would
    be equally likely (Mezzadri, Notices of the AMS 54, 2007).
    """
    for coef, intercept, row in zip(coefs, intercepts, rows, strict=True):
        short, long = sorted(coef.shape)
        q, r = np.linalg.qr(random_state.standard_normal((long, short)))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0) * math.sqrt(2.0 if row.resembles_relu else 1)
        coef[...] = q if coef.shape == q.shape else q.T
        intercept[...] = 0


def uniform(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    rows: Sequence[Activation],
) -> None:
    """Uniform in [-1, 1), intercepts then coefs of each layer, as the tutorial draws them."""
    arrays = [a for pair in zip(intercepts, coefs, strict=True) for a in pair]
    _draw_uniform(random_state, [1.0] * len(arrays), arrays)


def _draw_normal(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    variance: float,
) -> None:
    for coef, intercept in zip(coefs, intercepts, strict=True):
        draws = random_state.standard_normal(coef.shape)
        coef[...] = draws * math.sqrt(variance / len(coef))
        intercept[...] = 0


def _draw_uniform(
    random_state: np.random.RandomState, bounds: list[float], arrays: list[NDArray[Any]]
) -> None:
    """Each array[...] = random_state.uniform(-bound, bound, array.shape), bit for bit."""
    if type(random_state) is np.random.RandomState and _rounds_as_numpy(kernels.build):
        threads.draw(kernels.build.draw_uniform, random_state._bit_generator, bounds, arrays)
        return
    for bound, array in zip(bounds, arrays, strict=True):
        array[...] = random_state.uniform(-bound, bound, array.shape)


@functools.cache
def _rounds_as_numpy(build: ModuleType) -> bool:
    """Whether draws of this build have the bits of NumPy's.

    A compiler may have fused NumPy's product and sum, as some do on arm64.
    """
    ours = np.empty(200)
    build.draw_uniform(np.random.MT19937(0), [0.1], [ours])
    theirs = np.random.RandomState(np.random.MT19937(0)).uniform(-0.1, 0.1, len(ours))
    return bool((ours == theirs).all())


# "auto" is each layer's own, one after the other
INITIALIZERS: dict[str, Initializer] = {
    "glorot": glorot,
    "he": he,
    "lecun": lecun,
    "orthogonal": orthogonal,
    "uniform": uniform,
}
