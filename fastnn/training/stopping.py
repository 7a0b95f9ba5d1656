"""Validation of a network that trains: a score after each epoch, when to end, the best of all."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.callbacks import Callback
from fastnn.data import checks

if TYPE_CHECKING:
    from fastnn.network import Network

Scoring: TypeAlias = str | Callable[..., Any] | None


class Validation(Callback):
    """Takes a score after each epoch; the last of a fit's callbacks.

    Parameters
    ----------
    score : callable
        Returns a number for the network, more for a better one.
    by_loss : bool
        Whether that is minus the mean loss.
    n_iter_no_change : int or None
        Training ends after this many scores in a row of which none is better than the best by
        more than tol, and the network gets its best parameters. None: it never ends here.
    tol : float

    Attributes
    ----------
    scores : list of float
    """

    def __init__(
        self,
        score: Callable[[Network], Any],
        by_loss: bool,
        n_iter_no_change: int | None,
        tol: float,
    ) -> None:
        self._score, self._patience, self._tol = score, n_iter_no_change, tol
        self.scores: list[float] = []
        self._losses: list[float] | None = [] if by_loss else None
        self._best_score, self._no_change = -math.inf, 0
        self._best_iteration: int | None = None
        self._best: NDArray[Any] | None = None

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Refuse what does not give a score; this one is not kept."""
        as_score(self._score(net))

    def __call__(self, net: Network) -> bool:
        """Take the score; True if there was none better for long enough."""
        score = as_score(self._score(net))
        self.scores.append(score)
        if self._losses is not None:
            self._losses.append(-score)
        improved = score > self._best_score + self._tol
        self._no_change = 0 if improved else self._no_change + 1
        if score > self._best_score:
            self._best_score, self._best_iteration = score, len(self.scores)
            if self._patience:
                self._best = net.params_.copy()
        self._show(net)
        return self._patience is not None and self._no_change >= self._patience

    def end(self, net: Network, completed: bool) -> None:
        """Put the best parameters back."""
        self._show(net)
        if completed and self._best is not None and self._best_iteration != len(self.scores):
            net.params_[:] = self._best
            net.reset_solver()
        self._best = None

    def get_state(self) -> dict[str, Any]:
        """The scores, and the best parameters."""
        return {
            "scores": self.scores, "losses": self._losses, "best_score": self._best_score,
            "no_change": self._no_change, "best_iteration": self._best_iteration,
            "best": self._best,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from them."""
        self.scores, self._losses = state["scores"], state["losses"]
        self._best_score, self._no_change = state["best_score"], state["no_change"]
        self._best_iteration, self._best = state["best_iteration"], state["best"]

    def _show(self, net: Network) -> None:
        # each time: another callback may have trained this network, too
        net.validation_scores_ = self.scores
        net.validation_loss_curve_ = self._losses
        net.best_iteration_ = self._best_iteration


def as_score(value: Any) -> float:
    """What a scorer gave, as a float; it may be NaN.

    Raises
    ------
    TypeError
        If it is no number.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"scoring must give one number, got {checks.shown(value)}")
    return float(value)


def scorer(
    scoring: Any, given: tuple[Any, Any], checked: tuple[Any, Any], sample_weight: Any
) -> Callable[[Network], Any]:
    """A function of the network alone that gives the score of one validation set.

    Parameters
    ----------
    scoring : str or callable
        A name of scikit-learn's scorers or one of them, which get labels where the outputs are
        probabilities and the targets 0 and 1; or a function of (net, X, y).
    given : tuple
        X and y, which a function gets.
    checked : tuple
        The same as arrays, (n, units).
    sample_weight : ndarray, (n,), or None
        Any of them gets it as a keyword, if it is not None.

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    from sklearn.metrics import get_scorer, get_scorer_names

    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    if isinstance(scoring, str):
        names = get_scorer_names()
        if scoring not in names:
            raise ValueError(
                "scoring must be a function of (net, X, y), or a name of scikit-learn's scorers "
                f"(sklearn.metrics.get_scorer_names), got {checks.shown(scoring)}"
                f"{checks.did_you_mean(scoring, names)}"
            )
        scoring = get_scorer(scoring)
    if not callable(scoring) or isinstance(scoring, type):
        raise TypeError(
            "scoring must be None, a name of scikit-learn's scorers, or a function of "
            f"(net, X, y), got {checks.shown(scoring)}"
        )
    if not hasattr(scoring, "_score_func"):  # as scikit-learn's own have
        return lambda net: scoring(net, *given, **weights)
    X, y = checked
    binary = bool(((y == 0) | (y == 1)).all())

    def score(net: Network) -> Any:
        model = _Model(net, binary)
        return scoring(model, X, model.labels_of(y), **weights)

    return score


class _Model:
    """A network as scikit-learn's scorers take one.

    Parameters
    ----------
    net : Network
    binary : bool
        Whether all targets are 0 or 1; outputs that are probabilities then stand for classes.
    """

    def __init__(self, net: Network, binary: bool) -> None:
        self._net = net
        out, self._n = net.activations[-1], net.layer_units[-1]
        self._classifies = binary and out in ("softmax", "sigmoid")
        self._one_label = out == "softmax" or self._n == 1
        if self._classifies:
            # several labels a row: two classes for each
            self.classes_: Any = (
                np.arange(max(2, self._n)) if self._one_label else [np.arange(2)] * self._n
            )

    def labels_of(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Labels of targets or outputs; numbers for a regression."""
        if not self._classifies:
            return outputs.ravel() if self._n == 1 else outputs
        if self._n > 1 and self._one_label:
            labels: NDArray[Any] = outputs.argmax(axis=1)
            return labels
        over: NDArray[Any] = (outputs > 0.5).astype(np.intp)
        return over.ravel() if self._n == 1 else over

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.labels_of(self._net.predict(X))

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        if not self._classifies:
            raise AttributeError("a network has probabilities if all targets are 0 or 1")
        p = self._net.predict(X)
        return np.hstack([1 - p, p]) if self._n == 1 else p

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier" if self._classifies else "regressor",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if self._classifies else None,
            regressor_tags=None if self._classifies else RegressorTags(),
            input_tags=InputTags(),
        )
