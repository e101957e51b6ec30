"""The text model: embedded symbols, recurrent layers, softmax scores."""

from __future__ import annotations

from unrolled.cells import Cell
from unrolled.models.build import build_stack
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions

_EMBEDDING = 128


def build_model(cell: type[Cell], vocabulary_size: int, options: ModelOptions, for_use: bool = False) -> Model:
    """A many-to-many model over symbols; dropout between layers and before the head."""
    encoder = Embedding(vocabulary_size, _EMBEDDING)
    stack = build_stack(cell, encoder.output_size, options, for_use)
    assert options.dropout is not None
    return Model(encoder, stack, Softmax(stack.output_size, vocabulary_size), dropout=options.dropout)
