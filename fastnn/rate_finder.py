"""find_learning_rate: a short training whose learning rate rises, and what it says.

One knows of a learning rate whether it is too low or too high only after some steps with it. The
range test takes all of them in one run of some hundred steps: as long as the rate is far too low
the loss stays, where it is good the loss falls, and where it is too high it explodes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import pages
from fastnn.callbacks import Callback
from fastnn.data import checks
from fastnn.network import Network
from fastnn.training.options import SolverOptions, takes_solver_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.plotting import LearningRateDisplay

__all__ = ["LearningRateSearch", "find_learning_rate"]

SMOOTHING = 0.9
EXPLODED = 4.0  # times the lowest loss: fastai's bound


@dataclass(frozen=True, repr=False)
class LearningRateSearch:
    """What `find_learning_rate` found.

    Attributes
    ----------
    learning_rates : ndarray of float64, (n,)
        The learning rate of each step.
    losses : ndarray of float64, (n,)
        The loss before each step, smoothed: an average in which each loss before counts 0.9 times
        as much as the one after it.
    batch_losses : ndarray of float64, (n,)
        The loss of each batch as it was.
    suggestion : float
        Where losses fall most steeply, over the logarithm of the learning rate, before the lowest
        of them. NaN if they do not fall.
    valley : float
        The middle of the longest stretch in which losses fall: fastai's "valley". It is often
        lower. NaN if they never fall.

    Examples
    --------
    >>> from fastnn import Network, find_learning_rate
    >>> net = Network([1, 8, 1], "tanh", random_state=0)
    >>> found = find_learning_rate(net, [[0.0], [0.5], [1.0]], [0, 1, 0])
    >>> found.learning_rates[0] < found.suggestion < found.learning_rates[-1]
    np.True_
    >>> ax = found.plot().ax_
    """

    learning_rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    batch_losses: NDArray[np.float64]
    suggestion: float = field(init=False)
    valley: float = field(init=False)

    def __post_init__(self) -> None:
        rates, losses = self.learning_rates, self.losses
        for name, i in (("suggestion", steepest(losses)), ("valley", valley(losses))):
            object.__setattr__(self, name, math.nan if i is None else float(rates[i]))

    def __repr__(self) -> str:
        low, high = self.learning_rates[[0, -1]]
        return (
            f"LearningRateSearch({low:.3g} to {high:.3g}, suggestion={self.suggestion:.3g}, "
            f"valley={self.valley:.3g})"
        )

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> LearningRateDisplay:
        """Draw the losses over the learning rate, with the two suggestions.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        **kwargs
            For matplotlib's ``plot``.

        Returns
        -------
        LearningRateDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        from fastnn.plotting import LearningRateDisplay

        display = LearningRateDisplay(
            learning_rates=self.learning_rates, losses=self.losses,
            suggestion=self.suggestion, valley=self.valley,
        )  # fmt: skip
        return display.plot(ax, **kwargs)


def steepest(losses: NDArray[np.float64]) -> int | None:
    """Where losses fall most before the lowest, over a tenth of all; None if nowhere.

    The first fifth is left out: there the average is of few batches, whose differences are larger
    than what a low rate does. What falls after the lowest falls from a rise.
    """
    reach = max(1, len(losses) // 20)
    places = np.arange(max(len(losses) // 5, reach), len(losses) - reach)
    places = places[places <= np.argmin(losses)]
    falls = losses[places - reach] - losses[places + reach]
    if not (falls > 0).any():
        return None
    return int(places[np.argmax(falls)])


def valley(losses: NDArray[np.float64]) -> int | None:
    """The middle of the longest descent; None without one.

    The longest descent is the longest selection of losses, in order, of which each is lower than
    the one before it. As in fastai, it counts as if it had no gaps.
    """
    longest = np.ones(len(losses), np.intp)  # of the descents that end here
    for i in range(1, len(losses)):
        longest[i] += longest[:i].max(where=losses[:i] > losses[i], initial=0)
    end = int(np.argmax(longest))
    return None if longest[end] == 1 else end - int(longest[end]) // 2


@takes_solver_options
def find_learning_rate(
    net: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    n_steps: int = 100,
    batch_size: int | Literal["auto"] | None = None,
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    sample_weight: ArrayLike | None = None,
    **solver_options: Unpack[SolverOptions],
) -> LearningRateSearch:
    """Learning rates to begin with, by a short training of a copy: the range test.

    The learning rate rises from low to high by the same factor in every step. The test ends when
    the smoothed loss is more than 4 times the lowest before it, or no longer finite.

    Parameters
    ----------
    net : Network, MLPClassifier or MLPRegressor
        It stays as it is, its random state, too. A network is trained from its present
        parameters, an estimator from those that `fit` would begin with.
    X, y : array-like
        As its `fit` takes them.
    low, high : float > 0
        The first and the last learning rate.
    n_steps : int >= 2
        Mini-batches at most. If they take more samples than there are, all are used once more in
        another order; a batch that would be smaller than the others is left out.
    batch_size : int or "auto", optional
        "auto" is min(200, n). By default an estimator's own, of a network "auto".
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Draws the order of the samples.
    sample_weight : array-like >= 0, (n,), optional
        As its `fit` takes it. The weights of an estimator's classes count, too.
    {solver options}
        Those of an estimator are its own by default. There is no learning_rate_init here.

    Returns
    -------
    LearningRateSearch
        With `learning_rates`, `losses`, `suggestion`, `valley` and `plot`.

    Raises
    ------
    TypeError, ValueError
        For bad input, and if training diverges in the first steps.

    Notes
    -----
    The suggestions are rough, and lower ones are safer: look at the plot. A good rate depends on
    the batch size and the solver, so use the same ones in `fit`. For "one_cycle" it is the highest
    rate of the cycle.

    References
    ----------
    L. N. Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3. The
    bound at which it ends and the two suggestions are those of fastai's lr_find (J. Howard and S.
    Gugger, 2020), which smooths by 0.98 in place of 0.9 and takes the steepest single step.

    Examples
    --------
    >>> from fastnn import Network, find_learning_rate
    >>> X = [[0.0], [0.25], [0.5], [0.75], [1.0]]
    >>> net = Network([1, 8, 1], "tanh", random_state=0)
    >>> found = find_learning_rate(net, X, [0, 1, 0, 1, 0])
    >>> net = net.fit(X, [0, 1, 0, 1, 0], learning_rate_init=found.suggestion)
    """
    low = checks.real_number("low", low, 0)
    high = checks.real_number("high", high, 0)
    if low >= high:
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")
    n_steps = checks.whole_number("n_steps", n_steps, 2)
    for name in ("learning_rate", "learning_rate_init"):
        if name in solver_options:
            raise TypeError(
                f"find_learning_rate takes no {name}: low and high are the learning rates tried"
            )
    solver = solver_options.get("solver", getattr(net, "solver", None))
    if solver in ("rprop", "lm", "lbfgs"):
        raise ValueError(
            f'solver "{solver}" has no learning rate to find: it adapts its step sizes'
        )
    copied, options = net, dict(solver_options)
    if isinstance(net, Network):
        copied, weights = net.copy(), sample_weight
        x, targets = copied.check_data(X, y)
        checks.targets(targets, copied.loss_function, copied.activations[-1])
    elif hasattr(net, "hidden_layer_sizes"):
        copied, x, targets, own = _of_estimator(net, X, y)
        weights = sample_weight
        if getattr(net, "class_weight", None) is not None:
            from sklearn.utils import compute_sample_weight

            weights = compute_sample_weight(net.class_weight, y)
            if sample_weight is not None:
                weights = weights * np.asarray(sample_weight)
        options = {**own, **options}
        batch_size = net.batch_size if batch_size is None else batch_size
    else:
        raise TypeError(
            "net must be a fastnn.Network or a fastnn.MLPClassifier or MLPRegressor, got "
            f"{checks.shown(net)}"
        )
    size = checks.batch_size(
        "batch_size", "auto" if batch_size is None else batch_size, len(targets)
    )
    batches = _batches(len(targets), size, checks.random_state(random_state))
    copied.reset_solver()
    rates = np.geomspace(low, high, n_steps)
    if weights is not None:
        weights = checks.weights("sample_weight", weights, targets.dtype, len(targets))
    losses = _losses(copied, x, targets, weights, rates, batches, options)
    if len(losses) < 2:
        message = (
            f"training diverged in the first step, at a learning rate of {low:g}; give a lower "
            "low, or scale X and y to mean 0 and variance 1"
        )
        raise ValueError(pages.see("diverged", message))
    return LearningRateSearch(rates[: len(losses)], *np.transpose(losses))


def _losses(
    net: Network,
    x: Any,
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None,
    rates: NDArray[np.float64],
    batches: Iterator[NDArray[np.intp]],
    options: dict[str, Any],
) -> list[tuple[float, float]]:
    """The losses before each step, smoothed and as they are, until they explode."""
    losses: list[tuple[float, float]] = []
    average, lowest = 0.0, math.inf
    for i, (rate, rows) in enumerate(zip(rates.tolist(), batches, strict=False), 1):
        part = x[rows]
        if hasattr(part, "toarray"):  # an estimator's sparse rows
            part = part.toarray()
        try:
            net.partial_fit(
                part, y[rows], batch_size=len(rows), shuffle=False, learning_rate_init=rate,
                sample_weight=None if sample_weight is None else sample_weight[rows], **options,
            )  # fmt: skip
        except FloatingPointError:
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * net.loss_
        smooth = average / (1 - SMOOTHING**i)  # as if all before the first were like the others
        losses.append((smooth, net.loss_))
        lowest = min(lowest, smooth)
        # the same as 4 times the lowest; some losses are below 0
        if smooth > lowest + (EXPLODED - 1) * abs(lowest):
            break
    return losses


def _batches(
    n_rows: int, size: int, random_state: np.random.RandomState
) -> Iterator[NDArray[np.intp]]:
    """Rows of one batch after the other, for ever."""
    while True:
        order = random_state.permutation(n_rows)
        for start in range(0, n_rows - size + 1, size):
            yield order[start : start + size]


# ---- of an estimator ----------------------------------------------------------------------------

_OPTIONS = (
    "solver", "alpha", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon",
    "clip_norm", "dropout", "input_noise",
)  # fmt: skip


class _Seen(Exception):
    """Ends a fit before its first epoch."""


class _Look(Callback):
    """Takes what a fit would begin with."""

    def begin(self, net: Network, X: Any, y: NDArray[Any], max_iter: int) -> None:
        units, activations = net.layer_units, net.activations
        self.net = Network.from_params(
            net.params_.copy(), units, activations, **net.loss_options, n_jobs=net.n_jobs
        )
        self.X, self.y = X, y
        raise _Seen


def _of_estimator(estimator: Any, X: Any, y: Any) -> tuple[Network, Any, NDArray[Any], Any]:
    """The network that an estimator's fit would train, its data, and the estimator's options."""
    if not hasattr(estimator, "set_callbacks") or not hasattr(estimator, "to_sklearn"):
        raise TypeError(
            f"net is scikit-learn's {type(estimator).__name__}; use fastnn's class of that name"
        )
    if estimator.solver == "lbfgs":
        raise ValueError("solver='lbfgs' has no learning rate: it searches along each direction")
    copied, look = copy.deepcopy(estimator), _Look()
    if copied.random_state is None:  # the global one, which is not to advance
        copied.random_state = copy.deepcopy(checks.random_state(None))
    try:
        copied.set_callbacks(look).fit(X, y)
    except _Seen:
        pass
    options = {name: getattr(estimator, name) for name in _OPTIONS}
    if estimator.solver != "sgd":
        del options["momentum"]  # scikit-learn's default is another than fit's; nobody reads it
    if estimator.solver == "rmsprop":
        options["rho"] = estimator.beta_2
    if estimator.solver in ("adam", "adamw") and estimator.weight_decay:
        options |= {"solver": "adamw", "weight_decay": estimator.weight_decay}
    return look.net, look.X, look.y, options
