"""Refuses what cannot be trained on, in one line that names the argument, what it got and what it
takes; and turns everything else into the arrays and numbers that the kernels read."""

import math
import numbers
import operator

import numpy as np

BLOCK = 50_000  # elements that are looked at together


def shown(value):
    """value for a message: on one line, and not too long a one."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print integers of many thousand digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def numeric_array(name, value):
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
    return value


def finite_array(name, value, dtype):
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
        at = ", ".join(map(str, at))
        raise ValueError(f"{name}[{at}] is {got}{reason}; every value must be finite")
    return array


def first_where(condition, array):
    """The index of the first element for which condition(some elements) is true, or None.

    array is C-contiguous. It is looked at in blocks that stay in the cache: a mask of the whole
    may take more memory than training does.
    """
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        mask = condition(flat[start : start + BLOCK])
        if mask.any():
            return tuple(int(i) for i in np.unravel_index(start + mask.argmax(), array.shape))
    return None


def matrix(name, value, dtype, n_columns, column, n_rows=None):
    """value as a finite (n_rows, n_columns) array of dtype, ready for the kernels.

    A column is what the error messages call it: "feature" or "output". n_rows None: any number
    but none.
    """
    if type(value) is np.ndarray and value.dtype is dtype and value.ndim == 2:
        # one row asked for again and again: the shortest way through what follows
        rows, columns = value.shape
        if columns == n_columns and 0 < rows * columns < 10_000 and n_rows in (None, rows):
            if value.flags.carray and math.isfinite(np.vdot(value, value)):
                return value
    value = numeric_array(name, value)
    if value.ndim != 2:
        hint = f"; for one {column} use {name}.reshape(-1, 1)" if value.ndim == 1 else ""
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


def whole_number(name, value, low=1, high=2**48):
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


def n_jobs(name, value):
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


def real_number(name, value, low=-math.inf, high=math.inf, closed="neither"):
    """value as a finite float between low and high; closed: "neither", "left" or "both".

    Raises
    ------
    TypeError
        For anything but a real number; a bool is none.
    ValueError
        For NaN, infinity, or a number out of bounds.
    """
    if type(value) is float and low < value < high:
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


def boolean(name, value):
    """value as a bool.

    Raises
    ------
    TypeError
        For anything but True and False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def choice(name, value, known):
    """known[value], where known maps every accepted name to what it means.

    Raises
    ------
    TypeError
        If value is not a string.
    ValueError
        If it is not a known name; the message lists those.
    """
    names = ", ".join(repr(key) for key in known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {names}, got {shown(value)}")
    if value not in known:
        raise ValueError(f"{name} must be one of {names}, got {shown(value)}")
    return known[value]


def random_state(value):
    """value as a numpy.random.RandomState: None is the global one of np.random, an int a seed.

    Raises
    ------
    TypeError, ValueError
        For anything else, or a seed outside 0 .. 2**32 - 1.
    """
    if value is None:
        return np.random.mtrand._rand
    if isinstance(value, np.random.RandomState):
        return value
    if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
        if not 0 <= value < 2**32:
            raise ValueError(f"random_state must be in 0 .. 2**32 - 1, got {shown(value)}")
        return np.random.RandomState(int(value))
    raise TypeError(f"random_state must be None, an int or a RandomState, got {shown(value)}")
