"""From recordings to texts: what is learnt, scored, written down, and heard as it comes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from tones import PITCH, tones, write
from unrolled.errors import RunError, UsageError
from unrolled.insight.canvas import as_png
from unrolled.tasks.registry import recognised
from unrolled.tasks.transcribe import task as transcribing
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.picturing import draw_heard
from unrolled.tasks.transcribe.reading import read_speech
from unrolled.tasks.transcribe.scores import Transcripts
from unrolled.tasks.transcribe.sound import read_sound
from unrolled.training.batches import Batch


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A recording of 40 letters, and its text."""
    text = "".join(np.random.default_rng(8).choice(list(PITCH), 40))
    path = tmp_path_factory.mktemp("long") / "long.wav"
    write(path, tones(text, seed=99))
    return path, text


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A model of single letters, of which no recording has a pause."""
    folder = tmp_path_factory.mktemp("single")
    random = np.random.default_rng(3)
    for k in range(60):
        letter = "abc"[k % 3]
        tone = random.uniform(0.1, 0.5) * np.sin(
            2 * np.pi * PITCH[letter] * np.arange(random.integers(600, 1000)) / 8000
        )
        write(folder / f"{letter}_{k}.wav", tone + 1e-3 * random.standard_normal(len(tone)))
    settings = {"hidden": 16, "layers": 1, "batch": 16, "lr": 0.02, "epochs": 30, "dropout": 0.0, "augment": False}
    made = unrolled.fit(folder, folder / "run", pattern="^(.)", threads=1, quiet=True, **settings)
    assert made.evaluate(on="test")["exact"] == 1
    return made


def test_a_folder_of_sounds_is_recognised_and_learnt(recordings, trained):
    assert recognised(recordings) == "transcribe"
    figures = trained.evaluate(on="test")
    assert figures["scored"] == 8 and figures["cer"] < 0.1 and 0 < figures["real_time_factor"] < 1
    assert figures["exact"] >= 0.75 and figures["loss"] < 1


def test_a_long_recording_is_written_down(trained, long):
    path, text = long
    heard = trained.transcribe(path)
    assert len(heard) == pytest.approx(40, abs=2) and sum(a == b for a, b in zip(heard, text, strict=False)) >= 30
    assert trained.transcribe(path, beam=8).replace(" ", "")[:5] == heard[:5]


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 40_000), max_size=12))
def test_a_stream_has_the_text_of_the_whole(trained, long, cuts):
    samples = read_sound(long[0], 8000)
    pieces = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
    assert "".join(trained.listen(pieces)) == trained.transcribe(long[0])


@pytest.mark.parametrize("samples", [1, 199, 200, 280, 281, 500])
def test_a_stream_of_a_short_sound_has_the_text_of_the_whole(trained, tmp_path, samples):
    write(tmp_path / "short.wav", tones("abc")[240 : 240 + samples])
    assert "".join(trained.stream(tmp_path / "short.wav")) == trained.transcribe(tmp_path / "short.wav")


def test_the_memory_of_a_stream_does_not_grow(trained):
    from unrolled.tasks.transcribe.listener import Listener

    listener = Listener(trained.model, trained.task.front, 2)
    for _ in range(50):
        listener.hear(np.zeros(997, np.int16))
        assert len(listener._rest) < 200 + 2 * 80


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_nothing_is_heard_in_silence(single, tmp_path, level):
    write(tmp_path / "silence.wav", level * np.random.default_rng(1).standard_normal(4000))
    assert single.transcribe(tmp_path / "silence.wav") == ""


@pytest.mark.parametrize("direction", ["both", "alternating"])
def test_a_model_that_reads_backward_does_not_stream(recordings, tmp_path, long, direction):
    how = {"hidden": 4, "layers": 2, "epochs": 0.2, "threads": 1, "quiet": True, "direction": direction}
    both = unrolled.fit(recordings, tmp_path / "run", **how)
    assert unrolled.load(tmp_path / "run").transcribe(long[0]) == both.transcribe(long[0])
    with pytest.raises(UsageError, match="--direction forward"):
        list(both.stream(long[0]))


def test_the_verb_writes_texts_and_names_what_it_cannot_read(trained, recordings, long, tmp_path, cli):
    path, _ = long
    status, out, _ = cli("transcribe", str(trained.run.path), str(path))
    assert status == 0 and out == trained.transcribe(path) + "\n"
    status, out, _ = cli("transcribe", str(trained.run.path), str(path), "--json")
    assert json.loads(out) == {"file": str(path), "text": trained.transcribe(path)}
    status, out, _ = cli("transcribe", str(trained.run.path), str(path), "--stream")
    assert status == 0 and out == trained.transcribe(path) + "\n"
    (tmp_path / "broken.wav").write_bytes(b"RIFF....")
    status, out, errors = cli("transcribe", str(trained.run.path), str(path), str(tmp_path / "broken.wav"))
    assert status == 1 and out.startswith(f"{path}\t") and "broken.wav cannot be read as sound" in errors


def test_what_the_verb_refuses(trained, long, tmp_path, cli):
    (tmp_path / "empty").mkdir()
    (tmp_path / "sound.raw").write_bytes(bytes(4000))
    write(tmp_path / "none.wav", np.zeros(0))
    for arguments, status, words in (
        ((long[0], "--stream", "--beam", 4), 2, "--stream takes one file"),
        ((long[0], "--stream", "--weight", 1), 2, "--stream takes one file"),
        ((tmp_path / "empty",), 2, "empty has no recordings"),
        ((tmp_path / "empty", "--stream"), 2, "--stream takes one file, and"),
        (("-",), 2, "raw sound on standard input needs --stream"),
        ((tmp_path / "sound.raw",), 1, "does not say its rate: pipe raw samples to --stream -"),
        ((tmp_path / "none.wav",), 1, "has no samples"),
        ((tmp_path / "none.wav", "--stream"), 1, "has no samples"),
        ((long[0], "--beam", 0), 2, "--beam: must be a whole number from 1, got 0"),
        ((long[0], "--weight", 2), 2, "--weight is for a language model: add --language-model"),
        ((long[0], "--beam", 4, "--bonus", 2), 2, "--bonus is for a language model: add --language-model"),
    ):
        got, out, errors = cli("transcribe", str(trained.run.path), *map(str, arguments))
        assert got == status and words in errors.replace("\n", " ") and not out.strip(), arguments


def test_raw_sound_on_standard_input_is_heard(trained, long):
    command = [
        sys.executable,
        "-m",
        "unrolled",
        "transcribe",
        str(trained.run.path),
        "-",
        "--stream",
        "--threads",
        "1",
    ]
    raw = read_sound(long[0], 8000).astype("<i2").tobytes()
    done = subprocess.run(command, input=raw, capture_output=True, check=True)
    assert done.stdout.decode() == trained.transcribe(long[0]) + "\n"
    done = subprocess.run(command, input=long[0].read_bytes(), capture_output=True, text=False, check=False)
    assert done.returncode == 2 and b"standard input is a sound file" in done.stderr
    whole = subprocess.run(command, input=raw[:-2], capture_output=True, check=True).stdout
    for sound, heard, said in ((raw[:-1], whole, b"ends within a sample"), (b"", b"", b"standard input is empty")):
        done = subprocess.run(command, input=sound, capture_output=True, check=False)
        assert done.returncode == 2 and said in done.stderr and done.stdout == heard
    closed = ["sh", "-c", '"$@" <&-', "sh", *command]
    done = subprocess.run(closed, capture_output=True, check=False)
    assert done.returncode == 2 and b"standard input is closed" in done.stderr


def test_the_worst_transcripts_are_drawn_first(trained, recordings, monkeypatch):
    drawn = []
    monkeypatch.setattr(type(trained.task), "_drawn", lambda self, model, k: drawn.append(self.found.names[k]))
    monkeypatch.setattr(transcribing, "as_png", lambda figure: b"")
    trained.task.read_all(str(recordings))
    names = [trained.task.found.names[k] for k in (7, 3, 5)]
    found = trained.task.pictures(trained.model, "all", {"worst": [{"name": name} for name in names]})
    assert list(found) == [f"heard-{n}.png" for n in (1, 2, 3, 4)]
    assert drawn == [*names, trained.task.found.names[0]]


def test_recordings_are_named_by_their_places(tmp_path):
    for part in ("train", "test"):
        write(tmp_path / part / "0_ab.wav", tones("ab"))
    found = read_speech(str(tmp_path), TranscribeOptions(pattern="_([abc]+)"))
    assert found.names == ["test/0_ab.wav", "train/0_ab.wav"]


def test_a_language_model_helps(trained, tmp_path, long):
    (tmp_path / "text.txt").write_text("".join(np.random.default_rng(0).choice(list("abc\n"), 4000)))
    text = unrolled.fit(tmp_path / "text.txt", tmp_path / "run", hidden=8, epochs=1, threads=1, quiet=True)
    plain = trained.transcribe(long[0], beam=8)
    assert trained.transcribe(long[0], beam=8, language_model=text, weight=0.0, bonus=0.0) == plain
    assert len(trained.transcribe(long[0], beam=8, language_model=text, weight=0.0, bonus=20.0)) > len(plain)
    with pytest.raises(UsageError, match="not a model of text"):
        trained.transcribe(long[0], language_model=trained)
    for name in ("weight", "bonus"):
        for value in (float("nan"), float("inf"), 1e308):
            with pytest.raises(UsageError, match=f"--{name}: must be a number from -100 to 100"):
                trained.transcribe(long[0], language_model=text, **{name: value})


def test_symbols_that_the_model_does_not_have_are_wrong_and_cost_nothing(trained, tmp_path):
    losses, errors = [], []
    for text in ("ab", "abZZ"):
        folder = tmp_path / text
        write(folder / f"{text}.wav", tones("ab", seed=5))
        (folder / "t.csv").write_text(f"file,text\n{text}.wav,{text}\n")
        figures = trained.evaluate(folder)
        losses.append(figures["loss"])
        errors.append(figures["cer"])
    assert losses[0] == losses[1] > 0 and errors[1] == (2 * errors[0] + 2) / 4


def test_blanks_at_the_ends_are_not_heard():
    scores = Transcripts()
    scores.add("0", "a b", "  a  b ", 1.0)
    scores.add("1", "ab", "a b", 1.0)
    found = scores.figures()
    assert (found["cer"], found["wer"], found["exact"], found["loss"]) == (1 / 5, 2 / 3, 1 / 2, 2 / 5)


def test_utterances_without_room_for_their_labels_do_not_count(trained):
    task = trained.task
    x = torch.randn(12, 2, task.front.width)
    targets = torch.tensor([[1, 1], [1, 2], [1, 3], [1, -100]])  # 7 steps and 3
    both = task.loss(trained.model, Batch(x, targets, torch.tensor([12, 12])), None)
    one = task.loss(trained.model, Batch(x[:, 1:], targets[:, 1:], torch.tensor([12])), None)
    none = task.loss(trained.model, Batch(x[:, :1], targets[:, :1], torch.tensor([12])), None)
    assert both.count == one.count == 3 and both.total.item() == pytest.approx(one.total.item(), rel=1e-5)
    assert none.count == 0 and none.total.item() == 0


def test_pauses_are_learnt_from_and_are_in_no_figure(trained):
    task, model = trained.task, trained.model
    x, lengths = torch.randn(12, 2, task.front.width), torch.tensor([12, 12])
    targets = torch.tensor([[1, -100], [2, -100]])
    both = task.loss(model, Batch(x, targets, lengths), None)
    said = task.loss(model, Batch(x[:, :1], targets[:, :1], lengths[:1]), None)
    assert both.count == said.count == 2 and both.total.item() == pytest.approx(said.total.item(), rel=1e-5)
    weight = model.head.map.weight
    with_pause, without = (torch.autograd.grad(one.total, weight)[0] for one in (both, said))
    pause = -model.head.log_prob(model(x[:, 1:])[0], targets[:0, 1:]).sum()
    torch.testing.assert_close(with_pause, without + torch.autograd.grad(pause, weight)[0], rtol=1e-4, atol=1e-5)


def test_a_run_from_the_weights_of_another_has_its_symbols(trained, tmp_path):
    for k, text in enumerate(("ab", "ba", "cé", "b")):
        write(tmp_path / "data" / f"{k}.wav", tones(text.replace("é", "a")))
        (tmp_path / "data" / f"{k}.txt").write_text(text, encoding="utf-8")
    told = []
    settings = {"from_run": trained.run.path, "epochs": 1.0, "split": "100/0/0", "threads": 1}
    made = unrolled.fit(tmp_path / "data", tmp_path / "run", listen=told.append, **settings)
    assert made.task.symbols == trained.task.symbols
    np.testing.assert_array_equal(made.task.front.mean, trained.task.front.mean)
    assert ("", "é is not among them: never written") in [tuple(row) for row in told[0]["about"]]
    with pytest.raises(UsageError, match="^--mels: .* must have the same value"):
        unrolled.fit(tmp_path / "data", tmp_path / "more", mels=80, quiet=True, **settings)


def test_damaged_weights_are_not_silence(trained, long, monkeypatch):
    monkeypatch.setattr(trained.model.head.map, "bias", torch.nn.Parameter(torch.full((4,), torch.nan)))
    for heard in (trained.transcribe, lambda path: list(trained.stream(path))):
        with pytest.raises(RunError, match="outputs are not finite"):
            heard(long[0])


@pytest.mark.parametrize("seconds", [1, 15])
def test_evidence_has_the_times_of_the_recording(trained, tmp_path, seconds):
    write(tmp_path / "a.wav", tones("abc" * 60)[: 8000 * seconds])
    (tmp_path / "a.txt").write_text("abc")
    task = type(trained.task)(trained.task.options)
    task.restore(trained.run)
    task.read_all(str(tmp_path))
    times = task.evidence(trained.model, "all").features["time"]
    assert np.diff(times) == pytest.approx(0.01, rel=0.03) and len(times) == min(1000, round(seconds * 100 - 2))


class StoppedError(Exception):
    """Stands for a process that was killed."""


def test_a_run_goes_on_where_it_was_stopped(recordings, tmp_path):
    settings = {"hidden": 6, "layers": 1, "batch": 8, "join": 3, "epochs": 2, "threads": 1, "save_every": 0.0}
    whole = unrolled.fit(recordings, tmp_path / "whole", quiet=True, **settings)

    def listen(event):
        if event["event"] == "update" and event["update"] == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        unrolled.fit(recordings, tmp_path / "part", listen=listen, **settings)
    part = unrolled.fit(None, tmp_path / "part", resume=True, quiet=True)
    for name, value in whole.model.state_dict().items():
        assert (value == part.model.state_dict()[name]).all(), name


def test_other_commands_name_the_one_that_it_is_for(trained, cli):
    run = str(trained.run.path)
    for asked in (("sample", run), ("forecast", run), ("caption", run, "x.png"), ("score", run, "--text", "x")):
        status, _, errors = cli(*asked)
        assert status == 2 and f"see unrolled transcribe {run}" in errors.replace("\n  ", " "), asked
    status, _, errors = cli("basecall", run, "reads", "-o", "-")
    assert status == 2 and f"is a model of speech, not of reads: see unrolled transcribe {run}" in errors.replace(
        "\n  ", " "
    )


def test_every_curve_of_a_picture_is_named():
    posterior = np.full((20, 4), 0.01)
    posterior[:, 0] = 0.9
    posterior[5], posterior[12] = [0.1, 0.8, 0.05, 0.05], [0.5, 0.1, 0.35, 0.05]  # a wins, b does not, c is not drawn
    figure = draw_heard(np.zeros((20, 3)), 2.0, posterior, "ab ", "two", "loudness")
    named = {text.get_text(): text.xy for text in figure.axes[1].texts}
    assert named == {"a": (0.55, 0.8), "b": (1.25, 0.35)}
    assert len(figure.axes[1].lines) == 3
    money = [r"$\frac{$", "$$", " "]
    assert as_png(draw_heard(np.zeros((20, 1)), 2.0, posterior, money, r"$\frac{$", "$x_$"))[:4] == b"\x89PNG"
