"""Layers: cells unrolled over time, in one or both directions, above one another, and what fits between them."""

from unrolled.layers.activation import Activation
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.convolution import Convolution
from unrolled.layers.expansion import TimeExpansion
from unrolled.layers.layer import Layer
from unrolled.layers.norm import LayerNorm
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.reduction import TimeReduction
from unrolled.layers.stack import Stack
from unrolled.layers.standard import GRU, LSTM, Elman
from unrolled.layers.torch_nn import from_torch, to_torch
from unrolled.layers.window import TimeWindow

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Bidirectional",
    "Convolution",
    "Elman",
    "Layer",
    "LayerNorm",
    "Recurrent",
    "Stack",
    "TimeExpansion",
    "TimeReduction",
    "TimeWindow",
    "from_torch",
    "to_torch",
]
