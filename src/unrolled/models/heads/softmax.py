"""Softmax: one of V symbols or classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.models.chooser import Chooser
from unrolled.models.heads.head import IGNORED, Head, Target
from unrolled.models.philox import Numbers


class Softmax(Head):
    """Scores of V symbols or classes; the loss is the cross-entropy of their softmax.

    Equation::

        y_t = W_hy h_t + b        loss = -log softmax(y_t)[target]

    Sampling is the rule of `Chooser`, one random number a symbol. Temperature divides the scores; 0 takes
    the highest one.

    Shapes:
        h (..., H); scores (..., V); targets (...) whole numbers below V, or -100 for one that does not count:
        its log_prob is 0.

    Arguments:
        hidden_size, vocabulary_size: H, V.
        weights: how much a loss counts by its target (V,), such as more for a rare class; None for all the same.
            `log_prob` has none.

    Units:
        loss in nats.

    >>> head = Softmax(3, 4)
    >>> total, count = head.loss(head(torch.zeros(5, 2, 3)), torch.zeros(5, 2, dtype=torch.long))
    >>> count
    10
    """

    weights: Tensor | None

    def __init__(self, hidden_size: int, vocabulary_size: int, weights: Any = None) -> None:
        name = type(self).__name__
        hidden_size = whole(name, "hidden_size", hidden_size)
        super().__init__(hidden_size, whole(name, "vocabulary_size", vocabulary_size), Target("integers"))
        if weights is not None:
            weights = torch.as_tensor(weights, dtype=self.map.weight.dtype)
            if weights.shape != (vocabulary_size,) or not (torch.isfinite(weights) & (weights >= 0)).all():
                raise ValueError(
                    f"{name}: weights have shape {tuple(weights.shape)}, expected {(vocabulary_size,)}: one for each "
                    "class, finite and not negative"
                )
        self.register_buffer("weights", weights, persistent=False)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``probability`` (..., V)."""
        return {"probability": torch.softmax(outputs, dim=-1)}

    def _wanted(self, targets: Tensor, counted: Any) -> Tensor:
        wanted = targets.long() != IGNORED
        given = super()._wanted(targets, counted)
        return wanted if given is None else wanted & given

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._cross_entropy(outputs, targets, "sum", self.weights)

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -self._cross_entropy(outputs, targets, "none").reshape(targets.shape)

    def _cross_entropy(
        self, scores: Tensor, targets: Tensor, reduction: str, weights: Tensor | None = None
    ) -> Tensor:
        targets = targets.long()
        try:
            return F.cross_entropy(
                scores.reshape(-1, self.output_size),
                targets.reshape(-1),
                weight=None if weights is None else weights.to(scores.dtype),
                reduction=reduction,
                ignore_index=IGNORED,
            )
        except IndexError as error:
            bad = targets[(targets < 0) | (targets >= self.output_size)]
            raise ValueError(
                f"{self._name}: a target is {int(bad[0])}, expected 0 to {self.output_size - 1}, "
                f"or {IGNORED} for one that does not count"
            ) from error

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        return draw_symbols(outputs, random.uniforms(outputs.shape[:-1]), temperature)


def draw_symbols(scores: Tensor, u: Tensor, temperature: float) -> Tensor:
    """The symbols that `Chooser` takes: scores (..., V) and uniform numbers (...) to symbols (...)."""
    rows = scores.reshape(u.numel(), scores.shape[-1]).numpy()
    return torch.from_numpy(Chooser(temperature).each(rows, u.reshape(-1).numpy())).reshape(u.shape)
