"""The two classes: what they have in place of scikit-learn's own methods."""

from __future__ import annotations

import functools
import inspect
import math
import os
import sys
import threading
import warnings
from abc import ABCMeta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.metrics import accuracy_score

# not by way of sklearn.neural_network, where patch_sklearn may have put the classes below
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.utils._param_validation import InvalidParameterError, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight

from fastnn import kernels, pages, parameters, threads
from fastnn.catalog import losses
from fastnn.data import checks
from fastnn.estimators import (
    arrays,
    documenting,
    extras,
    fitting,
    labels,
    lbfgs,
    levenberg,
    optimizers,
    quantiles,
    resuming,
    shortcuts,
    validating,
    weighting,
)
from fastnn.estimators.converting import Converting
from fastnn.estimators.following import NOBODY, CallbackSupportMixin, Followers, wrap
from fastnn.estimators.keeping import Keeping
from fastnn.schedules import Checked
from fastnn.training.losses import check_loss, smoothed


class _Turns(dict[int, Any]):
    """The lock of one estimator by process id: in a forked child it is free. Copies are empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Turns, ()


_OF_A_FIT = ("_validation", "_resume", "_running")


def _in_turn(original: Any, name: str) -> Any:
    """scikit-learn's method, for one thread at a time: fits of one estimator share its attributes.

    The metadata and the signature are those of the original, which scikit-learn inspects.
    """
    known = inspect.signature(getattr(original, name)).parameters.keys() - {"self", "X", "y"}

    def begin(self: Any, args: Any, kwargs: Any) -> Any:
        # the context that scikit-learn fits in is for callbacks and nested validation
        if len(args) == 2 and kwargs.keys() <= known and not self.early_stopping:
            if not shortcuts.is_heard(self) and self._may_begin(name, **kwargs):
                kwargs.pop("classes", None)
                return self._fit(*args, incremental=name == "partial_fit", **kwargs)
        before = None if "coefs_" in vars(self) else dict(vars(self))
        try:
            return getattr(super(_Compiled, self), name)(*args, **kwargs)
        except BaseException:
            if before is not None and "coefs_" not in vars(self):
                self.__dict__ = before  # such as classes without their numbers
            raise

    @functools.wraps(getattr(original, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        turns = self.__dict__.get("_turns") or self.__dict__.setdefault("_turns", _Turns())
        with turns.get(os.getpid()) or turns.setdefault(os.getpid(), threading.RLock()):
            weighting.check_call(self, name, kwargs)
            optimizers.check_call(self, name)
            given, outer = {}, {}
            if kwargs and name == "fit":
                given = {
                    "_validation": validating.take(self, kwargs),
                    "_resume": resuming.take(self, kwargs),
                }
            own = vars(self)
            for one in _OF_A_FIT:  # of a fit whose callback called this one
                if one in own:
                    outer[one] = own.pop(one)
            if not outer and not any(given.values()):
                return begin(self, args, kwargs)
            try:
                own.update({one: value for one, value in given.items() if value is not None})
                return begin(self, args, kwargs)
            finally:
                own = vars(self)  # which may be another
                for one in _OF_A_FIT:
                    own.pop(one, None)
                own.update(outer)

    return validating.show(method) if name == "fit" else method


def _predict(original: type) -> Any:
    """scikit-learn's method, which need not look for a fitted attribute where there are coefs_."""

    @functools.wraps(original.predict)  # type: ignore[attr-defined]
    def predict(self: Any, X: Any) -> Any:
        if shortcuts.is_fitted(self):
            return self._predict(X)
        return super(_Compiled, self).predict(X)

    return predict


def _compiled(cls: Any) -> Any:
    """Class decorator: the constructor of scikit-learn's class, of any version, and the extras."""
    original = cls._original
    kind = "classifier" if issubclass(original, ClassifierMixin) else "regressor"
    rows = extras.rows_of(kind)
    defaults = {row.name: row.default for row in rows}
    signature = inspect.signature(original.__init__)
    parameters = [*signature.parameters.values(), *extras.keywords(rows)]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name, default) for name, default in defaults.items()}
        try:
            original.__init__(self, *args, **kwargs)
        except TypeError as error:
            for name in kwargs:
                if name not in signature.parameters:
                    known = [p.name for p in parameters[1:]]
                    hint = checks.did_you_mean(name, [*known, "set_callbacks"])
                    raise TypeError(f"{error}{hint}") from None
            raise
        vars(self).update(own)

    # scikit-learn reads the names of parameters off the signature
    __init__.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__name__}.__init__"
    cls.__init__ = __init__
    # the name by which pickles find it, whatever the files within this folder
    cls.__module__ = __init__.__module__ = "fastnn.estimators"
    cls.__doc__ = documenting.of_class(original, kind)
    cls._valid = shortcuts.KnownParameters(p.name for p in parameters[1:])
    cls._parameter_constraints = {
        **original._parameter_constraints,
        **extras.more_values(original),
        "random_state": ["random_state", np.random.Generator],
        **{row.name: list(row.constraints) for row in rows},
    }
    for row in rows:  # for a subclass whose constructor does not set it
        setattr(cls, row.name, row.default)
    return cls


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


class _Compiled(Converting, Keeping, CallbackSupportMixin):  # type: ignore[misc]
    """What both classes have in place of scikit-learn's own; comes before it among the bases."""

    _original: ClassVar[Any]
    __sklearn_is_fitted__ = shortcuts.is_whole
    best_iteration_: int | None = None

    @classmethod
    def _get_param_names(cls) -> list[str]:
        valid: shortcuts.KnownParameters | None = vars(cls).get("_valid")  # not of a subclass
        if valid is None:
            names: list[str] = super()._get_param_names()
            return names
        return sorted(valid.names)  # as inspecting the signature gives them, each time anew

    def _get_doc_link(self: Any) -> Any:
        return self._original()._get_doc_link()

    def _loss_name(self: Any) -> str:
        """scikit-learn's variant of the loss, by its name in the catalog."""
        # what is reported of several outputs is a mean over them
        known = {"squared_error": "mean_squared_error", "poisson": "poisson_of_values"}
        known |= {name: name for name in extras.MORE_LOSSES}
        if is_classifier(self):
            binary = self.out_activation_ == "logistic"
            known = {"log_loss": "clipped_binary_log_loss" if binary else "clipped_log_loss"}
        return known[checks.choice("loss", self.loss, {name: name for name in known})]

    def _loss_numbers(self: Any, n_outputs: int) -> tuple[float, ...]:
        """The loss's numbers, one for each output, or none."""
        number = self._number_of_loss()
        return check_loss(self.loss, n_outputs, **number).numbers if number else ()

    def _number_of_loss(self: Any) -> dict[str, Any]:
        """The parameter that the loss takes, by its name; empty if there is none."""
        number = losses.BY_NAME[self._loss_name()].number
        return {number: getattr(self, number)} if number else {}

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
        self._refuse_beyond(own)
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

    def _refuse_beyond(self: Any, own: list[str]) -> None:
        """Refuse what scikit-learn's code does not know, if there are methods of a subclass."""
        if not own:
            return
        beyond = list(extras.of_step(self))
        if not optimizers.is_theirs(self.learning_rate):
            beyond.append(f"learning_rate {checks.shown(self.learning_rate)}")
        if self.activation not in extras.THEIR_ACTIVATIONS:
            beyond.append(f"activation {self.activation!r}")
        if self.solver in extras.MORE_SOLVERS:
            beyond.append(f"solver {self.solver!r}")
        if getattr(self, "label_smoothing", 0):
            beyond.append("label_smoothing")
        if self.loss in extras.MORE_LOSSES:
            beyond.append(f"loss {self.loss!r}")
        if beyond:
            raise ValueError(
                f"{type(self).__name__} has its own {own[0]} and so trains by scikit-learn's "
                f"code, which has no {beyond[0]}"
            )

    def _may_begin(self: Any, method: str, classes: Any = None, **others: Any) -> bool:
        """Whether fit or partial_fit may begin; if not, scikit-learn's method says why not."""
        if method == "fit":
            if shortcuts.must_validate():
                self._validate_params()
            return True
        if not shortcuts.is_fitted(self):
            return False
        known = getattr(self, "classes_", None)
        return classes is None or labels.same_classes(known, classes)

    def _validate_params(self: Any) -> None:
        valid = vars(type(self)).get("_valid")  # not of a subclass
        if valid is not None and valid.has(self):
            return
        self._validate_every_param()
        if valid is not None:
            valid.add(self)

    def _validate_every_param(self: Any) -> None:
        try:
            super()._validate_params()
            if not optimizers.is_theirs(self.learning_rate):
                Checked("learning_rate", self.learning_rate)
        except InvalidParameterError as error:
            for name, constraints in self._parameter_constraints.items():
                value = getattr(self, name, None)
                options = {o for c in constraints if isinstance(c, StrOptions) for o in c.options}
                if isinstance(value, str) and options and f"The {name!r} param" in str(error):
                    raise InvalidParameterError(
                        f"{error}{extras.hint(name, value, options)}"
                    ) from None
            raise

    def _settings(self: Any) -> tuple[Any, ...]:
        """All that a fit goes by besides data, parameters and optimizer."""
        values = (*type(self)._valid.values_of(self), self.out_activation_)
        # hidden_layer_sizes: lists may be changed in place, and arrays have no single comparison
        return tuple(tuple(v) if isinstance(v, (list, np.ndarray)) else v for v in values)

    # ---- callbacks ----

    def set_callbacks(self: Any, *callbacks: Any) -> Any:
        """Set who hears of each epoch of `fit`, or of each iteration of L-BFGS.

        Parameters
        ----------
        *callbacks : fastnn.callbacks.Callback, function, or callback of scikit-learn's
            Callbacks and functions for fastnn get a `fastnn.Network` over the parameters of this
            estimator. They may change the parameters and `learning_rate_`, and end the fit by
            returning True. A classifier's network takes labels as y, in
            `fastnn.callbacks.ValidationLoss` too. In scikit-learn 1.9, its own callbacks may be
            among them; they are called first. None: there are no callbacks any more.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Itself.

        Raises
        ------
        TypeError
            For anything else.

        Notes
        -----
        `begin` gets X and the targets as trained on: without the samples that `early_stopping`
        holds out, a column of zeros and ones, smoothed or not, for each class (one for two), and a
        sparse X as a sparse array. The call of `partial_fit` is one epoch, of which nobody hears.
        """
        return super().set_callbacks(*map(wrap, callbacks))

    # ---- scikit-learn's three methods ----

    # Arguments between sample_weight (from scikit-learn 1.7 on) and layer_units are unused here.

    def _fit_stochastic(self: Any, X: Any, y: NDArray[Any], *rest: Any) -> None:
        if self._needs_scikit_learn():
            super()._fit_stochastic(X, y, *rest)
        else:
            weights = rest[0] if fitting.HAS_WEIGHTS else None
            anew = not rest[-1] or optimizers.is_of_other_solver(self)
            prepared = self._prepare(X, y, weights, rest[-2], rest[-1], anew)
            fitting.train(self, rest[-1], *prepared)

    def _fit_lbfgs(self: Any, X: Any, y: NDArray[Any], *rest: Any) -> None:
        if self._needs_scikit_learn():
            super()._fit_lbfgs(X, y, *rest)
        else:
            weights = rest[0] if fitting.HAS_WEIGHTS else None
            lbfgs.train(self, X, y, *self._prepare(X, y, weights, rest[-1], False, True))

    def _prepare(
        self: Any,
        X: Any,
        y: NDArray[Any],
        sample_weight: Any,
        units: list[int],
        incremental: bool,
        anew: bool,
    ) -> tuple[Any, ...]:
        """What trains, with a solver that begins anew or goes on; here is all that is refused."""
        searches = self.solver in optimizers.SEARCHES
        fits = len(units) == self.n_layers_
        if not fits or (searches and list(units) != self._parameters()[1].tolist()):
            raise ValueError(
                "a warm start needs the hidden_layer_sizes of the fit before, which had "
                f"{self.n_layers_ - 2} hidden layers"
            )
        if searches:
            prepare = levenberg.prepare if self.solver == "lm" else lbfgs.prepare
            search = prepare(self, X, y, sample_weight)
            self._forget_optimizer()
            return (search,)
        return fitting.prepare(self, X, y, sample_weight, incremental, anew)

    # ---- around them ----

    def _fit(self: Any, X: Any, y: Any, **options: Any) -> Any:
        threads.from_environment()  # it may ask for an impossible number
        if not options["incremental"]:  # else a training that does not go on looks at them
            extras.of_step(self)
        outer, random_state = self.__dict__.get("_followers"), self.random_state
        if options["incremental"] or not shortcuts.is_heard(self):
            self._followers = NOBODY
        else:
            self._followers = Followers(self, X, y, options.get("sample_weight"))
        try:
            if isinstance(random_state, np.random.Generator):  # which scikit-learn refuses
                self.random_state = checks.random_state(random_state)
            if self._trains_itself():
                extras.of_step(self)
                self._refuse_beyond(self._own_arithmetic())
                if "_validation" in vars(self):
                    raise ValueError(
                        f"{type(self).__name__} trains by code of its own, which takes no X_val"
                    )
                if self._weighs_classes():
                    options["sample_weight"] = weighting.weights(
                        self, y, options.get("sample_weight"), False
                    )
                super()._fit(X, y, **options)
            elif "covariance_" in vars(self) and levenberg.has_evidence(self):
                with levenberg.without_evidence(self):
                    self._fit_compiled(X, y, **options)
            else:
                self._fit_compiled(X, y, **options)
            self._followers.end()
        finally:
            if isinstance(random_state, np.random.Generator):
                self.random_state = random_state
            self._followers = outer  # of a fit whose callback called this one
            if outer is None:
                del self._followers
        return self

    def _trains_itself(self: Any) -> bool:
        """Whether a subclass has arithmetic or a fit of its own."""
        if "_original" in vars(type(self)):  # no subclass
            return False
        fits = ("_fit_stochastic", "_fit_lbfgs")
        return bool(self._own_arithmetic()) or any(
            getattr(type(self), name) is not getattr(_Compiled, name) for name in fits
        )

    def _check_solver(self: Any) -> bool:
        """Whether there is a partial_fit; scikit-learn's AttributeError says why not."""
        return self.solver in optimizers.MORE or bool(super()._check_solver())

    def _smoothed(self: Any, y: NDArray[Any]) -> NDArray[Any]:
        """The targets, with label_smoothing if there is any."""
        share = getattr(self, "label_smoothing", 0.0)
        return y if share == 0 else smoothed(y, self._loss_name(), share)

    def _weighs_classes(self) -> bool:
        return getattr(self, "class_weight", None) is not None

    def _fit_compiled(
        self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False
    ) -> None:
        """scikit-learn's `_fit`, without what its own arithmetic needs."""
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        anew = not incremental or optimizers.is_of_other_solver(self)
        # what goes on is not replaced, and a copy takes a twentieth of partial_fit's time
        before = vars(self).copy() if first or anew else None
        try:
            X, y, sample_weight, units = self._begin_fit(X, y, sample_weight, incremental, first)
            prepared = self._prepare(X, y, sample_weight, units, incremental, anew)
            self.n_outputs_ = y.shape[1]
        except BaseException:
            if before is not None:
                self.__dict__ = before  # not half a net, or one that goes with other data
            raise
        if self.solver == "lm":
            levenberg.train(self, *prepared)
        elif self.solver == "lbfgs":
            lbfgs.train(self, X, y, *prepared)
        else:
            fitting.train(self, incremental, *prepared)
        # a callback may have changed them at the end
        if self._followers and not kernels.build.all_finite(self._parameters()[0]):
            raise fitting.not_finite(False, self.loss_, True, pages.see("diverged"))

    def _begin_fit(
        self: Any, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool
    ) -> tuple[Any, Any, Any, list[int]]:
        """Data, checked, and the units of each layer; if it is the first, parameters are drawn."""
        hidden = shortcuts.hidden_layers(self.hidden_layer_sizes)
        given_y = y
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None and not shortcuts.are_weights(sample_weight, X.shape[0]):
            sample_weight = _check_sample_weight(sample_weight, X)
        if self._weighs_classes():
            sample_weight = weighting.weights(self, given_y, sample_weight, incremental)
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        units = [X.shape[1], *hidden, y.shape[1]]
        training = self._present_training() if incremental else None
        extras.check_batch(self, X.shape[0])
        if self.loss in extras.MORE_LOSSES:
            self._loss_numbers(y.shape[1])  # they are checked
        if "_validation" in vars(self):
            self._validation = validating.checked(self, self._validation, y.shape[1])
        self._random_state = shortcuts.random_state(
            self.random_state, training and training.own_random_state
        )
        if first:
            vars(self).pop("best_iteration_", None)
            self._initialize(y, units, X.dtype)
            if self.solver in optimizers.MORE:  # scikit-learn leaves it out
                fitting.new_rule(self)
        return X, y, sample_weight, units

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


def _partial_fit(original: Any) -> Any:
    """partial_fit, available where scikit-learn's is."""
    available = available_if(original.__dict__["partial_fit"].check)
    return available(_in_turn(original, "partial_fit"))


@_compiled
class MLPClassifier(_Compiled, originals.MLPClassifier, metaclass=InPlace):  # type: ignore[misc]
    _original = originals.MLPClassifier
    fit = _in_turn(_original, "fit")
    partial_fit = _partial_fit(_original)
    predict = _predict(_original)

    @functools.wraps(originals.MLPClassifier.predict_proba)
    def predict_proba(self, X: Any) -> Any:
        if not shortcuts.is_fitted(self):
            return super().predict_proba(X)
        outputs = self._forward_pass_fast(X)
        if self.n_outputs_ > 1:
            return outputs
        both = np.empty((2, len(outputs)), outputs.dtype)  # laid out as scikit-learn's
        both[1] = outputs[:, 0]
        np.subtract(1, both[1], out=both[0])
        return both.T

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        outputs = self._forward_pass_fast(X, check_input=check_input)
        return labels.of_outputs(self._label_binarizer, outputs)

    @functools.wraps(originals.MLPClassifier.score)
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        predicted: Any = self.predict(X)
        if sample_weight is None and labels.are_plain(predicted, len(predicted)):
            if labels.are_plain(y, len(predicted)):
                return float(np.average(predicted == y))
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        # whatever the short way does not settle is looked at by scikit-learn from the beginning
        plain = shortcuts.is_plain(X, 2) if reset else shortcuts.fits(self, X)
        if plain and labels.are_plain(y, len(X)):
            if reset:
                shortcuts.take_features(self, X)
            if not hasattr(self, "classes_") or not (self.warm_start or incremental):
                self._label_binarizer = labels.binarizer_of(y)
                self.classes_ = self._label_binarizer.classes_
                return X, labels.columns(self._label_binarizer, y)
            known = [self._label_binarizer.classes_, *([np.unique(y)] if self.warm_start else [])]
            targets = None
            if all(labels.same_classes(self.classes_, classes) for classes in known):
                targets = labels.columns(self._label_binarizer, y)
            if targets is not None:
                # as after fit; after the first partial_fit there are two equal arrays
                self.classes_ = self._label_binarizer.classes_
                return X, targets
        validated: tuple[Any, Any] = super()._validate_input(X, y, incremental, reset)
        return validated

    def _score(self, X: Any, y: Any, sample_weight: NDArray[Any] | None = None) -> float:
        """The accuracy on validated data, as `sklearn.metrics.accuracy_score` computes it.

        Or what `scoring` gives.
        """
        if self.scoring is not None:
            return validating.score(self, X, y, sample_weight)
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

    def predict(self: Any, X: Any, return_std: bool = False) -> Any:
        """Predict with the fitted network.

        Parameters
        ----------
        X : array-like or sparse matrix, (n, n_features)
            The samples, one a row.
        return_std : bool, default=False
            Whether to return standard deviations, too, of a new target at each row: of the noise
            and of what the parameters leave open (Laplace's approximation). After a fit with
            ``alpha='evidence'``. Not in scikit-learn's class.

        Returns
        -------
        ndarray, (n,) or (n, n_outputs)
            The predictions.
        ndarray of the same shape
            If asked for: standard deviations.

        Raises
        ------
        ValueError
            If X is not as it was in `fit`, or there are no standard deviations.
        """
        if return_std:
            return levenberg.predict_with_deviations(self, X)
        if shortcuts.is_fitted(self):
            return self._predict(X)
        return super().predict(X)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        plain = shortcuts.is_plain(X, 2) if reset else shortcuts.fits(self, X)
        if not (plain and shortcuts.are_targets(y, len(X))):
            X, y = super()._validate_input(X, y, incremental, reset)
        elif reset:
            shortcuts.take_features(self, X)
        # scikit-learn fails in its first subtraction or, without an error, has NaN for a loss
        y = checks.numeric_array("y", y)
        if self.loss in ("poisson", "gamma"):
            checks.targets(np.ascontiguousarray(y.reshape(len(y), -1)), self.loss, "exp")
        if self.loss == "quantile":
            y = quantiles.targets(self, y)
        return X, y

    def _initialize(self, y: Any, layer_units: Any, dtype: Any) -> None:
        super()._initialize(y, layer_units, dtype)
        if self.loss == "gamma":
            self.out_activation_ = "exp"

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        outputs = self._forward_pass_fast(X, check_input=check_input)
        if outputs.shape[1] == 1:
            return outputs.ravel()
        if self.loss == "quantile":
            outputs.sort(axis=1)  # quantiles do not cross
        return outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2, or for the loss "quantile" `sklearn.metrics.d2_pinball_score`, a mean over levels.

        Parameters
        ----------
        X : array-like or sparse matrix, (n, n_features)
            The samples, one a row.
        y : array-like, (n,) or (n, n_outputs)
            Their targets.
        sample_weight : array-like, (n,), optional
            Their weights.

        Returns
        -------
        float
            At most 1.
        """
        if self.loss == "quantile":
            return quantiles.score(self, self.predict(X), y, sample_weight)
        return float(super().score(X, y, sample_weight))

    def _score(self, X: Any, y: Any, sample_weight: NDArray[Any] | None = None) -> float:
        """R^2 on validated data, as `sklearn.metrics.r2_score` computes it, and NaN if diverged.

        Or what `scoring` gives.
        """
        if self.scoring is not None:
            return validating.score(self, X, y, sample_weight)
        if self.loss == "quantile":
            return quantiles.score(self, self._predict(X, check_input=False), y, sample_weight)
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
