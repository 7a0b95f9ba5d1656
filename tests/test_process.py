"""What importing and using fastnn does to the process, and which build it chooses."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMPILED, PYTHON

from fastnn import kernels as builds

ALL = ["avx512", "avx2", "baseline", "reference"]
BUILT = importlib.import_module("fastnn.kernels._cpu").BUILT  # see FASTNN_BUILDS
FILES = [f"{name}.*.so" for name in ("_cpu", *(builds.MODULES[name] for name in BUILT))]
MODULES = sorted(path for name in FILES for path in Path(builds.__file__).parent.glob(name))


def python(code, **env):
    """The standard output of code in a new process."""
    done = subprocess.run(
        [*PYTHON, "-P", "-W", "error", "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light():
    """Less than 0.4 of NumPy's own time; 0.16 at the time of writing."""
    ratios = []
    for _ in range(3):  # the first may have to compile bytecode
        ratio, *heavy = python(
            "import inspect, sys, time\n"  # the first is NumPy's own, but not in 2.0
            "start = time.thread_time()\n"
            "import numpy, numpy.random\n"
            "middle = time.thread_time()\n"
            "import fastnn\n"
            "end = time.thread_time()\n"
            "heavy = [m for m in ('sklearn', 'matplotlib', 'scipy') if m in sys.modules]\n"
            "print((end - middle) / (middle - start), *heavy)",
            PYTHONDONTWRITEBYTECODE="",
        ).split()
        assert heavy == []
        ratios.append(float(ratio))
    assert min(ratios) < 0.4


@pytest.mark.parametrize("name", ALL)
def test_forcing_a_build(name):
    code = "from fastnn import kernels as k; print(k.ISA, k.build.build_info()['target'])"
    if name in builds.supported():
        isa, target = python(code, FASTNN_ISA=name).split()
        assert isa == name
        assert {"baseline": target, "avx2": "avx2"}.get(name, name) == target
    else:
        failed = python(
            "try:\n import fastnn\nexcept ImportError as e:\n print(e)", FASTNN_ISA=name
        )
        assert f"FASTNN_ISA={name}: " in failed
        assert ("cannot run" in failed) != ("was not compiled: FASTNN_BUILDS was" in failed)


def test_forcing_a_build_that_does_not_exist():
    out = python("try:\n import fastnn\nexcept ImportError as e:\n print(e)", FASTNN_ISA="sse9")
    assert out.startswith("FASTNN_ISA=sse9: there is no build 'sse9'")
    assert "avx2, baseline, reference" in out


def test_the_best_build_is_chosen():
    assert python("from fastnn import kernels; print(kernels.ISA)", FASTNN_ISA="") == COMPILED[0]


def importing(cpu_runs, built, **env):
    """What import says on a CPU with these instruction sets if these were built."""
    return python(
        "import sys, types\n"
        "cpu = types.ModuleType('fastnn.kernels._cpu')\n"
        f"cpu.BUILT, cpu.supported = {built}, lambda: {cpu_runs}\n"
        "sys.modules['fastnn.kernels._cpu'] = cpu\n"
        "try:\n from fastnn import kernels; print(kernels.ISA, *kernels.supported())\n"
        "except ImportError as e:\n print(e)",
        **env,
    )


def test_only_what_was_built_is_listed():
    best = COMPILED[0]
    assert importing(("other", best), (best,), FASTNN_ISA="").split() == [best, best, "reference"]
    out = importing(("avx2", "baseline"), ("baseline",), FASTNN_ISA="avx2")
    assert out.startswith("FASTNN_ISA=avx2: the 'avx2' build of fastnn's kernels was not compiled")
    assert "FASTNN_BUILDS was baseline" in out


def test_no_build_for_this_cpu_is_an_error():
    out = importing(("baseline",), ("avx512", "avx2"), FASTNN_ISA="")
    assert "this CPU runs was compiled: FASTNN_BUILDS was avx512,avx2" in out
    assert "FASTNN_ISA=reference" in out
    assert "SSE4.2" in importing((), ("avx2",), FASTNN_ISA="")
    assert importing((), ("avx2",), FASTNN_ISA="reference").split() == ["reference"] * 2


def test_a_build_that_was_built_but_is_missing_is_an_error():
    """As is a broken one: nothing falls back to the second-best."""
    code = (
        "import sys; sys.modules['fastnn.kernels.{module}'] = None\n"
        "try:\n import fastnn\nexcept ImportError as e:\n print(e)"
    )
    module = builds.MODULES[COMPILED[0]]
    assert module in python(code.format(module=module), FASTNN_ISA="")


def test_missing_modules_are_an_error_that_says_what_to_do():
    code = (
        "import sys; sys.modules['fastnn.kernels._cpu'] = None\n"
        "try:\n import fastnn\nexcept ImportError as e:\n print(e)"
    )
    out = python(code, FASTNN_ISA="")
    assert "pip install " in out
    assert "FASTNN_ISA=reference" in out


# Subnormal products are 0 in a process that flushes them; a new thread inherits the mode.
FLOATING_POINT = """
import threading
def product():
    small = float("2.2250738585072014e-308")  # so that Python's compiler does not fold it
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
    """Reads the control register with five bytes of machine code."""
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
    wide = {}
    for path in MODULES:
        name = path.name.split(".")[0]
        out = subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=True)
        wide[name] = "%ymm" in out.stdout, "%zmm" in out.stdout
    want = {
        "_cpu": (False, False),
        "_kernels": (False, False),
        "_kernels_avx2": (True, False),
        "_kernels_avx512": (True, True),
    }
    built = {"_cpu", *(builds.MODULES[name] for name in BUILT)}
    assert wide == {name: want[name] for name in built}


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-user")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 Python")
@pytest.mark.skipif("baseline" not in BUILT, reason="needs the baseline build")
def test_baseline_runs_on_a_nehalem():
    """The oldest CPU that baseline is for. NumPy's own floor is the same, x86-64-v2."""
    code = (
        "import numpy as np\n"
        "from fastnn import kernels, Network, reference\n"
        "assert kernels.supported() == ('baseline', 'reference'), kernels.supported()\n"
        "assert kernels.ISA == 'baseline'\n"
        "X = np.random.RandomState(0).randn(60, 3); y = X[:, :1] ** 2\n"
        "nets = []\n"
        "for kernels.build in (kernels.build, reference):\n"
        "    nets.append(Network([3, 9, 1], 'tanh', random_state=0).fit(X, y, max_iter=5))\n"
        "a, b = (net.predict(X) for net in nets)\n"
        "assert abs(a - b).max() < 1e-10, abs(a - b).max()\n"
        "print('same')"
    )
    done = subprocess.run(
        ["qemu-x86_64", "-cpu", "Nehalem", sys.executable, "-P", "-c", code],
        capture_output=True, text=True, timeout=300,
        # OpenBLAS, inside NumPy, mistakes the emulated CPU for another
        env={**os.environ, "FASTNN_ISA": "", "OPENBLAS_CORETYPE": "Nehalem"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
