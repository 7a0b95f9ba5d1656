"""Processes that start before, in, during and after fits find the bits of undisturbed work.

`processes.py` has what parents and children do. Ordinarily some cells of its matrix are run; with
FASTNN_THOROUGH=1 all of them, more than 400.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import processes
import pytest
from conftest import COMPILED_ONLY, PYTHON, THOROUGH

from fastnn import Network, initializers, threads
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


@pytest.mark.parametrize("how", processes.STARTS if THOROUGH else ["some of all"])
def test_the_matrix(want, how):
    cells = [cell for cell in ALL if cell.startswith(f"{how}/")] if THOROUGH else SOME
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


def draw_forever(how, random_state, stop):
    """Draws that take long and leave the GIL to others."""
    order, coefs = np.arange(2_000_000), np.empty((1000, 2000))
    while not stop.is_set():
        if how == "order":
            run.draw_order(order, random_state)
        else:
            initializers.uniform(random_state, [coefs], [np.empty(2000)], [])


def is_locked(lock):
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


@pytest.mark.parametrize("how", ["order", "parameters"])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_fork_while_another_thread_draws(how, seed):
    """None is NumPy's global generator, which all of the child's code may draw from."""
    random_state = Network([1, 1], random_state=seed)._random_state
    lock, stop = random_state._bit_generator.lock, threading.Event()
    other = threading.Thread(target=draw_forever, args=(how, random_state, stop))
    other.start()
    try:
        for _ in range(20 if THOROUGH else 4):
            while not is_locked(lock):
                time.sleep(0.001)
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                random_state.random_sample(3)
                os._exit(0 if threads._drawing == {} else 2)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        stop.set()
        other.join()
    assert threads._drawing == {}


@pytest.mark.parametrize("random_state", [0, None])
def test_a_fork_by_the_thread_that_draws(random_state):
    """Its lock is its own in the child, too, and it releases that."""
    bit_generator = Network([1, 1], random_state=random_state)._random_state._bit_generator
    pids = []
    threads.draw(lambda _: pids.append(os.fork()), bit_generator)
    if pids[0] == 0:
        signal.alarm(30)
        np.random.RandomState(bit_generator).random_sample(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
