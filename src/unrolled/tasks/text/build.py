"""The text model: embedded symbols, a stack of cells, softmax scores."""

from __future__ import annotations

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.layers import Stack
from unrolled.models import Embedding, Model, Softmax

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "elman": ElmanCell}

_EMBEDDING = 128


def build_model(cell: type[Cell], vocabulary_size: int, hidden: int, layers: int, dropout: float) -> Model:
    """A many-to-many model over symbols; dropout between layers and before the head."""
    encoder = Embedding(vocabulary_size, _EMBEDDING)
    cells = [cell(encoder.output_size if k == 0 else hidden, hidden) for k in range(layers)]
    stack = Stack(cells, dropout=dropout)
    return Model(encoder, stack, Softmax(stack.output_size, vocabulary_size), dropout=dropout)
