"""Type checkers accept right programs and report each misuse."""

import ast
import collections
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import sklearn
from estimator_cases import needs_weights

import fastnn
from fastnn import estimators
from fastnn.catalog import activations, losses, schedules, solvers
from fastnn.training.options import SolverOptions

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = Path(fastnn.__file__).resolve().parent
PROGRAMS = HERE / "typing"
# pages whose examples are checked: those that define no functions, which --strict wants annotated
PAGES = ["README.md", "docs/how-to/networks.md"]


def examples():
    """The Python examples of these pages, each page a function of its own."""
    programs = []
    for i, page in enumerate(PAGES):
        text = (ROOT / page).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
        assert code
        programs.append(f"def page_{i}() -> None:\n" + textwrap.indent(code, "    "))
    return "\n\n".join(programs)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with the programs to check, away from this source tree's settings."""
    folder = tmp_path_factory.mktemp("typing")
    for path in PROGRAMS.glob("*.py"):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "readme.py").write_text(examples(), encoding="utf-8")
    return folder


def source_tree():
    """Where checkers find fastnn if it is not in site-packages: editable installs are hidden."""
    return [str(ROOT)] if PACKAGE.parent == ROOT else []


def mypy(folder):
    """(file, line, message) of each error."""
    pytest.importorskip("mypy")
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\n"
        "[mypy-sklearn.*]\nignore_missing_imports = true\n"  # scikit-learn has no types
    )
    command = [sys.executable, "-m", "mypy", "--output=json", "--cache-dir=cache", "."]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(source_tree())}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [
        (Path(error["file"]).name, error["line"], error["message"])
        for error in found
        if error["severity"] == "error"
    ]


def pyright(folder):
    """(file, line, message) of each error."""
    pytest.importorskip("pyright")
    settings = {
        "include": ["*.py"],
        "extraPaths": source_tree(),
        "pythonVersion": "{}.{}".format(*sys.version_info),
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    environment = {
        **os.environ,
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }  # do not look for a newer one
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return [
        (Path(error["file"]).name, error["range"]["start"]["line"] + 1, error["message"])
        for error in json.loads(result.stdout)["generalDiagnostics"]
        if error["severity"] == "error"
    ]


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda checker: checker.__name__)
def errors(request, programs):
    return request.param(programs)


def test_right_programs_have_no_errors(errors):
    assert [error for error in errors if error[0] in ("user_program.py", "readme.py")] == []


def test_each_misuse_has_one_error(errors):
    lines = (PROGRAMS / "misuses.py").read_text(encoding="utf-8").splitlines()
    marked = {i: line for i, line in enumerate(lines, 1) if line.endswith("# error")}
    assert len(marked) >= 10
    found = collections.Counter(line for file, line, _ in errors if file == "misuses.py")
    assert {lines[i - 1]: n for i, n in found.items()} == dict.fromkeys(marked.values(), 1)


@needs_weights
def test_right_program_runs(tmp_path):
    command = [sys.executable, str(PROGRAMS / "user_program.py")]
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(source_tree())}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)


# ---- what is written twice, once for checkers ---------------------------------------------------


def stub(path):
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


def test_stub_has_the_public_names():
    names = set()
    for node in stub("__init__.pyi").body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            assert ast.literal_eval(node.value) == fastnn.__all__
            names.add("__all__")
    assert names == {*dir(fastnn), "__all__"}


@pytest.mark.parametrize("name", estimators.__all__)
def test_stub_has_the_estimators_parameters(name):
    classes = {
        node.name: node
        for node in stub("estimators/__init__.pyi").body
        if isinstance(node, ast.ClassDef)
    }
    (constructor,) = (
        node
        for node in classes[name].body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    options = classes[constructor.args.kwarg.annotation.slice.id]  # may extend those of both
    more = [classes["_Options"]] if options.name != "_Options" else []
    written = [arg.arg for arg in (*constructor.args.args[1:], *constructor.args.kwonlyargs)]
    written += [node.target.id for each in (*more, options) for node in each.body]
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
        written = [option for option in written if option != "loss"]
    assert written == list(inspect.signature(getattr(estimators, name)).parameters)


def test_names_for_checkers_are_the_catalogs():
    for literal, spellings in (
        (activations.ActivationName, activations.SPELLINGS),
        (losses.LossName, losses.SPELLINGS),
        (schedules.ScheduleName, schedules.SPELLINGS),
        (solvers.SolverName, solvers.SPELLINGS),
    ):
        assert set(literal.__args__) == set(spellings)
    parameters = {p.name for p in solvers.PARAMETERS}
    named = {"solver", "learning_rate", "dropout"}
    assert set(SolverOptions.__annotations__) == named | parameters
