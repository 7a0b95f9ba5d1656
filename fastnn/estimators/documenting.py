"""Docstrings of the estimators: scikit-learn's, of the version installed, and what differs.

A class or method in the place of one of scikit-learn's has its sections, its parameters and
attributes among them, with those of `extras` and `validating`, and examples of fastnn's own.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from fastnn.documentation import entries, joined, of_scikit_learn, sections
from fastnn.estimators import extras

EXAMPLES = {
    "classifier": """
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from fastnn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((16,), solver="lbfgs", alpha=1, tol=0.01, random_state=0)
    >>> net.fit(scale(X)[::2], y[::2]).score(scale(X)[1::2], y[1::2]) > 0.9
    True
    >>> net.predict(scale(X)[:3]), net.predict_proba(scale(X)[:3]).shape
    (array([0, 0, 0]), (3, 3))

    In steps, as data come in:

    >>> net = MLPClassifier((16,), random_state=0)
    >>> for rows in range(0, 150, 50):
    ...     net = net.partial_fit(X[rows : rows + 50], y[rows : rows + 50], classes=[0, 1, 2])
    >>> net.t_
    150

    Copies of the network from before the fit and after every 10 epochs:

    >>> from fastnn.callbacks import Recorder
    >>> recorder = Recorder(every=10)
    >>> net = MLPClassifier((16,), learning_rate_init=0.1, tol=0.01, random_state=0)
    >>> net = net.set_callbacks(recorder).fit(scale(X), y)
    >>> recorder[0].loss_curve_, len(recorder[1].loss_curve_)
    ([], 10)
    >>> net.fit_state() is None  # as no fit is running
    True
    """,
    "regressor": """
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn import MLPRegressor
    >>> X, y = (scale(a) for a in load_diabetes(return_X_y=True))
    >>> net = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", alpha=30, random_state=0)
    >>> net.set_params(max_iter=1000).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.4
    True
    >>> net.predict(X[:2]).shape
    (2,)

    In steps, as data come in:

    >>> net = MLPRegressor(hidden_layer_sizes=(8,), random_state=0)
    >>> for rows in range(0, 440, 110):
    ...     net = net.partial_fit(X[rows : rows + 110], y[rows : rows + 110])
    >>> net.t_
    440

    Copies of the network from before the fit and after every 10 epochs:

    >>> from fastnn.callbacks import Recorder
    >>> recorder = Recorder(every=10)
    >>> net = MLPRegressor(hidden_layer_sizes=4, learning_rate_init=0.1, tol=0.01, random_state=0)
    >>> net = net.set_callbacks(recorder).fit(X, y)
    >>> recorder[0].loss_curve_, len(recorder[1].loss_curve_)
    ([], 10)
    >>> net.fit_state() is None  # as no fit is running
    True

    An interval for each prediction:

    >>> net = MLPRegressor(hidden_layer_sizes=(2,), solver="lm", alpha="evidence", random_state=0)
    >>> mean, std = net.fit(X[:100], y[:100]).predict(X[:2], return_std=True)
    >>> bool((std > 0).all())
    True
    """,
}


def of_class(original: type, kind: str) -> str | None:
    """Of the class in the place of scikit-learn's, a "classifier" or "regressor"."""
    parts = of_scikit_learn(original.__doc__)
    if "Parameters" not in parts:  # python -OO
        return None
    parameters = entries(parts["Parameters"])
    for name, more in extras.MORE_DOCS.items():
        if name in parameters:  # scikit-learn 1.6 has no loss
            parameters[name] += f"\n\n{textwrap.indent(inspect.cleandoc(more), '    ')}"
    parameters["random_state"] = parameters["random_state"].replace(
        "int, RandomState instance", "int, RandomState or Generator instance", 1
    )
    for row in extras.rows_of(kind):
        parameters[row.name] = inspect.cleandoc(row.doc)
    attributes = {**entries(parts["Attributes"]), **entries(extras.attributes_of(kind))}
    return joined(
        {**parts, "Parameters": listed(parameters), "Attributes": listed(attributes),
         "Examples": inspect.cleandoc(EXAMPLES[kind])}
    )  # fmt: skip


def of_fit(original: Any, more: Iterable[str]) -> str | None:
    """Of fit, with the entries of its keywords besides scikit-learn's."""
    parts = of_scikit_learn(original.__doc__)
    if "Parameters" not in parts:  # python -OO
        return None
    parameters = [*entries(parts["Parameters"]).values(), *map(inspect.cleandoc, more)]
    return joined({**parts, "Parameters": "\n\n".join(parameters)})


def of_ensemble(cls: Any, names: Iterable[str]) -> str | None:
    """Of a bagging ensemble: its own entries, and the members' and the bagging's of the others."""
    parts = sections(cls.__doc__)
    if "Parameters" not in parts:  # python -OO
        return None
    known = entries(of_scikit_learn(cls._original.__doc__)["Parameters"])
    known |= entries(sections(cls._member.__doc__)["Parameters"]) | entries(parts["Parameters"])
    return joined({**parts, "Parameters": listed({name: known[name] for name in names})})


def listed(every: Mapping[str, str]) -> str:
    """A section of entries, with a line between two of them, as scikit-learn writes it."""
    return "\n\n".join(every.values())
