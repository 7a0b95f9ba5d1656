"""One fit in epochs, with Adam, SGD and others: compiled, and scikit-learn's rules between them.

Where nobody listens, shuffles and the rule of stopping are part of the compiled call, which does
many epochs. Callbacks, `verbose`, `early_stopping` and a learning rate that changes from epoch to
epoch make it one epoch a call.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastnn import kernels, trainable, work
from fastnn.callbacks import Listeners
from fastnn.data import checks
from fastnn.data.rows import SparseRows
from fastnn.estimators import arrays, extras, optimizers, resuming
from fastnn.estimators.following import Followers
from fastnn.estimators.optimizers import Solver
from fastnn.schedules import Blocks, Checked, Schedules
from fastnn.states import trained_on
from fastnn.training import options
from fastnn.training.run import TrainingRun, advice, draw_order
from fastnn.training.running import RunningFit

_Perceptron = originals.BaseMultilayerPerceptron
# scikit-learn 1.6 has no sample weights
HAS_WEIGHTS = "sample_weight" in inspect.signature(_Perceptron.fit).parameters
MOST_EPOCHS = 1000  # of one compiled call
_PART = 1e8  # multiply-adds, some ten milliseconds, between two looks at whether a fit is to end

# What a callback may not change while a fit runs: the fit would not notice.
_FIXED = (
    "hidden_layer_sizes", "activation", "solver", "batch_size", "learning_rate", "power_t",
    "max_iter", "loss", "shuffle", "momentum", "nesterovs_momentum", "early_stopping",
    "validation_fraction", "beta_1", "beta_2", "epsilon", *extras.FIXED,
    "learning_rate_",  # no estimator has it: the network that callbacks get does
)  # fmt: skip
FIXED_BY_SEARCHES = (*_FIXED, "alpha", "learning_rate_init", "tol", "n_iter_no_change", "max_fun")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as from scikit-learn's module, by whose name programs select its warnings."""
    room, line = vars(originals), _Perceptron._fit_stochastic.__code__.co_firstlineno
    warnings.warn_explicit(
        message, category, originals.__file__, line, originals.__name__,
        room.setdefault("__warningregistry__", {}),
    )  # fmt: skip


def not_finite(finite: bool, loss: float, moved: bool, advice: str) -> ValueError:
    """What a fit raises that ended with parameters or a loss that are not finite.

    moved says whether some epoch or iteration had a finite loss.
    """
    what = f"The loss is {loss:g}" if finite else "Solver produced non-finite parameter weights"
    kept = "the last that gave a finite loss" if moved else "those that the fit began with"
    return ValueError(
        f"{what}. The input data may contain large values and need to be preprocessed; coefs_ and "
        f"intercepts_ are {kept}. {advice}".rstrip()
    )


def _are_finite(params: NDArray[Any]) -> bool:
    finite: bool = kernels.for_dtype(kernels.build.all_finite, params.dtype)(params)
    return finite


@contextlib.contextmanager
def ended_by(over: threading.Event | None, estimator: Any) -> Iterator[None]:
    """A context of a fit that is one of many: Ctrl-C raises KeyboardInterrupt out of it.

    By itself it would warn and return. With others beside it that must end, too, which they do by
    the same exception soon after `over` is set.
    """
    estimator._over = over
    try:
        yield
    finally:
        del estimator._over


def look(estimator: Any) -> None:
    """Raise KeyboardInterrupt if the fit is to end."""
    over: threading.Event | None = vars(estimator).get("_over")
    if over is not None and over.is_set():
        raise KeyboardInterrupt


class Fixed:
    """Parameters of an estimator that must stay as they are while a fit runs."""

    def __init__(self, estimator: Any, names: tuple[str, ...]) -> None:
        self._estimator = estimator
        self._before: dict[str, Any] = {name: getattr(estimator, name, None) for name in names}

    def check(self) -> None:
        """Refuse what a callback changed.

        Raises
        ------
        ValueError
        """
        for name, before in self._before.items():
            now: Any = getattr(self._estimator, name, None)
            if now is not before and not np.array_equal(now, before):
                raise ValueError(
                    f"a callback set {name} to {checks.shown(now)}, which the fit that is running "
                    "does not take up; set it before fit. A callback may change "
                    "learning_rate_init, alpha, tol and n_iter_no_change of a fit in epochs, and "
                    "end any by returning "
                    "True"
                )


def prepare(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None,
    incremental: bool,
    anew: bool,
) -> tuple[Training, list[Any]]:
    """A fit before its first epoch: the training, and X, y and sample_weight to validate with.

    After it nothing is refused any more. With a new optimizer it changes attributes that whoever
    called it puts back if it raises something.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight
        As scikit-learn validated them.
    incremental : bool
        Whether this is partial_fit: one epoch, with the solver's state kept.
    anew : bool
        Whether there must be a new optimizer.

    Raises
    ------
    TypeError, ValueError
    """
    validation: list[Any] = [None] * (2 + HAS_WEIGHTS)
    followers, began = vars(estimator).get("_followers"), None
    saved: resuming.Saved | None = vars(estimator).get("_resume")
    listened = bool(followers and followers.need_network) or saved is not None
    settings = resuming.settings_of(estimator) if listened else {}
    given = vars(estimator).get("_validation")
    if estimator.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    if given is not None:
        validation = list(given[: len(validation)])
    elif estimator.early_stopping:
        if saved is not None and (saved.state["more"] or {}).get("began") is not None:
            estimator._random_state = saved.state["more"]["began"]
        if listened:
            began = resuming.copy_of(estimator._random_state)
        (X, y, sample_weight), parts = _split_validation(estimator, X, y, sample_weight)
        validation = parts[: len(validation)]
    if incremental or estimator.warm_start:
        _keep_short(estimator)
    if incremental or estimator.warm_start or given is not None:
        _change_rule(estimator, given is not None or estimator.early_stopping)
    if saved is not None:
        resuming.begin(estimator, saved)
    elif anew:
        optimizers.check_numbers(estimator, optimizers.OF_OPTIMIZER)
        estimator._take_optimizer(optimizers.new_optimizer(estimator, whole=False))
    training = estimator._present_training() if incremental else None
    if training is None or not training.goes_on(estimator, X, y, sample_weight):
        training = Training(estimator, X, y, sample_weight, incremental)
        estimator._trained_on = trained_on(None, training.n_samples)
    estimator.n_iter_ = 0
    if listened:
        training.running = resuming.new_running(
            training, settings, validation, began, training._order
        )
        if saved is not None:
            training.running.check(saved.state)
            training.resume(saved)
    return training, validation


def train(estimator: Any, incremental: bool, training: Training, validation: list[Any]) -> None:
    """Fit the estimator's coefs_ and intercepts_.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    incremental : bool
    training, validation
        From `prepare`.

    Raises
    ------
    ValueError
        If the fit ends with a loss or parameters that are not finite. The parameters are then the
        last that gave a finite loss, and the solver starts afresh. With early_stopping this is a
        warning, as the best parameters are kept anyway, unless no validation score was finite.
    """
    before: NDArray[Any] | None = None
    try:
        if training.running is not None:
            estimator._running = training.running
        if training.followers is None:
            training.epochs(validation, incremental)
        else:
            with training.hear():
                training.epochs(validation, incremental)
                before = training.params.copy()
    finally:
        vars(estimator).pop("_running", None)
        estimator._keep(training, incremental)
    if before is not None and not np.array_equal(before, training.params):
        # a callback put other parameters in place; the solver's state belongs to the old ones
        estimator._take_optimizer(optimizers.new_optimizer(estimator))


def new_rule(estimator: Any) -> None:
    """Have what epochs, and the rule that ends them, begin with."""
    estimator.loss_curve_, estimator._no_improvement_count = [], 0
    validates = estimator.early_stopping
    estimator.validation_scores_ = [] if validates else None
    estimator.best_validation_score_ = -np.inf if validates else None
    estimator.best_loss_ = None if validates else np.inf


def _change_rule(estimator: Any, validates: bool) -> None:
    """Have what the rule of stopping needs where scikit-learn, or a fit before, has the other."""
    if validates and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
        estimator.best_loss_ = None
        # the best so far are not those that the first fit began with
        estimator._best_coefs = [coef.copy() for coef in estimator.coefs_]
        estimator._best_intercepts = [intercept.copy() for intercept in estimator.intercepts_]
    if not validates and estimator.best_loss_ is None:
        estimator.best_loss_ = np.inf


def _keep_short(estimator: Any) -> None:
    """Drop the oldest losses and scores where calls that may come for ever would add to them."""
    for name in ("loss_curve_", "validation_scores_"):
        values = getattr(estimator, name, None)
        if values is not None and len(values) >= trainable.LONGEST_CURVE:
            del values[: len(values) - trainable.LONGEST_CURVE // 2]


def _split_validation(
    estimator: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None
) -> tuple[list[Any], list[Any]]:
    """X, y, sample_weight to train on and to validate with."""
    by_class = is_classifier(estimator) and y.shape[1] == 1
    given = [X, y] if sample_weight is None else [X, y, sample_weight]
    parts = train_test_split(
        *given,
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=y if by_class else None,
    )
    train, validation = [*parts[::2], None][:3], [*parts[1::2], None][:3]
    if validation[0].shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of "
            "your dataset."
        )
    if is_classifier(estimator):
        validation[1] = estimator._label_binarizer.inverse_transform(validation[1])
    return train, validation


class Training:
    """The epochs of one fit: data as the kernels read it, and a run with the optimizer's state.

    Attributes
    ----------
    params : ndarray, (n_params,)
        The estimator's; epochs change it.
    n_samples, epochs_left : int
    run : TrainingRun
    alone : bool
        Whether one thread trains.
    followers : Followers or None
        None if nobody listens.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        incremental: bool,
    ) -> None:
        self._estimator = estimator
        optimizers.check_numbers(estimator)
        params, units = estimator._parameters()
        if estimator.coefs_[0].base is not params:  # the user replaced some
            estimator._take_parameters(params, units)
        self.params: NDArray[Any] = params
        self.n_samples: int = X.shape[0]
        self._weighted = sample_weight is not None
        self.epochs_left = 1 if incremental else int(estimator.max_iter)
        self._validates = estimator.early_stopping or "_validation" in vars(estimator)
        self._settings = estimator._settings()
        self.followers: Followers | None = estimator._followers or None
        self._fixed = Fixed(estimator, _FIXED) if self.followers else None
        self._take_rows(X, y, sample_weight, units)
        self.solver = self._new_solver(units)
        self.run, self._rule = self.solver.run, self.solver.rule
        self._optimizer = self.solver.optimizer
        # scikit-learn draws an order for full batches too, where it makes no difference
        self._random_state = estimator._random_state if estimator.shuffle else None
        self._stored_order = np.arange(self.n_samples)
        self._order = self._stored_order.copy()
        # nobody else draws from a random state of its own
        given, own = estimator.random_state, None
        if type(given) is int or isinstance(given, Integral):
            own = estimator._random_state
        self.own_random_state: np.random.RandomState | None = own
        self._in_one_call = not incremental and self._nothing_between_epochs()
        most = MOST_EPOCHS if self._in_one_call else 1
        if vars(estimator).get("_over") is not None:
            work_of_epoch = self.n_samples * work.training_work(tuple(units.tolist()))
            most = min(most, max(1, int(_PART / work_of_epoch)))
        self._n_epochs = self.epochs_left
        self.running: RunningFit | None = None
        self._saved: resuming.Saved | None = None  # until its epoch is done
        self._ended, self._rate_before = False, math.nan
        self._blocks = self._new_blocks()
        self._loss_curve = np.zeros(min(self.epochs_left, most))

    def _new_blocks(self) -> Blocks | None:
        """The factors of a schedule that is none of scikit-learn's."""
        given = self._estimator.learning_rate
        if optimizers.is_theirs(given):
            return None
        if isinstance(given, str):  # scikit-learn's own check can be switched off
            checks.choice("learning_rate", given, optimizers.SCHEDULE_NAMES)
        steps = -(-self.n_samples // self.run.step["batch_size"].item())
        return Blocks(Schedules(Checked("learning_rate", given)), steps, self._n_epochs)

    def _nothing_between_epochs(self) -> bool:
        """Whether compiled calls can do all there is to do between epochs."""
        estimator, optimizer = self._estimator, self._optimizer
        return (
            not self.followers
            and not estimator.verbose
            and not self._validates
            and (self.own_random_state is not None or self._random_state is None)
            and getattr(optimizer, "lr_schedule", "constant") != "invscaling"
            and type(estimator)._update_no_improvement_count
            is _Perceptron._update_no_improvement_count
            and estimator.best_loss_ is not None
        )

    def _take_rows(
        self,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        units: NDArray[np.intp],
    ) -> None:
        dtype = self.params.dtype
        self._x: Any = arrays.as_rows(X, units[0], dtype, to_train=True)
        self._y: Any = arrays.as_targets(
            self._estimator._smoothed(y), sample_weight, units[-1], dtype
        )
        self._given_x, self._last_loss, self._moved = X, 0.0, False

    def goes_on(
        self, estimator: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None
    ) -> bool:
        """Take other rows for an epoch more, if nothing else has changed."""
        params, units = estimator._parameters()
        if not (
            params is self.params
            and type(X) is np.ndarray
            and X.shape[0] == self.n_samples
            and (sample_weight is not None) == self._weighted
            and self._settings == estimator._settings()
            and not self._warned  # of its batch_size; it has to warn again
            and kernels.build is self.run.build
        ):
            return False
        self._estimator, self.epochs_left = estimator, 1
        self._order[:] = self._stored_order
        if self._random_state is not estimator._random_state:
            self._random_state = estimator._random_state if estimator.shuffle else None
        self._rule.begin()
        self._take_rows(X, y, sample_weight, units)
        return True

    def pause(self) -> None:
        """Forget the data and the estimator, which holds this one."""
        self._estimator = self._x = self._y = self._given_x = None

    def _batch_size(self) -> int:
        given, n, self._warned = self._estimator.batch_size, self.n_samples, False
        if given == "auto":
            return n if self._estimator.solver == "rprop" else min(200, n)
        clipped = max(1, min(given, n))
        if not isinstance(clipped, Integral):
            raise TypeError(f"batch_size must be an integer, got {given}")
        self._warned = given > n
        if self._warned:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped"
            )
        return int(clipped)

    def _new_solver(self, units: NDArray[np.intp]) -> Solver:
        """One that goes on from the state of the estimator's optimizer."""
        estimator, params, batch_size = self._estimator, self.params, self._batch_size()
        self._in_batches = batch_size < self.n_samples
        optimizer = estimator._optimizer_to_go_on()
        step = optimizers.new_step(
            optimizer, estimator._loss_name(), batch_size, estimator.alpha,
            extras.of_step(estimator), estimator._loss_numbers(units[-1].item()),
        )  # fmt: skip
        n_threads = work.training_threads(
            units, batch_size, params.dtype, self.n_samples * self.epochs_left, estimator.n_jobs
        )
        self.alone = n_threads == 1
        run = TrainingRun(
            units, estimator._codes(len(units) - 1), step, params.dtype, n_threads=n_threads,
            weighted=self._weighted,
        )  # fmt: skip
        solver = Solver(optimizer, run, params)
        solver.load_state()
        run.go_on_from(None, estimator._random_state)  # it may draw a seed
        estimator._solver = solver
        return solver

    # ---- epochs ----

    def epochs(self, validation: list[Any], incremental: bool) -> None:
        """Train until a rule or a callback ends it, or for max_iter epochs, and conclude.

        Errors are those of `_conclude`, and KeyboardInterrupt for one of an ensemble.
        """
        try:
            with self.run:
                self._begun = False
                ended = self._until_the_end(validation)
            if not (ended or incremental):
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({self._estimator.max_iter}) "
                    "reached and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                )
        except KeyboardInterrupt:
            if "_over" in vars(self._estimator):
                raise
            warn("Training interrupted by user.")
        self._conclude()

    def _until_the_end(self, validation: list[Any]) -> bool:
        """Train; whether a rule or a callback ended it."""
        if self._saved is not None:
            ended = self._catch_up()
            if ended or not self.epochs_left:
                return ended
        while not self._some_epochs(validation):
            if self.epochs_left == 0:
                return False
        return True

    def _compiled_epochs(self) -> None:
        """Train for as many epochs as there is room for, and take note of those that were done."""
        estimator, rule, run = self._estimator, self._rule, self.run
        look(estimator)
        random_state = self.own_random_state if self._random_state else None
        if self._random_state is not None and self._random_state is not random_state:
            draw_order(self._order, self._random_state)
        if isinstance(self._optimizer, SGDOptimizer):
            run.set_learning_rate(self._optimizer.learning_rate)
        if self._in_one_call:
            rule.set(
                estimator.tol, estimator.best_loss_, estimator.n_iter_no_change,
                estimator._no_improvement_count,
            )  # fmt: skip
        done, blocks = self._n_epochs - self.epochs_left, self._blocks
        if not self._begun or (blocks and done >= blocks.end):
            shuffled = random_state or (self._random_state and self._in_batches)
            run.begin(
                self.params, self._x, self._y, self._loss_curve,
                self._order if shuffled else None, random_state=random_state, rule=rule,
                schedule=blocks.rows(done) if blocks else None,
            )  # fmt: skip
            self._begun = True
        # what was before: `_note` may come twice
        curve = estimator.loss_curve_
        self._before = (
            curve, len(curve), estimator.n_iter_, estimator.t_, self.epochs_left, run.epochs_done,
        )  # fmt: skip
        try:
            most = min(len(self._loss_curve), self.epochs_left)
            run.again(min(most, blocks.end - done) if blocks else most)
            self._note()
        except BaseException:  # which may have come before or within
            self._note()
            raise

    def _note(self) -> None:
        """Take down what epochs have done, all of it; if it was interrupted, once more."""
        estimator, rule, run = self._estimator, self._rule, self.run
        curve, n_losses, n_iter, t, epochs_left, epochs_done = self._before
        run.settle()
        n = run.epochs_done - epochs_done
        if not n:
            return
        losses = list(self._loss_curve[:n])
        moved = self._moved or any(map(math.isfinite, losses))
        best, count = estimator.best_loss_, estimator._no_improvement_count
        if self._in_one_call:
            best = best if rule.best_loss == best else rule.best_loss
            count = rule.no_improvement_count
        estimator.loss_ = losses[-1]  # at first a new attribute
        curve[n_losses:] = losses
        # these only change attributes, which takes no memory
        self.epochs_left = epochs_left - n
        self._last_loss, self._moved = losses[-1], moved
        estimator.n_iter_, estimator.t_ = n_iter + n, t + n * self.n_samples
        estimator.best_loss_, estimator._no_improvement_count = best, count

    def _some_epochs(self, validation: list[Any]) -> bool:
        """Train for one or more epochs by scikit-learn's rules; whether they end the training."""
        estimator = self._estimator
        if self.followers:
            self.followers.begin_step()
        self._compiled_epochs()
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self._validates and not _are_finite(self.params):
            # of NaN a class can be predicted, and so a score be had: it must not be the best
            estimator.validation_scores_.append(math.nan)
            estimator._no_improvement_count += 1
        elif not self._in_one_call:
            best = estimator.best_validation_score_ if self._validates else None
            estimator._update_no_improvement_count(self._validates, *validation)
            if self._validates and estimator.best_validation_score_ != best:
                estimator.best_iteration_ = len(estimator.validation_scores_)
        self._optimizer.iteration_ends(estimator.t_)
        stop = False
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            what = "Validation score" if self._validates else "Training loss"
            stop = self._optimizer.trigger_stopping(
                f"{what} did not improve more than tol={estimator.tol:f} for "
                f"{estimator.n_iter_no_change} consecutive epochs.",
                estimator.verbose,
            )
            if not stop:  # the learning rate is lower now
                estimator._no_improvement_count = 0
        if self.followers is None:
            return stop
        self._ended = stop
        return self._tell(stop or self.epochs_left == 0) or stop

    # ---- files ----

    @property
    def data(self) -> tuple[Any, NDArray[Any]]:
        """What it trains on, as the kernels read it."""
        return self._x, self._y

    @property
    def listeners(self) -> Listeners:
        """fastnn's callbacks."""
        return self.followers.listeners if self.followers else Listeners(None)

    def what_is_due(self) -> dict[str, Any]:
        """What a file holds of an epoch that callbacks are being told of, besides all else."""
        return {
            "last_loss": float(self._last_loss), "moved": self._moved, "ended": self._ended,
            "rate_before": float(self._rate_before), "kept": self._rule.kept_params(),
        }  # fmt: skip

    def resume(self, saved: resuming.Saved) -> None:
        """Go on from a file, whose state was checked."""
        assert self.running is not None
        resuming.go_on(self._estimator, saved)
        self.running.take_up(saved.state)
        self._saved, more = saved, saved.state["more"]
        self.epochs_left = self._n_epochs - self.running.epoch
        self._last_loss, self._moved = more["last_loss"], more["moved"]
        self._ended, self._rate_before = more["ended"], more["rate_before"]
        self._rule.keep(more["kept"])

    def _catch_up(self) -> bool:
        """What the epoch that was saved had left to do; whether it ended the training."""
        rate, self._saved, ended = optimizers.rate_of(self._optimizer), None, self._ended
        if self.followers is None:
            if self.run.step["learning_rate"].item() != rate:
                optimizers.set_rate(self._optimizer, self.run.step["learning_rate"].item())
            return ended
        stop = self.followers.catch_up(ended or self.epochs_left == 0)
        self._take_up_changes(rate, self._rate_before)
        return stop or ended

    def _conclude(self) -> None:
        """Put the best parameters of early stopping in place; refuse what is not finite.

        Raises
        ------
        ValueError
        """
        estimator = self._estimator
        finite = _are_finite(self.params)
        diverged = not (finite and math.isfinite(self._last_loss))
        if self._validates:
            self.params[:] = arrays.join(estimator._best_coefs, estimator._best_intercepts)
        elif diverged:
            self._rule.go_back(self.params)
        if not diverged:
            return
        estimator._take_optimizer(optimizers.new_optimizer(estimator))
        if not (self._validates and math.isfinite(estimator.best_validation_score_)):
            x = self._x[0] if isinstance(self._x, SparseRows) else self._x
            outputs = self._y[:, : self.run.layer_units[-1]]
            raise not_finite(
                finite,
                self._last_loss,
                self._moved and not self._validates,
                advice(x, outputs, optimizers.rate_of(self._optimizer)),
            )
        warn(  # scikit-learn says nothing
            "the loss or a parameter is no longer finite; coefs_ and intercepts_ are those with "
            "the best validation score",
            ConvergenceWarning,
        )

    # ---- callbacks ----

    def hear(self) -> AbstractContextManager[None]:
        """A context in which fastnn's callbacks hear of this fit."""
        units = self.run.layer_units.tolist()
        x = self._given_x if isinstance(self._x, SparseRows) else self._x
        followers: Followers = self._estimator._followers
        return followers.hear(
            self.params, units, self.run.step, lambda: (x, self._y[:, : units[-1]]),
            self._saved.state if self._saved else None,
        )  # fmt: skip

    def _tell(self, last: bool) -> bool:
        """Tell callbacks of the epoch, and take up what they changed; whether one stops."""
        estimator, step, followers = self._estimator, self.run.step, self.followers
        assert followers is not None
        step["learning_rate"] = rate = optimizers.rate_of(self._optimizer)
        self._rate_before = given = estimator.learning_rate_init
        if self.running is not None:
            self.running.epoch = estimator.n_iter_
        stop: bool = followers.end_step(
            estimator.loss_, estimator.coefs_, estimator.intercepts_, last
        )
        self._take_up_changes(rate, given)
        return stop

    def _take_up_changes(self, rate: float, given: float) -> None:
        """Take up what callbacks changed; rate and given are those of before."""
        estimator, step, followers = self._estimator, self.run.step, self.followers
        dtype = self.params.dtype
        assert followers is not None
        assert self._fixed is not None
        followers.take_up_params(self.params, step)
        self._fixed.check()
        if step["learning_rate"].item() != rate:  # by way of the network
            optimizers.set_rate(self._optimizer, step["learning_rate"].item())
        new = estimator.learning_rate_init
        if new is not given and new != given:
            new = options.check_number("learning_rate_init", new, dtype)
            rate = optimizers.rate_of(self._optimizer)
            # a schedule has come to a share of the rate that it began with
            optimizers.set_rate(self._optimizer, new if rate == given else rate * (new / given))
        step["learning_rate"] = optimizers.rate_of(self._optimizer)
        step["alpha"] = options.check_number("alpha", estimator.alpha, dtype)
        optimizers.check_numbers(estimator)
