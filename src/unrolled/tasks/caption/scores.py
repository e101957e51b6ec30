"""How good captions are, beside those that people gave: BLEU, CIDEr-D and ROUGE-L."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from unrolled.tasks.extras import needed

_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Letters of scripts without blanks between words."""
_WORD = rf"[\w--{_ALONE}]"
_TOKEN = regex.compile(rf"(?V1){_ALONE}\p{{M}}*|{_WORD}+(?:['’-]{_WORD}+)*")
_BLEU, _CIDER, _ROUGE = "sacrebleu", "pycocoevalcap.cider.cider", "pycocoevalcap.rouge.rouge"
_WHAT = "Scores of captions"


@dataclass(frozen=True)
class Scores:
    """Scores of a part.

    Fields:
        bleu: of n-grams up to 1, 2, 3 and 4, in percent; None where no caption has so many words.
        cider, rouge_l: means of those of each picture.
        distinct: share of different captions among all.
        each_cider, each_rouge_l: of each picture.
    """

    bleu: tuple[float | None, ...]
    cider: float
    rouge_l: float
    distinct: float
    each_cider: Sequence[float]
    each_rouge_l: Sequence[float]

    def as_json(self) -> dict[str, Any]:
        """The figures of the whole part."""
        return {
            "bleu": list(self.bleu),
            "cider": self.cider,
            "rouge_l": self.rouge_l,
            "distinct": self.distinct,
        }


def tokens(caption: str) -> str:
    """A caption as it is scored: words in lower case with one blank between them, and no punctuation.

    In scripts without blanks, as Chinese, each letter is a word.

    >>> tokens("A man's best friend, sitting.")
    "a man's best friend sitting"
    >>> tokens("一只狗。")
    '一 只 狗'
    """
    return " ".join(_TOKEN.findall(unicodedata.normalize("NFC", caption).lower()))


def check_scorers() -> None:
    """UsageError where a library is missing that scores are made with."""
    for name in (_BLEU, _CIDER, _ROUGE):
        needed(name, _WHAT)


def scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Scores of a caption for each picture, beside all references of the picture.

    CIDEr weights words by how few pictures of these have them, so that it needs two pictures at least: it is NaN for
    one.

    Source:
        BLEU: sacrebleu, on `tokens`, of all captions together, with its exponential smoothing: where no n-gram of a
        length is right, 1/2 is counted, of the next such length 1/4, and so on.
        CIDEr-D and ROUGE-L: pycocoevalcap, on `tokens` in place of the Penn Treebank's, which need Java.
    """
    said = [tokens(caption) for caption in captions]
    known = [[tokens(one) for one in several] for several in references]
    cider, each_cider = _cider(said, known)
    each_rouge = _rouge_l(said, known)
    return Scores(
        bleu=_bleu(said, known),
        cider=cider,
        rouge_l=sum(each_rouge) / len(each_rouge),
        distinct=len(set(said)) / len(said),
        each_cider=each_cider,
        each_rouge_l=each_rouge,
    )


def _bleu(said: Sequence[str], known: Sequence[Sequence[str]]) -> tuple[float | None, ...]:
    metrics = needed(_BLEU, _WHAT).metrics
    most = max(map(len, known))
    streams = [[several[k] if k < len(several) else None for several in known] for k in range(most)]
    made: list[float | None] = []
    for n in (1, 2, 3, 4):
        found = metrics.BLEU(tokenize="none", force=True, max_ngram_order=n).corpus_score(list(said), streams)
        has_any = n == 1 or found.totals[n - 1] > 0
        made.append(float(found.score) if has_any else None)
    return tuple(made)


def _cider(said: Sequence[str], known: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    cider = needed(_CIDER, _WHAT).Cider()
    if len(said) < 2:
        return math.nan, [math.nan] * len(said)
    if not any(one for several in known for one in several):
        return 0.0, [0.0] * len(said)
    mean, each = cider.compute_score(_by_number(known), _by_number([[one] for one in said]))
    return float(mean), [float(value) for value in each]


def _rouge_l(said: Sequence[str], known: Sequence[Sequence[str]]) -> list[float]:
    rouge = needed(_ROUGE, _WHAT).Rouge()
    return [
        float(rouge.calc_score([one], list(several))) if one and any(several) else 0.0
        for one, several in zip(said, known, strict=True)
    ]


def _by_number(texts: Sequence[Sequence[str]]) -> Mapping[int, list[str]]:
    return {k: list(several) for k, several in enumerate(texts)}
