"""The two classes: what they have in place of scikit-learn's own methods."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import operator
import os
import sys
import threading
import warnings
from abc import ABCMeta
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

# not by way of sklearn.neural_network, where patch_sklearn may have put the classes below
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastnn import parameters, threads
from fastnn.catalog import activations, losses
from fastnn.catalog.activations import ActivationName
from fastnn.data import checks
from fastnn.estimators import arrays, fitting, lbfgs
from fastnn.estimators.following import CallbackSupportMixin, Followers, wrap
from fastnn.forward import forward_rows

_N_JOBS = """
    n_jobs : int, default=None
        Up to how many threads train and predict: None for
        `fastnn.get_num_threads()`, -1 for all cores. The number changes no
        result, and small work is done by one thread. Not a parameter of
        scikit-learn's class.
"""

# what is not carried over to scikit-learn, and what belongs to one object only
_NOT_CONVERTED = ("n_jobs", "_skl_callbacks", "_parent_callback_ctx")
_NOT_COPIED = ("_flat", "_followers", "_turns")


class _Turns(dict[int, Any]):
    """The lock of one estimator by process id: in a forked child it is free. Copies are empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Turns, ()


def _in_turn(original: type, name: str) -> Any:
    """scikit-learn's method, for one thread at a time: fits of one estimator share its attributes.

    The metadata and the signature are those of the original, which scikit-learn inspects.
    """

    @functools.wraps(getattr(original, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        turns = self.__dict__.setdefault("_turns", _Turns())
        with turns.setdefault(os.getpid(), threading.RLock()):
            return getattr(super(_Compiled, self), name)(*args, **kwargs)

    return method


def _compiled(cls: Any) -> Any:
    """Class decorator: the constructor of scikit-learn's class, of any version, and n_jobs."""
    original = cls._original
    signature = inspect.signature(original.__init__)
    n_jobs = inspect.Parameter("n_jobs", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [*signature.parameters.values(), n_jobs]

    def __init__(self: Any, *args: Any, n_jobs: int | None = None, **kwargs: Any) -> None:
        try:
            original.__init__(self, *args, **kwargs)
        except TypeError as error:
            for name in kwargs:
                if name not in signature.parameters:
                    known = [p.name for p in parameters[1:]]
                    hint = checks.did_you_mean(name, [*known, "set_callbacks"])
                    raise TypeError(f"{error}{hint}") from None
            raise
        self.n_jobs = n_jobs

    # scikit-learn reads the names of parameters off the signature
    __init__.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__name__}.__init__"
    cls.__init__ = __init__
    # the name by which pickles find it, whatever the files within this folder
    cls.__module__ = __init__.__module__ = "fastnn.estimators"
    doc = original.__doc__ or ""  # empty under python -OO
    before, heading, after = doc.partition("\n    Attributes\n")
    before = before.replace(
        "random_state : int, RandomState instance, default=None",
        "random_state : int, RandomState or Generator instance, default=None",
    )
    cls.__doc__ = before.rstrip() + "\n" + _N_JOBS + heading + after
    cls._parameter_constraints = {
        **original._parameter_constraints,
        "random_state": ["random_state", np.random.Generator],
        "n_jobs": [None, Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
    }
    return cls


def _hint(name: str, value: str, options: set[str]) -> str:
    """What to use instead of a value that scikit-learn does not know, or nothing."""
    known = activations.SPELLINGS if name == "activation" else losses.SPELLINGS
    spelling = value.casefold()
    if name in ("activation", "loss") and spelling in known:
        for option in options:
            if known.get(option) == known[spelling]:
                return f" Did you mean {option!r}?"
        if name == "activation":
            return f" fastnn.Network has {spelling!r}."
        return " The loss of MLPClassifier is the log loss."
    return checks.did_you_mean(value, options).replace("; did", " Did")


class InPlace(ABCMeta):
    """Metaclass: while patch_sklearn has a class in the place of scikit-learn's, instances of
    that one count as its instances, too."""

    def _stands_for(cls, other: type) -> bool:
        room = sys.modules.get("sklearn.neural_network")
        original = vars(cls).get("_original")  # not of a subclass
        return original in other.__mro__ and getattr(room, cls.__name__, None) is cls

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or cls._stands_for(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return super().__subclasscheck__(subclass) or cls._stands_for(subclass)


class _Compiled(CallbackSupportMixin):  # type: ignore[misc]
    """What both classes have in place of scikit-learn's own; comes before it among the bases."""

    _original: ClassVar[Any]
    n_jobs: int | None = None  # for a subclass whose constructor does not set it

    # ---- parameters: one vector, of which coefs_ and intercepts_ are views ----

    def _parameters(self: Any) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """The parameters in one vector, and the units of each layer. Changes nothing."""
        params, units, views = self.__dict__.get("_flat", (None, None, ()))
        given = [*self.coefs_, *self.intercepts_]
        if len(given) == len(views) and all(map(operator.is_, given, views)):
            return params, units
        joined = arrays.join(self.coefs_, self.intercepts_)
        return joined, arrays.units_of(self.coefs_, self.intercepts_)

    def _take_parameters(self: Any, params: NDArray[Any], units: NDArray[np.intp]) -> None:
        """Have this vector for parameters."""
        self.coefs_, self.intercepts_ = parameters.split_params(params, units.tolist())
        self._flat = params, units, [*self.coefs_, *self.intercepts_]

    def __getstate__(self: Any) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _NOT_COPIED}

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state:
            self._take_parameters(*self._parameters())

    def _get_doc_link(self: Any) -> Any:
        return self._original()._get_doc_link()

    def _layer_activations(self: Any, n_layers: int) -> list[ActivationName]:
        """The activation of each layer, by its name in the catalog."""
        # scikit-learn's own check can be switched off
        hidden = checks.choice("activation", self.activation, activations.HIDDEN_SPELLINGS)
        out = activations.SPELLINGS[self.out_activation_]
        return [hidden] * (n_layers - 1) + [out]

    def _codes(self: Any, n_layers: int) -> NDArray[np.int32]:
        """The activation of each layer as the kernels number them."""
        names = self._layer_activations(n_layers)
        return np.array([activations.CODES[name] for name in names], np.int32)

    def _loss_name(self: Any) -> str:
        """scikit-learn's variant of the loss, by its name in the catalog."""
        # what is reported of several outputs is a mean over them
        known = {"squared_error": "mean_squared_error", "poisson": "poisson_of_values"}
        if is_classifier(self):
            binary = self.out_activation_ == "logistic"
            known = {"log_loss": "clipped_binary_log_loss" if binary else "clipped_log_loss"}
        return checks.choice("loss", self.loss, known)

    def _own_arithmetic(self: Any) -> list[str]:
        """The methods by which a subclass computes something itself."""
        return [
            name
            for name in ("_backprop", "_compute_loss_grad", "_forward_pass")
            if getattr(type(self), name) is not getattr(self._original, name)
        ]

    def _needs_scikit_learn(self: Any) -> bool:
        """Whether scikit-learn's own code must train, with a warning if so."""
        own = self._own_arithmetic()
        if own and self._followers.need_network:
            raise ValueError(
                f"{type(self).__name__} has its own {own[0]} and so trains by scikit-learn's "
                "code, which calls no callbacks of fastnn's"
            )
        if own:
            warnings.warn(
                f"{type(self).__name__} has its own {own[0]} and so trains by scikit-learn's "
                "code, the slow way",
                stacklevel=3,
            )
        return bool(own)

    def _validate_params(self: Any) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            for name, constraints in self._parameter_constraints.items():
                value = getattr(self, name, None)
                options = {o for c in constraints if isinstance(c, StrOptions) for o in c.options}
                if isinstance(value, str) and options and f"The {name!r} param" in str(error):
                    raise InvalidParameterError(f"{error}{_hint(name, value, options)}") from None
            raise

    # ---- callbacks ----

    def set_callbacks(self: Any, *callbacks: Any) -> Any:
        """Set who hears of each epoch of `fit`, or of each iteration of L-BFGS.

        Parameters
        ----------
        *callbacks : fastnn.callbacks.Callback, function, or callback of scikit-learn's
            fastnn's callbacks and functions get a `fastnn.Network` over the parameters of this
            estimator. They may change the parameters and `learning_rate_`, and end the fit by
            returning True. A classifier's network takes labels as y, in
            `fastnn.callbacks.ValidationLoss` too. In scikit-learn 1.9, its own callbacks may be
            among them; they are called first. None: there are no callbacks any more.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For anything else.

        Notes
        -----
        `begin` gets X and the targets as trained on: without the samples that `early_stopping`
        holds out, a column of zeros and ones for each class (one column for two classes), and a
        sparse X as a sparse array. The call of `partial_fit` is one epoch, of which nobody hears.
        """
        return super().set_callbacks(*map(wrap, callbacks))

    # ---- scikit-learn's three methods ----

    def _fit_stochastic(self: Any, X: Any, y: NDArray[Any], *rest: Any) -> None:
        if self._needs_scikit_learn():
            super()._fit_stochastic(X, y, *rest)
            return
        # rest is sample_weight (from 1.7 on), four lists that are unused here, layer_units,
        # incremental
        self._check_warm_start(len(rest[-2]) == len(self.coefs_) + 1)
        has_weight = len(rest) == 7
        sample_weight = rest[0] if has_weight else None
        fitting.train(self, X, y, sample_weight, rest[-1], 3 if has_weight else 2)

    def _fit_lbfgs(self: Any, X: Any, y: NDArray[Any], *rest: Any) -> None:
        if self._needs_scikit_learn():
            super()._fit_lbfgs(X, y, *rest)
            return
        units = arrays.units_of(self.coefs_, self.intercepts_).tolist()
        self._check_warm_start(list(rest[-1]) == units)
        lbfgs.train(self, X, y, rest[0] if len(rest) == 6 else None, units)

    def _check_warm_start(self: Any, fits: bool) -> None:
        if not fits:
            raise ValueError(
                "a warm start needs the hidden_layer_sizes of the fit before, which had "
                f"{len(self.coefs_) - 1} hidden layers"
            )

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> NDArray[Any]:
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        params, units = self._parameters()
        dtype = arrays.float_type(X, params)
        x, params = arrays.as_rows(X, units[0], dtype), params.astype(dtype, copy=False)
        out = np.empty((X.shape[0], units[-1]), dtype)
        n_jobs = checks.n_jobs("n_jobs", self.n_jobs)
        forward_rows(params, units, self._codes(len(units) - 1), x, out, n_jobs)
        return out

    # ---- around them ----

    def _fit(self: Any, X: Any, y: Any, **options: Any) -> Any:
        threads.resolve(self.n_jobs)  # the environment may ask for an impossible number
        outer, random_state = self.__dict__.get("_followers"), self.random_state
        if options["incremental"]:
            self._followers = Followers(self, X, y, callbacks=())
        else:
            self._followers = Followers(self, X, y, options.get("sample_weight"))
        try:
            if isinstance(random_state, np.random.Generator):  # which scikit-learn refuses
                self.random_state = checks.random_state(random_state)
            super()._fit(X, y, **options)
            self._followers.end()
        finally:
            if isinstance(random_state, np.random.Generator):
                self.random_state = random_state
            self._followers = outer  # of a fit whose callback called this one
            if outer is None:
                del self._followers
        return self

    def _loss_grad_lbfgs(
        self: Any, packed_coef_inter: NDArray[Any], X: Any, y: NDArray[Any], *rest: Any
    ) -> tuple[float, NDArray[Any]]:
        """Loss and gradient in scikit-learn's order, all coefs before all intercepts."""
        if self._own_arithmetic():
            loss, grads = super()._loss_grad_lbfgs(packed_coef_inter, X, y, *rest)
            return loss, grads
        sample_weight = rest[0] if len(rest) == 5 else None
        _, units = self._parameters()
        params = arrays.join(*arrays.split_packed(packed_coef_inter, units)).astype(np.float64)
        grads = np.empty_like(params)
        loss = lbfgs.mean_loss(self, units, X, y, sample_weight)(params, grads)
        coef_grads, intercept_grads = parameters.split_params(grads, units.tolist())
        return loss, np.concatenate([a.ravel() for a in [*coef_grads, *intercept_grads]])

    # ---- conversion ----

    def to_sklearn(self: Any) -> Any:
        """This estimator as one of scikit-learn's own class, fitted or not.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            With copies of all parameters and fitted attributes, the solver's state among them:
            `partial_fit` goes on where this one would. `n_jobs` and callbacks are left out, and a
            Generator becomes a RandomState.
        """
        converted = _converted(self, self._original)
        if isinstance(converted.random_state, np.random.Generator):
            converted.random_state = checks.random_state(converted.random_state)
        return converted

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """An estimator of scikit-learn's own class as one of this class, fitted or not.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Of the class whose place this one takes.

        Returns
        -------
        MLPClassifier or MLPRegressor
            With copies of all parameters and fitted attributes, the solver's state among them.

        Raises
        ------
        TypeError
            If it is not of that class.
        """
        if not isinstance(estimator, cls._original):
            raise TypeError(
                f"estimator must be a scikit-learn {cls._original.__name__}, got "
                f"{checks.shown(estimator)}"
            )
        return _converted(estimator, cls)


def _converted(estimator: Any, cls: Any) -> Any:
    """A copy of estimator as one of cls, which is its class or the one whose place that takes."""
    names = [name for name in cls._get_param_names() if hasattr(estimator, name)]
    converted = cls(**{name: getattr(estimator, name) for name in names})
    attributes = {
        k: v for k, v in vars(estimator).items() if k not in _NOT_CONVERTED + _NOT_COPIED
    }
    vars(converted).update(copy.deepcopy(attributes))
    return converted


def _partial_fit(original: type) -> Any:
    """partial_fit, available where scikit-learn's is."""
    available = available_if(lambda estimator: super(_Compiled, estimator).partial_fit)
    return available(_in_turn(original, "partial_fit"))


@_compiled
class MLPClassifier(_Compiled, originals.MLPClassifier, metaclass=InPlace):  # type: ignore[misc]
    _original = originals.MLPClassifier
    fit = _in_turn(_original, "fit")
    partial_fit = _partial_fit(_original)

    def _score(self, X: Any, y: Any, sample_weight: NDArray[Any] | None = None) -> float:
        """The accuracy on validated data, as `sklearn.metrics.accuracy_score` computes it."""
        if sample_weight is not None:
            return float(super()._score(X, y, sample_weight=sample_weight))
        predicted: Any = self._predict(X, check_input=False)
        if hasattr(y, "toarray"):  # multi-label, as sparse as it was given
            predicted, y = predicted.toarray(), y.toarray()
        same = predicted == y
        if same.ndim == 2:  # multi-label: all of a row
            same = same.all(axis=1)
        return float(np.average(same))


@_compiled
class MLPRegressor(_Compiled, originals.MLPRegressor, metaclass=InPlace):  # type: ignore[misc]
    _original = originals.MLPRegressor
    fit = _in_turn(_original, "fit")
    partial_fit = _partial_fit(_original)

    def _validate_input(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        X, y = super()._validate_input(X, y, *args, **kwargs)
        # scikit-learn fails in its first subtraction or, without an error, has NaN for a loss
        y = checks.numeric_array("y", y)
        if self.loss == "poisson":
            checks.targets(np.ascontiguousarray(y.reshape(len(y), -1)), "poisson", "exp")
        return X, y

    def _score(self, X: Any, y: Any, sample_weight: NDArray[Any] | None = None) -> float:
        """R^2 on validated data, as `sklearn.metrics.r2_score` computes it; NaN if diverged."""
        if sample_weight is not None:
            return float(super()._score(X, y, sample_weight=sample_weight))
        outputs: Any = self._predict(X, check_input=False)
        predicted = outputs.reshape(len(y), -1)
        if not np.isfinite(predicted).all():
            return math.nan
        y = y.reshape(len(y), -1).astype(np.float64, copy=False)
        with np.errstate(all="ignore"):  # the squares may overflow
            rest = ((y - predicted) ** 2).sum(axis=0)
            total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
            # an output that does not vary scores 1 if it is predicted exactly, else 0
            scores = np.where(rest == 0, 1.0, 0.0)
            np.divide(rest, total, out=rest, where=total != 0)
            return float(np.where(total != 0, 1 - rest, scores).mean())
