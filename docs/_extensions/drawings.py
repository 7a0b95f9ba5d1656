"""Draws explanation/layout.svg: how samples and coefs lie in memory, and what a product reads.

Run by docs/conf.py. On a repository's page the file has colours for a light and a dark screen; on
the site it is part of the page and has the theme's.
"""

from __future__ import annotations

from pathlib import Path

STYLE = """<style>
svg { color: #24292f; }
.s0 { fill: #0072b2; } .s1 { fill: #8cc0e0; } .c { fill: #d98c2b; } .r { fill: #3aa383; }
text { fill: currentColor; font: 13px sans-serif; }
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
    parts = [
        label(10, 20, "Rows of X, as NumPy has them", bold=True),
        label(10, 38, "8 samples of 3 features: one sample after the other"),
        *(cells(20, 52 + i * CELL, 1, 3, "s0" if i % 2 == 0 else "s1") for i in range(8)),
        label(82, 66, "sample 0"), label(82, 66 + CELL, "sample 1"),
        label(82, 66 + 7 * CELL, "sample 7"),
        arrow(160, 120, 50), label(185, 108, "gather", "middle"),
        label(250, 20, "A tile", bold=True),
        label(250, 38, "one feature after the other; 8 samples are a vector"),
        *(
            cells(330 + j * CELL, 68 + i * 30, 1, 1, "s0" if j % 2 == 0 else "s1")
            for i in range(3)
            for j in range(8)
        ),
        *(label(322, 82 + i * 30, f"feature {i}", "end") for i in range(3)),
        label(330, 178, "one load reads a row of it: 8 samples"),
        label(10, 240, "A panel of coefs", bold=True),
        label(10, 258, "for each feature the coefs of 4 neighbouring outputs"),
        cells(90, 276, 3, 4, "c", 4),
        *(label(82, 290 + i * 22, f"feature {i}", "end") for i in range(3)),
        label(250, 240, "The product", bold=True),
        label(250, 258, "out[r] += coef[feature, r] * tile[feature], feature by feature"),
        cells(255, 284, 4, 1, "c", 4), label(281, 330, "*"),
        *(
            cells(300 + j * CELL, 316, 1, 1, "s0" if j % 2 == 0 else "s1")
            for j in range(8)
        ),
        arrow(452, 325, 28), cells(492, 284, 4, 8, "r", 4),
        label(300, 352, "a vector, loaded once"),
        label(492, 388, "4 * 8 sums, in registers"),
        label(255, 388, "one coef at a time, broadcast"),
    ]  # fmt: skip
    title = (
        "Rows of X become tiles in which a vector holds one feature of eight samples; coefs lie "
        "in panels of outputs; a product adds a broadcast coef times a vector to sums in registers"
    )
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 650 400" width="650" role="img" '
        f'aria-label="{title}">', STYLE, *parts, "</svg>", "",
    ])  # fmt: skip


def write(docs: Path) -> None:
    """Write it, where it is not there yet or has changed."""
    path = docs / "explanation" / "layout.svg"
    if not path.exists() or path.read_text("utf-8") != layout():
        path.write_text(layout(), "utf-8")
