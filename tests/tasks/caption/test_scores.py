"""Scores of captions: by hand where that is short, and by what they must be."""

import math

import pytest

from unrolled.tasks.caption.scores import scores, tokens

pytest.importorskip("sacrebleu")
pytest.importorskip("pycocoevalcap")

KNOWN = [["A dog runs.", "a dog is running"], ["two cats"], ["a red car", "the car is red", "a car"]]


def test_tokens():
    assert tokens("A man's best-loved friend, sitting: “Größe” 3!") == "a man's best-loved friend sitting größe 3"


def test_captions_that_people_gave_are_perfect():
    made = scores(["a dog is running", "Two cats!", "the car is red"], KNOWN)
    assert made.bleu[0] == pytest.approx(100)
    assert made.rouge_l == pytest.approx(1)
    assert made.distinct == 1
    assert all(value > 2 for value in made.each_cider)


def test_bleu_by_hand():
    """Of 5 words 3 are in a reference of their own; the nearest references have 5 words in all."""
    made = scores(["a dog sits", "two dogs"], KNOWN[:2])
    assert made.bleu[0] == pytest.approx(100 * 3 / 5)
    brief = scores(["a dog", "two"], KNOWN[:2])
    assert brief.bleu[0] == pytest.approx(100 * math.exp(1 - 5 / 3))


def test_rouge_by_hand():
    """The longest common subsequence of "a dog sits" has 2 words of 3 with "a dog runs"; beta is 1.2."""
    made = scores(["a dog sits"], [["a dog runs"]])
    assert made.rouge_l == pytest.approx(2 / 3)
    made = scores(["dog"], [["a dog"]])
    assert made.rouge_l == pytest.approx((1 + 1.2**2) * 1 * 0.5 / (0.5 + 1.2**2 * 1))


def test_cider_by_hand():
    """Of one word that both have, and no other picture, the cosine of unigrams is 1, and of longer n-grams 0."""
    made = scores(["dog", "cat"], [["dog"], ["bird"]])
    assert made.each_cider == pytest.approx([10 / 4, 0])
    assert made.cider == pytest.approx(10 / 8)


def test_one_picture_has_no_cider():
    made = scores(["a dog"], [["a dog"]])
    assert math.isnan(made.cider) and made.rouge_l == 1


def test_nothing_said():
    made = scores(["", "", "a car"], KNOWN)
    assert made.each_rouge_l[:2] == [0, 0] and made.each_cider[:2] == [0, 0]
    assert made.distinct == pytest.approx(2 / 3)
    assert scores(["a", "b"], [["!"], ["?"]]).rouge_l == 0
