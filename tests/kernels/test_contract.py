"""Catalog, kernels, oracle and stub have the same functions, codes and records."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from cases import DENSE, EVERY_BUILD, step_of
from conftest import COMPILED

from fastnn import kernels as builds
from fastnn import reference
from fastnn.catalog import activations, losses, records, solvers

FOLDER = Path(builds.__file__).parent
CODES = {
    "activations": activations.CODES,
    "losses": losses.CODES,
    "solvers": {row.name: row.code for row in solvers.SOLVERS if not row.searches},
    "status": records.STATUS,
}


CLASSES = (
    "DualEquations", "Epochs", "Forward", "LimitedMemory", "NetLanes", "NormalEquations",
)  # fmt: skip


def functions_of(module):
    """Name -> function or, of a class, "Class.method"; without private ones."""
    functions = {
        name: value for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and not inspect.isclass(value)
    }  # fmt: skip
    for owner in CLASSES:
        for name, value in vars(getattr(module, owner)).items():
            if callable(value) and not name.startswith("_"):
                functions[f"{owner}.{name}"] = value
    return functions


def parameters_of(function):
    return [
        (p.name, p.default is not p.empty) for p in inspect.signature(function).parameters.values()
    ]


def stub_functions():
    """Name -> [(parameter, whether it has a default)] in the stub file."""
    functions = {}
    body = [("", node) for node in ast.parse((FOLDER / "_kernels.pyi").read_text()).body]
    body += [(f"{top.name}.", node) for _, top in body if isinstance(top, ast.ClassDef)
             and top.name in CLASSES for node in top.body]  # fmt: skip
    for owner, node in body:
        if (
            isinstance(node, ast.FunctionDef)
            and not node.name.startswith("_")
            and not node.decorator_list  # properties
        ):
            names = [a.arg for a in node.args.args]
            required = len(names) - len(node.args.defaults)
            functions[owner + node.name] = [(name, i >= required) for i, name in enumerate(names)]
    return functions


def test_at_least_one_build_runs():
    assert COMPILED


@pytest.mark.parametrize("name", COMPILED)
def test_kernels_have_the_references_names_and_signatures(name):
    functions, twins = functions_of(builds.load(name)), functions_of(reference)
    assert set(functions) == set(twins)
    names = {name for name in twins if "." not in name}
    assert {*names, *CLASSES} == set(reference.__all__)
    for function in functions:
        assert parameters_of(functions[function]) == parameters_of(twins[function]), function
        assert functions[function].__doc__, function


def test_the_stub_has_the_references_names_and_signatures():
    functions, twins = stub_functions(), functions_of(reference)
    assert set(functions) == set(twins)
    for function, parameters in functions.items():
        assert parameters == parameters_of(twins[function]), function


@EVERY_BUILD
def test_enumerations_are_the_catalogs(module):
    assert module.enumerations() == CODES


def test_cython_takes_enumerators_from_c():
    """It names the few that it needs, all of the catalog, and gives none a number of its own."""
    sources = [*FOLDER.glob("*.pyx"), *FOLDER.glob("*.pxi")]
    if not sources:
        pytest.skip("needs the source tree")
    text = "\n".join(path.read_text() for path in sources)
    declared = [
        set(re.findall(r"\w+", names))
        for names in re.findall(r"^    enum: *((?:[A-Z_0-9]+,?\s*)+)$", text, re.MULTILINE)
    ]
    everything = {name.upper() for codes in CODES.values() for name in codes}
    assert {"SOFTMAX", "RUNNING"} <= set().union(*declared)
    for group in declared:
        group = group - {"STORED_SLOPE"}  # the code of any activation that stores its slope
        kinds = [{name.upper() for name in codes} for codes in CODES.values()]
        assert not group & everything or any(group <= kind for kind in kinds), group
    numbered = set(re.findall(r"^ +([A-Z_0-9]+) = -?\d", text, re.MULTILINE))
    assert not numbered & everything


@EVERY_BUILD
def test_record_layouts_are_the_catalogs(module):
    for name, fields, dtype in (
        ("step", records.STEP, builds.STEP),
        ("cursor", records.CURSOR, builds.CURSOR),
        ("stopping", records.STOPPING, builds.STOPPING),
    ):
        layout = module.record_layouts()[name]
        assert [field for field, _, _ in layout] == [field[0] for field in fields]
        assert [
            (n, dtype.fields[n][1], dtype.fields[n][0].itemsize) for n in dtype.names
        ] == layout
        # no padding, which would differ between compilers
        assert dtype.itemsize == sum(size for _, _, size in layout)


def test_statuses_have_names_in_python():
    names = {name: getattr(builds, name.upper()) for name in records.STATUS}
    assert names == records.STATUS


def test_an_unknown_code_is_an_error_of_the_oracle():
    one, units, codes = np.ones((1, 1)), np.array([1, 1], np.intp), np.zeros(1, np.int32)
    out, softmax = np.empty((1, 1)), activations.CODES["softmax"]
    net, rows = (np.ones(2), units, codes), (one, *DENSE, one)
    for code in (99, -1):
        for function in (reference.activate, reference.derivative):
            with pytest.raises(KeyError):
                function(one, code, out)
        with pytest.raises(KeyError):
            reference.dense_forward(one, one, one[0], code, None, out)
        with pytest.raises(KeyError):
            reference.propagate_delta(one, one, one, code, None, out)
        with pytest.raises(KeyError):
            reference.loss_and_grad(*net, step_of(loss=code), *rows, None, np.empty(2))
        with pytest.raises(KeyError):
            reference.solver_update(*np.ones((2, 2)), np.ones((2, 2)), step_of(solver=code), 1)
    # softmax is no function of one number
    with pytest.raises(KeyError):
        reference.activate(one, softmax, out)
    with pytest.raises(ValueError, match="last layer"):
        reference.propagate_delta(one, one, one, softmax, None, out)
