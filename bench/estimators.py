"""MLPClassifier and MLPRegressor against scikit-learn's own: same fit, same score, and the time.

Each fit is done by both classes with the same parameters and seed; loss curves and scores must
agree before times are compared. Runs alternate in one process, pinned to one core unless --threads
says otherwise; a ratio compares two runs of the same round. A line more is a search as a whole:
GridSearchCV, 20 candidates in 5 folds of digits through 64-32-10, 10 epochs each.
"""

import argparse
import gzip
import json
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

import stored
import tables

FASHION = "/usr/share/datasets/fashion-mnist"  # of Debian's package dataset-fashion-mnist


def pin(threads):
    """Use as many cores as threads, and no more BLAS threads; before NumPy is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < threads:
            sys.exit(f"--threads {threads} needs as many cores; there are {len(cores)}")
        os.sched_setaffinity(0, cores[-threads:])


def bundled():
    """The data sets that come with scikit-learn, scaled: name -> X, y, whether classes."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    loaders = {
        "digits": (datasets.load_digits, True),
        "breast cancer": (datasets.load_breast_cancer, True),
        "wine": (datasets.load_wine, True),
        "diabetes": (datasets.load_diabetes, False),
    }
    for name, (load, classes) in loaders.items():
        X, y = load(return_X_y=True)
        yield name, StandardScaler().fit_transform(X), y, classes


def fashion_mnist(folder):
    """Training and test images of Fashion-MNIST, 0 to 1, with their classes."""
    import numpy as np

    def read(name, offset):
        path = Path(folder) / name
        opened = gzip.open(f"{path}.gz") if not path.exists() else open(path, "rb")
        with opened as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    parts = []
    for part in ("train", "t10k"):
        y = read(f"{part}-labels-idx1-ubyte", 8).astype(int)
        parts += [read(f"{part}-images-idx3-ubyte", 16).reshape(len(y), 784) / 255.0, y]
    return parts


def compare(name, X, y, classes, dtype, rounds, params, test=None):
    """One row of the table: both classes' fits of this problem, checked and timed."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    import fastnn

    X = X.astype(dtype)
    ours, theirs = (
        (fastnn.MLPClassifier, MLPClassifier) if classes else (fastnn.MLPRegressor, MLPRegressor)
    )
    assert theirs.__module__.startswith("sklearn")
    y = y if classes else ((y - y.mean()) / y.std()).astype(dtype)

    def timed(cls):
        estimator = cls(random_state=0, **params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            estimator.fit(X, y)
            seconds = time.perf_counter() - start
        return estimator, seconds / estimator.n_iter_

    times = []
    for _ in range(rounds):
        (a, fast), (b, slow) = timed(ours), timed(theirs)
        times.append((fast, slow))
    # the same learning: in float64 to rounding; in float32, where that grows from step to step,
    # in the first epoch and in what comes of it all
    double = dtype == np.float64
    epochs = min(20, a.n_iter_, b.n_iter_) if double else 1
    curves = np.array(a.loss_curve_[:epochs]), np.array(b.loss_curve_[:epochs])
    np.testing.assert_allclose(*curves, rtol=1e-6 if double else 1e-4)
    scores = [float(e.score(*(test or (X, y)))) for e in (a, b)]
    assert abs(scores[0] - scores[1]) <= (1e-6 if double and not test else 0.005), scores
    ratios = [slow / fast for fast, slow in times]
    return {
        "data": name, "dtype": np.dtype(dtype).name, "samples": len(X), "features": X.shape[1],
        "params": {k: list(v) if isinstance(v, tuple) else v for k, v in params.items()},
        "epochs": [a.n_iter_, b.n_iter_], "score": scores,
        "ms_per_epoch": [1e3 * statistics.median(t) for t in zip(*times, strict=True)],
        "ratio": statistics.median(ratios), "spread": [min(ratios), max(ratios)],
    }  # fmt: skip


GRID = {
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2],
}


def search(dtype, rounds, grid):
    """A search by GridSearchCV with both classes: every candidate's score, checked, and times."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    import fastnn

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(dtype)

    def timed(cls):
        net = cls(hidden_layer_sizes=(32,), max_iter=10, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            found = GridSearchCV(net, grid, cv=5, refit=False, error_score="raise").fit(X, y)
            seconds = time.perf_counter() - start
        return seconds, found.cv_results_["mean_test_score"]

    times = []
    for _ in range(rounds):
        (fast, ours), (slow, theirs) = timed(fastnn.MLPClassifier), timed(MLPClassifier)
        # float32 may decide one of 1797 rows otherwise here and there
        double = dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 if double else 0.005)
        times.append((fast, slow))
    ratios = [slow / fast for fast, slow in times]
    return {
        "dtype": np.dtype(dtype).name, "candidates": len(ours), "folds": 5,
        "best_score": [float(max(ours)), float(max(theirs))],
        "seconds": [statistics.median(t) for t in zip(*times, strict=True)],
        "ratio": statistics.median(ratios), "spread": [min(ratios), max(ratios)],
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="runs of each, in alternation")
    add("--threads", type=int, default=1, help="cores, and threads of both")
    add("--only-search", action="store_true", help="GridSearchCV alone")
    add("--smoke", action="store_true", help="one short round: does it all run?")
    add("--fashion", nargs="?", const=FASHION, metavar="FOLDER",
        help=f"Fashion-MNIST besides, from its four files in FOLDER ({FASHION})")  # fmt: skip
    add("--epochs", type=int, default=10, help="of Fashion-MNIST")
    add("--json", type=Path, metavar="FILE", help="write the results for machines")
    add("--save", action="store_true", help="keep the results in results/ and write the tables")
    options = parser.parse_args()
    if options.save and (options.smoke or options.only_search or options.threads != 1):
        parser.error("--save keeps whole results of one thread")
    pin(options.threads)
    import numpy as np

    rows, searches, rounds = [], [], 1 if options.smoke else options.rounds
    grid = {"alpha": GRID["alpha"][:2]} if options.smoke else GRID
    defaults = {"max_iter": 5} if options.smoke else {}
    for dtype in (np.float64, np.float32):
        for name, X, y, classes in () if options.only_search else bundled():
            rows.append(compare(name, X, y, classes, dtype, rounds, defaults))
            print(tables.estimators_table(rows[-1:]).splitlines()[-1], flush=True)
        if options.fashion:
            X, y, X_test, y_test = fashion_mnist(options.fashion)
            params = {"hidden_layer_sizes": (256, 128), "max_iter": options.epochs}
            rows.append(
                compare("Fashion-MNIST", X, y, True, dtype, min(rounds, 2), params,
                        (X_test.astype(dtype), y_test))
            )  # fmt: skip
            print(tables.estimators_table(rows[-1:]).splitlines()[-1], flush=True)
        searches.append(search(dtype, min(rounds, 3), grid))
        print(tables.search_text(searches[-1]), flush=True)
    # now that NumPy has its threads
    import run
    import sklearn

    machine = {**run.describe(None), "scikit-learn": sklearn.__version__}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    results = {"machine": machine, "results": rows, "searches": searches}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.save:
        stored.save("estimators", results)
        tables.write()


if __name__ == "__main__":
    main()
