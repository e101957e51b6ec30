"""Tasks in a person's own file, those of the examples: trained, evaluated, sampled, inspected, resumed."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import unrolled
from own_tasks import EXAMPLES, LINES, ROWS, SIZES, Tagged, tagged
from unrolled.cli.main import app
from unrolled.errors import DataError, RunError, UsageError
from unrolled.runs.folder import RunFolder
from unrolled.training.loop import WALL_CLOCK_FIELDS


def lasting(run):
    """The history without what differs from run to run."""
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in RunFolder(run).history()]


@pytest.mark.parametrize("file", ["labelled_lines.py", "next_row.py"])
def test_they_fit_one_sitting(file):
    assert len((EXAMPLES / file).read_text().splitlines()) <= 80


def test_the_label_of_a_line_is_learnt_and_scored(files, runs):
    model = unrolled.load(runs[LINES], task=LINES)
    figures = model.evaluate(on="test")
    assert figures["scored"] == 30 and figures["accuracy"] > 0.9
    assert model.evaluate(files / "lines.tsv")["scored"] == 300
    letters, labels = model.task.letters, model.task.labels
    texts = [line.split("\t") for line in (files / "lines.tsv").read_text().splitlines()]
    right, nats = 0, 0.0
    for label, text in texts:  # one at a time: no padding, no batches
        scores, _ = model.model(torch.tensor([[letters.index(c) + 1] for c in text]))
        logs = torch.log_softmax(scores[0].detach().double(), 0)
        right += int(logs.argmax()) == labels.index(label)
        nats -= float(logs[labels.index(label)])
    whole = model.evaluate(files / "lines.tsv")
    assert whole["accuracy"] == pytest.approx(right / 300) and whole["loss"] == pytest.approx(nats / 300, rel=1e-4)


def test_the_next_row_is_scored_in_one_stream(files, runs):
    """By hand: one stream from the zero state over the test part, the density of each row but the first."""
    model = unrolled.load(runs[ROWS], task=ROWS)
    table = np.loadtxt(files / "table.csv", delimiter=",", dtype=np.float32)
    training = table[:320]
    part = torch.from_numpy((table[360:] - training.mean(0)) / (training.std(0) + 1e-6))[:, None]
    outputs, _ = model.model(part[:-1])
    mean, spread = outputs.detach().double().chunk(2, dim=-1)
    figures = model.evaluate(on="test")
    density = model.model.head.log_prob(outputs.detach(), part[1:])
    assert figures["scored"] == 39
    assert figures["loss"] == pytest.approx(-float(density.double().mean()), rel=1e-4)
    assert mean.shape == spread.shape == (39, 1, 2)


def test_a_resumed_run_is_bit_exact(files, tmp_path):
    for task, data, given in ((LINES, "lines.tsv", {"batch": 8}), (ROWS, "table.csv", {"batch": 4, "bptt": 20})):
        name = task.rpartition(":")[2]
        options = {"task": task, "epochs": 3, "save_every": 0.0, **SIZES, **given}

        def stop(event):
            if event["event"] == "update" and event["update"] == 11:
                raise KeyboardInterrupt

        unrolled.fit(files / data, tmp_path / f"{name} whole", **options)
        with pytest.raises(KeyboardInterrupt):
            unrolled.fit(files / data, tmp_path / name, **{**options, "listen": stop})
        unrolled.fit(None, tmp_path / name, resume=True, task=task, quiet=True)
        assert lasting(tmp_path / name) == lasting(tmp_path / f"{name} whole")
        one, other = (RunFolder(tmp_path / n).read_model()[0] for n in (name, f"{name} whole"))
        assert all(np.array_equal(one[key], other[key]) for key in other)


@pytest.mark.parametrize(
    "given",
    [
        {"variational_dropout": 0.2, "layers": 2, "dropout": 0.1},
        {"weight_drop": 0.2, "zoneout": 0.1},
        {"layer_norm": True},
    ],
)
def test_all_settings_of_models_are_theirs(files, tmp_path, given):
    """In evaluation nothing is dropped: the same scores each time."""
    options = {"epochs": 1, **SIZES, **given}
    model = unrolled.fit(files / "lines.tsv", tmp_path / "lines", task=LINES, batch=8, **options)
    other = unrolled.fit(files / "table.csv", tmp_path / "rows", task=ROWS, batch=4, bptt=20, **options)
    assert model.evaluate() == model.evaluate() and other.evaluate() == other.evaluate()


def test_a_model_must_not_see_the_row_that_it_predicts(files, tmp_path):
    """Both directions are for sequences that are read to their end."""
    with pytest.raises(UsageError, match="--direction: a model must not see the rows that it predicts"):
        unrolled.fit(files / "table.csv", tmp_path / "rows", task=ROWS, direction="both", **SIZES)
    assert not (tmp_path / "rows").exists()
    unrolled.fit(files / "lines.tsv", tmp_path / "lines", task=LINES, direction="both", epochs=1, **SIZES)


def test_scores_are_means_over_all_losses_that_count(tmp_path):
    """By hand, one sequence at a time: neither padding nor what is masked counts, and nothing is dropped."""
    model = tagged(tmp_path, direction="both")
    task = Tagged()
    task.read(tmp_path / "seed")
    right, nats, count = 0, 0.0, 0
    for x, y in zip(*task.parts["test"], strict=True):
        outputs, _ = model.model(torch.from_numpy(x)[:, None])
        logs = torch.log_softmax(outputs[:, 0].detach().double(), 1)
        for t in np.flatnonzero(x != 2):
            right, nats, count = right + int(logs[t].argmax() == y[t]), nats - float(logs[t, y[t]]), count + 1
    figures = model.evaluate(on="test")
    assert figures["scored"] == count and figures["accuracy"] == right / count
    assert figures["loss"] == pytest.approx(nats / count, rel=1e-5)
    first = next(e for e in RunFolder(tmp_path / "run").history() if e["event"] == "train")
    assert type(first["accuracy"]) is float


def test_updates_and_parts_without_a_loss(tmp_path):
    """A batch none of whose steps count is no fault; a part of the data without a loss has no score, not loss 0."""

    class Few(Tagged):
        def counts(self, batch):
            return (batch.inputs == 4) & torch.tensor(self.training.batch == 1)

    figures = tagged(tmp_path, Few, batch=1).evaluate(on="test")
    assert figures["scored"] < 30 and figures["loss"] > 0.1
    history = RunFolder(tmp_path / "run").history()
    assert history[-1]["event"] == "finished" and history[-1]["skipped"] == 0
    assert all(e["loss"] > 0 for e in history if e["event"] == "train")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="the test part has nothing to score"):
        tagged(tmp_path / "none", Few, batch=2).evaluate(on="test")


def test_without_a_validation_part(cli, files, tmp_path):
    """The weights at the end are the best ones, and whoever asks for scores hears that there are none."""
    run, rest = tmp_path / "run", ("--epochs", 2, "--hidden", 8, "--batch", 8, "--held-out", 0)
    assert cli("train", files / "lines.tsv", "--run", run, "--task", LINES, *rest)[0] == 0
    assert unrolled.load(run, task=LINES).about["update"] == RunFolder(run).checkpoint_about()["update"]
    status, _, err = cli("evaluate", run, "--task", LINES)
    assert status == 1 and err == "unrolled: the validation part has nothing to score\n"
    assert cli("evaluate", run, "--task", LINES, "--on", "training")[0] == 0
    status, out, _ = cli("inspect", run, "--task", LINES)
    assert status == 0 and "! There is nothing to analyse: there are no sequences" in out
    (tmp_path / "few.csv").write_text("1,2\n2,3\n3,1\n1,2\n2,3\n3,1\n")
    rows = unrolled.fit(tmp_path / "few.csv", tmp_path / "few", task=ROWS, batch=1, bptt=2, epochs=2, **SIZES)
    for part in ("validation", "test"):
        with pytest.raises(DataError, match=f"the {part} part has nothing to score"):
            rows.evaluate(on=part)


def test_a_run_may_lie_in_the_folder_of_its_data(tmp_path):
    """What training writes there is no data, and changes none."""

    class Folder(Tagged):
        def read(self, data):
            return super().read(Path(data) / "seed")

    (tmp_path / "seed").write_text("7")
    given = {"task": Folder, "batch": 3, **SIZES}
    model = unrolled.fit(tmp_path, tmp_path / "runs" / "one", epochs=2, **given)
    assert model.evaluate(on="validation")["scored"] > 0
    unrolled.fit(None, tmp_path / "runs" / "one", resume=True, task=Folder, epochs=3, quiet=True)
    (tmp_path / "more").write_text("8")
    with pytest.raises(DataError, match="has changed"):
        model.evaluate(on="validation")


def test_rows_from_a_pipe_are_scored(files, runs, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    content = (files / "table.csv").read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    model = unrolled.load(runs[ROWS], task=ROWS)
    figures = model.evaluate(tmp_path / "pipe")
    writer.join()
    assert figures == model.evaluate(files / "table.csv") | {"on": str(tmp_path / "pipe")}


def test_from_the_command_line(cli, files, runs, tmp_path):
    run = tmp_path / "run"
    options = ("--epochs", 2, "--hidden", 8, "--batch", 8, "--held-out", 20)
    status, out, err = cli("train", files / "lines.tsv", "--run", run, "--task", LINES, *options)
    assert (status, err) == (0, "") and "training 180, validation 60, test 60" in " ".join(out.split())
    assert "accuracy" in out and f"unrolled evaluate {run} --task {LINES}" in " ".join(out.split())
    status, out, _ = cli("evaluate", run, "--task", LINES, "--on", "test")
    assert status == 0 and "60 lines scored" in out and "nats per line" in out
    assert json.loads(cli("evaluate", run, "--task", LINES, "--json")[1])["on"] == "validation"
    status, out, err = cli("inspect", run, "--task", LINES)
    assert (status, err) == (0, "") and (run / "inspect" / "report.html").is_file()
    assert cli("train", "--run", run, "--resume", "--epochs", 3, "--task", LINES)[0] == 0
    row = json.loads(cli("runs", tmp_path, "--json")[1])
    assert row["criterion"] == "accuracy" and 0 <= row["validation"] <= 1
    assert f"finished 2 times accuracy {row['validation']:.1%}" in " ".join(cli("runs", tmp_path)[1].split())
    status, out, _ = cli("sample", runs[ROWS], "--task", ROWS, "--rows", 3)
    assert status == 0 and len(out.split()) == 3 and all(len(line.split(",")) == 2 for line in out.split())
    status, out, _ = cli("sample", runs[ROWS], "--task", ROWS, "--rows", 3, "--out", tmp_path / "rows.csv")
    assert status == 0 and np.loadtxt(tmp_path / "rows.csv", delimiter=",").shape == (3, 2)
    assert "--held-out" in cli("train", "--task", LINES, "--help")[1]


def test_options_of_a_task_do_not_stay(cli, runs):
    """In one process, as a program or a notebook may call commands one after another."""
    for verb, own, usual in (("train", "--held-out", "--units"), ("sample", "--rows", "--top-k")):
        task = LINES if verb == "train" else ROWS
        before = cli(verb, "--help")[1]
        with_task = cli(verb, "--task", task, "--help")[1]
        assert own in with_task and usual not in with_task
        assert usual in before and cli(verb, "--help")[1] == before
        assert usual in {name for p in app.commands[verb].params for name in p.opts}


def test_other_weights_and_other_data(files, runs, tmp_path):
    """A run may start from the weights of another of its task, and may not go on with other data."""
    options = {"task": LINES, "epochs": 0.2, "threads": 1, "quiet": True}
    model = unrolled.fit(files / "lines.tsv", tmp_path / "run", from_run=runs[LINES], **options)
    assert model.model_options.hidden == 8 and RunFolder(tmp_path / "run").config()["from"]["update"] > 0
    (tmp_path / "other.tsv").write_text("a\tab\nother\tba\n" * 50)
    with pytest.raises(UsageError, match="is not the same data"):
        unrolled.fit(tmp_path / "other.tsv", tmp_path / "run", resume=True, task=LINES, quiet=True)
    with pytest.raises(RunError, match="is a run of the task"):
        unrolled.fit(files / "table.csv", tmp_path / "no", from_run=runs[LINES], **{**options, "task": ROWS})
