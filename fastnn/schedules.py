"""Schedules: how a learning rate changes from step to step while a network trains.

A schedule is a function of the share of the training that is done, from 0 at the first step up to,
not including, 1. It takes an array of shares and gives an array of factors, which multiply
learning_rate_init. The objects here have the names of `fastnn.catalog.schedules` and parameters
besides; any function of one's own does as well, and `ScheduleLike` is the type of all that `fit`
takes. They are evaluated for many steps at once, before the compiled calls that use them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn import documentation
from fastnn.catalog.schedules import SPELLINGS, ScheduleName
from fastnn.data import checks

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseSquareRoot",
    "Linear",
    "OneCycle",
    "Schedule",
    "ScheduleLike",
    "Step",
]

if not TYPE_CHECKING:  # checkers would let any name be read

    def __getattr__(name):
        raise checks.no_attribute(__name__, name, __all__)


_Shares: TypeAlias = NDArray[np.float64]

# rows of a table that are evaluated together, at least one epoch: 1.5 MB
BLOCK_STEPS = 65_536


class Schedule:
    """Base class of schedules. ``0.1 * schedule`` is one with a tenth of its factors.

    A subclass has `__call__`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Cosine, Schedule
    >>> class Halves(Schedule):
    ...     def __call__(self, t):
    ...         return 0.5 ** np.floor(10 * t)
    >>> Halves()(np.array([0.0, 0.15, 0.9]))
    array([1.        , 0.5       , 0.00195312])
    >>> Cosine().of_steps(np.arange(4), n_steps=4).round(3)
    array([1.   , 0.854, 0.5  , 0.146])
    >>> 0.1 * Cosine(warm_up=0.1)
    0.1 * Cosine(warm_up=0.1, end=0.0)
    """

    __array_ufunc__ = None  # NumPy's numbers leave the product to this class

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done.

        Parameters
        ----------
        t : ndarray of float64
            In [0, 1), of any shape.

        Returns
        -------
        ndarray of float64
            In that shape.
        """
        raise NotImplementedError

    def of_steps(self, steps: NDArray[np.integer[Any]], n_steps: int) -> _Shares:
        """The factors of steps of a training, counted from 0.

        Parameters
        ----------
        steps : ndarray of int
            The numbers of the steps.
        n_steps : int
            Steps of the whole training.

        Returns
        -------
        ndarray of float64
            The factors, in the shape of steps.
        """
        return self(steps / n_steps)

    def __mul__(self, factor: float) -> Scaled:
        if isinstance(factor, (bool, np.bool_, Schedule, np.ndarray)):
            return NotImplemented
        try:
            return Scaled(factor, self)
        except TypeError:  # no number
            return NotImplemented

    __rmul__ = __mul__


def _number(schedule: Schedule, name: str, low: float, high: float, closed: str) -> None:
    """Check an attribute, and have it as a float."""
    label = f"{name} of {type(schedule).__name__}"
    value = checks.real_number(label, getattr(schedule, name), low, high, closed)
    object.__setattr__(schedule, name, value)  # of a frozen object


@dataclass(frozen=True)
class Scaled(Schedule):
    """Another schedule times a number.

    Parameters
    ----------
    factor : float >= 0
    schedule : Schedule
    """

    factor: float
    schedule: Schedule

    def __post_init__(self) -> None:
        _number(self, "factor", 0, math.inf, "left")
        if isinstance(self.schedule, Scaled):
            object.__setattr__(self, "factor", self.factor * self.schedule.factor)
            object.__setattr__(self, "schedule", self.schedule.schedule)

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        return self.factor * self.schedule(t)

    def of_steps(self, steps: NDArray[np.integer[Any]], n_steps: int) -> _Shares:
        """The factors of steps of a training, counted from 0."""
        return self.factor * self.schedule.of_steps(steps, n_steps)

    def __repr__(self) -> str:
        return f"{self.factor!r} * {self.schedule!r}"


@dataclass(frozen=True)
class Constant(Schedule):
    """Always 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Constant
    >>> Constant()(np.array([0.0, 0.5]))
    array([1., 1.])
    """

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        return np.ones_like(t, np.float64)


@dataclass(frozen=True)
class _Falls(Schedule):
    """Rises in a straight line from 0, if there is a warm-up, and then falls from 1.

    Parameters
    ----------
    warm_up : float in [0, 1)
        The share of the training that rises. Its first step has the factor 0.
    end : float >= 0
        The factor that it approaches at the end.
    """

    warm_up: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _number(self, "warm_up", 0, 1, "left")
        _number(self, "end", 0, math.inf, "left")

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        t = np.asarray(t, np.float64)
        down = self._fall((t - self.warm_up) / (1 - self.warm_up))
        if not self.warm_up:
            return down
        return np.where(t < self.warm_up, t / self.warm_up, down)

    def _fall(self, share: _Shares) -> _Shares:
        """The factors at these shares of the falling part; below 0 they are not used."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(_Falls):
    """Falls in a straight line from 1 to end, after a warm-up.

    Parameters
    ----------
    warm_up : float in [0, 1)
        In this share of the training the factor rises in a straight line from 0, at the first
        step, to 1.
    end : float >= 0
        The factor that it approaches at the end.

    References
    ----------
    J. Devlin et al., "BERT: Pre-training of deep bidirectional transformers", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Linear
    >>> Linear(warm_up=0.2, end=0.5)(np.array([0.0, 0.1, 0.2, 0.6, 0.999])).round(2)
    array([0.  , 0.5 , 1.  , 0.75, 0.5 ])
    """

    def _fall(self, share: _Shares) -> _Shares:
        return 1 - (1 - self.end) * share


@dataclass(frozen=True)
class Cosine(_Falls):
    """Falls along half a cosine from 1 to end, after a warm-up.

    Parameters
    ----------
    warm_up : float in [0, 1)
        In this share of the training the factor rises in a straight line from 0, at the first
        step, to 1.
    end : float >= 0
        The factor that it approaches at the end.

    Notes
    -----
    Without warm-up it is PyTorch's CosineAnnealingLR, with T_max the number of steps and eta_min
    end times the learning rate.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017,
    equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network
    >>> from fastnn.schedules import Cosine
    >>> Cosine(warm_up=0.2)(np.array([0.0, 0.1, 0.2, 0.6])).round(2)
    array([0. , 0.5, 1. , 0.5])
    >>> net = Network([1, 4, 1], random_state=0)
    >>> net = net.fit([[0.0], [1.0]], [0, 1], learning_rate=Cosine(warm_up=0.2))
    """

    def _fall(self, share: _Shares) -> _Shares:
        return self.end + (1 - self.end) * (1 + np.cos(np.pi * share)) / 2


@documentation.inherit_sections
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rises along half a cosine to 1, and falls along another to almost nothing.

    Parameters
    ----------
    pct_start : float in (0, 1)
        The share of the training that rises.
    div_factor : float >= 1
        The first factor is 1 / div_factor.
    final_div_factor : float >= 1
        The last factor is the first divided by it.

    Notes
    -----
    It is PyTorch's OneCycleLR with its default of anneal_strategy; learning_rate_init is max_lr.
    The momentum does not change. The highest and the lowest factor belong to whole steps:
    ``pct_start * n_steps - 1``, counted from 0 as PyTorch does, and the last.

    References
    ----------
    L. N. Smith and N. Topin, "Super-convergence: Very fast training of neural networks using large
    learning rates", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import OneCycle
    >>> OneCycle()(np.array([0.0, 0.15, 0.3, 0.65])).round(2)
    array([0.04, 0.52, 1.  , 0.5 ])
    >>> OneCycle().of_steps(np.array([0, 29, 99]), n_steps=100)  # first, highest, last
    array([4.e-02, 1.e+00, 4.e-06])
    """

    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        _number(self, "pct_start", 0, 1, "neither")
        _number(self, "div_factor", 1, math.inf, "left")
        _number(self, "final_div_factor", 1, math.inf, "left")

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        return self._between(np.asarray(t, np.float64), self.pct_start, 1.0)

    def of_steps(self, steps: NDArray[np.integer[Any]], n_steps: int) -> _Shares:
        """The factors of steps of a training, counted from 0."""
        return self._between(steps.astype(np.float64), self.pct_start * n_steps - 1, n_steps - 1.0)

    def _between(self, at: _Shares, top: float, last: float) -> _Shares:
        """The factors at these places, of which top has the highest and last the lowest."""
        first = 1 / self.div_factor
        up = _half_cosine(first, 1.0, at / top if top > 0 else np.ones_like(at))
        down = _half_cosine(1.0, first / self.final_div_factor, (at - top) / (last - top))
        return np.where(at <= top, up, down)


def _half_cosine(start: float, end: float, share: _Shares) -> _Shares:
    return end + (start - end) * (1 + np.cos(np.pi * share)) / 2


@dataclass(frozen=True)
class Step(Schedule):
    """Is multiplied by a factor at some places.

    Parameters
    ----------
    at : float in (0, 1), or sequence of those in ascending order
        Shares of the training done.
    factor : float > 0
        What the learning rate is multiplied by at each of them.

    Notes
    -----
    By default the steps are those of He et al. for CIFAR-10: after 32,000 and 48,000 of 64,000.

    References
    ----------
    K. He et al., "Deep residual learning for image recognition", 2016, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Step
    >>> Step(at=0.5, factor=0.2)(np.array([0.0, 0.49, 0.5]))
    array([1. , 1. , 0.2])
    """

    at: float | Sequence[float] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        given: Any = self.at
        places = given if np.iterable(given) and not isinstance(given, str) else (given,)
        at = tuple(checks.real_number("at of Step", place, 0, 1) for place in places)
        if not at or any(b <= a for a, b in itertools.pairwise(at)):
            raise ValueError(
                f"at of Step must be shares in ascending order, got {checks.shown(given)}"
            )
        object.__setattr__(self, "at", at)
        _number(self, "factor", 0, math.inf, "neither")

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        passed = np.searchsorted(np.array(self.at), t, side="right")
        powers: _Shares = self.factor ** np.arange(np.size(self.at) + 1.0)
        return powers[passed]


@dataclass(frozen=True)
class Exponential(Schedule):
    """Falls by the same factor in every step.

    Parameters
    ----------
    end : float > 0
        The factor that it approaches at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Exponential
    >>> Exponential(end=0.01)(np.array([0.0, 0.5])).round(6)
    array([1. , 0.1])
    """

    end: float = 0.01

    def __post_init__(self) -> None:
        _number(self, "end", 0, math.inf, "neither")

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        return self.end ** np.asarray(t, np.float64)


@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """Falls with the square root of the step, after a warm-up.

    Parameters
    ----------
    warm_up : float in (0, 1)
        In this share of the training the factor rises in a straight line from 0, at the first
        step, to 1. The longer it is, the slower the factor falls after it: the end is its root.

    Notes
    -----
    By default the share is that of Vaswani et al.: 4,000 of 100,000 steps.

    References
    ----------
    A. Vaswani et al., "Attention is all you need", 2017, equation 3.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import InverseSquareRoot
    >>> InverseSquareRoot(warm_up=0.25)(np.array([0.0, 0.125, 0.25, 0.9999])).round(2)
    array([0. , 0.5, 1. , 0.5])
    """

    warm_up: float = 0.04

    def __post_init__(self) -> None:
        _number(self, "warm_up", 0, 1, "neither")

    def __call__(self, t: _Shares) -> _Shares:
        """The factors at these shares of the training done."""
        share = np.asarray(t, np.float64) / self.warm_up
        return np.where(share < 1, share, 1 / np.sqrt(np.maximum(share, 1)))


# the catalog's name -> what it stands for
BY_NAME: dict[str, Schedule] = {
    "constant": Constant(),
    "linear": Linear(),
    "cosine": Cosine(),
    "one_cycle": OneCycle(),
    "step": Step(),
    "exponential": Exponential(),
    "inverse_sqrt": InverseSquareRoot(),
}

#: A name of the catalog, a schedule, or a function of the share of the training done.
ScheduleLike: TypeAlias = ScheduleName | Schedule | Callable[[Any], Any]


# ---- checked, as training uses them -------------------------------------------------------------


class Checked:
    """A schedule or function whose values are checked before they are used.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    value : str, Schedule or callable
        A function may take arrays, or numbers alone.
    high : float
        The values must be below.

    Raises
    ------
    TypeError
        If it is none of them, or returns no numbers.
    ValueError
        For an unknown name, and if a value that it returns is not finite or below 0. A hundred
        shares from 0 to 1 are tried at once, the others when they are needed.
    """

    def __init__(self, name: str, value: Any, high: float = math.inf) -> None:
        self.name, self.schedule, self._high = name, _schedule_of(name, value), high
        self._takes_arrays = True
        shares = np.arange(100) / 100
        if not isinstance(self.schedule, Schedule):
            self._takes_arrays = _takes_arrays(self.schedule, shares)
        self._factors(shares, lambda: self._call(shares))

    def of_steps(self, first: int, n: int, n_steps: int) -> _Shares:
        """The factors of steps first, first + 1 and so on of n_steps, counted from 0.

        Raises
        ------
        TypeError, ValueError
            For values that cannot be used; it says where.
        """
        steps = np.arange(first, first + n)
        if isinstance(self.schedule, Schedule):
            return self._factors(
                steps / n_steps, functools.partial(self.schedule.of_steps, steps, n_steps)
            )
        return self._factors(steps / n_steps, lambda: self._call(steps / n_steps))

    def _call(self, shares: _Shares) -> Any:
        if self._takes_arrays:
            return self.schedule(shares.copy())  # it may write into it
        return [self.schedule(share) for share in shares.tolist()]

    def _factors(self, shares: _Shares, values: Callable[[], Any]) -> _Shares:
        """The values, if they can be used."""
        below = f" and < {self._high:g}" if self._high < math.inf else ""
        what = (
            f"{self.name} must return a finite number >= 0{below} for each share of the training"
        )
        try:
            with np.errstate(all="ignore"):  # what comes of it is looked at below
                given = np.asarray(values())
        except ValueError as error:
            if "inhomogeneous" in str(error):
                raise TypeError(f"{what}; it returned sequences") from None
            raise
        if given.dtype.kind not in "fiub":
            raise TypeError(f"{what}, got {checks.shown(given.ravel()[:1].tolist())}")
        if given.shape != shares.shape:
            raise ValueError(
                f"{what}: an array of shape {shares.shape} for one of that shape, got one of "
                f"{given.shape}"
            )
        factors = np.array(given, np.float64)
        wrong = ~(np.isfinite(factors) & (factors >= 0) & (factors < self._high))
        if wrong.any():
            i = int(wrong.argmax())
            raise ValueError(f"{what}, got {factors[i]:g} at {shares[i]:.6g}")
        return factors


def _schedule_of(name: str, value: Any) -> Callable[[Any], Any]:
    """The schedule or function that value is or names."""
    if isinstance(value, str):
        return BY_NAME[checks.choice(name, value, SPELLINGS)]
    if callable(value) and not isinstance(value, type):
        function: Callable[[Any], Any] = value
        return function
    hint = ""
    if isinstance(value, type):
        hint = f"; use {value.__name__}()"
    elif isinstance(value, (int, float)) and name == "learning_rate":
        hint = "; the learning rate itself is learning_rate_init"
    names = ", ".join(map(repr, BY_NAME))
    raise TypeError(
        f"{name} must be one of {names}, a schedule of fastnn.schedules or a function of the "
        f"share of the training done, got {checks.shown(value)}{hint}"
    )


def _takes_arrays(function: Callable[[Any], Any], shares: _Shares) -> bool:
    """Whether a function gives an array of the same shape for an array of shares.

    A function of numbers raises an error for an array or returns something else. What it raises
    for numbers, too, comes when it is called with those.
    """
    try:
        with np.errstate(all="ignore"):
            return bool(np.shape(function(shares.copy())) == shares.shape)
    except Exception:
        return False


class Schedules(NamedTuple):
    """The schedules of one fit; None: no change.

    The learning rate's multiplies learning_rate_init. Those of weight decay and dropout give the
    number itself, if the step's record has 1 there.
    """

    learning_rate: Checked | None = None
    weight_decay: Checked | None = None
    dropout: Checked | None = None


def table(schedules: Schedules, first_step: int, n_steps: int, total_steps: int) -> _Shares:
    """What the kernels read of some steps.

    Parameters
    ----------
    schedules : Schedules
    first_step : int
        The first of them, counted from 0.
    n_steps : int
    total_steps : int
        Of the whole fit.

    Returns
    -------
    ndarray of float64, (n_steps, 3), contiguous
        The factors of learning rate, weight decay and dropout in each step; 1 where there is no
        schedule.

    Raises
    ------
    TypeError, ValueError
        If a function returns something else than a finite number >= 0 for each step.
    """
    rows = np.ones((n_steps, len(schedules)))
    for column, schedule in zip(rows.T, schedules, strict=True):
        if schedule is not None:
            column[:] = schedule.of_steps(first_step, n_steps, total_steps)
    return rows


def epochs_of_a_block(steps_per_epoch: int) -> int:
    """How many epochs' rows are evaluated together: few enough for the memory, at least one."""
    return max(1, BLOCK_STEPS // steps_per_epoch)


class Blocks:
    """The table of one fit, some epochs at a time.

    Parameters
    ----------
    schedules : Schedules
    steps_per_epoch, n_epochs : int

    Attributes
    ----------
    end : int
        The epoch after those whose rows were given last.

    Raises
    ------
    TypeError, ValueError
        As of `table`, for the first block.
    """

    def __init__(self, schedules: Schedules, steps_per_epoch: int, n_epochs: int) -> None:
        self._schedules, self._steps, self._n_epochs = schedules, steps_per_epoch, n_epochs
        self._length, self.end = epochs_of_a_block(steps_per_epoch), 0
        self._first: _Shares | None = None
        self._first = self.rows(0)  # refuses what it can before anything changes
        self.end = 0

    def rows(self, epoch: int) -> _Shares:
        """The rows of the steps from this epoch on; those after `end` come with another call.

        Blocks begin at the same epochs wherever a fit goes on, and are evaluated whole: of other
        neighbours NumPy may round a number otherwise.
        """
        first, self._first = self._first, None
        begin = epoch - epoch % self._length
        self.end = min(begin + self._length, self._n_epochs)
        steps, n = self._steps, self.end - begin
        if first is None or begin != 0:
            first = table(self._schedules, begin * steps, n * steps, self._n_epochs * steps)
        return first[(epoch - begin) * steps :]
