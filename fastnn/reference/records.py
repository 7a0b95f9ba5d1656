"""The records that are shared with Python, from the catalog's fields."""

from types import SimpleNamespace

import numpy as np

from fastnn.catalog import records
from fastnn.reference.layout import Array

STEP = np.dtype([field[:2] for field in records.STEP], align=True)
CURSOR = np.dtype([field[:2] for field in records.CURSOR], align=True)
STOPPING = np.dtype([field[:2] for field in records.STOPPING], align=True)


def read_step(step: Array) -> SimpleNamespace:
    """The fields of a step record's bytes as Python numbers, and the numbers that follow it.

    Those are `loss_numbers` and `dropout`, arrays. NumPy's numbers would turn float32 arrays into
    float64 ones.
    """
    raw = step.view(np.uint8)
    values = raw[: STEP.itemsize].view(STEP)[0].item()
    numbers = SimpleNamespace(**dict(zip(STEP.names or (), values, strict=True)))
    tail = raw[STEP.itemsize :].view(np.float64)
    numbers.loss_numbers = tail[: numbers.n_loss_numbers]
    numbers.dropout = tail[numbers.n_loss_numbers :][: numbers.n_dropout]
    return numbers


def record_layouts() -> dict[str, list[tuple[str, int, int]]]:
    """Name, offset and size in bytes of each field of "step", "cursor" and "stopping"."""
    return {
        record: [(name, at, field.itemsize) for name, (field, at, *_) in dtype.fields.items()]
        for record, dtype in (("step", STEP), ("cursor", CURSOR), ("stopping", STOPPING))
        if dtype.fields
    }
