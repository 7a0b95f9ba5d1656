"""The source distribution: the same files, the same bytes, whatever its name."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest.importorskip("Cython")
pytest.importorskip("setuptools")
pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="needs the source tree"
)  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the source tree."""
    root = tmp_path_factory.mktemp("tree") / "here"
    unwanted = shutil.ignore_patterns(
        ".git", "build", "*.egg-info", "*.so", "*.c", ".[!cg]*", "__pycache__"
    )
    shutil.copytree(ROOT, root, ignore=unwanted)
    return root


def sdist(root, output):
    """The source distribution of a tree."""
    command = [sys.executable, "setup.py", "-q", "sdist", "-d", str(output)]
    # Cython translates the kernels once, which no source distribution needs
    env = {**os.environ, "FASTNN_BUILDS": "baseline"}
    subprocess.run(command, cwd=root, check=True, capture_output=True, env=env)
    (path,) = output.glob("*.tar.gz")
    return path


def test_two_source_distributions_are_the_same_bytes(tree, tmp_path):
    """Made at other times, of files of other owners' permissions."""
    first = sdist(tree, tmp_path / "one")
    for path in tree.rglob("*.py"):
        path.chmod(0o600)
        path.touch()
    second = sdist(tree, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in tar.getnames()}
    needed = {"setup.py", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "fastnn/layers.py"}
    needed |= {f"fastnn/kernels/{name}" for name in ("_kernels.pyx", "calls.pxi", "simd/math.h")}
    assert needed <= names
    assert not [name for name in names if name.endswith((".so", ".c", ".pyc"))]


def test_what_a_source_distribution_leaves_out(tree, tmp_path):
    """Of what git follows; `git ls-files` where this is a clone."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a clone")
    with tarfile.open(sdist(tree, tmp_path)) as tar:
        packed = {Path(*Path(name).parts[1:]).as_posix() for name in tar.getnames()}
    missing = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    missing -= packed
    # what is for the place where it is developed
    places = (".github/", ".clang-format", ".gitignore", ".pre-commit-config.yaml")
    assert not sorted(name for name in missing if not name.startswith(places))


def test_the_name_is_in_one_place(tree, tmp_path):
    """Another one in pyproject.toml, and a distribution has it throughout."""
    path = tree / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('\nname = "fastnn"', '\nname = "another-name"'), encoding="utf-8")
    made = sdist(tree, tmp_path)
    path.write_text(text, encoding="utf-8")
    assert re.fullmatch(r"another_name-[\d.]+(\.dev\d+)?\.tar\.gz", made.name)
    with tarfile.open(made) as tar:
        info = tar.extractfile(f"{made.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert info is not None
        headers = info.read().decode().partition("\n\n")[0]
    assert "\nName: another-name\n" in headers
    required = re.findall(r"^Requires-Dist: (.*)$", headers, re.MULTILINE)
    assert required
    assert not [line for line in required if line.startswith("fastnn")]
