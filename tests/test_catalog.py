"""Rows of the catalog make sense, by themselves and to each other."""

import ast
from pathlib import Path

import numpy as np
import pytest

import fastnn.catalog
import fastnn.initializers
from fastnn.catalog import activations, initializers, losses, records, schedules, solvers

TABLES = {
    "activations": activations.ACTIVATIONS,
    "losses": losses.LOSSES,
    "schedules": schedules.SCHEDULES,
    "solvers": solvers.SOLVERS,
}
MODULES = {
    "activations": activations, "losses": losses, "schedules": schedules, "solvers": solvers,
}  # fmt: skip
EVERY_TABLE = pytest.mark.parametrize("table", TABLES)
# kernels know nothing of schedules
CODED_TABLE = pytest.mark.parametrize("table", [name for name in TABLES if name != "schedules"])


@CODED_TABLE
def test_names_and_codes_are_unique(table):
    rows = TABLES[table]
    assert len({row.name for row in rows}) == len(rows)
    # every code from 0 on: kernels use them as indices
    assert sorted(row.code for row in rows) == list(range(len(rows)))


@CODED_TABLE
def test_the_look_ups_have_every_row(table):
    rows, module = TABLES[table], MODULES[table]
    assert list(module.BY_NAME.values()) == list(module.BY_CODE.values()) == list(rows)
    assert {row.name: row.code for row in rows} == module.CODES


def test_the_look_up_of_schedules_has_every_row():
    assert list(schedules.BY_NAME.values()) == list(schedules.SCHEDULES)


@pytest.mark.parametrize("table", ["activations", "losses", "schedules"])
def test_a_spelling_has_one_meaning(table):
    rows = [row for row in TABLES[table] if getattr(row, "public", True)]
    spellings = [s for row in rows for s in (row.name, *row.aliases)]
    assert len(set(spellings)) == len(spellings)
    assert set(MODULES[table].SPELLINGS) == set(spellings)
    for row in rows:
        for spelling in (row.name, *row.aliases):
            assert MODULES[table].SPELLINGS[spelling] == row.name
            assert spelling == spelling.lower().strip()


@EVERY_TABLE
def test_every_row_has_a_line_of_help(table):
    for row in TABLES[table]:
        assert row.help.strip() == row.help != ""
        assert "\n" not in row.help
        assert getattr(row, "formula", "-")


def test_activations():
    for row in activations.ACTIVATIONS:
        assert row.low < row.high
        assert row.gain > 0
        assert row.init in ("glorot", "he", "lecun")
        assert row.elementwise or not (row.hidden or row.stores_slope)


def test_initializers():
    rows = initializers.INITIALIZERS
    assert [row.name for row in rows] == list(initializers.BY_NAME) == list(initializers.CHOICES)
    assert set(initializers.BY_NAME) == {"auto", *fastnn.initializers.INITIALIZERS}
    for row in rows:
        assert row.help.strip() == row.help != ""
        assert "\n" not in row.help


def test_losses_fit_their_output_activation():
    for row in losses.LOSSES:
        assert row.low < row.high
        if row.out_activation is not None:
            # all but the ends of the targets' domain can be reached
            out = activations.BY_NAME[row.out_activation]
            assert out.low <= row.low
            assert out.high >= row.high
        assert not row.uses_logits or row.out_activation is not None
        assert not row.rows_sum_to_one or not activations.BY_NAME[row.out_activation].elementwise


def test_solvers_take_known_parameters_with_good_defaults():
    parameters = {parameter.name: parameter for parameter in solvers.PARAMETERS}
    assert len(parameters) == len(solvers.PARAMETERS)
    by_all = {"learning_rate_init", "alpha", "clip_norm", "ema", "input_noise"}
    used = by_all.union(*(row.parameters for row in solvers.SOLVERS))
    assert used == set(parameters)
    bounds = {"smallest": np.finfo(np.float32).tiny, "largest": np.finfo(np.float32).max}
    for row in solvers.PARAMETERS:
        assert row.help.endswith(".")
        assert row.closed in ("neither", "left", "both")
        if not isinstance(row.default, bool):
            low, high = (bounds.get(bound, bound) for bound in (row.low, row.high))
            assert low < row.default or (row.default == low and row.closed != "neither")
            assert row.default < high
    for row in solvers.SOLVERS:
        assert row.n_states >= 0


def test_records():
    for fields in (records.STEP, records.CURSOR, records.STOPPING):
        names = [name for name, _, _ in fields]
        assert len(set(names)) == len(names)
        dtype = np.dtype([field[:2] for field in fields], align=True)
        assert dtype.itemsize % 8 == 0
        # the C structs have no padding either
        assert dtype.itemsize == sum(np.dtype(kind).itemsize for _, kind, _ in fields)
        assert all(help_ for _, _, help_ in fields)
    assert sorted(records.STATUS.values()) == list(range(len(records.STATUS)))


def test_a_step_has_what_solvers_read():
    fields = {name for name, _, _ in records.STEP}
    # these name the rate, choose the solver, and stand where Adam's decay does
    renamed = {
        "learning_rate_init": "learning_rate",
        "nesterovs_momentum": "solver",
        "rho": "beta_2",
    }
    of_searches = {name for row in solvers.SOLVERS if row.searches for name in row.parameters}
    for parameter in solvers.PARAMETERS:
        if parameter.name not in of_searches:
            assert renamed.get(parameter.name, parameter.name) in fields


def test_the_catalog_imports_itself_alone():
    for path in Path(fastnn.catalog.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Import), path
            if isinstance(node, ast.ImportFrom):
                assert node.module == "typing" or node.module.startswith("fastnn.catalog"), path
