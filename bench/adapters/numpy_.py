"""NumPy, as a newcomer writes it: `fastnn/cli/numpy_network.py`. Full batches only."""

import numpy as np
from threadpoolctl import threadpool_info

from fastnn.cli import numpy_network

VERSION = np.__version__
LR = 0.05


class Adapter:
    def __init__(self, task):
        self.task = task

    def reset(self, layers):
        self.net = numpy_network.network(self.task.units)
        for layer, (W, b) in zip(self.net, layers, strict=True):
            layer.W, layer.b = W, b.reshape(1, -1)

    def train(self, n, shuffle):
        for _ in range(n):
            numpy_network.step(self.net, self.task.X, self.task.targets, LR)

    def layers(self):
        return [(layer.W, layer.b.ravel()) for layer in self.net]

    def threads(self):
        return max((pool["num_threads"] for pool in threadpool_info()), default=None)
