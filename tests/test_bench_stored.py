"""Results of benchmarks that are kept: what a file must be, and that the pages show it."""

import copy
import json
import math

import pytest
import stored
import tables

MACHINE = {
    "CPU": "a CPU", "kind": "zen3", "caches": "L1 32K", "build": "avx2", "compiler": "GCC 1",
    "Python": "3", "NumPy": "2", "fastnn": "0.1.0", "date": "2026-11-29",
}  # fmt: skip


def ratio(value):
    return {"min": 0.9 * value, "median": value, "max": 1.1 * value}


def speed():
    return {
        "machine": dict(MACHINE),
        "results": [{
            "topology": "2-4-8-1", "dtype": "float32",
            "us_a_step": {"fastnn": 10.0, "fastnn by step": 20.0, "numpy": 100.0},
            "ratio": {"fastnn": ratio(10), "fastnn by step": ratio(5)},
        }],
    }  # fmt: skip


def peers():
    peer = {"us": 10.0, "version": "1.0", "first_s": 0.1}
    return {
        "machine": dict(MACHINE),
        "results": [{
            "workload": "64-100-10", "dtype": "float32", "threads": 1, "batch": 200,
            "share_of_peak": 0.5,
            "peers": {"fastnn_": peer, "jax_jit": {**peer, "us": 20.0, "ratio": ratio(2)}},
        }],
    }  # fmt: skip


def estimators():
    return {
        "machine": dict(MACHINE),
        "results": [{
            "data": "wine", "dtype": "float32", "samples": 178, "features": 13,
            "ms_per_epoch": [0.02, 0.1], "score": [1.0, 1.0], "ratio": 5.0, "spread": [4.0, 6.0],
        }],
        "searches": [{
            "dtype": "float32", "candidates": 20, "folds": 5, "seconds": [1.0, 5.0], "ratio": 5.0,
            "spread": [4.0, 6.0],
        }],
    }  # fmt: skip


def changed(measured, path, value):
    """A copy with another value at a path such as results.0.dtype; None takes it away."""
    measured = copy.deepcopy(measured)
    *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
    place = measured
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return measured


@pytest.mark.parametrize("path", sorted(stored.RESULTS.glob("*-*.json")), ids=lambda p: p.stem)
def test_every_stored_file_is_sound(path):
    assert stored.check(path) == []


def test_the_pages_show_what_is_stored():
    for path, text in tables.written().items():
        assert path.read_text(encoding="utf-8") == text, path.name


@pytest.mark.parametrize("make", [speed, peers, estimators])
def test_what_is_measured_is_stored_and_found_again(make, tmp_path):
    path = stored.save(make.__name__, make(), tmp_path)
    assert path.name == f"{make.__name__}-zen3-avx2.json"
    assert stored.load(make.__name__, tmp_path) == [make()]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(SystemExit, match=r"not stored:\n.*machine\.date is"):
        stored.save(make.__name__, changed(make(), "machine.date", "yesterday"), tmp_path)
    assert stored.load(make.__name__, tmp_path) == [make()]


WRONG = [
    (speed, "machine", None, "machine must be an object"),
    (speed, "machine.CPU", "", 'machine.CPU is ""'),
    (speed, "machine.caches", None, "machine has no caches"),
    (speed, "machine.date", "29.11.2026", 'machine.date is "29.11.2026"'),
    (speed, "machine.date", "2999-01-01", 'machine.date is "2999-01-01"'),
    (speed, "machine.build", "avx512", "the file of this machine is speed-zen3-avx512.json"),
    (speed, "results", [], "results must be a list with at least one row"),
    (speed, "results.0.dtype", "float16", 'results[0].dtype is "float16"'),
    (speed, "results.0.topology", "2", 'results[0].topology is "2"'),
    (speed, "results.0.us_a_step.numpy", None, "results[0].us_a_step has no numpy"),
    (speed, "results.0.us_a_step.numpy", math.inf, "us_a_step.numpy is Infinity"),
    (speed, "results.0.us_a_step.numpy", True, "us_a_step.numpy is true"),
    (speed, "results.0.ratio.fastnn.min", 11.0, "results[0].ratio.fastnn is {"),
    (speed, "results.0.ratio.fastnn", ratio(30), "took 10 times as long, the ratio is 30"),
    (peers, "results.0.share_of_peak", 1.2, "results[0].share_of_peak is 1.2"),
    (peers, "results.0.peers.fastnn_", None, "results[0].peers has no fastnn_"),
    (peers, "results.0.peers.jax_jit.ratio", None, "results[0].peers.jax_jit has no ratio"),
    (peers, "results.0.peers.jax_jit.us", 60.0, "took 6 times as long, the ratio is 2"),
    (estimators, "results.0.spread", [5.5, 6.0], "ratio 5 is not between 5.5 and 6"),
    (estimators, "results.0.score", [1.0], "results[0].score is [1.0]"),
    (estimators, "searches.0.seconds", [5.0, 1.0], "took 0.2 times as long, the ratio is 5"),
]


@pytest.mark.parametrize(("make", "path", "value", "line"), WRONG)
def test_what_is_wrong_with_a_file_is_named(make, path, value, line):
    name = f"{make.__name__}-zen3-avx2.json"
    assert stored.problems(make(), name) == []
    found = stored.problems(changed(make(), path, value), name)
    assert any(line in one for one in found), found
    assert all(one.startswith(f"{name}: ") for one in found)


def test_files_that_are_none_are_refused(tmp_path):
    path = tmp_path / "speed-zen3-avx2.json"
    assert "No such file" in stored.check(path)[0]
    path.write_text("{")
    assert "Expecting" in stored.check(path)[0]
    path.write_text("[]")
    assert "must be an object" in stored.check(path)[0]
    other = tmp_path / "speeds-zen3-avx2.json"
    other.write_text(json.dumps(speed()))
    assert "must begin with speed, peers, estimators" in stored.check(other)[0]


def test_microseconds_become_milliseconds_before_they_have_five_digits():
    shown = {4.444: "4.44 µs", 74.49: "74.5 µs", 999.4: "999 µs", 999.6: "1 ms", 24110: "24.1 ms"}
    assert {us: tables.duration(us) for us in shown} == shown


def test_a_machine_more_is_a_table_and_a_line_more():
    one, other = estimators(), changed(estimators(), "machine.CPU", "another CPU")
    assert tables.machines({"estimators": [one, other]}).count("estimators-zen3-avx2.json") == 2
    assert "5.0 times as fast" in tables.estimators_in_short(one)
    assert "| wine, 178 x 13, float32 | **5.0x (4.0-6.0)** | 20 µs | 100 µs |" in (
        tables.estimators(one)
    )
    assert tables.shown([one, changed(one, "machine.kind", "zen4")]) is one
    both = changed(changed(one, "machine.kind", "zen4"), "machine.build", "avx512")
    assert tables.shown([one, both]) is both
    assert tables.speed(speed()).splitlines()[2].startswith("| 2-4-8-1, float32 | **10.0x")
