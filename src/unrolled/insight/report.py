"""The report of a run: what training kept and what was found, as a page, as pictures and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from unrolled.insight import sections
from unrolled.insight.about import About
from unrolled.insight.findings import Findings
from unrolled.insight.page import listed, page, text, tiles
from unrolled.insight.record import Record
from unrolled.insight.twin import twin
from unrolled.insight.words import findings_in_words, tiles_of


@dataclass(frozen=True)
class Report:
    """A page, its pictures as PNG files by name, its numbers for JSON, and its findings in sentences."""

    html: str
    pictures: dict[str, bytes]
    numbers: dict[str, Any]
    sentences: list[str]


def report(about: About, history: Record, findings: Findings | None) -> Report:
    """Everything that can be shown of a run; what cannot is left out, and ``about.notes`` say why.

    >>> from unrolled.insight.record import record
    >>> made = report(About("runs/<b>", "lstm", "character", notes=["no weights"]), record([]), None)
    >>> "<b>" in made.html.replace("<b>0</b>", ""), made.pictures, made.numbers["notes"]
    (False, {}, ['no weights'])
    """
    pictures: dict[str, bytes] = {}
    section = sections.Sections(about.unit, pictures)
    parts = [
        ("Learning", section.learning(history)),
        ("Gradient through time", section.gradients(history, findings)),
        ("Gates", "" if findings is None else section.gates(findings)),
        ("Units", "" if findings is None else section.units(findings)),
        ("Errors", "" if findings is None else section.errors(findings)),
        ("Samples", section.samples(about.samples)),
        ("Warnings", section.warnings(history)),
    ]
    parts = [(name, html) for name, html in parts if html]
    notes = [*about.notes, *(findings.notes if findings is not None else [])]
    sentences = findings_in_words(history, findings, about.unit, about.frequencies)
    head = [
        f"<header><h1>{text(about.title)}</h1>",
        f'<p class="soft">{text(about.model)}</p>',
        f'<p class="soft">Inspected while reading {text(about.origin)}.</p>' if about.origin else "",
        tiles(tiles_of(history, findings, about)),
        "".join(f'<p class="note">{text(note)}</p>' for note in notes),
        listed(sentences),
        _nav([name for name, _ in parts]),
        "</header>",
    ]
    body = [f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{html}</section>' for name, html in parts]
    foot = '<footer class="soft">Made by unrolled inspect. report.json contains all numbers on this page.</footer>'
    return Report(
        html=page(f"{about.title} - unrolled", "\n".join([*head, *body, foot])),
        pictures=pictures,
        numbers=twin(about, history, findings, notes, sentences),
        sentences=sentences,
    )


def _nav(names: Sequence[str]) -> str:
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in names)
    return f"<nav>{links}</nav>" if links else ""


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
