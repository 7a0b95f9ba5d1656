"""The site's own programs; .ci/run builds the site with them."""

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
pytestmark = pytest.mark.skipif(not (DOCS / "conf.py").exists(), reason="needs the source tree")

PAGE = """<html lang="en"><head><title>A page</title></head><body>
<a href="#main-content">Skip</a><h1 id="main-content">A page</h1>{}</body></html>"""


@pytest.fixture
def check_links(monkeypatch, tmp_path_factory):
    monkeypatch.syspath_prepend(DOCS)
    import check_links

    monkeypatch.setattr(check_links, "public_names", set)
    monkeypatch.setattr(check_links, "NOTEBOOKS", tmp_path_factory.mktemp("notebooks"))
    return check_links


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="other.html#there">other</a>', None),
        ('<a href="https://example.org/nowhere">elsewhere</a>', None),
        ('<a href="missing.html">missing</a>', "missing.html leads nowhere"),
        ('<a href="other.html#here">other</a>', "other.html#here has no such anchor"),
        ('<img src="missing.png" alt="A picture">', "missing.png leads nowhere"),
        ('<img src="other.html">', "the picture other.html has no alt"),
        ('<svg role="img"></svg>', "a drawing has no aria-label"),
        ("<h3>Deep</h3>", "a heading of level 3 follows one of level 1"),
        ('<p id="a"></p><p id="a"></p>', "two elements have the id 'a'"),
    ],
)
def test_check_of_links_finds(body, fault, check_links, tmp_path, capsys):
    (tmp_path / "index.html").write_text(PAGE.format(f'<a href="other.html">x</a>{body}'))
    (tmp_path / "other.html").write_text(PAGE.format('<p id="there"></p>'))
    assert check_links.main([str(tmp_path)]) == (fault is not None)
    if fault:
        assert fault in capsys.readouterr().out


def test_check_of_links_counts_clicks(check_links, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check_links, "public_names", lambda: {"fastnn.near", "fastnn.far"})
    for i in range(6):
        name = {3: "near", 5: "far"}.get(i, "")
        body = f'<a href="{i + 1}.html">on</a><dt id="fastnn.{name}"></dt>'
        path = tmp_path / (f"{i}.html" if i else "index.html")
        path.write_text(PAGE.format(body if i < 5 else f'<dt id="fastnn.{name}"></dt>'))
    assert check_links.main([str(tmp_path)]) == 1
    faults = capsys.readouterr().out.splitlines()[:-1]
    assert faults == ["fastnn.far is more than 3 clicks from the front page, or not there"]


@pytest.mark.parametrize(("n_shown", "status"), [(2, 0), (1, 1)])
def test_check_of_links_looks_for_pictures_of_notebooks(
    n_shown, status, check_links, tmp_path, capsys
):
    sources = ["fig, ax = plt.subplots()", "print(1)", "LossCurveDisplay.from_network(net);"]
    cells = [{"cell_type": "code", "source": [source]} for source in sources]
    (check_links.NOTEBOOKS / "net.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "1.png").touch()
    (tmp_path / "index.html").write_text(PAGE.format('<a href="net.html">net</a>'))
    shown = '<img src="_images/1.png" alt="A picture">' * n_shown
    (tmp_path / "net.html").write_text(PAGE.format(shown))
    assert check_links.main([str(tmp_path)]) == status
    assert ("net.html: 1 pictures, and 2 cells draw" in capsys.readouterr().out) == bool(status)


def test_drawings_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    import drawings

    assert (DOCS / "explanation" / "layout.svg").read_text("utf-8") == drawings.layout()
