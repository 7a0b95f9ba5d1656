"""What displays share: which models they take, and axes in a grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.data import checks
from fastnn.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check_fitted(model: Any) -> None:
    """Refuse models that displays do not draw.

    Raises
    ------
    TypeError
        For anything but a Network, an MLPClassifier or an MLPRegressor.
    sklearn.exceptions.NotFittedError
        For one that was not trained and has no parameters assigned.
    """
    if not isinstance(model, Network) and not hasattr(model, "hidden_layer_sizes"):
        hint = "; of a pipeline give the last step" if hasattr(model, "steps") else ""
        raise TypeError(
            "model must be a fastnn.Network or an MLPClassifier or MLPRegressor, got "
            f"{checks.shown(model)}{hint}"
        )
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)


def network_of(model: Any) -> Network:
    """A fitted model as a Network: the network itself, or one with an estimator's parameters."""
    check_fitted(model)
    if isinstance(model, Network):
        return model
    units = [len(model.coefs_[0]), *(len(intercept) for intercept in model.intercepts_)]
    names = [model.activation] * (len(units) - 2) + [model.out_activation_]
    net = Network(units, names, dtype=np.result_type(*model.coefs_), random_state=0)
    net.coefs_, net.intercepts_ = model.coefs_, model.intercepts_
    return net


def largest(arrays: Iterable[NDArray[Any]]) -> float:
    """The largest magnitude in arrays; 1 if all is 0."""
    return max(float(np.abs(a).max()) for a in arrays) or 1.0


def sub_axes(ax: Axes, n_rows: int, n_columns: int) -> NDArray[Any]:
    """A grid of axes in the place of ax, which stays there invisible."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError("ax must be from a grid of subplots, as those of figure.subplots are")
    ax.set_axis_off()
    grid = spec.subgridspec(n_rows, n_columns)
    return np.array(
        [[ax.figure.add_subplot(grid[i, j]) for j in range(n_columns)] for i in range(n_rows)]
    )
