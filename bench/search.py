"""Searches: `fastnn.model_selection` against scikit-learn's: `python bench/search.py`.

Milliseconds a fit, its scores included, of GridSearchCV: scikit-learn's over its own estimator,
scikit-learn's over fastnn's, and fastnn's by one thread and by two on as many cores. Medians of
alternating rounds, after the results were compared: those over fastnn's estimator must be equal in
every digit; how far the scores of scikit-learn's estimator are from them is printed.
"""

import argparse
import os
import statistics
import time
import warnings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by NumPy's BLAS when it loads

import numpy as np  # noqa: E402
import sklearn.model_selection  # noqa: E402
import sklearn.neural_network  # noqa: E402
from run import describe, pin  # noqa: E402
from sklearn.datasets import load_digits, make_moons  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import fastnn  # noqa: E402
import fastnn.model_selection  # noqa: E402

GRID = {
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2],
}
OF_STEPS = {
    "pca__n_components": [8, 16, 24, 32],
    "net__alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="little of all, one round")
    options = parser.parse_args()
    if options.smoke:
        options.rounds = 1
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    machine = describe(pin())
    os.environ.pop("OMP_NUM_THREADS", None)  # which bounds fastnn's threads, too
    digits = load_digits(return_X_y=True)
    digits = digits[0] / 16, digits[1]
    moons = make_moons(500, noise=0.2, random_state=0)
    for title, data, units, epochs, steps in (
        ("digits, 64-32-10", digits, 32, 10, False),
        ("digits, 64-32-10", digits, 32, 50, False),
        ("moons, 2-8-1", moons, 8, 200, False),
        ("digits, scaled, principal components, 32-10", digits, 32, 10, True),
    ):
        measure(title, data, units, epochs, steps, options, cores)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))


def measure(title, data, units, epochs, steps, options, cores):
    grid = OF_STEPS if steps else GRID
    if options.smoke:
        grid = {name: values[:2] for name, values in grid.items()}
        epochs = max(2, epochs // 10)
    n_fits = 5 * int(np.prod([len(values) for values in grid.values()]))

    def search(room, classes, n_jobs=None):
        net = classes.MLPClassifier(units, max_iter=epochs, random_state=0)
        estimator = net
        if steps:
            pca = PCA(random_state=0)
            estimator = Pipeline([("scale", StandardScaler()), ("pca", pca), ("net", net)])
        found = room.GridSearchCV(estimator, grid, cv=5, n_jobs=n_jobs, refit=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return found.fit(*data).cv_results_

    theirs, ours = sklearn.model_selection, fastnn.model_selection
    contestants = {
        "scikit-learn": (lambda: search(theirs, sklearn.neural_network), 1),
        "its search, fastnn's net": (lambda: search(theirs, fastnn), 1),
        "fastnn": (lambda: search(ours, fastnn), 1),
        "fastnn, two threads": (lambda: search(ours, fastnn, 2), 2),
    }
    if len(cores) < 2:
        del contestants["fastnn, two threads"]
    times, results = {name: [] for name in contestants}, {}
    for _ in range(options.rounds):
        for name, (run, n_cores) in contestants.items():
            if cores:
                os.sched_setaffinity(0, cores[-n_cores:])
            begin = time.perf_counter()
            results[name] = run()
            times[name].append(1e3 * (time.perf_counter() - begin) / n_fits)
    compare(f"{title}, {epochs} epochs", n_fits, results)
    base = times["scikit-learn"]
    for name, own in times.items():
        ratios = [b / a for a, b in zip(own, base, strict=True)]
        print(
            f"  {name:<26}{statistics.median(own):8.3f} ms a fit, "
            f"{statistics.median(ratios):6.2f} times as fast as scikit-learn "
            f"({min(ratios):.2f}-{max(ratios):.2f})"
        )


def compare(title, n_fits, results):
    """Print how the scores of scikit-learn's estimator differ; all others are equal."""
    expected = results["its search, fastnn's net"]
    scores = [name for name in expected if "_score" in name and "_time" not in name]
    for name, found in results.items():
        if name != "scikit-learn":
            for key in expected:
                if "_time" not in key:
                    np.testing.assert_equal(found[key], expected[key], err_msg=key)
    splits = [name for name in scores if name.startswith("split")]
    pairs = [(results["scikit-learn"][name], expected[name]) for name in splits]
    differ = np.abs(np.subtract(*map(np.array, zip(*pairs, strict=True))))
    assert differ.mean() < 0.01, "other scores than scikit-learn's estimator"
    print(
        f"{title}: {n_fits} fits; {np.mean(differ == 0):.0%} of the scores equal those of "
        f"scikit-learn's estimator, the largest difference is {differ.max():.4f}"
    )


if __name__ == "__main__":
    main()
