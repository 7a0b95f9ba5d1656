"""What an estimator keeps from one call to the next: its parameters in one vector, its optimizer's
state as the kernels have it, and memory for the next row."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from fastnn import kernels, parameters, threads
from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.data import checks
from fastnn.data.rows import NO_COLUMNS, NO_ROW_STARTS
from fastnn.estimators import arrays, extras, shortcuts, states
from fastnn.estimators.fitting import Training
from fastnn.forward import forward_rows

# what belongs to one object only
NOT_COPIED = (
    "_flat", "_followers", "_turns", "_solver", "_training", "_looked_at", "_validation",
    "_resume", "_running", "_saved_at", "_over",
)  # fmt: skip
# whatever state it gets ...
_STAYS = (
    "_followers",
    "_turns",
    "_validation",
    "_resume",
    "_running",
    "_skl_callbacks",
    "_parent_callback_ctx",
)
# ... and what goes on from parameters or an optimizer that were there before
_GOES = ("_flat", "_solver", "_training", "_looked_at")


def _names(hidden: str, out: str, n_layers: int) -> list[ActivationName]:
    if not (isinstance(hidden, str) and hidden in activations.HIDDEN_SPELLINGS):
        # scikit-learn's own check can be switched off
        checks.choice("activation", hidden, {one: one for one in extras.ACTIVATIONS})
    name = activations.HIDDEN_SPELLINGS[hidden]
    return [name] * (n_layers - 1) + [activations.SPELLINGS[out]]


@functools.cache
def _codes(hidden: str, out: str, n_layers: int) -> NDArray[np.int32]:
    """The activation of each layer as the kernels number them; not to be changed."""
    names = _names(hidden, out, n_layers)
    codes = np.array([activations.CODES[name] for name in names], np.int32)
    codes.flags.writeable = False
    return codes


_form = operator.attrgetter("shape", "dtype")  # of an array


class _Flat(NamedTuple):
    """An estimator's parameters in one vector."""

    params: NDArray[Any]
    units: NDArray[np.intp]
    views: list[NDArray[Any]]  # coefs_, then intercepts_
    forms: list[tuple[Any, ...]]  # of the views: somebody may change them in place
    one_row: list[NDArray[Any]]  # at times a workspace, ready for the next row


def _these(estimator: Any, names: Iterable[str]) -> dict[str, Any]:
    """Its attributes of these names."""
    return {name: vars(estimator)[name] for name in names}


def _numeric(name: str, given: Iterable[Any]) -> list[NDArray[Any]]:
    """Arrays that a user may have replaced by anything."""
    return [checks.numeric_array(f"{name}[{i}]", one) for i, one in enumerate(given)]


def attributes_of(estimator: Any) -> dict[str, Any]:
    """Its attributes, with an optimizer of their own that has its state."""
    attributes, solver = dict(vars(estimator)), vars(estimator).get("_solver")
    if solver is not None:
        solver.save_state()
        attributes["_optimizer"] = copy.copy(solver.optimizer)
    return attributes


class Keeping:
    """Mixin with the attributes behind `coefs_`, `intercepts_` and `_optimizer`."""

    _looked_at = False  # whether others may have the optimizer

    # ---- parameters: one vector, of which coefs_ and intercepts_ are views ----

    def _parameters(self: Any) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """The parameters in one vector, and the units of each layer. Changes nothing.

        Raises
        ------
        TypeError, ValueError
            If coefs_ and intercepts_ are no arrays that fit together.
        """
        flat = self._present_flat()
        if flat is not None and list(map(_form, flat.views)) == flat.forms:
            return flat.params, flat.units
        coefs, intercepts = (
            _numeric("coefs_", self.coefs_),
            _numeric("intercepts_", self.intercepts_),
        )
        n_layers = vars(self).get("n_layers_", len(coefs) + 1)
        if len(coefs) != n_layers - 1:
            raise ValueError(
                f"coefs_ has {len(coefs)} arrays, and n_layers_={n_layers} wants {n_layers - 1}"
            )
        units = arrays.units_of(coefs, intercepts)
        return arrays.join(coefs, intercepts), units

    def _present_flat(self: Any) -> _Flat | None:
        """The vector of which coefs_ and intercepts_ are views, unless some were replaced.

        It does not look for views that have another shape or type now, as `_parameters` does: that
        takes a tenth of the time of predicting a row.
        """
        flat: _Flat | None = self.__dict__.get("_flat")
        if flat is not None:
            given = [*self.coefs_, *self.intercepts_]
            if len(given) != len(flat.views) or not all(map(operator.is_, given, flat.views)):
                return None
        return flat

    def _take_parameters(self: Any, params: NDArray[Any], units: NDArray[np.intp]) -> None:
        """Have this vector for parameters."""
        self.coefs_, self.intercepts_ = parameters.split_params(params, units.tolist())
        views = [*self.coefs_, *self.intercepts_]
        self._flat = _Flat(params, units, views, list(map(_form, views)), [])

    def __getstate__(self: Any) -> dict[str, Any]:
        estimator: Any = super()
        state = {**estimator.__getstate__(), **attributes_of(self)}
        return {name: value for name, value in state.items() if name not in NOT_COPIED}

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        if not isinstance(state, Mapping):
            raise TypeError(f"an estimator's state is a dict, got {checks.shown(state)}")
        for name in NOT_COPIED:
            if name in state:
                raise ValueError(f"an estimator's state has no {name}")
        fitted = "coefs_" in state  # then nothing of another fit stays
        names = [n for n in vars(self) if n in _STAYS or not (fitted or n in _GOES)]
        states.check(self, {**_these(self, names), **state})  # before anything changes
        self._optimizer_to_go_on()
        self.__dict__ = _these(self, names)
        estimator: Any = super()
        estimator.__setstate__(state)
        if "coefs_" in vars(self):
            self._take_parameters(*self._parameters())

    def _layer_activations(self: Any, n_layers: int) -> list[ActivationName]:
        """The activation of each layer, by its name in the catalog."""
        return _names(self.activation, self.out_activation_, n_layers)

    def _codes(self: Any, n_layers: int) -> NDArray[np.int32]:
        """The activation of each layer as the kernels number them."""
        return _codes(self.activation, self.out_activation_, n_layers)

    # ---- predicting ----

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> NDArray[Any]:
        if check_input and not shortcuts.fits(self, X):
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        flat = self._present_flat()
        if flat is not None and type(X) is np.ndarray and len(X) == 1:
            row: NDArray[Any] = self._forward_row(flat, X)
            return row
        params, units = self._parameters()
        dtype = arrays.float_type(X, params)
        x, params = arrays.as_rows(X, units[0], dtype), params.astype(dtype, copy=False)
        out = np.empty((X.shape[0], units[-1]), dtype)
        n_jobs = checks.n_jobs("n_jobs", self.n_jobs)
        forward_rows(params, units, self._codes(len(units) - 1), x, out, n_jobs)
        return out

    def _forward_row(self: Any, flat: _Flat, X: NDArray[Any]) -> NDArray[Any]:
        """_forward_pass_fast of one dense row, the workspace being kept for the next."""
        checks.n_jobs("n_jobs", self.n_jobs)
        threads.from_environment()  # a bad number is refused in small work too
        params, units = flat.params, flat.units
        dtype = params.dtype
        if X.dtype is not dtype and arrays.float_type(X, params) != dtype:
            dtype = np.dtype(np.float64)  # of X, which has more digits
            params, flat = params.astype(dtype), flat._replace(one_row=[])
        x = arrays.as_rows(X, units[0], dtype)
        out = np.empty((1, units[-1]), dtype)
        try:
            workspace = flat.one_row.pop()  # taken out while in use, as threads may meet
        except IndexError:
            workspace = kernels.new_workspace(units, 1, dtype)
        kernels.for_dtype(kernels.build.forward, dtype)(
            params, units, self._codes(len(units) - 1), x, NO_COLUMNS, NO_ROW_STARTS, workspace,
            out,
        )  # fmt: skip
        flat.one_row.append(workspace)
        return out

    # ---- the optimizer ----

    @property
    def _optimizer(self: Any) -> Any:
        """scikit-learn's optimizer. Who looks at it may keep it: it has its state from now on."""
        attributes = vars(self)
        if "_optimizer" not in attributes:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '_optimizer'")
        if "_followers" in attributes:  # a fit is running: it goes on with its solver
            solver = attributes.get("_solver")
            if solver is not None:
                solver.save_state()
        else:
            self._optimizer_to_go_on()  # or what is edited now would be written over
        self._looked_at = True
        return attributes["_optimizer"]

    @_optimizer.setter
    def _optimizer(self: Any, optimizer: Any) -> None:
        self._take_optimizer(optimizer)
        self._looked_at = True

    @_optimizer.deleter
    def _optimizer(self: Any) -> None:
        vars(self).pop("_solver", None)
        del vars(self)["_optimizer"]

    def _take_optimizer(self: Any, optimizer: Any) -> None:
        """Have this one, which nobody else has."""
        vars(self).pop("_solver", None)
        vars(self)["_optimizer"], self._looked_at = optimizer, False

    def _forget_optimizer(self: Any) -> None:
        """Of a fit before, which a search does not take up, and whose shapes may be others."""
        for name in ("_solver", "_optimizer", "_training"):
            vars(self).pop(name, None)

    def _optimizer_to_go_on(self: Any) -> Any:
        """The optimizer with its state, and with what others may have changed in it."""
        solver = vars(self).get("_solver")
        if solver is not None:  # an interrupt may come before its state is saved
            solver.save_state()
            vars(self).pop("_solver", None)
        return vars(self).get("_optimizer")

    def _present_training(self: Any) -> Training | None:
        """The one of the last partial_fit, whose solver nobody has looked at."""
        training: Training | None = vars(self).get("_training")
        if training is None or self._looked_at or vars(self).get("_solver") is not training.solver:
            return None
        return training

    def _keep(self: Any, training: Training, incremental: bool) -> None:
        """A fit is done: the next partial_fit may go on; after others only the state is kept."""
        vars(self).pop("_training", None)
        solver, present = training.solver, vars(self).get("_solver")
        if present is None:  # there is another optimizer now
            return
        if present is not solver:  # a callback had a fit of this estimator, too
            self._take_optimizer(solver.optimizer)
            self._solver, self._looked_at = solver, True
        if self._looked_at:
            solver.save_state()
            del self._solver
        elif incremental and training.alone:
            training.pause()
            self._training = training
        else:
            solver.keep_state_only()
