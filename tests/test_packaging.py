"""The source distribution: the same files, the same bytes."""

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


def sdist(root, output):
    """The source distribution of a copy of the tree."""
    shutil.copytree(
        ROOT,
        root,
        ignore=shutil.ignore_patterns(".git", "build", "*.egg-info", "*.so", "*.c", ".*"),
    )
    command = [sys.executable, "setup.py", "-q", "sdist", "-d", str(output)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (path,) = output.glob("*.tar.gz")
    return path


def test_two_source_distributions_are_the_same_bytes(tmp_path):
    """Made in other folders, at other times, of files of other owners' permissions."""
    first = sdist(tmp_path / "here", tmp_path / "one")
    for path in (tmp_path / "here").rglob("*.py"):
        path.chmod(0o600)
        path.touch()
    second = tmp_path / "two"
    command = [sys.executable, "setup.py", "-q", "sdist", "-d", str(second)]
    subprocess.run(command, cwd=tmp_path / "here", check=True, capture_output=True)
    assert first.read_bytes() == (second / first.name).read_bytes()
    with tarfile.open(first) as tar:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in tar.getnames()}
    needed = {"setup.py", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "fastnn/layers.py"}
    needed |= {f"fastnn/kernels/{name}" for name in ("_kernels.pyx", "calls.pxi", "simd/math.h")}
    assert needed <= names
    assert not [name for name in names if name.endswith((".so", ".c", ".pyc"))]
