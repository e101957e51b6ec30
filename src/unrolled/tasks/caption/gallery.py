"""A page of captions with their pictures and scores, and where the network looked as it wrote each word."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from unrolled.insight import page as html
from unrolled.tasks.caption.pictures import fitted

_SIDE, _SMALL = 288, 144
"""Pixels of the longer side of a picture; and of its middle, which the network sees, above each word."""
_QUALITY = 85
_MIST = 0.65
"""Share of white where the network does not look."""
_EDGE, _RIM = (214, 0, 147), (255, 255, 255)
"""Colours of the line around where it looks, and of what sets the line off."""
_LOOKS = (
    "Above each word is what the network looked at as it wrote it: the clearer, the more; the line is around all "
    "that has half of the largest weight or more."
)
_STYLE = (
    "<style>.gallery{display:flex;flex-direction:column;gap:1.5rem}.gallery article{display:flex;flex-wrap:wrap;"
    "gap:1rem;align-items:flex-start}.gallery article>div{flex:1 1 20rem}.gallery img{image-rendering:auto}"
    ".gallery h3{margin:0}.gallery article>.looks{display:flex;flex-wrap:wrap;gap:.4rem;flex:0 0 100%}"
    ".looks figure{margin:0;padding:.4rem;text-align:center;font-size:.8rem}.looks img{display:block}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.5rem}dd{margin:0}</style>"
)


@dataclass(frozen=True)
class Entry:
    """A picture with its caption.

    Fields:
        picture: (H, W, 3) bytes. said: ``name``, ``caption``, ``references`` and scores.
        words: of the caption. looks: the weight of each place as a word was written (words, K), K a square; or None.
    """

    picture: np.ndarray
    said: Mapping[str, Any]
    words: Sequence[str]
    looks: np.ndarray | None


def page(scores: Sequence[tuple[str, str]], shown: Sequence[tuple[str, Sequence[Entry]]]) -> bytes:
    """The page, with all pictures in it.

    Arguments:
        scores: a label and a sentence each. shown: a title, and its entries.
    """
    parts = [_STYLE, "<h1>Captions</h1>", _listed(scores)]
    if any(_has_looks(entry) for _, entries in shown for entry in entries):
        parts.append(f"<p>{html.text(_LOOKS)}</p>")
    for title, entries in shown:
        parts += [f"<h2>{html.text(title)}</h2>", '<div class="gallery">', *map(_article, entries), "</div>"]
    return html.page("Captions", "\n".join(parts)).encode("utf-8")


def _listed(scores: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{html.text(name)}</dt><dd>{html.text(said)}</dd>' for name, said in scores)}</dl>"


def looked(picture: Image.Image, weights: np.ndarray) -> Image.Image:
    """The picture, in mist where the network did not look, and a line around half the largest weight and more.

    Arguments:
        weights: of the places of a square grid (K,), row after row.
    """
    side = math.isqrt(len(weights))
    share = weights / max(float(weights.max()), 1e-9)
    small = Image.fromarray(np.rint(255 * share.reshape(side, side)).astype(np.uint8))
    clear = small.resize(picture.size, Image.Resampling.BICUBIC)
    misty = Image.blend(picture, Image.new("RGB", picture.size, "white"), _MIST)
    made = Image.composite(picture, misty, clear)
    inside = clear.point([255 * (value >= 128) for value in range(256)])
    made.paste(_RIM, mask=ImageChops.subtract(inside.filter(ImageFilter.MaxFilter(3)), inside))
    made.paste(_EDGE, mask=ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(5))))
    return made


def _article(entry: Entry) -> str:
    said = entry.said
    picture = _within(entry.picture, _SIDE)
    figures = [f"CIDEr {said['cider']:.2f}"] if math.isfinite(said["cider"]) else []
    figures.append(f"ROUGE-L {said['rouge_l']:.2f}")
    if "true" in said:
        figures.append("true and complete" if said["true"] else "not true, or not complete")
    return (
        f"<article>{_image(picture, said['caption'])}<div><h3>{html.text(said['caption'] or 'nothing')}</h3>"
        f"<p>{html.text(', '.join(figures))}</p>{html.listed(said['references'])}"
        f"<p>{html.text(said['name'])}</p></div>{_looks(entry)}</article>"
    )


def _looks(entry: Entry) -> str:
    if entry.looks is None or not _has_looks(entry):
        return ""
    small = Image.fromarray(fitted(entry.picture, _SMALL))
    figures = (
        f"<figure>{_image(looked(small, weights), word)}<figcaption>{html.text(word.strip())}</figcaption></figure>"
        for word, weights in zip(entry.words, entry.looks, strict=False)
    )
    return f'<div class="looks">{"".join(figures)}</div>'


def _has_looks(entry: Entry) -> bool:
    """Whether there are weights, of the places of a square."""
    return entry.looks is not None and math.isqrt(entry.looks.shape[1]) ** 2 == entry.looks.shape[1]


def _within(picture: np.ndarray, side: int) -> Image.Image:
    """The picture with a longer side of so many pixels."""
    made = Image.fromarray(picture)
    scale = side / max(made.size)
    size = (max(1, round(made.width * scale)), max(1, round(made.height * scale)))
    return made.resize(size, Image.Resampling.BICUBIC)


def _image(picture: Image.Image, words: str) -> str:
    file = io.BytesIO()
    picture.save(file, format="jpeg", quality=_QUALITY)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.text(words)}">'
