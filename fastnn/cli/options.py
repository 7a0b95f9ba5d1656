"""Values of options, from their text."""

import re

from fastnn.data import checks


def whole_number(name: str, text: str, low: int = 1, high: int = 2**48) -> int:
    """A whole number from low to high; 1e3 and 1000.0 are 1000.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    value: object = text
    try:
        value = int(text)
    except ValueError:
        try:
            real = float(text)
            value = int(real) if real.is_integer() else text
        except ValueError:
            pass
    return checks.whole_number(name, value, low, high)


def real_number(name: str, text: str, low: float, closed: str = "neither") -> float:
    """A finite number above low, or from it on if closed is "left".

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return checks.real_number(name, value, low, closed=closed)


def topology(text: str) -> tuple[int, ...]:
    """The units of each layer from 2-4-8-1, 2,4,8,1, 2x4x8x1, "2 4 8 1" or "[2, 4, 8, 1]".

    Raises
    ------
    ValueError
        Unless they are whole numbers >= 1 with 2 inputs and 1 output.
    """
    words = re.split(r"\s*[-,x\s]\s*", text.strip(" []()"))
    # at most 20 digits: Python refuses to read thousands of them
    units = tuple(int(word) for word in words if re.fullmatch("[0-9]{1,20}", word))
    whole = len(units) == len(words) and min(units) >= 1
    if not whole or len(units) < 2 or (units[0], units[-1]) != (2, 1):
        raise ValueError(
            "--topology must be whole numbers >= 1 such as 2-4-8-1, with 2 inputs and 1 output, "
            f"got {checks.shown(text)}"
        )
    return units
