"""The text model: embedded symbols, a stack of cells, softmax scores."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.cells.initial import chrono_, forget_bias_, recurrent_
from unrolled.errors import UsageError
from unrolled.layers import Stack
from unrolled.models import Embedding, Model, Softmax
from unrolled.tasks.text.options import TextOptions
from unrolled.training.options import flag

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "elman": ElmanCell}

_EMBEDDING = 128


def build_model(cell: type[Cell], vocabulary_size: int, hidden: int, layers: int, dropout: float) -> Model:
    """A many-to-many model over symbols; dropout between layers and before the head."""
    encoder = Embedding(vocabulary_size, _EMBEDDING)
    cells = [cell(encoder.output_size if k == 0 else hidden, hidden) for k in range(layers)]
    stack = Stack(cells, dropout=dropout)
    return Model(encoder, stack, Softmax(stack.output_size, vocabulary_size), dropout=dropout)


def check_memory(cell: type[Cell], vocabulary_size: int, hidden: int, layers: int) -> None:
    """See that a model could be trained in this machine's memory, before any is taken for it.

    Raises:
        UsageError: it could not.
    """
    sizes = []
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            for count in (1, 2):
                model = build_model(cell, vocabulary_size, hidden, count, 0.0)
                sizes.append(sum(p.numel() for p in model.parameters()))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except Exception:  # a cell that needs numbers when it is made, or a system that does not say: trying shows
        return
    parameters = sizes[0] + (layers - 1) * (sizes[1] - sizes[0])
    needed = _BYTES * parameters
    if needed > memory:
        raise UsageError(
            f"the model would have {parameters:,} parameters and need {needed / 2**30:,.0f} GiB to train; this "
            f"machine has {memory / 2**30:,.0f} GiB: choose a smaller --hidden" + (" or --layers" * (layers > 1))
        )


_BYTES = 4 * 5
"""Of each parameter: its value, its average and its gradient, and the two moments of the optimizer."""


def set_first_weights(model: Model, text: TextOptions) -> None:
    """The first weights of every layer, as far as the settings name any.

    Raises:
        UsageError: the cell has nothing that the setting could set.
    """
    wanted: tuple[tuple[str, Callable[[Cell, Any], Cell], Any], ...] = (
        ("recurrent_init", recurrent_, text.recurrent_init if text.recurrent_init != "orthogonal" else None),
        ("forget_bias", forget_bias_, text.forget_bias),
        ("chrono", chrono_, text.chrono),
    )
    for name, set_, value in wanted:
        if value is None:
            continue
        for layer in model.stack.layers:
            try:
                set_(layer.cell, value)
            except ValueError as error:
                raise UsageError(f"{flag(name)}: {error}") from error
