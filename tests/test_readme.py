"""What the README and the pages of docs/ show is what comes out."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED_ONLY
from estimator_cases import needs_weights
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from sklearn.neural_network import _multilayer_perceptron as originals

from fastnn import documentation
from fastnn.catalog import activations, initializers, losses, schedules, solvers
from fastnn.data import checks
from fastnn.plotting.training import live
from fastnn.schedules import BY_NAME

README = Path(__file__).parent.parent / "README.md"
DOCS = README.parent / "docs"
HOW_TO = sorted(set((DOCS / "how-to").glob("*.md")) - {DOCS / "how-to" / "index.md"})
# without the pages that docs/conf.py writes into these two folders
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if page.stem == "index" or not {"project", "reference"} & {*page.relative_to(DOCS).parts}
]
RUN = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
RUN.remove(DOCS / "gallery.md")  # its lines are taken from programs
BENCHMARKS = README.parent / "docs" / "benchmarks.md"
EXAMPLE = re.compile(r"```python\n(.*?)```(?:\s+```text\n(.*?)```)?", re.DOTALL)


def test_first_example():
    text = README.read_text(encoding="utf-8")
    code, output = EXAMPLE.search(text).groups()
    assert len(code.strip().splitlines()) <= 11
    assert printed_by(code, {}, "README.md") == output


def test_the_readme_is_short_and_one_can_begin_before_the_tables():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert text.index("## Set up") < text.index("<!-- speed -->")
    tables = re.findall(r"^\|(.*)\|\n\|---", text + BENCHMARKS.read_text("utf-8"), re.M)
    headings = [[cell.strip() for cell in table.split("|")] for table in tables]
    assert [h[1] for h in headings if "faster" in h] == ["faster"] * len(
        [h for h in headings if "NumPy, a step" in h or "scores of both" in h]
    )  # the second column: a phone shows no more


def test_examples_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one saves a net
    names = {}
    for code, output in EXAMPLE.findall(README.read_text(encoding="utf-8")):
        assert printed_by(code, names, "README.md") == output


def printed_by(code, names, page):
    if ".fastnn" in code:
        pytest.importorskip("safetensors")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page, "exec"), names)
    return printed.getvalue()


class Unseen:
    """A window for LivePlot that nobody looks at."""

    def __init__(self):
        self.figure = pyplot.figure()

    def show(self, picture):
        picture.draw()
        return True

    def close(self):
        pyplot.close(self.figure)


@COMPILED_ONLY
@pytest.mark.skipif(
    "loss" not in originals.MLPRegressor._parameter_constraints,
    reason="scikit-learn 1.6 has neither losses nor weights",
)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_examples_of_pages(page, without_windows, tmp_path, monkeypatch):
    """One after the other, as a reader runs them; what each prints is shown below it."""
    monkeypatch.chdir(tmp_path)  # some write files
    monkeypatch.setattr(live, "_Window", Unseen)
    examples = EXAMPLE.findall(page.read_text(encoding="utf-8"))
    assert examples or page not in HOW_TO
    names = {}
    for code, output in examples:
        assert printed_by(code, names, page.name) == output


def test_links_lead_somewhere():
    pages = [README, *PAGES]
    linked = set()
    for page in pages:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            path, _, heading = link.partition("#")
            if "://" in link:
                continue
            target = (page.parent / path).resolve()
            assert target.is_file(), link
            linked.add(target)
            if heading:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
                assert heading in [text.lower().replace(" ", "-") for text in headings], link
    assert linked >= {page.resolve() for page in HOW_TO}


def test_commands_are_the_ones_that_ci_runs():
    text = README.read_text(encoding="utf-8")
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    for command in ('pip install ".[plot]" && fastnn demo', 'pip install ".[test]" && pytest'):
        assert command in text
        assert command in ci


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
    text = (ROOT / "docs" / "how-to" / "networks.md").read_text(encoding="utf-8")
    tables = (
        activations.ACTIVATIONS, initializers.INITIALIZERS, losses.LOSSES, schedules.SCHEDULES,
        solvers.SOLVERS,
    )  # fmt: skip
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
    for page in (README, *PAGES):
        for path in re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / path).is_file(), path
            shown.add((page.parent / path).name)
    there = {path.name for path in DOCS.rglob("*.*") if path.suffix in (".png", ".gif")}
    assert shown == there == set(gallery().pictures())


def test_animation_is_small_enough_for_the_readme():
    for path in (ROOT / "docs").glob("*.gif"):
        assert path.stat().st_size < 2_000_000


def test_schedules_are_drawn_as_they_are(without_windows, look):
    axes = gallery().schedules().axes
    drawn = {ax.get_title(): ax.lines[0].get_ydata() for ax in axes if ax.lines}
    assert set(drawn) == {row.name for row in schedules.SCHEDULES}
    for name, factors in drawn.items():
        step = BY_NAME[name].of_steps(np.array([400]), 1000)
        np.testing.assert_allclose(factors[400], step)


def test_the_band_covers_new_data(without_windows, look):
    (ax,) = gallery().prediction_intervals().axes
    band, points = ax.collections
    x, y = points.get_offsets().T
    corners = band.get_paths()[0]
    assert 0.85 <= corners.contains_points(np.column_stack([x, y])).mean() <= 0.95
    assert to_rgba(ax.lines[1].get_color()) == to_rgba(pyplot.rcParams["text.color"])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["5% to 95%", "new data", "median", "true 5% and 95%"]


@needs_weights
def test_weights_find_more_of_the_rare_class(without_windows, look):
    figure = gallery().imbalance()
    found = [int(re.search(r"(\d+)%", ax.get_title())[1]) for ax in figure.axes]
    assert found[0] < 75 < 95 < found[1]
    assert all(len(ax.collections[-1].get_offsets()) == 50 for ax in figure.axes)


def test_the_learning_rate_test_is_drawn_with_its_marks(without_windows, look):
    (ax,) = gallery().learning_rate().axes
    assert [line.get_xdata().size for line in ax.lines][1:] == [1, 1]
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize(
    "drawing",
    [
        pytest.param(
            drawing,
            id=drawing.__name__,
            marks=needs_weights if drawing.__name__ == "imbalance" else (),
        )
        for drawing in gallery().FIGURES
    ],
)
def test_gallery_draws_the_same_twice(drawing):
    drawn = []
    for _ in range(2):
        file = io.BytesIO()
        with pyplot.rc_context({"backend": "agg"}):
            drawing().savefig(file, metadata={"Software": None}, dpi=50)
            pyplot.close("all")
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]


@needs_weights
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
