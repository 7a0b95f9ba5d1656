"""`fastnn` alone: what one can do with it."""

import argparse
from collections.abc import Mapping
from types import ModuleType

from fastnn import __version__, pages

FIRST = {
    "fastnn demo": "train a small network, compare it with NumPy, and draw what it learnt",
    "fastnn run script.py": "a program of yours, with fastnn in scikit-learn's place",
    "fastnn doctor": "what runs on this machine, and whether it computes right",
}


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Print it."""
    print(text(options.commands))
    return 0


def text(commands: Mapping[str, ModuleType]) -> str:
    """Three things to try, the commands, and where there is more.

    Parameters
    ----------
    commands : mapping
        Name -> its module, which has a PARSER.
    """
    width = max(map(len, FIRST)) + 2
    return "\n".join(
        [
            f"fastnn {__version__}: small neural networks trained fast.",
            "",
            "Three things to try first:",
            *(f"  {command:<{width}}{what}" for command, what in FIRST.items()),
            "",
            "Commands (fastnn COMMAND --help has their options):",
            *(f"  {name:<{width}}{one.PARSER['help']}" for name, one in commands.items()),
            "",
            "In Python: from fastnn import MLPClassifier, MLPRegressor, Network; help(Network)",
            f"Documentation: {pages.where()}",
        ]
    )
