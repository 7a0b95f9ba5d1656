"""Callbacks: what is called between the epochs of a fit, and some that many programs need.

A callback is a function of the network, or a `Callback`, which is also told when the fit begins
and ends. It is called when parameters, loss_curve_ and solver state belong together: it may read
them, copy or save the network, change the parameters or `learning_rate_`, and end the training by
returning True.

`Network.fit` takes callbacks as `callback`, MLPClassifier and MLPRegressor take the same objects
by `set_callbacks` and show them a `Network` over their parameters. Nothing here draws:
`fastnn.plotting` has `LivePlot`, which draws while a network trains, and `animate`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastnn
from fastnn import documentation, pages
from fastnn.data import checks

if TYPE_CHECKING:
    from fastnn.network import Network

__all__ = ["Callback", "Checkpoint", "ProgressBar", "Recorder", "ValidationLoss"]


if not TYPE_CHECKING:  # checkers would let any name be read

    def __getattr__(name):
        raise checks.no_attribute(__name__, name, __all__)


class Callback:
    """Base class of callbacks: `begin`, calls between epochs, `end`.

    Attributes
    ----------
    every : int
        Epochs from one call to the next. It is read again after each call.

    Examples
    --------
    One that halves the learning rate every so many epochs, in a fit that is resumed, too:

    >>> from fastnn import Network
    >>> from fastnn.callbacks import Callback
    >>> class Halves(Callback):
    ...     def __init__(self, every):
    ...         self.every, self.rates = every, []
    ...     def begin(self, net, X, y, max_iter):
    ...         self.rates = []
    ...     def __call__(self, net):
    ...         self.rates.append(net.learning_rate_)
    ...         net.learning_rate_ /= 2
    ...     def end(self, net, completed):
    ...         print("done" if completed else "stopped", self.rates)
    ...     def get_state(self):
    ...         return {"rates": self.rates}
    ...     def set_state(self, state):
    ...         self.rates = state["rates"]
    >>> net = Network([1, 4, 1], random_state=0)
    >>> net = net.fit([[0.0], [1.0]], [0, 1], max_iter=9, learning_rate_init=1, callback=Halves(3))
    done [1.0, 0.5, 0.25]
    """

    every: int = 1

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Called before the first epoch. An exception refuses the fit before anything changes.

        Parameters
        ----------
        net : Network
            What is trained.
        X : ndarray, (n, units of the input)
            The samples, checked and of the network's type.
        y : ndarray, (n, units of the output)
            The targets, checked and of the network's type.
        max_iter : int
            Epochs to come, at most.
        """

    def __call__(self, net: Network) -> bool | None:
        """Called after every so many epochs, and after the last; True ends the training."""
        return None

    def end(self, net: Network, completed: bool) -> None:
        """Called after the training for each callback that has begun, the last one first.

        Parameters
        ----------
        net : Network
            What was trained.
        completed : bool
            False if an exception ended it.
        """

    def get_state(self) -> dict[str, Any] | None:
        """What a file that is saved during the fit keeps of this, for `fit(resume=)`.

        Returns
        -------
        dict or None
            Of numbers, text, arrays and lists.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave; called after `begin` of the fit that goes on.

        Parameters
        ----------
        state : dict
            What `get_state` gave.
        """


CallbackLike: TypeAlias = Callback | Callable[["Network"], object]


class _Function(Callback):
    """A function of the network, as a callback."""

    def __init__(self, function: Callable[[Network], object], every: int) -> None:
        self.function, self.every = function, every


def _end(callback: Callback, net: Network, error: object, *_: object) -> None:
    callback.end(net, completed=error is None)


class Listeners:
    """The callbacks of one fit. After `begin`, it is a context manager that ends them.

    Parameters
    ----------
    callback : None, callable, or sequence of callables
    every : int
        Epochs between two calls of those that are no `Callback`.
    last : Callback, optional
        Comes after all of those.
    """

    def __init__(
        self,
        callback: CallbackLike | Sequence[CallbackLike] | None,
        every: int = 1,
        last: Callback | None = None,
    ) -> None:
        every = checks.whole_number("callback_every", every)
        given: Any = [] if callback is None else callback
        if not isinstance(given, Sequence) or isinstance(given, str):
            given = [given]
        for one in given:
            if not callable(one) or isinstance(one, type):
                raise TypeError(
                    "callback must be a function of the network, a fastnn.callbacks.Callback, or "
                    f"a list of those, got {checks.shown(one)}"
                )
        self._all = [one if isinstance(one, Callback) else _Function(one, every) for one in given]
        if last is not None:
            self._all.append(last)
        for one in self._all:
            self._interval(one)
        self._first, self._enough = 0, False
        self._calls = [one.function if isinstance(one, _Function) else one for one in self._all]

    @staticmethod
    def _interval(one: Callback) -> int:
        every = one.every
        if type(every) is int and every > 0:  # the usual case, without building the name
            return every
        return checks.whole_number(f"{type(one).__name__}.every", every)

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Begin all of them; if one raises, those that have begun end."""
        with contextlib.ExitStack() as ends:
            for one in self._all:
                one.begin(net, X, y, max_iter)
                ends.push(functools.partial(_end, one, net))
            self._due = [self._interval(one) for one in self._all]
            self._called = [0] * len(self._all)  # after which epoch last
            self._first, self._enough = 0, False
            self._ends = ends.pop_all()

    def state(self, epoch: int) -> dict[str, Any]:
        """How they stand after this epoch, of which some may not have heard yet."""
        every = [
            {
                "kind": self._kind(one),
                "due": epoch + self._interval(one) if called == epoch else due,
                "called": called,
                "state": one.get_state(),
            }
            for one, due, called in zip(self._all, self._due, self._called, strict=True)
        ]
        return {"every": every, "enough": self._enough}

    def resume(self, state: Mapping[str, Any], epoch: int) -> None:
        """Go on after this epoch, each from the state of one of its kind; others begin here."""
        left = list(state["every"])
        self._first, self._enough = epoch, bool(state["enough"])
        for i, one in enumerate(self._all):
            found = next((each for each in left if each["kind"] == self._kind(one)), None)
            interval = self._interval(one)
            self._due[i], self._called[i] = epoch - epoch % interval + interval, epoch
            if found is not None:
                left.remove(found)
                self._due[i], self._called[i] = found["due"], found["called"]
                if found["state"] is not None:
                    one.set_state(found["state"])

    @staticmethod
    def _kind(one: Callback) -> str:
        return type(one).__qualname__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.__exit__(kind, error, traceback)

    def stops(
        self, net: Network, n_epochs: int, over: Callable[[], int | None] = lambda: None
    ) -> Iterator[int]:
        """The epochs to train up to, one after the other; without callbacks only the last.

        After each, the callbacks that are due are called. It ends once one of them returned True,
        or if `over` gives the epoch that turned out to be the last.
        """
        epoch = self._first
        if epoch and self.catch_up(net, epoch == n_epochs):
            return
        while epoch < n_epochs:
            epoch = min(n_epochs, *self._due) if self._all else n_epochs
            yield epoch
            ended = over()
            if self.call(net, ended or epoch, ended is not None or epoch == n_epochs):
                return
            if ended is not None:
                return

    def catch_up(self, net: Network, last: bool) -> bool:
        """Call those that had not heard of the epoch that was saved; whether training ends."""
        enough = self._enough
        return self.call(net, self._first, last) or enough

    def call(self, net: Network, epoch: int, last: bool) -> bool:
        """Call those that are due after this epoch; after the last, all not called after it yet.

        Returns
        -------
        bool
            Whether one of them returned True.
        """
        self._enough = False
        for i, call in enumerate(self._calls):
            if self._due[i] <= epoch or (last and self._called[i] < epoch):
                self._called[i] = epoch
                answer = call(net)
                # nothing else counts: a lambda returns whatever its expression gives
                if answer is not None and isinstance(answer, (bool, np.bool_)):
                    self._enough = self._enough or bool(answer)
                self._due[i] = epoch + self._interval(self._all[i])
        return self._enough


NOBODY = Listeners(None)


@documentation.inherit_sections
class Checkpoint(Callback):
    """Saves what is trained, and how its fit stands, so that a fit can go on from the file.

    ``fit(..., resume=path)`` with the same data and options ends with the same bits as if it had
    never been interrupted. The file is replaced in one step: whenever the process is killed, it
    holds one checkpoint, whole. `fastnn.load` reads it as any file of a model.

    Parameters
    ----------
    path : path-like
        The file.
    every : int
        Epochs between two checkpoints; there is also one after the last epoch.

    Raises
    ------
    ImportError
        By a fit, without safetensors, the extra "files".
    TypeError
        By a fit, before it begins, if the model is none that a file holds.
    OSError
        By a fit, before it begins, if there is no such folder, and when a file cannot be written;
        the last one stays.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.callbacks import Checkpoint
    >>> X, y = [[0.0], [0.5], [1.0]], [0, 1, 0]
    >>> new = lambda: Network([1, 8, 1], "tanh", random_state=0)
    >>> net = new().fit(X, y, max_iter=50, callback=Checkpoint("net.fastnn", every=10))
    >>> net = new().fit(X, y, max_iter=100, resume="net.fastnn")  # 50 epochs more
    >>> net.loss_ == new().fit(X, y, max_iter=100).loss_
    True
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = 1) -> None:
        self.path = os.fspath(path)
        self.every = checks.whole_number("every", every)

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Refuse a path that cannot be written to, and a model that no file holds."""
        fastnn.files.check_path(self.path)
        fastnn.files.check_model(getattr(net, "_estimator", None) or net)

    def __call__(self, net: Network) -> None:
        """Save it."""
        net.save(self.path)


@documentation.inherit_sections
class ProgressBar(Callback):
    """A bar with epochs, time left and loss, by tqdm, on terminals and in notebooks.

    Parameters
    ----------
    every : int, optional
        Epochs between two updates; by default about ten updates a second.
    **options
        For tqdm, such as ``desc="net 3"`` or ``leave=False``.

    Raises
    ------
    ImportError
        Without tqdm.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.callbacks import ProgressBar
    >>> net, bar = Network([1, 4, 1], random_state=0), ProgressBar(desc="net 1", leave=False)
    >>> net = net.fit([[0.0], [1.0]], [0, 1], max_iter=20, callback=bar)
    """

    def __init__(self, *, every: int | None = None, **options: Any) -> None:
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self._options = {"unit": "epoch", **options}
        _tqdm()

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Draw an empty bar."""
        self.every = self._every or 1
        self._bar = _tqdm()(**{**self._options, "total": max_iter})
        self._updated = time.perf_counter()

    def __call__(self, net: Network) -> None:
        """Update the bar."""
        if self._every is None:
            now = time.perf_counter()
            took, self._updated = now - self._updated, now
            if took < 0.05:
                self.every *= 2
            elif took > 0.2:
                self.every = max(1, self.every // 2)
        self._advance(net)

    def end(self, net: Network, completed: bool) -> None:
        """Update the bar, and leave it there."""
        try:
            self._advance(net)
        finally:
            self._bar.close()

    def _advance(self, net: Network) -> None:
        self._bar.set_postfix_str(f"loss {net.loss_:.4g}", refresh=False)
        self._bar.update(net.n_iter_ - self._bar.n)


def _tqdm() -> Any:
    """tqdm's class for a terminal or notebook, without its thread, which would outlive the fit."""
    try:
        from tqdm import TqdmWarning
    except ImportError as error:
        raise pages.missing("ProgressBar needs tqdm", "plot") from error
    with warnings.catch_warnings():
        # about a notebook without ipywidgets, where it is a bar of text
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0

    return Bar


def bar_of(total: int, unit: str) -> Any:
    """An empty bar of tqdm's.

    Raises
    ------
    ImportError
        Without tqdm.
    """
    return _tqdm()(total=total, unit=unit)


@documentation.inherit_sections
class Recorder(Callback):
    """Keeps copies of the parameters during a fit, for `fastnn.plotting.animate` or to examine.

    ``len(recorder)`` is the number of copies and ``recorder[i]`` the network as it was at the
    i-th. The first is from before the first epoch, the last from the end. A new fit starts anew.
    Training waits for one copy of the parameters at a time; nothing is drawn.

    Parameters
    ----------
    every : int, optional
        Epochs between two copies; by default a hundredth of the fit.

    Attributes
    ----------
    epochs_ : list of int
        After how many epochs each copy was taken.
    X_, y_ : ndarray
        The training data; not copied if the network took it as it was.
    max_iter_ : int
        The epochs that were to come at the beginning.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.callbacks import Recorder
    >>> recorder, net = Recorder(every=10), Network([1, 4, 1], "tanh", random_state=0)
    >>> net = net.fit([[0.0], [1.0]], [0, 1], max_iter=30, callback=recorder)
    >>> recorder.epochs_
    [0, 10, 20, 30]
    >>> before = recorder[0]  # a network as it was
    >>> before.loss(recorder.X_, recorder.y_) > net.loss_
    True
    """

    def __init__(self, *, every: int | None = None) -> None:
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self.epochs_: list[int] = []
        self._params: list[NDArray[Any]] = []

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Keep the parameters before the first epoch."""
        self.every = self._every or max(1, max_iter // 100)
        self.X_, self.y_, self.max_iter_ = X, y, max_iter
        self._like, self._loss_curve = net.copy(), net.loss_curve_
        self.epochs_, self._params = [net.n_iter_], [net.params_.copy()]

    def __call__(self, net: Network) -> None:
        """Keep the present parameters."""
        if net.n_iter_ > self.epochs_[-1]:
            self._loss_curve = net.loss_curve_
            self._params.append(net.params_.copy())
            self.epochs_.append(net.n_iter_)

    def end(self, net: Network, completed: bool) -> None:
        """Keep the last parameters, and the loss curve."""
        self(net)
        self._params[-1][:] = net.params_  # another callback may have put better ones back
        self._loss_curve = list(net.loss_curve_)

    def __len__(self) -> int:
        return len(self.epochs_)

    def __iter__(self) -> Iterator[Network]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Network:
        i = range(len(self))[i]
        net = self._like.copy()
        net.params_[:] = self._params[i]
        net.loss_curve_ = self._loss_curve[: self.epochs_[i]]
        net.reset_solver()
        return net


@documentation.inherit_sections
class ValidationLoss(Callback):
    """Follows the loss on other data, and can stop the training when it no longer falls.

    Parameters
    ----------
    X : array-like, (m, units of the input)
        The samples to evaluate, one a row.
    y : array-like, (m, units of the output), or (m,) for one output
        Their targets, as the network takes them. In the fit of a classifier they may be labels.
    every : int
        Epochs between two evaluations.
    n_iter_no_change : int, optional
        Training stops after this many evaluations in a row without a loss below the best minus
        tol. The network then gets its best parameters back and the solver starts afresh, unless
        an exception ended the training. None: never stop. Put it last among several callbacks, so
        that the others end with the best parameters.
    tol : float >= 0
        By how much a loss must fall to count as lower.

    Attributes
    ----------
    epochs_ : list of int
        After how many epochs each evaluation was.
    losses_ : list of float
        The mean loss of each, without penalty.
    best_loss_ : float
        The lowest of them; infinite before the first.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network
    >>> from fastnn.callbacks import ValidationLoss
    >>> X = np.linspace(-1, 1, 40)[:, np.newaxis]
    >>> validation = ValidationLoss(X[1::2], X[1::2] ** 2, every=5)
    >>> net = Network([1, 8, 1], "tanh", random_state=0)
    >>> net = net.fit(X[::2], X[::2] ** 2, max_iter=15, callback=validation)
    >>> validation.epochs_, validation.best_loss_ == min(validation.losses_)
    ([5, 10, 15], True)
    """

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        every: int = 1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
    ) -> None:
        self._data, self.every = (X, y), checks.whole_number("every", every)
        if n_iter_no_change is not None:
            n_iter_no_change = checks.whole_number("n_iter_no_change", n_iter_no_change)
        self._patience = n_iter_no_change
        self._tol = checks.real_number("tol", tol, 0, closed="left")
        self._forget()

    def _forget(self) -> None:
        self.epochs_: list[int] = []
        self.losses_: list[float] = []
        self.best_loss_, self._no_change = math.inf, 0
        self._best: NDArray[Any] | None = None

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Refuse data that does not fit this network."""
        net.loss(*self._data)
        self._forget()

    def __call__(self, net: Network) -> bool:
        """Evaluate the loss; True if it has not fallen for long enough."""
        loss = net.loss(*self._data)
        self.epochs_.append(net.n_iter_)
        self.losses_.append(loss)
        fell = loss < self.best_loss_ - self._tol
        self._no_change = 0 if fell else self._no_change + 1
        if loss < self.best_loss_:
            self.best_loss_ = loss
            if self._patience:
                self._best = net.params_.copy()
        return self._patience is not None and self._no_change >= self._patience

    def end(self, net: Network, completed: bool) -> None:
        """Put the best parameters back."""
        if self._best is not None and completed:
            net.params_[:] = self._best
            net.reset_solver()
        self._best = None

    def get_state(self) -> dict[str, Any]:
        """The losses, and the best parameters."""
        return {
            "epochs": self.epochs_, "losses": self.losses_, "best_loss": self.best_loss_,
            "no_change": self._no_change, "best": self._best,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from them."""
        self.epochs_, self.losses_ = state["epochs"], state["losses"]
        self.best_loss_, self._no_change = state["best_loss"], state["no_change"]
        self._best = state["best"]
