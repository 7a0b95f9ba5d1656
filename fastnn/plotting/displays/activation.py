"""ActivationDisplay: activations and their derivatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fastnn import documentation, reference
from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting.displays.models import network_of
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# every accepted spelling of the activations that are functions of one number -> the name
_SPELLINGS = {
    spelling: name
    for spelling, name in activations.SPELLINGS.items()
    if activations.BY_NAME[name].elementwise
}


class ActivationDisplay:
    """Activations and their derivatives, as functions of the weighted sum z.

    Parameters
    ----------
    names : sequence of str
        Of these: {elementwise activations}.
    limits : pair of float
        The range of z.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_, derivative_lines_ : list of matplotlib Line2D
        One for each name.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import ActivationDisplay
    >>> display = ActivationDisplay.from_names("sigmoid", "silu", limits=(-4, 4))
    >>> display = ActivationDisplay.from_network(Network([2, 4, 1], "tanh").fit([[0, 1]], [1]))
    >>> display.names
    ['tanh', 'identity']
    >>> display = display.plot(derivative=False)  # once more, in a figure of its own
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]
    derivative_lines_: list[Line2D]

    def __init__(
        self, *, names: Iterable[ActivationName], limits: Iterable[float] = (-5.0, 5.0)
    ) -> None:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise TypeError(f"names must be a sequence of names, got {checks.shown(names)}")
        self.names = [checks.choice("names", name, _SPELLINGS) for name in names]
        if not self.names:
            raise ValueError("names must hold at least one activation")
        self.limits = _limits(limits)

    @classmethod
    def from_names(
        cls,
        *names: ActivationName,
        limits: Iterable[float] = (-5.0, 5.0),
        ax: Axes | None = None,
        derivative: bool = True,
    ) -> Self:
        """Draw activations by name, such as ``from_names("sigmoid", "relu")``.

        Parameters
        ----------
        *names : str
            As of the class.
        limits : pair of float
            The range of z.
        ax : matplotlib Axes, optional
            None: those of a new figure.
        derivative : bool
            Whether to draw derivatives, dashed.

        Returns
        -------
        ActivationDisplay
            Drawn.

        Raises
        ------
        TypeError, ValueError
            For an unknown name, with a hint at the nearest known one.
        """
        return cls(names=names, limits=limits).plot(ax=ax, derivative=derivative)

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        limits: Iterable[float] = (-5.0, 5.0),
        ax: Axes | None = None,
        derivative: bool = True,
    ) -> ActivationDisplay:
        """Draw the activations of a fitted network or estimator.

        Those that are no function of one number, such as softmax, are left out.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
            After a fit.
        limits : pair of float
            The range of z.
        ax : matplotlib Axes, optional
            None: those of a new figure.
        derivative : bool
            Whether to draw derivatives, dashed.

        Returns
        -------
        ActivationDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ValueError
            If none is left.
        """
        every = dict.fromkeys(network_of(model).activations)
        names = [name for name in every if name in _SPELLINGS]
        if not names:
            raise ValueError(
                f"{next(iter(every))}, the model's only activation, is no function of one number"
            )
        return cls.from_names(*names, limits=limits, ax=ax, derivative=derivative)

    from_network = from_estimator

    def plot(self, ax: Axes | None = None, *, derivative: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        derivative : bool
            Whether to draw derivatives, dashed.

        Returns
        -------
        ActivationDisplay
            Itself.
        """
        ax = style.new_axes(ax)
        self.lines_, self.derivative_lines_ = [], []
        z = np.linspace(*self.limits, 501)
        for name in self.names:
            a, slope = _activation_and_derivative(name, z)
            (line,) = ax.plot(z, a, label=name)
            self.lines_.append(line)
            if derivative:
                (line,) = ax.plot(
                    z,
                    slope,
                    color=line.get_color(),
                    linestyle="--",
                    label=say("{}, derivative", name),
                )
                self.derivative_lines_.append(line)
        ax.set(xlabel="$z$", ylabel="$a(z)$, $a'(z)$" if derivative else "$a(z)$")
        ax.margins(x=0)
        ax.grid(True, alpha=0.25)
        ax.legend(framealpha=0.8)
        self.ax_, self.figure_ = ax, style.figure_of(ax)
        return self


def _activation_and_derivative(name: str, z: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values of an activation at z and of its derivative, by the oracle."""
    row = activations.BY_NAME[name]
    a, slope = np.empty_like(z), np.empty_like(z)
    reference.activate(z, row.code, a)
    reference.derivative(z if row.stores_slope else a, row.code, slope)
    return a, slope


def _limits(value: Any) -> tuple[float, float]:
    pair = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    if len(pair) != 2:
        raise TypeError(f"limits must be a pair of numbers, got {checks.shown(value)}")
    low, high = (checks.real_number(f"limits[{i}]", limit) for i, limit in enumerate(pair))
    if not low < high:
        raise ValueError(f"limits must be increasing, got {low}, {high}")
    return low, high


ActivationDisplay.__doc__ = documentation.complete(ActivationDisplay.__doc__)
