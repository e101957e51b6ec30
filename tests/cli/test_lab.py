"""The verb lab at the command line."""

import json
import sys

import pytest

from unrolled.cli.main import main
from unrolled.lab.experiment import TITLES


def called(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["unrolled", "lab", *arguments])
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = stop.code or 0
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_it_lists_what_there_is(capsys, monkeypatch):
    _, out, _ = called(capsys, monkeypatch)
    assert all(name in out for name in TITLES)
    assert all(len(line) <= 80 for line in out.splitlines())
    _, out, _ = called(capsys, monkeypatch, "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == list(TITLES)


def test_a_table_and_a_picture(capsys, monkeypatch, tmp_path):
    command = ("reber", "--cell", "lstm", "--seeds", "1", "--out", str(tmp_path))
    status, out, _ = called(capsys, monkeypatch, *command)
    assert status == 0 and "1 of 1" in out
    assert (tmp_path / "reber.png").stat().st_size > 5_000
    _, out, _ = called(capsys, monkeypatch, *command)
    assert "(kept)" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("rebr",), "there is no experiment 'rebr'; there are: "),
        (("reber", "--cell", "rnn"), "--cell: reber runs lstm, lstm1997, gru, elman, got 'rnn'"),
        (("reber", "--lag", "7"), "--lag: reber has no lag to set"),
    ],
)
def test_mistakes_are_one_sentence(capsys, monkeypatch, arguments, problem):
    status, _, err = called(capsys, monkeypatch, *arguments)
    assert status == 2 and problem in err and "Traceback" not in err
