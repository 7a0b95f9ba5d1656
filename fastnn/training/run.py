"""Compiled epochs: a step's record, the cursor that says where a run is, memory and threads."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, pages, parameters, threads
from fastnn.catalog import solvers
from fastnn.data.rows import Rows, as_rows
from fastnn.parameters import SolverState


def draw_order(order: NDArray[np.intp], random_state: np.random.RandomState) -> None:
    """Shuffle order, the last epoch's, into the next epoch's, as scikit-learn draws it."""
    threads.draw(kernels.build.shuffle, random_state._bit_generator, order)


class TrainingRun:
    """Everything it takes to train one network on batches of one size.

    As a context manager it has its threads at work, and holds the data that it trains on.

    Attributes
    ----------
    over : bool
        Whether nothing is left to do before the last epoch: never.

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

    over = False

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
        self.build = kernels.build
        self.layer_units, self.codes, self.step = layer_units, codes, step
        self._solver: int = step["solver"].item()
        self._averages = bool(step["ema"].item())
        self._draws = bool(step["n_dropout"].item() or step["input_noise"].item())
        #: whether the solver's state is more than its vectors and the number of steps
        self._carries_more = self._averages or self._draws or self._solver == _RPROP
        self._seed: int = step["seed"].item()
        # vectors that are carried from step to step: the solver's, and an average
        self.n_solver_states = solvers.BY_CODE[self._solver].n_states
        n_states = self.n_solver_states + self._averages
        self._packed_rows = parameters.new_packed(layer_units, dtype, n_states + 1)
        self.packed, self.packed_state = self._packed_rows[0], self._packed_rows[1:]
        self.workspace = kernels.new_workspace(
            layer_units, step["batch_size"].item(), dtype, n_states, n_threads, weighted
        )
        self._team, self.n_threads = threads.Team(self.build, n_threads), n_threads
        self._data: tuple[Any, ...] = ()
        cursor = np.zeros(kernels.CURSOR.itemsize, _BYTES)
        self._counted_from = 0
        self._n_threads, self._learning_rate = step["n_threads"], step["learning_rate"]
        self._threads_at_work: int = self._n_threads.item()
        self._raw: NDArray[Any] | None = None
        self._shown: NDArray[Any] | None = None
        self._shown_at = -1  # steps that the solver had done then
        self._calls = self.build.Epochs(
            self._packed_rows, layer_units, codes, kernels.step_bytes(step), self.workspace,
            cursor,
        )  # fmt: skip

    def set_learning_rate(self, rate: float) -> None:
        """Take steps of this size from the next epoch on."""
        self._learning_rate[0] = rate

    # ---- the solver's state ----

    @property
    def n_steps(self) -> int:
        """Steps that the solver has ever done."""
        return self._calls.n_steps

    @property
    def epochs_done(self) -> int:
        """Epochs that this run has done."""
        done: int = self._calls.epochs_done
        return done

    @property
    def state(self) -> SolverState:
        """The solver's state, which the run goes on changing."""
        calls = self._calls
        if not self._carries_more:
            return SolverState(self._solver, self.packed_state, calls.n_steps)
        return SolverState(
            self._solver, self.packed_state, calls.n_steps, calls.last_loss, self._seed,
            self._raw, self._shown,
        )  # fmt: skip

    def go_on_from(
        self, state: SolverState | None, random_state: np.random.RandomState | None = None
    ) -> None:
        """Take a copy of another run's state, if that is of the same solver and network.

        If there are dropout or noise, their seed is the other run's, or drawn from random_state.
        """
        if state is None and not self._draws:
            return
        n, own = self.n_solver_states, self.packed_state
        if (
            state is not None
            and state.solver == self._solver
            and state.packed.shape[1:] == own.shape[1:]
        ):
            own[:n], self._calls.n_steps = state.packed[:n], state.n_steps
            self._calls.last_loss, self._seed = state.last_loss, state.seed
            if self._averages and state.shown is not None:  # else the average begins anew
                own[n:], self._raw, self._shown = state.packed[n:], state.raw, state.shown
        if self._draws:
            if not self._seed and random_state is not None:
                self._seed = 1 + int(random_state.randint(2**31 - 1))
            self.step["seed"] = self._seed

    def plain_state(self) -> NDArray[Any]:
        """The solver's vectors laid out like the parameters, without an average."""
        own = self.packed_state[: len(self.packed_state) - self._averages]
        return parameters.unpack_rows(own, self.layer_units, self.codes)

    def extra_state(self) -> SolverState | None:
        """What `plain_state` is without, if that matters: the average, the seed and the like."""
        if self._carries_more:
            return self.state._replace(packed=np.empty((0, 0)))
        return None

    def load_plain_state(
        self, plain: NDArray[Any], n_steps: int, more: SolverState | None = None
    ) -> None:
        """Go on from vectors laid out like the parameters; without more an average begins anew."""
        own = self.packed_state[: len(self.packed_state) - self._averages]
        own[:] = parameters.pack_rows(plain, self.layer_units, self.codes)
        self._calls.n_steps = n_steps
        if more is None or more.solver != self._solver:
            return
        self._calls.n_steps, self._calls.last_loss = more.n_steps, more.last_loss
        if self._draws:
            self.step["seed"] = self._seed = more.seed
        if self._averages and more.shown is not None:
            self._raw, self._shown = more.raw, more.shown
            self.packed_state[-1:] = parameters.pack_rows(
                more.shown[None], self.layer_units, self.codes
            )

    # ---- the average ----

    def settle(self) -> None:
        """Have the average in place of the parameters, if an interrupt kept `until` from it."""
        if self._averages and self._data:
            self._show_average(self._data[0])

    def _take_up_raw(self, params: NDArray[Any]) -> None:
        """Put the parameters themselves in place of their average.

        Where that was edited, and at first, the average begins anew with what is there.
        """
        for known in (self._shown, self._raw):  # an interrupt may have left either
            if known is not None and (params == known).all():
                params[:] = self._raw
                return
        packed = parameters.pack_rows(params[None], self.layer_units, self.codes)
        self.packed_state[-1], self._shown_at = packed[0], -1

    def _show_average(self, params: NDArray[Any]) -> None:
        """Put the average in place of the parameters, unless training diverged."""
        if not (self.n_steps and self.build.all_finite(self.packed_state[-1])):
            return
        average = parameters.unpack_rows(self.packed_state[-1:], self.layer_units, self.codes)
        if self._shown_at != self.n_steps:  # else an interrupt came after this
            self._raw, self._shown, self._shown_at = params.copy(), average[0], self.n_steps
        params[:] = average[0]

    # ---- threads ----

    def __enter__(self) -> TrainingRun:
        self._team.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._team.close()
        self._calls.end()
        self._data = ()

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
        self.begin(params, x, y, loss_curve, order, output)
        self.until(len(loss_curve))

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
        """Take up data that `until` then trains on, for some epochs at a time, as `epochs` does.

        Call it while the run's threads are at work; the end of the block lets go of the data.

        Parameters
        ----------
        first : int
            Epochs of loss_curve that are done already.
        random_state : RandomState, optional
            Shuffles order before each epoch. Nobody else may draw from it meanwhile: compiled
            calls do not take its lock. For one that others have, call `draw_order`.
        rule : StoppingRule, optional
            May end a part sooner.
        schedule : ndarray of float64, (n_steps, 3), optional
            Factors of the learning rate, the weight decay and the shares of dropout for each of
            the next steps.
        """
        rows, columns, row_starts = as_rows(x)
        if self._team.n_threads != self._threads_at_work:  # fewer, which the system starts
            self._n_threads[0] = self._threads_at_work = self._team.n_threads
        self._data = params, rows, y
        self._calls.begin(
            params,
            rows,
            columns,
            row_starts,
            y,
            order,
            self._team.memory,
            loss_curve,
            output,
            random_state._bit_generator if random_state else None,
            rule.record if rule else None,
            rule.kept if rule else None,
            schedule,
        )
        self._calls.seek(first)

    def count_afresh(self, n_before: int = 0) -> int:
        """Have errors call the next epoch the first, or the one after so many; `epochs_done`."""
        done = self.epochs_done
        self._counted_from = done - n_before
        return done

    @property
    def _next_epoch(self) -> int:
        return self.epochs_done - self._counted_from + 1

    @property
    def epoch(self) -> int:
        """Epochs of the loss_curve that are done."""
        return self._calls.epoch

    def again(self, n_epochs: int = 1) -> None:
        """Train once more for the first epochs of `begin`, from the present parameters."""
        self._calls.seek(0)
        self.until(n_epochs)

    def until(self, stop: int) -> None:
        """Train until that many epochs of the loss_curve given to `begin` are done.

        Errors are those of `epochs`. After one, and after an interrupt, call `begin` again. With
        an average, the parameters become that; the run keeps those that it goes on from. Only if
        training diverges they stay without it.
        """
        if not self._averages:
            self._until(stop)
            return
        params = self._data[0]
        try:
            self._take_up_raw(params)
            self._until(stop)
        finally:
            try:
                self._show_average(params)
            except MemoryError:
                self._show_average(params)

    def _until(self, stop: int) -> None:
        """As `until`, of the parameters themselves."""
        params, x, y = self._data
        if self._team.n_threads > 1:
            self._n_threads[0] = threads.share(self._team.n_threads)
        try:
            self._calls.until(stop)
        except BaseException:  # Ctrl-C between two compiled calls
            if self._calls.status == kernels.RUNNING and (
                self.step["keep_going"].item() or self.build.all_finite(self.packed)
            ):
                self.build.unpack(
                    self.packed, self.layer_units, self.codes, self.workspace, params
                )
            raise
        if self._calls.status != kernels.FINISHED:
            self._failed(x, y)

    def one(
        self, params: NDArray[Any], x: Any, y: Any, loss_curve: NDArray[np.float64]
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """An epoch of one step on dense rows, of a copy of params, on this thread alone.

        Returns the copy and the outputs before the step, or None if x and y have another type or
        shape. Errors are those of `epochs`; params stay as they are.
        """
        calls = self._calls
        done = calls.one(params, x, y, loss_curve)
        if done is not None and calls.status != kernels.FINISHED:
            self._failed(x, y)
        return done

    def _failed(self, x: Any, y: NDArray[Any]) -> NoReturn:
        """Say why training ended before its time."""
        status = self._calls.status
        if status == kernels.WEIGHTLESS:
            raise ZeroDivisionError(
                "Weights sum to zero, can't be normalized: those of a batch in epoch "
                f"{self._next_epoch}. The parameters are those before its step"
            )
        self._diverged(NOT_FINITE, x, y)

    def _diverged(self, what: str, x: Any, y: NDArray[Any]) -> NoReturn:
        """Start the solver afresh, and say what to try; the caller put the parameters back."""
        # the padding, too, which nobody else writes
        self._packed_rows[:], self._calls.n_steps = 0, 0
        self._raw = self._shown = None
        which = ", not their average" if self._averages else ""
        raise FloatingPointError(
            f"training diverged in epoch {self._next_epoch}: {what}. The parameters are those "
            f"before that epoch{which}. {self._advice(x, y)}"
        )

    def _advice(self, x: NDArray[Any], y: NDArray[Any]) -> str:
        """What to try after the loss left the finite numbers."""
        return advice(x, y[:, : self.layer_units[-1]], self.step["learning_rate"].item())


class StoppingRule:
    """scikit-learn's rule of stopping, and the last parameters that gave a finite loss.

    An epoch improves if its loss is lower than the lowest before it by at least tol. Training ends
    once more than n_iter_no_change epochs in a row did not improve; unless `set` is called, never.

    Parameters
    ----------
    run : TrainingRun
    """

    def __init__(self, run: TrainingRun) -> None:
        fields = kernels.new_stopping(best_loss=np.inf, n_iter_no_change=np.inf, finite=-1)
        self.record, self._run = fields.view(np.uint8), run
        self.kept = parameters.new_packed(run.layer_units, run.packed.dtype, 2)
        self._fields = tuple(fields[name] for name in _RULE)
        self._finite = fields["finite"]

    def set(
        self, tol: float, best_loss: float, n_iter_no_change: float, no_improvement_count: int
    ) -> None:
        """Take these numbers for the epochs to come."""
        numbers = tol, best_loss, n_iter_no_change, no_improvement_count
        for field, number in zip(self._fields, numbers, strict=True):
            field[0] = number

    @property
    def best_loss(self) -> np.float64:
        """The lowest loss so far."""
        best: np.float64 = self._fields[1][0]
        return best

    @property
    def no_improvement_count(self) -> int:
        """How many epochs in a row did not improve."""
        count: int = self._fields[3].item()
        return count

    def begin(self) -> None:
        """No epoch of this fit is done: what it begins with comes first."""
        self._finite[0] = -1

    def kept_params(self) -> NDArray[Any] | None:
        """What `go_back` would give, if there is anything."""
        params = np.empty(parameters.count_params(tuple(self._run.layer_units.tolist())),
                          self.kept.dtype)  # fmt: skip
        self.go_back(params)
        return params if self._finite[0] >= 0 else None

    def keep(self, params: NDArray[Any] | None) -> None:
        """Have `go_back` give these."""
        if params is not None:
            run = self._run
            self.kept[:1] = parameters.pack_rows(params[None], run.layer_units, run.codes)
            self._finite[0] = 0

    def go_back(self, params: NDArray[Any]) -> None:
        """Put into params what the last epoch with a finite loss began with."""
        run = self._run
        if self._finite[0] >= 0:
            row = self._finite.item()
            kept = self.kept[row : row + 1]
            params[:] = parameters.unpack_rows(kept, run.layer_units, run.codes)[0]


NOT_FINITE = "the loss or a parameter is no longer finite"
_RPROP = solvers.CODES["rprop"]
_BYTES = np.dtype(np.uint8)  # NumPy may forget np.uint8 itself where memory fails
_RULE = ("tol", "best_loss", "n_iter_no_change", "no_improvement_count")
LARGE = 10.0  # numbers beyond are hardly of mean 0 and variance 1


def advice(x: NDArray[Any], y: NDArray[Any], rate: float | None = None) -> str:
    """What to try after the loss left the finite numbers, and which page has more.

    rate is None for searches, which have none.
    """
    large_x, large_y = (float(np.abs(a).max(initial=0)) > LARGE for a in (x, y))
    large = " and ".join(name for name, big in (("X", large_x), ("y", large_y)) if big)
    scaled = [f"{large} scaled to mean 0 and variance 1"] if large else []
    lower = [] if rate is None else [f"a learning rate below {rate:g}"]
    what = "Try " + ", or ".join(lower + scaled) if lower + scaled else ""
    return pages.see("diverged", what)
