"""Layers: what a network is made of, units, activations and parameters, and what data fit it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import kernels, parameters, states, threads
from fastnn.catalog import activations, losses
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.initializers import InitName
from fastnn.catalog.losses import LossName
from fastnn.catalog.names import OTHER_NAMES
from fastnn.data import checks
from fastnn.data.rows import Rows
from fastnn.parameters import ParameterList, SolverState
from fastnn.training import options
from fastnn.training.again import Again
from fastnn.training.losses import DELTA, QUANTILE, LossOf, OwnLoss, check_loss, one_target


def _no_attributes() -> dict[str, str]:
    """What people may try to set on a network, in vain -> what to do instead."""
    instead = {
        name: "it is an argument of Network"
        for name in ("activation", "out_activation", "init", "random_state")
    }
    for name in (*options.ARGUMENTS, *OTHER_NAMES):
        argument = options.of_fit(name)
        if argument in ("learning_rate", "learning_rate_init"):
            instead[name] = "a callback may set learning_rate_"
        elif argument:
            instead[name] = f"fit takes {argument}"
    return instead


_NO_ATTRIBUTES = _no_attributes()


@functools.lru_cache
def _as_kernels_read(
    units: tuple[int, ...], names: tuple[ActivationName, ...]
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Units and the codes of activations as arrays that nobody writes to."""
    arrays = np.array(units, np.intp), np.array([activations.CODES[a] for a in names], np.int32)
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _built(
    params: NDArray[Any], layer_units: tuple[int, ...], names: tuple[ActivationName, ...]
) -> dict[str, Any]:
    """The attributes that follow from a network's others."""
    units, codes = _as_kernels_read(layer_units, names)
    arrays = kernels.build.views_of(params, parameters.shapes_of(layer_units))
    return {
        "_params": params,
        "_again": None,  # what the last call of partial_fit left for the next
        "_units": units,
        "_codes": codes,
        "_short_forward": kernels.build.Forward(arrays, codes),
        "_coefs": ParameterList("coefs_", arrays[::2]),
        "_intercepts": ParameterList("intercepts_", arrays[1::2]),
    }


class Layers:
    """Dense layers over one vector of parameters; `fastnn.Network` trains them."""

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_iteration_: int | None
    loss_curves_: list[list[float]] | None
    _layer_units: tuple[int, ...]
    _activations: tuple[ActivationName, ...]
    _loss: LossOf
    _sorts: bool
    _dtype: np.dtype[Any]
    _step: NDArray[Any] | None
    _dropped: int
    _state: SolverState | None
    _params: NDArray[Any]
    _again: Again | None
    _units: NDArray[np.intp]
    _codes: NDArray[np.int32]
    _short_forward: kernels.build.Forward
    _coefs: ParameterList
    _intercepts: ParameterList
    _random_state: np.random.RandomState
    _trained_on: dict[str, Any] | None
    _evidence: dict[str, Any] | None  # fields of training.evidence.Evidence
    _drawn: int  # checksum of the first parameters
    _saved_at: str | None = None  # the date in the file that it came from
    _init: tuple[InitName, float] = ("auto", 1.0)  # how they were drawn
    _no_rate = (
        "learning_rate_ is there for callbacks, while a fit runs; else give learning_rate_init to "
        "fit"
    )

    if not TYPE_CHECKING:  # checkers would let any name be set

        def __setattr__(self, name, value):
            # a subclass may have attributes of these names
            if name in _NO_ATTRIBUTES and type(self).__module__.startswith("fastnn."):
                raise AttributeError(f"a network has no {name}; {_NO_ATTRIBUTES[name]}")
            object.__setattr__(self, name, value)

    @classmethod
    def from_params(
        cls,
        params: NDArray[Any],
        layer_units: Sequence[int],
        activation: ActivationName | Sequence[ActivationName],
        *,
        loss: LossName | OwnLoss = "squared_error",
        delta: float = DELTA,
        quantile: float | Sequence[float] = QUANTILE,
        n_jobs: int | None = None,
    ) -> Self:
        """A network whose parameters are a given vector, which is not copied.

        Parameters
        ----------
        params : ndarray, (n_params,)
            Of float64 or float32, contiguous: each layer's coefs (row-major), then its
            intercepts. Training changes it in place.
        layer_units : sequence of int
            Units of every layer, inputs first.
        activation : str or sequence of str
            Of the hidden layers, or of each layer, as of `Network`.
        loss : str or pair of functions
            As of `Network`, or one of those that only the estimators use.
        delta : float > 0
            Of the loss ``"huber"``.
        quantile : float in (0, 1), or rising sequence of them
            Levels of the loss ``"quantile"``.
        n_jobs : None or int
            At most so many threads, as of `Network`.

        Returns
        -------
        Network
            Over this very memory.

        Raises
        ------
        TypeError, ValueError
            If the vector is not such a one.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network
        >>> vector = np.array([2.0, 0.5])  # f(x) = 2 x + 0.5
        >>> Network.from_params(vector, [1, 1], "identity").predict([[1.0], [3.0]])
        array([[2.5],
               [6.5]])
        """
        units = checks.layer_units(layer_units)
        n_params = parameters.count_params(units)
        if isinstance(params, np.memmap):
            params = params.view(np.ndarray)  # of the same file
        if type(params) is not np.ndarray or params.shape != (n_params,):
            raise ValueError(
                f"params must be a vector of {n_params} numbers, got {checks.shown(params)}"
            )
        # "given" is nothing without functions
        every_loss = {name: name for name in losses.BY_NAME if name != "given"} | losses.SPELLINGS
        loss_of = check_loss(loss, units[-1], delta, quantile, every_loss)
        names = checks.layer_activations(activation, None, loss_of.name, units)
        parameters.as_dtype(params.dtype)
        if not params.flags.carray:
            raise ValueError("params must be contiguous, aligned and writeable")
        net = cls.__new__(cls)
        net._random_state, net.n_jobs = np.random.RandomState(0), n_jobs
        net._make(units, names, loss_of, params)
        vars(net).update(_drawn=-1, _init=("auto", 1.0))
        return net

    # ---- what it is made of ----

    def _make(
        self,
        units: tuple[int, ...],
        names: tuple[ActivationName, ...],
        loss: LossOf,
        params: NDArray[Any],
    ) -> None:
        # __setattr__ would take 0.2 us for each
        vars(self).update(
            _layer_units=units,
            _activations=names,
            _loss=loss,
            _sorts=loss.name == "quantile",  # predictions
            _dtype=params.dtype,
            _step=None,  # the record of the fit that is running
            loss_curve_=[],
            validation_scores_=None,
            validation_loss_curve_=None,
            best_iteration_=None,
            loss_curves_=None,
            _evidence=None,
            _trained_on=None,
            _dropped=0,  # how many losses were dropped before those
            _state=None,
        )
        self._build(params)

    def _build(self, params: NDArray[Any]) -> None:
        """Take a flat vector as parameters, and cut it into views."""
        vars(self).update(_built(params, self._layer_units, self._activations))

    @property
    def layer_units(self) -> tuple[int, ...]:
        """Units of every layer, inputs first."""
        return self._layer_units

    @property
    def activations(self) -> tuple[ActivationName, ...]:
        """The activation of each layer, the output's last."""
        return self._activations

    @property
    def loss_function(self) -> LossName:
        """The name of the loss; "given" for one of one's own."""
        return cast(LossName, self._loss.name)  # of an estimator's network it may be another

    @property
    def loss_options(self) -> dict[str, Any]:
        """The arguments that make the loss: ``{"loss": "huber", "delta": 1.0}``."""
        return self._loss.options()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of parameters and arithmetic."""
        return self._dtype

    @property
    def n_jobs(self) -> int | None:
        """At most so many threads train and predict; None: `fastnn.get_num_threads()`."""
        return self._n_jobs

    @n_jobs.setter
    def n_jobs(self, value: int | None) -> None:
        self._n_jobs = checks.n_jobs("n_jobs", value)
        threads.from_environment()  # a bad number is refused at once

    @property
    def params_(self) -> NDArray[Any]:
        """All parameters as one vector: each layer's coefs (row-major), then its intercepts.

        A view: edit it in place, or assign to copy into it.
        """
        return self._params

    @params_.setter
    def params_(self, values: ArrayLike) -> None:
        array = checks.numeric_array("params_", values)
        if array.shape != self._params.shape:
            raise ValueError(f"params_ must have shape {self._params.shape}, got {array.shape}")
        self._params[:] = checks.finite_array("params_", array, self._dtype)

    @property
    def coefs_(self) -> ParameterList:
        """Views of the coefs of each layer, (fan_in, fan_out)."""
        return self._coefs

    @coefs_.setter
    def coefs_(self, values: Sequence[ArrayLike]) -> None:
        self._coefs.assign(values)

    @property
    def intercepts_(self) -> ParameterList:
        """Views of the intercepts of each layer, (fan_out,)."""
        return self._intercepts

    @intercepts_.setter
    def intercepts_(self, values: Sequence[ArrayLike]) -> None:
        self._intercepts.assign(values)

    # ---- checking ----

    def check_data(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """X and y as arrays of this network's type and shapes, copied only if they must be.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.
        y : array-like, (n, layer_units[-1]), or (n,) for one output or several quantiles
            The targets.

        Returns
        -------
        X : ndarray, (n, layer_units[0])
            The samples.
        y : ndarray, (n, layer_units[-1])
            The targets.

        Raises
        ------
        TypeError, ValueError
            If they are not finite arrays of these shapes.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network([1, 1], dtype="float32").check_data([[1], [2]], [0, 1])[1]
        array([[0.],
               [1.]], dtype=float32)
        """
        x = self._check_x(X)
        return x, self._check_y(y, len(x))

    def _check_loss_data(self, X: Any, y: Any) -> tuple[Rows, NDArray[Any]]:
        return self.check_data(X, y)

    def _check_y(self, y: ArrayLike, n_rows: int) -> NDArray[Any]:
        if self._loss.name == "quantile":
            return one_target(y, self._dtype, self._layer_units[-1], n_rows)
        return checks.outputs(y, self._dtype, self._layer_units[-1], n_rows)

    def _check_x(self, X: ArrayLike) -> NDArray[Any]:
        return checks.matrix("X", X, self._dtype, self._layer_units[0], "feature")

    def _check_params(self, *, written: bool = False) -> None:
        """Refuse parameters that kernels cannot use, as someone changed them in place."""
        params, dtype = self._params, self._dtype
        n = parameters.count_params(self._layer_units)
        flags = params.flags
        right = flags.c_contiguous and flags.aligned and (flags.writeable or not written)
        if params.shape != (n,) or params.dtype != dtype or not right:
            more = " that may be written to" if written else ""
            raise ValueError(f"params_ must be as it was made, a vector of {n} {dtype}{more}")
        for views in (self._coefs, self._intercepts):
            views.check_shapes(self._layer_units, dtype)
        if not kernels.build.all_finite(self._params):
            parameters.check_finite((self._coefs, self._intercepts))

    # ---- as text, and copies ----

    def __repr__(self) -> str:
        names = self._activations
        same = len(set(names)) == 1 and activations.BY_NAME[names[0]].hidden
        return (
            f"Network({list(self._layer_units)}, activation={names[0] if same else names!r}, "
            f"{self._loss!r}, dtype={self._dtype.name!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in states.MADE}
        solver_state = state["_state"]  # not again from self: another thread may reset the solver
        plain = None
        if solver_state is not None:
            # as people see it: the reference packs otherwise than the other builds
            plain = parameters.unpack_rows(solver_state.packed, self._units, self._codes)
        return {**state, **states.apart(solver_state, plain)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        new = states.checked(state, type(self))
        new |= _built(new["_params"], new["_layer_units"], new["_activations"])
        if new["_state"] is not None:
            packed = parameters.pack_rows(new["_state"].packed, new["_units"], new["_codes"])
            new["_state"] = new["_state"]._replace(packed=packed)
        vars(self).setdefault("_step", None)  # a callback's __setstate__ leaves that of the fit
        vars(self).update(new)  # all at once: memory may have failed before

    def copy(self) -> Self:
        """A network with parameters, solver state and random state of its own.

        Returns
        -------
        Network
            Equal to this one.

        Examples
        --------
        >>> from fastnn import Network
        >>> net = Network([1, 4, 1], random_state=0)
        >>> other = net.copy().fit([[0.0], [1.0]], [0, 1])
        >>> net.n_iter_, other.n_iter_
        (0, 200)
        """
        return copy.deepcopy(self)
