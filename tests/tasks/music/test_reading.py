"""Files and folders of music: which are read, how they are split, what is said of those that cannot be used."""

import numpy as np
import pytest

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.tasks.music.notes import score_of_roll
from unrolled.tasks.music.options import MusicOptions
from unrolled.tasks.music.reading import is_music, tunes_of
from unrolled.tasks.music.task import MusicTask

symusic = pytest.importorskip("symusic")


def midi(pitches, tpq=480):
    score, track = symusic.Score(tpq), symusic.Track("p", 0, False)
    for k, pitch in enumerate(pitches):
        track.notes.append(symusic.Note(k * tpq, tpq, pitch, 50 + k % 50))
    score.tracks.append(track)
    return score.dumps_midi()


@pytest.fixture
def folder(tmp_path):
    for k in range(20):
        (tmp_path / f"{k:02}.mid").write_bytes(midi([60 + (k + t) % 12 for t in range(20)]))
    return tmp_path


def read(data, **options):
    task = MusicTask(MusicOptions(**options))
    return task, task.read(str(data))


def test_a_bad_file_among_others_is_left_out_and_named(folder):
    (folder / "broken.mid").write_bytes(midi([60, 61])[:40])
    (folder / "text.mid").write_text("hello")
    (folder / "silent.MID").write_bytes(symusic.Score(480).dumps_midi())
    (folder / "low.mid").write_bytes(midi([5, 6]))
    (folder / "notes.txt").write_text("not music")
    (folder / ".hidden.mid").write_text("x")
    task, steps = read(folder)
    assert {part: len(pieces) for part, pieces in task.library.parts.items()} == {
        "training": 17,
        "validation": 2,
        "test": 1,
        "all": 20,
    }
    assert steps == 17 * 80
    reasons = {name.rpartition("/")[2]: reason for name, reason in task.library.skipped}
    assert sorted(reasons) == ["broken.mid", "low.mid", "silent.MID", "text.mid"]
    assert "no notes" in reasons["silent.MID"] and "no note on a piano" in reasons["low.mid"]
    assert "damaged MIDI file: its tracks are cut off" in reasons["broken.mid"]
    assert "not a MIDI file: it begins with 'hello', and not with 'MThd'" in reasons["text.mid"]
    assert sum("broken.mid" in text for _, text in task.about()) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mid", b"", "a.mid is not a MIDI file: it begins with nothing"),
        ("a.mid", b"day,value\n1,2\n", "a.mid is not a MIDI file: it begins with 'day,valu', and not with 'MThd'$"),
        ("a.mid", b"MThd\0", "a.mid is a damaged MIDI file: it has 5 bytes"),
        (
            "a.mid",
            b"MThd\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\x0c\0\x90\x3c\x40\x60\x80\x3c\x40\0\xff\x2f\0",
            "a.mid is a damaged MIDI file: its quarter notes have 0 ticks",
        ),
        ("a.mid", b"MThd" + bytes(40), "a.mid is a damaged MIDI file: its tracks are cut off"),
        ("a.mid", None, "a.mid has no notes$"),
        ("a.mid", midi([1, 2, 127]), "a.mid has no note on a piano: all pitches lie outside 21 to 108"),
        ("a.abc", b"", "has no ABC tune"),
        ("a.abc", b"\xff\xfe\x00", "has no ABC tune"),
    ],
)
def test_one_bad_file_is_one_sentence_and_no_folder(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(symusic.Score(480).dumps_midi() if content is None else content)
    with pytest.raises(DataError, match=message) as error:
        unrolled.fit(tmp_path / name, tmp_path / "run", task="music", quiet=True)
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_random_bytes_and_changed_bytes_are_no_music_or_some(folder):
    """Nothing but a DataError, or notes: the reader takes what strangers send."""
    good, draw = midi(range(40, 80)), np.random.default_rng(0)
    for k in range(60):
        content = bytearray(good if k % 2 else draw.bytes(60))
        if k % 2:
            for place in draw.integers(0, len(content), 3):
                content[place] = draw.integers(256)
        file = folder / "00.mid"
        file.write_bytes(bytes(content))
        try:
            task, steps = read(file)
        except DataError:
            continue
        assert steps > 0 and task.library.parts["all"][0].shape[1] == 88


def test_a_note_at_the_end_of_time_takes_no_memory(tmp_path):
    score, track = symusic.Score(1), symusic.Track("p", 0, False)
    track.notes.append(symusic.Note(0, 1, 60, 60))
    track.notes.append(symusic.Note(200_000_000, 1, 60, 60))
    score.tracks.append(track)
    (tmp_path / "long.mid").write_bytes(score.dumps_midi())
    with pytest.raises(DataError, match="long.mid lasts .* steps, more than"):
        read(tmp_path / "long.mid")


def test_folders_may_name_the_parts(tmp_path):
    for part, pitches in (("train", 60), ("valid", 61), ("test", 62)):
        (tmp_path / part).mkdir()
        for k in range(2):
            (tmp_path / part / f"{k}.mid").write_bytes(midi([pitches] * 5))
    task, _ = read(tmp_path)
    found = {part: {int(roll.argmax(1)[0]) + 21 for roll in task.library.parts[part]} for part in task.library.parts}
    assert found == {"training": {60}, "validation": {61}, "test": {62}, "all": {60, 61, 62}}


def test_a_few_pieces_are_cut_in_time(tmp_path):
    (tmp_path / "one.mid").write_bytes(midi([30 + t for t in range(50)]))
    task, steps = read(tmp_path / "one.mid", steps_per_quarter=1, split="60/20/20")
    keys = {part: [roll.argmax(1) for roll in rolls] for part, rolls in task.library.parts.items()}
    assert steps == 30 and [len(keys[part][0]) for part in ("training", "validation", "test")] == [30, 10, 10]
    joined = np.concatenate([keys[part][0] for part in ("training", "validation", "test")])
    np.testing.assert_array_equal(joined, np.arange(50) + 9)


def test_long_pieces_are_cut_for_training_and_read_on(tmp_path):
    (tmp_path / "one.mid").write_bytes(midi([30 + t for t in range(50)]))
    task, _ = read(tmp_path / "one.mid", steps_per_quarter=1, split="80/20/0", longest=16)
    pairs = task._sequences("training")
    assert [len(x) for x, _ in pairs] == [16, 16, 8] == [len(y) for _, y in pairs]
    targets = np.concatenate([y for _, y in pairs])
    np.testing.assert_array_equal(np.concatenate([x for x, _ in pairs])[1:], targets[:-1])
    assert not pairs[0][0][0].any()


def test_music_is_recognised_and_other_things_are_not(folder, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "c.json").write_text(' { "test" : [[[60, 64]]]}')
    (tmp_path / "d.json").write_text('{"train": "x"}')
    (tmp_path / "e.abc").write_text("X:1\nK:C\nC|\n")
    (tmp_path / "f.json").write_text('{"Train": [[[60, 64]]]}')
    (tmp_path / "g.json").write_text('{"rows": [[[60, 64]]]}')
    names = ("00.mid", "a.txt", "c.json", "d.json", "e.abc", "f.json", "g.json")
    assert [is_music(tmp_path / name) for name in names] == [True, False, True, False, True, True, False]
    assert is_music(folder)
    for k in range(40):
        (folder / f"{k}.txt").write_text("words")
    assert not is_music(folder)


def test_tunes_of_a_file():
    text = "%abc\r\nX:1\r\nT:a\r\nK:C\r\nC|\r\n\r\nsome words\r\n\r\nX:2\nK:D\nD|\nX:3\nno key\n"
    assert tunes_of(text) == ["X:1\nT:a\nK:C\nC|\n", "X:2\nK:D\nD|\n"]


@pytest.mark.parametrize(
    "given",
    [{"representation": "waves"}, {"head": "x"}, {"units": 0}, {"steps_per_quarter": 0}, {"longest": 2}]
    + [{"transpose": 13}, {"split": "50/50"}, {"split": "0/50/50"}],
)
def test_settings_are_checked(given):
    with pytest.raises(UsageError, match=f"--{next(iter(given)).replace('_', '-')}: "):
        MusicOptions(**given)


def test_a_roll_of_nothing_has_no_notes():
    assert not score_of_roll(np.zeros((3, 88), dtype=np.uint8), 1, 100).note_num()
