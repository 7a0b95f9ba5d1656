"""A loss of one's own: Python computes values and derivatives of a batch, kernels all the rest."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.data import checks
from fastnn.data.rows import Rows
from fastnn.forward import forward_rows
from fastnn.training.losses import OwnLoss
from fastnn.training.objective import MeanLoss
from fastnn.training.run import NOT_FINITE, StoppingRule, TrainingRun


def evaluate(own: OwnLoss, output: NDArray[Any], y: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """The mean of the values, and the derivatives, both checked, as kernels take them.

    Parameters
    ----------
    own : pair of functions
    output : ndarray, (n, n_outputs)
    y : ndarray, (n, n_outputs), or with one more column, the weight of each row
        The derivatives keep that column; the mean is then a weighted one.

    Raises
    ------
    TypeError, ValueError
        If a function returns anything but numbers of the right shape.
    FloatingPointError
        If one of them is not finite.
    """
    n, shape = len(output), output.shape
    given, targets = output.view(), y[:, : shape[1]]  # the functions may not write to them
    given.flags.writeable = targets.flags.writeable = False
    values = _numbers("values", own[0](given, targets), ((n,), shape))
    with np.errstate(over="ignore"):
        derivatives = _numbers("derivatives", own[1](given, targets), (shape,), output.dtype)
    weights = y[:, shape[1] :]
    if not weights.size:
        mean = float(values.sum(dtype=np.float64)) / n
    else:
        rows = values.reshape(n, -1).sum(axis=1, dtype=np.float64)
        of_rows = weights[:, 0].astype(np.float64)
        mean = float(rows @ of_rows) / (float(of_rows.sum()) or 1.0)  # kernels refuse weights of 0
        derivatives = np.hstack([derivatives, weights])
    return mean, np.ascontiguousarray(derivatives)


def _numbers(
    name: str, result: Any, shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any] | None = None
) -> NDArray[Any]:
    array = checks.numeric_array(f"the loss's {name}", result)
    array = array if dtype is None else array.astype(dtype, copy=False)
    if array.shape not in shapes:
        wanted = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"the loss's {name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise FloatingPointError(f"the loss's {name} are not all finite")
    return array


class OwnMeanLoss:
    """As `MeanLoss`, for a loss of one's own."""

    def __init__(
        self,
        layer_units: NDArray[np.intp],
        codes: NDArray[np.int32],
        own: OwnLoss,
        alpha: float,
        x: Rows,
        y: NDArray[Any],
        n_jobs: int | None = None,
    ) -> None:
        self._net, self._own, self._alpha = (layer_units, codes), own, alpha
        self._x, self._y, self._n_jobs = x, y, n_jobs

    def __call__(self, params: NDArray[Any], grads: NDArray[Any]) -> float:
        """The loss; its gradient goes into grads, which may be empty."""
        output = np.empty((len(self._y), self._net[0][-1]), self._y.dtype)
        forward_rows(params, *self._net, self._x, output, self._n_jobs)
        mean, derivatives = evaluate(self._own, output, self._y)
        # of the loss "given", whose value is the penalty's alone
        penalty = MeanLoss(*self._net, "given", self._alpha, self._x, derivatives, self._n_jobs)
        return mean + penalty(params, grads)


class OwnLossRun(TrainingRun):
    """A run whose batches ask two Python functions; parameters are those of `TrainingRun`."""

    def __init__(self, own: OwnLoss, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own, self._done, self._one = own, 0, np.zeros(1)
        self._offset = 0  # of epochs_done to that of the loss_curve
        self._fit: tuple[Any, ...] = ()
        self._schedule: NDArray[np.float64] | None = None
        self._began = 0

    @property
    def epochs_done(self) -> int:
        """Epochs that this run has done."""
        return self._offset + self._done

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
        schedule: NDArray[np.float64] | None = None,
    ) -> None:
        """As of `TrainingRun`, without output, random_state and rule."""
        self._offset = self.epochs_done - first
        self._data, self._done = (params, x, y), first
        self._fit = params, x, y, loss_curve, order
        self._schedule, self._began = schedule, self.n_steps

    def _until(self, stop: int) -> None:
        """As of `TrainingRun`; errors are those of the functions, too.

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
                total += self._batch(params, x[rows], y[rows])
        except FloatingPointError as error:
            params[:] = before
            self._diverged(str(error), x, y)
        return total / n

    def _batch(self, params: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> float:
        """Take one step; returns the loss before it, times the rows."""
        mean, derivatives = evaluate(self._own, self._outputs(params, x, y), y)
        before = self._calls.last_loss
        # "given" is without the functions' values: with rprop it is to rise where they do
        self._calls.last_loss = before - mean * len(y)
        self._step_on(params, x, derivatives)
        total = (mean + self._one.item()) * len(y)
        self._calls.last_loss = total
        return total

    def _step_on(
        self, params: NDArray[Any], x: NDArray[Any], y: NDArray[Any], output: Any = None
    ) -> None:
        now = None
        if self._schedule is not None:
            i = self.n_steps - self._began
            now = self._schedule[i : i + 1]
        super().begin(params, x, y, self._one, output=output, schedule=now)
        super()._until(1)

    def _outputs(self, params: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        output = np.empty((len(y), self.layer_units[-1]), y.dtype)
        if not self._draws:
            forward_rows(params, self.layer_units, self.codes, x, output, self.n_threads)
            return output
        # with the step's own dropout and noise: of a step on zeros that is undone
        calls, kept = self._calls, (params.copy(), self.packed_state.copy())
        done = calls.n_steps, calls.last_loss
        nothing = y.copy()
        nothing[:, : self.layer_units[-1]] = 0
        try:
            self._step_on(params, x, nothing, output)
        finally:
            params[:], self.packed_state[:] = kept
            calls.n_steps, calls.last_loss = done
        return output

    def _failed(self, x: Any, y: NDArray[Any]) -> NoReturn:
        if self._calls.status == kernels.DIVERGED:
            raise FloatingPointError(NOT_FINITE)  # `_epoch` puts the parameters back
        super()._failed(x, y)
