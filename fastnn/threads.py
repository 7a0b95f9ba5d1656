"""How many threads training may use, and the team of threads that works for one fit.

A team's helpers are Python threads that sit in a compiled call without the GIL until the team is
closed; what they do there is in `kernels/threads.h`. None of them outlives its fit, and none is
started for work that one thread does as fast.
"""

import functools
import math
import os
import sys
import threading
import weakref
from pathlib import Path

from fastnn import kernels as builds
from fastnn.data import checks

_chosen = None  # by set_num_threads


def set_num_threads(n):
    """Use up to n threads to train and predict, in networks that have no n_jobs of their own.

    Parameters
    ----------
    n : int or None
        Whole number >= 1; -1: all that may be used; None: what FASTNN_NUM_THREADS says, or all.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Notes
    -----
    The number of threads never changes a result, and small work is done by one thread whatever
    the number. More than the cores that this process may use, or than OMP_NUM_THREADS, are never
    used; joblib sets that variable in its workers.
    """
    global _chosen
    _chosen = checks.n_jobs("n", n)


def get_num_threads():
    """How many threads training and prediction may use: at least 1."""
    return resolve(None)


def resolve(n_jobs):
    """The number of threads for n_jobs: None, -1 or a whole number, checked already."""
    most = _available()
    wanted = _chosen if n_jobs is None else n_jobs
    if wanted is None:
        wanted = _from_environment("FASTNN_NUM_THREADS")
    return most if wanted is None or wanted == -1 else min(wanted, most)


def _from_environment(name):
    """A whole number >= 1 from an environment variable, None if it is not set."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    n = _count(text)
    if n is None:
        raise ValueError(f"{name} must be a whole number >= 1, got {checks.shown(text)}")
    return n


def _count(text):
    """text as a whole number >= 1, or None; Python reads no number of many thousand digits."""
    digits = text.strip().removeprefix("+")
    if not digits.isdecimal():
        return None
    return (int(digits) if len(digits) < 1000 else sys.maxsize) or None


def _available():
    """The cores that this process may use: affinity, cgroup quota and OMP_NUM_THREADS."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # a list has a number for each level of nesting; what is not a number, OpenMP ignores too
    bound = _count(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
    return min(cores, _quota(), bound or cores)


@functools.cache
def _quota(root=Path("/sys/fs/cgroup"), member=Path("/proc/self/cgroup")):
    """Whole cores that quotas allow this process's control group and all above it, at least 1."""
    folders = {root, root / "cpu"}  # version 2 and 1; in a container, all that is there
    try:
        lines = member.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if ".." not in path and (not controllers or "cpu" in controllers.split(",")):
            folder = (root / "cpu" if controllers else root) / path.strip("/")
            folders.update(f for f in (folder, *folder.parents) if f.is_relative_to(root))
    return min(map(_quota_of, folders))


def _quota_of(folder):
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()[:2]
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ArithmeticError):  # no quota ("max"), or none that can be
        return math.inf
    return max(1, math.ceil(cores)) if cores > 0 else math.inf


class Team:
    """n_threads - 1 helpers and the caller, for the length of a `with` block.

    Parameters
    ----------
    kernels : module
        A build of the kernels.
    n_threads : int
        1: no helpers, no memory.

    Attributes
    ----------
    memory : ndarray of uint8 or None
        What the kernels take; None for one thread.
    n_threads : int
        Fewer than asked for where the system starts no more.
    """

    def __init__(self, kernels, n_threads):
        self._kernels, self.n_threads, self._helpers = kernels, n_threads, []
        self.memory = None
        self._close = lambda: None

    def __enter__(self):
        self._close()  # Ctrl-C at the beginning of __exit__ leaves it open
        if self.n_threads == 1:
            return self
        self.memory = builds.aligned_empty(self._kernels.team_size(self.n_threads))
        self._kernels.open_team(self.memory, self.n_threads)
        self._helpers = []
        # and if nobody enters again, the helpers leave when nobody has the team any more
        self._close = weakref.finalize(
            self, _close_team, self._kernels, self.memory, self._helpers
        )
        self._close.atexit = False
        try:
            for i in range(1, self.n_threads):
                helper = threading.Thread(
                    target=self._kernels.serve_team, args=(self.memory, i), daemon=True,
                    name=f"fastnn-{i}",
                )  # fmt: skip
                helper.start()
                self._helpers.append(helper)
        except RuntimeError:  # can't start new thread: the result is the same with those there are
            self.n_threads = len(self._helpers) + 1
        except BaseException:  # Ctrl-C
            self._close()
            raise
        return self

    def __exit__(self, *exception):
        self._close()
        self.memory = None


def _close_team(kernels, memory, helpers):
    kernels.close_team(memory)
    for helper in helpers:
        helper.join()
    kernels.free_team(memory)


def side_by_side(n_threads, items, work):
    """Call work(some items) in up to n_threads threads, of which the caller's is one.

    Each gets an iterator; every item comes out of one of them. Fewer threads work where there are
    fewer items, or where the system starts no more. Once a call has raised, or Ctrl-C came, the
    iterators end; the exception is raised here when all have returned.
    """
    left, lock, errors, helpers = iter(items), threading.Lock(), [], []

    def taken():
        while not errors:
            with lock:
                item = next(left, lock)
            if item is lock:
                return
            yield item

    def help_out():
        try:
            work(taken())
        except BaseException as error:
            errors.append(error)

    try:
        for i in range(1, min(n_threads, len(items))):
            helper = threading.Thread(target=help_out, daemon=True, name=f"fastnn-{i}")
            try:
                helper.start()
            except RuntimeError:  # can't start new thread
                break
            helpers.append(helper)
        work(taken())
        for helper in helpers:
            helper.join()
    except BaseException as error:
        errors.append(error)
        for helper in helpers:
            helper.join()
        raise
    if errors:
        raise errors[0]
