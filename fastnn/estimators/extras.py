"""Parameters that scikit-learn's classes do not have: keyword-only, and off by default."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from sklearn.utils._param_validation import Interval


class Extra(NamedTuple):
    """One parameter.

    Attributes
    ----------
    name : str
    default : object
    constraints : list
        As of scikit-learn's `_parameter_constraints`.
    doc : str
        Type and meaning, as numpydoc has them.
    classes : tuple of str
        Names of the classes that have it.
    """

    name: str
    default: Any
    constraints: list[Any]
    doc: str
    classes: tuple[str, ...] = ("MLPClassifier", "MLPRegressor")


EXTRAS = (
    Extra(
        "delta", 1.0, [Interval(Real, 0, None, closed="neither")],
        """float, default=1.0
        With loss='huber', errors up to delta are squared, larger ones
        absolute. Not a parameter of scikit-learn's class.""", ("MLPRegressor",),
    ),
    Extra(
        "quantile", 0.5, [Interval(Real, 0, 1, closed="neither"), "array-like"],
        """float or list of float, default=0.5
        With loss='quantile', the levels to predict of the one target, rising.
        Of a list, `predict` gives a column for each level, and sorts each
        row. Not a parameter of scikit-learn's class.""", ("MLPRegressor",),
    ),
)  # fmt: skip


def of_class(name: str) -> list[Extra]:
    """The parameters of one class."""
    return [extra for extra in EXTRAS if name in extra.classes]
