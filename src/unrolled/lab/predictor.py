"""The network of the experiments: one recurrent layer, and a linear map of its output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.cells import Cell, LSTM1997Cell
from unrolled.cells.initial import chrono_
from unrolled.cells.registry import CELLS
from unrolled.layers import Recurrent
from unrolled.training.gradient import backward


class Predictor(nn.Module):
    """One recurrent layer and one linear map.

    Equation::

        h_t = cell(x_t, h_{t-1})    y_t = W_hy h_t + b (+ W_xy x_t)

    Shapes:
        x (T, N, D); y (T, N, outputs); states as the cell has them.

    Arguments:
        cell: ``"lstm"``, ``"gru"``, ``"elman"`` or ``"lstm1997"``.
        inputs, hidden, outputs: D, H, and the width of y.
        seed: of the first weights; torch's own generator is left as it was.
        longest: gates that keep the state begin with memories of 1 to this many steps (chrono initialisation), and
            those that admit inputs nearly closed; an Elman network has neither. None: as the cell begins.
        symbols: x is whole numbers below this (T, N); their one-hot vectors pass a linear map to D first.
        direct: whether one-hot inputs reach the outputs by connections of their own as well, W_xy.

    >>> net = Predictor("lstm", 7, 4, 7, seed=1)
    >>> y, h, state = net(torch.zeros(5, 2, 7))
    >>> y.shape
    torch.Size([5, 2, 7])
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        outputs: int,
        seed: int,
        longest: int | None = None,
        symbols: int | None = None,
        direct: bool = False,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"Predictor: cell must be one of {', '.join(CELLS)}, got {cell!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = CELLS[cell](inputs, hidden)
            if longest is not None:
                _begin_slowly(made, longest)
            self.layer = Recurrent(made)
            self.map = nn.Linear(hidden, outputs)
            self.embed = None if symbols is None else nn.Embedding(symbols, inputs)
            self.direct = nn.Embedding(symbols, outputs) if symbols is not None and direct else None
        if self.direct is not None:
            nn.init.zeros_(self.direct.weight)

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Outputs, hidden states, and the states behind the last step."""
        h, state = self.layer(x if self.embed is None else self.embed(x), state)
        y = self.map(h)
        return y if self.direct is None else y + self.direct(x), h, state

    def without_memory(self, x: Tensor) -> Tensor:
        """y of the direct connections alone, W_xy x_t + b."""
        assert self.direct is not None
        y: Tensor = self.direct(x) + self.map.bias
        return y

    def last(self, x: Tensor, lengths: Tensor) -> Tensor:
        """y (N, outputs) behind the last step of each sequence; no other output is computed."""
        _, state = self.layer(x if self.embed is None else self.embed(x), lengths=lengths)
        y: Tensor = self.map(state[0])
        return y


def _begin_slowly(cell: Cell, longest: int) -> None:
    """Chrono initialisation; where there is no gate that keeps, the input gate's part of it.

    The LSTM paper begins with input gates that are nearly closed as well (biases of -1 to -6), against the drift of
    states that nothing leaves.
    """
    if cell.keeps is not None:
        chrono_(cell, longest)
    elif isinstance(cell, LSTM1997Cell) and cell.x.bias is not None:
        admit = cell.x.bias.data[cell.x.rows("i")]
        admit.copy_(-torch.empty_like(admit).uniform_(1, longest - 1).log_())


def update(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float | None = 1.0) -> float:
    """One step down the gradient of ``loss``, its norm clipped unless ``clip`` is None; the loss as a number."""
    gradients = backward(loss, net.parameters())
    if clip is not None:
        gradients.clip_norm(clip)
    optimizer.step()
    return float(loss.detach())
