"""Models in files: what comes back, what is refused, and what survives."""

import copy
import json
import multiprocessing
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from pathlib import Path

import allocations
import files as fuzz_files
import numpy as np
import pandas as pd
import pytest
from conftest import COMPILED, COMPILED_ONLY, PYTHON, THOROUGH
from estimator_cases import needs_weights

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, schedules
from fastnn.catalog import losses
from fastnn.files import container
from fastnn.training.losses import LossOf

pytest.importorskip("safetensors")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(0)
X, Y = rng.rand(60, 3), rng.rand(60, 2)
y = Y[:, 0]
LABELS = np.array(["a", "b", "c"])[rng.randint(3, size=60)]
BINARY = (X[:, 0] > 0.5).astype(int)


def net(units=(3, 4, 1), y=y, fit=True, **options):
    given = {name: options.pop(name) for name in ("loss", "dtype", "quantile") if name in options}
    made = Network(units, "tanh", random_state=0, **given)
    return made.fit(X, y, max_iter=4, batch_size=16, **options) if fit else made


def estimator(cls, y, **options):
    options = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0, **options}
    return cls(**options).fit(X, y)


MODELS = {
    "not trained": lambda: net(fit=False),
    "adam": net,
    "float32": lambda: net(dtype="f4"),
    "average, dropout": lambda: net(ema=0.9, dropout=0.2, solver="nadam"),
    "rprop": lambda: Network([3, 4, 1], random_state=0).fit(X, y, solver="rprop", max_iter=4),
    "lm": lambda: Network([3, 4, 1], random_state=0).fit(X, y, solver="lm", max_iter=3),
    "lbfgs, float32": lambda: Network([3, 4, 1], dtype="f4", random_state=0).fit(
        X, y, solver="lbfgs", max_iter=3),
    "validated": lambda: net(X_val=X, y_val=y, n_iter_no_change=2),
    "quantiles": lambda: net((3, 4, 2), loss="quantile", quantile=[0.1, 0.9]),
    "two outputs": lambda: net((3, 4, 2), y=Y),
    "a generator": lambda: Network([3, 1], random_state=np.random.default_rng(5)),
    "from_params": lambda: Network.from_params(np.arange(21.0), [3, 4, 1], "tanh"),
    "a data frame": lambda: Network([3, 1], random_state=0).fit(
        pd.DataFrame(X, columns=["a", "b", "\u00e9"]), y, max_iter=2),
    "three classes": lambda: estimator(MLPClassifier, LABELS),
    "two classes": lambda: estimator(MLPClassifier, BINARY, solver="sgd", momentum=0.5),
    "booleans": lambda: estimator(MLPClassifier, BINARY > 0, learning_rate="adaptive",
                                  solver="sgd"),
    "objects": lambda: estimator(MLPClassifier, LABELS.astype(object)),
    "several labels": lambda: estimator(MLPClassifier, (X > 0.5).astype(int)),
    "early stopping": lambda: estimator(MLPClassifier, LABELS, early_stopping=True),
    "class weights": lambda: estimator(MLPClassifier, BINARY, class_weight={0: 1.0, 1: 2.5}),
    "more": lambda: estimator(MLPClassifier, BINARY, solver="nadam", ema=0.9, dropout=[0.1]),
    "regression": lambda: estimator(MLPRegressor, y),
    "lbfgs": lambda: estimator(MLPRegressor, Y, solver="lbfgs", max_iter=30),
    "a schedule": lambda: estimator(MLPRegressor, y, learning_rate=0.5 * schedules.OneCycle()),
    "a name": lambda: estimator(MLPRegressor, y, learning_rate="cosine", scoring="r2"),
    "names": lambda: MLPRegressor(hidden_layer_sizes=[4], random_state=0).fit(
        pd.DataFrame(X, columns=list("abc")).astype("f4"), y),
    "random_state": lambda: estimator(MLPRegressor, y, random_state=np.random.RandomState(3)),
    "not fitted": lambda: MLPRegressor(hidden_layer_sizes=np.array([4, 5]), dropout=[0.1, 0.2]),
}  # fmt: skip


@pytest.fixture(
    params=[
        pytest.param(name, marks=needs_weights if name == "class weights" else ())
        for name in MODELS
    ]
)
def model(request):
    return MODELS[request.param]()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.fastnn"


def trained_further(model):
    """The model after an epoch more."""
    if isinstance(model, Network):
        targets = y if model.layer_units[-1] == 1 or model.loss_function == "quantile" else Y
        return model.partial_fit(X, targets)
    if not hasattr(model, "coefs_"):
        return model
    outputs = model.coefs_[-1].shape[1]
    if isinstance(model, MLPRegressor):
        model.set_params(learning_rate="constant")
        rows = pd.DataFrame(X, columns=list("abc")) if hasattr(model, "feature_names_in_") else X
        return model.partial_fit(rows, y if outputs == 1 else Y)
    model.set_params(early_stopping=False)
    labels = model.classes_[np.arange(60) % len(model.classes_)]
    if model._label_binarizer.y_type_.startswith("multilabel"):
        labels = (X > 0.5).astype(int)
    return model.partial_fit(X, labels)


def test_everything_comes_back(model, path):
    model.save(path)
    loaded = fastnn.load(path)
    assert type(loaded) is type(model)
    assert allocations.content(loaded) == allocations.content(model)
    first = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == first
    assert loaded.metadata == model.metadata
    if not hasattr(model, "solver") or model.solver != "lbfgs":
        same = allocations.content(trained_further(loaded))
        assert same == allocations.content(trained_further(model))


def test_other_readers_open_the_tensors(path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    model = MODELS["two outputs"]()
    model.save(path)
    tensors = load_file(path)
    for name in ("coefs_", "intercepts_"):
        for i, array in enumerate(getattr(model, name)):
            np.testing.assert_array_equal(tensors[f"{name}.{i}"], array)
    with safe_open(path, "np") as file:
        description = json.loads(file.metadata()["fastnn"])
    assert description["kind"] == "Network"
    assert "date" not in description


def test_the_date_only_if_asked(path):
    model = net()
    model.save(path, date=True)
    description, _ = container.read(path)
    assert description["date"].endswith("+00:00")
    assert allocations.content(fastnn.load(path)) == allocations.content(model)
    with pytest.raises(TypeError, match="date must be"):
        model.save(path, date="now")


def test_users_attributes(path):
    model = net()
    model.note, model.table = "of May", {"a": [1, 2.5, None], ("b", 1): np.arange(3)}
    model.save(path)
    loaded = fastnn.load(path)
    assert loaded.note == "of May"
    assert loaded.table.keys() == model.table.keys()
    assert loaded.table["a"] == [1, 2.5, None]
    model.table = {"a.b": np.zeros(2), "a": {"b": np.ones(2)}}  # one name for two
    model.save(path)
    assert fastnn.load(path).table["a"]["b"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda m: setattr(m, "note", print), TypeError, "attributes.note is <built-in"),
        (
            lambda m: setattr(m, "note", [0, {"x": np.ma.ones(2)}]),
            TypeError,
            r"note.1.x is a Mask",
        ),
        (lambda m: setattr(m, "note", np.zeros(2, "c16")), TypeError, "of complex128"),
        (lambda m: setattr(m, "note", np.zeros(2, "M8[s]")), TypeError, "of datetime64"),
        (lambda m: m.coefs_[0].fill(np.nan), ValueError, r"coefs_\[0\]"),
    ],
)
def test_what_a_file_does_not_hold(path, spoil, error, words):
    model = net()
    model.save(path)
    before = path.read_bytes()
    spoil(model)
    with pytest.raises(error, match=words) as caught:
        model.save(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_functions_and_others_are_refused(path):
    own = Network([3, 1], loss=(lambda a, y: (a - y) ** 2, lambda a, y: 2 * (a - y)))
    with pytest.raises(TypeError, match="a loss of one's own"):
        own.save(path)
    with pytest.raises(TypeError, match=r"params.scoring is <function"):
        MLPRegressor(scoring=lambda *_: 0.0).save(path)
    with pytest.raises(TypeError, match=r"params.learning_rate is <function"):
        MLPRegressor(learning_rate=lambda t: t).save(path)

    class Mine(Network):
        pass

    for other in (Mine([3, 1]), object(), None, MLPRegressor):
        with pytest.raises(TypeError, match="files hold a Network, MLPClassifier or MLPRegressor"):
            fastnn.files.save(other, path)
    deep = net()
    deep.note = []
    deep.note.append(deep.note)
    with pytest.raises(TypeError, match="within itself"):
        deep.save(path)
    assert not os.listdir(path.parent)


def test_callbacks_are_left_out(path):
    one = MLPRegressor(hidden_layer_sizes=[2], max_iter=2, random_state=0)
    one.set_callbacks(lambda net: None)
    one.fit(X, y).save(path)
    assert fastnn.load(path).predict(X).tobytes() == one.predict(X).tobytes()


def test_a_network_needs_no_scikit_learn(path):
    net().save(path)
    code = f"import sys, fastnn; fastnn.load({str(path)!r}); print('sklearn' in sys.modules)"
    done = subprocess.run([*PYTHON, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_safetensors(path, monkeypatch):
    model = net()
    model.save(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: model.save(path), lambda: fastnn.load(path)):
        with pytest.raises(ImportError, match='install the extra "files"'):
            call()


# ---- damaged files ------------------------------------------------------------------------------


def test_every_flipped_bit_is_refused(path):
    model = Network([2, 1], random_state=np.random.default_rng(0)).partial_fit(X[:, :2], y)
    model.save(path)
    whole = path.read_bytes()
    for i in range(len(whole)):
        for bit in range(8) if THOROUGH else (i % 8,):
            data = bytearray(whole)
            data[i] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(ValueError, match=r"model.fastnn' is (damaged|not a file of fast)"):
                fastnn.load(path)


def test_cut_and_longer_files_are_refused(path):
    net().save(path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 1 if THOROUGH else 37):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"is (damaged|not a file of fastnn)"):
            fastnn.load(path)
    for more in (b"\0", b" ", whole):
        path.write_bytes(whole + more)
        with pytest.raises(ValueError, match="is damaged"):
            fastnn.load(path)


def test_damage_of_all_kinds():
    assert fuzz_files.main(["--files", "20000" if THOROUGH else "1500"]) == 0


def test_what_the_fuzzer_puts_into_files_stays_as_it_is(tmp_path):
    """A long run would nest it deeper and deeper, in itself at last."""
    before, rng = repr(fuzz_files.ODD), random.Random(0)
    path = tmp_path / "net.fastnn"
    MODELS["adam"]().save(path)
    for _ in range(300):
        fuzz_files.described_otherwise(path.read_bytes(), rng)
    assert repr(fuzz_files.ODD) == before


def test_the_fuzzer_finds(monkeypatch, tmp_path, capsys):
    """Files that are taken whatever their checksum."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(container, "_has_checksum", lambda *_: True)
    assert fuzz_files.main(["--files", "3000"]) == 1
    assert "FOUND was taken, with another checksum" in capsys.readouterr().out


def changed(path, change):
    """Change a file's description; the checksum is right."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header["__metadata__"]["fastnn"])
    change(description)
    header["__metadata__"]["fastnn"] = json.dumps(description, separators=(",", ":"))
    packed = json.dumps(header, separators=(",", ":")).encode()
    whole = len(packed).to_bytes(8, "little") + packed + data[8 + length :]
    path.write_bytes(fuzz_files.sealed(whole))


def content(**parts):
    return lambda d: d["content"].update(parts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: None, None),
        (lambda d: d.update(format=2), "format 2, of another version of fastnn"),
        (lambda d: d.update(format="1"), "has no format"),
        (lambda d: d.update(kind="os.system"), "no kind of model 'os.system'"),
        (content(layer_units=[3, 0, 1]), "layer_units"),
        (content(layer_units=[3, 2**40, 1]), "coefs_ do not fit|too many"),
        (content(layer_units=[3, 5, 1]), "coefs_ do not fit"),
        (content(activations=["tanh", "softmax2"]), "softmax2"),
        (content(loss=["quantile", [0.5, 0.1]]), "quantile"),
        (content(dtype="int8"), "dtype"),
        (content(coefs_=[{"tensor": "intercepts_.0"}] * 2), "coefs_ do not fit"),
        (content(solver={"dict": []}), "numbers"),
        (content(random_state={"object": ["Generator", []]}), "bit generator"),
        (content(random_state={"object": ["Popen", []]}), "no class 'Popen'"),
        (content(attributes={"dict": [["fit", 1]]}), "attributes are none of a user's"),
        (content(attributes={"dict": [["_coefs", 1]]}), "attributes are none of a user's"),
        (content(dropped=-1), "_dropped"),
        (content(trained_on={"dict": []}), "_trained_on"),
        (content(loss_curve_={"tensor": "coefs_.0"}), "loss_curve_"),
        (lambda d: d["content"].pop("coefs_"), "coefs_ do not fit"),
        (lambda d: d["content"].pop("n_jobs"), "_n_jobs missing"),
        (content(solver_state=None, solver=None), "nothing belongs to the tensor"),
    ],
)
def test_descriptions_that_do_not_hold_together(path, change, words):
    net(dtype="f8").save(path)
    changed(path, change)
    if words is None:
        fastnn.load(path)
        return
    with pytest.raises(ValueError, match=words) as caught:
        fastnn.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "name", "value", "words"),
    [
        ("params", "alpha", -1.0, "alpha"),
        ("params", "zzz", 1, "zzz"),
        ("fitted", "predict", 1, "no attribute 'predict'"),
        ("fitted", "__class__", 1, "no attribute '__class__'"),
        ("fitted", "n_outputs_", 2, "n_outputs_"),
        ("fitted", "n_features_in_", {"float": "nan"}, "n_features_in_"),
        ("fitted", "out_activation_", "relu", "out_activation_"),
        ("fitted", "classes_", {"tensor": "coefs_.0"}, "classes_"),
        ("fitted", "coefs_", [], "coefs_ must be a list"),
        ("fitted", "coefs_", [{"tensor": "coefs_.1"}, {"tensor": "coefs_.0"}], "fit together"),
        ("fitted", "_optimizer", None, "_optimizer"),
        ("fitted", "_random_state", 3, "_random_state"),
        ("fitted", "loss_curve_", 3, "loss_curve_"),
        ("fitted", "_best_coefs", [{"tensor": "coefs_.0"}], "fit together|best"),
    ],
)  # fmt: skip
def test_estimators_that_do_not_hold_together(path, part, name, value, words):
    MODELS["three classes"]().save(path)
    changed(path, lambda d: d["content"][part].update({name: value}))
    with pytest.raises(ValueError, match=words):
        fastnn.load(path)


@pytest.mark.parametrize("change", [
    {"coefs_": "coefs"}, {"coefs_": [np.ones((3, 4)), np.ones((5, 3))]}, {"n_outputs_": 2},
    {"coefs_": [np.ones((3, 4), "c16"), np.ones((4, 3))]}, {"out_activation_": "relu"},
    {"n_layers_": 2}, {"t_": -1}, {"_optimizer": object()}, {"_random_state": 0},
    {"_label_binarizer": object()}, {"classes_": np.array(["a", "b"])}, {"loss_curve_": "x"},
])  # fmt: skip
def test_pickled_estimators_are_checked(change):
    """As those of networks are, see test_states."""
    model = MODELS["three classes"]()
    state = {**pickle.loads(pickle.dumps(model)).__getstate__(), **change}
    with pytest.raises((ValueError, TypeError)) as caught:
        MLPClassifier.__new__(MLPClassifier).__setstate__(state)
    assert "\n" not in str(caught.value)


def test_no_memory_is_taken_that_the_file_does_not_fill(path):
    """A header that promises 2**40 numbers, and a text of that width."""
    net().save(path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["coefs_.0"]["shape"] = [2**40]
    packed = json.dumps(header).encode()
    path.write_bytes(
        fuzz_files.sealed(len(packed).to_bytes(8, "little") + packed + data[8 + length :])
    )
    assert fuzz_files.attack(path.read_bytes(), path, False, True) is None
    with pytest.raises(ValueError, match="damaged"):
        fastnn.load(path)
    net().save(path)
    changed(path, content(attributes={"dict": [["a", {"strings": ["U99999999999", [1], ["a"]]}]]}))
    with pytest.raises(ValueError, match="text of 'U99999999999'"):
        fastnn.load(path)


def test_nests_of_any_depth(path):
    net().save(path)
    deep = json.loads("[" * 900 + "]" * 900)
    changed(path, content(attributes={"dict": [["a", deep]]}))
    data = path.read_bytes()
    many = b"[" * 100_000 + b"]" * 100_000
    path.write_bytes(fuzz_files.sealed(data))
    assert fuzz_files.attack(path.read_bytes(), path, True, False) is None
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b"[" * 900, many, 1)
    whole = fuzz_files.sealed(len(header).to_bytes(8, "little") + header + data[8 + length :])
    assert fuzz_files.attack(whole, path, False, False) is None
    model = net()
    model.deep = deep
    with pytest.raises(TypeError, match="nested too deep for a file"):
        model.save(path)
    for _ in range(850):
        (deep,) = deep
    model.deep = deep
    model.save(path)
    assert fastnn.load(path).copy().deep == model.deep


@pytest.mark.parametrize(
    ("wrapped", "most"),
    [(lambda one: [one], 196), (lambda one: (one,), 98), (lambda one: {"a": one}, 65)],
    ids=["list", "tuple", "dict"],
)
def test_nests_as_deep_as_may_be(wrapped, most, path):
    model, deep = net(), None
    for _ in range(most):
        deep = wrapped(deep)
    model.deep = deep
    model.save(path)
    assert fastnn.load(path).copy().deep == deep
    model.deep = wrapped(deep)
    with pytest.raises(TypeError, match="nested too deep for a file"):
        model.save(path)
    assert fastnn.load(path).deep == deep


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    keep = os.open(tmp_path / "pipe", os.O_RDWR)  # else `open` waits for a writer
    try:
        with pytest.raises(ValueError, match="not a regular file"):
            fastnn.load(tmp_path / "pipe")
    finally:
        os.close(keep)
    with pytest.raises(IsADirectoryError):
        fastnn.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        net().save(tmp_path)
    with pytest.raises(FileNotFoundError):
        net().save(tmp_path / "missing" / "model")


# ---- writing ------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_file(path):
    """The limit of a file's size is as a disk that is full."""
    net().save(path)
    before = path.read_bytes()
    code = f"""
import resource, signal, sys
from fastnn import Network
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Network([30, 40, 1]).save({str(path)!r})
except OSError as error:
    print("refused")
"""
    if sys.platform == "win32":
        pytest.skip("no limits")
    done = subprocess.run([*PYTHON, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_every_step_of_writing_may_fail(path, monkeypatch):
    net().save(path)
    before = path.read_bytes()
    for name in ("fsync", "replace", "open"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, fails)
            with pytest.raises(OSError, match="no space"):
                net(dtype="f4").save(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]


def fails(*args, **kwargs):
    raise OSError("no space")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "data").mkdir()
    link = tmp_path / "link.fastnn"
    link.symlink_to(tmp_path / "data" / "model.fastnn")
    net().save(link)
    assert link.is_symlink()
    assert (tmp_path / "data" / "model.fastnn").is_file()
    assert fastnn.load(link).layer_units == (3, 4, 1)


def test_many_writers_and_readers(path):
    """Each reader finds one of the files, whole."""
    one, two = net(), net(dtype="f4")
    one.save(path)
    wanted = {one.params_.tobytes(), two.params_.tobytes()}
    stop, errors = threading.Event(), []

    def write(model):
        try:
            while not stop.is_set():
                model.save(path)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(model,)) for model in (one, two, one)]
    for thread in writers:
        thread.start()
    try:
        for _ in range(300 if THOROUGH else 60):
            assert fastnn.load(path).params_.tobytes() in wanted
    finally:
        stop.set()
        for thread in writers:
            thread.join()
    assert not errors
    assert os.listdir(path.parent) == [path.name]


def write_for_ever(path, dtype):
    model = net(dtype=dtype)
    while True:
        model.save(path)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")  # from Python 3.12 on
@pytest.mark.skipif(sys.platform == "win32", reason="another process's file stays open")
def test_killed_writers(path):
    """The file is whole after each kill, and what they left is removed by the next."""
    net().save(path)
    spawn = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    for i in range(40 if THOROUGH else 8):
        writer = spawn.Process(target=write_for_ever, args=(path, ("f4", "f8")[i % 2]))
        writer.start()
        writer.join(0.01 + 0.013 * (i % 7))
        writer.kill()
        writer.join()
        fastnn.load(path)
    net().save(path)
    assert os.listdir(path.parent) == [path.name]


def test_temporary_files_of_others_stay(path):
    other = path.parent / f".{path.name}.notes.tmp"
    other.write_text("mine")
    dead = path.parent / f".{path.name}.0123abcd.tmp"
    dead.write_text("of one that was killed")
    net().save(path)
    assert other.exists()
    if sys.platform != "win32":
        assert not dead.exists()


# ---- builds and versions ------------------------------------------------------------------------


@COMPILED_ONLY
@pytest.mark.parametrize("isa", [*COMPILED[1:], "reference"])
def test_another_build_reads_it(path, isa):
    model = net((3, 4, 2), y=Y, ema=0.9)
    model.save(path)
    out = path.with_suffix(".npy")
    code = f"""
import numpy as np, fastnn
model = fastnn.load({str(path)!r})
X, Y = np.load({str(out)!r}), np.load({str(out)!r})[:, :2]
np.save({str(out)!r}, np.hstack([model.predict(X), model.partial_fit(X, Y).predict(X)]))
model.save({str(path)!r})
"""
    np.save(out, X)
    env = {**os.environ, "FASTNN_ISA": isa}
    subprocess.run([*PYTHON, "-P", "-c", code], check=True, env=env)
    mine = [model.predict(X), model.partial_fit(X, X[:, :2]).predict(X)]
    np.testing.assert_allclose(np.load(out), np.hstack(mine), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fastnn.load(path).params_, model.params_, rtol=1e-11, atol=1e-11)


STORED = Path(__file__).parent / "stored"


@pytest.mark.parametrize("path", sorted(STORED.glob("*/*.fastnn")), ids=lambda path: path.stem)
def test_files_of_every_version_stay_readable(path, tmp_path):
    """`python tests/stored/write.py` writes those of a new version."""
    model = fastnn.load(path)
    wanted = np.load(path.with_suffix(".npy"))
    rows = np.linspace(-1, 1, 12).reshape(4, 3)
    predict = getattr(model, "predict_proba", model.predict)
    got = predict(rows).reshape(wanted.shape)
    bound = 1e-12 if model.coefs_[0].dtype == np.float64 else 1e-6
    np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound)
    model.save(tmp_path / "again.fastnn")
    again = fastnn.load(tmp_path / "again.fastnn")
    assert allocations.content(again) == allocations.content(model)


def test_there_are_files_of_this_format():
    formats = {container.read(path)[0]["format"] for path in STORED.glob("*/*.fastnn")}
    assert formats == set(range(1, container.FORMAT + 1))
    names = {path.stem for path in STORED.glob("*/*.fastnn")}
    assert {"network", "network-float32", "classifier", "regressor"} <= names


@pytest.mark.parametrize("loss", [row.name for row in losses.LOSSES if row.public])
def test_every_loss(path, loss):
    number = losses.BY_NAME[loss].number
    options = {number: {"quantile": [0.2, 0.7], "delta": 2.0}[number]} if number else {}
    made = Network([3, 4, 2], loss=loss, random_state=0, **options)
    made.save(path)
    loaded = fastnn.load(path)
    assert loaded.loss_options == made.loss_options
    assert repr(loaded) == repr(made)


# ---- what is beside -----------------------------------------------------------------------------


def test_metadata():
    assert Network([3, 1]).metadata == {"n_features": 3}
    trained = MODELS["a data frame"]()
    assert trained.metadata == {
        "n_features": 3, "fastnn": fastnn.__version__, "build": fastnn.kernels.ISA,
        "n_samples": 60, "feature_names": ["a", "b", "\u00e9"],
    }  # fmt: skip
    assert trained.partial_fit(X[:7], y[:7]).metadata["n_samples"] == 7
    assert trained.metadata["feature_names"] is None
    assert MLPRegressor().metadata == {}
    fitted = MODELS["names"]()
    assert fitted.metadata["feature_names"] == ["a", "b", "c"]
    assert fitted.metadata["n_samples"] == 60
    assert MODELS["lbfgs"]().metadata["n_samples"] == 60


def test_summary_of_estimators():
    one = MODELS["three classes"]()
    same = Network([3, 4, 3], "relu", loss="log_loss", random_state=0)
    assert str(one.summary(60)) == str(same.summary(60))
    with pytest.raises(ValueError, match="not fitted yet"):
        MLPRegressor().summary()


# ---- skops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"solver": "nadam", "ema": 0.5}])
def test_skops_and_the_types_that_it_must_trust(path, options):
    io = pytest.importorskip("skops.io")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    one = MLPClassifier((4,), max_iter=4, random_state=0, **options)
    pipe = make_pipeline(StandardScaler(), one).fit(X, LABELS)
    io.dump(pipe, path)
    page = (Path(__file__).parent.parent / "docs" / "how-to" / "files.md").read_text()
    needed = io.get_untrusted_types(file=path)
    if not options:  # the types that the page names
        assert all(f'"{name}"' in page for name in needed)
    for name in needed:
        assert name.startswith(("fastnn.", "sklearn.neural_network."))
    again = io.load(path, trusted=needed)
    assert (again.predict_proba(X) == pipe.predict_proba(X)).all()
    again[-1].partial_fit(X, LABELS)


# ---- slips --------------------------------------------------------------------------------------


def test_names_that_look_alike_keep_their_arrays(tmp_path):
    model = net()
    model.note = {"b.c": np.zeros(2), "b": {"c": np.ones(2)}, 1: np.full(2, 2.0), "1": [3.0]}
    model.save(tmp_path / "net.fastnn")
    note = fastnn.load(tmp_path / "net.fastnn").note
    for name, value in (("b.c", 0), (1, 2), ("1", 3)):
        np.testing.assert_array_equal(note[name], np.full(len(note[name]), float(value)))
    np.testing.assert_array_equal(note["b"]["c"], np.ones(2))


def test_text_shorter_than_its_type(tmp_path):
    model = net()
    for text in (np.array(["a"], "U50"), np.array([], "U5"), np.array(["abc", "d"])):
        model.note = text
        model.save(tmp_path / "net.fastnn")
        np.testing.assert_array_equal(fastnn.load(tmp_path / "net.fastnn").note, text)


def test_attributes_in_another_order_make_the_same_file(tmp_path):
    one, other = net(), net()
    one.a, one.b = 1, 2
    other.b, other.a = 2, 1
    one.save(tmp_path / "one")
    other.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("what", [0, 1, True, None, 2.5])
def test_a_path_is_no_number(what):
    """0 and 1 would be standard input and output."""
    with pytest.raises(TypeError):
        fastnn.load(what)
    with pytest.raises(TypeError):
        net().save(what)


@pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")
def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "net.fastnn"
    net().save(path)
    path.chmod(0o600)
    net().save(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        fastnn.load(tmp_path / "pipe")


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_search_leaves_nothing_of_the_solver_before(cls, solver, tmp_path):
    """Whose vectors are of other shapes."""
    targets = BINARY if cls is MLPClassifier else y
    model = estimator(cls, targets)
    model.set_params(hidden_layer_sizes=(6,), solver=solver).fit(X[:, :2], targets)
    pickle.loads(pickle.dumps(model))
    model.save(tmp_path / "model.fastnn")
    again = fastnn.load(tmp_path / "model.fastnn")
    np.testing.assert_array_equal(again.predict(X[:, :2]), model.predict(X[:, :2]))
    model.set_params(solver="adam", warm_start=False).fit(X, targets)
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("name", ["adam", "three classes", "regression"])
def test_the_date_is_in_the_metadata_of_what_is_loaded(name, tmp_path):
    model = MODELS[name]()
    path = tmp_path / "model.fastnn"
    model.save(path, date=True)
    again = fastnn.load(path)
    assert again.metadata == {**model.metadata, "date": again.metadata["date"]}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", again.metadata["date"])
    again.save(path)  # it is no part of the model
    assert fastnn.load(path).metadata == model.metadata
    assert "date" not in copy.deepcopy(again).metadata


def test_a_loss_of_ones_own_without_functions():
    with pytest.raises(ValueError, match="loss"):
        Network.from_params(np.zeros(21), [3, 4, 1], "tanh", loss="given")
    state = net().__getstate__()
    with pytest.raises(ValueError, match="without its functions"):
        net().__setstate__({**state, "_loss": LossOf("given")})


@pytest.mark.parametrize("binarizer", ["none", "no kind", "another kind"])
def test_classes_without_their_numbers_are_refused(binarizer, tmp_path):
    """Whatever the checksum; they would be missed by `predict`."""
    model = MODELS["three classes"]()
    if binarizer == "none":
        model._label_binarizer = None
    elif binarizer == "no kind":
        del model._label_binarizer.y_type_
    else:
        model._label_binarizer.y_type_ = "adam"
    with pytest.raises((TypeError, ValueError, AttributeError)):
        pickle.loads(pickle.dumps(model))
