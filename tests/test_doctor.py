"""`fastnn doctor`: what it reports, and that its test finds faults of every kind."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED, PYTHON

import fastnn
from fastnn import Network, estimators, kernels, threads
from fastnn.cli import doctor, selftest
from fastnn.cli.main import main
from fastnn.reference import activations, losses, solvers

ROOT = Path(__file__).resolve().parent.parent
NOTHING_COMPILED = pytest.mark.skipif(not COMPILED, reason="no build to hold to the oracle")


def report(capsys, *words):
    status = main(["doctor", *words])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out


def section(text, title):
    lines = text.partition(f"[{title}]\n")[2].partition("\n\n")[0].splitlines()
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines)


@NOTHING_COMPILED
def test_the_report_as_a_user_sees_it(tmp_path):
    done = subprocess.run(  # not in the source tree, where nothing may be compiled
        [*PYTHON, "-W", "error", "-m", "fastnn", "doctor"],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout
    assert section(out, "fastnn")["version"] == fastnn.__version__
    assert section(out, "build")["in use"].startswith(kernels.ISA)
    assert section(out, "versions")["numpy"] == np.__version__
    assert "openblas" in out or "blas" in out.lower()
    for name in COMPILED:
        for dtype in ("float64", "float32"):
            assert f"\n{name} {dtype}: right: forward " in out
    assert out.endswith("\npassed\n")
    assert "WRONG" not in out


def test_it_is_text_without_the_users_name(monkeypatch, capsys):
    monkeypatch.setattr(selftest, "run", lambda: iter([]))
    home = Path(fastnn.__file__).parents[1]
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(home))
    status, out = report(capsys)
    assert status == 0
    assert section(out, "fastnn")["folder"] == str(Path("~", "fastnn"))


@pytest.mark.skipif(os.name == "nt", reason="asks for users as POSIX knows them")
def test_a_user_without_a_name_or_a_home(monkeypatch, capsys):
    """As in a container that runs as any number."""
    import pwd

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(selftest, "run", lambda: iter([]))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    status, out = report(capsys)
    assert status == 0
    assert section(out, "fastnn")["folder"] == str(Path(fastnn.__file__).parent)


def test_json_has_the_same(monkeypatch, capsys):
    result = selftest.Result("baseline", "float64", {"forward": 3}, ["solver adam: off by 1"])
    monkeypatch.setattr(selftest, "run", lambda: iter([result]))
    status, out = report(capsys, "--json")
    assert status == 1
    found = json.loads(out)
    assert found["self-test"] == [result._asdict()]
    assert found["fastnn"]["version"] == fastnn.__version__
    assert found["warnings"] == doctor.clashes(doctor._pools(), threads.get_num_threads())
    status, out = report(capsys)
    assert status == 1
    assert "baseline float64: WRONG: solver adam: off by 1" in out
    assert out.endswith("FAILED: 1 of the above are wrong\n")


def test_where_the_number_of_threads_comes_from(monkeypatch, capsys):
    monkeypatch.setattr(selftest, "run", lambda: iter([]))
    monkeypatch.setattr(threads, "_affinity", lambda: 8)
    monkeypatch.setattr(threads, "_quota", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("FASTNN_NUM_THREADS", "3")
    lines = section(report(capsys)[1], "threads")
    assert lines == {
        "in use": "up to 3, the least of" if kernels.ISA != "reference" else lines["in use"],
        "affinity": "8", "control group": "6", "OMP_NUM_THREADS": "4", "FASTNN_NUM_THREADS": "3",
    }  # fmt: skip
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("FASTNN_NUM_THREADS")
    monkeypatch.setattr(threads, "_quota", lambda: float("inf"))
    assert set(threads.limits().values()) == {8, float("inf")}
    assert section(report(capsys)[1], "threads")["control group"] == "no limit"


@pytest.mark.parametrize("isa", [*COMPILED, "reference"])
def test_why_a_build_is_in_use(isa, monkeypatch, capsys):
    monkeypatch.setenv("FASTNN_ISA", isa)
    assert doctor._build()["why"] == f"FASTNN_ISA={isa} says so"
    monkeypatch.delenv("FASTNN_ISA")
    assert "FASTNN_ISA is not set" in doctor._build()["why"]


def test_what_is_the_matter_with_each_build(monkeypatch):
    cpu = kernels._cpu_module()
    assert list(kernels.states()) == [*kernels.MODULES, "reference"]
    assert [name for name, state in kernels.states().items() if state == "runs"] == COMPILED
    monkeypatch.setattr(cpu, "BUILT", ("baseline",))
    monkeypatch.setattr(cpu, "supported", lambda: ("avx2", "baseline"))
    assert kernels.states() == {
        "avx512": "this machine does not run it", "avx2": "was not compiled", "baseline": "runs",
        "reference": "runs; NumPy, slow",
    }  # fmt: skip


def pool(prefix, *, api="openmp", threads=2, name=None):
    return {
        "user_api": api, "internal_api": prefix.removeprefix("lib"), "prefix": prefix,
        "filepath": f"/lib/{name or prefix}.so", "version": None, "num_threads": threads,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        ([pool("libgomp"), pool("libopenblas", api="blas")], []),
        ([pool("libopenblas", api="blas", name=name) for name in "ab"], []),  # NumPy's and SciPy's
        ([pool("libiomp"), pool("libomp")], ["may hang or crash"]),
        ([pool("libgomp", name="one"), pool("libgomp", name="two")], ["2 OpenMP libraries"]),
        (
            [pool("libopenblas", api="blas"), pool("libmkl_rt", api="blas")],
            ["different BLAS libraries, mkl_rt and openblas"],
        ),
        (
            [pool("libopenblas", api="blas", threads=64)],
            ["libopenblas.so has 64 threads where 2 may work: set OMP_NUM_THREADS=2"],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_clashes(pools, said, monkeypatch, capsys):
    found = doctor.clashes(pools, 2)
    assert len(found) == len(said)
    assert all(text in line for text, line in zip(said, found, strict=True))
    monkeypatch.setattr(selftest, "run", lambda: iter([]))
    monkeypatch.setattr(doctor, "_pools", lambda: pools)
    monkeypatch.setattr(threads, "get_num_threads", lambda: 2)
    out = report(capsys)[1]
    assert out.count("\nwarning: ") == len(said)


def test_versions_are_of_what_the_extras_bring(monkeypatch):
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra, names in doctor.EXTRAS.items():
        wanted = extras["optional-dependencies"][extra]
        assert {word.split(">")[0].split("[")[0] for word in wanted} == set(names)
    for word in extras["dependencies"]:
        assert word.split(">")[0] in doctor.NEEDED
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    assert doctor._versions()["onnx"] == 'missing: the extra "onnx"'


# ---- planted faults -----------------------------------------------------------------------------


def wrong_activation(monkeypatch):
    right, derivative = activations.BY_CODES[activations.CODES["tanh"]][:2]

    def tanh(z, out):
        right(z, out)
        out *= 1 + 1e-5

    kept = activations.BY_CODES[activations.CODES["tanh"]][2:]
    monkeypatch.setitem(activations.BY_CODES, activations.CODES["tanh"], (tanh, derivative, *kept))
    return "forward tanh"


def wrong_gradient(monkeypatch):
    code = losses.CODES["log_loss"]
    right = losses.BY_CODES[code]

    def log_loss(a, z, y):
        values, deltas = right(a, z, y)
        return values, deltas * (1 + 1e-5)

    monkeypatch.setitem(losses.BY_CODES, code, log_loss)
    return "gradient log_loss"


def wrong_solver(monkeypatch):
    monkeypatch.setattr(solvers, "root", lambda squares, step: np.sqrt(squares) + 1e-3)
    return "solver adam"


def wrong_threads(monkeypatch):
    fit = Network.fit

    def of_three(net, *args, **options):
        fit(net, *args, **options)
        if threads.get_num_threads() == selftest.N_THREADS:
            net.params_[0] = np.nextafter(net.params_[0], net.dtype.type(9))
        return net

    monkeypatch.setattr(Network, "fit", of_three)
    return "threads fit"


def wrong_rows(monkeypatch):
    # of the build alone: the oracle is asked first
    predict, asked = estimators.MLPRegressor.predict, []

    def other(model, X):
        asked.append(1)
        return predict(model, X) * (1 + 1e-4 * (kernels.build.__name__ != "fastnn.reference"))

    monkeypatch.setattr(estimators.MLPRegressor, "predict", other)
    return "sparse rows csr"


def broken_build(monkeypatch):
    module = kernels.load(COMPILED[-1])

    def refuses(*args):
        raise RuntimeError("no\nmemory")

    monkeypatch.setattr(module, "NetLanes", refuses)
    return "many nets in lanes: RuntimeError: no memory"


@NOTHING_COMPILED
@pytest.mark.parametrize(
    "plant",
    [wrong_activation, wrong_gradient, wrong_solver, wrong_threads, wrong_rows, broken_build],
    ids=lambda plant: plant.__name__,
)
def test_a_planted_fault_is_found(plant, monkeypatch, capsys):
    # one build is enough
    monkeypatch.setattr(kernels, "supported", lambda: (COMPILED[-1], "reference"))
    named = plant(monkeypatch)
    before = kernels.build
    status, out = report(capsys)
    assert status == 1
    wrong = [line for line in out.splitlines() if ": WRONG: " in line]
    assert any(named in line for line in wrong), wrong
    assert " gradient " in out.replace("WRONG: gradient", "")  # others are right
    assert "FAILED" in out.splitlines()[-1]
    assert kernels.build is before


@NOTHING_COMPILED
def test_its_tolerances_have_room_and_are_tight(monkeypatch):
    """Right answers are within a tenth of what is allowed."""
    monkeypatch.setattr(selftest, "_rounding", lambda dtype, right=selftest._rounding: (
        right(dtype) / 10
    ))  # fmt: skip
    assert [line for result in selftest.run() for line in result.failed] == []


@NOTHING_COMPILED
def test_every_kind_and_several_threads_are_tested():
    units, n = selftest.SHARED
    for result in selftest.run():
        build = kernels.load(result.build)
        assert set(result.passed) == {
            "forward", "gradient", "solver", "option", "sparse rows", "many nets", "threads",
        }  # fmt: skip
        useful = build.useful_threads(
            np.array(units, np.intp), n, np.dtype(result.dtype).itemsize, selftest.N_THREADS
        )
        assert useful == selftest.N_THREADS or not build.build_info()["threads"]


def test_a_missing_module_is_one_line():
    done = subprocess.run(
        [*PYTHON, "-c", "import sys; sys.modules['fastnn.kernels._cpu'] = None; "
         "from fastnn.cli.main import main; sys.exit(main(['doctor']))"],
        capture_output=True, text=True, timeout=300, env={**os.environ, "FASTNN_ISA": "reference"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "compiled modules cannot be loaded" in done.stderr
