"""`partial_fit` once more: the run of the last call, for data and options just like its own."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.catalog import activations, losses
from fastnn.parameters import SolverState
from fastnn.training.run import TrainingRun, draw_order

MOST_BYTES = 1_000_000  # of memory that a network keeps between calls
_COMPARABLE = frozenset((int, float, bool, str))


class Again:
    """What a call of `partial_fit` leaves for the next.

    Parameters
    ----------
    run : TrainingRun
        It has done the call's epoch.
    state : SolverState
        The network's, which is the run's.
    options : dict
        Of the call.
    n_rows : int
    shuffle : bool
        Whether the rows come in a new order.
    loss, out_activation : str
        Names in the catalog, which say what targets may be.
    plain : bool
        Whether the data were used as given, and nothing is asked of Python on the way.
    """

    def __init__(
        self,
        run: TrainingRun,
        state: SolverState | None,
        options: dict[str, Any],
        n_rows: int,
        shuffle: bool,
        loss: str,
        out_activation: str,
        plain: bool,
    ) -> None:
        self.run, self.state = run, state
        self._options, self._types = options, _types(options)
        self._curve, self._rows = np.empty(1), np.arange(n_rows)
        self._order = self._rows.copy() if shuffle else None
        units = run.layer_units
        self._shape = n_rows, units[0].item(), units[-1].item()
        self._targets = _targets(loss, out_activation)
        size = run.workspace.nbytes + (1 + len(run.packed_state)) * run.packed.nbytes
        #: whether it is worth keeping: one thread, little memory, options that compare
        self.is_kept = (
            plain
            and run.n_threads == 1
            and size <= MOST_BYTES
            and _COMPARABLE.issuperset(self._types)
        )

    def takes(
        self,
        params: NDArray[Any],
        state: SolverState | None,
        x: Any,
        y: Any,
        options: dict[str, Any],
    ) -> bool:
        """Whether nothing has to be checked, converted or prepared for these."""
        return (
            state is self.state
            and self._types == _types(options)
            and self._options == options
            and kernels.build.can_train(params, x, y, *self._shape, *self._targets)
        )

    def train(
        self,
        params: NDArray[Any],
        x: Any,
        y: Any,
        random_state: np.random.RandomState,
        own: dict[str, Any],
    ) -> None:
        """Train for one epoch; errors are those of `TrainingRun.epochs`.

        own is the network's attributes, whose curve and state are brought up to date.
        """
        run, curve = self.run, own["loss_curve_"]
        before, length = run.count_afresh(), len(curve)
        if self._order is not None:
            self._order[:] = self._rows
            draw_order(self._order, random_state)
        with run:
            try:
                run.begin(params, x, y, self._curve, self._order)
                run.until(1)
                self._note(before, curve, length, own)
            except BaseException:  # which may have come before or within
                self._note(before, curve, length, own)
                raise

    def _note(self, before: int, curve: list[float], length: int, own: dict[str, Any]) -> None:
        """Take down the epoch, if it was done; once more after an interrupt in here."""
        run = self.run
        run.settle()
        self.state = own["_state"] = run.state
        if run.epochs_done > before:
            curve[length:] = [self._curve.item()]


@functools.cache
def _targets(loss: str, out_activation: str) -> tuple[float, float, bool]:
    """What targets must be for the loss and for the output's activation to reach them."""
    row, output = losses.BY_NAME[loss], activations.BY_NAME[out_activation]
    return max(row.lowest, output.low), min(row.high, output.high), row.rows_sum_to_one


def can_train(
    params: NDArray[Any], x: Any, y: Any, n_features: int, n_outputs: int, loss: str,
    out_activation: str,
) -> bool:  # fmt: skip
    """Whether params may be trained on x and y without another look."""
    return kernels.build.can_train(
        params, x, y, 0, n_features, n_outputs, *_targets(loss, out_activation)
    )


def _types(options: dict[str, Any]) -> tuple[type, ...]:
    return tuple(map(type, options.values()))
