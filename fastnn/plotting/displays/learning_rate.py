"""LearningRateDisplay: the loss over the learning rate in a range test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastnn.plotting import style
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


class LearningRateDisplay:
    """How the loss changed while the learning rate rose, and the rates that this suggests.

    `fastnn.find_learning_rate` gives an object whose `plot` makes one.

    Parameters
    ----------
    learning_rates, losses : array-like of float, (n,)
        Of each step.
    suggestion, valley : float, optional
        Rates to mark; NaN is not drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The losses.
    suggestion_, valley_ : matplotlib Line2D or None
        The marks.

    Examples
    --------
    >>> from fastnn import Network, find_learning_rate
    >>> net = Network([1, 8, 1], "tanh", random_state=0)
    >>> display = find_learning_rate(net, [[0.0], [0.5], [1.0]], [0, 1, 0]).plot()
    >>> display = display.plot(color="black")  # once more, in a figure of its own
    """

    ax_: Axes
    figure_: Figure
    line_: Line2D
    suggestion_: Line2D | None
    valley_: Line2D | None

    def __init__(
        self,
        *,
        learning_rates: ArrayLike,
        losses: ArrayLike,
        suggestion: float = math.nan,
        valley: float = math.nan,
    ) -> None:
        self.learning_rates = np.asarray(learning_rates, np.float64)
        self.losses = np.asarray(losses, np.float64)
        self.suggestion, self.valley = suggestion, valley

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LearningRateDisplay
            Itself.
        """
        ax = style.new_axes(ax)
        (self.line_,) = ax.plot(self.learning_rates, self.losses, **kwargs)
        self.suggestion_ = self._mark(ax, self.suggestion, "o", "steepest: {}")
        self.valley_ = self._mark(ax, self.valley, "s", "valley: {}")
        ax.set(xlabel=say("learning rate"), ylabel=say("smoothed loss"))
        style.log_axis(ax, "x")
        ax.margins(x=0.02)
        ax.grid(True, alpha=0.25)
        if self.suggestion_ or self.valley_:
            ax.legend(framealpha=0.8)
        self.ax_, self.figure_ = ax, style.figure_of(ax)
        return self

    def _mark(self, ax: Axes, rate: float, marker: str, what: str) -> Line2D | None:
        """A mark of that rate on the line."""
        if math.isnan(rate):
            return None
        loss = np.interp(math.log(rate), np.log(self.learning_rates), self.losses)
        color = style.ORANGE if marker == "o" else self.line_.get_color()
        (mark,) = ax.plot(
            [rate], [loss], marker, color=color, markersize=8, label=say(what, f"{rate:.2g}")
        )
        return mark
