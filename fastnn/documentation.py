"""The catalog as text: lists in docstrings, and the tables of docs/catalog.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnn.catalog import activations, losses, solvers


def complete(doc: str | None, **more: str) -> str:
    """A docstring with lists from the catalog in place of ``{hidden activations}`` and so on.

    A list of several lines takes the indentation of its placeholder.
    """
    text = doc or ""  # empty under python -OO
    for name, lines in {**_LISTS, **{key: [line] for key, line in more.items()}}.items():
        before, placeholder, after = text.partition(f"{{{name}}}")
        if placeholder:
            indent = before[before.rfind("\n") + 1 :]
            text = before + ("\n" + " " * len(indent)).join(lines) + after
    return text


def _names(rows: Iterable[Any]) -> list[str]:
    return [", ".join(f'``"{row.name}"``' for row in rows)]


def _losses() -> list[str]:
    lines = []
    for row in losses.LOSSES:
        if row.public:
            also = "".join(f', ``"{alias}"``' for alias in row.aliases)
            lines += [f'``"{row.name}"``{also}', f"    {row.help}: {row.formula}"]
    return lines


def _solver_options() -> list[str]:
    public = [row for row in solvers.SOLVERS if row.public]
    names = ", ".join(f'"{row.name}"' for row in public)
    lines = [
        f'solver : {{{names}}}, default "adam"',
        "    " + "; ".join(f'"{row.name}": {row.help}' for row in public) + ".",
    ]
    for p in solvers.PARAMETERS:
        lines += [f"{p.name} : {_kind(p)}, default {p.default}", f"    {p.help}"]
    return lines


def _kind(p: solvers.Parameter) -> str:
    if isinstance(p.default, bool):
        return "bool"
    if p.low == "smallest":
        return "float > 0"
    left = "[" if p.closed in ("left", "both") else "("
    if p.high == "largest":
        return f"float {'>=' if left == '[' else '>'} {p.low:g}"
    return f"float in {left}{p.low:g}, {p.high:g}{']' if p.closed == 'both' else ')'}"


_LISTS = {
    "hidden activations": _names(row for row in activations.ACTIVATIONS if row.hidden),
    "output activations": _names(row for row in activations.ACTIVATIONS if not row.hidden),
    "elementwise activations": _names(row for row in activations.ACTIVATIONS if row.elementwise),
    "losses": _losses(),
    "solver options": _solver_options(),
}


def tables() -> str:
    """Tables of all activations, losses, solvers and their parameters, in Markdown."""
    parts = [
        "# What there is\n\nWritten from the rows in `fastnn/catalog/` by\n`python -c 'from "
        "fastnn.documentation import tables; print(tables())' > docs/catalog.md`.",
        _table(
            "Activations",
            ["name", "other spellings", "formula", "values", "where", "what it is"],
            [
                [f"`{row.name}`", _spelt(row.aliases), f"`{row.formula}`",
                 _interval(row.low, row.high), "all layers" if row.hidden else "output", row.help]
                for row in activations.ACTIVATIONS
            ],
        ),
        "Values of all but softmax are within 4 units in the last place of the exact ones. Those "
        "below the smallest\nnormal number may be 0, for silu those below 89 (float64: 709) times "
        "as much. exp, sigmoid and tanh are not\nmonotone: from one number to the next they may "
        "fall, by one unit in the last place of the larger value at most;\ntanh does at 0.5% of "
        "the numbers between 2^-14 and 20.",
        _table(
            "Losses",
            ["name", "other spellings", "formula", "targets", "output activation", "what it is"],
            [
                [f"`{row.name}`", _spelt(row.aliases), f"`{row.formula}`",
                 ("> 0" if row.open_low else _interval(row.low, row.high))
                 + ", rows sum to 1" * row.rows_sum_to_one,
                 f"`{row.out_activation}`" if row.out_activation else "any", row.help]
                for row in losses.LOSSES if row.public
            ],
        ),
        "Each loss is a mean over the samples; z is an output's weighted sum, a its activation, y "
        "its target.",
        _table(
            "Solvers",
            ["name", "parameters", "what it is"],
            [
                [f"`{row.name}`", ", ".join(f"`{name}`" for name in row.parameters), row.help]
                for row in solvers.SOLVERS if row.public
            ],
        ),
        _table(
            "Parameters of solvers",
            ["name", "type", "default", "what it is"],
            [[f"`{p.name}`", _kind(p), str(p.default), p.help] for p in solvers.PARAMETERS],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts)


def _spelt(aliases: Iterable[str]) -> str:
    return ", ".join(f"`{alias}`" for alias in aliases)


def _interval(low: float, high: float) -> str:
    if high == float("inf"):
        return "any" if low == float("-inf") else f">= {low:.4g}"
    return f"{low:g} to {high:g}"


def _table(title: str, header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
