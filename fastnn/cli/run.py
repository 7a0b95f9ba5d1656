"""`fastnn run`: a Python program with fastnn's MLPClassifier and MLPRegressor in scikit-learn's
place.

It runs whatever `python` runs: a script (.py or .pyc), a folder or zip archive with a __main__.py,
`-` for standard input, and with -m a module or package. sys.argv, sys.path and the variables of
__main__ are those of Python, and __main__ stays after the last line, for threads, exit handlers
and pickles.
"""

import argparse
import builtins
import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import io
import os
import pkgutil
import sys
import types
from typing import Any, NamedTuple

from fastnn import patching
from fastnn.data import checks

PARSER = {
    "help": "run a program with fastnn in scikit-learn's place",
    "description": "Run a Python program as Python itself would, with fastnn's MLPClassifier and "
    "MLPRegressor where it imports scikit-learn's.",
    "usage": "fastnn run [-h] (SCRIPT | -m MODULE) [arguments ...]",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to run."""
    parser.add_argument("-m", dest="module", metavar="MODULE", help="a module or package to run")
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT",
        help="a script, a folder or zip archive with a __main__.py, or - for standard input; all "
        "that follows is for the program",
    )  # fmt: skip


class CannotRun(Exception):
    """There is no such program; the message says why."""


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """`run` with its own options and target; what follows, which belongs to the program."""
    for i, word in enumerate(words[1:], 1):
        if word in ("-m", "--"):
            return words[: i + 2], words[i + 2 :]
        if word.startswith("-m") or word == "-" or not word.startswith("-"):
            return words[: i + 1], words[i + 1 :]
    return words, []


class Program(NamedTuple):
    """Code to run as __main__, and the module's variables."""

    code: types.CodeType
    variables: dict[str, Any]


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Run the program; what it raises is passed on.

    Raises
    ------
    CannotRun
        If there is no such program.
    """
    if options.module is None and options.script is None:
        raise CannotRun("run needs a SCRIPT or -m MODULE; see fastnn run --help")
    try:
        patching.patch_sklearn()  # for good: threads and exit handlers may outlive the last line
    except ImportError as error:
        raise CannotRun(str(error)) from error
    sys.argv = ["-m" if options.module is not None else options.script, *words]
    if options.module is not None:
        program = _module(options.module)
        sys.argv[0] = program.variables["__file__"]
    elif options.script == "-":
        program = _standard_input()
    else:
        program = _path(options.script)
    own, module = sys.modules["__main__"], types.ModuleType("__main__")
    sys.modules["__main__"] = module
    vars(module).update(program.variables, __builtins__=builtins)
    if "__annotations__" in vars(own):  # there from the beginning in this version of Python
        module.__annotations__ = {}
    sys.excepthook = functools.partial(_show, program.code)
    # the user's own script, as python runs it
    exec(program.code, vars(module))  # nosec B102
    return 0


def _show(
    code: types.CodeType, kind: Any, error: BaseException, traceback: types.TracebackType | None
) -> None:
    """sys.excepthook: show an error from the program's first line on, without the way there."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_code is not code:
        inner = inner.tb_next
    if inner is not None:
        error, traceback = error.with_traceback(inner), inner
    sys.__excepthook__(kind, error, traceback)


def _put_first(folder: str) -> None:
    """Put the program's folder where Python does: first in sys.path, unless python -P says no."""
    if not sys.flags.safe_path:
        sys.path[:1] = [folder]  # in place of the current folder, or the one of the fastnn script


def _compiled(source: bytes, name: str, shown: str) -> types.CodeType:
    try:
        return compile(source, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and error.text:
            # as Python shows it, without the way to here
            sys.excepthook(type(error), error.with_traceback(None), None)
            raise SystemExit(1) from None
        raise CannotRun(f"{shown} is no Python program: {error}") from error  # bytes, not text


def _standard_input() -> Program:
    if sys.stdin is None:
        raise CannotRun("there is no standard input to read the program from")
    _put_first("")
    source = sys.stdin.buffer.read()
    code = _compiled(source, "<stdin>", "standard input")
    loader = importlib.machinery.BuiltinImporter
    return Program(code, {"__file__": "<stdin>", "__loader__": loader, **_cached(None)})


def _path(target: str) -> Program:
    """A script, or a folder or zip archive with a __main__.py."""
    # as Python makes it absolute, without a look at ".."
    path = os.getcwd() if target == "." else os.path.join(os.getcwd(), target)
    if not os.path.exists(path):
        raise CannotRun(f"there is no script {target}")
    if pkgutil.get_importer(path) is not None:
        return _container(target, path)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise CannotRun(f"{target} cannot be read: {error.strerror}") from error
    if path.endswith(".pyc"):
        loader: Any = importlib.machinery.SourcelessFileLoader("__main__", path)
        try:
            code = loader.get_code("__main__")
        except (ImportError, EOFError, ValueError, TypeError) as error:
            raise CannotRun(f"{target}: {error}") from error
    else:
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        code = _compiled(source, path, target)
    _put_first(os.path.dirname(os.path.realpath(path)))
    return Program(code, {"__file__": path, "__loader__": loader, **_cached(None)})


def _container(target: str, path: str) -> Program:
    spec = importlib.machinery.PathFinder.find_spec("__main__", [path])
    if spec is None or not spec.has_location:
        raise CannotRun(f"{target} has no __main__.py that could be run")
    if sys.flags.safe_path:
        sys.path.insert(0, path)  # Python puts it there all the same
    else:
        _put_first(path)
    return _of_spec(spec, target)


def _module(name: str) -> Program:
    """A module by its name, or the __main__ of a package."""
    _put_first(os.getcwd())
    spec = _find(name)
    if spec.submodule_search_locations is not None:
        if name.endswith(".__main__"):
            raise CannotRun(f"{name} is a package; it cannot be run as a module")
        spec = _find(f"{name}.__main__", f"package {name} has no __main__ that could be run")
    return _of_spec(spec, name)


def _find(name: str, otherwise: str = "") -> importlib.machinery.ModuleSpec:
    if name in ("", "__main__") or name.startswith("."):
        raise CannotRun(f"-m takes the full name of a module, got {checks.shown(name)}")
    parent = name.rpartition(".")[0]
    spec = None
    try:
        if parent:
            importlib.import_module(parent)
    except ModuleNotFoundError as error:
        # the parent itself, not what it imports
        if error.name is None or not f"{parent}.".startswith(f"{error.name}."):
            raise
    else:
        with contextlib.suppress(ModuleNotFoundError, ValueError):  # no package, or no __spec__
            spec = importlib.util.find_spec(name)
    if spec is None:
        hint = f"; did you mean {name[:-3]!r}?" if name.endswith(".py") else ""
        raise CannotRun((otherwise or f"there is no module {name}") + hint)
    return spec


def _of_spec(spec: importlib.machinery.ModuleSpec, shown: str) -> Program:
    get_code = getattr(spec.loader, "get_code", None)
    code = None if get_code is None else get_code(spec.name)
    if code is None:
        raise CannotRun(f"{shown} has no Python code that could be run")
    variables = {
        "__file__": spec.origin, **_cached(spec.cached), "__loader__": spec.loader,
        "__package__": spec.parent, "__spec__": spec,
    }  # fmt: skip
    return Program(code, variables)


def _cached(path: str | None) -> dict[str, str | None]:
    """Modules have this name up to Python 3.14."""
    return {"__cached__": path} if sys.version_info < (3, 15) else {}
