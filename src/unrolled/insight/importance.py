"""Which steps of a sequence an answer rests on: gradient times input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.layers.modes import evaluating
from unrolled.models.model import Model


def importance(model: Model, inputs: Tensor, targets: Tensor, lengths: Any = None) -> Tensor:
    """How much each step speaks for an answer.

    Equation::

        s = y_c - (1 / (V - 1)) sum_{k != c} y_k        for the answer c and the scores y (V)
        I_t = x_t . ds/dx_t                             x_t: what the encoder makes of step t

    For a one-hot encoder and few letters, I_t is what the letter at step t adds to the answer, to first order. What
    an encoder says of places alone, such as `Positions`, is left out.

    Shapes:
        inputs (T, N, ...), targets (N,) whole numbers, lengths (N,); returns (T, N, D): its sum over D is I_t.

    Arguments:
        model: many-to-one, with scores of V labels.

    Source:
        A. Shrikumar et al., "Not just a black box: learning important features through propagating activation
        differences" (2016), which compares with gradient times input.

    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 8)])
    >>> model = Model(unrolled.OneHot(4), stack, unrolled.Softmax(8, 2), graph="many-to-one")
    >>> importance(model, torch.zeros(5, 3, dtype=torch.long), torch.zeros(3, dtype=torch.long)).shape
    torch.Size([5, 3, 4])
    """
    encoder = getattr(model.encoder, "encoder", model.encoder)  # without the places
    seen: list[Tensor] = []

    def keep(module: Any, given: Any, made: Tensor) -> Tensor:
        seen.append(made.detach().requires_grad_())
        return seen[0]

    handle = encoder.register_forward_hook(keep)
    try:
        with torch.enable_grad(), evaluating(model):
            scores, _ = model(inputs, lengths=lengths)
            if scores.dim() != 2:
                raise ValueError(f"importance: the model's scores have shape {tuple(scores.shape)}, expected (N, V)")
            own = scores.gather(1, targets[:, None]).squeeze(1)
            others = (scores.sum(1) - own) / max(scores.shape[1] - 1, 1)
            (gradient,) = torch.autograd.grad((own - others).sum(), seen[0])
    finally:
        handle.remove()
    return (gradient * seen[0]).detach()


def mean_by_step(found: Sequence[Tensor], steps: int) -> Tensor:
    """The mean over sequences at each step, (steps, D); steps that a sequence has not count as 0.

    >>> mean_by_step([torch.ones(1, 2), torch.ones(2, 2)], 2).tolist()
    [[1.0, 1.0], [0.5, 0.5]]
    """
    total = found[0].new_zeros(steps, found[0].shape[1])
    for one in found:
        total[: len(one)] += one[:steps]
    return total / len(found)
