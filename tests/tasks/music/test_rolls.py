"""Rolls: read from MIDI and JSON, scored by the convention of the papers, sampled as MIDI."""

import json
import math

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.tasks.music.notes import LOWEST, roll_of, score_of_roll
from unrolled.tasks.music.rolls import agreement
from unrolled.tasks.music.transposed import Transposed
from unrolled.training import Padded

symusic = pytest.importorskip("symusic")
SIZES = {"hidden": 12, "cell": "gru", "threads": 1, "quiet": True, "lr": 0.02, "batch": 4, "task": "music"}


def random_roll(seed, steps=40):
    return (np.random.default_rng(seed).random((steps, 88)) < 0.04).astype(np.uint8)


def chords(seed, steps=24):
    """A piece of three chords that follow each other in a circle, and now and then a rest."""
    draw = np.random.default_rng(seed)
    circle, place = [[48, 64, 67, 72], [53, 65, 69, 72], [55, 62, 67, 71]], int(draw.integers(3))
    return [[] if draw.random() < 0.1 else circle[(place + t) % 3] for t in range(steps)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    file = tmp_path_factory.mktemp("music") / "chords-quarter.json"
    parts = {"train": range(30), "valid": range(30, 36), "test": range(36, 44)}
    content = {part: [chords(k, 15 + k % 9) for k in seeds] for part, seeds in parts.items()}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture(scope="module")
def runs(collection):
    made = {}
    for head in ("nade", "bernoulli"):
        made[head] = collection.parent / head
        units = {"units": 8} if head == "nade" else {}
        unrolled.fit(collection, made[head], head=head, epochs=12, transpose=0, **units, **SIZES)
    return made


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
@pytest.mark.parametrize("seed", range(3))
def test_a_roll_is_the_same_after_midi(seed, steps):
    roll = random_roll(seed)
    roll[0, 0] = roll[-1, 87] = 1
    content = score_of_roll(roll, steps, tempo=90).dumps_midi()
    back, outside = roll_of(symusic.Score.from_midi(content), steps, "it")
    np.testing.assert_array_equal(back, roll)
    assert outside == 0


def test_what_midi_files_say_is_what_is_read():
    """Notes off the grid, at its rounding, too short for it, too low, of drums."""
    score = symusic.Score(100)
    piano, drums = symusic.Track("p", 0, False), symusic.Track("d", 0, True)
    for start, length, pitch in [(204, 92, 60), (290, 20, 62), (400, 1, 64), (449, 101, 108), (200, 400, 20)]:
        piano.notes.append(symusic.Note(start, length, pitch, 70))
    drums.notes.append(symusic.Note(0, 800, 40, 70))
    score.tracks.extend([piano, drums])
    roll, outside = roll_of(score, 2, "it")
    found = {(t, key + LOWEST) for t, key in zip(*np.nonzero(roll), strict=True)}
    assert found == {(0, 60), (1, 60), (2, 62), (4, 64), (5, 108), (6, 108)} and outside == 1


def by_hand(model, pieces):
    """The sum of -log p of all steps, one piece at a time, the first step after silence."""
    nats = steps = 0
    for piece in pieces:
        roll = np.zeros((len(piece) + 1, 88), dtype=np.float32)
        for t, step in enumerate(piece):
            roll[t + 1, [pitch - LOWEST for pitch in step]] = 1
        roll = torch.from_numpy(roll)
        outputs, _ = model.model(roll[:-1, None])
        outputs = outputs[:, 0].detach().double()
        head = model.model.head
        for y, v in zip(outputs, roll[1:].double(), strict=True):
            for i in range(88):
                logit = y[i]
                if hasattr(head, "V"):
                    a = y[88:] + sum((head.W[j].detach().double() for j in range(i) if v[j]), torch.zeros(8))
                    logit = logit + head.V[i].detach().double() @ torch.sigmoid(a)
                nats += math.log1p(math.exp(-float(logit if v[i] else -logit)))
            steps += 1
    return nats / steps, steps


@pytest.mark.parametrize("head", ["nade", "bernoulli"])
def test_the_score_is_that_of_a_loop_over_pieces_steps_and_keys(collection, runs, head):
    pieces = json.loads(collection.read_text())["test"]
    model = unrolled.load(runs[head])
    figures = model.evaluate(on="test")
    loss, steps = by_hand(model, pieces)
    assert figures["scored"] == steps == sum(map(len, pieces))
    assert figures["nll_per_step"] == pytest.approx(loss, rel=1e-4) == figures["loss"]
    assert figures["nll_per_step"] < figures["frequencies"]
    assert "empty steps included" in dict(model.rows(figures))["convention"]


def test_chords_are_predicted_by_the_head_that_knows_them(runs):
    """After a rest the chord is unknown: keys that are independent of each other mix three chords into others."""
    one, other = (unrolled.load(runs[head]).evaluate(on="test") for head in ("nade", "bernoulli"))
    assert one["nll_per_step"] < other["nll_per_step"] and one["frame_accuracy"] > 0.5


def test_frame_accuracy_counts_what_both_have_of_what_either_has():
    predicted, true = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]), torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1]])
    assert agreement(predicted, true) == (1.0, 4)


def test_the_frequencies_are_those_of_the_training_part(collection, runs):
    content = json.loads(collection.read_text())
    rolls = {}
    for part, pieces in content.items():
        rolls[part] = np.zeros((sum(map(len, pieces)), 88))
        for t, step in enumerate(step for piece in pieces for step in piece):
            rolls[part][t, [p - LOWEST for p in step]] = 1
    p = (rolls["train"].sum(0) + 1) / (len(rolls["train"]) + 2)
    expected = -np.where(rolls["test"], np.log(p), np.log(1 - p)).sum(1).mean()
    assert unrolled.load(runs["nade"]).evaluate(on="test")["frequencies"] == pytest.approx(expected)


@pytest.mark.parametrize("head", ["nade", "bernoulli"])
def test_a_sample_is_midi_and_a_picture(runs, head):
    model = unrolled.load(runs[head])
    made = model.generate(bars=3, tempo=120.0)
    score = symusic.Score.from_midi(made.content)
    assert made.suffix == ".mid" and score.note_num() and score.tempos[0].qpm == pytest.approx(120)
    assert max(n.start + n.duration for n in score.tracks[0].notes) <= 12 * score.tpq
    assert made.beside[0].suffix == ".png" and made.beside[0].content[:4] == b"\x89PNG"
    assert made.content == model.generate(bars=3, tempo=120.0).content != model.generate(bars=3, seed=2).content


def test_a_sample_goes_on_from_what_it_is_given(runs, tmp_path):
    roll = np.zeros((8, 88), dtype=np.uint8)
    roll[np.arange(8), [39, 43, 46, 51, 39, 43, 46, 51]] = 1
    (tmp_path / "prime.mid").write_bytes(score_of_roll(roll, 1, 100).dumps_midi())
    made = unrolled.load(runs["nade"]).generate(bars=2, prime=str(tmp_path / "prime.mid"))
    back, _ = roll_of(symusic.Score.from_midi(made.content), 1, "it")
    np.testing.assert_array_equal(back[:8], roll)
    assert 8 < len(back) <= 16
    with pytest.raises(UsageError, match="--prime: there is no file"):
        unrolled.load(runs["nade"]).generate(prime="nowhere.mid")


def test_transposed_rolls_are_moved_as_a_whole_and_stay_on_the_piano():
    rolls = [random_roll(k, 12) for k in range(9)]
    rolls[0][:, :] = 0
    rolls[0][3, [0, 87]] = 1
    padded = Padded(rolls, rolls, 3, by_step=True)
    moved = Transposed(padded, most=5, seed=3)
    shifts = set()
    for update in range(6):
        one, other = padded.batch_at(update), moved.batch_at(update)
        assert torch.equal(other.targets, moved.batch_at(update).targets) and torch.equal(other.inputs, other.targets)
        for n in range(one.targets.shape[1]):
            fits = [s for s in range(-5, 6) if torch.equal(one.targets[:, n].roll(s, 1), other.targets[:, n])]
            assert fits
            keys = one.targets[:, n].nonzero()[:, 1]
            assert any(int(keys.min()) + s >= 0 and int(keys.max()) + s < 88 for s in fits)
            shifts |= set(fits)
    assert len(shifts) > 3


@pytest.mark.parametrize(("given", "wanted"), [({}, "up to 5 semitones"), ({"transpose": 0}, "none")])
def test_rolls_are_transposed_unless_they_are_not_to_be(collection, tmp_path, given, wanted):
    model = unrolled.fit(collection, tmp_path / "run", **given, epochs=1, units=4, **SIZES)
    assert dict(model.rows(model.evaluate()))["convention"].endswith(f"transposition in training: {wanted}")


@pytest.mark.parametrize("given", [{"bars": 0}, {"temperature": -1.0}, {"tempo": 5.0}, {"soundfont": "nowhere.sf2"}])
def test_settings_of_samples_are_checked(runs, given):
    with pytest.raises(UsageError, match=f"--{next(iter(given))}: "):
        unrolled.load(runs["nade"]).generate(**given)


def test_both_directions_are_refused(collection, tmp_path):
    with pytest.raises(UsageError, match="--direction: a model must not see the steps that it predicts"):
        unrolled.fit(collection, tmp_path / "run", direction="both", **SIZES)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('{"a": []}', "is not a collection of piano rolls"),
        ('{"train": 3}', "train is not a list of pieces"),
        ('{"train": [60]}', "train 1 is not a piece: expected a list of steps"),
        ('{"train": [[[60], [60, "x"]]]}', r"train 1, step 2: is \[60, \"x\"\], expected a list of MIDI pitches"),
        ('{"train": [[[200]], [[3]]]}', "no note on a piano"),
        ('{"train": [[[200]], 7, [[]]]}', "no note on a piano .* and 2 more"),
        ('{"train": []}', "has no pieces"),
        ('{"test": [[[60]]]}', "no pieces for the training part"),
    ],
)
def test_a_collection_that_is_none_is_one_sentence(tmp_path, content, message):
    (tmp_path / "it.json").write_text(content)
    with pytest.raises(DataError, match=message):
        unrolled.fit(tmp_path / "it.json", tmp_path / "run", **SIZES)
    assert not (tmp_path / "run").exists()


def lay_steps(tmp_path, name):
    (tmp_path / name).write_text(json.dumps({"train": [chords(k) for k in range(3)]}))
    return tmp_path / name


@pytest.mark.parametrize(("name", "steps"), [("a-16th.json", 4), ("b-8th.json", 2), ("eighths.json", 2)])
def test_steps_of_another_length_are_refused(runs, tmp_path, name, steps):
    """`runs` are of quarter notes, by the name of the collection."""
    file, model = lay_steps(tmp_path, name), unrolled.load(runs["nade"])
    message = rf"train 1 has {steps} steps a quarter note by the name of its file, expected 1, .*; and 2 more"
    with pytest.raises(DataError, match=message):
        model.evaluate(file)
    with pytest.raises(DataError, match="a quarter note by the name of its file"):
        model.generate(prime=str(file))
    with pytest.raises(DataError, match="expected 8, as the model was trained on, or as --steps-per-quarter says"):
        unrolled.fit(file, tmp_path / "run", steps_per_quarter=8, **SIZES)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["mine.json", "of-the-18th-century.json", "quarter.json"])
def test_steps_of_unknown_or_the_same_length_are_scored(runs, tmp_path, name):
    assert unrolled.load(runs["nade"]).evaluate(lay_steps(tmp_path, name))["scored"] == 72


def test_a_collection_that_does_not_say_has_the_steps_of_the_option(tmp_path):
    made = unrolled.fit(lay_steps(tmp_path, "mine.json"), tmp_path / "run", steps_per_quarter=4, epochs=1, **SIZES)
    assert made.task.kind.steps_per_quarter == 4 == made.options.steps_per_quarter


def test_what_a_run_takes_over_of_another(collection, runs, tmp_path):
    """What its model is made for; how its data are split, cut and augmented is the new run's."""
    few = {name: value for name, value in SIZES.items() if name not in ("hidden", "cell")}
    loose = lay_steps(tmp_path, "loose.json")
    unrolled.fit(loose, tmp_path / "a", from_run=runs["nade"], split="60/20/20", longest=16, epochs=1, **few)
    made = unrolled.fit(loose, tmp_path / "b", from_run=tmp_path / "a", epochs=1, **few)
    own = made.options
    assert (own.head, own.units, own.steps_per_quarter) == ("nade", 8, 1)
    assert (own.split, own.longest, own.transpose) == ("80/10/10", None, 5)
    with pytest.raises(UsageError, match="--steps-per-quarter: .* has steps_per_quarter 1, got 8; .* leave out"):
        unrolled.fit(loose, tmp_path / "c", from_run=runs["nade"], steps_per_quarter=8, **few)


def test_units_are_of_the_nade_head(collection, tmp_path):
    with pytest.raises(UsageError, match="--units is for --head nade: leave it out with bernoulli"):
        unrolled.fit(collection, tmp_path / "run", head="bernoulli", units=8, **SIZES)
    assert not (tmp_path / "run").exists()
