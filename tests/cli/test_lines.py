"""The lines that training and errors print."""

import re
import sys

import pytest

from unrolled.cli.main import main
from unrolled.training.metric import Metric
from unrolled.training.show import PlainLines


def test_a_run_of_a_moment_prints_few_lines(capsys, monkeypatch):
    """The first report of each kind, those a second later, and the last one before something else is said."""
    now = 0.0
    monkeypatch.setattr("unrolled.training.show.time.monotonic", lambda: now)
    lines = PlainLines()
    report = {"loss": 1.0, "gradient_norm": 1.0, "clipped": 0.0, "per_second": 9.0, "skipped": 0}
    for update in range(1, 101):
        now = update / 32
        lines(report | {"event": "train", "update": update})
        if update % 50 == 0:
            lines({"event": "sample", "update": update, "text": f"after {update}"})
    lines({"event": "scoring"})
    out = capsys.readouterr().out
    said = re.findall(r"(update|after) +(\d+)", out)
    expected = "update 1, update 33, after 50, update 65, update 97, after 100, update 100"
    assert ", ".join(map(" ".join, said)) == expected


def test_reports_with_another_score_fit(capsys, monkeypatch):
    """Where one line was too long for the speed, all that follow leave it out: columns stay where they are."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("unrolled.training.show._EVERY", 0.0)
    lines = PlainLines()
    lines.metrics = [Metric("accuracy", percent=True, digits=1)]
    lines.seconds_left = 60.0
    report = {"event": "train", "update": 8, "gradient_norm": 1.0, "clipped": 0.0, "per_second": 1234.0, "skipped": 0}
    lines(report | {"loss": 10.0, "accuracy": 0.455, "per_second": 123_456.0})
    lines(report | {"loss": 1.0, "accuracy": 0.5})
    assert capsys.readouterr().out.splitlines() == [
        "update      8  loss 10.000  accuracy 45.5%  |g| 1.00  clipped 0%  1:00 left",
        "update      8  loss 1.000  accuracy 50.0%  |g| 1.00  clipped 0%  1:00 left",
    ]


def test_samples_in_wide_letters_fit(capsys):
    PlainLines()({"event": "sample", "update": 1, "text": "天" * 200})
    assert capsys.readouterr().out == "  | " + "天" * 36 + " …\n"


def test_errors_fit_the_terminal_and_names_stay_whole(capsys, monkeypatch, tmp_path):
    name = f"{tmp_path}/{'a long name ' * 9}.csv"
    for columns, words in (
        (80, ["train", name, "--run", "r"]),
        (60, ["train", __file__, "--run", "r", "--horizon", "3"]),
    ):
        monkeypatch.setattr(sys, "argv", ["unrolled", *words])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main()
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("unrolled: ") and all(line.startswith("  ") for line in lines[1:])
        assert all(len(line) <= columns or line.strip() == name for line in lines) and len(lines) > 1, lines
