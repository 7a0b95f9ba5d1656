"""Many networks in one call: `fit_many`."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import threads, work
from fastnn.callbacks import bar_of
from fastnn.data import checks
from fastnn.network import Network
from fastnn.states import trained_on
from fastnn.training import lanes
from fastnn.training.lanes import LaneFit, LaneFits
from fastnn.training.options import ARGUMENTS
from fastnn.training.side_by_side import Failure, Fits, one_fit, train_side_by_side

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
_LAYOUTS = ("auto", "samples", "nets")
_LONG = 1e8  # multiply-adds, some ten milliseconds: longer fits look whether they are to end


class Plan(NamedTuple):
    """What fits have in common whose networks, numbers of rows and options are alike."""

    options: dict[str, Any]
    n_rows: int  # of the training set
    epoch: float  # multiply-adds, about
    step: NDArray[Any] | None  # the record of a step, if they can train in lanes

    @property
    def n_epochs(self) -> int:
        """At most."""
        n: int = self.options.get("max_iter", _OF_FIT["max_iter"])
        return n

    @property
    def work(self) -> float:
        """Multiply-adds of all epochs."""
        return self.epoch * self.n_epochs


class Job(NamedTuple):
    """One network's fit."""

    net: Network
    X: NDArray[Any]  # of all networks of its type
    y: NDArray[Any]
    weights: NDArray[Any] | None
    rows: NDArray[np.intp] | None  # of X; None: all
    rows_val: NDArray[np.intp] | None
    plan: Plan

    def fit(self, over: threading.Event) -> None:
        """Train the network; a long fit ends soon after `over` is set."""
        plan, rows, held = self.plan, self.rows, self.rows_val
        given = dict(plan.options)
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
        if plan.work > _LONG:
            given["callback"] = lambda _: over.is_set()
            given["callback_every"] = max(1, int(_LONG / plan.epoch))
        self.net.fit(X, y, **given)


def fit_many(
    nets: Sequence[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Sequence[ArrayLike | None] | None = None,
    rows_val: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | None = None,
    layout: Literal["auto", "samples", "nets"] = "auto",
    n_jobs: int | None = None,
    errors: Literal["raise", "keep"] = "raise",
    callback: Callable[[int], object] | None = None,
    progress: bool = False,
    **options: Any,
) -> list[Failure | None]:
    """Train many networks, side by side.

    Each ends as ``net.fit(X[rows[i]], y[rows[i]], **options)`` alone would have it: with the same
    bits, or within rounding if its layout is "nets". The number of threads and the order of the
    networks change no bit.

    Parameters
    ----------
    nets : sequence of Network
        Of any units, losses and types, with as many features as X and as many outputs as y has
        columns; each with a random state of its own.
    X : array-like, (n, n_features)
        The samples of all networks, one a row.
    y : array-like, (n, n_outputs), or (n,)
        Their targets.
    rows : sequence of array-like, optional
        For each network the indices of its rows of X and y, or None for all: folds, bootstraps.
    rows_val : sequence of array-like, optional
        For each network the indices of its validation set, as of ``X_val`` in `Network.fit`, or
        None.
    sample_weight : array-like >= 0, (n,), optional
        Of the rows of X.
    layout : {"auto", "samples", "nets"}
        What the numbers of a vector are: samples of one network, as in `Network.fit`, or one of
        each of several networks of one shape, loss and solver. "nets" is faster for many small
        networks, but sums have another order; it is for plain fits, without validation rows,
        weights, schedules, dropout and the like, by a solver that goes in batches ("rprop" does
        not). "auto" is "nets" for those that can, if enough networks are alike to fill vectors,
        and all of a vector stay in the caches: up to 1,700 parameters where a vector has 64 bytes,
        twice as many with batches of 8 rows. So with "auto" the last bits of a network depend on
        how many are like it; with the others they do not.
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
    nets = networks_of(nets)
    checks.choice("errors", errors, {"raise": "raise", "keep": "keep"})
    checks.choice("layout", layout, {name: name for name in _LAYOUTS})
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function, got {checks.shown(callback)}")
    n_threads = threads.resolve(checks.n_jobs("n_jobs", n_jobs))
    jobs = jobs_of(nets, X, y, rows, rows_val, sample_weight, options, layout)
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
            own["_trained_on"] = trained_on(X, job.plan.n_rows)
        finally:
            own["_n_jobs"] = before

    def work(tasks: Iterator[int | _Group], fits: Fits) -> None:
        for task in tasks:
            if fits.end_soon:
                return
            if isinstance(task, int):
                one_fit(task, fit, fits)
            else:
                task.fit(fits, X)

    try:
        tasks = _tasks(jobs, layout, n_threads)
        failures = train_side_by_side(n_threads, tasks, len(nets), work, tell)
    finally:
        if bar is not None:
            bar.close()
    return report(failures, len(nets), errors)


def report(failures: Mapping[int, Failure], n: int, errors: str) -> list[Failure | None]:
    """The failures of n networks as `fit_many` returns them, or the first as an error."""
    if failures and errors == "raise":
        first = min(failures)
        numbers = ", ".join(map(str, sorted(failures)))
        raise type(failures[first])(
            f"{len(failures)} of {n} networks ({numbers}) diverged; the others are done. "
            f"Network {first}: {failures[first]}"
        )
    return [failures.get(i) for i in range(n)]


class _Group:
    """Networks that train in lanes together."""

    def __init__(self, numbers: list[int], jobs: list[Job], table: NDArray[Any]) -> None:
        self._numbers, self._jobs, net = numbers, jobs, jobs[0].net
        self._fits = LaneFits([_lane_fit(job) for job in jobs], net._units, net._codes, table)

    def fit(self, fits: Fits, X: Any) -> None:
        """A thread's part of all fits."""

        def settle(ended: list[int]) -> None:
            for i, found in zip(ended, self._fits.results(ended), strict=True):
                job = self._jobs[i]
                job.net._take_fit(
                    found.params, found.loss_curve, found.state, trained_on(X, job.plan.n_rows)
                )
                if found.error is not None:
                    fits.failures[self._numbers[i]] = found.error

        self._fits.work(fits, settle)


def _lane_fit(job: Job) -> LaneFit:
    """The same, as lanes take it."""
    plan, step = job.plan, job.plan.step
    assert step is not None
    shuffles = plan.options.get("shuffle", _OF_FIT["shuffle"])
    in_batches = shuffles and step["batch_size"].item() < plan.n_rows
    return LaneFit(
        job.net._params, job.rows, step, plan.n_epochs,
        job.net._random_state._bit_generator if in_batches else None,
    )  # fmt: skip


def _tasks(jobs: list[Job], layout: str, n_threads: int) -> list[int | _Group]:
    """Numbers of single fits, and groups, once for each thread; those with the most work first."""
    works = [job.plan.work for job in jobs]
    alike: dict[Any, list[int]] = {}
    for i in sorted(range(len(jobs)), key=lambda i: -works[i]):
        net, step = jobs[i].net, jobs[i].plan.step
        key = i if step is None else (net._architecture(), step["solver"].item())
        alike.setdefault(key, []).append(i)
    tasks: list[tuple[float, int | _Group]] = []
    tables: dict[Any, NDArray[Any]] = {}  # inputs and targets side by side, held once
    for numbers in alike.values():
        own = [jobs[i] for i in numbers]
        if _are_lanes(own, layout):
            share = sum(works[i] for i in numbers) / n_threads
            first = own[0]
            data = id(first.X), id(first.y)
            if data not in tables:  # targets with a column for each quantile
                tables[data] = np.hstack(first.net.check_data(first.X, first.y))
            tasks += [(share, _Group(numbers, own, tables[data]))] * n_threads
        else:
            tasks += [(works[i], i) for i in numbers]
    return [task for _, task in sorted(tasks, key=lambda pair: -pair[0])]


def _are_lanes(jobs: list[Job], layout: str) -> bool:
    """Whether networks of one shape train in lanes."""
    steps = {id(job.plan): job.plan.step for job in jobs}.values()
    sizes = [step["batch_size"].item() for step in steps if step is not None]
    if not sizes or layout == "nets":
        return bool(sizes)
    net = jobs[0].net
    return lanes.are_worth_it(len(jobs), net._params.size, net.dtype, max(sizes))


def networks_of(given: Any) -> list[Network]:
    """The networks as a list; refused if two share what a fit changes."""
    try:
        nets: list[Network] = list(given)
    except TypeError:
        raise TypeError(f"nets must be a sequence of Network, got {checks.shown(given)}") from None
    seen: dict[int, int] = {}
    for i, net in enumerate(nets):
        if not isinstance(net, Network):
            raise TypeError(f"nets[{i}] must be a Network, got {checks.shown(net)}")
        drawn_from = net._random_state._bit_generator
        for one, what in ((net, "are the same"), (drawn_from, "share a random state")):
            if id(one) in seen:
                raise ValueError(f"nets[{seen[id(one)]}] and nets[{i}] {what}")
        for other in (net, drawn_from):
            seen[id(other)] = i
    return nets


def jobs_of(
    nets: list[Network],
    X: Any,
    y: Any,
    rows: Any,
    rows_val: Any,
    sample_weight: Any,
    options: dict[str, Any],
    layout: str,
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
    each = {name: values for name, values in options.items() if isinstance(values, list)}
    data = _Data(X, y, sample_weight)
    plans: dict[Any, Plan] = {}
    jobs: list[Job] = []
    with checks.naming(lambda: f"nets[{len(jobs)}]"):
        for i, net in enumerate(nets):
            x, targets, weights, fits_all = data.of(net)
            own = None if rows is None else _indices("rows", rows[i], len(x))
            held = None if rows_val is None else _indices("rows_val", rows_val[i], len(x))
            n_rows = len(x) if own is None else len(own)
            like = (
                net._architecture(), n_rows, held is None,
                tuple([id(values[i]) for values in each.values()]),
            )  # fmt: skip
            if like in plans and fits_all and weights is None:  # that was checked already
                net._check_params(written=True)
                jobs.append(Job(net, x, targets, weights, own, held, plans[like]))
                continue
            given = options | {name: values[i] for name, values in each.items()}
            job = Job(net, x, targets, weights, own, held, Plan(given, n_rows, 0, None))
            step = _check(job, layout)
            plan = Plan(given, n_rows, _work_of_epoch(net, given, n_rows), step)
            jobs.append(job._replace(plan=plans.setdefault(like, plan)))
    return jobs


def _work_of_epoch(net: Network, options: Mapping[str, Any], n_rows: int) -> float:
    """Multiply-adds, about."""
    if options.get("solver") == "lm":
        return work.search_work(net._units, n_rows)
    return n_rows * work.training_work(net.layer_units)


class _Data:
    """X, y and weights as networks take them, once for each kind of network."""

    def __init__(self, X: Any, y: Any, sample_weight: Any) -> None:
        self._given = X, y, sample_weight
        self._checked: dict[Any, tuple[Any, ...]] = {}
        self._of_type: dict[np.dtype[Any], Any] = {}  # X, held once
        self._fits_all: dict[Any, bool] = {}
        self._of_net: dict[Any, tuple[Any, ...]] = {}

    def of(self, net: Network) -> tuple[Any, ...]:
        """X, y, weights, and whether every row of y is a target of this network.

        If not, those of each network are to be looked at.
        """
        known = net._architecture()
        if known not in self._of_net:
            kind = net.dtype, net.layer_units[0], net.layer_units[-1], net._loss.name
            if kind not in self._checked:
                X, y, sample_weight = self._given
                X = self._of_type.get(net.dtype, X)
                self._checked[kind] = _data_of(net, X, y, sample_weight)
                self._of_type[net.dtype] = self._checked[kind][0]
            x, targets, weights = self._checked[kind]
            output = *kind, net._activations[-1]
            if output not in self._fits_all:
                self._fits_all[output] = _fits_all(net, x, targets)
            self._of_net[known] = x, targets, weights, self._fits_all[output]
        return self._of_net[known]


def _fits_all(net: Network, x: Any, y: Any) -> bool:
    """Whether every row of y is a target of this network; else those of each net are looked at."""
    if not net._loss.own:
        try:
            checks.targets(net.check_data(x, y)[1], net._loss.name, net._activations[-1])
        except ValueError:
            return False
    return True


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
    indices = indices.astype(np.intp, copy=False)
    if indices.view(np.uintp).max() >= n:  # unsigned, negative ones are large
        raise ValueError(
            f"{name} must be from 0 to {n - 1}, got {indices.min()} to {indices.max()}"
        )
    return indices


def _check(job: Job, layout: str) -> NDArray[Any] | None:
    """Refuse what `Network.fit` would refuse.

    Returns the record of its steps, if it is to train in a lane.
    """
    net, given, n = job.net, job.plan.options, job.plan.n_rows
    x, targets = job.X, job.y
    if job.rows is not None:
        x, targets = x[job.rows], targets[job.rows]
    of_fit = {name: given.get(name, default) for name, default in _OF_FIT.items()}
    of_step = {name: value for name, value in given.items() if name not in _OF_FIT}
    _, _, step, _, checked = net._check_training(
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
    if layout == "samples":
        return None
    reason = lanes.why_not(checked)
    others = {
        "rows_val": held is not None, "sample_weight": job.weights is not None,
        "label_smoothing": of_fit["label_smoothing"] != 0,
        "a loss of one's own": net._loss.own,
    }  # fmt: skip
    reason = reason or next((name for name, given in others.items() if given), None)
    if layout == "nets" and reason is not None:
        raise ValueError(f'layout "nets" goes without {reason}')
    if reason is not None:
        return None
    return step
