"""`fastnn export`: a model in a file, as the source of a program in another language."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from fastnn.data import checks

if TYPE_CHECKING:
    from fastnn.files.c_source import CType

# what models are turned into
TO = {"c": "c"}
DTYPES: dict[str, CType] = {"float64": "float64", "float32": "float32", "int8": "int8"}

PARSER = {
    "help": "turn a saved model into source of another language",
    "description": "Turn a model that `save` wrote to a file into one file of C99, for programs "
    "and devices without Python.",
}


#: of the options that take one of some words, for a shell to complete
VALUES = {"--to": tuple(TO), "--dtype": tuple(DTYPES)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The model, and what it becomes."""
    parser.add_argument("model", metavar="MODEL", help="a file that save wrote")
    parser.add_argument("--to", required=True, help=f"one of {', '.join(TO)}")
    parser.add_argument(
        "--output", metavar="FILE", help="where to write it; by default standard output"
    )
    parser.add_argument(
        "--dtype", help=f"of its arithmetic: {', '.join(DTYPES)}; by default the model's own"
    )
    parser.add_argument(
        "--name", default="model", help="what all its names begin with (default: model)"
    )
    parser.add_argument(
        "--no-libm", action="store_true", help="with exp and the like of its own, not <math.h>'s"
    )


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Load, and write or print."""
    checks.choice("--to", options.to, TO)
    dtype = None if options.dtype is None else checks.choice("--dtype", options.dtype, DTYPES)
    # not before they are needed: the other commands do without models in files
    from fastnn.files import load
    from fastnn.files.c_source import check_name, to_c

    name = check_name("--name", options.name)
    if options.output is not None and os.path.exists(options.output):
        if os.path.samefile(options.model, options.output):
            raise ValueError(f"--output is the model itself: {checks.shown(options.output)}")
    source = to_c(
        load(options.model), options.output, dtype=dtype, name=name, libm=not options.no_libm
    )
    if options.output is None:
        sys.stdout.write(source)
    return 0
