"""Exported C: compiled with every warning as an error, run, and held to what Python predicts."""

import copy
import ctypes
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from cases import HIDDEN
from conftest import THOROUGH
from kernels.test_activations import EXACT, assert_within_4_ulp, exact, whole_range
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.pipeline import make_pipeline

from fastnn import MLPClassifier, MLPRegressor, Network, files
from fastnn.catalog import activations, losses
from fastnn.cli.main import main
from fastnn.files import c_math
from fastnn.files.c_source import REALS, quantised, to_c

WARNINGS = (
    "-std=c99 -Wall -Wextra -pedantic -Wconversion -Wshadow -Wdouble-promotion -Werror"
).split()
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def compilers():
    """gcc and clang, those that are there; clang is in the wheel ziglang, too."""
    found = {name: [path] for name in ("gcc", "clang") if (path := shutil.which(name))}
    if "clang" not in found and importlib.util.find_spec("ziglang"):
        found["clang"] = [sys.executable, "-m", "ziglang", "cc"]
    return found


COMPILERS = compilers()
needs_compiler = pytest.mark.skip(reason="needs gcc or clang")
EVERY_COMPILER = pytest.mark.parametrize(
    "compiler",
    COMPILERS.values() or [pytest.param([], marks=needs_compiler, id="none")],
    ids=COMPILERS or None,
)


def compiled(compiler, source, output, *flags):
    """The file that the compiler makes of a source; it must have nothing to say."""
    path = output.with_suffix(".c")
    path.write_text(source)
    done = subprocess.run(
        [*compiler, *WARNINGS, str(path), "-o", str(output), *flags],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return output


ROWS = """
void {name}_rows(const {real} *x, {real} *y, int n)
{{
    for (; n > 0; n--, x += {upper}_N_FEATURES, y += {upper}_N_OUTPUTS) {name}_predict(x, y);
}}
"""


class Library:
    """Exported models, compiled together.

    Parameters
    ----------
    models : dict
        name -> model, options of `to_c`
    """

    def __init__(self, compiler, models, folder):
        self.models, texts = models, []
        for name, (model, options) in models.items():
            real = REALS[options.get("dtype") or type_of(model)]
            texts += [
                to_c(model, name=name, main=False, **options),
                ROWS.format(name=name, real=real, upper=name.upper()),
            ]
        flags = ["-O2", "-shared", "-fPIC", "-lm"]
        path = compiled(compiler, "".join(texts), folder / "models.so", *flags)
        self.functions = ctypes.CDLL(str(path))

    def _rows(self, name, X):
        model, options = self.models[name]
        real = REALS[options.get("dtype") or type_of(model)]
        return np.ascontiguousarray(X, np.float32 if real == "float" else np.float64)

    def predict(self, name, X):
        """The outputs for rows."""
        X, model = self._rows(name, X), self.models[name][0]
        n_outputs = predicted(model, np.zeros_like(X[:1])).shape[1]
        y = np.full(len(X) * n_outputs + 1, 77, X.dtype)
        rows = getattr(self.functions, f"{name}_rows")
        rows(ctypes.c_void_p(X.ctypes.data), ctypes.c_void_p(y.ctypes.data), len(X))
        assert y[-1] == 77  # it writes no more than the outputs
        return y[:-1].reshape(len(X), -1)

    def labels(self, name, X):
        """The labels of rows, as `predict` of the classifier gives them."""
        model, X = self.models[name][0], self._rows(name, X)
        if type(model.predict(X[:1])[0]) is np.ndarray:
            several, found = (ctypes.c_int * len(model.classes_))(), []
            labels = getattr(self.functions, f"{name}_labels")
            for row in X:
                labels(ctypes.c_void_p(row.ctypes.data), several)
                found.append(list(several))
            return np.array(found)
        label = getattr(self.functions, f"{name}_label")
        return model.classes_[[label(ctypes.c_void_p(row.ctypes.data)) for row in X]]


# ---- drawn models -------------------------------------------------------------------------------

KINDS = ["network", "binary", "network", "classes", "network", "labels", "network", "regression"]
PUBLIC = [row for row in losses.LOSSES if row.public]
N_MODELS = 50 if THOROUGH else 8


def drawn_network(rng, dtype):
    """Any widths, activations, loss and output."""
    units = rng.choice([1, 2, 3, 5, 8, 17, 33], rng.randint(2, 6)).tolist()
    loss = PUBLIC[rng.randint(len(PUBLIC))]
    names = [*rng.choice(HIDDEN, len(units) - 2)]
    names.append(loss.out_activation or rng.choice(list(activations.BY_NAME)))
    if names[-1] == "softmax":
        units[-1] += 1  # of one output it is 1
    levels = {"quantile": np.linspace(0.1, 0.9, units[-1]).tolist()}
    more = levels if loss.number == "quantile" else {}
    return Network(
        units, list(map(str, names)), loss=loss.name, dtype=dtype,
        random_state=rng.randint(1000), **more,
    )  # fmt: skip


def drawn_estimator(rng, dtype, kind):
    """A classifier of one of three kinds, or a regressor."""
    X, hidden = rng.randn(40, rng.randint(1, 9)).astype(dtype), rng.randint(1, 20, rng.randint(3))
    cls = MLPRegressor if kind == "regression" else MLPClassifier
    own = {*HIDDEN, "logistic"} - {"sigmoid"}  # its name there
    model = cls(
        hidden_layer_sizes=hidden.tolist(), activation=str(rng.choice(sorted(own))), max_iter=2,
        random_state=rng.randint(1000),
    )  # fmt: skip
    y = {
        "binary": lambda: np.array(["no", "yes"])[np.arange(40) % 2],
        "classes": lambda: 7 * (np.arange(40) % rng.randint(3, 6)),
        "labels": lambda: rng.randint(2, size=(40, 3)),
        "regression": lambda: rng.randn(40, rng.randint(1, 4)).astype(dtype).squeeze(),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        return model.fit(X, y)


def drawn(seed):
    """A model and the type of its parameters."""
    rng, kind = np.random.RandomState(seed), KINDS[seed % len(KINDS)]
    dtype = np.dtype(rng.choice(["float64", "float32"]))
    if kind == "network":
        return drawn_network(rng, dtype)
    return drawn_estimator(rng, dtype, kind)


def predicted(model, X):
    """What the exported file gives for rows."""
    if isinstance(model, MLPClassifier):
        return model.predict_proba(X)
    return model.predict(X).reshape(len(X), -1)


def dequantised(model):
    """A float64 copy with the coefs that an int8 file has."""
    if isinstance(model, Network):
        net = Network(
            model.layer_units, list(model.activations), loss=model.loss_function,
            **{k: v for k, v in model.loss_options.items() if k != "loss"},
        )  # fmt: skip
        net.coefs_, net.intercepts_ = model.coefs_, model.intercepts_
    else:
        net = copy.deepcopy(model)
        net.intercepts_ = [np.float64(np.float32(b)) for b in model.intercepts_]
    coefs = []
    for coef in model.coefs_:
        scale = np.float32(np.abs(coef).max(axis=0) / 127)
        coefs.append(np.rint(coef / scale.astype(np.float64)) * scale.astype(np.float64))
    net.coefs_ = coefs
    return net


def type_of(model):
    return np.result_type(*model.coefs_).name


def error(got, want):
    """The largest difference, relative to values above 1."""
    assert got.shape == want.shape
    want = want.astype(np.float64)
    return (np.abs(got - want) / np.maximum(1, np.abs(want))).max()


def rows_for(model, n=50):
    return np.random.RandomState(0).randn(n, len(model.coefs_[0])).astype(type_of(model))


@EVERY_COMPILER
def test_drawn_models(compiler, tmp_path):
    models = [drawn(seed) for seed in range(N_MODELS)]
    libm = itertools.cycle([True, False])
    library = Library(
        compiler,
        {
            f"m{i}_{dtype or 'own'}": (model, {"dtype": dtype, "libm": next(libm)})
            for i, model in enumerate(models)
            for dtype in (None, "int8", "float32" if type_of(model) == "float64" else "float64")
        },
        tmp_path,
    )
    for i, model in enumerate(models):
        X = rows_for(model)
        got = library.predict(f"m{i}_own", X)
        assert error(got, predicted(model, X)) <= TOLERANCE[type_of(model)], model
        got = library.predict(f"m{i}_int8", X)
        assert error(got, predicted(dequantised(model), X.astype(np.float64))) <= 1e-6, model
        other = f"m{i}_{'float32' if X.dtype == np.float64 else 'float64'}"
        assert error(library.predict(other, X), predicted(model, X)) <= 1e-5, model
        if isinstance(model, MLPClassifier):
            np.testing.assert_array_equal(library.labels(f"m{i}_own", X), model.predict(X))


def test_every_kind_is_drawn():
    """In the first models, which every run compiles."""
    models = [drawn(seed) for seed in range(8)]
    assert {type_of(model) for model in models} == {"float64", "float32"}
    assert {type(model) for model in models} == {Network, MLPClassifier, MLPRegressor}
    kinds = {m._label_binarizer.y_type_ for m in models if isinstance(m, MLPClassifier)}
    assert kinds == {"binary", "multiclass", "multilabel-indicator"}


# ---- activations --------------------------------------------------------------------------------


def alone(name, dtype):
    """A net that is one activation."""
    net = Network([1, 1], [name], dtype=dtype, random_state=0)
    net.params_ = [1, 0]
    return net


def test_every_activation_has_its_c():
    assert list(c_math.ACTIVATIONS) == list(activations.BY_NAME)


@EVERY_COMPILER
def test_activations_within_4_ulp(compiler, dtype, tmp_path, rng):
    """With <math.h> and without."""
    ways = {"with": {"libm": True}, "without": {"libm": False}}
    nets = {name: alone(name, dtype) for name in EXACT}
    library = Library(
        compiler,
        {f"{name}_{way}": (net, ways[way]) for name, net in nets.items() for way in ways},
        tmp_path,
    )
    x = whole_range(rng, dtype)
    x = x if THOROUGH else x[rng.permutation(len(x))[:20000]]
    for name in EXACT:
        want = exact(EXACT[name][0], x)
        for way in ways:
            got = library.predict(f"{name}_{way}", x[:, np.newaxis])
            assert_within_4_ulp(name, got[:, 0], want)


EXTREME = np.array([0, 1e30, -1e30, 1e-30, 5e-324, -1e-40, 1e15, -88.5, 709.5, -745.0, 20.0])


@EVERY_COMPILER
def test_extreme_inputs(compiler, dtype, tmp_path):
    """No NaN where predict has none, nor infinity, whatever the hidden and output layers."""
    pairs = [(hidden, out) for hidden in HIDDEN for out in activations.BY_NAME]
    pairs = pairs if THOROUGH else pairs[::11]
    nets = [Network([2, 5, 3], pair, dtype=dtype, random_state=0) for pair in pairs]
    ways = {
        "libm": {}, "own": {"libm": False},
        "int8_libm": {"dtype": "int8"}, "int8_own": {"dtype": "int8", "libm": False},
    }  # fmt: skip
    library = Library(
        compiler,
        {f"m{i}_{way}": (net, ways[way]) for i, net in enumerate(nets) for way in ways},
        tmp_path,
    )
    numbers = EXTREME[np.abs(EXTREME) < np.finfo(np.float32).max]
    X = np.array(list(itertools.product(numbers, numbers))).astype(dtype)
    for i, net in enumerate(nets):
        want = net.predict(X)
        far_from_infinity = np.abs(want) < np.finfo(dtype).max / 2
        for way in ways:
            got = library.predict(f"m{i}_{way}", X)
            assert not np.isnan(got[~np.isnan(want)]).any(), net.activations
            if way in ("libm", "own"):
                assert np.isfinite(got[far_from_infinity]).all(), net.activations


@EVERY_COMPILER
def test_nan_passes_through(compiler, tmp_path):
    ways = {f"{name}_{libm:d}": (name, libm) for name in EXACT for libm in (True, False)}
    models = {key: (alone(name, "float64"), {"libm": libm}) for key, (name, libm) in ways.items()}
    library = Library(compiler, models, tmp_path)
    for key in ways:
        assert np.isnan(library.predict(key, np.array([[np.nan]]))), key


# ---- what the file is ---------------------------------------------------------------------------


def symbols(path, kinds):
    """Names of these kinds, of `nm`, in an object file."""
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    done = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True)
    rows = [line.split()[-2:] for line in done.stdout.splitlines()]
    return {name.lstrip("_") for kind, name in rows if kind in kinds}


def a_classifier(labels, **options):
    X = np.random.RandomState(0).randn(len(labels), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPClassifier((4,), max_iter=2, random_state=0, **options).fit(X, labels)


def of_all_activations(dtype):
    """A net with every activation."""
    names = [*HIDDEN, "softmax"]
    return Network([3, *range(2, len(names) + 2)], names, dtype=dtype, random_state=0)


@EVERY_COMPILER
@pytest.mark.parametrize("libm", [True, False], ids=["libm", "own"])
def test_nothing_is_kept_and_nothing_else_needed(compiler, libm, tmp_path):
    """No variables, and without <math.h> no functions of others."""
    models = {
        "one": (of_all_activations("float32"), "float32"),
        "two": (of_all_activations("float64"), "float64"),
        "three": (of_all_activations("float64"), "int8"),
        "four": (a_classifier(["a", "bc", "d"] * 5), "float64"),
        "five": (Network([1, 3], loss="quantile", quantile=[0.1, 0.5, 0.9]), "float32"),
    }
    texts = [
        to_c(model, name=name, dtype=dtype, libm=libm, main=False)
        for name, (model, dtype) in models.items()
    ]
    path = compiled(compiler, "".join(texts), tmp_path / "models.o", "-O2", "-fPIC", "-c")
    assert symbols(path, "dDbBcCsSgG") == set()
    public = {name.partition("_")[2] for name in symbols(path, "TR")}
    assert public <= {"predict", "label", "labels", "classes"}
    needed = symbols(path, "U") - {"GLOBAL_OFFSET_TABLE_"}
    functions = {"exp", "expm1", "log1p", "tanh", "erfc"}
    if libm:
        assert needed - {"memcpy", "memset"} == functions | {f"{name}f" for name in functions}
    else:
        assert needed <= {"memcpy", "memset"}
    assert ("math.h" in texts[0]) == libm


@pytest.mark.skipif("gcc" not in COMPILERS or not shutil.which("size"), reason="needs gcc, size")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_a_small_net_is_small(dtype, tmp_path):
    """2-8-1 with its own tanh and exp: 1 KB or so of code and constants."""
    net = Network([2, 8, 1], "tanh", loss="binary_log_loss", dtype="float32", random_state=0)
    source = to_c(net, libm=False, main=False, dtype=dtype)
    path = compiled(COMPILERS["gcc"], source, tmp_path / "model.o", "-Os", "-c")
    said = subprocess.run(["size", str(path)], capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, said.splitlines()[1].split()[:3])
    assert text < 4096
    assert (data, bss) == (0, 0)


def test_a_net_without_functions_needs_no_library():
    net = Network([2, 3, 1], "relu", out_activation="identity")
    assert "#include" not in to_c(net, main=False)


def test_numbers_are_exact(dtype):
    net = Network([3, 5, 2], "tanh", dtype=dtype, random_state=0)
    net.coefs_[0][0] = [0, -0.0, 1, 1e-30, np.finfo(dtype).smallest_subnormal]
    tables = re.findall(r"\[\d+\] = \{(.*?)\}", to_c(net), re.DOTALL)
    suffix = "f" if dtype == np.float32 else ""
    numbers = [n for table in tables for n in table.replace("\n", "").split(",") if n.strip()]
    assert all(re.search(rf"[.e].*\d{suffix}$", n) for n in numbers)
    got = np.array([n.strip().rstrip("f") for n in numbers]).astype(dtype)
    assert got.tobytes() == net.params_.tobytes()


def test_whole_coefs(rng):
    """Each within half a scale; the largest of a unit is 127 scales, and a unit of zeros stays."""
    coefs = rng.randn(5, 7) * 10.0 ** rng.randint(-3, 4, 7)
    coefs[:, 2] = 0
    coefs[:, 3] *= 1e-300
    whole, scales = quantised(coefs)
    assert (whole.dtype, scales.dtype) == (np.int8, np.float32)
    assert np.abs(whole).max(axis=0).tolist() == [127, 127, 0, 0, 127, 127, 127]
    assert (np.abs(whole * scales.astype(np.float64) - coefs) <= 0.501 * scales).all()


@EVERY_COMPILER
def test_classes(compiler, tmp_path):
    texts = ["a", 'q"\\', "??/", "línea\n", "*/"]
    models = {
        "text": a_classifier(texts * 4),
        "whole": a_classifier([-5, 0, 2**31 - 1, 7] * 4),
        "wide": a_classifier([0, 2**40, 5] * 4),
        "truth": a_classifier([True, False] * 4),
        "one": a_classifier([3] * 8),
        "several": a_classifier(np.eye(3, dtype=int)[[0, 1, 2] * 4]),
    }
    library = Library(compiler, {name: (model, {}) for name, model in models.items()}, tmp_path)
    X = np.random.RandomState(0).randn(30, 3)
    for name, model in models.items():
        np.testing.assert_array_equal(library.labels(name, X), model.predict(X), name)
        got = library.predict(name, X)
        np.testing.assert_allclose(got, model.predict_proba(X), rtol=1e-12, atol=1e-12)
    for name in ("text", "wide", "truth"):
        stored = [str(one).encode() for one in models[name].classes_]
        size = max(map(len, stored)) + 1
        table = ((ctypes.c_char * size) * len(stored)).in_dll(library.functions, f"{name}_classes")
        assert [row.value for row in table] == stored
    table = (ctypes.c_int32 * 4).in_dll(library.functions, "whole_classes")
    assert list(table) == models["whole"].classes_.tolist()


def test_a_label_of_equal_ones_is_the_first(tmp_path):
    if not COMPILERS:
        pytest.skip("needs gcc or clang")
    models = {"two": a_classifier([0, 1] * 4), "three": a_classifier([0, 1, 2] * 4)}
    for model in models.values():
        model.coefs_ = [np.zeros_like(one) for one in model.coefs_]
        model.intercepts_ = [np.zeros_like(one) for one in model.intercepts_]
    compiler = next(iter(COMPILERS.values()))
    library = Library(compiler, {name: (model, {}) for name, model in models.items()}, tmp_path)
    for name, model in models.items():
        X = np.ones((1, 3))
        assert library.labels(name, X) == model.predict(X) == 0


def test_scikit_learns_own_estimators():
    ours = a_classifier(["a", "b", "c"] * 4)
    theirs = ours.to_sklearn()
    assert type(theirs) is originals.MLPClassifier
    assert to_c(theirs) == to_c(ours)


@pytest.mark.skipif(
    "loss" not in originals.MLPRegressor._parameter_constraints, reason="scikit-learn 1.6"
)
@EVERY_COMPILER
def test_several_quantiles_are_sorted(compiler, tmp_path, rng):
    X, levels = rng.randn(40, 2), [0.1, 0.3, 0.5, 0.9]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = MLPRegressor(hidden_layer_sizes=(5,), loss="quantile", quantile=levels, max_iter=1)
        mlp.fit(X, X[:, 0])
    net = Network([2, 5, 4], "tanh", loss="quantile", quantile=levels, random_state=0)
    library = Library(compiler, {"mlp": (mlp, {}), "net": (net, {})}, tmp_path)
    for name, model in (("mlp", mlp), ("net", net)):
        want = model.predict(X)
        unsorted = net.forward(X)[-1] if model is net else mlp._forward_pass_fast(X)
        assert (np.diff(unsorted) < 0).any()
        np.testing.assert_allclose(library.predict(name, X), want, rtol=1e-12, atol=1e-12)


# ---- the program --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A net, and its program."""
    if not COMPILERS:
        pytest.skip("needs gcc or clang")
    net = Network([2, 8, 3], "tanh", dtype="float32", random_state=0)
    folder = tmp_path_factory.mktemp("program")
    source = to_c(net, folder / "net.c", name="net", libm=False)
    compiler = next(iter(COMPILERS.values()))
    return net, compiled(compiler, source, folder / "net", "-O2", "-DNET_MAIN")


def said(program, text):
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([*program], input=data, capture_output=True, timeout=60)


def test_program(program):
    net, path = program
    done = said([path], "1 2\n\n 3.5,\t-4 \n1e30 , -1e-30\r\n\t\n0x1p3 +.5")
    assert (done.returncode, done.stderr) == (0, b"")
    X = [[1, 2], [3.5, -4], [1e30, -1e-30], [8, 0.5]]
    got = np.array([line.split() for line in done.stdout.splitlines()]).astype(np.float32)
    np.testing.assert_allclose(got, net.predict(X), rtol=1e-6, atol=1e-6)
    assert said([path], "").stdout == b""


BAD_ROWS = [
    "1", "1 2 3", "1,2,3", "1,,2", ",1,2", "1,2,", "one two", "1 2x", "1-2", "1;2", "nan 1",
    "1 inf", "1e99 1", "1 2\0", "\0", "\0\n", "1 \0 2\n", "1" * 1000, "1 2" + " " * 1000,
    "0" * 1000 + "1 2",
]  # fmt: skip


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: repr(row)[:20])
def test_program_refuses_bad_rows(program, row):
    done = said([program[1]], f"1 2\n{row}")
    assert done.returncode == 1
    assert done.stderr == b"line 2 is not 2 finite numbers\n"
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    ("target", "emulator"),
    [("arm-linux-musleabihf", "qemu-arm"), ("aarch64-linux-musl", "qemu-aarch64")],
)
def test_on_other_processors(target, emulator, tmp_path):
    """Where there is a compiler with a C library for them, and an emulator."""
    runner = shutil.which(emulator) or shutil.which(f"{emulator}-static")
    if runner is None or "clang" not in COMPILERS:
        pytest.skip(f"needs clang and {emulator}")
    compiler = [*COMPILERS["clang"], "-target", target, "-static"]
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    tried = [*compiler, str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    if subprocess.run(tried, capture_output=True, timeout=300).returncode:
        pytest.skip(f"no C library for {target}")
    for seed in range(8):
        model = drawn(seed)
        X = rows_for(model, 10)
        source = to_c(model, libm=seed < 4)
        path = compiled(compiler, source, tmp_path / "model", "-O2", "-DMODEL_MAIN", "-lm")
        rows = "\n".join(" ".join(map(repr, row)) for row in X.tolist())
        done = said([runner, path], rows)
        got = np.array([line.split() for line in done.stdout.splitlines()]).astype(float)
        assert error(got, predicted(model, X)) <= TOLERANCE[type_of(model)], model


# ---- arguments ----------------------------------------------------------------------------------

NET = Network([2, 3, 1], random_state=0)
BAD = [
    (None, {}, TypeError, "model must be a Network, MLPClassifier or MLPRegressor, got None"),
    (Network, {}, TypeError, "model must be a Network"),
    (make_pipeline(MLPClassifier()), {}, TypeError, "of a pipeline give the last step"),
    (MLPClassifier(), {}, NotFittedError, "not fitted"),
    (MLPRegressor(), {}, NotFittedError, "not fitted"),
    (NET, {"dtype": "float16"}, ValueError, "dtype must be one of 'float64', 'float32', 'int8'"),
    (NET, {"dtype": np.float32}, TypeError, "dtype must be one of"),
    (NET, {"name": 5}, TypeError, "name must be a C identifier, got 5"),
    (NET, {"name": ""}, ValueError, "name must be a C identifier"),
    (NET, {"name": "2nd"}, ValueError, "name must be a C identifier"),
    (NET, {"name": "a-b"}, ValueError, "name must be a C identifier"),
    (NET, {"name": "a\n"}, ValueError, "name must be a C identifier"),
    (NET, {"name": "ñ"}, ValueError, "name must be a C identifier"),
    (NET, {"name": "_Bool"}, ValueError, "name must be a C identifier"),
    (NET, {"name": "double"}, ValueError, "and no keyword, got 'double'"),
    (NET, {"libm": "no"}, TypeError, "libm must be True or False, got 'no'"),
    (NET, {"main": None}, TypeError, "main must be True or False, got None"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "options", "error", "message"), BAD)
def test_bad_arguments(model, options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        to_c(model, **options)
    assert error is NotFittedError or "\n" not in str(caught.value)


def test_an_activation_that_was_changed_after_the_fit():
    model = a_classifier([0, 1] * 4)
    model.activation = "reloo"
    with pytest.raises(ValueError, match="activation must be one of"):
        to_c(model)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_parameters_that_no_file_can_hold(dtype):
    net = NET.copy()
    net.coefs_[1][2, 0] = 1e39
    with pytest.raises(ValueError, match=re.escape("coefs_[1][2, 0] is 1e+39 (too large for")):
        to_c(net, dtype=dtype)
    net.intercepts_[0][1] = np.nan
    with pytest.raises(ValueError, match=re.escape("intercepts_[0][1] is nan")):
        to_c(net)


# names that the templates have themselves, or that look like theirs
NAMES = ["x", "y", "n", "real", "m", "M_", "f_exp", "m_x", "exp", "e1", "main", "STRTO", "X9_"]


@EVERY_COMPILER
def test_names(compiler, tmp_path):
    net = Network([3, 4, 2], ["tanh", "gelu"], dtype="float32", random_state=0)
    library = Library(compiler, {name: (net, {"libm": False}) for name in NAMES}, tmp_path)
    X = np.ones((3, 3), np.float32)
    for name in NAMES:
        assert error(library.predict(name, X), net.predict(X)) <= 1e-6
    for name in ("real", "f_exp", "main"):
        text = to_c(net, name=name, libm=False)
        compiled(compiler, text, tmp_path / "main", f"-D{name.upper()}_MAIN")


def test_the_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "net.c"
    path.write_text("before")
    text = to_c(NET, path)
    assert path.read_bytes() == text.encode("ascii")
    assert [one.name for one in tmp_path.iterdir()] == ["net.c"]
    path.write_text("before")
    with pytest.raises(ValueError, match="dtype"):
        to_c(NET, path, dtype="int4")
    assert path.read_text() == "before"
    with pytest.raises(OSError, match="nowhere"):
        to_c(NET, tmp_path / "nowhere" / "net.c")
    with pytest.raises(IsADirectoryError):
        to_c(NET, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows")
def test_a_pipe_stays_one(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    to_c(NET, path)
    reader.join(60)
    assert read == [to_c(NET)]
    assert path.is_fifo()


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def in_files(monkeypatch):
    """What `fastnn.load` finds: a model by its name."""
    models = {"net.fastnn": NET}

    def load(path):
        if path not in models:
            raise FileNotFoundError(2, "No such file or directory", path)
        return models[path]

    monkeypatch.setattr(files, "load", load)
    return models


def status(*words):
    """The exit status of the command."""
    try:
        return main(words)
    except SystemExit as end:  # argparse's
        return end.code


def test_command(in_files, tmp_path, capsys):
    assert status("export", "net.fastnn", "--to", "c") == 0
    assert capsys.readouterr() == (to_c(NET), "")
    path = tmp_path / "net.c"
    options = ["--dtype", "int8", "--no-libm", "--name", "net"]
    assert status("export", "net.fastnn", "--to=c", "--output", str(path), *options) == 0
    assert capsys.readouterr() == ("", "")
    assert path.read_text() == to_c(NET, dtype="int8", libm=False, name="net")


def test_command_with_a_file(tmp_path, capsys):
    pytest.importorskip("safetensors")
    NET.save(tmp_path / "net.fastnn")
    assert status("export", str(tmp_path / "net.fastnn"), "--to", "c") == 0
    assert capsys.readouterr().out == to_c(NET)


BAD_OPTIONS = [
    (["net.fastnn"], "the following arguments are required: --to"),
    (["--to", "c"], "the following arguments are required: MODEL"),
    (["net.fastnn", "--to", "rust"], "--to must be one of 'c', got 'rust'"),
    (["net.fastnn", "--to", "c", "--dtype", "int4"], "--dtype must be one of 'float64', 'float3"),
    (["net.fastnn", "--to", "c", "--name", "int"], "--name must be a C identifier"),
    (["other", "--to", "c"], "No such file or directory: 'other'"),
    (["net.fastnn", "--to", "c", "--output", "nowhere/net.c"], "nowhere"),
    (["net.fastnn", "--to", "c", "--dtyp", "int8"], "did you mean '--dtype'?"),
    (["empty", "--to", "c"], "not fitted"),
]


@pytest.mark.parametrize(("words", "message"), BAD_OPTIONS)
def test_bad_options_exit_2_with_one_line(words, message, in_files, tmp_path, monkeypatch, capsys):
    in_files["empty"] = MLPClassifier()
    monkeypatch.chdir(tmp_path)
    assert status("export", *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fastnn: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
