"""Activations and their derivatives.

A derivative is a function of the activation's value a, or of the weighted sum z where the
catalog's row has stores_slope.
"""

import math

import numpy as np

from fastnn.catalog.activations import BY_CODE, CODES
from fastnn.reference.layout import Array, quiet

# Where z is clamped in a product with a factor that has become 0, or 1, before
FAR = 1e4
SELU_SCALE, SELU_LOW = 1.0507009873554805, 1.7580993408473768
_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # NumPy has none


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
    out[...] = np.maximum(z, -FAR) / (1 + np.exp(-z))


@quiet
def silu_slope(z: Array, out: Array) -> None:
    """s(z) + z s(z) s(-z), which is exact for large z where 1 - s(z) is not."""
    z = np.clip(z, -FAR, FAR)
    e = np.exp(-np.abs(z))
    out[...] = np.where(z < 0, e, 1) / (1 + e) + z * e / (1 + e) ** 2


def elu(z: Array, out: Array) -> None:
    """z where z > 0, else e^z - 1 (Clevert et al., 2016)."""
    out[...] = np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_derivative(a: Array, out: Array) -> None:
    """1 where a > 0, else a + 1, with a = elu z."""
    out[...] = np.minimum(a, 0) + 1


def leaky_relu(z: Array, out: Array) -> None:
    """z where z > 0, else z / 100 (Maas et al., 2013)."""
    out[...] = np.where(z > 0, z, z * out.dtype.type(0.01))


def leaky_relu_derivative(a: Array, out: Array) -> None:
    """1 where a > 0, else 1 / 100, with a = leaky_relu z."""
    out[...] = np.where(a > 0, 1, 0.01)


@quiet
def selu(z: Array, out: Array) -> None:
    """1.0507 z where z > 0, else 1.7581 (e^z - 1) (Klambauer et al., 2017)."""
    out[...] = np.where(z > 0, SELU_SCALE * z, SELU_LOW * np.expm1(np.minimum(z, 0)))


def selu_derivative(a: Array, out: Array) -> None:
    """1.0507 where a > 0, else a + 1.7581, with a = selu z."""
    out[...] = np.where(a > 0, SELU_SCALE, a + SELU_LOW)


def normal(z: Array) -> Array:
    """Phi(z), the standard normal distribution."""
    phi: Array = 0.5 * _erfc(-z / math.sqrt(2)).astype(z.dtype)
    return phi


@quiet
def gelu(z: Array, out: Array) -> None:
    """z Phi(z), with Phi the standard normal distribution (Hendrycks and Gimpel, 2016)."""
    out[...] = np.maximum(z, -FAR) * normal(z)


@quiet
def gelu_slope(z: Array, out: Array) -> None:
    """Phi(z) + z e^(-z^2 / 2) / sqrt(2 pi)."""
    z = np.clip(z, -FAR, FAR)
    out[...] = normal(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@quiet
def gelu_tanh(z: Array, out: Array) -> None:
    """z s(u) with s the sigmoid and u = 2 sqrt(2 / pi) (z + 0.044715 z^3).

    That is z (1 + tanh(u / 2)) / 2 (Hendrycks and Gimpel, 2016) without its cancellation.
    """
    x = np.clip(z, -FAR, FAR)
    u = math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)
    out[...] = np.maximum(z, -FAR) / (1 + np.exp(-u))


@quiet
def gelu_tanh_slope(z: Array, out: Array) -> None:
    """s(u) + z s(u) s(-u) u'."""
    z = np.clip(z, -FAR, FAR)
    u = math.sqrt(8 / math.pi) * (z + 0.044715 * z**3)
    e = np.exp(-np.abs(u))
    slope = z * math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * z * z)
    out[...] = np.where(u < 0, e, 1) / (1 + e) + slope * e / (1 + e) ** 2


@quiet
def mish(z: Array, out: Array) -> None:
    """z tanh(log(1 + e^z)) (Misra, 2020)."""
    out[...] = np.maximum(z, -FAR) * np.tanh(np.logaddexp(0, z))


@quiet
def mish_slope(z: Array, out: Array) -> None:
    """tanh p + z s(z) / cosh^2 p, with p = log(1 + e^z) and s the sigmoid."""
    z = np.clip(z, -FAR, FAR)
    p = np.logaddexp(0, z)
    e = np.exp(-2 * p)
    out[...] = np.tanh(p) + z / (1 + np.exp(-z)) * 4 * e / (1 + e) ** 2


@quiet
def softplus(z: Array, out: Array) -> None:
    """log(1 + e^z) (Dugas et al., 2001)."""
    np.logaddexp(0, z, out=out)


softplus_slope = sigmoid  # by z


@quiet
def softmax(z: Array, workspace: Array | None, out: Array) -> None:
    """Compute p_j = e^z_j / sum_i e^z_i, shifted by the largest z of the row to avoid overflow.

    Parameters
    ----------
    z : ndarray, (n, n_classes)
        Weighted sums.
    workspace : None
        Not used: kernels have memory there.
    out : ndarray, (n, n_classes)
        Takes the probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> out = np.empty((1, 3))
    >>> reference.softmax(np.log([[1.0, 2.0, 5.0]]), None, out)
    >>> out.round(6)
    array([[0.125, 0.25 , 0.625]])
    """
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
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "selu": (selu, selu_derivative),
    "gelu": (gelu, gelu_slope),
    "gelu_tanh": (gelu_tanh, gelu_tanh_slope),
    "mish": (mish, mish_slope),
    "softplus": (softplus, softplus_slope),
}
BY_CODES = {CODES[name]: functions for name, functions in FUNCTIONS.items()}
SOFTMAX = CODES["softmax"]


def activate(x: Array, activation: int, out: Array) -> None:
    """Compute f(x) of an elementwise activation.

    Parameters
    ----------
    x : ndarray
        Weighted sums.
    activation : int
        Its code; an unknown one is a KeyError.
    out : ndarray
        Takes the values.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> codes, out = reference.enumerations()["activations"], np.empty(3)
    >>> reference.activate(np.array([-1.0, 0.0, 2.0]), codes["relu"], out)
    >>> out
    array([0., 0., 2.])
    """
    BY_CODES[activation][0](x, out)


def derivative(x: Array, activation: int, out: Array) -> None:
    """Compute f' of an elementwise activation.

    Parameters
    ----------
    x : ndarray
        Its values, or the weighted sums where the slope is stored.
    activation : int
        Its code; an unknown one is a KeyError.
    out : ndarray
        Takes the derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> codes, out = reference.enumerations()["activations"], np.empty(2)
    >>> reference.derivative(np.array([0.5, 1.0]), codes["sigmoid"], out)  # a (1 - a)
    >>> out
    array([0.25, 0.  ])
    """
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
