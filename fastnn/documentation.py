"""Docstrings that are put together, and the tables of docs/catalog.md.

What several docstrings say is written once: lists of the catalog and `_LISTS` stand for
placeholders, sections and entries of one docstring go into others. Docstrings are empty under
``python -OO``, and without their indentation from Python 3.13 on.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastnn.catalog import activations, initializers, losses, schedules, solvers

_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])

_PLACEHOLDER = re.compile(r"\{([a-z_ ]+)\}")
_SECTIONS = re.compile(r"\n\n *(?=[A-Z][a-z]+\n *---)")
# not compiled before a room needs them: `import fastnn` is to be short
_HEADING = r"(?m)^([A-Z][a-zA-Z ]+)\n-{3,}\n"
_ENTRY = r"(?m)^(?=\S)"


def complete(doc: str | None, **more: str) -> str:
    """A docstring with lists from the catalog in place of ``{hidden activations}`` and so on.

    A list of several lines takes the indentation of its placeholder.
    """

    def lines_of(match: re.Match[str]) -> str:
        name, start = match[1], match.string.rfind("\n", 0, match.start()) + 1
        lines = more[name].split("\n") if name in more else _LISTS.get(name)
        if lines is None:  # braces of a set or dict
            return match[0]
        indent = "\n" + " " * (match.start() - start)
        return indent.join(lines).replace(f"{indent}\n", "\n\n")

    return _PLACEHOLDER.sub(lines_of, doc or "")


def completed(function: _Function) -> _Function:
    """Decorator: a function whose docstring is complete."""
    function.__doc__ = complete(function.__doc__)
    return function


def taken_from(original: Any) -> Callable[[_Function], _Function]:
    """Decorator: a method that is documented as another is."""

    def documented(function: _Function) -> _Function:
        function.__doc__ = original.__doc__
        return function

    return documented


def inherit_sections(cls: _Class) -> _Class:
    """Class decorator: methods without sections of their own have those of the base's.

    "Raises" may be there already, and comes after them.
    """
    for name, method in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        own = method.__doc__ or ""
        theirs = getattr(super(cls, cls), name, None)
        found = _SECTIONS.search(getattr(theirs, "__doc__", None) or "")
        if not own or not found or "Parameters\n" in own or "Returns\n" in own:
            continue
        before, *rest = _SECTIONS.split(own, maxsplit=1)
        after = own[len(before) :] if rest else "\n"
        method.__doc__ = before.rstrip() + found.string[found.start() :].rstrip() + after
    return cls


def sections(doc: str | None) -> dict[str, str]:
    """The sections of a docstring, without indentation, by their headings; "" is the first."""
    before, *rest = re.split(_HEADING, inspect.cleandoc(doc or ""))
    return {"": before, **dict(zip(rest[::2], rest[1::2], strict=True))}


def entries(section: str) -> dict[str, str]:
    """What a section says of each parameter or attribute, by the name as it is written there."""
    found = {}
    for entry in re.split(_ENTRY, section):
        if entry:
            found[re.split(r" ?:|\n", entry, maxsplit=1)[0]] = entry.rstrip()
    return found


def joined(parts: dict[str, str]) -> str:
    """A docstring of sections."""
    texts = (
        f"{heading}\n{'-' * len(heading)}\n{text}" if heading else text
        for heading, text in parts.items()
    )
    return "\n\n".join(text.rstrip() for text in texts) + "\n"


_ARXIV = r":arxiv:`([^`<]*?)\s*<([^`>]*)>`"
_GLOSSARY = r"\s+See :term:`(?:the )?Glossary <\w+>`(?:\s+for more details)?\."
_ROLE = r":(?:ref|term):`([^`<]*?)(?:\s*<[^`>]*>)?`"


def of_scikit_learn(doc: str | None) -> dict[str, str]:
    """The sections of a docstring of scikit-learn's that hold for a class in its place.

    They are without its versions, references to its other pages and examples.
    """
    kept = []
    for paragraph in inspect.cleandoc(doc or "").split("\n\n"):
        start = paragraph.lstrip()
        if start.startswith(".. version"):
            continue
        if ":ref:" in paragraph and start.startswith(("Read more", "Refer", "See ", "For a")):
            continue
        if ":`" in paragraph:
            for pattern, text in ((_ARXIV, r"\1 arXiv:\2"), (_GLOSSARY, ""), (_ROLE, r"\1")):
                paragraph = re.sub(pattern, text, paragraph)
        kept.append(paragraph)
    parts = sections("\n\n".join(kept))
    return {name: part for name, part in parts.items() if name not in ("See Also", "Examples")}


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


_SAVING = """path : path-like
    The file is replaced in one step: killed or out of disk space, the one before stays.
date : bool
    Whether the file tells when it was written, as ``metadata`` of what is loaded from it
    does then. Without, equal models give equal files.

Raises
------
TypeError
    For what a file does not hold: a loss, scorer or schedule that is a function of one's
    own. It says where that is. Callbacks are left out.
ValueError
    If a parameter is not finite, or a fitted attribute not valid.
ImportError
    Without safetensors, the extra "files".
OSError
    If the file cannot be written."""

_TRAINING_DATA = """X : array-like, (n, layer_units[0])
    The samples, one a row.
y : array-like, (n, layer_units[-1]), or (n,) for one output
    The targets, within the range of the output's activation and the domain of the loss; for
    "log_loss" each row sums to 1."""

_BATCHES = """batch_size : int or "auto"
    Samples for each step; "auto" is min(200, n), for "rprop", "lm" and "lbfgs" n.
    With n, every epoch is one step.
shuffle : bool
    Whether to draw a new order of the samples for each epoch of several batches.
sample_weight : array-like >= 0, (n,), optional
    Losses and gradients are then weighted means, each batch's by its own weights.
label_smoothing : float in [0, 1)
    With "log_loss" over K classes, targets are y (1 - s) + s / K; with "binary_log_loss"
    K is 2. Those of a validation set stay as they are."""

_LISTS = {
    "hidden activations": _names(row for row in activations.ACTIVATIONS if row.hidden),
    "output activations": _names(row for row in activations.ACTIVATIONS if not row.hidden),
    "elementwise activations": _names(row for row in activations.ACTIVATIONS if row.elementwise),
    "losses": _losses(),
    "initializers": _initializers(),
    "solver options": _solver_options(),
    "saving": _SAVING.split("\n"),
    "training data": _TRAINING_DATA.split("\n"),
    "batches": _BATCHES.split("\n"),
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
