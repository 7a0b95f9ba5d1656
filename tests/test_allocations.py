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

Usually some allocations of some calls are tried. With FASTNN_THOROUGH=1 it is each of every call,
and of ten in a row 15 to 30 of every call. `pytest -rP` prints how many.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from allocation_cases import CASES, PLANTED, THREADED
from allocations import SHIM, attacked, content, crash_of
from conftest import COMPILED_ONLY, FREE_THREADED, THOROUGH
from test_memory import COMPILER

from fastnn import threads, work


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if COMPILER is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    if os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("needs glibc")
    if FREE_THREADED:
        pytest.skip("free-threaded Python takes no memory from malloc")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", "shim.so", "shim.c"]
    subprocess.run([*command, "-ldl"], check=True, cwd=folder)
    return str(folder / "shim.so")


# "returned NULL without setting an exception", where Cython 3.3's code or the interpreter's own
# lost the MemoryError
MANY_IN_A_ROW = pytest.mark.skipif(
    sys.version_info >= (3, 15), reason="Python 3.15 loses errors of ten allocations in a row"
)
PARTS = 4 if THOROUGH else 1  # which run side by side
MOST = sys.maxsize if THOROUGH else 40
QUICK = [
    "fit, adam", "fit, best", "fit, four threads", "loss, four threads", "partial_fit, again",
    "partial_fit, dropout", "predict", "loss_and_grad", "Network", "coefs_",
    "MLPClassifier, first fit", "MLPRegressor, fit, sgd", "MLPRegressor, predict",
    "train, a step", "fit_many, lanes",
]  # fmt: skip


@COMPILED_ONLY  # the oracle takes memory within a step
@pytest.mark.parametrize("length", [1, pytest.param(10, marks=MANY_IN_A_ROW)])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_allocation_fails(shim, length, part):
    names = [name for name in CASES if name not in PLANTED] if THOROUGH else QUICK
    names = names[part::PARTS]
    complaints, failed, crashes = attacked(
        shim, names, length, most=MOST if length == 1 else min(MOST, 30)
    )
    print(f"{sum(failed.values())} failures in {len(names)} calls, {crashes} crashes elsewhere")
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
    stripped = theirs.replace("_PyEval_EvalFrame", "")
    assert crash_of(stripped + "\nFatal Python error\nExtension modules: _kernels_avx2")
    assert crash_of(stripped + "\n/python/_kernels_avx2.so(+1)\nFatal Python error") is None
    assert crash_of(theirs.replace("_multiarray_umath", "another")) is None


# ---- threads that cannot be started -------------------------------------------------------------


@COMPILED_ONLY
@pytest.mark.parametrize("how", ["refused", "interrupted", "runs all the same", "runs refused"])
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
        if n_starts == k and how == "runs all the same":
            raise MemoryError
        if n_starts == k and how == "runs refused":  # no memory for the lock that start waits on
            raise RuntimeError("can't allocate lock")

    monkeypatch.setattr(threading.Thread, "start", fail)
    while n_starts >= k:
        n_starts, k, raised = 0, k + 1, None
        try:
            assert content(THREADED[name]()) == want, k
        except (KeyboardInterrupt, MemoryError) as error:
            raised = error
        assert (raised is None) == ("refused" in how or n_starts < k), k
        assert threading.active_count() == n_threads, k
    assert k > 2  # there were some


LIMITED = """
import resource, threading
import numpy as np
from fastnn import Network, threads, work
from allocation_cases import THREADED
from allocations import content
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
