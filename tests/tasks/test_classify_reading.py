"""What the classification task reads: every form of labelled sequences, and what is said of bad ones."""

import csv
import gzip
import random

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.tasks.classify.alphabet import Alphabet
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.reading import read_data
from unrolled.tasks.classify.sources import is_labelled
from unrolled.tasks.classify.table import read_table
from unrolled.tasks.classify.task import ClassifyTask
from unrolled.tasks.fasta import fasta_records


def dna(seed, count, length=20):
    """Sequences of two labels; those of the label box have TATAAT from place 6 on."""
    draw = random.Random(seed)
    made = []
    for k in range(count):
        letters = [draw.choice("ACGT") for _ in range(length)]
        if k % 2:
            letters[6:12] = "TATAAT"
        made.append(("box" if k % 2 else "none", "".join(letters)))
    return made


def read(path, **options):
    return read_data(str(path), ClassifyOptions(**options))


def test_all_forms_of_the_same_sequences_read_alike(tmp_path):
    pairs = dna(2, 8)
    (tmp_path / "a.csv").write_text("label,sequence\n" + "".join(f"{c},{s}\n" for c, s in pairs))
    (tmp_path / "b.tsv").write_text("".join(f"{s}\t{c}\n" for c, s in pairs))
    (tmp_path / "c.data").write_text("".join(f"{c},N{k},\t\t{s.lower()}\n" for k, (c, s) in enumerate(pairs)))
    (tmp_path / "d.fa").write_text("".join(f">n{k} label={c}\n{s[:9]}\n{s[9:]}\n" for k, (c, s) in enumerate(pairs)))
    (tmp_path / "e.fasta").write_text("".join(f">n{k}|{c}\n{s}\n" for k, (c, s) in enumerate(pairs)))
    quality = "I" * 20
    (tmp_path / "f.fastq").write_text("".join(f"@n{k} {c}\n{s}\n+\n{quality}\n" for k, (c, s) in enumerate(pairs)))
    with gzip.open(tmp_path / "g.fa.gz", "wt") as file:
        file.write((tmp_path / "d.fa").read_text())
    for name in ["a.csv", "b.tsv", "c.data", "d.fa", "e.fasta", "f.fastq", "g.fa.gz"]:
        found = read(tmp_path / name)
        assert found.symbols.units == "dna" and found.labels == ["none", "box"], name
        letters = ["".join(found.symbols.shown(x)) for x in found.sequences]
        assert letters == [s for _, s in pairs] and found.targets == [k % 2 for k in range(8)], name
        assert is_labelled(tmp_path / name) == (name != "b.tsv"), name


def test_labels_of_headers_by_a_pattern_and_of_fasta_files_by_their_names(tmp_path):
    (tmp_path / "one.fa").write_text(">x kind:a of many\nACGT\n>y kind:b of many\nACGG\n")
    assert read(tmp_path / "one.fa", label=r"kind:(\w)").labels == ["a", "b"]
    folder = tmp_path / "both"
    folder.mkdir()
    for name in ("cat", "dog"):
        (folder / f"{name}.fa").write_text(">x some words more\nACGT\n>y\nACGG\n")
    assert read(folder).labels == ["cat", "dog"] and read(folder).targets == [0, 0, 1, 1]


def test_a_question_mark_is_part_of_a_label_unless_it_is_all_of_it(tmp_path):
    head = "@problemName a\n@classLabel true why why?\n@data\n"
    (tmp_path / "a.ts").write_text(head + "1,2:why\n1,3:why?\n")
    assert read(tmp_path / "a.ts").labels == ["why", "why?"]
    (tmp_path / "b.ts").write_text(head + "1,2:why\n1,3:?\n")
    with pytest.raises(DataError, match="line 5: has no label"):
        read(tmp_path / "b.ts")


def test_values_that_32_bits_cannot_hold_stop_with_their_line(tmp_path):
    (tmp_path / "a.ts").write_text("@problemName a\n@classLabel true x y\n@data\n1,2:x\n1,1e39:y\n")
    with pytest.raises(DataError, match="line 5: channel 1, step 2 is '1e39', expected at most 1e.15"):
        read(tmp_path / "a.ts")


def test_files_that_were_cut_off_do_not_pass_for_shorter_ones(tmp_path):
    records = "".join(f">s{k} label={'ab'[k % 2]}\n{letters}\n" for k, (_, letters) in enumerate(dna(1, 200)))
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(records.encode())[:-100])
    with pytest.raises(DataError, match="a.fa.gz is damaged: Compressed file ended"):
        read(tmp_path / "a.fa.gz")
    whole = "".join(f"@s{k} label={'ab'[k % 2]}\nACGTACGT\n+\nIIIIIIII\n" for k in range(4))
    (tmp_path / "a.fastq").write_text(whole + "@x label=a\nACGT")
    with pytest.raises(DataError, match=r"record 5 \(x\) has 4 letters and 8 qualities"):
        read(tmp_path / "a.fastq")


@pytest.mark.parametrize("packed", [False, True])
def test_a_last_record_without_its_qualities_is_named(tmp_path, packed):
    """Wherever the file was cut: in the qualities, before them, before the +."""
    whole = "".join(f"@s{k} label={'ab'[k % 2]}\nACGTACGT\n+\nIIIIIIII\n" for k in range(4))
    path = tmp_path / ("a.fastq.gz" if packed else "a.fastq")
    for cut in range(2 + len("@s3 label=b\nACGTACGT\n+\nIIIIIIII")):
        content = whole[: len(whole) - cut].encode()
        path.write_bytes(gzip.compress(content) if packed else content)
        if cut in (0, 1, 1 + len("@s3 label=b\nACGTACGT\n+\nIIIIIIII")):
            assert len(list(fasta_records(path))) == 4 - (cut > 1)
            continue
        with pytest.raises(DataError, match=r"a.fastq.*: record 4 .*cut off"):
            list(fasta_records(path))
    in_lines = "@a x\nAC\nGT\n+a x\n@I\n+I\n\n"
    path.write_bytes(gzip.compress(in_lines.encode()) if packed else in_lines.encode())
    assert [one.sequence for one in fasta_records(path)] == ["ACGT"]


def test_series_have_channels_and_missing_values_are_carried_on(tmp_path):
    (tmp_path / "a.ts").write_text(
        "# words\n@problemName a\n@classLabel true x y\n@data\n1,2,?,4:5,6,7,8:x\n?,1:2,3:y\n"
    )
    found = read(tmp_path / "a.ts")
    assert [x.tolist() for x in found.sequences] == [[[1, 5], [2, 6], [2, 7], [4, 8]], [[1, 2], [1, 3]]]
    assert found.labels == ["x", "y"] and found.symbols.units == "values"
    assert is_labelled(tmp_path / "a.ts")
    (tmp_path / "b.ts").write_text("export const x: number = 1;\n")
    assert not is_labelled(tmp_path / "b.ts")


def test_texts_genomes_and_programs_are_left_to_others(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be")
    (tmp_path / "genome.fa").write_text(">NC_1 a phage, complete genome\nACGT\n")
    (tmp_path / "reads.fq").write_text("@r1 ch=4 start=2\nACGT\n+\nIIII\n@r2 ch=5 start=2\nACGT\n+\nIIII\n")
    (tmp_path / "numbers.csv").write_text("date,value\n1,2\n2,3\n")
    for name in ("code", "code/a", "code/b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text("x = 1\n")
    for name in ("text.txt", "genome.fa", "reads.fq", "numbers.csv", "code", "missing"):
        assert not is_labelled(tmp_path / name), name


def test_the_official_test_part_is_found_beside_the_training_part(tmp_path):
    for part, count in (("TRAIN", 10), ("TEST", 4)):
        rows = "".join(f"{k},{k + 1}:{'xy'[k % 2]}\n" for k in range(count))
        (tmp_path / f"Set_{part}.ts").write_text("@problemName a\n@classLabel true x y\n@data\n" + rows)
    for data in (tmp_path / "Set_TRAIN.ts", tmp_path):
        task = ClassifyTask()
        task.read(str(data))
        assert {part: len(which) for part, which in task.parts.items()} == {
            "training": 8,
            "validation": 2,
            "test": 4,
        }


def test_a_bad_file_of_a_folder_is_left_out_and_listed(tmp_path):
    for label in ("bad", "good"):
        (tmp_path / label).mkdir()
        for k in range(5):
            (tmp_path / label / f"{k}.txt").write_text(f"a {label} film number {k}")
    (tmp_path / "good" / "2.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad" / "3.txt").write_text("")
    assert not is_labelled(tmp_path)  # they may be the chapters of two books
    found = read(tmp_path)
    assert len(found.sequences) == 8 and found.symbols.units == "words" and len(found.bad) == 2
    assert "3.txt is empty" in found.bad[0] and "2.txt is not UTF-8 text" in found.bad[1]
    task = ClassifyTask()
    task.read(str(tmp_path))
    assert ("left out", "2 files that cannot be used:") in task.about()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.fa", ">x label=a\nACGT\n>y label=b\nACXT\n", "record 2 (y): position 3 is 'X'"),
        ("a.fa", ">x label=a\n>y label=b\nACGT\n", "record 1 (x) is empty"),
        ("a.fa", ">x label=a\nACGT\n>y\nACGT\n", "record 2 (y): has no label"),
        ("a.fa", "ACGT\n", "begins with 'A', expected > for FASTA or @ for FASTQ"),
        ("a.csv", "label,sequence\na,ACGT\na,ACGG\n", "all labels are 'a', expected at least two"),
        ("a.csv", "label,sequence\na,ACGT\na,ACGG\nb,ACGT\n", "the label 'b' has only one sequence"),
        ("a.csv", "label,sequence\na,\nb,ACGG\n", "line 2: the sequence is empty"),
        ("a.csv", "label,sequence\n", "has no rows"),
        ("a.csv", "sequence,label,note\nACGT,a,x\nACGG,b\n", "line 3: has 2 cells, expected 3"),
        ("a.csv", "label,text\na,to be\nb,or not, that is\n", "line 3: has 3 cells, expected 2: a text with one of"),
        ("a.csv", "ACGTACGT,a\nACGGACGG\n", "line 2: has 1 cell, expected 2"),
        ("a.csv", 'label,text\na,to be\n\nb,"or\nnot\n' + "c,d\n" * 9, "line 4: has a quote that is not closed"),
        ("a.csv", "a,b,c,d\n1,2,3,4\n", "has 4 columns and no row of names"),
        ("a.csv", "", "is empty"),
        ("a.ts", "@problemName a\n@data\n1,2,3:4,5:x\n", "its channels have 2 and 3 steps"),
        ("a.ts", "@problemName a\n@data\n1,b:x\n", "channel 1 has 'b', which is not a number"),
        ("a.ts", "@problemName a\n@timeStamps true\n@data\n", "time stamps are not supported"),
        ("a.csv", "tags,sequence\nab,ACG\n", "the sequence has 3 steps and 2 tags"),
    ],
)
def test_what_is_wrong_with_data_is_one_sentence(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    units = {"units": "dna"} if "ACXT" in text else {}
    with pytest.raises(DataError) as caught:
        ClassifyTask(ClassifyOptions(**units)).read(str(tmp_path / name))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_ambiguous_letters_are_mixtures_and_complements_mirror_them():
    alphabet = Alphabet("dna")
    for number, letter in enumerate(alphabet.letters):
        other = int(alphabet.complements[number])
        assert np.array_equal(alphabet.rows[number][::-1], alphabet.rows[other]), letter
    assert Alphabet("protein").rows.shape[1] == 20


def test_long_cells_are_read_and_the_limit_of_others_stays(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "long.csv").write_text("label,sequence\na," + "ACGT" * before + "\nb,ACGT\n")
    assert [len(record.content) for record in read_table(tmp_path / "long.csv")] == [4 * before, 4]
    assert csv.field_size_limit() == before
    next(read_table(tmp_path / "long.csv"))
    assert csv.field_size_limit() == before
