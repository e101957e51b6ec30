"""Stopped runs go on as if nothing had happened; damage and change are noticed."""

import math
from dataclasses import replace

import numpy as np
import pytest

import unrolled
from helpers import TEXT, TINY, history
from unrolled.errors import RunError, UsageError
from unrolled.runs.folder import RunFolder
from unrolled.training import loop
from unrolled.training.loop import WALL_CLOCK_FIELDS
from unrolled.training.stopping import StopRequest


class KilledError(Exception):
    """Training stops here without saving, as after kill -9."""


def comparable(run):
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in history(run)]


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "dropout": 0.3, "layers": 2},
        {"cell": "gru", "optimizer": "rmsprop", "ema": 0.0},
        {"update_every": 7, "optimizer": "sgd", "lr": 0.3},
        {"carry": False, "optimizer": "adamw", "weight_decay": 0.1},
        {"cell": "lstm", "optimizer": "muon", "weight_decay": 0.1},
    ],
)
def test_resumed_equals_uninterrupted_bit_for_bit(text, tmp_path, options):
    settings = TINY | {"epochs": 1.5, "save_every": 0.0} | options
    unrolled.fit(text, tmp_path / "whole", **settings)
    run = tmp_path / "broken"
    for stop_at in (17, 40, 41, 90, None):
        settings["save_every"] = 0.0
        seen = []

        def listen(event, stop_at=stop_at, seen=seen):
            if event["event"] == "update":
                seen.append(event["update"])
                if event["update"] == stop_at:
                    raise KilledError

        try:
            unrolled.fit(text, run, resume=True, listen=listen, **settings)
        except KilledError:
            with open(run / "history.jsonl", "a") as file:
                file.write('{"event": "train", "update": 100000}\n{"ev')
        assert seen[0] != 1 or stop_at == 17
    assert comparable(run) == comparable(tmp_path / "whole")
    for name in ("model.safetensors", "resume.safetensors"):
        a, b = (unrolled.runs.arrays.read_arrays(r / name)[0] for r in (run, tmp_path / "whole"))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")
    samples = [sorted((p.name, p.read_text()) for p in (r / "samples").iterdir()) for r in (run, tmp_path / "whole")]
    assert samples[0] == samples[1]


def test_stopped_where_the_gradient_was_not_finite_and_resumed(text, tmp_path, monkeypatch):
    """Dropout is drawn in the skipped update, too; the resumed run draws the same."""
    from unrolled.tasks.text.task import TextTask

    plain = TextTask.loss

    def loss(self, model, window, state):
        losses = plain(self, model, window, state)
        bad = int(window.inputs.sum()) % 7 == 0
        return replace(losses, total=losses.total * math.nan) if bad else losses

    monkeypatch.setattr(TextTask, "loss", loss)
    settings = TINY | {"epochs": 3, "dropout": 0.3, "save_every": 1000.0}
    skips = []
    unrolled.fit(text, tmp_path / "whole", listen=lambda e: skips.append(e["event"] == "skip"), **settings)
    assert any(skips)

    def listen(event):
        if event["event"] == "skip":
            raise KilledError

    with pytest.raises(KilledError):
        unrolled.fit(text, tmp_path / "broken", listen=listen, **settings)
    unrolled.fit(None, tmp_path / "broken", resume=True)
    assert comparable(tmp_path / "broken") == comparable(tmp_path / "whole")


def test_minutes_already_used_count(text, tmp_path, clock):
    """An update takes a second, so a minute is 60 updates, in one go or in two with an hour between them."""
    settings = TINY | {"minutes": 1.0, "save_every": 0.0}
    unrolled.fit(text, tmp_path / "whole", **settings)

    def listen(event):
        if event["event"] == "update" and event["update"] == 25:
            raise KilledError

    with pytest.raises(KilledError):
        unrolled.fit(text, tmp_path / "broken", listen=listen, **settings)
    clock.now += 3600
    unrolled.fit(None, tmp_path / "broken", resume=True)
    assert history(tmp_path / "broken") == history(tmp_path / "whole")  # the seconds are the same, too
    assert (history(tmp_path / "broken")[-1]["update"], history(tmp_path / "broken")[-1]["seconds"]) == (60, 60.0)


@pytest.mark.parametrize("look", range(1, 7))
def test_a_signal_at_any_moment_stops_with_everything_saved(text, tmp_path, monkeypatch, look):
    """It comes just before the loop looks for it the n-th time."""
    looks = []

    class Asked(StopRequest):
        requested = property(lambda self: looks.append(1) or len(looks) >= look, lambda self, value: None)

    monkeypatch.setattr(loop, "StopRequest", Asked)
    updates = []
    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(text, tmp_path / "run", epochs=1, save_every=1000.0, listen=updates.append, **TINY)
    last = [e["update"] for e in updates if e["event"] == "update"][-1]
    assert RunFolder(tmp_path / "run").checkpoint_about()["update"] == last


def test_resuming_a_finished_run_says_so(trained, text):
    events = []
    again = unrolled.fit(None, trained.run.path, resume=True, listen=events.append)
    assert [e["event"] for e in events] == ["already finished"]
    assert again.sample(10) == trained.sample(10)


def test_resume_without_a_checkpoint_starts_afresh(text, tmp_path):
    unrolled.fit(text, tmp_path / "new", resume=True, epochs=0.2, **TINY)
    (tmp_path / "new" / "resume.safetensors").unlink()
    with pytest.raises(UsageError, match="--hidden: .* was started with 8, got 9"):
        unrolled.fit(text, tmp_path / "new", resume=True, hidden=9)
    unrolled.fit(text, tmp_path / "new", resume=True)
    assert unrolled.load(tmp_path / "new").config["training"]["epochs"] == 0.2
    assert history(tmp_path / "new")[-1]["event"] == "finished"
    assert sum(e["event"] == "finished" for e in history(tmp_path / "new")) == 1


@pytest.fixture
def stopped(text, tmp_path):
    """A run that was stopped half-way."""

    def listen(event):
        if event["event"] == "update" and event["update"] == 60:
            raise KilledError

    with pytest.raises(KilledError):
        unrolled.fit(text, tmp_path / "run", epochs=1, save_every=0.0, listen=listen, **TINY)
    return tmp_path / "run"


def test_a_resumed_run_keeps_its_settings(text, stopped, tmp_path):
    with pytest.raises(UsageError, match="--hidden: .* was started with 8, got 9"):
        unrolled.fit(text, stopped, resume=True, hidden=9)
    with pytest.raises(UsageError, match="--cell: .* started with lstm"):
        unrolled.fit(text, stopped, resume=True, cell="gru")
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("7", "8"))
    with pytest.raises(UsageError, match=r"was started on .*, and .*other.txt is not the same text: .* --from"):
        unrolled.fit(other, stopped, resume=True)
    with pytest.raises(RunError, match="continue with --resume"):
        unrolled.fit(text, stopped, **TINY)
    unrolled.fit(None, stopped, resume=True, hidden=8)
    assert history(stopped)[-1]["event"] == "finished"


def test_changed_data_is_noticed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TEXT)

    def listen(event):
        if event["event"] == "update" and event["update"] == 30:
            raise KilledError

    with pytest.raises(KilledError):
        unrolled.fit(path, tmp_path / "run", epochs=1, save_every=0.0, listen=listen, **TINY)
    path.write_text(TEXT.replace("7", "8"))
    with pytest.raises(RunError, match="has changed since"):
        unrolled.fit(None, tmp_path / "run", resume=True)


@pytest.mark.parametrize("name", ["resume.safetensors", "model.safetensors", "vocabulary.json", "config.toml"])
def test_damage_is_one_sentence(trained, tmp_path, name):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained.run.path, run)
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) // 2])
    use = unrolled.load if name != "resume.safetensors" else lambda run: unrolled.fit(None, run, resume=True)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        use(run)
