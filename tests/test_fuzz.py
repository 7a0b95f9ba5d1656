"""What attacks fastnn, in fuzz/: it finds faults that are put in, and nothing else."""

import functools
import importlib.util
import re
import types
from pathlib import Path

import comparing
import from_bytes
import hypothesis_states
import machines
import numpy as np
import pytest
from estimator_cases import VERSION
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import fastnn
from fastnn import kernels
from fastnn.data import checks
from fastnn.training import options

# bench/ has a run.py as well
SPEC = importlib.util.spec_from_file_location(
    "fuzz_run", Path(machines.__file__).parent / "run.py"
)
fuzz_run = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz_run)

pytest.importorskip("safetensors")  # whatever is saved must load again
pytestmark = pytest.mark.skipif(kernels.ISA == "reference", reason="it would be its own oracle")


def found(n, seed=0):
    """What n machines find, until the first."""
    for number in range(n):
        try:
            machines.drive(seed, number)
        except comparing.Finding as finding:
            return str(finding)
    return None


def test_finds_nothing():
    assert found(15) is None


def test_the_same_calls_from_the_same_seed():
    trails = [[], []]
    for trail in trails:
        machines.drive("any", 3, log=trail.append)
    assert trails[0] == trails[1]
    assert len(trails[0]) > 40


def patched(build, **functions):
    """A build with some functions replaced."""
    module = types.ModuleType(build.__name__)
    vars(module).update({**vars(build), **functions})
    return module


@pytest.mark.parametrize("error", [1e-9, 1e-3])
def test_finds_a_forward_pass_that_is_a_little_wrong(monkeypatch, error):
    build = kernels.build

    class Forward:
        def __init__(self, *args):
            self.right = build.Forward(*args)

        def __call__(self, *args):
            out = self.right(*args)
            return out if out is None else out * out.dtype.type(1 + error)

    monkeypatch.setattr(kernels, "build", patched(build, Forward=Forward))
    assert found(60) is not None


def test_finds_a_step_that_is_a_little_wrong(monkeypatch):
    """Of a ten-thousandth of the learning rate."""
    build = kernels.build

    def new_step(*args, right=kernels.new_step, **fields):
        if kernels.build is build and "learning_rate" in fields:
            fields["learning_rate"] *= 1.0001
        return right(*args, **fields)

    monkeypatch.setattr(kernels, "new_step", new_step)
    monkeypatch.setattr(options, "_checked", {})
    monkeypatch.setattr(options, "_COMPARABLE", frozenset())  # records are not kept
    assert found(60) is not None


def test_finds_an_error_that_is_swallowed(monkeypatch):
    right = checks.real_number

    def wrong(name, value, *args, **keywords):
        try:
            return right(name, value, *args, **keywords)
        except ValueError:
            return 0.5

    monkeypatch.setattr(checks, "real_number", wrong)
    monkeypatch.setattr(options, "_checked", {})
    assert "takes" in found(60)


def test_finds_bad_input_that_changes_something(monkeypatch):
    right = fastnn.Network._check_training

    @functools.wraps(right)
    def wrong(self, *args):
        self.loss_curve_ = [*self.loss_curve_, 0.0]
        try:
            return right(self, *args)
        finally:
            self.loss_curve_ = self.loss_curve_[:-1]
            self._params[0] = np.nextafter(self._params[0], 9, dtype=self._params.dtype)

    monkeypatch.setattr(fastnn.Network, "_check_training", wrong)
    assert "the network is another" in found(60) or "bits" in found(60)


def test_finds_threads_that_outlive_a_fit(monkeypatch):
    monkeypatch.setattr(machines.threading, "active_count", iter(range(10**6)).__next__)
    assert "a thread" in found(5)


@pytest.mark.parametrize("path", from_bytes.corpus(), ids=lambda path: path.name)
def test_the_corpus(path):
    from_bytes.one_input(path.read_bytes())


def test_bytes_without_a_corpus():
    for number in range(60):
        from_bytes.number("tests", len(from_bytes.corpus()) + number)


def test_a_small_corpus():
    assert 0 < sum(path.stat().st_size for path in from_bytes.corpus()) < 100_000


def test_hypothesis_drives_the_same_rules():
    run_state_machine_as_test(
        hypothesis_states.State,
        settings=settings(hypothesis_states.SETTINGS, max_examples=3, derandomize=True),
    )


def test_the_command(capsys):
    assert fuzz_run.main(["--steps", "300", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "0 findings" in out
    assert "Network.predict" in out


def test_the_command_reports_what_it_finds(capsys, monkeypatch):
    def wrong(self, random):
        raise comparing.Finding("planted")

    monkeypatch.setattr(machines.Machine, "rule_look", wrong)
    assert fuzz_run.main(["--steps", "300", "--seed", "0", "--most", "1"]) == 1
    out = capsys.readouterr().out
    assert "FOUND Finding: planted" in out
    assert "again: python fuzz/run.py --seed 0 --machine" in out


def test_names_that_are_never_called_fail_a_long_run(capsys, monkeypatch):
    monkeypatch.setattr(fuzz_run, "LONG", 1)
    assert fuzz_run.main(["--steps", "10", "--seed", "0"]) == 1
    assert "never called:" in capsys.readouterr().out


def test_every_rule_has_a_weight_and_every_reason_a_name():
    assert {f"rule_{name}" for name in machines.WEIGHTS} == set(machines.rules()[0])
    # of scikit-learn 1.6, which has no weights to route
    lacked = {"MLPRegressor.set_partial_fit_request"} if VERSION < (1, 7) else set()
    assert set(fuzz_run.LEFT_OUT) - lacked <= set(fuzz_run.public_names())
    # a long run ends with an error for those that no rule calls
    called = set(re.findall(r"\w+", Path(machines.__file__).read_text()))
    for name in set(fuzz_run.public_names()) - set(fuzz_run.LEFT_OUT):
        assert name.rpartition(".")[2] in called, name


def test_an_error_of_a_few_units_is_no_finding_and_a_larger_one_is():
    def oracle(noise):
        return [np.ones(3)]

    expected = machines.EXPECTED
    comparing.agree([np.ones(3) * (1 + 1e-13)], None, oracle, np.float64, 3, expected=expected)
    with pytest.raises(comparing.Finding):
        comparing.agree([np.ones(3) * (1 + 1e-11)], None, oracle, np.float64, 3, expected=expected)
    with pytest.raises(comparing.Finding):
        comparing.agree([[1, np.nan, 1]], None, oracle, np.float64, 3, expected=expected)
    with pytest.raises(comparing.Finding):
        comparing.agree(None, ValueError("no"), oracle, np.float64, 3, expected=expected)
