"""A program that starts processes before, during and after training; test_processes.py runs it.

    python tests/processes.py want                      digests of undisturbed work, as JSON
    python tests/processes.py WANT CELL [CELL ...]       a line for each cell: it, and its status

A cell is "start/moment/object/what": how the child is started, when, what object it gets, and
what it does with that. Its status is 0 if the child found the bits of WANT, no thread was left and
helpers were at work where they should be; otherwise the child's exit status, -14 if it hung. The
parent, too, must come to the bits of an undisturbed run. Before an exit of 0 it prints "n of n".
"""

import contextlib
import hashlib
import itertools
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import NotFittedError

from fastnn import MLPClassifier, MLPRegressor, Network, threads

STARTS = ["os.fork", "fork", "spawn", "forkserver", "loky"]
MOMENTS = ["before", "callback", "thread fits", "thread predicts", "main fits", "after"]
OBJECTS = ["Network", "shuffled", "MLPClassifier", "MLPRegressor"]
WHATS = ["goes on", "fits", "predicts", "exits"]
# faults that must be found
PLANTED = ["hangs", "crashes", "wrong bit", "leaves a thread", "has no helpers"]

EPOCHS = 50  # in which a fit is worth threads, which have the time to come
rng = np.random.RandomState(0)
X = rng.randn(600, 100)
LABELS = rng.randint(10, size=600)
TARGETS = {"MLPClassifier": LABELS, "MLPRegressor": rng.randn(600, 2)}
MANY = np.tile(X, (30, 1))  # rows enough for threads to predict
LIMIT = 120  # seconds until a process has hung
want = {}


def prepare():
    """Settings of each of the processes."""
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
    threads._available = lambda: 4  # whatever OMP_NUM_THREADS a worker has


def cells():
    """All of the matrix."""
    for start, moment, kind, what in itertools.product(STARTS, MOMENTS, OBJECTS, WHATS):
        if moment == "main fits" and start not in ("os.fork", "fork"):
            continue  # a start from a thread copies that thread only where it is a fork
        if start == "loky" and what == "exits":
            continue  # a worker goes on to the next task
        yield "/".join([start, moment, kind, what])


# ---- objects ------------------------------------------------------------------------------------


def new(kind, n_jobs=3):
    if kind in ("Network", "shuffled"):
        return Network([100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=n_jobs)
    cls = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[kind]
    return cls(
        hidden_layer_sizes=(256,), batch_size=600, max_iter=EPOCHS, n_iter_no_change=99,
        random_state=0, n_jobs=n_jobs,
    )  # fmt: skip


def fit(kind, one, callback=None):
    if kind in TARGETS:
        one.set_callbacks(*[callback] * (callback is not None))
        return one.fit(X, TARGETS[kind])
    size = 600 if kind == "Network" else 150
    return one.fit(X, np.eye(10)[LABELS], max_iter=EPOCHS, batch_size=size, callback=callback)


def outputs(kind, one, n_jobs=3):
    """What it predicts for many rows."""
    one.n_jobs = n_jobs
    return one.predict_proba(MANY) if kind == "MLPClassifier" else one.predict(MANY)


def digest(*arrays):
    bits = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(bits).hexdigest()


def fitted(one):
    return digest(*one.coefs_, *one.intercepts_, one.loss_curve_)


def undisturbed():
    """The digests, in one thread."""
    found = {}
    for kind in OBJECTS:
        one = fit(kind, new(kind, 1))
        found[kind] = {"fit": fitted(one), "predict": digest(outputs(kind, one, 1))}
        found[kind]["again"] = fitted(fit(kind, one))
    return found


# ---- threads ------------------------------------------------------------------------------------


def helpers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-")]


def at_work(thread):
    """Nanoseconds that a thread has computed, and whether it sleeps; without /proc a guess."""
    task = Path(f"/proc/self/task/{thread.native_id}")
    if not Path("/proc/self/task").exists():
        return 1, True
    try:
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        return int((task / "schedstat").read_text().split()[0]), state == "S"
    except (OSError, ValueError):  # it has left
        return 0, False


def wait_until(condition, what):
    end = time.monotonic() + LIMIT / 2
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.0005)


def some_helper_worked():
    """Helpers are alive, and one has computed for as long as many tasks take."""
    return any(at_work(helper)[0] > 1e6 for helper in helpers())


@contextlib.contextmanager
def counted():
    """The names of helpers that start meanwhile."""
    names, start = [], threading.Thread.start

    def counting(self):
        if self.name.startswith("fastnn-"):
            names.append(self.name)
        start(self)

    threading.Thread.start = counting
    try:
        yield names
    finally:
        threading.Thread.start = start


# ---- the child ----------------------------------------------------------------------------------


def same(found, right):
    assert found == right, "other bits than an undisturbed run"


def fits_anew(kind, n_jobs=3):
    with counted() as names:
        one = fit(kind, new(kind, n_jobs))
    assert names == ["fastnn-1", "fastnn-2"], f"helpers: {names}"
    return one


def goes_on(moment, kind, one):
    """Trains the very object that the parent had, and comes to bits that are known."""
    if moment == "callback" and kind == "Network":
        for _ in range(EPOCHS - one.n_iter_):
            one.partial_fit(X, np.eye(10)[LABELS], batch_size=600)
        same(fitted(one), want[kind]["fit"])
        return
    busy = moment in ("thread fits", "main fits")  # it had any number of epochs
    if kind == "Network":
        assert np.isfinite(one.params_).all()
        if busy:
            one.params_[:] = new(kind).params_
        fresh = moment == "before" or busy
        same(fitted(fit(kind, one)), want[kind]["fit" if fresh else "again"])
    elif kind == "shuffled":
        twin = pickle.loads(pickle.dumps(one))
        twin.n_jobs = 1
        a, b = fitted(fit(kind, one)), fitted(fit(kind, twin))
        same(a, b)
        if moment in ("before", "after", "thread predicts"):
            same(a, want[kind]["fit" if moment == "before" else "again"])
    else:
        same(fitted(fit(kind, one)), want[kind]["fit"])


def predicts(moment, kind, one):
    if moment == "before" and kind in TARGETS:
        try:
            outputs(kind, one)
        except NotFittedError:
            return
        raise AssertionError("it predicts before it was fitted")
    with counted() as names:
        found = outputs(kind, one)
    assert names, "no helper predicted"
    same(digest(found), digest(outputs(kind, one, 1)))
    if moment in ("after", "thread predicts"):
        same(digest(found), want[kind]["predict"])


def act(what, moment, kind, one):
    """What a child does; everything it finds wrong is an exception."""
    if what == "goes on":
        goes_on(moment, kind, one)
    elif what == "fits":
        same(fitted(fits_anew(kind)), want[kind]["fit"])
    elif what == "predicts":
        predicts(moment, kind, one)
    elif what == "exits":
        sys.exit(0)
    elif what == "hangs":
        signal.alarm(1)
        time.sleep(60)
    elif what == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "wrong bit":
        one = fits_anew(kind)
        one.coefs_[0].view(np.uint8)[3, 5] ^= 1
        same(fitted(one), want[kind]["fit"])
    elif what == "leaves a thread":
        threading.Thread(target=time.sleep, args=(5,), name="fastnn-9", daemon=True).start()
    elif what == "has no helpers":
        fits_anew(kind, 1)
    assert not helpers(), "threads are left"


def in_child(right, *action):
    """`act` in a process of its own."""
    signal.alarm(LIMIT)
    prepare()
    want.update(right)
    act(*action)


def in_worker(right, *action):
    """`act` in a worker that lives on."""
    prepare()
    want.update(right)
    signal.alarm(LIMIT)
    try:
        act(*action)
    finally:
        signal.alarm(0)
    return 0


# ---- the parent ---------------------------------------------------------------------------------


def start(how, *action):
    """A process that acts; returns its exit status."""
    if how == "os.fork":
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            in_child(want, *action)
        except BaseException as error:
            if not isinstance(error, SystemExit):
                traceback.print_exc()
            os._exit(error.code if isinstance(error, SystemExit) else 1)
        os._exit(0)
    if how == "loky":
        import joblib

        try:
            run = joblib.Parallel(n_jobs=2, backend="loky", timeout=LIMIT)
            return max(run([joblib.delayed(in_worker)(want, *action)] * 2))
        except Exception:
            traceback.print_exc()
            return 1
    child = multiprocessing.get_context(how).Process(target=in_child, args=(want, *action))
    child.start()
    child.join(2 * LIMIT)
    if child.is_alive():
        child.kill()
        child.join()
        return -signal.SIGALRM
    return child.exitcode


def returning_child(kind, whole):
    """The end of a fit whose callback was forked: exits with the status of its bits."""
    try:
        same(fitted(whole), want[kind]["fit"])
        same(fitted(fits_anew(kind)), want[kind]["fit"])
        assert not helpers()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def in_a_callback(how, kind, what):
    """Helpers have worked and are parked while the callback starts a process."""
    one, statuses, in_the_child = new(kind), [], []

    def callback(net):
        if statuses or in_the_child:
            return
        wait_until(lambda: all(at_work(helper)[1] for helper in helpers()), "not parked")
        assert len(helpers()) == 2
        if not some_helper_worked():
            return
        if how == "os.fork" and what == "goes on":  # with the fit itself
            pid = os.fork()
            if pid == 0:
                signal.alarm(LIMIT)
                in_the_child.append(True)
                return
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            return
        mine = one
        if how not in ("os.fork", "fork"):  # a pickle of it, without the callback
            mine = pickle.loads(pickle.dumps(one)) if kind not in TARGETS else plain(one)
        statuses.append(start(how, what, "callback", kind, mine))

    fit(kind, one, callback)
    if in_the_child:
        returning_child(kind, one)
    same(fitted(one), want[kind]["fit"])
    return statuses[0] if statuses else None


def plain(one):
    """A copy of an estimator within its fit, without its callbacks, which are no pickles."""
    other = type(one).__new__(type(one))
    vars(other).update(vars(one))
    other.set_callbacks()
    return pickle.loads(pickle.dumps(other))


def while_a_thread_works(how, moment, kind, what):
    """A process starts while another thread fits or predicts with helpers, again and again."""
    current, stop, errors = [fit(kind, new(kind))], threading.Event(), []

    def work():
        try:
            while not stop.is_set():
                if moment == "thread predicts":
                    same(digest(outputs(kind, current[0])), want[kind]["predict"])
                    continue
                current[0] = new(kind)
                same(fitted(fit(kind, current[0])), want[kind]["fit"])
        except BaseException as error:
            errors.append(error)
            traceback.print_exc()

    def launch():
        try:
            wait_until(lambda: some_helper_worked() or errors, "no helper worked")
            time.sleep(delays.uniform(0, 0.003))
            one = current[0]
            if how not in ("os.fork", "fork"):
                one = pickle.loads(pickle.dumps(one))
            statuses.append(start(how, what, moment, kind, one))
        except BaseException as error:
            errors.append(error)
            traceback.print_exc()
        finally:
            stop.set()

    statuses = []
    first, second = (launch, work) if moment == "main fits" else (work, launch)
    thread = threading.Thread(target=first)
    thread.start()
    second()
    thread.join()
    return 1 if errors else statuses[0]


delays = np.random.RandomState(os.getpid())


def one_cell(cell):
    how, moment, kind, what = cell.split("/")
    if moment == "before":
        status = start(how, what, moment, kind, new(kind))
    elif moment == "callback":
        for _ in range(10):  # on a busy machine no helper may have its turn in a whole fit
            status = in_a_callback(how, kind, what)
            if status is not None:
                break
        assert status is not None, "no helper worked"
    elif moment == "after":
        status = start(how, what, moment, kind, fit(kind, new(kind)))
    else:
        status = while_a_thread_works(how, moment, kind, what)
    assert not helpers(), "threads are left in the parent"
    return status


def main(args):
    prepare()
    if args == ["want"]:
        print(json.dumps(undisturbed()))
        return 0
    want.update(json.loads(args[0]))
    # those before any fit come first
    todo = sorted(args[1:], key=lambda cell: "/before/" not in cell)
    right = 0
    for cell in todo:
        try:
            status = one_cell(cell)
        except Exception:
            traceback.print_exc()
            status = 99
        right += status == 0
        print(f"{cell}: {status}", flush=True)
    same(fitted(fits_anew("Network")), want["Network"]["fit"])
    print(f"{right} of {len(todo)}", flush=True)
    return 0 if right == len(todo) else 1


if __name__ == "__main__":
    # the module under its own name, so that every kind of child finds its functions there
    import processes

    sys.exit(processes.main(sys.argv[1:]))
