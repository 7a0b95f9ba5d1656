"""What `Network.fit` and the estimators say of a step, as the record that kernels read."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastnn import documentation, kernels, work
from fastnn.catalog import losses, names, solvers
from fastnn.catalog.solvers import SolverName
from fastnn.data import checks


class SolverOptions(TypedDict, total=False):
    """Keyword arguments that name a solver and its numbers; for type checkers.

    Defaults, bounds and descriptions are in `fastnn.catalog.solvers`.
    """

    solver: SolverName
    learning_rate_init: float
    alpha: float
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float


_DEFAULTS: dict[str, Any] = {"solver": "adam"} | {p.name: p.default for p in solvers.PARAMETERS}
# of Network.fit, besides X and y
ARGUMENTS = (
    *("max_iter", "batch_size", "shuffle", "label_smoothing", "callback", "callback_every"),
    *_DEFAULTS,
)
_BY_NAME = {p.name: p for p in solvers.PARAMETERS}
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


def check_options(dtype: np.dtype[Any], options: dict[str, Any]) -> dict[str, Any]:
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
_checked: dict[Any, dict[str, Any]] = {}  # what was found right before


def _check_options(dtype: np.dtype[Any], options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in _DEFAULTS:
            hint = checks.did_you_mean(name, ARGUMENTS)
            raise TypeError(f"got an unexpected keyword argument {name!r}{hint}")
    checked = {**_DEFAULTS, **options}
    checked["solver"] = checks.choice("solver", checked["solver"], solvers.SPELLINGS)
    for p in solvers.PARAMETERS:
        checked[p.name] = check_number(p.name, checked[p.name], dtype)
    return checked


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
    batch_size: int = 1,
    alpha: float = 0.0,
    momentum: float = 0.0,
    nesterovs_momentum: bool = True,
    beta_1: float = 0.0,
    beta_2: float = 0.0,
    epsilon: float = 0.0,
    sum_coef_grads: bool = False,
    keep_going: bool = False,
    loss_numbers: Sequence[float] = (),
) -> NDArray[Any]:
    """The record of a step, of one element, from checked numbers.

    Parameters
    ----------
    loss : str
        A name of the catalog.
    sum_coef_grads : bool
        The tutorial's arithmetic: coefs move by the sum over the batch, not by the mean.
    keep_going : bool
        scikit-learn's way: go on when the loss or a parameter is no longer finite.
    loss_numbers : sequence of float
        The loss's, one for each output, or none.
    """
    if solver == "sgd" and momentum:
        solver = "nesterov" if nesterovs_momentum else "momentum"
    return kernels.new_step(
        loss=losses.CODES[loss], solver=solvers.CODES[solver], batch_size=batch_size,
        budget=work.BUDGET, learning_rate=learning_rate_init, alpha=alpha, momentum=momentum,
        beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, sum_coef_grads=sum_coef_grads,
        keep_going=keep_going, loss_numbers=loss_numbers,
    )  # fmt: skip


def n_states(step: NDArray[Any]) -> int:
    """How many vectors the step's solver carries from step to step."""
    return solvers.BY_CODE[step["solver"].item()].n_states
