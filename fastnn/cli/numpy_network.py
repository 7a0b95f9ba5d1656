"""A network as a newcomer writes it in NumPy: what `fastnn demo` and bench/ compare fastnn with.

Same arithmetic as the tutorial ("Red Neuronal", Reinders Sánchez and Mahou, 2020): gradient
descent on all samples, coefs by the sum of their gradients, intercepts by the mean,
1 / (1 + e^-z) by np.e ** -z, a new array for every result. The text is our own.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Activation(NamedTuple):
    """f(z), and its derivative from f(z), or from z."""

    f: Callable[[NDArray[Any]], NDArray[Any]]
    derivative: Callable[[NDArray[Any]], NDArray[Any]]
    from_z: bool = False


def sigmoid(z: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + e^-z)."""
    a: NDArray[Any] = 1 / (1 + np.e ** (-z))
    return a


def _silu_derivative(z: NDArray[Any]) -> NDArray[Any]:
    s = sigmoid(z)
    slope: NDArray[Any] = s * (1 + z * (1 - s))
    return slope


SIGMOID = Activation(sigmoid, lambda a: a * (1 - a))
ACTIVATIONS = {
    "identity": Activation(lambda z: z, np.ones_like),
    "sigmoid": SIGMOID,
    "tanh": Activation(np.tanh, lambda a: 1 - a * a),
    "relu": Activation(lambda z: np.maximum(0, z), lambda a: a > 0),
    "silu": Activation(lambda z: z * sigmoid(z), _silu_derivative, from_z=True),
}


class Layer:
    """Coefs W (k, n), intercepts b (1, n) and an activation."""

    def __init__(self, W: NDArray[Any], b: NDArray[Any], activation: Activation = SIGMOID) -> None:
        self.W, self.b, self.activation = W, b, activation


def network(units: Iterable[int]) -> list[Layer]:
    """Sigmoid layers, uniform in [-1, 1) from NumPy's global random state, b before W."""
    layers = []
    for k, n in itertools.pairwise(units):
        b = 2 * np.random.rand(1, n) - 1
        layers.append(Layer(2 * np.random.rand(k, n) - 1, b))
    return layers


def forward(layers: list[Layer], X: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """X and the outputs of each layer; what the derivative of each layer is computed from."""
    outputs, kept = [X], []
    for layer in layers:
        z = outputs[-1] @ layer.W + layer.b
        outputs.append(layer.activation.f(z))
        kept.append(z if layer.activation.from_z else outputs[-1])
    return outputs, kept


def predict(layers: list[Layer], X: NDArray[Any]) -> NDArray[Any]:
    """The last layer's outputs."""
    return forward(layers, X)[0][-1]


def step(layers: list[Layer], X: NDArray[Any], Y: NDArray[Any], lr: float) -> NDArray[Any]:
    """One step of gradient descent; returns the outputs before it."""
    outputs, kept = forward(layers, X)
    delta = (outputs[-1] - Y) * layers[-1].activation.derivative(kept[-1])
    for i in range(len(layers) - 1, -1, -1):
        layer, W = layers[i], layers[i].W
        layer.W = layer.W - lr * (outputs[i].T @ delta)
        layer.b = layer.b - lr * np.mean(delta, axis=0, keepdims=True)
        if i > 0:
            delta = (delta @ W.T) * layers[i - 1].activation.derivative(kept[i - 1])
    return outputs[-1]
