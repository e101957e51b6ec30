"""Sound as it comes: the text so far, in memory that does not grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from unrolled.errors import UsageError
from unrolled.layers.directions import read_ahead
from unrolled.models.decode import evaluating
from unrolled.models.device import device_of
from unrolled.models.heads.ctc import BLANK
from unrolled.models.model import Model
from unrolled.tasks.transcribe.fronts import Past, Spectra
from unrolled.tasks.transcribe.hearing import finite


class Listener:
    """The labels of a recording that is heard piece by piece: those of the greedy path of the whole recording.

    Arguments:
        model: it reads forward in all its layers.
        spectra: of its inputs; reduction: frames that make one of its steps.

    Raises:
        UsageError: the model reads backwards, too.
    """

    def __init__(self, model: Model, spectra: Spectra, reduction: int) -> None:
        if read_ahead(model.stack.layers):
            raise UsageError(
                "--stream: the model reads backward, too, so it needs the whole recording: train one with "
                "--direction forward"
            )
        self._model, self._spectra, self._reduction = model, spectra, reduction
        self._device = device_of(model)
        self._rest = np.zeros(0, np.float32)
        self._state: Any = None
        self._past: Past | None = None
        self._last, self._any = BLANK, False

    def hear(self, samples: np.ndarray) -> list[int]:
        """The labels that more samples bring: 16 bits, of any number."""
        self._rest = np.concatenate([self._rest, samples.astype(np.float32) * np.float32(self._spectra.unit)])
        mel = self._spectra.mel
        frames = (len(self._rest) - mel.window) // mel.hop + 1 if len(self._rest) >= mel.window else 0
        frames -= frames % self._reduction
        if not frames:
            return []
        heard = self._rest[: (frames - 1) * mel.hop + mel.window]
        self._rest = self._rest[frames * mel.hop :]
        return self._labels(heard)

    def end(self) -> list[int]:
        """The labels of what is left at the end."""
        left = self._rest
        too_short = len(left) < self._spectra.mel.window
        if not len(left) or (self._any and too_short):
            return []
        return self._labels(left)

    def _labels(self, samples: np.ndarray) -> list[int]:
        self._any = True
        inputs, self._past = self._spectra.after(torch.from_numpy(samples)[:, None], self._past)
        inputs = inputs.to(self._device)
        with evaluating(self._model):
            outputs, self._state = self._model(inputs, self._state)
        made = []
        for label in finite(outputs)[:, 0].argmax(-1).tolist():
            if label not in (self._last, BLANK):
                made.append(label)
            self._last = label
        return made
