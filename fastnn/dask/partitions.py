"""The partitions of Dask collections, and what a fit must know of each before it begins."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import dask
import dask.array
import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import compute_class_weight

from fastnn.data import checks


def is_collection(value: Any) -> bool:
    """Whether this is a Dask array, data frame or series."""
    if isinstance(value, dask.array.Array):
        return True
    has_types = hasattr(value, "dtypes") or hasattr(value, "dtype")
    return dask.is_dask_collection(value) and hasattr(value, "to_delayed") and has_types


def blocks_of(name: str, collection: Any) -> list[Any]:
    """Its partitions, each as one `dask.delayed.Delayed`.

    Raises
    ------
    TypeError
        If it is not a Dask collection.
    ValueError
        If it is an array that is cut into blocks of columns, or not of one or two dimensions.
    """
    if not is_collection(collection):
        raise TypeError(
            f"{name} must be a Dask array, data frame or series, got {checks.shown(collection)}"
        )
    if isinstance(collection, dask.array.Array):
        if collection.ndim not in (1, 2):
            raise ValueError(f"{name} must have one or two dimensions, got {collection.ndim}")
        if collection.ndim == 2 and collection.numblocks[1] != 1:
            raise ValueError(
                f"{name} is cut into {collection.numblocks[1]} blocks of columns; a partition "
                f"must have all columns: {name}.rechunk({{1: -1}})"
            )
        # not fused: what X and y both come from is loaded once
        return list(collection.to_delayed(optimize_graph=False).ravel())
    return list(collection.to_delayed())  # which has Parquet files read the columns it needs


def rows_of_blocks(collection: Any) -> list[float]:
    """How many rows each partition has; NaN where Dask does not know."""
    if isinstance(collection, dask.array.Array):
        return list(collection.chunks[0])
    return [math.nan] * collection.npartitions


Partition = tuple[Any, Any, Any]  # X, y, sample_weight


def _together(X: Any, y: Any, sample_weight: Any) -> Partition:
    return X, y, sample_weight


def partitions_of(X: Any, y: Any, sample_weight: Any = None) -> list[Any]:
    """A delayed `Partition` for each; sample_weight is None without weights.

    Raises
    ------
    TypeError, ValueError
        If one is no Dask collection, or they do not have the same partitions, as far as is known
        without computing them.
    """
    given = {"X": X, "y": y}
    if sample_weight is not None:
        given["sample_weight"] = sample_weight
    blocks = {name: blocks_of(name, one) for name, one in given.items()}
    expected = rows_of_blocks(X)
    for name, one in given.items():
        found = rows_of_blocks(one)
        if len(found) != len(expected):
            raise ValueError(
                f"X has {len(expected)} partitions, and {name} has {len(found)}: rechunk or "
                "repartition one as the other"
            )
        for i, (wanted, got) in enumerate(zip(expected, found, strict=True)):
            if wanted != got and not (math.isnan(wanted) or math.isnan(got)):
                raise ValueError(
                    f"partition {i} has {wanted} rows of X, and {got} of {name}: rechunk one as "
                    "the other"
                )
    if not expected:
        raise ValueError("X has no partitions")
    together = dask.delayed(_together, pure=True)  # one argument costs less than three
    weights = blocks.get("sample_weight", [None] * len(expected))
    return [together(*three) for three in zip(blocks["X"], blocks["y"], weights, strict=True)]


# ---- what is asked of each partition, where it is ----------------------------------------------


class Refusal(NamedTuple):
    """Why a partition cannot be trained on; a value, so that the first in order is reported."""

    kind: type[TypeError] | type[ValueError]
    message: str


class Findings(NamedTuple):
    """What one partition holds.

    Attributes
    ----------
    n_rows, n_features : int
    names : list of str or None
        Of the features, if X is a data frame.
    head : tuple
        X and y of its first rows, as they were given.
    classes : ndarray or None
        Of a classifier's y.
    n_of_class, weight_of_class : ndarray or None
        For each of these, rows and the sum of their weights; not with several labels a row.
    weight : float
        The sum of the rows' weights, or their number.
    """

    n_rows: int
    n_features: int
    names: list[str] | None
    head: tuple[Any, Any]
    classes: NDArray[Any] | None
    n_of_class: NDArray[np.intp] | None
    weight_of_class: NDArray[np.float64] | None
    weight: float


N_HEAD = 5


def first_rows(data: Any, n: int) -> Any:
    """The first rows of an array, a data frame or a sparse matrix."""
    return data.iloc[:n] if hasattr(data, "iloc") else data[:n]


def look_at(estimator: Any, partition: Partition) -> Findings | Refusal:
    """Check a partition as fit checks its input, and say what it holds.

    Parameters
    ----------
    estimator : fastnn.MLPClassifier or fastnn.MLPRegressor
        Not fitted.
    partition : tuple
        X, y, sample_weight.
    """
    X, y, sample_weight = partition
    try:
        n = X.shape[0]
        for name, one in (("y", y), ("sample_weight", sample_weight)):
            if one is not None and len(one) != n:
                raise ValueError(f"{n} rows of X, and {len(one)} of {name}")
        if n == 0:
            raise ValueError("there are no rows; repartition, or leave empty partitions out")
        estimator = copy.copy(estimator)  # others may look at other partitions with it
        checked, _ = estimator._validate_input(X, y, False, True)
        if sample_weight is not None:
            sample_weight = _weights(sample_weight)
    except (TypeError, ValueError) as error:
        return Refusal(TypeError if isinstance(error, TypeError) else ValueError, str(error))
    classes = n_of_class = weight_of_class = None
    if is_classifier(estimator):
        classes = estimator.classes_
        if estimator._label_binarizer.y_type_ in ("binary", "multiclass"):
            numbers = np.searchsorted(classes, np.asarray(y).ravel())
            n_of_class = np.bincount(numbers, minlength=len(classes))
            weight_of_class = np.bincount(numbers, sample_weight, len(classes)).astype(np.float64)
    names = getattr(estimator, "feature_names_in_", None)
    return Findings(
        n, checked.shape[1], None if names is None else names.tolist(),
        (copy.deepcopy(first_rows(X, N_HEAD)), copy.deepcopy(first_rows(y, N_HEAD))),
        classes, n_of_class, weight_of_class,
        float(n if sample_weight is None else sample_weight.sum()),
    )  # fmt: skip


def _weights(given: Any) -> NDArray[np.float64]:
    """Weights of rows, which may all be 0 in one partition."""
    weights: NDArray[np.float64] = checks.finite_array(
        "sample_weight", checks.numeric_array("sample_weight", given), np.dtype(np.float64)
    )
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must have one dimension, got {weights.ndim}")
    if weights.min() < 0:
        raise ValueError(f"sample_weight must be at least 0, got {weights.min()}")
    return weights


def look_at_each(estimator: Any, partitions: Sequence[Any]) -> list[Findings]:
    """What the partitions hold.

    Raises
    ------
    TypeError, ValueError
        If one of them cannot be trained on, or is not like the first.
    """
    asked, estimator = dask.delayed(look_at, pure=False), dask.delayed(estimator)
    answers = dask.compute(*(asked(estimator, partition) for partition in partitions))
    found: list[Findings] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, Refusal):
            raise answer.kind(f"partition {i}: {answer.message}")
        found.append(answer)
        for what in ("n_features", "names"):
            first, own = getattr(found[0], what), getattr(answer, what)
            if own != first:
                raise ValueError(
                    f"partition {i}: the {what.replace('_', ' ')} of X are {checks.shown(own)}, "
                    f"and {checks.shown(first)} in partition 0"
                )
    return found


class Weights(NamedTuple):
    """What weighs how much in a fit.

    Attributes
    ----------
    of_partition : list of float
        The sum of the weights of its rows.
    of_class : dict or None
        As of ``class_weight``.
    """

    of_partition: list[float]
    of_class: dict[Any, float] | None


def classes_of(found: Sequence[Findings], given: Any = None) -> NDArray[Any] | None:
    """The classes of all partitions, sorted; of a regressor None.

    Raises
    ------
    ValueError
        If classes are given, and a partition has another one.
    """
    own = [one.classes for one in found if one.classes is not None]
    if not own:
        return None
    if given is None:
        return np.unique(np.concatenate(own))
    classes = np.unique(np.asarray(given))
    for i, labels in enumerate(own):
        unknown = labels[~np.isin(labels, classes)]
        if len(unknown):
            raise ValueError(
                f"partition {i}: y has the label {unknown[:1].tolist()[0]!r}, which is not in "
                f"classes: {checks.shown(classes.tolist())}"
            )
    return classes


def weigh(found: Sequence[Findings], classes: NDArray[Any] | None, class_weight: Any) -> Weights:
    """The weights of partitions and classes.

    Raises
    ------
    ValueError
        If there are class weights, and several labels a row, or if all weights are zero.
    """
    weights, of_class = [one.weight for one in found], None
    if class_weight is not None and classes is not None:
        counts, sums = np.zeros(len(classes), np.intp), np.zeros((len(found), len(classes)))
        for i, one in enumerate(found):
            if one.classes is None or one.n_of_class is None:
                raise ValueError("class_weight is not for several labels a row")
            numbers = np.searchsorted(classes, one.classes)
            counts[numbers] += one.n_of_class
            sums[i, numbers] = one.weight_of_class
        if isinstance(class_weight, str):  # as sklearn.utils.compute_class_weight has it
            present = counts > 0
            each = np.ones(len(classes))
            each[present] = counts.sum() / (present.sum() * counts[present].astype(np.float64))
        else:
            each = compute_class_weight(class_weight, classes=classes, y=classes)
        of_class = dict(zip(classes.tolist(), each.tolist(), strict=True))
        weights = [float(row @ each) for row in sums]
    if not any(weights):
        raise ValueError("the weights of all partitions are 0: they must add up to more")
    return Weights(weights, of_class)
