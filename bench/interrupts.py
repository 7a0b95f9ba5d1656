"""How long Ctrl-C takes: `python bench/interrupts.py`.

Each trial sends SIGINT at some moment of a call and takes the time until KeyboardInterrupt is
caught: on the clock, and the main thread's own CPU time, which another program's work does not
lengthen. scikit-learn's classes end their fits with a warning instead; then it is the end of the
call. The exit status says whether all trials were within the limit, by CPU time: a core that is
not idle may take its time.

A compiled call ends between two parts of a batch, of some hundred rows each. With millions of
parameters one part takes longer than the budget of a call in `fastnn/work.py`: `--widest` has six
million, and may take 0.3 s.
"""

import argparse
import os
import random
import signal
import statistics
import threading
import time
import warnings

import numpy as np

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, threads, tutorial

LIMIT = 0.2  # seconds


def calls(n_jobs, widest=False):
    """name -> a call that takes longer than anybody waits."""
    rng = np.random.RandomState(0)
    x, labels = rng.randn(20_000, 64), rng.randint(10, size=20_000)
    y, wide = np.eye(10)[labels], rng.randn(400, 1000)

    def net(*units):
        return Network(units, "relu", loss="log_loss", random_state=0, n_jobs=n_jobs)

    def estimator(cls, solver):
        return cls(
            hidden_layer_sizes=(100,), solver=solver, max_iter=10**6, n_iter_no_change=10**6,
            tol=0, random_state=0, n_jobs=n_jobs,
        )  # fmt: skip

    def predict():
        one, many = net(64, 100, 10), np.tile(x, (10, 1))
        while True:
            one.predict(many)

    def loss():
        one = net(64, 100, 10)
        while True:
            one.loss_and_grad(x, y)

    def train():
        layers = tutorial.create_nn([64, 100, 10], tutorial.sigm)
        tutorial.train(layers, x, y, tutorial.l2_cost, epochs=10**6)

    if widest:
        units = 1000, 2000, 2000, 10
        return {"widest layers": lambda: net(*units).fit(wide, y[:400], max_iter=10**6)}
    return {
        "full batches": lambda: net(64, 100, 10).fit(x, y, batch_size=20_000, max_iter=10**6),
        "batches of 200": lambda: net(64, 100, 10).fit(x, y, max_iter=10**6),
        "wide layers": lambda: net(1000, 1000, 1000, 10).fit(wide, y[:400], max_iter=10**6),
        "MLPClassifier": lambda: estimator(MLPClassifier, "adam").fit(x, labels),
        "MLPRegressor lbfgs": lambda: estimator(MLPRegressor, "lbfgs").fit(x, y),
        "predict": predict,
        "loss_and_grad": loss,
        "tutorial.train": train,
    }


def interrupted(call):
    """Seconds from SIGINT to its end: on the clock, and of the main thread's CPU time."""
    main, sent = threading.main_thread().ident, []
    clock = time.pthread_getcpuclockid(main)

    def strike():
        time.sleep(random.uniform(0.05, 0.3))
        sent.extend([time.perf_counter(), time.clock_gettime(clock)])
        os.kill(os.getpid(), signal.SIGINT)

    striker = threading.Thread(target=strike)
    try:
        striker.start()
        call()
    except KeyboardInterrupt:
        pass
    end = time.perf_counter(), time.clock_gettime(clock)
    striker.join()
    # Python's join may return early after Ctrl-C within it
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("fastnn-") for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            raise SystemExit("helpers are left")
        time.sleep(0.001)
    return end[0] - sent[0], end[1] - sent[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--smoke", action="store_true", help="one trial of each call")
    parser.add_argument("--widest", action="store_true", help="six million parameters alone")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    threads._available = lambda: max(options.threads)
    cases = [
        (n, name, call) for n in options.threads for name, call in calls(n, options.widest).items()
    ]
    trials = len(cases) if options.smoke else options.trials
    times = {case[:2]: [] for case in cases}
    for i in range(trials):
        n, name, call = cases[i % len(cases)]
        times[n, name].append(interrupted(call))
    print(f"{fastnn.kernels.ISA}; seconds from SIGINT to the end of the call")
    print(f"{'threads':<8}{'call':<20}{'trials':>7}{'median':>9}{'max':>9}{'CPU max':>9}")
    for (n, name), found in times.items():
        if found:
            clock, cpu = zip(*found, strict=True)
            numbers = statistics.median(clock), max(clock), max(cpu)
            print(f"{n:<8}{name:<20}{len(found):>7}" + "".join(f"{t:>9.3f}" for t in numbers))
    every = [pair for found in times.values() for pair in found]
    within = [sum(pair[i] <= LIMIT for pair in every) for i in (0, 1)]
    clock, cpu = zip(*every, strict=True)
    print(f"clock: median {statistics.median(clock):.3f}, max {max(clock):.3f}")
    print(f"CPU:   median {statistics.median(cpu):.3f}, max {max(cpu):.3f}")
    print(f"within {LIMIT} s: {within[0]} of {trials} by the clock, {within[1]} by CPU time")
    raise SystemExit(within[1] < trials)


if __name__ == "__main__":
    main()
