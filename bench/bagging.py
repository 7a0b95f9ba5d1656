"""Bagged estimators against scikit-learn's bagging: `python bench/bagging.py`.

Milliseconds of processor time an estimator (with two threads: of time), fitted on bootstraps of
real data: `BaggedMLPRegressor` and `BaggedMLPClassifier`, scikit-learn's classes over fastnn's
estimators and over its own, and `NetworkEnsemble`; medians of alternating rounds. The first two
must give the same bits, and scikit-learn's own estimators the same losses up to rounding. These
are few, and their time is given for each: they are trained one after the other.
"""

import argparse
import os
import statistics
import time
import warnings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by NumPy's BLAS when it loads

import numpy as np  # noqa: E402
import sklearn  # noqa: E402
from run import describe, pin  # noqa: E402
from sklearn import neural_network  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes  # noqa: E402
from sklearn.ensemble import BaggingClassifier, BaggingRegressor  # noqa: E402
from sklearn.preprocessing import scale  # noqa: E402

import fastnn  # noqa: E402

EPOCHS, BATCH, HIDDEN = 50, 32, 16
TOLERANCE = 1e-6  # of losses, relative
# name, data, classifier or regressor
WORKLOADS = [("diabetes", load_diabetes, "Regressor"),
             ("breast cancer", load_breast_cancer, "Classifier")]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=500)
    parser.add_argument("--theirs", type=int, default=10, help="estimators of scikit-learn's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="few nets, two rounds")
    options = parser.parse_args()
    if options.smoke:
        options.nets, options.theirs, options.rounds = 8, 2, 2
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    machine = describe(pin())
    os.environ.pop("OMP_NUM_THREADS", None)  # which bounds fastnn's threads, too
    for workload in WORKLOADS:
        measure(*workload, options, cores)
    machine["scikit-learn"] = sklearn.__version__
    print(", ".join(f"{key} {value}" for key, value in machine.items()))


def measure(name, load, kind, options, cores):
    X, y = load(return_X_y=True)
    X = scale(X)
    if kind == "Regressor":
        y = scale(y)
    given = {
        "hidden_layer_sizes": (HIDDEN,), "max_iter": EPOCHS, "batch_size": BATCH, "tol": 0,
        "n_iter_no_change": EPOCHS,
    }  # fmt: skip
    ours = getattr(fastnn, f"BaggedMLP{kind}")
    bagging = {"Regressor": BaggingRegressor, "Classifier": BaggingClassifier}[kind]
    of_fastnn, of_theirs = (
        getattr(room, f"MLP{kind}")(**given) for room in (fastnn, neural_network)
    )

    def bagged(n_jobs):
        return ours(options.nets, **given, random_state=0, n_jobs=n_jobs).fit(X, y)

    def networks():
        loss = "squared_error" if kind == "Regressor" else "binary_log_loss"
        return fastnn.NetworkEnsemble(
            options.nets, [X.shape[1], HIDDEN, 1], "relu", loss=loss, random_state=0, n_jobs=1
        ).fit(X, y, bootstrap=True, max_iter=EPOCHS, batch_size=BATCH)

    contestants = {
        f"BaggedMLP{kind}": (lambda: bagged(1), options.nets, 1),
        "  with two threads": (lambda: bagged(2), options.nets, 2),
        f"Bagging{kind} of fastnn's": (
            lambda: bagging(of_fastnn, options.nets, random_state=0).fit(X, y), options.nets, 1,
        ),
        "NetworkEnsemble": (networks, options.nets, 1),
        f"Bagging{kind} of scikit-learn's": (
            lambda: bagging(of_theirs, options.theirs, random_state=0).fit(X, y),
            options.theirs, 1,
        ),
    }  # fmt: skip
    if len(cores) < 2:
        del contestants["  with two threads"]
    seconds, results = {name: [] for name in contestants}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 50 epochs, which are not to converge
        for _ in range(options.rounds):
            for contestant, (fit, count, n_threads) in contestants.items():
                if cores:
                    os.sched_setaffinity(0, cores[-n_threads:])
                # processor time, in which other programs have no part, but for two threads
                clock = time.process_time if n_threads == 1 else time.perf_counter
                begin = clock()
                results[contestant] = fit()
                seconds[contestant].append((clock() - begin) / count)
    compare(results, X, kind)
    shape = f"{X.shape[1]}-{HIDDEN}-1"
    print(f"{name}, {options.nets} nets {shape}, {len(X)} rows, {EPOCHS} epochs of {BATCH} rows")
    theirs = seconds[f"Bagging{kind} of scikit-learn's"]
    for contestant, times in seconds.items():
        ratios = sorted(a / b for a, b in zip(theirs, times, strict=True))
        print(
            f"  {contestant:<36} {1e3 * statistics.median(times):8.3f} ms a net, "
            f"{statistics.median(ratios):6.1f} times as fast ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


def compare(results, X, kind):
    """Refuse results that differ: bits of fastnn's, losses of scikit-learn's own."""
    ours = results[f"BaggedMLP{kind}"]
    for name in ("  with two threads", f"Bagging{kind} of fastnn's"):
        if name in results:
            for a, b in zip(ours, results[name], strict=True):
                assert all(map(np.array_equal, a.coefs_, b.coefs_)), "other bits"
            assert np.array_equal(ours.predict(X), results[name].predict(X)), "other predictions"
    for a, b in zip(ours, results[f"Bagging{kind} of scikit-learn's"], strict=False):
        worst = np.max(np.abs(np.array(a.loss_curve_) / b.loss_curve_ - 1))
        assert worst < TOLERANCE, f"losses differ by {worst:.1e}"


if __name__ == "__main__":
    main()
