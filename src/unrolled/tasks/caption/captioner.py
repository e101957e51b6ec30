"""The captioner: a network that sees, and a recurrent one that writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells import Cell
from unrolled.cells.attention import Attention
from unrolled.layers import Stack
from unrolled.models.build import build_stack
from unrolled.models.encoders import Embedding, Vectors
from unrolled.models.heads import Softmax
from unrolled.models.initial_state import InitialState
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.tasks.caption.convnet import Summary

_NAMING = 0.25
"""How much the words by themselves count, beside the sentences."""
_RARE = -3.0
"""First log odds that a word is in a caption."""


@dataclass(frozen=True)
class Start:
    """What `samples` and `beam_searches` begin with: one row a picture."""

    start: Tensor
    state: Any
    constants: Any


class Captioner(nn.Module):
    """Sentences for pictures.

    Equation::

        grid = eye(picture)        v = summary(grid)
        first      x_1 = v,                                x_t = E[symbol_{t-1}]
        state      s_0 = tanh(W v + b),                    x_t = E[symbol_{t-1}], where symbol_0 is the end
        attention  s_0 as above, x_t as above, and at each step the cell looks at grid + where, see `Attention`
        p(symbol_t) = softmax(W_hy h_t + b)

    Arguments:
        eye: from pictures to a grid, with ``places`` and ``output_size``.
        cell, options: of the recurrent layers; the lowest looks at the grid.
        image: first, state or attention.
        symbols: V, of which the last is the end, which also precedes the first one.
        for_use: see `build_stack`.
        noise: share of the words before that are exchanged in training, so that a word does not come to depend on
            those before it where it should depend on the picture.

    Source:
        first: O. Vinyals, A. Toshev, S. Bengio & D. Erhan, "Show and tell: a neural image caption generator" (2015);
        state: A. Karpathy & L. Fei-Fei, "Deep visual-semantic alignments for generating image descriptions" (2015),
        who add a map of the image to the first step, as a state here; attention: K. Xu et al. (2015).
    """

    def __init__(
        self,
        eye: Any,
        cell: type[Cell],
        options: ModelOptions,
        image: str,
        symbols: int,
        for_use: bool = False,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        assert options.hidden is not None and options.dropout is not None
        width = min(options.hidden, 256)
        self.eye, self.image, self.end = eye, image, symbols - 1
        self.summary = Summary(eye.places, eye.output_size, width)
        looks = image == "attention"
        stack = _stack(cell, width, eye.output_size if looks else None, options, for_use)
        head, embedding = Softmax(stack.output_size, symbols), Embedding(symbols, width)
        self.begin = None if image == "first" else InitialState(width, stack)
        if self.begin is not None:  # a picture must not be small beside the words
            nn.init.xavier_normal_(self.begin.map.weight)
        self.where = nn.Parameter(0.1 * torch.randn(eye.places, eye.output_size)) if looks else None
        if image == "first":
            graph: dict[str, Any] = {"encoder": Vectors(width), "feedback": embedding, "graph": "one-to-many"}
        else:
            graph = {"encoder": embedding}
        self.decoder = Model(stack=stack, head=head, dropout=options.dropout, **graph)
        self.named = nn.Linear(eye.output_size, symbols)
        nn.init.constant_(self.named.bias, _RARE)
        self.dropout, self.noise = options.dropout, noise

    def forward(self, pictures: Tensor, of: Tensor, previous: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The scores (T, N, V) of sentences whose symbols are known.

        Arguments:
            pictures: as the eye takes them (P, ...). of: each sentence's picture (N,).
            previous: the symbol before each (T, N); at first the end. lengths: of the sentences (N,).
        """
        return self._scores(self.eye(pictures), of, previous, lengths)

    def losses(
        self, pictures: Tensor, of: Tensor, previous: Tensor, symbols: Tensor, lengths: Tensor
    ) -> tuple[Tensor, int]:
        """The sum of the losses of the symbols (T, N), -100 behind each end, and their number.

        In training, the gradient is also that of `naming`; the value is that of the sentences alone.
        """
        grid = self.eye(pictures)
        total, count = self.decoder.head.loss(self._scores(grid, of, previous, lengths), symbols)
        if self.training:
            named = _NAMING * self.naming(grid, of, symbols)
            total = total + named - named.detach()
        return total, count

    def naming(self, grid: Tensor, of: Tensor, symbols: Tensor) -> Tensor:
        """The loss of each word by itself, summed, in nats: whether it is in a caption, by any place of the picture.

        A sentence is likely by its words alone, long before anything is seen; this has nothing but what is seen.

        Source:
            H. Fang et al., "From captions to visual concepts and back" (2015), section 3, with the largest score of
            all places.
        """
        scores = self.named(grid).amax(1)[of]
        there = torch.zeros_like(scores).scatter_(1, symbols.T.where(symbols.T >= 0, self.end), 1.0)
        return F.binary_cross_entropy_with_logits(scores, there, reduction="sum")

    def _scores(self, grid: Tensor, of: Tensor, previous: Tensor, lengths: Tensor | None) -> Tensor:
        begun = self._begun(grid, of)
        previous = self._noised(previous, lengths) if self.training and self.noise else previous
        if self.image == "first":
            scores, _ = self.decoder(begun.start, previous=previous[1:], lengths=lengths)
        else:
            scores, _ = self.decoder(previous, begun.state, lengths, constants=begun.constants)
        return scores

    def _noised(self, previous: Tensor, lengths: Tensor | None) -> Tensor:
        """Some of the words exchanged for those that stand in the same place of other captions, if one does."""
        order = torch.randperm(previous.shape[1], device=previous.device)
        exchanged = torch.rand(previous.shape, device=previous.device) < self.noise
        if lengths is not None:
            exchanged &= torch.arange(len(previous), device=previous.device)[:, None] < lengths[order]
        return torch.where(exchanged, previous[:, order], previous)

    def begun(self, pictures: Tensor, of: Tensor | None = None) -> Start:
        """What sentences of these pictures begin with; ``of`` as in `forward`, by default one for each."""
        grid = self.eye(pictures)
        return self._begun(grid, torch.arange(len(grid), device=grid.device) if of is None else of)

    def _begun(self, grid: Tensor, of: Tensor) -> Start:
        v = F.dropout(self.summary(grid), self.dropout, self.training)
        v = v[of]
        if self.begin is None:
            return Start(v, None, ())
        first = torch.full((1, len(of)), self.end, device=grid.device)
        return Start(first, self.begin(v), {} if self.where is None else {"grid": (grid + self.where)[of]})

    def looks(self, pictures: Tensor, symbols: Tensor) -> Tensor | None:
        """The weights alpha (T, N, K) of the places as the symbols (T, N) are written; None without attention."""
        if self.image != "attention":
            return None
        begun = self.begun(pictures)
        x = self.decoder.encoder(torch.cat([begun.start, symbols[:-1]]))
        alpha: Tensor = next(named for named in self.decoder.stack.gates(x, begun.state, begun.constants) if named)[
            "alpha"
        ]
        return alpha


def _stack(cell: type[Cell], width: int, grid_size: int | None, options: ModelOptions, for_use: bool) -> Stack:
    """The recurrent layers, of which the lowest looks at a grid where one is named."""
    if grid_size is None:
        return build_stack(cell, width, options, for_use)
    assert options.layers is not None and options.hidden is not None

    def looking(input_size: int, hidden_size: int) -> Cell:
        return Attention(cell(input_size + grid_size, hidden_size), grid_size, width=grid_size)

    lowest = build_stack(looking, width, replace(options, layers=1), for_use)
    if options.layers == 1:
        return lowest
    above = build_stack(cell, options.hidden, replace(options, layers=options.layers - 1), for_use)
    return Stack([*lowest.layers, *above.layers], dropout=options.dropout or 0.0)
