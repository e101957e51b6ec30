"""Backpropagation through time over one batch: full, truncated, and with a window that slides."""

from __future__ import annotations

from typing import Any

import torch

from unrolled.layers.state import detach
from unrolled.models.model import Model
from unrolled.training.batches import Batch, each
from unrolled.training.losses import Loss


def batch_loss(model: Model, batch: Batch, state: Any) -> Loss:
    """The losses of one batch, and the states at which the next one begins.

    Equation::

        h_t = stack(x_t, h_{t-1}) over the batch, from the given states, which carry no gradient;
        loss = sum over the steps that count

    So the gradient of each loss reaches back to the batch's first step, or to the last reset, and stops there. With
    a window longer than the update step (R. Williams & J. Peng 1990: BPTT(h; h')), the window is recomputed with
    today's weights from the states that were stored at its start.

    Sequences with lengths are separate: they begin from the initial states, and carry none on. They may be of any
    of the model's graphs but one-to-many, where the head's inputs or steps are for the task to choose. Without
    lengths, those of a many-to-one model are separate, too.

    Returns:
        The sum of the losses (nats), their number, and the states ``batch.advance`` steps on, detached.
    """
    if batch.lengths is not None or model.graph != "many-to-many":
        outputs, _ = model(batch.inputs, lengths=batch.lengths, resets=batch.resets)
        return Loss(*model.head.loss(outputs, batch.targets, batch.mask))
    state = None if state is None else detach(state)
    x = model.encoder(batch.inputs)
    advance = len(x) if batch.advance is None else batch.advance
    resets = batch.resets
    if advance == len(x):
        h, state = model.unroll(x, state, resets=resets)
        following = state
    elif advance == 0:
        h, following = model.unroll(x, state, resets=resets)[0], state
    else:
        earlier, later = (None, None) if resets is None else (resets[:advance], resets[advance:])
        before, following = model.unroll(x[:advance], state, resets=earlier)
        after, _ = model.unroll(x[advance:], following, resets=later)
        h = torch.cat([before, after])
    first = 0 if batch.counted is None else len(h) - batch.counted
    outputs = model.read(h[first:])
    targets, mask = (each(lambda one: one[first:], named) for named in (batch.targets, batch.mask))
    total, count = model.head.loss(outputs, targets, mask)
    return Loss(total, count, following)
