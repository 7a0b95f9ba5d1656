"""What people train with today, timed: `python bench/recipe.py` (PyTorch needs the extra `bench`).

Two tables. *Costs*: 64-100-10 in batches of 200, float32, by Adam with relu, and the same with one
thing more; how many times as long it takes. *Recipe*: gelu, dropout 0.1 on hidden layers, AdamW, a
cosine schedule by step and label smoothing 0.1, by fastnn, PyTorch and torch.compile, from the
same parameters and on the same rows. Before anything is timed all must come to the same loss: fits
with dropout differ by what they draw, so losses are means of several fits, without dropout.

Each of the programs has a process of its own, pinned to one core, and they take turns. Figures are
medians of ratios within a round, and the bounds of eight of ten.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DROPOUT, SMOOTHING, DECAY, RATE = 0.1, 0.1, 0.01, 0.003
PROGRAMS = {"fastnn": "fastnn", "PyTorch": "torch", "torch.compile": "torch"}
# net -> batch, epochs of a fit that is checked
NETS = {"64-100-10": (200, 40), "16-64-64-1": (64, 10)}
LOSS_TOLERANCE = 0.03  # of means of FITS fits
FITS = 4
# what a net of 64-100-10 costs more than relu and Adam: Network's arguments, fit's
PLAIN = ("relu", {"solver": "adam"})
COSTS = {
    **{name: (name, {"solver": "adam"}) for name in ("silu", "gelu", "mish", "gelu_tanh", "elu",
                                                     "selu", "softplus", "leaky_relu")},
    "dropout": ("relu", {"solver": "adam", "dropout": 0.1}),
    "input_noise": ("relu", {"solver": "adam", "input_noise": 0.1}),
    "adamw, cosine, clip_norm, ema": ("relu", {
        "solver": "adamw", "learning_rate": "cosine", "clip_norm": 1.0, "ema": 0.99,
    }),
    "all of the recipe": ("gelu", {
        "solver": "adamw", "learning_rate": "cosine", "dropout": 0.1, "label_smoothing": 0.1,
    }),
}  # fmt: skip


def data(name, dtype):
    """Rows, targets as fastnn takes them, and the loss: digits, or a net's own decisions."""
    rng = np.random.RandomState(0)
    if name == "64-100-10":
        from sklearn.datasets import load_digits

        X, labels = load_digits(return_X_y=True)
        X, y, loss = X / 16, np.eye(10)[labels], "log_loss"
    else:
        X = rng.randn(3072, 16)
        y = (np.tanh(X @ rng.randn(16, 8)) @ rng.randn(8, 1) > 0).astype(float)
        loss = "binary_log_loss"
    return X.astype(dtype), y.astype(dtype), loss


def units_of(name):
    return [int(n) for n in name.split("-")]


# ---- programs: a process each -------------------------------------------------------------------


class Fastnn:
    def __init__(self, name, dtype):
        from fastnn import Network

        (self.X, self.y, self.loss), (self.batch, _) = data(name, dtype), NETS[name]
        self.new = lambda seed: Network(
            units_of(name), "gelu", loss=self.loss, dtype=dtype, random_state=seed
        )

    def fit(self, seed, epochs):
        net = self.new(seed)
        start = time.process_time()
        net.fit(
            self.X, self.y, batch_size=self.batch, max_iter=epochs, solver="adamw",
            learning_rate_init=RATE, learning_rate="cosine", weight_decay=DECAY, dropout=DROPOUT,
            label_smoothing=SMOOTHING,
        )  # fmt: skip
        return time.process_time() - start, net.loss(self.X, self.y)


class Torch:
    compiled = False

    def __init__(self, name, dtype):
        import torch

        torch.set_num_threads(1)
        self.torch, self.net, self.units = torch, Fastnn(name, dtype), units_of(name)
        self.X = torch.from_numpy(self.net.X)
        self.labels = torch.from_numpy(self.net.y)
        if self.net.loss == "log_loss":
            self.labels = self.labels.argmax(1)
            self.loss = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
        else:  # which has no label smoothing of its own
            self.smooth = self.labels * (1 - SMOOTHING) + SMOOTHING / 2
            self.loss = torch.nn.BCEWithLogitsLoss()
        self.model = self.optimizer = None

    def _reset(self, seed):
        """The model that Network would begin with; compiled once, as its shapes stay."""
        torch = self.torch
        if self.model is None:
            modules = []
            for k, n in zip(self.units[:-1], self.units[1:], strict=True):
                modules.append(torch.nn.Linear(k, n, dtype=self.X.dtype))
                modules += [torch.nn.GELU(), torch.nn.Dropout(DROPOUT)]
            self.model = torch.nn.Sequential(*modules[:-2])
            forward = lambda x, y: self.loss(self.model(x), y)  # noqa: E731
            self.forward = torch.compile(forward) if self.compiled else forward
        linear = [m for m in self.model if isinstance(m, torch.nn.Linear)]
        net = self.net.new(seed)
        with torch.no_grad():
            for m, W, b in zip(linear, net.coefs_, net.intercepts_, strict=True):
                m.weight.copy_(torch.from_numpy(W.T.copy()))
                m.bias.copy_(torch.from_numpy(b.copy()))
        torch.manual_seed(seed)
        return linear

    def fit(self, seed, epochs):
        torch, linear, batch = self.torch, self._reset(seed), self.net.batch
        y = self.labels if self.net.loss == "log_loss" else self.smooth
        rows, start = len(self.X), time.process_time()
        solver = torch.optim.AdamW([
            {"params": [m.weight for m in linear], "weight_decay": DECAY},
            {"params": [m.bias for m in linear], "weight_decay": 0.0},
        ], lr=RATE, fused=True)  # fmt: skip
        steps = epochs * math.ceil(rows / batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(solver, steps)
        self.model.train()
        for _ in range(epochs):
            order = torch.randperm(rows)
            for first in range(0, rows, batch):
                index = order[first : first + batch]
                solver.zero_grad(set_to_none=True)
                self.forward(self.X[index], y[index]).backward()
                solver.step()
                schedule.step()
        seconds = time.process_time() - start
        self.model.eval()
        with torch.no_grad():
            out = self.model(self.X)
        self.model.train()
        if self.net.loss == "log_loss":
            return seconds, torch.nn.functional.cross_entropy(out, self.labels).item()
        return seconds, torch.nn.functional.binary_cross_entropy_with_logits(
            out, self.labels
        ).item()


class TorchCompiled(Torch):
    compiled = True


class Costs:
    """fastnn alone: a fit of 64-100-10 in every way of COSTS."""

    def __init__(self, name, dtype):
        from fastnn import Network

        (X, y, _), (batch, _) = data(name, dtype), NETS[name]
        X, y = (np.tile(a, (2, 1))[:3400] for a in (X, y))
        self.fit_in = lambda activation, options, epochs: Network(
            units_of(name), activation, loss="log_loss", dtype=dtype, random_state=0
        ).fit(X, y, batch_size=batch, max_iter=epochs, **options)

    def fit(self, way, epochs):
        activation, options = PLAIN if way == "plain" else COSTS[way]
        start = time.process_time()
        net = self.fit_in(activation, options, epochs)
        return time.process_time() - start, net.loss_


KINDS = {"fastnn": Fastnn, "PyTorch": Torch, "torch.compile": TorchCompiled, "costs": Costs}


def serve(kind):
    """Take orders as JSON lines: [net, dtype] prepares, {"seed" or way, epochs} fits."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    program = None
    for line in sys.stdin:
        first, second = json.loads(line)
        if program is None:
            program, answer = KINDS[kind](first, second), []
            if kind in ("fastnn", "costs"):
                from fastnn import kernels

                answer = kernels.build.build_info()["target"]
        else:
            answer = program.fit(first, second)
        print(json.dumps(answer), file=answers, flush=True)


class Process:
    """A program at its core, which waits while others work."""

    def __init__(self, kind, name, core, dtype="float32"):
        environment = {
            **os.environ, "FASTNN_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", kind], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        self.info = self.ask(name, dtype)

    def ask(self, *order):
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process ended")
        return json.loads(answer)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


# ---- tables -------------------------------------------------------------------------------------


def spread(ratios):
    """Median and the bounds of eight of ten."""
    ordered = sorted(ratios)
    cut = len(ordered) // 10
    return statistics.median(ordered), ordered[cut], ordered[-1 - cut]


def costs(core, rounds, epochs):
    process, ratios = Process("costs", "64-100-10", core), {way: [] for way in COSTS}
    try:
        for way in ("plain", *COSTS):
            process.ask(way, 2)
        for _ in range(rounds):
            for way in COSTS:
                before, loss = process.ask("plain", epochs)
                seconds, other = process.ask(way, epochs)
                after, _ = process.ask("plain", epochs)
                if not (math.isfinite(other) and other != loss):
                    raise AssertionError(f"{way} trained to {other}, plain to {loss}")
                ratios[way].append(2 * seconds / (before + after))
        print(f"64-100-10, batches of 200, float32, {process.info}: time by that of relu and adam")
        for way, values in ratios.items():
            print("  {:32} {:.2f} ({:.2f}-{:.2f})".format(way, *spread(values)), flush=True)
    finally:
        process.close()


def recipe(name, core, rounds, epochs, programs, check):
    processes = {kind: Process(kind, name, core) for kind in programs}
    try:
        losses = {}
        for kind, process in processes.items():
            fits = [process.ask(seed, NETS[name][1] if check else 2)[1] for seed in range(FITS)]
            losses[kind] = statistics.mean(fits)
        print(f"{name}, batches of {NETS[name][0]}, float32, {processes['fastnn'].info}")
        ended = ", ".join(f"{kind} {loss:.4f}" for kind, loss in losses.items())
        print(f"  mean loss of {FITS} fits, without dropout: {ended}")
        for kind, loss in losses.items():
            if check and abs(loss / losses["fastnn"] - 1) > LOSS_TOLERANCE:
                raise AssertionError(
                    f"{kind} comes to a loss of {loss}, fastnn {losses['fastnn']}"
                )
        ratios = {kind: [] for kind in processes}
        for _ in range(rounds):
            took = {kind: process.ask(0, epochs)[0] for kind, process in processes.items()}
            for kind in processes:
                ratios[kind].append(took[kind] / took["fastnn"])
        steps = epochs * math.ceil(len(data(name, "float32")[0]) / NETS[name][0])
        print(f"  fastnn {1e6 * took['fastnn'] / steps:.1f} us a step")
        for kind, values in ratios.items():
            if kind != "fastnn":
                line = "  {:14} takes {:.1f} ({:.1f}-{:.1f}) times as long"
                print(line.format(kind, *spread(values)), flush=True)
    finally:
        for process in processes.values():
            process.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", choices=["costs", "recipe"])
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--smoke", action="store_true", help="shortly, without PyTorch")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    sys.path.insert(0, str(HERE))
    from run import describe

    print(", ".join(f"{what} {value}" for what, value in describe(options.core).items()))
    programs = [p for p, module in PROGRAMS.items() if importlib.util.find_spec(module)]
    if options.smoke:
        options.rounds, programs = 1, ["fastnn"]
    if options.only != "recipe":
        costs(options.core, options.rounds, 2 if options.smoke else 20)
    if options.only != "costs":
        for name in NETS:
            epochs = 1 if options.smoke else max(2, NETS[name][1] // 4)
            recipe(name, options.core, options.rounds, epochs, programs, not options.smoke)


if __name__ == "__main__":
    main()
