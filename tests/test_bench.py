"""The benchmarks' own judgement: what they refuse to time, and what they call a regression."""

import json
import os

import instructions
import peers
import pytest
from conftest import COMPILED_ONLY

LINUX = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins processes")


def test_a_competitor_that_learns_something_else_is_named():
    agreed = {"a": (1.0, 0.5), "b": (1.0, 0.5004)}
    assert peers.check(agreed, 1e-3) is None
    assert peers.check({**agreed, "c": (1.0, 0.51)}, 1e-3) == "c"
    assert peers.check({**agreed, "c": (1.1, 0.5)}, 1e-3) == "c"
    assert peers.check({"a": (1.0, 1.0), "b": (1.0, 1.0)}, 1e-3) == "a"
    assert peers.check({"a": (1.0, float("nan")), "b": (1.0, 0.5)}, 1e-3) == "a"


@LINUX
@COMPILED_ONLY
def test_peers_measures_what_it_says():
    task = {"units": [4, 8, 3], "batch": 20, "rows": 100, "dtype": "float64", "loss": "log_loss"}
    result = peers.measure(task, ["fastnn_", "scikit_learn"], 1, rounds=2, seconds=0.001)
    fast, slow = (result["peers"][name] for name in ("fastnn_", "scikit_learn"))
    assert fast["loss"] == pytest.approx(slow["loss"], rel=1e-10)
    assert slow["ratio"]["min"] <= slow["ratio"]["median"] <= slow["ratio"]["max"]
    assert 0 < fast["us"] < slow["us"]
    assert 0 < result["share_of_peak"] < 1
    assert "scikit-learn" in peers.report({"workload": "64-100-10", "threads": 1, **result})


def test_instruction_counts_are_compared():
    stored = {"a": 1000.0, "b": 1000.0, "c": 1000.0, "d": 1000.0}
    worse, better = instructions.compare({"a": 1019, "b": 1021, "c": 979}, stored)
    assert [line.split(":")[0] for line in worse] == ["b", "d"]
    assert [line.split(":")[0] for line in better] == ["c"]


def test_stored_counts_are_those_that_are_counted():
    names = {" ".join(job) for job in instructions.COUNTED}
    for compiler, counts in json.loads(instructions.STORED.read_text()).items():
        assert set(counts) == names, compiler
