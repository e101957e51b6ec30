"""What can be read in a text, and the stretch of it that is looked at."""

import math
from collections import Counter

import numpy as np
import pytest

from helpers import TEXT
from unrolled.errors import DataError
from unrolled.tasks.text.features import error_causes, text_features, word_counts
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.passage import passage_of_file, passage_of_run
from unrolled.tasks.text.reading import read_text

CODE = """def f(a):
    # it's "so"
    return {"b": [a, 1]}

"""


def feature(text, name):
    """Where a feature holds, as the characters that it holds at."""
    found = text_features(list(text))[name]
    return "".join(c if v else "." for c, v in zip(text, found, strict=True))


def test_features_by_hand():
    assert feature('x "a b" y', "inside quotes") == '.."a b...'
    assert feature("“a” b", "inside quotes") == "“a..."
    assert feature("f(a[1]) b)", "inside brackets") == ".(a[1]...."
    assert feature(CODE, "inside a comment").replace(".", "") == '# it\'s "so"'
    assert text_features(list("ab\n\ncd"))["position in line"].tolist() == [1, 2, 0, 0, 1, 2]
    assert text_features(list("ab\ncd\n\nef"))["line of the paragraph"].tolist() == [0, 0, 1, 1, 1, 2, 0, 0, 0]
    assert text_features(list("  a b\n\tc"))["indentation"].tolist() == [1, 2, 2, 2, 2, 0, 1, 1]
    assert text_features(list("it's so"))["position in word"].tolist() == [1, 2, 3, 4, 0, 1, 2]
    assert feature("aB1, x", "upper case") == ".B...."
    assert feature("aB1, x", "digit") == "..1..."
    assert feature("aB1, x", "punctuation") == "...,.."


def test_of_a_word_its_last_character_counts():
    characters, words = text_features(list("To be, or")), text_features(["To", " be", ",", " or"])
    for name, values in words.items():
        assert values.tolist() == characters[name][[1, 4, 5, 8]].tolist()


def test_causes_by_hand():
    text = "He saw\nan ox."
    unknown = np.array([c == "x" for c in text])
    memory = np.array([c == "w" for c in text[1:]])
    causes = error_causes(list(text), unknown, Counter({"he": 9, "saw": 9, "an": 6, "ox": 5}), memory)
    shown = {name: "".join(c for c, v in zip(text[1:], holds, strict=True) if v) for name, holds in causes.items()}
    assert shown == {
        "a symbol it never saw": "x",
        "needs long memory": "w",
        "in a rare word": "ox",
        "new line or space": " \n ",
        "punctuation": ".",
        "first letter of a word": "sao",
        "second or third letter": "eawnx",
    }
    assert list(causes) == list(shown)
    assert "in a rare word" not in error_causes(list(text), unknown, None)


def test_causes_of_words():
    symbols = ["To", " be", ",", " OR", "\n"]
    causes = error_causes(symbols, np.zeros(5, dtype=bool), {"to": 9, "be": 1, "or": 9})
    assert {name: holds.tolist() for name, holds in causes.items()} == {
        "a symbol it never saw": [False] * 4,
        "in a rare word": [True, False, False, False],
        "new line or space": [False, False, False, True],
        "punctuation": [False, True, False, False],
    }


def test_only_marks_are_punctuation():
    """Neither a vowel sign nor a byte that is no character of its own."""
    letters = list("की, ש\u05c1!\x01")
    assert text_features(letters)["punctuation"].tolist() == [0, 0, 1, 0, 0, 0, 1, 0]
    causes = error_causes(letters, np.zeros(8, dtype=bool), None)
    assert causes["punctuation"].tolist() == [0, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("letter", ["à", "…", "Ā", "字"])
def test_bytes_of_other_letters_are_parts_of_words(tmp_path, letter):
    """Their bytes contain A0, 85, A6, C4 and 80, which are spaces, marks and capitals of other encodings."""
    path = tmp_path / "text.txt"
    path.write_text(f"x{letter}x, " * 500, encoding="utf-8")
    options = TextOptions(units="bytes", split="50/50/0")
    read = read_text(str(path), options)
    passage = passage_of_run({"path": str(path), **read.fingerprint}, options, read.vocabulary)
    causes = passage.causes(None)
    for name, byte in (("punctuation", b","), ("space", b" ")):
        assert passage.features[name].tolist() == [n == byte[0] for n in passage.inputs], name
    assert causes["punctuation"].tolist() == [n == ord(",") for n in passage.inputs[1:]]
    assert causes["new line or space"].tolist() == [n == ord(" ") for n in passage.inputs[1:]]
    assert not passage.features["upper case"].any()
    assert (
        passage.causes.args[2] is not None
        and max(passage.causes.args[2].values()) >= 200
        and len(passage.causes.args[2]) <= 2
    )


def test_words_are_counted_without_case():
    assert word_counts("To be, to-do: it's 2 x2") == Counter({"to": 2, "be": 1, "do": 1, "it's": 1, "x2": 1})


@pytest.mark.parametrize("units", ["characters", "words", "bytes"])
def test_the_passage_of_a_run_is_its_validation_part(tmp_path, units):
    path = tmp_path / "text.txt"
    path.write_text(TEXT.replace("is", "ís"), encoding="utf-8")
    options = TextOptions(units=units, split="50/50/0")
    read = read_text(str(path), options)
    passage = passage_of_run({"path": str(path), **read.fingerprint}, options, read.vocabulary)
    numbers = read.validation.numbers
    starts = [k for k in range(200) if np.array_equal(numbers[k : k + len(passage.inputs)], passage.inputs)]
    assert len(starts) == 1 and len(passage.inputs) <= 2_000
    p = read.vocabulary.counts.clip(1) / read.vocabulary.counts.clip(1).sum()
    assert passage.baseline == pytest.approx(np.mean([-math.log(p[n]) for n in passage.inputs[1:]]))
    assert all(len(v) == len(passage.inputs) for v in passage.features.values())
    assert all(len(v) == len(passage.inputs) - 1 for v in passage.causes(None).values())
    training = path.read_bytes()[: path.stat().st_size // 3].decode("utf-8", "ignore")
    assert passage.causes.args[2]["times"] >= training.count("times")
    if units != "bytes":
        assert "".join(passage.labels) in path.read_text("utf-8")
        assert passage.labels[0] not in " \n"  # it begins a line
    else:
        assert "\\xc3" in passage.labels and "t" in passage.labels


def test_no_validation_part(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    options = TextOptions(split="98/2/0")
    read = read_text(str(path), options)
    passage = passage_of_run({"path": str(path), **read.fingerprint}, options, read.vocabulary)
    assert passage.origin == "the run's training part" and "has only" in passage.notes[0]
    np.testing.assert_array_equal(passage.inputs, read.training.numbers[-2000:])


def test_unknown_symbols_are_shown_as_they_stand(tmp_path):
    path, other = tmp_path / "text.txt", tmp_path / "other.txt"
    path.write_text(TEXT)
    other.write_text("7 tïmes\u0007 7")
    options = TextOptions()
    read = read_text(str(path), options)
    passage = passage_of_file(str(other), options, read.vocabulary)
    assert "".join(passage.labels) == "7 tïmes\u0007 7"
    assert [s for s, lost in zip(passage.labels, passage.unknown, strict=True) if lost] == ["ï", "\u0007"]
    assert passage.inputs[passage.unknown].tolist() == [0, 0]
    assert "The model never saw 2 of the 10 characters" in passage.notes[0] and "'\\x07'" in passage.notes[0]


def test_a_text_that_has_changed_or_gone(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    options = TextOptions()
    read = read_text(str(path), options)
    with pytest.raises(DataError, match="has changed since this run was trained"):
        passage_of_run({"path": str(path), "sha256": "other"}, options, read.vocabulary)
    path.unlink()
    with pytest.raises(DataError, match="the run's text is no longer at .*text.txt"):
        passage_of_run({"path": str(path), **read.fingerprint}, options, read.vocabulary)
