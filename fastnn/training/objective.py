"""The mean loss over all rows and its gradient, in compiled calls that keep Ctrl-C answered."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, threads, work
from fastnn.catalog import losses
from fastnn.data.rows import Rows, as_rows


def short_loss(
    params: NDArray[Any],
    layer_units: NDArray[np.intp],
    codes: NDArray[np.int32],
    loss: str,
    alpha: Any,
    x: Any,
    y: Any,
    grads: NDArray[Any] | None = None,
) -> float | None:
    """What `MeanLoss` gives, or None where something must be checked, converted or divided."""
    row = losses.BY_NAME[loss]
    return kernels.build.short_loss(
        params, layer_units, codes, x, y, row.code, alpha, row.lowest, row.high,
        row.rows_sum_to_one, grads,
    )  # fmt: skip


class MeanLoss:
    """The mean loss over the rows, with its penalty, and its gradient, at any parameters.

    Many rows are done in parts, which answer Ctrl-C and which threads can share. The parts' means
    are added in order, so the number of threads changes nothing.

    Parameters
    ----------
    layer_units : ndarray of intp, (n_layers + 1,)
    codes : ndarray of int32, (n_layers,)
        The activation of each layer.
    loss : str
        A name of the catalog.
    alpha : float
        The penalty is alpha / (2 n) times the sum of the squared coefs.
    x, y : ndarray, (n, units)
        Checked already. If y has one more column than there are outputs, it holds the weight of
        each row; the mean is a weighted one, and n the sum of the weights.
    n_jobs : None or int
        Checked already.
    loss_numbers : sequence of float
        The loss's, one for each output, or none.
    """

    def __init__(
        self,
        layer_units: NDArray[np.intp],
        codes: NDArray[np.int32],
        loss: str,
        alpha: float,
        x: Rows,
        y: NDArray[Any],
        n_jobs: int | None = None,
        loss_numbers: Sequence[float] = (),
    ) -> None:
        self._net = layer_units, codes
        code = losses.CODES[loss]
        # the first part takes the penalty, the others none
        self._steps = [
            kernels.step_bytes(kernels.new_step(loss=code, alpha=a, loss_numbers=loss_numbers))
            for a in (alpha, 0.0)
        ]
        units = tuple(layer_units.tolist())
        weighted = y.shape[1] > units[-1]
        work_per_row = work.training_work(units)
        parts, self._weights = _fixed_parts(work_per_row, y, weighted)
        self._rows = [(*as_rows(x, part), y[part]) for part in parts]
        self._n_threads = 1
        threads.from_environment()  # a bad number is refused in small work too
        if len(parts) > 1 and len(y) * work_per_row > work.WORTH_A_THREAD:
            self._n_threads = threads.resolve(n_jobs)
        longest = max(part.stop - part.start for part in parts)
        self._new_workspace = functools.partial(
            kernels.new_workspace, layer_units, longest, y.dtype, weighted=weighted
        )
        self._workspaces = [self._new_workspace()]  # those not in use

    @property
    def n_parts(self) -> int:
        """Compiled calls that one loss takes."""
        return len(self._rows)

    def __call__(self, params: NDArray[Any], grads: NDArray[Any]) -> float:
        """The loss; grads, laid out like params, takes the gradient, or is empty."""
        if len(self._rows) > 1:
            return self._by_parts(params, grads)
        return self._part(0, params, self._workspaces[0], grads)

    def _part(
        self, i: int, params: NDArray[Any], workspace: NDArray[Any], grads: NDArray[Any]
    ) -> float:
        step = self._steps[i > 0]
        return kernels.build.loss_and_grad(
            params, *self._net, step, *self._rows[i], workspace, grads
        )

    def _by_parts(self, params: NDArray[Any], grads: NDArray[Any]) -> float:
        shares = [weight / sum(self._weights) for weight in self._weights]
        values, lock = [0.0] * len(shares), threading.Lock()
        # gradients computed before their turn; spare arrays; how many are added
        waiting: dict[int, NDArray[Any]] = {}
        spare: list[NDArray[Any]] = []
        added = 0

        def some_parts(numbers: Iterable[int]) -> None:
            nonlocal added
            with lock:
                workspace = self._workspaces.pop() if self._workspaces else self._new_workspace()
            for i in numbers:
                with lock:
                    own = spare.pop() if spare else np.empty_like(grads)
                values[i] = self._part(i, params, workspace, own)
                with lock, np.errstate(all="ignore"):
                    waiting[i] = own
                    while added in waiting:
                        own = waiting.pop(added)
                        own *= shares[added]
                        np.add(grads if added else 0.0, own, out=grads)
                        spare.append(own)
                        added += 1
            self._workspaces.append(workspace)

        threads.side_by_side(self._n_threads, range(len(shares)), some_parts)
        return sum(share * value for share, value in zip(shares, values, strict=True))


def _fixed_parts(
    work_per_row: float, y: NDArray[Any], weighted: bool
) -> tuple[list[slice], list[float]]:
    """Slices of all rows, of equal work, and the weight of each.

    They depend on the data alone. 1,024 rows take some ten times as long as the fixed cost of a
    part, for packing and for adding gradients.
    """
    n, size = len(y), max(1024, int(work.BUDGET / work_per_row))
    n_parts = -(-n // size)
    stops = [n * i // n_parts for i in range(n_parts + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(stops)]
    if not weighted:
        return parts, [part.stop - part.start for part in parts]
    weights = [float(y[part, -1].sum(dtype=np.float64)) for part in parts]
    if not all(weights):  # a part without weight has no mean
        return [slice(0, n)], [sum(weights)]
    return parts, weights
