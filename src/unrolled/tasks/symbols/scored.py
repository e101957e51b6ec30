"""The probability of a text, as a person and as a program read it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from unrolled.wording import counted


@dataclass(frozen=True)
class ScoredText:
    """A text and its probability; ``unknown`` symbols in it and before it were never seen in training.

    Units: ``log_probability`` and ``log_probabilities`` in nats.
    """

    text: str
    symbols: list[str]
    log_probabilities: list[float]
    unknown: int

    @property
    def log_probability(self) -> float:
        """log of the probability of the whole."""
        return sum(self.log_probabilities)

    @property
    def probability(self) -> float:
        """The product of the probabilities; 0.0 where it is too small for a float."""
        return math.exp(self.log_probability)

    def numbers(self) -> dict[str, Any]:
        """All of it, for programs."""
        return asdict(self) | {"probability": self.probability, "log_probability": self.log_probability}

    def lines(self, each: bool) -> list[str]:
        """All of it, for a person; with the probability of ``each`` symbol, if that is asked for."""
        log = self.log_probability
        bits = -log / math.log(2) / len(self.text)
        lines = [f"p = {_power(log)}  log p = {log:.3f} nats  {bits:.3f} bits per character  {_shown(self.text)}"]
        if self.unknown:
            lines.append(f"    {counted(self.unknown, 'symbols')} that the model never saw, scored as unknown")
        if each:
            pairs = zip(self.symbols, self.log_probabilities, strict=True)
            lines += [f"    {symbol!r:<16} {math.exp(one):.6f}" for symbol, one in pairs]
        return lines


def _shown(text: str) -> str:
    """The text, or the beginning of a long one."""
    return repr(text) if len(text) <= 60 else f"{text[:50]!r} ... ({len(text):,} characters)"


def _power(log_probability: float) -> str:
    """A probability from its logarithm, however small."""
    exponent = math.floor(log_probability / math.log(10))
    mantissa = math.exp(log_probability - exponent * math.log(10))
    return f"{mantissa:.3f}e{exponent:+03d}"
