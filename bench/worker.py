"""A fresh process of one competitor: takes orders as JSON lines on stdin, answers on stdout.

`python bench/worker.py ADAPTER`, started by peers.py with the environment and on the cores that
force the number of threads. Orders: {"do": "prepare", ...a task}, then "check", "time", "close".
"""

import importlib
import itertools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

CHECK_EPOCHS = {"tutorial": 100}  # others: 1
SEED = 15  # a start from which the tutorial's nets are not chaotic for the first steps


class Task:
    """What every competitor is given: the same data and, from `start`, the same parameters."""

    def __init__(self, units, batch, rows, dtype, loss):
        self.units, self.batch, self.loss, self.dtype = units, batch, loss, np.dtype(dtype)
        if loss == "tutorial":
            from sklearn.datasets import make_circles

            X, self.labels = make_circles(rows, factor=0.5, noise=0.05, random_state=SEED)
            targets = self.labels[:, None]
        else:
            rng = np.random.RandomState(0)
            X = rng.randn(rows, units[0])
            self.labels = rng.randint(max(2, units[-1]), size=rows)
            # every class occurs, or scikit-learn would make a smaller net
            self.labels[: max(2, units[-1])] = np.arange(max(2, units[-1]))
            targets = np.eye(units[-1])[self.labels] if units[-1] > 1 else self.labels[:, None]
        self.X, self.targets = X.astype(dtype), targets.astype(dtype)

    def start(self):
        """[(W, b), ...], the same for everybody."""
        rng, layers = np.random.RandomState(SEED), []
        for k, n in itertools.pairwise(self.units):
            if self.loss == "tutorial":
                b, W = rng.rand(n) * 2 - 1, rng.rand(k, n) * 2 - 1
            else:
                bound = np.sqrt(6 / (k + n))
                W, b = rng.uniform(-bound, bound, (k, n)), np.zeros(n)
            layers.append((W.astype(self.dtype), b.astype(self.dtype)))
        return layers

    def loss_of(self, layers):
        """The mean loss by NumPy in float64, whoever trained."""
        a = self.X.astype(np.float64)
        tutorial = self.loss == "tutorial"
        for i, (W, b) in enumerate(layers):
            z = a @ W.astype(np.float64) + b.astype(np.float64)
            a = 1 / (1 + np.exp(-z)) if tutorial else np.maximum(z, 0)
            if i == len(layers) - 1 and not tutorial:
                a = z
        y = self.targets.astype(np.float64)
        if tutorial:
            return float(np.mean(0.5 * (a - y) ** 2))
        if self.loss == "binary_log_loss":
            return float(np.mean(np.logaddexp(0, a) - y * a))
        top = a.max(axis=1)
        chosen = a[np.arange(len(a)), self.labels]
        return float(np.mean(np.log(np.exp(a - top[:, None]).sum(axis=1)) + top - chosen))


def memory(field):
    """A line of /proc/self/status in bytes; None where there is none."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(li.split()[1]) * 1024 for li in lines if li.startswith(field)), None)


def forget_peak():
    """From now on VmHWM is the most memory since now; whether the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def main():
    begin = time.perf_counter()
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    module = importlib.import_module(f"adapters.{sys.argv[1]}")
    # libraries may print: answers go to a copy of stdout, everything else to stderr
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = adapter = None
    answer = {"version": module.VERSION, "import_s": time.perf_counter() - begin}
    for line in itertools.chain(["{}"], sys.stdin):
        order = json.loads(line)
        if order.get("do") == "prepare":
            task = Task(*(order[key] for key in ("units", "batch", "rows", "dtype", "loss")))
            before, peak_forgotten = memory("VmRSS"), False
            start = time.perf_counter()
            adapter = module.Adapter(task)
            adapter.reset(task.start())
            adapter.train(1, True)
            answer = {"first_s": time.perf_counter() - start, "threads": adapter.threads()}
        elif order.get("do") == "check":
            adapter.reset(task.start())
            adapter.train(CHECK_EPOCHS.get(task.loss, 1), False)
            layers = [(np.asarray(W), np.asarray(b).ravel()) for W, b in adapter.layers()]
            types = {str(p.dtype) for layer in layers for p in layer}
            losses = [task.loss_of(task.start()), task.loss_of(layers)]
            answer = {"types": sorted(types), "losses": losses}
        elif order.get("do") == "time":
            if not peak_forgotten:  # the check's own arrays do not count
                peak_forgotten = forget_peak()
            start, cpu = time.perf_counter(), time.process_time()
            adapter.train(order["n"], True)
            seconds = time.perf_counter() - start
            answer = {"seconds": seconds, "cpu_s": time.process_time() - cpu}
            if before is not None and peak_forgotten:
                answer["memory"] = max(0, memory("VmHWM") - before)
        elif order.get("do") == "close":
            return
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
