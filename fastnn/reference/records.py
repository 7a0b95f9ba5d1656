"""The records that are shared with Python, from the catalog's fields."""

from types import SimpleNamespace

import numpy as np

from fastnn.catalog import records
from fastnn.reference.layout import Array

STEP = np.dtype([field[:2] for field in records.STEP], align=True)
CURSOR = np.dtype([field[:2] for field in records.CURSOR], align=True)
STOPPING = np.dtype([field[:2] for field in records.STOPPING], align=True)


def read_step(step: Array) -> SimpleNamespace:
    """The fields of a step record, or of its bytes, as Python numbers.

    NumPy's numbers would turn float32 arrays into float64 ones.
    """
    return SimpleNamespace(**dict(zip(STEP.names or (), step.view(STEP)[0].item(), strict=True)))


def record_layouts() -> dict[str, list[tuple[str, int, int]]]:
    """Name, offset and size in bytes of each field of "step", "cursor" and "stopping"."""
    return {
        record: [(name, at, field.itemsize) for name, (field, at, *_) in dtype.fields.items()]
        for record, dtype in (("step", STEP), ("cursor", CURSOR), ("stopping", STOPPING))
        if dtype.fields
    }
