"""Picture files as bytes of red, green and blue, whatever they are inside."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from unrolled.errors import DataError

LARGEST = 1 << 26
"""Pixels of a picture that is read; a larger one may be a few bytes that fill the memory."""
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA")
"""Formats of pixels alone: a reader of the others may start a program, as that of PostScript does."""


def opened(picture: str | Path | bytes, called: str | None = None) -> np.ndarray:
    """A picture (height, width, 3) of bytes, upright; what is transparent is white; of several frames the first.

    Arguments:
        picture: a file, or the content of one.
        called: what messages call it, by default its name.

    Raises:
        DataError: there is no such file, it is not a picture, is damaged, or has more than `LARGEST` pixels.
    """
    name = called or ("the picture" if isinstance(picture, bytes) else str(picture))
    try:
        if not isinstance(picture, bytes) and not Path(picture).is_file():
            raise DataError(f"there is no picture {picture}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of tags
            return _read(io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture), name)
    except (DataError, KeyboardInterrupt):
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name} is not a picture of a known format") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception as error:  # the decoders raise almost anything for damaged files
        raise DataError(f"{name} is damaged: {_first_line(error)}") from error


def fitted(picture: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of a picture, (size, size, 3).

    >>> fitted(np.zeros((30, 500, 3), np.uint8), 8).shape
    (8, 8, 3)
    """
    height, width = picture.shape[:2]
    if height == width == size:
        return picture
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def _read(file: io.BytesIO | Path, name: str) -> np.ndarray:
    Image.init()
    with Image.open(file, formats=[known for known in _FORMATS if known in Image.OPEN]) as image:
        if image.width * image.height > LARGEST:
            raise _too_large(name, image.size)
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith(("I", "F")):
            values = _eight_bits(np.asarray(upright), upright.mode.startswith("I;16"))
            return np.repeat(values[:, :, None], 3, axis=2)
        if not upright.has_transparency_data:
            return np.asarray(upright.convert("RGB"))
        whole = upright.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB"))


def _eight_bits(deep: np.ndarray, has_16: bool) -> np.ndarray:
    """Gray values of 16 bits as 8; other whole numbers, if they are those of 8 or 16 bits, as these are.

    All others go from the darkest, black, to the lightest, white.
    """
    values = np.nan_to_num(deep.astype(np.float64), posinf=0.0, neginf=0.0)
    if deep.dtype.kind in "iu" and values.min() >= 0 and values.max() < 1 << 16:
        return np.rint(values / (257 if has_16 or values.max() > 255 else 1)).astype(np.uint8)
    span = float(np.ptp(values)) or 1.0
    return np.rint(255 * (values - values.min()) / span).astype(np.uint8)


def _too_large(name: str, size: tuple[int, int] | None = None) -> DataError:
    has = "" if size is None else f" {size[0]:,} x {size[1]:,} pixels,"
    return DataError(f"{name} has{has} more than {LARGEST:,} pixels: make it smaller")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
