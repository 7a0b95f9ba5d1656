"""What models are in ONNX's operators: activations, a row each, dense layers, classes, quantiles.

onnxruntime's CPU provider has fewer operators for float64 than for float32, and some of its
kernels are approximations. What it has for both, within 1e-12 and 1e-6 of the oracle, is taken as
it is; everything else is composed of that, in such a way that no number overflows. Operators that
it has for float32 alone are taken there if they are right everywhere: one pass over memory each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.files.onnx_graph import Graph, Value
from fastnn.reference.activations import FAR, SELU_LOW, SELU_SCALE

INT64 = 7  # onnx.TensorProto.INT64, without importing onnx

# Phi(-a) exp(a^2 / 2) = P(a) / Q(a), with Phi the standard normal distribution: lowest powers
# first, fitted for a in [0, 8.5] in 60 digits (linearised least squares, reweighted towards the
# largest relative error, which is 9e-18, or 7e-17 in doubles). All are positive: nothing cancels.
# Beyond 8.5, where z Phi(z) is below 1e-15, the error rises to 1e-9 at 40.
PHI_P = (
    0.5, 0.6612651197304869, 0.43622483739346761, 0.18069299197710833, 0.050713985249840302,
    0.0098177986917809487, 0.0012793056854485985, 0.00010294257214451705, 3.9500104930028498e-6,
)  # fmt: skip
PHI_Q = (
    1.0, 2.1204148002638409, 2.0642959064152852, 1.2142099367480526, 0.47702812326696568,
    0.13030773523204324, 0.024867627596022707, 0.0032166443507515531, 0.00025803877832280541,
    9.9012077939148819e-6,
)  # fmt: skip


def polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """By Horner's rule; the lowest power comes first."""
    *rest, before, highest = coefficients
    value = x * highest + before
    for c in reversed(rest):
        value = value * x + c
    return value


# ---- activations --------------------------------------------------------------------------------


def silu(z: Value) -> Value:
    """Where e^-z is infinite, the quotient is 0, its limit."""
    return z.max(-FAR) / ((-z).exp() + 1)


def elu(z: Value) -> Value:
    """z where z > 0, else e^z - 1."""
    if z.is_double:
        return (z > 0).choose(z, z.min(0).exp() - 1)
    return z.apply("Elu", alpha=1.0)


def leaky_relu(z: Value) -> Value:
    """ONNX has the slope in float32."""
    if z.is_double:
        return z.max(z * 0.01)
    return z.apply("LeakyRelu", alpha=0.01)


def selu(z: Value) -> Value:
    """1.0507 z where z > 0, else 1.7581 (e^z - 1); ONNX has both numbers in float32."""
    if z.is_double:
        return (z > 0).choose(z * SELU_SCALE, (z.min(0).exp() - 1) * SELU_LOW)
    return z.apply("Selu", alpha=SELU_LOW / SELU_SCALE, gamma=SELU_SCALE)


def gelu(z: Value) -> Value:
    """z Phi(z)."""
    if not z.is_double:
        return z.max(-FAR) * ((z * math.sqrt(0.5)).apply("Erf") + 1) * 0.5
    a = abs(z).min(40)  # e^(-40^2 / 2) is 0 already, and 40^9 is no large number
    tail = (a * a * -0.5).exp() * polynomial(PHI_P, a) / polynomial(PHI_Q, a)
    return z.max(-FAR) * (z > 0).choose(1 - tail, tail)


def gelu_tanh(z: Value) -> Value:
    """z s(u) with s the sigmoid and u = 2 sqrt(2 / pi) (z + 0.044715 z^3)."""
    x = z.max(-FAR).min(FAR)
    u = (x + x * x * x * 0.044715) * math.sqrt(8 / math.pi)
    return z.max(-FAR) / ((-u).exp() + 1)


def mish(z: Value) -> Value:
    """z tanh(log(1 + e^z)), the tanh as a quotient of polynomials in e = e^-|z|."""
    e = (-abs(z)).exp()
    positive = z > 0
    above = positive.choose(e * 2 + 1, e * (e + 2))
    return z.max(-FAR) * above / (above + positive.choose(e * e * 2, 2))


def softplus(z: Value) -> Value:
    """log(1 + e^z)."""
    if z.is_double:
        return z.max(0) + ((-abs(z)).exp() + 1).apply("Log")
    return z.apply("Softplus")


# name in the catalog -> the activation of a layer's weighted sums
ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: z.apply("Sigmoid"),
    "tanh": lambda z: z.apply("Tanh"),
    "relu": lambda z: z.apply("Relu"),
    "softmax": lambda z: z.apply("Softmax", axis=1),
    "exp": lambda z: z.exp(),
    "silu": silu,
    "elu": elu,
    "leaky_relu": leaky_relu,
    "selu": selu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "mish": mish,
    "softplus": softplus,
}


# ---- models -------------------------------------------------------------------------------------


def layers(
    x: Value,
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    activations: Sequence[str],
) -> Value:
    """Dense layers, one after the other."""
    graph: Graph = x.graph
    for i, (coef, intercept, name) in enumerate(zip(coefs, intercepts, activations, strict=True)):
        arrays = {f"coefs_{i}": coef, f"intercepts_{i}": intercept}
        names = [graph.constant(np.asarray(a, graph.dtype), key) for key, a in arrays.items()]
        x = ACTIVATIONS[name](x.apply("Gemm", *(Value(graph, one) for one in names)))
    return x


def sort_rows(y: Value, n_outputs: int) -> Value:
    """Each row sorted, as several quantiles are."""
    return y.apply("TopK", y.constant([n_outputs], np.int64), axis=1, largest=0, sorted=1)


def labels(outputs: Value, classes: NDArray[Any], n_outputs: int) -> tuple[Value, Value]:
    """The label of each row, (n,), and the probabilities of all classes, (n, n_classes).

    One output is the probability of the second class. A lone class is the label of every row, and
    has two columns of probabilities in scikit-learn's class, too.
    """
    probabilities = outputs
    if n_outputs == 1:
        probabilities = (1 - outputs).apply("Concat", outputs, axis=1)
    if len(classes) == 1:
        classes = np.repeat(classes, 2)
    # of one output, this is its comparison with 0.5: 1 - p is exact for p just above that
    best = probabilities.apply("ArgMax", axis=1, keepdims=0)
    return outputs.constant(classes, classes.dtype).apply("Gather", best, axis=0), probabilities


def several_labels(outputs: Value) -> tuple[Value, Value]:
    """Which labels each row has, (n, n_labels), and their probabilities."""
    return (outputs > 0.5).apply("Cast", to=INT64), outputs


def classes_for(classes: Any) -> NDArray[Any]:
    """Classes as ONNX can hold them: whole numbers as int64, or strings.

    Raises
    ------
    ValueError
        For others.
    """
    array = np.asarray(classes)
    if array.dtype.kind == "U" or all(isinstance(one, str) for one in array.tolist()):
        return array.astype(object)
    if array.dtype.kind in "iubf":
        with np.errstate(invalid="ignore"):
            whole = array.astype(np.int64)
        if array.dtype == bool or (whole == array).all():
            return whole
    raise ValueError(
        f"labels in ONNX are whole numbers below 2^63 or strings, got {array.dtype} "
        f"{array[:3].tolist()}"
    )
