"""What a network leaves in a pickle, and the checks of what comes back.

A state may come from anywhere, and kernels read what it says without looking: counts, shapes and
types are compared first, and an error leaves the network as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import kernels, parameters
from fastnn.catalog import losses, solvers
from fastnn.data import checks
from fastnn.initializers import start_of
from fastnn.parameters import SolverState
from fastnn.training.losses import LossOf, check_levels

# what pickles of earlier versions do not have
_LATER: dict[str, Any] = {
    "validation_scores_": None, "validation_loss_curve_": None, "best_iteration_": None,
    "_solver": None, "_trained_on": None, "loss_curves_": None, "_init": ("auto", 1.0),
    "_evidence": None,
}  # fmt: skip
_NEEDED = (
    "_layer_units", "_activations", "_loss", "_dtype", "_params", "_state", "_random_state",
    "_n_jobs", "_dropped", "_drawn", "loss_curve_",
)  # fmt: skip


_KNOWN = {*_LATER, *_NEEDED, "_sorts"}


def trained_on(X: Any, n_samples: int) -> dict[str, Any]:
    """What `metadata` says of a training: who trained, and what was it given."""
    names = None if type(X) is np.ndarray else getattr(X, "columns", None)
    return {
        "fastnn": fastnn.__version__, "build": kernels.ISA, "n_samples": n_samples,
        "feature_names": None if names is None else list(map(str, names)),
    }  # fmt: skip


def check_trained_on(value: Any) -> None:
    """Refuse what `trained_on` does not give.

    Raises
    ------
    ValueError
    """
    if value is None:
        return
    types = {"fastnn": str, "build": str, "n_samples": int}
    names = value.get("feature_names", 0) if isinstance(value, Mapping) else 0
    if (
        not isinstance(value, Mapping)
        or value.keys() != {*types, "feature_names"}
        or any(type(value[name]) is not kind for name, kind in types.items())
        or not (names is None or (type(names) is list and all(type(n) is str for n in names)))
    ):
        raise ValueError(f"_trained_on is {checks.shown(value)}")


def apart(state: SolverState | None, plain: NDArray[Any] | None) -> dict[str, Any]:
    """A solver's state as it is pickled: vectors, laid out like the parameters, and numbers."""
    if state is None:
        return {"_state": None, "_solver": None}
    numbers = {**state._asdict(), "solver": solvers.BY_CODE[state.solver].name}
    del numbers["packed"]
    return {"_state": plain, "_solver": numbers}


#: what a network makes of its state
MADE = (
    "_coefs", "_intercepts", "_units", "_codes", "_step", "_running", "_short_forward", "_again",
    "_no_rate", "_estimator", "_saved_at",
)  # fmt: skip


def checked(given: Any, cls: type) -> dict[str, Any]:
    """The attributes of a network of this class, from what `__getstate__` gave.

    Its ``_state`` is a `SolverState` whose vectors are laid out like the parameters.

    Raises
    ------
    TypeError, ValueError
        If something is missing, or parts do not fit together.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"a network's state is a dict, got {checks.shown(given)}")
    state = {**_LATER, **given}
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise ValueError(f"this is not the state of a network: {', '.join(missing)} missing")
    for name in state:  # others are a subclass's or the user's
        hidden = inspect.getattr_static(cls, str(name), None)  # a method, a property
        if name in MADE or (name not in _KNOWN and hasattr(hidden, "__get__")):
            raise ValueError(f"a network's state has no {checks.shown(name)}")
    units = checks.layer_units(state["_layer_units"], "_layer_units")
    loss = _loss(state["_loss"], units[-1])
    names = state["_activations"]
    if isinstance(names, str):
        raise TypeError(f"_activations must be a name for each layer, got {checks.shown(names)}")
    names = checks.layer_activations(names, None, loss.name, units)
    dtype = parameters.as_dtype(state["_dtype"])
    n_params = parameters.count_params(units)
    params = _array("_params", state["_params"], (n_params,), dtype)
    random_state = state["_random_state"]
    if getattr(random_state, "_bit_generator", None) is None or not isinstance(
        random_state, np.random.RandomState
    ):
        raise TypeError(f"_random_state must be a RandomState, got {type(state['_random_state'])}")
    for name in ("_dropped", "_drawn"):
        if type(state[name]) is not int or (name == "_dropped" and state[name] < 0):
            raise ValueError(f"{name} must be a whole number, got {checks.shown(state[name])}")
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
        _numbers(name, state[name], optional=name != "loss_curve_")
    if state["loss_curves_"] is not None:
        if type(state["loss_curves_"]) is not list:
            raise TypeError("loss_curves_ must be a list of curves")
        for curve in state["loss_curves_"]:
            _numbers("a curve of loss_curves_", curve, optional=False)
    _init(state["_init"])
    if state["_evidence"] is not None:
        check_evidence(state["_evidence"], len(units) - 1, n_params)
    check_trained_on(state["_trained_on"])
    solver_state = _solver_state(state["_state"], state["_solver"], n_params, dtype)
    del state["_solver"]
    return {
        **state, "_layer_units": units, "_loss": loss, "_sorts": loss.name == "quantile",
        "_activations": names, "_dtype": dtype, "_params": params, "_state": solver_state,
        "_n_jobs": checks.n_jobs("_n_jobs", state["_n_jobs"]),
    }  # fmt: skip


def check_evidence(value: Any, n_layers: int, n_params: int) -> None:
    """Refuse what is not as `training.evidence.Evidence` has it, by name.

    Raises
    ------
    ValueError
    """
    names = {"alphas", "effective_parameters", "noise_variance", "log_evidence", "covariance"}
    if not isinstance(value, Mapping) or value.keys() != names:
        raise ValueError(f"_evidence is {checks.shown(value)}")
    alphas = value["alphas"]
    if type(alphas) is not tuple or len(alphas) != n_layers:
        raise ValueError("the evidence must have a tuple of alphas, one for each layer")
    numbers = [*alphas, value["effective_parameters"], value["noise_variance"]]
    if type(value["log_evidence"]) is not float or not all(
        isinstance(one, float) and one >= 0 for one in numbers
    ):
        raise ValueError("the numbers of the evidence must be >= 0")
    shape = n_params, n_params
    if not np.isfinite(_array("covariance", value["covariance"], shape, np.dtype(float))).all():
        raise ValueError("the covariance is not finite")


def _init(value: Any) -> None:
    if type(value) is not tuple or len(value) != 2:
        raise TypeError(f"_init is a name and a number, got {checks.shown(value)}")
    start_of(*value)


def _loss(loss: Any, n_outputs: int) -> LossOf:
    if isinstance(loss, str):  # of a version that had names alone
        loss = LossOf(loss)
    name = loss.name if isinstance(loss, LossOf) else loss
    if not isinstance(loss, LossOf) or name not in losses.BY_NAME:
        raise ValueError(f"_loss is none of fastnn's: {checks.shown(name)}")
    number = losses.BY_NAME[loss.name].number
    if type(loss.numbers) is not tuple or len(loss.numbers) != (n_outputs if number else 0):
        raise ValueError(f"the numbers of the loss {loss.name!r} are not one for each output")
    if number == "quantile":
        check_levels(loss.numbers)
    for value in loss.numbers:
        checks.real_number(number or "", value, 0)
    own = loss.own
    if own is None and loss.name == "given":
        raise ValueError("a loss of one's own is without its functions")
    if own is not None and loss.name != "given":
        raise ValueError(f"the loss {loss.name!r} and its functions do not belong together")
    if own is not None and not (len(own) == 2 and all(map(callable, own))):
        raise TypeError("a loss of one's own is a pair of functions")
    return loss


def _solver_state(
    vectors: Any, numbers: Any, n_params: int, dtype: np.dtype[Any]
) -> SolverState | None:
    if isinstance(vectors, SolverState):  # of a version before
        if type(vectors.solver) is not int or vectors.solver not in solvers.BY_CODE:
            raise ValueError(f"the state's solver is unknown: {checks.shown(vectors.solver)}")
        numbers = apart(vectors, None)["_solver"]
        vectors = vectors.packed
    if vectors is None:
        return None
    if not isinstance(numbers, Mapping) or numbers.keys() != _NUMBERS:
        raise ValueError("the solver's state is without its numbers")
    code = checks.choice("the state's solver", numbers["solver"], solvers.CODES)
    own, averages = solvers.BY_CODE[code].n_states, numbers["shown"] is not None
    rows = own + averages
    if not averages and np.shape(vectors)[:1] == (own + 1,):  # an average that nobody has seen yet
        rows += 1
    packed = _array("_state", vectors, (rows, n_params), dtype)
    for name, most in (("n_steps", 2**62), ("seed", 2**31)):
        if type(numbers[name]) is not int or not 0 <= numbers[name] <= most:
            raise ValueError(f"the solver's {name} must be a whole number from 0 to {most}")
    for name in ("raw", "shown"):
        if averages or numbers[name] is not None:
            _array(f"the solver's {name}", numbers[name], (n_params,), dtype)
    if type(numbers["last_loss"]) is not float:
        raise TypeError("the solver's last_loss must be a number")
    return SolverState(packed=packed, **{**numbers, "solver": code})


_NUMBERS = set(SolverState._fields) - {"packed"}


def _array(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy of value, which must be an array of this shape and type."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        got = checks.shown(value)
        if isinstance(value, np.ndarray):
            got = f"shape {value.shape} of {value.dtype}"
        raise ValueError(f"{name} must be an array of shape {shape} of {dtype}, got {got}")
    return np.array(value, dtype, order="C")  # a pickle may hold buffers that cannot be written


def _numbers(name: str, values: Any, *, optional: bool) -> None:
    if values is None and optional:
        return
    if type(values) is not list or not all(isinstance(one, float) for one in values):
        raise TypeError(f"{name} must be a list of numbers")
