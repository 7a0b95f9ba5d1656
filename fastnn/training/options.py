"""What `Network.fit` and the estimators say of a step, as the record that kernels read."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastnn import documentation, kernels, work
from fastnn.catalog import losses, names, solvers
from fastnn.catalog.solvers import SolverName
from fastnn.data import checks
from fastnn.schedules import Checked, ScheduleLike, Schedules


class SolverOptions(TypedDict, total=False):
    """Keyword arguments that name a solver and its numbers; for type checkers.

    Defaults, bounds and descriptions are in `fastnn.catalog.solvers`.
    """

    solver: SolverName
    learning_rate: ScheduleLike
    learning_rate_init: float
    alpha: float | Literal["evidence"]
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    rho: float
    epsilon: float
    weight_decay: float | Callable[[Any], Any]
    decay_intercepts: bool
    take_back: bool
    clip_norm: float
    ema: float
    input_noise: float
    damping: float
    gain_ratio: bool
    dropout: float | Sequence[float] | Callable[[Any], Any]


_DEFAULTS: dict[str, Any] = {
    "solver": "adam", "learning_rate": "constant",
    **{p.name: p.default for p in solvers.PARAMETERS}, "dropout": 0.0,
}  # fmt: skip
# of Network.fit, besides X and y
ARGUMENTS = (
    "max_iter", "batch_size", "shuffle", "sample_weight", "label_smoothing", "X_val", "y_val",
    "sample_weight_val", "scoring", "n_iter_no_change", "tol", "callback", "callback_every",
    "resume", "n_init",
    *_DEFAULTS,
)  # fmt: skip
_BY_NAME = {p.name: p for p in solvers.PARAMETERS}
EVIDENCE = "evidence"  # alpha that follows the data: training/evidence.py
_Method = TypeVar("_Method", bound=Callable[..., Any])


def of_fit(name: str) -> str | None:
    """The argument of fit that this is or, in another library, means; None if there is none."""
    meant = (name, *names.OTHER_NAMES.get(name, ()))
    return next((one for one in meant if one in ARGUMENTS), None)


def hints_at_keywords(method: _Method) -> _Method:
    """Decorator: say what was meant by an unknown keyword of a constructor."""
    known = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def with_hints(*args: Any, **keywords: Any) -> Any:
        try:
            return method(*args, **keywords)
        except TypeError as error:
            unknown = [name for name in keywords if name not in known]
            if not unknown:
                raise
            argument = of_fit(unknown[0])
            hint = f"; fit takes {argument!r}" if argument else None
            raise TypeError(f"{error}{hint or checks.did_you_mean(unknown[0], known)}") from None

    return cast(_Method, with_hints)


def takes_solver_options(method: _Method) -> _Method:
    """Decorator: show the solver's keywords in a method's signature and docstring.

    They take the place of ``**options`` and of a line ``{solver options}``.
    """
    signature = inspect.signature(method)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in _DEFAULTS.items()
    ]
    function: Any = method
    function.__signature__ = signature.replace(parameters=parameters + keywords)
    method.__doc__ = documentation.complete(method.__doc__)
    return method


class Options(dict[str, Any]):
    """All solver options, checked, and the records of steps that were made of them."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._records: dict[Any, bytes] = {}
        self.schedules = schedules_of(options)
        self.searches = solvers.BY_NAME[options["solver"]].searches
        self.evidence = options["alpha"] == EVIDENCE

    def new_step(
        self, loss: str, batch_size: int, n_layers: int, loss_numbers: tuple[float, ...] = ()
    ) -> NDArray[Any]:
        """The record of a step of these options."""
        key = loss, batch_size, n_layers, work.BUDGET, loss_numbers
        record = self._records.get(key)
        if record is not None:
            return kernels.copy_step(record)
        numbers: dict[str, Any] = {**self, "dropout": layer_dropout(self["dropout"], n_layers)}
        if self.evidence:  # whose penalty is no number
            numbers["alpha"] = 0.0
        step = new_step(loss, batch_size=batch_size, loss_numbers=loss_numbers, **numbers)
        if len(self._records) < 100:
            self._records[key] = kernels.step_bytes(step).tobytes()
        return step


def check_options(dtype: np.dtype[Any], options: dict[str, Any]) -> Options:
    """All solver options, each checked whether the solver uses it or not.

    Raises
    ------
    TypeError, ValueError
        For an unknown name, or a value out of bounds.
    """
    types = tuple(map(type, options.values()))  # 1 equals True, but is no switch
    if not _COMPARABLE.issuperset(types):
        return _check_options(dtype, options)
    key = dtype, types, tuple(options.items())
    checked = _checked.get(key)
    if checked is None:
        checked = _check_options(dtype, options)
        if len(_checked) > 100:
            _checked.clear()
        _checked[key] = checked
    return checked


_COMPARABLE = frozenset((int, float, bool, str))
_checked: dict[Any, Options] = {}  # what was found right before


def _check_options(dtype: np.dtype[Any], options: dict[str, Any]) -> Options:
    for name in options:
        if name not in _DEFAULTS:
            others = [known for known in ARGUMENTS if known != name]
            hint = "" if name not in ARGUMENTS else "; it is an argument of fit"
            hint = hint or checks.did_you_mean(name, others)
            raise TypeError(f"got an unexpected keyword argument {name!r}{hint}")
    checked = {**_DEFAULTS, **options}
    checked["solver"] = checks.choice("solver", checked["solver"], solvers.SPELLINGS)
    rate = checked["learning_rate"]
    constant = isinstance(rate, str) and rate == "constant"
    checked["learning_rate"] = None if constant else Checked("learning_rate", rate)
    for name, high in _SCHEDULED.items():
        if callable(checked[name]):
            checked[name] = Checked(name, checked[name], high)
    for p in solvers.PARAMETERS:
        if p.name == "alpha" and isinstance(checked["alpha"], str):
            _check_evidence(checked["alpha"], checked["solver"])
        elif not isinstance(checked[p.name], Checked):
            checked[p.name] = check_number(p.name, checked[p.name], dtype)
    if checked["solver"] == "rprop":
        check_rprop(checked["clip_norm"], not constant)
    if solvers.BY_NAME[checked["solver"]].searches:
        _check_search(checked, not constant)
    given = options.get("weight_decay")
    if checked["solver"] != "adamw" and given is not None and checked["weight_decay"] != 0:
        raise ValueError(
            f'weight_decay is for solver "adamw", and the solver is {checked["solver"]!r}'
        )
    return Options(checked)


def check_rprop(clip_norm: float, has_schedule: bool) -> None:
    """Refuse what means nothing to "rprop".

    Raises
    ------
    ValueError
    """
    if clip_norm:
        raise ValueError(
            'clip_norm is not for solver "rprop", which reads signs of gradients alone'
        )
    if has_schedule:
        raise ValueError(
            'solver "rprop" takes no schedule of learning_rate: it finds its step sizes itself, '
            "from learning_rate_init on"
        )


def _check_evidence(alpha: str, solver: str) -> None:
    if alpha != EVIDENCE:
        raise ValueError(f'alpha must be a number or "{EVIDENCE}", got {checks.shown(alpha)}')
    if solver != "lm":
        raise ValueError(f'alpha="{EVIDENCE}" is for solver "lm", and the solver is {solver!r}')


def _check_search(checked: dict[str, Any], has_schedule: bool) -> None:
    """Refuse what means nothing to a search over all rows.

    Raises
    ------
    ValueError
    """
    solver = checked["solver"]
    if has_schedule:
        raise ValueError(f'solver "{solver}" takes no schedule of learning_rate: it has none')
    for name in ("clip_norm", "ema", "input_noise", "dropout"):
        value = checked[name]
        if isinstance(value, Checked) or np.any(np.asarray(value) != 0):
            raise ValueError(
                f'{name} is not for solver "{solver}", whose steps are not those of gradients'
            )


def check_curvature(loss: str, own: bool, solver: str) -> None:
    """Refuse a loss that a search knows no curvature of.

    Raises
    ------
    ValueError
    """
    if own or not losses.BY_NAME[loss].curvature:
        named = "a loss of one's own" if own else f"the loss {loss!r}"
        known = ", ".join(row.name for row in losses.LOSSES if row.public and row.curvature)
        raise ValueError(
            f'solver "{solver}" needs the curvature of the loss, and for {named} there is no '
            f"model of it; for these there is: {known}"
        )


# numbers that may be functions of the share of the training done, and what those must be below
_SCHEDULED = {"weight_decay": math.inf, "dropout": 1.0}


def schedules_of(checked: dict[str, Any]) -> Schedules | None:
    """The schedules among checked options; None without any."""
    given = checked["learning_rate"], checked["weight_decay"], checked["dropout"]
    if given[0] is None and type(given[1]) is float and type(given[2]) is float:
        return None
    if not any(isinstance(one, Checked) for one in given):
        return None
    return Schedules(*(one if isinstance(one, Checked) else None for one in given))


def batch_size(value: Any, n_rows: int, solver: str) -> int:
    """The number of rows of a batch, from the argument of `Network.fit`.

    Raises
    ------
    TypeError, ValueError
        For anything but a whole number or "auto", and for mini-batches with a solver that needs
        all rows.
    """
    if solver not in _OVER_ALL_ROWS:
        return checks.batch_size("batch_size", value, n_rows)
    size = checks.batch_size("batch_size", n_rows if value == "auto" else value, n_rows)
    if size < n_rows:
        raise ValueError(
            f'solver "{solver}" needs all {n_rows} rows as one batch, got batch_size={size}: '
            f"{_OVER_ALL_ROWS[solver]}"
        )
    return size


_OVER_ALL_ROWS = {
    "rprop": "it compares signs of gradients from step to step",
    "lm": "it compares losses from step to step",
    "lbfgs": "it compares gradients from step to step",
}


def layer_dropout(value: Any, n_layers: int) -> list[float]:
    """The share of units dropped in each of n_layers; none in the last, the output.

    value is one share for all hidden layers, or a sequence of one for each; the list is empty if
    nothing is dropped. A schedule's shares are factors of 1.
    """
    if type(value) is float and value == 0:
        return []
    n_hidden = n_layers - 1
    if isinstance(value, Checked):
        shares = [1.0] * n_hidden
    elif isinstance(value := checks.as_list(value), list):
        if len(value) != n_hidden:
            raise ValueError(
                f"dropout must be one number, or {n_hidden}, one for each hidden layer; got "
                f"{len(value)}"
            )
        shares = [
            checks.real_number(f"dropout[{i}]", one, 0.0, 1.0, "left")
            for i, one in enumerate(value)
        ]
    else:
        shares = [checks.real_number("dropout", value, 0.0, 1.0, "left")] * n_hidden
    return [*shares, 0.0] if any(shares) else []


def check_number(name: str, value: Any, dtype: np.dtype[Any]) -> float | bool:
    """One solver option, by its row in the catalog."""
    p = _BY_NAME[name]
    if isinstance(p.default, bool):
        return checks.boolean(name, value)
    limits = _LIMITS[dtype]
    return checks.real_number(
        name, value, limits.get(p.low, p.low), limits.get(p.high, p.high), p.closed
    )


# what is neither 0 nor infinite in the network's own arithmetic
_LIMITS: dict[np.dtype[Any], dict[Any, Any]] = {
    np.dtype(t): {"smallest": float(np.finfo(t).tiny), "largest": float(np.finfo(t).max)}
    for t in (np.float64, np.float32)
}


def new_step(
    loss: str,
    *,
    solver: str,
    learning_rate_init: float,
    learning_rate: Checked | None = None,
    batch_size: int = 1,
    alpha: float = 0.0,
    momentum: float = 0.0,
    nesterovs_momentum: bool = True,
    beta_1: float = 0.0,
    beta_2: float = 0.0,
    rho: float = 0.0,
    epsilon: float = 0.0,
    weight_decay: float | Checked = 0.0,
    decay_intercepts: bool = False,
    take_back: bool = True,
    clip_norm: float = 0.0,
    ema: float = 0.0,
    input_noise: float = 0.0,
    damping: float = 0.0,
    gain_ratio: bool = True,
    dropout: Sequence[float] = (),
    sum_coef_grads: bool = False,
    keep_going: bool = False,
    loss_numbers: Sequence[float] = (),
) -> NDArray[Any]:
    """The record of a step, of one element, from checked numbers.

    Parameters
    ----------
    loss : str
        A name of the catalog.
    learning_rate : Checked, optional
        Is in the table of factors that a run gets, not in the record.
    weight_decay : float or Checked
        A schedule's numbers are factors of 1.
    dropout : sequence of float
        From `layer_dropout`.
    sum_coef_grads : bool
        The tutorial's arithmetic: coefs move by the sum over the batch, not by the mean.
    keep_going : bool
        scikit-learn's way: go on when the loss or a parameter is no longer finite.
    loss_numbers : sequence of float
        The loss's, one for each output, or none.
    """
    if solver == "sgd" and momentum:
        solver = "nesterov" if nesterovs_momentum else "momentum"
    if solver == "rmsprop":
        beta_2 = rho
    if solver != "adamw":
        weight_decay = 0.0
    elif isinstance(weight_decay, Checked):
        weight_decay = 1.0
    return kernels.new_step(
        loss=losses.CODES[loss], solver=solvers.CODES[solver], batch_size=batch_size,
        budget=work.BUDGET, learning_rate=learning_rate_init, alpha=alpha, momentum=momentum,
        beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, sum_coef_grads=sum_coef_grads,
        keep_going=keep_going, weight_decay=weight_decay, decay_intercepts=decay_intercepts,
        take_back=take_back, clip_norm=clip_norm, ema=ema, input_noise=input_noise,
        dropout=dropout, loss_numbers=loss_numbers,
    )  # fmt: skip
