"""Several threads against one, the same fits in alternation: `python bench/threads.py`.

Whole fits, with the start of the threads. The parameters they come to must be the same bits, and
two threads should never be slower than one: the exit status says whether that holds.
"""

import argparse
import os
import statistics
import time

import numpy as np
from batches import OPTIONS, WORKLOADS, problem

for variable in ("OMP_NUM_THREADS", "FASTNN_NUM_THREADS"):
    os.environ.pop(variable, None)  # run.py sets one, for NumPy's sake

NOISE = 0.9  # a median of ratios that is no slow-down yet

import fastnn  # noqa: E402
from fastnn import Network  # noqa: E402

# and full batches, whose threads share slices of samples
FULL = [
    ((2, 4, 8, 1), 500, 500),
    ((8, 32, 32, 2), 20_000, 20_000),
    ((64, 100, 10), 20_000, 20_000),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if fastnn.get_num_threads() < options.threads:
        raise SystemExit(f"only {fastnn.get_num_threads()} cores may be used")
    slower = 0
    for dtype in ("float32", "float64"):
        for units, batch, rows in WORKLOADS + FULL:
            job = units, batch, rows, dtype
            ratio, text = compare(*job, options.threads, options.rounds)
            slower += ratio < NOISE
            print(text, "SLOWER" if ratio < NOISE else "", flush=True)
    if slower:
        raise SystemExit(f"{options.threads} threads are slower than one in {slower} cases")


def compare(units, batch, rows, dtype, n_threads, rounds):
    X, y, loss = problem(units, rows, dtype)
    epochs = 1 if max(units) > 1000 else 5 if batch < rows else 20
    times, nets = {1: [], n_threads: []}, {}
    for _ in range(rounds):
        for n in times:
            net = Network(units, "relu", loss=loss, dtype=dtype, random_state=0, n_jobs=n)
            start = time.perf_counter()
            net.fit(X, y, batch_size=batch, max_iter=epochs, **OPTIONS)
            times[n].append((time.perf_counter() - start) / epochs / -(-rows // batch))
            nets[n] = net
    for one, many in zip(nets[1].coefs_, nets[n_threads].coefs_, strict=True):
        if not np.array_equal(one, many):
            raise SystemExit(f"{units} {dtype}: {n_threads} threads change the result")
    ratios = [a / b for a, b in zip(times[1], times[n_threads], strict=True)]
    ratio = statistics.median(ratios)
    return ratio, (
        f"{'-'.join(map(str, units)):<18} batch {batch:<6} {dtype}  one thread "
        f"{statistics.median(times[1]) * 1e6:9.1f} us, {n_threads} threads "
        f"{statistics.median(times[n_threads]) * 1e6:9.1f} us  "
        f"{ratio:.2f}x ({min(ratios):.2f}-{max(ratios):.2f})  same bits"
    )


if __name__ == "__main__":
    main()
