"""The command line, as a user types it."""

import os
import re
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from conftest import PYTHON

from fastnn import cli, network, tutorial

QUICK = ["demo", "--epochs", "300", "--samples", "100"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def is_png(path):
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    return data[:8] == b"\x89PNG\r\n\x1a\n" and width > 600 and height > 300 and len(data) > 20000


def test_demo_as_documented(tmp_path):
    done = subprocess.run(
        [*PYTHON, "-m", "fastnn", "demo"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "500 points in two rings, network 2-4-8-1 (sigmoid), 2000 steps, float64" in done.stdout
    assert float(re.search(r"ratio\s+([\d.]+) x", done.stdout)[1]) > 0
    assert float(re.search(r"largest difference\s+([\d.e+-]+) ", done.stdout)[1]) < 1e-9
    assert float(re.search(r"training accuracy\s+([\d.]+)%", done.stdout)[1]) > 99
    assert [path.name for path in tmp_path.iterdir()] == ["fastnn-demo.png"]
    assert is_png(tmp_path / "fastnn-demo.png")


@pytest.mark.parametrize(
    "options",
    [
        ["--dtype", "float32"],
        ["--activation", "tanh", "--topology", "2-5-1", "--lr", "0.01"],
        ["--activation", "relu", "--topology", "2-16-16-1", "--lr", "0.005"],
        ["--topology", "2-1"],
        ["--noise", "0", "--seed", "3", "--samples", "7", "--epochs", "1"],
        ["--seed", "4", "--epochs", "2000", "--samples", "500"],  # chaotic: compared by steps
    ],
    ids=" ".join,
)
def test_options(options, capsys):
    assert cli.main([*QUICK, *options]) == 0
    out = capsys.readouterr().out
    assert "largest difference" in out
    if "4" in options and network.ISA != "reference":
        assert "one step" in out


def test_no_compare_and_output(tmp_path, capsys):
    assert cli.main([*QUICK, "--no-compare", "--output", "picture.svg"]) == 0
    assert "NumPy" not in capsys.readouterr().out
    assert "<svg" in (tmp_path / "picture.svg").read_text()


def test_demo_trains_as_the_tutorial_does():
    options = cli.parser().parse_args(QUICK)
    net, x, y = cli._demo_problem(options)
    layers = [tutorial.neural_layer(k, n, tutorial.sigm) for k, n in ((2, 4), (4, 8), (8, 1))]
    for layer, coef, intercept in zip(layers, net.coefs_, net.intercepts_, strict=True):
        layer.W, layer.b = coef.copy(), intercept.copy()[None]
    run = cli._new_run(network.kernels, net, len(x), options)
    cli._train(run, net, x, y, 50, None)
    tutorial.train(layers, x, y, tutorial.l2_cost, lr=0.05, epochs=50)
    for layer, coef, intercept in zip(layers, net.coefs_, net.intercepts_, strict=True):
        np.testing.assert_array_equal(layer.W, coef)
        np.testing.assert_array_equal(layer.b[0], intercept)


@pytest.mark.parametrize("dataset", cli.DATASETS)
def test_datasets(dataset, capsys):
    assert cli.main(["demo", "--dataset", dataset, "--no-compare", "--samples", "200"]) == 0
    out = capsys.readouterr().out
    known = cli.DATASETS[dataset]
    assert f"200 points in {known.words}, network {known.topology}" in out
    assert float(re.search(r"training accuracy\s+([\d.]+)%", out)[1]) > 90


@pytest.mark.parametrize("dataset", cli.DATASETS)
def test_points_are_two_classes_in_the_plane(dataset):
    made = [cli.DATASETS[dataset].make(101, 0.0, np.random.RandomState(3)) for _ in range(2)]
    (X, y), again = made
    assert X.shape == (101, 2)
    assert abs(np.abs(X).max() - 1) < 0.6
    assert sorted(set(y.tolist())) == [0, 1]
    assert abs(y.mean() - 0.5) < 0.15
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(y, again[1])


@pytest.mark.parametrize("name", ["learning.gif", "learning.html"])
def test_animate(name, tmp_path, capsys):
    assert cli.main([*QUICK, "--no-compare", "--animate", name]) == 0
    assert f"animation            {name}" in capsys.readouterr().out
    data = (tmp_path / name).read_bytes()
    if name.endswith("gif"):
        from PIL import Image

        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 51  # before the first step, and every 6 of 300
    else:
        assert b"const pictures" in data


def test_live_without_a_window_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert cli.main([*QUICK, "--live"]) == 2
    captured = capsys.readouterr()
    assert "opens no windows" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_animate_without_matplotlib_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main([*QUICK, "--animate", "x.gif"]) == 2
    captured = capsys.readouterr()
    assert 'extra "plot"' in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(network.ISA == "reference", reason="compares a build with the oracle")
def test_exit_status_1_where_the_nets_differ(monkeypatch, capsys):
    right = cli.reference.sgd_update

    def wrong(params, grads, *rest):
        grads[0] *= 1.001
        right(params, grads, *rest)

    monkeypatch.setattr(cli.reference, "sgd_update", wrong)
    assert cli.main(QUICK) == 1
    assert "the two networks differ" in capsys.readouterr().err


def test_without_matplotlib(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(QUICK) == 0
    out = capsys.readouterr().out
    assert 'pip install ".[plot]"' in out
    assert "training accuracy" in out
    assert not list(tmp_path.iterdir())


def test_progress_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main(QUICK) == 0
    err = capsys.readouterr().err
    assert "50%" in err
    assert err.endswith("\x1b[K")
    assert "[####" in err


BAD = [
    (["--topology", "2-0-1"], "--topology must be whole numbers"),
    (["--topology", "3-4-1"], "--topology must be whole numbers"),
    (["--topology", "2,4,1"], "--topology must be whole numbers"),
    (["--topology", "2-99999999999999999999-1"], "must be a whole number >= 1 and <="),
    (["--topology", "2-199999999999999-199999999999999-1"], "too many"),
    (["--noise", "1e39", "--dtype", "float32"], "too large for float32"),
    (["--samples", "1"], "--samples must be a whole number >= 2"),
    (["--samples", "many"], "invalid int value"),
    (["--noise", "-1"], "--noise must be a finite number"),
    (["--noise", "nan"], "--noise must be a finite number"),
    (["--epochs", "0"], "--epochs must be a whole number >= 1"),
    (["--lr", "0"], "--lr must be a finite number"),
    (["--lr", "inf"], "--lr must be a finite number"),
    (["--dtype", "float16"], "--dtype must be one of 'float64', 'float32'"),
    (["--activation", "gelu"], "--activation must be one of 'sigmoid'"),
    (["--seed", "-1"], "--seed must be in 0"),
    (["--output", "nowhere/x.png"], "there is no folder nowhere"),
    (["--output", "."], "is a folder"),
    (["--output", "x.txt"], "must end in .png"),
    (["--animate", "x.png"], "--animate x.png must end in .gif or .html"),
    (["--animate", "nowhere/x.gif"], "there is no folder nowhere"),
    (["--dataset", "rings"], "--dataset must be one of 'circles'"),
    (["--colour", "red"], "unrecognized arguments"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_options_exit_2_with_one_line(options, message, tmp_path):
    done = subprocess.run(
        [*PYTHON, "-m", "fastnn", *QUICK, *options], capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["-m", "script"])
def test_a_build_that_does_not_exist_is_one_line(how):
    script = Path(sysconfig.get_path("scripts")) / "fastnn"
    if how == "script" and not script.exists():
        pytest.skip("not installed with its script")
    command = ["-m", "fastnn"] if how == "-m" else [script]
    done = subprocess.run(
        [*PYTHON, *command, "demo"], capture_output=True, text=True, timeout=300,
        env={**os.environ, "FASTNN_ISA": "sse9"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("fastnn: error: FASTNN_ISA=sse9: there is no build")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_divergence_is_one_line(capsys):
    assert cli.main([*QUICK, "--activation", "relu", "--lr", "1e300"]) == 2
    err = capsys.readouterr().err
    assert "training diverged in epoch" in err
    assert err.count("\n") == 1


def test_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(QUICK) == 0


def test_config_and_version(capsys):
    assert cli.main(["config"]) == 0
    assert "instruction set" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
