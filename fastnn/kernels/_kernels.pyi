"""Signatures of the kernels; the formulas are in _kernels.pyx and the files that it includes.

Real is float64 or float32, the same for all arrays of a call. Arrays are C-contiguous and aligned;
workspaces and packed parameters start at multiples of 128 bytes (`fastnn.kernels.aligned_zeros`).
`step` and `cursor` are records (`fastnn.kernels.new_step`, `new_cursor`) as bytes.
"""

from collections.abc import Callable, Sequence
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
    bit_generator: np.random.BitGenerator | None = None,
    stopping: Bytes | None = None,
    kept: Real | None = None,
    schedule: NDArray[np.float64] | None = None,
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
def draw_uniform(
    bit_generator: np.random.BitGenerator, bounds: Sequence[float], arrays: Sequence[Real]
) -> None: ...
def all_finite(x: Real) -> bool: ...
def peak_multiply_adds(turns: int, sink: Real) -> float: ...
def build_info() -> BuildInfo: ...
def is_matrix(array: Any, type_number: int, n_rows: int, n_columns: int) -> bool: ...
def can_train(
    params: Real,
    x: Any,
    y: Any,
    n_rows: int,
    n_features: int,
    n_outputs: int,
    low: float,
    high: float,
    rows_sum_to_one: bool,
) -> bool: ...
def short_loss(
    params: Real,
    layer_units: Indices,
    activations: Codes,
    x: Any,
    y: Any,
    loss: int,
    alpha: Any,
    low: float,
    high: float,
    rows_sum_to_one: bool,
    grads: Real | None,
) -> float | None: ...
def aligned_bytes(n_bytes: int, zeros: bool) -> Bytes: ...
def views_of(vector: Real, shapes: tuple[tuple[int, ...], ...]) -> list[NDArray[Any]]: ...
def give_views(
    objects: Any, names: tuple[str, ...], vector: Real, shapes: tuple[tuple[int, ...], ...]
) -> tuple[NDArray[Any], ...]: ...
def is_ready(array: Any, type_number: int, n_columns: int) -> bool: ...
def holds(objects: Any, names: tuple[str, ...], values: tuple[Any, ...]) -> bool: ...

class Forward:
    def __init__(self, arrays: Any, activations: Codes) -> None: ...
    def __call__(self, x: Any, every: bool = False) -> NDArray[Any] | None: ...

class LimitedMemory:
    n_steps: int
    epochs_done: int
    n_evaluations: int
    over: bool
    diverged: bool
    def __init__(
        self,
        layer_units: Indices,
        activations: Codes,
        step: Bytes,
        x: NDArray[np.float64],
        columns: Codes,
        row_starts: Indices,
        y: NDArray[np.float64],
        workspace: Bytes,
        pairs: NDArray[np.float64],
        single: bool = False,
        objective: Callable[[NDArray[np.float64], NDArray[np.float64]], float] | None = None,
    ) -> None: ...
    def begin(
        self, params: NDArray[np.float64], loss_curve: NDArray[np.float64], first: int = 0
    ) -> None: ...
    def params(self) -> NDArray[np.float64]: ...
    def until(self, stop: int) -> None: ...

def normal_equations_size(layer_units: Indices, n_rows: int, weighted: bool) -> int: ...
def dual_equations_size(layer_units: Indices, n_rows: int, weighted: bool) -> int: ...

class DampedEquations:
    weight: float
    scale: float
    n_calls: int
    @property
    def steepest(self) -> float: ...
    def __init__(
        self,
        layer_units: Indices,
        activations: Codes,
        step: Bytes,
        x: NDArray[np.float64],
        columns: Codes,
        row_starts: Indices,
        y: NDArray[np.float64],
        workspace: Bytes,
        team: Bytes | None = None,
        n_threads: int = 1,
    ) -> None: ...

class NormalEquations(DampedEquations):
    by_pairs: bool
    def sum(self, params: NDArray[np.float64]) -> None: ...
    def penalise(self, params: NDArray[np.float64], strengths: NDArray[np.float64]) -> None: ...
    def inverse(self, mu: float, out: NDArray[np.float64]) -> float | None: ...
    def solve(self, mu: float, step: NDArray[np.float64]) -> float | None: ...
    def jacobian(
        self, params: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def equations(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

class DualEquations(DampedEquations):
    def sum(self, params: NDArray[np.float64]) -> None: ...
    def solve(self, mu: float, step: NDArray[np.float64]) -> float | None: ...
    def products(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

class NetLanes:
    @property
    def workspace_size(self) -> int: ...
    def __init__(
        self,
        params: Real,
        states: Real,
        layer_units: Indices,
        activations: Codes,
        steps: Bytes,
        table: Real,
        rows: Indices | None,
        starts: Indices,
        n_epochs: Indices,
        bit_generators: Sequence[np.random.BitGenerator | None],
        loss_curves: NDArray[np.float64],
        ends: NDArray[np.int64],
    ) -> None: ...
    def train(self, workspace: Bytes, fresh: Sequence[int]) -> list[int]: ...
    def leave(self, workspace: Bytes) -> None: ...

class Epochs:
    n_calls: int
    n_steps: int
    last_loss: float
    @property
    def status(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def epochs_done(self) -> int: ...
    def __init__(
        self,
        packed_rows: Real,
        layer_units: Indices,
        activations: Codes,
        step: Bytes,
        workspace: Bytes,
        cursor: Bytes,
    ) -> None: ...
    def begin(
        self,
        params: Real,
        x: Real,
        columns: Codes,
        row_starts: Indices,
        y: Real,
        order: Indices | None,
        team: Bytes | None,
        loss_curve: NDArray[np.float64],
        output: Real | None,
        bit_generator: np.random.BitGenerator | None = None,
        stopping: Bytes | None = None,
        kept: Real | None = None,
        schedule: NDArray[np.float64] | None = None,
    ) -> None: ...
    def seek(self, epoch: int) -> None: ...
    def until(self, stop: int) -> None: ...
    def one(
        self, params: Real, x: Any, y: Any, loss_curve: NDArray[np.float64]
    ) -> tuple[Real, Real] | None: ...
    def end(self) -> None: ...
