"""The command line, as a user types it: its errors, `fastnn demo` and `fastnn config`."""

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

from fastnn import callbacks, kernels, pages, plotting, reference, threads, tutorial
from fastnn.catalog import activations
from fastnn.cli import compare, demo, numpy_network, welcome
from fastnn.cli.datasets import DATASETS
from fastnn.cli.main import COMMANDS, main

README = Path(__file__).resolve().parent.parent / "README.md"
QUICK = ["demo", "--epochs", "300", "--samples", "100"]
HIDDEN = [row.name for row in activations.ACTIVATIONS if row.hidden]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def status(*words):
    """The exit status of the command."""
    try:
        return main(words)
    except SystemExit as end:  # argparse's
        return end.code


def one_error(capsys):
    """The message of the error, which is all that was printed."""
    captured = capsys.readouterr()
    assert captured.out == ""
    prefix, message = captured.err[:15], captured.err[15:]
    assert prefix == "fastnn: error: "
    assert message.count("\n") == 1
    return message


def is_png(path):
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    return data[:8] == b"\x89PNG\r\n\x1a\n" and width > 600 and height > 300 and len(data) > 20000


# what is buffered is written at the end, else at once
BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def printed_to(output, unbuffered, *words):
    """The exit status and the errors of the command."""
    done = subprocess.run(
        [*PYTHON, "-m", "fastnn", *words], stdout=output, stderr=subprocess.PIPE, text=True,
        timeout=60, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    return done.returncode, done.stderr


@BUFFERED
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
@pytest.mark.parametrize("words", [[], ["completion", "bash"]])
def test_a_reader_that_has_gone_is_no_error(words, unbuffered):
    """As `head` leaves it: the status of a program that SIGPIPE ends, and no traceback."""
    read, write = os.pipe()
    os.close(read)
    assert printed_to(write, unbuffered, *words) == (141, "")
    os.close(write)


@BUFFERED
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_output_that_cannot_be_written_is_one_line(unbuffered):
    with open("/dev/full", "w") as full:
        status, error = printed_to(full, unbuffered, "config")
    assert status == 2
    assert re.fullmatch(r"fastnn: error: .*No space left on device\n", error)


# ---- the demo -----------------------------------------------------------------------------------


def test_demo_as_documented(tmp_path):
    done = subprocess.run(
        [*PYTHON, "-W", "error", "-m", "fastnn", "demo"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "500 points in two rings, network 2-4-8-1 (sigmoid), 2000 steps, float64" in done.stdout
    assert float(re.search(r"ratio\s+([\d.]+) x", done.stdout)[1]) > 0
    assert float(re.search(r"largest difference\s+([\d.e+-]+) ", done.stdout)[1]) < 1e-9
    assert float(re.search(r"training accuracy\s+([\d.]+)%", done.stdout)[1]) > 99
    assert "hint" not in done.stdout
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
    assert status(*QUICK, *options) == 0
    out = capsys.readouterr().out
    assert "largest difference" in out
    if "4" in options and kernels.ISA != "reference":
        assert "one step" in out


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "adam"])
def test_other_solvers_are_compared_by_time(solver, monkeypatch, capsys):
    net, X, y = demo_result(monkeypatch, "--solver", solver, "--epochs", "15", "--lr", "0.01")
    out = capsys.readouterr().out
    assert f"solver {solver}, float64" in out
    assert re.search(r"steps +15\n", out)
    assert "steps of gradient descent, to a loss of" in out
    assert float(re.search(r"ratio\s+(\d+) x", out)[1]) > 0
    assert f"{net.loss(X, y):.1e}" in out
    assert len(net.loss_curve_) == 15


def test_the_rings_by_levenberg_marquardt(tmp_path, capsys):
    assert status("demo", "--solver", "lm", "--no-compare", "--animate", "rings.html") == 0
    out = capsys.readouterr().out
    assert "NumPy" not in out
    assert re.search(r"steps +20\n", out)
    assert "training accuracy       100.0%" in out
    assert (tmp_path / "rings.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", HIDDEN)
def test_every_activation_agrees_with_numpy(name, capsys, monkeypatch):
    leave_undrawn(monkeypatch)
    assert status(*QUICK, "--activation", name, "--topology", "2-5-5-1", "--lr", "0.01") == 0
    assert f"({name})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "text", "shown"),
    [
        ("--topology", "2,4,1", "network 2-4-1 "),
        ("--topology", "2x4x1", "network 2-4-1 "),
        ("--topology", "2 4 1", "network 2-4-1 "),
        ("--topology", "[2, 4, 1]", "network 2-4-1 "),
        ("--epochs", "2e2", "200 steps"),
        ("--epochs", "200.0", "200 steps"),
        ("--samples", "1e2", "100 points"),
        ("--activation", "logistic", "(sigmoid)"),
        ("--activation", "swish", "(silu)"),
    ],
)
def test_spellings(option, text, shown, capsys, monkeypatch):
    leave_undrawn(monkeypatch)
    assert status(*QUICK, option, text, "--no-compare") == 0
    assert shown in capsys.readouterr().out


def test_no_compare_and_output(tmp_path, capsys):
    assert status(*QUICK, "--no-compare", "--output", "picture.svg") == 0
    out = capsys.readouterr().out
    assert "NumPy" not in out
    assert "difference" not in out
    assert "<svg" in (tmp_path / "picture.svg").read_text()


def leave_undrawn(monkeypatch):
    """Other tests have pictures, which take most of the time."""
    monkeypatch.setattr(plotting, "training_picture", lambda *arguments: None)


def demo_result(monkeypatch, *words):
    """The network that the demo draws, and its data."""
    drawn = []
    monkeypatch.setattr(plotting, "training_picture", lambda *arguments: drawn.append(arguments))
    assert status(*QUICK, *words) == 0
    [(_, net, X, y, _)] = drawn
    return net, X, y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_demo_trains_as_the_tutorial_does(dtype, monkeypatch):
    net, X, y = demo_result(monkeypatch, "--dtype", dtype)
    np.random.seed(15)
    layers = tutorial.create_nn([2, 4, 8, 1], tutorial.sigm)
    for layer in layers:
        layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)
    losses = []
    for _ in range(300):
        outputs = tutorial.train(layers, X, y, tutorial.l2_cost, lr=0.05)
        losses.append(np.mean((outputs - y) ** 2, dtype=np.float64) / 2)
    for layer, coef, intercept in zip(layers, net.coefs_, net.intercepts_, strict=True):
        np.testing.assert_array_equal(layer.W, coef)
        np.testing.assert_array_equal(layer.b[0], intercept)
    np.testing.assert_allclose(net.loss_curve_, losses, rtol=1e-5)
    assert net.n_iter_ == 300


@pytest.mark.parametrize("dataset", DATASETS)
def test_datasets(dataset, capsys):
    assert status("demo", "--dataset", dataset, "--no-compare", "--samples", "200") == 0
    out = capsys.readouterr().out
    known = DATASETS[dataset]
    assert f"200 points in {known.words}, network {known.topology}" in out
    assert float(re.search(r"training accuracy\s+([\d.]+)%", out)[1]) > 90
    assert "hint" not in out


@pytest.mark.parametrize("dataset", DATASETS)
def test_points_are_two_classes_in_the_plane(dataset):
    made = [DATASETS[dataset].make(101, 0.0, np.random.RandomState(3)) for _ in range(2)]
    (X, y), again = made
    assert X.shape == (101, 2)
    assert abs(np.abs(X).max() - 1) < 0.6
    assert sorted(set(y.tolist())) == [0, 1]
    assert abs(y.mean() - 0.5) < 0.15
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(y, again[1])


def test_what_is_not_learnt_gets_a_hint_that_helps(capsys):
    assert status("demo", "--epochs", "2", "--no-compare", "--noise", "9") == 0
    assert "less --noise or another --lr" in capsys.readouterr().out
    assert status("demo", "--epochs", "2", "--no-compare") == 0
    out = capsys.readouterr().out
    assert float(re.search(r"training accuracy\s+([\d.]+)%", out)[1]) < 90
    epochs, seed = re.search(r"try --epochs (\d+), --seed (\d+) or another --lr", out).groups()
    assert status("demo", "--epochs", epochs, "--seed", seed, "--no-compare") == 0
    out = capsys.readouterr().out
    assert float(re.search(r"training accuracy\s+([\d.]+)%", out)[1]) > 99


# ---- times and agreement ------------------------------------------------------------------------


class Clock:
    """CPU time in which each step of fastnn takes 10 us, of NumPy 120 us."""

    def __init__(self, monkeypatch, fast=10e-6, slow=120e-6):
        self.now, self.calls = 0.0, []
        for kind, a_step in ((compare.Fast, fast), (compare.Slow, slow)):
            self._wrap(monkeypatch, kind, a_step)
        monkeypatch.setattr(compare.time, "process_time", lambda: self.now)

    def _wrap(self, monkeypatch, kind, a_step):
        train = kind.train

        def timed(one, n):
            self.now += n * a_step
            self.calls.append((kind.__name__, n))
            return train(one, n)

        monkeypatch.setattr(kind, "train", timed)


def test_times_are_medians_of_rounds_in_alternation_after_a_warm_up(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    assert status("demo", "--epochs", "1000", "--samples", "50") == 0
    out = capsys.readouterr().out
    assert re.search(r"fastnn \(\w+\) +10\.0 us a step\n  NumPy +120\.0 us a step", out)
    assert "ratio                     12.0 x" in out
    assert "median of 7 rounds in alternation (12.0 to 12.0)" in out
    calls = clock.calls[1000:]  # the training that is drawn goes step by step
    assert calls[:2] == [("Fast", 30), ("Slow", 30)]
    assert [name for name, _ in calls[2:]] == ["Fast", "Slow"] * 7
    assert [n for _, n in calls[2::2]] == [n for _, n in calls[3::2]]
    assert sum(n for _, n in calls[2::2]) == 1000


def test_one_slow_round_changes_no_ratio():
    times = compare.Times([1.0, 1.0, 90.0], [10.0, 11.0, 12.0], 50)
    assert times.ratio() == (10.0, 12 / 90, 11.0)
    assert times.too_short() == ""
    assert times._replace(steps=49).too_short() != ""


@pytest.mark.parametrize("options", [[], ["--no-compare"]], ids=str)
def test_too_few_steps_to_time_make_no_ratio(options, monkeypatch, capsys):
    Clock(monkeypatch)
    assert status(*QUICK, *options) == 0
    out = capsys.readouterr().out
    assert "us a step" not in out
    assert "ratio   " not in out.replace("no ratio", "")
    assert ("no ratio" in out) == (not options)
    [epochs] = re.findall(r"too few steps to time; try --epochs (\d+)", out)
    assert status(*QUICK, *options, "--epochs", epochs) == 0
    assert "us a step" in capsys.readouterr().out


def test_one_epoch_is_never_timed(capsys):
    assert status("demo", "--epochs", "1", "--samples", "20") == 0
    out = capsys.readouterr().out
    assert "too few steps" in out
    assert "us a step" not in out


def test_numpy_is_written_as_the_benchmark_has_it(monkeypatch, capsys):
    steps = []
    step = numpy_network.step
    monkeypatch.setattr(numpy_network, "step", lambda *a: steps.append(a) or step(*a))
    assert status(*QUICK) == 0
    assert len(steps) == 300 + compare.WARM_UP


@pytest.mark.parametrize("name", ["tanh", "silu"])
def test_an_activation_that_numpy_lacks_is_the_oracles_and_makes_no_ratio(
    name, monkeypatch, capsys
):
    monkeypatch.delitem(numpy_network.ACTIVATIONS, name)
    Clock(monkeypatch)
    options = ["--epochs", "1000", "--samples", "50", "--lr", "0.01"]
    assert status("demo", "--activation", name, *options) == 0
    out = capsys.readouterr().out
    assert f"NumPy's {name} is the oracle's" in out
    assert " x " not in out


@pytest.mark.parametrize("name", numpy_network.ACTIVATIONS)
def test_numpys_activations_are_the_oracles(name):
    row, mine = activations.BY_NAME[name], numpy_network.ACTIVATIONS[name]
    z = np.linspace(-5, 5, 41)
    value, derivative = np.empty_like(z), np.empty_like(z)
    reference.activate(z, row.code, value)
    reference.derivative(z if row.stores_slope else value, row.code, derivative)
    assert mine.from_z == row.stores_slope
    np.testing.assert_allclose(mine.f(z), value, rtol=1e-14, atol=1e-16)
    got = mine.derivative(z if mine.from_z else value)
    np.testing.assert_allclose(got, derivative, rtol=1e-13, atol=1e-16)


def test_threads_are_as_before(monkeypatch):
    monkeypatch.setattr(threads, "_available", lambda: 2)
    assert status(*QUICK) == 0
    assert threads.get_num_threads() == 2


@pytest.mark.skipif(kernels.ISA == "reference", reason="compares a build with NumPy")
def test_exit_status_1_where_the_nets_differ(monkeypatch, capsys):
    right = numpy_network.step

    def wrong(layers, *rest):
        outputs = right(layers, *rest)
        layers[0].W *= 1.001
        return outputs

    monkeypatch.setattr(numpy_network, "step", wrong)
    assert status(*QUICK) == 1
    captured = capsys.readouterr()
    assert captured.err == "fastnn: error: the two networks differ\n"
    assert "one step" in captured.out


# ---- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["learning.gif", "learning.html"])
def test_animate(name, tmp_path, capsys):
    assert status(*QUICK, "--no-compare", "--epochs", "9", "--animate", name) == 0
    assert f"animation            {name}" in capsys.readouterr().out
    data = (tmp_path / name).read_bytes()
    if name.endswith("gif"):
        from PIL import Image

        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 10  # before the first step, and after each
    else:
        assert b"const pictures" in data


class Watcher(callbacks.Callback):
    """Stands in for LivePlot, which needs a window."""

    seen: list

    def __init__(self, *, every):
        self.every = every

    def begin(self, net, X, y, max_iter):
        self.seen.append(("begin", net.n_iter_, max_iter))

    def __call__(self, net):
        self.seen.append((net.n_iter_, net.params_.copy()))

    def end(self, net, completed):
        self.seen.append(("end", net.n_iter_, completed))


def test_live(monkeypatch, capsys):
    monkeypatch.setattr(plotting, "LivePlot", Watcher)
    monkeypatch.setattr(Watcher, "seen", [], raising=False)
    net, _, _ = demo_result(monkeypatch, "--live", "--epochs", "130")
    begin, *frames, end = Watcher.seen
    assert begin == ("begin", 0, 130)
    assert [epoch for epoch, _ in frames] == [*range(2, 131, 2)]
    assert len({params.tobytes() for _, params in frames}) == len(frames)
    np.testing.assert_array_equal(frames[-1][1], net.params_)
    assert end == ("end", 130, True)
    assert "  training is done\n" in capsys.readouterr().out


def test_live_without_a_window_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert status(*QUICK, "--live") == 2
    assert "opens no windows" in one_error(capsys)


def test_animate_without_matplotlib_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert status(*QUICK, "--animate", "x.gif") == 2
    assert 'extra "plot"' in one_error(capsys)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert status(*QUICK) == 0
    out = capsys.readouterr().out
    assert 'pip install ".[plot]"' in out
    assert "training accuracy" in out
    assert not list(tmp_path.iterdir())


def test_progress_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert status(*QUICK) == 0
    err = capsys.readouterr().err
    assert "training" in err
    assert "50%" in err
    assert "timing" in err
    assert err.endswith("\x1b[K")
    assert "[####" in err


# ---- errors -------------------------------------------------------------------------------------

BAD = [
    (["--topology", "2-0-1"], "--topology must be whole numbers"),
    (["--topology", "3-4-1"], "--topology must be whole numbers"),
    (["--topology", "2-4-2"], "--topology must be whole numbers"),
    (["--topology", "2"], "--topology must be whole numbers"),
    (["--topology", "2--1"], "--topology must be whole numbers"),
    (["--topology", "2-4.5-1"], "--topology must be whole numbers"),
    (["--topology", f"2-{'9' * 5000}-1"], "--topology must be whole numbers"),
    (["--topology", "2-99999999999999999999-1"], "must be a whole number >= 1 and <="),
    (["--topology", "2-199999999999999-199999999999999-1"], "too many"),
    (["--noise", "1e39", "--dtype", "float32"], "too large for float32"),
    (["--samples", "1"], "--samples must be a whole number >= 2"),
    (["--samples", "many"], "--samples must be a whole number >= 2, got 'many'"),
    (["--noise", "-1"], "--noise must be a finite number"),
    (["--noise", "nan"], "--noise must be a finite number"),
    (["--noise", "some"], "--noise must be a finite number in [0, inf), got 'some'"),
    (["--epochs", "0"], "--epochs must be a whole number >= 1"),
    (["--epochs", "1.5"], "--epochs must be a whole number >= 1, got '1.5'"),
    (["--epochs", "1e400"], "--epochs must be a whole number >= 1, got '1e400'"),
    (["--epochs", "9" * 5000], "--epochs must be a whole number >= 1"),
    (["--epochs"], "argument --epochs: expected one argument"),
    (["--lr", "0"], "--lr must be a finite number"),
    (["--lr", "inf"], "--lr must be a finite number"),
    (["--dtype", "float16"], "--dtype must be one of 'float64', 'float32'"),
    (["--dtype", "float3"], "did you mean 'float32'?"),
    (["--activation", "softmax"], f"--activation must be one of {', '.join(map(repr, HIDDEN))}"),
    (["--activation", "sigmoud"], "did you mean 'sigmoid'?"),
    (["--seed", "-1"], "--seed must be a whole number >= 0"),
    (["--seed", "1e10"], "--seed must be a whole number >= 0 and <= 4294967295"),
    (["--output", "nowhere/x.png"], "there is no folder"),
    (["--output", "."], "is a folder"),
    (["--output", "x.txt"], "must end in .png"),
    (["--animate", "x.png"], "--animate x.png must end in .gif or .html"),
    (["--animate", "nowhere/x.gif"], "there is no folder"),
    (["--solver", "newton"], "--solver must be one of 'descent', 'adam'"),
    (["--dataset", "rings"], "--dataset must be one of 'circles'"),
    (["--dataset", "mons"], "did you mean 'moons'?"),
    (["--colour", "red"], "unrecognized arguments: --colour red\n"),
    (["--epoch", "5"], "unrecognized arguments: --epoch 5; did you mean '--epochs'?"),
    (["--live=yes"], "ignored explicit argument 'yes'"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_options_exit_2_with_one_line(options, message, tmp_path, capsys):
    assert status(*QUICK, *options) == 2
    assert message in one_error(capsys)
    assert not list(tmp_path.iterdir())


def test_bad_commands_exit_2_with_one_line(capsys):
    assert status("dmo") == 2
    assert one_error(capsys).startswith(
        f"COMMAND must be one of {', '.join(map(repr, COMMANDS))}, got 'dmo'"
    )
    assert status("dmo") == 2
    assert "did you mean 'demo'?" in one_error(capsys)
    assert status("--versoin") == 2
    assert one_error(capsys) == (
        "unrecognized arguments: --versoin; did you mean '--version'?\n"
    )  # fmt: skip
    assert status("config", "now") == 2
    assert one_error(capsys) == "unrecognized arguments: now\n"


@pytest.mark.parametrize("command", [["config"], QUICK, ["run", "nowhere.py"]], ids=" ".join)
def test_an_impossible_number_of_threads_is_one_line(command, monkeypatch, capsys):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "x")
    assert status(*command) == 2
    assert one_error(capsys) == (
        "FASTNN_NUM_THREADS must be a whole number >= 1, got 'x'. "
        f"See docs: {pages.PAGES['threads']}\n"
    )


@pytest.mark.parametrize("how", ["-m", "-mfastnn", "script"])
def test_a_build_that_does_not_exist_is_one_line(how):
    script = Path(sysconfig.get_path("scripts")) / "fastnn"
    if how == "script" and not script.exists():
        pytest.skip("not installed with its script")
    command = {"-m": ["-m", "fastnn"], "script": [script]}.get(how, [how])
    done = subprocess.run(
        [*PYTHON, *command, "demo"], capture_output=True, text=True, timeout=300,
        env={**os.environ, "FASTNN_ISA": "sse9"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("fastnn: error: FASTNN_ISA=sse9: there is no build")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("how", [["-m", "package", "fastnn"], ["-mpackage"], ["program.py"]])
def test_a_program_of_another_name_hears_of_a_build_that_does_not_exist(how, tmp_path):
    for path in ("package/__init__.py", "package/__main__.py", "program.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(
            "try:\n    import fastnn\nexcept ImportError:\n    print('no fastnn')\n"
        )
    done = subprocess.run(
        [*PYTHON, *how], capture_output=True, text=True, timeout=300, cwd=tmp_path,
        env={**os.environ, "FASTNN_ISA": "sse9"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {"no fastnn"}


def test_divergence_is_one_line(capsys):
    assert status(*QUICK, "--activation", "relu", "--lr", "1e300") == 2
    err = capsys.readouterr().err
    epoch = re.fullmatch(
        r"fastnn: error: training diverged in epoch (\d+): try --lr below 1e\+300"
        r"\. See docs: .+\n",
        err,
    )[1]
    assert 1 < int(epoch) < 300


@pytest.mark.parametrize("after", [0, 5, 305], ids=["at first", "training", "timing"])
def test_ctrl_c_is_one_line(after, monkeypatch, capsys):
    train, calls = compare.Fast.train, []

    def interrupted(one, n):
        calls.append(n)
        if len(calls) > after:
            raise KeyboardInterrupt
        return train(one, n)

    monkeypatch.setattr(compare.Fast, "train", interrupted)
    assert status(*QUICK) == 130
    assert capsys.readouterr().err == "fastnn: interrupted\n"
    assert threads._chosen is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert status(*QUICK) == 130
    assert capsys.readouterr().err.endswith("\r\x1b[Kfastnn: interrupted\n")


def test_without_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert status(*QUICK) == 0
    capsys.readouterr()
    assert status(*QUICK, "--epochs", "0") == 2
    assert capsys.readouterr().out == ""


def test_config_and_version(capsys):
    assert status("config") == 0
    assert "instruction set" in capsys.readouterr().out
    assert status("--version") == 0
    assert capsys.readouterr().out.startswith("fastnn ")


def test_without_a_command_it_says_what_one_can_do(capsys):
    assert status() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 99
    for name, module in COMMANDS.items():
        assert [line for line in lines if line.split() == [name, *module.PARSER["help"].split()]]
    for command in welcome.FIRST:
        assert command.split()[1] in COMMANDS
        assert [line for line in lines if line.startswith(f"  {command}  ")]
    assert lines[-1] == f"Documentation: {pages.where()}"
    if (README.parent / "docs").exists():
        assert all((README.parent / name).exists() for name in ("README.md", "docs"))


def test_without_a_command_as_a_module_and_as_a_script():
    script = Path(sysconfig.get_path("scripts")) / "fastnn"
    ways = [["-m", "fastnn"], *([[str(script)]] if script.exists() else [])]
    for way in ways:
        done = subprocess.run([*PYTHON, *way], capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == welcome.text(COMMANDS) + "\n"


def test_help_tells_defaults_and_choices(capsys):
    assert status("--help") == 0
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"\n    {name}\s", out)] == []
    assert status("demo", "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"of the hidden layers: {', '.join(HIDDEN)} (default: sigmoid)" in out
    assert f"the points: {', '.join(DATASETS)} (default: circles)" in out
    assert "learning rate (default: 0.05)" in out
    assert demo.PARSER["description"] in out
