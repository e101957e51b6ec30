"""Which recordings a folder has, what is said in each, and what is left out."""

import re

import numpy as np
import pytest

from tones import tones, write
from unrolled.errors import DataError, UsageError
from unrolled.tasks.registry import recognised
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.reading import read_speech
from unrolled.tasks.transcribe.recordings import recordings_of
from unrolled.tasks.transcribe.sound import pieces_of, read_sound
from unrolled.tasks.transcribe.task import TranscribeTask

soundfile = pytest.importorskip("soundfile")


def found(folder, **options):
    recordings, bad = recordings_of(str(folder), TranscribeOptions(**options))
    return {one.path.relative_to(folder).as_posix(): (one.text, one.part) for one in recordings}, bad


def sounds(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_names_give_texts_and_the_test_part(tmp_path):
    sounds(tmp_path, "7_ann_0.wav", "3_bob_12.flac", "noise.wav", ".hidden_1.wav")
    texts, bad = found(tmp_path, pattern=r"^(\d)_", test=r"_[0-4]\.wav$")
    assert texts == {"7_ann_0.wav": ("7", "test"), "3_bob_12.flac": ("3", None)}
    assert bad == [f"{tmp_path / 'noise.wav'} has no text: --pattern does not match its name"]


@pytest.mark.parametrize(
    "table",
    [
        "path,sentence,split\na/one.wav,Good day,train\ntwo.wav,So long,dev\n",
        "sentence\tfile\tset\nGood  day\tone\ttraining\nSo long\ttwo.wav\tval\n",
    ],
)
def test_tables_give_texts_and_parts(tmp_path, table):
    sounds(tmp_path, "a/one.wav", "two.wav")
    (tmp_path / "table.csv").write_text(table)
    texts, bad = found(tmp_path)
    assert texts == {"a/one.wav": ("Good day", "training"), "two.wav": ("So long", "validation")} and not bad


@pytest.mark.parametrize("row", ["two.wav,So, so,dev", "two.wav,So long"])
def test_rows_that_are_not_whole_are_named(tmp_path, row):
    sounds(tmp_path, "one.wav", "two.wav")
    (tmp_path / "table.csv").write_text(f"path,sentence,split\none.wav,Good day,train\n{row}\n")
    with pytest.raises(DataError, match=r"table.csv, line 3: has more or fewer cells than the 3 in the first row"):
        found(tmp_path)


def test_the_layouts_of_known_collections(tmp_path):
    sounds(tmp_path / "lj", "wavs/LJ001-0001.wav")
    (tmp_path / "lj" / "metadata.csv").write_text("LJ001-0001|No. 1, he said|Number one, he said\n")
    assert found(tmp_path / "lj")[0] == {"wavs/LJ001-0001.wav": ("Number one, he said", None)}
    train, dev = "train-clean-100/84/1", "dev-other/9/1"
    sounds(tmp_path / "libri", f"{train}/84-1-0000.flac", f"{dev}/9-1-0000.flac")
    (tmp_path / "libri" / train / "84-1.trans.txt").write_text("84-1-0000 GO ON\n")
    (tmp_path / "libri" / dev / "9-1-0000.txt").write_text("STOP\n")
    texts, _ = found(tmp_path / "libri")
    assert texts == {
        f"{dev}/9-1-0000.flac": ("STOP", "validation"),
        f"{train}/84-1-0000.flac": ("GO ON", "training"),
    }
    assert recognised(tmp_path / "libri") == "transcribe"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, DataError, "no text for any of them"),
        ({"pattern": "x(y)"}, DataError, r"no text for any of them: --pattern x\(y\) matches no name, such as a.wav"),
        ({"transcripts": "nowhere.csv"}, UsageError, "there is no file nowhere.csv"),
    ],
)
def test_folders_without_texts(tmp_path, options, error, words):
    sounds(tmp_path, "a.wav")
    with pytest.raises(error, match=words):
        found(tmp_path, **options)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        found(tmp_path / "none")
    (tmp_path / "file.wav").write_bytes(b"")
    with pytest.raises(UsageError, match="not a folder of recordings"):
        recordings_of(str(tmp_path / "file.wav"), TranscribeOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no recordings"):
        found(tmp_path / "empty")
    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(DataError, match="expected a column with the file"):
        found(tmp_path)
    (tmp_path / "b.csv").write_text("x,y\n")
    with pytest.raises(UsageError, match="several tables"):
        found(tmp_path)


@pytest.mark.parametrize("settings", [{"pattern": "("}, {"pattern": "a"}, {"test": "["}, {"rate": 10}, {"join": 0}])
def test_settings_that_cannot_be_used(settings):
    with pytest.raises(UsageError, match=f"--{next(iter(settings))}"):
        TranscribeOptions(**settings)


def test_rates_channels_and_formats(tmp_path):
    sound = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(tmp_path / "stereo.flac", np.stack([sound, -sound + 0.25], 1), 16_000)
    mono = read_sound(tmp_path / "stereo.flac", 16_000)
    assert mono.dtype == np.int16 and np.abs(mono / 32767 - 0.125).max() < 1e-3
    soundfile.write(tmp_path / "plain.wav", sound, 16_000)
    half = read_sound(tmp_path / "plain.wav", 8_000) / 32767
    assert len(half) == pytest.approx(8_000, abs=2)
    assert np.abs(half[100:7900] - sound[::2][100:7900]).max() < 5e-3
    assert np.concatenate(list(pieces_of(tmp_path / "plain.wav", 8_000))).tolist() == (half * 32767).round().tolist()


def test_bad_recordings_are_left_out_and_named(tmp_path):
    write(tmp_path / "good_ab.wav", tones("ab"))
    write(tmp_path / "silent_a.wav", np.zeros(4000))
    write(tmp_path / "one_a.wav", np.array([0.3]))
    write(tmp_path / "none_a.wav", np.zeros(0))
    (tmp_path / "broken_a.wav").write_bytes(b"RIFF1234WAVEfmt nonsense")
    soundfile.write(tmp_path / "nan_a.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    speech = read_speech(str(tmp_path), TranscribeOptions(pattern="_([abc]+)", rate=8000))
    assert speech.texts == ["ab", "a"] and speech.names == ["good_ab.wav", "one_a.wav"]
    said = " / ".join(speech.bad)
    for words in (
        "silent_a.wav is silent",
        "none_a.wav has no samples",
        "broken_a.wav cannot be read",
        "nan_a.wav has",
    ):
        assert words in said
    (tmp_path / "good_ab.wav").unlink()
    (tmp_path / "one_a.wav").unlink()
    with pytest.raises(DataError, match="and 3 more that cannot be used"):
        read_speech(str(tmp_path), TranscribeOptions(pattern="_([abc]+)"))


def test_a_pattern_that_matches_no_name_is_an_error_in_training_alone(tmp_path):
    sounds(tmp_path, "one.wav", "two.wav")
    (tmp_path / "table.csv").write_text("path,sentence\none.wav,Good day\n")
    with pytest.raises(DataError, match="--pattern x\\(y\\) matches no name, such as one.wav"):
        found(tmp_path, pattern="x(y)")
    recordings, _ = recordings_of(str(tmp_path), TranscribeOptions(pattern="x(y)"), is_own=False)
    assert [one.text for one in recordings] == ["Good day"]


def test_other_data_are_not_scored_by_the_table_of_training(tmp_path):
    (tmp_path / "texts.csv").write_text("path,text\n0.wav,ab\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "texts.csv").write_text("path,text\n0.wav,c\n")
    write(tmp_path / "other" / "0.wav", tones("c"))
    options = TranscribeOptions(transcripts=str(tmp_path / "texts.csv"))
    assert read_speech(str(tmp_path / "other"), options).texts == ["ab"]
    assert read_speech(str(tmp_path / "other"), options, is_own=False).texts == ["c"]


def test_a_header_may_be_a_little_wrong(tmp_path):
    """Some writers count the header with the samples."""
    write(tmp_path / "a.wav", tones("abc"))
    whole = read_sound(tmp_path / "a.wav", 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 44).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert read_sound(tmp_path / "a.wav", 8000).tolist() == whole.tolist()


def test_recordings_are_not_read_to_an_end_that_is_too_far(tmp_path):
    write(tmp_path / "a.wav", tones("abc" * 200))
    with pytest.raises(DataError, match="a.wav is longer than 0.1 minutes: cut it at pauses"):
        read_sound(tmp_path / "a.wav", 8000, longest=6)


@pytest.mark.parametrize("kind", ["WAV", "WAV FLOAT", "AIFF", "AU", "RF64", "W64", "FLAC", "OGG"])
def test_recordings_that_end_before_their_end_are_left_out(kind, tmp_path):
    container, subtype = (*kind.split(), None)[:2]
    path = tmp_path / f"cut_a.{'wav' if '64' in container else container.lower()}"
    soundfile.write(path, tones("abcabc"), 8000, format=container, subtype=subtype)
    read_sound(path, 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cut_a.* (is damaged|cannot be read)"):
        read_sound(path, 8000)
    write(tmp_path / "whole_b.wav", tones("b"))
    speech = read_speech(str(tmp_path), TranscribeOptions(pattern="_([abc])"))
    assert speech.texts == ["b"] and "cut_a" in speech.bad[0]


@pytest.mark.parametrize("size", [0x7FFFFFFF - 36, 0xFFFFFFFF])
def test_recordings_that_do_not_know_their_length_are_read_whole(size, tmp_path):
    """Programs that write to a pipe leave the sizes of a header at a placeholder."""
    write(tmp_path / "a.wav", tones("abc"))
    sounds = read_sound(tmp_path / "a.wav", 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert read_sound(tmp_path / "a.wav", 8000).tolist() == sounds.tolist()


def test_more_text_than_frames_is_left_out_of_every_part(tmp_path):
    for part in ("train", "dev", "test"):
        for k in range(4):
            write(tmp_path / part / f"{k}_ab.wav", tones("ab"))
        write(tmp_path / part / "9_abcabcabcabcabcabcabcabcabcabc.wav", tones("ab"))
    options = TranscribeOptions(pattern="_([abc]+)")
    task = TranscribeTask(options)
    task.read(str(tmp_path))
    assert {part: len(which) for part, which in task.parts.items()} == {"training": 4, "validation": 4, "test": 4}
    assert len(task.found.bad) == 3
    assert re.search("its text needs 30 steps, but it has only 1[0-9]$", task.found.bad[-1])
    task.read_all(str(tmp_path))
    assert len(task.parts["all"]) == 12 and len(task.found.bad) == 3
    for path in tmp_path.glob("*/*_ab.wav"):
        path.unlink()
    with pytest.raises(DataError, match="only 1[0-9], and none of the others has room for its text"):
        task.read_all(str(tmp_path))


def test_data_that_are_all_for_training_are_split(tmp_path):
    for k in range(10):
        write(tmp_path / "train-clean-100" / f"{k}_a.wav", tones("a"))
    task = TranscribeTask(TranscribeOptions(pattern="_(.)"))
    task.read(str(tmp_path))
    assert [len(task.parts[part]) for part in ("training", "validation", "test")] == [8, 1, 1]


def test_a_test_part_without_recordings_is_an_error(tmp_path):
    for k in range(4):
        write(tmp_path / f"{k}_a.wav", tones("a"))
    task = TranscribeTask(TranscribeOptions(pattern="_(.)", test="zzz"))
    with pytest.raises(UsageError, match="--test zzz matches none of the recordings, such as 0_a.wav"):
        task.read(str(tmp_path))


@pytest.mark.parametrize("rate", [1, 100, 400_000])
def test_rates_that_cannot_be_heard(tmp_path, rate):
    write(tmp_path / "0_a.wav", np.full(50, 0.1), rate)
    said = f"{rate:,} samples? a second, expected 2,000 to 200,000: have them resampled with --rate"
    with pytest.raises(DataError, match=said):
        TranscribeTask(TranscribeOptions(pattern="_(.)")).read(str(tmp_path))
    TranscribeTask(TranscribeOptions(pattern="_(.)", rate=8000)).read(str(tmp_path))
