"""Fits of several networks by several threads: the next one goes to whoever is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from fastnn import threads

# what a fit raises whose numbers, not whose arguments, are to blame
Failure = FloatingPointError | ZeroDivisionError
FAILURES = (FloatingPointError, ZeroDivisionError)
_Task = TypeVar("_Task")


class Fits:
    """How fits that run side by side stand.

    Attributes
    ----------
    over : threading.Event
        Set once a thread raised something: fits are to end soon.
    failures : dict
        The number of each fit that failed, and what it raised.
    """

    def __init__(self, n_fits: int, progress: Callable[[int], object] | None) -> None:
        self.over = threading.Event()
        self.failures: dict[int, Failure] = {}
        self._enough, self._lock, self._progress = threading.Event(), threading.Lock(), progress
        self._changed = threading.Event()  # more are done
        self._n_fits, self._n_begun, self._n_done, self._told = n_fits, 0, 0, 0
        self._caller = threading.get_ident()

    @property
    def end_soon(self) -> bool:
        """Whether no more fits are to begin."""
        return self._enough.is_set() or self.over.is_set()

    def begin(self, n: int) -> None:
        """Count n fits that begin now."""
        with self._lock:
            self._n_begun += n

    def done(self, n: int) -> None:
        """Count n of them that ended."""
        with self._lock:
            self._n_done += n
        self._changed.set()
        self.tell()

    def tell(self) -> None:
        """Call progress with another number, in the caller's thread."""
        if threading.get_ident() != self._caller or self._progress is None:
            return
        n_done = self._n_done
        if n_done != self._told:
            self._told = n_done
            if self._progress(n_done) is True:
                self._enough.set()

    def wait(self) -> None:
        """Have the caller's thread wait for the others; here Ctrl-C ends their fits, too."""
        while not self.over.is_set() and self._n_done < (
            self._n_begun if self._enough.is_set() else self._n_fits
        ):
            self._changed.wait(0.01)
            self._changed.clear()
            self.tell()


def train_side_by_side(
    n_threads: int,
    tasks: Sequence[_Task],
    n_fits: int,
    work: Callable[[Iterator[_Task], Fits], None],
    progress: Callable[[int], object] | None = None,
) -> dict[int, Failure]:
    """Call work(iterator of tasks, fits) in up to n_threads threads; returns the failures.

    Parameters
    ----------
    n_threads : int
    tasks : sequence
        Each comes out of one of the iterators.
    n_fits : int
        What the tasks are together.
    work : callable
        It tells `fits` of those that begin and end, and returns soon after `fits.over` is set,
        which happens when another thread raised something, or Ctrl-C was pressed.
    progress : callable, optional
        Called in the caller's thread with how many are done, whenever that is another number; if
        it returns True, no more should begin.

    Raises
    ------
    BaseException
        What work or progress raised, once no work is under way.
    """
    fits, caller = Fits(n_fits, progress), threading.get_ident()

    def some(own: Iterator[_Task]) -> None:
        try:
            work(own, fits)
            if threading.get_ident() == caller:
                fits.wait()
        except BaseException:
            fits.over.set()
            raise

    threads.side_by_side(n_threads, tasks, some)
    if not fits.over.is_set():
        fits.tell()
    return fits.failures


def train_each(
    n_threads: int, order: Sequence[int], fit: Callable[[int, threading.Event], None]
) -> dict[int, Failure]:
    """Call fit(i, over) for each i of order; returns the failures, by i.

    fit ends soon after `over` is set: see `train_side_by_side`.
    """

    def work(numbers: Iterator[int], fits: Fits) -> None:
        for i in numbers:
            one_fit(i, fit, fits)

    return train_side_by_side(n_threads, order, len(order), work)


def one_fit(i: int, fit: Callable[[int, threading.Event], None], fits: Fits) -> None:
    """Call fit(i, over), and take note of a failure."""
    fits.begin(1)
    try:
        fit(i, fits.over)
    except FAILURES as error:
        fits.failures[i] = error
    fits.done(1)
