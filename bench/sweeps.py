"""How fastnn and others scale: `python bench/sweeps.py` (needs the extra `bench`), some minutes.

One thing is varied at a time around a ReLU net 64-100-10, batch 200, 4000 rows, float32, one
thread. Results go to bench/results/sweeps.json and, as a chart, to docs/scaling.png.
"""

import argparse
import json
import os
import statistics
from pathlib import Path

from peers import HERE, PEERS, Competitor, describe

CHART = HERE.parent / "docs" / "scaling.png"
BASE = {"units": [64, 100, 10], "batch": 200, "rows": 4000, "dtype": "float32", "loss": "log_loss"}
COMPETITORS = ("fastnn_", "scikit_learn", "torch_eager", "jax_jit")
SLOWEST = 5.0  # seconds an epoch: a competitor that needs more is left out of the longer points

SAMPLES = [100, 1000, 10_000, 100_000, 1_000_000]
# what varies -> its values, and the task of each
SWEEPS = {
    "samples": (SAMPLES, lambda n: {"rows": n, "batch": min(n, 200)}),
    "width": ([4, 16, 64, 256, 1024, 2048], lambda n: {"units": [64, n, 10]}),
    "depth": ([1, 2, 4, 8], lambda n: {"units": [64] + [100] * n + [10]}),
    "batch": ([1, 8, 40, 200, 1000, 4000], lambda n: {"batch": n}),
    "threads": (None, lambda n: {"units": [784, 256, 128, 10], "batch": 128, "rows": 6400}),
}
LABELS = {
    "samples": "samples",
    "width": "units of the hidden layer",
    "depth": "hidden layers of 100",
    "batch": "samples a batch",
    "threads": "threads (784-256-128-10)",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=HERE / "results" / "sweeps.json")
    parser.add_argument("--chart-only", action="store_true", help="draw what is in the JSON again")
    parser.add_argument("--sweeps", metavar="A,B", help="these alone anew, the others as stored")
    options = parser.parse_args()
    if not options.chart_only:
        sweeps = {}
        if options.sweeps:
            sweeps = json.loads(options.json.read_text())["sweeps"]
        for name in options.sweeps.split(",") if options.sweeps else SWEEPS:
            sweeps[name] = sweep(name)
        options.json.parent.mkdir(exist_ok=True)
        results = {"machine": describe(), "sweeps": sweeps}
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    draw(json.loads(options.json.read_text()), CHART)


def sweep(name):
    """[{value, competitor: microseconds a sample or None}, ...]"""
    values, task_of = SWEEPS[name]
    if values is None:
        values = range(1, len(os.sched_getaffinity(0)) + 1)
    points, slow = [], set()
    for value in values:
        task = {**BASE, **task_of(value)}
        threads = value if name == "threads" else 1
        point = {"value": value}
        for peer in COMPETITORS:
            point[peer] = None if peer in slow else one_point(peer, task, threads)
            if point[peer] and point[peer] * 1e-6 * task["rows"] > SLOWEST:
                slow.add(peer)
        print(name, point, flush=True)
        points.append(point)
    return points


def one_point(peer, task, threads):
    """Median microseconds a sample of one epoch, in a fresh process."""
    competitor = Competitor(peer, threads)
    try:
        competitor.ask(do="prepare", **task)
        before, after = competitor.ask(do="check")["losses"]
        if not after < before:
            raise SystemExit(f"{peer} learns nothing on {task}")
        epochs = 1
        while (took := competitor.time(epochs)[0]) < 0.1:
            epochs *= max(2, int(0.12 / took))
        times = [took] + [competitor.time(epochs)[0] for _ in range(4 if took < 1 else 0)]
    finally:
        competitor.close()
    return statistics.median(times) / epochs / task["rows"] * 1e6


def draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    # Okabe and Ito's colours, told apart by everybody; markers for those who print in grey
    styles = {
        "fastnn_": ("#0072B2", "o"), "scikit_learn": ("#E69F00", "s"),
        "torch_eager": ("#CC79A7", "^"), "jax_jit": ("#009E73", "D"),
    }  # fmt: skip
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5.8), layout="constrained")
    axes, legend = axes.flat[:-1], axes.flat[-1]
    for ax, (name, points) in zip(axes, results["sweeps"].items(), strict=True):
        for peer, (color, marker) in styles.items():
            there = [p for p in points if p[peer]]
            ax.plot(
                [p["value"] for p in there], [p[peer] for p in there], color=color, marker=marker,
                markersize=5, linewidth=2.5 if peer == "fastnn_" else 1.5, label=PEERS[peer][0],
            )  # fmt: skip
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        if name in ("depth", "threads"):
            ax.set_xticks([p["value"] for p in points])
        else:
            ax.set_xscale("log")
        ax.set_xlabel(LABELS[name])
        ax.grid(alpha=0.3)
    for ax in (axes[0], axes[3]):
        ax.set_ylabel("µs of training a sample")
    legend.axis("off")
    legend.legend(*axes[0].get_legend_handles_labels(), loc="center", fontsize=13, frameon=False)
    machine = results["machine"]
    figure.suptitle(
        "ReLU net 64-100-10, batch 200, 4000 samples, Adam, float32, one core; one thing varied\n"
        f"at a time. Lower is faster. {machine['CPU']}, {machine['build']} build",
        fontsize=11,
    )
    figure.savefig(path, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
