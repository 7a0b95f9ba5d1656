"""The catalog as text: lists in docstrings, and the tables of docs/catalog.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from fastnn.catalog import activations, initializers, losses, schedules, solvers


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


def _initializers() -> list[str]:
    return [
        line
        for row in initializers.INITIALIZERS
        for line in (
            f'``"{row.name}"``',
            *textwrap.wrap(row.help, 87, initial_indent="    ", subsequent_indent="    "),
        )
    ]


def _solver_options() -> list[str]:
    public = [row for row in solvers.SOLVERS if row.public]
    names = ", ".join(f'"{row.name}"' for row in public)
    lines = [
        f'solver : {{{names}}}, default "adam"',
        "    " + "; ".join(f'"{row.name}": {row.help}' for row in public) + ".",
    ]
    named = ", ".join(f'"{row.name}"' for row in schedules.SCHEDULES)
    lines += [
        'learning_rate : str, schedule or callable, default "constant"',
        "    How the learning rate changes from step to step, as a factor of learning_rate_init:",
        f"    {named};",
        "    an object of `fastnn.schedules`, such as ``Cosine(warm_up=0.1)``; or a function of",
        "    the share of the training done, in [0, 1): of an array of shares, or of one.",
        "    weight_decay and dropout may be such objects and functions of the number itself.",
    ]
    for p in solvers.PARAMETERS:
        lines += [f"{p.name} : {_kind(p)}, default {p.default}", f"    {p.help}"]
    lines += [
        "dropout : float in [0, 1), or sequence of one for each hidden layer, default 0",
        "    The share of hidden units that is 0 in each step, drawn anew for each sample; the",
        "    others grow by 1 / (1 - share). It is drawn from a seed, the first number that a fit",
        "    with dropout or noise draws from random_state, and the numbers of step, layer, unit",
        "    and row of the batch.",
    ]
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
    "initializers": _initializers(),
    "solver options": _solver_options(),
}


def tables() -> str:
    """Tables of all activations, losses, solvers with parameters and schedules, in Markdown."""
    parts = [
        "# What there is\n\nWritten from the rows in `fastnn/catalog/` by\n`python -c 'from "
        "fastnn.documentation import tables; print(tables())' > docs/catalog.md`. Which to take:\n"
        "[a loss](how-to/choosing-a-loss.md), [an activation](how-to/choosing-an-activation.md), "
        "[a solver\nand a schedule](how-to/choosing-a-schedule.md).",
        _table(
            "Activations",
            ["name", "other spellings", "formula", "values", "where", "auto", "what it is"],
            [
                [f"`{row.name}`", _spelt(row.aliases), f"`{row.formula}`",
                 _interval(row.low, row.high), "all layers" if row.hidden else "output",
                 f"`{row.init}`" if row.hidden else "", row.help]
                for row in activations.ACTIVATIONS
            ],
        ),
        "Values of all but softmax are within 4 units in the last place of the exact ones, those "
        "of gelu and gelu_tanh\nof 1 where they are smaller. Values below the smallest normal "
        "number may be 0, for gelu, gelu_tanh, mish and\nsilu those below 89 (float64: 709) times "
        "as much. exp, sigmoid, softplus and tanh are not monotone: from one number\nto the next "
        "they may fall, by one unit in the last place of the larger value at most, softplus by "
        "two; tanh does at\n0.5% of the numbers between 2^-14 and 20. \"auto\" is what "
        "`init=\"auto\"` takes.",
        _table(
            "First parameters",
            ["name", "what it is"],
            [[f"`{row.name}`", row.help] for row in initializers.INITIALIZERS],
        ),
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
        _table(
            "Schedules",
            ["name", "other spellings", "factor of `learning_rate_init`", "what it is"],
            [
                [f"`{row.name}`", _spelt(row.aliases), f"`{row.formula}`", row.help]
                for row in schedules.SCHEDULES
            ],
        ),
        "t is the share of the training that is done, from 0 up to, not including, 1. "
        "`fastnn.schedules` has an object for\neach, with parameters.",
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
