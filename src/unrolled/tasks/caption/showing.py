"""What people read about captions: the data, the scores, and why all captions are alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unrolled.tasks.caption.options import CaptionOptions
from unrolled.tasks.caption.reading import Collection
from unrolled.tasks.caption.scoring import GOOD
from unrolled.wording import shortened

_BAD, _WORST = 5, 3
_ALIKE = 0.9
"""Share of pictures with the same caption from which on that is said."""
_FEWEST = 5
"""Pictures of a part in which it is looked for."""
_BLIND = 0.02
"""Nats a word that the right picture must be worth, beside another one."""


def about(
    found: Collection,
    parts: Mapping[str, int],
    symbols: int,
    options: CaptionOptions,
    seen: str,
    frequent: tuple[str, float],
) -> list[tuple[str, str]]:
    """The data in a few lines."""
    captions = sum(len(one.captions) for one in found.pictures)
    rows = [
        ("pictures", f"{len(found.pictures):,}, with {captions:,} captions"),
        ("", ", ".join(f"{part} {size:,}" for part, size in parts.items())),
        (options.units, f"{symbols:,} different"),
        ("seen", f"{seen}; {_SEEN[options.image]}"),
        ("commonest", f"{shortened(frequent[0], 60)} ({frequent[1]:.1%} of the captions)"),
    ]
    return rows + left_out(found.left_out)


_SEEN = {"first": "as the first input", "state": "as the initial state", "attention": "by attention"}


def left_out(bad: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What cannot be used."""
    rows = [("left out" if k == 0 else "", f"{name}: {why}") for k, (name, why) in enumerate(bad[:_BAD])]
    return [*rows, ("", f"and {len(bad) - _BAD:,} more")] if len(bad) > _BAD else rows


def defined(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Without the CIDEr of a single picture, which is none."""
    return {name: value for name, value in figures.items() if name != "cider" or math.isfinite(value)}


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Scores in words, those of the baselines behind them."""
    made = _scores(figures)
    for name, scored in figures.get("baselines", {}).items():
        brief = [] if scored["bleu"][3] is None else [f"BLEU-4 {scored['bleu'][3]:.1f}"]
        if math.isfinite(scored["cider"]):
            brief.append(f"CIDEr {scored['cider']:.3f}")
        brief.append(f"ROUGE-L {scored['rouge_l']:.3f}")
        if "true_of_scene" in scored:
            brief.append(f"true {scored['true_of_scene']:.1%}")
        made.append((BASELINES[name], ", ".join(brief)))
    made += [("alike", sentence) for sentence in figures.get("alike", [])]
    if "successful" in figures:
        for name, sentence in zip(("best", "worst"), successes(figures), strict=True):
            made.append((name, sentence))
            made += [("", f"{one['name']}: {one['caption'] or 'nothing'}") for one in figures[name][:_WORST]]
    if "page" in figures:
        made.append(("page", figures["page"]))
    return made


def successes(figures: Mapping[str, Any]) -> tuple[str, str]:
    """How many captions are successful, and how many are not, and what that means here."""
    all_of, good = figures["scored"], figures["successful"]
    known = "true_of_scene" in figures
    counts = [f"{count:,}" if count else "none" for count in (good, all_of - good)]
    return (
        f"{counts[0]} of {all_of:,} {'are true and complete' if known else f'have a ROUGE-L of {GOOD} or more'}",
        f"{counts[1]} of {all_of:,} {'are not true, or not complete' if known else f'have a ROUGE-L below {GOOD}'}",
    )


BASELINES = {"most_frequent": "commonest", "nearest_picture": "nearest"}


def _scores(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "bleu" not in figures:
        return []
    bleu = ", ".join("-" if value is None else f"{value:.1f}" for value in figures["bleu"])
    if None in figures["bleu"]:
        bleu += f" (no caption has {figures['bleu'].index(None) + 1} words)"
    made = [
        ("BLEU-1 to 4", bleu),
        ("ROUGE-L", f"{figures['rouge_l']:.3f}"),
        ("distinct", f"{figures['distinct']:.1%} of the captions"),
    ]
    if not math.isfinite(figures["cider"]):
        made.insert(0, ("CIDEr", "needs two pictures or more"))
    if "true_of_scene" in figures:
        made.append(("true", f"{figures['true_of_scene']:.1%} of the captions are true and complete"))
        picks = f"{figures['picks_its_scene']:.1%} pick their scene out of ten (by chance 10%; a tie picks none)"
        made.append(("picks", picks))
    return made


def are_alike(share: float, pictures: int) -> bool:
    """Whether nearly every one of so many pictures has the same caption, which a share of them has."""
    return share >= _ALIKE and pictures >= _FEWEST


def alike(caption: str, share: float, training_share: float, spread: float, worth: float) -> list[str]:
    """Sentences where nearly every picture has the same caption: that it does, and likely causes.

    Arguments:
        caption, share: the commonest caption, and the share of pictures that have it.
        training_share: of the commonest caption in the training part.
        spread: standard deviation of what is seen over the pictures, by that within a picture.
        worth: nats a word by which captions are likelier with their own picture than with another one.
    """
    made = [f"{share:.0%} of the pictures have the same caption: {shortened(caption, 60) or 'nothing'}"]
    if training_share > 0.3:
        made.append(f"likely cause: {training_share:.0%} of the training captions are the same, too")
    if spread < 0.01:
        made.append("likely cause: the pictures, or their features, hardly differ from one another")
    if worth < _BLIND:
        made.append(
            f"likely cause: the network does not look at the picture, which is worth {worth:.3f} nats a word: "
            "train longer, or with another --lr, --hidden or --image"
        )
    if len(made) == 1:
        made.append(
            f"likely cause: the search prefers what is common, though the picture is worth {worth:.3f} nats a word: "
            "train longer, or try unrolled caption with --temperature 1, or a smaller --length-penalty"
        )
    return made
