"""Many networks of one shape at once: lanes of a vector are networks (kernels/nets.pxi)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, parameters, threads
from fastnn.catalog import solvers
from fastnn.catalog.records import STATUS
from fastnn.parameters import SolverState
from fastnn.training.options import Options
from fastnn.training.run import NOT_FINITE, advice
from fastnn.training.side_by_side import Fits

# what a step may have beside these is for networks alone: options by name, and what they must be
_ALONE = {"learning_rate": None, "clip_norm": 0, "ema": 0, "input_noise": 0, "dropout": 0}
# Bytes of parameters, gradients and Adam's moments of all lanes. On a Zen 4 core networks in lanes
# are 1.2 to 4.7 times as fast with 33 parameters, 1.0 to 1.2 times with 1,150 to 1,400
# (`python bench/many.py`); beyond, the second-level cache is full.
_TINY, _SMALL = 100 << 10, 320 << 10
_BRIEF = 8
_Settle = Callable[[list[int]], None]


def lanes_of(dtype: np.dtype[Any]) -> int:
    """Networks that a thread trains at a time."""
    info = kernels.build.build_info()
    n: int = info["lanes_f32" if dtype == np.float32 else "lanes_f64"]
    return n


def why_not(options: Options) -> str | None:
    """What of these options no lanes can do, or None."""
    if options["solver"] == "rprop" or options.searches:
        return f'solver "{options["solver"]}"'
    for name, plain in _ALONE.items():
        if options[name] != plain:
            return name
    return None


def are_worth_it(n_nets: int, n_params: int, dtype: np.dtype[Any], batch_size: int) -> bool:
    """Whether networks of one shape train sooner as lanes of a vector than as samples do.

    They do if their parameters stay in the caches, and if there are enough of them: a vector takes
    as long with some lanes free. The number of threads does not matter, as it must change no bit.
    """
    n_lanes = lanes_of(dtype)
    n_bytes = 3 * n_params * n_lanes * dtype.itemsize
    if n_bytes > (2 * _SMALL if batch_size <= _BRIEF else _SMALL):
        return False
    gain = 1.4 if n_bytes <= _TINY or batch_size <= _BRIEF else 1.1
    return -(-n_nets // n_lanes) * n_lanes <= gain * n_nets


class LaneFit(NamedTuple):
    """One network's fit."""

    params: NDArray[Any]  # (n_params,)
    rows: NDArray[np.intp] | None  # of x; None: all
    step: NDArray[Any]  # a record
    n_epochs: int
    bit_generator: Any  # None: rows keep their order


class LaneResult(NamedTuple):
    """What a network has become."""

    params: NDArray[Any]
    loss_curve: list[float]
    state: SolverState
    error: FloatingPointError | None


class LaneFits:
    """The fits of networks that differ in numbers alone, for any number of threads.

    Parameters
    ----------
    fits : sequence of LaneFit
    layer_units : ndarray of intp
    codes : ndarray of int32
        The activation of each layer.
    table : ndarray, (n, layer_units[0] + layer_units[-1])
        Inputs and targets, checked.
    """

    def __init__(
        self,
        fits: Sequence[LaneFit],
        layer_units: NDArray[np.intp],
        codes: NDArray[np.int32],
        table: NDArray[Any],
    ) -> None:
        self._fits, self._table = fits, table
        self._units, self._codes = layer_units, codes
        self._params = np.array([fit.params for fit in fits])
        self.n_lanes = lanes_of(self._params.dtype)
        of_step = {id(fit.step): fit.step for fit in fits}  # networks that are alike have one
        as_bytes = {key: kernels.step_bytes(step) for key, step in of_step.items()}
        steps = np.array([as_bytes[id(fit.step)] for fit in fits])
        self._solver: int = fits[0].step["solver"].item()
        n, n_params = self._params.shape
        n_states = solvers.BY_CODE[self._solver].n_states
        self._states = np.zeros((n, n_states, n_params), self._params.dtype)
        n_epochs = np.array([fit.n_epochs for fit in fits], np.intp)
        self._curves = np.zeros((n, n_epochs.max()))
        self._ends = np.zeros((n, 3), np.int64)
        lengths = [len(table) if fit.rows is None else len(fit.rows) for fit in fits]
        rows = None
        if any(fit.rows is not None for fit in fits):
            everything = np.arange(len(table), dtype=np.intp)
            rows = np.concatenate([everything if f.rows is None else f.rows for f in fits])
        self._generators = [fit.bit_generator for fit in fits]
        self._lanes = kernels.build.NetLanes(
            self._params, self._states, layer_units, codes, steps, table, rows,
            np.cumsum([0, *lengths]), n_epochs, self._generators, self._curves, self._ends,
        )  # fmt: skip
        self._waiting, self._lock = iter(range(n)), threading.Lock()

    def work(self, fits: Fits, settle: _Settle) -> None:
        """Train until no network is left, or for as long as `fits` says.

        settle(numbers) is called when networks ended; `results` has what they have become.
        """
        workspace = kernels.aligned_zeros(self._lanes.workspace_size, np.uint8)
        at_work: set[int] = set()
        try:
            while not fits.over.is_set():
                fresh = self._take(self.n_lanes - len(at_work), fits)
                at_work.update(fresh)
                if not at_work:
                    return
                generators = (self._generators[i] for i in at_work)
                ended = threads.draw_from_many(
                    (g for g in generators if g is not None), self._lanes.train, workspace, fresh
                )
                if ended:
                    settle(ended)
                    at_work.difference_update(ended)
                    fits.done(len(ended))
        finally:  # Ctrl-C, or an error elsewhere
            if at_work:
                self._leave(workspace, at_work, settle)

    def _leave(self, workspace: NDArray[Any], at_work: set[int], settle: _Settle) -> None:
        """Settle what has begun; a second Ctrl-C in between loses nothing."""
        try:
            self._lanes.leave(workspace)
            settle(self._begun(at_work))
        except BaseException:
            self._lanes.leave(workspace)
            settle(self._begun(at_work))
            raise

    def _begun(self, numbers: set[int]) -> list[int]:
        return [i for i in sorted(numbers) if self._ends[i, 2] != STATUS["start"]]

    def _take(self, n: int, fits: Fits) -> list[int]:
        with self._lock:
            fresh = [] if fits.end_soon else list(itertools.islice(self._waiting, n))
        if fresh:
            fits.begin(len(fresh))
        return fresh

    def results(self, numbers: Iterable[int]) -> list[LaneResult]:
        """What networks have become, which ended or were left."""
        numbers = list(numbers)
        _, n_states, n_params = self._states.shape
        states = self._states[numbers].reshape(len(numbers) * n_states, n_params)
        packed = parameters.pack_rows(states, self._units, self._codes)
        found = []
        for k, (i, end) in enumerate(zip(numbers, self._ends[numbers].tolist(), strict=True)):
            n_epochs, n_steps, status = end
            own = packed[k * n_states : (k + 1) * n_states]
            error = self._error(i, n_epochs) if status == STATUS["diverged"] else None
            state, curve = SolverState(self._solver, own, n_steps), self._curves[i, :n_epochs]
            found.append(LaneResult(self._params[i], curve.tolist(), state, error))
        return found

    def _error(self, i: int, n_epochs: int) -> FloatingPointError:
        rows = self._fits[i].rows
        own = self._table if rows is None else self._table[rows]
        x, y = np.split(own, [self._units[0]], axis=1)
        return FloatingPointError(
            f"training diverged in epoch {n_epochs + 1}: {NOT_FINITE}. The parameters are those "
            f"before that epoch. {advice(x, y, self._fits[i].step['learning_rate'].item())}"
        )
