"""The one table of cells by name: what ``--cell`` and ``cell=`` accept, in training and in the laboratory."""

from __future__ import annotations

from unrolled.cells.cell import Cell
from unrolled.cells.elman import ElmanCell
from unrolled.cells.gru import GRUCell
from unrolled.cells.lstm import LSTMCell
from unrolled.cells.lstm1997 import LSTM1997Cell

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "elman": ElmanCell, "lstm1997": LSTM1997Cell}
