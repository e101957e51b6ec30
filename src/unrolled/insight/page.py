"""The report as one HTML page: no network, no file beside it; all text in it is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from unicodedata import category

import numpy as np

_LOSSES, _SHADES = 7, 9
"""Colours for a loss, and for a unit; the middle one of these is none."""
NATS = 0.8
"""How much more loss one more shade is."""


def page(title: str, body: str) -> str:
    """A whole page around ``body``, which is HTML; ``title`` is text."""
    here = files("unrolled.insight")
    style = here.joinpath("report.css").read_text("utf-8") + _colours()
    script = here.joinpath("report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def visible(letters: str) -> str:
    """A text whose every character can be seen, and none gives orders: controls become their code.

    New lines, tabs and wide spaces stay.

    >>> visible("a\\x07b\\u202ec")
    'a\\\\x07b\\\\u202ec'
    """
    if letters.isprintable():
        return letters
    return "".join(c if c.isprintable() or c in "\n\t" or category(c) == "Zs" else _code(c) for c in letters)


def text(value: object) -> str:
    """Any text as HTML that shows it."""
    return escape(visible(str(value)))


def picture(svg: str, caption: str) -> str:
    """A figure with the text below it; nothing without one."""
    return f"<figure>{svg}<figcaption>{text(caption)}</figcaption></figure>" if svg else ""


def table(head: Sequence[str], rows: Sequence[Sequence[object]], code: Sequence[int] = ()) -> str:
    """A table; every cell is text, those of the columns ``code`` in letters of one width."""
    top = "".join(f"<th>{text(h)}</th>" for h in head)

    def cell(k: int, content: object) -> str:
        return f"<td{' class=code' if k in code else ''}>{text(content)}</td>"

    lines = ("".join(cell(k, c) for k, c in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def tiles(facts: Sequence[tuple[str, str]]) -> str:
    """Large numbers, each with what it is."""
    html = "".join(f'<div class="tile"><b>{text(n)}</b><span>{text(what)}</span></div>' for n, what in facts)
    return f'<div class="tiles">{html}</div>' if facts else ""


def listed(lines: Sequence[str]) -> str:
    """Sentences, one a line."""
    return f'<ul class="lead">{"".join(f"<li>{text(line)}</li>" for line in lines)}</ul>' if lines else ""


def shades(values: np.ndarray) -> np.ndarray:
    """Colours 0 to 8 of a unit's values, from their own 2nd to their 98th percentile.

    >>> shades(np.array([-1.0, 0.0, 1.0])).tolist(), shades(np.array([2.0, 2.0])).tolist()
    ([0, 4, 8], [4, 4])
    """
    low, high = np.percentile(values, [2, 98])
    middle, reach = (low + high) / 2, max((high - low) / 2, 1e-9)
    steps = _SHADES // 2
    return np.clip(np.rint((values - middle) / reach * steps), -steps, steps).astype(int) + steps


def by_unit(symbols: Sequence[str], values: np.ndarray) -> str:
    """Text coloured by a unit: blue where it is low, orange where it is high; neighbours of one colour share a span.

    >>> by_unit(["<", "b"], np.array([-1.0, 1.0]))
    '<pre class="text"><i class="u0">&lt;</i><i class="u8">b</i></pre>'
    """
    colours, spans, start = shades(values), [], 0
    for t in range(1, len(symbols) + 1):
        if t == len(symbols) or colours[t] != colours[start]:
            spans.append(f'<i class="u{colours[start]}">{"".join(_letter(s) for s in symbols[start:t])}</i>')
            start = t
    return f'<pre class="text">{"".join(spans)}</pre>'


def reader(symbols: Sequence[str], unknown: np.ndarray, loss: np.ndarray, titles: Sequence[str]) -> str:
    """The text, each symbol coloured by its loss in nats, with what is told of it; NaN: no colour.

    Shapes:
        symbols, unknown, loss, titles: (T,) each.
    """
    spans = []
    for symbol, odd, nats, title in zip(symbols, unknown, loss, titles, strict=True):
        shade = int(min(max(nats, 0) / NATS, _LOSSES - 1)) if np.isfinite(nats) else 0
        mark = " x" if odd else ""
        spans.append(f'<i class="l{shade}{mark}" title="{text(title)}">{_letter(symbol)}</i>')
    return f'<pre class="text" id="reader">{"".join(spans)}</pre>'


def chooser(labels: Sequence[str], traces: Sequence[np.ndarray]) -> str:
    """What the text may be coloured by: the loss, or one of these units. Shown by the script alone."""
    options = "".join(f'<option value="{k}">{text(label)}</option>' for k, label in enumerate(labels))
    values = json.dumps(["".join(map(str, shades(v))) for v in traces])
    return (
        '<div class="tools" id="tools" hidden><label>Colour by <select id="by" autocomplete="off">'
        f'<option value="">loss</option>{options}</select></label></div>'
        f'<script type="application/json" id="traces">{values}</script>'
    )


def scales() -> str:
    """What the colours stand for."""
    losses = "".join(f'<i class="l{k}"></i>' for k in range(_LOSSES))
    units = "".join(f'<i class="u{k}"></i>' for k in range(_SHADES))
    most = NATS * (_LOSSES - 1)
    return (
        f'<p class="scale" id="losses">loss 0 <span>{losses}</span> {most:.1f} nats or more</p>'
        f'<p class="scale" id="values" hidden>unit low <span>{units}</span> high</p>'
    )


def unit_scale() -> str:
    """What the colours of a unit stand for, where there is no choice."""
    return f'<p class="scale">low <span>{"".join(f"<i class=u{k}></i>" for k in range(_SHADES))}</span> high</p>'


def _letter(symbol: str) -> str:
    """A symbol in a coloured text; the end of a line can be seen."""
    return text(symbol).replace("\n", "↵\n")


def _code(c: str) -> str:
    return c.encode("unicode_escape", "backslashreplace").decode("ascii")


def _colours() -> str:
    """Backgrounds over the page's own, so that they suit light and dark."""
    rules = [f".l{k}{{background:rgba(var(--loss),{0.62 * k / (_LOSSES - 1):.2f})}}" for k in range(_LOSSES)]
    middle = _SHADES // 2
    for k in range(_SHADES):
        side = "low" if k < middle else "high"
        rules.append(f".u{k}{{background:rgba(var(--{side}),{0.62 * abs(k - middle) / middle:.2f})}}")
    return "\n".join(rules) + "\n"
