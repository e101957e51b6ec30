"""Layers: cells unrolled over time, in one or both directions, above one another."""

from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack
from unrolled.layers.standard import GRU, LSTM, Elman
from unrolled.layers.torch_nn import from_torch, to_torch

__all__ = ["GRU", "LSTM", "Bidirectional", "Elman", "Recurrent", "Stack", "from_torch", "to_torch"]
