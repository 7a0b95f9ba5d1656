"""Threads change no bit, respect the limits they are given, and do not outlive their fit."""

import gc
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cases import problem, run
from conftest import COMPILED, COMPILED_ONLY, PYTHON, UNCHECKED_ONLY
from test_process import python

import fastnn
from fastnn import Network, threads, tutorial, work
from fastnn import kernels as builds
from fastnn.catalog import activations
from fastnn.training.objective import MeanLoss

# Wide enough, or with enough chunks, that many threads share every phase. Widths are odd.
WIDE = ((97, 203, 131, 5), ("relu", "tanh", "softmax"), "log_loss")
SIGMOID = ((130, 300, 1), ("sigmoid", "sigmoid"), "binary_log_loss")
NARROW = ((3, 7, 2), ("tanh", "softmax"), "log_loss")
MIDDLE = ((20, 40, 3), ("relu", "identity"), "squared_error")

CASES = {
    "wide, one chunk": (WIDE, 200, 200),
    "wide, three chunks": (WIDE, 600, 600),
    "wide, mini-batches, a rest": (WIDE, 500, 192),
    "wide, one output": (SIGMOID, 400, 200),
    "narrow, slices": (NARROW, 20_000, 20_000),
    "narrow, slices in mini-batches, a rest": (NARROW, 25_000, 10_000),
    "middle, slices": (MIDDLE, 6_000, 6_000),
}


def helpers():
    """fastnn's threads that are alive; other libraries may have threads too."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn")]


@pytest.mark.parametrize("n_threads", [2, 3, 7])
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(kernels, dtype, case, solver, n_threads, rng):
    net, n, batch_size = CASES[case]
    units = np.array(net[0], np.intp)
    # one thread compared with one would always pass
    assert kernels.useful_threads(units, batch_size, dtype.itemsize, n_threads) > 1
    params, x, y = problem(rng, dtype, net[0], n, net[2])
    order = rng.permutation(n) if batch_size < n else np.empty(0, np.intp)
    args = (kernels, dtype, net, params, x, y, solver, batch_size, order, 2)
    one = run(*args, alpha=0.1)
    many = run(*args, alpha=0.1, n_threads=n_threads)
    pieces = run(*args, alpha=0.1, n_threads=n_threads, budget=1.0)
    for got in (many, pieces):
        for a, b in zip(one[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)


def test_slices_agree_with_the_oracle(kernels, dtype, rng):
    from fastnn import reference

    net, n, batch_size = CASES["narrow, slices in mini-batches, a rest"]
    params, x, y = problem(rng, dtype, net[0], n, net[2])
    args = (dtype, net, params, x, y, "adam", batch_size, np.empty(0, np.intp), 2)
    got, want = run(kernels, *args, alpha=0.1, n_threads=2), run(reference, *args, alpha=0.1)
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(got[0], want[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(got[1], want[1], rtol=tolerance)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_divergence_in_slices(kernels, dtype, n_threads, rng):
    net, n, batch_size = MIDDLE, 6_000, 6_000
    params, x, y = problem(rng, dtype, net[0], n, net[2])
    args = (kernels, dtype, net, params, x, y, "sgd", batch_size, np.empty(0, np.intp))
    got = run(*args, 60, learning_rate=1e4, n_threads=n_threads)
    assert got[3][3] == builds.DIVERGED
    epoch = int(got[3][0])
    before = run(*args, epoch, learning_rate=1e4)[0] if epoch else params
    np.testing.assert_array_equal(got[0], before)


def fitted(n_jobs, **options):
    rng = np.random.RandomState(0)
    X, y = rng.randn(600, 100), np.eye(10)[rng.randint(10, size=600)]
    net = Network([100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=n_jobs)
    return net.fit(X, y, max_iter=8, **options)


def all_threads(monkeypatch):
    """As if this process had 4 cores."""
    monkeypatch.setattr(threads, "_available", lambda: 4)


@COMPILED_ONLY
def test_n_jobs_changes_nothing_but_who_works(monkeypatch):
    all_threads(monkeypatch)
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda self: (started.append(self.name), start(self))[1]
    )
    one = fitted(1)
    assert started == []
    three = fitted(3)
    assert started == ["fastnn-1", "fastnn-2"]
    assert not helpers()
    assert one.loss_curve_ == three.loss_curve_
    for a, b in zip(one.coefs_, three.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_work_starts_no_thread(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", None)
    all_threads(monkeypatch)
    X = np.random.RandomState(0).randn(2000, 8)
    net = Network([8, 32, 32, 2], "relu", random_state=0, n_jobs=4)
    net.fit(X, X[:, :2], batch_size=32, max_iter=500)
    net.predict(X)


def watch_starts(monkeypatch, refuse=False):
    """The names of the threads that are started, or asked for."""
    started, start = [], threading.Thread.start

    def watched(self):
        started.append(self.name)
        if refuse:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", watched)
    return started


@COMPILED_ONLY
@pytest.mark.parametrize("refuse", [False, True])
@pytest.mark.parametrize(("n", "n_started"), [(30_001, 3), (20_000, 3), (200, 2), (96, 0)])
def test_predict_by_threads(monkeypatch, n, n_started, refuse):
    all_threads(monkeypatch)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 1)
    net = fitted(1)
    X = np.asfortranarray(np.random.RandomState(1).randn(n, 100))  # goes the long way
    one, every = net.predict(X), net.forward(X)
    started = watch_starts(monkeypatch, refuse)
    net.n_jobs = 4
    np.testing.assert_array_equal(net.predict(X), one)
    # the caller works too, and no thread is started that would find nothing to do
    assert len(started) == min(n_started, 1 if refuse else 3)
    for a, b in zip(net.forward(X), every, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not helpers()


@pytest.mark.parametrize("where", ["caller", "helper"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_predict_passes_on_what_went_wrong(where, error):
    meet, left = threading.Barrier(2), []

    def work(items):
        next(items)
        meet.wait(100)
        if (threading.current_thread() is threading.main_thread()) == (where == "caller"):
            raise error("no workspace")
        for item in items:  # until the other's error ends them
            left.append(item)
            time.sleep(0.001)

    with pytest.raises(error, match="no workspace"):
        threads.side_by_side(2, range(10**5), work)
    assert len(left) < 10**5 - 1
    assert not helpers()


def test_predict_after_the_main_thread_ended():
    code = """
import threading, time, numpy as np
from fastnn import Network, threads, work
threads._available = lambda: 3
work.WORTH_A_THREAD = 1
def late():
    threading.main_thread().join()
    print(Network([3, 1]).predict(np.zeros((5000, 3))).shape)
threading.Thread(target=late).start()
"""
    assert python(code) == "(5000, 1)"


@pytest.fixture
def short_parts(monkeypatch):
    """A mean loss in the shortest parts, each worth a thread; their lengths."""
    all_threads(monkeypatch)
    monkeypatch.setattr(work, "BUDGET", 1)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 1)
    calls, kernel = [], builds.build.loss_and_grad

    def counted(params, units, codes, step, x, *args):
        calls.append(len(x))
        return kernel(params, units, codes, step, x, *args)

    monkeypatch.setattr(builds.build, "loss_and_grad", counted)
    return calls


def mean_loss(y, n_jobs, alpha=0.3):
    rng = np.random.RandomState(0)
    units = np.array([30, 20, 3], np.intp)
    codes = np.array([activations.CODES[name] for name in ("relu", "identity")], np.int32)
    x, params = rng.randn(len(y), 30), rng.randn(683)
    grads = np.empty_like(params)
    loss = MeanLoss(units, codes, "squared_error", alpha, x, y, n_jobs)
    return loss(params, grads), grads


@pytest.mark.parametrize("weighted", [False, True])
def test_a_mean_loss_by_parts(monkeypatch, short_parts, weighted):
    rng = np.random.RandomState(1)
    y = rng.rand(5000, 3 + weighted)
    (loss, grads), (again, same) = mean_loss(y, 1), mean_loss(y, 4)
    assert short_parts == [1000] * 10
    assert loss == again
    np.testing.assert_array_equal(grads, same)
    monkeypatch.undo()
    want, want_grads = mean_loss(y, 1)
    np.testing.assert_allclose(loss, want, rtol=1e-13)
    np.testing.assert_allclose(grads, want_grads, rtol=1e-11, atol=1e-13)


def test_a_part_without_weight_has_no_mean(short_parts):
    y = np.random.RandomState(1).rand(5000, 4)
    y[2000:3000, -1] = 0
    loss, grads = mean_loss(y, 4)
    assert short_parts == [5000]
    assert np.isfinite(loss)
    assert np.isfinite(grads).all()


def test_ctrl_c_between_the_parts_of_a_loss(monkeypatch, short_parts):
    net, kernel = Network([3, 1], random_state=0, n_jobs=2), builds.build.loss_and_grad

    def interrupted(*args):
        if len(short_parts) == 2:
            raise KeyboardInterrupt
        return kernel(*args)

    monkeypatch.setattr(builds.build, "loss_and_grad", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net.loss(np.zeros((20_000, 3)), np.zeros(20_000))
    assert len(short_parts) < 5
    assert not helpers()


def test_fits_in_threads_side_by_side(monkeypatch):
    all_threads(monkeypatch)
    nets = [None] * 4

    def work(i):
        nets[i] = fitted(2)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    want = fitted(1)
    for net in nets:
        np.testing.assert_array_equal(net.coefs_[0], want.coefs_[0])


def in_another_thread(call):
    found = []
    worker = threading.Thread(target=lambda: found.append(call()))
    worker.start()
    worker.join()
    return found[0]


def test_calls_side_by_side_share_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "_available", lambda: 8)

    def shares(n_threads):
        """That of a call beside this thread's others, and of one more."""
        with threads.AtWork():
            return threads.share(n_threads), in_another_thread(lambda: threads.share(8))

    assert shares(8) == (8, 4)
    with threads.AtWork():
        assert in_another_thread(lambda: shares(8)) == (4, 2)
        with threads.AtWork():  # within the first
            assert in_another_thread(lambda: shares(3)) == (3, 2)
        assert in_another_thread(lambda: threads.share(1)) == 1
    assert not threads._at_work

    def helped(numbers):
        for _ in numbers:
            with threads.AtWork():
                counts.append(len(threads._at_work))

    counts = []
    threads.side_by_side(3, range(20), helped)  # helpers are part of the caller's call
    assert set(counts) == {1}
    assert not threads._at_work
    assert not threads._helping


@COMPILED_ONLY
def test_a_fit_goes_on_with_fewer_threads_while_there_are_others(monkeypatch):
    all_threads(monkeypatch)
    monkeypatch.setattr(threads, "_available", lambda: 4)
    used, other = [], threads.AtWork()

    def begin_another(net):
        used.append(net._step["n_threads"].item())
        in_another_thread(other.__enter__ if len(used) == 2 else lambda: None)
        if len(used) == 4:
            other.end()

    net = fitted(4, callback=begin_another)
    assert used[0] == used[1] == used[-1] > 2
    assert used[2:4] == [2, 2]
    np.testing.assert_array_equal(net.coefs_[0], fitted(1).coefs_[0])


def test_a_system_without_threads_to_give(monkeypatch):
    all_threads(monkeypatch)
    start = threading.Thread.start

    def refuse(self):
        if self.name == "fastnn-2":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    net = fitted(4)
    monkeypatch.undo()
    np.testing.assert_array_equal(net.coefs_[0], fitted(1).coefs_[0])


@COMPILED_ONLY
def test_an_interrupted_end_sends_the_helpers_home(monkeypatch):
    all_threads(monkeypatch)

    def interrupt(frame, event, arg):
        if event == "call" and frame.f_code is threads.Team.close.__code__:
            sys.settrace(None)
            raise KeyboardInterrupt

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            fitted(3)
        sys.settrace(None)

    tracer = sys.gettrace()
    sys.settrace(interrupt)
    try:
        interrupted()
    finally:
        sys.settrace(tracer)
    gc.collect()
    assert not helpers()


@COMPILED_ONLY
@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("name", ["fastnn-1", "fastnn-2"])
@pytest.mark.parametrize("what", ["fit", "predict"])
def test_an_interrupted_start_leaves_no_helper(monkeypatch, what, name, begins):
    all_threads(monkeypatch)
    monkeypatch.setattr(work, "WORTH_A_THREAD", 1)
    net, start = fitted(1), threading.Thread.start
    net.n_jobs = 3

    def late(thread):
        time.sleep(0.02)
        start(thread)

    def interrupted(self):
        if self.name != name:
            start(self)
            return
        if begins:  # a moment later, as on a busy machine
            threading._limbo[self] = self
            begun.append(self)
            start(threading.Thread(target=late, args=(self,)))
        raise KeyboardInterrupt

    begun = []
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(3) if what == "fit" else net.predict(np.zeros((20_000, 100)))
    assert not helpers()
    for helper in begun:  # they have been, and are no more
        assert helper.ident is not None


@COMPILED_ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_the_finalizer_leaves_no_helper(monkeypatch):
    """It runs once, so helpers must be on their way before."""
    all_threads(monkeypatch)

    def interrupted(build, memory, helpers):
        raise KeyboardInterrupt

    monkeypatch.setattr(threads, "_close_team", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(3)
    for helper in helpers():
        helper.join(5)
    assert not helpers()


def test_divergence_sends_the_helpers_home(monkeypatch):
    all_threads(monkeypatch)
    with pytest.raises(FloatingPointError):
        fitted(3, solver="sgd", learning_rate_init=1e30)
    assert not helpers()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fit_fork_fit():
    code = """
import os, numpy as np
from fastnn import Network, threads
threads._available = lambda: 2
def coefs():
    rng = np.random.RandomState(0)
    X, y = rng.randn(600, 100), np.eye(10)[rng.randint(10, size=600)]
    net = Network([100, 256, 10], "relu", loss="log_loss", random_state=0)
    return net.fit(X, y, max_iter=8).coefs_[0]
before = coefs()
child = os.fork()
if child == 0:
    os._exit(0 if (coefs() == before).all() else 1)
assert (coefs() == before).all()
print(os.waitpid(child, 0)[1])
"""
    assert python(code) == "0"


# ---- who does a part ----------------------------------------------------------------------------

# Tasks of random length and number of parts; helpers come in time, late or not at all.
TEAM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include "threads.h"

enum { MOST = 4, TASKS = 100000 };

typedef struct {
    pthread_t caller;
    long done[MOST], helped[MOST];
    int parts, spins;
} job;

static void perform(void *context, int part, int parts)
{
    job *j = context;
    if (parts > j->parts || part >= parts) abort();
    for (volatile int i = 0; i < j->spins; i++) {}
    j->helped[part] = !pthread_equal(pthread_self(), j->caller);
    j->done[part]++; /* not atomic: a part done twice, or too late, would be a race */
}

typedef struct { void *memory; int index; } seat;

static void *serve(void *context)
{
    seat *s = context;
    team_serve(s->memory, s->index);
    return NULL;
}

int main(void)
{
    void *memory = aligned_alloc(128, (team_bytes(MOST) + 127) / 128 * 128);
    pthread_t threads[MOST];
    seat seats[MOST];
    job jobs[2] = {{0}};
    team *team_of = memory;
    long many = 0, helped = 0;
    unsigned random = 1;
    team_open(memory, MOST);
    for (int i = 1; i < MOST; i++) {
        seats[i] = (seat){memory, i};
        pthread_create(&threads[i], NULL, serve, &seats[i]);
    }
    for (long n = 0; n < TASKS; n++) {
        job *j = &jobs[n % 2];
        random = random * 1664525u + 1013904223u;
        memset(j, 0, sizeof *j);
        j->caller = pthread_self();
        if (n % 1000 < 900) /* offer them parts even if they rarely help */
            for (int i = 0; i < MOST - 1; i++) team_of->helpers[i].rest_end = 0;
        j->parts = 1 + (random >> 16) % MOST;
        j->spins = (random >> 24) % 4 ? 10 : 3000;
        team_run(memory, perform, j, j->parts);
        int parts = 0;
        for (; parts < MOST && j->done[parts]; parts++)
            if (j->done[parts] != 1) return 2;
        for (int i = parts; i < MOST; i++)
            if (j->done[i]) return 3;
        if (parts < 1) return 4;
        many += parts > 1;
        for (int i = 0; i < parts; i++) helped += j->helped[i];
    }
    team_close(memory);
    for (int i = 1; i < MOST; i++) pthread_join(threads[i], NULL);
    team_free(memory);
    free(memory);
    printf("%ld shared, %ld parts by helpers\n", many, helped);
    return 0;
}
"""


@pytest.mark.parametrize("sanitizer", [[], ["-fsanitize=thread"]], ids=["plain", "sanitizer"])
def test_every_part_is_done_once(tmp_path, sanitizer):
    headers = Path(__file__).parents[1] / "fastnn" / "kernels"
    compiler = next((c for c in ("gcc", "cc", "clang") if shutil.which(c)), None)
    if compiler is None or not headers.exists() or os.name != "posix":
        pytest.skip("needs the source tree and a C compiler")
    (tmp_path / "team.c").write_text(TEAM)
    command = [compiler, "-O1", "-pthread", *sanitizer, "-I", headers, "team.c", "-o", "team"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if built.returncode and sanitizer:
        pytest.skip("needs ThreadSanitizer")
    assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [tmp_path / "team"], capture_output=True, text=True, timeout=300,
        # not the sanitizer that a checked build of fastnn may have loaded
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "LD_PRELOAD": ""},
    )  # fmt: skip
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run here")
    assert done.returncode == 0, (done.returncode, done.stderr)
    shared, helped = (int(n) for n in done.stdout.split()[::2][:2])
    assert shared > 0
    assert helped > 0


@COMPILED_ONLY
@UNCHECKED_ONLY
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins itself to a core")
def test_two_threads_on_one_core_cost_little():
    code = """
import os, time, numpy as np
from fastnn import Network, threads
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
threads._available = lambda: 2
rng = np.random.RandomState(0)
X = rng.randn(4000, 64).astype("f4")
y = np.eye(10, dtype="f4")[rng.randint(10, size=4000)]
def seconds(n_jobs):
    net = Network([64, 100, 10], "relu", loss="log_loss", dtype="f4", n_jobs=n_jobs)
    start = time.perf_counter()
    net.fit(X, y, batch_size=200, max_iter=30)
    return time.perf_counter() - start
times = [(seconds(1), seconds(2)) for _ in range(7)]
one, two = (min(t) for t in zip(*times))
print(two / one)
"""
    assert float(python(code)) < 2.5


# ---- how many -----------------------------------------------------------------------------------


@pytest.fixture
def eight_cores(monkeypatch):
    for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_quota", lambda: math.inf)
    monkeypatch.setattr(threads, "_chosen", None)
    return monkeypatch


def test_all_cores_by_default(eight_cores):
    assert fastnn.get_num_threads() == 8
    eight_cores.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    assert fastnn.get_num_threads() == 2
    eight_cores.setattr(threads, "_quota", lambda: 1)
    assert fastnn.get_num_threads() == 1


def test_set_num_threads(eight_cores):
    fastnn.set_num_threads(3)
    assert fastnn.get_num_threads() == 3
    assert threads.resolve(2) == 2
    assert threads.resolve(-1) == 8
    fastnn.set_num_threads(99)
    assert fastnn.get_num_threads() == 8
    fastnn.set_num_threads(None)
    assert fastnn.get_num_threads() == 8


def test_environment(eight_cores):
    eight_cores.setenv("FASTNN_NUM_THREADS", "5")
    assert fastnn.get_num_threads() == 5
    eight_cores.setenv("OMP_NUM_THREADS", "4,2")
    assert fastnn.get_num_threads() == 4
    assert threads.resolve(-1) == 4
    fastnn.set_num_threads(6)
    assert fastnn.get_num_threads() == 4
    fastnn.set_num_threads(2)
    assert fastnn.get_num_threads() == 2
    for text in ("", "nonsense", "0", "9" * 5000):
        eight_cores.setenv("OMP_NUM_THREADS", text)
        assert threads.resolve(-1) == 8
    eight_cores.setenv("OMP_NUM_THREADS", "+2")
    assert threads.resolve(-1) == 2
    eight_cores.delenv("OMP_NUM_THREADS")
    fastnn.set_num_threads(np.int64(-1))
    assert fastnn.get_num_threads() == 8
    assert Network([1, 1], n_jobs=np.int64(-1)).n_jobs == -1
    fastnn.set_num_threads(None)
    eight_cores.setenv("FASTNN_NUM_THREADS", "9" * 5000)
    assert fastnn.get_num_threads() == 8


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_bad_environment(eight_cores, text):
    eight_cores.setenv("FASTNN_NUM_THREADS", text)
    with pytest.raises(ValueError, match=f"FASTNN_NUM_THREADS must be .* got '{text}'"):
        fastnn.get_num_threads()


def small_work():
    """Each public function that trains, predicts or counts threads, on work for one thread."""
    X, y = np.eye(2), [0, 1]
    net = Network([2, 1], random_state=0, n_jobs=1).fit(X, y, max_iter=3)
    fitted_mlp = fastnn.MLPClassifier(hidden_layer_sizes=(2,), max_iter=300).fit(X, y)
    layers, kept = (tutorial.create_nn([2, 1], tutorial.sigm) for _ in range(2))
    tutorial.train(kept, X, X[:, :1], tutorial.l2_cost)
    return {
        "Network": lambda: Network([2, 1]),
        "from_params": lambda: Network.from_params(np.zeros(3), [2, 1], "sigmoid"),
        "fit": lambda: net.fit(X, y),
        "partial_fit": lambda: net.partial_fit(X, y),
        "predict": lambda: net.predict(X),
        "predict one row": lambda: net.predict(X[:1]),
        "forward": lambda: net.forward(X),
        "forward one row": lambda: net.forward(X[:1]),
        "loss": lambda: net.loss(X, y),
        "loss_and_grad": lambda: net.loss_and_grad(X, y),
        "estimator fit": lambda: fastnn.MLPRegressor(solver="lbfgs").fit(X, y),
        "estimator partial_fit": lambda: fitted_mlp.partial_fit(X, y),
        "estimator predict": lambda: fitted_mlp.predict(X[:1]),
        "estimator predict_proba": lambda: fitted_mlp.predict_proba(X),
        "tutorial": lambda: tutorial.train(layers, X, X[:, :1], tutorial.l2_cost),
        "tutorial, kept": lambda: tutorial.train(kept, X, X[:, :1], tutorial.l2_cost),
        "tutorial, forward": lambda: tutorial.train(
            layers, X, None, tutorial.l2_cost, train=False
        ),
        "get_num_threads": fastnn.get_num_threads,
        "set_num_threads": lambda: fastnn.set_num_threads(2),
        "show_config": fastnn.show_config,
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_bad_environment_is_refused_everywhere(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", 1)  # which would make the variable irrelevant
    calls = small_work()
    for text in ("x", "0", "x"):
        monkeypatch.setenv("FASTNN_NUM_THREADS", text)
        refused = set()
        for name, call in calls.items():
            try:
                call()
            except ValueError as error:
                if "FASTNN_NUM_THREADS must be a whole number" in str(error):
                    refused.add(name)
        assert refused == set(calls)
    assert threads._chosen == 1
    for text in ("3", ""):
        monkeypatch.setenv("FASTNN_NUM_THREADS", text)
        for call in calls.values():
            call()
        assert threads.from_environment() == (3 if text else None)


@pytest.mark.parametrize("command", [["config"], ["demo", "--epochs", "2"]])
def test_the_command_line_refuses_a_bad_environment(command, tmp_path):
    done = subprocess.run(
        [*PYTHON, "-m", "fastnn", *command], capture_output=True, text=True, timeout=300,
        env={**os.environ, "FASTNN_NUM_THREADS": "x"}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(
        "fastnn: error: FASTNN_NUM_THREADS must be a whole number >= 1, got 'x'. See docs: "
    )


def test_a_bad_environment_is_found_before_anything_changes(monkeypatch):
    net = Network([2, 1], random_state=0).fit(np.eye(2), [0, 1], max_iter=3)
    before = net.loss_curve_, net.coefs_[0].copy(), net._state
    monkeypatch.setenv("FASTNN_NUM_THREADS", "two")
    for fit in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match="FASTNN_NUM_THREADS"):
            fit(np.eye(2), [0, 1])
        assert net.loss_curve_ == before[0]
        np.testing.assert_array_equal(net.coefs_[0], before[1])
        assert net._state is before[2]
        assert net._state.n_steps == 3
    mlp = fastnn.MLPRegressor(hidden_layer_sizes=(2,))
    with pytest.raises(ValueError, match="FASTNN_NUM_THREADS"):
        mlp.fit(np.eye(2), [0, 1])
    assert not hasattr(mlp, "coefs_")


@pytest.mark.parametrize("n", [0, -2, np.int64(-2), 1.5, "2", True, [2]])
def test_bad_numbers(n):
    for call in (fastnn.set_num_threads, lambda n: Network([1, 1], n_jobs=n)):
        with pytest.raises(
            (TypeError, ValueError), match=r"must be None, -1 .* or a whole number"
        ):
            call(n)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
        ({"cpu.max": "rubbish"}, math.inf),
        ({"cpu.max": "100000 0"}, math.inf),
        # this process's group and those above it, but no other
        ({"self": "0::/a/b\n", "a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "self": "0::/a/b\n",
                "a/b/cpu.max": "100000 100000\n",
                "a/cpu.max": "300000 100000\n",
                "a/c/cpu.max": "1 100000\n",
            },
            1,
        ),
        ({"self": "0::/gone\n", "cpu.max": "200000 100000\n"}, 2),
        ({"self": "0::/../x\n", "cpu.max": "200000 100000\n"}, 2),
        (
            {
                "self": "5:memory:/x\n4:cpu,cpuacct:/a\n0::/\n",
                "cpu/a/cpu.cfs_quota_us": "200000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "cpu/x/cpu.cfs_quota_us": "100000\n",
                "cpu/x/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_quota_of_the_control_group(tmp_path, files, cores):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    assert threads._quota(tmp_path, tmp_path / "self") == cores


def test_every_build_can_use_threads():
    for name in COMPILED:
        assert builds.load(name).build_info()["threads"]


@COMPILED_ONLY
def test_a_thread_that_runs_although_it_was_refused(monkeypatch):
    """Its item is waited for: without memory for a lock, start() raises of a thread that runs."""
    start, done = threading.Thread.start, []

    def refuse(self):
        start(self)
        while not begun.is_set():
            time.sleep(0.001)
        raise RuntimeError("can't allocate lock")

    def work(items):
        for item in items:
            if threading.current_thread() is not threading.main_thread():
                begun.set()
                time.sleep(0.1)
            done.append(item)

    begun = threading.Event()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads.side_by_side(2, range(3), work)
    assert sorted(done) == [0, 1, 2]
    monkeypatch.setattr(threads, "_wait_for", lambda helpers: False)  # which may give up
    begun.clear()
    done.clear()
    threads.side_by_side(2, range(3), work)
    assert sorted(done) == [0, 1, 2]
