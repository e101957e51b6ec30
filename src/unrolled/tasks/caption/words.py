"""What captions are made of: words, or subwords; and the symbol that ends them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from unrolled.errors import DataError, RunError
from unrolled.tasks.caption.options import CaptionOptions
from unrolled.tasks.extras import needed
from unrolled.tasks.symbols.vocabulary import Vocabulary, split

_RARE = ((20_000, 5), (1_000, 2), (0, 1))
"""From how many captions on which words are too rare to be learnt; of few captions, sentences need them all."""
_WORDS, _SUBWORDS = 20_000, 2_000


class Symbols(Protocol):
    """The symbols of captions, by number.

    Attributes:
        end: the number behind all others, which ends a caption.
        unknown: numbers that are never written.
    """

    @property
    def end(self) -> int: ...
    @property
    def unknown(self) -> tuple[int, ...]: ...

    def encode(self, caption: str) -> np.ndarray:
        """The numbers of a caption, the end behind them."""
        ...

    def decode(self, numbers: Iterable[int]) -> str:
        """The caption of numbers, up to its end."""
        ...

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        """What each of the numbers but the end stands for."""
        ...

    def as_json(self) -> dict[str, Any]: ...


class Words:
    """Words and punctuation in lower case; number 0 is any other word.

    >>> words = Words(Vocabulary("words", ["", " a", " dog", "."], [0, 2, 1, 1]))
    >>> words.encode("A dog.").tolist(), words.decode([1, 2, 4])
    ([1, 2, 3, 4], 'a dog')
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.end = len(vocabulary)
        self.unknown = vocabulary.unknown

    @classmethod
    def of(cls, captions: Sequence[str], rare: int, most: int) -> Words:
        """Those that stand in at least ``rare`` of the captions, or the ``most`` commonest ones.

        Raises:
            DataError: there is no such word.
        """
        counts = Counter(word for caption in captions for word in set(_split(caption)))
        common = sorted((word for word in counts if counts[word] >= rare), key=lambda w: (-counts[w], w))[:most]
        if not common:
            raise DataError(f"no word stands in {rare} captions or more: give --rare 1")
        return cls(Vocabulary("words", ["", *common], [0, *(counts[word] for word in common)]))

    def encode(self, caption: str) -> np.ndarray:
        return np.append(self.vocabulary.encode(_spaced(caption)), self.end)

    def decode(self, numbers: Iterable[int]) -> str:
        return "".join(self.pieces(numbers)).strip()

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        return [self.vocabulary.symbols[k] for k in _up_to(numbers, self.end)]

    def as_json(self) -> dict[str, Any]:
        return self.vocabulary.as_json()


class Subwords:
    """Pieces of words, learnt from the training captions by byte pair encoding; nothing is unknown.

    Source:
        R. Sennrich, B. Haddow & A. Birch, "Neural machine translation of rare words with subword units" (2016), on
        bytes, by the library ``tokenizers``.
    """

    unknown: tuple[int, ...] = ()

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end: int = tokenizer.get_vocab_size()

    @classmethod
    def of(cls, captions: Sequence[str], most: int) -> Subwords:
        """At most so many pieces, and the 256 bytes at least."""
        library = needed("tokenizers", "Subwords")
        made = library.Tokenizer(library.models.BPE())
        made.normalizer = library.normalizers.NFC()
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        made.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=most, show_progress=False, initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet()
        )
        made.train_from_iterator(captions, trainer)
        return cls(made)

    def encode(self, caption: str) -> np.ndarray:
        return np.array([*self.tokenizer.encode(caption).ids, self.end], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        text: str = self.tokenizer.decode(_up_to(numbers, self.end))
        return text.strip()

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        return [self.tokenizer.decode([k]) for k in _up_to(numbers, self.end)]

    def as_json(self) -> dict[str, Any]:
        return {"units": "subwords", "tokenizer": self.tokenizer.to_str()}


def symbols_of(captions: Sequence[str], options: CaptionOptions) -> Symbols:
    """The symbols of the training captions."""
    if options.units == "subwords":
        return Subwords.of(captions, options.vocabulary_size or _SUBWORDS)
    rare = options.rare or next(rare for least, rare in _RARE if len(captions) >= least)
    return Words.of(captions, rare, options.vocabulary_size or _WORDS)


def symbols_from_json(content: Any, where: str) -> Symbols:
    """From a side file; RunError if it does not hold together."""
    if not isinstance(content, dict) or content.get("units") != "subwords":
        return Words(Vocabulary.from_json(content, where))
    try:
        return Subwords(needed("tokenizers", "Subwords").Tokenizer.from_str(content["tokenizer"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where} is damaged: {error}") from error
    except Exception as error:  # the library raises no narrower kind
        if type(error) is Exception:
            raise RunError(f"{where} is damaged: {error}") from error
        raise


def _split(caption: str) -> list[str]:
    return split(_spaced(caption), "words")


def _spaced(caption: str) -> str:
    """In lower case, one blank before each word, also before the first, so that it is the same word elsewhere."""
    return " " + " ".join(unicodedata.normalize("NFC", caption).lower().split())


def _up_to(numbers: Iterable[int], end: int) -> list[int]:
    made = []
    for number in numbers:
        if number == end:
            break
        made.append(int(number))
    return made
