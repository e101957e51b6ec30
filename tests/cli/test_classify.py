"""Classification at the command line."""

import contextlib
import csv
import json
import os
import random
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    draw = random.Random(1)
    rows = []
    for k in range(60):
        letters = [draw.choice("ACGT") for _ in range(15)]
        if k % 2:
            letters[4:9] = "GGGGG"
        rows.append(f"{'+-'[k % 2]},S{k},\t\t{''.join(letters)}\n")
    file = tmp_path_factory.mktemp("data") / "gs.data"
    file.write_text("".join(rows))
    return file


def test_from_training_to_answers(cli, table, tmp_path):
    run = tmp_path / "run"
    status, out, _ = cli("train", table, "--run", run, "--epochs", 25, "--lr", 0.03, "--threads", 1, "--cell", "gru")
    assert status == 0 and "60 sequences of 15 letters of DNA" in out and f"Next: unrolled evaluate {run}" in out
    assert max(map(len, out.partition("\nNext: ")[0].splitlines())) <= 80
    assert "labels     + (24), - (24) in the training part" in out
    assert "pool mean,max,attention, positions of the steps as inputs, 3 neighbours on either side" in " ".join(
        out.split()
    )
    status, out, _ = cli("evaluate", run, table, "--json")
    figures = json.loads(out)
    assert status == 0 and figures["count"] == 60 and {"accuracy", "log_loss", "errors"} <= figures.keys()
    status, out, _ = cli("classify", run, table)
    rows = list(csv.DictReader(out.splitlines()))
    assert status == 0 and rows[3]["name"] == "S3" and len(rows) == 60
    assert sum(row["label"] != row["true label"] for row in rows) == figures["errors"]
    status, out, _ = cli("classify", run, table, "--json")
    assert json.loads(out.splitlines()[0])["name"] == "S0"
    assert cli("classify", run, table, "--out", tmp_path / "answers.csv")[1] == f"wrote {tmp_path / 'answers.csv'}\n"
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 61
    status, out, _ = cli("evaluate", run, "--on", "test", "--pictures", tmp_path / "pictures")
    assert status == 0 and "precision" in out and (tmp_path / "pictures" / "importance-1-+.png").is_file()
    status, out, _ = cli("inspect", run)
    assert status == 0 and (run / "inspect" / "report.html").is_file()


def test_a_run_with_folds_is_evaluated_on_them(cli, table, tmp_path):
    run = tmp_path / "run"
    given = ("--epochs", 1, "--threads", 1, "--cell", "elman", "--folds", 3, "--seeds", 2)
    status, out, _ = cli("train", table, "--run", run, *given)
    assert status == 0 and "cross-validation: 6 of 6 models" in out
    status, out, _ = cli("evaluate", run, "--json")
    figures = json.loads(out)
    assert status == 0 and (figures["on"], figures["count"]) == ("folds", 60)
    assert sum(one["count"] for one in figures["by_seed"]) == 120
    assert "each seed" in cli("evaluate", run)[1]


def in_a_terminal(*arguments):
    """What a command writes where its output is a terminal."""
    ours, theirs = os.openpty()
    command = subprocess.Popen([sys.executable, "-m", "unrolled", *map(str, arguments)], stdout=theirs, stderr=theirs)
    os.close(theirs)
    pieces = []
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while piece := os.read(ours, 65_536):
            pieces.append(piece)
    os.close(ours)
    return command.wait(), b"".join(pieces).decode()


def test_labels_and_names_give_a_terminal_no_orders(cli, table, tmp_path):
    orders = {"title": "\x1b]0;owned\x07", "red": "\x1b[31m", "clear": "\x9b2J"}
    rows = [line.split(",") for line in table.read_text().splitlines()]
    nasty, run = tmp_path / "nasty.data", tmp_path / "run"
    nasty.write_text(
        "".join(f"{c}{orders['title']},{orders['red']}{name}{orders['clear']},{s}\n" for c, name, s in rows)
    )
    given = ("--task", "classify", "--epochs", 1, "--threads", 1, "--hidden", 4, "--folds", 2)
    made = [cli("train", nasty, "--run", run, *given), cli("evaluate", run), cli("evaluate", run, "--on", "test")]
    made += [in_a_terminal("classify", run, nasty), in_a_terminal("evaluate", run)]
    assert [status for status, *_ in made] == [0] * 5
    (tmp_path / "bad.fa").write_text(f">{orders['red']}x label=+\nACGT\n>y{orders['title']} label=+\nAC!T\n")
    made += [cli("evaluate", run, tmp_path / "bad.fa"), cli("train", tmp_path / "bad.fa", "--run", tmp_path / "new")]
    assert [status for status, *_ in made[5:]] == [1, 1]
    assert all("\ufffd" in "".join(streams) for _, *streams in made)
    for _, *streams in made:
        assert not any(order in text for text in streams for order in orders.values())


def test_mistakes_are_one_sentence_and_leave_no_folder(cli, table, text, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "one.csv").write_text("label,sequence\na,ACGT\na,ACGG\n")
    for data, more, message in (
        (tmp_path / "none", (), "there is no file or folder"),
        (tmp_path / "one.csv", (), "all labels are 'a'"),
        (table, ("--units", "words", "--augment", "reverse-complement"), "is for labelled sequences of DNA"),
        (table, ("--folds", "ten"), "--folds: must be a number from 2, leave-one-out or official, got 'ten'"),
    ):
        status, _, err = cli("train", data, "--run", run, "--task", "classify", *more)
        assert status in (1, 2) and message in err and err.count("\n") == 1 and not run.exists(), err
    cli("train", text, "--run", tmp_path / "text", "--epochs", 0.1, "--hidden", 8, "--threads", 1)
    assert "the task text does not classify" in cli("classify", tmp_path / "text", text)[2]


def test_help_needs_no_torch(monkeypatch):
    code = (
        "import sys; sys.argv = ['unrolled', 'train', '--task', 'classify', '--help']\n"
        "from unrolled.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--folds" in done.stdout and "Task classify" in done.stdout
