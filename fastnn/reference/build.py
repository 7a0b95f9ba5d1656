"""What this build is and has, and small utilities."""

from typing import Any

import numpy as np

from fastnn.catalog import activations, losses, solvers
from fastnn.catalog.records import STATUS
from fastnn.reference import activations as own_activations
from fastnn.reference import losses as own_losses
from fastnn.reference import solvers as own_solvers
from fastnn.reference.layout import Array


def all_finite(x: Array) -> bool:
    """Whether x holds neither NaN nor infinity."""
    return bool(np.isfinite(x).all())


def peak_multiply_adds(turns: int, sink: Array) -> float:
    """Run 12 independent chains of `turns` multiply-adds; return how many that were."""
    chains = sink + np.arange(12, dtype=sink.dtype)
    for _ in range(turns):
        chains = chains * 0.999 + 1e-3
    sink[0] = chains.sum()
    return 12.0 * turns


def build_info() -> dict[str, Any]:
    """What this build was compiled for and by, and how many numbers its vectors hold."""
    return {
        "target": "reference",
        "compiler": "none: NumPy",
        "lanes_f32": 1,
        "lanes_f64": 1,
        "threads": False,
    }


def enumerations() -> dict[str, dict[str, int]]:
    """Give names and codes of activations, losses, solvers and statuses that this build has."""
    known = [*own_activations.BY_CODES, own_activations.SOFTMAX]
    return {
        "activations": {activations.BY_CODE[code].name: code for code in known},
        "losses": {losses.BY_CODE[code].name: code for code in own_losses.BY_CODES},
        "solvers": {solvers.BY_CODE[code].name: code for code in own_solvers.BY_CODES},
        "status": dict(STATUS),
    }
