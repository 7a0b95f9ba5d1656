"""The reference's pages of activations, losses, solvers and schedules, from the catalog's rows,
and that of the command line, from what the command says of itself.

Each row has its formula and a drawing, an SVG inside the page: it has the theme's colours, and its
curve is computed by fastnn itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import Network, reference, schedules
from fastnn.catalog.activations import ACTIVATIONS, Activation
from fastnn.catalog.losses import LOSSES, Loss
from fastnn.catalog.schedules import SCHEDULES, Schedule
from fastnn.catalog.solvers import PARAMETERS, SOLVERS, Solver
from fastnn.cli.main import COMMANDS
from fastnn.documentation import _kind

Array = NDArray[np.float64]
Curves = Sequence[tuple[Array, Array]]
WIDTH, HEIGHT = 260, 150
LEFT, BOTTOM, TOP = 34, 22, 10


def drawing(
    alt: str, curves: Curves, x: tuple[float, float], y: tuple[float, float], name: str,
    ends: tuple[str, str] | None = None,
) -> str:  # fmt: skip
    """An SVG of curves between axes: name is that of x, ends are what is written at y's."""
    wide, high = WIDTH - LEFT - 8, HEIGHT - BOTTOM - TOP
    low, top = ends or (f"{y[0]:g}", f"{y[1]:g}")

    def across(a: Any) -> Any:
        return (np.asarray(a) - x[0]) / (x[1] - x[0]) * wide

    def down(b: Any) -> Any:
        return (y[1] - np.clip(b, 2 * y[0] - y[1], 2 * y[1] - y[0])) / (y[1] - y[0]) * high

    parts = [
        f'<svg class="sketch" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(alt, quote=True)}">',
        f'<path class="axis" d="M{LEFT} {TOP}v{high}h{wide}"/>',
        # what is outside of an inner svg is not drawn
        f'<svg x="{LEFT}" y="{TOP - 2}" width="{wide}" height="{high + 4}" '
        f'viewBox="0 -2 {wide} {high + 4}">',
    ]
    if y[0] < 0 < y[1]:
        parts.append(f'<path class="zero" d="M0 {down(0):.1f}h{wide}"/>')
    if x[0] < 0 < x[1]:
        parts.append(f'<path class="zero" d="M{across(0):.1f} 0v{high}"/>')
    for i, (a, b) in enumerate(curves):
        pairs = zip(across(a), down(b), strict=True)
        points = " ".join(f"{p:.1f},{q:.1f}" for p, q in pairs)
        parts.append(f'<polyline class="curve curve{i}" points="{points}"/>')
    parts.append("</svg>")
    foot = HEIGHT - 6
    for text, left, level, anchor in (
        (f"{x[0]:g}", LEFT, foot, "start"), (name, LEFT + wide / 2, foot, "middle"),
        (f"{x[1]:g}", LEFT + wide, foot, "end"), (top, LEFT - 4, TOP + 8, "end"),
        (low, LEFT - 4, TOP + high, "end"),
    ):  # fmt: skip
        parts.append(f'<text x="{left:g}" y="{level:g}" text-anchor="{anchor}">{text}</text>')
    return "\n".join([*parts, "</svg>"])


def of_activation(row: Activation) -> str:
    """f and f' between -4 and 4; softmax: two outputs over the difference of their z."""
    z = np.linspace(-4, 4, 161)
    if not row.elementwise:
        both = np.empty((len(z), 2))
        reference.softmax(np.column_stack([z, np.zeros_like(z)]), None, both)
        alt = "Two outputs of softmax over the difference of their weighted sums"
        return drawing(alt, [(z, both[:, 0]), (z, both[:, 1])], (-4, 4), (0, 1), "z_1 - z_2")
    value, slope = np.empty_like(z), np.empty_like(z)
    reference.activate(z, row.code, value)
    reference.derivative(z if row.stores_slope else value, row.code, slope)
    y = (-1.2, 1.2) if np.abs([value, slope]).max() < 1.2 else (-2.0, 4.0)
    alt = f"{row.name} and its derivative for z from -4 to 4"
    return drawing(alt, [(z, value), (z, slope)], (-4, 4), y, "z")


def of_loss(row: Loss) -> str:
    """The loss of one sample over its output's z or a, as `Network.loss` has it."""
    x = np.linspace(-3, 3, 121)
    n = 2 if row.rows_sum_to_one else 1
    target = np.array([[float(row.uses_logits)] + [0.0] * (n - 1)])
    curves = []
    for level in (0.1, 0.5, 0.9) if row.name == "quantile" else (0.5,):
        out = row.out_activation or "identity"
        net = Network([1, n], out_activation=out, loss=row.name, quantile=level)
        net.coefs_, net.intercepts_ = [np.eye(1, n)], [np.zeros(n)]
        curves.append((x, np.array([net.loss([[value]], target) for value in x])))
    name = "z" if row.uses_logits else "a - y"
    alt = f"{row.name} over {name} from -3 to 3" + ", for a target of 1" * row.uses_logits
    return drawing(alt, curves, (-3, 3), (0, 4), name)


def of_solver(row: Solver) -> str:
    """The loss of 1-8-1 on a sine, all rows in a batch, over 100 steps."""
    X = np.linspace(-1, 1, 60)[:, None]
    net = Network([1, 8, 1], "tanh", random_state=0)
    options = {"solver": row.name, "batch_size": len(X), "max_iter": 100}
    if row.name == "sgd":
        options |= {"learning_rate_init": 0.2, "momentum": 0.9}
    elif not row.searches:
        options |= {"learning_rate_init": 0.05}
    net.fit(X, np.sin(np.pi * X[:, 0]), **options)
    loss = np.log10(np.maximum(net.loss_curve_, 1e-9))
    alt = f"The loss of a small net over 100 steps of {row.name}, logarithmic"
    return drawing(
        alt, [(np.arange(len(loss)), loss)], (0, 100), (-7, 0), "step", ("1e-7", "1")
    )  # fmt: skip


def of_schedule(row: Schedule) -> str:
    """The factor over the share of the training."""
    t = np.arange(1000)
    factor = np.asarray(schedules.BY_NAME[row.name].of_steps(t, 1000))
    alt = f"The factor of {row.name} over the share of the training"
    return drawing(alt, [(t / 1000, factor)], (0, 1), (0, 1.05), "t", ("0", "1"))


def entries(
    rows: Iterable[Any], draw: Callable[[Any], str], facts: Callable[[Any], list[str]]
) -> Iterator[str]:
    """A heading for each row, with drawing, formula and facts."""
    for row in rows:
        yield f"## {row.name}"
        yield f'<div class="row-of-catalog">\n{draw(row)}\n</div>'
        yield "\n".join(facts(row))


def _facts(row: Any) -> list[str]:
    lines = [f"{row.help[0].upper()}{row.help[1:]}.", ""]
    if formula := getattr(row, "formula", ""):
        lines += [f"- Formula: `{formula}`"]
    if aliases := getattr(row, "aliases", ()):
        lines += ["- Other spellings: " + ", ".join(f"`{alias}`" for alias in aliases)]
    return lines


def _activation(row: Activation) -> list[str]:
    lines = _facts(row)
    if not row.hidden:
        return [*lines, "- For the output layer only."]
    return [*lines, f'- First parameters by `init="auto"`: `{row.init}`']


def _loss(row: Loss) -> list[str]:
    lines = _facts(row)
    out = f"[`{row.out_activation}`](activations.md#{row.out_activation})"
    lines += [f"- Output activation: {out if row.out_activation else 'any'}"]
    if row.open_low or row.low > float("-inf"):
        targets = "> 0" if row.open_low else ">= 0" if row.high > 1 else "from 0 to 1"
        lines += [f"- Targets: {targets}" + ", rows sum to 1" * row.rows_sum_to_one]
    if row.number:
        lines += [f"- A number for it: `Network(..., {row.number}=)`"]
    return [*lines, f"- For `lm`: {'yes' if row.curvature else 'no'}"]


def _solver(row: Solver) -> list[str]:
    lines = _facts(row)
    for p in PARAMETERS:
        if p.name in row.parameters:
            lines += [f"- `{p.name}`, {_kind(p)}, default {p.default}: {p.help}"]
    return lines


PAGES: dict[str, tuple[str, Iterable[Any], Callable[[Any], str], Callable[[Any], list[str]]]] = {
    "activations": (
        "f(z) of each unit, z its weighted sum. Drawn are f, the bold line, and its derivative. "
        "[Choosing an activation](../how-to/choosing-an-activation.md) says which to take, "
        "[the catalog](../catalog.md#activations) has all of them in one table.",
        ACTIVATIONS, of_activation, _activation,
    ),
    "losses": (
        "Each loss is a mean over the samples; a is an output, z its weighted sum, y its target. "
        "The drawings show one sample: over a - y, or over z where the loss has an output "
        "activation of its own; then the target is 1. For `huber` delta is 1, for `quantile` "
        "there are the levels 0.1, 0.5 and 0.9. [Choosing a loss](../how-to/choosing-a-loss.md) "
        "says which to take.",
        [row for row in LOSSES if row.public], of_loss, _loss,
    ),
    "solvers": (
        "How parameters change by their gradients. Drawn is the loss, logarithmic, of the same "
        "1-8-1 net on the same 60 points of a sine, all of them in one batch, over 100 steps: "
        "what a step does, not what it costs. "
        "[Choosing a solver](../how-to/choosing-a-schedule.md) and "
        "[second order](../how-to/second-order.md) say which to take; "
        "[the catalog](../catalog.md#parameters-of-solvers) has the parameters in one table.",
        [row for row in SOLVERS if row.public], of_solver, _solver,
    ),
    "schedules": (
        "The factor of `learning_rate_init` at the share t of the training that is done. "
        "`fastnn.schedules` has an object for each, with parameters. "
        "[Choosing a schedule](../how-to/choosing-a-schedule.md) says which to take.",
        SCHEDULES, of_schedule, _facts,
    ),
}  # fmt: skip


def command_line() -> str:
    """What `fastnn COMMAND --help` prints."""
    parts = ["# Command line", "`fastnn`, or `python -m fastnn`:"]
    environment = {**os.environ, "COLUMNS": "88", "NO_COLOR": "1"}
    for words in ([], *([name] for name in COMMANDS)):
        command = [sys.executable, "-P", "-m", "fastnn", *words, "--help"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        parts += [f"## fastnn {' '.join(words)}"] if words else []
        parts += [f"```text\n{done.stdout.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def write(docs: Path) -> None:
    """Write the pages, where they are not there yet or have changed."""
    texts = {
        name: "\n\n".join([f"# {name.capitalize()}", opening, *entries(rows, draw, facts)]) + "\n"
        for name, (opening, rows, draw, facts) in PAGES.items()
    }
    for name, text in {**texts, "command-line": command_line()}.items():
        path = docs / "reference" / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
