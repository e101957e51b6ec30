"""Experiments over seeds: outcomes are kept, a stopped table goes on, nothing is mixed."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from operator import truediv
from pathlib import Path

import pytest
import torch

from helpers import PATIENCE, wait_for
from unrolled import workers
from unrolled.errors import RunError, UsageError
from unrolled.lab import reber, running
from unrolled.lab.catalogue import TITLES, chosen, experiment
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.figures import draw_curves
from unrolled.lab.running import Results, row, run, seeds

RAN: list[tuple[str, int]] = []


def outcome_of(setting: Setting, seed: int) -> Outcome:
    RAN.append((setting.cell, seed))
    curve = [{"sequences": 10, "loss": 1.0}, {"sequences": 20, "loss": 0.5}]
    details = {"curve": curve, "threads": torch.get_num_threads()}
    return Outcome(seed != 2, 100 * seed, 1 / seed, details)


TOY = Experiment(
    name="toy", title="Toy", source="none", published="nothing", criterion="seed is not 2", measure="1 / seed",
    settings=(Setting("lstm", 10), Setting("lstm", 500, "salt"), Setting("elman", 10)), run=outcome_of,
    chance=lambda setting, generator: 0.25, published_at={(500, "salt"): "something"}, least_lag=5,
)  # fmt: skip
LSTM = Setting("lstm", 10)


@pytest.fixture(autouse=True)
def _forget() -> None:
    RAN.clear()


def test_a_finished_seed_is_not_run_again(tmp_path):
    first = list(run(seeds(TOY, [LSTM], 3), tmp_path))
    assert RAN == [("lstm", 1), ("lstm", 2), ("lstm", 3)]
    again = list(run(seeds(TOY, [LSTM], 4), tmp_path))
    assert RAN[3:] == [("lstm", 4)]
    assert [known for *_, known in again] == [True, True, True, False]
    assert [o for _, o, _ in again[:3]] == [o for _, o, _ in first]


def test_processes_and_one_process_come_to_the_same(tmp_path):
    wanted = seeds(TOY, [LSTM, Setting("elman", 10)], 3)
    alone = {(s.setting, s.seed): o for s, o, _ in run(wanted, tmp_path / "one", 1)}
    together = {(s.setting, s.seed): o for s, o, _ in run(wanted, tmp_path / "two", 2)}
    assert {k: replace(o, seconds=0) for k, o in alone.items()} == {
        k: replace(o, seconds=0) for k, o in together.items()
    }
    assert len(alone) == 6 and all(o.seconds >= 0 for o in alone.values())
    assert {o.details["threads"] for o in alone.values()} == {1}
    assert all(known for *_, known in run(wanted, tmp_path / "two", 2))


def test_a_call_that_fails_and_a_process_that_is_ended_are_told():
    calls, returned = [(truediv, pair) for pair in ((6, 3), (1, 2), (1, 1), (1, 0))], {}
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        returned.update(workers.results(calls, 2))
    assert len(returned) >= 2 and returned.items() <= {0: 2.0, 1: 0.5, 2: 1.0}.items()
    with pytest.raises(RunError, match="killed from outside"):
        list(workers.results([(signal.raise_signal, (signal.SIGTERM,))] * 2, 2))


def test_a_line_that_was_cut_short_and_another_program_are_run_again(tmp_path):
    wanted = seeds(TOY, [LSTM], 3)
    list(run(wanted, tmp_path))
    file = tmp_path / "toy.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    other = json.loads(lines[1]) | {"code": "another", "score": 99.0}
    file.write_bytes(lines[0] + json.dumps(other).encode() + b"\n" + lines[2][:30])
    RAN.clear()
    made = {s.seed: o for s, o, _ in run(wanted, tmp_path)}
    assert RAN == [("lstm", 2), ("lstm", 3)]
    assert made[2].score == 0.5
    RAN.clear()
    assert len(list(run(wanted, tmp_path))) == 3 and not RAN


def test_the_row_counts_every_seed(tmp_path):
    outcomes = [o for _, o, _ in run(seeds(TOY, [LSTM], 3), tmp_path)]
    made = row(TOY, LSTM, outcomes)
    assert (made.solved, made.seeds, made.lag, made.median_sequences) == (2, 3, 10, 300)
    assert (made.chance, made.score, made.paper) == (0.25, 0.5, "nothing")
    assert row(TOY, Setting("lstm", 500, "salt"), outcomes).paper == "something"
    unsolved = row(TOY, LSTM, [Outcome(False, 5, math.nan)] * 3)
    assert math.isinf(unsolved.median_sequences)
    assert unsolved.as_json()["median_sequences"] is None and unsolved.as_json()["score"] is None


def test_settings_are_checked():
    salt = Setting("lstm", 500, "salt")
    assert chosen(TOY, (), None) == [LSTM, salt, Setting("elman", 10)]
    assert chosen(TOY, ("lstm",), 7) == [Setting("lstm", 7), Setting("lstm", 7, "salt")]
    assert [TOY.seeds_of(s) for s in (LSTM, salt)] == [20, 5] and str(salt) == "lstm, T = 500, salt"
    assert len(seeds(TOY, [LSTM, salt], None)) == 25
    assert chosen(TOY, ("gru", "lstm"), None) == [Setting("gru", 10), LSTM, salt]
    with pytest.raises(UsageError, match="--lag: reber has no lag"):
        chosen(reber.EXPERIMENT, (), 5)
    with pytest.raises(UsageError, match="from 5"):
        chosen(TOY, (), 4)
    with pytest.raises(UsageError, match="there is no experiment 'rebr'"):
        experiment("rebr")


@pytest.mark.parametrize("name", TITLES)
def test_every_experiment_says_what_it_is(name):
    one = experiment(name)
    assert one.name == name and all((one.title, one.source, one.published, one.criterion, one.measure, one.settings))
    assert set(one.published_at) <= {(s.lag, s.variant) for s in one.settings}


def test_the_picture_has_a_line_a_seed(tmp_path):
    outcomes: dict = {}
    for one, outcome, _ in run(seeds(TOY, [LSTM, Setting("elman", 10)], 2), tmp_path):
        outcomes.setdefault(one.setting, []).append(outcome)
    (axes,) = draw_curves(TOY, outcomes).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert len(curves) == 4 and len(axes.lines) == 6  # a dot for each of the two that were solved
    assert draw_curves(TOY, {Setting("lstm"): [Outcome(True, 1, 1.0)]}) is None


def test_two_laboratories_do_not_work_in_one_folder(tmp_path):
    first = run(seeds(TOY, [LSTM], 2), tmp_path)
    next(first)
    with pytest.raises(RunError, match="another process is running experiments here.*--out"):
        next(run(seeds(TOY, [LSTM], 2), tmp_path))
    assert len(list(first)) == 1
    assert [known for *_, known in run(seeds(TOY, [LSTM], 2), tmp_path)] == [True, True]
    assert RAN == [("lstm", 1), ("lstm", 2)]


def has_a_line(file: Path) -> bool:
    return file.is_file() and b"\n" in file.read_bytes()


def started(folder: Path) -> subprocess.Popen:
    """The laboratory on a thousand seeds of two processes, when the first seed has ended."""
    command = [sys.executable, "-m", "unrolled", "lab", "reber", "--cell", "lstm", "--seeds", "1000", "--jobs", "2"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    wait_for(lambda: has_a_line(folder / "lab" / "reber.jsonl"))
    return process


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_half_way_every_process_ends_and_it_goes_on_by_seed(cli, tmp_path):
    process = started(tmp_path)
    process.kill()
    process.communicate(timeout=PATIENCE)
    if os.name == "posix":
        wait_for(lambda: not alive(process.pid))
    out = tmp_path / "lab"
    results = Results(reber.EXPERIMENT, out)
    known = [seed for seed in range(1, 1001) if results.get(Setting("lstm"), seed) is not None]
    assert known
    count = next(seed for seed in range(1, 1002) if seed not in known)
    command = ("lab", "reber", "--cell", "lstm", "--out", out, "--jobs", 1, "--seeds", count)
    status, printed, _ = cli(*command)
    assert (status, printed.count("(kept)")) == (0, count - 1)
    (told,) = [json.loads(line) for line in cli(*command, "--json")[1].splitlines()]
    assert told["seeds"] == count
    assert {"solved", "seeds", "median_sequences", "seconds", "paper"} <= set(told)


@pytest.mark.skipif(os.name != "posix", reason="no process groups")
def test_asked_to_stop_every_process_ends_and_it_says_how_to_go_on(tmp_path):
    process = started(tmp_path)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "Traceback" not in told
    assert "Run the same command again to continue" in told
    wait_for(lambda: not alive(process.pid))


def test_the_table_for_the_docs_tells_of_seeds_that_are_missing(tmp_path, monkeypatch):
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "lab_table.py"
    spec = importlib.util.spec_from_file_location("lab_table", path)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    monkeypatch.setattr(table, "TITLES", {"toy": ""})
    monkeypatch.setattr(table, "experiment", lambda name: TOY)
    monkeypatch.setattr(running, "timed", lambda run, setting, seed: replace(run(setting, seed), seconds=0.5))
    list(run(seeds(TOY, [LSTM], 3), tmp_path))
    lines = table.markdown(table.rows(tmp_path)).splitlines()
    assert lines[2] == "| toy, T = 10 | lstm | 2 of 3 (of 20 to run) | 300 | 0.5 | 0.5 | 0.25 | nothing |"
    assert len(lines) == 5
