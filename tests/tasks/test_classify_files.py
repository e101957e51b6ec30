"""Which files and columns a classification reads, for training, for scores and for answers."""

import unicodedata
from contextlib import nullcontext

import numpy as np
import pytest

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.reading import read_data
from unrolled.tasks.classify.sources import files_of, is_labelled
from unrolled.tasks.classify.table import has_labels, read_table
from unrolled.tasks.classify.task import ClassifyTask
from unrolled.tasks.registry import recognised
from unrolled.training.task import PARTS


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(path, is_own=True, **options):
    return read_data(str(path), ClassifyOptions(**options), is_own=is_own)


def labels_of(found):
    return [found.labels[k] for k in found.targets]


def parts_of(found):
    return [None if part < 0 else PARTS[part] for part in found.parts]


# -- tables


@pytest.mark.parametrize(
    ("name", "head", "row"),
    [
        ("a.csv", "text,label", "a film {k},{c}"),
        ("a.tsv", "text\tlabel", "a film {k}\t{c}"),
        ("a.csv", "id,sequence,label", "{k},ACGTACGT,{c}"),
        ("a.csv", "time,text,sentiment", "{k},a film,{c}"),
    ],
)
def test_a_table_with_numbered_labels_is_no_series(tmp_path, name, head, row):
    rows = "".join(row.format(k=k, c=k % 2) + "\n" for k in range(30))
    assert recognised(write(tmp_path / name, f"{head}\n{rows}")) == "classify"


def test_a_table_of_numbers_is_a_series_whatever_its_columns_are_called(tmp_path):
    rows = "".join(f"2024-01-{k:02},{k},{k % 2}\n" for k in range(1, 29))
    assert recognised(write(tmp_path / "a.csv", "date,protein,target\n" + rows)) == "series"


def test_quotes_between_tabs_are_part_of_a_text_unless_they_stand_around_it(tmp_path):
    texts = ['"Tis a film', '5" long', '"good" or "bad"', '"whole"', '"an ""odd"" one"', 'ends with "']
    rows = "".join(f"{text}\t{k % 2}\n" for k, text in enumerate(texts))
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + rows)
    assert has_labels(path)
    records = list(read_table(path))
    assert [r.content for r in records] == [*texts[:3], "whole", 'an "odd" one', texts[5]]
    assert [r.label for r in records] == ["0", "1"] * 3
    write(path, 'text\tlabel\n"two\nlines"\ta\n')
    with pytest.raises(DataError, match="line 2: has 1 cell, expected 2: between tabs, a text can have neither tabs"):
        list(read_table(path))


def test_a_table_with_very_long_cells_is_recognised(tmp_path):
    rows = "".join(f"{'ab'[k % 2]},{'ACGT' * 50_000}\n" for k in range(4))
    assert recognised(write(tmp_path / "a.csv", "label,sequence\n" + rows)) == "classify"


def test_texts_and_labels_that_look_alike_are_alike(tmp_path):
    """Whether é is one character or two."""
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    head = "@problemName a\n@classLabel true a b\n@data\n"
    for k, spelt in enumerate((one, two)):
        write(tmp_path / "texts" / spelt / f"{k}.txt", f"un {spelt} noir")
        write(tmp_path / "fasta" / f"{k}.fa", f">x label={spelt}\nACGT\n")
    write(tmp_path / "texts" / "thé" / "0.txt", "un thé vert")
    write(tmp_path / "a.csv", f"texte,{two}\nun {one} noir,{one}\nun {two} noir,{two}\n")
    write(tmp_path / "t.csv", f"sequence,tags\n{one},abcd\n{two},abcd\n")
    write(tmp_path / "a.ts", head + f"1,2:{one}\n1,3:{two}\n")
    found = read(tmp_path / "texts")
    assert sorted(set(labels_of(found))) == ["café", "thé"] and "café" in found.symbols.names
    assert [len(x) for x in found.sequences] == [3, 3, 3] and two not in found.symbols.names
    for name, options in (("a.csv", {"label": two, "sequence": "texte"}), ("a.ts", {}), ("fasta", {})):
        assert read(tmp_path / name, **options).labels == ["café"], name
    assert read(tmp_path / "fasta", label=f"label=({two})").labels == ["café"]
    assert [len(x) for x in read(tmp_path / "t.csv").sequences] == [4, 4]


def test_other_tables_may_lack_the_columns_that_were_named_in_training(tmp_path):
    named = {"label": "y", "sequence": "dna"}
    write(tmp_path / "own.csv", "y,dna\na,ACGT\n")
    write(tmp_path / "other.csv", "name,class,seq\nx,b,ACGG\n")
    assert [(r.content, r.label) for r in read_table(tmp_path / "own.csv", **named)] == [("ACGT", "a")]
    with pytest.raises(UsageError, match="--sequence: .* has no column 'dna' in its first row: name, class, seq"):
        list(read_table(tmp_path / "other.csv", **named))
    (record,) = read_table(tmp_path / "other.csv", **named, is_own=False)
    assert (record.name, record.content, record.label) == ("x", "ACGG", None)
    (record,) = read_table(tmp_path / "other.csv", label=r"kind=(\w)", is_own=False)  # it was for headers of FASTA
    assert (record.content, record.label) == ("ACGG", "b")
    write(tmp_path / "none.csv", "dna2\nACGT\n")
    with pytest.raises(DataError, match="has no column called dna in its first row"):
        list(read_table(tmp_path / "none.csv", **named, is_own=False))
    with pytest.raises(DataError, match=r"line 2: has no label \(--label y\)"):
        read(tmp_path / "other.csv", is_own=False, **named)


def test_the_name_of_a_column_is_no_pattern_for_other_headers(tmp_path):
    path = write(tmp_path / "a.fa", ">x label=a\nACGT\n>y label=b\nACGG\n")
    with pytest.raises(UsageError, match="--label 'y': expected a group in brackets"):
        read(path, label="y")
    assert read(path, is_own=False, label="y").labels == ["a", "b"]
    assert read(path, is_own=False, label=r"(\w) label").labels == ["x", "y"]


# -- files beside one another


def test_only_training_brings_the_test_part_beside_a_file(tmp_path):
    for part, count in (("TRAIN", 20), ("TEST", 10)):
        write(tmp_path / f"y_{part}.csv", "label,sequence\n" + "".join(f"{'ab'[k % 2]},ACGT\n" for k in range(count)))
    path = tmp_path / "y_TRAIN.csv"
    assert [p for p in PARTS if p in parts_of(read(path))] == ["training", "test"]
    assert len(read(path).sequences) == 30 and len(read(path, is_own=False).sequences) == 20
    assert [file.path.name for file in files_of(str(path), in_parts=False)] == ["y_TRAIN.csv"]


@pytest.mark.parametrize("other", ["valid", "test"])
def test_a_folder_for_training_and_one_more_are_parts(tmp_path, other):
    for part, count in (("train", 4), (other, 3)):
        for label in ("cat", "dog"):
            for k in range(count):
                write(tmp_path / "texts" / part / label / f"{k}.txt", f"a {label} of the kind {k}")
            write(tmp_path / "fasta" / part / f"{label}.fa", ">x some words more\nACGT\n>y some words more\nACGG\n")
    write(tmp_path / "texts" / "README.txt", "all about it")
    for name, counts in (("texts", (8, 6)), ("fasta", (4, 4))):
        found = read(tmp_path / name)
        parts = parts_of(found)
        assert (parts.count("training"), parts.count({"valid": "validation"}.get(other, other))) == counts
        assert sorted(found.labels) == ["cat", "dog"] and is_labelled(tmp_path / name)
        assert len(found.bad) == (name == "texts")
        assert set(parts_of(read(tmp_path / name, is_own=False))) == {None}
    assert "README.txt belongs to no part" in read(tmp_path / "texts").bad[0]
    has_effect = other == "test"  # then it says how much of training is for validation
    with nullcontext() if has_effect else pytest.raises(UsageError, match="--split: the data say"):
        ClassifyTask(ClassifyOptions(split="60/20/20")).read(str(tmp_path / "fasta"))


def test_the_name_of_a_part_is_no_label(tmp_path):
    """Of a folder that somebody has alone; beside other labels, the word may be one."""
    for label in ("cat", "dog"):
        write(tmp_path / "alone" / "train" / f"{label}.fa", ">x some words more\nACGT\n>y some words more\nACGG\n")
        write(tmp_path / "rest" / label / "0.txt", f"a {label} of a kind")
        write(tmp_path / "rest" / "test" / label / "0.txt", f"a {label} of a kind")
    for label in ("valid", "invalid"):
        write(tmp_path / "checked" / label / "0.txt", f"it is {label} now")
    found = read(tmp_path / "alone")
    assert found.labels == ["cat", "dog"] and set(parts_of(found)) == {None}
    found = read(tmp_path / "rest")
    assert found.labels == ["cat", "dog"] and parts_of(found) == [None, None, "test", "test"]
    assert read(tmp_path / "checked").labels == ["invalid", "valid"]


def test_a_file_of_no_part_is_left_out_and_listed_and_read_where_parts_do_not_count(tmp_path):
    for name in ("my_test", "train_2", "control"):
        write(tmp_path / f"{name}.fa", f">{name} label=a\nACGT\n>{name} label=b\nACGG\n")
    found = read(tmp_path)
    assert parts_of(found) == ["test", "test", "training", "training"]
    assert len(found.bad) == 1 and "control.fa belongs to no part" in found.bad[0]
    assert len(read(tmp_path, is_own=False).sequences) == 6


@pytest.mark.parametrize("first", ["ok", "Tat", "GATTACA"])
def test_one_odd_text_does_not_say_what_the_others_are_made_of(tmp_path, first):
    write(tmp_path / "bad" / "0.txt", first)
    for k in range(1, 6):
        write(tmp_path / "bad" / f"{k}.txt", f"a bad film, number {k}")
        write(tmp_path / "good" / f"{k}.txt", f"a good film, number {k}")
    found = read(tmp_path)
    assert (found.symbols.units, found.bad, len(found.sequences)) == ("words", [], 11)


def test_proteins_beside_a_file_that_cannot_be_used_are_proteins(tmp_path):
    write(tmp_path / "README.md", "These are proteins of some kinds.")
    for label in ("coil", "helix"):
        write(tmp_path / f"{label}.fa", ">x some words more\nMKVLAT\n>y some words more\nMKWLAT\n")
    found = read(tmp_path)
    assert (found.symbols.units, found.labels, len(found.bad)) == ("protein", ["coil", "helix"], 1)


@pytest.mark.parametrize("units", ["words", "characters"])
def test_of_a_long_text_only_what_is_used_is_read(tmp_path, units):
    texts = {label: f"{label * 20} films\n" * 10_000 for label in ("bad", "good")}
    for label, text in texts.items():
        write(tmp_path / label / "0.txt", text)
        (tmp_path / label / "1.txt").write_bytes(text.encode() + b"\xff")  # not UTF-8, far behind
    whole = read(tmp_path, units=units, longest=10**9)
    assert len(whole.bad) == 2 and whole.cut == 0
    found = read(tmp_path, units=units, longest=3_000)
    assert found.bad == [] and found.cut == 4
    shown = ["".join(found.symbols.shown(x)) for x in found.sequences]
    assert shown[::2] == ["".join(whole.symbols.shown(x[:3_000])) for x in whole.sequences]


# -- settings


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("a.csv", {"seeds": 2}, "--seeds: is the number of models of each fold: give --folds"),
        ("t.csv", {"pool": "mean"}, "--pool: is for labels of whole sequences"),
        ("a.fa", {"sequence": "dna"}, "--sequence: names a column, and the data have no table"),
        ("a.ts", {"label": "y"}, "--label: is for tables and headers of FASTA"),
        ("texts", {"label": "y"}, "--label: is for tables and headers of FASTA"),
    ],
)
def test_a_setting_without_effect_is_refused(tmp_path, name, given, message):
    files = {
        "a.csv": "label,sequence\n" + "a,ACGT\nb,ACGG\n" * 9,
        "t.csv": "sequence,tags\n" + "ACGT,abba\n" * 9,
        "a.fa": ">x label=a\nACGT\n>y label=b\nACGG\n" * 9,
        "a.ts": "@problemName a\n@data\n" + "1,2:x\n2,3:y\n" * 9,
    }
    for file, text in files.items():
        write(tmp_path / file, text)
    for k in range(9):
        write(tmp_path / "texts" / "ab"[k % 2] / f"{k}.txt", f"a film of the kind {k}")
    with pytest.raises(UsageError, match=message):
        ClassifyTask(ClassifyOptions(**given)).read(str(tmp_path / name))
    ClassifyTask().read(str(tmp_path / name))


def test_what_the_parts_are_is_kept_with_the_data(tmp_path, monkeypatch):
    from unrolled.tasks.classify import reading

    for label in ("cat", "dog"):
        for k in range(20):
            write(tmp_path / label / f"{k}.txt", f"a {label} of the kind {k}")

    def task():
        made = ClassifyTask()
        made.read(str(tmp_path))
        return made

    before, again = task(), task()
    assert before.parts_digest == again.parts_digest
    records_of = reading.records_of

    def records(file, *settings):
        if file.path.name == "3.txt":
            raise DataError(f"{file.path} cannot be read here")
        return records_of(file, *settings)

    monkeypatch.setattr(reading, "records_of", records)
    now = task()
    assert len(now.data.bad) == 2 and now.parts_digest != before.parts_digest
    names = [np.array(one.data.names, dtype=object)[one.parts["test"]].tolist() for one in (before, now)]
    assert names[0] != names[1]  # else there would be no harm
