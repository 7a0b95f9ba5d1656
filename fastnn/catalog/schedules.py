"""Schedules: a row each. The arithmetic is in fastnn/schedules.py."""

from typing import Literal, NamedTuple

# Every accepted spelling, for type checkers; a test compares it with the rows.
ScheduleName = Literal[
    "constant", "linear", "cosine", "cosine_annealing", "one_cycle", "onecycle", "1cycle", "step",
    "multistep", "exponential", "inverse_sqrt", "inverse_square_root",
]  # fmt: skip


class Schedule(NamedTuple):
    """One way in which a number changes while a network trains.

    Attributes
    ----------
    name : str
        As `Network.fit` takes it.
    help : str
        One line.
    formula : str
        The factor at the share t of the training that is done, from 0 up to, not including, 1,
        with the numbers that the name alone stands for.
    aliases : tuple of str
        Other accepted spellings.
    """

    name: str
    help: str
    formula: str
    aliases: tuple[str, ...] = ()


SCHEDULES = (
    Schedule("constant", "always the same", "1"),
    Schedule("linear", "falls by as much in every step", "1 - t"),
    Schedule(
        "cosine", "falls along half a cosine (Loshchilov and Hutter, 2017)",
        "(1 + cos(pi t)) / 2", ("cosine_annealing",),
    ),
    Schedule(
        "one_cycle", "rises from 1/25 to 1 in the first 3/10, then falls to 1/250000 "
        "(Smith and Topin, 2019)",
        "half a cosine up to t = 0.3, then half a cosine down", ("onecycle", "1cycle"),
    ),
    Schedule(
        "step", "a tenth at half of the training, a tenth of that at three quarters (He et al., "
        "2016)", "1 if t < 1/2 else 1/10 if t < 3/4 else 1/100", ("multistep",),
    ),
    Schedule("exponential", "falls by the same factor in every step, to 1/100", "0.01^t"),
    Schedule(
        "inverse_sqrt", "rises in the first 4/100, then falls with the root of the step "
        "(Vaswani et al., 2017)", "t / 0.04 if t < 0.04 else sqrt(0.04 / t)",
        ("inverse_square_root",),
    ),
)  # fmt: skip

BY_NAME = {row.name: row for row in SCHEDULES}
# every accepted spelling -> its name
SPELLINGS = {spelling: row.name for row in SCHEDULES for spelling in (row.name, *row.aliases)}
