"""`fastnn COMMAND ...`: the parser, one-line errors and exit statuses.

Without a command it says what one can do. Exit status: 0; 1 if the demo's two networks differ or
the doctor's test fails; 2 for bad input; 130 after Ctrl-C; 141 if nobody reads the output any
more, as `head` leaves it. A script under `fastnn run` ends with its own status.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastnn import __version__, get_num_threads
from fastnn.cli import completion, config, demo, doctor, export, run, welcome
from fastnn.data import checks

COMMANDS = {
    "completion": completion, "config": config, "demo": demo, "doctor": doctor, "export": export,
    "run": run,
}  # fmt: skip

# what a command may raise for bad input, a missing matplotlib or window, a file that cannot be
# written; of `fastnn run` only CannotRun, as everything else is the script's
ERRORS = (
    ValueError, TypeError, FloatingPointError, OSError, MemoryError, ImportError, RuntimeError
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        By default sys.argv without its first item.

    Returns
    -------
    int
        The exit status.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    of_script: list[str] = []
    if words[:1] == ["run"]:  # argparse would take the script's options for its own
        words, of_script = run.split(words)
    options = _parse(words) if words else argparse.Namespace(
        command=welcome, commands=COMMANDS
    )  # fmt: skip
    own_errors = (run.CannotRun,) if options.command is run else (*ERRORS, KeyboardInterrupt)
    try:
        if words:
            get_num_threads()  # refuses a bad FASTNN_NUM_THREADS
    except ValueError as error:
        return _fail(error)
    try:
        status: int = options.command.main(options, of_script)
        if options.command is not run and sys.stdout is not None:
            sys.stdout.flush()  # here, where an error is caught
        return status
    except own_errors as error:
        _drop_what_cannot_be_written()
        if isinstance(error, KeyboardInterrupt):
            _print_error("fastnn: interrupted")
            return 130
        return 141 if isinstance(error, BrokenPipeError) else _fail(error)


def _drop_what_cannot_be_written() -> None:
    """Leave nothing in the buffer of the output, or Python would report it again at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: BaseException) -> int:
    _print_error(f"fastnn: error: {' '.join(str(error).split()) or type(error).__name__}")
    return 2


def _print_error(line: str) -> None:
    if sys.stderr is not None:  # print would write to standard output instead
        print(line, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Errors are one line with the prefix that all errors of the command have."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastnn: error: {message}\n")


def _parse(words: list[str]) -> argparse.Namespace:
    top = _Parser(
        prog="fastnn", description="Small neural networks trained fast.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    parsers = {}
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, allow_abbrev=False, **module.PARSER)
        module.add_options(command)
        command.set_defaults(command=module)
        parsers[name] = module.PARSER["help"], command
    values = {name: getattr(module, "VALUES", {}) for name, module in COMMANDS.items()}
    parsers["completion"][1].set_defaults(parsers=parsers, values=values)
    try:
        if words and not words[0].startswith("-"):
            checks.choice("COMMAND", words[0], COMMANDS)
    except ValueError as error:
        top.error(str(error))
    options, unknown = top.parse_known_args(words)
    if unknown:
        parser = commands.choices.get(words[0], top)
        top.error(f"unrecognized arguments: {' '.join(unknown)}{_near(unknown[0], parser)}")
    if "command" not in options:
        top.error(f"there is no COMMAND: one of {', '.join(COMMANDS)}; see fastnn --help")
    return options


def _near(unknown: str, parser: argparse.ArgumentParser) -> str:
    """A hint at the option of the parser that has nearly this name, or nothing."""
    if not unknown.startswith("-"):
        return ""
    known = re.findall(r"--([a-z-]+)", parser.format_help())
    hint = checks.did_you_mean(unknown.split("=")[0].lstrip("-"), known)
    return hint.replace("mean '", "mean '--")
