"""What fastnn does, and does not do, to the process that imports it."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMPILED, PYTHON

from fastnn import kernels as builds

MODULES = sorted(Path(builds.__file__).parent.glob("_*.so"))
ALL = ["avx512", "avx2", "baseline", "reference"]


def python(code, **env):
    """Run code in a new process; its stdout."""
    done = subprocess.run(
        [*PYTHON, "-P", "-W", "error", "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light():
    times = []
    for _ in range(3):
        ms, *heavy = python(
            "import sys, numpy, time; t = time.perf_counter(); import fastnn;"
            "ms = (time.perf_counter() - t) * 1e3;"
            "heavy = [m for m in ('sklearn', 'matplotlib', 'scipy') if m in sys.modules];"
            "print(ms, *heavy)"
        ).split()
        assert heavy == []
        times.append(float(ms))
    assert min(times) < 50 or len(PYTHON) > 1  # an emulator is slower


@pytest.mark.parametrize("name", ALL)
def test_forcing_a_build(name):
    code = "import fastnn.network as n; print(n.ISA, n.kernels.build_info()['target'])"
    if name in builds.supported():
        isa, target = python(code, FASTNN_ISA=name).split()
        assert isa == name
        assert {"baseline": target, "avx2": "avx2"}.get(name, name) == target
    else:
        failed = python(
            "try:\n import fastnn\nexcept ImportError as e:\n print(e)", FASTNN_ISA=name
        )
        assert f"FASTNN_ISA={name}" in failed
        assert "cannot run" in failed


def test_forcing_a_build_that_does_not_exist():
    out = python("try:\n import fastnn\nexcept ImportError as e:\n print(e)", FASTNN_ISA="sse9")
    assert out.startswith("FASTNN_ISA=sse9: there is no build 'sse9'")
    assert "avx2, baseline, reference" in out


def test_the_best_build_is_chosen():
    assert python("import fastnn.network as n; print(n.ISA)", FASTNN_ISA="") == COMPILED[0]


def test_missing_modules_are_an_error_that_says_what_to_do():
    code = (
        "import sys; sys.modules['fastnn.kernels._cpu'] = None\n"
        "try:\n import fastnn\nexcept ImportError as e:\n print(e)"
    )
    out = python(code, FASTNN_ISA="")
    assert "pip install " in out
    assert "FASTNN_ISA=reference" in out


# A product that is subnormal is 0 in a process that flushes; a fresh thread inherits the mode.
FLOATING_POINT = """
import threading
def product():
    small = float("2.2250738585072014e-308")  # computed here and now, not by Python's compiler
    return small * 0.5, (small * 0.5) * 2
def modes():
    seen = [product()]
    thread = threading.Thread(target=lambda: seen.append(product()))
    thread.start(); thread.join()
    return seen
before = modes()
import numpy as np
from fastnn import Network, kernels
for name in kernels.supported():
    kernels.load(name)
after_import = modes()
net = Network([2, 8, 1], random_state=0)
X = np.full((64, 2), 1e-310)
net.fit(X, np.full(64, 1e-310), solver="sgd", momentum=0.5, max_iter=3)
net.fit(X, np.full(64, 1e-310), max_iter=3)
after_training = modes()
assert before == after_import == after_training, (before, after_import, after_training)
assert before[0] == (1.1125369292536007e-308, 2.2250738585072014e-308)
print("same")
"""


def test_the_floating_point_mode_is_left_alone():
    assert python(FLOATING_POINT) == "same"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads machine code by mmap")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="MXCSR is x86-64's")
def test_mxcsr_is_left_alone():
    """Read the control register itself, by five bytes of machine code."""
    code = """
import ctypes, mmap, threading
# stmxcsr [rdi]; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes([0x0F, 0xAE, 0x1F, 0xC3]))
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
def mxcsr():
    value = ctypes.c_uint32()
    call(ctypes.addressof(value))
    return value.value & ~0x3F  # without the flags of past exceptions
def both():
    seen = [mxcsr()]
    thread = threading.Thread(target=lambda: seen.append(mxcsr()))
    thread.start(); thread.join()
    return seen
before = both()
import numpy as np
from fastnn import Network, kernels
for name in kernels.supported():
    kernels.load(name)
assert both() == before
Network([2, 8, 1], random_state=0).fit(np.ones((50, 2)), np.ones(50), max_iter=5)
assert both() == before, (both(), before)
assert before[0] & 0x8040 == 0
print("same")
"""
    assert python(code) == "same"


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")
@pytest.mark.skipif(not MODULES, reason="no shared objects of this kind")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name.split(".")[0])
def test_no_module_writes_the_control_register(path):
    out = subprocess.run(
        ["objdump", "-d", path], capture_output=True, text=True, check=True
    ).stdout
    assert len(out.splitlines()) > 1000
    assert "ldmxcsr" not in out
    assert "fxrstor" not in out


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86-64")
def test_wide_instructions_stay_in_their_builds():
    text = {}
    for path in MODULES:
        out = subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=True)
        text[path.name.split(".")[0]] = out.stdout
    assert not any("%ymm" in text[name] or "%zmm" in text[name] for name in ("_cpu", "_kernels"))
    assert "%ymm" in text["_kernels_avx2"]
    assert "%zmm" not in text["_kernels_avx2"]
    assert "%zmm" in text["_kernels_avx512"]


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-user")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 Python")
def test_baseline_runs_on_a_nehalem():
    """The oldest CPU that baseline is for. NumPy's own floor is the same, x86-64-v2."""
    code = (
        "import numpy as np\n"
        "from fastnn import kernels, network as n, Network, reference\n"
        "assert kernels.supported() == ('baseline', 'reference'), kernels.supported()\n"
        "assert n.ISA == 'baseline'\n"
        "X = np.random.RandomState(0).randn(60, 3); y = X[:, :1] ** 2\n"
        "nets = []\n"
        "for n.kernels in (n.kernels, reference):\n"
        "    nets.append(Network([3, 9, 1], 'tanh', random_state=0).fit(X, y, max_iter=5))\n"
        "a, b = (net.predict(X) for net in nets)\n"
        "assert abs(a - b).max() < 1e-10, abs(a - b).max()\n"
        "print('same')"
    )
    done = subprocess.run(
        ["qemu-x86_64", "-cpu", "Nehalem", sys.executable, "-P", "-c", code],
        capture_output=True, text=True, timeout=300,
        # OpenBLAS, inside NumPy, takes the emulated CPU for another one unless told
        env={**os.environ, "FASTNN_ISA": "", "OPENBLAS_CORETYPE": "Nehalem"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
