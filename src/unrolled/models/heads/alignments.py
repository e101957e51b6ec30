"""The probability of labels whose places in time are unknown: a sum over all of their alignments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.engine import native
from unrolled.engine.alignments import aligned

BLANK = 0


def alignment_losses(outputs: Tensor, labels: Tensor, steps: Tensor, counts: Tensor) -> Tensor:
    """-log p(labels) of each sequence (N,), in nats, by the forward-backward algorithm.

    Equation::

        z = blank, label_1, blank, label_2, ..., blank        y_t = softmax(outputs_t)
        alpha_t(s) = y_t[z_s] (alpha_{t-1}(s) + alpha_{t-1}(s - 1) + a_s alpha_{t-1}(s - 2))
            where a_s is 1 if z_s is a label and not z_{s-2}, and 0 otherwise
        p = alpha_T(2S) + alpha_T(2S + 1)
        d(-log p) / d outputs_t[k] = y_t[k] - sum over z_s = k of alpha_t(s) beta_t(s) / p

    beta is the same from the end, without y_t. The engine computes them with 64 bits in units of each step's sum.
    Where the two lie so far apart at a step that this is not enough, as in a network that has never said a label, and
    where there is no engine, the loss is torch's, which adds logarithms, with 64 bits as well.

    Shapes:
        outputs (T, N, V); labels (S, N), anything behind each sequence's last; steps, counts (N,): how many of the
        outputs and of the labels belong to each sequence, one step at least.

    Source:
        A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist temporal classification" (2006),
        section 4; the units of each step are those of L. Rabiner, "A tutorial on hidden Markov models" (1989).

    >>> alignment_losses(torch.zeros(1, 1, 4), torch.tensor([[2]]), torch.tensor([1]), torch.tensor([1])).exp()
    tensor([4.])
    """
    if not native.available() or outputs.device.type != "cpu" or not labels.numel():
        return _by_logarithms(outputs, labels, steps, counts)
    losses: Tensor = _Losses.apply(outputs, labels, steps, counts)
    some = losses.detach().isnan().nonzero()[:, 0]
    if not len(some):
        return losses
    return losses.index_put((some,), _by_logarithms(outputs[:, some], labels[:, some], steps[some], counts[some]))


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outputs: Tensor, labels: Tensor, steps: Tensor, counts: Tensor) -> Tensor:
        y = outputs.double().softmax(-1).contiguous()
        inside = (torch.arange(len(y))[:, None] < steps)[..., None]
        gradient = y * inside if ctx.needs_input_grad[0] else None
        losses = aligned(y, labels, steps, counts, gradient)
        if gradient is not None:  # what is not known here is given by logarithms
            gradient[:, losses.isnan()] = 0
        ctx.save_for_backward(None if gradient is None else gradient.to(outputs.dtype))
        return losses.to(outputs.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Any) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * given[0][:, None], None, None, None


def _by_logarithms(outputs: Tensor, labels: Tensor, steps: Tensor, counts: Tensor) -> Tensor:
    known = labels if len(labels) else labels.new_ones(1, labels.shape[1])  # torch refuses a table without rows
    logs = torch.log_softmax(outputs.double(), dim=-1)
    losses = F.ctc_loss(logs, known.T.contiguous(), steps, counts, blank=BLANK, reduction="none")
    return losses.to(outputs.dtype)
