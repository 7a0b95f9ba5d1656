"""Parameters of the estimators that scikit-learn's classes do not have: a row each.

Signature, constructor, validation, documentation and conversion follow from the rows. All are
keyword-only, and with the defaults nothing differs from scikit-learn.
"""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import Any, Literal, NamedTuple

from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions


class Extra(NamedTuple):
    """One parameter.

    Attributes
    ----------
    name : str
    default : object
    constraints : tuple
        As scikit-learn's `_parameter_constraints` has them.
    doc : str
        Its entry in the class's docstring, in numpydoc, indented as scikit-learn's.
    of : {"both", "classifier", "regressor"}
        Which class has it.
    changes_fits : bool
        Whether a fit goes by it: a callback may not change it meanwhile, and `to_sklearn` warns
        that later fits are without it.
    """

    name: str
    default: Any
    constraints: tuple[Any, ...]
    doc: str
    of: Literal["both", "classifier", "regressor"] = "both"
    changes_fits: bool = True


# those of both classes first, as the stub has them
EXTRAS = (
    Extra(
        "n_jobs", None,
        (None, Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})),
        """
    n_jobs : int, default=None
        Up to how many threads train and predict: None for
        `fastnn.get_num_threads()`, -1 for all cores. The number changes no
        result, and small work is done by one thread. Not a parameter of
        scikit-learn's class.
""",
        changes_fits=False,
    ),
    Extra(
        "scoring", None, (StrOptions(set(get_scorer_names())), callable, None),
        """
    scoring : str or callable, default=None
        What is scored on the validation set, with ``early_stopping`` or with
        ``X_val`` in `fit`: the name of one of scikit-learn's scorers, or a
        function of the estimator, X and y (and the keyword ``sample_weight``
        in a weighted fit) that gives a number, more for better. None is
        accuracy for classifiers and R^2 for regressors. Not a parameter of
        scikit-learn's class.
""",
    ),
    Extra(
        "class_weight", None, (dict, StrOptions({"balanced"}), None),
        """
    class_weight : dict or 'balanced', default=None
        Weights of the classes, ``{label: weight}``, which are multiplied with
        ``sample_weight``: a fit is the same, to the last bit, as one with
        ``sklearn.utils.compute_sample_weight(class_weight, y)`` for weights.
        'balanced' is ``n_samples / (n_classes * np.bincount(y))``; None is 1.
        `partial_fit` takes a dict only. Needs scikit-learn 1.7. Not a
        parameter of scikit-learn's class.
""",
        of="classifier",
    ),
)  # fmt: skip

NAMES = tuple(row.name for row in EXTRAS)
FIXED = tuple(row.name for row in EXTRAS if row.changes_fits)


def rows_of(kind: str) -> tuple[Extra, ...]:
    """Those of the "classifier" or the "regressor"."""
    return tuple(row for row in EXTRAS if row.of in ("both", kind))


def keywords(rows: tuple[Extra, ...]) -> list[inspect.Parameter]:
    """Them as parameters of a constructor."""
    return [
        inspect.Parameter(row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default)
        for row in rows
    ]


def given(estimator: Any) -> list[str]:
    """The names of those that change its fits, and are not at their defaults."""
    return [
        row.name
        for row in EXTRAS
        if row.changes_fits and getattr(estimator, row.name, row.default) is not row.default
    ]
