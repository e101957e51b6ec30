"""The network of the grammar experiments: one recurrent layer that predicts what comes next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTM1997Cell, LSTMCell
from unrolled.layers import Recurrent
from unrolled.training.gradient import backward

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "elman": ElmanCell, "lstm1997": LSTM1997Cell}


class Predictor(nn.Module):
    """One recurrent layer and one linear map.

    Equation::

        h_t = cell(x_t, h_{t-1})    y_t = W_hy h_t + b

    Shapes:
        x (T, N, D); y (T, N, outputs); states as the cell has them.

    Arguments:
        cell: ``"lstm"``, ``"gru"``, ``"elman"`` or ``"lstm1997"``.
        inputs, hidden, outputs: D, H, and the width of y.
        seed: of the first weights; torch's own generator is left as it was.

    >>> net = Predictor("lstm", 7, 4, 7, seed=1)
    >>> y, h, state = net(torch.zeros(5, 2, 7))
    >>> y.shape
    torch.Size([5, 2, 7])
    """

    def __init__(self, cell: str, inputs: int, hidden: int, outputs: int, seed: int) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"Predictor: cell must be one of {', '.join(CELLS)}, got {cell!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layer = Recurrent(CELLS[cell](inputs, hidden))
            self.map = nn.Linear(hidden, outputs)

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Outputs, hidden states, and the states behind the last step."""
        h, state = self.layer(x, state)
        return self.map(h), h, state


def update(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """One step down the gradient of ``loss``, its norm clipped at 1; the loss as a number."""
    backward(loss, net.parameters()).clip_norm(1.0)
    optimizer.step()
    return float(loss.detach())
