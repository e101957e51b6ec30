"""The text model: embedded symbols, a stack of cells, softmax scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
