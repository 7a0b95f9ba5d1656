"""Fixtures shared by all rooms' tests: every build that this CPU runs, both types."""

import importlib
import os
import signal
import sys
import sysconfig

import numpy as np
import pytest

from fastnn import kernels as builds

COMPILED = [name for name in builds.supported() if name != "reference"]

# A new Python like this one. FASTNN_TEST_RUNNER is what to start it with, such as
# "qemu-x86_64 -cpu Nehalem" where this process was started so: the emulator does not follow.
PYTHON = [*os.environ.get("FASTNN_TEST_RUNNER", "").split(), sys.executable]

# Whether tests that repeat something take every case: `.ci/run attack` sets it.
THOROUGH = bool(os.environ.get("FASTNN_THOROUGH"))

# A build with sanitizers allocates and takes its time.
UNCHECKED_ONLY = pytest.mark.skipif(
    bool(importlib.import_module("fastnn.kernels._cpu").SANITIZERS),
    reason="measures memory or time",
)

# what the oracle does not promise: speed, threads, little memory
COMPILED_ONLY = pytest.mark.skipif(builds.ISA == "reference", reason="NumPy does the work")

# whose own memory does not come from malloc
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# straddle the vector widths and tile widths of every instruction set
SIZES = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97]


@pytest.fixture(params=COMPILED)
def kernels(request):
    """Each compiled build of the kernels that this machine runs."""
    return builds.load(request.param)


@pytest.fixture(params=[np.float64, np.float32], ids=["f64", "f32"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Answer Ctrl-C in a shell's background job, too, which is started so as to ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# ---- pictures -----------------------------------------------------------------------------------


@pytest.fixture
def without_windows():
    """Draw into memory, and leave no figure."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("agg")
    yield
    pyplot.close("all")


@pytest.fixture(params=["default", "dark_background"])
def look(request):
    """On light and on dark."""
    from matplotlib import pyplot

    with pyplot.style.context(request.param):
        yield request.param


# ---- builds -------------------------------------------------------------------------------------


@pytest.fixture(params=[*COMPILED, "reference"])
def every_build(request, monkeypatch):
    """Networks run on each build in turn."""
    monkeypatch.setattr(builds, "build", builds.load(request.param))
