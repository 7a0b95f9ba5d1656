"""What training takes from the system: no memory once it runs, little beside its data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import DENSE, codes_of, new_workspace, problem, step_of, units_of
from conftest import COMPILED_ONLY, FREE_THREADED, UNCHECKED_ONLY
from test_process import python

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
COMPILER = next((c for c in ("gcc", "cc", "clang") if shutil.which(c)), None)

# Counts what a process asks of the allocator and of the system, and hands it on.
COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/types.h>
static long count;
long allocations(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }
#define COUNT __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST)
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
void *malloc(size_t n) { COUNT; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { COUNT; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { COUNT; return __libc_realloc(p, n); }
void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
    void *(*next)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
    COUNT;
    return next(p, n, prot, flags, fd, at);
}
"""

STEADY = """
import ctypes, sys
import numpy as np
from test_memory import compiled_calls
allocations = ctypes.PyDLL(None).allocations
allocations.restype = ctypes.c_long
print(*compiled_calls(sys.argv[1:], allocations))
"""


def compiled_calls(names, allocations):
    """Allocations between the start and the end of one compiled call of 3 and of 300 epochs."""
    from fastnn import kernels as builds
    from fastnn.kernels import aligned_zeros
    from fastnn.threads import Team

    rng, found = np.random.RandomState(0), []
    nets = {
        "full": ((2, 4, 8, 1), ("sigmoid",) * 3, "squared_error", 500),
        "batches": ((8, 32, 32, 2), ("relu", "silu", "softmax"), "log_loss", 32),
        "slices": ((3, 5, 1), ("tanh", "identity"), "squared_error", 9000),
    }
    kernels = builds.load(names[0])
    for units, activations, loss, batch in (nets[name] for name in names[2:]):
        dtype, n = np.dtype(np.float32), max(500, batch)
        params, x, y = problem(rng, dtype, units, n, loss)
        units, codes, n_threads = units_of(*units), codes_of(*activations), int(names[1])
        n_packed = kernels.packed_size(units, 4)
        packed = aligned_zeros(3 * n_packed, dtype).reshape(3, n_packed)
        workspace = new_workspace(kernels, units, batch, dtype, 2, n_threads)
        order, output = rng.permutation(n), np.empty((0, units[-1]), dtype)
        curve, cursor = np.empty(300), np.zeros(1, builds.CURSOR)
        with Team(kernels, n_threads) as team:
            step = step_of(
                loss=loss, solver="adam", alpha=0.1, batch_size=batch, budget=1e18,
                n_threads=team.n_threads,
            )  # fmt: skip
            for epochs in (3, 300):
                # the count is read right before and after the call: Python's own objects are made
                # earlier
                args = (
                    params, packed, units, codes, step, x, *DENSE, y, order, workspace,
                    team.memory, cursor.view(np.uint8), curve, output,
                )  # fmt: skip
                cursor["stop"] = epochs
                before = allocations()
                kernels.train_epoch(*args)
                found.append(allocations() - before)
                assert cursor["epoch"] == epochs
                cursor[:] = 0
    return found


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    if COMPILER is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    if os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("needs glibc")
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    library = folder / "counter.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library,
         folder / "counter.c", "-ldl"], check=True,
    )  # fmt: skip
    return str(library)


def counted(code, counter, *args):
    # an empty entry would be the folder that pytest runs in: the source tree, not built
    more = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(Path(__file__).parent), *([more] if more else [])])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *args], capture_output=True, text=True, check=True,
        env={**os.environ, "LD_PRELOAD": counter, "PYTHONPATH": path},
    )  # fmt: skip
    return [int(n) for n in done.stdout.split()]


def test_the_counter_counts(counter):
    code = (
        "import ctypes; lib = ctypes.PyDLL(None); a = lib.allocations();"
        "lib.malloc(100); b = lib.allocations(); bytearray(1 << 24); print(b - a,"
        "lib.allocations() - b)"
    )
    one, large = counted(code, counter)
    assert one >= 1
    assert large >= 1 or FREE_THREADED  # whose memory comes from mimalloc


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_threads", [1, 2])
def test_steady_training_allocates_nothing(kernels, counter, n_threads):
    name = kernels.__name__.rpartition(".")[2]
    from fastnn.kernels import MODULES

    isa = next(isa for isa, module in MODULES.items() if module == name)
    found = counted(STEADY, counter, isa, str(n_threads), "full", "batches", "slices")
    # a call takes some buffers of Python's for the views of its arguments; epochs take none
    few, many = found[::2], found[1::2]
    assert len(few) == 3
    assert many == few, found
    assert max(few) <= 4, found


PEAK = """
import pathlib, numpy as np
from fastnn import Network
def memory(field):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
n_jobs, n_features = %d, %d
X = np.random.default_rng(0).random((1_000_000, n_features), "f4")
y = (X[:, :1] > 0.5).astype("f4")
net = Network(
    [n_features, 16, 1], "relu", loss="binary_log_loss", dtype="f4", random_state=0, n_jobs=n_jobs
)
net.fit(X[:1000], y[:1000], max_iter=1)
net.predict(X[:1000])
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
%s
print(memory("VmHWM") - before)
"""


@UNCHECKED_ONLY
@LINUX
@COMPILED_ONLY
@pytest.mark.parametrize(
    ("n_features", "n_jobs", "call", "result"),
    [
        *(
            (8, n_jobs, call, result)
            for n_jobs in (1, 2)
            for call, result in (
                ("net.fit(X, y, batch_size=256, max_iter=1)", 0),
                ("net.fit(X, y, batch_size=len(X), max_iter=2)", 0),
                ("net.fit(X, y, batch_size=20_000, max_iter=1)", 0),
                ("out = net.predict(X)", 4),
                ("net.loss(X, y)", 0),
            )
        ),
        # even a byte for each number would be too much
        (256, 1, "net.fit(X, y, max_iter=1); net.predict(X); net.loss(X, y)", 4),
    ],
)
def test_a_million_samples_take_less_than_64_mib(n_features, n_jobs, call, result):
    try:
        used = float(python(PEAK % (n_jobs, n_features, call)))
    except AssertionError as error:
        if "clear_refs" in str(error):
            pytest.skip("the peak cannot be reset here")
        raise
    assert used - result < 64, used
