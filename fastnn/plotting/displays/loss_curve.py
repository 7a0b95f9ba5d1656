"""LossCurveDisplay: how the loss fell, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from fastnn.callbacks import ValidationLoss
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting.displays.models import check_fitted
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


def _score_axes(ax: Axes) -> list[Axes]:
    """The axis of scores over ax, if there is one."""
    return [a for a in ax.figure.axes if getattr(a, "fastnn_scores_of", None) is ax]


class LossCurveDisplay:
    """The loss curve, and what was evaluated on other data.

    Parameters
    ----------
    loss_curve : array-like of float, (n_epochs,)
        The mean loss of each epoch.
    validation : pair of array-like, optional
        After how many epochs another loss or a score was taken, and their values.
    validation_kind : {"loss", "score"}
        Scores have their own axis, on the right.
    name : str, optional
        For the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
    validation_line_ : matplotlib Line2D or None
    validation_ax_ : matplotlib Axes or None
        Those of the validation line.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import LossCurveDisplay
    >>> X, y = [[0.0], [0.5], [1.0]], [0, 1, 0]
    >>> models = {name: Network([1, 8, 1], name, random_state=0) for name in ("tanh", "relu")}
    >>> ax = None
    >>> for name, net in models.items():
    ...     display = LossCurveDisplay.from_network(net.fit(X, y), name=name, ax=ax)
    ...     ax = display.ax_
    >>> display = display.plot(log_scale=False)  # once more, in a figure of its own
    """

    ax_: Axes
    figure_: Figure
    line_: Line2D
    validation_line_: Line2D | None
    validation_ax_: Axes | None

    def __init__(
        self,
        *,
        loss_curve: ArrayLike,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        validation_kind: Literal["loss", "score"] = "loss",
        name: str | None = None,
    ) -> None:
        self.loss_curve, self.validation = np.asarray(loss_curve, np.float64), validation
        self.validation_kind = checks.choice(
            "validation_kind", validation_kind, {"loss": "loss", "score": "score"}
        )
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        validation: ValidationLoss | tuple[ArrayLike, ArrayLike] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        log_scale: bool = True,
        **kwargs: Any,
    ) -> LossCurveDisplay:
        """Draw the loss curve of a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
            What was validated during the fit is drawn, too: the losses or scores of a network with
            X_val, the scores of an estimator with X_val or early_stopping.
        validation : fastnn.callbacks.ValidationLoss or pair of array-like, optional
            A callback of the fit; or epochs and losses.
        name : str, optional
            For the legend; by default the name of the class.
        ax : matplotlib Axes, optional
            Such as those of another display, to compare.
        log_scale : bool
            Whether the loss has a logarithmic axis; linear if no loss is above 0.
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LossCurveDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ValueError
            If there is no curve: after L-BFGS, and if the parameters were assigned.
        ImportError
            Without matplotlib.
        """
        check_fitted(model)
        curve = getattr(model, "loss_curve_", None)
        if not curve:
            raise ValueError(
                "the model has no loss curve: solver='lbfgs' keeps none"
                if getattr(model, "solver", None) == "lbfgs"
                else "the model has no loss curve: its parameters were assigned"
            )
        scores = getattr(model, "validation_scores_", None)
        kind: Literal["loss", "score"] = "loss"
        losses = getattr(model, "validation_loss_curve_", None)
        if validation is None and losses:
            validation = np.arange(1, len(losses) + 1), losses
        elif validation is None and scores:
            validation, kind = (np.arange(1, len(scores) + 1), scores), "score"
        elif isinstance(validation, ValidationLoss):
            validation = validation.epochs_, validation.losses_
        name = type(model).__name__ if name is None else name
        display = cls(loss_curve=curve, validation=validation, validation_kind=kind, name=name)
        return display.plot(ax=ax, log_scale=log_scale, **kwargs)

    from_network = from_estimator

    def plot(self, ax: Axes | None = None, *, log_scale: bool = True, **kwargs: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        log_scale : bool
            Whether the loss has a logarithmic axis; linear if no loss is above 0.
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LossCurveDisplay
            Itself.
        """
        ax = style.new_axes(ax)
        label = kwargs.pop("label", say("training") if self.name is None else self.name)
        (self.line_,) = ax.plot(
            np.arange(1, len(self.loss_curve) + 1), self.loss_curve, label=label, **kwargs
        )
        self.validation_line_ = self.validation_ax_ = None
        if self.validation is not None:
            self._plot_validation(ax, label, *self.validation)
        log_scale = log_scale and bool((self.loss_curve > 0).any())
        ax.set(xlabel=say("epoch"), ylabel=say("mean loss"))
        if log_scale:
            style.log_axis(ax, "y")
        else:
            ax.set_yscale("linear")
        ax.margins(x=0.02)
        ax.grid(True, alpha=0.25)
        self._legend(ax)
        self.ax_, self.figure_ = ax, style.figure_of(ax)
        return self

    def _plot_validation(self, ax: Axes, name: str, epochs: ArrayLike, values: ArrayLike) -> None:
        where, label = ax, say("{}, validation", name)
        if self.validation_kind == "score":
            label = say("{}, validation score", name)
            # displays drawn into the same axes share one axis of scores
            twins = _score_axes(ax)
            where = twins[0] if twins else ax.twinx()
            if not twins:
                where.fastnn_scores_of = ax  # type: ignore[attr-defined]
                where.set_ylabel(say("validation score"))
        (self.validation_line_,) = where.plot(
            epochs, values, color=self.line_.get_color(), linestyle="--", label=label
        )
        self.validation_ax_ = where

    @staticmethod
    def _legend(ax: Axes) -> None:
        twins = _score_axes(ax)
        lines = [line for a in (ax, *twins) for line in a.get_lines()]
        lines = [line for line in lines if not str(line.get_label()).startswith("_")]
        if twins:  # loc="best" would regard the lines of one of the two only
            if legend := ax.get_legend():
                legend.remove()
            place: Any = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2}
            twins[-1].legend(handles=lines, frameon=False, **place)
        else:
            ax.legend(handles=lines, framealpha=0.8)
