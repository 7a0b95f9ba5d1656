"""Pages that are also read elsewhere: in the repository, or as notebooks.

The files in docs/ are Markdown that a repository's page shows as well. Here, while Sphinx reads
them, a `<picture>` becomes two images, each for one theme of the site, and links that leave docs/
are led to what the site has of their targets. `BORROWED` are files from outside of docs/ that
are pages of the site, too: they are copied to where Sphinx finds them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

# file of the repository -> page
BORROWED = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releases.md",
    "SECURITY.md": "project/security.md",
    "bench/README.md": "project/benchmarks.md",
    "fuzz/README.md": "project/fuzzing.md",
    "examples/neural_network.ipynb": "tutorials/neural_network.ipynb",
    "examples/red_neuronal.ipynb": "es/red_neuronal.ipynb",
}
# what the front page stands for
PAGES = {**BORROWED, "README.md": "index.md"}
PICTURE = re.compile(
    r"<picture>\s*<source [^>]*srcset=\"(?P<dark>[^\"]+)\">\s*"
    r"<img (?P<attributes>[^>]*)>\s*</picture>"
)
IMAGE = """```{{image}} {path}
:alt: {alt}
:class: only-{theme}
:loading: lazy
```
"""
DRAWING = re.compile(r"^!\[(?P<alt>[^]]*)\]\((?P<path>[^)]+\.svg)\)$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def write(docs: Path) -> None:
    """Copy what is borrowed, where it is not there yet or has changed."""
    for source, page in BORROWED.items():
        target = docs / page
        data = (docs.parent / source).read_bytes()
        if not target.exists() or target.read_bytes() != data:
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)


def for_the_site(text: str, source: str, page: str, root: Path) -> str:
    """The Markdown of a file, paths from the repository's root, as Sphinx is to read it."""

    def link(match: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(source), match["path"]))
        if target in PAGES:
            target = f"docs/{PAGES[target]}"
        # what is not in docs/, such as a program, is for downloading
        return relative_uri(f"docs/{page}", target) + (match["anchor"] or "")

    def picture(match: re.Match[str]) -> str:
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', match["attributes"]))
        paths = {"light": attributes["src"], "dark": match["dark"]}
        return "\n".join(
            IMAGE.format(path=path, alt=attributes["alt"], theme=theme)
            for theme, path in paths.items()
        )

    def drawing(match: re.Match[str]) -> str:
        """In the page itself, so that it has the colours of the theme."""
        path = root / os.path.dirname(source) / match["path"]
        svg = re.sub(r"<style>.*?</style>|<\?xml.*?\?>", "", path.read_text("utf-8"), flags=re.S)
        svg = re.sub(r"\n\s*\n", "\n", svg.strip())
        return f'<div class="drawing">\n{svg}\n</div>'

    text = DRAWING.sub(drawing, PICTURE.sub(picture, text))
    parts = FENCE.split(text)
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))


def _read(app: Sphinx, page: str, text: list[str]) -> None:
    path = Path(app.env.doc2path(page)).resolve().relative_to(Path(app.srcdir).resolve())
    if path.suffix == ".md":
        sources = {there: here for here, there in BORROWED.items()}
        source = sources.get(path.as_posix(), f"docs/{path.as_posix()}")
        text[0] = for_the_site(text[0], source, path.as_posix(), Path(app.srcdir).parent)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for this."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
