"""Whether a caption is true of a scene.

The judge has words and a grammar of its own and shares nothing with what writes the captions, so that a mistake there
does not hide itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from unrolled.tasks.caption.scenes.scene import Scene

_COUNT = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_SIZE = {"small": "small", "little": "small", "tiny": "small", "large": "large", "big": "large", "huge": "large"}
_COLOUR = {word: word for word in ["red", "green", "blue", "yellow", "purple", "black"]}
_ONE = {word: word for word in ["circle", "square", "triangle", "star", "cross"]}
_MANY = {"circles": "circle", "squares": "square", "triangles": "triangle", "stars": "star", "crosses": "cross"}

# How the group that is named first lies to the other: the relation, and whether the two change places in it.
_RELATION = {
    r"(?:to the )?left of": ("left of", False),
    r"(?:to the )?right of": ("left of", True),
    r"above|over|on top of": ("above", False),
    r"below|under|beneath": ("above", True),
}
_PLACE = {
    r"(?:on|at|to) the left": ("left of", False),
    r"(?:on|at|to) the right": ("left of", True),
    r"(?:at|on|in) the top": ("above", False),
    r"(?:at|on|in) the bottom": ("above", True),
}


@dataclass(frozen=True)
class Said:
    """What a caption says of a group; None where it says nothing."""

    count: int | None = None
    size: str | None = None
    colour: str | None = None
    shape: str | None = None


@dataclass(frozen=True)
class Claim:
    """What a caption says: its groups, and the relation of the first to the second, as in `Scene`."""

    groups: tuple[Said, ...]
    relation: str | None = None


def facts(caption: str) -> Claim | None:
    """What a caption says; None if it cannot be understood.

    >>> facts("a blue circle below two red stars")  # doctest: +NORMALIZE_WHITESPACE
    Claim(groups=(Said(count=2, size=None, colour='red', shape='star'),
                  Said(count=1, size=None, colour='blue', shape='circle')), relation='above')
    """
    text = re.sub(r"\s*,\s*", " , ", " ".join(caption.lower().split())).removesuffix(".").strip()
    text = re.sub(r"^there (?:is|are) ", "", text)
    return _alone(text) or _related(text) or _placed(text)


def is_true(caption: str, scene: Scene) -> bool:
    """Whether a caption is true and complete: it says every attribute of every group, and the relation, rightly.

    >>> from unrolled.tasks.caption.scenes.scene import Group
    >>> scene = Scene((Group(1, "large", "red", "star"),))
    >>> [is_true(text, scene) for text in ("a big red star", "a red star", "a big red circle", "a red big")]
    [True, False, False, False]
    """
    claim = facts(caption)
    return claim is not None and _as_claim(scene) == claim


def picks(caption: str, scenes: Sequence[Scene]) -> int | None:
    """Which scene a caption agrees with in more attributes than with any other; None if it leaves that open."""
    claim = facts(caption)
    if claim is None:
        return None
    scores = [_agreement(claim, scene) for scene in scenes]
    best = max(scores)
    return scores.index(best) if scores.count(best) == 1 else None


def _agreement(claim: Claim, scene: Scene) -> int:
    """How many attributes a caption has right."""
    if len(claim.groups) != len(scene.groups):
        return 0
    right = sum(
        getattr(said, one.name) == getattr(group, one.name)
        for said, group in zip(claim.groups, scene.groups, strict=True)
        for one in fields(Said)
    )
    return right + (claim.relation == scene.relation)


def _as_claim(scene: Scene) -> Claim:
    return Claim(tuple(Said(g.count, g.size, g.colour, g.shape) for g in scene.groups), scene.relation)


def _alone(text: str) -> Claim | None:
    """``two small red circles``"""
    group = _group(text)
    return None if group is None else Claim((group,))


def _related(text: str) -> Claim | None:
    """``GROUP (is|are) RELATION GROUP``"""
    for words, (relation, exchanged) in _RELATION.items():
        found = re.fullmatch(rf"(.+?)(?: is| are)? (?:{words}) (.+)", text)
        if found and (claim := _claim(found[1], found[2], relation, exchanged)):
            return claim
    return None


def _placed(text: str) -> Claim | None:
    """``GROUP PLACE and GROUP PLACE``, or the place first: ``PLACE is GROUP , PLACE is GROUP``, or mixed."""
    for joint in (" , and ", " and ", " , "):
        halves = text.split(joint)
        if len(halves) != 2:
            continue
        first, second = map(_place, halves)
        if first and second and first[0] == second[0] and first[1] != second[1]:
            return _claim(first[2], second[2], first[0], first[1])
    return None


def _place(text: str) -> tuple[str, bool, str] | None:
    """The relation that a place belongs to, whether it is its second one, and the group that lies there."""
    for words, (relation, second) in _PLACE.items():
        found = re.fullmatch(rf"(?:{words})(?: is| are| there is| there are)? (.+)", text)
        found = found or re.fullmatch(rf"(.+?)(?: is| are)? (?:{words})", text)
        if found:
            return relation, second, found[1]
    return None


def _claim(first: str, second: str, relation: str, exchanged: bool) -> Claim | None:
    groups = _group(first), _group(second)
    if groups[0] is None or groups[1] is None:
        return None
    a, b = groups[::-1] if exchanged else groups
    assert a is not None and b is not None
    return Claim((a, b), relation)


def _group(text: str) -> Said | None:
    """``NUMBER SIZE COLOUR NOUN``, where size and colour may be missing or exchanged, or ``in COLOUR`` at the end."""
    words = text.split()
    colour = None
    if len(words) > 2 and words[-2] == "in":
        colour = _COLOUR.get(words[-1])
        if colour is None:
            return None
        words = words[:-2]
    count = _COUNT.get(words[0]) if words else None
    nouns = _ONE if count == 1 else _MANY
    if count is None or words[-1] not in nouns:
        return None
    size = None
    for word in words[1:-1]:
        if word in _SIZE and size is None:
            size = _SIZE[word]
        elif word in _COLOUR and colour is None:
            colour = _COLOUR[word]
        else:
            return None
    return Said(count, size, colour, nouns[words[-1]])
