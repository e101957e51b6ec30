"""Captions of pictures that a model has not seen: a search, or draws, for many pictures at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unrolled.layers.constants import rows_of
from unrolled.layers.state import select
from unrolled.models.beam import beam_searches
from unrolled.models.decode import evaluating, samples
from unrolled.models.device import device_of
from unrolled.tasks.caption.captioner import Captioner, Start
from unrolled.tasks.caption.pairs import as_pictures

_AT_ONCE, _NUMBERS = 64, 1 << 24
"""Pictures side by side, and scores of symbols of all of their hypotheses."""


@dataclass(frozen=True)
class Search:
    """How captions are found.

    Fields:
        beam: width of the search; 1 is greedy; None draws each word.
        length_penalty: see `beam_search`. temperature, seed: of draws.
        count: captions a picture; of a search the best ones.
        longest: symbols of a caption, its end included.
        first: pictures of the same call that have been described before, whose draws are others.
    """

    longest: int
    beam: int | None = 3
    length_penalty: float = 0.7
    count: int = 1
    temperature: float = 1.0
    seed: int = 1
    first: int = 0


def written(
    model: Captioner, pictures: Sequence[np.ndarray], search: Search, exclude: Sequence[int]
) -> Iterator[list[tuple[int, ...]]]:
    """The symbols of the captions of each picture, the best first.

    Arguments:
        exclude: symbols that are never written.
    """
    device = device_of(model)
    width = max(search.beam or 1, search.count)
    at_once = max(1, min(_AT_ONCE, _NUMBERS // (width * (model.end + 1))))
    for first in range(0, len(pictures), at_once):
        some = [pictures[k] for k in range(first, min(first + at_once, len(pictures)))]
        with evaluating(model):
            begun = model.begun(as_pictures(some).to(device))
        if search.beam is None:
            yield from _drawn(model, begun, len(some), search, exclude, search.first + first)
        elif search.beam == 1 and search.count == 1:
            yield from ([one] for one in _several(model, begun, search, exclude, temperature=0))
        else:
            found = beam_searches(
                model.decoder,
                begun.start,
                search.longest,
                width=width,
                stop=model.end,
                exclude=exclude,
                length_penalty=search.length_penalty,
                state=begun.state,
                constants=begun.constants,
            )
            yield from ([one.symbols for one in best[: search.count]] for best in found)


def _drawn(
    model: Captioner, begun: Start, count: int, search: Search, exclude: Sequence[int], first: int
) -> Iterator[list[tuple[int, ...]]]:
    rows = torch.arange(count, device=begun.start.device).repeat_interleave(search.count)
    dim = 0 if model.image == "first" else 1
    repeated = Start(begun.start.index_select(dim, rows), select(begun.state, rows), rows_of(begun.constants, rows))
    made = _several(model, repeated, search, exclude, search.temperature, search.seed, first * search.count)
    for k in range(0, len(made), search.count):
        yield made[k : k + search.count]


def _several(
    model: Captioner,
    begun: Start,
    search: Search,
    exclude: Sequence[int],
    temperature: float,
    seed: int = 1,
    first: int = 0,
) -> list[tuple[int, ...]]:
    return samples(
        model.decoder,
        begun.start,
        search.longest,
        stop=model.end,
        temperature=temperature,
        seed=seed,
        first=first,
        exclude=exclude,
        state=begun.state,
        constants=begun.constants,
    )
