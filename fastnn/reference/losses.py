"""Losses of outputs a, weighted sums z and targets y.

Each function returns its terms, whose sum is the loss, and a derivative: by z for losses that need
one output activation, else by a. Some take a number for each output.
"""

from collections.abc import Callable

import numpy as np

from fastnn.catalog.losses import BY_CODE, CODES
from fastnn.reference.activations import slope_or_value, times_derivative
from fastnn.reference.layout import Array, quiet
from fastnn.reference.rows import weights_of

Terms = tuple[Array, Array]


def product(factor: Array, x: Array) -> Array:
    """factor x, where 0 times infinity is 0."""
    return np.where(factor == 0, 0, factor * x)


def squared_error(a: Array, z: Array, y: Array) -> Terms:
    """1/2 sum_j (a_j - y_j)^2. Squares overflow in a's own type, as they do in the kernels."""
    return np.square(a - y) / 2, a - y


def mean_squared_error(a: Array, z: Array, y: Array) -> Terms:
    """1/(2 n_outputs) sum_j (a_j - y_j)^2, with the derivative of squared_error, which is how
    scikit-learn reports one and descends by the other."""
    return np.square(a - y) / (2 * a.shape[1]), a - y


def binary_log_loss(a: Array, z: Array, y: Array) -> Terms:
    """sum_j log(1 + e^z_j) - y_j z_j = log(1 + e^-|z_j|) + |z_j| times 1 - y_j or y_j."""
    size, factor = np.abs(z.astype(np.float64)), np.where(z > 0, 1 - y, y)
    return np.log1p(np.exp(-size)) + product(factor, size), a - y


def log_loss(a: Array, z: Array, y: Array) -> Terms:
    """sum_j y_j (log sum_i e^z_i - z_j), with all z_j shifted by the largest."""
    z = z - z.max(axis=1, keepdims=True).astype(np.float64)
    return product(y, np.log(np.sum(np.exp(z), axis=1, keepdims=True)) - z), a - y


def poisson(a: Array, z: Array, y: Array) -> Terms:
    """sum_j y_j (log y_j - z_j) - y_j + a_j, half the deviance; NaN for y < 0."""
    small_z = np.minimum(z.astype(np.float64), 1e4)  # a is infinite long before
    return product(y, np.log(y.astype(np.float64)) - small_z) + (a - y), a - y


def poisson_of_values(a: Array, z: Array, y: Array) -> Terms:
    """sum_j y_j log(y_j / a_j) - y_j + a_j, which is infinite for a = 0 and y > 0."""
    return product(y, np.log(y / a)) + (a - y), a - y


def clipped(a: Array) -> Array:
    """Probabilities clipped to [eps, 1 - eps] of their type, as scikit-learn does."""
    eps = np.finfo(a.dtype).eps
    return np.clip(a, eps, 1 - eps).astype(np.float64)


def clipped_binary_log_loss(a: Array, z: Array, y: Array) -> Terms:
    """-sum_j y_j log a_j + (1 - y_j) log(1 - a_j)."""
    p = clipped(a)
    terms = -product(y, np.log(p)) - product(1 - y, np.log1p(-p))
    return terms, a - y


def clipped_log_loss(a: Array, z: Array, y: Array) -> Terms:
    """-sum_j y_j log a_j."""
    return -product(y, np.log(clipped(a))), a - y


def absolute_error(a: Array, z: Array, y: Array) -> Terms:
    """sum_j |a_j - y_j|; at the kink the derivative is 0."""
    return np.abs(a - y), np.sign(a - y)


def huber(a: Array, z: Array, y: Array, delta: Array) -> Terms:
    """sum_j 1/2 d_j^2 where |d_j| = |a_j - y_j| <= delta, else delta (|d_j| - delta / 2)."""
    d = a - y
    size = np.abs(d)
    terms = np.where(size <= delta, np.square(d) / 2, delta * (size - delta / 2))
    return terms, np.clip(d, -delta, delta)


def quantile(a: Array, z: Array, y: Array, level: Array) -> Terms:
    """sum_j level (y_j - a_j) for a_j < y_j, (1 - level) (a_j - y_j) for a_j > y_j."""
    d = a - y
    slopes = np.where(d > 0, 1 - level, np.where(d < 0, -level, d))
    return np.where(d > 0, (1 - level) * d, -level * d), slopes


def log_cosh(a: Array, z: Array, y: Array) -> Terms:
    """sum_j log cosh(a_j - y_j) = log(1 + 2 sinh^2(d/2)), or |d| + log(1 + e^-2|d|) - log 2."""
    d = a - y
    size = np.abs(d.astype(np.float64))
    near = np.log1p(2 * np.square(np.sinh(np.minimum(size, 1) / 2)))
    far = size + (np.log1p(np.exp(-2 * size)) - np.log(2))
    return np.where(size < 1, near, far), np.tanh(d)


def gamma(a: Array, z: Array, y: Array) -> Terms:
    """sum_j y_j / a_j - 1 - log(y_j / a_j), half the deviance; NaN for y < 0.

    y_j / a_j overflows in a's own type, as it does in the kernels.
    """
    logs = np.log(y.astype(np.float64)) - z
    ratio = np.exp(logs)
    terms = np.where(ratio > np.finfo(a.dtype).max, np.inf, ratio - 1 - logs)
    return terms, (1 - ratio).astype(a.dtype)


def given(a: Array, z: Array, y: Array) -> Terms:
    """0: y is the derivative by a of a loss that somebody else computes."""
    return np.zeros_like(a), y


FUNCTIONS: dict[str, Callable[..., Terms]] = {
    "squared_error": squared_error,
    "binary_log_loss": binary_log_loss,
    "log_loss": log_loss,
    "poisson": poisson,
    "mean_squared_error": mean_squared_error,
    "clipped_binary_log_loss": clipped_binary_log_loss,
    "clipped_log_loss": clipped_log_loss,
    "poisson_of_values": poisson_of_values,
    "absolute_error": absolute_error,
    "huber": huber,
    "quantile": quantile,
    "log_cosh": log_cosh,
    "gamma": gamma,
    "given": given,
}
BY_CODES = {CODES[name]: function for name, function in FUNCTIONS.items()}


@quiet
def loss_delta(
    a: Array, z: Array, y: Array, loss: int, activation: int, numbers: Array | None = None
) -> tuple[float, Array]:
    """The loss summed over the rows, and its derivative by the last layer's z.

    Both are multiplied by the rows' weights, if y has a column of them after the targets. numbers
    are the loss's, one for each output, or none.
    """
    weights, y = weights_of(y, a.shape[1]), y[:, : a.shape[1]]
    more = () if numbers is None or not len(numbers) else (numbers.astype(a.dtype),)
    terms, delta = BY_CODES[loss](a, z, y, *more)
    if BY_CODE[loss].out_activation is None:
        delta = times_derivative(delta, slope_or_value(z, a, activation), activation)
    return float(np.sum(weights * terms, dtype=np.float64)), weights * delta
