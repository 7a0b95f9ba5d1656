"""What a network's loss is made of besides its name, and what that makes of the targets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.catalog import losses
from fastnn.data import checks

OwnLoss: TypeAlias = tuple[
    Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
    Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
]
DELTA, QUANTILE = 1.0, 0.5
# classes that mass is shared by; 0: outputs
_SMOOTHED = {
    "log_loss": 0, "binary_log_loss": 2, "clipped_log_loss": 0, "clipped_binary_log_loss": 2,
}  # fmt: skip


class LossOf(NamedTuple):
    """A checked loss.

    Attributes
    ----------
    name : str
        Of the catalog; "given" for a loss of one's own.
    numbers : tuple of float
        One for each output, or none.
    own : pair of functions or None
        Of outputs and targets: the values and the derivatives by the outputs.
    """

    name: str
    numbers: tuple[float, ...] = ()
    own: OwnLoss | None = None

    def __repr__(self) -> str:
        """As arguments of `Network`."""
        if self.own is not None:
            names = (getattr(one, "__name__", repr(one)) for one in self.own)
            return f"loss=({', '.join(names)})"
        return ", ".join(f"{name}={value!r}" for name, value in self.options().items())

    def options(self) -> dict[str, Any]:
        """The arguments of `Network`."""
        if self.own is not None:
            return {"loss": self.own}
        number = losses.BY_NAME[self.name].number
        if number is None:
            return {"loss": self.name}
        single = number == "delta" or len(self.numbers) == 1
        return {"loss": self.name, number: self.numbers[0] if single else list(self.numbers)}


_BY_NAME = {name: LossOf(name) for name in losses.BY_NAME}


def check_loss(
    loss: Any,
    n_outputs: int,
    delta: Any = DELTA,
    quantile: Any = QUANTILE,
    spellings: dict[str, str] = losses.SPELLINGS,
) -> LossOf:
    """A loss from `Network`'s arguments.

    Raises
    ------
    TypeError, ValueError
        For an unknown loss, numbers out of bounds or for another loss, or levels that are not as
        many as the outputs.
    """
    if isinstance(loss, tuple):
        if len(loss) != 2 or not all(map(callable, loss)):
            raise TypeError(
                "loss must be a name or a pair of functions of (output, target), for values and "
                f"derivatives, got {checks.shown(loss)}"
            )
        checked = LossOf("given", own=loss)
    else:
        checked = _BY_NAME[checks.choice("loss", loss, spellings)]
    number = losses.BY_NAME[checked.name].number
    if number is None and delta is DELTA and quantile is QUANTILE:
        return checked
    for name, value, default in (("delta", delta, DELTA), ("quantile", quantile, QUANTILE)):
        if number != name and not (isinstance(value, (int, float)) and value == default):
            other = next(row.name for row in losses.LOSSES if row.number == name)
            got = "one of your own" if checked.own else repr(checked.name)
            raise ValueError(f"{name} goes with the loss {other!r}, and the loss is {got}")
    if number == "delta":
        top = float(np.finfo(np.float32).max)
        numbers = (checks.real_number("delta", delta, 0, top),) * n_outputs
    elif number == "quantile":
        numbers = check_levels(quantile)
        if len(numbers) != n_outputs:
            raise ValueError(
                "the loss 'quantile' takes one target and has one output for each level: there "
                f"are {n_outputs} outputs, and quantile has {len(numbers)}"
            )
    else:
        return checked
    return checked._replace(numbers=numbers)


def check_levels(quantile: Any) -> tuple[float, ...]:
    """The levels of the quantile loss, one or several that rise, each between 0 and 1."""
    quantile = checks.as_list(quantile)
    if not isinstance(quantile, list):
        return (checks.real_number("quantile", quantile, 0, 1),)
    levels = tuple(
        checks.real_number(f"quantile[{i}]", level, 0, 1) for i, level in enumerate(quantile)
    )
    if not levels or any(a >= b for a, b in itertools.pairwise(levels)):
        raise ValueError(f"quantile must be levels that rise, got {checks.shown(quantile)}")
    return levels


def one_target(y: Any, dtype: np.dtype[Any], n_outputs: int, n_rows: int) -> NDArray[Any]:
    """The target of the quantile loss, (n,) or (n, 1), as a column for each level.

    Raises
    ------
    ValueError
        For several targets.
    """
    y = checks.numeric_array("y", y)
    if y.ndim == 2 and y.shape[1] == n_outputs > 1 and (y == y[:, :1]).all():
        y = y[:, :1]  # as this function makes it, and callbacks get it
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            "the loss 'quantile' takes one target: y must have shape "
            f"({n_rows},) or ({n_rows}, 1), got {y.shape}"
        )
    return np.repeat(checks.outputs(y, dtype, 1, n_rows), n_outputs, axis=1)


def smoothed(y: NDArray[Any], loss: str, label_smoothing: float) -> NDArray[Any]:
    """A copy of y (1 - s) + s / K: of probability s, the label is any of the K (Szegedy, 2016).

    Raises
    ------
    TypeError, ValueError
        If label_smoothing is not in [0, 1), or the loss has no labels.
    """
    share = checks.real_number("label_smoothing", label_smoothing, 0, 1, "left")
    if not share:
        return y
    if loss not in _SMOOTHED:
        got = "one of your own" if loss == "given" else repr(loss)
        raise ValueError(
            "label_smoothing goes with the losses 'log_loss' and 'binary_log_loss', and the loss "
            f"is {got}"
        )
    return y * (1 - share) + share / (_SMOOTHED[loss] or y.shape[1])
