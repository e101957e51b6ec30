"""Muon: the momentum of each matrix, made orthogonal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from unrolled.cells.cell import Cell
from unrolled.cells.gates import Gates
from unrolled.engine.products import bmm
from unrolled.layers.layer import Layer

_BETA_1, _BETA_2, _EPS = 0.9, 0.999, 1e-8
_MOMENTUM = 0.95
_RMS = 0.2
"""Of the numbers of an update at a rate of 1, about that of Adam's."""
_COEFFICIENTS = (3.4445, -4.775, 2.0315)
_ROUNDS = 5


def matrices(model: nn.Module) -> dict[nn.Parameter, int]:
    """The matrices of a model's layers, and how many gates each has; those of encoders and heads are left out.

    >>> import unrolled
    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 3)])
    >>> [(tuple(weight.shape), gates) for weight, gates in matrices(stack).items()]
    [((9, 4), 3), ((9, 3), 3)]
    """
    found: dict[nn.Parameter, int] = {}
    for layer in model.modules():
        if isinstance(layer, Layer):
            found |= {p: 1 for p in layer.parameters() if p.dim() > 1 and p not in found}
            for part in layer.modules():
                if isinstance(part, Gates):
                    found[part.weight] = len(part.names)
                elif isinstance(part, Cell):
                    found |= {part.get_parameter(name): count for name, count in part.stacked.items()}
    return found


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for matrices; Adam for all other parameters.

    Equation::

        m <- 0.95 m + 0.05 g        u = 0.05 g + 0.95 m
        W <- (1 - lr decay) W - lr 0.2 sqrt(max(rows, columns)) (u u^T)^(-1/2) u

    Every direction of a matrix moves as far, also those along which the gradient is small; the inverse root is that
    of five Newton-Schulz iterations, whose singular values lie between 0.7 and 1.2. Gates that are stored under one
    another are matrices of their own. The factor makes the numbers of an update about as large as those of Adam, so
    that their rates can be compared. All parameters decay, as with AdamW.

    Arguments:
        parameters: all of them.
        matrices: which of them are matrices, of so many rows on one another; of other dimensions behind the second,
            as of a convolution, they count as columns. The rest is for Adam.

    Cost:
        one float a weight, where Adam keeps two. torch.optim.Muon rounds to 16 bits, for which many processors have
        no instructions: it takes 220 ms where this takes 22, for ten matrices of 384 x 128, three gates each, on one
        core of a fifth-generation EPYC that is held to AVX2.

    Source:
        K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with its coefficients; the
        factor is that of J. Liu et al., "Muon is scalable for LLM training" (2025), section 2.2.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        matrices: Mapping[nn.Parameter, int],
        weight_decay: float = 0.0,
    ) -> None:
        parameters = list(parameters)
        self._parts: dict[Tensor, int] = {p: matrices.get(p, 0) for p in parameters}
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            given = [(p, p.grad) for p in group["params"] if p.grad is not None]
            for p, _ in given:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            self._by_adam([(p, g) for p, g in given if not self._parts[p]], group["lr"])
            self._by_direction([(p, g) for p, g in given if self._parts[p]], group["lr"])

    def _by_adam(self, given: list[tuple[Tensor, Tensor]], lr: float) -> None:
        kept = [self.state[p] for p, _ in given]
        for (p, _), slots in zip(given, kept, strict=True):
            if not slots:
                slots |= {"step": torch.zeros((), device=p.device), "mean": torch.zeros_like(p)}
                slots["square"] = torch.zeros_like(p)
        adam(
            [p for p, _ in given],
            [g for _, g in given],
            [slots["mean"] for slots in kept],
            [slots["square"] for slots in kept],
            [],
            [slots["step"] for slots in kept],
            fused=True,
            amsgrad=False,
            beta1=_BETA_1,
            beta2=_BETA_2,
            lr=lr,
            weight_decay=0.0,
            eps=_EPS,
            maximize=False,
        )

    def _by_direction(self, given: list[tuple[Tensor, Tensor]], lr: float) -> None:
        alike: dict[Any, list[tuple[Tensor, Tensor]]] = {}  # of the same shape, side by side
        for p, g in given:
            slots = self.state[p]
            if not slots:
                slots["momentum"] = torch.zeros_like(p)
            slots["momentum"].lerp_(g, 1 - _MOMENTUM)
            update = g.lerp(slots["momentum"], _MOMENTUM).flatten(1)
            rows = update.shape[0] // self._parts[p]
            for part, of in zip(update.split(rows), p.split(rows), strict=True):
                alike.setdefault((part.shape, part.dtype, part.device), []).append((part, of))
        for (shape, *_), parts in alike.items():
            made = orthogonal(torch.stack([part for part, _ in parts]))
            for one, (_, of) in zip(made, parts, strict=True):
                of.sub_(one.view_as(of), alpha=lr * _RMS * max(shape) ** 0.5)


def orthogonal(x: Tensor) -> Tensor:
    """About (x x^T)^(-1/2) x of each of some matrices (K, rows, columns), by Newton-Schulz iterations.

    >>> x = orthogonal(torch.randn(1, 3, 5))
    >>> bool((torch.linalg.svdvals(x) - 1).abs().max() < 0.5)
    True
    """
    a, b, c = _COEFFICIENTS
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)  # no singular value is above 1 then
    for _ in range(_ROUNDS):
        square = bmm(x, x.mT)
        factor = bmm(square, square).mul_(c).add_(square, alpha=b)
        x = bmm(factor, x).add_(x, alpha=a)
    return x.mT if is_tall else x
