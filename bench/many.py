"""Many small nets: `fit_many` against loops over fits: `python bench/many.py`.

Nets a second, on as many cores as threads: a loop over scikit-learn's classes, one over
`Network.fit`, and `fit_many` by one thread and by two; medians of alternating rounds. All of
fastnn's nets must end with the same bits.
"""

import argparse
import os
import statistics
import time
import warnings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by NumPy's BLAS when it loads

import numpy as np  # noqa: E402
from many_peers import peers, rows_of_steps, stacked  # noqa: E402
from run import describe, pin  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402

from fastnn import Network, fit_many  # noqa: E402

# units, rows, batch, epochs
WORKLOADS = [
    ((2, 8, 1), 500, 500, 100),
    ((2, 8, 1), 500, 8, 200),
    ((8, 32, 32, 2), 1000, 32, 20),
    ((16, 64, 1), 1000, 32, 20),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, help="of each fit, not the workload's own")
    parser.add_argument("--smoke", action="store_true", help="few nets, two rounds")
    parser.add_argument("--peers", action="store_true", help="JAX and PyTorch as well")
    parser.add_argument("--only", default="", metavar="TEXT", help="workloads so named")
    options = parser.parse_args()
    if options.smoke:
        options.nets, options.rounds = 8, 2
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    machine = describe(pin())
    os.environ.pop("OMP_NUM_THREADS", None)  # which bounds fastnn's threads, too
    for units, rows, batch, epochs in WORKLOADS:
        for dtype in ("float32", "float64"):
            name = f"{'-'.join(map(str, units))} {dtype}, {rows} rows, batches of {batch}"
            epochs = options.epochs or (min(epochs, 10) if options.smoke else epochs)
            if options.only in name:
                measure(name, units, rows, batch, epochs, dtype, options, cores)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))


def measure(workload, units, rows, batch, epochs, dtype, options, cores):
    rng, n = np.random.RandomState(0), options.nets
    X = rng.randn(rows, units[0]).astype(dtype)
    Y = np.tanh(X @ rng.randn(units[0], units[-1])).astype(dtype)
    parts = [rng.randint(rows, size=rows) for _ in range(n)]
    given = {"batch_size": batch, "max_iter": epochs}

    def networks():
        return [Network(units, "relu", dtype=dtype, random_state=i) for i in range(n)]

    def loop():
        nets = networks()
        for net, part in zip(nets, parts, strict=True):
            net.fit(X[part], Y[part], **given)
        return nets

    def many(n_jobs, layout="auto"):
        nets = networks()
        fit_many(nets, X, Y, rows=parts, n_jobs=n_jobs, layout=layout, **given)
        return nets

    def scikit_learn():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for i, part in enumerate(parts[: max(2, n // 20)]):
                MLPRegressor(
                    hidden_layer_sizes=units[1:-1], batch_size=batch, max_iter=epochs, tol=0,
                    n_iter_no_change=epochs, random_state=i,
                ).fit(X[part], Y[part].squeeze())  # fmt: skip

    contestants = {
        "Network.fit": (loop, n, 1), "fit_many": (lambda: many(1), n, 1),
        'fit_many, "samples"': (lambda: many(1, "samples"), n, 1),
        'fit_many, "nets"': (lambda: many(1, "nets"), n, 1),
        "fit_many, two threads": (lambda: many(2), n, 2),
        "scikit-learn": (scikit_learn, max(2, n // 20), 1),
    }  # fmt: skip
    if len(cores) < 2:
        del contestants["fit_many, two threads"]
    seconds = {name: [] for name in contestants}
    results = {}
    for _ in range(options.rounds):
        for name, (train, count, n_threads) in contestants.items():
            if cores:
                os.sched_setaffinity(0, cores[-n_threads:])
            begin = time.perf_counter()
            nets = train()
            seconds[name].append((time.perf_counter() - begin) / count)
            if nets is not None:
                results[name] = nets
    params = {name: np.array([net.params_ for net in nets]) for name, nets in results.items()}
    for name, other in (
        ("Network.fit", 'fit_many, "samples"'), ("fit_many", "fit_many, two threads"),
    ):  # fmt: skip
        assert np.array_equal(params[name], params.get(other, params[name])), "other bits"
    losses = ([net.loss_ for net in results[name]] for name in ("Network.fit", 'fit_many, "nets"'))
    assert np.allclose(*losses, rtol=0.02), "other losses"
    print(f"{workload}, {epochs} epochs")
    base = statistics.median(seconds["Network.fit"])
    for name, times in seconds.items():
        middle = statistics.median(times)
        ratios = sorted(a / b for a, b in zip(seconds["Network.fit"], times, strict=True))
        print(
            f"  {name:<22} {1 / middle:8.0f} nets a second, {base / middle:6.2f} of Network.fit's "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    if not options.peers:
        return
    os.sched_setaffinity(0, cores[-1:])
    for peer in peers():
        best = min(by_peer(peer, networks, X, Y, parts, batch, epochs, k) for k in (16, 64))
        took, compiling, k = best
        name = f"{peer.name}, {k} nets"
        print(
            f"  {name:<22} {1 / took:8.0f} nets a second, {base / took:6.2f} of Network.fit's; "
            f"compiling took {compiling:.1f} s"
        )


def by_peer(peer, networks, X, Y, parts, batch, epochs, k):
    """Seconds a net, seconds to compile, and k."""
    nets, own = networks()[:k], parts[:k]
    given = peer(X.dtype.name), X, Y
    got = train_by(*given, nets, own, batch, 1)[0]()
    fit_many(nets, X, Y, rows=own, batch_size=batch, max_iter=1, layout="samples")
    for layer, wanted in zip(got, stacked(nets), strict=True):
        for one, other in zip(layer, wanted, strict=True):
            # Adam's steps by gradients that are nearly zero are noise of the order of a step
            assert np.abs(one - other).mean() < 3e-4, f"{peer.name} trains otherwise"
    train, compiling = train_by(*given, networks()[:k], own, batch, epochs)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        train()
        seconds.append((time.perf_counter() - begin) / len(nets))
    return min(seconds), compiling, len(nets)


def train_by(peer, X, Y, nets, parts, batch, epochs):
    compiling, train = peer.begin(nets, X, Y, *rows_of_steps(nets, parts, batch, epochs))
    return train, compiling


if __name__ == "__main__":
    main()
