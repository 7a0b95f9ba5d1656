"""A checked build's sanitizers are in every module, and see faults that are planted.

Of other builds only that they commit none. `.ci/run sanitize` builds both kinds of checked build.
"""

import os
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from conftest import PYTHON

from fastnn import kernels as builds

CPU = import_module("fastnn.kernels._cpu")
FOLDER = Path(builds.__file__).parent
SEEN_BY = {"shift exponent": "undefined", "data race": "thread"}
# what UndefinedBehaviorSanitizer, which may be first, says of them
ALSO = {"heap-buffer-overflow": "insufficient space", "stack-buffer-overflow": "out of bounds"}


def commit(fault):
    return subprocess.run(
        [*PYTHON, "-P", "-c", f"import fastnn.kernels._cpu as c; print(c.plant({fault!r}))"],
        capture_output=True, text=True, timeout=300,
        # the report where the test sees it
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "",
             "TSAN_OPTIONS": "halt_on_error=1"},
    )  # fmt: skip


@pytest.mark.parametrize("fault", CPU.PLANTED)
def test_planted_faults_are_found(fault):
    if CPU.SANITIZERS and SEEN_BY.get(fault, "address") not in CPU.SANITIZERS:
        pytest.skip("not this sanitizer's")
    done = commit(fault)
    assert done.returncode != 0
    if CPU.SANITIZERS:
        assert fault in done.stderr or ALSO.get(fault, fault) in done.stderr
        assert "planted.h" in done.stderr
    else:
        assert "only checked builds commit faults" in done.stderr


@pytest.mark.parametrize("name", ["_cpu", *(builds.MODULES[name] for name in CPU.BUILT)])
def test_sanitizers_are_in_every_module(name):
    (path,) = FOLDER.glob(f"{name}.*.so")
    symbols = path.read_bytes()
    for sanitizer, symbol in (
        ("address", b"__asan_init"), ("undefined", b"__ubsan_handle"), ("thread", b"__tsan_init"),
    ):  # fmt: skip
        assert (symbol in symbols) == (sanitizer in CPU.SANITIZERS)
