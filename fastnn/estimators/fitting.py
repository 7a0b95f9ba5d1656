"""One fit with Adam or SGD: a compiled call per epoch, scikit-learn's rules between epochs."""

from __future__ import annotations

import math
import warnings
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastnn import kernels, network, parameters, work
from fastnn.data.rows import SparseRows
from fastnn.estimators import arrays
from fastnn.estimators.following import Followers
from fastnn.training import options
from fastnn.training.run import TrainingRun, advice, draw_order

# What a callback may not change while a fit runs: the fit would not notice.
_FIXED = (
    "hidden_layer_sizes", "activation", "solver", "batch_size", "learning_rate", "power_t",
    "max_iter", "loss", "shuffle", "momentum", "nesterovs_momentum", "early_stopping",
    "validation_fraction", "beta_1", "beta_2", "epsilon",
    "learning_rate_",  # no estimator has it: the network that callbacks get does
)  # fmt: skip
FIXED_BY_LBFGS = (*_FIXED, "alpha", "learning_rate_init", "tol", "n_iter_no_change", "max_fun")


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
                    f"a callback set {name} to {now!r}, which the fit that is running does not "
                    "take up; set it before fit. A callback may change learning_rate_init, alpha, "
                    "tol and n_iter_no_change of a fit by Adam or SGD, and end any by returning "
                    "True"
                )


def train(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None,
    incremental: bool,
    n_validation: int,
) -> None:
    """Fit the estimator's coefs_ and intercepts_.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight
        As scikit-learn validated them.
    incremental : bool
        Whether this is partial_fit: one epoch, with the solver's state kept.
    n_validation : int
        Arrays in a validation set: 2 without sample weights (scikit-learn 1.6) or 3.

    Raises
    ------
    ValueError
        If the fit ends with a loss or parameters that are not finite. The parameters are then the
        last that gave a finite loss, and the solver starts afresh. With early_stopping this is a
        warning, as the best parameters are kept anyway, unless no validation score was finite.
    """
    validation: list[Any] = [None] * n_validation
    if estimator.early_stopping:
        if incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        (X, y, sample_weight), parts = _split_validation(estimator, X, y, sample_weight)
        validation = parts[:n_validation]
    if incremental or estimator.warm_start:
        _keep_short(estimator)
    if not (incremental and hasattr(estimator, "_optimizer")):
        estimator._optimizer = _new_optimizer(estimator)
    training = Training(estimator, X, y, sample_weight, 1 if incremental else estimator.max_iter)
    estimator.n_iter_ = 0
    with training.hear():
        try:
            with training:
                for epoch in range(1, estimator.max_iter + 1):
                    last = incremental or epoch == estimator.max_iter
                    if training.epoch_and_rules(validation, last) or incremental:
                        break
                else:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached "
                        "and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=3,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=3)
        training.conclude()
        before = training.params.copy() if training.followers else None
    if before is not None and not np.array_equal(before, training.params):
        # a callback put other parameters in place; the solver's state belongs to the old ones
        estimator._optimizer = _new_optimizer(estimator)


def _keep_short(estimator: Any) -> None:
    """Drop the oldest losses and scores where calls that may come for ever would add to them."""
    for name in ("loss_curve_", "validation_scores_"):
        values = getattr(estimator, name, None)
        if values is not None and len(values) >= network.LONGEST_CURVE:
            del values[: len(values) - network.LONGEST_CURVE // 2]


def _split_validation(
    estimator: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None
) -> tuple[list[Any], list[Any]]:
    """X, y, sample_weight to train on and to validate with."""
    by_class = is_classifier(estimator) and estimator.n_outputs_ == 1
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


def _new_optimizer(estimator: Any) -> AdamOptimizer | SGDOptimizer:
    """scikit-learn's own, for the schedule of the learning rate and for state between calls."""
    given = [*estimator.coefs_, *estimator.intercepts_]
    if estimator.solver == "sgd":
        return SGDOptimizer(
            given, estimator.learning_rate_init, estimator.learning_rate, estimator.momentum,
            estimator.nesterovs_momentum, estimator.power_t,
        )  # fmt: skip
    return AdamOptimizer(
        given, estimator.learning_rate_init, estimator.beta_1, estimator.beta_2, estimator.epsilon
    )


class Training:
    """The epochs of one fit: data as the kernels read it, and a run with the optimizer's state.

    As a context manager it has its threads at work; at the end the optimizer gets its state back.

    Attributes
    ----------
    params : ndarray, (n_params,)
        The estimator's; epochs change it.
    n_samples : int
    run : TrainingRun
    followers : Followers or None
        None if nobody listens.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        n_epochs: int,
    ) -> None:
        self._estimator = estimator
        params, units = estimator._parameters()
        if estimator.coefs_[0].base is not params:  # the user replaced some
            estimator._take_parameters(params, units)
        # the parameters that the last epoch with a finite loss began with, and this epoch
        self.params, self._finite_params, self._before = params, params.copy(), params.copy()
        self.n_samples, self._last_loss, self._moved = X.shape[0], 0.0, False
        batch_size = min(200, self.n_samples)
        if estimator.batch_size != "auto":
            batch_size = min(estimator.batch_size, self.n_samples)
            if batch_size < estimator.batch_size:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped",
                    stacklevel=4,
                )
        self._x = arrays.as_rows(X, units[0], params.dtype)
        self._y = arrays.as_targets(y, sample_weight, units[-1], params.dtype)
        self._given_x = X
        self._optimizer = estimator._optimizer
        n_threads = work.training_threads(
            units, batch_size, params.dtype, self.n_samples * n_epochs, estimator.n_jobs
        )
        step = self._new_step(estimator._loss_name(), batch_size, estimator.alpha)
        self.run = TrainingRun(
            units, estimator._codes(len(units) - 1), step, params.dtype, n_threads=n_threads,
            weighted=sample_weight is not None,
        )  # fmt: skip
        self._load_state()
        # scikit-learn draws an order for full batches too, where it makes no difference
        self._random_state = estimator._random_state if estimator.shuffle else None
        self._in_batches = batch_size < self.n_samples
        self._order = np.arange(self.n_samples)
        self._loss = np.zeros(1)
        self._arguments: tuple[Any, ...] | None = None
        self._in_parts = n_epochs > 1
        self.followers: Followers | None = estimator._followers or None
        self._fixed = Fixed(estimator, _FIXED) if self.followers else None

    # ---- the optimizer ----

    def _new_step(self, loss: str, batch_size: int, alpha: float) -> NDArray[Any]:
        optimizer = self._optimizer
        own: dict[str, Any]
        if isinstance(optimizer, AdamOptimizer):
            own = {
                "solver": "adam", "beta_1": optimizer.beta_1, "beta_2": optimizer.beta_2,
                "epsilon": optimizer.epsilon,
            }  # fmt: skip
        else:
            own = {
                "solver": "sgd", "momentum": optimizer.momentum,
                "nesterovs_momentum": optimizer.nesterov,
            }  # fmt: skip
        return options.new_step(
            loss, batch_size=batch_size, alpha=alpha, keep_going=True,
            learning_rate_init=self._rate(), **own,
        )  # fmt: skip

    def _rate(self) -> float:
        """The learning rate of the next epoch, for Adam before its correction of bias."""
        optimizer = self._optimizer
        adam = isinstance(optimizer, AdamOptimizer)
        return float(optimizer.learning_rate_init if adam else optimizer.learning_rate)

    def _set_rate(self, rate: float) -> None:
        """Go on with this learning rate; a schedule goes on from it."""
        optimizer = self._optimizer
        if isinstance(optimizer, AdamOptimizer) or optimizer.lr_schedule == "constant":
            optimizer.learning_rate_init = rate
        else:
            optimizer.learning_rate_init *= rate / optimizer.learning_rate
        optimizer.learning_rate = rate

    def _states(self) -> tuple[str, ...]:
        """The names of the optimizer's lists, as many as the run has states."""
        names = ("ms", "vs") if isinstance(self._optimizer, AdamOptimizer) else ("velocities",)
        return names[: options.n_states(self.run.step)]

    def _load_state(self) -> None:
        n_layers = len(self.run.layer_units) - 1
        plain = np.empty((options.n_states(self.run.step), len(self.params)), self.params.dtype)
        for row, name in zip(plain, self._states(), strict=True):
            given = getattr(self._optimizer, name)
            row[:] = arrays.join(given[:n_layers], given[n_layers:])
        self.run.load_plain_state(plain, getattr(self._optimizer, "t", 0))

    def _save_state(self) -> None:
        for row, name in zip(self.run.plain_state(), self._states(), strict=True):
            coefs, intercepts = parameters.split_params(row, self.run.layer_units.tolist())
            setattr(self._optimizer, name, coefs + intercepts)
        if isinstance(self._optimizer, AdamOptimizer) and self.run.n_steps:
            adam, t = self._optimizer, self.run.n_steps
            adam.t = t
            adam.learning_rate = (
                adam.learning_rate_init * np.sqrt(1 - adam.beta_2**t) / (1 - adam.beta_1**t)
            )

    def __enter__(self) -> Training:
        self.run.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.run.__exit__(*exception)
        self._save_state()

    # ---- epochs ----

    def epoch(self) -> float:
        """Train for one epoch; its mean loss."""
        self._before[:] = self.params
        if self._random_state:
            draw_order(self._order, self._random_state)
        if isinstance(self._optimizer, SGDOptimizer):
            self.run.step["learning_rate"] = self._optimizer.learning_rate
        if self._arguments is None:
            order = self._order if self._random_state and self._in_batches else None
            self._arguments = self.run.begin(
                self.params, self._x, self._y, self._loss, order, in_parts=self._in_parts
            )
        self.run.again(self._arguments)
        self._last_loss = self._loss[0]
        if math.isfinite(self._last_loss):
            self._finite_params, self._before = self._before, self._finite_params
            self._moved = True
        return self._last_loss

    def epoch_and_rules(self, validation: list[Any], last: bool) -> bool:
        """Train for an epoch and apply scikit-learn's rules; whether it is the last."""
        estimator = self._estimator
        if self.followers:
            self.followers.begin_step()
        estimator.loss_ = self.epoch()
        estimator.n_iter_ += 1
        estimator.t_ += self.n_samples
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        estimator._update_no_improvement_count(estimator.early_stopping, *validation)
        self._optimizer.iteration_ends(estimator.t_)
        stop = False
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            what = "Validation score" if estimator.early_stopping else "Training loss"
            stop = self._optimizer.trigger_stopping(
                f"{what} did not improve more than tol={estimator.tol:f} for "
                f"{estimator.n_iter_no_change} consecutive epochs.",
                estimator.verbose,
            )
            if not stop:  # the learning rate is lower now
                estimator._no_improvement_count = 0
        return (self.followers is not None and self._tell(last or stop)) or stop

    def conclude(self) -> None:
        """Put the best parameters of early stopping in place; refuse what is not finite.

        Raises
        ------
        ValueError
        """
        estimator = self._estimator
        finite = kernels.build.all_finite(self.params)
        diverged = not (finite and math.isfinite(self._last_loss))
        if estimator.early_stopping:
            self.params[:] = arrays.join(estimator._best_coefs, estimator._best_intercepts)
        elif diverged:
            self.params[:] = self._finite_params
        if not diverged:
            return
        estimator._optimizer = _new_optimizer(estimator)
        if not (estimator.early_stopping and math.isfinite(estimator.best_validation_score_)):
            x = self._x[0] if isinstance(self._x, SparseRows) else self._x
            outputs = self._y[:, : self.run.layer_units[-1]]
            raise not_finite(
                finite, self._last_loss, self._moved, advice(x, outputs, self._rate())
            )
        warnings.warn(  # scikit-learn says nothing
            "the loss or a parameter is no longer finite; coefs_ and intercepts_ are those with "
            "the best validation score",
            ConvergenceWarning,
            stacklevel=4,
        )

    # ---- callbacks ----

    def hear(self) -> AbstractContextManager[None]:
        """A context in which fastnn's callbacks hear of this fit."""
        units = self.run.layer_units.tolist()
        x = self._given_x if isinstance(self._x, SparseRows) else self._x
        followers: Followers = self._estimator._followers
        return followers.hear(
            self.params, units, self.run.step, lambda: (x, self._y[:, : units[-1]])
        )

    def _tell(self, last: bool) -> bool:
        """Tell callbacks of the epoch, and take up what they changed; whether one stops."""
        estimator, step, followers = self._estimator, self.run.step, self.followers
        dtype = self.params.dtype
        assert followers is not None
        assert self._fixed is not None
        step["learning_rate"] = rate = self._rate()
        given = estimator.learning_rate_init
        stop: bool = followers.end_step(
            estimator.loss_, estimator.coefs_, estimator.intercepts_, last
        )
        followers.take_up_params(self.params, step)
        self._fixed.check()
        if step["learning_rate"].item() != rate:  # by way of the network
            self._set_rate(step["learning_rate"].item())
        new = estimator.learning_rate_init
        if new is not given and new != given:
            new, rate = options.check_number("learning_rate_init", new, dtype), self._rate()
            # a schedule has come to a share of the rate that it began with
            self._set_rate(new if rate == given else rate * (new / given))
        step["learning_rate"] = self._rate()
        step["alpha"] = options.check_number("alpha", estimator.alpha, dtype)
        return stop
