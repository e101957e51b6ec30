"""Parts of the data by combination: training lacks some combinations of attributes, but no value."""

from __future__ import annotations

from itertools import count, product

import numpy as np

from unrolled.errors import UsageError
from unrolled.tasks.caption.scenes.scene import ATTRIBUTES, RELATIONS, Group, Scene

PARTS = ("training", "validation", "test")
_ALONE = 0.3
"""How many scenes in all have one group."""


class Combinations:
    """Which part each combination of some attributes of a group belongs to.

    A tenth of the combinations is for the test part and a tenth for validation, drawn once, so that every value
    appears in training, in other company.

    Arguments:
        names: at least two attributes, as ``colour,shape``.

    Raises:
        UsageError: they are not attributes of a group.

    >>> parts = Combinations("colour,shape")
    >>> made = [parts.part_of(Group(1, "large", c, s)) for c in ATTRIBUTES["colour"] for s in ATTRIBUTES["shape"]]
    >>> [made.count(part) for part in PARTS]
    [24, 3, 3]
    """

    def __init__(self, names: str) -> None:
        self.names = tuple(name.strip() for name in names.split(","))
        if len(set(self.names) & set(ATTRIBUTES)) < max(2, len(self.names)):
            raise UsageError(f"--unseen: must be two or more of {', '.join(ATTRIBUTES)}, got {names!r}")
        every = list(product(*(ATTRIBUTES[name] for name in self.names)))
        few = max(1, len(every) // 10)
        values = sum(len(ATTRIBUTES[name]) for name in self.names)
        for seed in count():
            order = np.random.default_rng(seed).permutation(len(every))
            seen = {(k, value) for n in order[2 * few :] for k, value in enumerate(every[n])}
            if len(seen) == values:
                break
        self._held = {every[n]: "test" if k < few else "validation" for k, n in enumerate(order[: 2 * few])}

    def part_of(self, group: Group) -> str:
        """The part that a group belongs to."""
        return self._held.get(tuple(getattr(group, name) for name in self.names), "training")

    def part(self, scene: Scene) -> str:
        """The part of a scene: the one that sees most, of those that all of its groups belong to."""
        parts = {self.part_of(group) for group in scene.groups}
        return next(part for part in reversed(PARTS) if part in parts)

    def draw(self, part: str, random: np.random.Generator) -> Scene:
        """A scene of a part, drawn evenly from those with one group or from those with two."""
        many = random.random() >= _ALONE
        while True:
            groups = tuple(_any_group(random) for _ in range(1 + many))
            scene = Scene(groups, str(random.choice(RELATIONS)) if many else None)
            if self.part(scene) == part and len({group.kind for group in groups}) == len(groups):
                return scene


def parts_of(count: int, random: np.random.Generator) -> list[str]:
    """Parts of ``count`` pictures: a tenth for validation and a tenth for test, in any order."""
    held = round(count / 10)
    parts = ["test"] * held + ["validation"] * held + ["training"] * (count - 2 * held)
    return [parts[k] for k in random.permutation(count)]


def _any_group(random: np.random.Generator) -> Group:
    return Group(**{name: values[random.integers(len(values))] for name, values in ATTRIBUTES.items()})
