"""Files into numbers: vocabulary, units, split; a block at a time."""

import tracemalloc
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import TEXT
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks import data
from unrolled.tasks.symbols.vocabulary import Vocabulary, split
from unrolled.tasks.text import reading
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.reading import read_part, read_text

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
    lambda text: not text.startswith("\ufeff")
)


def decoded(text, part):
    return text.vocabulary.decode(part.numbers.tolist())


@pytest.mark.parametrize("units", ["characters", "bytes", "words"])
@settings(max_examples=60, deadline=None)
@given(text=ANY_TEXT, block=st.integers(1, 9))
def test_any_text_comes_back_whatever_the_blocks(tmp_path_factory, units, text, block):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    text += "\n"
    path.write_bytes((text * 2).encode())  # twice, so that no word stands once
    before, data.BLOCK = data.BLOCK, block
    try:
        read = read_text(str(path), TextOptions(split="100/0/0", units=units))
    finally:
        data.BLOCK = before
    assert decoded(read, read.training) == text * 2
    assert read.vocabulary.decode(read.vocabulary.encode(text)) == text
    first = split(text * 2, units)[0] if units != "bytes" else text[0]
    assert read.training.characters == len(text * 2) - len(first)


def test_the_split_is_consecutive_and_the_vocabulary_is_the_training_parts(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abcab" * 18 + "xaxbx" + "yabcc")
    read = read_text(str(path), TextOptions())
    assert [len(p.numbers) for p in (read.training, read.validation, read.test)] == [90, 5, 5]
    assert read.vocabulary.symbols == ["", "a", "b", "c"]
    assert read.vocabulary.counts.tolist() == [0, 36, 36, 18]
    assert read.validation.unknown == {"x": 3}
    assert read.validation.numbers.tolist() == [0, 1, 0, 2, 0]
    assert read.test.unknown == {"y": 1}
    assert not read.training.unknown


def test_many_symbols_need_wider_numbers(tmp_path):
    path = tmp_path / "text.txt"
    for size, kind in ((255, np.uint8), (256, np.uint16), (300, np.uint16), (70_000, np.uint32)):
        text = "".join(chr(0x10000 + k) for k in range(size))
        path.write_text(text, encoding="utf-8")
        read = read_text(str(path), TextOptions(split="100/0/0"))
        assert read.training.numbers.dtype == kind
        assert decoded(read, read.training) == text


def test_words_are_the_frequent_ones_and_the_rest_is_unknown(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat the dog the cat once")
    read = read_text(str(path), TextOptions(split="100/0/0", units="words"))
    assert read.vocabulary.symbols == ["", " cat", " the"]
    assert read.training.unknown == {"the": 1, " dog": 1, " once": 1}
    assert read.training.characters == len("the cat the dog the cat once") - 3
    few = read_text(str(path), TextOptions(split="100/0/0", units="words", vocabulary_size=2))
    assert few.vocabulary.symbols == ["", " cat"]


COMPOSED = (
    "a",
    "'",
    ".",
    ":",
    ",",
    "1",
    "_",
    " ",
    "\n",
    "\u0301",
    "\u200d",
    "\u05b0",
    "\u093f",
    "\u0915",
    "\u05d0",
    '"',
)
COMPOSED += (
    "\U0001f469",
    "\U0001f3fd",
    "\U0001f1e9",
    "\u4e2d",
    "\u30ab",
    "\u202f",
    "\u00a0",
    "\r",
    "x" * 64,
    "\u0301" * 70,
)


@settings(max_examples=300, deadline=None)
@example(parts=["\u202f", "\u0301" * 70, "a", "'", "a"], block=1)  # the marks belong to the space, and join it to a
@example(parts=["a", "'", "\u0301" * 70, "\u0301" * 70, "a"], block=1)  # the last one joins the first to the second
@given(parts=st.lists(st.sampled_from(COMPOSED), min_size=1, max_size=40), block=st.integers(1, 9))
def test_words_do_not_depend_on_the_blocks(parts, block):
    text = "".join(parts)
    blocks = [text[k : k + block] for k in range(0, len(text), block)]
    assert [word for words in reading._words(blocks) for word in words] == split(text, "words")
    assert "".join(split(text, "words")) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में लिखना", ["हिन्दी", " में", " लिखना"]),
        (normalize("NFD", "café naïve"), [normalize("NFD", "café"), normalize("NFD", " naïve")]),
        ("שָׁלוֹם עֲלֵיכֶם", ["שָׁלוֹם", " עֲלֵיכֶם"]),
        ("السَّلَامُ عَلَيْكُمْ", ["السَّلَامُ", " عَلَيْكُمْ"]),
        ("can't o\u2019clock, 3.14", ["can't", " o\u2019clock", ",", " 3.14"]),
        ("中文 カタカナ", ["中", "文", " カタカナ"]),
        ("👩\u200d👩\u200d👧 👍🏽🇩🇪🇫🇷", ["👩\u200d👩\u200d👧", " 👍🏽", "🇩🇪", "🇫🇷"]),
        ("a  b\n\tc", ["a", " ", " b", "\n", "\t", "c"]),
    ],
)
def test_words_end_where_unicode_says(text, words):
    assert split(text, "words") == words


def test_a_vocabulary_of_words_divided_otherwise_is_refused():
    content = Vocabulary("words", ["", "a"], [0, 2]).as_json()
    assert Vocabulary.from_json(content, "v").symbols == ["", "a"]
    with pytest.raises(RunError, match="splits words"):
        Vocabulary.from_json(content | {"boundaries": "whitespace"}, "v")


def test_a_folder_is_its_text_files_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.md").write_text("first")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\0\xff\xfe")
    (tmp_path / ".hidden").write_text("hidden")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbfthird")
    read = read_text(str(tmp_path), TextOptions(split="100/0/0"))
    assert decoded(read, read.training) == "firstsecondthird"
    assert read.skipped == 1
    only = read_text(str(tmp_path), TextOptions(split="100/0/0", include="*.txt"))
    assert decoded(only, only.training) == "secondthird"


@pytest.mark.parametrize("place", [0, 5, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 3])
def test_what_is_no_text_is_named_at_its_byte(tmp_path, place):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"a" * place + b"\xff" + b"b" * 10)
    with pytest.raises(DataError, match=rf"not UTF-8 text: byte {place:,} is 0xff"):
        read_text(str(path), TextOptions())
    assert len(read_text(str(path), TextOptions(units="bytes", split="100/0/0")).training.numbers) == place + 11


def test_a_character_cut_short_at_the_end(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes("abcé".encode()[:-1])
    with pytest.raises(DataError, match="byte 3 is 0xc3"):
        read_text(str(path), TextOptions())


def test_run_folders_are_not_read(tmp_path):
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "run" / "config.toml").write_text("format = 1")
    (tmp_path / "run" / "samples" / "1.txt").write_text("its own")
    read = read_text(str(tmp_path), TextOptions(split="100/0/0"))
    assert decoded(read, read.training) == "first"


def test_words_that_all_stand_once(tmp_path):
    (tmp_path / "a.txt").write_text("all words here differ")
    with pytest.raises(DataError, match="no word occurs twice"):
        read_text(str(tmp_path / "a.txt"), TextOptions(units="words", split="100/0/0"))


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="is empty"):
        read_text(str(tmp_path / "empty.txt"), TextOptions())
    with pytest.raises(UsageError, match="there is no file or folder"):
        read_text(str(tmp_path / "missing.txt"), TextOptions())
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"\xff\0")
    with pytest.raises(DataError, match="1 file, none of them UTF-8 text"):
        read_text(str(tmp_path / "pictures"), TextOptions())
    with pytest.raises(DataError, match=r"no file that matches '\*\.txt'"):
        read_text(str(tmp_path / "pictures"), TextOptions(include="*.txt"))


def test_another_text_with_a_vocabulary_that_exists(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("hallo")
    v = Vocabulary("characters", ["", *(chr(0x4E00 + k) for k in range(300)), "l", "o"], [0] * 303)
    part = read_part(str(path), TextOptions(), v)
    assert part.numbers.tolist() == [0, 0, 301, 301, 302]
    assert part.unknown == {"h": 1, "a": 1}


def test_memory_is_the_encoded_size(tmp_path):
    """Twice the text costs its own bytes more, not the text as Python strings (or lists of numbers)."""
    peaks = []
    for copies in (1_000, 3_000):
        path = tmp_path / f"{copies}.txt"
        path.write_text(TEXT * copies)
        tracemalloc.start()
        read_text(str(path), TextOptions())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    grown = 2_000 * len(TEXT)
    assert peaks[1] - peaks[0] < 2.2 * grown  # blocks and their concatenation, one byte a symbol each


def test_vocabularies_that_do_not_hold_together():
    odd = {"units": "characters", "symbols": ["", 3], "counts": [0, 1]}
    for content, reason in (
        (odd, "a symbol is not text"),
        ({"units": "runes", "symbols": [], "counts": []}, "the units are unknown"),
        ({}, "'units'"),
        ([], "list indices must be integers"),
        ({"units": "characters", "symbols": ["", "a"], "counts": [1]}, "it has 2 symbols, 1 counts"),
    ):
        with pytest.raises(RunError, match=f"vocabulary.json is damaged: .*{reason}"):
            Vocabulary.from_json(content, "vocabulary.json")


@pytest.mark.parametrize("split_", ["90/10", "50/50/50", "0/50/50", "a/b/c", "110/-5/-5", ""])
def test_splits_that_are_none(split_):
    with pytest.raises(UsageError, match=f"--split: expected .*; got '{split_}'$"):
        TextOptions(split=split_)
