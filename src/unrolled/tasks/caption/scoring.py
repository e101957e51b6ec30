"""Captions of a part, and how good they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.tasks.caption.scenes.judging import is_true, picks
from unrolled.tasks.caption.scenes.scene import Scene, among
from unrolled.tasks.caption.scores import Scores, scores, tokens

_LISTED = 12
"""Captions of the best, and as many of the worst."""
GOOD = 0.5
"""ROUGE-L from which on a caption is successful, where nothing is known of its picture."""
_AMONG = 10
"""Scenes from which a caption is to pick its own: they differ in one attribute."""


@dataclass(frozen=True)
class Judged:
    """Captions of scenes that are known, judged by them.

    Fields:
        true: whether each caption is true and complete.
        picked: whether it fits its scene better than nine others; one that fits another one as well picks none, and
            a guess is right once in ten times.
    """

    true: Sequence[bool]
    picked: Sequence[bool]

    def as_json(self) -> dict[str, Any]:
        """The shares."""
        return {"true_of_scene": float(np.mean(self.true)), "picks_its_scene": float(np.mean(self.picked))}


@dataclass(frozen=True)
class Written:
    """The captions of a part.

    Fields:
        names: of the pictures. captions: one each. references: those that people gave.
        loss, words: nats a word of the references, and how many words that are.
        scores, judged: how good the captions are; the latter None where nothing is known of the pictures.
    """

    names: Sequence[str]
    captions: Sequence[str]
    references: Sequence[Sequence[str]]
    loss: float
    scores: Scores
    judged: Judged | None

    def means(self) -> dict[str, Any]:
        """What training is told."""
        made = {"loss": self.loss, "scored": len(self.names), **self.scores.as_json()}
        return made if self.judged is None else made | self.judged.as_json()

    def figures(self) -> dict[str, Any]:
        """The same, how many captions are successful, the best of these, and the worst of the others."""
        order = self._order()
        good = [k for k in order if self._is_good(k)]
        bad = [k for k in reversed(order) if not self._is_good(k)]
        return self.means() | {
            "successful": len(good),
            "best": [self._one(k) for k in good[:_LISTED]],
            "worst": [self._one(k) for k in bad[:_LISTED]],
        }

    def _is_good(self, k: int) -> bool:
        return bool(self.judged.true[k]) if self.judged else self.scores.each_rouge_l[k] >= GOOD

    def commonest(self) -> tuple[str, float]:
        """The caption that most pictures got, and the share that did."""
        caption, count = Counter(map(tokens, self.captions)).most_common(1)[0]
        return caption, count / len(self.captions)

    def _order(self) -> list[int]:
        """The numbers of the pictures, those with the best captions first."""
        s, true = self.scores, self.judged.true if self.judged else [True] * len(self.names)
        cider = np.nan_to_num(np.asarray(s.each_cider))
        return sorted(range(len(self.names)), key=lambda k: (-true[k], -cider[k], -s.each_rouge_l[k], k))

    def _one(self, k: int) -> dict[str, Any]:
        made = {
            "name": self.names[k],
            "caption": self.captions[k],
            "references": list(self.references[k]),
            "cider": self.scores.each_cider[k],
            "rouge_l": self.scores.each_rouge_l[k],
        }
        return made if self.judged is None else made | {"true": bool(self.judged.true[k])}


def judged(captions: Sequence[str], scenes: Sequence[Scene | None]) -> Judged | None:
    """Captions judged by what is known of their pictures; None where it is not known of all."""
    known = [scene for scene in scenes if scene is not None]
    if len(known) < len(scenes):
        return None
    random = np.random.default_rng(0)
    pairs = list(zip(captions, known, strict=True))
    return Judged(
        [is_true(caption, scene) for caption, scene in pairs],
        [picks(caption, among(scene, _AMONG, random)) == 0 for caption, scene in pairs],
    )


def baseline(
    captions: Sequence[str], references: Sequence[Sequence[str]], scenes: Sequence[Scene | None]
) -> Mapping[str, Any]:
    """The figures of captions that no network wrote."""
    found = judged(captions, scenes)
    return scores(captions, references).as_json() | ({} if found is None else found.as_json())
