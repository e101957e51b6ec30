"""Gates: several linear maps of the same input, kept as one matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import _has_any_global_hook

from unrolled.cells.arguments import whole


class Gates(nn.Module):
    """Linear maps of one input, one for each named gate, stored gate under gate.

    Equation::

        gates.r(x) = W_r x + b_r        gates(x) = [W_r x + b_r; W_z x + b_z; ...]

    Shapes:
        x (N, D); ``weight`` (G*H, D); ``bias`` (G*H,), zero at the start; ``gates.r(x)`` (N, H);
        ``gates(x)`` (N, G*H).

    Arguments:
        names: the gates, separated by blanks: ``"i f g o"``.
        input_size: D.
        hidden_size: H, the width of each gate.
        bias: whether the maps have a bias.

    Hooks see each gate as a call of the whole module, whose rows it takes: what spectral_norm, weight_norm and
    prune make of the weight holds for every gate.

    Weights start Glorot-uniform, each gate for itself. A `Cell` makes those that map its own state
    orthogonal (see there).

    Raises:
        ValueError: a name is no identifier, comes twice, or is taken by ``torch.nn.Module``.

    >>> gates = Gates("r z n", input_size=4, hidden_size=3)
    >>> gates.z(torch.zeros(2, 4)).shape, gates.weight.shape
    (torch.Size([2, 3]), torch.Size([9, 4]))
    """

    def __init__(
        self,
        names: str,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.names = _checked(names)
        self.input_size = whole("Gates", "input_size", input_size)
        self.hidden_size = whole("Gates", "hidden_size", hidden_size)
        rows = len(self.names) * self.hidden_size
        self.weight = nn.Parameter(torch.empty(rows, self.input_size, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(rows, device=device, dtype=dtype)) if bias else None
        for gate in self.names:
            nn.init.xavier_uniform_(self.weight.data[self.rows(gate)])

    def rows(self, name: str) -> slice:
        """The rows of ``weight`` and ``bias`` that belong to one gate."""
        start = self.names.index(name) * self.hidden_size
        return slice(start, start + self.hidden_size)

    def orthogonal_(self) -> None:
        """Make the matrix of each gate orthogonal (Saxe, McClelland & Ganguli 2014)."""
        for name in self.names:
            nn.init.orthogonal_(self.weight.data[self.rows(name)])

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("names", ()):
            return partial(self._one, self.rows(name))
        return super().__getattr__(name)

    def _one(self, rows: slice, x: Tensor) -> Tensor:
        if self._forward_pre_hooks or self._forward_hooks or self._is_hooked():
            return self(x)[..., rows]  # by way of the call, where hooks are: one of them may compute the weight
        return F.linear(x, self.weight[rows], None if self.bias is None else self.bias[rows])

    def _is_hooked(self) -> bool:
        return bool(self._backward_hooks or self._backward_pre_hooks or _has_any_global_hook())

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{' '.join(self.names)!r}, {self.input_size}, {self.hidden_size}{bias}"


def _checked(names: Any) -> tuple[str, ...]:
    if not isinstance(names, str):
        raise ValueError(f"Gates: names must be a string such as 'i f g o', got {names!r}")
    gates = tuple(names.split())
    if not gates:
        raise ValueError("Gates: names is empty, expected gate names separated by spaces, such as 'i f g o'")
    for gate in gates:
        if not gate.isidentifier():
            raise ValueError(f"Gates: {gate!r} cannot name a gate: it is not a Python identifier")
        if gates.count(gate) > 1:
            raise ValueError(f"Gates: the name {gate!r} occurs twice in {names!r}")
        if hasattr(nn.Module, gate) or gate in ("names", "rows", "weight", "bias", "training"):
            raise ValueError(f"Gates: {gate!r} cannot name a gate: torch.nn.Module already uses that name")
    return gates
