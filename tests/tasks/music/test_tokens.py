"""Events and ABC: what the tokens say, training, scores, samples, resuming."""

import math

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks.music.events import Events
from unrolled.tasks.music.options import MusicOptions
from unrolled.tasks.music.reading import Source
from unrolled.tasks.music.task import MusicTask
from unrolled.tasks.symbols.vocabulary import UNKNOWN

symusic = pytest.importorskip("symusic")
pytest.importorskip("miditok")
SIZES = {"hidden": 16, "cell": "gru", "threads": 1, "quiet": True, "lr": 0.02, "batch": 4, "task": "music"}


def scale(seed):
    """A scale up from some note, in lengths and velocities that repeat; and drums."""
    score, piano, drums = symusic.Score(480), symusic.Track("p", 5, False), symusic.Track("d", 0, True)
    time = 960
    for k in range(24):
        length = (240, 480, 160)[k % 3]
        piano.notes.append(symusic.Note(time, length, 50 + seed + (0, 2, 4, 5, 7)[k % 5], (40, 72, 104)[k % 3]))
        time += length
    drums.notes.append(symusic.Note(0, 100, 35, 100))
    score.tracks.extend([drums, piano])
    return score


TUNE = "X:{0}\nT:Tune {0}\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|cBAG|FEDC|]\n"


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    for k in range(12):
        (folder / f"{k}.mid").write_bytes(scale(k % 4).dumps_midi())
    unrolled.fit(folder, folder / "run", representation="events", epochs=12, **SIZES)
    return folder


@pytest.fixture(scope="module")
def tunes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tunes")
    (folder / "tunes.abc").write_text("\n".join(TUNE.format(k) for k in range(1, 31)))
    unrolled.fit(folder / "tunes.abc", folder / "run", epochs=10, **SIZES)
    return folder


def test_events_keep_pitch_time_length_and_velocity(tmp_path):
    (tmp_path / "a.mid").write_bytes(scale(0).dumps_midi())
    kind = Events(MusicOptions())
    tokens = kind.convert(Source("a", file=tmp_path / "a.mid"))
    back = kind._tokenizer.decode([tokens.tolist()])
    found = sorted((n.start / back.tpq, n.duration / back.tpq, n.pitch) for n in back.tracks[0].notes)
    first = 960
    wanted = sorted(((n.start - first) / 480, n.duration / 480, n.pitch) for n in scale(0).tracks[1].notes)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    for one, other in zip(back.tracks[0].notes, scale(0).tracks[1].notes, strict=True):
        assert abs(one.velocity - other.velocity) <= 4
    shifts = [n.start for n in scale(0).tracks[1].notes]
    assert kind.quarters(tokens) == pytest.approx((shifts[-1] - first) / 480)


def test_the_score_of_events_is_that_of_a_loop(events):
    model = unrolled.load(events / "run")
    figures = model.evaluate(on="test")
    kind, nats, steps, right = model.task.kind, 0.0, 0, 0
    task = model._with_own_data("test", None)
    for piece in task.library.parts["test"]:
        inputs = torch.tensor([kind.start, *piece[:-1]])[:, None]
        logs = torch.log_softmax(model.model(inputs)[0].detach().double(), -1)[:, 0]
        for k, row in zip(piece, logs, strict=True):
            nats -= float(row[k])
            right += int(row.argmax()) == k
            steps += 1
    assert figures["scored"] == steps and figures["loss"] == pytest.approx(nats / steps, rel=1e-4)
    assert figures["accuracy"] == pytest.approx(right / steps) and figures["loss"] < figures["frequencies"]


def test_a_sample_of_events_is_as_long_as_it_was_to_be(events, tmp_path):
    model = unrolled.load(events / "run")
    made = model.generate(bars=2, tempo=90.0)
    score = symusic.Score.from_midi(made.content)
    assert score.note_num() and score.tempos[0].qpm == pytest.approx(90, abs=0.1)
    assert max(n.start + n.duration for n in score.tracks[0].notes) <= 8 * score.tpq
    assert min(n.duration for n in score.tracks[0].notes) > 0
    assert made.content == model.generate(bars=2, tempo=90.0).content
    given = [n.pitch for n in scale(0).tracks[1].notes]
    lengths = set()
    for seed in range(1, 11):  # one of them plays something of its own in two bars
        longer = model.generate(bars=2, prime=str(events / "0.mid"), seed=seed)
        notes = symusic.Score.from_midi(longer.content).tracks[0].notes
        assert [n.pitch for n in notes[:24]] == given
        lengths.add(len(notes))
    assert max(lengths) > 24


def test_a_run_of_other_tokens_is_refused(events):
    from unrolled.runs.folder import RunFolder

    run = RunFolder(events / "run")
    kept = run.read_json("music.json")
    run.write_json("music.json", {**kept, "vocabulary": kept["vocabulary"][:-1]})
    try:
        with pytest.raises(RunError, match="another version of miditok"):
            unrolled.load(events / "run")
    finally:
        run.write_json("music.json", kept)


def test_tunes_are_recognised_learnt_and_written(tunes):
    model = unrolled.load(tunes / "run")
    figures = model.evaluate(on="test")
    assert model.task.kind.name == "abc" and figures["loss"] < figures["frequencies"] / 2
    whole = 0
    for seed in range(1, 11):
        made = model.generate(bars=3, temperature=0.3, seed=seed)
        text = made.content.decode()
        assert made.suffix == ".txt"
        head, key, _ = text.partition("\nK:")
        if not key or "|" in head:  # the model lost its way in the head of the tune
            continue
        whole += 1
        assert text.count("|") <= 3
        assert {one.suffix for one in made.beside} - {".wav"} == {".mid", ".png"} or made.note.startswith("no MIDI")
    assert whole
    (tunes / "prime.abc").write_text(TUNE.format(1).removesuffix("|]\n"))
    more = model.generate(bars=1, prime=str(tunes / "prime.abc"), temperature=0.0).content.decode()
    assert more.startswith("X:1\nT:Tune 1\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|cBAG|FEDC")
    (tunes / "prime.mid").write_bytes(scale(0).dumps_midi())
    with pytest.raises(UsageError, match=r"--prime: .*prime.mid is not ABC, which this model writes"):
        model.generate(prime=str(tunes / "prime.mid"))


def test_tunes_can_be_rolls_and_midi_cannot_be_text(tunes, events, tmp_path):
    model = unrolled.fit(tunes / "tunes.abc", tmp_path / "run", representation="roll", epochs=1, units=4, **SIZES)
    assert math.isfinite(model.evaluate()["nll_per_step"])
    with pytest.raises(DataError, match="is no ABC"):
        unrolled.fit(events, tmp_path / "other", representation="abc", **SIZES)
    with pytest.raises(UsageError, match="--transpose moves the keys of rolls: leave it out with abc"):
        unrolled.fit(tunes / "tunes.abc", tmp_path / "other", transpose=3, **SIZES)
    assert not (tmp_path / "other").exists()


def test_a_resumed_run_is_bit_exact(tunes, tmp_path):
    options = {"epochs": 2, "save_every": 0.0, **SIZES}

    def stop(event):
        if event["event"] == "update" and event["update"] == 7:
            raise KeyboardInterrupt

    unrolled.fit(tunes / "tunes.abc", tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(tunes / "tunes.abc", tmp_path / "cut", **{**options, "quiet": False, "listen": stop})
    unrolled.fit(None, tmp_path / "cut", resume=True, quiet=True)
    one, other = (unrolled.load(tmp_path / name).model.state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_begins_from_another_and_keeps_its_symbols(tunes, tmp_path):
    (tmp_path / "new.abc").write_text("\n".join(TUNE.format(k).replace("CDEF", "C2zé") for k in range(12)))
    given = {k: v for k, v in SIZES.items() if k not in ("hidden", "cell")}
    model = unrolled.fit(tmp_path / "new.abc", tmp_path / "run", from_run=tunes / "run", epochs=1, **given)
    assert model.task.kind.names == unrolled.load(tunes / "run").task.kind.names
    with pytest.raises(UsageError, match="--representation: .* has representation abc, got roll"):
        unrolled.fit(
            tmp_path / "new.abc", tmp_path / "b", from_run=tunes / "run", representation="roll", epochs=1, **given
        )


@pytest.mark.parametrize("given", [{"head": "bernoulli"}, {"units": 8}, {"steps_per_quarter": 4}])
@pytest.mark.parametrize("representation", ["abc", "events"])
def test_settings_of_rolls_are_of_rolls_alone(tunes, events, tmp_path, given, representation):
    data = tunes / "tunes.abc" if representation == "abc" else events
    message = f"--{next(iter(given)).replace('_', '-')} is for rolls: leave it out with {representation}"
    with pytest.raises(UsageError, match=message):
        unrolled.fit(data, tmp_path / "run", representation=representation, **given, **SIZES)
    assert not (tmp_path / "run").exists()


def test_a_tune_says_how_fast_it_is(tunes):
    with pytest.raises(UsageError, match="--tempo: a tune says how fast it is itself"):
        unrolled.load(tunes / "run").generate(tempo=90.0)


def read_tunes(file, **options):
    task = MusicTask(MusicOptions(**options))
    task.read(str(file))
    return task


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_tunes_of_any_age_are_read_in_their_letters(tmp_path, encoding):
    file = tmp_path / "a.abc"
    file.write_bytes("\n".join(TUNE.format(k).replace("Tune", "Café") for k in range(12)).encode(encoding))
    task = read_tunes(file)
    symbols = task.kind.vocabulary.symbols
    assert "é" in symbols and not {"\ufffd", "Ã", "\ufeff"} & set(symbols)
    assert len(task.library.parts["all"]) == 12
    assert "T:Café" in task.kind.vocabulary.decode(task.library.parts["training"][0])


def test_the_vocabulary_is_that_of_the_training_part(tmp_path):
    file = tmp_path / "a.abc"
    letters = "äöüßéèêñçåøæ"
    file.write_text("\n".join(TUNE.format(1).replace("Tune", letter) for letter in letters))
    task = read_tunes(file)
    known = {letter for letter in letters if letter in task.kind.vocabulary.numbers}
    assert len(known) == len(task.library.parts["training"]) == 10
    for part in ("validation", "test"):
        (piece,) = task.library.parts[part]
        assert (piece == UNKNOWN).sum() == 1


def test_the_vocabulary_of_a_tune_that_is_cut_in_time(tmp_path):
    (tmp_path / "a.abc").write_text(TUNE.format(1).removesuffix("|]\n") + "|g^f]\n")
    task = read_tunes(tmp_path / "a.abc")
    assert not {"g", "^", "f"} & set(task.kind.vocabulary.symbols)
