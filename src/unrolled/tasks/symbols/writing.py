"""Writing text: symbols from a model as they come, with a prime and a stop string."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from unrolled.models.decode import Chooser, sample
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.models.philox import Philox
from unrolled.tasks.symbols.vocabulary import Vocabulary, as_text, to_bytes

_START_STREAM = 1 << 32
"""A place among a seed's numbers that no text is long enough to reach: the first symbol's number."""


def write(
    model: Model,
    vocabulary: Vocabulary,
    length: int,
    **settings: Any,
) -> Iterator[str]:
    """As `write_bytes`, decoded: bytes that are not UTF-8 become U+FFFD."""
    return as_text(write_bytes(model, vocabulary, length, **settings))


def write_bytes(
    model: Model,
    vocabulary: Vocabulary,
    length: int,
    *,
    prime: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: str | None = None,
    seed: int = 1,
) -> Iterator[bytes]:
    """The prime, then ``length`` symbols of the model's own, piece by piece, in UTF-8 or the model's own bytes.

    Without a prime the first symbol is drawn from the frequencies of the training text. The text ends
    before the first ``stop`` that the model writes.

    Raises:
        UsageError: the prime has symbols that the model does not know.
        ValueError: a setting out of range.
    """
    if not isinstance(length, int) or length < 0:
        raise ValueError(f"length must be a whole number from 0, got {length!r}")
    for name, one in (("prime", prime), ("stop", "" if stop is None else stop)):
        if not isinstance(one, str):
            raise ValueError(f"{name} must be text, got {one!r}")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    choose = Chooser(temperature, top_k, top_p, vocabulary.unknown)
    start = vocabulary.encode_known(prime, "prime")
    given = [to_bytes(prime)] if prime else []
    if not length:
        return iter(given)
    own: Iterable[int] = ()
    if not len(start):
        numbers = np.maximum(vocabulary.counts, 1e-300)  # zero counts keep a finite logarithm
        first = choose(np.log(numbers), Philox(seed, _START_STREAM).uniform())
        start, own, length = np.array([first]), (first,), length - 1
    device = device_of(model)
    own = itertools.chain(
        own,
        sample(
            model,
            torch.from_numpy(start).to(device).unsqueeze(1),
            length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            exclude=vocabulary.unknown,
        ),
    )
    pieces = vocabulary.as_bytes(own)
    return itertools.chain(given, until(pieces, to_bytes(stop)) if stop else pieces)


def until(pieces: Iterable[bytes], stop: bytes) -> Iterator[bytes]:
    """What comes before the first ``stop``, held back only where a stop may have begun.

    >>> b"".join(until([b"ab", b"cd", b"ef"], b"de"))
    b'abc'
    """
    held = b""
    for piece in pieces:
        held += piece
        end = held.find(stop)
        if end >= 0:
            yield held[:end]
            return
        keep = next((k for k in range(min(len(stop) - 1, len(held)), 0, -1) if stop.startswith(held[-k:])), 0)
        yield held[: len(held) - keep]
        held = held[len(held) - keep :]
    yield held
