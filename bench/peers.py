"""fastnn against what else people would use: `python bench/peers.py` (needs the extra `bench`).

Each competitor runs in a fresh process of its own, pinned to the same cores, and must come to the
same loss from the same start before it is timed. Runs alternate; figures are ratios within a
round: median (min-max). Every competitor's share of the core's measured peak is stated, and the
ceiling of each ratio: what it would be if fastnn computed at 100% of the peak. Results of every
kind of core and build are kept side by side in results/, and docs/benchmarks.md shows them all.
"""

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import stored

HERE = Path(__file__).resolve().parent
# adapter -> what people call it, the module it needs
PEERS = {
    "fastnn_": ("fastnn", "fastnn"),
    "numpy_": ("NumPy", "numpy"),
    "scikit_learn": ("scikit-learn", "sklearn"),
    "torch_eager": ("PyTorch", "torch"),
    "torch_compiled": ("torch.compile", "torch"),
    "jax_jit": ("JAX", "jax"),
}
BEST_OF = ("torch_eager", "torch_compiled", "jax_jit")

# name -> batch, rows, loss, peers; then the ratios aimed at in float32 and float64, against NumPy
# written like the tutorial or scikit-learn, and against the best of BEST_OF
FULL = ("fastnn_", "numpy_", *BEST_OF)
BATCHES = ("fastnn_", "scikit_learn", *BEST_OF)
WORKLOADS = {
    "2-4-8-1": (500, 500, "tutorial", FULL, (33, 19), (5.5, 3.7)),
    "2-4-8-16-8-4-1": (500, 500, "tutorial", FULL, (18, 12), (4.5, 3.3)),
    # two classes: scikit-learn would train one output, which is another net
    "8-32-32-2": (32, 2048, "log_loss", ("fastnn_", *BEST_OF), (0, 0), (10, 5.5)),
    "16-64-64-1": (64, 3072, "binary_log_loss", BATCHES, (0, 0), (4.5, 3.2)),
    "64-100-10": (200, 4000, "log_loss", BATCHES, (12, 9), (4.2, 3.3)),
    "100-200-50-7": (100, 5000, "log_loss", BATCHES, (0, 0), (1, 1)),
    "300-500-300-20": (200, 6000, "log_loss", BATCHES, (0, 0), (1.2, 1.2)),
    "784-256-128-10": (128, 6400, "log_loss", BATCHES, (6.5, 4.5), (1.55, 2.1)),
    "784-1024-1024-10": (256, 7680, "log_loss", BATCHES, (3.5, 2.4), (1.45, 1.35)),
}
# Programs that learn the same differ by less than this share of what was learnt. With Adam it is
# what their formulas leave: PyTorch's epsilon stands elsewhere, JAX takes its rate in float32, and
# 30 steps of the widest net make 0.2% of that.
TOLERANCE = {"float64": 1e-8, "float32": 1e-3}
ADAM_TOLERANCE = 5e-3
# a timed run is at least so many epochs, whatever they take: a fit's fixed cost counts as little
LEAST_EPOCHS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default=",".join(WORKLOADS), metavar="A,B")
    parser.add_argument("--peers", metavar="A,B", help=f"of {','.join(PEERS)}; all installed ones")
    parser.add_argument("--dtypes", default="float32,float64", metavar="A,B")
    parser.add_argument("--threads", default="1", metavar="N,M")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.25, help="at least, for each run")
    parser.add_argument("--smoke", action="store_true", help="two small nets, shortly")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--save", action="store_true",
                        help="keep the results in results/ and write the tables")  # fmt: skip
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--smoke measures nothing worth keeping")
    if options.smoke:
        options.workloads, options.dtypes = "2-4-8-1,16-64-64-1", "float32"
        options.rounds, options.seconds = 3, 0.01
        options.peers = options.peers or "fastnn_,numpy_,scikit_learn"
    missing = [p for p, (_, module) in PEERS.items() if not importlib.util.find_spec(module)]
    if options.peers is None and missing:
        print(f"not installed, left out: {', '.join(missing)}", file=sys.stderr)
    chosen = options.peers.split(",") if options.peers else [p for p in PEERS if p not in missing]
    results = []
    for threads, dtype, name in itertools.product(
        map(int, options.threads.split(",")),
        options.dtypes.split(","),
        options.workloads.split(","),
    ):
        batch, rows, loss, peers = WORKLOADS[name][:4]
        task = {
            "units": [int(n) for n in name.split("-")], "batch": batch, "rows": rows,
            "dtype": dtype, "loss": loss,
        }  # fmt: skip
        measured = measure(
            task, [p for p in peers if p in chosen], threads, options.rounds, options.seconds
        )
        results.append({"workload": name, "threads": threads, **measured})
        print(report(results[-1]), flush=True)
    machine = describe()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    measured = {"machine": machine, "results": results}
    if options.json:
        options.json.parent.mkdir(exist_ok=True)
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.save:
        import tables

        path = stored.path_of("peers", machine)
        before = json.loads(path.read_text()) if path.exists() else None
        stored.save("peers", merged(before, measured))
        tables.write()


def merged(before, measured):
    """Results of one kind of core and build: new rows in place of old ones, which stay if they
    are of the same compiler, Python and NumPy."""
    same = ("compiler", "Python", "NumPy")
    if before is None or any(before["machine"][k] != measured["machine"][k] for k in same):
        return measured

    def key(row):
        return row["threads"], row["dtype"], row["workload"]

    rows = {key(row): row for row in (*before["results"], *measured["results"])}
    names = list(WORKLOADS)
    in_order = sorted(rows, key=lambda k: (k[0], k[1], names.index(k[2])))
    return {"machine": measured["machine"], "results": [rows[k] for k in in_order]}


def describe():
    import run

    info = run.describe(None)
    del info["pinned to core"]
    return info


class Competitor:
    """A process that runs one adapter on some cores, and waits without a sound in between."""

    def __init__(self, name, threads):
        cores = sorted(os.sched_getaffinity(0))[-threads:]
        if len(cores) < threads:
            raise SystemExit(f"{threads} threads need as many cores; there are {len(cores)}")
        n = str(threads)
        eigen = "true" if threads > 1 else "false"
        variables = ("OMP", "OPENBLAS", "MKL", "FASTNN")
        self.name, self.threads = name, threads
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=sys.stderr,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            env={
                **os.environ, **{f"{v}_NUM_THREADS": n for v in variables},
                "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "",
                "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen} "
                             f"intra_op_parallelism_threads={n}",
            },
        )  # fmt: skip
        self.info = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer")
        return json.loads(line)

    def ask(self, **order):
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return self.answer()

    def time(self, n):
        """Seconds of n epochs; no more threads than agreed may have worked on them."""
        answer = self.ask(do="time", n=n)
        if answer["cpu_s"] > answer["seconds"] * (self.threads + 0.1) + 0.02:
            raise SystemExit(f"{self.name} used {answer['cpu_s'] / answer['seconds']:.1f} cores")
        return answer["seconds"], answer.get("memory")

    def close(self):
        print(json.dumps({"do": "close"}), file=self.process.stdin, flush=True)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def check(losses, tolerance):
    """The name of a competitor that learnt something else than the first; None if all agree."""
    first_before, first_after = next(iter(losses.values()))
    learnt = first_before - first_after
    for name, (before, after) in losses.items():
        wrong = abs(after - first_after) > tolerance * learnt
        if not learnt > 0 or wrong or abs(before - first_before) > 1e-6:
            return name
    return None


def measure(task, peers, threads, rounds, seconds):
    competitors, results = {}, {}
    try:
        for name in peers:
            competitors[name] = one = Competitor(name, threads)
            results[name] = {**one.info, **one.ask(do="prepare", **task)}
            if results[name]["threads"] not in (None, threads):
                raise SystemExit(f"{name} says it uses {results[name]['threads']} threads")
        checks = {name: one.ask(do="check") for name, one in competitors.items()}
        for name, got in checks.items():
            if got["types"] != [task["dtype"]]:
                raise SystemExit(f"{name} computes in {got['types']}, not {task['dtype']}")
        losses = {name: got["losses"] for name, got in checks.items()}
        tutorial = task["loss"] == "tutorial"
        wrong = check(losses, TOLERANCE[task["dtype"]] if tutorial else ADAM_TOLERANCE)
        if wrong:
            raise SystemExit(f"{task}: {wrong} comes to another loss; not timed: {losses}")
        epochs = {}
        for name, one in competitors.items():
            epochs[name] = LEAST_EPOCHS
            while (took := one.time(epochs[name])[0]) < seconds:
                epochs[name] = max(2 * epochs[name], int(1.2 * epochs[name] * seconds / took))
        times = {name: [] for name in competitors}
        for _ in range(rounds):
            for name, one in competitors.items():
                took, memory = one.time(epochs[name])
                times[name].append(took / epochs[name] / -(-task["rows"] // task["batch"]))
                results[name]["memory"] = memory
    finally:
        for one in competitors.values():
            one.close()
    for name, result in results.items():
        result["us"] = 1e6 * statistics.median(times[name])
        result["loss"] = losses[name][1]
        if name != "fastnn_" and "fastnn_" in times:
            ratios = [a / b for a, b in zip(times[name], times["fastnn_"], strict=True)]
            result["ratio"] = {
                "median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)
            }  # fmt: skip
    return {
        "dtype": task["dtype"], "batch": task["batch"], "peers": results,
        **share_of_peak(task, results, threads),
    }  # fmt: skip


def share_of_peak(task, results, threads):
    """Multiply-adds of forward pass, deltas and gradients over what the cores could do."""
    if "fastnn_" not in results:
        return {"share_of_peak": None, "peak_gflops": None}
    code = (
        "import os, sys, numpy; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))});"
        "from run import peak; print(max(peak(sys.argv[1]) for _ in range(25)))"
    )
    peak = subprocess.run(
        [sys.executable, "-c", code, task["dtype"]], cwd=HERE, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    sizes = [k * n for k, n in itertools.pairwise(task["units"])]
    work = task["batch"] * (2 * sum(sizes) + sum(sizes[1:]))
    share = work / (1e-6 * results["fastnn_"]["us"]) / float(peak) / threads
    return {"share_of_peak": share, "peak_gflops": 2e-9 * float(peak) * threads}


def ceiling(result, name):
    """What the ratio would be if fastnn computed at 100% of the peak; None without a peak."""
    share = result["share_of_peak"]
    ours, theirs = (result["peers"].get(n, {}).get("us") for n in ("fastnn_", name))
    return theirs / ours / share if share and ours and theirs else None


def best_peer(result):
    """The fastest of PyTorch and JAX, or None."""
    there = [name for name in BEST_OF if name in result["peers"]]
    return min(there, key=lambda name: result["peers"][name]["us"], default=None)


def ratio_text(ratio):
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f}-{ratio['max']:.2f})"


def report(result):
    share, peak = result["share_of_peak"], result.get("peak_gflops")
    at_peak = f", {share:.0%} of the measured peak" if share else ""
    lines = [
        f"{result['workload']} batch {result['batch']} {result['dtype']}, "
        f"{result['threads']} thread{'s' * (result['threads'] > 1)}{at_peak}"
        f"{f', {peak:.0f} GFLOP/s' if peak else ''}"
    ]
    classic, best = WORKLOADS[result["workload"]][4:]
    for name, peer in result["peers"].items():
        text = ratio_text(peer["ratio"]) if "ratio" in peer else ""
        asked = 0
        if result["threads"] == 1:
            if name in ("numpy_", "scikit_learn"):
                asked = classic[result["dtype"] == "float64"]
            elif name == best_peer(result):
                asked = best[result["dtype"] == "float64"]
        most = ceiling(result, name)
        if most and name != "fastnn_":
            text += f"  at most {most:.2f}x, itself at {1 / most:.0%}"
        memory = f"{peer['memory'] / 2**20:7.1f} MiB" if peer.get("memory") is not None else ""
        lines.append(
            f"  {PEERS[name][0]:<14}{peer['us']:10.2f} us   first {peer['first_s']:7.3f} s "
            f"{memory}  loss {peer['loss']:.8f}  {text}{f'  asked {asked}x' if asked else ''}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
