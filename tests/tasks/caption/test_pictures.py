"""Picture files of all kinds, and files that are none."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unrolled.errors import DataError
from unrolled.tasks.caption.pictures import LARGEST, fitted, opened

RAMP = np.stack(np.broadcast_arrays(*np.ogrid[0:240:24j, 0:155:32j], 90.0), -1).round().astype(np.uint8)
"""24 x 32 pixels that differ everywhere."""


def encoded(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP", "JPEG", "AVIF", "JPEG2000"])
def test_a_picture_of_each_format(tmp_path, form):
    settings = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    (tmp_path / "p").write_bytes(encoded(Image.fromarray(RAMP), form, **settings))
    for picture in (tmp_path / "p", str(tmp_path / "p"), (tmp_path / "p").read_bytes()):
        found = opened(picture)
        assert found.shape == (24, 32, 3) and found.dtype == np.uint8
        assert np.abs(found.astype(int) - RAMP).mean() <= (
            3 if form in ("JPEG", "AVIF") else 0
        )  # these two lose some


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGBA", "P", "RGBX"])
def test_colours_of_any_kind(mode):
    image = Image.fromarray(RAMP)
    image = image.quantize(256) if mode == "P" else image.convert(mode)
    form = {"CMYK": "TIFF", "YCbCr": "TIFF", "RGBX": "TIFF"}.get(mode, "PNG")
    assert np.abs(opened(encoded(image, form)).astype(int) - RAMP).mean() < 3
    if mode == "CMYK":
        assert np.abs(opened(encoded(image, "JPEG", quality=95)).astype(int) - RAMP).mean() < 5


def test_gray_of_1_8_16_and_32_bits():
    gray = RAMP[..., 0]
    assert (opened(encoded(Image.fromarray(gray), "PNG")) == gray[..., None]).all()
    assert (opened(encoded(Image.fromarray(gray.astype(np.uint16) * 257), "PNG")) == gray[..., None]).all()
    assert (opened(encoded(Image.fromarray(gray > 100), "PNG")) == 255 * (gray > 100)[..., None]).all()
    for kind in (np.int32, np.uint16):
        assert (opened(encoded(Image.fromarray(gray.astype(kind) * 257), "TIFF")) == gray[..., None]).all()
    assert (opened(encoded(Image.fromarray(gray.astype(np.int32)), "TIFF")) == gray[..., None]).all()
    stretched = opened(encoded(Image.fromarray(gray.astype(np.float32) * 1e6), "TIFF")).astype(int)
    assert np.abs(stretched - np.rint(gray[..., None] * (255 / 240))).max() <= 1
    holes = np.where(gray > 100, np.nan, gray).astype(np.float32)
    assert opened(encoded(Image.fromarray(holes), "TIFF")).max() == 255


def test_what_is_transparent_is_white():
    image = Image.fromarray(np.dstack([RAMP, np.zeros(RAMP.shape[:2], np.uint8)]))
    assert (opened(encoded(image, "PNG")) == 255).all()
    black = Image.new("L", (5, 4))
    assert (opened(encoded(black, "PNG", transparency=0)) == 255).all()
    palette = Image.new("P", (5, 4))
    assert (opened(encoded(palette, "GIF", transparency=0)) == 255).all()
    half = Image.new("LA", (2, 2), (0, 128))
    assert (opened(encoded(half, "PNG")) == 127).all()


def test_a_picture_that_was_taken_upside_down():
    exif = Image.Exif()
    exif[0x0112] = 3
    assert (opened(encoded(Image.fromarray(RAMP), "PNG", exif=exif)) == RAMP[::-1, ::-1]).all()


def test_one_pixel_and_long_strips_become_squares():
    one = opened(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"))
    assert one.shape == (1, 1, 3) and (fitted(one, 5) == (9, 8, 7)).all()
    strip = np.zeros((1, 50_000, 3), np.uint8)
    strip[:, 24_999] = 200
    assert fitted(strip, 64).shape == (64, 64, 3) and (fitted(strip, 64) == 200).all()


def test_the_middle_is_kept_as_it_is():
    wide = np.zeros((8, 20, 3), np.uint8)
    wide[:, 6:14] = RAMP[:8, :8]
    assert (fitted(wide, 8) == RAMP[:8, :8]).all()
    assert np.abs(fitted(np.kron(RAMP[:8, :8], np.ones((4, 4, 1), np.uint8)), 8).astype(int) - RAMP[:8, :8]).max() < 9


def bomb(width, height):
    """A PNG file that says it has so many pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("sides", [(20_000, 20_000), (8_193, 8_192), (1, LARGEST + 1), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused(sides):
    with pytest.raises(DataError, match=r"the picture has.* more than 67,108,864 pixels"):
        opened(bomb(*sides))


def test_files_that_are_not_pictures(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "script.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\nshowpage\n"
    )
    for path in tmp_path.iterdir():
        with pytest.raises(DataError, match=f"{path.name} is not a picture"):
            opened(path)
    for path in (tmp_path, tmp_path / "none.png", tmp_path / "a\0b", tmp_path / ("a" * 400)):
        with pytest.raises(DataError):
            opened(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
def test_a_truncated_picture(form):
    content = encoded(Image.fromarray(RAMP), form)
    with pytest.raises(DataError, match="the picture is"):
        opened(content[: len(content) * 2 // 3])


WHOLE = [encoded(Image.fromarray(RAMP), form) for form in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA")]


@given(st.sampled_from(WHOLE), st.data())
@settings(deadline=None, max_examples=200)
def test_damage_is_read_or_refused(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.one_of(st.integers(0, min(90, len(damaged) - 1)), st.integers(0, len(damaged) - 1)))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        found = opened(bytes(damaged))
    except DataError:
        return
    assert found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8
