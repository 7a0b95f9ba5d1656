"""Fits of several networks by several threads: the next one goes to whoever is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from fastnn import threads

# what a fit raises whose numbers, not whose arguments, are to blame
Failure = FloatingPointError | ZeroDivisionError
FAILURES = (FloatingPointError, ZeroDivisionError)


def train_each(
    n_threads: int,
    order: Sequence[int],
    fit: Callable[[int, threading.Event], None],
    progress: Callable[[int], object] | None = None,
) -> dict[int, Failure]:
    """Call fit(i, over) for each i of order; returns the failures, by i.

    Parameters
    ----------
    n_threads : int
    order : sequence of int
    fit : callable
        It ends soon after `over` is set, which happens when another one raised anything but a
        failure, or Ctrl-C was pressed.
    progress : callable, optional
        Called in the caller's thread with how many are done, whenever that is another number; if
        it returns True, no more are begun.

    Raises
    ------
    BaseException
        What a fit or progress raised, once no fit is under way.
    """
    failures: dict[int, Failure] = {}
    over, enough, lock = threading.Event(), threading.Event(), threading.Lock()
    caller, n_under_way, n_done, told = threading.get_ident(), 0, 0, 0

    def tell() -> None:
        nonlocal told
        if progress is not None and told != n_done:
            told = n_done
            if progress(told) is True:
                enough.set()

    def is_waiting() -> bool:
        return n_under_way > 0 if enough.is_set() else n_done < len(order)

    def one_after_the_other(numbers: Iterator[int]) -> None:
        nonlocal n_done, n_under_way
        is_caller = threading.get_ident() == caller
        try:
            for i in numbers:
                if enough.is_set():
                    break
                with lock:
                    n_under_way += 1
                try:
                    fit(i, over)
                except FAILURES as error:
                    failures[i] = error
                finally:
                    with lock:
                        n_under_way -= 1
                with lock:
                    n_done += 1
                if is_caller:
                    tell()
            while is_caller and not over.is_set() and is_waiting():
                over.wait(0.01)  # here Ctrl-C ends the others' fits, too
                tell()
        except BaseException:
            over.set()
            raise

    threads.side_by_side(n_threads, order, one_after_the_other)
    if not over.is_set():
        tell()
    return failures
