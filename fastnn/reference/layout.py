"""Sizes, packing, threads and views of parameters; and what the other files share.

"Packed" parameters are plain ones here, workspaces are empty, and the caller does all the work.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Overflow is expected here: e^1000 is infinity, and its sigmoid 1.
quiet = np.errstate(all="ignore")


def workspace_size(
    layer_units: Array,
    batch_size: int,
    itemsize: int,
    n_states: int,
    n_threads: int,
    weighted: bool = False,
) -> int:
    """Count the bytes of workspace that a call needs: none."""
    return 0


def packed_size(layer_units: Array, itemsize: int) -> int:
    """How many numbers the packed parameters take."""
    return int(sum((k + 1) * n for k, n in itertools.pairwise(layer_units)))


def pack(
    params: Array, layer_units: Array, activations: Array, workspace: Array, packed: Array
) -> None:
    """Plain parameters -> packed ones, of one vector or several, one after the other."""
    packed[:] = params


def unpack(
    packed: Array, layer_units: Array, activations: Array, workspace: Array, params: Array
) -> None:
    """Packed parameters -> plain ones, of one vector or several."""
    params[:] = packed


def split(params: Array, layer_units: Array) -> list[tuple[Array, Array]]:
    """Views of a flat vector: coef (fan_in, fan_out) and intercept (fan_out,) of each layer."""
    layers, at = [], 0
    for k, n in itertools.pairwise(layer_units):
        coef = params[at : at + k * n].reshape(k, n)
        layers.append((coef, params[at + k * n : at + k * n + n]))
        at += (k + 1) * n
    return layers


def useful_threads(layer_units: Array, batch_size: int, itemsize: int, n_threads: int) -> int:
    """How many of n_threads have something to do in a training step: one."""
    return 1


def team_size(n_threads: int) -> int:
    """Count the bytes of memory for a team: none."""
    return 0


def open_team(team: Array, n_threads: int) -> None:
    """Make a team."""


def serve_team(team: Array, index: int) -> None:
    """Be a helper until the team is closed: return at once."""


def close_team(team: Array) -> None:
    """Send the helpers home."""


def free_team(team: Array) -> None:
    """Release the team's memory."""
