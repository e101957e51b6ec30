"""Writing text: symbols from a model as they come, with a prime and a stop string."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from unrolled.models.decode import Chooser, sample
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.models.philox import Philox
from unrolled.tasks.text.vocabulary import Vocabulary

_START_STREAM = 1 << 32
"""A place among a seed's numbers that no text is long enough to reach: the first symbol's number."""


def write(
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
) -> Iterator[str]:
    """The prime, then ``length`` symbols of the model's own, piece by piece.

    Without a prime the first symbol is drawn from the frequencies of the training text. The text ends
    before the first ``stop`` that the model writes.

    Raises:
        UsageError: the prime has symbols that the model does not know.
        ValueError: a setting out of range.
    """
    if length < 0:
        raise ValueError(f"length must be 0 or more, got {length}")
    choose = Chooser(temperature, top_k, top_p, vocabulary.unknown)
    start = vocabulary.encode_known(prime, "prime")
    if not length:
        return iter([prime])
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
    pieces = vocabulary.decode_stream(own)
    return itertools.chain([prime] if prime else [], until(pieces, stop) if stop else pieces)


def until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    """The text before the first ``stop``, held back only where a stop may have begun.

    >>> "".join(until(["ab", "cd", "ef"], "de"))
    'abc'
    """
    held = ""
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
