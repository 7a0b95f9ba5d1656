"""ReLU nets in plain NumPy, as `calls.py` compares them with: forward, loss, gradients, Adam."""

import itertools

import numpy as np


def draw(random_state, units, dtype):
    """[(W, b), ...] as scikit-learn and Network draw them for ReLU, from a RandomState's seed."""
    rng, layers = np.random.RandomState(random_state), []
    for k, n in itertools.pairwise(units):
        bound = np.sqrt(6 / (k + n))
        W = rng.uniform(-bound, bound, (k, n))
        layers.append((W.astype(dtype), rng.uniform(-bound, bound, n).astype(dtype)))
    return layers


def forward(layers, X, loss):
    """The activations of every layer, X first; the output is softmax for log_loss."""
    a = [X]
    for W, b in layers[:-1]:
        a.append(np.maximum(a[-1] @ W + b, 0))
    W, b = layers[-1]
    z = a[-1] @ W + b
    if loss == "log_loss":
        z = np.exp(z - z.max(axis=1, keepdims=True))
        z /= z.sum(axis=1, keepdims=True)
    return [*a, z]


def mean_loss(out, y, loss):
    if loss == "log_loss":
        return float(-np.sum(y * np.log(np.maximum(out, np.finfo(out.dtype).tiny))) / len(y))
    return float(0.5 * np.sum((out - y) ** 2) / len(y))


def loss_and_grad(layers, X, y, loss):
    """The mean loss, and the gradients [(dW, db), ...]."""
    a = forward(layers, X, loss)
    delta, grads = (a[-1] - y) / len(X), []
    for i in range(len(layers) - 1, -1, -1):
        grads.append((a[i].T @ delta, delta.sum(axis=0)))
        if i > 0:
            delta = (delta @ layers[i][0].T) * (a[i] > 0)
    return mean_loss(a[-1], y, loss), grads[::-1]


class Adam:
    """A net in training, by scikit-learn's formulas."""

    def __init__(self, layers, loss):
        self.params = [p.copy() for layer in layers for p in layer]
        self.m, self.v = ([np.zeros_like(p) for p in self.params] for _ in range(2))
        self.loss, self.t = loss, 0

    def layers(self):
        return list(zip(self.params[::2], self.params[1::2], strict=True))

    def epoch(self, X, y, batch):
        for start in range(0, len(X), batch):
            rows = slice(start, start + batch)
            grads = loss_and_grad(self.layers(), X[rows], y[rows], self.loss)[1]
            self.t += 1
            rate = 1e-3 * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
            for p, m, v, g in zip(
                self.params, self.m, self.v, [g for pair in grads for g in pair], strict=True
            ):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= rate * m / (np.sqrt(v) + 1e-8)
