"""Callbacks: what `Network.fit` tells between epochs, and listeners that are of use to many.

A callback is a function of the network, or a `Callback`, which also hears of the beginning and the
end. It is called when parameters, loss_curve_ and solver state belong together, so it may look at
them, copy or save the network, and end the training by returning True. This room draws nothing;
`fastnn.plotting` has `LivePlot`, which draws while a network trains, and `animate`.
"""

import contextlib
import functools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastnn.data import checks

if TYPE_CHECKING:
    from fastnn.network import Network

__all__ = ["Callback", "ProgressBar", "Recorder", "ValidationLoss"]


class Callback:
    """What hears of a fit: `begin`, calls between epochs, `end`. Inherit to have your own.

    Attributes
    ----------
    every : int
        Epochs from one call to the next. It is read anew after each call.
    """

    every = 1

    def begin(self, net, X, y, max_iter):
        """Before the first epoch. What this raises refuses the fit before anything changes.

        Parameters
        ----------
        net : Network
        X : ndarray, (n, units of the input)
        y : ndarray, (n, units of the output)
            Checked, and of the network's type.
        max_iter : int
            Epochs to come.
        """

    def __call__(self, net):
        """After every so many epochs, and after the last one; True ends the training."""

    def end(self, net, completed):
        """After the training, whatever ended it, for each callback that has begun, the last first.

        Parameters
        ----------
        net : Network
        completed : bool
            False where something was raised.
        """


CallbackLike: TypeAlias = Callback | Callable[["Network"], object]


class _Function(Callback):
    """A function of the network, as a callback."""

    def __init__(self, function, every):
        self.function, self.every = function, every


def _end(callback, net, error, *_):
    callback.end(net, completed=error is None)


class Listeners:
    """The callbacks of one fit; as a context manager, after `begin`, it ends them.

    Parameters
    ----------
    callback : None, callable, or sequence of callables
    every : int
        For those that are no `Callback`.
    """

    def __init__(self, callback, every=1):
        every = checks.whole_number("callback_every", every)
        given = [] if callback is None else callback
        if not isinstance(given, Sequence) or isinstance(given, str):
            given = [given]
        for one in given:
            if not callable(one) or isinstance(one, type):
                raise TypeError(
                    "callback must be a function of the network, a fastnn.callbacks.Callback, or "
                    f"a list of those, got {checks.shown(one)}"
                )
        self._all = [one if isinstance(one, Callback) else _Function(one, every) for one in given]
        for one in self._all:
            self._interval(one)
        self._calls = [one.function if isinstance(one, _Function) else one for one in self._all]

    @staticmethod
    def _interval(one):
        every = one.every
        if type(every) is int and every > 0:  # mostly; a name takes time to put together
            return every
        return checks.whole_number(f"{type(one).__name__}.every", every)

    def begin(self, net, X, y, max_iter):
        """Tell all that a fit begins; if one refuses, those that have begun end."""
        with contextlib.ExitStack() as ends:
            for one in self._all:
                one.begin(net, X, y, max_iter)
                ends.push(functools.partial(_end, one, net))
            self._due = [self._interval(one) for one in self._all]
            self._called = [0] * len(self._all)  # at which epoch
            self._ends = ends.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._ends.__exit__(*exception)

    def stops(self, net, n_epochs):
        """The epochs up to which to train, one after the other; without callbacks one, the last.

        In between, those whose turn it is are called; after one that returned True no more come.
        """
        epoch = 0
        while epoch < n_epochs:
            epoch = min(n_epochs, *self._due) if self._all else n_epochs
            yield epoch
            if self.call(net, epoch, epoch == n_epochs):
                return

    def call(self, net, epoch, last):
        """Call those whose turn it is, after the last epoch all; whether one ends the training."""
        enough = False
        for i, call in enumerate(self._calls):
            if self._due[i] <= epoch or (last and self._called[i] < epoch):
                self._called[i] = epoch
                answer = call(net)
                # no other answer: a lambda may return whatever its expression is
                if answer is not None and isinstance(answer, (bool, np.bool_)):
                    enough = enough or bool(answer)
                self._due[i] = epoch + self._interval(self._all[i])
        return enough


NOBODY = Listeners(None)


class ProgressBar(Callback):
    """A bar with epochs, time left and loss, by tqdm: on terminals and in notebooks.

    Parameters
    ----------
    every : int, optional
        Epochs from one look to the next. By default as many as make some ten looks a second.
    **options
        For tqdm, such as ``desc="net 3"`` or ``leave=False``.

    Raises
    ------
    ImportError
        Without tqdm.
    """

    def __init__(self, *, every=None, **options):
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self._options = {"unit": "epoch", **options}
        _tqdm()

    def begin(self, net, X, y, max_iter):
        """Draw an empty bar."""
        self.every = self._every or 1
        self._bar = _tqdm()(**{**self._options, "total": max_iter})
        self._looked = time.perf_counter()

    def __call__(self, net):
        """Draw the bar where it is by now."""
        if self._every is None:
            now = time.perf_counter()
            took, self._looked = now - self._looked, now
            if took < 0.05:
                self.every *= 2
            elif took > 0.2:
                self.every = max(1, self.every // 2)
        self._advance(net)

    def end(self, net, completed):
        """Leave the bar as it is."""
        try:
            self._advance(net)
        finally:
            self._bar.close()

    def _advance(self, net):
        self._bar.set_postfix_str(f"loss {net.loss_:.4g}", refresh=False)
        self._bar.update(net.n_iter_ - self._bar.n)


def _tqdm():
    """tqdm's class for where this runs, without its thread, which would outlive the fit."""
    try:
        from tqdm import TqdmWarning
    except ImportError as error:
        raise ImportError(
            'ProgressBar needs tqdm: install the extra "plot", pip install ".[plot]" in a copy '
            "of fastnn's source"
        ) from error
    with warnings.catch_warnings():
        # in a notebook without ipywidgets it says so and is a bar of text
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm

    class Bar(tqdm):
        monitor_interval = 0

    return Bar


class Recorder(Callback):
    """Keeps the parameters that a network goes through, for `fastnn.plotting.animate` or a look.

    Training waits for one copy of the parameters at a time; nothing is drawn. ``len(recorder)``
    says how many there are, ``recorder[i]`` is the network as it was at the i-th. The first is the
    network before the first epoch, the last as it was at the end. A new fit records anew.

    Parameters
    ----------
    every : int, optional
        Epochs from one copy to the next; by default a hundredth of the fit.

    Attributes
    ----------
    epochs_ : list of int
        After how many epochs each copy was taken.
    X_, y_ : ndarray
        What was trained on; not copied where the network took it as it was.
    max_iter_ : int
        The epochs that were to come.
    """

    def __init__(self, *, every=None):
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self.epochs_, self._params = [], []

    def begin(self, net, X, y, max_iter):
        """Keep the parameters before the first epoch."""
        self.every = self._every or max(1, max_iter // 100)
        self.X_, self.y_, self.max_iter_ = X, y, max_iter
        self._like, self._loss_curve = net.copy(), net.loss_curve_  # which grows
        self.epochs_, self._params = [0], [net.params_.copy()]

    def __call__(self, net):
        """Keep the parameters of now."""
        if net.n_iter_ > self.epochs_[-1]:
            self._params.append(net.params_.copy())
            self.epochs_.append(net.n_iter_)

    def end(self, net, completed):
        """Keep the last parameters, and the losses on the way."""
        self(net)
        self._params[-1][:] = net.params_  # somebody may have put better ones back
        self._loss_curve = list(net.loss_curve_)

    def __len__(self):
        return len(self.epochs_)

    def __getitem__(self, i):
        i = range(len(self))[i]
        net = self._like.copy()
        net.params_[:] = self._params[i]
        net.loss_curve_ = self._loss_curve[: self.epochs_[i]]
        net.reset_solver()
        return net


class ValidationLoss(Callback):
    """Follows the loss on data that is not trained on, and may stop when it falls no more.

    Parameters
    ----------
    X : array-like, (m, units of the input)
    y : array-like, (m, units of the output), or (m,) for one output
    every : int
        Epochs from one look to the next.
    n_iter_no_change : int, optional
        Training stops after so many looks in a row that found no loss below the best by tol. The
        network ends with its best parameters, and the solver's state forgotten, unless something
        was raised. None: it only looks. Among several callbacks let it be the last, so that what
        the others do at the end is done with the best parameters.
    tol : float >= 0

    Attributes
    ----------
    epochs_ : list of int
        After how many epochs it looked.
    losses_ : list of float
        The mean loss, without penalty, each time.
    best_loss_ : float
        The lowest of them; infinite before the first look.
    """

    def __init__(self, X, y, *, every=1, n_iter_no_change=None, tol=1e-4):
        self._data, self.every = (X, y), checks.whole_number("every", every)
        if n_iter_no_change is not None:
            n_iter_no_change = checks.whole_number("n_iter_no_change", n_iter_no_change)
        self._patience = n_iter_no_change
        self._tol = checks.real_number("tol", tol, 0, closed="left")
        self._forget()

    def _forget(self):
        self.epochs_, self.losses_, self.best_loss_ = [], [], math.inf
        self._no_change, self._best = 0, None

    def begin(self, net, X, y, max_iter):
        """Refuse data that is not for this network."""
        net.loss(*self._data)
        self._forget()

    def __call__(self, net):
        """Look; whether the loss has not fallen for long enough."""
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

    def end(self, net, completed):
        """Put the best parameters back."""
        if self._best is not None and completed:
            net.params_[:] = self._best
            net.reset_solver()
        self._best = None
