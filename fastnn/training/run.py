"""Compiled epochs: a step's record, the cursor that says where a run is, memory and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, parameters, threads
from fastnn.data.rows import Rows, as_rows
from fastnn.parameters import SolverState
from fastnn.training import options


def draw_order(order: NDArray[np.intp], random_state: np.random.RandomState) -> None:
    """Shuffle order, the last epoch's, into the next epoch's, as scikit-learn draws it."""
    bit_generator = random_state._bit_generator
    with bit_generator.lock:
        kernels.build.shuffle(bit_generator, order)


class TrainingRun:
    """Everything it takes to train one network on batches of one size.

    As a context manager it has its threads at work; outside the block the caller works alone.

    Parameters
    ----------
    layer_units : ndarray of intp, (n_layers + 1,)
    codes : ndarray of int32, (n_layers,)
        The activation of each layer.
    step : ndarray of kernels.STEP, (1,)
        From `options.new_step`. Its learning_rate may be changed between epochs.
    dtype : dtype
    n_threads : int
        Threads at work; they change no result.
    weighted : bool
        Whether the last column of y is the weight of each row.
    """

    def __init__(
        self,
        layer_units: NDArray[np.intp],
        codes: NDArray[np.int32],
        step: NDArray[Any],
        dtype: np.dtype[Any],
        *,
        n_threads: int = 1,
        weighted: bool = False,
    ) -> None:
        self._build = kernels.build
        self.layer_units, self.codes, self.step = layer_units, codes, step
        self._train_epoch = kernels.for_dtype(self._build.train_epoch, dtype)
        n_states = options.n_states(step)
        self._packed_rows = parameters.new_packed(layer_units, dtype, n_states + 1)
        self.packed, self.packed_state = self._packed_rows[0], self._packed_rows[1:]
        batch_size = step["batch_size"].item()
        self.workspace = kernels.new_workspace(
            layer_units, batch_size, dtype, n_states, n_threads, weighted
        )
        self._team = threads.Team(self._build, n_threads)
        cursor = kernels.new_cursor()
        self._epoch, self._row, self._n_steps = cursor["epoch"], cursor["row"], cursor["step"]
        self._status, self._stop = cursor["status"], cursor["stop"]
        self._step_bytes, self._n_threads = step.view(np.uint8), step["n_threads"]
        self._learning_rate = step["learning_rate"]
        self._cursor, self._epochs_before = cursor.view(np.uint8), 0

    def set_learning_rate(self, rate: float) -> None:
        """Take steps of this size from the next epoch on."""
        self._learning_rate[0] = rate

    # ---- the solver's state ----

    @property
    def n_steps(self) -> int:
        """Steps that the solver has ever done."""
        n: int = self._n_steps.item()
        return n

    @property
    def epochs_done(self) -> int:
        """Epochs that this run has done."""
        n: int = self._epochs_before + self._epoch.item()
        return n

    @property
    def state(self) -> SolverState:
        """The solver's state, which the run goes on changing."""
        return SolverState(self.step["solver"].item(), self.packed_state, self.n_steps)

    def go_on_from(self, state: SolverState) -> None:
        """Take a copy of another run's state, of the same solver and network."""
        self.packed_state[:], self._n_steps[0] = state.packed, state.n_steps

    def plain_state(self) -> NDArray[Any]:
        """The solver's vectors laid out like the parameters, (n_states, n_params)."""
        return parameters.unpack_rows(self.packed_state, self.layer_units, self.codes)

    def load_plain_state(self, plain: NDArray[Any], n_steps: int) -> None:
        """Go on from vectors laid out like the parameters, (n_states, n_params)."""
        self.packed_state[:] = parameters.pack_rows(plain, self.layer_units, self.codes)
        self._n_steps[0] = n_steps

    # ---- threads ----

    def __enter__(self) -> TrainingRun:
        self._team.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._team.__exit__(*exception)

    # ---- epochs ----

    def epochs(
        self,
        params: NDArray[Any],
        x: Rows,
        y: NDArray[Any],
        loss_curve: NDArray[np.float64],
        order: NDArray[np.intp] | None = None,
        output: NDArray[Any] | None = None,
    ) -> None:
        """Train params for as many epochs as loss_curve has room for.

        Parameters
        ----------
        params : ndarray, (n_params,)
            Each layer's coefs and intercepts.
        x : ndarray, (n, units), or SparseRows
        y : ndarray, (n, units)
            Checked already. In a weighted run it has one more column, the weight of each row.
        loss_curve : ndarray of float64
            Takes the mean loss of each epoch.
        order : ndarray of intp, (n,), optional
            The order in which the rows are used; by default as they are stored.
        output : ndarray, (n, units), optional
            Takes the outputs of the last epoch's forward passes, before their steps.

        Raises
        ------
        FloatingPointError
            If the loss or a parameter is no longer finite, unless the step is to keep going. The
            parameters are then those at the start of that epoch, and the solver starts afresh.
        ZeroDivisionError
            If the weights of a batch add up to 0. The parameters are those before its step.
        """
        self.until(len(loss_curve), self.begin(params, x, y, loss_curve, order, output))

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
        in_parts: bool = False,
    ) -> tuple[Any, ...]:
        """The arguments of `until`, which trains as `epochs` does but for some epochs at a time.

        Call it while the run's threads are at work. The caller keeps the result, since the run may
        outlive the data.

        Parameters
        ----------
        first : int
            Epochs of loss_curve that are done already.
        in_parts : bool
            Whether there will be many parts; the arrays are then inspected only once.
        """
        packed, units, codes = self._packed_rows, self.layer_units, self.codes
        step, workspace, cursor = self._step_bytes, self.workspace, self._cursor
        rows, columns, row_starts = as_rows(x)
        self._n_threads[0] = self._team.n_threads
        if in_parts:
            (params, packed, units, codes, step, rows, y, order, workspace, cursor, loss_curve) = (
                self._build.typed_views(
                    params, packed, units, codes, step, rows, y, order, workspace, cursor,
                    loss_curve,
                )
            )  # fmt: skip
        self._count_from(first)
        return (
            params, packed, units, codes, step, rows, columns, row_starts, y, order, workspace,
            self._team.memory, cursor, loss_curve, output,
        )  # fmt: skip

    def _count_from(self, epoch: int) -> None:
        self._epochs_before = self.epochs_done - epoch
        self._epoch[0], self._row[0] = epoch, 0

    def again(self, arguments: tuple[Any, ...]) -> None:
        """Train once more for the first epoch of `begin`, from the present parameters."""
        self._count_from(0)
        self.until(1, arguments)

    def until(self, stop: int, arguments: tuple[Any, ...]) -> None:
        """Train until that many epochs of the loss_curve given to `begin` are done.

        Errors are those of `epochs`. After one, and after an interrupt, call `begin` again.
        """
        status, train_epoch = self._status, self._train_epoch
        status[0], self._stop[0] = kernels.START, stop
        try:
            train_epoch(*arguments)
            while status.item() < kernels.FINISHED:
                train_epoch(*arguments)
        except BaseException:  # Ctrl-C between two calls
            if status.item() == kernels.RUNNING and (
                self.step["keep_going"].item() or self._build.all_finite(self.packed)
            ):
                self._build.unpack(
                    self.packed, self.layer_units, self.codes, self.workspace, arguments[0]
                )
            raise
        if status.item() == kernels.WEIGHTLESS:
            raise ZeroDivisionError(
                "Weights sum to zero, can't be normalized: those of a batch in epoch "
                f"{self.epochs_done + 1}. The parameters are those before its step"
            )
        if status.item() == kernels.DIVERGED:
            self.packed_state[:], self._n_steps[0] = 0, 0
            raise FloatingPointError(
                f"training diverged in epoch {self.epochs_done + 1}: the loss or a parameter is "
                "no longer finite. The parameters are those before that epoch. "
                + self._advice(np.asarray(arguments[5]), np.asarray(arguments[8]))
            )

    def _advice(self, x: NDArray[Any], y: NDArray[Any]) -> str:
        """What to try after the loss left the finite numbers."""
        return advice(x, y[:, : self.layer_units[-1]], self.step["learning_rate"].item())


LARGE = 10.0  # numbers beyond are hardly of mean 0 and variance 1


def advice(x: NDArray[Any], y: NDArray[Any], rate: float | None = None) -> str:
    """What to try after the loss left the finite numbers; rate is None for L-BFGS."""
    large_x, large_y = (float(np.abs(a).max(initial=0)) > LARGE for a in (x, y))
    large = " and ".join(name for name, big in (("X", large_x), ("y", large_y)) if big)
    scaled = [f"{large} scaled to mean 0 and variance 1"] if large else []
    lower = [] if rate is None else [f"a learning rate below {rate:g}"]
    return "Try " + ", or ".join(lower + scaled) if lower + scaled else ""
