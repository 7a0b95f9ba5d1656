"""Picks the build of the kernels that this CPU and operating system run best.

The environment variable FASTNN_ISA forces one by name. If that cannot run, importing fastnn is an
ImportError with the reason, never a silent second choice.
"""

import functools
import importlib
import os
import struct
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import pages
from fastnn.catalog import records

# name of an instruction set -> module built for it (see setup.py)
MODULES = {"avx512": "_kernels_avx512", "avx2": "_kernels_avx2", "baseline": "_kernels"}

# The records that kernels take, as uint8 views; their fields are in the catalog.
STEP = np.dtype([field[:2] for field in records.STEP], align=True)
CURSOR = np.dtype([field[:2] for field in records.CURSOR], align=True)
STOPPING = np.dtype([field[:2] for field in records.STOPPING], align=True)
START, RUNNING, FINISHED, DIVERGED, WEIGHTLESS = records.STATUS.values()


def new_step(
    *, loss_numbers: Sequence[float] = (), dropout: Sequence[float] = (), **fields: float
) -> NDArray[np.void]:
    """A step record, an array of length 1, over the bytes that kernels take: `step_bytes`.

    Fields that are not given are 0, but budget is infinite and n_threads 1.

    Parameters
    ----------
    loss_numbers : sequence of float
        The loss's parameter, one for each output, or empty if it has none.
    dropout : sequence of float
        The share of units dropped in each layer, or empty.
    **fields : float
        Of the record.
    """
    values = {**_NO_STEP, **fields}
    if len(values) > len(_NO_STEP):
        raise ValueError(f"a step has no {', '.join(values.keys() - _NO_STEP.keys())}")
    tail = b""
    if loss_numbers or dropout:
        values["n_loss_numbers"], values["n_dropout"] = len(loss_numbers), len(dropout)
        tail = struct.pack(f"={len(loss_numbers) + len(dropout)}d", *loss_numbers, *dropout)
    # to set the fields one by one would take 4 us
    return np.frombuffer(bytearray(_STEP_BYTES.pack(*values.values()) + tail), STEP, 1)


def copy_step(record: bytes) -> NDArray[np.void]:
    """A step record from the bytes of another."""
    return np.frombuffer(bytearray(record), STEP, 1)


def step_bytes(step: NDArray[np.void]) -> NDArray[np.uint8]:
    """The bytes of a record from `new_step`, and of the numbers that follow it; no copy."""
    if step["n_loss_numbers"].item() or step["n_dropout"].item():
        assert step.base is not None
        return np.frombuffer(step.base, np.uint8)
    return step.view(np.uint8)


_NO_STEP: dict[str, float] = {field[0]: 0 for field in records.STEP}
_NO_STEP |= {"budget": np.inf, "n_threads": 1}
_STEP_BYTES = struct.Struct(
    "=" + "".join({"f8": "d", "i8": "q", "i4": "i"}[field[1]] for field in records.STEP)
)


def new_cursor(**fields: int) -> NDArray[np.void]:
    """A cursor record, an array of length 1. Fields that are not given are 0."""
    cursor = np.zeros(1, CURSOR)
    for name, value in fields.items():
        cursor[name] = value
    return cursor


def new_stopping(**fields: float) -> NDArray[np.void]:
    """A stopping record, an array of length 1. Fields that are not given are 0."""
    stopping = np.zeros(1, STOPPING)
    for name, value in fields.items():
        stopping[name] = value
    return stopping


@functools.cache
def for_dtype(function: Any, dtype: np.dtype[Any]) -> Callable[..., Any]:
    """A kernel for arrays of one real type, so that calls need not look for the type."""
    try:
        typed: Callable[..., Any] = function[{"float32": "float", "float64": "double"}[dtype.name]]
    except TypeError:  # the reference's are plain functions
        typed = function
    return typed


def aligned_empty(n_bytes: int) -> NDArray[np.uint8]:
    """Bytes at a multiple of 128, two cache lines, which are fetched together; uninitialised."""
    return build.aligned_bytes(n_bytes, False)


def aligned_zeros(n: int, dtype: DTypeLike) -> NDArray[Any]:
    """n zeros at a multiple of 128 bytes."""
    dtype = np.dtype(dtype)
    return build.aligned_bytes(n * dtype.itemsize, True).view(dtype)


def new_workspace(
    layer_units: NDArray[np.intp],
    batch_size: int,
    dtype: np.dtype[Any],
    n_states: int = -1,
    n_threads: int = 1,
    weighted: bool = False,
) -> NDArray[np.uint8]:
    """Scratch memory for one compiled call; contents are uninitialised."""
    return aligned_empty(
        build.workspace_size(
            layer_units, batch_size, dtype.itemsize, n_states, n_threads, weighted
        )
    )


def supported() -> tuple[str, ...]:
    """Names of the builds that this machine can run, best first; "reference" (NumPy) comes last.

    Builds that FASTNN_BUILDS left out when fastnn was compiled are not among them.

    Raises
    ------
    ImportError
        If the compiled modules are missing or broken.
    """
    cpu = _cpu_module()
    return (*(name for name in cpu.supported() if name in cpu.BUILT), "reference")


def states() -> dict[str, str]:
    """What is the matter with each build that there may be, in a few words.

    Raises
    ------
    ImportError
        If the compiled modules are missing or broken.
    """
    cpu, words = _cpu_module(), {}
    for name in MODULES:
        if name not in cpu.supported():
            words[name] = "this machine does not run it"
        elif name not in cpu.BUILT:
            words[name] = "was not compiled"
        else:
            words[name] = "runs"
    return {**words, "reference": "runs; NumPy, slow"}


def _cpu_module() -> ModuleType:
    """The module that knows the CPU and which builds exist."""
    try:
        return importlib.import_module("fastnn.kernels._cpu")
    except ImportError as error:
        from pathlib import Path  # whose own import is slow

        for path in Path(__file__).parents:
            if path.is_file():
                message = (
                    "fastnn cannot be imported from a zip file, as its compiled modules must be "
                    f"files: install {path} by `pip install`, or unpack it"
                )
                raise ImportError(pages.see("build", message)) from error
        root = Path(__file__).resolve().parents[2]
        if (root / "setup.py").exists():
            todo = (
                f"Python found the source tree in {root}, which is not built: start Python in "
                "another folder to use an installed fastnn, or build here by `pip install -e .`"
            )
        else:
            todo = "install fastnn anew, by `pip install .` in its source tree"
        message = (
            f"fastnn's compiled modules cannot be loaded ({error}); {todo}; or set "
            "FASTNN_ISA=reference to use NumPy"
        )
        raise ImportError(pages.see("build", message)) from error


def load(name: str) -> ModuleType:
    """The module of one build: "avx512", "avx2", "baseline" or "reference".

    Raises
    ------
    ImportError
        If there is no such build, or this machine cannot run it.
    """
    if name == "reference":
        return importlib.import_module("fastnn.reference")
    known = ", ".join([*MODULES, "reference"])
    if name not in MODULES:
        message = f"there is no build {name!r} of fastnn's kernels; there are: {known}"
        raise ImportError(pages.see("build", message))
    if name not in supported():
        if name in _cpu_module().supported():
            message = (
                f"the {name!r} build of fastnn's kernels was not compiled: FASTNN_BUILDS was "
                f"{','.join(_cpu_module().BUILT)}; install fastnn again without it"
            )
        else:
            message = (
                f"this CPU or operating system cannot run the {name!r} build of fastnn's kernels; "
                f"it can run: {', '.join(supported())}"
            )
        raise ImportError(pages.see("build", message))
    return importlib.import_module(f"fastnn.kernels.{MODULES[name]}")


def choose() -> tuple[str, ModuleType]:
    """Name and module of the build that FASTNN_ISA names, or of the best one.

    Raises
    ------
    ImportError
        If FASTNN_ISA names a build that does not exist or cannot run, or no compiled build can.
    """
    name = os.environ.get("FASTNN_ISA", "")
    if name:
        try:
            return name, load(name)
        except ImportError as error:
            raise ImportError(f"FASTNN_ISA={name}: {error}") from error
    name = supported()[0]
    if name == "reference":
        if _cpu_module().supported():
            message = (
                "no build of fastnn's kernels that this CPU runs was compiled: FASTNN_BUILDS was "
                f"{','.join(_cpu_module().BUILT)}; install fastnn again without it, or set "
                "FASTNN_ISA=reference to use NumPy"
            )
        else:
            message = (
                "this CPU lacks x86-64-v2 (SSE4.2), which fastnn's kernels need; "
                "set FASTNN_ISA=reference to use NumPy"
            )
        raise ImportError(pages.see("build", message))
    return name, load(name)


# The build in use and its name. Rooms read `kernels.build` at every call, so that tests can
# replace it.
if TYPE_CHECKING:  # every build has the functions of the stub
    from fastnn.kernels import _kernels as build

    ISA: str
else:
    ISA, build = choose()
