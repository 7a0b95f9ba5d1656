"""The oracle: every function of the kernels in the shortest correct NumPy.

Names and signatures are those of `fastnn.kernels._kernels`, so either can replace the other. Tests
hold the kernels to these functions, and these to central differences. Nothing here is fast. The
room needs the catalog and NumPy alone.
"""

from fastnn.reference.activations import activate, derivative, softmax
from fastnn.reference.build import all_finite, build_info, enumerations, peak_multiply_adds
from fastnn.reference.calls import (
    Forward,
    aligned_bytes,
    can_train,
    give_views,
    holds,
    is_ready,
    short_loss,
    views_of,
)
from fastnn.reference.dense import dense_forward, forward, propagate_delta
from fastnn.reference.layout import (
    close_team,
    free_team,
    open_team,
    pack,
    packed_size,
    serve_team,
    team_size,
    unpack,
    useful_threads,
    workspace_size,
)
from fastnn.reference.nets import NetLanes
from fastnn.reference.records import record_layouts
from fastnn.reference.rows import draw_uniform, is_matrix, shuffle
from fastnn.reference.second_order import (
    DualEquations,
    LimitedMemory,
    NormalEquations,
    dual_equations_size,
    normal_equations_size,
)
from fastnn.reference.solvers import solver_update
from fastnn.reference.training import Epochs, loss_and_grad, train_epoch

__all__ = [
    "DualEquations",
    "Epochs",
    "Forward",
    "LimitedMemory",
    "NetLanes",
    "NormalEquations",
    "activate",
    "aligned_bytes",
    "all_finite",
    "build_info",
    "can_train",
    "close_team",
    "dense_forward",
    "derivative",
    "draw_uniform",
    "dual_equations_size",
    "enumerations",
    "forward",
    "free_team",
    "give_views",
    "holds",
    "is_matrix",
    "is_ready",
    "loss_and_grad",
    "normal_equations_size",
    "open_team",
    "pack",
    "packed_size",
    "peak_multiply_adds",
    "propagate_delta",
    "record_layouts",
    "serve_team",
    "short_loss",
    "shuffle",
    "softmax",
    "solver_update",
    "team_size",
    "train_epoch",
    "unpack",
    "useful_threads",
    "views_of",
    "workspace_size",
]
