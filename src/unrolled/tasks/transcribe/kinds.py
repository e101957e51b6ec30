"""The two kinds of transcription: what is read, what the layers see of it, and how it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from unrolled.errors import UsageError
from unrolled.layers import Activation, Convolution, Layer, LayerNorm, TimeReduction
from unrolled.models.heads import CTC
from unrolled.options import flag
from unrolled.tasks.transcribe.choices import fitted
from unrolled.tasks.transcribe.features import LogMel
from unrolled.tasks.transcribe.fronts import PRIOR, WAVES, Currents, Front, Spectra
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.reading import Collection, read_speech
from unrolled.tasks.transcribe.reads.calling import WIDTH, beam_call
from unrolled.tasks.transcribe.reads.reading import read_reads
from unrolled.tasks.transcribe.scores import Reads, Transcripts
from unrolled.training.metric import Metric

_CHANNELS = (48, 96)
_KERNEL = 9
_UNITS = "deviation"
"""Of a read's current; see `Currents.normed`."""


class Kind:
    """What a kind of transcription has of its own.

    Attributes:
        name: in the side file. unit, step_unit, metrics: see `training.Task`.
        scores: what collects its transcripts.
        model: the direction, sizes and dropout that are chosen, the samples of a batch, and learning rates and
            weight decay of optimizers, of which the first is chosen.
        seen: what frames are, in words; shown: seconds of a recording in a picture.
        cure: what helps against a rate that is too low or too high.
        pauses: whether there are times in which nothing is said, which are learnt as well.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    step_unit: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    scores: ClassVar[Any]
    model: ClassVar[Mapping[str, Any]]
    seen: ClassVar[str]
    shown: ClassVar[float]
    cure: ClassVar[str] = ""
    pauses: ClassVar[bool] = False

    def read(self, data: str, options: TranscribeOptions, is_own: bool) -> Collection:
        """The data; ``is_own``: those that the settings were given for."""
        raise NotImplementedError

    def settled(self, options: TranscribeOptions, rate: int) -> TranscribeOptions:
        """The settings, once the rate of the data is known; UsageError for one that the kind does not have."""
        raise NotImplementedError

    def front(self, options: TranscribeOptions, sounds: Sequence[np.ndarray]) -> Front:
        """What stands before the layers, fitted to the training part."""
        raise NotImplementedError

    def kept(self, front: Any) -> dict[str, Any]:
        """What a run keeps of the front."""
        return {}

    def restored(self, options: TranscribeOptions, kept: Mapping[str, Any]) -> Front:
        """The front of a run; KeyError, TypeError or ValueError where it is damaged."""
        raise NotImplementedError

    def below(self, options: TranscribeOptions) -> list[Layer]:
        """The layers below the recurrent ones."""
        raise NotImplementedError

    def labels(self, head: CTC, outputs: Tensor, inside: Tensor) -> list[list[int]]:
        """The labels of each of some recordings (T, N, V), of which (T, N) are their own; those below 1 are none."""
        found: list[list[int]] = head.greedy(outputs, inside).T.tolist()
        return found


class Speech(Kind):
    """Sound to characters."""

    name = "speech"
    unit, step_unit = "recordings", "frames"
    metrics = (
        Metric("loss", "nats per character", brief_digits=3),
        Metric("cer", "of the characters wrong", label="CER", percent=True, digits=2, brief_digits=1),
        Metric("wer", "of the words wrong", label="WER", percent=True, digits=2, in_lines=False),
        Metric("exact", "of the recordings right", percent=True, digits=2, higher=True, brief_digits=1),
    )
    scores = Transcripts
    model: ClassVar[Mapping[str, Any]] = {
        "direction": "both",
        "hidden": 128,
        "layers": 2,
        "lr": {"adam": 0.002, "adamw": 0.002},
        "dropout": 0.2,
        "samples": 4_000_000,
    }
    seen, shown = "loudness", 12.0
    cure = ": have them resampled with --rate"
    pauses = True

    def read(self, data: str, options: TranscribeOptions, is_own: bool) -> Collection:
        return read_speech(data, options, is_own)

    def settled(self, options: TranscribeOptions, rate: int) -> TranscribeOptions:
        return replace(options, rate=rate, reduction=options.reduction or 2)

    def front(self, options: TranscribeOptions, sounds: Sequence[np.ndarray]) -> Front:
        return fitted(self._mel(options), sounds)

    def kept(self, front: Any) -> dict[str, Any]:
        return {"mean": front.mean.tolist(), "scale": front.scale.tolist(), "prior": PRIOR}

    def restored(self, options: TranscribeOptions, kept: Mapping[str, Any]) -> Front:
        mean, scale = (np.array(kept[name], dtype=np.float32) for name in ("mean", "scale"))
        if mean.shape != (options.mels,) or scale.shape != mean.shape:
            raise ValueError(f"it does not fit {options.mels} bands")
        if kept["prior"] != PRIOR:
            raise ValueError(f"its spectra are those of another version: {kept['prior']}, expected {PRIOR}")
        return Spectra(self._mel(options), mean, scale)

    def _mel(self, options: TranscribeOptions) -> LogMel:
        if options.rate is None:
            raise ValueError("its rate is missing")
        return LogMel(options.rate, options.mels)

    def below(self, options: TranscribeOptions) -> list[Layer]:
        assert options.reduction is not None
        width = options.reduction * options.mels
        reduced: list[Layer] = [TimeReduction(options.mels, options.reduction)] if options.reduction > 1 else []
        return [*reduced, LayerNorm(width)]


class Nanopore(Kind):
    """A nanopore's current to bases."""

    name = "reads"
    unit, step_unit = "reads", "samples"
    metrics = (
        Metric("loss", "nats per base", brief_digits=3),
        Metric("identity", "of aligned bases equal", percent=True, digits=2, higher=True, brief_digits=2),
        Metric("cer", "of the bases wrong", label="errors", percent=True, digits=2, in_lines=False),
    )
    scores = Reads
    model: ClassVar[Mapping[str, Any]] = {
        "direction": "alternating",
        "hidden": 128,
        "layers": 5,
        "lr": {"muon": 0.004, "adam": 0.003, "adamw": 0.003},
        "dropout": 0.0,
        "samples": 40_000,
    }
    seen, shown = "current", 0.25

    def read(self, data: str, options: TranscribeOptions, is_own: bool) -> Collection:
        return read_reads(data)

    def settled(self, options: TranscribeOptions, rate: int) -> TranscribeOptions:
        usual = TranscribeOptions()
        for name in ("transcripts", "pattern", "test", "mels", "join"):
            if getattr(options, name) != getattr(usual, name):
                raise UsageError(f"{flag(name)} is for sound, and these are reads of a nanopore: leave it out")
        return replace(options, rate=rate, reduction=options.reduction or 3, augment=False)

    def front(self, options: TranscribeOptions, sounds: Sequence[np.ndarray]) -> Front:
        assert options.rate is not None
        return Currents(options.rate)

    def kept(self, front: Any) -> dict[str, Any]:
        return {"waves": WAVES, "units": _UNITS}

    def restored(self, options: TranscribeOptions, kept: Mapping[str, Any]) -> Front:
        if options.rate is None:
            raise ValueError("its rate is missing")
        if (kept["waves"], kept["units"]) != (WAVES, _UNITS):
            own = f"{kept['waves']} waves in units of {kept['units']}"
            raise ValueError(f"its currents are those of another version: {own}, expected {WAVES} of {_UNITS}")
        return Currents(options.rate)

    def below(self, options: TranscribeOptions) -> list[Layer]:
        assert options.reduction is not None
        first, second = _CHANNELS
        return [
            Convolution(Currents.width, first, _KERNEL, padding=_KERNEL // 2),
            Activation(first),
            Convolution(first, second, _KERNEL, stride=options.reduction, padding=_KERNEL // 2),
            Activation(second),
            LayerNorm(second),
        ]

    def labels(self, head: CTC, outputs: Tensor, inside: Tensor) -> list[list[int]]:
        own = (outputs[within, n] for n, within in enumerate(inside.T))
        return [beam_call(one, WIDTH)[0] for one in own]


KINDS: dict[str, Kind] = {kind.name: kind for kind in (Speech(), Nanopore())}
