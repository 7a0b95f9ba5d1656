"""fastnn in scikit-learn's place, and back; scikit-learn's own tests of its MLPs."""

import contextlib
import copy
import importlib
import io
import itertools
import pickle
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import sklearn.neural_network
from conftest import PYTHON
from sklearn.base import BaseEstimator, clone
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import patching


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


def test_a_block_is_patched_though_another_ended_before_it_began():
    """As threads may do: patch_sklearn() twice, and one block after the other."""
    first, second = fastnn.patch_sklearn(), fastnn.patch_sklearn()
    with first:
        pass
    with second:
        assert in_place() == OURS
    assert in_place() == THEIRS


PAIRS = [
    (fastnn.MLPClassifier, originals.MLPClassifier),
    (fastnn.MLPRegressor, originals.MLPRegressor),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_estimators_made_before_are_instances(ours, theirs):
    """While the patch lasts, and only of the classes that were put in place."""

    class OldSubclass(theirs):
        pass

    class Subclass(ours):
        pass

    name, old = theirs.__name__, [theirs(), OldSubclass()]
    other = next(cls for cls, _ in PAIRS if cls is not ours)
    for _ in range(2):
        assert not any(isinstance(one, ours) for one in old)
        assert not issubclass(theirs, ours)
        with fastnn.patch_sklearn():
            patched = getattr(sklearn.neural_network, name)
            assert patched is ours
            assert all(isinstance(one, patched) for one in [*old, ours(), Subclass()])
            assert issubclass(theirs, patched)
            assert issubclass(OldSubclass, patched)
            for one in (None, originals.BaseMultilayerPerceptron, object(), StandardScaler()):
                assert not isinstance(one, patched)
            assert not issubclass(originals.BaseMultilayerPerceptron, patched)
            assert not any(isinstance(one, (Subclass, other)) for one in old)
            assert not issubclass(theirs, Subclass)
            assert all(isinstance(one, BaseEstimator) for one in old)
            assert isinstance(patched(), theirs)
        assert isinstance(ours(), getattr(sklearn.neural_network, name))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("by", ["pickle", "joblib", "clone", "deepcopy"])
def test_copies_keep_their_class(ours, theirs, by):
    """Whether patched when they are made, and when they are read."""

    def copied(estimator):
        if by in ("clone", "deepcopy"):
            return {"clone": clone, "deepcopy": copy.deepcopy}[by](estimator)
        file = io.BytesIO()
        {"pickle": pickle.dump, "joblib": joblib.dump}[by](estimator, file)
        file.seek(0)
        return file

    def read(file):
        if isinstance(file, io.BytesIO):
            return {"pickle": pickle.load, "joblib": joblib.load}[by](file)
        return file

    X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 1, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cls in (ours, theirs):
            made = cls(max_iter=3, random_state=0).fit(X, y)
            want = made.predict(X)
            for contexts in itertools.product(
                [fastnn.patch_sklearn, contextlib.nullcontext], repeat=2
            ):
                with contexts[0]():
                    written = copied(made)
                with contexts[1]():
                    back = read(written)
                    assert type(back) is cls
                    if by == "clone":
                        back.fit(X, y)
                    np.testing.assert_array_equal(back.predict(X), want)


def test_pickles_of_other_processes(tmp_path):
    """Patched and unpatched processes read each other's."""
    code = """
import pickle, sys, warnings
import fastnn
warnings.simplefilter("ignore")
what, file, patch = sys.argv[1:]
if patch == "patched":
    fastnn.patch_sklearn()
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._multilayer_perceptron import MLPClassifier as Original
X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 1, 0]
made = [cls(max_iter=3, random_state=0).fit(X, y) for cls in (MLPClassifier, Original)]
if what == "write":
    with open(file, "wb") as opened:
        pickle.dump(made, opened)
else:
    with open(file, "rb") as opened:
        read = pickle.load(opened)
    for estimator in read:
        print(type(estimator).__module__, isinstance(estimator, Original))
        assert abs(estimator.predict_proba(X) - made[0].predict_proba(X)).max() < 1e-12
        estimator.partial_fit(X, y)
"""
    for writes, reads in itertools.permutations(["patched", "unpatched"]):
        for what, patch in (("write", writes), ("read", reads)):
            command = [*PYTHON, "-c", code, what, "estimators.pickle", patch]
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
        kept = next(iter(OURS if writes == "patched" else THEIRS))
        assert done.stdout == f"{kept} True\n{next(iter(THEIRS))} True\n"


def test_pickles_name_the_public_module():
    """So that those of earlier versions are read, whatever the files of the room."""
    for cls in (fastnn.MLPClassifier, fastnn.MLPRegressor):
        assert f"cfastnn.estimators\n{cls.__name__}\n".encode() in pickle.dumps(cls(), protocol=0)


def test_a_reload_keeps_the_patch():
    finders = list(sys.meta_path)
    with fastnn.patch_sklearn():
        for _ in range(2):
            room = importlib.reload(sklearn.neural_network)
            assert in_place() == OURS
            assert room is sklearn.neural_network
            from sklearn.neural_network import MLPClassifier, MLPRegressor

            assert (MLPClassifier, MLPRegressor) == (fastnn.MLPClassifier, fastnn.MLPRegressor)
        assert isinstance(originals.MLPClassifier(), MLPClassifier)
    assert in_place() == THEIRS
    importlib.reload(sklearn.neural_network)
    assert in_place() == THEIRS
    assert sys.meta_path == finders


def test_another_import_keeps_the_patch(monkeypatch):
    before = sklearn.neural_network
    monkeypatch.setattr(sklearn, "neural_network", before)
    with fastnn.patch_sklearn():
        monkeypatch.delitem(sys.modules, "sklearn.neural_network")
        room = importlib.import_module("sklearn.neural_network")
        assert room is not before
        assert room.MLPClassifier is fastnn.MLPClassifier
    assert room.MLPClassifier is originals.MLPClassifier
    monkeypatch.undo()
    fastnn.unpatch_sklearn()
    before.MLPClassifier, before.MLPRegressor = originals.MLPClassifier, originals.MLPRegressor


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
import sklearn.utils  # not for the first time while Python ends: that fails without fastnn, too
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


def test_finders_without_find_spec_are_passed_over(monkeypatch):
    with fastnn.patch_sklearn():
        monkeypatch.setattr(sys, "meta_path", [object(), *sys.meta_path])
        keeper = next(one for one in sys.meta_path if type(one).__name__ == "_Keeper")
        room = "sklearn.neural_network"
        assert keeper.find_spec(room, sys.modules["sklearn"].__path__).name == room
