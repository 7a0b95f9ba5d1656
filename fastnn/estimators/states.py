"""Whether what an estimator has belongs together: pickles and files may hold anything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.preprocessing import LabelBinarizer

from fastnn import parameters
from fastnn.data import checks
from fastnn.estimators import arrays, levenberg
from fastnn.parameters import SolverState
from fastnn.states import check_evidence, check_trained_on

_OUT_ACTIVATIONS = ("identity", "logistic", "softmax", "exp")
_NEEDED = ("coefs_", "intercepts_", "n_features_in_", "n_outputs_", "n_layers_", "out_activation_")
_COUNTS = ("n_iter_", "t_", "_no_improvement_count")
_CURVES = ("loss_curve_", "validation_scores_")


def check(estimator: Any, state: Mapping[str, Any]) -> None:
    """Refuse fitted attributes that do not fit together; those that are missing may be.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        It is not looked into: it may not have this state yet.
    state : mapping
        Its attributes.

    Raises
    ------
    TypeError, ValueError
    """
    if "coefs_" not in state:
        return
    shapes = _shapes(state["coefs_"], state.get("intercepts_"))
    units = [shapes[0][0], *(shape[1] for shape in shapes if len(shape) == 2)]
    for name, wanted in {
        "n_features_in_": units[0], "n_outputs_": units[-1], "n_layers_": len(units),
    }.items():  # fmt: skip
        if name in state and (not _is_count(state[name]) or state[name] != wanted):
            raise ValueError(f"{name} is {checks.shown(state[name])}, and coefs_ want {wanted}")
    out = state.get("out_activation_", "identity")
    if out not in _OUT_ACTIVATIONS:
        raise ValueError(f"out_activation_ is none of {_OUT_ACTIVATIONS}: {checks.shown(out)}")
    for name in _COUNTS:
        if name in state and not _is_count(state[name]):
            raise ValueError(f"{name} is no whole number: {checks.shown(state[name])}")
    for name in _CURVES:
        curve = state.get(name)
        if curve is not None and not (isinstance(curve, list) and all(map(_is_real, curve))):
            raise TypeError(f"{name} is no list of numbers: {checks.shown(curve)}")
    names = state.get("feature_names_in_")
    if names is not None and np.shape(names) != (units[0],):
        raise ValueError(f"feature_names_in_ are not {units[0]} names")
    if "_best_coefs" in state:
        best = _shapes(state["_best_coefs"], state.get("_best_intercepts"))
        if best != shapes:
            raise ValueError("the best parameters have other shapes than the last")
    if "_random_state" in state and not isinstance(state["_random_state"], np.random.RandomState):
        raise TypeError(f"_random_state is {checks.shown(state['_random_state'])}")
    check_trained_on(state.get("_trained_on"))
    if not is_classifier(estimator) and all(name in state for name in levenberg.OF_EVIDENCE):
        found = {name[:-1]: state[name] for name in levenberg.OF_EVIDENCE}
        n_params = parameters.count_params(tuple(units))
        with checks.naming(", ".join(levenberg.OF_EVIDENCE)):
            check_evidence({"log_evidence": 0.0, **found}, len(units) - 1, n_params)
    if is_classifier(estimator):
        _check_classes(state, units[-1])
    if "_optimizer" in state:
        _check_optimizer(state["_optimizer"], shapes)


def check_whole(estimator: Any) -> None:
    """Refuse an estimator that is not as a constructor or a fit leaves it.

    Raises
    ------
    TypeError, ValueError
    """
    estimator._validate_params()
    state = vars(estimator)
    if not any(name.endswith("_") and name[0] != "_" for name in state):
        return
    needed = [*_NEEDED, *(["classes_", "_label_binarizer"] if is_classifier(estimator) else [])]
    missing = [name for name in needed if name not in state]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    check(estimator, state)
    for name in ("coefs_", "intercepts_"):
        if not all(np.isfinite(one).all() for one in state[name]):
            raise ValueError(f"{name} are not finite")


def _is_count(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value >= 0)


def _is_real(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def _shapes(coefs: Any, intercepts: Any) -> list[tuple[int, ...]]:
    """Shapes of coefs, then of intercepts, which must go with one another."""
    for name, given in (("coefs_", coefs), ("intercepts_", intercepts)):
        if not isinstance(given, list) or not given:
            raise TypeError(f"{name} must be a list of arrays, got {checks.shown(given)}")
        for one in given:
            if not isinstance(one, np.ndarray) or one.dtype.name not in ("float64", "float32"):
                raise TypeError(f"{name} must hold arrays of numbers, got {checks.shown(one)}")
    arrays.units_of(coefs, intercepts)
    if 0 in itertools.chain(*(one.shape for one in coefs)):
        raise ValueError("a layer has no units")
    return [one.shape for one in (*coefs, *intercepts)]


def _check_classes(state: Mapping[str, Any], n_outputs: int) -> None:
    if "classes_" not in state or "_label_binarizer" not in state:
        return
    classes, binarizer = state["classes_"], state["_label_binarizer"]
    known: Any = getattr(binarizer, "classes_", None)
    if type(binarizer) is not LabelBinarizer or not isinstance(classes, np.ndarray):
        raise TypeError("classes_ or their numbers are of another type")
    if classes.ndim != 1 or not np.array_equal(known, classes):
        raise ValueError("classes_ and their numbers do not belong together")
    kind = getattr(binarizer, "y_type_", None)
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        raise ValueError(f"classes_ are numbered as {checks.shown(kind)}")
    binary = kind == "binary"
    if n_outputs != (1 if binary else len(classes)) or (binary and len(classes) > 2):
        raise ValueError(f"{n_outputs} outputs do not stand for {len(classes)} classes")


def _check_optimizer(optimizer: Any, shapes: Sequence[tuple[int, ...]]) -> None:
    if not isinstance(optimizer, (AdamOptimizer, SGDOptimizer)):
        raise TypeError(f"_optimizer is {checks.shown(optimizer)}")
    for name in ("ms", "vs") if isinstance(optimizer, AdamOptimizer) else ("velocities",):
        given = getattr(optimizer, name, None)
        if not isinstance(given, list):
            raise TypeError(f"the optimizer's {name} must be a list of arrays")
        if given and [getattr(one, "shape", None) for one in given] != list(shapes):
            raise ValueError(f"the optimizer's {name} have other shapes than coefs_")
    state = getattr(optimizer, "fastnn_state", None)
    if state is None:
        return
    n_params = sum(int(np.prod(shape)) for shape in shapes)
    for name in ("raw", "shown"):
        one = getattr(state, name, None)
        if one is not None and np.shape(one) != (n_params,):
            raise ValueError(f"the optimizer's {name} parameters are not {n_params}")
    if not isinstance(state, SolverState) or not (
        _is_count(state.n_steps) and _is_count(state.seed) and _is_real(state.last_loss)
    ):
        raise ValueError("the optimizer's numbers are none")
