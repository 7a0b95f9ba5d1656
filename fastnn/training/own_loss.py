"""A loss of one's own: Python computes values and derivatives of a batch, kernels all the rest."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastnn.data import checks
from fastnn.data.rows import Rows
from fastnn.forward import forward_rows
from fastnn.training.losses import OwnLoss
from fastnn.training.objective import MeanLoss
from fastnn.training.run import StoppingRule, TrainingRun


def evaluate(own: OwnLoss, output: NDArray[Any], y: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """The mean of the values, and the derivatives, both checked.

    Raises
    ------
    TypeError, ValueError
        If a function returns anything but numbers of the right shape.
    FloatingPointError
        If one of them is not finite.
    """
    n, shape = len(output), output.shape
    given, targets = output.view(), y.view()  # the functions may not write to them
    given.flags.writeable = targets.flags.writeable = False
    values = _numbers("values", own[0](given, targets), ((n,), shape))
    derivatives = _numbers("derivatives", own[1](given, targets), (shape,))
    mean = float(values.sum(dtype=np.float64)) / n
    return mean, np.ascontiguousarray(derivatives, output.dtype)


def _numbers(name: str, result: Any, shapes: tuple[tuple[int, ...], ...]) -> NDArray[Any]:
    array = checks.numeric_array(f"the loss's {name}", result)
    if array.shape not in shapes:
        wanted = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"the loss's {name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise FloatingPointError(f"the loss's {name} are not all finite")
    return array


def mean_loss(
    net: tuple[NDArray[np.intp], NDArray[np.int32]],
    own: OwnLoss,
    alpha: float,
    x: Rows,
    y: NDArray[Any],
    n_jobs: int | None,
    params: NDArray[Any],
    grads: NDArray[Any],
) -> float:
    """What `MeanLoss` gives, for a loss of one's own."""
    output = np.empty_like(y)
    forward_rows(params, *net, x, output, n_jobs)
    mean, derivatives = evaluate(own, output, y)
    # of the loss "given", whose value is the penalty's alone
    return mean + MeanLoss(*net, "given", alpha, x, derivatives, n_jobs)(params, grads)


class OwnLossRun(TrainingRun):
    """A run whose batches ask two Python functions; parameters are those of `TrainingRun`."""

    def __init__(self, *args: Any, own: OwnLoss, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own, self._done, self._one = own, 0, np.zeros(1)
        self._fit: tuple[Any, ...] = ()

    @property
    def epochs_done(self) -> int:
        """Epochs that this run has done."""
        return self._done

    def begin(
        self,
        params: NDArray[Any],
        x: Rows,
        y: NDArray[Any],
        loss_curve: NDArray[np.float64],
        order: NDArray[np.intp] | None = None,
        output: NDArray[Any] | None = None,
        *,
        first: int = 0,
        random_state: np.random.RandomState | None = None,
        rule: StoppingRule | None = None,
    ) -> None:
        """As of `TrainingRun`, without output, random_state and rule."""
        self._fit, self._done = (params, x, y, loss_curve, order), first

    def until(self, stop: int) -> None:
        """Train until that many epochs are done; errors are those of the functions, too.

        After one of theirs the parameters are those that the last step left.
        """
        while self._done < stop:
            self._fit[3][self._done] = self._epoch(*self._fit)
            self._done += 1

    def _epoch(
        self, params: NDArray[Any], x: NDArray[Any], y: NDArray[Any], _: Any, order: Any
    ) -> float:
        n, size = len(y), self.step["batch_size"].item()
        before, total = params.copy(), 0.0
        try:
            for start in range(0, n, size):
                rows = slice(start, start + size) if order is None else order[start : start + size]
                batch, targets = x[rows], y[rows]
                output = np.empty_like(targets)
                forward_rows(params, self.layer_units, self.codes, batch, output, self.n_threads)
                mean, derivatives = evaluate(self._own, output, targets)
                super().begin(params, batch, derivatives, self._one)
                super().until(1)
                total += (mean + self._one.item()) * len(targets)
        except _Diverged as error:
            params[:] = before
            raise FloatingPointError(str(error)) from None
        return total / n

    def _failed(self, x: Any, y: NDArray[Any]) -> NoReturn:
        try:
            super()._failed(x, y)
        except FloatingPointError as error:
            raise _Diverged(str(error)) from None


class _Diverged(Exception):
    """The network left the finite numbers, not the functions."""
