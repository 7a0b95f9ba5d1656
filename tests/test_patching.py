"""fastnn in scikit-learn's place, and back; scikit-learn's own tests of its MLPs."""

import subprocess
import sys
import threading

import pytest
from conftest import PYTHON

import fastnn
from fastnn import patching
from fastnn.cli import main as cli


def in_place():
    """The names of the modules whose classes sklearn.neural_network holds."""
    import sklearn.neural_network

    return {getattr(sklearn.neural_network, name).__module__ for name in patching.NAMES}


THEIRS = {"sklearn.neural_network._multilayer_perceptron"}
OURS = {"fastnn.estimators"}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    fastnn.unpatch_sklearn()


def test_there_and_back():
    assert in_place() == THEIRS
    for _ in range(2):
        fastnn.patch_sklearn()
        assert in_place() == OURS
        from sklearn.neural_network import MLPClassifier

        assert MLPClassifier is fastnn.MLPClassifier
        assert type(MLPClassifier().to_sklearn()).__module__ in THEIRS
    for _ in range(2):
        fastnn.unpatch_sklearn()
        assert in_place() == THEIRS


def test_as_a_context_manager():
    with fastnn.patch_sklearn():
        with fastnn.patch_sklearn():
            assert in_place() == OURS
        assert in_place() == OURS
    assert in_place() == THEIRS
    with pytest.raises(RuntimeError), fastnn.patch_sklearn():
        raise RuntimeError
    assert in_place() == THEIRS
    with fastnn.patch_sklearn():
        fastnn.unpatch_sklearn()
        assert in_place() == THEIRS
    with fastnn.patch_sklearn():
        fastnn.patch_sklearn()
    assert in_place() == OURS


def test_in_threads(monkeypatch):
    """Whoever comes first and whoever goes last, what was there before is there afterwards."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    wrong = []

    def patched(barrier):
        barrier.wait()
        with fastnn.patch_sklearn():
            if in_place() != OURS:
                wrong.append("not patched")

    try:
        for _ in range(300):
            barrier = threading.Barrier(3)
            threads = [threading.Thread(target=patched, args=(barrier,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert in_place() == THEIRS
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


SCRIPT = """
import sys
from sklearn.neural_network import MLPRegressor
print(MLPRegressor.__module__, __name__, sys.argv[1:], sys.path[0])
if "fail" in sys.argv:
    raise ValueError("of the script")
sys.exit(3)
"""


def fastnn_run(*arguments, cwd):
    return subprocess.run(
        [*PYTHON, "-m", "fastnn", "run", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_run_a_script(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    done = fastnn_run("scripts/train.py", "-x", "--help", cwd=tmp_path)
    assert done.stdout.split("\n")[0] == (
        f"fastnn.estimators __main__ ['-x', '--help'] {folder.resolve()}"
    )
    assert done.returncode == 3
    done = fastnn_run("-m", "scripts.train", "fail", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: of the script" in done.stderr


def test_a_script_is_run_as_python_runs_it(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (tmp_path / "elsewhere.py").write_text("")
    (folder / "beside.py").write_text("")
    (folder / "train.py").write_text("""
import atexit, os, pathlib, pickle, sys
import beside
try:
    import elsewhere
except ImportError:
    print("not elsewhere")
os.chdir("/")
print(pathlib.Path(__file__).exists(), sys.modules["__main__"].__file__ == __file__)
class Own:
    pass
def last():
    from sklearn.neural_network import MLPRegressor
    print(MLPRegressor.__module__, type(pickle.loads(pickle.dumps(Own()))) is Own)
atexit.register(last)
""")
    done = fastnn_run("scripts/train.py", cwd=tmp_path)
    assert done.stdout.split("\n") == [
        "not elsewhere", "True True", "fastnn.estimators True", ""
    ], done.stderr  # fmt: skip
    assert done.returncode == 0


def test_no_such_script(capsys):
    assert cli.main(["run", "nowhere.py"]) == 2
    assert capsys.readouterr().err == "fastnn: error: there is no script nowhere.py\n"


def test_scikit_learns_own_tests(tmp_path):
    """scikit-learn's test module of its MLPs, with fastnn's classes in place of its own."""
    pytest.importorskip("pandas")
    done = fastnn_run(
        "-m", "pytest", "--pyargs", "sklearn.neural_network.tests.test_mlp", "-q", "-rs",
        "-p", "no:cacheprovider", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
    assert "failed" not in done.stdout
