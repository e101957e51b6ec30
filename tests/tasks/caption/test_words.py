"""What captions are made of."""

import numpy as np
import pytest

from unrolled.errors import DataError, RunError
from unrolled.tasks.caption.options import CaptionOptions
from unrolled.tasks.caption.words import Subwords, Words, symbols_from_json, symbols_of

CAPTIONS = ["A dog runs.", "a dog, sitting", "The  DOG runs!", "one zebra"]


def test_rare_words_are_unknown_and_never_written():
    words = Words.of(CAPTIONS, rare=2, most=10)
    assert set(words.vocabulary.symbols) == {"", " a", " dog", " runs"}
    numbers = words.encode("a zebra runs")
    assert numbers[-1] == words.end and (numbers == 0).sum() == 1
    assert words.unknown == (0,)
    assert words.decode(words.encode("A dog runs")) == "a dog runs"


def test_a_word_is_the_same_at_the_beginning_and_later():
    words = Words.of(["red on blue", "blue on red"], rare=1, most=10)
    assert words.encode("red")[0] == words.encode("on red")[1]
    assert len(words.vocabulary.symbols) == 4


def test_the_commonest_words_are_kept():
    assert Words.of(CAPTIONS, rare=1, most=1).vocabulary.symbols == ["", " dog"]
    with pytest.raises(DataError, match="no word stands in 3 captions or more: give --rare 1"):
        Words.of(["a", "b"], rare=3, most=9)


def test_a_caption_counts_once_for_each_of_its_words():
    assert Words.of(["go go go", "stop"], rare=1, most=9).vocabulary.counts.tolist() == [0, 1, 1]


@pytest.mark.parametrize("text", ["Größe, 日本 and 👍!", "A dog’s life", "", "x" * 50])
def test_subwords_know_every_text(text):
    pytest.importorskip("tokenizers")
    made = Subwords.of(CAPTIONS, 300)
    again = symbols_from_json(made.as_json(), "here")
    numbers = made.encode(text)
    assert numbers.dtype == np.int64 and numbers[-1] == made.end == again.end
    assert made.decode(numbers) == again.decode(numbers) == text
    assert "".join(made.pieces(made.encode("a dog runs"))).strip() == "a dog runs"


@pytest.mark.parametrize(("count", "known"), [(1, 1), (999, 1), (1_000, 2), (19_999, 2), (20_000, 5)])
def test_of_few_captions_every_word_is_known(count, known):
    captions = [" ".join(f"w{n}" for n in range(1, 7) if k < n) for k in range(count)]  # wn stands in n of them
    words = symbols_of([one or "other" for one in captions], CaptionOptions())
    assert words.decode(words.encode("w1 w2 w3 w4 w5 w6")) == " ".join(f"w{n}" for n in range(known, 7))


def test_words_are_kept_as_json():
    words = Words.of(CAPTIONS, rare=1, most=10)
    again = symbols_from_json(words.as_json(), "here")
    assert again.encode("a dog runs").tolist() == words.encode("a dog runs").tolist()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        {"units": "subwords"},
        {"units": "subwords", "tokenizer": "{"},
        {"units": "subwords", "tokenizer": 3},
    ],
)
def test_damaged_symbols(content):
    pytest.importorskip("tokenizers")
    with pytest.raises(RunError, match="here is damaged"):
        symbols_from_json(content, "here")
