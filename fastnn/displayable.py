"""What scikit-learn's displays ask of a fitted model, for `Network`.

With it a Network goes into `sklearn.inspection.DecisionBoundaryDisplay` as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.parameters import checksum

if TYPE_CHECKING:
    from fastnn.network import Network


def _gives_probabilities(net: Network) -> bool:
    out, n_outputs = net.activations[-1], net.layer_units[-1]
    return out == "softmax" or (out == "sigmoid" and n_outputs == 1)


def _gives_one_number(net: Network) -> bool:
    return net.layer_units[-1] == 1 and net.activations[-1] != "sigmoid"


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _only_if(condition: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """Decorator: a method that networks have only if a condition holds, as hasattr tells."""

    def conditional(method: _Method) -> _Method:
        return cast(_Method, _Conditional(condition, method))

    return conditional


class _Conditional:
    """The descriptor behind `_only_if`."""

    def __init__(self, condition: Callable[[Any], bool], method: Callable[..., Any]) -> None:
        self._condition = condition
        self._method = self.__wrapped__ = method
        self.__doc__ = method.__doc__

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self._method  # as `help` and documentation show it
        if not self._condition(net):
            raise AttributeError(f"{net!r} has no {self._method.__name__}")
        return self._method.__get__(net)


class Displayable:
    """Mixin with what depends on the output layer."""

    @_only_if(_gives_probabilities)
    def predict_proba(self: Any, X: ArrayLike) -> NDArray[Any]:
        """The probability of each class: a column each, and two of them for one sigmoid output.

        Networks whose output is softmax or one sigmoid have this, and `classes_`.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.

        Returns
        -------
        ndarray, (n, n_classes)
            Rows that sum to 1.

        Examples
        --------
        >>> from fastnn import Network
        >>> net = Network([2, 4, 1], loss="binary_log_loss", random_state=0)
        >>> net.predict_proba([[0.0, 1.0]]).shape, net.classes_
        ((1, 2), array([0., 1.]))
        """
        p: NDArray[Any] = self._predict_plane(X)
        return p if p.shape[1] > 1 else np.hstack([1 - p, p])

    @_only_if(_gives_one_number)
    def decision_function(self: Any, X: ArrayLike) -> NDArray[Any]:
        """The output of a network with one that is not sigmoid, as one number for each row.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
            The samples, one a row.

        Returns
        -------
        ndarray, (n,)
            The outputs.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network([2, 4, 1], "tanh", random_state=0).decision_function([[0.0, 1.0]]).shape
        (1,)
        """
        outputs: NDArray[Any] = self._predict_plane(X)
        return outputs.ravel()

    def _predict_plane(self: Any, X: ArrayLike) -> NDArray[Any]:
        shape = np.shape(X)
        if len(shape) == 2 and shape[1] == 2 != self.layer_units[0]:
            raise ValueError(
                f"X has two features, and this network takes {self.layer_units[0]}; for a "
                "boundary over two of them use fastnn.plotting.FeatureSlice(net, X, features=...)"
            )
        outputs: NDArray[Any] = self.predict(X)
        return outputs

    @property
    def classes_(self: Any) -> NDArray[np.float64]:
        """The numbers of the classes, if the outputs are their probabilities."""
        if not _gives_probabilities(self):
            raise AttributeError(f"{self!r} has no classes_")
        # not int: scikit-learn's LabelEncoder would then cut what `predict` gives down to labels
        return np.arange(max(2.0, self.layer_units[-1]))

    def __sklearn_is_fitted__(self: Any) -> bool:
        return bool(self.loss_curve_) or checksum(self.params_) != self._drawn

    def __sklearn_tags__(self: Any) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        classes = _gives_probabilities(self)
        return Tags(
            estimator_type="classifier" if classes else None,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if classes else None,
            input_tags=InputTags(),
        )
