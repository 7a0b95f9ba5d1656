"""scikit-learn's optimizers: schedules of the learning rate, and the solver's state between fits.

An estimator has one of them as `_optimizer`. Its lists of moments or velocities are filled in when
somebody looks at it; until then the state stays in the `Solver` that trained last, as the kernels
have it, where the next `partial_fit` takes it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastnn import parameters
from fastnn.catalog.schedules import SPELLINGS
from fastnn.catalog.solvers import PARAMETERS, SOLVERS
from fastnn.data import checks
from fastnn.estimators import arrays
from fastnn.training import options
from fastnn.training.run import StoppingRule, TrainingRun

#: solvers that scikit-learn does not have
MORE = tuple(
    row.name
    for row in SOLVERS
    if row.public and not row.searches and row.name not in ("adam", "sgd")
)
#: those that search over all samples, without epochs
SEARCHES = ("lbfgs", "lm")
WEIGHT_DECAY: float = next(p.default for p in PARAMETERS if p.name == "weight_decay")
#: scikit-learn's own schedules: by epochs and by losses
THEIRS = ("constant", "invscaling", "adaptive")
#: what learning_rate may be, as `checks.choice` takes it
SCHEDULE_NAMES = {**{name: name for name in THEIRS}, **SPELLINGS}
#: numbers without an upper bound, that epochs or a new optimizer are made with
OF_EPOCHS = ("alpha", "tol", "n_iter_no_change")
OF_OPTIMIZER = ("learning_rate_init", "epsilon", "power_t")


def is_theirs(learning_rate: Any) -> bool:
    """Whether this learning_rate is one of scikit-learn's three names."""
    return isinstance(learning_rate, str) and learning_rate in THEIRS


def check_numbers(estimator: Any, names: Sequence[str] = OF_EPOCHS) -> None:
    """Refuse parameters that a fit could not compute with.

    partial_fit validates none, nor does a meta-estimator's fit, and a callback may change those of
    epochs; to scikit-learn's own validation any whole number is one, however large.

    Raises
    ------
    TypeError, ValueError
    """
    for name in names:
        value = getattr(estimator, name)
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number, got {checks.shown(value)}")
        try:
            float(value)
        except OverflowError:
            raise ValueError(f"{name} is too large: {checks.shown(value)}") from None


def check_call(estimator: Any, method: str) -> None:
    """Refuse a schedule where nobody knows the end.

    Raises
    ------
    ValueError
    """
    rate = estimator.learning_rate
    if method != "partial_fit" or is_theirs(rate) or estimator.solver in SEARCHES:
        return
    if callable(rate) or (isinstance(rate, str) and rate in SPELLINGS):  # others are not valid
        raise ValueError(
            f"partial_fit takes no learning_rate={checks.shown(rate)}: it does not know how many "
            "calls will follow; use fit, or one of scikit-learn's "
            f"{', '.join(map(repr, THEIRS))}"
        )


class MoreOptimizer(AdamOptimizer):  # type: ignore[misc]
    """The state of a solver that scikit-learn does not have, kept as Adam's.

    Attributes
    ----------
    solver : str
        Of `MORE`; its vectors of state are ms and vs, or ms alone.
    """

    def __init__(self, solver: str, *args: Any) -> None:
        super().__init__(*args)
        self.solver = solver


def new_optimizer(estimator: Any, whole: bool = True) -> AdamOptimizer | SGDOptimizer:
    """One that has done no step. Without its state, if not whole, a run must start with it."""
    given = [*estimator.coefs_, *estimator.intercepts_] if whole else []
    if estimator.solver == "sgd":
        rate = estimator.learning_rate
        return SGDOptimizer(
            given, estimator.learning_rate_init, rate if is_theirs(rate) else "constant",
            estimator.momentum, estimator.nesterovs_momentum, estimator.power_t,
        )  # fmt: skip
    numbers = (
        given, estimator.learning_rate_init, estimator.beta_1, estimator.beta_2, estimator.epsilon,
    )  # fmt: skip
    if estimator.solver in MORE:
        return MoreOptimizer(estimator.solver, *numbers)
    return AdamOptimizer(*numbers)


def is_of_other_solver(estimator: Any) -> bool:
    """Whether the estimator's optimizer, if it has one, is not for its solver.

    scikit-learn goes on with the solver that it began with; that holds for its own two.
    """
    optimizer = vars(estimator).get("_optimizer")
    if optimizer is None:
        return True
    theirs = getattr(optimizer, "solver", "adam")
    return theirs != estimator.solver and (theirs in MORE or estimator.solver in MORE)


def new_step(
    optimizer: AdamOptimizer | SGDOptimizer,
    loss: str,
    batch_size: int,
    alpha: float,
    extras: dict[str, Any],
    loss_numbers: Sequence[float] = (),
) -> NDArray[Any]:
    """The record of its steps, with extras as `extras.of_step` gives them."""
    own: dict[str, Any]
    if isinstance(optimizer, AdamOptimizer):
        own = {
            "solver": getattr(optimizer, "solver", "adam"), "beta_1": optimizer.beta_1,
            "beta_2": optimizer.beta_2, "rho": optimizer.beta_2, "epsilon": optimizer.epsilon,
        }  # fmt: skip
    else:
        own = {
            "solver": "sgd", "momentum": optimizer.momentum,
            "nesterovs_momentum": optimizer.nesterov,
        }  # fmt: skip
    if extras:
        own |= extras
        if extras.get("weight_decay") and own["solver"] == "adam":
            own["solver"] = "adamw"
    if own["solver"] == "adamw":
        own.setdefault("weight_decay", WEIGHT_DECAY)
    return options.new_step(
        loss, batch_size=batch_size, alpha=alpha, keep_going=True,
        learning_rate_init=rate_of(optimizer), loss_numbers=loss_numbers, **own,
    )  # fmt: skip


def rate_of(optimizer: AdamOptimizer | SGDOptimizer) -> float:
    """The learning rate of the next epoch, for Adam before its correction of bias."""
    adam = isinstance(optimizer, AdamOptimizer)
    return float(optimizer.learning_rate_init if adam else optimizer.learning_rate)


def set_rate(optimizer: AdamOptimizer | SGDOptimizer, rate: float) -> None:
    """Go on with this learning rate; a schedule goes on from it."""
    if isinstance(optimizer, AdamOptimizer) or optimizer.lr_schedule == "constant":
        optimizer.learning_rate_init = rate
    else:
        optimizer.learning_rate_init *= rate / optimizer.learning_rate
    optimizer.learning_rate = rate


class Solver:
    """A run, and the optimizer whose state it goes on from.

    Attributes
    ----------
    optimizer : AdamOptimizer or SGDOptimizer
    run : TrainingRun
    rule : StoppingRule
    params : ndarray, (n_params,)
        What it trains.
    """

    def __init__(
        self, optimizer: AdamOptimizer | SGDOptimizer, run: TrainingRun, params: NDArray[Any]
    ) -> None:
        self.optimizer, self.run, self.params = optimizer, run, params
        self.rule = StoppingRule(run)

    def _every_list(self) -> tuple[str, ...]:
        """The names of the optimizer's lists."""
        return ("ms", "vs") if isinstance(self.optimizer, AdamOptimizer) else ("velocities",)

    def _lists(self) -> tuple[str, ...]:
        """As many of them as the run has states."""
        return self._every_list()[: self.run.n_solver_states]

    def load_state(self) -> None:
        """Go on from the optimizer's state, unless it has none yet.

        Raises
        ------
        ValueError
            If that is of arrays with other shapes than coefs_ and intercepts_, as it may be after
            those were replaced: their total says nothing.
        """
        n_layers = len(self.run.layer_units) - 1
        wanted = arrays.shapes_of(self.run.layer_units.tolist())
        for name in self._every_list():
            shapes = [np.shape(one) for one in getattr(self.optimizer, name)]
            if shapes and shapes != wanted:
                raise ValueError(
                    f"_optimizer.{name} has arrays of shapes {shapes}, and coefs_ and intercepts_ "
                    f"have {wanted}; del estimator._optimizer to go on without"
                )
        lists = [getattr(self.optimizer, name) for name in self._lists()]
        if all(lists):
            plain = np.empty((len(lists), len(self.params)), self.params.dtype)
            for row, given in zip(plain, lists, strict=True):
                row[:] = arrays.join(given[:n_layers], given[n_layers:])
            more = getattr(self.optimizer, "fastnn_state", None)
            self.run.load_plain_state(plain, getattr(self.optimizer, "t", 0), more)

    def keep_state_only(self) -> None:
        """Give back the memory for training."""
        del self.rule, self.run.workspace

    def save_state(self) -> None:
        """Give the optimizer its state."""
        units = self.run.layer_units.tolist()
        for row, name in zip(self.run.plain_state(), self._lists(), strict=True):
            coefs, intercepts = parameters.split_params(row, units)
            setattr(self.optimizer, name, coefs + intercepts)
        if not self._lists() and not self.optimizer.velocities:  # gradient descent needs none
            coefs, intercepts = parameters.split_params(np.zeros_like(self.params), units)
            self.optimizer.velocities = coefs + intercepts
        more = self.run.extra_state()
        if more is not None or hasattr(self.optimizer, "fastnn_state"):
            self.optimizer.fastnn_state = more
        if isinstance(self.optimizer, AdamOptimizer) and self.run.n_steps:
            adam, t = self.optimizer, self.run.n_steps
            adam.t = t
            adam.learning_rate = (
                adam.learning_rate_init * np.sqrt(1 - adam.beta_2**t) / (1 - adam.beta_1**t)
            )
