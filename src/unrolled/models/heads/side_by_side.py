"""SideBySide: several heads on the same hidden state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.models.heads.head import Head
from unrolled.models.philox import Numbers


class SideBySide(Head):
    """Several heads, each with a name; given h, their targets are independent.

    Equation::

        y = (y_a, y_b, ...)      log p(targets) = log p_a(target_a) + log p_b(target_b) + ...
        loss = loss_a + loss_b + ...

    Sampling draws from each head in turn, in their order, at the same temperature.

    Shapes:
        h (..., H); outputs (..., sum of the heads' output sizes), in their order; targets a dict with the
        target of each head. ``counted`` is one tensor for all heads, or a dict with a tensor or None for each.

    Attributes:
        target: the `Target` of each head, by name.

    Raises:
        ValueError: no heads, a name that cannot be used, heads of different input sizes, or one whose targets
            are not one a position (`CTC`).

    >>> head = SideBySide({"pitch": unrolled.Softmax(3, 12), "length": unrolled.Regression(3, 1)})
    >>> targets = {"pitch": torch.tensor([[0]]), "length": torch.ones(1, 1, 1)}
    >>> {name: count for name, (total, count) in head.parts(torch.zeros(1, 1, 13), targets).items()}
    {'pitch': 1, 'length': 1}
    """

    target: dict[str, Any]

    def __init__(self, heads: Mapping[str, Head]) -> None:
        nn.Module.__init__(self)
        if not isinstance(heads, Mapping) or not heads:
            raise ValueError(f"{self._name}: heads must be a dict of at least one head, got {heads!r}")
        self.each = nn.Module()
        for name, head in heads.items():
            self._add(name, head)
        sizes = {name: head.input_size for name, head in heads.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"{self._name}: the heads have different input sizes: {sizes}")
        self.input_size = next(iter(sizes.values()))
        self.output_size = sum(head.output_size for head in heads.values())
        self.target = {name: head.target for name, head in heads.items()}

    def _add(self, name: Any, head: Any) -> None:
        if not isinstance(head, Head) or isinstance(head, SideBySide) or not head.aligned:
            kind = head.__name__ if isinstance(head, type) else type(head).__name__
            raise ValueError(f"{self._name}: {name!r} is {kind}, expected a head with one target a position")
        try:
            self.each.add_module(name, head)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._name}: a head cannot have the name {name!r}") from error

    @property
    def heads(self) -> dict[str, Any]:
        """The heads by name, in their order."""
        return dict(self.each._modules)

    def forward(self, h: Tensor) -> Tensor:
        """The outputs of all heads (..., output_size)."""
        return torch.cat([head(h) for head in self.heads.values()], dim=-1)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """The parameters of each head, as ``head.parameter``."""
        return {
            f"{name}.{key}": value
            for name, (head, own) in self._parts(outputs).items()
            for key, value in head.describe(own).items()
        }

    def log_prob(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> Tensor:  # type: ignore[override]
        """log p of all targets together (...), in nats."""
        self._check_names("targets", targets)
        parts = self._parts(outputs)
        return torch.stack([head.log_prob(own, targets[name]) for name, (head, own) in parts.items()]).sum(0)

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], counted: Any = None) -> tuple[Tensor, int]:  # type: ignore[override]
        """The sum of the losses of all heads, and the number of positions where at least one head counts.

        Raises:
            ValueError: names, shapes or types that do not fit.
        """
        total = sum(part for part, _ in self.parts(outputs, targets, counted).values())
        assert isinstance(total, Tensor)
        return total, int(self.counts(targets, counted).sum())

    def parts(
        self, outputs: Tensor, targets: Mapping[str, Tensor], counted: Any = None
    ) -> dict[str, tuple[Tensor, int]]:
        """For each head the sum of its losses, and how many there are; ValueError as in `loss`."""
        self._check_names("targets", targets)
        masks = self._masks(counted)
        return {
            name: head.loss(own, targets[name], masks[name]) for name, (head, own) in self._parts(outputs).items()
        }

    def sample(self, outputs: Tensor, random: Numbers, temperature: float = 1.0) -> dict[str, Tensor]:  # type: ignore[override]
        """The draws of each head, by name; see `Head.sample`."""
        return {name: head.sample(own, random, temperature) for name, (head, own) in self._parts(outputs).items()}

    def feedback(self, sampled: Any) -> Tensor:
        """The draws of all heads side by side (..., sum of the widths), a symbol as one number.

        The encoder of such a model takes this tensor. It is of integers if all targets are, and otherwise of
        floats. `split` takes it apart.
        """
        columns = [sampled[name] if t.width else sampled[name].unsqueeze(-1) for name, t in self.target.items()]
        floats = [column.dtype for column in columns if column.is_floating_point()]
        return torch.cat([column.to(floats[0]) if floats else column for column in columns], dim=-1)

    def split(self, joined: Tensor) -> dict[str, Tensor]:
        """What `feedback` joined, by name.

        >>> head = SideBySide({"pitch": unrolled.Softmax(3, 12), "length": unrolled.Regression(3, 2)})
        >>> head.split(torch.tensor([[7, 0.5, 0.25]]))
        {'pitch': tensor([7]), 'length': tensor([[0.5000, 0.2500]])}
        """
        widths = [t.width or 1 for t in self.target.values()]
        if joined.shape[-1:] != (sum(widths),):
            raise ValueError(f"{self._name}: shape is {tuple(joined.shape)}, expected (..., {sum(widths)})")
        found = {}
        for (name, target), part in zip(self.target.items(), joined.split(widths, dim=-1), strict=True):
            part = part.long() if target.dtype == "integers" else part
            found[name] = part if target.width else part.squeeze(-1)
        return found

    def counts(self, targets: Mapping[str, Tensor], counted: Any = None) -> Tensor:  # type: ignore[override]
        """Where at least one head counts: bool (...)."""
        masks = self._masks(counted)
        return torch.stack([head.counts(targets[name], masks[name]) for name, head in self.heads.items()]).any(0)

    def _parts(self, outputs: Tensor) -> dict[str, tuple[Any, Tensor]]:
        """Each head with its own outputs."""
        self._check_outputs(outputs)
        heads = self.heads
        own = outputs.split([head.output_size for head in heads.values()], dim=-1)
        return {name: (head, part) for (name, head), part in zip(heads.items(), own, strict=True)}

    def _masks(self, counted: Any) -> Mapping[str, Any]:
        if isinstance(counted, Mapping):
            self._check_names("counted", counted)
            return counted
        return dict.fromkeys(self.target, counted)

    def _check_names(self, argument: str, given: Any) -> None:
        if not isinstance(given, Mapping) or given.keys() != self.target.keys():
            came = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
            raise ValueError(f"{self._name}: {argument} must be a dict of {', '.join(self.target)}, got {came}")
