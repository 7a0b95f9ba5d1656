"""The fits whose bits same_bits.py compares: `python bench/fits.py` prints their hashes as JSON.

Only fastnn's public interface is used, so that this file runs with any version. Each case returns
what it trained: parameters and predictions, which are hashed, and losses, which are kept. A case
in which a layer was not trained, or a number is not finite, is an error: it would prove nothing.
"""

import argparse
import hashlib
import inspect
import itertools
import json
import math
import os
import pickle
import platform
import re
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
import sklearn

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, kernels, tutorial
from fastnn.callbacks import Recorder, ValidationLoss

DTYPES = ("float64", "float32")
# Multiply-adds of a fit that two threads share; fastnn shares from 4e8 on.
SHARED = 5e8
# What losses may differ by, relatively.
RTOL = {"float64": 1e-6, "float32": 1e-4}
WEIGHTS = "sample_weight" in inspect.signature(MLPClassifier.fit).parameters  # scikit-learn 1.7


class Outcome(NamedTuple):
    """What a case trained."""

    params: list
    predictions: list
    curve: list


class Case(NamedTuple):
    """One row of the table: run(n_threads) gives an Outcome."""

    run: object
    rtol: float
    n_threads: int
    smoke: bool


CASES = {}


def case(name, dtype, run, *, threads=(1,), smoke=False):
    """Add a case; for several numbers of threads, one for each, which must agree."""
    for n in threads:
        full = f"{name}, {dtype}" + (f", {n} thread{'s' * (n > 1)}" if len(threads) > 1 else "")
        if full in CASES:
            raise ValueError(f"two cases are called {full!r}")
        CASES[full] = Case(run, RTOL[dtype], n, smoke)


# ---- Network ------------------------------------------------------------------------------------

OUTPUTS = {
    "squared_error": "identity", "binary_log_loss": "sigmoid", "log_loss": "softmax",
    "poisson": "exp",
}  # fmt: skip


def problem(units, loss, out, n, dtype, seed=0):
    """X, and y within reach of the output activation."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-1.5, 1.5, (n, units[0]))
    shape = n, units[-1]
    if loss == "log_loss" or out == "softmax":
        y = np.eye(units[-1])[rng.randint(units[-1], size=n)]
    elif loss == "binary_log_loss":
        y = rng.randint(2, size=shape)
    elif loss == "poisson":
        y = rng.poisson(2.0, shape)
    else:
        low, high = {"tanh": (-0.9, 0.9), "identity": (-2, 2)}.get(out, (0.05, 0.95))
        y = rng.uniform(low, high, shape)
    return X.astype(dtype), y.astype(dtype)


def layers(net):
    """coefs and intercepts in the order of the layers."""
    return [p for pair in zip(net.coefs_, net.intercepts_, strict=True) for p in pair]


def trained(before, after):
    """The parameters after a fit, which must have changed every array."""
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        if np.array_equal(a, b):
            raise AssertionError(f"parameters {i} were not trained")
    return list(after)


def network(
    units, activation="tanh", loss="squared_error", out=None, *, n=150, dtype="float64",
    n_threads=1, init="glorot", y=None, **options,
):  # fmt: skip
    """The outcome of one `Network.fit`."""
    out = out or OUTPUTS[loss]
    several = {} if isinstance(activation, tuple) else {"out_activation": out}
    rng = np.random.RandomState(3)
    net = Network(
        units, activation, loss=loss, init=init, dtype=dtype, random_state=rng, n_jobs=n_threads,
        **several,
    )  # fmt: skip
    X, targets = problem(units, loss, out, n, dtype)
    targets = targets if y is None else y(targets).astype(dtype)
    before = [p.copy() for p in layers(net)]
    net.fit(X, targets, **{"max_iter": 6, **options})
    # the next draw says whether as many were made
    params = [*trained(before, layers(net)), rng.randint(2**31)]
    return Outcome(params, [net.predict(X), net.predict(X[:1])], net.loss_curve_)


def networks(name, *args, smoke=False, threads=(1,), **options):
    for dtype in DTYPES:
        case(
            f"Network {name}", dtype,
            lambda n, dtype=dtype: network(*args, dtype=dtype, n_threads=n, **options),
            threads=threads, smoke=smoke,
        )  # fmt: skip


SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "momentum": {
        "solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.9, "nesterovs_momentum": False,
    },
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.8},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}  # fmt: skip
BATCHES = {
    "full batch": {"batch_size": 150, "max_iter": 15},
    "shuffled": {"batch_size": 32},
    "in order": {"batch_size": 32, "shuffle": False},
}
MOMENTUM, ADAM = SOLVERS["momentum"], SOLVERS["adam"]

for _hidden in ("sigmoid", "tanh", "relu", "identity"):
    networks(f"hidden {_hidden}", [5, 17, 9, 3], _hidden, batch_size=32, smoke=True, **ADAM)
for _out in ("sigmoid", "tanh", "relu", "identity", "softmax", "exp"):
    networks(f"output {_out}", [5, 17, 3], out=_out, batch_size=64, **MOMENTUM)
for _loss in ("binary_log_loss", "log_loss", "poisson"):
    for _name, _solver in SOLVERS.items():
        networks(
            f"{_loss} {_name}", [6, 20, 4], "relu", _loss, alpha=0.01, batch_size=50, smoke=True,
            **_solver,
        )  # fmt: skip
networks("binary_log_loss, one output", [4, 9, 1], "sigmoid", "binary_log_loss", **ADAM)
networks("log_loss, two outputs", [4, 9, 2], "relu", "log_loss", n=300, **ADAM)
networks("log_loss, probabilities", [4, 9, 3], loss="log_loss",
         y=lambda y: 0.7 * y + 0.1, **ADAM)  # fmt: skip
networks("poisson, one output", [4, 9, 1], loss="poisson", y=lambda y: y + 0.5, **ADAM)
for (_name, _solver), (_batch, _options) in itertools.product(SOLVERS.items(), BATCHES.items()):
    _alpha = 0.0 if _batch == "shuffled" else 0.1
    networks(f"{_name} {_batch}", [7, 33, 16, 2], alpha=_alpha, **_solver, **_options)
networks("adam, other numbers", [7, 33, 2], batch_size=40, beta_1=0.5, beta_2=0.9, epsilon=1e-3,
         solver="adam", learning_rate_init=0.1)  # fmt: skip
networks("defaults", [7, 33, 2], n=450)
networks("rows one by one", [7, 33, 2], n=40, batch_size=1, **ADAM)
networks("uniform", [2, 4, 8, 1], "sigmoid", out="sigmoid", init="uniform", **ADAM)
networks("several activations", [3, 8, 9, 8, 2], ("relu", "tanh", "sigmoid", "identity"), **ADAM)
for _units in ((1, 1), (2, 1), (2, 4, 8, 1), (2, 4, 8, 16, 8, 4, 1), (8, 32, 32, 2), (64, 100, 10),
               (97, 203, 131, 5), (784, 65, 10), (3, 1, 2), (130, 1)):  # fmt: skip
    networks("-".join(map(str, _units)), _units, n=250, alpha=1e-4, batch_size=100, **ADAM)
    networks(f"{'-'.join(map(str, _units))} sigmoid", _units, "sigmoid", "binary_log_loss", n=250,
             batch_size=250, **MOMENTUM)  # fmt: skip


def work(units):
    """Multiply-adds of one sample, about."""
    return sum(3.0 * k * n + 20.0 * n for k, n in itertools.pairwise(units))


# wide nets share columns; large batches are cut in slices; see tests/test_threads.py
for _name, _units, _hidden, _loss, _n, _size in (
    ("wide, one chunk", (97, 203, 131, 5), "relu", "log_loss", 200, 200),
    ("wide, three chunks", (97, 203, 131, 5), "tanh", "log_loss", 600, 600),
    ("wide, batches with a rest", (97, 203, 131, 5), "relu", "log_loss", 500, 192),
    ("wide, one output", (130, 300, 1), "sigmoid", "binary_log_loss", 400, 200),
    ("narrow, slices", (3, 7, 2), "tanh", "log_loss", 20_000, 20_000),
    ("narrow, slices with a rest", (3, 7, 2), "relu", "squared_error", 25_000, 10_000),
    ("tutorial's, slices", (2, 4, 8, 1), "sigmoid", "binary_log_loss", 20_000, 20_000),
    ("middle, slices", (20, 40, 3), "relu", "squared_error", 6_000, 6_000),
    ("poisson, slices", (20, 40, 3), "tanh", "poisson", 6_000, 6_000),
    ("panels, slices", (64, 150, 10), "relu", "log_loss", 6_000, 6_000),
    ("wider than a cache", (1200, 210, 700, 10), "relu", "log_loss", 150, 60),
):
    for _name2, _solver in (("nesterov", SOLVERS["nesterov"]), ("adam", ADAM)):
        networks(
            f"{_name}, {_name2}", _units, _hidden, _loss, n=_n, batch_size=_size, alpha=0.1,
            max_iter=math.ceil(SHARED / work(_units) / _n), threads=(1, 2),
            smoke=_name in ("wide, one chunk", "middle, slices"),
            **{**_solver, "learning_rate_init": 0.001},
        )  # fmt: skip


def both(name, *, threads=(1,), smoke=False):
    """Decorator: a case that takes a type, and the threads where there are several numbers."""

    def add(function):
        for dtype in DTYPES:
            case(name, dtype, lambda n, dtype=dtype: function(dtype, n), threads=threads,
                 smoke=smoke)  # fmt: skip
        return function

    return add


def started(dtype, units=(6, 20, 3), loss="squared_error", n=120):
    """A network, its random state, and data."""
    rng = np.random.RandomState(11)
    net = Network(units, "tanh", loss=loss, dtype=dtype, random_state=rng)
    return net, rng, *problem(units, loss, "identity", n, dtype)


def outcome(net, rng, X, *others):
    return Outcome([*layers(net), *others, rng.randint(2**31)], [net.predict(X)], net.loss_curve_)


@both("Network partial_fit", smoke=True)
def _(dtype, _):
    net, rng, X, y = started(dtype)
    for i in range(8):
        net.partial_fit(X[i:], y[i:], batch_size=30, **ADAM)
    return outcome(net, rng, X)


@both("Network partial_fit, solvers and batches change")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    for solver, size in itertools.product((MOMENTUM, SOLVERS["nesterov"], ADAM), (20, 120, 33)):
        net.partial_fit(X, y, batch_size=size, alpha=0.01, **solver)
    return outcome(net, rng, X)


@both("Network fit, partial_fit, fit", smoke=True)
def _(dtype, _):
    net, rng, X, y = started(dtype)
    net.fit(X, y, batch_size=50, max_iter=5, **MOMENTUM)
    for _ in range(3):
        net.partial_fit(X, y, batch_size=50, **MOMENTUM)
    curve = net.loss_curve_
    net.coefs_[0][:, 1] *= 0.5
    net.intercepts_ = [b + 0.125 for b in net.intercepts_]
    net.fit(X, y, max_iter=4, **ADAM)
    return outcome(net, rng, X)._replace(curve=curve + net.loss_curve_)


@both("Network copy goes on")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    net.fit(X, y, batch_size=50, max_iter=5, **ADAM)
    copy = net.copy()
    for _ in range(3):
        copy.partial_fit(X, y, batch_size=50, **ADAM)
    net.partial_fit(X, y, batch_size=40, **ADAM)
    return outcome(copy, rng, X, *layers(net))


@both("Network pickle goes on")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    for solver in (ADAM, MOMENTUM):
        net.partial_fit(X, y, batch_size=50, **solver)
        net = pickle.loads(pickle.dumps(net))
        net.partial_fit(X, y, batch_size=50, **solver)
    return outcome(net, rng, X)


@both("Network callback between epochs", smoke=True)
def _(dtype, _):
    net, rng, X, y = started(dtype)
    seen = []

    def look(net):
        seen.append(net.predict(X[:2]))
        if net.n_iter_ == 6:
            net.coefs_[0][0] *= 0.5  # trained on from there
        return net.n_iter_ >= 13

    net.fit(X, y, batch_size=50, max_iter=40, callback=look, callback_every=3, **ADAM)
    return outcome(net, rng, X, *seen)


@both("Network callback, full batch")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    seen = []
    net.fit(X, y, batch_size=120, max_iter=11, callback=[lambda net: seen.append(net.loss_)],
            callback_every=4, **MOMENTUM)  # fmt: skip
    result = outcome(net, rng, X)
    return result._replace(curve=result.curve + seen)


@both("Network ValidationLoss and Recorder")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    recorder = Recorder(every=5)
    validation = ValidationLoss(X[::3] + 0.1, y[::3], every=2, n_iter_no_change=4, tol=1e-3)
    options = {**ADAM, "learning_rate_init": 0.05}
    net.fit(X, y, batch_size=40, max_iter=60, callback=[recorder, validation], **options)
    result = outcome(net, rng, X, *layers(recorder[1]), *recorder.epochs_)
    return result._replace(curve=result.curve + validation.losses_)


@both("Network other arrays")
def _(dtype, _):
    net, rng, X, y = started(dtype)
    net.fit(np.asfortranarray(X), y[::-1], batch_size=50, max_iter=3, **ADAM)
    net.fit(X.astype("float16").tolist(), np.round(y).astype(int), max_iter=3, **MOMENTUM)
    return outcome(net, rng, X)


@both("Network other spellings")
def _(dtype, _):
    rng = np.random.RandomState(5)
    X, y = problem((4, 1), "binary_log_loss", "sigmoid", 90, dtype)
    net = Network((4, 7, 1), "logistic", loss="binary_cross_entropy", dtype=dtype,
                  random_state=rng)  # fmt: skip
    net.fit(X, y.ravel(), **ADAM, max_iter=10)
    return outcome(net, rng, X)._replace(predictions=[net.predict(X), net.predict_proba(X)])


def diverged(_):
    net, rng, X, y = started("float64")
    net.fit(X, y, batch_size=50, max_iter=5, **MOMENTUM)
    try:
        net.fit(X, y, batch_size=50, solver="sgd", learning_rate_init=1e3)
    except FloatingPointError:
        return Outcome([*layers(net), rng.randint(2**31)], [], net.loss_curve_)
    raise AssertionError("the fit did not diverge")


# float32 is left out: an infinite loss of it was not always noticed
case("Network goes back after divergence", "float64", diverged)


def look_at(units, hidden, loss, dtype, n, n_threads):
    """Everything that a network answers without training, for n rows."""
    net = Network(units, hidden, out_activation=OUTPUTS[loss], loss=loss, dtype=dtype,
                  random_state=2, n_jobs=n_threads)  # fmt: skip
    X, y = problem(units, loss, OUTPUTS[loss], n, dtype)
    penalized, coef_grads, intercept_grads = net.loss_and_grad(X, y, alpha=0.1)
    predictions = [net.predict(X), *net.forward(X)]
    return Outcome([*coef_grads, *intercept_grads], predictions, [penalized, net.loss(X, y)])


for _loss in ("squared_error", "binary_log_loss", "log_loss", "poisson"):
    for _n in (1, 3, 101, 5000):

        @both(f"Network {_loss}, {_n} rows", smoke=_n == 101)
        def _(dtype, _, loss=_loss, n=_n):
            return look_at((9, 21, 33, 4), "sigmoid" if n == 3 else "tanh", loss, dtype, n, 1)


@both("Network wide, many rows", threads=(1, 2), smoke=True)
def _(dtype, n_threads):
    return look_at((97, 203, 131, 5), "relu", "log_loss", dtype, 12_000, n_threads)


# ---- tutorial -----------------------------------------------------------------------------------


def rings(dtype, n=500):
    """As in the tutorial: two rings; y are whole numbers, which NumPy computes with in float64."""
    rng = np.random.RandomState(15)
    y = np.arange(n) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.where(y, 0.5, 1) + rng.normal(0, 0.05, n)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    return X.astype(dtype), y[:, None] if dtype == "float64" else y[:, None].astype(dtype)


def tutorial_net(units, act_f, dtype):
    np.random.seed(15)
    net = tutorial.create_nn(units, act_f)
    for layer in net:
        layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
    return net


def tutorial_outcome(net, before, *predictions):
    return Outcome(trained(before, flat(net)), list(predictions), [])


def flat(net):
    return [p for layer in net for p in (layer.W, layer.b)]


def tutorials(name, units, act_f, lr, n_rows, epochs, calls, **options):
    @both(f"tutorial {name}", **options)
    def _(dtype, n_threads):
        fastnn.set_num_threads(n_threads)
        X, Y = rings(dtype, n_rows)
        Y = np.hstack([Y] * units[-1])
        net = tutorial_net(units, act_f, dtype)
        before, outputs = flat(net), []
        for _ in range(calls):
            outputs.append(tutorial.train(net, X, Y, tutorial.l2_cost, lr=lr, epochs=epochs))
        for x in (X, X[:1]):
            outputs.append(tutorial.train(net, x, Y, tutorial.l2_cost, train=False))
        fastnn.set_num_threads(None)
        return tutorial_outcome(net, before, *outputs)


for _units in ([2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1]):
    _text = "-".join(map(str, _units))
    tutorials(f"{_text}, epochs=300", _units, tutorial.sigm, 0.05, 500, 300, 1)
    tutorials(f"{_text}, 60 calls", _units, tutorial.sigm, 0.05, 500, 1, 60, smoke=True)
tutorials("relu, epochs=50", [2, 6, 5, 1], tutorial.relu, 1e-4, 500, 50, 1)
tutorials("relu, 20 calls", [2, 6, 5, 1], tutorial.relu, 1e-4, 500, 1, 20)
tutorials("three outputs", [2, 17, 3], tutorial.sigm, 0.01, 77, 7, 5)
tutorials("one layer", [2, 1], tutorial.sigm, 0.01, 501, 5, 5)
tutorials("20000 rows", [2, 4, 8, 1], tutorial.sigm, 1e-3, 20_000, 65, 1, threads=(1, 2))
tutorials("20000 rows, 3 calls", [2, 4, 8, 1], tutorial.sigm, 1e-3, 20_000, 1, 3)


@both("tutorial, everything changes")
def _(dtype, _):
    X, Y = rings(dtype)
    net = tutorial_net([2, 5, 4, 1], tutorial.sigm, dtype)
    net[1].act_f = tutorial.relu
    before, outputs = flat(net), []
    for i, lr in enumerate((0.01, 0.01, 0.02, 0.02, 0.005)):
        outputs.append(tutorial.train(net, X[i:], Y[i:], tutorial.l2_cost, lr=lr, epochs=1 + i))
    net[0].W = net[0].W * 0.5
    other = tutorial_net([2, 3, 1], tutorial.sigm, dtype)
    for _ in range(4):
        outputs.append(tutorial.train(net, X, Y, tutorial.l2_cost, lr=0.01))
        outputs.append(tutorial.train(other, X, Y, tutorial.l2_cost))
    outputs.append(tutorial.train(net, X, None, tutorial.l2_cost, train=False))
    return tutorial_outcome(net, before, *outputs, *flat(other))


@both("tutorial, an activation of one's own")
def _(dtype, _):
    X, Y = rings(dtype)
    own = (np.tanh, lambda a: 1 - a**2)
    net = tutorial_net([2, 4, 1], own, dtype)
    before = flat(net)
    output = tutorial.train(net, X, Y, tutorial.l2_cost, lr=1e-3, epochs=10)
    return tutorial_outcome(net, before, output)


# ---- estimators ---------------------------------------------------------------------------------


def samples(kind, dtype, n=240, features=9, density=0.5):
    """X and y to learn. Of X only a share, the density, is not 0."""
    rng = np.random.RandomState(4)
    X = rng.uniform(-1, 1, (n, features)) * (rng.rand(n, features) < density)
    z = X[:, :3] * 2 + rng.normal(0, 0.3, (n, 3))
    y = {
        "binary": z[:, 0] > 0,
        "names": np.where(z[:, 0] > z[:, 1], "left", "right"),
        "classes": z.argmax(axis=1),
        "labels": (z > 0).astype(int),
        "number": z.sum(axis=1),
        "numbers": z,
        "counts": rng.poisson(np.exp(z[:, 0] / 2)),
        "counts, two": rng.poisson(np.exp(z[:, :2] / 2)),
    }[kind]
    return X.astype(dtype), y.astype(dtype) if y.dtype.kind == "f" else y


def new(kind, **params):
    cls = MLPRegressor if kind.startswith(("number", "counts")) else MLPClassifier
    params = {"hidden_layer_sizes": (12, 7), "max_iter": 12, **params}
    return cls(random_state=np.random.RandomState(7), **params)


def estimator_outcome(mlp, X, *others):
    predictions = [mlp.predict(rows) for rows in (X, X[:1], X[5:10], X[:60])]
    if hasattr(mlp, "predict_proba"):
        predictions.append(mlp.predict_proba(X))
    scores = getattr(mlp, "validation_scores_", None) or []
    curve = [*getattr(mlp, "loss_curve_", []), mlp.loss_, *scores]
    draw = mlp.random_state.randint(2**31)
    return Outcome([*layers(mlp), *others, mlp.n_iter_, draw], predictions, curve)


def estimate(
    kind, dtype, n_threads=1, sparse=None, weighted=False, n=240, features=9, density=0.5, **params
):
    X, y = samples(kind, dtype, n, features, density)
    X = getattr(scipy.sparse, f"{sparse}_array")(X) if sparse else X
    weights = {"sample_weight": np.random.RandomState(5).randint(4, size=n) / 2.0}
    mlp = new(kind, n_jobs=n_threads, **params).fit(X, y, **(weights if weighted else {}))
    return estimator_outcome(mlp, X)


def estimators(name, kind, smoke=False, threads=(1,), **params):
    for dtype in DTYPES:
        case(
            f"estimator {name}", dtype,
            lambda n, dtype=dtype: estimate(kind, dtype, n, **params), threads=threads,
            smoke=smoke,
        )  # fmt: skip


SGD = {"solver": "sgd", "learning_rate_init": 0.05, "batch_size": 50}
KINDS = ["binary", "names", "classes", "labels", "number", "numbers"]
for _kind in KINDS:
    estimators(f"{_kind}, adam", _kind, smoke=True)
    estimators(f"{_kind}, sgd", _kind, alpha=0.01, **SGD)
    estimators(f"{_kind}, lbfgs", _kind, solver="lbfgs", alpha=0.1)
    estimators(f"{_kind}, early stopping", _kind, early_stopping=True, max_iter=40,
               n_iter_no_change=4, learning_rate_init=0.02)  # fmt: skip
    for _format in ("csr", "csc"):
        estimators(f"{_kind}, {_format}", _kind, sparse=_format, batch_size=64)
    estimators(f"{_kind}, csr, lbfgs", _kind, sparse="csr", solver="lbfgs")
    if WEIGHTS:
        estimators(f"{_kind}, weights", _kind, weighted=True, batch_size=60)
        estimators(f"{_kind}, weights, csr, lbfgs", _kind, weighted=True, sparse="csr",
                   solver="lbfgs")  # fmt: skip
        estimators(f"{_kind}, weights, early stopping", _kind, weighted=True, early_stopping=True,
                   **SGD)  # fmt: skip
for _hidden in ("identity", "logistic", "tanh", "relu"):
    estimators(f"hidden {_hidden}", "classes", activation=_hidden, batch_size=50)
    estimators(f"hidden {_hidden}, regressor", "number", activation=_hidden, **SGD)
for _schedule in ("invscaling", "adaptive"):
    estimators(f"{_schedule}", "classes", learning_rate=_schedule, max_iter=30, tol=0.01,
               n_iter_no_change=2, **SGD)  # fmt: skip
estimators("no momentum", "classes", momentum=0.0, **SGD)
estimators("momentum, not Nesterov's", "numbers", nesterovs_momentum=False, **SGD)
estimators("tol", "classes", tol=0.05, max_iter=100, n_iter_no_change=3)
estimators("in order", "classes", shuffle=False, batch_size=32)
estimators("no hidden layer", "classes", hidden_layer_sizes=())
estimators("adam, other numbers", "number", beta_1=0.5, beta_2=0.9, epsilon=1e-3,
           batch_size=1, n=50)  # fmt: skip
if "loss" in inspect.signature(MLPRegressor).parameters:
    for _kind in ("counts", "counts, two"):
        for _solver in ("adam", "sgd", "lbfgs"):
            estimators(f"{_kind}, poisson, {_solver}", _kind, loss="poisson", solver=_solver)
for _kind in ("classes", "numbers"):
    estimators(f"{_kind}, wide", _kind, n=1000, features=60, hidden_layer_sizes=(200, 100),
               batch_size=200, max_iter=6, threads=(1, 2), smoke=_kind == "classes")  # fmt: skip
    estimators(f"{_kind}, wide, csr, full batch", _kind, n=1000, features=60, sparse="csr",
               hidden_layer_sizes=(200, 100), batch_size=1000, max_iter=6,
               threads=(1, 2))  # fmt: skip
    estimators(f"{_kind}, many rows, lbfgs", _kind, n=20_000, hidden_layer_sizes=(50, 100),
               solver="lbfgs", max_iter=3, threads=(1, 2))  # fmt: skip
# really sparse rows, which the first layer multiplies as they are stored
DOCUMENTS = {"sparse": "csr", "features": 400, "density": 0.03, "batch_size": 60}
for _kind in ("binary", "classes", "numbers"):
    for _sizes in ((40, 7), (3,), (100,), ()):
        _text = f"{_kind}, documents, {_sizes}"
        estimators(f"{_text}, adam", _kind, hidden_layer_sizes=_sizes, smoke=_sizes == (40, 7),
                   **DOCUMENTS)  # fmt: skip
        estimators(f"{_text}, lbfgs", _kind, hidden_layer_sizes=_sizes, solver="lbfgs",
                   **DOCUMENTS)  # fmt: skip
    estimators(f"{_kind}, documents, sgd", _kind, activation="tanh", solver="sgd", **DOCUMENTS)
    estimators(f"{_kind}, documents, full batch", _kind, **{**DOCUMENTS, "batch_size": 240})
    estimators(f"{_kind}, documents, wide", _kind, n=1500, hidden_layer_sizes=(300, 20),
               threads=(1, 2), **{**DOCUMENTS, "batch_size": 300})  # fmt: skip
    if WEIGHTS:
        estimators(f"{_kind}, documents, weights", _kind, weighted=True, **DOCUMENTS)


def sequences(name, **options):
    """Decorator: a case for a classifier and one for a regressor."""

    def add(function):
        for kind in ("classes", "numbers"):
            both(f"estimator {kind}, {name}", **options)(
                lambda dtype, _, kind=kind: function(kind, *samples(kind, dtype))
            )
        return function

    return add


def parts(mlp, X, y, times):
    for i in range(times):
        rows = slice(20 * i, 20 * i + 90)
        more = {"classes": np.unique(y)} if isinstance(mlp, MLPClassifier) else {}
        mlp.partial_fit(X[rows], y[rows], **more)
    return mlp


@sequences("partial_fit", smoke=True)
def _(kind, X, y):
    return estimator_outcome(parts(new(kind, batch_size=32), X, y, 7), X)


@sequences("partial_fit, sgd")
def _(kind, X, y):
    return estimator_outcome(parts(new(kind, **SGD), X, y, 7), X)


@sequences("warm start")
def _(kind, X, y):
    mlp = new(kind, warm_start=True, max_iter=4)
    for solver in ("adam", "lbfgs", "sgd", "sgd"):
        mlp.set_params(solver=solver).fit(X, y)
    return estimator_outcome(mlp, X)


@sequences("pickle, conversion and edits go on")
def _(kind, X, y):
    mlp = parts(new(kind, batch_size=32), X, y, 2)
    mlp = parts(pickle.loads(pickle.dumps(mlp)), X, y, 2)
    mlp.coefs_[0][0] *= 0.5
    mlp = parts(type(mlp).from_sklearn(mlp.to_sklearn()), X, y, 2)
    mlp.intercepts_ = [b + 0.125 for b in mlp.intercepts_]
    return estimator_outcome(parts(mlp, X, y, 2), X)


# ---- running them -------------------------------------------------------------------------------


def digest(arrays):
    """The hash of arrays, with their types and shapes."""
    total = hashlib.sha256()
    for array in map(np.asarray, arrays):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise AssertionError("a number is not finite")
        total.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return total.hexdigest()


def run(one):
    """What JSON keeps of a case."""
    helpers, start = [], threading.Thread.start

    def counted(thread):
        helpers.append(thread.name)
        start(thread)

    threading.Thread.start = counted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            params, predictions, curve = one.run(one.n_threads)
        if bool(helpers) != (one.n_threads > 1 and fastnn.get_num_threads() > 1):
            raise AssertionError(f"{len(helpers)} threads were started")
        return {
            "params": digest(params), "predictions": digest(predictions),
            "curve": [float(loss) for loss in curve], "rtol": one.rtol,
        }  # fmt: skip
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        threading.Thread.start = start


def versions():
    """What must be the same where bits are compared, and what is being compared."""
    info, path = "", Path("/proc/cpuinfo")
    if path.exists():
        info = path.read_text()
    return {
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "CPU": (re.findall(r"model name\s*: (.*)", info) or [platform.machine()])[0],
        "fastnn": str(Path(fastnn.__file__).parent),
        "builds": [name for name in kernels.supported() if name != "reference"],
        "threads": fastnn.get_num_threads(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="cases with such names")
    parser.add_argument("--smoke", action="store_true", help="a few cases of each kind")
    parser.add_argument("--versions", action="store_true", help="no fits")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")  # others may print
    os.dup2(2, 1)
    begin, cases = time.process_time(), {}
    if not options.versions:
        for name, one in CASES.items():
            if re.search(options.only, name) and (one.smoke or not options.smoke):
                cases[name] = run(one)
    seconds = time.process_time() - begin
    json.dump({"versions": versions(), "seconds": seconds, "cases": cases}, answers)


if __name__ == "__main__":
    sys.exit(main())
