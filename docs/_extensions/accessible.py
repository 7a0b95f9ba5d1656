"""What a reader who does not see, or who reads another language, needs of a page."""

from __future__ import annotations

import functools
import gettext
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
import sphinx
from docutils import nodes
from sphinx.application import Sphinx

ALT = {
    "en": "A picture drawn by the code above, in the section “{}”",
    "es": "Una imagen que dibuja el código de arriba, en la sección «{}»",
}
# an option of the theme, which has no translation of it
SEARCH = {"es": "Buscar en la documentación"}


def language_of(page: str) -> str:
    """The language of a page, by its folder."""
    return "es" if page.startswith("es/") else "en"


def _alternatives(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Pictures that notebooks draw say where they belong."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            section = image.parent
            while section is not None and not isinstance(section, nodes.section):
                section = section.parent
            title = section.next_node(nodes.title).astext() if section else ""
            image["alt"] = ALT[language_of(page)].format(title)


def _language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    context["language"] = language = language_of(page)
    if language != app.config.language:
        context["_"] = context["gettext"] = _words(language).gettext
        context["theme_search_bar_text"] = SEARCH[language]


@functools.cache
def _words(language: str) -> gettext.NullTranslations:
    """What the theme and Sphinx write around a page, such as "On this page"."""
    of_theme, of_sphinx = (
        gettext.translation("sphinx", Path(module.__file__ or "").parent / "locale", [language])
        for module in (pydata_sphinx_theme, sphinx)
    )
    of_theme.add_fallback(of_sphinx)
    return of_theme


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for this."""
    app.connect("doctree-resolved", _alternatives)
    app.connect("html-page-context", _language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
