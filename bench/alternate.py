"""Is this version as fast as another? `python bench/alternate.py --python OTHER`.

Both versions run the same workloads in two processes that are pinned to one core and work in
turns, so that a ratio compares times taken within a tenth of a second. Results must be the same
bytes before anything is timed. A ratio is new / old, in processor time: above 1 this version is
slower. A workload that seems slower is measured again in two new processes, as where their memory
happens to lie makes a few percent.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

NETS = ([2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1])
SLOWER = 1.02  # median ratios up to this are called noise


def workloads(dtype):
    """name -> (function that makes the workload, its arguments)."""
    table = {}
    for units in NETS:
        name = "-".join(map(str, units))
        table[f"tutorial {name}, epochs=N"] = tutorial_net, (units, dtype, False)
        table[f"tutorial {name}, step by step"] = tutorial_net, (units, dtype, True)
    table["tutorial 2-4-8-1, output of one point"] = one_point, (NETS[0], dtype)
    table["Network 8-32-32-2, batch 32"] = network_fit, ([8, 32, 32, 2], 32, 2048, dtype)
    table["Network 64-100-10, batch 200"] = network_fit, ([64, 100, 10], 200, 4000, dtype)
    table["Network 64-100-10, predict one row"] = one_row, ([64, 100, 10], dtype)
    table["MLPClassifier, digits"] = digits, ("fit", dtype)
    table["MLPClassifier, digits, predict one row"] = digits, ("predict", dtype)
    table["MLPRegressor, diabetes"] = diabetes, (dtype,)
    return table


# ---- workloads: a function that does n steps, epochs or calls, and one that gives the result ----


def tutorial_net(units, dtype, by_step):
    import numpy as np
    from worker import Task

    from fastnn import tutorial

    task = Task(units, 500, 500, dtype, "tutorial")
    # as in the tutorial: targets are whole numbers, except where all is to be float32
    Y = task.targets if dtype == "float32" else task.labels[:, None]
    net = [tutorial.neural_layer(*W.shape, tutorial.sigm) for W, _ in task.start()]
    for layer, (W, b) in zip(net, task.start(), strict=True):
        layer.W, layer.b = W, b

    def run(n):
        if by_step:
            for _ in range(n):
                tutorial.train(net, task.X, Y, tutorial.l2_cost, lr=0.05)
        else:
            tutorial.train(net, task.X, Y, tutorial.l2_cost, lr=0.05, epochs=n)

    return run, lambda: [np.asarray(p) for layer in net for p in (layer.W, layer.b)]


def one_point(units, dtype):
    import numpy as np

    from fastnn import tutorial

    np.random.seed(0)
    net = tutorial.create_nn(units, tutorial.sigm)
    X = np.random.rand(1, units[0]).astype(dtype)
    for layer in net:
        layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
    tutorial.train(net, X, np.ones((1, 1), dtype), tutorial.l2_cost)
    outputs = []

    def run(n):
        for _ in range(n):
            out = tutorial.train(net, X, None, tutorial.l2_cost, train=False)
        outputs[:] = [out]

    return run, lambda: outputs


def network_fit(units, batch, rows, dtype):
    from worker import Task

    from fastnn import Network

    task = Task(units, batch, rows, dtype, "log_loss")
    net = Network(units, "relu", loss="log_loss", dtype=dtype, random_state=0)

    def run(n):
        net.fit(task.X, task.targets, batch_size=batch, max_iter=n)

    return run, lambda: [*net.coefs_, *net.intercepts_]


def one_row(units, dtype):
    from worker import Task

    from fastnn import Network

    task = Task(units, 1, 20, dtype, "log_loss")
    net = Network(units, "relu", loss="log_loss", dtype=dtype, random_state=0)
    x, outputs = task.X[:1], []

    def run(n):
        for _ in range(n):
            out = net.predict(x)
        outputs[:] = [out]

    return run, lambda: outputs


def estimator(mlp, X, y, do):
    import warnings

    outputs = []

    def run(n):
        warnings.simplefilter("ignore")
        if do == "fit":  # tol below 0: as many epochs as asked for
            mlp.set_params(max_iter=n, n_iter_no_change=n + 1).fit(X, y)
        else:
            for _ in range(n):
                out = mlp.predict(X[:1])
            outputs[:] = [out]

    run(1) if do == "fit" else mlp.set_params(max_iter=3).fit(X, y)
    return run, lambda: [*mlp.coefs_, *mlp.intercepts_, *outputs]


def digits(do, dtype):
    from sklearn.datasets import load_digits

    from fastnn import MLPClassifier

    X, y = load_digits(return_X_y=True)
    return estimator(MLPClassifier(random_state=0), (X / 16).astype(dtype), y, do)


def diabetes(dtype):
    from sklearn.datasets import load_diabetes

    from fastnn import MLPRegressor

    X, y = load_diabetes(return_X_y=True)
    y = ((y - y.mean()) / y.std()).astype(dtype)
    return estimator(MLPRegressor(random_state=0), (20 * X).astype(dtype), y, "fit")


def serve():
    """Take orders as JSON lines: [dtype, name] makes a workload, [n] times n of it."""
    import fastnn

    answers = os.fdopen(os.dup(1), "w")  # others may print
    os.dup2(2, 1)
    answer = {"fastnn": str(Path(fastnn.__file__).parent)}
    print(json.dumps(answer), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if len(order) == 2:
            make, arguments = workloads(order[0])[order[1]]
            run, result = make(*arguments)
            run(3)
            bits = hashlib.sha256(b"".join(array.tobytes() for array in result()))
            answer = {"result": bits.hexdigest()}
        else:
            start = time.process_time()
            run(order[0])
            answer = {"seconds": time.process_time() - start}
        print(json.dumps(answer), file=answers, flush=True)


# ---- the process that alternates ----------------------------------------------------------------


class Version:
    """A process with one version of fastnn, which waits while the other one works."""

    def __init__(self, python, path, core):
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        for name in ("OMP", "OPENBLAS", "FASTNN"):
            environment[f"{name}_NUM_THREADS"] = "1"
        if path:
            environment["PYTHONPATH"] = path
        self._process = subprocess.Popen(
            [python, __file__, "--serve"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        self.fastnn = self._answer()["fastnn"]

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a worker ended without an answer: {self._process.args}")
        return json.loads(line)

    def ask(self, *order):
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def close(versions):
    for version in versions:
        version.close()


def compare(versions, dtype, name, rounds, seconds):
    """Ratios new / old, and the microseconds of one step of each."""
    results = [version.ask(dtype, name)["result"] for version in versions]
    if results[0] != results[1]:
        sys.exit(f"{name}, {dtype}: the two versions come to other results; not timed")
    n = 1
    while (took := max(version.ask(n)["seconds"] for version in versions)) < seconds:
        n = max(2 * n, int(1.1 * n * seconds / max(took, 1e-4)))
    times = [[], []]
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            times[which].append(versions[which].ask(n)["seconds"] / n)
    ratios = [new / old for new, old in zip(*times, strict=True)]
    return ratios, [1e6 * statistics.median(t) for t in times]


def spread(ratios):
    """The bounds between which eight of ten ratios lie."""
    ratios = sorted(ratios)
    cut = len(ratios) // 10
    return ratios[cut], ratios[-1 - cut]


def is_slower(ratios):
    """Whether the median is above SLOWER, and above 1 by three standard errors.

    The lower bound is the order statistic 1.5 sqrt(n) below the middle (a sign test), which is
    right for any distribution of the noise.
    """
    n = len(ratios)
    bound = sorted(ratios)[max(0, math.floor(n / 2 - 1.5 * math.sqrt(n)))]
    return statistics.median(ratios) > SLOWER and bound > 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="This Python keeps its PYTHONPATH, the other one has only what --path gives it.",
    )
    parser.add_argument("--python", default=sys.executable, metavar="OTHER",
                        help="a Python with the other version; by default this one")  # fmt: skip
    parser.add_argument("--path", metavar="FOLDER", help="PYTHONPATH of the other Python")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.03, help="at least, for each run")
    parser.add_argument("--only", default="", metavar="TEXT", help="workloads with such names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None

    def start():
        return [
            Version(sys.executable, os.environ.get("PYTHONPATH"), core),
            Version(options.python, options.path, core),
        ]

    versions = start()
    print(f"new: {versions[0].fastnn}\nold: {versions[1].fastnn}\n")
    print(f"{'':<55}{'new':>9}{'old':>9} us   new / old (8 of 10 rounds lie between)")
    rows, slower = [], []
    for dtype, name in itertools.product(("float64", "float32"), workloads("")):
        if options.only not in f"{name}, {dtype}":
            continue
        for again in (False, True):
            if again:
                close(versions)
                versions = start()
            ratios, us = compare(versions, dtype, name, options.rounds, options.seconds)
            low, high = spread(ratios)
            print(
                f"{name + ', ' + dtype:<55}{us[0]:9.2f}{us[1]:9.2f}      "
                f"{statistics.median(ratios):.3f} ({low:.3f}-{high:.3f})"
                f"{'  SLOWER' if is_slower(ratios) else ''}{', again' if again else ''}",
                flush=True,
            )
            if not is_slower(ratios):
                break
        else:
            slower.append(f"{name}, {dtype}")
        rows.append({"workload": name, "dtype": dtype, "us": us, "ratios": ratios})
    close(versions)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if not rows:
        sys.exit("no workload has such a name")
    medians = [statistics.median(row["ratios"]) for row in rows]
    print(f"\nmedian of all {len(rows)}: {statistics.median(medians):.3f}")
    if slower:
        sys.exit(f"slower: {'; '.join(slower)}")


if __name__ == "__main__":
    main()
