"""Refuses bad input in one line that names the argument, what it got and what it takes; turns
everything else into the arrays and numbers that the kernels read."""

import contextlib
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastnn import pages
from fastnn.catalog import activations, losses
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.names import NOT_HERE, OTHER_NAMES

BLOCK = 50_000  # elements that are examined together
MOST = 2**48  # the largest whole number that is taken

_T = TypeVar("_T")


def shown(value: object) -> str:
    """value for a message: on one line, shortened."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print integers of many thousand digits
        text = f"a huge {type(value).__name__}"
    except Exception:  # whatever somebody's __repr__ raises; what is wrong is something else
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextlib.contextmanager
def naming(what: str | Callable[[], str]) -> Iterator[None]:
    """A context in which refusals say what they are about; a function is asked for it then."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        about = what if isinstance(what, str) else what()
        raise kind(f"{about}: {' '.join(str(error).split())}") from None


def numeric_array(name: str, value: Any) -> NDArray[Any]:
    """value as an array of real numbers of any dtype and layout.

    Raises
    ------
    TypeError
        For sparse and masked arrays, and for anything but real numbers.
    ValueError
        For nested sequences of unequal lengths.
    """
    if type(value) is not np.ndarray:
        if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
            raise TypeError(f"{name} is sparse; pass a dense array: {name}.toarray()")
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{name} is a masked array; fill or drop the masked values first")
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"{name} cannot be made an array of numbers: {shown(str(error))}"
            ) from None
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    array: NDArray[Any] = value
    return array


def finite_array(name: str, value: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """value as a C-contiguous, aligned array of dtype in native byte order; no copy if it is one.

    Raises
    ------
    ValueError
        For NaN, infinity, and numbers too large for dtype; it names the first.
    """
    if type(value) is np.ndarray and value.dtype == dtype and value.flags.carray:
        array = value
    else:
        with np.errstate(over="ignore"):
            array = np.require(value, dtype, ["C", "A"])
    if array.size < 10_000 and math.isfinite(np.vdot(array, array)):
        return array  # the shortest way: one number that is not finite makes the sum so
    at = first_where(lambda block: ~np.isfinite(block), array)
    if at is not None:
        got = value[at]
        reason = f" (too large for {dtype})" if np.isfinite(got) else ""
        index = ", ".join(map(str, at))
        raise ValueError(f"{name}[{index}] is {got}{reason}; every value must be finite")
    return array


def first_where(
    condition: Callable[[NDArray[Any]], NDArray[Any]], array: NDArray[Any]
) -> tuple[int, ...] | None:
    """The index of the first element for which condition(some elements) is true, or None.

    array is C-contiguous. It is examined in blocks that stay in the cache: a mask of the whole
    could take more memory than training.
    """
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        mask = condition(flat[start : start + BLOCK])
        if mask.any():
            return tuple(int(i) for i in np.unravel_index(start + mask.argmax(), array.shape))
    return None


def matrix(
    name: str,
    value: Any,
    dtype: np.dtype[Any],
    n_columns: int,
    column: str,
    n_rows: int | None = None,
) -> NDArray[Any]:
    """value as a finite (n_rows, n_columns) array of dtype, ready for the kernels.

    column is the word for one in messages: "feature" or "output". n_rows None: any number >= 1.
    """
    if type(value) is np.ndarray and value.dtype is dtype and value.ndim == 2:
        # the shortest way through the checks below, for one row predicted again and again
        rows, columns = value.shape
        if columns == n_columns and 0 < rows * columns < 10_000 and n_rows in (None, rows):
            if value.flags.carray and math.isfinite(np.vdot(value, value)):
                return value
    value = numeric_array(name, value)
    if value.ndim != 2:
        hint = ""
        if value.ndim == 1 and n_columns == 1:
            hint = f"; for one {column} use {name}.reshape(-1, 1)"
        elif value.ndim == 1 and len(value) == n_columns:
            hint = f"; for one row use {name}.reshape(1, -1)"
        raise ValueError(
            f"{name} must have two dimensions (rows, {column}s), got shape {value.shape}{hint}"
        )
    if value.shape[0] == 0:
        raise ValueError(f"{name} is empty: it has shape {value.shape} and needs at least one row")
    if value.shape[1] != n_columns:
        raise ValueError(
            f"{name} must have {n_columns} column{'s' * (n_columns != 1)}, one for each {column}, "
            f"got shape {value.shape}"
        )
    if n_rows is not None and value.shape[0] != n_rows:
        raise ValueError(f"{name} must have {n_rows} rows, as many as X, got {value.shape[0]}")
    return finite_array(name, value, dtype)


def outputs(y: Any, dtype: np.dtype[Any], n_outputs: int, n_rows: int) -> NDArray[Any]:
    """y as `matrix` makes it; for one output it may have one dimension."""
    y = numeric_array("y", y)
    if y.ndim == 1 and n_outputs == 1:
        y = y.reshape(-1, 1)
    elif y.ndim == 1:
        raise ValueError(
            f"y must have shape ({n_rows}, {n_outputs}), one column for each output, got "
            f"{y.shape}; for class numbers use np.eye({n_outputs})[y]"
        )
    return matrix("y", y, dtype, n_outputs, "output", n_rows)


def weights(name: str, value: Any, dtype: np.dtype[Any], n_rows: int) -> NDArray[Any]:
    """value as n_rows finite weights >= 0 of dtype, of which some are above 0."""
    value = numeric_array(name, value)
    if value.shape != (n_rows,):
        raise ValueError(
            f"{name} must have shape ({n_rows},), one weight for each row, got {value.shape}"
        )
    array = finite_array(name, value, dtype)
    at = first_where(lambda block: block < 0, array)
    if at is not None:
        raise ValueError(f"{name} must be at least 0, got {name}[{at[0]}] = {value[at]}")
    with np.errstate(over="ignore"):
        total = array.sum()
    if not (total > 0 and np.isfinite(total)):
        what = (
            "is 0 for every row: the weights must add up to more"
            if total == 0
            else (f"adds up to more than {dtype} can hold")
        )
        raise ValueError(f"{name} {what}")
    return array


def whole_number(name: str, value: Any, low: int = 1, high: int = MOST) -> int:
    """value as an int from low to high.

    Raises
    ------
    TypeError
        For anything but a whole number; a bool is none.
    ValueError
        For one below low or above high.
    """
    if type(value) is int and low <= value <= high:
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number >= {low}, got {shown(value)}") from None
    if not low <= number <= high:
        at_most = f" and <= {high}" if number > high else ""
        raise ValueError(f"{name} must be a whole number >= {low}{at_most}, got {shown(value)}")
    return number


def batch_size(name: str, value: Any, n_rows: int) -> int:
    """value, a whole number >= 1 or "auto", as a number of rows: at most n_rows."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f'{name} must be a whole number >= 1 or "auto", got {shown(value)}')
        value = 200
    return min(whole_number(name, value), n_rows)


def n_jobs(name: str, value: Any) -> int | None:
    """A number of threads: None, -1 or a whole number >= 1.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if value is None or (isinstance(value, numbers.Integral) and value == -1):
        return value if value is None else -1
    try:
        return whole_number(name, value)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name} must be None, -1 (all cores) or a whole number >= 1, got {shown(value)}"
        ) from None


def real_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    closed: str = "neither",
) -> float:
    """value as a finite float between low and high; closed: "neither", "left" or "both".

    Raises
    ------
    TypeError
        For anything but a real number; a bool is none.
    ValueError
        For NaN, infinity, or a number out of bounds.
    """
    if type(value) is float and (low < value < high or (value == low and closed != "neither")):
        return value
    left, right = ("[" if closed != "neither" else "("), ("]" if closed == "both" else ")")
    allowed = (
        f"{name} must be a finite number in {left}{low:g}, {high:g}{right}, got {shown(value)}"
    )
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(allowed)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(allowed) from None
    inside = (number >= low if left == "[" else number > low) and (
        number <= high if right == "]" else number < high
    )
    if not (math.isfinite(number) and inside):
        raise ValueError(allowed)
    return number


def boolean(name: str, value: Any) -> bool:
    """value as a bool.

    Raises
    ------
    TypeError
        For anything but True and False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint at the known name that is meant, or nothing.

    It is the same name in other letters, what another library's name means, or the nearest.
    """
    by_plain_name = {_plain(one): one for one in known}
    asked = _plain(str(name))
    if asked in by_plain_name:
        near = [asked]
    elif asked in NOT_HERE:
        return NOT_HERE[asked]
    else:
        near = [_plain(one) for one in OTHER_NAMES.get(asked, ())]
        near = [one for one in near if one in by_plain_name]
    if not near:
        import difflib  # for errors alone: importing fastnn shall be light

        near = difflib.get_close_matches(asked, by_plain_name, 1)
    return f"; did you mean {by_plain_name[near[0]]!r}?" if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """What a module raises that has no such attribute, with a hint."""
    # the import system asks for names such as __path__, and shows no error
    hint = "" if name.startswith("__") else did_you_mean(name, known)
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def as_list(value: Any) -> Any:
    """An array, a series or a sequence as a list; anything else, an array of one number too, as
    it is."""
    if isinstance(value, (str, bytes)):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    return list(value) if isinstance(value, Sequence) else value


def choice(name: str, value: Any, known: Mapping[str, _T]) -> _T:
    """known[value], where known maps every accepted name to its meaning.

    Raises
    ------
    TypeError
        If value is not a string.
    ValueError
        If it is not a known name; the message lists those.
    """
    if type(value) is str and value in known:
        return known[value]
    main = [key for key, meaning in known.items() if meaning == key]  # without other spellings
    names = ", ".join(repr(key) for key in main or known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {names}, got {shown(value)}")
    if value not in known:
        raise ValueError(
            f"{name} must be one of {names}, got {shown(value)}{did_you_mean(value, known)}"
        )
    return known[value]


def random_state(value: Any) -> np.random.RandomState:
    """value as a numpy.random.RandomState.

    None is the global one of np.random, an int a seed. A Generator lends its bit generator, so
    that drawing advances it.

    Raises
    ------
    TypeError, ValueError
        For anything else, or a seed outside 0 .. 2**32 - 1.
    """
    if type(value) is int and 0 <= value < 2**32:
        return seeded(value)
    if value is None:
        return np.random.mtrand._rand
    if isinstance(value, np.random.RandomState):
        return value
    if isinstance(value, np.random.Generator):
        return np.random.RandomState(value.bit_generator)
    if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
        if not 0 <= int(value) < 2**32:
            raise ValueError(f"random_state must be in 0 .. 2**32 - 1, got {shown(value)}")
        return seeded(int(value))
    raise TypeError(
        f"random_state must be None, an int, a RandomState or a Generator, got {shown(value)}"
    )


class _Zeros(np.random.bit_generator.ISeedSequence):
    """The seed of a bit generator that is seeded anew at once."""

    _words = (0,) * 624  # MT19937 asks for so many, and reads a tuple faster than an array

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return self._words[:n_words]  # all of them are no copy


_ZEROS = _Zeros()


def seeded(seed: Any) -> np.random.RandomState:
    """numpy.random.RandomState(seed), 15 times sooner.

    That constructor gathers entropy for a state that it then replaces by the seed's.
    """
    random_state = np.random.RandomState(np.random.MT19937(_ZEROS))  # type: ignore[arg-type]
    random_state.seed(seed)
    return random_state


# ---- networks -----------------------------------------------------------------------------------


def layer_units(value: Any, name: str = "layer_units") -> tuple[int, ...]:
    """value as a tuple of at least two whole numbers >= 1."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(
            f"{name} must be a sequence of whole numbers such as [2, 4, 8, 1], got {shown(value)}"
        )
    units = tuple(value)
    if set(map(type, units)) != {int} or min(units) < 1 or max(units) > MOST:
        units = tuple(whole_number(f"{name}[{i}]", n) for i, n in enumerate(units))
    if len(units) < 2:
        raise ValueError(
            f"{name} must hold at least inputs and outputs, such as [2, 1], got {list(units)}"
        )
    return units


def layer_activations(
    activation: Any, out_activation: Any, loss: str, layer_units: Sequence[int]
) -> tuple[ActivationName, ...]:
    """The activation of each layer, from `Network`'s arguments; loss is checked already."""
    n_layers = len(layer_units) - 1
    needed = losses.BY_NAME[loss].out_activation
    spellings = activations.SPELLINGS
    names: tuple[ActivationName, ...]
    if isinstance(activation, str):
        hidden = choice("activation", activation, spellings)
        if out_activation is None:
            out = needed or ("sigmoid" if hidden == "sigmoid" else "identity")
        else:
            out = choice("out_activation", out_activation, spellings)
        names = (hidden,) * (n_layers - 1) + (out,)
        if not activations.BY_NAME[hidden].hidden:
            raise ValueError(f'activation "{hidden}" is for the output: out_activation="{hidden}"')
    else:
        if not isinstance(activation, Sequence):
            raise TypeError(
                f"activation must be a name or one name for each layer, got {shown(activation)}"
            )
        if out_activation is not None:
            raise ValueError("give out_activation or one activation for each layer, not both")
        names = tuple(
            choice(f"activation[{i}]", name, spellings) for i, name in enumerate(activation)
        )
        if len(names) != n_layers:
            raise ValueError(
                f"activation must be one name, or {n_layers}, one for each layer after the input; "
                f"got {len(names)}"
            )
        for name in names[:-1]:
            if not activations.BY_NAME[name].hidden:
                raise ValueError(f'activation "{name}" may only come last, got {list(names)}')
    if needed and names[-1] != needed:
        raise ValueError(
            f"loss {loss!r} goes with the output activation {needed!r}, got {names[-1]!r}"
        )
    if names[-1] == "softmax" and layer_units[-1] == 1:
        raise ValueError(
            "softmax over one output is always 1; for yes or no use one output with "
            'loss="binary_log_loss"'
        )
    return names


def loss_domain(y: NDArray[Any], loss: str) -> None:
    """Refuse targets outside the loss's domain.

    Raises
    ------
    ValueError
        It names the first.
    """
    row = losses.BY_NAME[loss]
    at = _outside(y, row.low, row.high)
    if row.open_low:
        at = first_where(lambda block: block <= row.low, y)
    domain = f"above {row.low:g}" if row.open_low else _interval(row.low, row.high)
    if at is not None:
        message = f"y must be {domain} for loss {loss!r}, got y[{at[0]}, {at[1]}] = {y[at]}"
        raise ValueError(pages.see("targets", message))
    if row.rows_sum_to_one:
        _rows_sum_to_one(y, loss)


def targets(y: NDArray[Any], loss: str, out_activation: str) -> None:
    """Refuse targets outside the loss's domain, or out of reach of the output's activation.

    Raises
    ------
    ValueError
        It names the first.
    """
    loss_domain(y, loss)
    output = activations.BY_NAME[out_activation]
    at = _outside(y, output.low, output.high)
    if at is not None:
        message = (
            f"y[{at[0]}, {at[1]}] = {y[at]} is out of reach: the output activation "
            f"{out_activation!r} gives values {_interval(output.low, output.high)}; use "
            'out_activation="identity", or scale y'
        )
        raise ValueError(pages.see("targets", message))


def _outside(y: NDArray[Any], low: float, high: float) -> tuple[int, ...] | None:
    if low == -math.inf and high == math.inf:
        return None
    if y.size < 10_000 and y.min() >= low and y.max() <= high:
        return None
    return first_where(lambda block: (block < low) | (block > high), y)


def _interval(low: float, high: float) -> str:
    return f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"


def _rows_sum_to_one(y: NDArray[Any], loss: str) -> None:
    n_rows = max(1, BLOCK // y.shape[1])
    for rows in (slice(row, row + n_rows) for row in range(0, len(y), n_rows)):
        sums = y[rows].sum(axis=1, dtype=np.float64)
        wrong = np.abs(sums - 1) > y.shape[1] * 4 * np.finfo(y.dtype).eps
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"each row of y must sum to 1 for loss {loss!r}, got {sums[row]:g} in row "
                f"{rows.start + row}"
            )
            raise ValueError(pages.see("targets", message))
