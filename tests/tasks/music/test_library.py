"""Which part of the data a piece belongs to, whatever becomes of the others."""

import json

import numpy as np
import pytest

import unrolled
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks.music import reading
from unrolled.tasks.music.notes import LOWEST, score_of_roll
from unrolled.tasks.music.options import MusicOptions
from unrolled.tasks.music.reading import Source
from unrolled.tasks.music.task import MusicTask

symusic = pytest.importorskip("symusic")
PARTS = ("training", "validation", "test")


def midi(pitch, steps=12):
    """One long note, by which the piece is known."""
    roll = np.zeros((steps, 88), dtype=np.uint8)
    roll[:, pitch - LOWEST] = 1
    return score_of_roll(roll, 4, 100).dumps_midi()


def lay(folder, names):
    """A piece for each name, with pitches from 40."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(midi(40 + k))
    return folder


def read(data, **options):
    task = MusicTask(MusicOptions(**options))
    task.read(str(data))
    return task


def pitches(task):
    """The pieces of each part."""
    return {part: {int(roll[0].argmax()) + LOWEST for roll in task.library.parts[part]} for part in PARTS}


def counts(task):
    return [len(found) for found in pitches(task).values()]


@pytest.fixture
def without(monkeypatch):
    """Let files of a name be unreadable, as they are to some versions of the library."""
    usual = reading.score_of_file

    def spoil(name):
        def score(file):
            if file.name == name:
                raise DataError(f"{file} is damaged")
            return usual(file)

        monkeypatch.setattr(reading, "score_of_file", score)

    return spoil


@pytest.mark.parametrize("bad", [0, 4, 6, 13, 19])
def test_no_piece_changes_its_part_for_another_that_cannot_be_used(tmp_path, without, bad):
    lay(tmp_path, [f"{k:02}.mid" for k in range(20)])
    whole, again = read(tmp_path), read(tmp_path)
    assert counts(whole) == [16, 2, 2]
    without(f"{bad:02}.mid")
    fewer = read(tmp_path)
    assert pitches(fewer) == {part: found - {40 + bad} for part, found in pitches(whole).items()}
    assert fewer.parts_digest != whole.parts_digest == again.parts_digest


def test_ten_pieces_are_not_cut_in_time_for_one_that_cannot_be_used(tmp_path):
    lay(tmp_path, [f"{k}.mid" for k in range(10)])
    (tmp_path / "0.mid").write_text("no music")
    task = read(tmp_path)
    assert counts(task) == [7, 1, 1]
    assert {len(roll) for part in PARTS for roll in task.library.parts[part]} == {12}


def test_a_run_is_neither_tested_nor_resumed_on_other_parts(tmp_path, without):
    data = lay(tmp_path / "data", [f"{k:02}.mid" for k in range(12)])
    sizes = {"hidden": 4, "units": 2, "threads": 1, "quiet": True, "batch": 4}
    run = tmp_path / "run"
    unrolled.fit(data, run, epochs=1, **sizes)
    assert unrolled.load(run).evaluate(on="test")["scored"] == 12
    without("03.mid")
    for call in (
        lambda: unrolled.load(run).evaluate(on="test"),
        lambda: unrolled.fit(None, run, resume=True, epochs=2, quiet=True),
    ):
        with pytest.raises(RunError, match="not the same of it can be used now"):
            call()
    assert unrolled.load(run).evaluate(str(data))["scored"] == 11 * 12


@pytest.mark.parametrize("names", ["Train Valid Test", "train VALIDATION Test", "TRAINING dev eval"])
def test_folders_name_the_parts_in_any_case(tmp_path, names):
    lay(tmp_path, [f"{folder}/{k}.mid" for folder in names.split() for k in range(2)])
    assert pitches(read(tmp_path)) == {"training": {40, 41}, "validation": {42, 43}, "test": {44, 45}}


def test_pieces_beside_a_folder_of_training_are_refused(tmp_path):
    lay(tmp_path, ["train/a.mid", "held out/b.mid", "test/c.mid"])
    with pytest.raises(DataError, match=r"held out/b.mid lies outside the folders train, valid and test"):
        read(tmp_path)
    whole = MusicTask(MusicOptions(representation="roll"))
    whole._use("roll", {"steps_per_quarter": 4})
    assert whole.read_all(str(tmp_path)) == 36  # to be scored, they need no part


def test_pieces_beside_a_folder_of_tests_are_trained_and_validated_on(tmp_path):
    lay(tmp_path, ["Test/a.mid", *(f"{k:02}.mid" for k in range(10))])
    task = read(tmp_path)
    assert pitches(task)["test"] == {40} and counts(task) == [8, 2, 1]


def collection(tmp_path, **counts):
    """Pieces of three steps for each part, each with a pitch of its own."""
    pitch = iter(range(40, 100))
    content = {part: [[[next(pitch)]] * 3 for _ in range(count)] for part, count in counts.items()}
    (tmp_path / "it.json").write_text(json.dumps(content))
    return tmp_path / "it.json"


def test_a_collection_keeps_its_parts(tmp_path):
    file = collection(tmp_path, Train=2, Valid=1, TEST=1)
    assert pitches(read(file)) == {"training": {40, 41}, "validation": {42}, "test": {43}}
    with pytest.raises(UsageError, match="--split: .*it.json names the part of every piece: leave it out"):
        read(file, split="50/25/25")


def test_what_a_collection_does_not_name_is_drawn(tmp_path):
    task = read(collection(tmp_path, train=10, test=2), split="70/10/20")
    assert pitches(task)["test"] == {50, 51} and counts(task) == [7, 3, 2]
    assert counts(read(collection(tmp_path, train=20), split="70/10/20")) == [14, 2, 4]


def test_no_tune_changes_its_part_for_another_without_notes(tmp_path):
    tunes = [f"X:{k}\nK:C\n{letter}2|\n" for k, letter in enumerate("CDEFGABcdefg")]
    (tmp_path / "a.abc").write_text("\n".join(tunes))
    before = pitches(read(tmp_path / "a.abc", representation="roll"))
    tunes[5] = "X:5\nK:C\nz4|\n"
    (tmp_path / "a.abc").write_text("\n".join(tunes))
    task = read(tmp_path / "a.abc", representation="roll")
    assert task.library.skipped[0][0].endswith("a.abc, tune 6")
    now = pitches(task)
    assert all(now[part] <= before[part] for part in PARTS) and sum(map(len, now.values())) == 11


def test_a_source_that_is_wrong_says_so(tmp_path):
    (tmp_path / "a.json").write_text('{"train": [[[60]], [["x"]]]}')
    good, bad = reading.sources(str(tmp_path / "a.json"), [tmp_path / "a.json"])
    assert isinstance(good, Source) and not good.wrong and good.part == bad.part == "training"
    assert "expected a list of MIDI pitches" in bad.wrong
