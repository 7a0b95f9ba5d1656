"""A child forked while fastnn's threads work goes on with one thread, and its parent as before."""

import os
import signal
import threading

import pytest
from conftest import COMPILED_ONLY
from test_process import python

from fastnn import threads

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # from Python 3.12 on
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

# A child that hangs is killed by its alarm, which the parent sees in its status.
START = """
import os, signal, sys, threading, time, warnings
import numpy as np
from fastnn import Network, threads
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
threads._available = lambda: 4
rng = np.random.RandomState(0)
X, y = rng.randn(600, 100), np.eye(10)[rng.randint(10, size=600)]

def new(n_jobs):
    return Network([100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=n_jobs)

def fork():
    time.sleep(0.05)  # the helpers are parked by then
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
    return pid

def same(net, epochs):
    want = new(1).fit(X, y, max_iter=epochs)
    assert net.loss_curve_ == want.loss_curve_
    for a, b in zip((*net.coefs_, *net.intercepts_), (*want.coefs_, *want.intercepts_)):
        assert a.tobytes() == b.tobytes()

def end(pid):
    "Ends the child with 7; the parent prints how the child ended."
    if pid == 0:
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

# what the child does in its callback -> epochs it has trained after that
ENDS = {
    "pass": 8,
    "return True": 2,
    "sys.exit(7)": None,
    "raise LookupError": 2,
    "raise KeyboardInterrupt": 2,
    "same(new(3).fit(X, y, max_iter=3), 3)": 8,
    "net.__setstate__(net.__getstate__())": 8,  # other arrays, which the run takes up
    "os.waitpid(os.fork() or os._exit(0), 0)": 8,
}


@pytest.mark.parametrize("what", ENDS)
def test_a_child_forked_in_a_callback(what):
    code = f"""
{START}
pid = None
def callback(net):
    global pid
    if net.n_iter_ == 2 and pid is None:
        pid = fork()
        if pid == 0:
            {what}
net = new(3)
try:
    net.fit(X, y, max_iter=8, callback=callback)
except (LookupError, KeyboardInterrupt):
    assert pid == 0
same(net, 8 if pid else {ENDS[what]})
same(new(3).fit(X, y, max_iter=3), 3)
end(pid)
"""
    assert python(code) == "7"


def test_a_child_forked_in_an_estimators_fit():
    code = f"""
{START}
import contextlib, io
from fastnn import MLPClassifier
pids = []
class Out(io.StringIO):
    def write(self, text):
        if "Iteration 2" in text and not pids:
            pids.append(fork())
        return len(text)
def fitted(n_jobs, verbose):
    mlp = MLPClassifier((256,), max_iter=12, n_iter_no_change=99, random_state=0, n_jobs=n_jobs,
                        batch_size=600, verbose=verbose)
    with warnings.catch_warnings(), contextlib.redirect_stdout(Out()):
        warnings.simplefilter("ignore")  # did not converge
        return mlp.fit(X, y.argmax(axis=1))
mlp, want = fitted(3, True), fitted(1, False)
assert mlp.loss_curve_ == want.loss_curve_ and len(pids) == 1
assert mlp.coefs_[0].tobytes() == want.coefs_[0].tobytes()
end(pids[0])
"""
    assert python(code) == "7"


def test_workers_started_in_a_callback():
    code = f"""
{START}
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def work(n_jobs):
    same(new(n_jobs).fit(X, y, max_iter=3), 3)
    return "done"
def callback(net):
    if net.n_iter_ == 2:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            print(*pool.map(work, [3, 1, 2]))
net = new(3).fit(X, y, max_iter=8, callback=callback)
same(net, 8)
"""
    assert python(code) == "done done done"


def test_a_fork_while_other_threads_train_and_predict():
    code = f"""
{START}
from fastnn import work
work.WORTH_A_THREAD = 1e6
stop, nets, many = threading.Event(), [], np.tile(X, (20, 1))
def train():
    nets.append(new(2).fit(X, y, max_iter=100_000, callback=lambda net: stop.is_set()))
def predict():
    net = new(3)
    while not stop.is_set():
        net.predict(many)
others = [threading.Thread(target=train), threading.Thread(target=predict)]
for other in others:
    other.start()
for _ in range(5):
    pid = fork()
    if pid == 0:
        same(new(3).fit(X, y, max_iter=3), 3)
        new(3).predict(many)
    end(pid)
stop.set()
for other in others:
    other.join()
same(nets[0], nets[0].n_iter_)
"""
    assert python(code).split() == ["7"] * 5


def child_of(work):
    """The exit status of a forked child that calls work and ends with 0 if that is true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(120)
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_drops_an_open_team(kernels):
    """By its finalizer: nobody leaves the block."""
    teams = [threads.Team(kernels, 3)]
    with teams[0] as team:
        assert team.n_threads == 3

        def drop():
            nonlocal team
            one = team.n_threads == 1
            team = teams[0] = None
            return one

        assert child_of(drop) == 0
        assert team.n_threads == 3


def test_a_child_uses_helpers_in_a_new_block(kernels):
    closed = threads.Team(kernels, 2)
    with closed:
        pass

    def enter_again():
        with closed as team:
            return team.n_threads == 2

    assert child_of(enter_again) == 0


@COMPILED_ONLY
def test_lost_items_are_an_error_in_the_child():
    """The helper has one when a finalizer or signal handler of the caller forks."""
    taken, forked, statuses, done = threading.Event(), threading.Event(), [], []

    def work(items):
        if threading.current_thread() is not threading.main_thread():
            for item in items:
                taken.set()
                assert forked.wait(100)
                done.append(item)
            return
        taken.wait(100)
        for item in items:
            if not statuses:
                pid = os.fork()
                if pid == 0:
                    signal.alarm(120)
                statuses.append(pid)
                forked.set()
            done.append(item)

    try:
        threads.side_by_side(2, range(100), work)
    except RuntimeError as error:
        if statuses[0] == 0:
            os._exit(0 if "forked" in str(error) else 2)
        raise
    finally:
        if statuses[0] == 0:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(statuses[0], 0)[1]) == 0
    assert sorted(done) == list(range(100))
