"""The interpreter ends while helpers work: with the status that was asked for, and soon.

Ordinarily each way to end is tried with one kind of work, with FASTNN_THOROUGH=1 with each kind,
several times.
"""

import subprocess

import pytest
from conftest import COMPILED_ONLY, PYTHON, THOROUGH

pytestmark = COMPILED_ONLY

START = """
import atexit, hashlib, os, random, sys, threading, time
import numpy as np
from fastnn import Network, threads
threads._available = lambda: 4
rng = np.random.RandomState(0)
X, y = rng.randn(600, 100), np.eye(10)[rng.randint(10, size=600)]
many, targets = np.tile(X, (30, 1)), np.tile(y, (30, 1))
random.seed({seed})

def new(n_jobs=3):
    return Network([100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=n_jobs)

def helpers():
    # one whose start() was interrupted before it began has no ident, and stays in the list
    return [thread for thread in threading.enumerate()
            if thread.name.startswith("fastnn-") and thread.ident is not None]

def fit():
    new().fit(X, y, max_iter=100_000)

def predict():
    net = new()
    while True:
        net.predict(many)

def loss():
    net = new()
    while True:
        net.loss(many, targets)

def estimator():
    from fastnn import MLPClassifier
    MLPClassifier(hidden_layer_sizes=(256,), batch_size=600, max_iter=100_000,
                  n_iter_no_change=10**9, n_jobs=3).fit(X, y.argmax(axis=1))

def busy(call, **options):
    "A thread that calls, once its helpers are there."
    thread = threading.Thread(target=call, **options)
    thread.start()
    while not helpers():
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.02))
    return thread

def right(net, epochs):
    want = new(1).fit(X, y, max_iter=epochs)
    assert net.loss_curve_ == want.loss_curve_
    assert net.params_.tobytes() == want.params_.tobytes()
    print("right", flush=True)

def whole():
    right(new().fit(X, y, max_iter=60), 60)

def whole_with_helpers():
    started, start = [], threading.Thread.start
    threading.Thread.start = lambda self: (started.append(self.name), start(self))[1]
    whole()
    threading.Thread.start = start
    # from Python 3.12 on none can be started any more
    assert started[0] == "fastnn-1", started
"""

WORK = ["fit", "predict", "loss", "estimator"]
ENDS = {"": 0, "sys.exit(3)": 3, "os._exit(4)": 4, "raise LookupError": 1}
SOME = [("fit", ""), ("predict", "sys.exit(3)"), ("loss", "raise LookupError")]
ALL = [(work, end) for work in WORK for end in ENDS]


def ends(code, status, said="", seed=0):
    """Run code, and compare how it ends."""
    done = subprocess.run(
        [*PYTHON, "-P", "-c", START.replace("{seed}", str(seed)) + code],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "Fatal" not in done.stderr, done.stderr
    assert done.stdout.split() == said.split(), done.stderr


@pytest.mark.parametrize(("work", "end"), ALL if THOROUGH else SOME)
def test_a_daemon_thread_works(work, end):
    """It is not waited for."""
    for seed in range(4 if THOROUGH else 1):
        ends(f"busy({work}, daemon=True)\n{end}", ENDS[end], seed=seed)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise LookupError"] if THOROUGH else [""])
def test_another_thread_fits_to_its_end(end):
    """The end of the program waits for it, and finds the right bits."""
    for seed in range(4 if THOROUGH else 1):
        ends(f"busy(whole)\n{end}", ENDS[end], "right", seed)


LATE = {
    "atexit": "atexit.register(whole_with_helpers)",
    "atexit, a daemon thread works": "atexit.register(whole); busy(fit, daemon=True)",
    "atexit, in a thread of its own": """
def late():
    try:
        thread = threading.Thread(target=whole)
        thread.start()
    except RuntimeError:  # from Python 3.12 on
        whole()
    else:
        thread.join()
atexit.register(late)""",
    "before threads are joined": "threading._register_atexit(whole_with_helpers)",
    "a pool of threads": """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
pool.submit(whole)""",
    "a finalizer": """
import weakref
class One: pass
one = One()
weakref.finalize(one, whole)""",
    "a module's end": """
class Late:
    def __del__(self, new=new, X=X, y=y):
        new().fit(X, y, max_iter=60)  # what it finds of its module is up to Python
late = Late()
del Late""",
    "an abandoned fit": """
def callback(net):
    if net.n_iter_ == 9:
        sys.exit(0)
new().fit(X, y, max_iter=60, callback=callback)""",
}


@pytest.mark.parametrize("late", LATE if THOROUGH else list(LATE)[:3])
def test_training_while_the_interpreter_ends(late):
    silent = late in ("a module's end", "an abandoned fit")
    ends(LATE[late], 0, "" if silent else "right")


FAULTS = {
    "crashes": "import ctypes; ctypes.string_at(0)",
    "hangs": "import signal; signal.alarm(1); time.sleep(99)",
    "other bits": "right(new().fit(X, y, max_iter=61), 60)",
}


@pytest.mark.parametrize("fault", FAULTS if THOROUGH else ["crashes"])
def test_what_goes_wrong_is_found(fault):
    with pytest.raises(AssertionError):
        ends(f"busy(fit, daemon=True)\n{FAULTS[fault]}", 0, "right" if "bits" in fault else "")
