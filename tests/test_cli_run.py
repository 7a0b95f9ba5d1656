"""`fastnn run`: what Python runs, as Python runs it, patched; one line for the rest."""

import os
import py_compile
import subprocess
import sys
import zipfile

import pytest
from conftest import PYTHON

import fastnn
from fastnn.cli.main import main

# Prints whether scikit-learn is patched, and what a program sees of how it was started. Importing
# scikit-learn takes ten times as long as the rest: with its last argument only.
IMPORT = "import it"
PROGRAM = f"""
import sys
if sys.argv[-1] == "{IMPORT}":
    from sklearn.neural_network import MLPRegressor
    print(MLPRegressor.__module__.split(".")[0])
else:
    print("fastnn" if "fastnn.patching" in sys.modules else "sklearn")
me = sys.modules["__main__"]
print(__name__, vars(me) is globals(), me.__name__, __package__, __doc__)
print(None if __spec__ is None else (__spec__.name, __spec__.origin), type(__loader__).__name__)
print(globals().get("__file__"), globals().get("__cached__"), type(__builtins__).__name__)
print(sys.argv, sys.path[0], sorted(globals()))
import beside
sys.exit(3)
"""
BESIDE = "print('beside', __name__)"

TARGETS = {
    "a script": ["folder/program.py", "-x", "--help", "-", "--", "-m", IMPORT],
    "a script above": ["../program.py"],
    "a script without a suffix": ["folder/program"],
    "a script right here": ["./link.py"],
    "a link to a script": ["link.py"],
    "a compiled script": ["folder/compiled.pyc"],
    "a folder": ["folder", "run", IMPORT],
    "a folder, the long way": ["package/../folder/"],
    "the present folder": ["."],
    "a zip archive": ["program.zip", "-v"],
    "a zip archive with a first line": ["program.pyz"],
    "standard input": ["-", "-a", "b", IMPORT],
    "a module": ["-m", "program", "-m", IMPORT],
    "a module, in one word": ["-mprogram", "x"],
    "a module of a package": ["-m", "package.program"],
    "a package": ["-m", "package", "--version"],
    "behind --": ["--", "folder/program.py", "--"],
}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    fastnn.unpatch_sklearn()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a program in every shape."""
    above = tmp_path_factory.mktemp("programs")
    here = above / "here"
    for folder in (here, here / "folder", here / "package"):
        folder.mkdir()
        (folder / "beside.py").write_text(BESIDE)
        (folder / "program.py").write_text(PROGRAM)
        (folder / "__main__.py").write_text(PROGRAM)
    (here / "package" / "__init__.py").write_text("print('parent')")
    (above / "beside.py").write_text(BESIDE)
    (above / "program.py").write_text(PROGRAM)
    (here / "folder" / "program").write_text(PROGRAM)
    (here / "link.py").symlink_to(here / "folder" / "program.py")
    py_compile.compile(here / "folder" / "program.py", here / "folder" / "compiled.pyc")
    with zipfile.ZipFile(here / "program.zip", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
        archive.writestr("beside.py", BESIDE)
    first_line = b"#!/usr/bin/env python3\n"
    (here / "program.pyz").write_bytes(first_line + (here / "program.zip").read_bytes())
    return here


def run(*command, cwd, program=None):
    return subprocess.run(
        [*PYTHON, *command], cwd=cwd, input=program, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_as_python_runs_it(target, here):
    """Same output and exit status, but for whose class it is."""
    program = PROGRAM if target[0] == "-" else None
    assert compared(target, here, program=program) == 3


@pytest.mark.parametrize(("target", "status"), [("folder", 3), ("folder/program.py", 1)])
def test_under_python_P(target, status, here):
    """A script's folder is not in sys.path, so nothing beside it is found; a folder itself is."""
    assert compared([target], here, "-P") == status


def compared(target, here, *options, program=None):
    theirs = run(*options, *target, cwd=here, program=program)
    ours = run(*options, "-m", "fastnn", "run", *target, cwd=here, program=program)
    assert "sklearn\n" in theirs.stdout, theirs.stderr
    assert ours.stdout == theirs.stdout.replace("sklearn\n", "fastnn\n", 1)
    assert ours.returncode == theirs.returncode
    return ours.returncode


def test_the_module_outlives_its_last_line(here):
    """Exit handlers, threads and pickles find __main__, and scikit-learn patched."""
    program = """
import atexit, pickle
import sklearn.utils  # not for the first time while Python ends: that fails without fastnn, too
class Own:
    pass
def last():
    from sklearn.neural_network import MLPRegressor
    print(MLPRegressor.__module__.split(".")[0], type(pickle.loads(pickle.dumps(Own()))) is Own)
atexit.register(last)
"""
    (here / "last").mkdir()
    (here / "last" / "__main__.py").write_text(program)
    (here / "last" / "__init__.py").write_text("")
    for target in (["last/__main__.py"], ["last"], ["-m", "last"], ["-"]):
        done = run("-m", "fastnn", "run", *target, cwd=here, program=program)
        assert done.stdout == "fastnn True\n", (target, done.stderr)
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("raise ValueError('mine')", "ValueError: mine"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def", "SyntaxError: invalid syntax"),
    ],
)
@pytest.mark.parametrize("package", [False, True])
def test_errors_of_the_program_are_shown_as_python_shows_them(line, shown, package, tmp_path):
    (tmp_path / "fails").mkdir()
    (tmp_path / "fails" / "__init__.py").write_text(line if package else "")
    (tmp_path / "fails" / "program.py").write_text(line)
    target = ["-m", "fails.program"] if package else ["fails/program.py"]
    theirs = run(*target, cwd=tmp_path)
    ours = run("-m", "fastnn", "run", *target, cwd=tmp_path)
    assert ours.returncode == theirs.returncode != 0
    last = ours.stderr.splitlines()[-1]
    assert last == shown
    assert "Traceback" in ours.stderr or line == "def"
    assert "fastnn: error" not in ours.stderr
    if not package:
        assert ours.stderr == theirs.stderr


def bad(tmp_path):
    """Files that Python cannot run."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "train.py").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\0")
    (tmp_path / "old.pyc").write_bytes(b"\0" * 20)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("x.txt", "")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["nowhere.py"], "there is no script nowhere.py"),
        (["empty"], "empty has no __main__.py that could be run"),
        (["data.zip"], "data.zip has no __main__.py that could be run"),
        (["picture.png"], "picture.png is no Python program: source code string cannot"),
        (["old.pyc"], "old.pyc: bad magic number"),
        (["-m", "nowhere_at_all"], "there is no module nowhere_at_all"),
        (["-m", "nowhere_at_all.x"], "there is no module nowhere_at_all.x"),
        (["-m", "package"], "package package has no __main__ that could be run"),
        (["-m", "package.x"], "there is no module package.x"),
        (["-m", "train.py"], "there is no module train.py; did you mean 'train'?"),
        (["-m", "empty"], "package empty has no __main__ that could be run"),
        (["-m", "__main__"], "-m takes the full name of a module, got '__main__'"),
        (["-m", "sys"], "sys has no Python code that could be run"),
        (["-m", ".x"], "-m takes the full name of a module, got '.x'"),
        (["-m", ""], "-m takes the full name of a module, got ''"),
        (["-m"], "argument -m: expected one argument"),
        ([], "run needs a SCRIPT or -m MODULE; see fastnn run --help"),
        (["-x", "train.py"], "unrecognized arguments: -x"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_one_line(target, message, tmp_path, monkeypatch, capsys):
    bad(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["run", *target])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.startswith(f"fastnn: error: {message}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_script_is_one_line(tmp_path, capsys):
    script = tmp_path / "secret.py"
    script.write_text("")
    script.chmod(0)
    assert main(["run", str(script)]) == 2
    assert (
        capsys.readouterr().err == f"fastnn: error: {script} cannot be read: Permission denied\n"
    )


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--help"])
    assert end.value.code == 0
    assert "fastnn run [-h] (SCRIPT | -m MODULE) [arguments ...]" in capsys.readouterr().out
