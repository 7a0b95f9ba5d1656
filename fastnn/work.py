"""How much work a compiled call does, and how many threads that is worth."""

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, threads

# A compiled call returns after about this many multiply-adds, some ten milliseconds, so that
# Ctrl-C is answered.
BUDGET = 2e8

# Multiply-adds, some milliseconds, from which on it is worth 0.1 ms to start a thread.
WORTH_A_THREAD = 4e8


@functools.lru_cache
def training_work(layer_units: tuple[int, ...]) -> float:
    """Multiply-adds of training on one row."""
    # an activation and its delta cost about as much as 20 multiply-adds
    return sum(3.0 * k * n + 20.0 * n for k, n in itertools.pairwise(layer_units))


def n_rows_of_dual(layer_units: NDArray[np.intp], n_rows: int) -> int:
    """Rows of the dual matrix: one for each output of each sample, in groups of 8 samples."""
    n: int = -(-n_rows // 8) * 8 * layer_units[-1].item()
    return n


def order_of_matrix(
    layer_units: NDArray[np.intp], n_rows: int, evidence: bool = False
) -> tuple[int, bool]:
    """The order of the matrix of a step of Levenberg-Marquardt, and whether it is the dual one.

    The other has a row for each parameter; the smaller is taken, but for the evidence.
    """
    n_params = sum((k + 1) * n for k, n in itertools.pairwise(layer_units.tolist()))
    n = n_rows_of_dual(layer_units, n_rows)
    return (n_params, False) if evidence or n >= n_params else (n, True)


def search_work(layer_units: NDArray[np.intp], n_rows: int, evidence: bool = False) -> float:
    """Multiply-adds of one step of Levenberg-Marquardt."""
    order, dual = order_of_matrix(layer_units, n_rows, evidence)
    depth: float = n_rows * layer_units[-1].item()
    if dual:
        depth = 2.0 * layer_units.sum().item()
    return (depth / 2 + order / 6) * order**2


def search_threads(
    layer_units: NDArray[np.intp],
    n_rows: int,
    n_epochs: int,
    n_jobs: int | None = None,
    evidence: bool = False,
) -> int:
    """How many threads to solve equations with in so many epochs."""
    threads.from_environment()
    if search_work(layer_units, n_rows, evidence) * n_epochs < WORTH_A_THREAD:
        return 1
    most: int = max(1, order_of_matrix(layer_units, n_rows, evidence)[0] // 48)
    return min(threads.resolve(n_jobs), most)


def training_threads(
    layer_units: NDArray[np.intp], batch_size: int, dtype: np.dtype[Any], samples: int,
    n_jobs: int | None = None,
) -> int:  # fmt: skip
    """How many threads to train on that many samples, each counted once an epoch."""
    threads.from_environment()  # a bad number is refused in small work too
    if samples * training_work(tuple(layer_units.tolist())) < WORTH_A_THREAD:
        return 1
    n_threads = threads.resolve(n_jobs)
    if n_threads > 1:
        n_threads = kernels.build.useful_threads(
            layer_units, batch_size, dtype.itemsize, n_threads
        )
    return n_threads
