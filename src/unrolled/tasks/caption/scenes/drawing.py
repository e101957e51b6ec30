"""Pictures of scenes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from unrolled.tasks.caption.scenes.scene import Group, Scene

_RGB = {
    "red": (215, 35, 35),
    "green": (40, 155, 60),
    "blue": (45, 85, 215),
    "yellow": (240, 205, 30),
    "purple": (145, 55, 175),
    "black": (25, 25, 25),
}
_RADIUS = {"small": 4.0, "large": 7.2}
"""Of an object, in 64ths of the picture."""
_CELL = 16
"""A cell that holds one object; a group lies in two by two of them."""
_FINE = 4
"""Pixels that are drawn for each that is kept, on each side."""


def draw(scene: Scene, random: np.random.Generator, size: int = 64) -> np.ndarray:
    """A picture (size, size, 3) of bytes; places, light and shades vary.

    Two groups lie much farther apart in the direction of their relation than in the other.
    """
    light = int(random.integers(225, 256))
    fine = Image.new("RGB", (size * _FINE, size * _FINE), (light, light, light))
    pen = ImageDraw.Draw(fine)
    unit = size * _FINE / 64
    for group, (x, y) in zip(scene.groups, _centres(scene, random), strict=True):
        shade = tuple(int(c) for c in np.clip(random.normal(_RGB[group.colour], 6), 0, 255))
        for dx, dy in _places(group, random).tolist():
            _draw_shape(pen, group.shape, (x + dx) * unit, (y + dy) * unit, _RADIUS[group.size] * unit, shade)
    return np.asarray(fine.reduce(_FINE))


def _centres(scene: Scene, random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Of each group, in 64ths of the picture."""
    middle, room = 32.0, 16.0
    if scene.relation is None:
        x, y = random.uniform(middle - room, middle + room, 2)
        yield float(x), float(y)
        return
    along = random.uniform(middle - room / 2, middle + room / 2)
    for at in (middle / 2, 3 * middle / 2):
        across = along + random.uniform(-2.5, 2.5)
        yield (at, across) if scene.relation == "left of" else (across, at)


def _places(group: Group, random: np.random.Generator) -> np.ndarray:
    """Of each object, seen from the middle of its group (count, 2)."""
    slack = min(2.0, _CELL / 2 - _RADIUS[group.size] - 0.5)
    cells = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])[random.permutation(4)[: group.count]]
    middle = (cells.min(axis=0) + cells.max(axis=0)) / 2
    return np.asarray((cells - middle) * _CELL + random.uniform(-slack, slack, cells.shape))


def _draw_shape(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float, colour: tuple[int, ...]) -> None:
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        return
    pen.polygon([(x + r * dx, y + r * dy) for dx, dy in _OUTLINES[shape]], fill=colour)


def _round(*radii: float, corners: int) -> list[tuple[float, float]]:
    """A polygon with its first corner above: radii in turn."""
    angles = [2 * math.pi * k / corners for k in range(corners)]
    return [
        (radii[k % len(radii)] * math.sin(angle), -radii[k % len(radii)] * math.cos(angle))
        for k, angle in enumerate(angles)
    ]


_ARM = 0.33
_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
    "triangle": [(0, -0.95), (1, 0.85), (-1, 0.85)],
    "star": _round(1.1, 0.42, corners=10),
    "cross": [
        *((-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM)),
        *((_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)),
    ],
}
"""Corners in units of the radius."""
