"""Every allocation fails once: no call crashes, no parameter is lost, and all goes on afterwards.

A small library stands before malloc and its relatives in a new process, and lets the n-th
allocation of a call fail, n = 1, 2, ..., until the call ends before its n-th: Python's, NumPy's
and the kernels' alike, as Python is told to take all its memory from malloc. The call then
succeeds with the right result, or it raises MemoryError. Parameters, curve and solver's state are
those before the call, or those after so many whole epochs; the object works, and where nothing had
changed, the same call gives the same bits as ever.

Ten allocations in a row fail, too. The last losses may then be missing from the curve, as they are
noted twice at most. More in a row would be a test of Python 3.11, which loops for ever where it
cannot note in which line an exception was raised.

Usually some allocations of some calls are tried. With FASTNN_THOROUGH=1 it is each of every call;
of the few calls with more than 1,200 (copies, pickles, scikit-learn's checks) it is 600 to 1,200,
and of ten in a row at most 30.
"""

import copy
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
import pytest
from conftest import COMPILED_ONLY, THOROUGH
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from test_memory import COMPILER

from fastnn import (
    MLPClassifier,
    MLPRegressor,
    Network,
    find_learning_rate,
    threads,
    tutorial,
    work,
)

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


# ---- calls --------------------------------------------------------------------------------------

RNG = np.random.RandomState(0)
X, Y = RNG.rand(40, 3), RNG.rand(40)
LABELS = (Y > 0.5).astype(int)
MANY_X, MANY_Y = RNG.rand(6_000, 20), RNG.rand(6_000, 3)


def content(value):
    """What a value is made of, to compare: arrays by their bytes, objects by their state."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return "objects", value.shape, [content(one) for one in value.ravel()]
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (np.generic, float)):
        return type(value).__name__, repr(value)
    if isinstance(value, np.random.RandomState):
        return [content(one) for one in value.get_state()]
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


CASES = {}


def case(name, *args, **kwargs):
    CASES[name] = lambda: Case(*args, **kwargs)


# ---- networks ----

OWN = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y)
FITS = {
    "adam": {}, "sgd": {"solver": "sgd", "momentum": 0.9}, "rprop": {"solver": "rprop"},
    "average": {"ema": 0.9}, "dropout": {"dropout": 0.2, "solver": "nadam"},
    "schedule": {"solver": "sgd", "learning_rate": "step"},
    "callback": {"callback": lambda net: None}, "own loss": {"loss": OWN},
    "weights": {"sample_weight": np.arange(40.0), "solver": "rmsprop"}, "float32": {"dtype": "f4"},
    "validation": {"X_val": X[:9], "y_val": Y[:9]},
    "best": {"X_val": X[:9], "y_val": Y[:9], "n_iter_no_change": 3},
    "whole": {"batch_size": 40}, "lists": {"X": X.tolist(), "y": Y.tolist()},
}  # fmt: skip


def fit_case(units=(3, 4, 1), X=X, y=Y, **options):
    options = {"max_iter": 4, "batch_size": 16, **options}
    made = {name: options.pop(name) for name in ("loss", "dtype", "n_jobs") if name in options}
    steps = 1 if options.get("solver") == "rprop" else -(-len(X) // options["batch_size"])
    if options.get("solver") == "rprop":
        del options["batch_size"]

    def new():
        return Network(units, "tanh", random_state=0, **made)

    seen = []

    def look(net):
        seen.append(net.params_.tobytes())

    look(new())
    whole = new()
    given = options.get("callback")
    whole.fit(X, y, **{**options, "callback": [given, look] if given else look})

    def check(net, error):
        n, state = len(net.loss_curve_), net._state
        assert net.loss_curve_ == whole.loss_curve_[:n], "another curve"
        if "loss" in made:  # one's own, whose epochs are many calls
            n_steps = 0 if state is None else state.n_steps
            assert steps * n <= n_steps <= steps * (n + 1), f"{n_steps} steps, {n} losses"
        elif "ema" not in options or IN_A_ROW == 1:  # else they may be those without an average
            assert net.params_.tobytes() in seen, "parameters of no epoch"
            k = seen.index(net.params_.tobytes())
            n_steps = 0 if state is None else state.n_steps
            assert n == k or (n < k and IN_A_ROW > 1), f"{n} losses, {k} epochs"
            assert n_steps == steps * n, f"{n_steps} steps, {n} losses"
        assert net._step is None
        net.partial_fit(X, y)
        assert np.isfinite(net.fit(X, y, max_iter=1).predict(X)).all()

    return Case(new, lambda net: net.fit(X, y, **options), check)


for how, options in FITS.items():
    CASES[f"fit, {how}"] = lambda options=options: fit_case(**options)


def many_threads():
    """As if this process had 4 cores, and all work were worth them, in parts of 1,024 rows."""
    threads._available, work.WORTH_A_THREAD, work.BUDGET = lambda: 4, 0, 1e6


def threads_case(call=None, units=None):
    many_threads()
    if call is None:
        return fit_case(NARROW, MANY_X, MANY_Y, batch_size=6_000, max_iter=2, solver="sgd")
    return Case(lambda: Network(units, "tanh", random_state=0), call)


CASES["fit, four threads"] = threads_case
NARROW, WIDE = (20, 40, 3), (20, 300, 50, 3)  # narrow nets predict without threads
IN_THREADS = {
    "predict": (lambda net: net.predict(MANY_X), WIDE),
    "loss": (lambda net: net.loss(MANY_X, MANY_Y), NARROW),
    "loss_and_grad": (lambda net: net.loss_and_grad(MANY_X, MANY_Y), NARROW),
}
for how, given in IN_THREADS.items():
    CASES[f"{how}, four threads"] = lambda given=given: threads_case(*given)


def small_net():
    return Network([3, 4, 1], "tanh", random_state=0)


def trained_net(**options):
    return small_net().partial_fit(X, Y, **options)


def partial_fit_case(new, **options):
    seen, net = [], new()
    for _ in range(4):
        seen.append((net.params_.tobytes(), list(net.loss_curve_)))
        net.partial_fit(X, Y, **options)

    def check(net, error):
        params = [one for one, _ in seen]
        if IN_A_ROW > 1:
            net.partial_fit(X, Y)
            assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()
            return
        assert net.params_.tobytes() in params, "parameters of no step"
        k = params.index(net.params_.tobytes())
        assert net.loss_curve_ == seen[k][1], f"{len(net.loss_curve_)} losses, epoch {k}"
        steps = 0 if net._state is None else net._state.n_steps
        assert steps == len(seen[k][1]) * seen_steps, f"{steps} steps, epoch {k}"
        net.partial_fit(X, Y)
        assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()

    seen_steps = -(-len(X) // options.get("batch_size", 200))
    return Case(
        new, lambda net: net.partial_fit(X, Y, **options).partial_fit(X, Y, **options), check
    )


CASES["partial_fit, first"] = lambda: partial_fit_case(small_net)
CASES["partial_fit, again"] = lambda: partial_fit_case(trained_net)
CASES["partial_fit, batches"] = lambda: partial_fit_case(small_net, batch_size=16)
CASES["partial_fit, dropout"] = lambda: partial_fit_case(small_net, dropout=0.5)
CASES["partial_fit, average"] = lambda: partial_fit_case(small_net, ema=0.9)


def nothing():
    return None


case("Network", nothing, lambda _: Network([3, 5, 4, 1], ["tanh", "silu", "sigmoid"], loss="huber",
                                           random_state=0))  # fmt: skip
case("Network, orthogonal", nothing, lambda _: Network([3, 5, 1], init="orthogonal",
                                                       random_state=0))  # fmt: skip
case("from_params", nothing, lambda _: Network.from_params(np.arange(21.0), [3, 4, 1], "tanh"))
METHODS = {
    "predict": lambda net: net.predict(X), "predict, a list": lambda net: net.predict(X.tolist()),
    "predict, a row": lambda net: net.predict(X[:1]), "forward": lambda net: net.forward(X),
    "predict, many rows": lambda net: net.predict(np.ones((5000, 3))),
    "loss": lambda net: net.loss(X, Y[:, None]), "loss, a list": lambda net: net.loss(
        X.tolist(), Y.tolist(), alpha=1, sample_weight=np.ones(40)),
    "loss, many rows": lambda net: net.loss(np.ones((3000, 3)), np.ones(3000)),
    "loss_and_grad": lambda net: net.loss_and_grad(X, Y[:, None]),
    "loss_and_grad, many rows": lambda net: net.loss_and_grad(np.ones((3000, 3)), np.ones(3000)),
    "copy": lambda net: net.copy(), "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "repr": repr, "summary": lambda net: str(net.summary(100)),
    "check_data": lambda net: net.check_data(X.tolist(), Y.tolist()),
    "find_learning_rate": lambda net: find_learning_rate(net, X, Y, n_steps=5, random_state=0),
}  # fmt: skip
for how, call in METHODS.items():
    case(how, trained_net, call)


def whole_or_not(part, whole):
    """A check that one attribute is either as before or as after."""

    def check(net, error):
        assert content(part(net)) == content(whole), "half of it"

    return check


STATE = small_net().fit(X, Y, max_iter=2).__getstate__()
case("setstate", trained_net, lambda net: net.__setstate__(copy.deepcopy(STATE)),
     lambda net, error: net.partial_fit(X, Y).predict(X))  # fmt: skip
case("params_", trained_net, lambda net: setattr(net, "params_", np.arange(21.0)),
     whole_or_not(lambda net: net.params_, np.arange(21.0)))  # fmt: skip
NEW_COEFS = [np.ones((3, 4)), np.ones((4, 1))]
LISTS = [one.tolist() for one in NEW_COEFS]
case("coefs_", trained_net, lambda net: setattr(net, "coefs_", LISTS),
     whole_or_not(lambda net: net.coefs_[:], NEW_COEFS))  # fmt: skip


# ---- estimators ----


def estimator_case(cls, method, first=False, **options):
    y = LABELS if cls is MLPClassifier else Y
    options = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0, **options}
    given = {"classes": [0, 1]} if cls is MLPClassifier and method == "partial_fit" else {}

    def new():
        return cls(**options) if first else cls(**options).fit(X, y)

    def call(mlp):
        return content(getattr(mlp, method)(X, y, **given).coefs_)

    curves, seen = {}, []
    for epochs in range(5):
        one = new()
        if epochs and method == "fit":
            if options.get("solver") == "lbfgs":
                break
            one.set_params(max_iter=epochs).fit(X, y)
        elif epochs:
            for _ in range(epochs):
                one.partial_fit(X, y, **given)
        seen.append(content([*getattr(one, "coefs_", []), *getattr(one, "intercepts_", [])]))
        curves[len(seen) - 1] = list(getattr(one, "loss_curve_", []))

    def check(mlp, error):
        try:
            assert np.isfinite(mlp.predict(X)).all()
        except NotFittedError:
            assert first
        if hasattr(mlp, "coefs_"):
            assert len(mlp.coefs_) == len(mlp.intercepts_) == 2, "half a net"
        if options.get("solver") != "lbfgs" and "early_stopping" not in options:
            now = content([*getattr(mlp, "coefs_", []), *getattr(mlp, "intercepts_", [])])
            if now in seen:
                k, n = seen.index(now), len(getattr(mlp, "loss_curve_", []))
                whole = k == 0 or mlp.loss_curve_ == curves[k]
                short = n == 0 or mlp.loss_curve_ == curves[k][:n]
                assert whole or (short and IN_A_ROW > 1), f"{n} losses, epoch {k}"
            else:  # what fit draws at first
                assert getattr(mlp, "loss_curve_", []) == [], "a curve, parameters of no epoch"
            mlp.partial_fit(X, y, **({"classes": [0, 1]} if cls is MLPClassifier else {}))
        mlp.fit(X, y).predict(X)
        assert mlp.n_iter_ >= 1

    return Case(new, call, check)


for cls in (MLPClassifier, MLPRegressor):
    for how, options in {
        "first fit": {"first": True}, "fit": {}, "fit, sgd": {"solver": "sgd"},
        "fit, lbfgs": {"solver": "lbfgs"}, "fit, early stopping": {"early_stopping": True},
        "first partial_fit": {"first": True}, "partial_fit": {},
        "partial_fit, sgd": {"solver": "sgd"},
    }.items():  # fmt: skip
        method = "partial_fit" if "partial" in how else "fit"
        CASES[f"{cls.__name__}, {how}"] = lambda cls=cls, method=method, options=options: (
            estimator_case(cls, method, **options)
        )


def fitted(cls):
    def new():
        y = LABELS if cls is MLPClassifier else Y
        return cls(hidden_layer_sizes=(4,), max_iter=4, random_state=0).fit(X, y)

    return new


for how, call in {
    "predict": lambda mlp: mlp.predict(X), "predict, a row": lambda mlp: mlp.predict(X[:1]),
    "predict_proba": lambda mlp: mlp.predict_proba(X),
    "score": lambda mlp: mlp.score(X, LABELS), "clone": clone, "deepcopy": copy.deepcopy,
    "pickle": lambda mlp: pickle.loads(pickle.dumps(mlp)),
    "find_learning_rate": lambda mlp: find_learning_rate(mlp, X, LABELS, n_steps=5,
                                                         random_state=0),
}.items():  # fmt: skip
    case(f"MLPClassifier, {how}", fitted(MLPClassifier), call)
case("MLPRegressor, predict", fitted(MLPRegressor), lambda mlp: mlp.predict(X))
case("MLPRegressor, score", fitted(MLPRegressor), lambda mlp: mlp.score(X, Y))


# ---- the tutorial ----


def tutorial_net():
    np.random.seed(0)
    return tutorial.create_nn([3, 4, 1], tutorial.sigm)


def layers_of(net):
    return [content([layer.W, layer.b]) for layer in net]


def tutorial_case(epochs, steps=3):
    def call(net):
        return [
            tutorial.train(net, X, Y[:, None], tutorial.l2_cost, epochs=epochs)
            for _ in range(steps)
        ]

    seen, net = [layers_of(tutorial_net())], tutorial_net()
    for _ in range(epochs * steps):
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)
        seen.append(layers_of(net))

    def check(net, error):
        assert layers_of(net) in seen, "parameters of no step"
        assert seen.index(layers_of(net)) % epochs == 0
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)

    return Case(tutorial_net, call, check)


case("create_nn", nothing, lambda _: tutorial_net())
CASES["train, a step"] = lambda: tutorial_case(1)
CASES["train, many steps"] = lambda: tutorial_case(4)
case("train, forward", tutorial_net,
     lambda net: [tutorial.train(net, X, None, tutorial.l2_cost, train=False)
                  for _ in range(2)])  # fmt: skip


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


def attack(names, length, others, most, progress):
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
        case = CASES[name]()
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


# ---- the children ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if COMPILER is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    if os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("needs glibc")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", "shim.so", "shim.c"]
    subprocess.run([*command, "-ldl"], check=True, cwd=folder)
    return str(folder / "shim.so")


def attacked(shim, names, length=1, others=False, most=1000):
    """What an attack on calls finds: complaints, and how many allocations of each call failed.

    After a crash it goes on behind it.
    """
    more = os.environ.get("PYTHONPATH")
    env = {
        **os.environ, "LD_PRELOAD": shim, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *([more] if more else [])]),
    }  # fmt: skip
    progress, complaints, failed, crashes = f"{shim}.progress", [], {}, 0
    np.array([0, 0], np.int64).tofile(progress)
    while True:
        code = f"attack({names!r}, {length}, {others}, {most}, {progress!r})"
        done = subprocess.run(
            [sys.executable, "-P", "-c", f"from test_allocations import attack; {code}"],
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
    for stack in (here[0], here[2]):
        if not stack or "_kernels" in stack.partition("_PyEval_Eval")[0]:
            return None
    names = [line.partition("(")[0].rpartition("/")[2] for line in here[0].split("\n")[1:]]
    first = next((n for n in names if n and not n.startswith(("shim", "libc.", "libm."))), "")
    return next((why for name, why in CRASHES if name in first), None)


MOST = 1200 if THOROUGH else 40
QUICK = [
    "fit, adam", "fit, best", "fit, four threads", "loss, four threads", "partial_fit, again",
    "partial_fit, dropout", "predict", "loss_and_grad", "Network", "coefs_",
    "MLPClassifier, first fit", "MLPRegressor, fit, sgd", "MLPRegressor, predict",
    "train, a step",
]  # fmt: skip


@COMPILED_ONLY  # the oracle takes memory within a step
@pytest.mark.parametrize("length", [1, 10])
def test_every_allocation_fails(shim, length):
    names = [name for name in CASES if name not in PLANTED] if THOROUGH else QUICK
    complaints, failed, _ = attacked(
        shim, names, length, most=MOST if length == 1 else min(MOST, 30)
    )
    assert not complaints, "\n".join(complaints)
    assert failed.keys() == set(names)
    assert sum(n > 0 for n in failed.values()) > len(names) - 4  # some take no memory


@COMPILED_ONLY
def test_allocations_of_helpers_fail(shim):
    """Those of threads that fastnn started."""
    names = ["loss, four threads", "predict, four threads"]
    names = names if THOROUGH else names[:1]
    complaints, _, _ = attacked(shim, names, others=True, most=MOST)
    assert not complaints, "\n".join(complaints)


class Forgetful:
    """A call that loses a parameter where memory fails, or that reports another error."""

    def __init__(self, how):
        self.how = how

    def __call__(self, net):
        kept = net.params_[0]
        net.params_[0] = 0
        try:
            made = [bytearray(1000) for _ in range(30)]
        except MemoryError:
            if self.how == "hides it":
                raise ValueError("no") from None
            raise
        net.params_[0] = kept
        return len(made)


for how in ("loses one", "hides it"):
    CASES[f"planted, {how}"] = lambda how=how: Case(trained_net, Forgetful(how))
PLANTED = [name for name in CASES if name.startswith("planted")]


def test_planted_faults_are_found(shim):
    complaints, _, _ = attacked(shim, PLANTED)
    assert any("loses one" in one and "changed" in one for one in complaints)
    assert any("hides it" in one and "ValueError: no" in one for one in complaints)


def test_crashes_are_told_apart():
    ours = (
        "native stack of the crash:\n/x/shim.so(+1)\n/python/_kernels_avx2.so(+1)\n"
        "/x/python(_PyEval_EvalFrame)\nmemory failed in:\n/x/shim.so(malloc+1)"
    )
    theirs = ours.replace("_kernels_avx2", "_multiarray_umath")
    assert crash_of(ours) is None
    assert crash_of(theirs)
    assert crash_of(theirs + "\n/python/_kernels_avx2.so(+1)") is None
    assert crash_of(theirs.replace("_multiarray_umath", "another")) is None


# ---- threads that cannot be started -------------------------------------------------------------


def threaded_fit():
    net = Network(NARROW, "tanh", random_state=0)
    return net.fit(MANY_X, MANY_Y, batch_size=6_000, max_iter=2, solver="sgd").params_


THREADED = {
    "fit": threaded_fit,
    "predict": lambda: Network(WIDE, "tanh", random_state=0).predict(MANY_X),
    "loss": lambda: Network(NARROW, "tanh", random_state=0).loss_and_grad(MANY_X, MANY_Y),
}


@COMPILED_ONLY
@pytest.mark.parametrize("how", ["refused", "interrupted", "runs all the same"])
@pytest.mark.parametrize("name", THREADED)
def test_a_start_fails(monkeypatch, name, how):
    """At each start in turn: no thread is left, and the bits are the same if it goes on."""
    monkeypatch.setattr(work, "BUDGET", 1e6)
    want = content(THREADED[name]())
    monkeypatch.setattr(threads, "_available", lambda: 4)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 0)
    start, n_threads = threading.Thread.start, threading.active_count()
    n_starts, k, raised = 1, 0, None

    def fail(self):
        nonlocal n_starts
        n_starts += 1
        if n_starts == k and how == "interrupted":
            raise KeyboardInterrupt
        if n_starts >= k and how == "refused":
            raise RuntimeError("can't start new thread")
        start(self)
        if n_starts == k:
            raise MemoryError

    monkeypatch.setattr(threading.Thread, "start", fail)
    while n_starts >= k:
        n_starts, k, raised = 0, k + 1, None
        try:
            assert content(THREADED[name]()) == want, k
        except (KeyboardInterrupt, MemoryError) as error:
            raised = error
        assert (raised is None) == (how == "refused" or n_starts < k), k
        assert threading.active_count() == n_threads, k
    assert k > 2  # there were some


LIMITED = """
import resource, threading
import numpy as np
from fastnn import Network, threads, work
from test_allocations import THREADED, content
work.BUDGET = 1e6
want = {name: content(call()) for name, call in THREADED.items()}
threads._available, work.WORTH_A_THREAD = lambda: 4, 0
def size():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
threading.stack_size(64 << 20)
refused = 0
try:
    for n in range(1, 4):
        limit = size() + n * (64 << 20) + (40 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        begun = []
        started = threading.Thread.start
        def start(self):
            started(self)
            begun.append(self)
        threading.Thread.start = start
        for name, call in THREADED.items():
            del begun[:]
            assert content(call()) == want[name], name
            refused += len(begun) < 3
            assert threading.active_count() == 1
        threading.Thread.start = started
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
finally:
    print(refused)
"""


@COMPILED_ONLY
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")
def test_a_system_that_refuses_threads():
    """Their stacks do not fit into the address space."""
    more = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(Path(__file__).parent), *([more] if more else [])])
    done = subprocess.run(
        [sys.executable, "-P", "-c", LIMITED], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
