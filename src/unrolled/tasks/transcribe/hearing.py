"""What a model hears in recordings: outputs of many at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import RunError
from unrolled.models.decode import evaluating
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.tasks.transcribe.fronts import Front
from unrolled.training.padded import stacked

_SIDE_BY_SIDE = 32
_FRAMES = 60_000
"""Of all recordings that are heard at once, padding included."""


@dataclass(frozen=True)
class Heard:
    """Some recordings, and what the model said of them.

    Fields:
        which: their numbers.
        outputs: (T', N, V); inside: which of them are a recording's own (T', N).
        seconds: it took.
    """

    which: np.ndarray
    outputs: Tensor
    inside: Tensor
    seconds: float


def heard(model: Model, sounds: Sequence[np.ndarray], lengths: np.ndarray, front: Front) -> Iterator[Heard]:
    """The outputs for recordings, those of similar lengths together.

    Arguments:
        sounds: samples of each, 16 bits; lengths: how many.
    """
    order = np.argsort(lengths, kind="stable")
    frames = front.frames(torch.from_numpy(lengths.astype(np.int64))).numpy()
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and end - start < _SIDE_BY_SIDE:
            if (end + 1 - start) * frames[order[end]] > _FRAMES:
                break
            end += 1
        which = order[start:end]
        began = time.monotonic()
        outputs, inside = outputs_of(model, [sounds[int(k)] for k in which], front)
        yield Heard(which, outputs, inside, time.monotonic() - began)
        start = end


def outputs_of(model: Model, sounds: Sequence[np.ndarray], front: Front) -> tuple[Tensor, Tensor]:
    """The outputs (T', N, V) for recordings side by side, and which of them are a recording's own (T', N)."""
    device = device_of(model)
    lengths = front.frames(torch.tensor([len(x) for x in sounds]))
    inputs = front(stacked(sounds).float() * front.unit).to(device)
    with evaluating(model):
        outputs, _ = model(inputs, lengths=lengths.to(device))
    return outputs, inside(model, outputs, lengths.to(device))


def finite(outputs: Tensor) -> Tensor:
    """The same outputs; RunError if they are not all finite."""
    if not torch.isfinite(outputs).all():
        raise RunError("the model's outputs are not finite: its weights are damaged")
    return outputs


def steps_needed(labels: Tensor) -> Tensor:
    """The fewest steps (N,) that CTC needs for labels (S, N): one each, and a blank between equal ones.

    >>> steps_needed(torch.tensor([[1, 2], [1, -100], [2, -100]])).tolist()
    [4, 1]
    """
    return (labels > 0).sum(0) + ((labels[1:] == labels[:-1]) & (labels[1:] > 0)).sum(0)


def inside(model: Model, outputs: Tensor, lengths: Tensor) -> Tensor:
    """Which outputs (T', N) are those of a recording with so many frames (N,)."""
    within: Tensor = torch.arange(len(outputs), device=outputs.device)[:, None] < model.stack.output_lengths(lengths)
    return within
