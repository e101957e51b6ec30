"""Mistakes in a task of one's own, and in its use: one sentence each, and nothing is left behind."""

import re
import warnings

import numpy as np
import pytest
import torch

import unrolled
from own_tasks import EXAMPLES, LINES, ROWS, SIZES, Tagged, tagged
from unrolled.errors import DataError, RunError, UsageError
from unrolled.training import Loss, Shown


def test_the_criterion_must_be_among_the_scores(tmp_path):
    class Missing(Tagged):
        loss = unrolled.Task.loss

    with pytest.raises(ValueError, match="chosen by 'accuracy', .* but its scores are loss, scored"):
        tagged(tmp_path, Missing)


OPTIONS = """
import unrolled
from dataclasses import dataclass
from unrolled.training import option
{head}
class Options:
    {line}
class Mine(unrolled.Task):
    name, {kind}_class = "mine", Options
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("batch: int = option(3, 'rows')", "setting batch has the name of one of the program's own"),
        ("run: str = option('', 'a run')", "setting run has the name of one of the program's own"),
        ("held: int = 10", "setting held must have a default and a line of help"),
        ("held: list[int] = option(None, 'which')", "setting held must be of int, float, str or bool"),
    ],
)
def test_settings_that_cannot_be_asked_for(cli, tmp_path, line, message):
    text = OPTIONS.format(head="@dataclass(frozen=True)", line=line, kind="options")
    (tmp_path / "mine.py").write_text(text)
    status, _, err = cli(
        "train", tmp_path / "mine.py", "--run", tmp_path / "run", "--task", f"{tmp_path}/mine.py:Mine"
    )
    assert status == 2 and message in err and len(err.splitlines()) == 1
    (tmp_path / "other.py").write_text(OPTIONS.format(head="", line="out: str = 'a'", kind="sample"))
    status, _, err = cli("sample", tmp_path, "--task", f"{tmp_path}/other.py:Mine")
    assert status == 2 and "Options of Mine must be a dataclass" in err


def test_a_task_for_a_run_of_text(tmp_path):
    (tmp_path / "t.txt").write_text("to be or not to be " * 30)
    unrolled.fit(tmp_path / "t.txt", tmp_path / "text", epochs=1, **SIZES)
    with pytest.raises(UsageError, match="has the task text, got Tagged: leave out --task"):
        unrolled.load(tmp_path / "text", task=Tagged)


def test_settings_of_another_type(files, runs, tmp_path):
    with pytest.raises(UsageError, match="--held-out: expected a whole number, got '10'"):
        unrolled.fit(files / "lines.tsv", tmp_path / "run", task=LINES, held_out="10", **SIZES)
    unrolled.fit(files / "lines.tsv", tmp_path / "run", task=LINES, epochs=1, **SIZES)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("held_out = 10", "held_out = true"))
    with pytest.raises(RunError, match="config.toml is damaged: section .options.: --held-out: expected a whole"):
        unrolled.load(tmp_path / "run", task=LINES)


def test_labels_of_other_lines(files, runs, tmp_path):
    """A new label is refused; a run from the weights of another numbers letters and labels as that one."""
    (tmp_path / "new.tsv").write_text("a\tab\nnew\tab\n")
    with pytest.raises(DataError, match="new.tsv has the label 'new', which the model does not know"):
        unrolled.load(runs[LINES], task=LINES).evaluate(tmp_path / "new.tsv")
    (tmp_path / "xyz.tsv").write_text("other\txab\nother\tyzb\n" * 20)
    options = {"task": LINES, "epochs": 1, "threads": 1, "quiet": True}
    model = unrolled.fit(tmp_path / "xyz.tsv", tmp_path / "run", from_run=runs[LINES], **options)
    assert (model.task.letters, model.task.labels) == ("abc", ("a", "other"))


def test_what_a_task_gives_is_checked(tmp_path):
    class NoSteps(Tagged):
        def read(self, data):
            super().read(data)

    class Text(Tagged):
        def sample(self, model, options):
            return "a text"

    with pytest.raises(TypeError, match="NoSteps.read must return how many steps it has read, got None"):
        tagged(tmp_path, NoSteps)
    model = tagged(tmp_path, Text, epochs=1)
    with pytest.raises(TypeError, match="Text.sample must return a Shown, or an iterator of text or bytes, got str"):
        model.generate()
    with pytest.raises(UsageError, match="there is no setting 'length'"):
        model.generate(length=3)
    with pytest.raises(ValueError, match="Shown: kind must be one of text, picture, midi, wav, table, got 'html'"):
        Shown("html", b"")
    with pytest.raises(TypeError, match="Shown: content must be bytes, got str"):
        Shown("text", "a")


def test_its_code_runs_only_when_it_is_named(cli, files, runs, tmp_path):
    with pytest.raises(RunError, match="the custom task LabelledLines, whose code is not run by default"):
        unrolled.load(runs[LINES])
    for verb in ("evaluate", "sample", "inspect"):
        status, _, err = cli(verb, runs[LINES])
        assert status == 1 and "--task FILE.py:LabelledLines" in err
    status, _, err = cli("train", "--run", runs[LINES], "--resume")
    assert status == 1 and "--task FILE.py:LabelledLines" in err
    status, _, err = cli("sample", runs[LINES], "--task", LINES)
    assert status == 2 and "has nothing to sample" in err


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("missing.py:Mine", "--task: the file missing.py does not exist"),
        (f"{EXAMPLES / 'labelled_lines.py'}:Other", "has no class Other; its tasks: LabelledLines"),
        (f"{EXAMPLES / 'labelled_lines.py'}:Options", "Options in .* is not a subclass of unrolled.Task"),
        (f"{EXAMPLES / 'minimal_cell.py'}:MinimalCell", "is not a subclass of unrolled.Task"),
    ],
)
def test_what_is_no_task(files, tmp_path, task, message):
    with pytest.raises(UsageError, match=message):
        unrolled.fit(files / "lines.tsv", tmp_path / "run", task=task, quiet=True)
    assert not (tmp_path / "run").exists()


def test_data_that_do_not_fit(files, tmp_path):
    for task, data in ((LINES, "table.csv"), (ROWS, "lines.tsv")):
        with pytest.raises(DataError, match="has no line with a label|is no table of numbers"):
            unrolled.fit(files / data, tmp_path / "run", task=task, quiet=True)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", [LINES, ROWS])
def test_what_cannot_be_read_is_one_sentence(cli, tmp_path, task):
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(b"a\tb\n" * 30 + b"\xff\n")
    (tmp_path / "folder").mkdir()
    for name, message in (("empty", "has no line|has only 0 rows"), ("bytes", "is 0xff"), ("folder", "cannot read")):
        status, out, err = cli("train", tmp_path / name, "--run", tmp_path / "run", "--task", task)
        assert (status, out) == (1, "") and err.count("\n") == 1 and re.search(message, err)
        assert not (tmp_path / "run").exists()


def test_what_a_loss_cannot_be():
    total = torch.tensor(1.0)
    assert Loss(total, torch.tensor(2), parts={"a": (np.float32(0.5), np.int64(2))}).parts == {"a": (0.5, 2)}
    with warnings.catch_warnings(action="error"):
        assert Loss(total, 1, parts={"a": (torch.ones(1, requires_grad=True), 1)}).parts == {"a": (1.0, 1)}
    for arguments, message in (
        (((1.0, 2)), "total must be a tensor of one number, got float"),
        (((torch.ones(3), 3)), r"total must be a tensor of one number, got \(3,\)"),
        ((total, -1), "counts must be 0 or more"),
        ((total, 1, None, {"update": (1.0, 1)}), "a part must not be called update"),
        ((total, 1, None, {"loss": (1.0, 1)}), "a part must not be called loss"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            Loss(*arguments)


def test_a_changed_source_is_not_gone_on_with(cli, files, tmp_path):
    """A run keeps the text of its task, as that of its cell: what was trained is what goes on."""
    file, run = tmp_path / "mine.py", tmp_path / "run"
    file.write_text((EXAMPLES / "labelled_lines.py").read_text())
    task = f"{file}:LabelledLines"
    unrolled.fit(files / "lines.tsv", run, task=task, epochs=1, **SIZES)
    assert (run / "task.py").read_text() == file.read_text()
    file.write_text(file.read_text().replace("percent=True", "percent=False"))
    with pytest.raises(RunError, match="the source of LabelledLines has changed .* resume with --task .*task.py:Lab"):
        unrolled.fit(None, run, resume=True, task=task, epochs=2, quiet=True)
    status, _, err = cli("evaluate", run)
    assert status == 1 and f"or --task {run / 'task.py'}:LabelledLines" in " ".join(err.split())
    unrolled.fit(None, run, resume=True, task=f"{run / 'task.py'}:LabelledLines", epochs=2, quiet=True)


def test_nothing_is_written_over(cli, files, monkeypatch, tmp_path):
    """Without --out, what is no text goes to a new file each time."""

    class Pictures(Tagged):
        def sample(self, model, options):
            return Shown("picture", b"a picture")

    monkeypatch.setattr("unrolled.tasks.load.own_task", lambda folder, task: Pictures)
    monkeypatch.chdir(tmp_path)
    tagged(tmp_path, Pictures, epochs=1)
    (tmp_path / "sample.png").write_bytes(b"mine")
    for name in ("sample-2.png", "sample-3.png"):
        status, out, _ = cli("sample", tmp_path / "run", "--task", LINES)
        assert status == 0 and out == f"wrote {name}\n"
    assert (tmp_path / "sample.png").read_bytes() == b"mine"


def test_a_score_that_the_criterion_lacks(cli, files, tmp_path):
    run = tmp_path / "run"
    unrolled.fit(files / "lines.tsv", run, task=LINES, epochs=1, **SIZES)
    config = run / "config.toml"
    config.write_text(config.read_text().replace('criterion = "accuracy"', 'criterion = "recall"'))
    status, out, _ = cli("runs", tmp_path)
    assert status == 0 and "finished" in out and "damaged" not in out
