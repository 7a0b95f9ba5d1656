"""The benchmarks' own judgement: what they refuse to time, and what they call a regression."""

import json
import math
import os
import shutil
import subprocess
import sys

import alternate
import calls
import fits
import instructions
import intervals
import notebook
import numpy as np
import peers
import pytest
import run
import same_bits
import shares
import tables
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


def result(us, share=0.5, workload="64-100-10", threads=1, dtype="float32"):
    """A row of peers' results: fastnn's and others' microseconds."""
    ours = us["fastnn_"]
    return {
        "workload": workload, "threads": threads, "dtype": dtype, "batch": 200,
        "share_of_peak": share,
        "peers": {
            name: {
                "us": t, "version": "1.0", "loss": 0.5, "first_s": 0.1,
                **({} if name == "fastnn_" else {"ratio": dict.fromkeys(
                    ("median", "min", "max"), t / ours)}),
            }
            for name, t in us.items()
        },
    }  # fmt: skip


def test_the_ceiling_is_the_ratio_at_the_peak():
    row = result({"fastnn_": 10.0, "jax_jit": 30.0}, share=0.5)
    assert peers.ceiling(row, "jax_jit") == 6
    assert peers.ceiling(row, "torch_eager") is None
    assert "3.00x (3.00-3.00)  at most 6.00x, itself at 17%" in peers.report(row)


MACHINE = {
    "CPU": "a CPU", "kind": "zen3", "build": "avx2", "compiler": "GCC 1", "Python": "3",
    "NumPy": "2", "caches": "L1 32K", "fastnn": "0.1.0", "date": "2026-11-29",
}  # fmt: skip


def test_new_results_take_the_place_of_old_ones():
    old = {"machine": MACHINE, "results": [result({"fastnn_": 1.0}, workload=name)
                                           for name in ("2-4-8-1", "64-100-10")]}  # fmt: skip
    new = {"machine": MACHINE, "results": [
        result({"fastnn_": 2.0}, workload="64-100-10"),
        result({"fastnn_": 3.0}, workload="8-32-32-2"),
    ]}  # fmt: skip
    both = peers.merged(old, new)["results"]
    assert [(row["workload"], row["peers"]["fastnn_"]["us"]) for row in both] == [
        ("2-4-8-1", 1), ("8-32-32-2", 3), ("64-100-10", 2)
    ]  # fmt: skip
    assert peers.merged(None, new) == new
    other = {**new, "machine": {**MACHINE, "compiler": "GCC 2"}}
    assert peers.merged(old, other) == other


def test_there_is_a_table_for_each_kind_of_core():
    kept = [
        {"machine": {**MACHINE, "build": build}, "results": [
            result({"fastnn_": us, "scikit_learn": 40.0, "jax_jit": 30.0}),
            result({"fastnn_": 1.0}, threads=2),
        ]}
        for build, us in (("avx2", 10.0), ("avx512", 5.0))
    ]  # fmt: skip
    text = tables.peers(kept)
    assert text.count("| network, batch |") == 2
    assert "| 64-100-10, 200, float32 | 4.00x |  |  | 3.00x | 10 µs | 50% | 6.00x |" in text
    assert "| 64-100-10, 200, float32 | 8.00x |  |  | 6.00x | 5 µs | 50% | 12.00x |" in text
    assert "avx512 build**, caches L1 32K, GCC 1" in text
    short = tables.peers_in_short(kept[1])
    assert "scikit-learn 8.0, JAX 6.0." in short
    assert "The wider" not in short
    wide = [*kept[1]["results"], result({"fastnn_": 10.0, "jax_jit": 12.0}, workload="784-300-10")]
    assert "256 units and more, the fastest of them takes 1.2 times" in tables.peers_in_short(
        {**kept[1], "results": wide}
    )


@pytest.mark.parametrize(
    ("family", "model", "kind"),
    [(25, 1, "zen3"), (25, 0x11, "zen4"), (25, 0x21, "zen3"), (25, 0x61, "zen4"),
     (23, 0x31, "zen2"), (26, 2, "zen5")],
)  # fmt: skip
def test_cores_are_told_apart_where_names_are_hidden(family, model, kind):
    info = {"vendor_id": "AuthenticAMD", "model name": "AMD EPYC"}
    assert run.cpu_kind({**info, "cpu family": str(family), "model": str(model)}) == kind


def test_other_cores_have_the_name_that_they_say():
    info = {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "143"}
    assert run.cpu_kind({**info, "model name": "Intel(R) Xeon(R)"}) == "intelrxeonr-6-143"


# ---- calls, the notebook ------------------------------------------------------------------------


def test_another_answer_is_named():
    answers = {"fastnn": [np.ones(3), 2.0], "numpy": [np.ones((3, 1)), 2 + 1e-9]}
    assert calls.check(answers, "float64")[0] is None
    assert calls.check({**answers, "sklearn": [np.ones(3), 2 + 1e-7]}, "float64")[0] == "sklearn"
    assert calls.check({**answers, "sklearn": [np.ones(3), 2 + 1e-7]}, "float32")[0] is None
    assert calls.check({**answers, "sklearn": [np.ones(3), np.nan]}, "float32")[0] == "sklearn"
    assert calls.check({**answers, "sklearn": np.ones(3)}, "float32")[0] == "sklearn"
    labels = {"fastnn": np.array([0]), "numpy": np.array([1])}
    assert calls.check(labels, "float64")[0] == "numpy"


def test_parameters_are_compared_by_what_was_learnt():
    start = [(np.ones((2, 2)), np.zeros(2))]
    learnt = [(np.ones((2, 2)) + 1e-3, np.zeros(2))]
    assert calls.check({"fastnn": learnt, "numpy": learnt}, "float64", start)[0] is None
    nearly = [(np.ones((2, 2)) + 1.01e-3, np.zeros(2))]
    assert calls.check({"fastnn": learnt, "numpy": nearly}, "float32", start)[0] == "numpy"
    assert calls.check({"fastnn": learnt, "torch": nearly}, "float32", start)[0] is None
    assert calls.check({"fastnn": start, "numpy": start}, "float64", start)[0] == "fastnn"


ASKED = [
    "Network(...) with a seed, 64-100-10", "Network.fit, one epoch, 64-100-10",
    "Network.partial_fit, 8-32-32-2", "Network.predict, 64-100-10", "MLPClassifier.fit, one epoch",
    "MLPClassifier.fit, an epoch more", "MLPClassifier.predict_proba", "MLPRegressor.partial_fit",
    "MLPRegressor.predict", "tutorial.train one point, 2-4-8-1",
    "tutorial.train one point, 2-4-8-1, never trained",
]  # fmt: skip


@COMPILED_ONLY
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_calls_come_to_the_same_and_are_timed():
    asked = set()
    for line in calls.lines("float64", ["numpy", "sklearn"]):
        if line.asked is None or line.name not in ASKED:
            continue
        asked.add(line.name)
        result = calls.measure(line, "float64", rounds=1, seconds=1e-6)
        assert set(result["ratio"]) <= {"numpy", "sklearn"}
        assert result["ratio"]
        assert f"asked {line.asked:g}" in calls.report(result)
        if "more" in line.name:
            assert "beside the arithmetic" in calls.report(result)
        else:
            assert all(us["min"] > 0 for us in result["us"].values())
    assert asked == set(ASKED)


def test_a_call_that_comes_to_something_else_is_not_timed():
    line = calls.Line("a call", 1, {"fastnn": calls.Way(lambda: 1), "numpy": calls.Way(lambda: 2)})
    with pytest.raises(SystemExit, match=r"a call, 1 row, float64: numpy differs by 1\.0e"):
        calls.measure(line, "float64", 1, 1e-6)


@COMPILED_ONLY
def test_the_notebook_comes_to_the_same_in_every_way():
    result = notebook.measure("2-4-8-1", notebook.EVERY + 1, 1, draw=False)
    assert result["difference"] < 1e-12
    assert result["frames_checked"] == result["frames"] == 2
    assert set(result["ratio"]) == {"fastnn", "fastnn, grid at once"}
    assert "original" in notebook.report(result)


def test_another_notebook_is_named():
    same = np.ones(3), np.ones((3, 2, 2))
    results = {"original": same, "fastnn": same}
    assert notebook.check(results, 3) == (0, None)
    other = np.array([1, 1, 1.1]), same[1]
    assert notebook.check({**results, "at once": other}, 3)[1] == "at once"
    assert notebook.check({**results, "at once": other}, 2)[1] is None
    assert notebook.check({**results, "at once": (same[0][:2], same[1])}, 2)[1] == "at once"
    assert notebook.check({**results, "at once": (same[0], same[1] * np.nan)}, 2)[1] == "at once"


def test_instruction_counts_are_compared():
    stored = {"a": 1000.0, "b": 1000.0, "c": 1000.0, "d": 1000.0}
    worse, better = instructions.compare({"a": 1019, "b": 1021, "c": 979}, stored)
    assert [line.split(":")[0] for line in worse] == ["b", "d"]
    assert [line.split(":")[0] for line in better] == ["c"]


def test_stored_counts_are_those_that_are_counted():
    names = {" ".join(job) for job in instructions.COUNTED}
    for compiler, counts in json.loads(instructions.STORED.read_text()).items():
        assert set(counts) == names, compiler


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_history_of_counts_is_that_of_their_file(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    stored = tmp_path / "bench" / "instructions.json"
    stored.parent.mkdir()
    assert instructions.history(stored) == []
    git("init", "-q")
    for counts in ({"a row": 1000.0}, {"a row": 1000.5, "b": 50.0}, {"a row": 900.0, "b": 50.0}):
        stored.write_text(json.dumps({"GCC 1": counts}))
        git("add", ".")
        git("commit", "-q", "-m", "counts")
    kept = instructions.history(stored)
    assert [versions["GCC 1"]["a row"] for _, _, versions in kept] == [1000, 1000.5, 900]
    lines = instructions.history_lines(kept)
    assert lines[0] == "a row, GCC 1"
    # the second commit changed next to nothing
    assert [line.split()[2:] for line in lines[1:3]] == [["1,000"], ["900", "-10.0%"]]
    assert [line.split()[2:] for line in lines[4:]] == [["50"]]
    assert instructions.history_lines(kept, "b") == lines[3:]


def test_a_changed_byte_changes_the_hash():
    arrays = [np.arange(6.0).reshape(2, 3), np.arange(3.0)]
    digest = fits.digest(arrays)
    assert digest == fits.digest([np.asfortranarray(a) for a in arrays])
    changed = np.nextafter(arrays[1], 9)
    others = [
        [arrays[0], np.append(arrays[1][:2], changed[2])],
        [-a if i else a for i, a in enumerate(arrays)],  # -0
        [a.astype("float32") for a in arrays],
        [arrays[0].T, arrays[1]],
        arrays[::-1],
        arrays[:1],
    ]
    assert len({digest, *map(fits.digest, others)}) == 7
    with pytest.raises(AssertionError, match="not finite"):
        fits.digest([np.array([np.nan])])


def hashed(**changes):
    return {"params": "ab", "predictions": "cd", "curve": [2.0, 1.0], "rtol": 1e-6, **changes}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"params": "aB"}, "params"),
        ({"predictions": "cD", "curve": [2.0, 1 + 1e-9]}, "predictions, curve by 1.0e-09"),
        ({"curve": [2.0, 1 + 2e-6]}, "curve by 2.0e-06"),
        ({"curve": [2.0]}, "curve by inf"),
        ({"curve": [2.0, math.nan]}, "curve by inf"),
        ({"curve": [math.inf, 1.0]}, "curve by inf"),
        ({"error": "ValueError: no"}, "ValueError: no"),
    ],
)
def test_other_bits_are_found(changes, text):
    ours = {"a": hashed(), "b": hashed()}
    other = {"a": hashed(), "b": {"error": text} if "error" in changes else hashed(**changes)}
    assert same_bits.compare(ours, ours) == ([], [])
    assert same_bits.compare(ours, other) == ([f"b: {text}"], [])
    assert same_bits.compare(other, ours) == ([f"b: {text}"], [])
    assert same_bits.compare(ours, {"a": hashed()})[0] == ["b: only one version has it"]


def test_losses_may_be_rounded_otherwise():
    ours = {"a": hashed(curve=[math.nan, math.inf, 1.0])}
    theirs = {"a": hashed(curve=[math.nan, math.inf, 1 + 1e-7])}
    assert same_bits.compare(ours, ours) == ([], [])
    assert same_bits.compare(ours, theirs) == ([], ["a: curve by 1.0e-07"])


def test_two_threads_are_held_against_one():
    cases = {"a, 1 thread": hashed(), "a, 2 threads": hashed(), "b": hashed()}
    assert same_bits.compare_threads(cases) == []
    cases["a, 2 threads"] = hashed(params="aB")
    assert len(same_bits.compare_threads(cases)) == 1
    del cases["a, 2 threads"]
    assert len(same_bits.compare_threads(cases)) == 1


def test_only_like_is_compared_with_like():
    ours = {
        **dict.fromkeys(("NumPy", "SciPy", "scikit-learn"), "1.0"),
        "threads": 2, "builds": ["avx2", "baseline"], "fastnn": "here",
    }  # fmt: skip
    theirs = {**ours, "fastnn": "there"}
    assert same_bits.agreed(ours, theirs) == ["avx2", "baseline"]
    assert same_bits.agreed(ours, ours, same=True) == ["avx2", "baseline"]
    for key in ("NumPy", "SciPy", "scikit-learn", "threads", "builds"):
        with pytest.raises(ValueError, match=key):
            same_bits.agreed(ours, {**theirs, key: "other"})
    with pytest.raises(ValueError, match="import the fastnn in here"):
        same_bits.agreed(ours, ours)


def test_the_fits_cover_what_they_should():
    assert len(fits.CASES) >= 500
    words = ["float32", "2 threads", "partial_fit", "csr", "lbfgs", "tutorial"]
    for word in words + ["weights"] * fits.WEIGHTS:
        assert any(word in name for name in fits.CASES), word
    smoke = [name for name, one in fits.CASES.items() if one.smoke]
    assert any("2 threads" in name for name in smoke)


class Pretended:
    """A version for `alternate` that takes so long for everything."""

    def __init__(self, result, seconds):
        self.result, self.seconds = result, seconds

    def ask(self, *order):
        if len(order) == 2:
            return {"result": self.result}
        return {"seconds": self.seconds * order[0]}


def test_versions_that_compute_something_else_are_not_timed():
    new, old = Pretended("ab", 3e-3), Pretended("ab", 2e-3)
    ratios, us = alternate.compare([new, old], "float64", "a net", 20, 0.01)
    assert ratios == pytest.approx([1.5] * 20)
    assert us == pytest.approx([3000, 2000])
    new.result = "aB"
    with pytest.raises(SystemExit, match=r"a net, float64: .* other results"):
        alternate.compare([new, old], "float64", "a net", 20, 0.01)


def test_slower_is_more_than_noise(rng):
    noise = rng.normal(0, 0.05, 100)
    assert alternate.is_slower(1.05 + noise)
    assert not alternate.is_slower(1 + noise)
    assert not alternate.is_slower(0.95 + noise)
    assert not alternate.is_slower([0.5, 1.5, 1.5])  # too few to say
    low, high = alternate.spread(1 + noise)
    assert np.mean((1 + noise >= low) & (1 + noise <= high)) == 0.8


@LINUX
@COMPILED_ONLY
def test_two_processes_alternate():
    core = max(os.sched_getaffinity(0))
    versions = [alternate.Version(sys.executable, os.pathsep.join(sys.path), core) for _ in "ab"]
    try:
        for name in ("tutorial 2-4-8-1, step by step", "Network 64-100-10, predict one row"):
            ratios, us = alternate.compare(versions, "float32", name, 3, 1e-4)
            assert len(ratios) == 3
            assert min(*ratios, *us) > 0
    finally:
        alternate.close(versions)


@LINUX
@COMPILED_ONLY
def test_shares_of_the_peak():
    assert shares.work([8, 32, 2], 10) == 10 * (2 * (8 * 32 + 32 * 2) + 32 * 2)
    core = max(os.sched_getaffinity(0))
    versions = [shares.Version(os.pathsep.join(sys.path), core) for _ in "ab"]
    try:
        found, times, best = shares.measure(versions, "8-32-32-2", "float32", 3, 1e-4)
    finally:
        for version in versions:
            version.close()
    for one, us, most in zip(found, times, best, strict=True):
        assert len(one) == len(us) == 3
        assert 0 < min(*one, most)
        assert max(*one, most) < 1.2
        assert min(us) > 0


# ---- prediction intervals -----------------------------------------------------------------------


def test_an_interval_that_covers_too_little_or_too_much_is_named():
    assert intervals.wrong("sine", 0.9) is None
    assert intervals.wrong("sine", 0.849) == "sine: 84.9% is not between 85% and 95%"
    assert intervals.wrong("sine", 0.951) == "sine: 95.1% is not between 85% and 95%"


class Three:
    """Predicts -1, 0 and 1 of every row."""

    best_iteration_ = None
    n_iter_ = 7

    def predict(self, X):
        return np.tile([-1.0, 0.0, 1.0], (len(X), 1))


def test_coverage_width_and_loss_are_of_the_rows_held_out():
    rows = np.zeros((4, 1))
    data = intervals.Data(rows, np.zeros(4), None, None, rows, np.array([-2.0, -1, 1, 1.5]))
    (measured,) = intervals.measure(lambda data, seed: Three(), lambda seed: data, [0])
    below = np.array([[-1, -2, -3], [0, -1, -2], [2, 1, 0], [2.5, 1.5, 0.5]])  # y - predicted
    loss = np.where(below > 0, below * intervals.LEVELS, -below * (1 - np.array(intervals.LEVELS)))
    np.testing.assert_allclose(measured, [0.5, 1, 2, loss.sum(axis=1).mean(), 7])


@pytest.mark.parametrize("split", intervals.RECIPES, ids=lambda split: split.__name__)
def test_parts_of_a_split_have_no_row_in_common(split):
    data = split(0)
    rows = [tuple(row) for X in (data.X, data.X_val, data.X_test) for row in X.tolist()]
    assert len(set(rows)) == len(rows)
    np.testing.assert_allclose([data.X.mean(), data.y.mean()], 0, atol=1e-12)
    np.testing.assert_allclose([data.X.std(axis=0).min(), data.y.std()], 1)
