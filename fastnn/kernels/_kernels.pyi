"""The kernels' signatures, for people and type checkers; the formulas are in _kernels.pyx.

Real is float64 or float32, the same for all arrays of a call. Arrays are C-contiguous and aligned;
workspaces and packed parameters start at multiples of 128 bytes (`fastnn.kernels.aligned_zeros`).
"""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64] | NDArray[np.float32]
Indices = NDArray[np.intp]
Codes = NDArray[np.int32]
Bytes = NDArray[np.uint8]

class BuildInfo(TypedDict):
    target: str
    compiler: str
    lanes_f32: int
    lanes_f64: int
    threads: bool

def workspace_size(
    layer_units: Indices,
    batch_size: int,
    itemsize: int,
    n_states: int,
    n_threads: int,
    weighted: bool = False,
) -> int: ...
def packed_size(layer_units: Indices, itemsize: int) -> int: ...
def useful_threads(
    layer_units: Indices, batch_size: int, itemsize: int, n_threads: int
) -> int: ...
def team_size(n_threads: int) -> int: ...
def open_team(team: Bytes, n_threads: int) -> None: ...
def serve_team(team: Bytes, index: int) -> None: ...
def close_team(team: Bytes) -> None: ...
def free_team(team: Bytes) -> None: ...
def pack(
    params: Real,
    layer_units: Indices,
    activations: Codes,
    workspace: Bytes,
    packed: Real,
) -> None: ...
def unpack(
    packed: Real,
    layer_units: Indices,
    activations: Codes,
    workspace: Bytes,
    params: Real,
) -> None: ...
def forward(
    params: Real,
    layer_units: Indices,
    activations: Codes,
    x: Real,
    columns: Codes,
    row_starts: Indices,
    workspace: Bytes,
    out: Real,
    packed: bool = False,
) -> None: ...
def loss_and_grad(
    params: Real,
    layer_units: Indices,
    activations: Codes,
    step: Bytes,
    x: Real,
    columns: Codes,
    row_starts: Indices,
    y: Real,
    workspace: Bytes,
    grads: Real,
) -> float: ...
def typed_views(
    params: Real,
    packed_rows: Real,
    layer_units: Indices,
    activations: Codes,
    step: Bytes,
    x: Real,
    y: Real,
    order: Indices | None,
    workspace: Bytes,
    cursor: Bytes,
    loss_curve: NDArray[np.float64],
) -> tuple[Any, ...]: ...
def train_epoch(
    params: Real,
    packed_rows: Real,
    layer_units: Indices,
    activations: Codes,
    step: Bytes,
    x: Real,
    columns: Codes,
    row_starts: Indices,
    y: Real,
    order: Indices | None,
    workspace: Bytes,
    team: Bytes | None,
    cursor: Bytes,
    loss_curve: NDArray[np.float64],
    output: Real | None,
) -> None: ...
def dense_forward(
    x: Real,
    coef: Real,
    intercept: Real,
    activation: int,
    workspace: Bytes,
    out: Real,
) -> None: ...
def propagate_delta(
    delta: Real,
    coef: Real,
    a: Real,
    activation: int,
    workspace: Bytes,
    out: Real,
) -> None: ...
def softmax(z: Real, workspace: Bytes, out: Real) -> None: ...
def solver_update(params: Real, grads: Real, states: Real, step: Bytes, t: int) -> None: ...
def activate(x: Real, activation: int, out: Real) -> None: ...
def derivative(x: Real, activation: int, out: Real) -> None: ...
def enumerations() -> dict[str, dict[str, int]]: ...
def record_layouts() -> dict[str, list[tuple[str, int, int]]]: ...
def shuffle(bit_generator: np.random.BitGenerator, order: Indices) -> None: ...
def all_finite(x: Real) -> bool: ...
def peak_multiply_adds(turns: int, sink: Real) -> float: ...
def build_info() -> BuildInfo: ...
