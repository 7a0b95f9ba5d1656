"""fastnn against NumPy on the tutorial's two networks: `python bench/run.py`.

Every contestant is checked against the others before it is timed. Times are taken in alternation,
on one pinned core with one thread each; figures are ratios within a round: median (min-max).
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import sys
import time
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by NumPy's BLAS when it loads

import numpy as np  # noqa: E402
import stored  # noqa: E402
from sklearn.datasets import make_circles  # noqa: E402

import fastnn  # noqa: E402
from fastnn import kernels, reference, tutorial  # noqa: E402
from fastnn.catalog import activations  # noqa: E402
from fastnn.cli import numpy_network  # noqa: E402
from fastnn.training.options import new_step  # noqa: E402
from fastnn.training.run import TrainingRun  # noqa: E402

TOPOLOGIES = ([2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1])
SAMPLES, LR, SEED = 500, 0.05, 15
# after CHECK_STEPS steps, the largest difference of a parameter that rounding explains
CHECK_STEPS, TOLERANCE = 100, {"float64": 1e-10, "float32": 1e-3}
CONTESTANTS = {
    "fastnn": "fastnn.tutorial.train, epochs=N",
    "fastnn by step": "fastnn.tutorial.train, N calls",
    "oracle": "fastnn.reference",
    "numpy": "NumPy, written like the tutorial",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="rounds of alternation (21)")
    parser.add_argument("--steps", type=int, default=2000, help="steps of one timed call (2000)")
    parser.add_argument("--smoke", action="store_true", help="3 short rounds: does it all run?")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--save", action="store_true",
                        help="keep the results in results/ and write the tables")  # fmt: skip
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--smoke measures nothing worth keeping")
    if options.smoke:
        options.rounds, options.steps = 3, 200
    core = pin()
    machine = describe(core)
    results = []
    for units in TOPOLOGIES:
        for dtype in ("float64", "float32"):
            results.append(measure(units, dtype, options.rounds, options.steps))
            if not options.json:
                report(results[-1])
    if options.json:
        json.dump({"machine": machine, "results": results}, sys.stdout, indent=1)
        print()
    else:
        print("\n" + ", ".join(f"{key} {value}" for key, value in machine.items()))
    if options.save:
        import tables

        stored.save("speed", {"machine": machine, "results": results})
        tables.write()


def pin():
    """Stay on the last core that this process may use; its number, None if that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def cpuinfo():
    """What Linux says of the first core; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    text = path.read_text().split("\n\n")[0] if path.exists() else ""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def cpu_kind(info):
    """A word for this kind of core, such as zen3: virtual machines hide the CPU's full name."""
    family, model = (int(info.get(key, -1)) for key in ("cpu family", "model"))
    if info.get("vendor_id") == "AuthenticAMD":
        if family == 25:  # Zen 4 are Genoa and Storm Peak, Raphael, Phoenix, Bergamo
            return "zen4" if 0x10 <= model < 0x20 or 0x60 <= model < 0xB0 else "zen3"
        if family in (23, 26):
            return "zen5" if family == 26 else "zen2" if model >= 0x30 else "zen1"
    name = info.get("model name", platform.machine()).lower()
    return f"{re.sub('[^a-z0-9]+', '', name)[:20]}" + (f"-{family}-{model}" if family > 0 else "")


def caches():
    """Sizes of the core's data caches, the first level first; "unknown" where none are told."""
    sizes = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            level = (folder / "level").read_text().strip()
            sizes[level] = (folder / "size").read_text().strip()
    return " + ".join(f"L{level} {size}" for level, size in sorted(sizes.items())) or "unknown"


def describe(core):
    info = cpuinfo()
    peaks = [max(peak(dtype) for _ in range(5)) for dtype in ("float32", "float64")]
    return {
        "CPU": info.get("model name") or platform.processor() or platform.machine(),
        "kind": cpu_kind(info),
        "caches": caches(),
        "peak, GFLOP/s in float32 / float64": " / ".join(f"{2e-9 * p:.0f}" for p in peaks),
        "pinned to core": core,
        "build": kernels.ISA,
        "compiler": kernels.build.build_info()["compiler"],
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "fastnn": fastnn.__version__,
        **stored.today(),
    }


class Case:
    """One topology and type: the same data and start for every contestant."""

    def __init__(self, units, dtype):
        X, y = make_circles(SAMPLES, factor=0.5, noise=0.05, random_state=SEED)
        self.units, self.dtype = units, dtype
        # as in the tutorial: targets are whole numbers, with which NumPy computes in float64
        self.X, self.Y = X.astype(dtype), y[:, None]
        if dtype == "float32":
            self.Y = self.Y.astype(dtype)
        np.random.seed(SEED)
        self.nets = {"numpy": numpy_network.network(units)}
        for name in ("fastnn", "fastnn by step"):
            np.random.seed(SEED)
            self.nets[name] = tutorial.create_nn(units, tutorial.sigm)
        for net in self.nets.values():
            for layer in net:
                layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
        self.params = self.flat("numpy")
        self.oracle_run = oracle_run(units, np.dtype(dtype))

    def flat(self, name):
        """A contestant's parameters in one vector."""
        if name == "oracle":
            return self.params
        return np.concatenate([p for n in self.nets[name] for p in (n.W, n.b)], axis=None)

    def run(self, name, steps):
        """Let a contestant take that many steps."""
        if name == "fastnn":
            tutorial.train(self.nets[name], self.X, self.Y, tutorial.l2_cost, lr=LR, epochs=steps)
        elif name == "fastnn by step":
            for _ in range(steps):
                tutorial.train(self.nets[name], self.X, self.Y, tutorial.l2_cost, lr=LR)
        elif name == "oracle":
            self.oracle_run.epochs(self.params, self.X, self.Y.astype(self.dtype), np.empty(steps))
        else:
            for _ in range(steps):
                numpy_network.step(self.nets[name], self.X, self.Y, LR)

    def predict_points(self, name, n):
        """Ask for the output at n points, one at a time, as the tutorial's drawing loop does."""
        point = np.array([[0.5, -0.5]], self.dtype)
        if name == "fastnn":
            for _ in range(n):
                out = tutorial.train(self.nets[name], point, self.Y, tutorial.l2_cost, train=False)
        else:
            for _ in range(n):
                out = numpy_network.predict(self.nets[name], point)
        return out

    def check(self):
        """Stop unless all contestants come to the same parameters; the largest difference."""
        start = self.flat("numpy")
        for name in CONTESTANTS:
            self.run(name, CHECK_STEPS)
        results = {name: self.flat(name) for name in CONTESTANTS}
        if np.abs(results["numpy"] - start).max() < 0.01:
            sys.exit(f"{self.units} {self.dtype}: nothing was trained")
        worst = max(np.abs(p - results["numpy"]).max() for p in results.values())
        outputs = [self.predict_points(name, 1) for name in ("fastnn", "numpy")]
        worst = max(worst, np.abs(outputs[0] - outputs[1]).max())
        if not worst <= TOLERANCE[self.dtype]:
            sys.exit(f"{self.units} {self.dtype}: contestants differ by {worst:.1e}; not timed")
        return float(worst)


def oracle_run(units, dtype):
    """The tutorial's descent by the oracle instead of the compiled kernels."""
    codes = np.full(len(units) - 1, activations.CODES["sigmoid"], np.int32)
    step = new_step(
        "squared_error", solver="sgd", learning_rate_init=LR, batch_size=SAMPLES,
        sum_coef_grads=True,
    )  # fmt: skip
    compiled, kernels.build = kernels.build, reference
    try:
        return TrainingRun(np.array(units, np.intp), codes, step, dtype)
    finally:
        kernels.build = compiled


def measure(units, dtype, rounds, steps):
    case = Case(units, dtype)
    difference = case.check()
    times = {name: [] for name in CONTESTANTS}
    peaks, points = [], {"fastnn": [], "numpy": []}
    for _ in range(rounds):
        for name, seconds in points.items():
            begin = time.perf_counter()
            case.predict_points(name, max(1, steps // 10))
            seconds.append((time.perf_counter() - begin) / max(1, steps // 10))
        for name, seconds in times.items():
            n = steps if name == "fastnn" else max(1, steps // 10)
            begin = time.perf_counter()
            case.run(name, n)
            seconds.append((time.perf_counter() - begin) / n)
        peaks.append(peak(dtype))
    # forward and gradient in every layer, deltas in all but the first; activations not counted
    pairs = list(itertools.pairwise(units))
    multiply_adds = SAMPLES * (2 * sum(k * n for k, n in pairs) + sum(k * n for k, n in pairs[1:]))
    fast = statistics.median(times["fastnn"])
    return {
        "topology": "-".join(map(str, units)),
        "dtype": dtype,
        "difference": difference,
        "us_a_step": {name: statistics.median(t) * 1e6 for name, t in times.items()},
        "ratio": {
            name: spread([a / b for a, b in zip(times["numpy"], times[name], strict=True)])
            for name in ("fastnn", "fastnn by step")
        },
        "point_us": {name: statistics.median(t) * 1e6 for name, t in points.items()},
        "point_ratio": spread(
            [a / b for a, b in zip(points["numpy"], points["fastnn"], strict=True)]
        ),
        "ratio_to_oracle": spread(
            [a / b for a, b in zip(times["oracle"], times["fastnn"], strict=True)]
        ),
        "steps_a_second": 1 / fast,
        "peak_gflops": 2e-9 * max(peaks),
        "share_of_peak": multiply_adds / fast / max(peaks),
    }


def peak(dtype):
    """Multiply-adds a second of this core in this build, at best."""
    sink, best = np.zeros(1, dtype), 0.0
    for _ in range(3):
        begin = time.perf_counter()
        n = kernels.build.peak_multiply_adds(20000, sink)
        best = max(best, n / (time.perf_counter() - begin))
    return best


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio_text(ratio):
    return f"{ratio['median']:.1f}x ({ratio['min']:.1f}-{ratio['max']:.1f})"


def report(result):
    print(f"{result['topology']} {result['dtype']}, {SAMPLES} samples, full batch")
    print(f"  largest difference after {CHECK_STEPS} steps  {result['difference']:.1e}")
    for name, text in CONTESTANTS.items():
        print(f"  {text:<34} {result['us_a_step'][name]:9.2f} us a step")
    print(f"  against NumPy, epochs=N      {ratio_text(result['ratio']['fastnn'])}")
    print(f"  against NumPy, step by step  {ratio_text(result['ratio']['fastnn by step'])}")
    print(f"  against the oracle           {ratio_text(result['ratio_to_oracle'])}")
    print(
        f"  one point's output: {result['point_us']['fastnn']:.1f} us, "
        f"NumPy {result['point_us']['numpy']:.1f} us   {ratio_text(result['point_ratio'])}"
    )
    print(
        f"  {result['steps_a_second']:.0f} steps a second; multiply-adds at "
        f"{result['share_of_peak']:.0%} of the measured peak, {result['peak_gflops']:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
