"""What scikit-learn's classes do not have: parameters, a row each, and values of its parameters.

Signature, constructor, validation, documentation and conversion follow from the rows. All are
keyword-only, and with the defaults nothing differs from scikit-learn.
"""

from __future__ import annotations

import inspect
import textwrap
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn.catalog import activations, losses, schedules
from fastnn.data import checks
from fastnn.estimators import optimizers, shortcuts
from fastnn.training import options


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
    step : bool
        Whether it is an option of a step, as of `Network.fit`.
    """

    name: str
    default: Any
    constraints: tuple[Any, ...]
    doc: str
    of: Literal["both", "classifier", "regressor"] = "both"
    changes_fits: bool = True
    step: bool = False


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
        "weight_decay", None, (Interval(Real, 0, None, closed="left"), None),
        """
    weight_decay : float, default=None
        For ``solver='adamw'`` and 'adam': before each step the coefs, not the
        intercepts, shrink by this times the learning rate, which makes Adam
        AdamW (Loshchilov and Hutter, 2019). None is 0.01 for 'adamw' and 0 for
        'adam'. Not a parameter of scikit-learn's class.
""",
        step=True,
    ),
    Extra(
        "clip_norm", 0.0, (Interval(Real, 0, None, closed="left"),),
        """
    clip_norm : float, default=0.0
        Gradients, of all parameters as one vector, that are longer than this
        are shortened to it; 0 shortens none. Not a parameter of
        scikit-learn's class.
""",
        step=True,
    ),
    Extra(
        "ema", 0.0, (Interval(Real, 0, 1, closed="left"),),
        """
    ema : float, default=0.0
        Decay of an average of the parameters after each step, which is what
        `coefs_` and `intercepts_` are; `partial_fit` goes on from the
        parameters themselves. 0 is no average. Not a parameter of
        scikit-learn's class.
""",
        step=True,
    ),
    Extra(
        "dropout", 0.0, (Interval(Real, 0, 1, closed="left"), "array-like"),
        """
    dropout : float or array-like of shape (n_layers - 2,), default=0.0
        The share of hidden units, of all layers or of each, that is 0 in a
        step, drawn anew for each sample; the others grow by
        ``1 / (1 - share)``. Not a parameter of scikit-learn's class.
""",
        step=True,
    ),
    Extra(
        "input_noise", 0.0, (Interval(Real, 0, None, closed="left"),),
        """
    input_noise : float, default=0.0
        Standard deviation of normal numbers that are added to X, anew in each
        step. Not a parameter of scikit-learn's class.
""",
        step=True,
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
    Extra(
        "label_smoothing", 0.0, (Interval(Real, 0, 1, closed="left"),),
        """
    label_smoothing : float, default=0.0
        Targets are ``y * (1 - s) + s / n_classes``: with this probability the
        label is any of the classes (Szegedy et al., 2016). Not a parameter of
        scikit-learn's class.
""",
        of="classifier",
    ),
    Extra(
        "delta", 1.0, (Interval(Real, 0, None, closed="neither"),),
        """
    delta : float, default=1.0
        With ``loss='huber'``, errors up to delta are squared, larger ones
        absolute. Not a parameter of scikit-learn's class.
""",
        of="regressor",
    ),
    Extra(
        "quantile", 0.5, (Interval(Real, 0, 1, closed="neither"), "array-like"),
        """
    quantile : float or array-like of shape (n_levels,), default=0.5
        With ``loss='quantile'``, the levels to predict of the one target,
        rising. Of a list, `predict` gives a column for each level, and sorts
        each row. `score`, of validation sets too, is then the mean over the
        levels of `sklearn.metrics.d2_pinball_score`. Not a parameter of scikit-learn's class.
""",
        of="regressor",
    ),
)  # fmt: skip

NAMES = tuple(row.name for row in EXTRAS)
STEP = tuple(row for row in EXTRAS if row.step)
FIXED = tuple(row.name for row in EXTRAS if row.changes_fits)


THEIR_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
MORE_ACTIVATIONS = tuple(
    row.name
    for row in activations.ACTIVATIONS
    if row.hidden and not {row.name, *row.aliases}.intersection(THEIR_ACTIVATIONS)
)
_THEIR_LOSSES = ("squared_error", "poisson")  # of the regressor
ACTIVATIONS = (*THEIR_ACTIVATIONS, *MORE_ACTIVATIONS)
# those of numbers, not of labels
MORE_LOSSES = tuple(
    row.name
    for row in losses.LOSSES
    if row.public and row.name not in _THEIR_LOSSES and row.out_activation in (None, "exp")
)


def _also(names: tuple[str, ...]) -> str:
    *most, last = [f"'{name}'" for name in names]
    text = (
        f"Also {', '.join(most)} and {last}, as of `fastnn.Network`. Not in scikit-learn's class."
    )
    return textwrap.fill(text, 75)


# what is said of scikit-learn's parameters besides
MORE_DOCS = {
    "activation": _also(MORE_ACTIVATIONS),
    "loss": _also(MORE_LOSSES),
    "solver": """
        Also 'adamw', 'nadam', 'rmsprop', whose decay is `beta_2`, and 'rprop',
        resilient back-propagation, which takes all samples as one batch; and
        'lm', Levenberg-Marquardt, for few parameters or few rows and losses
        with a curvature, which like 'lbfgs' searches over all samples until the
        gradient is within `tol`. Not in scikit-learn's class.

""",
    "alpha": """
        Of a regressor with ``solver='lm'`` and squared errors also 'evidence',
        Bayesian regularization: a penalty of each layer's own, which follows
        from the data while the fit goes on and needs no validation set
        (MacKay, 1992; Foresee and Hagan, 1997). The fit ends where the
        evidence no longer rises, whatever `tol` is; `loss_` is without a
        penalty, and `predict` gives standard deviations. Not in
        scikit-learn's class.

""",
    "learning_rate": """
        Also a name, an object or a function of the share of training done, as
        in `fastnn.schedules`: 'cosine', ``OneCycle()``. It gives the factor of
        ``learning_rate_init`` in each step of ``max_iter`` epochs; with
        ``n_iter_no_change=max_iter`` none of them is left out. Not for
        ``solver='lbfgs'`` and ``'lm'``, which ignore it, and by `fit` only. Not in
        scikit-learn's class.

""",
}

_BEST_ITERATION = """
    best_iteration_ : int or None
        Which of `validation_scores_` is the best, the first being 1. None
        without validation. Not an attribute of scikit-learn's class.
"""
_OF_EVIDENCE = """
    alphas_ : tuple of float
        After a fit with ``alpha='evidence'``: the penalty of each layer. This
        and the three that follow are no attributes of scikit-learn's class.

    effective_parameters_ : float
        How many parameters the data determine.

    noise_variance_ : float
        The variance of targets about the function.

    covariance_ : ndarray of shape (n_params, n_params)
        Of coefs and intercepts, layer by layer.
"""

_THEIR_SOLVERS = ("lbfgs", "sgd", "adam")
MORE_SOLVERS = (*optimizers.MORE, "lm")


def more_values(original: Any) -> dict[str, list[Any]]:
    """Constraints of the parameters of scikit-learn's class that take more values here."""
    values: dict[str, list[Any]] = {
        "activation": [StrOptions({*THEIR_ACTIVATIONS, *MORE_ACTIVATIONS})],
        "solver": [StrOptions({*_THEIR_SOLVERS, *MORE_SOLVERS})],
        "learning_rate": [StrOptions({*optimizers.THEIRS, *schedules.SPELLINGS}), callable],
    }
    if issubclass(original, RegressorMixin):
        values["alpha"] = [
            *original._parameter_constraints["alpha"],
            StrOptions({options.EVIDENCE}),
        ]
    # scikit-learn 1.6 has one loss
    if issubclass(original, RegressorMixin) and "loss" in original._parameter_constraints:
        values["loss"] = [StrOptions({*_THEIR_LOSSES, *MORE_LOSSES})]
    return values


def attributes_of(kind: str) -> str:
    """What is said of attributes that scikit-learn's class does not have."""
    more = inspect.cleandoc(_OF_EVIDENCE) if kind == "regressor" else ""
    return f"{more}\n\n{inspect.cleandoc(_BEST_ITERATION)}".lstrip()


def rows_of(kind: str) -> tuple[Extra, ...]:
    """Those of the "classifier" or the "regressor"."""
    return tuple(row for row in EXTRAS if row.of in ("both", kind))


def keywords(rows: tuple[Extra, ...]) -> list[inspect.Parameter]:
    """Them as parameters of a constructor."""
    return [
        inspect.Parameter(row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default)
        for row in rows
    ]


def of_step(estimator: Any) -> dict[str, Any]:
    """Those that are options of a step and not at their defaults.

    Raises
    ------
    ValueError
        If the solver does not have one, or dropout is not one share for each hidden layer.
    """
    found = {row.name: getattr(estimator, row.name) for row in STEP if _is_given(estimator, row)}
    solver = estimator.solver
    if found.get("weight_decay") == 0 and solver != "adamw":
        del found["weight_decay"]
    for name, value in found.items():
        if solver in optimizers.SEARCHES or (
            name == "weight_decay" and solver not in ("adam", "adamw")
        ):
            raise ValueError(f"{name}={checks.shown(value)} is not for solver {solver!r}")
    if isinstance(estimator.alpha, str) and solver != "lm":
        raise ValueError(f"alpha={estimator.alpha!r} is for solver 'lm', and not for {solver!r}")
    if solver == "rprop":
        options.check_rprop(
            found.get("clip_norm", 0.0), not optimizers.is_theirs(estimator.learning_rate)
        )
    for name, value in found.items():  # partial_fit validates no parameters
        if name != "dropout":
            options.check_number(name, value, np.dtype(np.float64))
    if "dropout" in found:
        n_hidden = len(shortcuts.hidden_layers(estimator.hidden_layer_sizes))
        found["dropout"] = options.layer_dropout(found["dropout"], n_hidden + 1)
    return found


def check_batch(estimator: Any, n_samples: int) -> None:
    """Refuse mini-batches with a solver that compares gradients from step to step.

    Raises
    ------
    ValueError
    """
    size = estimator.batch_size
    if estimator.solver == "rprop" and isinstance(size, Integral):
        options.batch_size(min(size, n_samples), n_samples, "rprop")  # more are cut


def given(estimator: Any) -> list[str]:
    """The names of those that change its fits, and are not at their defaults."""
    return [row.name for row in EXTRAS if row.changes_fits and _is_given(estimator, row)]


def _is_given(estimator: Any, row: Extra) -> bool:
    value = getattr(estimator, row.name, row.default)
    return value is not row.default and not (isinstance(value, Real) and value == row.default)


def hint(name: str, value: str, options: set[str]) -> str:
    """What to use instead of a value that scikit-learn does not know, or nothing."""
    known = activations.SPELLINGS if name == "activation" else losses.SPELLINGS
    spelling = value.casefold()
    if name in ("activation", "loss") and spelling in known:
        for option in options:
            if known.get(option) == known[spelling]:
                return f" Did you mean {option!r}?"
        if name == "activation":
            return f" fastnn.Network has {spelling!r}."
        return " The loss of MLPClassifier is the log loss."
    return checks.did_you_mean(value, options).replace("; did", " Did")
