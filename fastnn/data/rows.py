"""Dense and sparse rows as the kernels read them."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# the columns and row starts of dense rows
NO_COLUMNS = np.empty(0, np.int32)
NO_ROW_STARTS = np.empty(0, np.intp)


class SparseRows(NamedTuple):
    """Rows whose non-zero values are stored, as in scipy's CSR arrays."""

    values: NDArray[Any]  # (1, n_stored)
    columns: NDArray[np.int32]  # (n_stored,)
    row_starts: NDArray[np.intp]  # (n_rows + 1,): where each row's values begin, the last's end


Rows: TypeAlias = NDArray[Any] | SparseRows


def as_rows(x: Rows, part: slice | None = None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The kernels' three arguments for the rows x, or for a slice of them."""
    if isinstance(x, SparseRows):
        return x._replace(row_starts=x.row_starts[part.start : part.stop + 1]) if part else x
    return x[part] if part else x, NO_COLUMNS, NO_ROW_STARTS
