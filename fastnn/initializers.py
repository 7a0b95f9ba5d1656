"""First parameters: a function of a random state, the coefs and intercepts to fill, and gains."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        bound = np.sqrt(gains[min(i, len(gains) - 1)] / sum(coef.shape))
        coef[...] = random_state.uniform(-bound, bound, coef.shape)
        intercept[...] = random_state.uniform(-bound, bound, intercept.shape)


def uniform(
    random_state: np.random.RandomState,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    gains: Sequence[float],
) -> None:
    """Uniform in [-1, 1), intercepts then coefs of each layer, as the tutorial draws them."""
    for coef, intercept in zip(coefs, intercepts, strict=True):
        intercept[...] = random_state.rand(*intercept.shape) * 2 - 1
        coef[...] = random_state.rand(*coef.shape) * 2 - 1


INITIALIZERS: dict[str, Initializer] = {"glorot": glorot, "uniform": uniform}
