"""Searches over all rows: Levenberg-Marquardt and L-BFGS.

`Network.fit` uses them as it uses a `TrainingRun`. An epoch is one step, which always lowers the
loss; a search is over once none does. Arithmetic is in float64; the points of a float32 network
are rounded before their losses are computed, so that what the network holds is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, parameters, threads, work
from fastnn.catalog import losses, solvers
from fastnn.data.rows import Rows, SparseRows, as_rows
from fastnn.parameters import SolverState
from fastnn.training.losses import OwnLoss
from fastnn.training.objective import MeanLoss
from fastnn.training.own_loss import OwnMeanLoss
from fastnn.training.run import NOT_FINITE, advice

#: bytes that a matrix and its factor may take, each
MOST_BYTES = 2 << 30
_MOST_MATRICES = 4  # of that size, with all that belongs to them
# Damping beyond the scale of the matrix times this: steps are lost in rounding.
_MOST_DAMPING = 1e18
# Less of it, with a penalty, costs the dual form its digits: intercepts have damping alone.
_LEAST_DUAL_DAMPING = 1e-8
_EPSILON = float(np.finfo(np.float64).eps)
_LARGEST = float(np.finfo(np.float64).max)
_DOUBLE = np.dtype(np.float64)


def check_memory(layer_units: tuple[int, ...], n_rows: int, *, evidence: bool = False) -> None:
    """Refuse a network whose smaller matrix is too large; `evidence` needs that of parameters.

    Raises
    ------
    ValueError
    """
    n_params = parameters.count_params(layer_units)
    units = np.array(layer_units, np.intp)
    order, dual = work.order_of_matrix(units, n_rows, evidence)
    needed = 8 * order**2
    what = f"the matrix of {n_params} parameters ({8 * n_params**2 / 2**30:.1f} GiB)"
    if not evidence:
        size = 8 * work.n_rows_of_dual(units, n_rows) ** 2 / 2**30
        what += f", or of {n_rows} rows of {layer_units[-1]} outputs ({size:.1f} GiB)"
    if needed <= MOST_BYTES:
        needed = _bytes_of(units, n_rows, dual)
        if needed <= _MOST_MATRICES * MOST_BYTES:
            return
        what += " and all that belongs to it"
    raise ValueError(
        f'solver "lm" needs {needed / 2**30:.1f} GiB for {what}, and may take '
        f"{MOST_BYTES / 2**30:.1f} GiB for a matrix (fastnn.training.second_order.MOST_BYTES); "
        'solver "lbfgs" needs no matrix'
    )


def starts_at_once(layer_units: NDArray[np.intp], n_rows: int, *, evidence: bool = False) -> int:
    """How many networks that `check_memory` takes may search side by side."""
    dual = work.order_of_matrix(layer_units, n_rows, evidence)[1]
    return max(1, _MOST_MATRICES * MOST_BYTES // max(1, _bytes_of(layer_units, n_rows, dual)))


def _bytes_of(layer_units: NDArray[np.intp], n_rows: int, dual: bool) -> int:
    """A matrix with its factor, sums, and what is computed of some rows at a time."""
    build = kernels.build
    size_of = build.dual_equations_size if dual else build.normal_equations_size
    return size_of(layer_units, n_rows, False)


class Search:
    """What the two have in common.

    Parameters
    ----------
    layer_units : ndarray of intp, (n_layers + 1,)
    codes : ndarray of int32, (n_layers,)
    step : ndarray of kernels.STEP, (1,)
    dtype : dtype
        Of the parameters.
    n_threads : int
    weighted : bool
        Whether the last column of y is the weight of each row.
    options : mapping
        The solver's, checked.
    loss_numbers : sequence of float
        The loss's, one for each output, or none.
    own : pair of functions, optional
        A loss of one's own.
    n_jobs : None or int
        For the losses of steps.
    tol : float
        The search is over where no entry of the gradient is larger.
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
        options: dict[str, Any],
        loss_numbers: Sequence[float] = (),
        own: OwnLoss | None = None,
        n_jobs: int | None = None,
        tol: float = 0.0,
    ) -> None:
        self.layer_units, self.codes, self.step = layer_units, codes, step
        self.n_threads, self._dtype, self._weighted = n_threads, dtype, weighted
        self._solver: int = step["solver"].item()
        self._options, self._loss_numbers = options, loss_numbers
        self._own, self._n_jobs, self._tol = own, n_jobs, tol
        self._team = threads.Team(kernels.build, n_threads)
        self._counted_from = self._offset = 0
        self._params: NDArray[Any] | None = None
        self._data: tuple[Any, ...] = ()

    def __enter__(self) -> Self:
        self._team.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._team.close()
        self._data = ()

    # ---- what each has of its own ----

    over: bool  # whether no step lowers the loss any more
    _epoch: int  # of the loss_curve: so many are done

    @property
    def state(self) -> SolverState:
        """What the solver carries from step to step."""
        raise NotImplementedError

    def go_on_from(self, state: SolverState | None, random_state: Any = None) -> None:
        """Take up another run's state, if that is of the same solver."""
        raise NotImplementedError

    def settle(self) -> None:
        """Have what was reached in the parameters, if an interrupt kept `until` from it."""
        raise NotImplementedError

    def _begin(self, x: Rows, y: NDArray[Any], curve: NDArray[np.float64], first: int) -> None:
        raise NotImplementedError

    def _until(self, stop: int) -> None:
        raise NotImplementedError

    # ---- as a TrainingRun ----

    @property
    def epochs_done(self) -> int:
        """Epochs that this run has done."""
        return self._offset + self._epoch

    def count_afresh(self, n_before: int = 0) -> int:
        """Have errors call the next epoch the first, or the one after so many; `epochs_done`."""
        self._counted_from = self.epochs_done - n_before
        return self.epochs_done

    def begin(
        self,
        params: NDArray[Any],
        x: Rows,
        y: NDArray[Any],
        loss_curve: NDArray[np.float64],
        order: NDArray[np.intp] | None = None,
        *,
        first: int = 0,
        schedule: NDArray[np.float64] | None = None,
    ) -> None:
        """As of `TrainingRun`; there is no order, and no schedule."""
        if isinstance(x, SparseRows):
            x = x._replace(values=x.values.astype(_DOUBLE, copy=False))
        else:
            x = np.ascontiguousarray(x, _DOUBLE)
        targets = np.ascontiguousarray(y, _DOUBLE)
        self._offset, self._params, self._data = self.epochs_done - first, params, (x, targets)
        self._begin(x, targets, loss_curve, first)

    def until(self, stop: int) -> None:
        """Search until so many epochs of the loss_curve are done, or no step lowers the loss.

        Raises
        ------
        FloatingPointError
            If the loss is not finite where the search begins.
        """
        try:
            self._until(stop)
        finally:
            self.settle()

    def _loss_of(self, x: Rows, y: NDArray[Any]) -> MeanLoss | OwnMeanLoss:
        """The mean loss, of parameters and room for a gradient."""
        loss, alpha = self.step["loss"].item(), self.step["alpha"].item()
        net = self.layer_units, self.codes
        if self._own is not None:
            return OwnMeanLoss(*net, self._own, alpha, x, y, self._n_jobs)
        name = losses.BY_CODE[loss].name
        return MeanLoss(*net, name, alpha, x, y, self._n_jobs, self._loss_numbers)

    def _diverged(self, what: str = NOT_FINITE) -> FloatingPointError:
        x, y = self._data
        x = x.values if isinstance(x, SparseRows) else x
        return FloatingPointError(
            f"training diverged in epoch {self.epochs_done - self._counted_from + 1}: "
            f"{what}. The parameters are those before that epoch. "
            + advice(x, y[:, : self.layer_units[-1]])
        )


class Reached(NamedTuple):
    """Where Levenberg-Marquardt stands; one assignment replaces it all."""

    params: NDArray[np.float64]
    loss: float = math.nan  # not computed yet
    damping: float = 0.0  # none yet
    epoch: int = 0
    steps: int = 0  # that the solver has ever done
    over: bool = False


class LevenbergMarquardt(Search):
    """Gauss-Newton steps, damped as much as they need.

    Equations are summed once an epoch, and solved with more damping until a step lowers the loss.
    With the option gain_ratio the damping follows the share of the promised improvement that came
    true (Nielsen, 1999); without, it goes up and down by factors of 10 (Hagan and Menhaj, 1994).
    """

    _may_be_dual = True  # where rows are fewer than parameters

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reached = Reached(np.empty(0))
        self._no_vectors = parameters.new_packed(self.layer_units, self._dtype, 0)
        self._curve = np.empty(0)
        self._equations: Any = None
        self._loss: Any = None
        self._least_damping = 0.0  # times the scale of the matrix

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._equations = self._loss = None

    @property
    def over(self) -> bool:  # type: ignore[override]
        """Whether no step lowers the loss any more."""
        return self._reached.over

    @property
    def _epoch(self) -> int:  # type: ignore[override]
        return self._reached.epoch

    @property
    def loss_reached(self) -> float:
        """The loss after the last step."""
        return self._reached.loss

    @property
    def state(self) -> SolverState:
        """The damping, and how many steps there were."""
        reached = self._reached
        return SolverState(self._solver, self._no_vectors, reached.steps, reached.damping)

    def go_on_from(self, state: SolverState | None, random_state: Any = None) -> None:
        """Take up another run's damping, if that is of the same solver."""
        if state is not None and state.solver == self._solver:
            self._reached = self._reached._replace(damping=state.last_loss, steps=state.n_steps)

    def settle(self) -> None:
        """Have what was reached in the parameters, if an interrupt kept `until` from it."""
        if self._params is not None and len(self._reached.params):
            self._params[:] = self._reached.params

    def _begin(self, x: Rows, y: NDArray[Any], curve: NDArray[np.float64], first: int) -> None:
        build, params = kernels.build, self._params
        assert params is not None
        form: Any = build.NormalEquations
        size_of = build.normal_equations_size
        self._least_damping = 0.0
        if self._may_be_dual and work.order_of_matrix(self.layer_units, len(y))[1]:
            self._least_damping = _LEAST_DUAL_DAMPING if self.step["alpha"].item() > 0 else 0.0
            form, size_of = build.DualEquations, build.dual_equations_size
        self._equations = form(
            self.layer_units, self.codes, kernels.step_bytes(self.step), *as_rows(x), y,
            kernels.aligned_empty(size_of(self.layer_units, len(y), self._weighted)),
            self._team.memory, threads.share(self._team.n_threads),
        )  # fmt: skip
        self._loss, self._curve = self._loss_of(x, y), curve
        self._reached = self._reached._replace(
            params=params.astype(_DOUBLE), loss=math.nan, epoch=first, over=False
        )

    def _until(self, stop: int) -> None:
        params = self._params
        assert params is not None
        if not np.array_equal(params, self._reached.params):  # a callback changed them
            self._reached = self._reached._replace(params=params.astype(_DOUBLE), loss=math.nan)
        while self._reached.epoch < stop and not self._reached.over:
            self._iterate()

    def _iterate(self) -> None:
        """One epoch."""
        equations, at, nothing = self._equations, self._reached, np.empty(0)
        loss = at.loss
        if math.isnan(loss):
            loss = self._loss(at.params, nothing)
            if not math.isfinite(loss):
                raise self._diverged()
        equations.sum(at.params)
        reached = self._step(at, loss, lambda params: self._loss(params, nothing))
        self._curve[at.epoch] = loss
        self._reached = reached._replace(epoch=at.epoch + 1, steps=at.steps + 1)

    def _step(
        self, at: Reached, loss: float, loss_of: Callable[[NDArray[np.float64]], float]
    ) -> Reached:
        """Where a step gets to that lowers the loss; the same, and over, if there is none."""
        equations, by_gain = self._equations, self._options["gain_ratio"]
        # which takes two passes in the dual form
        steepest: float = equations.steepest if self._tol > 0 else math.inf
        if not math.isfinite(equations.scale) or math.isnan(steepest):
            raise self._diverged("the second derivatives of the loss are beyond float64's range")
        usual = self._options["damping"] * equations.scale
        damping = max(at.damping or usual, self._least_damping * equations.scale)
        most = min(_MOST_DAMPING * (equations.scale or 1.0), _LARGEST)
        factor = 2.0
        step, reduced = np.empty_like(at.params), False
        if steepest <= self._tol * equations.weight:
            damping = 0.0
        while 0 < damping <= most:
            promised = equations.solve(damping, step)
            if promised is not None:
                promised /= equations.weight
                if not promised > _EPSILON * abs(loss):
                    if damping <= usual or reduced:
                        break
                    damping, reduced = usual, True  # it was for other data
                    continue
                step += at.params
                point = step.astype(self._dtype).astype(_DOUBLE)
                new = loss_of(point)
                if new < loss:
                    gain = (loss - new) / promised
                    less = max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3) if by_gain else 0.1
                    return at._replace(params=point, loss=new, damping=damping * less)
            damping *= factor if by_gain else 10.0
            factor *= 2.0
        return at._replace(loss=loss, over=True)


class LimitedMemoryBFGS(Search):
    """L-BFGS: steps along -H gradient, with H from the last ten pairs of differences.

    It is compiled; only the loss of many rows, which threads share, and one of one's own are asked
    for from Python.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        n_params = parameters.count_params(tuple(self.layer_units.tolist()))
        self._pairs = np.zeros((solvers.BY_CODE[self._solver].n_states, n_params))
        self._steps_before, self._curve = 0, np.empty(0)
        self._search: Any = None

    @property
    def over(self) -> bool:  # type: ignore[override]
        """Whether no step lowers the loss any more."""
        return self._search is not None and self._search.over

    @property
    def _epoch(self) -> int:  # type: ignore[override]
        return 0 if self._search is None else self._search.epochs_done

    @property
    def state(self) -> SolverState:
        """The pairs, and how many steps there were."""
        pairs = self._pairs.astype(self._dtype)
        packed = parameters.pack_rows(pairs, self.layer_units, self.codes)
        return SolverState(self._solver, packed, self._n_steps)

    @property
    def _n_steps(self) -> int:
        return self._steps_before if self._search is None else self._search.n_steps

    def go_on_from(self, state: SolverState | None, random_state: Any = None) -> None:
        """Take up another run's pairs, if they are of the same solver."""
        if state is not None and state.solver == self._solver:
            pairs = parameters.unpack_rows(state.packed, self.layer_units, self.codes)
            self._pairs[:], self._steps_before = pairs, state.n_steps

    def settle(self) -> None:
        """Have what was reached in the parameters, if an interrupt kept `until` from it."""
        if self._params is not None and self._search is not None and not self._search.diverged:
            self._params[:] = self._search.params()

    def _begin(self, x: Rows, y: NDArray[Any], curve: NDArray[np.float64], first: int) -> None:
        build, params, loss = kernels.build, self._params, self._loss_of(x, y)
        assert params is not None
        whole = isinstance(loss, MeanLoss) and loss.n_parts == 1
        workspace = kernels.new_workspace(
            self.layer_units, len(y) if whole else 1, _DOUBLE, weighted=self._weighted
        )
        search = build.LimitedMemory(
            self.layer_units, self.codes, kernels.step_bytes(self.step), *as_rows(x), y, workspace,
            self._pairs, self._dtype != _DOUBLE, None if whole else _infinite(loss),
        )  # fmt: skip
        search.n_steps = self._n_steps
        search.begin(params.astype(_DOUBLE), curve, first)
        self._search, self._curve = search, curve

    def _until(self, stop: int) -> None:
        search, params = self._search, self._params
        assert params is not None
        if not np.array_equal(params, search.params()):  # a callback changed them
            search.begin(params.astype(_DOUBLE), self._curve, search.epochs_done)
        search.until(stop)
        if search.diverged:
            raise self._diverged()


def _infinite(
    loss: Callable[[NDArray[Any], NDArray[Any]], float],
) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """The loss, infinite where it raises an error because numbers are not finite."""

    def objective(params: NDArray[Any], grads: NDArray[Any]) -> float:
        try:
            return loss(params, grads)
        except FloatingPointError:
            return math.inf

    return objective
