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
    "width": "units a hidden layer",
    "depth": "hidden layers of 100",
    "batch": "samples a batch",
    "threads": "threads, 784-256-128-10",
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

    from fastnn.plotting import style

    # markers for those who print in grey
    looks = {
        "fastnn_": (style.COLORS[0], "o"), "scikit_learn": (style.COLORS[1], "s"),
        "torch_eager": (style.COLORS[3], "^"), "jax_jit": (style.COLORS[2], "D"),
    }  # fmt: skip
    # two panels wide, so that a telephone's 390 pixels leave letters of 11
    figure, axes = plt.subplots(3, 2, figsize=(5.2, 7.4), layout="constrained")
    axes, legend = axes.flat[:-1], axes.flat[-1]
    for ax, (name, points) in zip(axes, results["sweeps"].items(), strict=True):
        for peer, (color, marker) in looks.items():
            there = [p for p in points if p[peer]]
            ax.plot(
                [p["value"] for p in there], [p[peer] for p in there], color=color, marker=marker,
                markersize=5, linewidth=2.5 if peer == "fastnn_" else 1.5, label=PEERS[peer][0],
            )  # fmt: skip
        style.log_axis(ax, "y")
        if name in ("depth", "threads"):
            ax.set_xticks([p["value"] for p in points])
        else:
            style.log_axis(ax, "x")
        ax.set_xlabel(LABELS[name], fontsize=11)
        ax.tick_params(labelsize=11)
        ax.grid(alpha=0.3)
    figure.supylabel("µs of training a sample", fontsize=11)
    legend.axis("off")
    legend.legend(*axes[0].get_legend_handles_labels(), loc="center", fontsize=13, frameon=False)
    machine = results["machine"]
    figure.suptitle(
        "ReLU net 64-100-10, batch 200, 4000 samples, Adam,\n"
        "float32, one core; one thing varied at a time.\n"
        f"Lower is faster. {machine['CPU']}, {machine['build']} build",
        fontsize=11,
    )
    figure.savefig(path, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
