"""Many networks in one call: `fit_many`."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import threads, work
from fastnn.callbacks import bar_of
from fastnn.data import checks
from fastnn.network import Network
from fastnn.states import trained_on
from fastnn.training.options import ARGUMENTS
from fastnn.training.side_by_side import Failure, train_each

# of `Network.fit`, beside the solver's options
_OF_FIT = {
    name: inspect.signature(Network.fit).parameters[name].default
    for name in (
        "max_iter", "batch_size", "shuffle", "label_smoothing", "scoring", "n_iter_no_change",
        "tol",
    )
}  # fmt: skip
# what one fit has for itself
_NOT_OF_MANY = (
    "sample_weight", "X_val", "y_val", "sample_weight_val", "callback", "callback_every", "resume",
    "n_init",
)  # fmt: skip
_LONG = 1e8  # multiply-adds, some ten milliseconds: longer fits look whether they are to end


class Job(NamedTuple):
    """One network's fit."""

    net: Network
    X: NDArray[Any]  # of all networks of its type
    y: NDArray[Any]
    weights: NDArray[Any] | None
    rows: NDArray[np.intp] | None  # of X; None: all
    rows_val: NDArray[np.intp] | None
    options: dict[str, Any]

    @property
    def n_rows(self) -> int:
        """Of its training set."""
        return len(self.X) if self.rows is None else len(self.rows)

    @property
    def epoch(self) -> float:
        """Multiply-adds of an epoch, about."""
        net = self.net
        if self.options.get("solver") == "lm":
            return work.search_work(net._units, self.n_rows)
        return self.n_rows * work.training_work(net.layer_units)

    @property
    def work(self) -> float:
        """Multiply-adds of all epochs."""
        n_epochs: int = self.options.get("max_iter", _OF_FIT["max_iter"])
        return self.epoch * n_epochs

    def fit(self, over: threading.Event) -> None:
        """Train the network; a long fit ends soon after `over` is set."""
        given, rows, held = dict(self.options), self.rows, self.rows_val
        X, y, weights = self.X, self.y, self.weights
        if held is not None:
            given |= {"X_val": X[held], "y_val": y[held]}
            if weights is not None:
                given["sample_weight_val"] = weights[held]
        if rows is not None:
            X, y = X[rows], y[rows]
            weights = None if weights is None else weights[rows]
        if weights is not None:
            given["sample_weight"] = weights
        if self.work > _LONG:
            given["callback"] = lambda _: over.is_set()
            given["callback_every"] = max(1, int(_LONG / self.epoch))
        self.net.fit(X, y, **given)


def fit_many(
    nets: Sequence[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Sequence[ArrayLike | None] | None = None,
    rows_val: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
    errors: Literal["raise", "keep"] = "raise",
    callback: Callable[[int], object] | None = None,
    progress: bool = False,
    **options: Any,
) -> list[Failure | None]:
    """Train many networks, side by side.

    Each ends with the bits that ``net.fit(X[rows[i]], y[rows[i]], **options)`` alone would give,
    whatever the number of threads and the order of the networks.

    Parameters
    ----------
    nets : sequence of Network
        Of any units, losses and types, with as many features as X and as many outputs as y has
        columns; each with a random state of its own.
    X : array-like, (n, n_features)
    y : array-like, (n, n_outputs), or (n,)
    rows : sequence of array-like, optional
        For each network the indices of its rows of X and y, or None for all: folds, bootstraps.
    rows_val : sequence of array-like, optional
        For each network the indices of its validation set, as of ``X_val`` in `Network.fit`, or
        None.
    sample_weight : array-like >= 0, (n,), optional
        Of the rows of X.
    n_jobs : int, optional
        Threads: None for `get_num_threads`, -1 for all cores. Each takes the next network, those
        with the most work first.
    errors : {"raise", "keep"}
        What to do with networks that diverged, when all are done: raise the first one's error,
        with all numbers, or return them.
    callback : callable, optional
        Called between fits with the number of networks that are done. No more are begun once it
        returns True; those keep their parameters.
    progress : bool
        Whether to draw a bar, with tqdm.
    **options
        Of `Network.fit`: max_iter, batch_size, shuffle, label_smoothing, scoring,
        n_iter_no_change, tol and the solver's. A list has a value for each network; anything else
        goes for all of them.

    Returns
    -------
    list of None or FloatingPointError or ZeroDivisionError
        For each network, None or why its fit ended before its time; its parameters are the last
        finite ones.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the network's number, before any of them changes.
    FloatingPointError, ZeroDivisionError
        If networks diverged, unless errors is "keep".
    KeyboardInterrupt
        On Ctrl-C; each network is as its fit had it then.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, fit_many
    >>> X = np.linspace(-1, 1, 90)[:, np.newaxis]
    >>> nets = [Network([1, 8, 1], "tanh", random_state=i) for i in range(3)]
    >>> thirds = [np.flatnonzero(np.arange(90) % 3 != i) for i in range(3)]
    >>> fit_many(nets, X, np.sin(3 * X), rows=thirds, learning_rate_init=[0.1, 0.03, 0.01])
    [None, None, None]
    """
    nets = _networks(nets)
    checks.choice("errors", errors, {"raise": "raise", "keep": "keep"})
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function, got {checks.shown(callback)}")
    n_threads = threads.resolve(checks.n_jobs("n_jobs", n_jobs))
    jobs = _jobs(nets, X, y, rows, rows_val, sample_weight, options)
    bar = bar_of(len(nets), "net") if checks.boolean("progress", progress) else None

    def tell(n_done: int) -> bool:
        if bar is not None:
            bar.update(n_done - bar.n)
        return callback is not None and callback(n_done) is True

    def fit(i: int, over: threading.Event) -> None:
        own, job = vars(nets[i]), jobs[i]
        before, own["_n_jobs"] = own["_n_jobs"], max(1, n_threads // len(nets))
        try:
            job.fit(over)
            own["_trained_on"] = trained_on(X, job.n_rows)
        finally:
            own["_n_jobs"] = before

    longest_first = sorted(range(len(jobs)), key=lambda i: -jobs[i].work)
    try:
        failures = train_each(n_threads, longest_first, fit, tell)
    finally:
        if bar is not None:
            bar.close()
    if failures and errors == "raise":
        first = min(failures)
        numbers = ", ".join(map(str, sorted(failures)))
        raise type(failures[first])(
            f"{len(failures)} of {len(nets)} networks ({numbers}) diverged; the others are done. "
            f"Network {first}: {failures[first]}"
        )
    return [failures.get(i) for i in range(len(nets))]


def _networks(given: Any) -> list[Network]:
    try:
        nets: list[Network] = list(given)
    except TypeError:
        raise TypeError(f"nets must be a sequence of Network, got {checks.shown(given)}") from None
    seen: dict[int, int] = {}
    for i, net in enumerate(nets):
        if not isinstance(net, Network):
            raise TypeError(f"nets[{i}] must be a Network, got {checks.shown(net)}")
        for one, what in ((net, "are the same"), (net._random_state, "share a random state")):
            if id(one) in seen:
                raise ValueError(f"nets[{seen[id(one)]}] and nets[{i}] {what}")
        for other in (net, net._random_state):
            seen[id(other)] = i
    return nets


def _jobs(
    nets: list[Network],
    X: Any,
    y: Any,
    rows: Any,
    rows_val: Any,
    sample_weight: Any,
    options: dict[str, Any],
) -> list[Job]:
    """Everything that is to be done, checked."""
    known = [name for name in ARGUMENTS if name not in _NOT_OF_MANY]
    for name in options:
        if name not in known:
            raise TypeError(
                f"got an unexpected keyword argument {name!r}{checks.did_you_mean(name, known)}"
            )
    for name, values in {"rows": rows, "rows_val": rows_val, **options}.items():
        if name in ("rows", "rows_val") and values is not None and not hasattr(values, "__len__"):
            raise TypeError(f"{name} must be a sequence, got {checks.shown(values)}")
        is_each = isinstance(values, list) or (name.startswith("rows") and values is not None)
        if is_each and len(values) != len(nets):
            raise ValueError(f"{name} has {len(values)} values for {len(nets)} networks")
    checked: dict[Any, tuple[Any, ...]] = {}
    of_type: dict[np.dtype[Any], Any] = {}  # X, held once
    alike: set[Any] = set()  # that are checked
    jobs = []
    for i, net in enumerate(nets):
        with checks.naming(f"nets[{i}]"):
            kind = net.dtype, net.layer_units[0], net.layer_units[-1], net._loss.name
            if kind not in checked:
                checked[kind] = _data_of(net, of_type.get(net.dtype, X), y, sample_weight)
                of_type[net.dtype] = checked[kind][0]
            x, targets, weights = checked[kind]
            given = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
            own, held = (
                None if values is None else _indices(name, values[i], len(x))
                for name, values in (("rows", rows), ("rows_val", rows_val))
            )
            job = Job(net, x, targets, weights, own, held, given)
            like = (
                net._architecture(), job.n_rows, held is None,
                tuple((name, id(value)) for name, value in given.items()),
            )  # fmt: skip
            if weights is None and like in alike:
                net._check_params(written=True)
            else:
                _check(job)
                alike.add(like)
        jobs.append(job)
    return jobs


def _data_of(net: Network, X: Any, y: Any, sample_weight: Any) -> tuple[Any, ...]:
    """X, y and weights as this network takes them."""
    x, targets = net.check_data(X, y)
    weights = None
    if sample_weight is not None:
        weights = checks.weights("sample_weight", sample_weight, net.dtype, len(x))
    if net._loss.name == "quantile":  # which has one target, and a column for each level
        targets = targets[:, 0].copy()
    return x, targets, weights


def _indices(name: str, given: Any, n: int) -> NDArray[np.intp] | None:
    """Indices of rows, none of them negative."""
    if given is None:
        return None
    indices = np.asarray(given)
    if indices.ndim == 1 and not len(indices):
        raise ValueError(f"{name} is empty")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be a vector of whole numbers, got {indices.ndim} dimensions of "
            f"{indices.dtype}"
        )
    if indices.min() < 0 or indices.max() >= n:
        raise ValueError(
            f"{name} must be from 0 to {n - 1}, got {indices.min()} to {indices.max()}"
        )
    return indices.astype(np.intp, copy=False)


def _check(job: Job) -> None:
    """Refuse what `Network.fit` would refuse; rows stand for as many of the first."""
    net, given, n = job.net, job.options, job.n_rows
    fewer = n <= len(job.X)
    x, targets = (job.X[:n], job.y[:n]) if fewer else (job.X[job.rows], job.y[job.rows])
    of_fit = {name: given.get(name, default) for name, default in _OF_FIT.items()}
    of_step = {name: value for name, value in given.items() if name not in _OF_FIT}
    *_, checked = net._check_training(
        x, targets, of_fit["batch_size"], of_fit["shuffle"], of_fit["label_smoothing"], of_step
    )
    checks.whole_number("max_iter", of_fit["max_iter"])
    if job.weights is not None and job.rows is not None:  # which may be 0 for all of these
        checks.weights("sample_weight", job.weights[job.rows], net.dtype, n)
    held = job.rows_val
    if held is not None and checked.evidence:
        raise ValueError('alpha="evidence" goes without rows_val: no validation set is needed')
    validation: tuple[Any, ...] = (None, None, None)
    if held is not None:
        validation = job.X[held], job.y[held], None if job.weights is None else job.weights[held]
    net._validation(
        *validation, *(of_fit[name] for name in ("scoring", "n_iter_no_change", "tol"))
    )
