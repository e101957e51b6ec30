"""The networks of the experiments: one recurrent layer and a head, from the one place where models are built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, LSTM1997Cell
from unrolled.cells.registry import CELLS
from unrolled.cells.source import load_cell
from unrolled.errors import UsageError
from unrolled.models.build import build_stack, cells_of, set_first_weights
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Head, Regression
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions


def cell_class(name: str) -> type[Cell]:
    """The cell of that name, or of ``FILE.py:Class``: what ``unrolled train --cell`` takes.

    Raises:
        UsageError: there is none, or its file does not run.
    """
    return CELLS[name] if name in CELLS else load_cell(name)


def network(
    cell: str,
    encoder: Callable[[], Any],
    hidden: int,
    head: Callable[[int], Head],
    seed: int,
    longest: int | None = None,
    graph: str = "many-to-many",
    kind: type[Model] = Model,
    **options: Any,
) -> Model:
    """A fresh network.

    Arguments:
        cell: see `cell_class`.
        encoder: makes it.
        hidden: H of each layer.
        head: makes it from the width of the last layer's output.
        seed: of the first weights; torch's own generator is left as it was.
        longest: gates that keep the state begin with memories of 1 to this many steps (chrono initialisation), and
            those of the LSTM of 1997 that admit inputs nearly closed; a cell that has neither begins as it does.
        graph, kind: of the model.
        options: other settings of `ModelOptions`.
    """
    cell_type = cell_class(cell)
    chrono = None if cell_type.keeps is None else longest
    sizes: dict[str, Any] = {"cell": cell, "hidden": hidden, "layers": 1, "dropout": 0.0, "chrono": chrono}
    settings = ModelOptions(**sizes | options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = encoder()
        stack = build_stack(cell_type, first.output_size, settings)
        set_first_weights(stack, settings)
        if longest is not None:
            for one in cells_of(stack):
                _admit_little(one, longest)
        return kind(first, stack, head(stack.output_size), graph=graph)


def _admit_little(cell: Cell, longest: int) -> None:
    """The input gate's part of the chrono initialisation, where there is no gate that keeps.

    The LSTM paper begins with input gates that are nearly closed as well (biases of -1 to -6), against the drift of
    states that nothing leaves.
    """
    if isinstance(cell, LSTM1997Cell) and cell.x.bias is not None:
        admit = cell.x.bias.data[cell.x.rows("i")]
        admit.copy_(-torch.empty_like(admit).uniform_(1, longest - 1).log_())


def check_cell(name: str) -> None:
    """UsageError unless there is such a cell; one of a person's own is tried for two steps."""
    cell_class(name)
    if name in CELLS:
        return
    try:
        model = network(name, partial(Vectors, 3), 4, partial(Regression, output_size=1), seed=1, longest=9)
        with torch.no_grad():
            model(torch.zeros(2, 1, 3))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"--cell {name}: {type(error).__name__}: {error}") from error


@torch.no_grad()
def read(model: Model, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What a network says at every step, (T, N, outputs) before any squashing, and its last layer's h (T, N, H)."""
    h, _ = model.unroll(model.encoder(inputs))
    return model.read(h), h
