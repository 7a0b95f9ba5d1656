"""The house: imports go one way, rooms stay small, and upper rooms use public names."""

import ast
import re
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# a room imports only rooms that stand before it
ORDER = [
    "catalog", "documentation", "pages", "reference", "kernels", "data", "threads", "parameters",
    "schedules", "initializers", "work", "forward", "callbacks", "training", "states", "layers",
    "trainable", "summary", "displayable", "network", "many", "ensemble", "tutorial", "announcing",
    "estimators", "model_selection", "dask", "patching", "plotting", "rate_finder", "files", "cli",
]  # fmt: skip
# what `import fastnn` itself may load at once
TOP = {"network", "threads", "data", "kernels"}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """Rooms that a file imports when it runs, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "fastnn" and len(parts) > 1 and parts[1] in ORDER:
                yield parts[1]


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in SOURCES} - {"__init__", "__main__"}
    assert rooms == set(ORDER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    before = {"__init__": TOP, "__main__": set(ORDER)}.get(room)
    if before is None:
        before = set(ORDER[: ORDER.index(room) + 1])
    assert set(imports_of(path)) <= before


@pytest.mark.parametrize("room", ["catalog", "reference"])
def test_what_the_lowest_rooms_need(room):
    allowed = {"catalog": set(), "reference": {"catalog", "reference"}}[room]
    for path in SOURCES:
        if room_of(path) == room:
            assert set(imports_of(path)) - {room} <= allowed


def test_no_room_is_too_large():
    for pattern in ("*.py", "*.pyi", "*.pyx", "*.pxi", "*.h"):
        for path in PACKAGE.rglob(pattern):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= (500 if path.name == "network.py" else 700), path


# whose private attributes a room may use: its own classes', and an estimator's in its room
OWN = ("self", "cls", "estimator", "self._estimator")


@pytest.mark.parametrize(
    "room", ["callbacks", "tutorial", "estimators", "plotting", "rate_finder", "cli"]
)
def test_rooms_around_network_use_its_public_names(room):
    """Whatever fastnn's own callbacks, pictures and commands do, anybody can."""
    private = {name for name in vars(fastnn.Network([2, 1])) if name.startswith("_")} | {
        name for name in dir(fastnn.Network) if re.match(r"_[a-z]", name)
    }
    for path in SOURCES:
        if room_of(path) != room:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in private:
                assert ast.unparse(node.value) in OWN, (path, ast.unparse(node))


def test_instruction_sets_are_named_by_kernels_alone():
    for path in SOURCES:
        if room_of(path) not in ("kernels", "__init__", "__main__"):
            assert not re.search(r"avx|sse4", path.read_text(encoding="utf-8"), re.IGNORECASE), (
                path
            )
