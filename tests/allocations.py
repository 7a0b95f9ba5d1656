"""Lets the allocations of a call fail, in a process of its own: for test_allocations.

Case is one call and what must hold after it; `attack` runs in the child, `attacked` starts it. The
calls are in allocation_cases.
"""

import faulthandler
import functools
import gc
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np

from fastnn import MLPClassifier, MLPRegressor, Network

# What fails is counted in one thread alone: the last that called allocations_of_this_thread.
# Nothing here allocates. A crash prints where it was and where memory had failed.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

long armed, fail_at, fail_for, counted;
static pthread_t owner;
static void *frames[48], *no_frames[4];
static int n_frames, installed;
static struct sigaction before[NSIG];

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

static int fails(void)
{
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST)) return 0;
    if (!pthread_equal(owner, pthread_self())) return 0;
    const long i = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    if (i < fail_at || i >= fail_at + fail_for) return 0;
    if (i == fail_at) n_frames = backtrace(frames, 48);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return fails() ? NULL : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { return fails() ? NULL : __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { return fails() ? NULL : __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n)
{
    void *q = fails() ? NULL : __libc_memalign(a, n);
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}

static void crashed(int number)
{
    static const char one[] = "native stack of the crash:\n", two[] = "memory failed in:\n";
    void *here[48];
    armed = 0;
    int n = backtrace(here, 48);
    if (write(2, one, sizeof one - 1) < 0) return;
    backtrace_symbols_fd(here, n, 2);
    if (write(2, two, sizeof two - 1) < 0) return;
    backtrace_symbols_fd(frames, n_frames, 2);
    sigaction(number, &before[number], NULL);
    raise(number);
}

void allocations_of_this_thread(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = crashed;
    for (int i = 0; i < 4 && !installed; i++)
        sigaction(numbers[i], &action, &before[numbers[i]]);
    installed = 1;
    owner = pthread_self();
    backtrace(no_frames, 4); /* which allocates at its first call */
}

/* The library of the i-th frame from the inside where memory failed, and its symbol. */
const char *frame_library(int i)
{
    Dl_info info;
    return i < n_frames && dladdr(frames[i], &info) ? info.dli_fname : NULL;
}

const char *frame_symbol(int i)
{
    Dl_info info;
    return i < n_frames && dladdr(frames[i], &info) ? info.dli_sname : NULL;
}
"""


class Shim:
    """The library in the process that it was loaded into; `failing` arms it."""

    def __init__(self):
        import ctypes

        library = ctypes.PyDLL(None)
        names = ("armed", "fail_at", "fail_for", "counted")
        self._words = {name: ctypes.c_long.in_dll(library, name) for name in names}
        self._armed = self._words["armed"]
        for name in ("frame_library", "frame_symbol"):
            getattr(library, name).restype = ctypes.c_char_p
        self._library = library
        library.allocations_of_this_thread()

    def call(self, call, n, length=1, others=False):
        """The result of call() and what it raised, and whether it had an n-th allocation."""
        words, armed = self._words, self._armed
        words["fail_at"].value, words["fail_for"].value = n, length
        words["counted"].value = 0
        result = error = None
        self._library.allocations_of_this_thread()
        run = threading.Thread.run
        if others:
            threading.Thread.run = self._in_helpers(run)
        else:
            armed.value = 1  # neither this nor the end of it allocates
        try:
            result = call()
        except BaseException as raised:
            armed.value = 0
            error = raised
        armed.value = 0
        threading.Thread.run = run
        return result, error, words["counted"].value >= n

    def _in_helpers(self, run):
        """Thread.run that is armed: before it is called, Python waits for a thread for ever."""

        def armed_run(thread):
            self._library.allocations_of_this_thread()
            self._armed.value = 1
            try:
                run(thread)
            finally:
                self._armed.value = 0

        return armed_run

    def counted(self):
        """Allocations of the last call."""
        return self._words["counted"].value

    def frames(self):
        """Library and symbol of the frames where memory failed last, from the inside."""
        library, found = self._library, []
        while (name := library.frame_library(len(found))) is not None:
            symbol = (library.frame_symbol(len(found)) or b"?").decode()
            found.append(f"{Path(name.decode()).name}:{symbol}")
        return found[2:]  # without the shim's own


# ---- what Python and NumPy make of it -----------------------------------------------------------

NO_MEMORY = "can't start new thread", "can't allocate lock"
# Kind and words of errors that others raise where memory failed in them, and why. They count only
# if no kernel of fastnn's is between the allocation and the interpreter.
MISNAMED = [
    (SystemError, "error return without exception set", "NumPy's reductions and indexing"),
    (SystemError, "returned NULL without setting an exception", "NumPy's and Python's functions"),
    (SystemError, "returned a result with an exception set", "NumPy's __reduce__"),
    (TypeError, "not an array that kernels can use", "NumPy forgets dtype=, and takes float64"),
    (ValueError, "got a Float64DType", "copies of np.dtype"),
    (struct.error, "required argument is not a float", "struct.pack, of a float"),
    (pickle.PicklingError, "Can't pickle", "pickle, of what it cannot import without memory"),
    (AttributeError, "has no attribute 'partial_fit'", "scikit-learn's available_if"),
    (TypeError, "cannot cast dtype bool to", "NumPy looks for another loop of ==: scikit-learn"),
]
# What says "ignored" where Python closes a generator or begins a thread, or NumPy frees an array,
# without memory. Of fastnn's functions it would give the name.
IGNORED = "in <generator object", "in <bound method Thread._bootstrap", "in None"
# Crashes: how libraries are named of which the first frame of one is, and why it is not fastnn's.
# No kernel of fastnn's may be among the frames up to the interpreter.
CRASHES = [
    ("mtrand", "NumPy's RandomState uses objects that could not be made"),
    ("bit_generator", "the same"),
    ("_multiarray_umath", "NumPy uses an array, a type or a tuple that could not be made"),
    ("python", "Python uses an object that could not be made, such as np.errstate's token"),
]


NO_TLS = "cannot allocate memory for thread-local data"
IN_A_ROW = 1  # allocations that fail


def innermost(frames):
    """The native frames between the allocation and the interpreter."""
    for i, frame in enumerate(frames):
        if ":_PyEval_Eval" in frame:
            return frames[:i]
    return frames


# ---- a call -------------------------------------------------------------------------------------


def content(value):
    """What a value is made of, to compare: arrays by their bytes, objects by their state."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return "objects", value.shape, [content(one) for one in value.ravel()]
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (np.generic, float)):
        return type(value).__name__, repr(value)
    if isinstance(value, np.random.RandomState):
        return content(value.get_state(legacy=False))
    if isinstance(value, dict):
        return {key: content(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [content(one) for one in value]
    if isinstance(value, (Network, MLPClassifier, MLPRegressor)):
        return content(value.__getstate__())
    if type(value).__module__.startswith(("fastnn", "sklearn")) and hasattr(value, "__dict__"):
        return content(vars(value))
    return value if isinstance(value, (str, int, bytes, type(None), type)) else type(value)


class Case:
    """A public call.

    new() gives an object that call(object) may change; check(object, error) says whether
    everything in it belongs together. Without check nothing may have changed, unless the call
    succeeds.
    """

    def __init__(self, new, call, check=None):
        self.new, self.call, self.given_check = new, call, check
        self._begin, whole = content(new()), new()
        self._end = content(call(whole)), content(whole)

    @staticmethod
    def is_allowed(error, frames):
        """Whether an error says that memory failed, as clearly as Python and NumPy say it."""
        if isinstance(error, MemoryError):
            return True
        if type(error) is RuntimeError and str(error) in NO_MEMORY:
            return True
        own = any("_kernels" in frame for frame in innermost(frames))
        return not own and any(
            type(error) is kind and words in str(error) for kind, words, _ in MISNAMED
        )

    def check(self, one, result, error, frames=()):
        """Complain of what is wrong after a call that returned or raised."""
        now = content(one)
        if error is None:
            assert content(result) == self._end[0], "another result"
            assert now == self._end[1], "another state"
            return
        assert self.is_allowed(error, frames), f"{type(error).__name__}: {error}"
        if now == self._begin:
            assert content(self.call(one)) == self._end[0], "another result the second time"
            assert content(one) == self._end[1], "another state the second time"
        else:
            assert self.given_check, "changed"
            self.given_check(one, error)


# ---- in a child ---------------------------------------------------------------------------------


def n_begun():
    """Threads that are at what they were started for.

    Where memory failed, Python's list may keep one that never began; and Thread.start may leave a
    lock held, for which the new thread then waits for ever before it begins.
    """
    run, n = threading.Thread.run.__code__, 0
    for frame in sys._current_frames().values():
        while frame is not None and frame.f_code is not run:
            frame = frame.f_back
        n += frame is not None
    return n


def attack(cases, names, length, others, most, progress):
    """Let `length` allocations of the calls fail, from each one on.

    Where there are more than `most`, some are left out between them. It prints a line for each
    finding and for each call.

    progress is a file of two numbers: which call and allocation to begin with, and then where it
    is, for whom a crash leaves them.
    """
    global IN_A_ROW
    IN_A_ROW = length
    faulthandler.enable()
    warnings.simplefilter("ignore")
    where = np.memmap(progress, np.int64, "r+", shape=2)
    ignored = []
    sys.unraisablehook = lambda args: ignored.append(
        f"{type(args.exc_value).__name__} in {args.object!r:.200}"
    )
    shim, first = Shim(), [int(where[0]), int(where[1])]
    for i, name in enumerate(names):
        if i < first[0]:
            continue
        case = cases[name]()
        one = case.new()
        shim.call(functools.partial(case.call, one), sys.maxsize, 1, others)
        step = -(-shim.counted() // most)
        n = first[1] + step if i == first[0] and first[1] else 1
        n_threads, n_failed, made = n_begun(), 0, case.new()
        gc.collect()
        while True:
            where[:] = i, n
            faulthandler.dump_traceback_later(60, exit=True)
            made = case.new()
            call, one = case.call, made
            result, error, reached = shim.call(functools.partial(call, one), n, length, others)
            frames = shim.frames() if reached else []
            trace = error and error.__traceback__
            lines = []
            while trace:
                lines.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
                trace = trace.tb_next
            what = None
            try:
                case.check(made, result, error, frames)
                assert n_begun() == n_threads, "a thread is left"
            except BaseException as raised:
                what = f"{type(raised).__name__}: {raised}"
            if any(not any(words in one for words in IGNORED) for one in ignored):
                what = f"ignored: {ignored}; {what}"
            ignored.clear()
            if what:
                print(json.dumps({
                    "name": name, "n": n, "what": what, "error": repr(error), "lines": lines,
                    "frames": frames,
                }), flush=True)  # fmt: skip
            error = result = trace = None
            if not reached:
                break
            n_failed += 1
            n += step
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"name": name, "failed": n_failed, "last": n}), flush=True)


# ---- the parent ---------------------------------------------------------------------------------


def attacked(shim, names, length=1, others=False, most=1000):
    """What an attack on calls finds: complaints, and how many allocations of each call failed.

    After a crash it goes on behind it.
    """
    more = os.environ.get("PYTHONPATH")
    env = {
        **os.environ, "LD_PRELOAD": shim, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *([more] if more else [])]),
    }  # fmt: skip
    imports = "from allocation_cases import CASES; from allocations import attack"
    progress, complaints, failed, crashes = f"{shim}.progress", [], {}, 0
    np.array([0, 0], np.int64).tofile(progress)
    while True:
        code = f"attack(CASES, {names!r}, {length}, {others}, {most}, {progress!r})"
        done = subprocess.run(
            [sys.executable, "-P", "-c", f"{imports}; {code}"],
            capture_output=True, text=True, env=env, errors="replace",
        )  # fmt: skip
        for line in map(json.loads, done.stdout.splitlines()):
            if "what" in line:
                complaints.append(
                    "{name}, allocation {n}: {what}; {lines}; {frames}".format(**line)
                )
            else:
                failed[line["name"]] = failed.get(line["name"], 0) + line["failed"]
        if done.returncode == 0:
            return complaints, failed, crashes
        if done.returncode > 0 and NO_TLS not in done.stderr:
            raise AssertionError(done.stderr)
        crashes += 1
        i, n = np.fromfile(progress, np.int64).tolist()
        why = crash_of(done.stderr)
        if why is None:
            complaints.append(f"{names[i]}, allocation {n}: crash\n{done.stderr}")
        np.array([i, n], np.int64).tofile(progress)


def crash_of(report):
    """Why a crash is not fastnn's, or None."""
    if NO_TLS in report:
        return "glibc's loader ends the process"
    here = report.partition("native stack of the crash:")[2].partition("memory failed in:")
    # Python may be stripped, and its own report names all modules
    stacks = here[0], here[2].partition("Fatal Python error")[0]
    for stack in stacks:
        if not stack or "_kernels" in stack.partition("_PyEval_Eval")[0]:
            return None
    names = [line.partition("(")[0].rpartition("/")[2] for line in here[0].split("\n")[1:]]
    first = next((n for n in names if n and not n.startswith(("shim", "libc.", "libm."))), "")
    return next((why for name, why in CRASHES if name in first), None)
