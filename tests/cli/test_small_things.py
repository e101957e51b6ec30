"""Smaller things of the command line, each as a person meets it."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np
import pytest

import unrolled
from unrolled.cli.main import app
from unrolled.errors import DataError
from unrolled.hopfield.maxcut import read_graph
from unrolled.runs.folder import RunFolder

TINY = {"hidden": 8, "batch": 4, "bptt": 20, "threads": 1, "quiet": True}


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tables"
    unrolled.fit(text, folder, epochs=1, **TINY)
    return folder


def arguments_that_are_names(group, before=()):
    for name, verb in group.commands.items():
        if isinstance(verb, click.Group):
            yield from arguments_that_are_names(verb, (*before, name))
            continue
        for p in verb.params:
            files = {
                "data",
                "run",
                "folder",
                "memory",
                "picture",
                "pictures",
                "graph",
                "--run",
                "--from",
                "--out",
                "--output",
            }
            if files & {*p.opts, p.human_readable_name}:
                yield (*before, name), p


@pytest.mark.parametrize(("verb", "parameter"), [*arguments_that_are_names(app)])
def test_an_empty_name_is_an_error(cli, verb, parameter):
    """It would be the current folder, which nobody means by it."""
    given = (parameter.opts[-1], "") if isinstance(parameter, click.Option) else ("",)
    status, _, err = cli(*verb, *given)
    assert status == 2 and err.count("\n") == 1 and ": the name is empty" in err


def test_data_from_a_pipe_are_kept(cli, text, tmp_path, monkeypatch):
    content = text.read_text()
    run, moved, fifo = tmp_path / "run", tmp_path / "moved", tmp_path / "pipe"
    os.mkfifo(fifo)

    def given(verb, source, what, *more):
        """The command, with what it reads from standard input or from a pipe."""
        (tmp_path / "given").write_text(what)
        if source == "-":
            with open(tmp_path / "given") as stream:
                monkeypatch.setattr(sys, "stdin", stream)
                return cli(verb, *more)
        with ThreadPoolExecutor(1) as writer:
            writer.submit(fifo.write_text, what)
            return cli(verb, *more)

    small = ("--epochs", 0.3, "--hidden", 8, "--batch", 4, "--bptt", 20)
    for source in ("-", fifo):
        assert given("train", source, content, source, "--run", run, *small)[0] == 0
        assert (run / "data.txt").read_text() == content
        assert unrolled.load(run).evaluate(on="test")["loss"] > 0
        for verb, *more in (("evaluate", run, source), ("score", run, "--file", source)):
            status, out, _ = given(verb, source, content[:40], *more, "--json")
            assert status == 0 and json.loads(out)
        status, out, _ = given("train", source, content, source, "--run", run, "--resume")
        assert status == 0 and "finished" in out
        status, _, err = given("train", source, content + "!", source, "--run", run, "--resume")
        assert status == 2 and "was started on different data" in err
        status, out, _ = given("evaluate", source, content, run, source, "--on", "test", "--json")
        assert status == 0 and json.loads(out)["on"] == "test"
        run.rename(moved)  # and their text with it
        assert unrolled.load(moved).evaluate(on="test") == json.loads(out)
        assert unrolled.load(moved).evidence().origin == "the run's validation part"
        status, out, _ = cli("train", "--run", moved, "--resume", "--epochs", 0.5)
        assert status == 0 and "further" in out
        shutil.rmtree(moved)
        status, _, err = given("train", source, "", source, "--run", tmp_path / "empty" / "run")
        assert status == 1 and "is empty" in err and not (tmp_path / "empty").exists()


def test_parts_of_the_runs_text(cli, run, text, tmp_path):
    status, out, _ = cli("evaluate", run, "--on", "training", "--json")
    assert status == 0 and json.loads(out)["on"] == "training"
    assert cli("evaluate", run, text, "--on", "training")[:2] == cli("evaluate", run, "--on", "training")[:2]
    (tmp_path / "other.txt").write_text("another text")
    status, _, err = cli("evaluate", run, tmp_path / "other.txt", "--on", "test")
    assert status == 2 and "--on test" in err


def test_a_folder_of_runs_names_them(cli, run):
    for verb in ("sample", "evaluate", "inspect"):
        status, _, err = cli(verb, run.parent)
        assert status == 1 and f"it holds the run {run}" in err
    assert "there is no such folder" in cli("sample", run.parent / "none")[2]


def test_a_pattern_that_fits_deeper_files(cli, tmp_path):
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "inner" / "a.py").write_text("x = 1\n" * 100)
    status, _, err = cli("train", tmp_path / "data", "--run", tmp_path / "run", "--include", "*.py")
    assert status == 1 and "--include '**/*.py'" in err
    assert "**" not in cli("train", tmp_path / "data", "--run", tmp_path / "run", "--include", "*.c")[2]


def test_one_of_everything_is_singular(cli, tmp_path):
    (tmp_path / "t.txt").write_text("ab" * 400)
    (tmp_path / "b.bin").write_bytes(b"\xff\0")
    args = ("--epochs", 1, "--layers", 1, "--threads", 1, "--hidden", 4, "--batch", 1, "--bptt", 10)
    out = cli("train", tmp_path, "--run", tmp_path / "run", *args)[1]
    assert "1 thread\n" in out and "1 epoch, " in out and "1 layer of 4" in out and "1 file that is not text" in out
    assert "1 threads" not in out and "1 epochs" not in out


def test_line_ends_and_marks_are_named(cli, tmp_path):
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf" + b"one line\r\n" * 200)
    out = cli("train", tmp_path / "t.txt", "--run", tmp_path / "run", "--epochs", 0.3, "--hidden", 4)[1]
    assert "1 byte order mark removed" in out and "200 lines with CR LF endings" in " ".join(out.split())


def test_estimates_are_marked_and_the_whole_part_is_not(cli, tmp_path):
    (tmp_path / "t.txt").write_text("".join(chr(97 + k * k % 17) for k in range(60_000)))
    args = ("--epochs", 0.05, "--hidden", 8, "--split", "50/50/0")
    out = cli("train", tmp_path / "t.txt", "--run", tmp_path / "runs" / "r", *args)[1]
    assert "loss ~" in out and out.count("~ estimated") == 1
    last = RunFolder(tmp_path / "runs" / "r").history()[-1]["validation"]["loss"]
    assert f"loss {last:.4f} nats" in out
    listed = cli("runs", tmp_path / "runs")[1]
    assert f" {last:.4f}\n" in listed and "~" not in listed
    numbers = json.loads(cli("runs", tmp_path / "runs", "--json")[1])
    assert numbers["validation"] == last and numbers["criterion"] == "loss" and numbers["estimate"] is False
    (tmp_path / "runs" / "r" / "history.jsonl").write_text("")  # as of a run that is under way
    listed = cli("runs", tmp_path / "runs")[1]
    assert "~" in listed and "estimated on excerpts" in listed


def test_lines_fit_a_narrow_terminal(cli, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in (("runs", run.parent), ("evaluate", run), ("lab",), ("lesson", "hello"), ("doctor",)):
        status, out, _ = cli(*arguments)
        longest = [line for line in out.splitlines() if len(line) > 40 and str(run.parent) not in line]
        assert status == 0 and longest == [], arguments
        assert "…" not in out


def test_training_fits_a_narrow_terminal(cli, text, tmp_path, monkeypatch):
    """All but the reports, which stay one line each for the programs that read them."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.chdir(tmp_path)
    options = ("--epochs", 1, "--hidden", 8, "--batch", 4, "--bptt", 20, "--lr", 1e4)
    status, out, _ = cli("train", text, "--run", "r", "--optimizer", "adam", *options)
    kinds = {"update": 0, "validation": 0, "  | ": 0, "scoring": 0, "Best weights": 0, "!": 0, "  Try": 0}
    for line in out.splitlines():
        assert line.startswith("update ") or len(line) <= 40, line
        for kind in kinds:
            kinds[kind] += line.startswith(kind)
    assert status == 0 and all(kinds.values()), kinds


def test_the_doctor_leaves_room_between_its_columns(cli):
    out = cli("doctor")[1].partition("How cells are run on the CPU\n")[2]
    starts = {line.index(path) for line in out.splitlines() for path in ("engine", "torch ", "eager") if path in line}
    assert len(starts) == 1 and all(line[start - 2 : start] == "  " for line in out.splitlines() for start in starts)


def test_full_backpropagation_is_not_called_0():
    from unrolled.cli.inspect import _model

    assert "trained on steps with bptt all, adam" in _model({}, "steps", {"bptt": 0, "optimizer": "adam"})


def test_a_score_is_listed_by_name(cli, run, monkeypatch):
    from unrolled.cli import runs

    row = runs._row(RunFolder(run)) | {"criterion": "nll_per_step"}
    monkeypatch.setattr(runs, "_row", lambda run: row)
    out = cli("runs", run.parent)[1]
    assert "  nll per step " in out and len({len(line) for line in out.splitlines()}) == 1


def test_pictures_that_a_task_has_not(cli, run, tmp_path):
    """Before anything is scored."""
    status, out, err = cli("evaluate", run, "--pictures", tmp_path / "seen")
    assert (status, out) == (2, "") and "the task text has no pictures of its scores" in err


def test_further_training_is_announced_in_plain_words(capsys):
    from unrolled.training.metric import Metric
    from unrolled.training.show import PlainLines

    lines = PlainLines()
    lines.metrics = [Metric("loss")]
    lines({"event": "further", "best_update": 8, "validation": {"loss": 0.659}})
    assert capsys.readouterr().out == "best so far      8  loss 0.6590, scored again\n"


def test_no_float_is_too_small_for_a_loss(cli, run, monkeypatch, capsys):
    """exp(710) is none; JSON has no infinity."""
    from unrolled.tasks.symbols.scoring import Score
    from unrolled.tasks.text.task import TextTask
    from unrolled.tasks.text.trained import TrainedText
    from unrolled.training.show import JsonLines, PlainLines

    assert Score(2, 2, 2 * 709.0, 0).figures()["perplexity"] == pytest.approx(8.2184e307, rel=1e-4)
    figures = Score(2, 2, 3e31, 0).figures()
    assert figures["loss"] == 1.5e31 and figures["perplexity"] == float("inf")
    monkeypatch.setattr(TrainedText, "evaluate", lambda *a: {"on": "x", "unknown": {}, **figures})
    out = cli("evaluate", run)[1]
    assert "1.5e+31 nats" in out and "perplexity   inf" in out
    assert json.loads(cli("evaluate", run, "--json")[1])["perplexity"] is None
    event = {"event": "validation", "update": 1, "best": False, **figures}
    JsonLines()(event)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["perplexity"] is None
    lines = PlainLines()
    lines.metrics = list(TextTask().metrics)
    lines(event)
    assert "loss 1.5e+31  bpc 2.16e+31" in capsys.readouterr().out


def test_a_perplexity_has_no_hundred_digits(cli, run, monkeypatch):
    from unrolled.tasks.text.trained import TrainedText

    figures = {"on": "x", "scored": 1, "loss": 600.0, "bits_per_character": 900.0, "perplexity": 3.77e260}
    monkeypatch.setattr(TrainedText, "evaluate", lambda *a: {**figures, "accuracy": 0.0, "unknown": {"a": 1}})
    out = cli("evaluate", run)[1]
    assert "3.77e+260" in out and max(map(len, out.splitlines())) < 80
    assert "1 character scored" in out and "1 character that the model never saw" in out


def test_fit_shows_progress_unless_told_not_to(text, tmp_path, capsys):
    settings = TINY | {"epochs": 0.1}
    unrolled.fit(text, tmp_path / "a", **settings)
    unrolled.fit(text, tmp_path / "b", **settings | {"quiet": False, "listen": lambda event: None})
    assert capsys.readouterr().out == ""
    unrolled.fit(text, tmp_path / "c", **settings | {"quiet": False})
    assert "whole validation part" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_suggests_another(cli, run, monkeypatch):
    from pathlib import Path

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    status, _, err = cli("inspect", run)
    assert status == 1 and "Permission denied; choose another folder with --out" in err
    assert "--out" not in cli("inspect", run, "--out", run.parent / "new")[2]


def test_options_are_spelled_as_on_the_command_line(cli, run):
    for name, value in (("--top-k", 0), ("--top-p", 2.0), ("--temperature", -1.0), ("--length", -1)):
        status, _, err = cli("sample", run, name, value)
        assert status == 2 and err.startswith(f"unrolled: {name} must"), err


OWN = """
import torch, unrolled

class Slow(unrolled.Cell):
    def __init__(self, D, H):
        super().__init__(D, H)
        self.x = unrolled.Gates("a", D, H)

    def step(self, x, h):
        return torch.special.bessel_j0(self.x(x) + h)

class Broken(Slow):
    def step(self, x, h):
        h = torch.special.bessel_j0(self.x(x) + h)
        return h + torch.zeros(3)
"""


def test_cells_that_are_slow_and_cells_that_fail(cli, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    small = ("--epochs", 0.05, "--hidden", 8, "--batch", 4, "--bptt", 20)
    status, _, err = cli("train", text, "--cell", "own.py:Slow", "--run", "run", *small)
    said = " ".join(err.split())
    assert status == 0 and said.count("warning: ") == 1
    assert said.startswith("warning: Slow runs step by step") and "line 10" in said and "RuntimeWarning" not in said
    assert "site-packages" not in said and "paths.py" not in said
    status, _, err = cli("train", text, "--cell", "own.py:Broken", "--run", "other", *small)
    assert status == 2 and "step by step" not in err and "line 15" in err


def test_a_missing_engine_is_named(capsys):
    from unrolled.training.show import PlainLines, _slow

    assert list(_slow({"path": "engine", "engine_missing": None})) == []
    assert "step by step, many times slower" in dict(_slow({"path": "eager", "engine_missing": "no compiler"}))[""]
    assert "torch's kernels" in dict(_slow({"path": "torch", "engine_missing": "no compiler"}))[""]
    assert PlainLines().told is False


def test_a_g_set_file_is_read_as_one(tmp_path):
    path = tmp_path / "g"
    ring = np.roll(np.eye(6), 1, 0) + np.roll(np.eye(6), -1, 0)
    ring[0, 5] = ring[5, 0] = 0
    path.write_text("6 5\n" + "".join(f"{k} {k + 1} 1\n" for k in range(1, 6)))
    assert np.array_equal(read_graph(path), ring)
    path.write_text("7 5\n" + "".join(f"{k} {k + 1}\n" for k in range(1, 6)))
    assert len(read_graph(path)) == 7  # the last one has no edges
    path.write_text("5 5\n" + "".join(f"{k} {k % 5 + 1} -1\n" for k in range(1, 6)))
    assert read_graph(path).sum() == -10
    path.write_text("6 5\n" + "".join(f"{k} {k + 1} 1\n" for k in range(1, 5)))
    with pytest.raises(DataError, match="names 6 vertices and 5 edges, but 4 edges follow"):
        read_graph(path)
    for edges in ("0 1\n1 2\n2 0", "2 1\n1 0", "3 1 1\n1 2", "6 5"):  # no headers
        path.write_text(edges)
        assert (read_graph(path) > 0).sum() == 2 * len(edges.splitlines())


def test_tsp_names_what_it_wrote(cli, tmp_path):
    picture = tmp_path / "tour.png"
    assert f"Written: {picture}" in cli("hopfield", "tsp", "--cities", 4, "--starts", 1, "-o", picture)[1]
    out = cli("hopfield", "tsp", "--cities", 4, "--starts", 1, "-o", picture, "--json")[1]
    assert json.loads(out)["picture"] == str(picture)


def test_a_module_that_warns_is_one_sentence():
    code = """
import warnings
from unrolled.cli.shared import plain_warnings
with plain_warnings():
    for _ in range(3):
        warnings.warn("this is slow", RuntimeWarning)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: this is slow\n"
