"""Where names lead: those of other projects, and short ones of fastnn's.

Sphinx's intersphinx reads what a project's documentation has from its `objects.inv`, which it
would fetch. Here the few names that fastnn mentions are stored, in other_projects.txt, so that a
build without network makes the same pages as one with it.

Docstrings are written for terminals: `loss_curve_` without backticks, or |z|, are no markup there
and become none here. They write `Network` for `fastnn.Network`: a name is looked for in every
public module. What is in single backticks and no name of fastnn's, as is a parameter, is code.
"""

from __future__ import annotations

import importlib
import re
import zlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

NAMES = Path(__file__).with_name("other_projects.txt")
MODULES = [
    "fastnn", "fastnn.callbacks", "fastnn.schedules", "fastnn.plotting", "fastnn.model_selection",
    "fastnn.dask", "fastnn.tutorial", "fastnn.rate_finder", "fastnn.files",
]  # fmt: skip
HEAD = "# Sphinx inventory version 2\n# Project: {}\n# Version: \n# The remainder of this file is "
HEAD += "compressed using zlib.\n"


def _inventories(app: Sphinx, config: Config) -> None:
    """Write other_projects.txt as the files that intersphinx reads."""
    folder = Path(app.doctreedir)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    for line in NAMES.read_text("utf-8").splitlines():
        if line.startswith("["):
            project, _, base = line.strip("[]").partition(" ")
            found[project] = lines = []
            path = folder / f"{project}.inv"
            config.intersphinx_mapping[project] = (base, str(path))
        elif line and not line.startswith("#"):
            name, role, page = line.split()
            lines.append(f"{name} {role} 1 {page.replace('$', name)} -")
    for project, lines in found.items():
        data = zlib.compress("\n".join([*lines, ""]).encode())
        (folder / f"{project}.inv").write_bytes(HEAD.format(project).encode() + data)


def _missing(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """What neither this site nor other_projects.txt has under the very name."""
    target = node["reftarget"].removesuffix("()")
    page = node.get("refdoc", env.docname)
    python = env.domains.python_domain
    for module in MODULES if node.get("refdomain") == "py" else ():
        full = target if target.startswith("fastnn.") else f"{module}.{target}"
        if full in python.objects:
            found = pending_xref("", **node.attributes)
            return python.resolve_xref(env, page, app.builder, "obj", full, found, content)
    if node["reftype"] == "obj":  # a single backtick
        return content
    # The estimators' docstrings are those of the scikit-learn installed, whichever that is.
    if not page.startswith("reference/generated"):
        return None
    rooms = ("sklearn.model_selection", "sklearn.metrics", "sklearn.utils")
    for room in rooms if node.get("refdomain") == "py" else ():
        if hasattr(importlib.import_module(room), target):  # a neighbour of what is inherited
            target = f"{room}.{target}"
    if target.startswith("sklearn."):
        path = f"modules/generated/{target}.html"
    elif node["reftype"] == "term":
        path = f"glossary.html#term-{target}"
    else:  # a section or an example: only its page has the title
        return content if node["reftype"] == "ref" else None
    address = f"https://scikit-learn.org/stable/{path}"
    return nodes.reference("", "", content, internal=False, refuri=address)


def _skip(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Leave out scikit-learn's routing of metadata, seven methods of every estimator."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


MARKUP = re.compile(r"(``.*?``|`.*?`_?)|\b([a-z]\w*_)(?!\w)|\|")


def _plain(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Escape what a reader of the text would not take for markup."""

    def escaped(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        return f"``{match[2]}``" if match[2] else r"\|"

    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "..", ":", "|", "+")):
            lines[i] = MARKUP.sub(escaped, line)


def _member(thing: Any, name: str, *default: Any) -> Any:
    """getattr, with the function behind a method that only some networks have."""
    found = getattr(thing, name, *default)
    return getattr(found, "__wrapped__", found) if "Conditional" in str(type(found)) else found


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for this."""
    app.setup_extension("sphinx.ext.intersphinx")
    app.add_autodoc_attrgetter(type, _member)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _plain, priority=900)
    # before intersphinx looks at its mapping
    app.connect("config-inited", _inventories, priority=100)
    app.connect("missing-reference", _missing, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
