"""Formulas as MathML, which browsers draw themselves: no script, and nothing to fetch."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def mathml(formula: str, as_block: bool) -> str:
    """LaTeX as MathML."""
    # TeX's shorthand for fractions of digits is not known there
    formula = re.sub(r"\\tfrac(\d)(\d)", r"\\tfrac{\1}{\2}", formula)
    return latex2mathml.tex2mathml(formula, as_block=as_block)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    math = mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math" tabindex="0">{math}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for this."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
