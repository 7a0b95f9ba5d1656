"""What a network is made of, as a table: layers, shapes, parameters, memory, multiply-adds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.data import checks


class LayerSummary(NamedTuple):
    """One layer.

    Attributes
    ----------
    name : str
        "hidden 1", "hidden 2", ..., "output".
    shape : tuple of int
        Of its coefs: (fan_in, fan_out).
    activation : str
    n_params : int
        Coefs and intercepts.
    n_bytes : int
        Of these.
    multiply_adds : int
        Of products of matrices, to train on one sample: fan_in * fan_out forward, as many for the
        gradient and, except in the first layer, for the delta of the layer before.
    """

    name: str
    shape: tuple[int, int]
    activation: str
    n_params: int
    n_bytes: int
    multiply_adds: int


class Summary:
    """A network's layers and their sums; as text a table.

    Parameters
    ----------
    layer_units : sequence of int
    activations : sequence of str
        Of each layer.
    loss : str
    dtype : dtype
    n_samples : int, optional
        Of an epoch.

    Attributes
    ----------
    layers : list of LayerSummary
    n_params, n_bytes : int
        Of all layers.
    multiply_adds : int
        To train on one sample.
    n_samples : int or None
    multiply_adds_an_epoch : int or None
        None if n_samples is.
    """

    def __init__(
        self,
        layer_units: Sequence[int],
        activations: Sequence[str],
        loss: str,
        dtype: np.dtype[Any],
        n_samples: int | None = None,
    ) -> None:
        if n_samples is not None:
            n_samples = checks.whole_number("n_samples", n_samples)
        self.layers: list[LayerSummary] = []
        last = len(activations)
        for i, (k, n) in enumerate(itertools.pairwise(layer_units), 1):
            name, size = "output" if i == last else f"hidden {i}", (k + 1) * n
            products = (2 if i == 1 else 3) * k * n
            self.layers.append(
                LayerSummary(
                    name, (k, n), activations[i - 1], size, size * dtype.itemsize, products
                )
            )
        self.n_params = sum(layer.n_params for layer in self.layers)
        self.n_bytes = sum(layer.n_bytes for layer in self.layers)
        self.multiply_adds = sum(layer.multiply_adds for layer in self.layers)
        self.n_samples = n_samples
        self.multiply_adds_an_epoch = None if n_samples is None else n_samples * self.multiply_adds
        self._of = f"{layer_units[0]} features, loss {loss!r}, {dtype.name}"

    def __repr__(self) -> str:
        header = ("layer", "shape", "activation", "parameters", "memory", "multiply-adds")
        rows = [
            (layer.name, f"{layer.shape[0]} x {layer.shape[1]}", layer.activation,
             *_counts(layer.n_params, layer.n_bytes, layer.multiply_adds))
            for layer in self.layers
        ]  # fmt: skip
        total = ("total", "", "", *_counts(self.n_params, self.n_bytes, self.multiply_adds))
        widths = [max(map(len, column)) for column in zip(header, *rows, total, strict=True)]

        def line(cells: Sequence[str]) -> str:
            both = zip(cells, widths, range(len(cells)), strict=True)
            padded = [cell.ljust(n) if i < 3 else cell.rjust(n) for cell, n, i in both]
            return "  ".join(padded)

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [self._of, rule, line(header), rule, *map(line, rows), rule, line(total)]
        after = "Multiply-adds are those of training on one sample"
        if self.multiply_adds_an_epoch is not None:
            after += f"; {self.multiply_adds_an_epoch:,} an epoch of {self.n_samples:,}"
        return "\n".join([*lines, after + "."])


def _counts(n_params: int, n_bytes: int, multiply_adds: int) -> tuple[str, str, str]:
    return f"{n_params:,}", _size(n_bytes), f"{multiply_adds:,}"


def _size(n_bytes: int) -> str:
    """Three digits or more, with a binary unit."""
    size, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{n_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
