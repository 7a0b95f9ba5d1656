"""What the README and the docstrings show is what comes out."""

import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from matplotlib import pyplot

from fastnn import documentation, network
from fastnn.catalog import activations, initializers, losses, solvers
from fastnn.data import checks
from fastnn.plotting import boundary
from fastnn.plotting.displays import loss_curve

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


@pytest.mark.parametrize("module", [network, boundary, loss_curve])
def test_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


ROOT = README.parent


def test_bounds_are_written_as_they_are_checked():
    for closed, text in {"neither": "(0, 1)", "left": "[0, 1)", "both": "[0, 1]"}.items():
        p = solvers.Parameter("x", 0.5, "Help.", 0.0, 1.0, closed)
        assert documentation._kind(p) == f"float in {text}"
        with pytest.raises(ValueError, match=re.escape(f"must be a finite number in {text}")):
            checks.real_number("x", 2, 0, 1, closed)
    for low, closed, text in (
        (0.0, "both", ">= 0"), (0.0, "left", ">= 0"), (0.0, "neither", "> 0"),
        ("smallest", "both", "> 0"),
    ):  # fmt: skip
        assert documentation._kind(solvers.Parameter("x", 0.5, "Help.", low, closed=closed)) == (
            f"float {text}"
        )


def test_tables_of_the_catalog_are_up_to_date():
    written = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    assert written == documentation.tables() + "\n"
    text = README.read_text(encoding="utf-8")
    tables = activations.ACTIVATIONS, initializers.INITIALIZERS, losses.LOSSES, solvers.SOLVERS
    for rows in tables:
        for row in rows:
            if getattr(row, "public", True):
                assert f"`{row.name}`" in written
                assert f"`{row.name}`" in text or f'"{row.name}"' in text


def gallery():
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import gallery
    finally:
        sys.path.pop(0)
    return gallery


def test_every_picture_is_drawn_by_the_gallery_and_shown():
    shown = set()
    for page in (README, ROOT / "docs" / "gallery.md"):
        for path in re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / path).is_file(), path
            shown.add((page.parent / path).name)
    there = {path.name for path in (ROOT / "docs").iterdir() if path.suffix != ".md"}
    assert shown == there == set(gallery().pictures())


def test_animation_is_small_enough_for_the_readme():
    for path in (ROOT / "docs").glob("*.gif"):
        assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize("drawing", gallery().FIGURES, ids=lambda drawing: drawing.__name__)
def test_gallery_draws_the_same_twice(drawing):
    drawn = []
    for _ in range(2):
        file = io.BytesIO()
        with pyplot.rc_context({"backend": "agg"}):
            drawing().savefig(file, metadata={"Software": None}, dpi=50)
            pyplot.close("all")
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]


def test_gallery_needs_nothing_but_the_extra_plot(tmp_path):
    """What the tests' environment has besides is not there for whoever draws."""
    code = f"""
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("pandas", "polars", "rich", "hypothesis", "pytest", "IPython"):
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
for drawing in runpy.run_path({str(ROOT / "examples" / "gallery.py")!r})["FIGURES"]:
    drawing()
"""
    environment = {**os.environ, "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


@pytest.mark.parametrize("name", ["red_neuronal", "neural_network"])
def test_notebooks_are_stripped(name):
    notebook = json.loads((ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = notebook["cells"]
    assert len(cells) > 30
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            compile("".join(cell["source"]), name, "exec")
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_notebooks_are_the_same_in_both_languages():
    spanish, english = (
        json.loads((ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        for name in ("red_neuronal", "neural_network")
    )

    def without_words(cell):
        """The code without comments and strings."""
        tokens = tokenize.generate_tokens(io.StringIO("".join(cell["source"]) + "\n").readline)
        skipped = {tokenize.COMMENT, tokenize.STRING, tokenize.NL, tokenize.NEWLINE}
        skipped.add(getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))  # from Python 3.12 on
        return [token.string for token in tokens if token.type not in skipped]

    assert [cell["cell_type"] for cell in spanish] == [cell["cell_type"] for cell in english]
    for ours, theirs in zip(spanish, english, strict=True):
        if ours["cell_type"] == "code":
            assert without_words(ours) == without_words(theirs)
        else:  # the same formulas
            found = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)
            formulas = [found.findall("".join(cell["source"])) for cell in (ours, theirs)]
            assert formulas[0] == formulas[1]
