"""Processes that start before, in, during and after fits find the bits of undisturbed work.

`processes.py` has what parents and children do. Ordinarily some cells of its matrix are run; with
FASTNN_THOROUGH=1 all of them, more than 400.
"""

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import processes
import pytest
from conftest import COMPILED_ONLY, PYTHON, THOROUGH

from fastnn import Network, initializers, kernels
from fastnn.training import run

PROGRAM = Path(processes.__file__)
pytestmark = [
    COMPILED_ONLY,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # from Python 3.12 on
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

ALL = list(processes.cells())
SOME = [
    "os.fork/before/MLPClassifier/fits",
    "os.fork/callback/Network/goes on",
    "os.fork/callback/shuffled/predicts",
    "os.fork/callback/MLPClassifier/goes on",
    "os.fork/thread fits/shuffled/goes on",
    "os.fork/thread fits/MLPRegressor/fits",
    "os.fork/thread predicts/Network/predicts",
    "os.fork/main fits/Network/fits",
    "fork/callback/Network/goes on",
    "fork/thread fits/MLPClassifier/goes on",
    "fork/main fits/shuffled/exits",
    "fork/after/Network/fits",
    "spawn/thread fits/Network/fits",
    "forkserver/callback/MLPRegressor/goes on",
    "loky/thread predicts/Network/fits",
]


@pytest.fixture(scope="module")
def want():
    """The digests of undisturbed work, from a process that does nothing else."""
    return subprocess.run(
        [*PYTHON, PROGRAM, "want"], capture_output=True, text=True, timeout=300, check=True
    ).stdout


def statuses(want, cells):
    """cell -> status, and what was written beside them."""
    done = subprocess.run(
        [*PYTHON, PROGRAM, want, *cells], capture_output=True, text=True, timeout=1500
    )
    lines = [line.rpartition(": ") for line in done.stdout.splitlines() if ": " in line]
    found = {cell: int(status) for cell, _, status in lines}
    right = sum(status == 0 for status in found.values())
    assert done.stdout.splitlines()[-1:] == [f"{right} of {len(cells)}"], done.stderr
    assert found.keys() == set(cells)
    return found, done.stderr


@pytest.mark.parametrize("how", processes.STARTS)
def test_the_matrix(want, how):
    cells = [cell for cell in (ALL if THOROUGH else SOME) if cell.startswith(f"{how}/")]
    found, errors = statuses(want, cells)
    wrong = {cell: status for cell, status in found.items() if status}
    assert not wrong, errors
    print(f"{how}: {len(found)} of {len(cells)}")


def test_the_matrix_is_large():
    assert len(ALL) == len(set(ALL)) >= 400
    assert set(SOME) < set(ALL)


@pytest.mark.parametrize("how", processes.STARTS if THOROUGH else ["os.fork"])
def test_what_goes_wrong_is_found(want, how):
    cells = [f"{how}/after/Network/{fault}" for fault in processes.PLANTED]
    found, errors = statuses(want, cells)
    assert all(found.values())
    for said in ("other bits than", "threads are left", "helpers: []"):
        assert said in errors
    if how != "loky":  # whose statuses are those of an exception in the parent
        assert found[cells[0]] == -14
        assert found[cells[1]] == -11
