"""Captions of a scene: every way of saying it that the data have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unrolled.tasks.caption.scenes.scene import Group, Scene

_NUMBERS = {1: ("a", "one"), 2: ("two",), 3: ("three",), 4: ("four",)}
_SIZES = {"small": ("small", "little"), "large": ("large", "big")}
_PLURALS = {"cross": "crosses"}
_BESIDE = {"left of": ("left of", "to the left of"), "above": ("above",)}
_REVERSED = {"left of": ("right of", "to the right of"), "above": ("below", "under")}
_PLACES = {"left of": ("on the left", "on the right"), "above": ("at the top", "at the bottom")}


def every_phrasing(scene: Scene) -> Iterator[str]:
    """All captions of a scene, each once.

    >>> sorted(every_phrasing(Scene((Group(2, "small", "red", "star"),))))[:3]
    ['there are two little red stars', 'there are two little stars in red', 'there are two small red stars']
    """
    if scene.relation is None:
        (group,) = scene.groups
        for one in _named(group):
            yield one
            yield f"there {_be(group)} {one}"
        return
    a, b = scene.groups
    for first in _named(a):
        for second in _named(b):
            yield from _related(scene.relation, a, b, first, second)


def phrasings(scene: Scene, count: int, random: np.random.Generator) -> list[str]:
    """Different captions of a scene, ``count`` of them, or all if there are fewer."""
    every = list(every_phrasing(scene))
    return [every[k] for k in random.permutation(len(every))[:count]]


def _related(relation: str, a: Group, b: Group, first: str, second: str) -> Iterator[str]:
    for words, one, other, group in (
        *((words, first, second, a) for words in _BESIDE[relation]),
        *((words, second, first, b) for words in _REVERSED[relation]),
    ):
        yield f"{one} {words} {other}"
        yield f"there {_be(group)} {one} {words} {other}"
    here, there = _PLACES[relation]
    yield f"{first} {here} and {second} {there}"
    yield f"{second} {there} and {first} {here}"
    yield f"{here} {_be(a)} {first}, {there} {_be(b)} {second}"
    yield f"{there} {_be(b)} {second}, {here} {_be(a)} {first}"


def _named(group: Group) -> Iterator[str]:
    noun = group.shape if group.count == 1 else _PLURALS.get(group.shape, group.shape + "s")
    for number in _NUMBERS[group.count]:
        for size in _SIZES[group.size]:
            yield f"{number} {size} {group.colour} {noun}"
            yield f"{number} {size} {noun} in {group.colour}"


def _be(group: Group) -> str:
    return "is" if group.count == 1 else "are"
