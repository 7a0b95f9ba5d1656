"""Messages of errors name pages of the documentation, which are there."""

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import MLPRegressor, Network, kernels, pages, plotting, threads, tutorial
from fastnn.cli import main

ROOT = Path(__file__).resolve().parent.parent
X = np.linspace(-1, 1, 20).reshape(10, 2)


def kinds_in_the_source():
    for path in Path(fastnn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pages.see", "see"):
                yield ast.literal_eval(node.args[0])


def test_every_kind_is_used_and_has_a_page():
    assert set(kinds_in_the_source()) == set(pages.PAGES)
    for page in pages.PAGES.values():
        path = ROOT / "docs" / f"{page}.md"
        assert path.is_file(), page
        assert path.read_text(encoding="utf-8").startswith("# ")


def test_a_message_ends_with_the_address(monkeypatch):
    monkeypatch.setattr(pages, "BASE", "https://docs.example/")
    monkeypatch.setitem(pages.PAGES, "file", "how-to/files")
    assert pages.see("file", "it is damaged") == (
        "it is damaged. See docs: https://docs.example/how-to/files.html"
    )
    assert pages.where() == "https://docs.example/"


def diverges():
    Network([2, 8, 1], "leaky_relu").fit(1e6 * X, 1e6 * X[:, :1], learning_rate_init=10,
                                         solver="sgd")  # fmt: skip


def diverges_in_the_tutorial():
    layers = tutorial.create_nn([2, 4, 1], tutorial.activation("leaky_relu"))
    tutorial.train(layers, X, X[:, :1], tutorial.l2_cost, lr=1e100, epochs=9)


def diverges_in_an_estimator():
    mlp = MLPRegressor(activation="identity", solver="sgd", learning_rate_init=1e100, max_iter=9)
    mlp.fit(X, 1e200 * X[:, 0])


def no_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    plotting.LivePlot()


def no_safetensors(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    Network([2, 1]).save("x.fastnn")


def no_onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    fastnn.to_onnx(Network([2, 1]))


def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    Network([2, 1]).fit(X, X[:, :1], callback=fastnn.callbacks.ProgressBar(), max_iter=1)


def no_dask(monkeypatch):
    for name in ("fastnn.dask", "dask.array"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    importlib.import_module("fastnn.dask")


def damaged():
    pytest.importorskip("safetensors")
    net = Network([2, 1])
    net.save("x.fastnn")
    data = bytearray(Path("x.fastnn").read_bytes())
    data[-1] ^= 1
    Path("x.fastnn").write_bytes(data)
    fastnn.load("x.fastnn")


def cut_short():
    pytest.importorskip("safetensors")
    Path("x.fastnn").write_bytes(b"1234")
    fastnn.load("x.fastnn")


def other_threads(monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "many")
    threads.get_num_threads()


def other_build(monkeypatch):
    monkeypatch.setenv("FASTNN_ISA", "sse9")
    kernels.choose()


def build_of_another_machine(monkeypatch):
    monkeypatch.setattr(kernels, "supported", lambda: ("reference",))
    kernels.load(next(iter(kernels.MODULES)))


def no_modules(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastnn.kernels._cpu", None)
    kernels.supported()


def out_of_reach():
    Network([2, 4, 1], "sigmoid").fit(X, 5 + X[:, :1])


def out_of_the_domain():
    Network([2, 4, 1], "tanh", loss="poisson").fit(X, X[:, :1])


def not_sums_of_one():
    Network([2, 4, 2], "tanh", loss="log_loss").fit(X, X)


@pytest.mark.parametrize(
    ("kind", "cause", "error"),
    [
        ("diverged", diverges, FloatingPointError),
        ("diverged", diverges_in_the_tutorial, FloatingPointError),
        ("diverged", diverges_in_an_estimator, ValueError),
        *(("extra", one, ImportError)
          for one in (no_matplotlib, no_safetensors, no_onnx, no_tqdm, no_dask)),
        ("file", damaged, ValueError),
        ("file", cut_short, ValueError),
        ("threads", other_threads, ValueError),
        *(("build", one, ImportError)
          for one in (other_build, build_of_another_machine, no_modules)),
        *(("targets", one, ValueError)
          for one in (out_of_reach, out_of_the_domain, not_sums_of_one)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:Stochastic Optimizer")
def test_the_error_names_its_page(kind, cause, error, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as raised:
        cause(*([monkeypatch] if cause.__code__.co_argcount else []))
    message = str(raised.value)
    assert message.endswith(f". See docs: {pages.PAGES[kind]}")
    assert message.count("See docs") == 1
    assert "\n" not in message


def test_the_command_line_passes_it_on(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["demo", "--epochs", "9", "--activation", "relu", "--lr", "1e300"]) == 2
    assert capsys.readouterr().err.endswith(f"See docs: {pages.PAGES['diverged']}\n")
