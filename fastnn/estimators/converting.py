"""Estimators in other forms: as scikit-learn's own classes and back, in files, as a table."""

from __future__ import annotations

import copy
import os
import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

import fastnn
from fastnn.data import checks
from fastnn.documentation import completed, taken_from
from fastnn.estimators import extras, levenberg, optimizers
from fastnn.estimators.keeping import NOT_COPIED, attributes_of
from fastnn.network import Network
from fastnn.summary import Summary

# what is not carried over to scikit-learn
_NOT_CONVERTED = (
    *extras.NAMES, *levenberg.OF_EVIDENCE, "_trained_on", "_skl_callbacks", "_parent_callback_ctx",
)  # fmt: skip


class Convertible:
    """Base class of what `fastnn.to_sklearn` replaces, wherever it finds it."""

    def to_sklearn(self) -> Any:
        """A copy of scikit-learn's own class."""
        raise NotImplementedError


class Converting(Convertible):
    """Mixin with the conversions."""

    _original: ClassVar[Any]

    def to_sklearn(self: Any) -> Any:
        """Give this estimator as one of scikit-learn's own class, fitted or not.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            With copies of all parameters and fitted attributes, the solver's state among them:
            `partial_fit` goes on where this one would. Callbacks and parameters that
            scikit-learn's class does not have are left out, and a Generator becomes a RandomState.

        Raises
        ------
        ValueError
            If scikit-learn does not have the activation, or several quantiles are predicted.

        Warns
        -----
        UserWarning
            If a parameter that is left out changes later fits.

        Examples
        --------
        >>> from fastnn import MLPRegressor
        >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", random_state=0)
        >>> theirs = net.fit([[0.0], [1.0]], [0, 1]).to_sklearn()
        >>> type(theirs).__module__
        'sklearn.neural_network._multilayer_perceptron'
        """
        if self.activation not in extras.THEIR_ACTIVATIONS:
            raise ValueError(f"scikit-learn has no activation {self.activation!r}")
        if self.loss == "quantile" and np.ndim(self.quantile) and len(self.quantile) > 1:
            raise ValueError("scikit-learn's class predicts no several quantiles of one target")
        theirs = optimizers.is_theirs(self.learning_rate)
        lost = extras.given(self)
        more = self.solver in extras.MORE_SOLVERS
        if more:
            lost.append(f"solver {self.solver!r}")
        other_loss = self.loss in extras.MORE_LOSSES
        if other_loss:
            lost.append(f"loss {self.loss!r}")
        if not theirs:
            lost.append(f"learning_rate={checks.shown(self.learning_rate)}")
        penalises = not isinstance(self.alpha, str)
        if not penalises:
            lost.append(f"alpha={self.alpha!r}")
        if lost:
            warnings.warn(
                f"scikit-learn's {self._original.__name__} has no {', '.join(lost)}: it predicts "
                "the same, and later fits are without",
                stacklevel=2,
            )
        converted = _converted(self, self._original)
        if not theirs:
            converted.learning_rate = "constant"
        if other_loss:
            converted.loss = "poisson" if self.loss == "gamma" else "squared_error"
        if not penalises:
            converted.alpha = self._original().alpha
        if more:
            converted.solver = "adam"
            vars(converted).pop("_optimizer", None)
        if "_optimizer" in vars(converted):
            vars(converted._optimizer).pop("fastnn_state", None)
        if isinstance(converted.random_state, np.random.Generator):
            converted.random_state = checks.random_state(converted.random_state)
        return converted

    @completed
    def save(self: Any, path: str | os.PathLike[str], *, date: bool = False) -> None:
        """Write the estimator, fitted or not, to a file, for `fastnn.load`.

        Parameters
        ----------
        {saving}

        Examples
        --------
        >>> from fastnn import MLPRegressor, load
        >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", random_state=0)
        >>> net.fit([[0.0], [1.0]], [0, 1]).save("line.fastnn")
        >>> load("line.fastnn")
        MLPRegressor(hidden_layer_sizes=4, random_state=0, solver='lbfgs')
        """
        fastnn.files.save(self, path, date=date)

    @taken_from(Network.fit_state)
    def fit_state(self: Any) -> dict[str, Any] | None:
        running = vars(self).get("_running")
        return None if running is None else running.state()

    @property
    def metadata(self: Any) -> dict[str, Any]:
        """What it was fitted on last, and by what; empty before.

        Returns
        -------
        dict
            ``"n_features"``, ``"fastnn"``, the version, ``"build"``, the kernels' instruction
            set, ``"n_samples"``, and ``"feature_names"``, those of a data frame or None.
            ``"date"`` is when the file was written from which it was loaded, if the file tells.
        """
        if not hasattr(self, "n_features_in_"):
            return {}
        names = getattr(self, "feature_names_in_", None)
        known = {"n_features": self.n_features_in_, **(vars(self).get("_trained_on") or {})}
        known["feature_names"] = None if names is None else list(map(str, names))
        date = vars(self).get("_saved_at")
        return known if date is None else {**known, "date": date}

    @taken_from(Network.summary)
    def summary(self: Any, n_samples: int | None = None) -> Summary:
        check_is_fitted(self)
        params, units = self._parameters()
        names = self._layer_activations(len(units) - 1)
        binary = self.loss == "log_loss" and self.out_activation_ == "logistic"
        loss = "binary_log_loss" if binary else self.loss
        return Summary(tuple(units.tolist()), tuple(names), loss, params.dtype, n_samples)

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

        Examples
        --------
        >>> from sklearn import neural_network
        >>> from fastnn import MLPRegressor
        >>> theirs = neural_network.MLPRegressor(solver="lbfgs", random_state=0)
        >>> MLPRegressor.from_sklearn(theirs.fit([[0.0], [1.0]], [0, 1])).n_iter_ == theirs.n_iter_
        True
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
        k: v for k, v in attributes_of(estimator).items() if k not in _NOT_CONVERTED + NOT_COPIED
    }
    vars(converted).update(copy.deepcopy(attributes))
    return converted
