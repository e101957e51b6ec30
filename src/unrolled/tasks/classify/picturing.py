"""Pictures of a classification: confusion, calibration, and what each label is known by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unrolled.insight.answers_figures import (
    draw_calibration,
    draw_confusion,
    draw_importance,
    draw_logo,
    draw_words,
)
from unrolled.insight.canvas import as_png
from unrolled.insight.importance import importance, mean_by_step
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.tasks.classify.symbols import Symbols
from unrolled.training.padded import stacked

_MOST = 500
"""Sequences whose importance is found."""
_SHOWN, _LABELS = 120, 10
_WORDS = 12


def pictures(
    model: Model,
    inputs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    symbols: Symbols,
    by_step: bool,
    figures: Mapping[str, Any],
) -> dict[str, bytes]:
    """PNG by file name; importance is that of the sequences of each label, for that label.

    Arguments:
        inputs, targets: of the part that is looked at.
        figures: the scores.
    """
    labels = [one["label"] for one in figures["classes"]]
    made = {
        "confusion.png": as_png(draw_confusion(np.array(figures["confusion"]), labels)),
        "calibration.png": as_png(draw_calibration(figures["calibration"])),
    }
    if by_step:
        return made
    for c, some in _some_of_each_label(np.array([int(label) for label in targets])):
        chosen = [np.asarray(inputs[k]) for k in some]
        found = _importance(model, chosen, c)
        title = f"what speaks for {labels[c]}: mean of {len(chosen):,} sequences"
        made[f"importance-{c + 1}-{_for_a_name(labels[c])}.png"] = as_png(_drawn(found, chosen, symbols, title))
    return made


def _some_of_each_label(targets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Labels by number, and which sequences stand for each: drawn, since those of a file may be in some order."""
    labels = np.unique(targets)[:_LABELS]
    random = np.random.default_rng(0)
    for c in labels:
        which = random.permutation(np.flatnonzero(targets == c))
        yield int(c), np.sort(which[: max(1, _MOST // len(labels))])


def _for_a_name(label: str) -> str:
    """What of a label may stand in the name of a file.

    >>> _for_a_name("splice site, 5'/3'"), _for_a_name("+")
    ('splice_site_5_3_', '+')
    """
    return re.sub(r"[^\w+-]+", "_", label)[:40]


def _importance(model: Model, sequences: list[np.ndarray], label: int) -> list[torch.Tensor]:
    """(T, D) of each."""
    device, found = device_of(model), []
    for start in range(0, len(sequences), 64):
        some = sequences[start : start + 64]
        lengths = torch.tensor([len(x) for x in some], device=device)
        targets = torch.full((len(some),), label, device=device)
        made = importance(model, stacked(some).to(device), targets, lengths)
        found += [made[: len(x), n].cpu() for n, x in enumerate(some)]
    return found


def _drawn(found: list[torch.Tensor], sequences: list[np.ndarray], symbols: Symbols, title: str) -> Any:
    steps = min(max(map(len, found)), _SHOWN)
    if symbols.alphabet is not None:
        return draw_logo(mean_by_step(found, steps).numpy(), symbols.alphabet.plain, title)
    if symbols.units == "values":
        names = [f"channel {c + 1}" for c in range(found[0].shape[1])]
        return draw_importance(mean_by_step(found, steps).numpy(), names, title)
    sums, counts = np.zeros(len(symbols.names)), np.zeros(len(symbols.names))
    for x, one in zip(sequences, found, strict=True):
        np.add.at(sums, x, one.sum(1).numpy())
        np.add.at(counts, x, 1)
    often = np.flatnonzero(counts >= min(2, counts.max()))
    order = often[np.argsort(-sums[often] / counts[often])]
    some = list(dict.fromkeys([*order[:_WORDS], *order[-_WORDS:]]))
    return draw_words([symbols.names[k] or "?" for k in some], [float(sums[k] / counts[k]) for k in some], title)
