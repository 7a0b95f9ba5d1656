"""A fit that is running, as a file can hold it, so that another fit goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.callbacks import Listeners
from fastnn.data import checks
from fastnn.data.rows import SparseRows
from fastnn.schedules import Checked, Schedule

#: what a file says of a fit besides settings
PARTS = {"epoch", "max_iter", "settings", "data", "order", "learning_rate", "listeners", "more"}


class RunningFit:
    """One fit.

    Parameters
    ----------
    settings : dict
        What must be the same for a fit that goes on, by the names of arguments.
    data : sequence
        Arrays and rows that must hold the same numbers; None for what is not given.
    max_iter : int
        Epochs to come, at most.
    order : ndarray of intp or None
        The order of the samples, which each epoch changes.
    step : ndarray of kernels.STEP
        Its learning_rate may be changed by callbacks.
    listeners : Listeners
    more : callable, optional
        Returns what else a file holds.

    Attributes
    ----------
    epoch : int
        Epochs that are done.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        data: Iterable[Any],
        max_iter: int,
        order: NDArray[np.intp] | None,
        step: NDArray[Any],
        listeners: Listeners,
        more: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._settings = {name: as_plain(value) for name, value in settings.items()}
        self._data, self._max_iter, self.order = list(data), max_iter, order
        self._step, self._listeners, self.epoch = step, listeners, 0
        self._more = more
        self._checksum: str | None = None

    def state(self) -> dict[str, Any]:
        """It all, as a file holds it."""
        return {
            "epoch": self.epoch, "max_iter": self._max_iter, "settings": self._settings,
            "data": self._checksum_of_data(),
            "order": None if self.order is None else self.order.astype(np.int64),
            "learning_rate": self._step["learning_rate"].item(),
            "listeners": self._listeners.state(self.epoch),
            "more": None if self._more is None else self._more(),
        }  # fmt: skip

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse the state of another fit.

        Raises
        ------
        ValueError
            It names what is different.
        """
        if not isinstance(state, Mapping) or state.keys() != PARTS:
            raise ValueError("resume: the file does not say how the fit stood")
        for name, wanted in self._settings.items():
            given = state["settings"].get(name)
            if given != wanted and given is not wanted:
                raise ValueError(
                    f"resume: the fit in the file has {name}={checks.shown(given)}, this one "
                    f"{checks.shown(wanted)}"
                )
        if state["data"] != self._checksum_of_data():
            raise ValueError("resume: the fit in the file has other data, or of another type")
        epoch, order = state["epoch"], state["order"]
        if type(epoch) is not int or not 0 < epoch <= self._max_iter:
            raise ValueError(
                f"resume: the fit in the file has done {checks.shown(epoch)} epochs, and max_iter "
                f"is {self._max_iter}"
            )
        if (order is None) != (self.order is None) or (
            self.order is not None
            and not np.array_equal(np.sort(order, axis=None), np.arange(len(self.order)))
        ):
            raise ValueError("resume: the order of the samples in the file is none")
        checks.real_number("resume: learning_rate", state["learning_rate"], 0)

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that was checked."""
        self.epoch = state["epoch"]
        if self.order is not None:
            self.order[:] = state["order"]
        self._step["learning_rate"] = state["learning_rate"]

    def _checksum_of_data(self) -> str:
        if self._checksum is None:
            total = hashlib.sha256()
            for one in self._data:
                if hasattr(one, "tocsr"):
                    one = one.tocsr()
                    one = SparseRows(one.data, one.indices, one.indptr)
                for array in one if isinstance(one, SparseRows) else (one,):
                    if array is None:
                        total.update(b"none;")
                        continue
                    array = np.ascontiguousarray(array)
                    little = array.dtype.newbyteorder("<")
                    total.update(f"{little.str}{array.shape};".encode())
                    total.update(array.astype(little, copy=False).data)
            self._checksum = total.hexdigest()
        return self._checksum


def as_plain(value: Any) -> Any:
    """An option as a file holds it, to compare; of functions there is no more than a name."""
    if isinstance(value, Checked):
        value = value.schedule
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_plain(one) for one in value]
    if isinstance(value, Schedule):
        return repr(value)
    return f"the function {getattr(value, '__qualname__', type(value).__qualname__)}"
