"""A finished run is trained further: its schedule, its history, its best weights, whatever stops it."""

import math
import shutil

import numpy as np
import pytest

import unrolled
from helpers import TEXT, TINY, history
from unrolled.errors import RunError, UsageError
from unrolled.runs import files, folder
from unrolled.runs.arrays import read_arrays
from unrolled.training.loop import WALL_CLOCK_FIELDS
from unrolled.training.schedule import Budget

FIRST = TINY | {"epochs": 1.0, "dropout": 0.2, "save_every": 0.0}


class KilledError(BaseException):
    """Nothing runs after this, as after kill -9."""


def comparable(run):
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in history(run)]


def assert_same(run, other):
    assert comparable(run) == comparable(other)
    for name in ("model.safetensors", "resume.safetensors"):
        (a, _), (b, _) = (read_arrays(r / name) for r in (run, other))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")


@pytest.fixture(scope="module")
def first(text, tmp_path_factory):
    """A run that is finished after one epoch."""
    run = tmp_path_factory.mktemp("first") / "run"
    unrolled.fit(text, run, **FIRST)
    return run


@pytest.fixture(scope="module")
def whole(first, tmp_path_factory):
    """The same, trained further for a quarter of an epoch without a stop."""
    run = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(first, run)
    unrolled.fit(None, run, resume=True, epochs=1.25)
    return run


@pytest.fixture
def run(first, tmp_path):
    shutil.copytree(first, tmp_path / "run")
    return tmp_path / "run"


def test_a_second_budget_has_its_own_schedule_in_the_same_history(first, run):
    events = []
    unrolled.fit(None, run, resume=True, epochs=2.5, lr=0.004, warmup=0.25, listen=events.append)
    before, after = history(first), history(run)
    assert after[: len(before)] == before
    added = after[len(before) :]
    assert added[0]["event"] == "further"
    assert added[-1]["event"] == "finished"
    updates = [e["update"] for e in after if "update" in e]
    assert updates == sorted(updates)
    seconds = [e["seconds"] for e in after if "seconds" in e]
    assert seconds == sorted(seconds)
    per_epoch = math.ceil((len(TEXT) * 90 // 100 - 1) // TINY["batch"] / TINY["bptt"])
    begun, end = before[-1]["update"], round(2.5 * per_epoch)
    assert begun == per_epoch
    assert added[-1]["update"] == end
    train = [e for e in added if e["event"] == "train"]
    assert len(train) == min(100, end - begun)
    for e in train:  # the rate of update n is that of the budget's share before it
        done, length = e["update"] - 1 - begun, end - begun
        quarter = length / 4
        rising = 0.004 * done / quarter
        falling = 0.004 * 0.5 * (1 + math.cos(math.pi * (done - quarter) / (length - quarter)))
        assert e["lr"] == pytest.approx(rising if done < quarter else falling, rel=1e-9, abs=1e-15)
    assert sum(e["event"] == "validation" for e in added) == 10
    assert [e["update"] for e in events if e["event"] == "update"] == list(range(begun + 1, end + 1))
    config = unrolled.load(run).config
    assert (config["training"]["epochs"], config["training"]["lr"]) == (2.5, 0.004)
    (earlier,) = config["earlier"]
    assert (earlier["epochs"], earlier["lr"], earlier["updates"]) == (1.0, 0.01, begun)


def test_a_third_budget_and_other_units(run):
    unrolled.fit(None, run, resume=True, epochs=1.2)
    seconds = history(run)[-1]["seconds"]
    unrolled.fit(None, run, resume=True, minutes=(seconds + 2) / 60)
    config = unrolled.load(run).config
    assert [next(iter(e)) for e in config["earlier"]] == ["epochs", "epochs"]
    assert "epochs" not in config["training"]
    assert [e["event"] for e in history(run)].count("finished") == 3
    assert seconds + 2 <= history(run)[-1]["seconds"]


@pytest.mark.parametrize("asked", [{}, {"epochs": 1.0}, {"epochs": 0.5}, {"epochs": 1.0001}, {"minutes": 1e-4}])
def test_asking_for_no_more_changes_nothing(run, asked):
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    events = []
    unrolled.fit(None, run, resume=True, listen=events.append, **asked)
    assert [e["event"] for e in events] == ["already finished"]
    assert ("asked" in events[0]) == bool(asked)
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


def test_only_the_budget_and_its_rate_may_change(run):
    with pytest.raises(UsageError, match="--batch: .* a resumed run keeps its settings"):
        unrolled.fit(None, run, resume=True, epochs=2, batch=5)
    with pytest.raises(UsageError, match="--lr: .* a resumed run keeps its settings"):
        unrolled.fit(None, run, resume=True, lr=0.1)
    with pytest.raises(RunError, match="train that run further with --resume and a larger --epochs"):
        unrolled.fit(None, run, epochs=2)


def killed_at(run, number, monkeypatch, **options):
    """Train, and be killed before the write of that number; whether there was one."""
    count = 0

    def dying(function):
        def write(*arguments):
            nonlocal count
            count += 1
            if count == number:
                raise KilledError
            return function(*arguments)

        return write

    with monkeypatch.context() as patch:
        for name in ("write_atomically", "append_line"):
            patch.setattr(folder, name, dying(getattr(files, name)))
        patch.setattr("unrolled.runs.arrays.write_atomically", dying(files.write_atomically))
        try:
            unrolled.fit(None, run, resume=True, **options)
        except KilledError:
            return True
    return False


def test_killed_before_any_write_and_resumed_equals_uninterrupted(first, whole, tmp_path, monkeypatch):
    """Each write of the second budget's beginning and end, and some between, is where the process dies."""
    writes = 0
    shutil.copytree(first, tmp_path / "counted")

    def counted(function):
        def write(*arguments):
            nonlocal writes
            writes += 1
            return function(*arguments)

        return write

    with monkeypatch.context() as patch:
        for name in ("write_atomically", "append_line"):
            patch.setattr(folder, name, counted(getattr(files, name)))
        patch.setattr("unrolled.runs.arrays.write_atomically", counted(files.write_atomically))
        unrolled.fit(None, tmp_path / "counted", resume=True, epochs=1.25)
    assert_same(tmp_path / "counted", whole)
    best = history(first)[-1]["validation"]["loss"]
    moments = sorted({*range(1, 9), *range(9, writes, max(1, writes // 12)), *range(writes - 4, writes + 1)})
    for moment in moments:
        run = tmp_path / f"killed-{moment}"
        shutil.copytree(first, run)
        assert killed_at(run, moment, monkeypatch, epochs=1.25)
        kept = unrolled.load(run)  # the first budget's best weights, or better ones
        assert kept.evaluate()["loss"] <= best + 0.05
        unrolled.fit(None, run, resume=True, epochs=1.25)
        assert_same(run, whole)
        assert unrolled.load(run).config["earlier"][0]["updates"] == history(first)[-1]["update"]


def test_in_the_middle_of_a_budget_no_other_one_begins(run):
    class StopError(Exception):
        pass

    def listen(event):
        if event["event"] == "validation":
            raise StopError

    with pytest.raises(StopError):
        unrolled.fit(None, run, resume=True, epochs=2, listen=listen)
    with pytest.raises(UsageError, match="not used up its budget of 2 epochs: finish it with --resume"):
        unrolled.fit(None, run, resume=True, epochs=3)


def test_worse_weights_do_not_replace_the_first_budgets_best(run):
    """A rate that ruins the network: the folder keeps the weights of the first budget."""
    kept = (run / "model.safetensors").read_bytes()
    unrolled.fit(None, run, resume=True, epochs=1.3, lr=50.0, warmup=0.0)
    validations = [e for e in history(run) if e["event"] == "validation"][-10:]
    best = next(e for e in history(run) if e["event"] == "further")["validation"]["loss"]
    assert all(e["loss"] is None or e["loss"] > best for e in validations)
    assert (run / "model.safetensors").read_bytes() == kept


def test_damaged_weights_stop_it_before_anything_is_changed(run):
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[:100])
    config = (run / "config.toml").read_bytes()
    with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
        unrolled.fit(None, run, resume=True, epochs=2)
    assert (run / "config.toml").read_bytes() == config


def test_a_further_budget_counts_from_where_it_begins():
    budget = Budget(minutes=5, begun_updates=100, begun_seconds=180)
    assert [budget.progress(0, s) for s in (180, 240, 300, 400)] == [0, 0.5, 1, 1]
    assert budget.seconds_left(7, 200) == 100
    assert Budget(updates=300, begun_updates=100, begun_seconds=50).seconds_left(150, 80) == 90
    assert Budget(updates=100, begun_updates=100).is_empty
    assert Budget(minutes=3, begun_seconds=180).is_empty
    assert not Budget(minutes=3, begun_seconds=179).is_empty
