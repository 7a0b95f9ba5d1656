"""Who is called in `calls.py`: fastnn, NumPy, scikit-learn and PyTorch doing the same.

A `Way` is a call with what it came to; learners are made anew by a reset, so that every contestant
learns from the same start.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy_way
import sklearn.neural_network

SEED = 0
MORE = 100  # epochs


class Way(NamedTuple):
    """How one contestant does it: a call, what it came to (by default what the call returns), and
    what to do before the first call."""

    call: Callable[[], Any]
    answer: Callable[[], Any] | None = None
    reset: Callable[[], Any] = lambda: None


class Learner:
    """A model that a reset makes anew, and what one call does to it."""

    def __init__(self, make, step):
        self.make, self.step, self.model = make, step, None

    def reset(self):
        self.model = self.make()

    def way(self, answer=None):
        answer = answer or params_of
        return Way(lambda: self.step(self.model), lambda: answer(self.model), self.reset)


def params_of(model):
    """[(W, b), ...] of a Network, an estimator, a net of `numpy_way` or the tutorial's layers."""
    if isinstance(model, list):
        return [(layer.W.copy(), layer.b.ravel()) for layer in model]
    if hasattr(model, "layers"):
        return model.layers()
    return [
        (np.array(W), np.array(b)) for W, b in zip(model.coefs_, model.intercepts_, strict=True)
    ]


def fits(who, make, fit, answer=None):
    """Fits of 1 + MORE epochs by what make(epochs) gives, and of one epoch as `who once`."""
    ways = {}
    for name, epochs in ((who, 1 + MORE), (f"{who} once", 1)):
        ways[name] = Learner(
            lambda epochs=epochs: make(epochs), lambda model, epochs=epochs: fit(model, epochs)
        ).way(answer)
    return ways


def once(ways):
    """Of `fits`: the fits of one epoch, under the contestants' names."""
    return {n.removesuffix(" once"): way for n, way in ways.items() if n.endswith(" once")}


def numpy_fits(task):
    class Fitted:
        def fit(self, epochs):
            net = numpy_way.Adam(numpy_way.draw(SEED, task.units, task.dtype), task.loss)
            for _ in range(epochs):
                net.epoch(task.X, task.targets, task.batch)
            self.layers = net.layers

    return fits("numpy", lambda epochs: Fitted(), Fitted.fit)


def torch_fits(task, start):
    ways = {}
    for name, epochs in (("torch", 1 + MORE), ("torch once", 1)):
        learner = torch_learner(task, start)

        def call(learner=learner, epochs=epochs):
            learner.reset()  # the net and its solver, as a fit makes them
            for _ in range(epochs):
                learner.epoch(task.batch)

        ways[name] = learner.way(call)
    return ways


def labels(task):
    """What an estimator is given."""
    return task.labels if task.loss == "log_loss" else task.targets.ravel()


def estimator(cls, units, **options):
    options = {"alpha": 0, "random_state": SEED, "tol": 0, "shuffle": False, **options}
    return cls(hidden_layer_sizes=tuple(units[1:-1]), **options)


def estimator_learner(cls, task, X, y):
    """partial_fit; a reset makes the first call, which names the classes."""
    new = estimator(cls, task.units)
    more = {"classes": np.arange(task.units[-1])} if task.loss == "log_loss" else {}

    def step(model):
        if hasattr(model, "coefs_"):
            model.partial_fit(X, y)
        else:
            model.partial_fit(X, y, **more)

    return Learner(lambda: copy.deepcopy(new), step)


def sklearn_like(task, layers):
    """scikit-learn's classifier with these parameters."""
    model = estimator(sklearn.neural_network.MLPClassifier, task.units)
    every = np.arange(task.units[-1])
    model.partial_fit(np.zeros((len(every), task.units[0]), task.dtype), every, classes=every)
    model.coefs_, model.intercepts_ = (list(p) for p in zip(*layers, strict=True))
    return model


def torch_learner(task, start):
    """PyTorch as in `adapters/torch_eager.py`, from these layers; its rows stay tensors."""
    import torch
    from adapters import torch_eager

    class TorchLearner:
        def __init__(self):
            self.adapter = torch_eager.Adapter(task)
            self.reset()

        def reset(self):
            self.adapter.reset(start)

        def epoch(self, batch):
            X, y = self.adapter.X, self.adapter.y
            for i in range(0, len(X), batch):
                self.adapter.step(X[i : i + batch], y[i : i + batch])

        def way(self, call):
            return Way(call, self.adapter.layers, self.reset)

        def output(self, out):
            return torch.softmax(out, 1) if task.loss == "log_loss" else out

        def predicting(self, X, finish=lambda out: out):
            x = torch.from_numpy(X)

            def predict():
                with torch.inference_mode():
                    out = self.output(self.adapter.model(x)).numpy()
                return finish(out if task.loss != "squared_error" else out.ravel())

            return Way(predict)

        def forwarding(self, X):
            x, model = torch.from_numpy(X), self.adapter.model

            def forward():
                a = [x]
                with torch.inference_mode():
                    for linear in self.adapter.linear[:-1]:
                        a.append(torch.relu(linear(a[-1])))
                    a.append(self.output(model[-1](a[-1])))
                return a[1:]

            return Way(forward, lambda: [a.numpy() for a in forward()])

        def losing(self):
            a = self.adapter

            def loss():
                with torch.inference_mode():
                    return a.forward_loss(a.X, a.y).item()

            return Way(loss)

        def gradients(self):
            a = self.adapter

            def call():
                a.model.zero_grad(set_to_none=True)
                loss = a.forward_loss(a.X, a.y)
                loss.backward()
                return loss.item()

            def answer():
                return call(), [(m.weight.grad.numpy().T, m.bias.grad.numpy()) for m in a.linear]

            return Way(call, answer)

    return TorchLearner()
