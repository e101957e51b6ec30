"""Tables of recordings: which row is about which file, and what cannot be used."""

import pytest

from unrolled.errors import DataError
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.recordings import recordings_of


def found(folder, table, *names):
    """Texts and parts by name, and what was left out, of a folder with a table and these sounds."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "t.csv").write_text(table, encoding="utf-8", newline="")
    recordings, bad = recordings_of(str(folder), TranscribeOptions())
    return {one.path.relative_to(folder).as_posix(): (one.text, one.part) for one in recordings}, bad


@pytest.mark.parametrize(
    "name",
    ["x/0.wav", "x/0", "./x/0.wav", "0.wav", "0", "x\\0.wav", "/elsewhere/corpus/x/0.wav"],
)
def test_a_row_names_a_file_by_the_end_of_its_path(tmp_path, name):
    assert found(tmp_path, f"file,text\n{name},yes\n", "x/0.wav")[0] == {"x/0.wav": ("yes", None)}
    assert found(tmp_path, f"file,text\n{name},yes\n", "deep/1.wav")[0] == {"x/0.wav": ("yes", None)}


def test_a_row_of_another_folder_is_about_no_file_here(tmp_path):
    rows = "".join(f"x/{k}.wav,right\ny/{k}.wav,wrong\n" for k in range(3))
    texts, bad = found(tmp_path, "file,text\n" + rows, *(f"x/{k}.wav" for k in range(3)))
    assert texts == {f"x/{k}.wav": ("right", None) for k in range(3)}
    assert bad == [f"{tmp_path / 't.csv'}: there is no recording for 3 of its 6 rows, such as y/0.wav"]


def test_a_name_that_fits_two_files_is_about_neither(tmp_path):
    texts, bad = found(tmp_path, "file,text\n0.wav,a\n1.wav,b\n", "train/0.wav", "test/0.wav", "train/1.wav")
    assert texts == {"train/1.wav": ("b", "training")}
    assert len(bad) == 2 and all("names 0.wav, which may be" in one for one in bad)
    texts, bad = found(tmp_path, "file,text\n0.wav,a\n1.wav,b\n", "0.wav")  # one that it names as a whole
    assert texts == {"0.wav": ("a", None), "train/1.wav": ("b", "training")}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("0.wav,one,train\n0.wav,two,train", "0.wav has two texts in .*: one, two"),
        ("0.wav,one,train\n0.wav,one,test", "0.wav is in two parts"),
        ("0.wav,one,held-out", "0.wav is in part 'held-out', expected training, validation or test"),
    ],
)
def test_rows_that_cannot_be_believed(tmp_path, rows, why):
    texts, bad = found(tmp_path, f"file,text,split\n1.wav,three,dev\n{rows}\n", "0.wav", "1.wav")
    assert texts == {"1.wav": ("three", "validation")} and len(bad) == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(bad[0])


def test_the_same_row_twice_is_one(tmp_path):
    assert found(tmp_path, "file,text\n0.wav,a\n0.wav,a\n", "0.wav") == ({"0.wav": ("a", None)}, [])


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\u2028", "\x85"], ids=ascii)
def test_a_text_of_several_lines_is_one_text(tmp_path, break_):
    texts, bad = found(tmp_path, f'file,text\n0.wav,"hello{break_}world"\n1.wav,so\n', "0.wav", "1.wav")
    assert texts == {"0.wav": ("hello world", None), "1.wav": ("so", None)} and not bad


def test_bars_with_and_without_a_heading(tmp_path):
    texts, _ = found(tmp_path, 'file|text|speaker\n0.wav|he said "no|bob\n', "0.wav")
    assert texts == {"0.wav": ('he said "no', None)}
    texts, _ = found(tmp_path, "0|No. 1|Number one\n", "0.wav")
    assert texts == {"0.wav": ("Number one", None)}


def test_a_cell_that_is_too_long_is_an_error_with_its_place(tmp_path):
    with pytest.raises(DataError, match=r"t\.csv, line 3: field larger"):
        found(tmp_path, f"file,text\n0.wav,a\n1.wav,{'x' * 200_000}\n", "0.wav", "1.wav")


def test_quotes_between_tabs_are_those_of_a_cell_only_around_all_of_it(tmp_path):
    """As in Common Voice's tables, where a text may begin with a quote that has no end."""
    texts = ['"go on', "no", '"go" on', 'say "go"', '"say ""go"", no"', '"']
    rows = "".join(f"{k}.wav\t{text}\n" for k, text in enumerate(texts))
    names = [f"{k}.wav" for k in range(len(texts))]
    known, bad = found(tmp_path, f"path\tsentence\r\n{rows}", *names)
    assert [known[name][0] for name in names] == [
        '"go on',
        "no",
        '"go" on',
        'say "go"',
        'say "go", no',
        '"',
    ] and not bad


@pytest.mark.parametrize("table", ["path,text\n0.wav,caf{}\n", "path\ttext\n0.wav\tcaf{}\n", "0.wav|caf{}\n"])
def test_letters_are_composed_whoever_wrote_them(tmp_path, table):
    texts = [found(tmp_path, table.format(letter), "0.wav")[0] for letter in ("\u00e9", "e\u0301")]
    assert texts[0] == texts[1] == {"0.wav": ("caf\u00e9", None)}
