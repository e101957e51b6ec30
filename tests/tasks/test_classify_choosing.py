"""A small training part decides by cross-validation whether places matter, and never by what is held out."""

import json
import random
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest

import unrolled
from unrolled.errors import RunError
from unrolled.models.options import ModelOptions
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.scores import Scores
from unrolled.tasks.classify.task import ClassifyTask
from unrolled.tasks.folds import Recipe, train_fold
from unrolled.training.options import TrainingOptions

SETTINGS = {"task": "classify", "cell": "gru", "hidden": 6, "threads": 1, "quiet": True, "batch": 16, "lr": 0.05}
FOLDS = {"folds": "2", "seeds": 1, "epochs": 6}
NAMES = {"with places", "without places"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sequences of one length whose label is which letters are in the majority, wherever they stand."""
    draw = random.Random(1)
    lines = ["label,sequence"]
    for k in range(40):
        lines.append(f"{'ab'[k % 2]}," + "".join(draw.choices("ACGT", (6, 3, 3, 6) if k % 2 else (3, 6, 6, 3), k=24)))
    file = tmp_path_factory.mktemp("choosing") / "letters.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def run(table):
    events = []
    model = unrolled.fit(table, table.parent / "run", **FOLDS, **{**SETTINGS, "listen": events.append})
    return model, events


def lines_of(model):
    return [json.loads(line) for line in (model.run.path / "folds.jsonl").read_text().splitlines()][1:]


def test_what_a_fold_holds_out_is_not_used_to_choose(run):
    model, _ = run
    lines = lines_of(model)
    assert {one["candidate"] for one in lines} - {None} == NAMES
    for fold in range(2):
        held = {k for one in lines if one["fold"] == fold and one["candidate"] is None for k, _ in one["held_out"]}
        assert len(held) == 20
        for name in NAMES:
            of = [one for one in lines if one["fold"] == fold and one["candidate"] == name]
            assert sorted(k for one in of for k, _ in one["held_out"]) == sorted(set(range(40)) - held)


def best_of(model, table, fold):
    """The candidate with the fewest errors, then the least loss, of what was said within a fold's training part."""
    labels = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    ranks = {}
    for name in NAMES:
        scores = Scores(["a", "b"])
        for one in lines_of(model):
            if (one["fold"], one["candidate"]) == (fold, name):
                for k, p in one["held_out"]:
                    scores.add(np.array([p]), np.array(["ab".index(labels[k])]))
        figures = scores.figures()
        ranks[name] = figures["errors"], figures["log_loss"]
    return min(ranks, key=ranks.get)


def test_a_fold_has_its_best_candidate(run, table):
    model, _ = run
    chosen = [best_of(model, table, fold) for fold in range(2)]
    figures = model.evaluate()
    assert figures["choices"] == {name: chosen.count(name) for name in chosen}
    told = ", ".join(f"{n} in {k} fold{'s' * (k > 1)}" for n, k in figures["choices"].items())
    assert ("chosen", told) in model.rows(figures)


@pytest.mark.parametrize("fold", [0, 1])
def test_a_model_of_a_fold_has_the_chosen_settings(fold, run, table):
    """Trained here once more, and with the other settings."""
    model, _ = run
    training = TrainingOptions(epochs=6, batch=16, lr=0.05, threads=1)
    recipe = Recipe(ClassifyTask, str(table), {"hidden": 6}, "gru", training)
    (made,) = [one for one in lines_of(model) if one["candidate"] is None and one["fold"] == fold]
    places = best_of(model, table, fold) == "with places"
    assert train_fold(recipe, {"folds": "2", "places": places}, 1, fold, None) == made["held_out"]
    assert train_fold(recipe, {"folds": "2", "places": not places}, 1, fold, None) != made["held_out"]


def test_the_last_model_is_chosen_by_its_own_training_part_and_says_so(run):
    model, events = run
    assert [e["of"] for e in events if e["event"] == "choosing" and e["done"] == e["of"]] == [10, 20]
    about = [text for _, text in next(e for e in events if "about" in e)["about"]]
    said = next(text for text in about if text.startswith("in cross-validation within the training part "))
    first, second = (int(n) for n in said.replace(",", "").split() if n.isdigit() and n != "32")
    assert " of 32 wrong with places, " in said and said.endswith(" without places")
    assert model.options.places is (first < second) or first == second


def test_choosing_goes_on_where_it_was_stopped(run, table, tmp_path):
    model, _ = run

    def stop(event):
        if event["event"] == "choosing" and event["of"] == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(table, tmp_path / "run", **FOLDS, **{**SETTINGS, "listen": stop})
    assert len((tmp_path / "run" / "folds.jsonl").read_text().splitlines()) < 21
    again = unrolled.fit(None, tmp_path / "run", resume=True, threads=1, quiet=True)
    assert sorted(map(str, lines_of(again))) == sorted(map(str, lines_of(model)))
    assert again.evaluate() == model.evaluate() and again.options == model.options


def stopped_before_its_folds(monkeypatch, data, where, **options):
    """A run whose process ended when its settings were written, and no model of its folds was made."""
    with monkeypatch.context() as patch:
        patch.setattr("unrolled.tasks.start.cross_validate", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            unrolled.fit(data, where, **{**SETTINGS, **options})


def test_a_run_that_was_stopped_before_its_first_fold_chooses_in_each(run, table, tmp_path, monkeypatch):
    model, _ = run
    stopped_before_its_folds(monkeypatch, table, tmp_path / "run", **FOLDS)
    again = unrolled.fit(None, tmp_path / "run", resume=True, threads=1, quiet=True)
    assert sorted(map(str, lines_of(again))) == sorted(map(str, lines_of(model)))
    assert again.evaluate() == model.evaluate()


def test_folds_that_go_on_have_the_sizes_of_their_own_training_parts(tmp_path, monkeypatch):
    """Of 306 sequences the training part has fewer than 200, and those of the folds have more."""
    draw = random.Random(1)
    rows = [f"{'ab'[k % 2]}," + "".join(draw.choices("ACGT", k=8)) for k in range(306)]
    data = tmp_path / "letters.csv"
    data.write_text("\n".join(["label,sequence", *rows]) + "\n")
    options = {"split": "60/20/20", "folds": "3", "seeds": 1, "epochs": 0.5, "hidden": None}
    whole = unrolled.fit(data, tmp_path / "whole", **{**SETTINGS, **options})
    stopped_before_its_folds(monkeypatch, data, tmp_path / "run", **options)
    again = unrolled.fit(None, tmp_path / "run", resume=True, threads=1, quiet=True)
    assert sorted(map(str, lines_of(again))) == sorted(map(str, lines_of(whole)))


def test_folds_do_not_go_on_without_what_they_are_made_of(table, tmp_path, monkeypatch):
    stopped_before_its_folds(monkeypatch, table, tmp_path / "run", **FOLDS)
    file = tmp_path / "run" / "folds.jsonl"
    file.write_text(file.read_text()[:-20])
    with pytest.raises(RunError, match=r"folds\.jsonl is damaged"):
        unrolled.fit(None, tmp_path / "run", resume=True, threads=1, quiet=True)


@pytest.mark.parametrize(
    ("options", "training", "is_open"),
    [
        ({}, {}, True),
        ({}, {"epochs": 3}, True),
        ({"pool": "mean"}, {}, True),
        ({"pool": "position"}, {}, False),
        ({"places": False}, {}, False),
        ({"places": True}, {}, False),
        ({}, {"minutes": 0.05}, False),
        ({}, {"epochs": 10_000.0}, False),
    ],
)
def test_it_is_chosen_where_the_person_has_not_and_trying_takes_little(options, training, is_open, table):
    task = ClassifyTask(ClassifyOptions(**options))
    task.settle(ModelOptions(), TrainingOptions(**training), task.read(str(table)))
    assert bool(task.candidates) == is_open


def test_sequences_of_different_lengths_have_no_places_to_try(tmp_path):
    (tmp_path / "a.csv").write_text(
        "label,sequence\n" + "".join(f"{'ab'[k % 2]},{'ACGT' * (k + 2)}\n" for k in range(40))
    )
    task = ClassifyTask()
    task.settle(ModelOptions(), TrainingOptions(), task.read(str(tmp_path / "a.csv")))
    assert not task.candidates


def test_a_plain_script_with_a_cell_of_its_own_can_choose(table, tmp_path):
    """Without a guard around its main part, and with two threads: no process is begun that would run it again."""
    (tmp_path / "script.py").write_text(
        "import unrolled\n"
        "class Own(unrolled.ElmanCell):\n    pass\n"
        f"model = unrolled.fit({str(table)!r}, {str(tmp_path / 'run')!r}, task='classify', cell=Own, hidden=4, "
        "epochs=1, threads=2, quiet=True)\n"
        "print(model.options.places in (True, False))\n"
    )
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=300)
    assert done.stdout == "True\n", done.stderr
