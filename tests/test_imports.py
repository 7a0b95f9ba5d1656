"""Importing fastnn under Python's options, from odd places, and in sub-interpreters."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import COMPILED_ONLY, PYTHON, THOROUGH

import fastnn

PACKAGE = Path(fastnn.__file__).parent

USE = """
import io, contextlib
import numpy as np
import fastnn
from fastnn import Network, MLPClassifier, MLPRegressor, tutorial, plotting, callbacks, schedules
X, y = np.random.RandomState(0).rand(40, 3), np.arange(40) % 2
net = Network([3, 4, 1], "tanh", loss="binary_log_loss", random_state=0).fit(X, y, max_iter=5)
for cls in (MLPClassifier, MLPRegressor):
    for solver in ("adam", "lbfgs"):
        mlp = cls(hidden_layer_sizes=(3,), solver=solver, max_iter=2000, tol=1e-2, random_state=0)
        mlp.fit(X, y).predict(X)
layers = tutorial.create_nn([3, 4, 1], tutorial.sigm)
tutorial.train(layers, X, y[:, None], tutorial.l2_cost)
with contextlib.redirect_stdout(io.StringIO()):
    fastnn.show_config()
    net.summary()
    fastnn.find_learning_rate
print(net.loss_.hex())
"""


def python(*args, cwd=None, status=0, **env):
    """What a new Python says; its last line if it is to fail."""
    done = subprocess.run(
        [*PYTHON, "-P", *args], capture_output=True, text=True, timeout=300, cwd=cwd,
        env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout.strip() if status == 0 else done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def want():
    return python("-c", USE)


OPTIONS = ["-OO", "-bb -W error", "-O -X dev", "-P -s", "-X importtime", "-u -E -B -OO"]


@pytest.mark.parametrize("options", OPTIONS if THOROUGH else OPTIONS[:2])
def test_options_of_python(options, want):
    if "-E" in options and "PYTHONPATH" in os.environ:
        pytest.skip("fastnn is not installed")
    assert python(*options.split(), "-c", USE) == want


def test_isolated(want):
    """-I ignores PYTHONPATH, so fastnn must be installed or put in the path."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n{USE}"
    assert python("-I", "-c", code) == want
    assert python("-c", USE, PYTHONSAFEPATH="1") == want


@pytest.mark.parametrize("args", [["--help"], ["config"], ["demo", "--help"]])
def test_the_command_line_without_docstrings(args, tmp_path):
    said = python("-OO", "-m", "fastnn", *args, cwd=tmp_path)
    assert "fastnn" in said


def copied(folder):
    """fastnn's files in a folder of their own."""
    ignored = shutil.ignore_patterns("__pycache__", "*.c", "*.pyx", "*.pxi", "*.h")
    shutil.copytree(PACKAGE, folder / "fastnn", ignore=ignored)
    return folder


def not_all_powerful():
    """A command before another that takes root's right to write everywhere, where there is one."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set", "-dac_override"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"]).returncode:
        pytest.skip("root may write everywhere")
    return command


def test_a_tree_that_cannot_be_written(tmp_path, want):
    """No bytecode is stored, nothing else is written, and nobody misses it."""
    tree = copied(tmp_path / "tree")
    paths = [tree, *tree.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        code = f"import sys; sys.path.insert(0, {str(tree)!r})\n" + USE
        code += f"assert fastnn.__file__.startswith({str(tree)!r})"
        command = [*not_all_powerful(), *PYTHON, "-P", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == want
        assert set(tree.rglob("*")) == set(paths[1:])
    finally:
        for path in paths:
            path.chmod(0o755)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """A wheel's files, zipped as they would be on sys.path."""
    folder = tmp_path_factory.mktemp("zipped")
    tree, wheel = copied(folder / "tree"), folder / "fastnn.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for path in tree.rglob("*"):
            file.write(path, path.relative_to(tree))
    return wheel


@COMPILED_ONLY
def test_a_zip_file_is_refused_in_one_line(zipped):
    code = f"import sys; sys.path.insert(0, {str(zipped)!r})\nimport fastnn"
    said = python("-c", code, status=1)
    assert said.startswith("ImportError: fastnn cannot be imported from a zip file")
    assert str(zipped) in said
    assert "pip install" in said
    code = "import sys; sys.argv[0] = 'fastnn'\n" + code
    assert python("-c", code, status=2).startswith("fastnn: error: fastnn cannot be imported from")


# ---- sub-interpreters ---------------------------------------------------------------------------

SUB = """
import warnings
warnings.simplefilter("ignore")  # NumPy does not support them, and says so
try:
    import _xxsubinterpreters as interpreters  # Python 3.11 and 3.12
except ImportError:
    import _interpreters as interpreters
def run(code):
    one = interpreters.create()
    try:
        failed = interpreters.run_string(one, code)  # from Python 3.13 on it does not raise
    except interpreters.RunFailedError as error:
        failed = error
    finally:
        interpreters.destroy(one)
    if failed:  # the other one is how NumPy 2.0 refuses
        errors = "ImportError", "RuntimeError'>: CPU dispatcher tracer already"
        refused = any(error in str(failed) for error in errors)
        print("refused" if refused else failed, flush=True)
FIT = '''
import warnings
warnings.simplefilter("ignore")
import numpy as np
from fastnn import Network, threads
threads._available = lambda: 4
rng = np.random.RandomState(0)
X, y = rng.randn(600, 100), np.eye(10)[rng.randint(10, size=600)]
net = Network([100, 256, 10], "relu", loss="log_loss", random_state=0, n_jobs=3)
print(net.fit(X, y, max_iter=12).loss_.hex(), flush=True)
'''
"""


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, ("_xxsubinterpreters", "_interpreters"))),
    reason="this Python has none",
)
def test_a_sub_interpreter_works_or_is_refused():
    """One may have NumPy and fastnn to itself; beside another both refuse."""
    here = python("-c", f"{SUB}\nexec(FIT)")
    assert python("-c", f"{SUB}\nrun(FIT)") in (here, "refused")
    assert python("-c", f"{SUB}\nexec(FIT)\nrun(FIT)\nexec(FIT)").split() == [
        here,
        "refused",
        here,
    ]
    twice = python("-c", f"{SUB}\nrun(FIT)\nrun(FIT)").split()
    assert twice in ([here, "refused"], ["refused", "refused"])


@COMPILED_ONLY
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="NumPy's refusal comes first")
def test_the_kernels_refuse_a_second_interpreter():
    """Themselves, where NumPy would not."""
    code = f"""{SUB}
from fastnn import kernels
path, name = kernels.build.__file__, kernels.build.__name__
run(f'''
from importlib import util
spec = util.spec_from_file_location({{name!r}}, {{path!r}})
spec.loader.exec_module(util.module_from_spec(spec))
''')"""
    assert python("-c", code) == "refused"


def test_dask_is_loaded_when_asked_for_and_missed_with_advice():
    code = "import fastnn, sys; fastnn.MLPClassifier(); print('fastnn.dask' in sys.modules)"
    assert python("-c", code) == "False"
    missing = "import sys; sys.modules['dask'] = None; import fastnn; fastnn.dask"
    assert 'install the extra "dask"' in python("-c", missing, status=1)
