"""Pooling over time: one vector for each sequence, from its outputs at all steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import whole
from unrolled.layers.checks import check_lengths, inside


class Pool(nn.Module):
    """One vector a sequence: h (T, N, H) and lengths (N,) to (N, H).

    Steps from a sequence's end on count for nothing, whatever stands there, and get no gradient. A sequence of
    length 0 has nothing to pool: its result is 0.
    """

    def forward(self, h: Tensor, lengths: Any = None) -> Tensor:
        """Pool the steps within the lengths; None: all.

        Raises:
            ValueError: h or lengths of another shape.
        """
        if not isinstance(h, Tensor) or h.dim() != 3 or not h.shape[0]:
            came = f"shape {tuple(h.shape)}" if isinstance(h, Tensor) else f"type {type(h).__name__}"
            raise ValueError(f"{type(self).__name__}: h has {came}, expected (T, N, H) with T of at least 1")
        T, N, _ = h.shape
        lengths = check_lengths(type(self).__name__, lengths, T, N, h.device)
        if lengths is None:
            lengths = torch.full((N,), T, device=h.device)
        within = inside(T, lengths)[..., None]
        return torch.where(lengths[:, None] > 0, self.pooled(torch.where(within, h, 0), within, lengths), 0)

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        """The equation, for h that is 0 where ``within`` (T, N, 1) is false; finite for a length of 0."""
        raise NotImplementedError


class LastPool(Pool):
    """The outputs of the last step within each sequence.

    Equation::

        y = h_{n-1}        for n steps, 0 for none

    Shapes:
        h (T, N, H); lengths (N,); output (N, H).

    The backward direction of a bidirectional layer has seen only one step there. A `Model` without a pool reads each
    direction at its own end instead.

    >>> LastPool()(torch.arange(3.0).reshape(3, 1, 1), lengths=[2])
    tensor([[1.]])
    """

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        rows = (lengths - 1).clamp(min=0)[None, :, None].expand(1, -1, h.shape[2])
        return h.gather(0, rows)[0]


class MeanPool(Pool):
    """The mean of the outputs of each sequence.

    Equation::

        y = (1 / n) sum_{t<n} h_t        for n steps, 0 for none

    Shapes:
        h (T, N, H); lengths (N,); output (N, H).

    >>> MeanPool()(torch.arange(3.0).reshape(3, 1, 1), lengths=[2])
    tensor([[0.5000]])
    """

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        return h.sum(0) / lengths.clamp(min=1)[:, None].to(h.dtype)


class MaxPool(Pool):
    """The largest output of each unit over each sequence.

    Equation::

        y = max_{t<n} h_t        for n steps, 0 for none

    Shapes:
        h (T, N, H); lengths (N,); output (N, H). The gradient goes to the steps of the maximum, in equal parts.

    >>> MaxPool()(torch.tensor([-2.0, -1.0, 5.0]).reshape(3, 1, 1), lengths=[2])
    tensor([[-1.]])
    """

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        return torch.where(within, h, -torch.inf).amax(0)


class AttentionPool(Pool):
    """A mean of the outputs of each sequence, with weights that depend on them.

    Equation::

        u_t = tanh(W h_t + b)    a_t = softmax_{t<n}(v u_t)    y = sum_{t<n} a_t h_t        0 for no steps

    Shapes:
        h (T, N, H); lengths (N,); output (N, H).

    Arguments:
        input_size: H.
        width: of u; H by default.

    Source:
        Z. Yang et al., "Hierarchical attention networks for document classification" (2016), equations 5 to 7.

    >>> pool = AttentionPool(4)
    >>> pool(torch.zeros(3, 2, 4), lengths=[3, 0]).shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size: int, width: int | None = None) -> None:
        super().__init__()
        self.input_size = whole("AttentionPool", "input_size", input_size)
        width = self.input_size if width is None else whole("AttentionPool", "width", width)
        self.map = nn.Linear(self.input_size, width)
        self.score = nn.Linear(width, 1, bias=False)

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        if h.shape[2] != self.input_size:
            raise ValueError(
                f"AttentionPool: h has shape {tuple(h.shape)}, expected (T, N, H) with H = {self.input_size}"
            )
        scores = self.score(torch.tanh(self.map(h)))  # (T, N, 1)
        least = torch.finfo(scores.dtype).min  # not -inf, of which a sequence without steps would have nothing else
        return (torch.softmax(torch.where(within, scores, least), dim=0) * h).sum(0)


class PositionPool(Pool):
    """A weighted mean of the outputs, with a learned weight for each unit at each place.

    For sequences that are aligned, so that a place has the same meaning in all of them.

    Equation::

        y = (1 / n) sum_{t<n} a_t * h_t        for n steps, 0 for none; a_t = 1 at the start of training

    Shapes:
        h (T, N, H); lengths (N,); output (N, H).

    Arguments:
        input_size: H.
        steps: of the longest sequence; steps behind it count with weight 1.

    >>> pool = PositionPool(4, steps=10)
    >>> pool(torch.ones(3, 2, 4), lengths=[3, 0]).tolist()
    [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, input_size: int, steps: int) -> None:
        super().__init__()
        self.input_size = whole("PositionPool", "input_size", input_size)
        self.weight = nn.Parameter(torch.ones(whole("PositionPool", "steps", steps), self.input_size))

    def pooled(self, h: Tensor, within: Tensor, lengths: Tensor) -> Tensor:
        known = min(len(h), len(self.weight))
        sums = (self.weight[:known, None] * h[:known]).sum(0) + h[known:].sum(0)
        return sums / lengths.clamp(min=1)[:, None].to(h.dtype)


class ConcatPool(nn.Module):
    """Several pools side by side, each with features of its own.

    Equation::

        y = [y_1, ..., y_k]        y_i of the i-th pool

    Shapes:
        h (T, N, H); lengths (N,); output (N, k H).

    Arguments:
        input_size: H. pools: at least one.

    Source:
        J. Howard, S. Ruder, "Universal language model fine-tuning for text classification" (2018), section 3.3.

    >>> ConcatPool(1, [MeanPool(), MaxPool()])(torch.arange(3.0).reshape(3, 1, 1), lengths=[2])
    tensor([[0.5000, 1.0000]])
    """

    def __init__(self, input_size: int, pools: Sequence[nn.Module]) -> None:
        super().__init__()
        if not pools:
            raise ValueError("ConcatPool: expected at least one pool, got none")
        self.input_size = whole("ConcatPool", "input_size", input_size)
        for pool in pools:
            if (size := getattr(pool, "input_size", self.input_size)) != self.input_size:
                name = type(pool).__name__
                raise ValueError(f"ConcatPool: {name} takes inputs of width {size}, expected {self.input_size}")
        self.output_size = len(pools) * self.input_size
        self.pools = nn.ModuleList(pools)

    def forward(self, h: Tensor, lengths: Any = None) -> Tensor:
        """Pool the steps within the lengths; None: all."""
        return torch.cat([pool(h, lengths) for pool in self.pools], -1)
