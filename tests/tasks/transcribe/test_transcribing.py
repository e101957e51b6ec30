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
from unrolled.errors import UsageError
from unrolled.tasks.registry import recognised
from unrolled.tasks.transcribe.sound import read_sound
from unrolled.training.batches import Batch


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A recording of 40 letters, and its text."""
    text = "".join(np.random.default_rng(8).choice(list(PITCH), 40))
    path = tmp_path_factory.mktemp("long") / "long.wav"
    write(path, tones(text, seed=99))
    return path, text


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


def test_a_model_of_both_directions_does_not_stream(recordings, tmp_path, long):
    both = unrolled.fit(recordings, tmp_path / "run", hidden=4, layers=1, epochs=0.2, threads=1, quiet=True)
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
    status, _, errors = cli("transcribe", str(trained.run.path), str(path), "--stream", "--beam", "4")
    assert status == 2 and "--stream" in errors


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


def test_a_language_model_helps(trained, tmp_path, long):
    (tmp_path / "text.txt").write_text("".join(np.random.default_rng(0).choice(list("abc\n"), 4000)))
    text = unrolled.fit(tmp_path / "text.txt", tmp_path / "run", hidden=8, epochs=1, threads=1, quiet=True)
    plain = trained.transcribe(long[0], beam=8)
    assert trained.transcribe(long[0], beam=8, language_model=text, weight=0.0, bonus=0.0) == plain
    assert len(trained.transcribe(long[0], beam=8, language_model=text, weight=0.0, bonus=20.0)) > len(plain)
    with pytest.raises(UsageError, match="not a model of text"):
        trained.transcribe(long[0], language_model=trained)


def test_utterances_without_room_for_their_labels_do_not_count(trained):
    task = trained.task
    x = torch.randn(12, 2, task.front.width)
    targets = torch.tensor([[1, 1], [1, 2], [1, 3], [1, -100]])  # 7 steps and 3
    both = task.loss(trained.model, Batch(x, targets, torch.tensor([12, 12])), None)
    one = task.loss(trained.model, Batch(x[:, 1:], targets[:, 1:], torch.tensor([12])), None)
    none = task.loss(trained.model, Batch(x[:, :1], targets[:, :1], torch.tensor([12])), None)
    assert both.count == one.count == 3 and both.total.item() == pytest.approx(one.total.item(), rel=1e-5)
    assert none.count == 0 and none.total.item() == 0


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
