"""Values as JSON and plain tensors, and back.

What JSON has stays as it is: None, booleans, whole and finite numbers, text, lists. Everything
else is a dict of one item, whose key is the kind: ``{"tuple": [...]}``, ``{"tensor": "coefs"}``.
Kinds are a closed list, each with a function for either way, and so are the classes among them.
Reading calls these alone: a file names nothing that could be imported or run.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import schedules
from fastnn.data import checks
from fastnn.parameters import SolverState

_SCALARS = {
    name: np.dtype(name).type
    for name in (
        "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32",
        "uint16", "uint8", "bool",
    )
}  # fmt: skip
# Levels of JSON within each other, as what reads them, or copies the model, recurses: 196 lists of
# an attribute, 98 tuples, 65 dicts.
MOST_DEEP = 200
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


class CannotSave(TypeError):
    """A value that a file does not hold."""


def is_too_deep(value: Any) -> bool:
    """Whether JSON is nested beyond MOST_DEEP."""
    level, deep = [value], 0
    while level and deep <= MOST_DEEP:
        items = (one for some in level for one in (some if type(some) is list else some.values()))
        level = [one for one in items if type(one) in (list, dict)]
        deep += 1
    return bool(level)


class Writer:
    """Turns values into JSON and fills `tensors`, which are named by where they stand."""

    def __init__(self) -> None:
        self.tensors: dict[str, NDArray[Any]] = {}
        self._prefix = ""

    def within(self, name: str) -> Writer:
        """One for a part of this name, whose tensors go to the same place."""
        part = Writer()
        part.tensors, part._prefix = self.tensors, f"{self._prefix}{name}."
        return part

    def __call__(self, value: Any, name: str) -> Any:
        """A value as JSON; `name` says where it stands.

        Raises
        ------
        CannotSave
            With a line that says where the value is.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is list:
            return self._list(value, name)
        if kind is tuple:
            return {"tuple": [self(one, f"{name}.{i}") for i, one in enumerate(value)]}
        if kind is dict:
            return {
                "dict": [
                    [self(key, f"{name}'s key"), self(one, f"{name}.{key}")]
                    for key, one in value.items()
                ]
            }
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, np.generic):
            return self._scalar(value, name)
        own = _class_named(kind.__name__)
        if own is not None and kind is own.of:
            fields = own.fields(value).items()
            items = [[field, self(one, f"{name}.{field}")] for field, one in fields]
            return {"object": [kind.__name__, items]}
        raise CannotSave(
            f"{name} is {checks.shown(value)}, which a file does not hold: functions and objects "
            "of other packages can be pickled only"
        )

    def _put(self, name: str, tensor: NDArray[Any]) -> str:
        """Keep a tensor under this name, or under the next that is free."""
        name = self._prefix + name
        number, where = 1, name
        while where in self.tensors:
            number, where = number + 1, f"{name}~{number + 1}"
        self.tensors[where] = tensor
        return where

    def _list(self, values: list[Any], name: str) -> Any:
        kind = type(values[0]) if values else None
        if kind in (float, np.float64) and all(type(one) is kind for one in values):
            where = self._put(name, np.array(values))  # a curve may be long
            return {"floats" if kind is float else "float64s": where}
        return [self(one, f"{name}.{i}") for i, one in enumerate(values)]

    def _array(self, array: NDArray[Any], name: str) -> Any:
        if type(array) is not np.ndarray:
            raise CannotSave(f"{name} is a {type(array).__name__}, and a file holds plain arrays")
        if array.dtype.name in _SCALARS:
            native = array.dtype.newbyteorder("=")
            return {"tensor": self._put(name, np.asarray(array, native, order="C"))}
        if array.dtype.kind == "U":
            items = array.ravel().tolist()
            longest = max(map(len, items), default=0)
            size = min(array.dtype.itemsize // 4, max(1, 2 * longest))  # what a reader takes
            return {"strings": [f"U{size}", list(array.shape), items]}
        if array.dtype.kind == "O":
            items = [self(one, f"{name}.{i}") for i, one in enumerate(array.ravel().tolist())]
            return {"objects": [list(array.shape), items]}
        raise CannotSave(f"{name} is an array of {array.dtype}, which a file does not hold")

    def _scalar(self, value: np.generic, name: str) -> Any:
        if value.dtype.name in _SCALARS:
            item: Any = value.item()
            return {"scalar": [value.dtype.name, self(item, name)]}
        if isinstance(value, np.str_):
            return {"scalar": ["str", str(value)]}
        raise CannotSave(f"{name} is {checks.shown(value)}, which a file does not hold")


class Reader:
    """Turns the JSON of a `Writer` and its tensors back into values.

    Every error is a ValueError.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors, self._used = tensors, set[str]()

    def __call__(self, value: Any) -> Any:
        """The value that was written."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is list:
            return [self(one) for one in value]
        if type(value) is not dict or len(value) != 1:
            raise ValueError(f"this is no value: {checks.shown(value)}")
        ((kind, content),) = value.items()
        if kind not in _KINDS:
            raise ValueError(f"there is no kind of value {checks.shown(kind)}")
        return _KINDS[kind](self, content)

    def tensor(self, name: Any) -> NDArray[Any]:
        """The tensor of this name."""
        if type(name) is not str or name not in self._tensors:
            raise ValueError(f"the tensor {checks.shown(name)} is missing")
        self._used.add(name)
        return self._tensors[name]

    def finish(self) -> None:
        """Refuse tensors that nothing has asked for."""
        left = sorted(self._tensors.keys() - self._used)
        if left:
            raise ValueError(f"nothing belongs to the tensor {left[0]!r}")

    # ---- a kind each ----

    def _float(self, text: Any) -> float:
        if text not in ("nan", "inf", "-inf"):
            raise ValueError(f"this is no number: {checks.shown(text)}")
        return float(text)

    def _tuple(self, items: Any) -> tuple[Any, ...]:
        return tuple(self(one) for one in _of(list, items))

    def _dict(self, items: Any) -> dict[Any, Any]:
        pairs = [(self(key), self(one)) for key, one in map(_pair, _of(list, items))]
        try:
            return dict(pairs)
        except TypeError as error:  # a key that has no hash
            raise ValueError(str(error)) from None

    def _floats(self, name: Any) -> list[Any]:
        return list(map(float, self._float64s(name)))

    def _float64s(self, name: Any) -> list[Any]:
        tensor = self.tensor(name)
        if tensor.dtype != np.float64 or tensor.ndim != 1:
            raise ValueError(f"the tensor {name!r} is no list of float64")
        return list(tensor)

    def _strings(self, content: Any) -> NDArray[Any]:
        dtype, shape, items = _of(list, content, 3)
        if not all(type(one) is str for one in _of(list, items)):
            raise ValueError("there is no text where text should be")
        kind, size = _of(str, dtype)[:1], dtype[1:]
        longest = max(map(len, items), default=0)
        if kind != "U" or not size.isdecimal() or not longest <= int(size) <= max(1, 2 * longest):
            raise ValueError(f"text of {checks.shown(dtype)} is not what stands there")
        return _shaped(np.array(items, dtype), shape)

    def _objects(self, content: Any) -> NDArray[Any]:
        shape, items = _of(list, content, 2)
        values = np.empty(len(_of(list, items)), object)
        for i, one in enumerate(items):
            values[i] = self(one)
        return _shaped(values, shape)

    def _scalar(self, content: Any) -> Any:
        name, value = _of(list, content, 2)
        value = self(value)
        if name == "str":
            return np.str_(_of(str, value))
        if name not in _SCALARS or type(value) not in (bool, int, float):
            raise ValueError(f"there is no number of type {checks.shown(name)}")
        try:
            return _SCALARS[name](value)
        except OverflowError as error:
            raise ValueError(str(error)) from None

    def _object(self, content: Any) -> Any:
        name, items = _of(list, content, 2)
        own = _class_named(name) if type(name) is str else None
        if own is None:
            raise ValueError(f"there is no class {checks.shown(name)}")
        pairs = map(_pair, _of(list, items))
        fields = {_of(str, key): self(one) for key, one in pairs}
        try:
            return own.make(fields)
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(f"this makes no {name}: {error}") from None


_KINDS: dict[str, Callable[[Reader, Any], Any]] = {
    "float": Reader._float, "tuple": Reader._tuple, "dict": Reader._dict,
    "tensor": Reader.tensor, "floats": Reader._floats, "float64s": Reader._float64s,
    "strings": Reader._strings, "objects": Reader._objects, "scalar": Reader._scalar,
    "object": Reader._object,
}  # fmt: skip


def _of(kind: Any, value: Any, length: int | None = None) -> Any:
    """value, if it is of this type and length."""
    if type(value) is not kind or (length is not None and len(value) != length):
        raise ValueError(f"this is no {kind.__name__} as it should be: {checks.shown(value)}")
    return value


def _pair(value: Any) -> tuple[Any, Any]:
    first, second = _of(list, value, 2)
    return first, second


def _shaped(values: NDArray[Any], shape: Any) -> NDArray[Any]:
    if not all(type(n) is int and n >= 0 for n in _of(list, shape)):
        raise ValueError(f"this is no shape: {checks.shown(shape)}")
    if math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} items do not have the shape {checks.shown(shape)}")
    return values.reshape(shape)


# ---- classes ------------------------------------------------------------------------------------


class _Class(NamedTuple):
    """A class whose objects a file may hold."""

    of: type
    fields: Callable[[Any], dict[str, Any]]
    make: Callable[[dict[str, Any]], Any]


def _class_named(name: str) -> _Class | None:
    own = _OWN.get(name)
    if own is None and name in _NAMES_OF_ESTIMATORS:
        own = _of_estimators()[name]
    return own


_NAMES_OF_ESTIMATORS = ("LabelBinarizer", "AdamOptimizer", "MoreOptimizer", "SGDOptimizer")


@functools.cache
def _of_estimators() -> dict[str, _Class]:
    """What networks do not need; it imports scikit-learn."""
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
    from sklearn.preprocessing import LabelBinarizer

    from fastnn.estimators.optimizers import MORE, MoreOptimizer

    of_adam = ("learning_rate_init", "learning_rate", "beta_1", "beta_2", "epsilon", "t")
    lists = {"ms": list, "vs": list, "t": int, "velocities": list, "solver": str}
    return {
        "LabelBinarizer": _plain(
            LabelBinarizer,
            ("neg_label", "pos_label", "sparse_output", "y_type_", "sparse_input_", "classes_"),
            {"neg_label": int, "pos_label": int, "sparse_output": bool, "y_type_": str,
             "sparse_input_": bool, "classes_": np.ndarray},
        ),
        "AdamOptimizer": _plain(AdamOptimizer, (*of_adam, "ms", "vs"), lists),
        "MoreOptimizer": _plain(
            MoreOptimizer, (*of_adam, "ms", "vs", "solver"), lists, {"solver": MORE}
        ),
        "SGDOptimizer": _plain(
            SGDOptimizer,
            ("learning_rate_init", "learning_rate", "lr_schedule", "momentum", "nesterov",
             "power_t", "velocities"),
            lists, {"lr_schedule": ("constant", "invscaling", "adaptive")},
        ),
    }  # fmt: skip


def _plain(
    cls: Any,
    names: tuple[str, ...],
    types: Mapping[str, type],
    values: Mapping[str, tuple[str, ...]] | None = None,
) -> _Class:
    """A class of which the attributes are everything; those of fastnn's own come besides."""
    optional = ("fastnn_state",)

    def fields(value: Any) -> dict[str, Any]:
        given = vars(value)
        unknown = given.keys() - {*names, *optional}
        if unknown:
            raise CannotSave(f"{cls.__name__}.{min(unknown)} is unknown: a file does not hold it")
        return {name: given[name] for name in (*names, *optional) if name in given}

    def make(given: dict[str, Any]) -> Any:
        missing, more = set(names) - given.keys(), given.keys() - {*names, *optional}
        if missing or more:
            raise ValueError(f"{', '.join(sorted(missing | more))} of {cls.__name__}")
        for name, value in given.items():
            wanted = types.get(name)
            if wanted is not None:
                right = type(value) is wanted
            elif name in (values or {}):
                right = value in (values or {})[name]
            elif name == "fastnn_state":
                right = value is None or type(value) is SolverState
            else:
                right = isinstance(value, (bool, int, float, np.number))
            if not right:
                raise ValueError(f"{name} of {cls.__name__} is {checks.shown(value)}")
        made = cls.__new__(cls)
        vars(made).update(given)
        return made

    return _Class(cls, fields, make)


def _dataclass_fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _random_fields(value: np.random.RandomState) -> dict[str, Any]:
    state: dict[str, Any] = value.get_state(legacy=False)
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise CannotSave(f"a file holds no random state of {state['bit_generator']}")
    return state


def _generator_fields(value: np.random.Generator) -> dict[str, Any]:
    state = dict(value.bit_generator.state)
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise CannotSave(f"a file holds no random state of {state['bit_generator']}")
    return state


def _new_bit_generator(fields: dict[str, Any]) -> Any:
    name = fields.get("bit_generator")
    if name not in _BIT_GENERATORS:
        raise ValueError(f"there is no bit generator {checks.shown(name)}")
    inner = _of(dict, fields.get("state"))
    if name == "MT19937":  # which NumPy does not check
        key, at = inner.get("key"), inner.get("pos")
        if not isinstance(key, np.ndarray) or key.dtype != np.uint32 or key.shape != (624,):
            raise ValueError("the key of the random state is not 624 numbers")
        if type(at) is not int or not 0 <= at <= 624:
            raise ValueError("the place in the random state is none")
    made = getattr(np.random, name)(0)
    own = {key: value for key, value in fields.items() if key not in ("has_gauss", "gauss")}
    made.state = own
    return made


def _new_random_state(fields: dict[str, Any]) -> np.random.RandomState:
    made = np.random.RandomState(_new_bit_generator(fields))
    state: Any = made.get_state(legacy=False)
    more = {name: fields[name] for name in ("has_gauss", "gauss")}
    if more["has_gauss"] not in (0, 1) or type(more["gauss"]) is not float:
        raise ValueError("the random state's number to come is none")
    made.set_state({**state, **more})
    return made


def _new_generator(fields: dict[str, Any]) -> np.random.Generator:
    return np.random.Generator(_new_bit_generator(fields))


def _dataclass(cls: Any) -> _Class:
    return _Class(cls, _dataclass_fields, lambda fields: cls(**fields))


_OWN = {
    "RandomState": _Class(np.random.RandomState, _random_fields, _new_random_state),
    "Generator": _Class(np.random.Generator, _generator_fields, _new_generator),
    "SolverState": _Class(SolverState, SolverState._asdict, lambda fields: SolverState(**fields)),
    **{
        name: _dataclass(one)
        for name, one in vars(schedules).items()
        if dataclasses.is_dataclass(one) and not name.startswith("_")
    },
}
