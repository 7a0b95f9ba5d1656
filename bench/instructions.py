"""Instructions per step by valgrind, against stored counts: `python bench/instructions.py`.

Counts repeat to a fraction of a percent where times do not, so a regression of a few percent shows
on the noisiest machine. Each workload runs under `valgrind --tool=callgrind` once to warm up, then
twice for each of two numbers of epochs or calls: the difference is what these cost. The counts
stored in instructions.json belong to a compiler, a Python and a NumPy; with others there is
nothing to compare with. Imports, which take longer than all that is counted, run without counting.
valgrind knows AVX2 but not AVX-512. `--history` shows the counts of all commits that changed them:
git keeps them, so no other store is needed.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STORED = Path(__file__).with_suffix(".json")
TOLERANCE = 0.02
MARKER = "getppid"  # called before and after what is counted; callgrind starts a new count there

# name -> what one run of n epochs does; the smaller and the larger n
WORKLOADS = {
    "2-4-8-1 full batch 500": (
        """
        X, y = rng.randn(500, 2).astype(dtype), rng.rand(500, 1).astype(dtype)
        net = Network([2, 4, 8, 1], dtype=dtype, random_state=0)
        net.fit(X, y, solver="sgd", batch_size=500, max_iter=n)
        """,
        (10, 110),
    ),
    "8-32-32-2 batch 32": (
        """
        X, y = rng.randn(320, 8).astype(dtype), np.eye(2, dtype=dtype)[rng.randint(2, size=320)]
        net = Network([8, 32, 32, 2], "relu", loss="log_loss", dtype=dtype, random_state=0)
        net.fit(X, y, batch_size=32, max_iter=n, shuffle=False)
        """,
        (2, 8),
    ),
    "64-100-10 batch 200": (
        """
        X, y = rng.randn(400, 64).astype(dtype), np.eye(10, dtype=dtype)[rng.randint(10, size=400)]
        net = Network([64, 100, 10], "relu", loss="log_loss", dtype=dtype, random_state=0)
        net.fit(X, y, batch_size=200, max_iter=n, alpha=1e-4, shuffle=False)
        """,
        (1, 4),
    ),
    "predict a row, 64-100-10": (
        """
        net = Network([64, 100, 10], "relu", loss="log_loss", dtype=dtype, random_state=0)
        x = rng.randn(1, 64).astype(dtype)
        for _ in range(n):
            net.predict(x)
        """,
        (10, 210),
    ),
    "16-64-64-1 batch 64": (
        """
        X, y = rng.randn(640, 16).astype(dtype), rng.randint(2, size=(640, 1)).astype(dtype)
        net = Network([16, 64, 64, 1], "relu", loss="binary_log_loss", dtype=dtype, random_state=0)
        net.fit(X, y, batch_size=64, max_iter=n, shuffle=False)
        """,
        (1, 4),
    ),
    "partial_fit a row, 8-32-32-2": (
        """
        net = Network([8, 32, 32, 2], "relu", loss="log_loss", dtype=dtype, random_state=0)
        x, y = rng.randn(1, 8).astype(dtype), np.eye(2, dtype=dtype)[:1]
        for _ in range(n):
            net.partial_fit(x, y)
        """,
        (10, 110),
    ),
    "loss of a row, 64-100-10": (
        """
        net = Network([64, 100, 10], "relu", loss="log_loss", dtype=dtype, random_state=0)
        x, y = rng.randn(1, 64).astype(dtype), np.eye(10, dtype=dtype)[:1]
        for _ in range(n):
            net.loss(x, y)
        """,
        (10, 210),
    ),
    "Network and fit of an epoch, 8-32-32-2": (
        """
        X, y = rng.randn(100, 8).astype(dtype), np.eye(2, dtype=dtype)[rng.randint(2, size=100)]
        for _ in range(n):
            net = Network([8, 32, 32, 2], "relu", loss="log_loss", dtype=dtype, random_state=0)
            net.fit(X, y, max_iter=1)
        """,
        (10, 40),
    ),
    "tutorial.train a step, 2-4-8-1": (
        """
        X, y = rng.randn(500, 2).astype(dtype), rng.rand(500, 1).astype(dtype)
        net = tutorial_net(dtype)
        for _ in range(n):
            tutorial.train(net, X, y, tutorial.l2_cost, lr=0.05)
        """,
        (10, 40),
    ),
    "tutorial.train a point, 2-4-8-1": (
        """
        X, y = rng.randn(500, 2).astype(dtype), rng.rand(500, 1).astype(dtype)
        net = tutorial_net(dtype)
        tutorial.train(net, X, y, tutorial.l2_cost, lr=0.05)
        for _ in range(n):
            tutorial.train(net, X[:1], y, tutorial.l2_cost, train=False)
        """,
        (10, 210),
    ),
    "tutorial.train a point, never trained, 2-4-8-1": (
        """
        X, net = rng.randn(1, 2).astype(dtype), tutorial_net(dtype)
        for _ in range(n):
            tutorial.train(net, X, None, tutorial.l2_cost, train=False)
        """,
        (10, 110),
    ),
    "MLPClassifier.predict_proba a row, 64-100-10": (
        """
        X, y = rng.randn(100, 64).astype(dtype), np.arange(100) % 10
        net = MLPClassifier(max_iter=1, random_state=0)
        with warnings.catch_warnings(action="ignore"):
            net.fit(X, y)
        for _ in range(n):
            net.predict_proba(X[:1])
        """,
        (10, 60),
    ),
    "MLPRegressor.predict a row, 10-100-1": (
        """
        X, y = rng.randn(100, 10).astype(dtype), rng.randn(100).astype(dtype)
        net = MLPRegressor(max_iter=1, random_state=0)
        with warnings.catch_warnings(action="ignore"):
            net.fit(X, y)
        for _ in range(n):
            net.predict(X[:1])
        """,
        (10, 60),
    ),
}
# each kernel once, not every combination
COUNTED = [
    ("2-4-8-1 full batch 500", "float64", "avx2"),
    ("2-4-8-1 full batch 500", "float32", "baseline"),
    ("8-32-32-2 batch 32", "float32", "avx2"),
    ("8-32-32-2 batch 32", "float64", "avx2"),
    ("16-64-64-1 batch 64", "float32", "avx2"),
    ("16-64-64-1 batch 64", "float64", "avx2"),
    ("64-100-10 batch 200", "float32", "avx2"),
    ("64-100-10 batch 200", "float64", "baseline"),
    ("predict a row, 64-100-10", "float32", "avx2"),
    ("partial_fit a row, 8-32-32-2", "float64", "avx2"),
    ("loss of a row, 64-100-10", "float32", "avx2"),
    ("Network and fit of an epoch, 8-32-32-2", "float64", "avx2"),
    ("tutorial.train a step, 2-4-8-1", "float64", "avx2"),
    ("tutorial.train a point, 2-4-8-1", "float64", "avx2"),
    ("tutorial.train a point, never trained, 2-4-8-1", "float64", "avx2"),
    ("MLPClassifier.predict_proba a row, 64-100-10", "float64", "avx2"),
    ("MLPRegressor.predict a row, 10-100-1", "float64", "avx2"),
]
# Run with a list of (code, dtype, the smaller n, the larger n).
PROGRAM = """
import ast, gc, os, subprocess, sys, warnings
import numpy as np
from fastnn import MLPClassifier, MLPRegressor, Network, tutorial
def tutorial_net(dtype):
    np.random.seed(0)
    net = tutorial.create_nn([2, 4, 8, 1], tutorial.sigm)
    for layer in net:
        layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
    return net
subprocess.run(["callgrind_control", "--instr=on", str(os.getpid())],
               check=True, stdout=subprocess.DEVNULL)
gc.disable()
for code, dtype, few, many in ast.literal_eval(sys.argv[1]):
    code = compile(code, "workload", "exec")
    for n in (few, few, few, many, many):
        os.getppid()
        exec(code, globals() | {"rng": np.random.RandomState(0), "dtype": dtype, "n": n})
    os.getppid()
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="store what is counted now")
    parser.add_argument("--only", default="", metavar="TEXT", help="count workloads so named")
    parser.add_argument("--history", action="store_true",
                        help="count nothing: the stored counts over git's commits")  # fmt: skip
    options = parser.parse_args()
    if options.history:
        print("\n".join(history_lines(history(), options.only)) or "git has no counts here")
        return
    if options.only and options.update:
        parser.error("--update stores all counts, not those of --only")
    if not shutil.which("valgrind"):
        print("no valgrind here: nothing counted")
        return
    versions, counts = count_all([job for job in COUNTED if options.only in " ".join(job)])
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    for name, count in counts.items():
        print(f"{name:<45}{count:12,.0f} instructions an epoch or call")
    if options.only:
        return
    if options.update:
        STORED.write_text(json.dumps({**stored, versions: counts}, indent=1) + "\n")
    elif versions not in stored:
        print(f"no counts are stored for {versions}: nothing to compare with")
    else:
        worse, better = compare(counts, stored[versions])
        if worse:  # in one run of many, memory grows where it did not before: count these again
            again = [job for job in COUNTED if any(" ".join(job) in line for line in worse)]
            for name, count in count_all(again)[1].items():
                counts[name] = min(count, counts[name])
            worse, better = compare(counts, stored[versions])
        for line in better:
            print(f"fewer than stored: {line}; store them with --update")
        if worse:
            sys.exit("more instructions than stored:\n  " + "\n  ".join(worse))
        print(f"none is more than {TOLERANCE:.0%} above its stored count")


def history(stored=STORED):
    """What git has of the stored counts, the oldest first: commit, day, {versions: counts}."""

    def git(*words):
        done = subprocess.run(
            ["git", *words], cwd=stored.parent, capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    commits = [line.split() for line in git(
        "log", "--reverse", "--format=%h %cs", "--", stored.name
    ).splitlines()]  # fmt: skip
    texts = [git("show", f"{commit}:./{stored.name}") for commit, _ in commits]
    return [
        (*commit, json.loads(text)) for commit, text in zip(commits, texts, strict=True) if text
    ]


def history_lines(kept, only=""):
    """For each count the commits that changed it by a thousandth or more."""
    found = {}
    for commit, day, of_versions in kept:
        for versions, counts in of_versions.items():
            for name, count in counts.items():
                found.setdefault((name, versions), []).append((commit, day, count))
    lines = []
    for (name, versions), counts in found.items():
        if only not in name:
            continue
        lines.append(f"{name}, {versions}")
        before = None
        for commit, day, count in counts:
            change = count / before - 1 if before else None
            if change is None or abs(change) >= 0.001:
                shown = "" if change is None else f"{change:+8.1%}"
                lines.append(f"  {commit} {day} {count:14,.0f}{shown}")
                before = count
    return lines


def compare(counts, stored):
    """What got worse and what got better by more than the tolerance; what is missing is worse."""
    worse, better = [], []
    for name, before in stored.items():
        now = counts.get(name)
        if now is None:
            worse.append(f"{name}: not counted any more")
            continue
        line = f"{name}: {now:,.0f}, stored {before:,.0f} ({now / before - 1:+.1%})"
        if now > before * (1 + TOLERANCE):
            worse.append(line)
        elif now < before * (1 - TOLERANCE):
            better.append(line)
    return worse, better


def count_all(jobs):
    """What the counts depend on, and name -> instructions of an epoch or call."""
    import numpy as np

    from fastnn import kernels

    python, numpy = (v.rpartition(".")[0] for v in (platform.python_version(), np.__version__))
    compiler = kernels.build.build_info()["compiler"]
    versions = f"{compiler}, Python {python}, NumPy {numpy}"
    # a process for each build
    builds = [[job for job in jobs if job[-1] == isa] for isa in sorted({job[-1] for job in jobs})]
    with ThreadPoolExecutor() as pool:  # counts do not mind company
        counts = {k: v for found in pool.map(count, builds) for k, v in found.items()}
    return versions, {name: counts[name] for name in map(" ".join, jobs)}


def count(jobs):
    """name -> instructions of an epoch or call, for jobs of one build, in one process."""
    listed = [
        (textwrap.dedent(WORKLOADS[name][0]), dtype, *WORKLOADS[name][1])
        for name, dtype, _ in jobs
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "counts"
        done = subprocess.run(
            [
                "valgrind", "--tool=callgrind", f"--callgrind-out-file={file}",
                "--instr-atstart=no", f"--dump-before={MARKER}",
                sys.executable, "-P", "-c", PROGRAM, repr(listed),
            ],
            capture_output=True, text=True,
            env={
                **os.environ, "FASTNN_ISA": jobs[0][-1], "FASTNN_NUM_THREADS": "1",
                "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
            },
        )  # fmt: skip
        parts = [Path(f"{file}.{part}") for part in range(1, 6 * len(jobs) + 1)]
        if done.returncode or not all(part.exists() for part in parts):
            sys.exit(f"valgrind failed on {jobs[0][-1]}: {done.stderr[-2000:]}")
        # what was counted before each marker: what came before, warming up, few twice, many twice;
        # the lower of each two is without what happens once, such as memory that grows
        totals = [int(re.search(r"^totals: (\d+)", p.read_text(), re.M)[1]) for p in parts]
    counts = {}
    for i, job in enumerate(jobs):
        (_, (few, many)), (_, _, *of) = WORKLOADS[job[0]], totals[6 * i : 6 * i + 6]
        counts[" ".join(job)] = round((min(of[2:]) - min(of[:2])) / (many - few), 1)
    return counts


if __name__ == "__main__":
    main()
