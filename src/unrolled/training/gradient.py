"""A gradient that exists: what `backward` returns, and the only thing that can be clipped."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Gradient:
    """The gradient of a loss with respect to parameters. Made by `backward` alone.

    Clipping is a method of this object, so it cannot come before the gradient it clips, where it would
    do nothing.
    """

    def __init__(self, parameters: list[nn.Parameter], *, _token: object = None) -> None:
        if _token is not _MADE_HERE:
            raise TypeError("Gradient: call unrolled.backward(loss, parameters), which returns one")
        self._grads = [p.grad for p in parameters if p.grad is not None]
        self.norm = float(nn.utils.get_total_norm(self._grads))
        """The global norm, before clipping."""
        self._norm_now = self.norm

    @property
    def finite(self) -> bool:
        """Whether every number in it is finite."""
        return math.isfinite(self.norm)

    def clip_norm(self, limit: float) -> bool:
        """Scale the whole gradient so that its norm is at most ``limit``; whether that changed it.

        Source:
            R. Pascanu, T. Mikolov & Y. Bengio, "On the difficulty of training recurrent neural networks"
            (2013).
        """
        _check_limit("clip_norm", limit)
        if not self._norm_now > limit:
            return False
        torch._foreach_mul_(self._grads, limit / self._norm_now)
        self._norm_now = limit
        return True

    def clip_value(self, limit: float) -> bool:
        """Bring each entry into [-limit, limit]; whether that changed any."""
        _check_limit("clip_value", limit)
        largest = max((float(g.abs().max()) for g in self._grads), default=0.0)
        if not largest > limit:
            return False
        torch._foreach_clamp_min_(self._grads, -limit)
        torch._foreach_clamp_max_(self._grads, limit)
        self._norm_now = float(nn.utils.get_total_norm(self._grads))
        return True


_MADE_HERE = object()


def backward(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Gradient:
    """Backpropagate ``loss``; the parameters' gradients are those of this loss alone.

    Arguments:
        loss: one number.
        parameters: what to differentiate with respect to; earlier gradients are dropped.

    Raises:
        ValueError: the loss is not one number, or depends on none of the parameters.

    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> gradient = unrolled.backward(w.square().sum() / 2, [w])
    >>> gradient.norm, gradient.clip_norm(1.0), w.grad
    (5.0, True, tensor([0.6000, 0.8000]))
    """
    if loss.numel() != 1:
        raise ValueError(f"backward: loss has shape {tuple(loss.shape)}, expected one number")
    wanted = [p for p in parameters if p.requires_grad]
    for p in wanted:
        p.grad = None
    if loss.requires_grad:
        loss.backward()
    if all(p.grad is None for p in wanted):
        raise ValueError("backward: the loss depends on none of the parameters")
    return Gradient(wanted, _token=_MADE_HERE)


def _check_limit(name: str, limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"{name}: limit must be more than 0, got {limit}")
