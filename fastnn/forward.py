"""Forward passes over any number of rows, in blocks that keep a compiled call short."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, threads, work
from fastnn.data.rows import Rows, SparseRows, as_rows


def forward_rows(
    params: NDArray[Any],
    layer_units: NDArray[np.intp],
    codes: NDArray[np.int32],
    x: Rows,
    out: NDArray[Any],
    n_jobs: int | None = None,
) -> None:
    """Fill out, (n, units), with the activations of n rows.

    units are those of the last layer or the sum of all layers'; n_jobs is checked already.
    """
    threads.from_environment()  # a bad number is refused in small work too
    build = kernels.build
    forward = kernels.for_dtype(build.forward, params.dtype)
    n, dtype = len(out), params.dtype
    multiply_adds = len(params)
    if isinstance(x, SparseRows):  # the first layer multiplies the stored values only
        stored = int(x.row_starts[-1] - x.row_starts[0]) / n
        multiply_adds -= max(0.0, layer_units[0] - stored) * layer_units[1]
    # a block is short enough to answer Ctrl-C soon, and small enough to share
    block = min(n, max(256, int(work.BUDGET / multiply_adds)))
    n_threads = threads.resolve(n_jobs) if n * multiply_adds > work.WORTH_A_THREAD else 1
    if n_threads > 1:
        block = max(96, min(block, n // (4 * n_threads)))
    if block >= n:
        workspace = kernels.new_workspace(layer_units, n, dtype)
        forward(params, layer_units, codes, *as_rows(x), workspace, out)
        return
    # packed once, not in every call
    packed = kernels.aligned_zeros(build.packed_size(layer_units, dtype.itemsize), dtype)
    workspace = kernels.new_workspace(layer_units, 1, dtype)
    build.pack(params, layer_units, codes, workspace, packed)

    def some_blocks(starts: Iterable[int]) -> None:
        workspace = kernels.new_workspace(layer_units, block, dtype)
        for start in starts:
            rows = slice(start, start + block)
            forward(packed, layer_units, codes, *as_rows(x, rows), workspace, out[rows], True)

    if n_threads == 1:
        some_blocks(range(0, n, block))
    else:
        threads.side_by_side(n_threads, range(0, n, block), some_blocks)
