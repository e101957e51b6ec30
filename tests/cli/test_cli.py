"""The command line: every verb, and every mistake a person can make."""

import json
import re
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import pytest

import unrolled
from unrolled.cli.main import app
from unrolled.training.show import LiveLine, PlainLines

TINY = ("--hidden", 8, "--batch", 4, "--bptt", 20, "--threads", 1)


def verbs(command, name=""):
    """The names of all verbs, and of those of a group."""
    for own, one in getattr(command, "commands", {}).items():
        yield f"{name} {own}".strip()
        yield from verbs(one, f"{name} {own}".strip())


VERBS = tuple(verbs(app))


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tables"
    unrolled.fit(text, folder, epochs=2, hidden=8, batch=4, bptt=20, threads=1)
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_that_names_it(cli, verb):
    status, out, _ = cli(*verb.split(), "--help")
    assert status == 0
    assert f"unrolled {verb.split()[0]}" in out.split("Example:")[1]
    assert all(len(line) <= 80 for line in out.splitlines())


HELP = """
import sys
import unrolled.cli.main as m
for words in {}:
    sys.argv = ["unrolled", *words, "--help"]
    try:
        m.main()
    except SystemExit:
        pass
packages = {{name.partition(".")[0] for name in sys.modules}} - sys.stdlib_module_names
others = {{name for name in packages if name[0] != "_"}} - {}  # _ begins the installer's own
assert not others, others
"""
"""Asks for help several times in one process, and for the packages that this took."""


def asked_for_help(calls, allowed):
    code = HELP.format([[str(word) for word in call] for call in calls], {"unrolled", "click"} | allowed)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_is_instant():
    """What takes long are other packages: help needs click, and no file of ours that needs another."""
    for verb in (verb for verb in VERBS if " " not in verb):
        assert "Example:" in asked_for_help([[verb]], set())


def test_help_for_data_does_without_torch(text, tmp_path):
    """The task is recognised by the data, and its own options are shown."""
    (tmp_path / "t.csv").write_text("day,v\n" + "".join(f"2020-01-{d:02},{d}\n" for d in range(1, 29)))
    (tmp_path / "l.csv").write_text("label,sequence\n" + "a,abc\nb,cba\n" * 9)
    (tmp_path / "t.abc").write_text("X:1\nK:C\nC|\n")
    files = {text: "text", tmp_path / "t.csv": "series", tmp_path / "l.csv": "classify", tmp_path / "t.abc": "music"}
    out = asked_for_help([["train", file] for file in files], {"numpy", "safetensors", "tomli_w"})
    assert re.findall(r"^Task (\w+):", out, re.MULTILINE) == list(files.values())


def test_train_in_plain_lines(cli, text, tmp_path):
    status, out, err = cli("train", text, "--run", tmp_path / "run", "--epochs", 1, *TINY)
    assert (status, err) == (0, "")
    assert re.search(r"text +[\d,]+ characters, \d+ different", out)
    assert "lstm, 1* layer of 8, " in out
    assert "* chosen from the data" in out
    assert re.search(
        r"update +\d+  loss \d\.\d+  bpc \d\.\d+  \|g\| [\d.]+  clipped \d+%  [\d.]+k?/s  \d:\d\d left", out
    )
    assert re.search(r"validation +\d+  loss .* best so far", out)
    assert "  | " in out
    assert "whole validation part: loss" in out
    assert out.rstrip().endswith(f"Next: unrolled sample {tmp_path / 'run'}")
    assert max(map(len, out.replace(str(tmp_path), "").splitlines())) <= 100


def test_train_for_programs(cli, text, tmp_path):
    status, out, _ = cli("train", text, "--run", tmp_path / "run", "--epochs", 1, "--json", *TINY)
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert events[0]["event"] == "started"
    assert events[0]["settings"]["hidden"] == 8
    assert events[-1]["event"] == "finished"
    assert {"train", "validation", "sample"} <= {e["event"] for e in events}


def test_live_display_keeps_reports_in_one_line(monkeypatch):
    show = LiveLine()
    from rich.console import Console

    show.console = Console(force_terminal=True, width=80, record=True, highlight=False)
    base = {"update": 5, "loss": 2.0, "share": 0.5, "seconds": 1.0, "seconds_left": 61.0}
    show({"event": "update", **base})
    show(
        {
            "event": "train",
            "update": 5,
            "loss": 2.0,
            "gradient_norm": 0.5,
            "clipped": 0.25,
            "per_second": 24_000,
            "skipped": 0,
        }
    )
    show.shown_at = 0
    show({"event": "update", **base})
    show({"event": "sample", "update": 5, "text": "[bold]to be[/bold]\n\x1b[31mor " + "x" * 200})
    show(
        {
            "event": "validation",
            "update": 5,
            "loss": 2.0,
            "bits_per_character": 2.9,
            "accuracy": 0.4,
            "best": True,
        }
    )
    show.close()
    text = show.console.export_text()
    assert "50%" in text
    assert "24.0k/s" in text
    assert "1:01 left" in text
    assert "[bold]to be[/bold]" in text
    assert "\ufffd[31mor" in text
    assert "x" * 60 in text
    assert "x" * 80 not in text
    assert len(f"{'━' * 12} 100% {show.line} 10:01:01 left") <= 80


def test_skips_are_shown(capsys):
    show = PlainLines()
    show({"event": "skip", "update": 7, "lr": 1.0})
    assert "update 7 skipped: its loss or gradient is not finite" in capsys.readouterr().out


def test_sample(cli, run):
    status, out, err = cli("sample", run, "--length", 40, "--prime", "3 times", "--seed", 4)
    assert (status, err) == (0, "")
    assert out.startswith("3 times")
    assert len(out) == len("3 times") + 40 + 1
    assert cli("sample", run, "--length", 40, "--prime", "3 times", "--seed", 4)[1] == out
    assert cli("sample", run, "--length", 40, "--prime", "3 times", "--seed", 5)[1] != out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prime", "§Ω3"), "does not know the characters '§', 'Ω'"),
        (("--temperature", -1), "--temperature must be a number from 0"),
        (("--top-k", 0), "--top-k must be"),
        (("--top-p", 2), "--top-p must lie in"),
        (("--length", -5), "--length must be a whole number from 0"),
    ],
)
def test_sample_mistakes(cli, run, options, message):
    status, out, err = cli("sample", run, *options)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_evaluate(cli, run, tmp_path):
    status, out, _ = cli("evaluate", run, "--on", "test", "--json")
    figures = json.loads(out)
    assert status == 0
    assert {"loss", "bits_per_character", "accuracy", "characters"} <= figures.keys()
    (tmp_path / "odd.txt").write_text("3 times 4§§\n")
    status, out, _ = cli("evaluate", run, tmp_path / "odd.txt")
    assert "2 characters that the model never saw, scored as unknown: '§'" in out
    assert "bits per character" in out
    status, _, err = cli("evaluate", run, "--on", "trial")
    assert (status, err) == (2, "unrolled: --on: must be validation, test or training, got 'trial'\n")
    status, _, err = cli("evaluate", run, tmp_path / "none.txt")
    assert status == 2
    assert "there is no file or folder" in err


def test_score(cli, run):
    status, out, _ = cli("score", run, "--text", "2 times", "--text", "2 tmies", "--json")
    one, two = map(json.loads, out.splitlines())
    assert status == 0
    assert one["log_probability"] == pytest.approx(sum(one["log_probabilities"]))
    assert one["text"] == "2 times"
    assert two["text"] == "2 tmies"
    _, out, _ = cli("score", run, "--text", "2 §", "--each")
    assert re.search(r"^p = \d\.\d{3}e-\d+  log p = -[\d.]+ nats", out)
    assert "1 symbol that the model never saw" in out
    assert len(out.splitlines()) == 5
    status, _, err = cli("score", run, "--text", "")
    assert (status, err) == (2, "unrolled: score: the text is empty\n")


def test_runs(cli, run, tmp_path):
    status, out, _ = cli("runs", run.parent)
    assert status == 0
    assert re.search(r"tables +lstm 1 x 8 +finished +\d\.\d{4}", out)
    (row,) = (json.loads(line) for line in cli("runs", run.parent, "--json")[1].splitlines())
    assert row["state"] == "finished"
    assert "There are no runs" in cli("runs", tmp_path)[1]
    broken = tmp_path / "broken"
    (broken / "samples").mkdir(parents=True)
    (broken / "config.toml").write_text("nonsense")
    assert "damaged" in cli("runs", tmp_path)[1]
    assert cli("runs", tmp_path / "nowhere")[0] == 2


def test_doctor(cli):
    _, out, _ = cli("doctor")
    assert re.search(r"lstm +engine +compiled from the equation", out)
    assert re.search(r"your own +engine", out)
    facts = json.loads(cli("doctor", "--json")[1])
    assert facts["unrolled"] == unrolled.__version__
    assert facts["paths"]["your own"] == "engine"
    assert facts["engine"]["path"] in facts["engine"]["paths"]


def test_lesson_hello(cli):
    status, out, _ = cli("lesson", "hello")
    assert status == 0
    assert "it writes: hello" in out
    assert max(map(len, out.splitlines())) <= 80
    lesson = json.loads(cli("lesson", "hello", "--json")[1])
    assert [step["input"] for step in lesson["after"]] == list("hell")
    assert [step["target"] for step in lesson["after"]] == list("ello")
    assert min(step["probability"] for step in lesson["after"]) > 0.9
    assert lesson["loss_before"] > 20 * lesson["loss_after"]


def test_lesson_gradients(cli, tmp_path, monkeypatch):
    from unrolled.lab import gradients

    lesson = cache(partial(gradients.run, starts=2))  # the calls below print the same one
    monkeypatch.setattr(gradients, "run", lesson)
    out_folder = tmp_path / "new" / "pictures"
    status, out, _ = cli("lesson", "gradients", "--out", out_folder)
    assert status == 0
    assert "5.9e-6" in out and f"clipped at {gradients.LIMIT:g}" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("Picture")) <= 80
    assert "…" not in out
    picture = out_folder / "lesson-gradients.png"
    assert f"Picture: {picture}" in out and picture.read_bytes().startswith(b"\x89PNG")
    told = json.loads(cli("lesson", "gradients", "--json", "--out", out_folder)[1])
    assert told["products"][2]["derivatives"]["10"] == pytest.approx(201.6, abs=0.1)
    assert told["picture"] == str(picture) and len(told["training"][0]["losses"]) == 2
    status, _, err = cli("lesson", "gradients", "--out", picture)
    assert status == 2 and "is a file, expected a folder" in err


def test_own_cell_file(cli, text, tmp_path):
    source = Path(__file__).parents[2] / "examples" / "minimal_cell.py"
    run = tmp_path / "run"
    status, out, _ = cli("train", text, "--run", run, "--epochs", 0.3, "--cell", f"{source}:MinimalCell", *TINY)
    assert status == 0
    assert out.splitlines()[-1] == f"Next: unrolled sample {run}"
    assert (run / "cell.py").read_text() == source.read_text()
    assert cli("sample", run, "--length", 5)[0] == 0
    (run / "program.json").unlink()
    status, _, err = cli("sample", run)
    assert status == 1
    assert "whose code is not run by default" in err
    assert cli("sample", run, "--length", 5, "--allow-code")[0] == 0
    assert cli("sample", run, "--length", 5, "--cell", f"{source}:MinimalCell")[0] == 0


def train(text, run, *more):
    return ("train", text, "--run", run, "--epochs", 1, *TINY, *more)


def test_train_mistakes(cli, text, run, tmp_path):
    empty, binary, small = tmp_path / "empty.txt", tmp_path / "a.bin", tmp_path / "small.txt"
    empty.touch()
    binary.write_bytes(b"text\xff")
    small.write_text("too short")
    (tmp_path / "folder").mkdir()
    new = tmp_path / "new"
    mistakes = [
        (train(tmp_path / "none.txt", new), 2, "there is no file or folder"),
        (train(text, new, "--chrono", 2), 2, "--chrono: must be the longest lag in steps, above 2"),
        (train(text, new, "--chrono", 9, "--forget-bias", 1), 2, "leave out --forget-bias"),
        (train(text, new, "--forget-bias", "nan"), 2, "--forget-bias: must be a number"),
        (train(text, new, "--cell", "elman", "--chrono", 9), 2, "--chrono: ElmanCell: chrono needs a gate"),
        (train(text, new, "--recurrent-init", "eye"), 2, "--recurrent-init: must be one of orthogonal, identity"),
        (train(empty, new), 1, "is empty"),
        (train(tmp_path / "folder", new), 1, "contains no files"),
        (train(text, new, "--include", "*.py"), 2, "--include: picks files of a folder"),
        (train(text, new, "--device", "tpu"), 2, "--device: must be cpu, cuda or mps, got 'tpu'"),
        (train(text, new, "--cell", "none.py:C"), 2, "--cell: the file none.py does not exist"),
        (train(binary, new), 1, "byte 4 is 0xff"),
        (train(small, new), 1, "too few for --batch 4 and --bptt 20, which need at least 81"),
        (train(text, run), 1, "holds a finished run"),
        (train(text, text), 2, "this is a file, expected a folder"),
        (train(text, new, "--cell", "lstmm"), 2, "expected lstm, gru, elman, lstm1997 or FILE.py:Class"),
        (train(text, new, "--clip", "x"), 2, "--clip"),
        (train(text, new, "--task", "go"), 2, "--task"),
        (train(text, new, "--hidden", 1_000_000), 2, "parameters and need"),
        (train(text, new, "--minutes", 1), 2, "not both"),
        (("train", text), 2, "--run: name a folder for the run"),
        (("train", "--run", new), 2, "name a file or folder"),
        (("train", "--run", new, "--resume"), 2, "to resume: name a file or folder to train on"),
        (("sample", tmp_path / "folder"), 1, "is not a run folder"),
        (("sample", run, "--cell", "gru"), 2, "has lstm, got gru: leave out --cell"),
    ]
    for arguments, status, message in mistakes:
        got, _, err = cli(*arguments)
        assert (got, message in err, len(err.splitlines())) == (status, True, 1), (arguments, err)
        assert not new.exists()


def test_an_option_of_another_task_is_named_with_it(cli, text, tmp_path):
    status, _, errors = cli("train", text, "--run", tmp_path / "run", "--folds", "3")
    assert status == 2 and "--folds is an option of --task classify, and the task is text" in errors
    status, _, errors = cli("train", tmp_path / "gone.csv", "--run", tmp_path / "run", "--folds", "3")
    assert status == 2 and f"there is no file or folder {tmp_path / 'gone.csv'}" in errors
    status, _, errors = cli("train", text, "--run", tmp_path / "run", "--nonsense", "3")
    assert status == 2 and "No such option" in errors


def test_options_of_the_wrong_kind_are_usage_errors(cli):
    for arguments, message in (
        (("train", "x", "--hidden", "many"), "'many' is not a valid integer"),
        (("train", "--no-such"), "--no-such"),
        (("fly",), "No such command 'fly'"),
    ):
        status, _, err = cli(*arguments)
        assert status == 2
        assert message in err


def test_debug_shows_the_traceback(cli, tmp_path):
    with pytest.raises(unrolled.errors.RunError, match="not a run folder"):
        cli("--debug", "sample", tmp_path)


def test_what_the_system_refuses_is_one_sentence(cli, text, tmp_path):
    status, _, err = cli(*train(text, tmp_path / ("x" * 300)))
    assert status == 1
    assert "File name too long" in err
    assert len(err.splitlines()) == 1


def test_control_characters_do_not_reach_a_terminal():
    from unrolled.wording import harmless

    assert harmless("a\x1b]0;owned\x07\tb\n\x9bé字") == "a\ufffd]0;owned\ufffd\tb\n\ufffdé字"


def test_seeds_out_of_range(cli, run):
    for command in (("lesson", "hello"), ("lesson", "gradients"), ("sample", run)):
        assert cli(*command, "--seed", 2**64)[0] == 2


def test_version(cli):
    assert cli("--version") == (0, f"unrolled {unrolled.__version__}\n", "")
