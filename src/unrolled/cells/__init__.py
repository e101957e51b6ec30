"""The equations: one cell a file, each a module whose ``step`` is one time step."""

from unrolled.cells.cell import Cell
from unrolled.cells.elman import ElmanCell
from unrolled.cells.gates import Gates
from unrolled.cells.gru import GRUCell
from unrolled.cells.hopfield import HopfieldCell
from unrolled.cells.lstm import LSTMCell
from unrolled.cells.lstm1997 import LSTM1997Cell
from unrolled.cells.wrappers import VariationalDropout, WeightDrop, Zoneout

__all__ = [
    "Cell",
    "ElmanCell",
    "GRUCell",
    "Gates",
    "HopfieldCell",
    "LSTM1997Cell",
    "LSTMCell",
    "VariationalDropout",
    "WeightDrop",
    "Zoneout",
]
