"""What the program chooses for transcription where a person leaves it open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from unrolled.models.options import ModelOptions
from unrolled.tasks.transcribe.features import LogMel
from unrolled.tasks.transcribe.fronts import Spectra
from unrolled.training.options import TrainingOptions

_LOOKED_AT = 2_000
"""Recordings from which mean and scale of the bands are taken."""
_LEAST = 1 / 3
"""Of the largest scale: a band that is empty in training, as above the range of a telephone, would drown all
others where it is not."""
_MINUTES = 15.0
_FEWEST, _MOST = 2, 32
"""Recordings of a batch."""
_HIGHEST = 0.01
"""Of Muon's rates."""


def fitted(mel: LogMel, sounds: Sequence[np.ndarray]) -> Spectra:
    """Spectra in units of some of the training part."""
    count, total, squares = 0, np.zeros(mel.bands), np.zeros(mel.bands)
    for k in np.unique(np.linspace(0, len(sounds) - 1, _LOOKED_AT).astype(int)):
        y = mel(torch.from_numpy(sounds[int(k)].astype(np.float32) / 32768)[:, None])[:, 0].double().numpy()
        count, total, squares = count + len(y), total + y.sum(0), squares + np.square(y).sum(0)
    mean = total / count
    scale = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
    scale = np.maximum(scale, _LEAST * scale.max())
    return Spectra(mel, mean.astype(np.float32), scale.astype(np.float32))


def sizes(
    model: ModelOptions, training: TrainingOptions, usual: Mapping[str, Any], samples: float
) -> tuple[ModelOptions, TrainingOptions]:
    """Fill in sizes and the budget; ``usual`` says what depends on the kind of data.

    The rate of Muon falls with the square root of the budget: of nanopore reads, 665 updates learnt more at 0.008
    than at 0.005, 1,900 more at 0.006 than at 0.008, and about 4,000 more at 0.004 than at 0.005.

    Arguments:
        samples: of a recording, in the mean. Long ones are fewer in a batch.
    """
    model = replace(
        model,
        direction=model.direction or ("both" if model.layers == 1 else usual["direction"]),
        hidden=model.hidden or usual["hidden"],
        layers=model.layers or usual["layers"],
        dropout=model.dropout if model.dropout is not None else usual["dropout"],
    )
    fitting = int(usual["samples"] / max(samples, 1))
    training = replace(training, batch=training.batch or max(_FEWEST, min(_MOST, fitting)))
    if training.minutes is None and training.epochs is None:
        training = replace(training, minutes=_MINUTES)
    optimizer = training.optimizer or next(iter(usual["lr"]))
    lr = training.lr if training.lr is not None else usual["lr"].get(optimizer)
    if training.lr is None and optimizer == "muon" and lr is not None and training.minutes is not None:
        lr = float(f"{min(_HIGHEST, lr * math.sqrt(_MINUTES / training.minutes)):.2g}")
    return model, replace(training, optimizer=optimizer, lr=lr)
