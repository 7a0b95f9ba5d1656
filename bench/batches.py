"""Mini-batch training at every width, against this machine's peak: `python bench/batches.py`.

ReLU nets with Adam on shuffled mini-batches, the workloads by which the peers are measured, and
one row through `Network.predict`. Whole fits are timed, of so many epochs that what a fit costs
once, its checks and set-up, counts little.
Each net is first trained by the oracle as well, and must come to the same loss.
"""

import argparse
import itertools
import time

import numpy as np
from run import describe, peak, pin

from fastnn import Network, kernels, reference

# layer_units, batch, rows
WORKLOADS = [
    ((8, 32, 32, 2), 32, 2000),
    ((16, 64, 64, 1), 64, 3000),
    ((64, 100, 10), 200, 4000),
    ((100, 200, 50, 7), 100, 5000),
    ((300, 500, 300, 20), 200, 6000),
    ((784, 256, 128, 10), 128, 6400),
    ((784, 1024, 1024, 10), 256, 7680),
]
OPTIONS = {"solver": "adam", "learning_rate_init": 1e-3, "alpha": 1e-4}
FIT_SECONDS = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each workload (1)")
    parser.add_argument("--smoke", action="store_true", help="the three small nets, shortly")
    options = parser.parse_args()
    core = pin()
    workloads, seconds = (WORKLOADS[:3], 0.05) if options.smoke else (WORKLOADS, options.seconds)
    for dtype in ("float32", "float64"):
        for units, batch, rows in workloads:
            print(measure(units, batch, rows, np.dtype(dtype), seconds), flush=True)
    print(", ".join(f"{key} {value}" for key, value in describe(core).items()))


def problem(units, rows, dtype):
    """X, y and the loss for them."""
    rng = np.random.RandomState(0)
    X = rng.randn(rows, units[0]).astype(dtype)
    classes = rng.randint(max(2, units[-1]), size=rows)
    y = (np.eye(units[-1])[classes] if units[-1] > 1 else classes[:, None]).astype(dtype)
    return X, y, "binary_log_loss" if units[-1] == 1 else "log_loss"


def measure(units, batch, rows, dtype, seconds):
    X, y, loss = problem(units, rows, dtype)
    net = Network(units, "relu", loss=loss, dtype=dtype, random_state=0)
    difference = check(net, X, y, batch)

    def fit(epochs):
        start = time.perf_counter()
        net.fit(X, y, batch_size=batch, max_iter=epochs, **OPTIONS)
        return time.perf_counter() - start

    epochs = 2
    while (took := fit(epochs)) < min(seconds, FIT_SECONDS):
        epochs = max(2 * epochs, int(1.2 * epochs * FIT_SECONDS / took))
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        times.append(fit(epochs) / epochs / -(-rows // batch))
    row, row_times = X[:1], []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(100):
            net.predict(row)
        row_times.append((time.perf_counter() - start) / 100)
    # forward and gradient in every layer, deltas in all but the first
    sizes = [k * n for k, n in itertools.pairwise(units)]
    share = batch * (2 * sum(sizes) + sum(sizes[1:])) / np.median(times) / peak(dtype)
    return (
        f"{'-'.join(map(str, units)):<22} batch {batch:<4} {dtype}  "
        f"{np.median(times) * 1e6:8.1f} us a batch "
        f"({min(times) * 1e6:.1f}-{max(times) * 1e6:.1f})  "
        f"{share:4.0%} of peak  one row {np.median(row_times) * 1e6:.1f} us  "
        f"difference {difference:.0e}"
    )


def check(net, X, y, batch):
    """Stop unless ten steps of the oracle come to the same loss; the relative difference."""
    X, y = X[: 10 * batch], y[: 10 * batch]
    fast, slow, compiled = net.copy(), net.copy(), kernels.build
    fast.fit(X, y, batch_size=batch, max_iter=1, **OPTIONS)
    kernels.build = reference
    try:
        slow.fit(X, y, batch_size=batch, max_iter=1, **OPTIONS)
    finally:
        kernels.build = compiled
    before, after, oracle = (n.loss(X, y) for n in (net, fast, slow))
    difference = abs(after - oracle) / oracle
    if not after < before:
        raise SystemExit(f"{net}: nothing was learnt")
    if not difference < (1e-10 if net.dtype == np.float64 else 1e-4):
        raise SystemExit(f"{net}: differs from the oracle by {difference:.1e}; not timed")
    return difference


if __name__ == "__main__":
    main()
