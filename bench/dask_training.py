"""Training over Dask's partitions, memory and speed: `python bench/dask_training.py`.

First, rows that each partition makes when it is loaded, more than all workers may hold together,
are trained on by L-BFGS and by Adam; the peak memory of each worker must stay below `--most`.
Then rounds of L-BFGS over rows in memory, by one worker and by two: medians of alternating fits,
which must end with the same bits, in seconds, and in the processor time of the busier worker and
this process, which other programs disturb less. Needs the extra "dask".
"""

import argparse
import os
import resource
import statistics
import sys
import time
import warnings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by workers' libraries when they load

import dask  # noqa: E402
import dask.array as da  # noqa: E402
import distributed  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

import fastnn.dask  # noqa: E402
from fastnn import kernels  # noqa: E402

MIB = 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=6000, help="MB of X, float32 (6000)")
    parser.add_argument("--partition", type=float, default=40, help="MB of a partition (40)")
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--most", type=float, default=1000, help="MB of a worker's memory (1000)")
    parser.add_argument("--iterations", type=int, default=3, help="of L-BFGS")
    parser.add_argument("--in-memory", type=float, default=800, help="MB of X, for rounds (800)")
    parser.add_argument("--units", type=int, default=128, help="hidden, for rounds (128)")
    parser.add_argument("--rounds", type=int, default=3, help="fits by one worker and by two")
    parser.add_argument("--only", choices=["memory", "speed"])
    parser.add_argument("--smoke", action="store_true", help="small, one round")
    options = parser.parse_args()
    if options.smoke:
        options.size, options.partition, options.in_memory, options.rounds = 40, 4, 20, 1
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.only != "speed":
        memory(options)
    if options.only != "memory":
        speed(options)
    print(
        f"{os.cpu_count()} cores, build {kernels.ISA}, Dask {dask.__version__}, "
        f"distributed {distributed.__version__}, Python {sys.version.split()[0]}"
    )


def rows(n, n_features, block_info=None):
    """The rows of a partition, float32: always the same ones."""
    rng = np.random.default_rng(block_info[None]["chunk-location"][0])
    return rng.standard_normal((n, n_features), np.float32)


def targets(X):
    return np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def data(size, partition, n_features):
    """X of so many MB in partitions of so many, and y."""
    n = int(partition * 1e6 / 4 / n_features)
    chunks = ((n,) * max(1, round(size / partition)), (n_features,))
    X = da.map_blocks(rows, n, n_features, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0)))
    return X, X.map_blocks(targets, drop_axis=1, dtype=np.float32)


def workers(n, memory_limit):
    return distributed.LocalCluster(
        n_workers=n, threads_per_worker=1, memory_limit=memory_limit, dashboard_address=":0"
    )


def peak():
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def fitted(solver, X, y, units=16, **options):
    estimator = fastnn.dask.MLPRegressor(
        hidden_layer_sizes=(units,), solver=solver, random_state=0, **options
    )
    begin = time.perf_counter()
    estimator.fit(X, y)
    params = np.concatenate([a.ravel() for a in estimator.coefs_ + estimator.intercepts_])
    return params, time.perf_counter() - begin, estimator


def memory(options):
    X, y = data(options.size, options.partition, options.features)
    print(f"{X.nbytes / 1e6:.0f} MB of X in {X.numblocks[0]} partitions, {X.shape[0]:,} rows")
    # distributed pauses a worker near its limit: the limit asked for is checked below
    with workers(2, "auto") as cluster, distributed.Client(cluster) as client:
        for solver, n in (("lbfgs", options.iterations), ("adam", 1)):
            _, seconds, estimator = fitted(solver, X, y, max_iter=n)
            peaks = client.run(peak).values()
            print(
                f"  {solver:<6} {estimator.n_iter_} iterations, {seconds:6.1f} s, loss "
                f"{estimator.loss_:.4f}, peak memory of the workers so far "
                f"{', '.join(f'{one:.0f}' for one in peaks)} MB, of this process {peak():.0f} MB"
            )
            assert max(peaks) < options.most, f"more than {options.most:.0f} MB"


def speed(options):
    X, y = data(options.in_memory, options.partition, options.features)
    print(f"rounds over {X.nbytes / 1e6:.0f} MB in memory, {X.numblocks[0]} partitions")
    given = {"units": options.units, "max_iter": options.iterations}
    expected, _, _ = fitted("lbfgs", X, y, **given)  # by threads, here
    seconds, processor = {1: [], 2: []}, {1: [], 2: []}
    for _ in range(options.rounds):
        for n, times in seconds.items():
            with workers(n, "auto") as cluster, distributed.Client(cluster) as client:
                held = client.persist([X, y])
                distributed.wait(held)
                before, own = client.run(time.process_time), time.process_time()
                params, elapsed, _ = fitted("lbfgs", *held, **given)
                own, after = time.process_time() - own, client.run(time.process_time)
                times.append(elapsed)
                processor[n].append(own + max(after[one] - before[one] for one in after))
                assert np.array_equal(params, expected), "other bits"
                del held
    for what, times in (("seconds", seconds), ("processor time", processor)):
        ratios = sorted(one / two for one, two in zip(*times.values(), strict=True))
        one, two = map(statistics.median, times.values())
        print(
            f"  {what:<15} one worker {one:.2f} a fit, two {two:.2f}: "
            f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print("  all end with the same bits")


if __name__ == "__main__":
    main()
