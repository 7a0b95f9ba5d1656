"""Results that are kept: one file for each benchmark, kind of core and build; and their check.

    python bench/stored.py             # checks all files of bench/results/
    python bench/stored.py FILE ...    # checks these, such as one that somebody sends

A file is JSON: {"machine": {...}, "results": [...]}, named BENCHMARK-KIND-BUILD.json, such as
speed-zen4-avx512.json. Files of other machines are welcome: bench/README.md says how.
Needs nothing but Python.
"""

import argparse
import datetime
import json
import math
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DTYPES = ("float32", "float64")


def text(value):
    return isinstance(value, str) and value.strip() != ""


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 and (
        math.isfinite(value)
    )  # fmt: skip


def count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def share(value):
    """A share of the measured peak: above 1 the clock or the peak was wrong."""
    return number(value) and value < 1.1


def spread(value):
    keys = ("min", "median", "max")
    if not isinstance(value, dict) or not all(number(value.get(key)) for key in keys):
        return False
    return value["min"] <= value["median"] <= value["max"]


def day(value):
    try:
        return datetime.date.fromisoformat(value) <= datetime.date.today() + datetime.timedelta(1)
    except (TypeError, ValueError):
        return False


def units(value):
    """Units of layers, such as 2-4-8-1."""
    return text(value) and len(value.split("-")) > 1 and all(n.isdigit() for n in value.split("-"))


def one_of(*choices):
    def among(value):
        return value in choices

    among.__doc__ = f"one of {', '.join(choices)}"
    return among


def pair(check):
    """One number for fastnn, one for scikit-learn."""

    def both(value):
        return isinstance(value, list) and len(value) == 2 and all(map(check, value))

    return both


MACHINE = {
    "CPU": text, "kind": text, "caches": text, "build": text, "compiler": text, "Python": text,
    "NumPy": text, "fastnn": text, "date": day,
}  # fmt: skip
PEER = {"us": number, "version": text, "first_s": number}
# benchmark -> field -> what it must be; a dict is a dict with at least these fields
ROWS = {
    "speed": {
        "topology": units, "dtype": one_of(*DTYPES),
        "us_a_step": {"fastnn": number, "fastnn by step": number, "numpy": number},
        "ratio": {"fastnn": spread, "fastnn by step": spread},
    },
    "peers": {
        "workload": units, "dtype": one_of(*DTYPES), "threads": count, "batch": count,
        "share_of_peak": share, "peers": {"fastnn_": PEER},
    },
    "estimators": {
        "data": text, "dtype": one_of(*DTYPES), "samples": count, "features": count,
        "ms_per_epoch": pair(number), "score": pair(number), "ratio": number,
        "spread": pair(number),
    },
}  # fmt: skip
SEARCH = {
    "dtype": one_of(*DTYPES), "candidates": count, "folds": count, "seconds": pair(number),
    "ratio": number, "spread": pair(number),
}  # fmt: skip


def today():
    """What a machine's record says besides CPU and versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "date": str(datetime.date.today()),
    }


def path_of(benchmark, machine, folder=RESULTS):
    return folder / f"{benchmark}-{machine['kind']}-{machine['build']}.json"


def save(benchmark, measured, folder=RESULTS):
    """Keep what was measured in the file of this machine; the file, unless something is wrong."""
    path = path_of(benchmark, measured["machine"], folder)
    wrong = problems(measured, path.name)
    if wrong:
        raise SystemExit("\n".join(["not stored:", *wrong]))
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def load(benchmark, folder=RESULTS):
    """What is stored of a benchmark, by kind of core and build."""
    paths = sorted(folder.glob(f"{benchmark}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def problems(measured, name):
    """What is wrong with a file of this name, a line each."""
    benchmark = name.split("-")[0]
    if benchmark not in ROWS:
        return [f"{name}: the name must begin with {', '.join(ROWS)} and a hyphen"]
    if not isinstance(measured, dict):
        return [f"{name}: must be an object with machine and results"]
    machine, rows = measured.get("machine"), measured.get("results")
    wrong = list(misfits(machine, MACHINE, "machine"))
    if not wrong and name != path_of(benchmark, machine).name:
        wrong.append(f"the file of this machine is {path_of(benchmark, machine).name}")
    if not isinstance(rows, list) or not rows:
        wrong.append("results must be a list with at least one row")
        rows = []
    for i, row in enumerate(rows):
        found = list(misfits(row, ROWS[benchmark], f"results[{i}]"))
        wrong += found or list(disagreements(benchmark, row, f"results[{i}]"))
    for i, row in enumerate(measured.get("searches", ()) if benchmark == "estimators" else ()):
        found = list(misfits(row, SEARCH, f"searches[{i}]"))
        wrong += found or list(disagreements("searches", row, f"searches[{i}]"))
    return [f"{name}: {line}" for line in wrong]


def misfits(value, fields, where):
    """Fields that are missing or not what they must be."""
    if not isinstance(value, dict):
        yield f"{where} must be an object with {', '.join(fields)}"
        return
    for key, check in fields.items():
        if key not in value:
            yield f"{where} has no {key}"
        elif isinstance(check, dict):
            yield from misfits(value[key], check, f"{where}.{key}")
        elif not check(value[key]):
            yield f"{where}.{key} is {json.dumps(value[key])[:60]}"


def disagreements(benchmark, row, where):
    """Ratios that do not follow from the times beside them: a median of ratios may differ from
    the ratio of medians on a noisy machine, but not by half."""
    if benchmark == "speed":
        times = row["us_a_step"]
        stated = [(name, times["numpy"] / times[name], ratio["median"])
                  for name, ratio in row["ratio"].items() if name in times]  # fmt: skip
    elif benchmark == "peers":
        ours = row["peers"]["fastnn_"]["us"]
        stated = []
        for name, peer in row["peers"].items():
            if name == "fastnn_":
                continue
            found = list(misfits(peer, {**PEER, "ratio": spread}, f"{where}.peers.{name}"))
            if found:
                yield from found
                continue
            stated.append((name, peer["us"] / ours, peer["ratio"]["median"]))
    else:
        ours, theirs = row["seconds" if benchmark == "searches" else "ms_per_epoch"]
        stated = [("scikit-learn", theirs / ours, row["ratio"])]
        low, high = row["spread"]
        if not low <= row["ratio"] <= high:
            yield f"{where}: ratio {row['ratio']:.3g} is not between {low:.3g} and {high:.3g}"
    for name, of_times, ratio in stated:
        if not 2 / 3 < ratio / of_times < 3 / 2:
            yield f"{where}: {name} took {of_times:.3g} times as long, the ratio is {ratio:.3g}"


def check(path):
    """What is wrong with a stored file, a line each."""
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"{path.name}: {error}"]
    return problems(measured, path.name)


def main():
    parser = argparse.ArgumentParser(description="Checks stored results of benchmarks.")
    parser.add_argument("files", nargs="*", type=Path, help="all of bench/results/ by default")
    files = parser.parse_args().files or sorted(
        path for name in ROWS for path in RESULTS.glob(f"{name}-*.json")
    )
    wrong = [line for path in files for line in check(path)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(files)} files, each as bench/README.md describes it")


if __name__ == "__main__":
    main()
