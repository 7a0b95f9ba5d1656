"""How a network trains: its loss and gradient, `fit` and `partial_fit`.

Input is checked here, before anything changes; epochs run in `training.run`.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastnn
from fastnn import parameters, threads, work
from fastnn.callbacks import NOBODY, CallbackLike, Listeners
from fastnn.data import checks
from fastnn.data.rows import Rows
from fastnn.layers import Layers
from fastnn.parameters import SolverState
from fastnn.schedules import Blocks, Schedules
from fastnn.states import trained_on
from fastnn.training import options, own_loss, restarts
from fastnn.training.again import Again, can_train
from fastnn.training.evidence import EvidenceSearch
from fastnn.training.losses import smoothed
from fastnn.training.objective import MeanLoss, short_loss
from fastnn.training.options import Options, SolverOptions, takes_solver_options
from fastnn.training.run import TrainingRun, draw_order
from fastnn.training.running import RunningFit
from fastnn.training.second_order import (
    LevenbergMarquardt,
    LimitedMemoryBFGS,
    Search,
    check_memory,
    starts_at_once,
)
from fastnn.training.stopping import Scoring, Validation, scorer

if TYPE_CHECKING:
    from fastnn.network import Network

# partial_fit keeps this many losses at most: it may be called for ever.
LONGEST_CURVE = 100_000
ANOTHER = "a callback made this another network: it is not trained on"
UNSMOOTHED, TOL = 0.0, 1e-4  # defaults; arguments that are these very objects are not looked at


# what a fit begins with
_OF_FIT: dict[str, Any] = {
    "loss_curve_": [], "_dropped": 0, "_state": None, "validation_scores_": None,
    "validation_loss_curve_": None, "best_iteration_": None, "loss_curves_": None,
    "_evidence": None,
}  # fmt: skip


def _new_order(n: int, shuffle: bool, step: NDArray[Any]) -> NDArray[np.intp] | None:
    return np.arange(n) if shuffle and step["batch_size"].item() < n else None


class Trainable(Layers):
    """Layers that train, the part of `fastnn.Network` with a mean over samples in it."""

    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        alpha: float = 0.0,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The mean loss over the rows, plus the penalty alpha / (2 n) times the sum of W^2.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.
        y : array-like, (n, layer_units[-1]), or (n,) for one output
            The targets, within the domain of the loss.
        alpha : float >= 0
            The strength of the penalty.
        sample_weight : array-like >= 0, (n,), optional
            The mean is then a weighted one, and n in the penalty the sum of the weights.

        Returns
        -------
        float
            The mean, with the penalty.
        """
        return self._mean_loss(X, y, alpha, sample_weight)

    def loss_and_grad(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        alpha: float = 0.0,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, list[NDArray[Any]], list[NDArray[Any]]]:
        """The mean loss over the rows, with its penalty, and its gradient.

        Parameters
        ----------
        X, y : array-like
            The samples and their targets, as of `loss`.
        alpha : float >= 0
            The strength of the penalty.
        sample_weight : array-like >= 0, (n,), optional
            As of `loss`.

        Returns
        -------
        loss : float
            What `loss` gives.
        coef_grads : list of ndarray, (fan_in, fan_out)
            Its derivatives by the coefs of each layer.
        intercept_grads : list of ndarray, (fan_out,)
            Its derivatives by the intercepts of each layer.
        """
        grads = np.empty_like(self._params)
        loss = self._mean_loss(X, y, alpha, sample_weight, grads)
        return loss, *parameters.split_params(grads, self._layer_units)

    def _mean_loss(
        self, X: Any, y: Any, alpha: Any, sample_weight: Any, grads: NDArray[Any] | None = None
    ) -> float:
        threads.from_environment()  # a bad number is refused in small work too
        name, numbers, own = self._loss
        loss = None
        if sample_weight is None and not (numbers or own):
            loss = short_loss(self._params, self._units, self._codes, name, alpha, X, y, grads)
        if loss is None:
            x, y = self._check_loss_data(X, y)
            checks.loss_domain(y, name)
            if sample_weight is not None:
                y = self._with_weights(y, sample_weight)
            alpha = checks.real_number("alpha", alpha, 0, closed="left")
            self._check_params()
            grads = np.empty(0, self._dtype) if grads is None else grads
            loss = self._objective(alpha, x, y)(self._params, grads)
        return loss

    def _objective(
        self, alpha: float, x: Rows, y: NDArray[Any]
    ) -> Callable[[NDArray[Any], NDArray[Any]], float]:
        """The mean loss of checked data, a function of parameters and room for a gradient."""
        name, numbers, own = self._loss
        net = self._units, self._codes
        if own:
            return own_loss.OwnMeanLoss(*net, own, alpha, x, y, self._n_jobs)
        return MeanLoss(*net, name, alpha, x, y, self._n_jobs, numbers)

    def _with_weights(
        self, y: NDArray[Any], sample_weight: Any, name: str = "sample_weight"
    ) -> NDArray[Any]:
        """y with the weights as its last column, as the kernels read it."""
        weights = checks.weights(name, sample_weight, self._dtype, len(y))
        return np.hstack([y, weights[:, np.newaxis]])

    # ---- training ----

    @property
    def loss_(self) -> float:
        """The mean loss of the last epoch; NaN before any."""
        return self.loss_curve_[-1] if self.loss_curve_ else math.nan

    @property
    def n_iter_(self) -> int:
        """Epochs of the last `fit` and the `partial_fit` calls after it."""
        return self._dropped + len(self.loss_curve_)

    @property
    def learning_rate_(self) -> float:
        """The learning rate of the fit that is running; a callback may set it.

        It is learning_rate_init, which a schedule multiplies: the factor is not in it.

        Raises
        ------
        AttributeError
            While no fit is running.
        """
        if self._step is None:
            raise AttributeError(self._no_rate)
        rate: float = self._step["learning_rate"].item()
        return rate

    @learning_rate_.setter
    def learning_rate_(self, value: float) -> None:
        if self._step is None:
            raise AttributeError(self._no_rate)
        rate = options.check_number("learning_rate_init", value, self._dtype)
        self._step["learning_rate"] = rate

    @takes_solver_options
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        max_iter: int = 200,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        label_smoothing: float = UNSMOOTHED,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        scoring: Scoring = None,
        n_iter_no_change: int | None = None,
        tol: float = TOL,
        callback: CallbackLike | Sequence[CallbackLike] | None = None,
        callback_every: int = 1,
        resume: str | os.PathLike[str] | None = None,
        n_init: int = 1,
        **solver_options: Unpack[SolverOptions],
    ) -> Self:
        """Train for max_iter epochs from the present parameters, the solver starting afresh.

        With "lm" and "lbfgs" it ends sooner if no step lowers the loss any more.

        Parameters
        ----------
        {training data}
        max_iter : int
            Epochs: how often every sample is used.
        {batches}
        X_val, y_val, sample_weight_val : array-like, optional
            A validation set, shaped as X, y and sample_weight. After each epoch its mean loss,
            without penalty, or its score goes into ``validation_scores_``.
        scoring : str or callable, optional
            Instead of the loss: the name of one of scikit-learn's scorers, such as "accuracy",
            or one of them, or a function of the network, X_val and y_val (and the keyword
            sample_weight, if that is given). More is better. scikit-learn's get class numbers, if
            outputs are probabilities and targets 0 and 1. It is called once before training.
        n_iter_no_change : int, optional
            With a validation set: training ends after this many epochs in a row without a score
            above the best plus tol. The parameters are then those with the best score, and if
            these are not the last, the solver starts afresh; also if training went on to max_iter.
        tol : float >= 0
            By how much a score must rise to count as better.
        callback : callable, or sequence of callables
            Functions of the network, called between epochs, which end the training by returning
            True; or a `fastnn.callbacks.Callback`, such as `ProgressBar`, `Recorder`,
            `ValidationLoss` or `fastnn.plotting.LivePlot`. A callback sees the parameters and
            loss_curve_ reached so far; it may change the parameters and `learning_rate_`.
        callback_every : int
            Epochs between two calls of a function; there is also a call after the last epoch.
        resume : path-like, optional
            A file that `save` or a `Checkpoint` wrote during such a fit. This one goes on from
            there, with the file's parameters, and ends with the bits of one that was never
            interrupted. Architecture, data and options must be the same, callbacks may be
            others; without a schedule max_iter may be larger.
        n_init : int
            Starts: the present parameters, and n_init - 1 that are drawn as `Network` drew them.
            Threads fit them side by side, without callbacks, and the network becomes the one with
            the best validation score or, without a validation set, the lowest loss, or the
            highest evidence; ``loss_curves_`` has the curve of each. A start that diverges does
            not count.
        {solver options}

        Returns
        -------
        Network
            Itself.

        Raises
        ------
        TypeError, ValueError
            For bad input, before anything changes.
        Exception
            Raised by a callback or by scoring; the parameters are those reached.
        FloatingPointError
            If training leaves the finite numbers; the parameters are those before that epoch.
        ZeroDivisionError
            If the weights of a batch are all 0; the parameters are those before its step.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those reached.
        """
        targets = y
        x, y, step, shuffle, checked = self._check_training(
            X, y, batch_size, shuffle, label_smoothing, solver_options
        )
        if checked.evidence and resume is not None:
            raise ValueError('alpha="evidence" goes without resume: no file holds its alphas')
        if checked.evidence and X_val is not None:
            raise ValueError('alpha="evidence" goes without X_val: no validation set is needed')
        if n_init != 1:
            given = {
                "max_iter": max_iter, "batch_size": batch_size, "shuffle": shuffle,
                "sample_weight": sample_weight, "label_smoothing": label_smoothing,
                "X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val,
                "scoring": scoring, "n_iter_no_change": n_iter_no_change, "tol": tol,
                **solver_options,
            }  # fmt: skip
            return self._fit_starts(n_init, X, targets, len(x), given, callback, resume)
        schedules = checked.schedules
        curve = np.zeros(checks.whole_number("max_iter", max_iter))
        checks.whole_number("callback_every", callback_every)
        rows = y if sample_weight is None else self._with_weights(y, sample_weight)
        validation = self._validation(
            X_val, y_val, sample_weight_val, scoring, n_iter_no_change, tol
        )
        blocks = None
        if schedules is not None:
            blocks = Blocks(schedules, -(-len(x) // step["batch_size"].item()), len(curve))
        listeners, running, saved = NOBODY, None, None
        if callback is not None or validation is not None or resume is not None:
            listeners = Listeners(callback, callback_every, validation)
            settings = {
                **checked, "shuffle": shuffle,
                "batch_size": step["batch_size"].item(), "scoring": scoring, "tol": tol,
                "n_iter_no_change": n_iter_no_change,
                "max_iter": max_iter if blocks else None,
            }  # fmt: skip
            order = _new_order(len(x), shuffle, step)
            running = RunningFit(
                settings, (x, rows, X_val, y_val, sample_weight_val), len(curve), order, step,
                listeners,
            )  # fmt: skip
            if resume is not None:
                saved = self._saved_fit(resume, running)
        own = vars(self)  # __setattr__ would take 0.2 us each time
        before, params, architecture = own.copy(), self._params, self._architecture()
        try:
            own.update(_OF_FIT, loss_curve_=[], _trained_on=trained_on(X, len(x)))
            if saved is not None:
                before["_params"] = self._take_up(saved[0])
            if listeners is NOBODY:
                self._train(x, rows, step, checked, shuffle, curve, blocks)
                return self
            listeners.begin(cast("Network", self), x, y, len(curve))
            with listeners:
                if self._architecture() != architecture:
                    raise ValueError(ANOTHER)
                if running is not None and saved is not None:
                    running.take_up(saved[1])
                    listeners.resume(saved[1]["listeners"], running.epoch)
                self._train(x, rows, step, checked, shuffle, curve, blocks, listeners, running)
        except BaseException as error:
            diverged = isinstance(error, FloatingPointError)
            if not diverged and self._params is params and not self._has_trained(saved):
                if saved is not None:
                    params[:] = before["_params"]
                names = (*_OF_FIT, "_trained_on", "_random_state")
                own.update({name: before[name] for name in names})
            raise
        return self

    def _fit_starts(
        self, n_init: Any, X: Any, y: Any, n_rows: int, given: dict[str, Any], callback: Any,
        resume: Any,
    ) -> Self:  # fmt: skip
        """Have what the best of several starts came to."""
        n_init = checks.whole_number("n_init", n_init)
        if callback is not None or resume is not None:
            name = "resume" if callback is None else "callback"
            raise ValueError(f"n_init={n_init} goes without {name}: several fits run side by side")
        net = cast("Network", self)
        before = self._random_state.get_state()
        try:
            nets = restarts.starts_of(net, n_init)
            per_epoch = n_rows * work.training_work(self._layer_units)
            n_threads = threads.resolve(self._n_jobs)
            if given.get("solver") == "lm":
                evidence = given.get("alpha") == options.EVIDENCE
                per_epoch = work.search_work(self._units, n_rows, evidence)
                n_threads = min(n_threads, starts_at_once(self._units, n_rows, evidence=evidence))
            results = restarts.fit_side_by_side(
                nets, X, y, given, n_threads, max(1, int(1e8 / per_epoch))
            )
        except BaseException:
            self._random_state.set_state(before)
            raise
        best = vars(nets[max(range(n_init), key=results.__getitem__)])
        found = {name: best[name] for name in (*_OF_FIT, "_trained_on")}
        found["loss_curves_"] = [one.loss_curve_ for one in nets]
        try:
            vars(self).update(found)
            self._params[:] = best["_params"]
        except BaseException:  # which may have come in between
            vars(self).update(found)
            self._params[:] = best["_params"]
            raise
        return self

    def fit_state(self) -> dict[str, Any] | None:
        """How the fit that is running stands; None while there is none.

        A callback sees it; `save` writes it into the file, and ``fit(..., resume=)`` reads it.

        Returns
        -------
        dict or None
            Numbers, text, arrays and lists.
        """
        running: RunningFit | None = vars(self).get("_running")
        return None if running is None else running.state()

    def _saved_fit(self, path: Any, running: RunningFit) -> tuple[Any, dict[str, Any]]:
        """The network in a file and the state of its fit, which go with this one's."""
        net, state = fastnn.files.load_with_fit(path)
        if not isinstance(net, Trainable) or net._architecture() != self._architecture():
            raise ValueError(f"resume: the file holds {checks.shown(net)}, and this is {self!r}")
        running.check(state)
        return net, state

    def _take_up(self, net: Trainable) -> NDArray[Any]:
        """Have what another network has; returns the present parameters."""
        before = self._params.copy()
        self._params[:] = net._params
        own, its = vars(self), vars(net)
        own.update({name: its[name] for name in (*_OF_FIT, "_drawn", "_random_state")})
        return before

    def _has_trained(self, saved: tuple[Any, dict[str, Any]] | None) -> bool:
        """Whether the fit that an error ended has done anything."""
        state, steps = self._state, 0
        if saved is not None and saved[0]._state is not None:
            steps = saved[0]._state.n_steps
        n = 0 if saved is None else len(saved[0].loss_curve_)
        return len(self.loss_curve_) > n or (state is not None and state.n_steps > steps)

    @takes_solver_options
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        label_smoothing: float = UNSMOOTHED,
        **solver_options: Unpack[SolverOptions],
    ) -> Self:
        """Train for one epoch, the solver going on where it was.

        The solver's velocities or moments are kept from the last call, unless the solver is
        another. There are no schedules, as nobody knows how many calls will follow: change
        learning_rate_init from call to call. Errors are those of `fit`.

        Parameters
        ----------
        {training data}
        {batches}
        {solver options}

        Returns
        -------
        Network
            Itself.
        """
        threads.from_environment()  # a bad number is refused in small work too
        options = {**solver_options, "batch_size": batch_size, "shuffle": shuffle}
        own = vars(self)  # __setattr__ would take half a microsecond each time
        again, own["_again"] = self._again, None  # out of other threads' sight
        if type(y) is np.ndarray and y.ndim == 1 and self._layer_units[-1] == 1:
            y = y.reshape(-1, 1)
        plain = sample_weight is None and label_smoothing is UNSMOOTHED
        if again is None or not plain or not again.takes(self._params, self._state, X, y, options):
            x, y, step, shuffle, checked = self._check_training(
                X, y, batch_size, shuffle, label_smoothing, solver_options
            )
            for name, schedule in zip(Schedules._fields, checked.schedules or (), strict=False):
                if schedule is not None:
                    raise ValueError(
                        f"partial_fit takes no schedule as {name}: it does not know how many "
                        "calls will follow; give fit the schedule, or change numbers from call to "
                        "call"
                    )
            if checked.evidence:
                raise ValueError('alpha="evidence" is for fit: it takes more than one step')
            if sample_weight is not None:
                y = self._with_weights(y, sample_weight)
            own["_evidence"] = None
            own["_trained_on"] = trained_on(X, len(x))
            run = self._train(x, y, step, checked, shuffle, np.zeros(1))
            in_batches = shuffle and step["batch_size"].item() < len(x)
            if isinstance(run, TrainingRun):
                again = Again(
                    run, self._state, options, len(x), in_batches, self._loss.name,
                    self._activations[-1], plain and not self._loss.own,
                )  # fmt: skip
        else:
            self._own_curve()
            again.train(self._params, X, y, self._random_state, own)
        if again is not None and again.is_kept:
            own["_again"] = again
        if len(self.loss_curve_) > LONGEST_CURVE:
            half = LONGEST_CURVE // 2  # both at once: no interrupt comes between
            own.update(_dropped=self._dropped + half, loss_curve_=self.loss_curve_[half:])
        return self

    def _take_fit(
        self,
        params: NDArray[Any],
        loss_curve: list[float],
        state: SolverState,
        about: dict[str, Any],
    ) -> None:
        """Have what a fit of this network elsewhere came to."""
        vars(self).update(_OF_FIT, loss_curve_=loss_curve, _state=state, _trained_on=about)
        self._params[:] = params

    def _own_curve(self) -> list[float]:
        """loss_curve_, as a list that takes more; the user may have put something else there."""
        if type(self.loss_curve_) is not list:
            self.loss_curve_ = list(self.loss_curve_)
        return self.loss_curve_

    def reset_solver(self) -> None:
        """Forget the solver's velocities or moments, so that `partial_fit` starts afresh."""
        self._state = None

    def _check_training(
        self, X: Any, y: Any, batch_size: Any, shuffle: Any, smoothing: Any, solver_options: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], bool, Options]:
        """Refuse all bad input to a fit before anything changes."""
        units, out_activation = self._layer_units, self._activations[-1]
        name, numbers, own = self._loss
        x = X
        # the long way where y is not what kernels take: several quantiles have one target
        if (
            own
            or name == "quantile"
            or not can_train(self._params, x, y, units[0], units[-1], name, out_activation)
        ):
            x, y = self.check_data(X, y)
            if not own:
                checks.targets(y, name, out_activation)
            self._check_params(written=True)
            # training must not change its own data: views of the parameters are copied
            x, y = (a.copy() if np.may_share_memory(a, self._params) else a for a in (x, y))
        shuffle = checks.boolean("shuffle", shuffle)
        checked = options.check_options(self._dtype, solver_options)
        if checked.evidence and name != "squared_error":
            raise ValueError(
                f'alpha="evidence" is for the loss "squared_error", and the loss is {name!r}'
            )
        if checked["solver"] == "lm":
            options.check_curvature(name, bool(own), checked["solver"])
            check_memory(units, len(x), evidence=checked.evidence)
        batch_size = options.batch_size(batch_size, len(x), checked["solver"])
        step = checked.new_step(name, batch_size, len(units) - 1, numbers)
        if smoothing is not UNSMOOTHED:
            y = smoothed(y, name, smoothing)
        threads.from_environment()  # it may ask for an impossible number
        return x, y, step, shuffle, checked

    def _validation(
        self, X: Any, y: Any, sample_weight: Any, scoring: Any, n_iter_no_change: Any, tol: Any
    ) -> Validation | None:
        """What validates a fit, or None; bad input is refused."""
        if X is None and y is None and sample_weight is None and scoring is None:
            if n_iter_no_change is None and tol is TOL:  # the usual case, without the dict
                return None
        tol = checks.real_number("tol", tol, 0, closed="left")
        if n_iter_no_change is not None:
            n_iter_no_change = checks.whole_number("n_iter_no_change", n_iter_no_change)
        if X is None or y is None:
            given = {
                "X_val": X, "y_val": y, "sample_weight_val": sample_weight, "scoring": scoring,
                "n_iter_no_change": n_iter_no_change,
            }  # fmt: skip
            for name, value in given.items():
                if value is not None:
                    raise ValueError(f"{name} needs a validation set: give both X_val and y_val")
            return None
        with checks.naming("the validation set"):
            checked = self.check_data(X, y)
            checks.loss_domain(checked[1], self._loss.name)
        # views of the parameters would change while they train
        x, targets = (a.copy() if np.may_share_memory(a, self._params) else a for a in checked)
        weights = None
        if sample_weight is not None:
            weighted = self._with_weights(targets, sample_weight, "sample_weight_val")
            weights = weighted[:, -1]
        if scoring is None:
            rows = targets if weights is None else weighted
            mean, no_grads = self._objective(0.0, x, rows), np.empty(0, self._dtype)
            score: Callable[[Network], Any] = lambda net: -mean(net.params_, no_grads)  # noqa: E731
        else:
            score = scorer(scoring, (X, y), (x, targets), weights)
        return Validation(score, scoring is None, n_iter_no_change, tol)

    def _train(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        step: NDArray[Any],
        checked: Options,
        shuffle: bool,
        curve: NDArray[Any],
        blocks: Blocks | None = None,
        listeners: Listeners = NOBODY,
        running: RunningFit | None = None,
    ) -> TrainingRun | Search:
        batch_size = step["batch_size"].item()
        functions = self._loss.own
        kind: Callable[..., TrainingRun | Search] = TrainingRun
        if checked.searches:
            n_threads = 1
            if checked["solver"] == "lm":
                n_threads = work.search_threads(
                    self._units, len(x), len(curve), self._n_jobs, checked.evidence
                )
            search: type[Search] = LimitedMemoryBFGS
            if checked["solver"] == "lm":
                search = EvidenceSearch if checked.evidence else LevenbergMarquardt
            kind = functools.partial(
                search, options=checked, loss_numbers=self._loss.numbers, own=functions,
                n_jobs=self._n_jobs,
            )  # fmt: skip
        else:
            n_threads = work.training_threads(
                self._units, batch_size, self._dtype, len(x) * len(curve), self._n_jobs
            )
        if functions and not checked.searches:
            kind = functools.partial(own_loss.OwnLossRun, functions)
        run = kind(
            self._units, self._codes, step, self._dtype, n_threads=n_threads,
            weighted=y.shape[1] > self._layer_units[-1],
        )  # fmt: skip
        run.go_on_from(self._state, self._random_state)
        order = running.order if running else _new_order(len(x), shuffle, step)
        params, architecture = None, self._architecture()
        done = before = running.epoch if running else 0
        run.count_afresh(done)
        due: tuple[list[float], int, int] | None = None

        def note() -> None:
            """Take down what was trained, if it is due; again after an interrupt in between."""
            nonlocal done, due
            if due is None:
                return
            run.settle()
            losses, length, first = due
            state, end = run.state, before + run.epochs_done
            losses[length:] = curve[first:end].tolist()
            own["_state"] = state
            done, due = end, None
            if running:
                running.epoch = end

        own = vars(self)
        # of a fit whose callback called this one
        outer = {"_step": self._step, "_running": own.get("_running")}
        own.update(_step=step, _running=running)
        try:
            with run:
                try:
                    over = lambda: done if run.over else None  # noqa: E731
                    for stop in listeners.stops(cast("Network", self), len(curve), over):
                        while done < stop and not run.over:
                            # at first, after a callback's __setstate__, and for more of a schedule
                            if self._params is not params or (blocks and done >= blocks.end):
                                if done and self._architecture() != architecture:
                                    raise ValueError(ANOTHER)
                                params = self._params
                                table = blocks.rows(done) if blocks else None
                                run.begin(params, x, y, curve, order, first=done, schedule=table)
                            end = min(stop, blocks.end) if blocks else stop
                            # a callback may have trained this network, too
                            losses = self._own_curve()
                            due = losses, len(losses), done
                            if order is None:
                                run.until(end)
                            else:
                                for epoch in range(done, end):
                                    draw_order(order, self._random_state)
                                    run.until(epoch + 1)
                            note()
                    # of these parameters, not of those that a callback put there at the end
                    if isinstance(run, EvidenceSearch) and run.is_at(self._params):
                        own["_evidence"] = run.evidence()._asdict()
                except BaseException:  # which may have come before or within
                    note()
                    raise
        finally:
            own.update(outer)
        return run

    def _architecture(self) -> tuple[Any, ...]:
        return self._layer_units, self._activations, self._loss, self._dtype
