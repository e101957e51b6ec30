"""Head: the base of all heads. A head turns the hidden state into the parameters of a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import whole
from unrolled.errors import RunError
from unrolled.models.chooser import check_temperature
from unrolled.models.philox import Numbers

IGNORED = -100
"""The symbol that does not count, as in torch.nn.CrossEntropyLoss."""


@dataclass(frozen=True)
class Target:
    """What a head predicts at each position: one integer (no width), or a vector of that width.

    >>> Target("floats", 2).shape((5, 3))
    (5, 3, 2)
    """

    dtype: str
    """"integers" or "floats"."""
    width: int | None = None

    def shape(self, leading: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the targets of so many positions."""
        return (*leading, *(() if self.width is None else (self.width,)))


class Head(nn.Module):
    """A distribution over targets, given the hidden state; the base of `Softmax`, `Gaussian` and the others.

    A position is one entry of the leading shape (...), such as one step of one sequence. Each position has
    one loss and counts once, whatever the width of its target.

    Equation::

        outputs = W_hy h + b        p(target | outputs)        loss = -log p, unless the head says otherwise

    Shapes:
        h (..., input_size); outputs (..., output_size); targets (...) or (..., width), as ``target`` says.

    Attributes:
        input_size, output_size: the widths of h and of the outputs.
        target: a `Target`: "integers" or "floats", and the width.
        aligned: whether each position has its own target.

    A head of your own calls ``__init__`` with these sizes and defines ``_log_prob(outputs, targets)``, which
    returns (...), and ``_draw(outputs, random, temperature)``. If its loss is not -log p, it also defines
    ``_loss(outputs, targets)``, which returns the sum; if only some targets are possible, ``_check_values``.

    >>> class Exponential(Head):
    ...     def __init__(self, hidden_size):
    ...         super().__init__(hidden_size, 1, Target("floats", 1))
    ...     def _log_prob(self, outputs, targets):
    ...         return (outputs - outputs.exp() * targets).sum(-1)
    ...     def _draw(self, outputs, random, temperature):
    ...         return -temperature * torch.log1p(-random.uniforms(outputs.shape)) / outputs.exp()
    >>> total, count = Exponential(3).loss(torch.zeros(5, 2, 1), torch.ones(5, 2, 1))
    >>> float(total), count
    (10.0, 10)
    """

    input_size: int
    output_size: int
    target: Any
    aligned = True
    _takes_bool = False

    def __init__(self, hidden_size: int, output_size: int, target: Target) -> None:
        super().__init__()
        self.input_size = whole(self._name, "hidden_size", hidden_size)
        self.output_size = output_size
        self.target = target
        self.map = nn.Linear(self.input_size, output_size)
        nn.init.xavier_uniform_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, h: Tensor) -> Tensor:
        """The outputs (..., output_size)."""
        return self.map(h)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """The parameters of the distribution by name; see the class."""
        raise NotImplementedError(f"{self._name}: it does not name its parameters")

    def log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """log p(targets) (...), in nats: one number for each position.

        Raises:
            ValueError: shapes or types that do not fit, or targets that the distribution cannot have.
        """
        self._check(outputs, targets)
        self._check_values(targets)
        return self._log_prob(outputs, targets)

    def loss(self, outputs: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of the losses, and how many there are.

        Arguments:
            outputs, targets: see the class.
            counted: true where a target counts, bool of the shape of the positions (...). What stands where
                nothing counts, NaN included, reaches neither the sum nor a gradient.

        Raises:
            ValueError: shapes or types that do not fit, or counted targets that the distribution cannot have.
        """
        self._check(outputs, targets)
        wanted = self._wanted(targets, counted)
        count = outputs.shape[:-1].numel()
        if wanted is not None:
            positions, count = count, int(wanted.sum())
            if count < positions:
                outputs, targets = outputs[wanted], targets[wanted]
        self._check_values(targets)
        return self._loss(outputs, targets), count

    def sample(self, outputs: Tensor, random: Numbers, temperature: float = 1.0) -> Tensor:
        """One draw for each position, of the shape of the targets. No gradient passes.

        Draws are made in double precision and returned in the type of the outputs; symbols are int64. How
        many random numbers a draw takes depends on the head alone.

        Arguments:
            outputs: see the class.
            random: `Philox` or `Rows`; the same numbers give the same draws.
            temperature: 1 draws from the distribution, less from a narrower one, more from a wider one; 0
                takes its centre or its most likely value, as the class says.

        Raises:
            ValueError: outputs or a temperature that do not fit. RunError: outputs that are not finite.
        """
        self._check_outputs(outputs)
        return self._sample(outputs, random, temperature)

    def feedback(self, sampled: Any) -> Any:
        """What the encoder reads after these draws, as the next input: the draws themselves."""
        return sampled

    def counts(self, targets: Tensor, counted: Tensor | None = None) -> Tensor:
        """Where `loss` counts: bool (...)."""
        shape = targets.shape if self.target.width is None else targets.shape[:-1]
        wanted = self._wanted(targets, counted)
        return torch.ones(shape, dtype=torch.bool, device=targets.device) if wanted is None else wanted

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError(f"{self._name}: it has no log_prob")

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -self._log_prob(outputs, targets).sum()

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        raise NotImplementedError(f"{self._name}: it cannot be sampled")

    def _sample(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        """`sample` for outputs whose shape is known to fit."""
        check_temperature(temperature)
        values = outputs.detach().cpu().double()
        if not torch.isfinite(values).all():
            raise RunError("the model's outputs are not finite: its weights are damaged")
        drawn = self._draw(values, random, float(temperature))
        return (drawn.to(outputs.dtype) if drawn.is_floating_point() else drawn).to(outputs.device)

    def _wanted(self, targets: Tensor, counted: Any) -> Tensor | None:
        """Where a target counts (...); None for everywhere."""
        if counted is None:
            return None
        return checked(self._name, counted, targets.shape if self.target.width is None else targets.shape[:-1])

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        """ValueError for shapes and types that do not fit."""
        name, width = self._name, self.target.width
        if not isinstance(targets, Tensor):
            raise ValueError(f"{name}: targets is {type(targets).__name__}, expected a tensor")
        if self.target.dtype == "integers":
            check_integers(name, targets)
        elif targets.is_complex() or (targets.dtype == torch.bool and not self._takes_bool):
            raise ValueError(f"{name}: targets have dtype {targets.dtype}, expected floats")
        if targets.shape == self.target.shape(outputs.shape[:-1]) and outputs.shape[-1:] == (self.output_size,):
            return
        came = f"{name}: targets have shape {tuple(targets.shape)}"
        if width is None:
            raise ValueError(
                f"{came}, expected {tuple(outputs.shape[:-1])}: one for each of the scores, which have shape "
                f"{tuple(outputs.shape)} with V = {self.output_size}"
            )
        raise ValueError(
            f"{came}, outputs {tuple(outputs.shape)}, expected (..., width) and (..., outputs) for the same "
            f"positions, with width = {width} and outputs = {self.output_size}"
        )

    def _check_values(self, targets: Tensor) -> None:
        """ValueError for targets that the distribution cannot have."""

    def _check_outputs(self, outputs: Tensor) -> None:
        if not outputs.dim() or outputs.shape[-1] != self.output_size:
            raise ValueError(
                f"{self._name}: outputs have shape {tuple(outputs.shape)}, expected (..., {self.output_size})"
            )

    @property
    def _name(self) -> str:
        return type(self).__name__


def check_integers(name: str, targets: Tensor) -> None:
    """ValueError unless they are integers."""
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ValueError(f"{name}: targets have dtype {targets.dtype}, expected integers")


def checked(name: str, counted: Any, shape: torch.Size) -> Tensor:
    """``counted`` as it is, if it is bool and of that shape: whole numbers would pick by place."""
    if not isinstance(counted, Tensor) or counted.dtype != torch.bool or counted.shape != shape:
        came = f"{tuple(counted.shape)} {counted.dtype}" if isinstance(counted, Tensor) else type(counted).__name__
        raise ValueError(f"{name}: counted is {came}, expected a tensor {tuple(shape)} torch.bool")
    return counted


def positive(owner: str, name: str, value: Any) -> float:
    """A finite number above 0; ValueError for another value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{owner}: {name} must be a number above 0, got {value!r}")
    return float(value)
