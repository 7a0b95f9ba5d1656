"""Signals while helpers work: the process ends, or raises and can go on.

test_interrupts.py interrupts each line of Python; here signals come from outside, whenever they
do, and in storms of one each millisecond. `bench/interrupts.py` has how long Ctrl-C takes.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import timeit

import numpy as np
import pytest
from conftest import COMPILED_ONLY, PYTHON, THOROUGH
from sklearn.exceptions import NotFittedError
from test_exits import START

import fastnn
from fastnn import Network, threads, tutorial

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs Unix's signals"),
    pytest.mark.filterwarnings("ignore"),
]

# ---- SIGTERM ------------------------------------------------------------------------------------

TERM = """
import signal
def term(number, frame):
    {handler}
if {handled}:
    signal.signal(signal.SIGTERM, term)
    # what a handler raises in a destructor, or as a weak reference ends, is lost: once more
    again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
    def lost(what):
        if what.exc_type in (LookupError, SystemExit) and again.ident is None:
            again.start()
    sys.unraisablehook = lost
def ready():
    while not helpers():
        time.sleep(0.0005)
    print("ready", flush=True)
threading.Thread(target=ready, daemon=True).start()
net = new()
"""
FIT = """
try:
    net.fit(X, y, max_iter={epochs})
finally:
    assert not helpers()
    assert np.isfinite(net.params_).all()
    if net.n_iter_:
        right(net, net.n_iter_)
    else:  # it was not under way
        assert net.params_.tobytes() == new().params_.tobytes()
        print("right", flush=True)
"""
PREDICT = """
try:
    while True:
        net.predict(many)
finally:
    assert not helpers()
    print("right", flush=True)
"""
HANDLERS = {
    "none": ("pass", -signal.SIGTERM, False),
    "sys.exit": ("sys.exit(5)", 5, True),
    "an exception": ("raise LookupError", 1, True),
    # trains itself, and the fit goes on as if nothing had been
    "training": ("right(new().fit(X, y, max_iter=60), 60)", 0, True),
}


def terminated(handler, work, delay):
    """How a process that works ends after SIGTERM."""
    lines, status, returns = HANDLERS[handler]
    code = START.replace("{seed}", "0") + TERM.format(handler=lines, handled=handler != "none")
    code += FIT.format(epochs=200 if handler == "training" else 10**6) if work == "fit" else work
    command = [*PYTHON, "-P", "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as child:
        try:
            assert child.stdout.readline() == b"ready\n", child.stderr.read()
            time.sleep(delay)
            child.terminate()
            said, errors = child.communicate(timeout=120)
        finally:
            child.kill()
    assert child.returncode == status, errors
    assert said.split() == [b"right"] * (returns + (handler == "training")), errors


@COMPILED_ONLY
@pytest.mark.parametrize("handler", HANDLERS)
def test_sigterm_in_a_fit(handler):
    for i in range(10 if THOROUGH else 1):
        terminated(handler, "fit", i / 300)


@COMPILED_ONLY
@pytest.mark.parametrize(
    "handler", ["none", "sys.exit", "an exception"][: None if THOROUGH else 1]
)
def test_sigterm_while_it_predicts(handler):
    for i in range(5 if THOROUGH else 1):
        terminated(handler, PREDICT, i / 300)


# ---- storms of SIGINT ---------------------------------------------------------------------------

rng = np.random.RandomState(0)
X, LABELS = rng.randn(600, 100), rng.randint(10, size=600)
Y, MANY = np.eye(10)[LABELS], np.tile(X, (30, 1))


class Networks:
    """A network, and what is known of it: a copy trains as it does."""

    def __init__(self):
        self.one = Network(
            [100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=3,
        )  # fmt: skip

    def check(self):
        assert np.isfinite(self.one.params_).all()
        self.one.__setstate__(self.one.__getstate__())
        assert np.isfinite(self.one.partial_fit(X, Y, batch_size=600).loss_)


class Fits(Networks):
    def call(self):
        self.one.fit(X, Y, max_iter=60)


class FullBatches(Networks):
    """The parameters after n epochs are known."""

    def __init__(self):
        super().__init__()
        self.twin, self.seen = Networks().one, {}
        self.twin.fit(X, Y, max_iter=80, batch_size=600, callback=self.see)

    def see(self, net):
        self.seen[net.n_iter_] = net.params_.copy()

    def call(self):
        self.one = Networks().one
        self.one.fit(X, Y, max_iter=80, batch_size=600)

    def check(self):
        n = self.one.n_iter_
        if n:
            assert self.one.loss_curve_ == self.twin.loss_curve_[:n]
            assert (self.one.params_ == self.seen[n]).all()
        super().check()


class PartialFits(Networks):
    def call(self):
        for _ in range(200):
            self.one.partial_fit(X[:50], Y[:50])


class Predicts(Networks):
    def __init__(self):
        super().__init__()
        self.before = self.one.params_.copy()

    def call(self):
        self.one.predict(MANY)
        self.one.loss(MANY[:9000], np.tile(Y, (15, 1)))

    def check(self):
        assert (self.one.params_ == self.before).all()


class Tutorials:
    def __init__(self):
        self.one = tutorial.create_nn([100, 64, 10], tutorial.sigm)

    def call(self):
        tutorial.train(self.one, X, Y, tutorial.l2_cost, epochs=50)
        for _ in range(50):
            tutorial.train(self.one, X, Y, tutorial.l2_cost)

    def check(self):
        for layer in self.one:
            assert np.isfinite(layer.W).all()
            assert np.isfinite(layer.b).all()
        tutorial.train(self.one, X, Y, tutorial.l2_cost)


class Estimators:
    def __init__(self, solver, cls):
        self.one = cls(
            hidden_layer_sizes=(256,), solver=solver, max_iter=60, n_iter_no_change=99,
            random_state=0, n_jobs=3,
        )  # fmt: skip
        self.whole = False
        self.y = LABELS if cls is fastnn.MLPClassifier else Y
        self.call()

    def call(self):
        self.whole = False
        self.one.fit(X, self.y)
        self.whole = True

    def check(self):
        try:
            assert np.isfinite(self.one.predict(X[:5])).all()
        except NotFittedError:  # the next fit was about to draw its first parameters
            assert not self.whole


STORMS = {
    "fit": Fits,
    "fit, full batches": FullBatches,
    "partial_fit": PartialFits,
    "predict, loss": Predicts,
    "tutorial.train": Tutorials,
    "MLPClassifier adam": lambda: Estimators("adam", fastnn.MLPClassifier),
    "MLPRegressor sgd": lambda: Estimators("sgd", fastnn.MLPRegressor),
    "MLPRegressor lbfgs": lambda: Estimators("lbfgs", fastnn.MLPRegressor),
}


def attacked(call):
    """While this is on the stack, signals raise KeyboardInterrupt, however many come."""
    call()


def strike(number, frame):
    while frame:
        if frame.f_code is attacked.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-")]


def no_helpers(seconds=5):
    """Whether they have all left; after a second Ctrl-C nobody waits for them."""
    begun = time.monotonic()
    while helpers() and time.monotonic() < begun + seconds:
        time.sleep(0.001)
        if time.monotonic() > begun + 0.5:
            # what a signal raised in start() before the thread began leaves it in Python's list
            for thread in helpers():
                if thread.ident is None:
                    threading._limbo.pop(thread, None)
    return not helpers()


@contextlib.contextmanager
def nothing_noted():
    """What a signal raises in a destructor is lost, as it is where pytest takes note of that."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = before


@nothing_noted()
def storm(work, seconds, pause):
    """Signals every pause, or sooner or later if it is None; how many calls were interrupted."""
    stop, struck = threading.Event(), 0

    def send():
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(random.uniform(0, 0.02) if pause is None else pause)

    before = signal.signal(signal.SIGINT, strike)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                attacked(work.call)
            except KeyboardInterrupt:
                struck += 1
            work.check()
            assert no_helpers()
    finally:
        stop.set()
        sender.join()
        signal.signal(signal.SIGINT, before)
    return struck


@pytest.mark.parametrize("pause", [0.001, None])
@pytest.mark.parametrize("name", STORMS if THOROUGH else list(STORMS)[::2])
def test_a_storm(name, pause, monkeypatch):
    monkeypatch.setattr(threads, "_available", lambda: 4)
    work = STORMS[name]()
    estimators = name.startswith("MLP") and "lbfgs" not in name
    # scikit-learn's classes end their fits with a warning instead
    struck = storm(work, 2 if THOROUGH else 0.2, pause)
    assert struck or estimators
    work.check()
    work.call()
    work.check()


class Faulty(Networks):
    """Loses a number, or leaves a helper."""

    def __init__(self, fault):
        super().__init__()
        self.fault, self.over = fault, threading.Event()

    def call(self):
        try:
            self.one.fit(X, Y, max_iter=10**6)
        finally:
            if self.fault == "NaN":
                self.one.params_[7] = np.nan
            else:
                threading.Thread(target=self.over.wait, name="fastnn-9", daemon=True).start()


@pytest.mark.parametrize("fault", ["NaN", "thread"] if THOROUGH else ["NaN"])
def test_what_goes_wrong_is_found(fault):
    work = Faulty(fault)
    with pytest.raises(AssertionError):
        storm(work, 0.2, None)
    work.over.set()


# ---- a signal at any moment ---------------------------------------------------------------------


class Alarm(Exception):
    """What a handler may raise."""


@pytest.fixture
def alarms():
    """Start a timer whose signal raises Alarm; it is off afterwards."""

    def ring(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        # once more later: one that comes within a destructor is lost
        with nothing_noted():
            yield lambda seconds: signal.setitimer(
                signal.ITIMER_REAL, seconds, 0.2 * (seconds > 0)
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


X40, Y40 = np.random.RandomState(0).rand(40, 3), np.random.RandomState(1).rand(40)


def of_network(net):
    return net._state.n_steps, net.n_iter_, net.params_


def of_estimator(mlp):
    return mlp._optimizer.t, mlp.t_ // 40, np.concatenate([c.ravel() for c in mlp.coefs_])


@COMPILED_ONLY
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("kind", ["Network", "MLPRegressor"])
def test_partial_fit_is_interrupted_at_any_moment(alarms, kind, ema):
    """Steps, epochs and parameters belong together, whenever the signal comes."""
    delays, moved = random.Random(0), 0
    if kind == "Network":
        one, look = Network([3, 4, 1], random_state=0).partial_fit(X40, Y40, ema=ema), of_network
        call = lambda: one.partial_fit(X40, Y40, ema=ema)  # noqa: E731
    else:
        one = fastnn.MLPRegressor(hidden_layer_sizes=(4,), random_state=0, ema=ema)
        one.partial_fit(X40, Y40)
        look, call = of_estimator, lambda: one.partial_fit(X40, Y40)
    # several calls, on a slow machine too
    span = max(3e-4, 5 * np.median(timeit.repeat(call, number=1, repeat=9)))
    for _ in range(4000 if THOROUGH else 300):
        steps, epochs, params = look(one)
        params = params.copy()
        try:
            alarms(delays.uniform(1e-6, span))
            while True:
                call()
                steps, epochs, params = look(one)
                params = params.copy()
        except Alarm:
            alarms(0)
        except AttributeError as error:  # scikit-learn's, in whether there is a partial_fit
            alarms(0)
            if not isinstance(error.__cause__, Alarm):
                raise
        after = look(one)
        assert after[0] - steps == after[1] - epochs == (not np.array_equal(params, after[2]))
        assert after[0] - steps in (0, 1)
        moved += after[0] - steps
    assert moved  # some came between an epoch and the end of the call


def test_a_wait_that_was_interrupted_is_a_wait_the_second_time():
    """Thread.join marks a thread as ended when a handler raises in it, up to Python 3.12."""
    helper = threading.Thread(target=time.sleep, args=(0.4,), daemon=True)
    helper.start()

    def handler(*_):
        raise LookupError

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(LookupError):
            threads._wait_for([helper])
    finally:
        signal.signal(signal.SIGALRM, old)
    assert helper in threading.enumerate()
    assert threads._wait_for([helper])
    assert helper not in threading.enumerate()
