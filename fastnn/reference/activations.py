"""Activations and their derivatives.

A derivative is a function of the activation's value a, or of the weighted sum z where the
catalog's row has stores_slope.
"""

import numpy as np

from fastnn.catalog.activations import BY_CODE, CODES
from fastnn.reference.layout import Array, quiet


def identity(z: Array, out: Array) -> None:
    """z."""
    out[...] = z


def identity_derivative(a: Array, out: Array) -> None:
    """1."""
    out[...] = 1


@quiet
def exp(z: Array, out: Array) -> None:
    """e^z; 0 below the smallest normal number, infinity above the largest."""
    np.exp(z, out=out)
    out[out < np.finfo(out.dtype).tiny] = 0


def exp_derivative(a: Array, out: Array) -> None:
    """a, with a = e^z."""
    out[...] = a


@quiet
def sigmoid(z: Array, out: Array) -> None:
    """s(z) = 1 / (1 + e^-z)."""
    out[...] = 1 / (1 + np.exp(-z))


def sigmoid_derivative(a: Array, out: Array) -> None:
    """s'(z) = a (1 - a), with a = s(z)."""
    out[...] = a * (1 - a)


def tanh(z: Array, out: Array) -> None:
    """tanh z."""
    np.tanh(z, out=out)


def tanh_derivative(a: Array, out: Array) -> None:
    """tanh' z = 1 - a^2, with a = tanh z."""
    out[...] = 1 - a * a


def relu(z: Array, out: Array) -> None:
    """max(0, z)."""
    np.maximum(z, 0, out=out)


def relu_derivative(a: Array, out: Array) -> None:
    """1 where a > 0, else 0, with a = relu z."""
    out[...] = a > 0


@quiet
def silu(z: Array, out: Array) -> None:
    """z s(z) with s the sigmoid (Elfwing et al., 2018); 0 at -infinity, its limit."""
    out[...] = np.maximum(z, -1e4) / (1 + np.exp(-z))


@quiet
def silu_slope(z: Array, out: Array) -> None:
    """s(z) + z s(z) s(-z), which is exact for large z where 1 - s(z) is not."""
    z = np.clip(z, -1e4, 1e4)
    e = np.exp(-np.abs(z))
    out[...] = np.where(z < 0, e, 1) / (1 + e) + z * e / (1 + e) ** 2


def elu(z: Array, out: Array) -> None:
    """z where z > 0, else e^z - 1 (Clevert et al., 2016)."""
    out[...] = np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_derivative(a: Array, out: Array) -> None:
    """1 where a > 0, else a + 1, with a = elu z."""
    out[...] = np.minimum(a, 0) + 1


@quiet
def softmax(z: Array, workspace: Array | None, out: Array) -> None:
    """p_j = e^z_j / sum_i e^z_i, shifted by the largest z of the row to avoid overflow."""
    exp(z - z.max(axis=1, keepdims=True), out)
    out /= out.sum(axis=1, keepdims=True)


# the elementwise ones: name -> function, derivative
FUNCTIONS = {
    "identity": (identity, identity_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "tanh": (tanh, tanh_derivative),
    "relu": (relu, relu_derivative),
    "exp": (exp, exp_derivative),
    "silu": (silu, silu_slope),
    "elu": (elu, elu_derivative),
}
BY_CODES = {CODES[name]: functions for name, functions in FUNCTIONS.items()}
SOFTMAX = CODES["softmax"]


def activate(x: Array, activation: int, out: Array) -> None:
    """f(x) of an elementwise activation. An unknown code is a KeyError."""
    BY_CODES[activation][0](x, out)


def derivative(x: Array, activation: int, out: Array) -> None:
    """f' of an elementwise activation; x is its value, or z where the slope is stored."""
    BY_CODES[activation][1](x, out)


def slope_or_value(z: Array, a: Array, activation: int) -> Array:
    """What propagate_delta takes of a layer: its slopes if those are stored, else its values."""
    if not BY_CODE[activation].stores_slope:
        return a
    slope = np.empty_like(z)
    derivative(z, activation, slope)
    return slope


@quiet
def times_derivative(delta: Array, kept: Array, activation: int) -> Array:
    """delta f'(z), with `kept` from slope_or_value."""
    factor = kept
    if activation == SOFTMAX:
        delta = delta - np.sum(delta * kept, axis=1, keepdims=True)
    elif not BY_CODE[activation].stores_slope:
        factor = np.empty_like(kept)
        derivative(kept, activation, factor)
    return delta * factor
