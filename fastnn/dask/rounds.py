"""Training by partitions: a loss and gradient over all of them, and epochs from one to the next.

Everything random or rounded follows from the partitions and their order. Who computes what, and
when, is Dask's business: a task has all that it needs, so one that is lost with its worker is done
again with the same result.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import numpy as np
from dask.base import get_scheduler
from numpy.typing import NDArray

from fastnn.dask.partitions import Partition, Refusal
from fastnn.estimators import lbfgs, weighting

# asyncio's is no Exception
FAILURES = (Exception, asyncio.CancelledError)


class RoundFailed(Exception):
    """A task could not be computed, for a reason that is not the data's: `__cause__` says it."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")


# ---- full batches -------------------------------------------------------------------------------


def loss_and_grad(
    estimator: Any, params: NDArray[np.float64], penalised: bool, partition: Partition
) -> tuple[float, NDArray[np.float64]]:
    """The mean loss of a partition's rows and its gradient, at params.

    Parameters
    ----------
    estimator : fastnn.MLPClassifier or fastnn.MLPRegressor
        With the shapes of its parameters, which are not read.
    params : ndarray, (n_params,)
    penalised : bool
        Whether the loss has the penalty of the coefs.
    partition : tuple
        X, y, sample_weight.
    """
    given, y, sample_weight = partition
    estimator = copy.copy(estimator)  # others may be at other partitions with it
    X, targets = estimator._validate_input(given, y, True, False)
    if getattr(estimator, "class_weight", None) is not None:
        sample_weight = weighting.weights(estimator, y, sample_weight, True)
    if not penalised:
        estimator.alpha = 0.0
    _, units = estimator._parameters()
    targets = targets.reshape(len(targets), -1)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    objective = lbfgs.mean_loss(estimator, units, X, targets, weights)
    grads = np.empty_like(params)
    return objective(params, grads), grads


class LossOverPartitions:
    """The mean loss over the rows of all partitions, with its penalty, and its gradient.

    Called as `fastnn.training.objective.MeanLoss`, and adds as that does: means of partitions,
    each times its share of the weights, in order. Of one partition it has the same bits.

    Parameters
    ----------
    estimator : fastnn.MLPClassifier or fastnn.MLPRegressor
        As `loss_and_grad` takes it.
    partitions : sequence of Delayed
    shares : sequence of float
        Of the partitions in the sum of all weights.
    verbose : bool
        Whether to print the loss of each round.
    """

    def __init__(
        self,
        estimator: Any,
        partitions: Sequence[Any],
        shares: Sequence[float],
        verbose: bool = False,
    ) -> None:
        self._estimator = dask.delayed(estimator)
        self._partitions, self._shares = partitions, shares
        self._n_rounds, self._verbose = 0, verbose

    def __call__(self, params: NDArray[np.float64], grads: NDArray[np.float64]) -> float:
        """The loss; grads takes the gradient.

        Raises
        ------
        RoundFailed
        """
        # a task of the graph: it is there again after a worker is lost
        at = dask.delayed(params.copy(), pure=False)
        ask = dask.delayed(loss_and_grad, pure=False)
        tasks = [
            ask(self._estimator, at, i == 0, partition)
            for i, partition in enumerate(self._partitions)
        ]
        try:
            answers = dask.compute(*tasks)
        except FAILURES as error:
            raise RoundFailed(error) from error
        loss = 0.0
        with np.errstate(all="ignore"):
            for i, (share, (value, own)) in enumerate(zip(self._shares, answers, strict=True)):
                np.add(grads if i else 0.0, own * share, out=grads)
                loss += share * value
        self._n_rounds += 1
        if self._verbose:
            print(f"Round {self._n_rounds}, loss = {loss:.8f}")
        return loss


# ---- epochs -------------------------------------------------------------------------------------


def train_on(estimator: Any, options: dict[str, Any], partition: Partition) -> Any | Refusal:
    """A copy of the estimator after its `partial_fit` of a partition; or why there is none."""
    X, y, sample_weight = partition
    if sample_weight is not None:
        options = {**options, "sample_weight": sample_weight}
    estimator = copy.deepcopy(estimator)
    try:
        return estimator.partial_fit(X, y, **options)
    except (TypeError, ValueError) as error:
        return Refusal(TypeError if isinstance(error, TypeError) else ValueError, str(error))


class _Threads:
    """What is used of a `distributed.Client`, by threads of this process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)  # one loads, one trains

    def compute(self, task: Any) -> Any:
        return self._pool.submit(lambda: dask.compute(task)[0])

    def submit(self, function: Any, *args: Any, pure: bool = False) -> Any:
        *given, last = args
        return self._pool.submit(lambda: function(*given, last.result()))

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def present_client() -> Any:
    """The `distributed.Client` that Dask computes with now, or None."""
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "submit") else None


def one_by_one(
    estimator: Any, partitions: Sequence[Any], options: dict[str, Any], n_epochs: int
) -> Generator[Any]:
    """The estimator after each partition of each epoch; the next one is loaded meanwhile.

    Training is where the partition is. Two partitions are in memory at a time.

    Raises
    ------
    RoundFailed
        If a partition could not be loaded or trained on.
    TypeError, ValueError
        Of `partial_fit`.
    """
    client, n = present_client(), len(partitions)
    engine = _Threads() if client is None else client
    following = None
    try:
        for step in range(n_epochs * n):
            try:
                present = engine.compute(partitions[0]) if following is None else following
                training = engine.submit(train_on, estimator, options, present, pure=False)
                following = (
                    engine.compute(partitions[(step + 1) % n]) if step + 1 < n_epochs * n else None
                )
                answer = training.result()
            except FAILURES as error:
                raise RoundFailed(error) from error
            del present, training  # what the workers may forget
            if isinstance(answer, Refusal):
                raise answer.kind(f"partition {step % n}: {answer.message}")
            estimator = answer
            yield estimator
            options = {}  # classes are for the first call
    finally:
        if client is None:
            engine.close()
