"""Several starts of one fit, side by side; the best is kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.initializers import start_of
from fastnn.training.side_by_side import train_each

if TYPE_CHECKING:
    from fastnn.network import Network


def starts_of(net: Network, n: int) -> list[Network]:
    """n copies of a network: the first as it is, the others with parameters drawn anew.

    The network's random state draws them, and then a seed for the shuffles of each.
    """
    random_state, copies = net._random_state, [net.copy() for _ in range(n)]
    draw = start_of(*net._init)
    for one in copies[1:]:
        draw(random_state, one._coefs[:], one._intercepts[:], one.activations)
    for one in copies[1:]:
        seed = random_state.randint(2**31 - 1)
        vars(one)["_random_state"] = np.random.RandomState(seed)
    for one in copies:
        vars(one)["_n_jobs"] = 1
    return copies


def fit_side_by_side(
    nets: Sequence[Network], X: Any, y: Any, options: dict[str, Any], n_threads: int, every: int
) -> list[float]:
    """Fit them all; returns what each came to: minus infinity for one that diverged.

    That is the best validation score, if there are scores, else the logarithm of the evidence, or
    else minus the mean loss.

    Parameters
    ----------
    nets : sequence of Network
    X, y, options
        Of `Network.fit`, checked.
    n_threads : int
    every : int
        Epochs after which a fit looks whether another one ended with an error.

    Raises
    ------
    FloatingPointError
        If all of them diverge.
    """
    results = [-math.inf] * len(nets)

    def fit(i: int, over: threading.Event) -> None:
        nets[i].fit(X, y, **options, callback=lambda _: over.is_set(), callback_every=every)
        results[i] = _result(nets[i], X, y, options)

    failures = train_each(n_threads, range(len(nets)), fit)
    for error in failures.values():
        if len(failures) == len(nets) or not isinstance(error, FloatingPointError):
            raise error
    return results


def _result(net: Network, X: Any, y: Any, options: dict[str, Any]) -> float:
    scores = net.validation_scores_
    if net._evidence is not None:
        evidence: float = net._evidence["log_evidence"]
        return evidence
    if scores is None:
        given = {name: options[name] for name in ("alpha", "sample_weight") if name in options}
        return -net.loss(X, y, **given)
    return max((score for score in scores if not math.isnan(score)), default=-math.inf)
