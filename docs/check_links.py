"""Looks at a built site, without network, for what leads nowhere and for what a reader would miss.

    python docs/check_links.py build/docs/html [--external]

Every link, picture, style and script of every page must be there, with its anchor; every picture
has a text in its place; every page has a language, a title, one heading of the first level and a
link past its menus; a notebook's page shows what its cells draw; and every public name is at most
three clicks from the front page. --external lists links to elsewhere, which are not followed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

# pages whose contents scripts make, or that list everything
BARE = {"search.html", "genindex.html", "py-modindex.html"}
CLICKS = 3
NOTEBOOKS = Path(__file__).resolve().parent.parent / "examples"
# what a cell that draws has: a display, or axes
DRAWS = re.compile(r"\w+Display\.|plt\.subplots|scatter")


class Page(HTMLParser):
    """What is in one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.anchors = {"", "top"}
        self.names: set[str] = set()
        self.faults: list[str] = []
        self.headings: list[int] = []
        self.language: str | None = None
        self.skips = False
        self.n_pictures = 0
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to, and what it lacks."""
        found = {name: value or "" for name, value in attrs}
        anchor = found.get("id") or (found.get("name") if tag == "a" else None)
        if anchor:
            if tag not in ("path", "g") and anchor in self.anchors - {"top"}:
                self.faults.append(f"two elements have the id {anchor!r}")
            self.anchors.add(anchor)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
            self.skips |= "skip" in found["href"] or found["href"] == "#main-content"
        elif tag in ("img", "script", "source", "video", "iframe") and found.get("src"):
            self.files.append(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "shortcut icon"):
            self.files.append(found["href"])
        self.n_pictures += tag == "img" and "_images/" in found.get("src", "")
        if tag == "img" and not found.get("alt") and "alt" not in found:
            self.faults.append(f"the picture {found.get('src')} has no alt")
        hidden = found.get("aria-hidden") == "true" or found.get("role") != "img"
        if tag == "svg" and not hidden and not found.get("aria-label"):
            self.faults.append("a drawing has no aria-label")
        if tag == "html":
            self.language = found.get("lang")
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.headings.append(int(tag[1]))
        if tag == "dt" and anchor and anchor.startswith("fastnn"):
            self.names.add(anchor)

    def look(self) -> Iterator[str]:
        """What this page lacks by itself."""
        yield from self.faults
        if not self.language:
            yield "it has no language"
        if self.headings.count(1) != 1:
            yield f"it has {self.headings.count(1)} headings of the first level"
        for above, below in zip(self.headings, self.headings[1:], strict=False):
            if below > above + 1:
                yield f"a heading of level {below} follows one of level {above}"
        if not self.skips:
            yield "it has no link past its menus"


def target_of(page: str, link: str) -> tuple[str, str] | None:
    """The file and the anchor that a link leads to, or None for one to elsewhere."""
    if urlsplit(link).scheme or link.startswith("//"):
        return None
    whole = urlsplit(urljoin(f"/{page}", link))
    path = unquote(whole.path).lstrip("/")
    return (path + "index.html" * (path.endswith("/") or not path), unquote(whole.fragment))


def public_names() -> set[str]:
    """What the reference must have."""
    import importlib

    import fastnn

    found = {f"fastnn.{name}" for name in fastnn.__all__ if not name.startswith("_")}
    for room in ("callbacks", "model_selection", "plotting", "tutorial"):
        module = importlib.import_module(f"fastnn.{room}")
        found |= {f"fastnn.{room}.{name}" for name in module.__all__}
    found |= {f"fastnn.schedules.{name}" for name in fastnn.schedules.__all__}
    found |= {f"fastnn.dask.{name}" for name in ("MLPClassifier", "MLPRegressor", "fit_many")}
    # pairs of functions and a type, of which the reference's pages speak
    return found - {
        "fastnn.tutorial.l2_cost", "fastnn.tutorial.relu", "fastnn.tutorial.sigm",
        "fastnn.schedules.ScheduleLike",
    }  # fmt: skip


def pictures_that_lack(pages: dict[str, Page]) -> Iterator[str]:
    """Notebooks' pages with fewer pictures than cells that draw."""
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        n = sum(DRAWS.search(source) is not None for source in code)
        name = next((name for name in pages if Path(name).stem == notebook.stem), "")
        if not name:
            yield f"{notebook.name} has no page"
        elif pages[name].n_pictures < n:
            yield f"{name}: {pages[name].n_pictures} pictures, and {n} cells draw"


def clicks(pages: dict[str, Page]) -> dict[str, int]:
    """How many clicks each page is from the front page."""
    far, step = {"index.html": 0}, ["index.html"]
    while step:
        following = []
        for page in step:
            for link in pages[page].links:
                target = target_of(page, link)
                if target and target[0] in pages and target[0] not in far:
                    far[target[0]] = far[page] + 1
                    following.append(target[0])
        step = following
    return far


def faults(root: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Every fault of a site, in a line."""
    for name, page in pages.items():
        for link in page.links + page.files:
            target = target_of(name, link)
            if target is None:
                continue
            path, anchor = target
            if not (root / path).is_file():
                yield f"{name}: {link} leads nowhere"
            elif anchor and path in pages and anchor not in pages[path].anchors:
                yield f"{name}: {link} has no such anchor"
        if name not in BARE:
            for fault in page.look():
                yield f"{name}: {fault}"
    if os.environ.get("FASTNN_DOCS_NOTEBOOKS") != "off":  # which builds without running them
        yield from pictures_that_lack(pages)
    far = clicks(pages)
    for name in sorted(pages.keys() - far.keys() - BARE):
        yield f"{name}: no link leads there"
    where = {public: name for name, page in pages.items() for public in page.names}
    for public in sorted(public_names()):
        if far.get(where.get(public, ""), CLICKS + 1) > CLICKS:
            yield f"{public} is more than {CLICKS} clicks from the front page, or not there"


def main(words: list[str]) -> int:
    """Print all faults; the exit status is 1 if there are any."""
    external = "--external" in words
    (root,) = (Path(word) for word in words if not word.startswith("-"))
    files = (path for path in root.rglob("*.html") if "_static" not in path.parts)
    pages = {path.relative_to(root).as_posix(): Page(path) for path in sorted(files)}
    found = list(faults(root, pages))
    print(*found, sep="\n", end="\n" if found else "")
    away = {link for page in pages.values() for link in page.links if urlsplit(link).scheme}
    if external:
        print(*sorted(away), sep="\n")
    n_links = sum(len(page.links) + len(page.files) for page in pages.values())
    print(f"{len(pages)} pages, {n_links} links: {len(found)} faults; {len(away)} links elsewhere")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
