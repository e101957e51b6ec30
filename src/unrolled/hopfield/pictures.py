"""Pictures as states: read, made binary or graded, damaged, written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from unrolled.errors import DataError, UsageError

MOST = 64 * 64
"""Units that a memory has if no size is asked for: larger pictures are made smaller."""
LARGEST = 16384
"""Units up to which a matrix W is made: 2 GiB in double precision."""


def read(path: str | Path, size: tuple[int, int] | None = None, units: str = "binary") -> np.ndarray:
    """A picture as values from -1 (black) to 1 (white), (height, width); of binary units, -1 and 1 only.

    Any format that Pillow reads, in any colours; what is transparent is white. Binary pictures are divided at the
    level that separates their dark and light parts best.

    Arguments:
        size: (width, height); the picture's own, made smaller until it has at most 4,096 units, if None.

    Raises:
        DataError: the file is no picture, or is damaged.

    Source:
        N. Otsu, "A threshold selection method from gray-level histograms" (1979): the level.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            deep = opened.mode[0] in "IF"  # 16 or 32 bits a pixel: the darkest is black, the lightest white
            upright = ImageOps.exif_transpose(opened)
            whole = (Image.fromarray(_eight_bits(np.asarray(upright))) if deep else upright).convert("RGBA")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} has too many pixels; make it smaller") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a picture; save it again, for example as PNG") from error
    white = Image.new("RGBA", whole.size, "white")
    gray = Image.alpha_composite(white, whole).convert("L")
    gray = gray.resize(size or fitting(gray.size), Image.Resampling.BOX)
    values = np.asarray(gray, dtype=np.float64) / 127.5 - 1
    return np.where(values > _level(values), 1.0, -1.0) if units == "binary" else values


def fitting(size: tuple[int, int]) -> tuple[int, int]:
    """A size of the same shape with at most 4,096 units.

    >>> fitting((1280, 640)), fitting((30, 40))
    ((90, 45), (30, 40))
    """
    share = min(1.0, (MOST / (size[0] * size[1])) ** 0.5)
    width, height = (min(MOST, max(1, int(side * share))) for side in size)
    return width, height


def write(path: str | Path, values: np.ndarray, zoom: int = 1) -> None:
    """Write values from -1 to 1 as a gray picture; the name's ending says in which format."""
    gray = np.clip(np.round((values + 1) * 127.5), 0, 255).astype(np.uint8)
    picture = Image.fromarray(np.kron(gray, np.ones((zoom, zoom), dtype=np.uint8)))
    try:
        picture.save(path)
    except ValueError as error:
        raise UsageError(
            f"{path}: a picture's name must end in .png, .jpg or the ending of another image format"
        ) from error


def damage(values: np.ndarray, share: float, cover: float, units: str, seed: int) -> np.ndarray:
    """A copy in which that share of the units is wrong, and that share, from the bottom, is hidden.

    Binary units are turned over, hidden ones black; graded ones get a random value, hidden ones 0.
    """
    rng = np.random.default_rng(seed)
    out = values.copy()
    flat = out.reshape(-1)
    hit = rng.choice(flat.size, round(share * flat.size), replace=False)
    flat[hit] = -flat[hit] if units == "binary" else rng.uniform(-1, 1, len(hit))
    rows = round(cover * len(out))
    if rows:
        out[len(out) - rows :] = -1.0 if units == "binary" else 0.0
    return out


def _level(values: np.ndarray) -> float:
    """Otsu's level: the division with the largest variance between its two parts."""
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) == 1:
        return 0.0
    below = np.cumsum(counts)[:-1] / values.size
    mean_below = np.cumsum(levels * counts)[:-1] / values.size
    between = (mean_below - below * values.mean()) ** 2 / (below * (1 - below))
    k = int(between.argmax())
    return float(levels[k] + levels[k + 1]) / 2


def _eight_bits(deep: np.ndarray) -> np.ndarray:
    values = deep.astype(np.float64)
    span = float(np.ptp(values)) or 1.0
    return np.round(255 * (values - values.min()) / span).astype(np.uint8)
