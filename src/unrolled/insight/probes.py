"""Probes: what the loop measures of the gradient through time, besides training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.engine.recording import Recording, recording
from unrolled.layers import Recurrent
from unrolled.layers.directions import directions
from unrolled.layers.modes import evaluating
from unrolled.layers.state import map_state
from unrolled.models.model import Model
from unrolled.training.batches import Batch, at_the_end
from unrolled.training.losses import Loss
from unrolled.training.task import Task

LONGEST = 2_000
"""Longer windows are not recorded: the curves would fill the history, and the gradients the memory."""

STRETCH, ACROSS = 50, 4
"""Steps and sequences over which units are looked at."""

LANES = 16
"""Sequences whose losses are followed back, of those in a batch."""

Curves = dict[str, list[float]]
"""For each layer and state, ``"1.h"``, one norm a step."""


class GradientProbe:
    """The sizes of gradients through time, of the stack of one `Model`; of another model there are none.

    Two different things. *By position*: ||dL/ds_t|| of the loss of a whole window, as training differentiates
    it, at every position t. Losses near t dominate it, so it says little of how far back a loss is felt.
    *By lag*: the same of the loss at the window's last step alone, k steps back from it, in the order in which
    the direction reads its steps. A direction that runs in reverse reads the last step first, so nothing lies
    back from there, and it has no curve; but in a many-to-one model the loss is at each direction's own end. A pool
    over all steps leaves the loss no step of its own, so there are no curves.

    Units:
        nats for one unit of the state; over all sequences of the batch, of the mean loss.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._ways = directions(model.stack.layers) if isinstance(model, Model) else {}
        self.gated = all(getattr(way.cell, "innermost", way.cell).keeps for way in self._ways.values())
        """Whether every cell has a gate that keeps its state."""

    @contextmanager
    def watching(self, batch: Batch, wanted: bool) -> Iterator[Recording | None]:
        """Inside, gradients are recorded if that is wanted and the window not too long."""
        if not wanted or not self._ways or len(batch.inputs) > LONGEST:
            yield None
            return
        with recording() as recorded:
            yield recorded

    def curves(self, recorded: Recording) -> Curves:
        """What was recorded, with three digits."""
        return {
            f"{layer}.{state}": [float(f"{norm:.3g}") for norm in norms.tolist()]
            for layer, way in self._ways.items()
            for state, norms in recorded.of(way.cell).items()
        }

    def by_lag(self, task: Task, batch: Batch, state: Any) -> Curves:
        """The loss of the window's last step alone: norms 0, 1, 2, ... steps back. Changes no gradient."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        with self.watching(batch, wanted=True) as recorded, evaluating(self.model):
            if recorded is None or not self._has_a_last_step():
                return {}
            to_many = self.model.graph == "many-to-many"
            few = at_the_end(batch, LANES, by_step=to_many)
            if few is None and not to_many:  # its loss may choose from targets of every step
                few = at_the_end(batch, LANES, by_step=True)
            if few is None:
                return {}
            with _earlier(self.model.head, to_many) as felt_earlier:
                losses = _loss(task, self.model, *few, state)
            if losses is None or not losses.count:
                return {}
            torch.autograd.grad(losses.total / losses.count, parameters, allow_unused=True)
            if any(felt_earlier):
                return {}
        by_lag = {}
        for name, norms in self.curves(recorded).items():
            positions = self._positions(name.rpartition(".")[0], len(norms))
            if len(positions) > 1 or len(norms) == 1:
                by_lag[name] = [norms[t] for t in positions]
        return by_lag

    def _has_a_last_step(self) -> bool:
        """Whether a loss may belong to the last step of a sequence of inputs, and to no other."""
        if not self._ways:
            return False
        head = self.model.head
        aligned = head is not None and getattr(head, "aligned", True)
        return self.model.graph.startswith("many") and self.model.pool is None and aligned

    def _positions(self, layer: str, T: int) -> range:
        """The steps that lie 0, 1, 2, ... back from that of the loss, in the order of one direction.

        There are none where the loss is at both ends: below a bidirectional layer that gives out its two ends.
        """

        def end(way: Recurrent) -> int:
            return 0 if way.reverse and self.model.graph == "many-to-one" else T - 1

        way, top = self._ways[layer], self._top()
        ends = {end(each) for each in ([way] if way in top else top)}
        if len(ends) > 1:
            return range(0)
        return range(ends.pop(), T) if way.reverse else range(ends.pop(), -1, -1)

    def _top(self) -> list[Recurrent]:
        """The directions of the uppermost recurrent layer."""
        layers = self.model.stack.layers
        found = (directions([layer]) for layer in reversed(layers))
        return list(next((ways for ways in found if ways), {}).values())

    def units(self, batch: Batch, state: Any) -> Iterator[tuple[str, dict[str, Tensor], tuple[str, ...]]]:
        """Of each layer that goes forward: its name, its equation's names over a stretch, its states.

        Each name has one row a step and sequence, (R, width); padding has none. Nothing is looked at where there is
        one input for a whole sequence.
        """
        if not self._ways or not self.model.graph.startswith("many"):
            return
        T, N = batch.inputs.shape[:2]
        lengths = torch.full((N,), T) if batch.lengths is None else batch.lengths
        lengths = lengths.to(batch.inputs.device)
        whole = lengths > 0
        if batch.resets is not None:  # layers name their gates without resets
            whole = whole & ~batch.resets[:STRETCH].any(0)
        chosen = whole.nonzero()[:ACROSS, 0]
        if not len(chosen):
            return
        inputs = batch.inputs[:STRETCH, chosen]
        inside = torch.arange(len(inputs), device=inputs.device)[:, None] < lengths[chosen]
        x = self.model.encoder(_without_padding(inputs, inside)).detach()
        number = 0
        for k, layer in enumerate(self.model.stack.layers):
            if not (layer.streams and layer.keeps_steps) or layer.constants:
                return
            first = None if state is None else tuple(s[chosen].detach() for s in state[k])
            if not isinstance(layer, Recurrent):
                x, _ = layer(x, first)
                continue
            named = layer.gates(x, first)
            rows = {
                label: values[inside]
                for label, values in named.items()
                if values.dim() == 3 and values.shape[:2] == inside.shape  # not a vector of parameters
            }
            number += 1
            yield f"{number}", rows, layer.cell.state
            x = named[layer.cell.state[0]]


def _loss(task: Task, model: Model, few: Batch, rows: Tensor, state: Any) -> Loss | None:
    """The loss of a batch cut by `at_the_end`; None where a task's own loss needs what was cut."""
    try:
        return task.loss(model, few, map_state(lambda s: s[rows], state))
    except Exception:
        if getattr(type(task), "loss", None) is Task.loss:
            raise
        return None


@contextmanager
def _earlier(head: nn.Module, to_many: bool) -> Iterator[list[bool]]:
    """Of what ``head`` reads inside, whether a gradient came to earlier steps than the last, once it is computed.

    A task's own loss may count steps that the mask of its batch leaves out.
    """
    felt: list[bool] = []

    def see(head: nn.Module, given: tuple[Tensor, ...]) -> None:
        if to_many and given[0].requires_grad:
            given[0].register_hook(lambda d: felt.append(bool(d[:-1].any())))

    handle = head.register_forward_pre_hook(see)
    try:
        yield felt
    finally:
        handle.remove()


def _without_padding(inputs: Tensor, inside: Tensor) -> Tensor:
    """The same (T, N, ...) with each sequence's first input in its padding, which may hold anything."""
    behind = (1,) * (inputs.dim() - 2)
    return torch.where(inside.view(*inside.shape, *behind), inputs, inputs[:1])
