"""fastnn against NumPy for `fastnn demo`: times in alternation, and whether the results agree.

NumPy is written as a newcomer writes it (`numpy_network`). Both start from the same parameters
and are warmed up. The training is cut into rounds; in each round one trains after the other, on
one core, and the CPU time of both is taken. Figures are medians over the rounds.
"""

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import reference, set_num_threads, tutorial
from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.cli import numpy_network
from fastnn.network import Network

ROUNDS = 7
WARM_UP = 30  # steps of each before the first round

# A round of less CPU time, in seconds, says nothing: interrupts and cold caches take as long. In
# one of fewer steps, much of the time is the call itself.
SHORTEST_ROUND, FEWEST_STEPS = 5e-4, 50

# How far two nets that agree may be apart, as a share of the largest parameter: after all steps,
# and after one step from the same parameters.
AGREE = {"float64": 1e-9, "float32": 1e-3}
AGREE_ONE_STEP = {"float64": 1e-12, "float32": 1e-4}


class Problem(NamedTuple):
    """An untrained network, its data, and how to train it."""

    net: Network
    X: NDArray[Any]
    y: NDArray[Any]
    lr: float


# ---- contestants --------------------------------------------------------------------------------


class Contestant:
    """Trains layers of its own, from a network's parameters or from others.

    Attributes
    ----------
    layers : list of objects with W and b
    """

    def __init__(self, problem: Problem, params: NDArray[Any] | None = None) -> None:
        self.problem, net = problem, problem.net.copy()
        if params is not None:
            net.params_ = params
        self.layers: list[Any] = [
            self._layer(W.copy(), b[None].copy(), name)
            for W, b, name in zip(net.coefs_, net.intercepts_, net.activations, strict=True)
        ]

    def _layer(self, W: NDArray[Any], b: NDArray[Any], activation: ActivationName) -> Any:
        raise NotImplementedError

    def train(self, n: int) -> NDArray[Any]:
        """Take n steps; the outputs before the last."""
        raise NotImplementedError

    def params(self) -> NDArray[Any]:
        """All W and b as one vector, laid out like Network.params_."""
        return np.concatenate([p for layer in self.layers for p in (layer.W, layer.b)], axis=None)


class Fast(Contestant):
    """`fastnn.tutorial`."""

    def _layer(self, W: NDArray[Any], b: NDArray[Any], activation: ActivationName) -> Any:
        return SimpleNamespace(W=W, b=b, act_f=tutorial.activation(activation))

    def train(self, n: int) -> NDArray[Any]:
        """Take n steps; the outputs before the last."""
        _, X, y, lr = self.problem
        return tutorial.train(self.layers, X, y, tutorial.l2_cost, lr=lr, epochs=n)


class Slow(Contestant):
    """NumPy."""

    def _layer(self, W: NDArray[Any], b: NDArray[Any], activation: ActivationName) -> Any:
        return numpy_network.Layer(W, b, in_numpy(activation))

    def train(self, n: int) -> NDArray[Any]:
        """Take n steps; the outputs before the last."""
        _, X, y, lr = self.problem
        for _ in range(n):
            outputs = numpy_network.step(self.layers, X, y, lr)
        return outputs


def in_numpy(name: str) -> numpy_network.Activation:
    """An activation as `numpy_network` takes it; the oracle's where it has none of its own."""
    if name in numpy_network.ACTIVATIONS:
        return numpy_network.ACTIVATIONS[name]
    row = activations.BY_NAME[name]

    def applied(function: Callable[..., None]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        def apply(x: NDArray[Any]) -> NDArray[Any]:
            out = np.empty_like(x)
            function(x, row.code, out)
            return out

        return apply

    of_oracle = applied(reference.activate), applied(reference.derivative)
    return numpy_network.Activation(*of_oracle, from_z=row.stores_slope)


# ---- times --------------------------------------------------------------------------------------


class Times(NamedTuple):
    """CPU seconds a step, of each round."""

    fast: list[float]
    slow: list[float]
    steps: int  # of the shortest round

    def too_short(self) -> str:
        """Why the times mean nothing; empty if they do mean something."""
        a_step = statistics.median(self.fast)
        if a_step * self.steps >= SHORTEST_ROUND and self.steps >= FEWEST_STEPS:
            return ""
        needed = ROUNDS * max(FEWEST_STEPS, 1.5 * SHORTEST_ROUND / max(a_step, 1e-9))
        size = 10 ** math.floor(math.log10(needed))
        return f"too few steps to time; try --epochs {math.ceil(needed / size) * size}"

    def ratio(self) -> tuple[float, float, float]:
        """NumPy's time over fastnn's: median, smallest, largest."""
        ratios = [slow / fast for fast, slow in zip(self.fast, self.slow, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def take_times(
    problem: Problem, epochs: int, compare: bool, progress: Callable[[float], None]
) -> tuple[Times, NDArray[Any], NDArray[Any]]:
    """Train both, or fastnn alone, for so many epochs; the times, and both nets' parameters."""
    kinds: list[type[Contestant]] = [Fast, Slow] if compare else [Fast]
    times: list[list[float]] = [[], []]
    ends = [epochs * i // ROUNDS for i in range(ROUNDS + 1)]
    rounds = [stop - start for start, stop in itertools.pairwise(ends) if stop > start]
    with _one_core():
        for kind in kinds:
            kind(problem).train(min(WARM_UP, epochs))
        contestants = [kind(problem) for kind in kinds]
        for i, steps in enumerate(rounds):
            for one, seconds in zip(contestants, times, strict=False):
                begin = time.process_time()
                one.train(steps)
                seconds.append((time.process_time() - begin) / steps)
            progress((i + 1) / len(rounds))
    fast, slow = times
    return Times(fast, slow, min(rounds)), contestants[0].params(), contestants[-1].params()


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """One thread for both: threads of NumPy's BLAS that wait for work use CPU time, too."""
    from threadpoolctl import threadpool_limits  # scikit-learn requires it

    set_num_threads(1)
    try:
        with threadpool_limits(1), np.errstate(over="ignore"):
            yield
    finally:
        set_num_threads(None)


# ---- agreement ----------------------------------------------------------------------------------


def difference(fast: NDArray[Any], slow: NDArray[Any]) -> float:
    """The largest difference of two parameters, as a share of the largest parameter."""
    return float(np.abs(fast - slow).max() / np.abs(slow).max())


def one_step_difference(problem: Problem, marks: Iterable[NDArray[Any]]) -> float:
    """The largest difference after single steps from the same parameters.

    With a large learning rate gradient descent can be chaotic: two nets that differ by one
    rounding then part by the size of the parameters, whatever computes them.
    """
    worst = 0.0
    with np.errstate(over="ignore"):
        for params in marks:
            pair = Fast(problem, params), Slow(problem, params)
            for one in pair:
                one.train(1)
            worst = max(worst, difference(pair[0].params(), pair[1].params()))
    return worst
