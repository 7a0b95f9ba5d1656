"""Many networks of one shape."""

from collections.abc import Sequence

import numpy as np

from fastnn.catalog.records import STATUS
from fastnn.reference.layout import Array
from fastnn.reference.records import CURSOR, read_step
from fastnn.reference.training import train_epoch

_DENSE = np.empty(0, np.int32), np.empty(0, np.intp)  # columns and row_starts


class NetLanes:
    """Epochs of many networks of one shape, loss and solver, one after the other.

    Parameters
    ----------
    params : (n_nets, n_params)
        Trained in place.
    states : (n_nets, n_states, n_params)
        Takes the solver's state.
    layer_units, activations
    steps : (n_nets, bytes)
        Step records.
    table : (n, layer_units[0] + layer_units[-1])
        Inputs and targets.
    rows : (starts[-1],) or None
        Rows of the table, each network's after those before; None: all of them are used.
    starts : (n_nets + 1,)
        Where in rows each network's begin, and the last end.
    n_epochs : (n_nets,)
    bit_generators : list
        What shuffles a network's rows before each epoch of several batches, or None.
    loss_curves : (n_nets, epochs)
        Takes the mean losses.
    ends : (n_nets, 3)
        Takes epochs, steps and status.
    """

    def __init__(
        self,
        params: Array,
        states: Array,
        layer_units: Array,
        activations: Array,
        steps: Array,
        table: Array,
        rows: Array | None,
        starts: Array,
        n_epochs: Array,
        bit_generators: list[np.random.BitGenerator | None],
        loss_curves: Array,
        ends: Array,
    ) -> None:
        self._params, self._states, self._ends = params, states, ends
        self._net = layer_units, activations
        self._steps, self._table = steps, table
        self._rows, self._starts, self._n_epochs = rows, starts, n_epochs
        self._generators, self._curves = bit_generators, loss_curves

    @property
    def workspace_size(self) -> int:
        """Bytes of a thread's workspace."""
        return 1

    def train(self, workspace: Array | None, fresh: Sequence[int]) -> list[int]:
        """Train these networks; returns their numbers."""
        for i in fresh:
            self._train(i)
        return list(fresh)

    def _train(self, i: int) -> None:
        units = self._net[0]
        rows = np.arange(len(self._table))
        if self._rows is not None:
            rows = self._rows[self._starts[i] : self._starts[i + 1]]
        own = self._table[rows]
        x, y = own[:, : units[0]].copy(), own[:, units[0] :].copy()
        cursor = np.zeros(1, CURSOR)
        cursor["stop"] = self._n_epochs[i]
        packed_rows = np.zeros((1 + self._states.shape[1], self._params.shape[1]), x.dtype)
        generator, order = self._generators[i], None
        if read_step(self._steps[i]).batch_size >= len(x):
            generator = None
        if generator is not None:
            order = np.arange(len(x))
        while cursor["status"][0] <= STATUS["running"]:
            train_epoch(
                self._params[i], packed_rows, *self._net, self._steps[i], x, *_DENSE, y, order,
                None, None, cursor.view(np.uint8), self._curves[i], None, generator,
            )  # fmt: skip
        status, n_steps = cursor["status"][0], cursor["step"][0]
        if status == STATUS["diverged"]:
            n_steps, packed_rows[1:] = 0, 0
        self._states[i] = packed_rows[1:]
        self._ends[i] = cursor["epoch"][0], n_steps, status

    def leave(self, workspace: Array | None) -> None:
        """Nothing: no network is in the middle of its fit."""
