"""Fits that are saved while they run, and fits that go on from such a file."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn.data import checks
from fastnn.estimators import optimizers
from fastnn.training.running import RunningFit

# what a callback may change meanwhile
_CHANGEABLE = ("alpha", "tol", "n_iter_no_change", "learning_rate_init")
# what changes no bit, or is in the file
_FREE = ("n_jobs", "verbose", "random_state", "warm_start")
# what epochs leave, besides parameters, optimizer and random state
_REACHED = (
    "loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_", "best_iteration_",
    "_best_coefs", "_best_intercepts", "_no_improvement_count", "t_", "n_iter_", "loss_",
)  # fmt: skip

DOC = """
        resume : path-like, default=None
            A file that `fastnn.callbacks.Checkpoint` wrote during such a fit.
            This one goes on from there and ends with the bits of one that was
            never interrupted. Parameters and data must be the same, those that
            change no bit apart; ``max_iter`` may be larger with a
            learning_rate of scikit-learn's. Not for ``solver='lbfgs'``.
"""


class Saved(NamedTuple):
    """An estimator from a file, and how its fit stood."""

    estimator: Any
    state: dict[str, Any]


def take(estimator: Any, keywords: dict[str, Any]) -> Saved | None:
    """What the keyword resume of fit names; the keywords lose it.

    Raises
    ------
    ValueError, OSError
        If the file is not one of such a fit.
    """
    path = keywords.pop("resume", None)
    if path is None:
        return None
    if estimator.solver in optimizers.SEARCHES:
        raise ValueError(f"resume is not for solver {estimator.solver!r}, which has no epochs")
    other, state = fastnn.files.load_with_fit(path)
    if type(other) is not type(estimator):
        raise ValueError(f"resume: the file holds {checks.shown(other)}")
    return Saved(other, state)


def settings_of(estimator: Any) -> dict[str, Any]:
    """Its parameters, as far as a fit must have the same to go on."""
    settings = {k: v for k, v in estimator.get_params(deep=False).items() if k not in _FREE}
    if optimizers.is_theirs(estimator.learning_rate):
        del settings["max_iter"]
    return settings


def copy_of(random_state: np.random.RandomState) -> np.random.RandomState:
    """Another that draws the same."""
    return copy.deepcopy(random_state)


def begin(estimator: Any, saved: Saved) -> None:
    """Have the parameters, optimizer and random state of the file, and what callbacks changed.

    Raises
    ------
    ValueError
        If the parameters are of other shapes or types.
    """
    other = saved.estimator
    (params, units), (now, wanted) = other._parameters(), estimator._parameters()
    if not np.array_equal(units, wanted) or params.dtype != now.dtype:
        raise ValueError(
            f"resume: the file's coefs_ are for {units.tolist()} units of {params.dtype}, this "
            f"fit's for {wanted.tolist()} of {now.dtype}"
        )
    estimator._take_parameters(params, units)
    estimator._random_state = vars(other)["_random_state"]
    estimator._take_optimizer(other._optimizer_to_go_on())
    for name in _CHANGEABLE:
        setattr(estimator, name, getattr(other, name))


def go_on(estimator: Any, saved: Saved) -> None:
    """Have what the epochs in the file left."""
    reached = vars(saved.estimator)
    vars(estimator).update({name: reached[name] for name in _REACHED if name in reached})


def new_running(
    training: Any,
    settings: dict[str, Any],
    validation: list[Any],
    began: np.random.RandomState | None,
    order: NDArray[np.intp],
) -> RunningFit:
    """The state of a training, for files."""

    def more() -> dict[str, Any]:
        return {"began": began, **training.what_is_due()}

    return RunningFit(
        settings, [*training.data, *map(_numbers, validation)], training.epochs_left, order,
        training.run.step, training.listeners, more,
    )  # fmt: skip


def _numbers(one: Any) -> Any:
    """Something that has a checksum: labels may be text."""
    if one is None or hasattr(one, "tocsr") or np.asarray(one).dtype.kind in "fiub":
        return one
    return np.frombuffer("\0".join(map(str, np.ravel(one))).encode(), np.uint8)
