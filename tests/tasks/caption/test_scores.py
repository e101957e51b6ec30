"""Scores of captions: by hand where that is short, and by what they must be."""

import math
import unicodedata

import pytest

from unrolled.tasks.caption import showing
from unrolled.tasks.caption.scores import scores, tokens
from unrolled.tasks.caption.scoring import Judged, Written

pytest.importorskip("sacrebleu")
pytest.importorskip("pycocoevalcap")

KNOWN = [["A dog runs.", "a dog is running"], ["two cats"], ["a red car", "the car is red", "a car"]]


def test_tokens():
    assert tokens("A man's best-loved friend, sitting: “Größe” 3!") == "a man's best-loved friend sitting größe 3"


def test_scripts_without_blanks_have_a_word_for_each_letter():
    assert tokens("一只狗，两只猫。") == "一 只 狗 两 只 猫"
    assert tokens("3 ขน犬とcats") == "3 ข น 犬 と cats"
    made = scores(["一只黑狗在跑", "两只猫"], [["一只白狗在跑"], ["三只猫"]])
    assert made.bleu[0] == pytest.approx(100 * 7 / 9)


def test_captions_are_compared_by_their_letters_and_not_by_how_these_are_encoded():
    said = ["un chat à côté d'un vélo", "une télé éteinte"]
    apart = [[unicodedata.normalize("NFD", one)] for one in said]
    made = scores(said, apart)
    assert made.bleu[0] == pytest.approx(100) and made.rouge_l == pytest.approx(1)


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


def test_captions_too_short_for_an_n_gram_have_no_bleu_of_it():
    made = scores(["a dog runs", "two cats"], [["a dog runs"], ["two cats"]])
    assert made.bleu == (pytest.approx(100), pytest.approx(100), pytest.approx(100), None)
    assert scores(["", "dog"], [["a"], ["dog"]]).bleu[1:] == (None, None, None)
    assert scores(["", ""], [["a"], ["dog"]]).bleu[0] == 0
    figures = {"scored": 2, "baselines": {"most_frequent": made.as_json()}, **made.as_json()}
    rows = dict(showing.rows(figures))
    assert rows["BLEU-1 to 4"] == "100.0, 100.0, 100.0, - (no caption has 4 words)"
    assert "BLEU" not in rows["commonest"]


def written(captions, references, judged=None):
    names = [f"{k}.png" for k in range(len(captions))]
    return Written(names, captions, references, 1.0, scores(captions, references), judged)


def test_only_what_is_successful_is_shown_as_such():
    perfect = written(["a dog runs here", "two cats"], [["a dog runs here"], ["two cats"]]).figures()
    assert len(perfect["best"]) == perfect["successful"] == 2 and perfect["worst"] == []
    rows = dict(showing.rows(perfect))
    assert rows["best"] == "2 of 2 have a ROUGE-L of 0.5 or more"
    assert rows["worst"] == "none of 2 have a ROUGE-L below 0.5"
    wrong = written(["a dog", "two cats"], [["some birds"], ["a big red car"]]).figures()
    assert wrong["successful"] == 0 and wrong["best"] == [] and len(wrong["worst"]) == 2
    assert dict(showing.rows(wrong))["best"] == "none of 2 have a ROUGE-L of 0.5 or more"
    judged = Judged([True, False, True], [True, False, True])
    figures = written(["a dog", "two cats", "a car"], [["a dog"], ["two cats"], ["a bus"]], judged).figures()
    assert [one["name"] for one in figures["best"]] == ["0.png", "2.png"]  # whatever the words are
    assert [one["name"] for one in figures["worst"]] == ["1.png"]
    assert showing.successes(figures) == ("2 of 3 are true and complete", "1 of 3 are not true, or not complete")
    assert "by chance 10%; a tie picks none" in dict(showing.rows(figures))["picks"]


def test_nothing_said():
    made = scores(["", "", "a car"], KNOWN)
    assert made.each_rouge_l[:2] == [0, 0] and made.each_cider[:2] == [0, 0]
    assert made.distinct == pytest.approx(2 / 3)
    assert scores(["a", "b"], [["!"], ["?"]]).rouge_l == 0
