"""fastnn: `Network.fit`, or the tutorial's own `train` with epochs=n."""

import numpy as np

import fastnn
from fastnn import Network, tutorial

VERSION = fastnn.__version__
LR = 0.05


class Adapter:
    def __init__(self, task):
        self.task = task

    def reset(self, layers):
        task = self.task
        if task.loss == "tutorial":
            self.net = [tutorial.neural_layer(*W.shape, tutorial.sigm) for W, _ in layers]
            for layer, (W, b) in zip(self.net, layers, strict=True):
                layer.W, layer.b = W, b
            return
        self.net = Network(task.units, "relu", loss=task.loss, dtype=task.dtype, random_state=0)
        self.net.coefs_ = [W for W, _ in layers]
        self.net.intercepts_ = [b for _, b in layers]

    def train(self, n, shuffle):
        task = self.task
        if task.loss == "tutorial":
            tutorial.train(self.net, task.X, task.targets, tutorial.l2_cost, lr=LR, epochs=n)
        else:
            self.net.fit(
                task.X, task.targets, batch_size=task.batch, max_iter=n, shuffle=shuffle,
                learning_rate_init=1e-3,
            )  # fmt: skip

    def layers(self):
        if self.task.loss == "tutorial":
            return [(layer.W, layer.b) for layer in self.net]
        pairs = zip(self.net.coefs_, self.net.intercepts_, strict=True)
        return [(np.array(W), np.array(b)) for W, b in pairs]

    def threads(self):
        return fastnn.get_num_threads()
