"""A network as a newcomer writes it in NumPy: what people have before they install fastnn.

Same arithmetic as the tutorial ("Red Neuronal", Reinders Sánchez and Mahou, 2020): plain gradient
descent on all samples, coefs by the sum of their gradients, intercepts by the mean, 1 / (1 + e^-x)
by np.e ** -x, a new array for every result.
"""

import itertools

import numpy as np


class Layer:
    """Coefs W (k, n) and intercepts b (1, n), uniform in [-1, 1)."""

    def __init__(self, k, n):
        self.b = 2 * np.random.rand(1, n) - 1
        self.W = 2 * np.random.rand(k, n) - 1


def network(units):
    """A list of layers."""
    return [Layer(k, n) for k, n in itertools.pairwise(units)]


def sigmoid(x):
    return 1 / (1 + np.e ** (-x))


def sigmoid_derivative(a):
    return a * (1 - a)


def forward(layers, X):
    """X and every layer's outputs."""
    inputs = [X]
    for layer in layers:
        inputs.append(sigmoid(inputs[-1] @ layer.W + layer.b))
    return inputs


def predict(layers, X):
    """The last layer's outputs."""
    return forward(layers, X)[-1]


def step(layers, X, Y, lr):
    """One step of gradient descent; returns the outputs before it."""
    inputs = forward(layers, X)
    delta = (inputs[-1] - Y) * sigmoid_derivative(inputs[-1])
    for i in range(len(layers) - 1, -1, -1):
        layer, W = layers[i], layers[i].W
        layer.W = layer.W - lr * (inputs[i].T @ delta)
        layer.b = layer.b - lr * np.mean(delta, axis=0, keepdims=True)
        if i > 0:
            delta = (delta @ W.T) * sigmoid_derivative(inputs[i])
    return inputs[-1]
