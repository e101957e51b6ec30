"""The verb lab at the command line."""

import json
from dataclasses import replace
from functools import partial

import pytest

from unrolled.cli.lab import _table
from unrolled.lab.experiment import TITLES, Outcome, experiment


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
    outcomes = {(name, s): [Outcome(True, 1_273_000, 1234.56, 0.00019531)] * 20 for s in one.settings}
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
        (("reber", "--cell", "rnn"), "--cell: reber runs lstm, lstm1997, gru, elman, got 'rnn'"),
        (("reber", "--lag", "7"), "--lag: reber has no lag to set"),
    ],
)
def test_mistakes_are_one_sentence(lab, arguments, problem):
    status, _, err = lab(*arguments)
    assert status == 2 and problem in err and "Traceback" not in err
