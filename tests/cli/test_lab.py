"""The verb lab at the command line."""

import json
from dataclasses import replace
from functools import partial

import pytest

from helpers import OWN_CELL
from unrolled.cli.lab import _table
from unrolled.lab import reber
from unrolled.lab.catalogue import TITLES, experiment
from unrolled.lab.experiment import Outcome


@pytest.fixture
def lab(cli):
    """The verb, which is told status, output and errors."""
    return partial(cli, "lab")


def test_it_lists_what_there_is(lab):
    _, out, _ = lab()
    assert all(name in out for name in TITLES)
    assert all(len(line) <= 80 for line in out.splitlines())
    _, out, _ = lab("--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == list(TITLES)


def test_a_table_and_a_picture(lab, tmp_path):
    command = ("reber", "--cell", "lstm", "--seeds", "1", "--out", str(tmp_path))
    status, out, _ = lab(*command)
    assert status == 0 and "1 of 1" in out
    assert out.startswith("Running 1 seed; the outcome of each is printed when it ends.\n[1/1]")
    assert (tmp_path / "reber.png").stat().st_size > 5_000
    _, out, _ = lab(*command)
    assert "(kept)" in out


@pytest.mark.parametrize("name", TITLES)
def test_every_table_is_whole_at_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    one = replace(experiment(name), chance=lambda setting, generator: 0.00048828125)
    outcomes = {(name, s): [Outcome(True, 1_273_000, 0.00019531, seconds=1234.56)] * 20 for s in one.settings}
    _table(one, list(one.settings), outcomes)
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "1,273,000" in line]
    assert len(rows) == len(one.settings)
    assert all("20 of 20" in line and "0.000195" in line and "0.000488" in line for line in rows)
    assert {s.where for s in one.settings} <= {line.strip() for line in lines}
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("rebr",), "there is no experiment 'rebr'; choose one of "),
        (("reber", "--cell", "rnn"), "--cell: expected lstm, gru, elman, lstm1997 or FILE.py:Class, got 'rnn'"),
        (("reber", "--lag", "7"), "--lag: reber has no lag to set"),
    ],
)
def test_mistakes_are_one_sentence(lab, arguments, problem):
    status, _, err = lab(*arguments)
    assert status == 2 and problem in err and "Traceback" not in err


def test_a_cell_of_ones_own_runs_again_when_it_changes(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(reber, "BUDGET", 512)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "own.py"
    file.write_text(OWN_CELL)
    command = ("reber", "--cell", "own.py:Own", "--cell", "elman", "--seeds", "1", "--jobs", "1")
    status, out, _ = lab(*command)
    assert status == 0 and "reber: own.py:Own, seed 1: not solved, 512 sequences" in out and "(kept)" not in out
    assert lab(*command)[1].count("(kept)") == 2
    file.write_text(OWN_CELL.replace("torch.tanh", "torch.sin"))
    assert lab(*command)[1].count("(kept)") == 1
    kept = [json.loads(line) for line in (tmp_path / "lab" / "reber.jsonl").read_text().splitlines()]
    assert [one["cell"] for one in kept] == ["own.py:Own", "elman", "own.py:Own"]
    assert len({one["code"] for one in kept}) == 3
    file.write_text(OWN_CELL.replace("self.x.a(x)", "self.x.b(x)"))
    status, _, err = lab(*command)
    assert status == 2 and "--cell own.py:Own: AttributeError" in err and "Traceback" not in err
