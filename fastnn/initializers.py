"""First parameters: a function of a random state, the coefs and intercepts to fill, and gains."""

import functools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels

Initializer = Callable[
    [np.random.RandomState, Sequence[NDArray[Any]], Sequence[NDArray[Any]], Sequence[float]], None
]


def glorot(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    gains: Sequence[float],
) -> None:
    """Uniform within sqrt(gain / (fan_in + fan_out)), coefs then intercepts of each layer.

    Glorot and Bengio (2010), in scikit-learn's order. gains has the gain of each hidden layer's
    activation; the output layer takes the one before it, as scikit-learn does.
    """
    bounds: list[float] = []
    arrays: list[NDArray[Any]] = []
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        bound = math.sqrt(gains[min(i, len(gains) - 1)] / sum(coef.shape))
        bounds += bound, bound
        arrays += coef, intercept
    _draw_uniform(random_state, bounds, arrays)


def uniform(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    gains: Sequence[float],
) -> None:
    """Uniform in [-1, 1), intercepts then coefs of each layer, as the tutorial draws them."""
    arrays = [a for pair in zip(intercepts, coefs, strict=True) for a in pair]
    _draw_uniform(random_state, [1.0] * len(arrays), arrays)


def _draw_uniform(
    random_state: np.random.RandomState, bounds: list[float], arrays: list[NDArray[Any]]
) -> None:
    """Each array[...] = random_state.uniform(-bound, bound, array.shape), bit for bit."""
    if type(random_state) is np.random.RandomState and _rounds_as_numpy(kernels.build):
        bit_generator = random_state._bit_generator
        with bit_generator.lock:
            kernels.build.draw_uniform(bit_generator, bounds, arrays)
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


INITIALIZERS: dict[str, Initializer] = {"glorot": glorot, "uniform": uniform}
