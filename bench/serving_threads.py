"""Many threads predict on one net at once: `python bench/serving_threads.py`.

16 threads share one `Network`, then one `MLPClassifier`, 64-100-10; each predicts 16 batches in
turn, from its own on, and compares every answer, bit by bit, with what one thread got before. In
rounds, one thread alone has each core in turn, then all threads have all cores. The figure is the
calls a second of all threads over the sum of what one thread makes on each core: 1 where no thread
ever waits for another. Median of the rounds, and what eight of ten lie between.

500 rows are computed without Python's lock (the GIL), and a share of 0.9 is asked for; one row is
a call of some microseconds, most of it Python, which one thread at a time can run. A round in
which other programs have more than 3% of the cores does not count, unless no three are left: a
thread that has the lock and waits for its core stops all others.

Exit status 1 for a wrong answer, or if the share for 500 rows is below 0.9.
"""

import argparse
import os
import platform
import statistics
import threading
import time
import warnings

import numpy as np
from run import cpuinfo
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn import MLPClassifier, Network

LEAST, MOST_OTHERS = 0.9, 0.03


def nets():
    """name -> what predicts rows of 64 features."""
    rng = np.random.RandomState(0)
    X, labels = rng.randn(400, 64), rng.randint(10, size=400)
    net = Network([64, 100, 10], "relu", loss="log_loss", random_state=0)
    mlp = MLPClassifier((100,), max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, labels)
    net.fit(X, np.eye(10)[labels], max_iter=3)
    return {"Network.predict": net.predict, "MLPClassifier.predict_proba": mlp.predict_proba}


class Crowd:
    """Threads that call one function on some batches, for some time."""

    def __init__(self, predict, n_rows, n_threads):
        rng = np.random.RandomState(1)
        self.predict, self.wrong = predict, 0
        batches = [rng.randn(n_rows, 64) for _ in range(n_threads)]
        self.work = [(X, predict(X).tobytes()) for X in batches]

    def rate(self, cores, n_threads, seconds):
        """Calls a second, and calls a second of CPU time."""
        calls, ready, begin = [0] * n_threads, threading.Barrier(n_threads + 1), threading.Event()
        stop = threading.Event()

        def one(i):
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, cores)  # of this thread alone
            ready.wait()
            begin.wait()
            # the same batches for one thread and for many, or the caches would make a difference
            predict, work, n, wrong = self.predict, self.work[i:] + self.work[:i], 0, 0
            while not stop.is_set():
                for X, right in work:
                    wrong += predict(X).tobytes() != right
                n += len(work)
            calls[i] = n
            if wrong:
                self.wrong += wrong

        crowd = [threading.Thread(target=one, args=(i,)) for i in range(n_threads)]
        for thread in crowd:
            thread.start()
        ready.wait()
        clock, cpu = time.perf_counter(), time.process_time()
        begin.set()
        time.sleep(seconds)
        stop.set()
        for thread in crowd:
            thread.join()
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        return sum(calls) / clock, sum(calls) / cpu


def measure(name, predict, n_rows, n_threads, seconds, turn):
    """Whether all answers are right, and the share is what is asked for; prints both."""
    crowd, cores = Crowd(predict, n_rows, n_threads), sorted(cores_of_this_process())
    rounds, quiet = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < 3:
        start, others = time.perf_counter(), seconds_of_others()
        alone = [crowd.rate({core}, 1, turn) for core in cores]
        every = crowd.rate(set(cores), n_threads, turn * len(cores))
        share = every[0] / sum(rate for rate, _ in alone)
        of_cpu = every[1] / statistics.mean(cpu for _, cpu in alone)
        rounds.append((share, of_cpu, every[0]))
        others = (seconds_of_others() - others) / (time.perf_counter() - start)
        if not others > MOST_OTHERS * len(cores):  # or it is not known
            quiet.append(rounds[-1])
    shares, of_cpu, together = zip(*(quiet if len(quiet) >= 3 else rounds), strict=True)
    share = statistics.median(shares)
    low, high = np.quantile(shares, [0.1, 0.9])
    print(
        f"{name}, {n_rows} row{'s' * (n_rows > 1)}, {n_threads} threads on {len(cores)} cores: "
        f"{statistics.median(together):,.0f} calls a second, {share:.2f} of one thread a core "
        f"({low:.2f}-{high:.2f}), by CPU time {statistics.median(of_cpu):.2f}; "
        f"{len(quiet)} of {len(rounds)} rounds undisturbed, {crowd.wrong} wrong answers",
        flush=True,
    )
    return crowd.wrong == 0, share >= LEAST


def seconds_of_others():
    """CPU time of all other programs; NaN where there is no /proc."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, soft, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return float("nan")
    busy = user + nice + system + irq + soft + steal
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()


def cores_of_this_process():
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 1])
    parser.add_argument("--seconds", type=float, default=30, help="for each line (30)")
    parser.add_argument("--smoke", action="store_true", help="does it all run?")
    options = parser.parse_args()
    seconds, turn = (0.1, 0.02) if options.smoke else (options.seconds, 0.25)
    good = True
    for name, predict in nets().items():
        for n_rows in options.rows:
            right, fast = measure(name, predict, n_rows, options.threads, seconds, turn)
            good &= right and (fast or options.smoke or n_rows < 500)
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    cpu = cpuinfo().get("model name", platform.machine())
    print(f"{cpu}, build {fastnn.kernels.ISA}, Python {platform.python_version()}, load {load}")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
