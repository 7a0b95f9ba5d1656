"""What the README and the docstrings show is what comes out."""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

from fastnn import network

README = Path(__file__).parent.parent / "README.md"


def test_first_example():
    text = README.read_text(encoding="utf-8")
    code, output = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", text, re.DOTALL).groups()
    assert len(code.strip().splitlines()) <= 11
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == output


def test_tutorial_example():
    from sklearn.datasets import make_circles

    X, Y = make_circles(100, random_state=0)
    codes = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (code for code in codes if "fastnn.tutorial" in code)
    names = {"X": X, "Y": Y[:, None]}
    exec(compile(code, "README.md", "exec"), names)
    assert names["pY"].shape == (100, 1)


def test_commands_are_the_ones_that_ci_runs():
    text = README.read_text(encoding="utf-8")
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    for command in ('pip install ".[plot]" && fastnn demo', 'pip install ".[test]" && pytest'):
        assert command in text
        assert command in ci


@pytest.mark.parametrize("module", [network])
def test_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
