"""How many threads may work, and the team of threads that works for one fit.

A team's helpers are Python threads that stay in a compiled call, without the GIL, until the team
is closed; `kernels/threads.h` has what they do there. No helper outlives its fit, and none is
started for work that one thread does as fast.

A forked child has no helpers, only a copy of their memory. It forgets its parent's teams and goes
on with one thread.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from numpy import uint8
from numpy.typing import NDArray

from fastnn import kernels, pages
from fastnn.data import checks

if TYPE_CHECKING:
    from pathlib import Path  # which takes longer to load than most of fastnn: where it is used

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_chosen: int | None = None  # by set_num_threads


# ---- how many -----------------------------------------------------------------------------------


def set_num_threads(n: int | None) -> None:
    """Use up to n threads to train and predict, in networks without n_jobs.

    Parameters
    ----------
    n : int or None
        Whole number >= 1; -1: all available; None: what FASTNN_NUM_THREADS says, or all.

    Raises
    ------
    TypeError, ValueError
        For anything else, or if FASTNN_NUM_THREADS is not a whole number >= 1.

    Notes
    -----
    The number of threads never changes a result, and one thread does small work whatever the
    number. The number is limited by the cores that this process may use and by OMP_NUM_THREADS,
    which joblib sets in its workers.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.set_num_threads(1)
    >>> fastnn.get_num_threads()
    1
    >>> fastnn.set_num_threads(None)  # as many as there are
    """
    global _chosen
    from_environment()
    _chosen = checks.n_jobs("n", n)


def get_num_threads() -> int:
    """How many threads training and prediction may use.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.get_num_threads() >= 1
    True
    """
    return resolve(None)


def resolve(n_jobs: int | None) -> int:
    """The number of threads for n_jobs, which is None, -1 or a whole number, checked already."""
    requested = from_environment()
    wanted = _chosen if n_jobs is None else n_jobs
    if wanted is None:
        wanted = requested
    most = _available()
    return most if wanted is None or wanted == -1 else min(wanted, most)


VARIABLE = "FASTNN_NUM_THREADS"
# os.environ.get encodes and decodes for 0.7 us, a tenth of the time to predict one row; the
# dictionary behind it takes 0.03 us.
_variables: Any = getattr(os.environ, "_data", os.environ)
_key: Any = VARIABLE if _variables is os.environ else os.environ.encodekey(VARIABLE)
_parsed: tuple[object, int | None] = None, None  # the value seen last, and its number


def from_environment() -> int | None:
    """The number in FASTNN_NUM_THREADS; None if it is not set.

    Work too small for more than one thread calls this too, to refuse a bad value.

    Raises
    ------
    ValueError
        If it is not a whole number >= 1.
    """
    global _parsed
    value = _variables.get(_key)
    seen, number = _parsed
    if value is seen:
        return number
    text = os.environ.get(VARIABLE, "").strip()
    number = _count(text)
    if text and number is None:
        message = f"{VARIABLE} must be a whole number >= 1, got {checks.shown(text)}"
        raise ValueError(pages.see("threads", message))
    _parsed = value, number
    return number


def _count(text: str) -> int | None:
    """text as a whole number >= 1, or None; Python reads no number of many thousand digits."""
    digits = text.strip().removeprefix("+")
    if not digits.isdecimal():
        return None
    return (int(digits) if len(digits) < 1000 else sys.maxsize) or None


def _available() -> int:
    """The cores that this process may use: affinity, cgroup quota and OMP_NUM_THREADS."""
    return int(min(_affinity(), _quota(), _openmp()))


def limits() -> dict[str, float]:
    """What limits the number of threads, and to how many each; infinity: it does not.

    Raises
    ------
    ValueError
        If FASTNN_NUM_THREADS is not a whole number >= 1.
    """
    return {
        "affinity": _affinity(),
        "control group": _quota(),
        "OMP_NUM_THREADS": _openmp(),
        VARIABLE: from_environment() or math.inf,
    }


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _openmp() -> float:
    # The list has a number for each level of nesting. OpenMP, too, ignores what is not a number.
    return _count(os.environ.get("OMP_NUM_THREADS", "").split(",")[0]) or math.inf


@functools.cache
def _quota(root: str | Path = "/sys/fs/cgroup", member: str | Path = "/proc/self/cgroup") -> float:
    """Cores allowed by the quotas of this process's control group and its parents, rounded up."""
    from pathlib import Path

    root, member = Path(root), Path(member)
    folders = {root, root / "cpu"}  # version 2 and 1; a container has only these
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


def _quota_of(folder: Path) -> float:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()[:2]
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ArithmeticError):  # no quota ("max"), or an impossible one
        return math.inf
    return max(1, math.ceil(cores)) if cores > 0 else math.inf


# ---- who works ----------------------------------------------------------------------------------

_at_work: set[int] = set()  # threads whose calls compute, and would with several threads
_helping: set[int] = set()  # threads that work for one of those


class AtWork:
    """A call that would have several threads, while it computes; those within it do not count."""

    _thread = 0

    def __enter__(self) -> AtWork:
        thread = threading.get_ident()
        if thread not in _at_work and thread not in _helping:
            self._thread = thread
            _at_work.add(thread)
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        """It is over, whichever thread says so."""
        if self._thread:
            _at_work.discard(self._thread)
            self._thread = 0

    __del__ = end  # of a fit that was abandoned


def share(n_threads: int) -> int:
    """How many of n_threads to use now, so that calls side by side share the cores."""
    n_others = len(_at_work) - (threading.get_ident() in _at_work)
    if n_threads == 1 or not n_others:
        return n_threads
    return max(1, min(n_threads, _available() // (n_others + 1)))


# ---- a team -------------------------------------------------------------------------------------


class Team:
    """n_threads - 1 helpers and the caller, for the length of a `with` block.

    Parameters
    ----------
    build : module
        A build of the kernels.
    n_threads : int
        1: no helpers, no memory.

    Attributes
    ----------
    memory : ndarray of uint8 or None
        The argument for the kernels; None for one thread.
    n_threads : int
        Fewer than requested if the system starts no more, and 1 in a forked child. A compiled call
        may use fewer: `share` says how many, and no result depends on it.
    """

    def __init__(self, build: Any, n_threads: int) -> None:
        self._build, self.n_threads = build, n_threads
        self._at_work = AtWork()
        self._helpers: list[threading.Thread] = []
        self.memory: NDArray[uint8] | None = None
        self._at_end: Any = None  # closes an abandoned team

    def __enter__(self) -> Team:
        if self.memory is not None:  # Ctrl-C at the beginning of __exit__ leaves it open
            self.close()
        if self.n_threads == 1:
            return self
        try:
            self._at_work.__enter__()
            self._start()
        except BaseException:  # Ctrl-C, or no memory
            self._at_work.end()
            raise
        return self

    def _start(self) -> None:
        self.memory = kernels.aligned_empty(self._build.team_size(self.n_threads))
        self._build.open_team(self.memory, self.n_threads)
        self._helpers = []
        # once nothing refers to it
        at_end = weakref.finalize(self, _close_team, self._build, self.memory, self._helpers)
        at_end.atexit = False
        self._at_end = at_end
        _open_teams.add(self)
        try:
            while len(self._helpers) < self.n_threads - 1:
                index = len(self._helpers) + 1
                helper = threading.Thread(
                    target=self._build.serve_team, args=(self.memory, index), daemon=True,
                    name=f"fastnn-{index}",
                )  # fmt: skip
                self._helpers.append(helper)  # first: a thread may run although start() fails
                helper.start()
        except RuntimeError:  # can't start new thread: fewer give the same result
            self.n_threads = len(self._helpers)
        except BaseException:  # Ctrl-C, or no memory
            _close_team(self._build, self.memory, self._helpers)
            raise

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Send the helpers home. That takes no memory."""
        if self.memory is None:  # one thread
            return
        self._at_work.end()
        if self._helpers:  # Ctrl-C in between leaves them on their way
            self._build.close_team(self.memory)
        _close_team(self._build, self.memory, self._helpers)
        self.memory = None
        self._at_end.detach()
        _open_teams.discard(self)

    def _forget_helpers(self) -> None:
        """Go on alone, in a forked child.

        A helper may have held its mutex, and a condition that it was parked on can never be
        destroyed. So nothing may touch either: the memory becomes a team of one. Compiled calls
        that were given this memory and the former number of threads then share no work.
        """
        if self.memory is not None:
            self._build.open_team(self.memory, 1)
        self._helpers.clear()
        self.n_threads = 1


def _close_team(build: Any, memory: NDArray[uint8], helpers: list[threading.Thread]) -> None:
    if not helpers:  # none was started, or it is closed already
        return
    build.close_team(memory)
    if _wait_for(helpers):
        build.free_team(memory)
    helpers.clear()


def _wait_for(helpers: list[threading.Thread]) -> bool:
    """Wait until helpers have left; whether all have, for certain. Usually it takes no memory.

    start() may fail with the thread not begun, or about to begin, or running.
    """
    i, patience, certain = 0, 100, True
    while i < len(helpers):
        helper = helpers[i]
        if helper.ident is not None:
            try:
                helper.join()
            except (RuntimeError, MemoryError):  # not quite begun, or memory is short
                pass
            else:
                # what a signal's handler raises in join marks the thread as ended, up to Python
                # 3.12
                while _is_listed(helper):
                    time.sleep(0.0002)
                i += 1
                continue
        elif not _is_listed(helper):
            i += 1
            continue
        patience -= 1
        if patience == 0:  # a thread that begins later finds a closed team, or no items
            i, patience, certain = i + 1, 1, False
        else:
            time.sleep(0.001)
    return certain


def _is_listed(helper: threading.Thread) -> bool:
    """Whether it runs, or may begin to."""
    try:
        return helper in threading.enumerate()
    except (MemoryError, RuntimeError):
        return True


_open_teams: weakref.WeakSet[Team] = weakref.WeakSet()
_n_forks = 0  # between this process and the one that imported fastnn
_drawing: dict[int, Sequence[Any]] = {}  # thread -> locks of bit generators that it draws from


def draw(kernel: Callable[..., object], bit_generator: Any, *args: Any) -> None:
    """Call kernel(bit_generator, *args), which draws without the GIL, holding the lock for that.

    In a child that another thread forks meanwhile, nobody would ever release the lock, and
    np.random has but one. NumPy's own shuffles keep the GIL.
    """
    lock, thread = bit_generator.lock, threading.get_ident()
    _drawing[thread] = (lock,)
    try:
        with lock:
            kernel(bit_generator, *args)
    finally:
        _drawing.pop(thread, None)


def draw_from_many(
    bit_generators: Iterable[Any], kernel: Callable[..., _Result], *args: Any
) -> _Result:
    """Return kernel(*args), which draws from all of these, as `draw` does from one."""
    locks = {id(one.lock): one.lock for one in bit_generators}
    in_order = [locks[i] for i in sorted(locks)]  # the same in all threads: no two wait in a ring
    thread = threading.get_ident()
    _drawing[thread] = in_order

    def with_locks(i: int) -> _Result:
        if i == len(in_order):
            return kernel(*args)
        with in_order[i]:
            return with_locks(i + 1)

    try:
        return with_locks(0)
    finally:
        _drawing.pop(thread, None)


def _after_fork() -> None:
    global _n_forks
    _n_forks += 1
    for thread in [*_at_work, *_helping]:
        if thread != threading.get_ident():
            _at_work.discard(thread)
            _helping.discard(thread)
    for team in list(_open_teams):
        team._forget_helpers()
    _open_teams.clear()
    own = _drawing.pop(threading.get_ident(), ())  # by a finalizer or signal handler
    for locks in _drawing.values():
        for lock in locks:
            if not any(lock is one for one in own):
                lock._at_fork_reinit()  # its thread does not exist here
    _drawing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- independent items --------------------------------------------------------------------------


def side_by_side(
    n_threads: int, items: Sequence[_Item], work: Callable[[Iterator[_Item]], None]
) -> None:
    """Call work(iterator of items) in a share of n_threads threads, one of them the caller's.

    Every item comes out of one of the iterators. Fewer threads work if there are fewer items, or
    if the system starts no more. After an exception in one call, or Ctrl-C, the iterators end; the
    exception is raised here when all calls have returned.

    Raises
    ------
    RuntimeError
        In a child that a signal handler or a finalizer forked during the caller's work: items that
        other threads had taken are lost there.
    """
    left, lock = iter(items), threading.Lock()
    errors: list[BaseException | None] = [None]  # room for the first, which takes no memory
    helpers: list[threading.Thread] = []
    n_forks = _n_forks
    n_under_way = [0]  # items

    def taken() -> Iterator[_Item]:
        while errors[0] is None and _n_forks == n_forks:
            with lock:
                try:
                    item = next(left)
                except StopIteration:
                    return
                n_under_way[0] += 1
            try:
                yield item
            finally:
                with lock:
                    n_under_way[0] -= 1

    def help_out() -> None:
        try:
            _helping.add(threading.get_ident())
            work(taken())
        except BaseException as error:
            if errors[0] is None:
                errors[0] = error
        finally:
            _helping.discard(threading.get_ident())

    at_work = AtWork()
    try:
        if n_threads > 1:
            at_work.__enter__()
        for i in range(1, min(share(n_threads), len(items))):
            helper = threading.Thread(target=help_out, daemon=True, name=f"fastnn-{i}")
            helpers.append(helper)  # first: a thread may run although start() fails
            try:
                helper.start()
            except RuntimeError:  # can't start new thread, or no lock to wait for its start
                break
        work(taken())
        _wait_for(helpers)
        # where memory is short, join may fail; after an error iterators may stay as they are
        while n_under_way[0] and errors[0] is None and _n_forks == n_forks:
            time.sleep(0.001)
        if helpers and _n_forks != n_forks:
            raise RuntimeError(
                "this process was forked while several threads worked on one result, which only "
                "the parent process can finish"
            )
    except BaseException as error:
        if errors[0] is None:
            errors[0] = error
        _wait_for(helpers)
        raise
    finally:
        at_work.end()
    if errors[0] is not None:
        raise errors[0]
