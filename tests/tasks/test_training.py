"""How a run goes: history, best weights, clipping, what is not finite, validation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import unrolled
from helpers import TEXT, TINY, history
from unrolled.errors import DataError, RunError
from unrolled.tasks.symbols.part import Part
from unrolled.tasks.symbols.scoring import estimate, score


def test_the_history_says_what_happened(trained):
    events = history(trained.run.path)
    kinds = [e["event"] for e in events]
    assert kinds.count("train") == 100
    assert kinds.count("validation") == 10
    assert kinds[-1] == "finished"
    updates = [e["update"] for e in events if e["event"] == "train"]
    assert updates == sorted(set(updates))
    last = events[-1]
    assert last["update"] == updates[-1]
    train = [e for e in events if e["event"] == "train"]
    assert train[0]["lr"] < max(e["lr"] for e in train) <= 0.01
    assert train[-1]["lr"] < 1e-5
    validations = [e for e in events if e["event"] == "validation"]
    best = min(validations, key=lambda e: e["loss"])
    assert last["best_update"] == best["update"]
    assert last["validation"] == pytest.approx(
        {k: v for k, v in trained.evaluate().items() if k in last["validation"]}
    )
    assert 0 <= last["clipped"] <= 1
    assert len(list((trained.run.path / "samples").iterdir())) == 5


def test_the_best_weights_are_kept_not_the_last(text, tmp_path):
    """With a rate that grows absurd the model gets worse; the folder keeps the good one."""
    events = []
    unrolled.fit(
        text,
        tmp_path / "run",
        epochs=4,
        warmup=0.99,
        optimizer="sgd",
        ema=0.0,
        listen=events.append,
        **TINY | {"lr": 300.0},
    )
    losses = [e["loss"] for e in events if e["event"] == "validation"]
    assert losses[-1] > min(losses) + 0.5
    assert unrolled.load(tmp_path / "run").about["validation"]["loss"] == min(losses)


def test_without_a_validation_part_the_last_weights_are_kept(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=1, split="100/0/0", **TINY)
    assert model.about["update"] == history(tmp_path / "run")[-1]["update"]
    with pytest.raises(DataError, match="scoring needs at least 2"):
        model.evaluate()


def test_clipping_and_its_share(text, tmp_path):
    seen = {}
    for clip in ("1e-3", "value:1e-9", "off"):
        unrolled.fit(text, tmp_path / clip, epochs=1, clip=clip, **TINY)
        seen[clip] = history(tmp_path / clip)[-1]["clipped"]
    assert seen == {"1e-3": 1.0, "value:1e-9": 1.0, "off": 0.0}


def test_what_is_not_finite_is_skipped_and_then_stops(text, tmp_path, monkeypatch):
    from unrolled.tasks.text.task import TextTask

    plain = TextTask.loss
    bad = set(range(30, 33))
    calls = []

    def loss(self, model, window, state):
        calls.extend([1] * ((window.counted or 1) > 1))  # not the probe's, nor the trial's
        losses = plain(self, model, window, state)
        return replace(losses, total=losses.total * math.nan) if len(calls) in bad else losses

    monkeypatch.setattr(TextTask, "loss", loss)
    unrolled.fit(text, tmp_path / "few", epochs=1, **TINY)
    assert history(tmp_path / "few")[-1]["skipped"] == 3

    calls.clear()
    bad = set(range(100, 10_000))
    with pytest.raises(RunError, match="not finite in 10 updates in a row, the last at update 109") as stopped:
        unrolled.fit(text, tmp_path / "many", epochs=4, save_every=0, **TINY)
    assert "keeps the last good state" in str(stopped.value)
    arrays, about = unrolled.load(tmp_path / "many").run.read_checkpoint()
    assert about["update"] == 99
    assert all(np.isfinite(a).all() for name, a in arrays.items() if name.startswith("model."))


def test_not_finite_from_the_first_update(text, tmp_path):
    class NaNCell(unrolled.ElmanCell):
        def step(self, x, h):
            return super().step(x, h) * math.nan

    with pytest.raises(RunError, match="keeps the last good state"):
        unrolled.fit(text, tmp_path / "run", epochs=1, cell=NaNCell, **TINY)
    assert unrolled.runs.folder.RunFolder(tmp_path / "run").checkpoint_about()["update"] == 0


def test_a_validation_that_is_not_finite_is_never_the_best(text, tmp_path, monkeypatch):
    from unrolled.tasks.text.task import TextTask

    plain, calls = TextTask.validate, []

    def validate(self, model, whole, tell=None):
        calls.append(1)
        scores = plain(self, model, whole, tell)
        return scores | {"loss": math.nan} if len(calls) == 4 else scores

    monkeypatch.setattr(TextTask, "validate", validate)
    unrolled.fit(text, tmp_path / "run", epochs=2, **TINY)
    validations = [e for e in history(tmp_path / "run") if e["event"] == "validation"]
    assert validations[3]["loss"] is None
    assert [e["best"] for e in validations[:5]] == [True, True, True, False, True]


def test_a_sample_that_cannot_be_made_does_not_stop_training(text, tmp_path, monkeypatch):
    from unrolled.models.decode import Chooser

    def refuse(self, scores, u):
        raise RunError("the model's scores are not finite")

    monkeypatch.setattr(Chooser, "__call__", refuse)
    events = []
    unrolled.fit(text, tmp_path / "run", epochs=0.3, listen=events.append, **TINY)
    assert [e["reason"] for e in events if e["event"] == "no sample"]
    assert events[-1]["event"] == "finished"


def test_the_callers_threads_and_random_numbers_are_left_alone(text, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    unrolled.fit(text, tmp_path / "run", epochs=0.3, **TINY)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_an_exploding_run_stops_with_one_sentence(text, tmp_path):
    with pytest.raises(RunError, match="smaller --lr"):
        unrolled.fit(text, tmp_path / "run", epochs=5, optimizer="sgd", clip="off", warmup=0.0, **TINY | {"lr": 1e38})


def test_a_short_budget_is_not_spent_on_validation_twice(text, tmp_path, clock):
    """A validation that takes as long as three marks is followed by training, and the last weights are validated."""
    clock.update, clock.validation = 0.25, 3.0  # of a budget of ten seconds, with a mark at each
    unrolled.fit(text, tmp_path / "run", minutes=1 / 6, **TINY)
    events = history(tmp_path / "run")
    validated = [e["update"] for e in events if e["event"] == "validation"]
    assert validated == [4, 8, 12]  # after 1, 5 and 9 seconds; the last one ends after 12
    assert events[-1]["update"] == 12


def test_the_estimate_is_near_the_score_and_exact_for_small_parts(trained):
    numbers = trained.vocabulary.encode(TEXT).astype(np.uint8)
    part = Part(numbers, len(numbers) - 1, {})
    whole = score(trained.model, part).figures()
    assert estimate(trained.model, part, len(numbers)).figures() == whole
    guess = estimate(trained.model, part, len(numbers) // 2)
    assert guess.symbols == len(numbers) // 2 // 16 * 16 - 16
    assert guess.characters == guess.symbols
    # stretches of 160 characters that begin without knowing where they are score a little worse
    assert -0.1 < guess.figures()["loss"] - whole["loss"] < 0.3
