"""Share of a core's peak in steps of training: `python bench/shares.py [--path OTHER]`.

A step gathers shuffled rows, goes forward, computes loss, deltas and gradients, and steps with
Adam; the share is that of its multiply-adds in what the core could do in the same time. With
--path, another version of fastnn takes turns with this one, and both are stated. Figures are
medians, the bounds of eight of ten rounds, and the best round against the highest peak: on a core
that others share, the medians measure them as well.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# net -> batch, rows, loss
NETS = {
    "8-32-32-2": (32, 2048, "log_loss"),
    "16-64-64-1": (64, 3072, "binary_log_loss"),
    "64-100-10": (200, 4000, "log_loss"),
    "100-200-50-7": (100, 4000, "log_loss"),
    "300-500-300-20": (200, 4000, "log_loss"),
    "784-256-128-10": (128, 6400, "log_loss"),
    "784-1024-1024-10": (256, 2560, "log_loss"),
}


def work(units, batch):
    """Multiply-adds of a step: forward pass, gradients, deltas of all layers but the first."""
    sizes = [k * n for k, n in itertools.pairwise(units)]
    return batch * (3 * sum(sizes) - sizes[0])


def serve():
    """Take orders as JSON lines: [net, dtype] makes a net, [n] times n of its epochs."""
    import numpy as np
    from worker import Task

    from fastnn import Network, kernels

    def peak(dtype):
        """Multiply-adds a second, at best of some tenths of a millisecond."""
        sink, best = np.zeros(1, dtype), 0.0
        for _ in range(9):
            start = time.perf_counter()
            n = kernels.build.peak_multiply_adds(20000, sink)
            best = max(best, n / (time.perf_counter() - start))
        return best

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = {"build": kernels.build.build_info()["target"], "module": kernels.build.__file__}
    print(json.dumps(answer), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if len(order) == 2:
            name, dtype = order
            batch, rows, loss = NETS[name]
            task = Task([int(n) for n in name.split("-")], batch, rows, dtype, loss)
            net = Network(task.units, "relu", loss=loss, dtype=dtype, random_state=0)
            order = [1]
        answer = {"peak": peak(dtype)}
        start = time.process_time()
        net.fit(task.X, task.targets, batch_size=batch, max_iter=order[0])
        answer["seconds"] = time.process_time() - start
        print(json.dumps(answer), file=answers, flush=True)


class Version:
    """A process with one version of fastnn on one core, which waits while others work."""

    def __init__(self, path, core):
        environment = {**os.environ, "FASTNN_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        if path:
            environment["PYTHONPATH"] = path
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        self.info = json.loads(self._process.stdout.readline())

    def ask(self, *order):
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measure(versions, name, dtype, rounds, seconds):
    """Of each version: a share and the microseconds of a step for each round; the best share."""
    batch, rows, _ = NETS[name]
    steps = -(-rows // batch)
    # rows that do not fill the last batch count as what they are
    epoch = work([int(n) for n in name.split("-")], rows)
    for version in versions:
        version.ask(name, dtype)
    n = 1
    while (took := min(version.ask(n)["seconds"] for version in versions)) < seconds:
        n = max(2 * n, int(1.2 * n * seconds / max(took, 1e-4)))
    shares = [[] for _ in versions]
    times = [[] for _ in versions]
    highest = 0.0
    for i in range(rounds):
        answers = [version.ask(n) for version in versions[:: 1 if i % 2 else -1]]
        answers = answers[:: 1 if i % 2 else -1]
        peak = max(answer["peak"] for answer in answers)
        highest = max(highest, peak)
        for answer, share, us in zip(answers, shares, times, strict=True):
            share.append(n * epoch / answer["seconds"] / peak)
            us.append(1e6 * answer["seconds"] / n / steps)
    best = [1e6 * epoch / steps / min(us) / highest for us in times]
    return shares, times, best


def text(values):
    values, cut = sorted(values), len(values) // 10
    return f"{statistics.median(values):.3f} ({values[cut]:.3f}-{values[-1 - cut]:.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", metavar="OTHER", help="PYTHONPATH of another version")
    parser.add_argument("--nets", default=",".join(NETS), metavar="A,B")
    parser.add_argument("--dtypes", default="float32,float64", metavar="A,B")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=0.1, help="at least, of a round")
    parser.add_argument("--smoke", action="store_true", help="one net, shortly")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    if options.smoke:
        options.nets, options.rounds, options.seconds = "8-32-32-2", 3, 0.01
    core = max(os.sched_getaffinity(0))
    paths = [os.environ.get("PYTHONPATH"), *([options.path] if options.path else [])]
    versions = [Version(path, core) for path in paths]
    for version in versions:
        print(version.info["build"], version.info["module"])
    for name, dtype in itertools.product(options.nets.split(","), options.dtypes.split(",")):
        shares, times, best = measure(versions, name, dtype, options.rounds, options.seconds)
        line = f"{name + ' b' + str(NETS[name][0]):<22}{dtype}  {text(shares[0])}"
        line += f" best {best[0]:.3f} {statistics.median(times[0]):9.1f} us"
        if options.path:
            ratios = [a / b for a, b in zip(*shares, strict=True)]
            line += f"   other {text(shares[1])} best {best[1]:.3f}   speed {text(ratios)}"
        print(line, flush=True)
    for version in versions:
        version.close()
    return None


if __name__ == "__main__":
    main()
