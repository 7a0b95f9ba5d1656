"""MLPRegressor(loss="quantile"): one target, a column of outputs for each level, its own score."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import d2_pinball_score

from fastnn.training.losses import check_levels, one_target


def targets(estimator: Any, y: NDArray[Any]) -> NDArray[Any]:
    """The target as a column for each level.

    Raises
    ------
    TypeError, ValueError
        If there are several targets, or the levels are not numbers between 0 and 1 that rise.
    """
    real = np.result_type(y, np.float32)  # whole numbers become doubles
    columns = one_target(y, real, len(check_levels(estimator.quantile)), len(y))
    return columns if columns.shape[1] > 1 else y


def score(estimator: Any, outputs: Any, y: Any, sample_weight: NDArray[Any] | None) -> float:
    """`sklearn.metrics.d2_pinball_score`, the mean over the levels; NaN if outputs diverged."""
    levels = check_levels(estimator.quantile)
    if not np.isfinite(outputs).all():
        return math.nan
    n_columns = outputs.size // len(outputs)
    if n_columns != len(levels):
        raise ValueError(f"quantile has {len(levels)} levels, and predictions {n_columns} columns")
    y = np.asarray(y).reshape(len(outputs), -1)[:, 0]
    columns = zip(levels, outputs.reshape(len(y), -1).T, strict=True)
    scores = [
        d2_pinball_score(y, column, alpha=level, sample_weight=sample_weight)
        for level, column in columns
    ]
    return float(np.mean(scores))
