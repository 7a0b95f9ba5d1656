"""Parameters: one flat vector, each layer's coefs (row-major) then its intercepts, and its views.

The solver's state has the same layout. The kernels keep both packed (see kernels/layout.pxi);
`pack_rows` and `unpack_rows` convert.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import kernels
from fastnn.data import checks

# What names a type of arithmetic, for type checkers; `as_dtype` takes NumPy's other spellings too.
RealType: TypeAlias = (
    Literal["float64", "float32", "f8", "f4"]
    | type[float]
    | type[np.float32]
    | np.dtype[np.float64]
    | np.dtype[np.float32]
)


@functools.lru_cache
def shapes_of(layer_units: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Shapes of each layer's coefs (fan_in, fan_out) and intercepts (fan_out,)."""
    return tuple(s for k, n in itertools.pairwise(layer_units) for s in ((k, n), (n,)))


@functools.lru_cache
def count_params(layer_units: tuple[int, ...]) -> int:
    """How many coefs and intercepts a network of these units has."""
    return sum(map(math.prod, shapes_of(layer_units)))


def new_params(layer_units: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A zero vector for all parameters.

    Raises
    ------
    ValueError
        If there are more than can be addressed.
    """
    n = count_params(layer_units)
    # packing rounds every layer up to panels of outputs
    if 64 * n * dtype.itemsize > sys.maxsize:
        raise ValueError(
            f"layer_units {list(layer_units)} need {n} parameters, too many to address"
        )
    return np.zeros(n, dtype)


def split_params(
    params: NDArray[Any], layer_units: Iterable[int]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Views of a flat vector: each layer's coefs (fan_in, fan_out) and intercepts (fan_out,)."""
    views = kernels.build.views_of(params, shapes_of(tuple(layer_units)))
    return views[::2], views[1::2]


_BITS: dict[int, np.dtype[Any]] = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}


def checksum(params: NDArray[Any]) -> int:
    """A number that a change of parameters changes."""
    bits: NDArray[Any] = params.view(_BITS[params.itemsize])
    return int(np.add.reduce(bits, dtype=bits.dtype))


# ---- as kernels have them -----------------------------------------------------------------------


def new_packed(layer_units: NDArray[np.intp], dtype: np.dtype[Any], n_rows: int) -> NDArray[Any]:
    """n_rows zero vectors in the kernels' layout, (n_rows, packed size)."""
    n_packed = kernels.build.packed_size(layer_units, dtype.itemsize)
    memory = kernels.build.aligned_bytes(n_rows * n_packed * dtype.itemsize, True)
    # np.ndarray(buffer=memory) is read-only if memory fails at the wrong moment, without an error
    packed: NDArray[Any] = memory.view(dtype).reshape(n_rows, n_packed)
    return packed


def pack_rows(
    plain: NDArray[Any], layer_units: NDArray[np.intp], codes: NDArray[np.int32]
) -> NDArray[Any]:
    """Vectors laid out like the parameters, (n_rows, n_params), in the kernels' layout."""
    packed = new_packed(layer_units, plain.dtype, len(plain))
    scratch = kernels.new_workspace(layer_units, 1, plain.dtype)
    if len(plain):
        kernels.build.pack(plain.reshape(-1), layer_units, codes, scratch, packed.reshape(-1))
    return packed


def unpack_rows(
    packed: NDArray[Any], layer_units: NDArray[np.intp], codes: NDArray[np.int32]
) -> NDArray[Any]:
    """The inverse of `pack_rows`."""
    plain = np.empty((len(packed), count_params(tuple(layer_units.tolist()))), packed.dtype)
    scratch = kernels.new_workspace(layer_units, 1, packed.dtype)
    if len(packed):
        kernels.build.unpack(packed.reshape(-1), layer_units, codes, scratch, plain.reshape(-1))
    return plain


class SolverState(NamedTuple):
    """What a solver carries from step to step."""

    solver: int  # its code
    packed: NDArray[Any]  # (n_states, packed size): velocities, or moments; last the average
    n_steps: int  # steps ever done
    last_loss: float = 0.0  # rprop's; the damping of lm
    seed: int = 0  # of dropout and noise
    raw: NDArray[Any] | None = None  # with an average: the parameters themselves ...
    shown: NDArray[Any] | None = None  # ... and the average that stood in their place


# ---- as people see them -------------------------------------------------------------------------


class ParameterList(Sequence[NDArray[Any]]):
    """The coefs or intercepts of each layer: views of a network's parameters.

    The arrays may be edited in place; assigning to an item copies into it after checking shape
    and type.
    """

    def __init__(self, name: str, views: list[NDArray[Any]]) -> None:
        self._name, self._views = name, views

    def __len__(self) -> int:
        return len(self._views)

    @overload
    def __getitem__(self, i: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, i: slice) -> list[NDArray[Any]]: ...
    def __getitem__(self, i: int | slice) -> NDArray[Any] | list[NDArray[Any]]:
        return self._views[i]

    def __setitem__(self, i: int, value: ArrayLike) -> None:
        if isinstance(i, slice):
            raise TypeError(
                f"assign to one item of {self._name} at a time, or to all: net.{self._name} = ..."
            )
        view = self._views[i]
        view[...] = self._checked(range(len(self))[i], value)

    def __repr__(self) -> str:
        return repr(self._views)

    def _checked(self, i: int, value: ArrayLike) -> NDArray[Any]:
        name, view = f"{self._name}[{i}]", self._views[i]
        array = checks.numeric_array(name, value)
        if array.shape != view.shape:
            raise ValueError(f"{name} must have shape {view.shape}, got {array.shape}")
        return checks.finite_array(name, array, view.dtype)

    def check_shapes(self, layer_units: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse views that were given another shape or type in place.

        Raises
        ------
        ValueError
        """
        wanted = shapes_of(layer_units)[self._name == "intercepts_" :: 2]
        for i, (view, shape) in enumerate(zip(self._views, wanted, strict=True)):
            if view.shape != shape or view.dtype != dtype:
                raise ValueError(
                    f"{self._name}[{i}] must have shape {shape} of {dtype}, and was made "
                    f"{view.shape} of {view.dtype}"
                )

    def assign(self, values: Sequence[ArrayLike]) -> None:
        """Copy one array into each item, after checking them all."""
        if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)):
            raise TypeError(
                f"{self._name} must be a sequence of arrays, got {checks.shown(values)}"
            )
        if len(values) != len(self):
            raise ValueError(f"{self._name} must hold {len(self)} arrays, got {len(values)}")
        checked = [self._checked(i, value).copy() for i, value in enumerate(values)]
        for view, value in zip(self._views, checked, strict=True):
            view[...] = value


def check_finite(views: Iterable[ParameterList]) -> None:
    """Refuse parameters that were edited into something not finite.

    Raises
    ------
    ValueError
        It names the first such item of the views.
    """
    for items in views:
        for i in range(len(items)):
            items._checked(i, items[i])


_REAL = frozenset(map(np.dtype, (np.float64, np.float32)))


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """dtype as float64 or float32.

    Raises
    ------
    ValueError
        For any other type.
    """
    checked: np.dtype[Any] | None
    try:
        checked = np.dtype(dtype)
    except Exception:  # NumPy asks for a repr, which may raise anything
        checked = None
    if dtype is None or checked is None or checked not in _REAL:
        raise ValueError(f'dtype must be "float64" or "float32", got {checks.shown(dtype)}')
    return checked
