"""What a person can say about a text and its model. No torch here, so that help is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unrolled.errors import UsageError
from unrolled.training.options import check_types

UNITS = ("characters", "bytes", "words")
VOCABULARIES = ("extended", "same", "text")
MOST_LAYERS = 1_000
RECURRENT_INITS = ("orthogonal", "identity", "glorot")


@dataclass(frozen=True)
class TextOptions:
    """Settings of the text task; None where the program is to choose.

    ``cell`` is ``lstm``, ``gru``, ``elman`` or ``FILE.py:Class``. ``include`` picks files of a folder.
    ``split`` is the training, validation and test part in percent, in the order of the text.
    ``vocabulary_size`` is the most words that a vocabulary of words has; the rarer ones are unknown.
    ``vocabulary`` belongs to runs that start from another's weights: that run's and the text's symbols
    (``extended``), that run's alone (``same``), or the text's alone (``text``).
    ``recurrent_init``, ``forget_bias`` and ``chrono`` (the longest lag, in steps) are of the first weights.
    """

    cell: str = "lstm"
    hidden: int | None = None
    layers: int | None = None
    dropout: float | None = None
    units: str = "characters"
    split: str = "90/5/5"
    include: str = "**/*"
    vocabulary_size: int = 20_000
    recurrent_init: str = "orthogonal"
    forget_bias: float | None = None
    chrono: float | None = None
    vocabulary: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("hidden", "layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name}: must be a whole number from 1, got {value}")
        if self.layers is not None and self.layers > MOST_LAYERS:
            raise UsageError(f"--layers: must be at most {MOST_LAYERS:,}, got {self.layers:,}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout: must lie in [0, 1), got {self.dropout}")
        if self.units not in UNITS:
            raise UsageError(f"--units: must be one of {', '.join(UNITS)}, got {self.units!r}")
        if self.vocabulary_size < 2:
            raise UsageError(f"--vocabulary-size: must be at least 2, got {self.vocabulary_size}")
        if self.vocabulary not in (None, *VOCABULARIES):
            raise UsageError(f"--vocabulary: must be one of {', '.join(VOCABULARIES)}, got {self.vocabulary!r}")
        if self.recurrent_init not in RECURRENT_INITS:
            raise UsageError(
                f"--recurrent-init: must be one of {', '.join(RECURRENT_INITS)}, got {self.recurrent_init!r}"
            )
        if self.chrono is not None and not 2 < self.chrono < math.inf:
            raise UsageError(f"--chrono: must be the longest lag in steps, above 2, got {self.chrono}")
        if self.forget_bias is not None and not math.isfinite(self.forget_bias):
            raise UsageError(f"--forget-bias: must be a number, got {self.forget_bias}")
        if self.chrono is not None and self.forget_bias is not None:
            raise UsageError("--chrono sets the forget gates' biases itself: leave out --forget-bias or --chrono")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        try:
            training, validation, test = (int(part) for part in self.split.split("/"))
        except ValueError:
            training = validation = test = -1
        if training < 1 or validation < 0 or test < 0 or training + validation + test != 100:
            raise UsageError(
                "--split: expected training/validation/test in percent, with a sum of 100 and training above 0, "
                f"such as 90/5/5; got {self.split!r}"
            )
        return training, validation, test
