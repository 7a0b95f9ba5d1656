"""Draws explanation/layout.svg: how samples and coefs lie in memory, and what a product reads.

Run by docs/conf.py. On a repository's page the file has colours for a light and a dark screen; on
the site it is part of the page and has the theme's.
"""

from __future__ import annotations

from pathlib import Path

STYLE = """<style>
svg { color: #24292f; }
.s0 { fill: #0072b2; } .s1 { fill: #8cc0e0; } .c { fill: #d98c2b; } .r { fill: #3aa383; }
text { fill: currentColor; font-family: sans-serif; font-size: 13px; }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; } }
</style>"""
CELL = 18


def cells(x: int, y: int, rows: int, columns: int, kind: str, gap: int = 0) -> str:
    """A grid of numbers in memory; gap: points between its rows, which are not neighbours."""
    return "".join(
        f'<rect class="{kind}" x="{x + j * CELL}" y="{y + i * (CELL + gap)}" '
        f'width="{CELL - 2}" height="{CELL - 2}"/>'
        for i in range(rows)
        for j in range(columns)
    )


def label(x: float, y: float, text: str, anchor: str = "start", bold: bool = False) -> str:
    """A line of text."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{weight}>{text}</text>'


def arrow(x: int, y: int, length: int) -> str:
    """To the right."""
    return (
        f'<path d="M{x} {y}h{length}m-6 -5l6 5l-6 5" fill="none" stroke="currentColor" '
        'stroke-width="1.5"/>'
    )


def layout() -> str:
    """All of it."""
    lanes = ["s0" if j % 2 == 0 else "s1" for j in range(8)]
    parts = [
        label(4, 18, "Rows of X, as NumPy has them", bold=True),
        label(4, 36, "8 samples of 3 features, one sample after the other"),
        *(cells(24, 48 + i * CELL, 1, 3, kind) for i, kind in enumerate(lanes)),
        label(88, 61, "sample 0"),
        label(88, 61 + CELL, "sample 1"),
        label(88, 61 + 7 * CELL, "sample 7"),
        label(4, 222, "A tile", bold=True),
        label(4, 240, "one feature after the other; 8 samples are one vector"),
        *(
            cells(84 + j * CELL, 252 + i * 26, 1, 1, kind)
            for i in range(3)
            for j, kind in enumerate(lanes)
        ),
        *(label(74, 265 + i * 26, f"feature {i}", "end") for i in range(3)),
        label(4, 358, "A panel of coefs", bold=True),
        label(4, 376, "for each feature, the coefs of 4 neighbouring outputs"),
        cells(84, 388, 3, 4, "c", 4),
        *(label(74, 401 + i * 22, f"feature {i}", "end") for i in range(3)),
        label(4, 484, "The product, feature by feature", bold=True),
        label(4, 502, "sums[output] += coef[feature, output] * tile[feature]"),
        cells(10, 514, 4, 1, "c", 4),
        label(34, 561, "*"),
        *(cells(46 + j * CELL, 547, 1, 1, kind) for j, kind in enumerate(lanes)),
        arrow(198, 556, 24),
        cells(230, 514, 4, 8, "r", 4),
        label(46, 584, "loaded once"),
        label(4, 618, "one coef at a time"),
        label(230, 618, "4 vectors, in registers"),
    ]
    title = (
        "Rows of X become tiles in which a vector holds one feature of eight samples; coefs lie "
        "in panels of outputs; a product adds a broadcast coef times a vector to sums in registers"
    )
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 390 630" width="390" role="img" '
        f'aria-label="{title}">', STYLE, *parts, "</svg>", "",
    ])  # fmt: skip


def write(docs: Path) -> None:
    """Write it, where it is not there yet or has changed."""
    path = docs / "explanation" / "layout.svg"
    if not path.exists() or path.read_text("utf-8") != layout():
        path.write_text(layout(), "utf-8")
