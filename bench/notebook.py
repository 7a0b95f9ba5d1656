"""The tutorial's notebook as a whole, NumPy against fastnn's import: `python bench/notebook.py`.

The notebook trains a net on two rings for 2000 steps. Every 25 steps it notes the loss and asks
for the output at the 50 x 50 points of a grid, one point at a time, for its picture. The
definitions are replaced by fastnn's import and nothing else is changed. "Original" is our own text
of the tutorial's NumPy (`fastnn/cli/numpy_network.py`). The third way asks for the whole grid at
once. Runs of the same seed must come to the same losses and grids, for as long as rounding does
not grow: the deep net is chaotic, its first frames are compared. Runs alternate on one pinned
core; a ratio compares runs of the same round. Waiting (`time.sleep`) and printing are left out;
--draw draws every picture in memory.
"""

import argparse
import json
import sys
import time
from types import SimpleNamespace

import numpy as np
from run import describe, pin, ratio_text, spread  # one BLAS thread: before NumPy computes
from sklearn.datasets import make_circles

from fastnn import tutorial
from fastnn.cli import numpy_network

SAMPLES, STEPS, EVERY, POINTS, LR = 500, 2000, 25, 50, 0.05
# A start from which gradient descent of the first net is not chaotic. The net that the loop
# trains, and the deep one made before it; and the frames before rounding grows to another net.
SEED = 4
TOPOLOGIES = {"2-4-8-1": 80, "2-4-8-16-8-4-1": 15}
TOLERANCE = 1e-6


def original_train(neural_net, X, Y, l2_cost, lr=0.5, train=True):
    if train:
        return numpy_network.step(neural_net, X, Y, lr)
    return numpy_network.predict(neural_net, X)


ORIGINAL = SimpleNamespace(
    create_nn=lambda topology, act_f: numpy_network.network(topology),
    sigm=numpy_network.SIGMOID,
    l2_cost=(lambda Yp, Yr: np.mean((Yp - Yr) ** 2), lambda Yp, Yr: Yp - Yr),
    train=original_train,
)
# name -> definitions, whether the grid is predicted at once
WAYS = {
    "original": (ORIGINAL, False),
    "fastnn": (tutorial, False),
    "fastnn, grid at once": (tutorial, True),
}


def notebook(names, topology, steps, at_once, draw):
    """What the notebook does from its data on; the losses, and the grids' values."""
    X, Y = make_circles(n_samples=SAMPLES, factor=0.5, noise=0.05)
    Y = Y[:, np.newaxis]
    neural_n = names.create_nn(topology, names.sigm)
    loss, grids = [], []
    for i in range(steps):
        pY = names.train(neural_n, X, Y, names.l2_cost, lr=LR)
        if i % EVERY == 0:
            loss.append(names.l2_cost[0](pY, Y))
            _x0 = np.linspace(-1.5, 1.5, POINTS)
            _x1 = np.linspace(-1.5, 1.5, POINTS)
            if at_once:
                points = np.stack(np.meshgrid(_x0, _x1, indexing="ij"), axis=-1).reshape(-1, 2)
                _Y = names.train(neural_n, points, Y, names.l2_cost, train=False)
                _Y = _Y.reshape(POINTS, POINTS)
            else:
                _Y = np.zeros((POINTS, POINTS))
                for i0, x0 in enumerate(_x0):
                    for i1, x1 in enumerate(_x1):
                        _Y[i0, i1] = names.train(
                            neural_n, np.array([[x0, x1]]), Y, names.l2_cost, train=False
                        )[0][0]
            if draw:
                picture(_x0, _x1, _Y, X, Y, loss)
            grids.append(_Y)
    return np.array(loss), np.array(grids)


def picture(_x0, _x1, _Y, X, Y, loss):
    """The two figures of a frame, drawn in memory."""
    import matplotlib.pyplot as plt

    plt.pcolormesh(_x0, _x1, _Y, cmap="coolwarm")
    plt.axis("equal")
    plt.scatter(X[Y[:, 0] == 0, 0], X[Y[:, 0] == 0, 1], c="orange")
    plt.scatter(X[Y[:, 0] == 1, 0], X[Y[:, 0] == 1, 1], c="skyblue")
    plt.gcf().canvas.draw()
    plt.close()
    plt.plot(range(len(loss)), loss)
    plt.gcf().canvas.draw()
    plt.close()


def check(results, frames):
    """The largest difference of these frames' losses and grids from the original's; the name of a
    way that differs by more than rounding, or None."""
    worst, wrong = 0.0, None
    for name, (losses, grids) in results.items():
        first_losses, first_grids = results["original"]
        if losses.shape != first_losses.shape or grids.shape != first_grids.shape:
            return np.inf, name
        pairs = (losses, first_losses), (grids, first_grids)
        difference = max(np.abs((a - b)[:frames]).max() for a, b in pairs)
        worst = max(worst, difference)
        if not difference <= TOLERANCE or not np.isfinite(grids).all():
            wrong = wrong or name
    return float(worst), wrong


def measure(topology, steps, rounds, draw):
    units = [int(n) for n in topology.split("-")]
    frames = TOPOLOGIES.get(topology, 4)
    seconds = {name: [] for name in WAYS}
    for i in range(rounds):
        results = {}
        for name in WAYS if i % 2 == 0 else reversed(WAYS):
            names, at_once = WAYS[name]
            np.random.seed(SEED)
            begin = time.perf_counter()
            results[name] = notebook(names, units, steps, at_once, draw)
            seconds[name].append(time.perf_counter() - begin)
        difference, wrong = check(results, frames)
        if wrong:
            sys.exit(f"{topology}: {wrong} differs from the original by {difference:.1e}")
    losses = results["original"][0]
    return {
        "topology": topology, "steps": steps, "draw": draw, "difference": difference,
        "frames": len(results["original"][0]),
        "frames_checked": min(frames, len(results["original"][0])),
        "losses": [float(losses[0]), float(losses[-1])],
        "seconds": {name: spread(times) for name, times in seconds.items()},
        "ratio": {
            name: spread([a / b for a, b in zip(seconds["original"], times, strict=True)])
            for name, times in seconds.items() if name != "original"
        },
    }  # fmt: skip


def report(result):
    lines = [
        f"{result['topology']}, {result['steps']} steps, {'with' if result['draw'] else 'without'}"
        f" drawing; loss {result['losses'][0]:.4f} to {result['losses'][1]:.4f}, largest "
        f"difference {result['difference']:.0e} in {result['frames_checked']} of "
        f"{result['frames']} frames"
    ]
    for name, seconds in result["seconds"].items():
        ratio = result["ratio"].get(name)
        lines.append(
            f"  {name:<22}{seconds['median']:8.3f} s ({seconds['min']:.3f}-{seconds['max']:.3f})"
            f"{'   ' + ratio_text(ratio) if ratio else ''}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of alternation (5)")
    parser.add_argument("--topologies", default=",".join(TOPOLOGIES), metavar="A,B")
    parser.add_argument("--draw", action="store_true", help="draw every picture in memory")
    parser.add_argument("--smoke", action="store_true", help="three frames: does it all run?")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    steps = STEPS
    if options.smoke:
        options.rounds, steps = 1, 2 * EVERY + 1
    core = pin()
    if options.draw:
        import matplotlib

        matplotlib.use("agg")
    machine, results = describe(core), []
    for topology in options.topologies.split(","):
        results.append(measure(topology, steps, options.rounds, options.draw))
        if not options.json:
            print(report(results[-1]), flush=True)
    if options.json:
        json.dump({"machine": machine, "results": results}, sys.stdout, indent=1)
        print()
    else:
        print(", ".join(f"{key} {value}" for key, value in machine.items()))


if __name__ == "__main__":
    main()
