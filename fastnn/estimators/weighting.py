"""Weights of classes, which are weights of samples by another name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import compute_class_weight, compute_sample_weight

from fastnn.data import checks
from fastnn.estimators.fitting import HAS_WEIGHTS

_NO_WEIGHTS = (
    "scikit-learn 1.6 has no sample weights for its multilayer perceptrons, so that {} needs "
    "scikit-learn 1.7 or newer; fastnn.Network takes sample_weight with any"
)


def check_call(estimator: Any, method: str, keywords: dict[str, Any]) -> None:
    """Refuse weights that fit or partial_fit cannot take.

    Raises
    ------
    TypeError
        For sample_weight in scikit-learn 1.6.
    ValueError
        For class_weight there, and "balanced" in partial_fit, which sees some of the samples; for
        weights that are no numbers of 0 or more.
    """
    if not HAS_WEIGHTS:
        for name in ("sample_weight", "sample_weight_val"):
            if name in keywords:
                raise TypeError(_NO_WEIGHTS.format(name))
    class_weight = getattr(estimator, "class_weight", None)
    if class_weight is None:
        return
    balanced = isinstance(class_weight, str) and class_weight == "balanced"
    # what is neither is for the validation of parameters
    if not HAS_WEIGHTS and (balanced or isinstance(class_weight, dict)):
        raise ValueError(_NO_WEIGHTS.format("class_weight"))
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            checks.real_number(f"class_weight[{checks.shown(label)}]", weight, 0, closed="left")
    if method == "partial_fit" and balanced:
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit, which does not know how "
            "often a class will come: give weights of sklearn.utils.compute_class_weight("
            "'balanced', classes=classes, y=y) for all targets y as a dict"
        )


def weights(
    estimator: Any, y: Any, sample_weight: NDArray[Any] | None, incremental: bool
) -> NDArray[Any] | None:
    """The weight of each sample: that of its class times its own.

    Parameters
    ----------
    estimator : MLPClassifier
        It has a class_weight, and has taken y's classes.
    y : array-like, (n,) or (n, n_outputs)
        Labels as given to fit.
    sample_weight : ndarray, (n,), or None
    incremental : bool
        Whether this is partial_fit, where classes may have no sample.

    Returns
    -------
    ndarray, (n,)

    Raises
    ------
    ValueError
        If class_weight does not fit y.
    """
    class_weight = estimator.class_weight
    if incremental and np.ndim(y) == 1:
        classes, labels = estimator.classes_, np.asarray(y)
        each = compute_class_weight(class_weight, classes=classes, y=labels)
        by_class = each[np.searchsorted(classes, labels)]
    else:
        by_class = compute_sample_weight(class_weight, y)
    product: NDArray[Any] = by_class if sample_weight is None else by_class * sample_weight
    return product
