"""`fastnn doctor`: what runs here and why, and whether it computes right, to be pasted."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import math
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import kernels, pages, threads

if TYPE_CHECKING:
    from fastnn.cli.selftest import Result

PARSER = {
    "help": "report what runs here and why, and test it for two seconds",
    "description": "Report CPU, build, threads, libraries for linear algebra and OpenMP, and "
    "versions, and hold every build that runs here to NumPy, as text for a report of a problem. "
    "Exit status: 0; 1 if the test fails.",
}

#: what fastnn needs, and what each extra brings
NEEDED = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")
EXTRAS = {
    "plot": ("matplotlib", "tqdm"),
    "files": ("safetensors",),
    "onnx": ("onnx",),
    "dask": ("dask", "distributed"),
}

# variables that change what is computed with, or by how many threads
_VARIABLES = re.compile("(FASTNN|OMP|GOMP|OPENBLAS|MKL|BLIS|VECLIB)_|PYTHON_GIL$|NPY_")

Section = dict[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its form."""
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Print section after section, the test last."""
    # other commands do without scikit-learn, which takes a second to load
    from fastnn.cli import selftest

    sections = {
        "fastnn": _package(), "machine": _machine(), "build": _build(), "threads": _threads(),
    }  # fmt: skip
    pools = _pools()
    sections["BLAS and OpenMP"] = _loaded(pools)
    sections["versions"] = _versions()
    sections["environment"] = {
        name: value for name, value in sorted(os.environ.items()) if _VARIABLES.match(name)
    }
    warnings = clashes(pools, threads.get_num_threads())
    if not options.json:
        # at once: whatever a broken build does to the process
        print("\n".join(_lines(sections, warnings)), flush=True)
    results, seconds = selftest.timed()
    failed = any(result.failed for result in results)
    if options.json:
        report = {
            **sections, "warnings": warnings,
            "self-test": [result._asdict() for result in results],
        }  # fmt: skip
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(_of_test(results, seconds)))
    return int(failed)


def _lines(sections: Mapping[str, Section], warnings: Sequence[str]) -> list[str]:
    lines = []
    for title, section in sections.items():
        width = max(map(len, section), default=0)
        lines += [f"[{title}]", *(f"{name:<{width}}  {value}" for name, value in section.items())]
        lines += [] if section else ["nothing is set"]
        lines.append("")
    for warning in warnings:
        lines.append(pages.see("threads", f"warning: {warning}"))
    return [*lines, ""] if warnings else lines


def _of_test(results: Sequence[Result], seconds: float) -> list[str]:
    lines = [f"[self-test against NumPy, {seconds:.1f} s]"]
    for result in results:
        counts = ", ".join(f"{kind} {n}" for kind, n in result.passed.items())
        lines.append(f"{result.build} {result.dtype}: right: {counts or 'nothing'}")
        lines += [f"{result.build} {result.dtype}: WRONG: {line}" for line in result.failed]
    n_failed = sum(len(result.failed) for result in results)
    if not results:
        lines.append("no compiled build runs here; NumPy does the work")
    return [*lines, f"FAILED: {n_failed} of the above are wrong" if n_failed else "passed"]


# ---- what is here -------------------------------------------------------------------------------


def _package() -> Section:
    folder = str(Path(fastnn.__file__).parent)
    home = os.path.expanduser("~")  # "~" where there is none, as in a container
    # a report is public; a user's name is nobody's business
    folder = "~" + folder[len(home) :] if folder.startswith(home + os.sep) else folder
    return {"version": fastnn.__version__, "folder": folder}


def _machine() -> Section:
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
    }


def _cpu() -> str:
    """Its name, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Hardware)\s*: (.*)$", text, re.MULTILINE)
    name = found[1].strip() if found else platform.processor()
    return f"{name or 'unknown'} ({platform.machine()})"


def _build() -> Section:
    info = kernels.build.build_info()
    forced = os.environ.get("FASTNN_ISA", "")
    why = f"FASTNN_ISA={forced} says so" if forced else "the best of those that run here"
    vectors = f", {64 * info['lanes_f64']}-bit vectors" if info["lanes_f64"] > 1 else ""
    return {
        "in use": f"{kernels.ISA}{vectors}, {info['compiler']}",
        "why": why if forced else f"{why}; FASTNN_ISA is not set",
        **{f"  {name}": state for name, state in kernels.states().items()},
    }


def _threads() -> Section:
    limits = threads.limits()
    words = {
        name: "no limit" if limit == math.inf else f"{int(limit)}"
        for name, limit in limits.items()
    }
    n_threads = threads.get_num_threads() if kernels.build.build_info()["threads"] else 1
    return {
        "in use": f"up to {n_threads}, the least of",
        **{f"  {k}": v for k, v in words.items()},
    }


def _versions() -> Section:
    found = {"Python": _python()}
    found |= {name: _version(name) or "missing" for name in NEEDED}
    for extra, names in EXTRAS.items():
        found |= {name: _version(name) or f'missing: the extra "{extra}"' for name in names}
    return found


def _python() -> str:
    without_gil = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"{platform.python_implementation()} {platform.python_version()}" + (
        ", without GIL" if without_gil else ""
    )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


# ---- libraries with threads of their own --------------------------------------------------------


def _pools() -> list[dict[str, Any]]:
    """What threadpoolctl finds once everything that fastnn needs is loaded."""
    for module in ("scipy.linalg", "sklearn.neural_network"):
        importlib.import_module(module)
    import threadpoolctl

    found: list[dict[str, Any]] = threadpoolctl.threadpool_info()
    return found


def _loaded(pools: Sequence[Mapping[str, Any]]) -> Section:
    found = {}
    for i, pool in enumerate(pools, 1):
        words = [str(pool["internal_api"]), str(pool.get("version") or "")]
        at = Path(pool["filepath"])
        words += [f"{pool['num_threads']} threads, {at.parent.name}/{at.name}"]
        found[f"{i} {pool['user_api']}"] = " ".join(word for word in words if word)
    return found


def clashes(pools: Sequence[Mapping[str, Any]], n_threads: int) -> list[str]:
    """What is wrong with the libraries that are loaded, a line for each.

    Parameters
    ----------
    pools : sequence of mapping
        As threadpoolctl describes them.
    n_threads : int
        How many threads this process should have at work.
    """
    found = []
    by_api: dict[str, list[Mapping[str, Any]]] = {"openmp": [], "blas": []}
    for pool in pools:
        by_api.setdefault(pool["user_api"], []).append(pool)
    openmp = {pool["prefix"] for pool in by_api["openmp"]}
    if {"libiomp", "libomp"} <= openmp:
        found.append("Intel's OpenMP and LLVM's are both loaded, which may hang or crash on Linux")
    elif len(by_api["openmp"]) > 1:
        found.append(
            f"{len(by_api['openmp'])} OpenMP libraries are loaded, with threads of their own: "
            + _files(by_api["openmp"])
        )
    kinds = {pool["internal_api"] for pool in by_api["blas"]}
    if len(kinds) > 1:
        found.append(
            f"NumPy and SciPy have different BLAS libraries, {' and '.join(sorted(kinds))}: "
            + _files(by_api["blas"])
        )
    for pool in pools:
        if pool["num_threads"] > n_threads:
            found.append(
                f"{Path(pool['filepath']).name} has {pool['num_threads']} threads where "
                f"{n_threads} may work: set OMP_NUM_THREADS={n_threads}"
            )
    return found


def _files(pools: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted(Path(pool["filepath"]).name for pool in pools))
