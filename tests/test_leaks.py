"""Calls that are repeated take no more memory: by the system's count, objects and references.

Those that raise are among them. A call is repeated 4,000 times; with FASTNN_THOROUGH=1 it is
100,000 times.
"""

import contextlib
import ctypes
import gc
import pickle
import sys
import warnings

import numpy as np
import pytest
from conftest import THOROUGH

from fastnn import MLPClassifier, Network, tutorial


def raising(call, kind=Exception):
    """call, whose exception is expected."""

    def tried():
        with contextlib.suppress(kind):
            call()

    return tried


def leaking_calls():
    """Calls by name, each of some microseconds, and how many of them at most."""
    X, y = np.random.RandomState(0).rand(8, 2), np.random.RandomState(1).rand(8, 1)
    labels = (y[:, 0] > 0.5).astype(int)
    net = Network([2, 3, 1], "tanh", random_state=0).partial_fit(X, y)
    mlp = MLPClassifier((3,), max_iter=2, random_state=0, batch_size=8)
    mlp.fit(X, labels)
    layers, arrays = tutorial_layers(), (X, y, labels)

    def stop(_):
        raise KeyError

    fits = {
        "fit": lambda: net.fit(X, y, max_iter=1, batch_size=8),
        "fit, average": lambda: net.fit(X, y, max_iter=1, batch_size=8, ema=0.9),
        "fit, validation": lambda: net.fit(X, y, max_iter=1, X_val=X, y_val=y),
        "fit, diverged": raising(
            lambda: net.fit(X, y, max_iter=99, solver="sgd", learning_rate_init=1e300),
            FloatingPointError,
        ),
        "fit, callback": raising(lambda: net.fit(X, y, max_iter=9, callback=stop), KeyError),
        "fit, bad input": raising(lambda: net.fit(X, y[:3], max_iter=1), ValueError),
        "fit, bad option": raising(lambda: net.fit(X, y, max_iter=1, solver="x"), ValueError),
        "MLPClassifier.fit": lambda: mlp.fit(X, labels),
        "MLPClassifier.partial_fit": lambda: mlp.partial_fit(X, labels),
        "MLPClassifier.fit, bad input": raising(lambda: mlp.fit(X, labels[:3]), ValueError),
        "pickle": lambda: pickle.loads(pickle.dumps(net)), "copy": lambda: net.copy(),
        "Network": lambda: Network([2, 3, 1], "tanh", random_state=0),
    }  # fmt: skip
    short = {
        "partial_fit": lambda: net.partial_fit(X, y),
        "partial_fit, other rows": lambda: (net.partial_fit(X[:4], y[:4]), net.partial_fit(X, y)),
        "predict": lambda: net.predict(X), "predict, a list": lambda: net.predict([[0.5, 0.5]]),
        "predict, bad input": raising(lambda: net.predict(X[:, :1]), ValueError),
        "forward": lambda: net.forward(X), "loss": lambda: net.loss(X, y),
        "loss_and_grad": lambda: net.loss_and_grad(X, y),
        "MLPClassifier.predict": lambda: mlp.predict(X),
        "MLPClassifier.predict_proba": lambda: mlp.predict_proba(X[:1]),
        "train": lambda: tutorial.train(layers, X, y, tutorial.l2_cost, 0.01),
        "train, forward": lambda: tutorial.train(layers, X, y, tutorial.l2_cost, train=False),
        "create_nn": lambda: tutorial.create_nn([2, 3, 1], tutorial.sigm),
    }  # fmt: skip
    return fits | short, arrays


def tutorial_layers():
    np.random.seed(0)
    return tutorial.create_nn([2, 3, 1], tutorial.sigm)


class Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                     "uordblks", "fordblks", "keepcost")
    )  # fmt: skip


def in_use():
    """Bytes that malloc has given, and Python's own small blocks.

    The process's size says less: a heap with room hides a leak, and one that fills late makes one.
    """
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo2
    found = mallinfo()
    return found.uordblks + found.hblkhd, sys.getallocatedblocks()


def growth(call, n):
    """Bytes, blocks and objects by which the second n / 2 of n calls grow this process."""
    for _ in range(n // 2):
        call()
    gc.collect()
    before = *in_use(), len(gc.get_objects())
    for _ in range(n // 2):
        call()
    gc.collect()
    return [b - a for a, b in zip(before, (*in_use(), len(gc.get_objects())), strict=True)]


# Caches that fill late: in thorough runs 3 bytes a call would be more.
SLACK, BLOCKS = 128 * 1024, 500
N_CALLS = 100_000 if THOROUGH else 4_000
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    WATCHED = [*leaking_calls()[0]]


needs_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="asks glibc",
)


@needs_glibc
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WATCHED)
def test_calls_leak_nothing(name):
    calls, arrays = leaking_calls()
    counts = [sys.getrefcount(array) for array in arrays]
    n = N_CALLS if "MLPClassifier.fit" not in name else N_CALLS // 10
    if name.startswith("partial_fit"):  # whose curve may grow up to 100,000 numbers
        n = min(n, 20_000)
    slack = SLACK + (n // 2 * 50 if "partial_fit" in name else 0)
    slack_blocks = BLOCKS + (n if "partial_fit" in name else 0)  # numbers of the curve
    for _ in range(3):  # caches may fill late once or twice; a leak grows each time
        used, blocks, objects = growth(calls[name], n)
        if used <= slack and blocks <= slack_blocks and objects <= 20:
            break
    assert used <= slack
    assert blocks <= slack_blocks
    assert objects <= 20
    arrays_counts = [sys.getrefcount(array) for array in arrays]
    assert max(a - b for a, b in zip(arrays_counts, counts, strict=True)) <= 4


@needs_glibc
@pytest.mark.parametrize("size", [100, 1000])
def test_a_planted_leak_is_found(size):
    leak = []
    used, blocks, _ = growth(lambda: leak.append(bytes(size)), 4_000)
    assert used > SLACK or blocks > BLOCKS
