"""What a scene is: one or two groups of equal objects, and how two of them lie to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from unrolled.errors import DataError

COUNTS = (1, 2, 3, 4)
SIZES = ("small", "large")
COLOURS = ("red", "green", "blue", "yellow", "purple", "black")
SHAPES = ("circle", "square", "triangle", "star", "cross")
ATTRIBUTES: Mapping[str, tuple[Any, ...]] = {"count": COUNTS, "size": SIZES, "colour": COLOURS, "shape": SHAPES}
"""Of a group, with all values that each may have."""

RELATIONS = ("left of", "above")
"""Of the first group to the second; right of and below are the same with the groups exchanged."""


@dataclass(frozen=True)
class Group:
    """Equal objects that lie together."""

    count: int
    size: str
    colour: str
    shape: str

    @property
    def kind(self) -> tuple[str, str, str]:
        """Everything but how many there are."""
        return self.size, self.colour, self.shape


@dataclass(frozen=True)
class Scene:
    """One group; or two of different kinds, and where the first lies, seen from the second.

    >>> scene = Scene((Group(2, "small", "red", "star"), Group(1, "large", "blue", "circle")), "left of")
    >>> Scene.from_json(scene.to_json()) == scene
    True
    """

    groups: tuple[Group, ...]
    relation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Groups as objects, and the relation."""
        return asdict(self)

    @staticmethod
    def from_json(value: Any) -> Scene:
        """The scene that `to_json` wrote; DataError if it is none."""
        try:
            groups = tuple(Group(**{name: group[name] for name in ATTRIBUTES}) for group in value["groups"])
            scene = Scene(groups, value["relation"])
        except (TypeError, KeyError) as error:
            raise DataError(f"not a scene: {str(value)[:80]}") from error
        if not is_valid(scene):
            raise DataError(f"there is no such scene: {str(value)[:80]}")
        return scene


def is_valid(scene: Scene) -> bool:
    """Whether its values are those of scenes, and two groups can be told apart."""
    known = all(getattr(group, name) in values for group in scene.groups for name, values in ATTRIBUTES.items())
    if len(scene.groups) == 1:
        return known and scene.relation is None
    kinds = {group.kind for group in scene.groups} if known else set()
    return len(scene.groups) == len(kinds) == 2 and scene.relation in RELATIONS


def neighbours(scene: Scene) -> Iterator[tuple[str, Scene]]:
    """Every scene that differs in one attribute, and which: ``colour`` of a group, or ``relation``."""
    for k, group in enumerate(scene.groups):
        for name, values in ATTRIBUTES.items():
            for value in values:
                groups = (*scene.groups[:k], replace(group, **{name: value}), *scene.groups[k + 1 :])
                other = replace(scene, groups=groups)
                if other != scene and is_valid(other):
                    yield name, other
    if scene.relation is not None:
        for relation in RELATIONS:
            for groups in (scene.groups, scene.groups[::-1]):
                if (groups, relation) != (scene.groups, scene.relation):
                    yield "relation", Scene(groups, relation)


def among(scene: Scene, count: int, random: np.random.Generator) -> list[Scene]:
    """The scene and ``count - 1`` that differ from it in one attribute, each attribute about as often.

    Raises:
        ValueError: there are not so many.

    >>> scene = Scene((Group(2, "small", "red", "star"),))
    >>> ten = among(scene, 10, np.random.default_rng(0))
    >>> ten[0] == scene, len(set(ten))
    (True, 10)
    """
    by_attribute: dict[str, list[Scene]] = {}
    for name, other in neighbours(scene):
        by_attribute.setdefault(name, []).append(other)
    shuffled = [[others[k] for k in random.permutation(len(others))] for others in by_attribute.values()]
    in_turn = [others[k] for k in range(max(map(len, shuffled))) for others in shuffled if k < len(others)]
    if len(in_turn) < count - 1:
        raise ValueError(f"{len(in_turn)} scenes differ from this one in one attribute, asked for {count - 1}")
    return [scene, *in_turn[: count - 1]]
