"""PyTorch, eager: nn.Sequential on tensors indexed by a permutation, fused Adam, no DataLoader."""

import itertools
import os

import torch
from torch import nn

VERSION = torch.__version__
LR = 0.05

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class Adapter:
    def __init__(self, task):
        self.task = task
        self.X = torch.from_numpy(task.X)
        kinds = {
            "log_loss": nn.CrossEntropyLoss, "binary_log_loss": nn.BCEWithLogitsLoss,
            "squared_error": lambda: lambda out, y: 0.5 * (out - y).square().sum() / len(y),
        }  # fmt: skip
        if task.loss == "log_loss":
            self.y = torch.from_numpy(task.labels)
        else:
            self.y = torch.from_numpy(task.targets)
        if task.loss == "tutorial":
            self.loss = lambda out, y: 0.5 * (out - y).square().sum()
        else:
            self.loss = kinds[task.loss]()

    def reset(self, layers):
        dtype = self.X.dtype
        hidden = nn.Sigmoid if self.task.loss == "tutorial" else nn.ReLU
        modules = []
        for k, n in itertools.pairwise(self.task.units):
            modules += [nn.Linear(k, n, dtype=dtype), hidden()]
        if self.task.loss != "tutorial":
            modules.pop()
        self.model = nn.Sequential(*modules)
        self.linear = [m for m in modules if isinstance(m, nn.Linear)]
        with torch.no_grad():
            for linear, (W, b) in zip(self.linear, layers, strict=True):
                linear.weight.copy_(torch.from_numpy(W.T.copy()))
                linear.bias.copy_(torch.from_numpy(b))
        if self.task.loss == "tutorial":
            # the tutorial steps intercepts by the mean over the samples, coefs by the sum
            self.solver = torch.optim.SGD([
                {"params": [m.weight for m in self.linear], "lr": LR},
                {"params": [m.bias for m in self.linear], "lr": LR / len(self.X)},
            ], fused=True)  # fmt: skip
        else:
            self.solver = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.forward_loss = self.compile(lambda x, y: self.loss(self.model(x), y))

    def compile(self, function):
        return function

    def step(self, x, y):
        self.solver.zero_grad(set_to_none=True)
        self.forward_loss(x, y).backward()
        self.solver.step()

    def train(self, n, shuffle):
        rows, batch = len(self.X), self.task.batch
        for _ in range(n):
            if batch == rows:
                self.step(self.X, self.y)
                continue
            order = torch.randperm(rows) if shuffle else torch.arange(rows)
            for start in range(0, rows, batch):
                index = order[start : start + batch]
                self.step(self.X[index], self.y[index])

    def layers(self):
        return [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in self.linear]

    def threads(self):
        return torch.get_num_threads()
