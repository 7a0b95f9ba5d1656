"""Builds the site: `python -m docs`, from the root of a source tree, into build/docs/html.

`pip install ".[docs]"` brings what it needs. A warning is an error. `python -m docs --check` looks
afterwards for links, anchors and pictures that lead nowhere (check_links.py). Other words are
sphinx-build's own.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "build" / "docs"


def main(words: list[str]) -> int:
    """Build, and check if asked to."""
    # The package that is installed, not the sources beside docs/, which are not compiled:
    # python -m puts the working directory first. An editable install is found all the same.
    if Path(sys.path[0]).resolve() == HERE.parent:
        del sys.path[0]
    from sphinx.cmd.build import main as sphinx_build

    check = "--check" in words
    words = [word for word in words if word != "--check"]
    places = ["-d", str(OUTPUT / "doctrees"), *words, str(HERE), str(OUTPUT / "html")]
    status = sphinx_build(["-b", "html", "-W", "--keep-going", *places])
    if status or not check:
        return status
    sys.path.insert(0, str(HERE))
    import check_links

    return check_links.main([str(OUTPUT / "html")])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
