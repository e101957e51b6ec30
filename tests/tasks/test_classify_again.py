"""What becomes of a trained classifier: answers, pictures, other runs from its weights, and damage."""

import shutil

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import RunError, UsageError
from unrolled.runs.arrays import read_arrays, write_arrays
from unrolled.tasks.classify import picturing, reading
from unrolled.tasks.classify.scores import Scores
from unrolled.tasks.trained import Trained

SMALL = {"hidden": 4, "cell": "gru", "threads": 1, "quiet": True, "epochs": 1, "batch": 16}
CONTINUED = {"threads": 1, "quiet": True, "epochs": 1, "batch": 16}


def table(path, rows, head="y,letters"):
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")
    return path


def rows(count, shares=(1, 1)):
    """Of two labels, so many of each in turn; the letters tell them apart."""
    labels = [label for label, n in zip("ab", shares, strict=True) for _ in range(n)]
    some = [labels[k % len(labels)] for k in range(count)]
    return [(label, ("AC" if label == "a" else "GT") * (3 + k % 3)) for k, label in enumerate(some)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trained with names of columns that are not the usual ones, in folds."""
    folder = tmp_path_factory.mktemp("again")
    given = {"label": "y", "sequence": "letters", "split": "60/20/20", "folds": "2", "seeds": 1}
    data = table(folder / "own.csv", rows(40))
    return unrolled.fit(data, folder / "run", task="classify", units="characters", **given, **SMALL)


# -- answers


def test_answers_need_none_of_the_columns_that_training_named(trained, tmp_path):
    bare = table(tmp_path / "bare.csv", [(f"n{k}", text) for k, (_, text) in enumerate(rows(6))], "name,letters")
    other = table(tmp_path / "other.csv", [(f"n{k}", text) for k, (_, text) in enumerate(rows(6))], "name,sequence")
    (tmp_path / "a.fa").write_text("".join(f">n{k} of three words\n{text}\n" for k, (_, text) in enumerate(rows(6))))
    found = [list(trained.classify(path).rows) for path in (bare, other, tmp_path / "a.fa")]
    assert [row[0] for row in found[0]] == [f"n{k}" for k in range(6)] and {row[2] for row in found[0]} == {""}
    assert found[0] == found[1] == found[2]
    own = list(trained.classify(trained.config["data"]["path"]).rows)
    assert [row[2] for row in own] == [label for label, _ in rows(40)]


def test_the_name_of_a_file_is_a_true_label_only_if_the_model_knows_it(trained, tmp_path):
    for name in ("a", "new"):
        (tmp_path / f"{name}.fa").write_text(">x of three words\nACAC\n")
    assert [row[2] for row in trained.classify(tmp_path).rows] == ["a", ""]


def test_answers_and_scores_are_of_the_file_alone(tmp_path):
    for name, count in (("s_TRAIN", 20), ("s_TEST", 10)):
        table(tmp_path / f"{name}.csv", rows(count), "label,sequence")
    model = unrolled.fit(tmp_path / "s_TRAIN.csv", tmp_path / "run", **SMALL)
    assert model.evaluate(on="test")["count"] == 10
    assert model.evaluate(tmp_path / "s_TRAIN.csv")["count"] == 20
    assert len(list(model.classify(tmp_path / "s_TRAIN.csv").rows)) == 20


def test_pictures_are_of_all_labels_whatever_the_order_of_the_sequences(tmp_path, monkeypatch):
    data = table(tmp_path / "sorted.csv", sorted(rows(40)), "label,sequence")
    model = unrolled.fit(data, tmp_path / "run", **SMALL)
    figures, seen = model.evaluate(data), []
    importance = picturing._importance

    def watched(model, sequences, label):
        seen.append((label, len(sequences), [x.tolist() for x in sequences]))
        return importance(model, sequences, label)

    monkeypatch.setattr(picturing, "_importance", watched)
    monkeypatch.setattr(picturing, "_MOST", 8)
    for _ in range(2):
        assert {"importance-1-a.png", "importance-2-b.png"} <= set(model.pictures(figures, data))
    assert [(label, count) for label, count, _ in seen] == [(0, 4), (1, 4)] * 2 and seen[:2] == seen[2:]


def test_a_part_of_which_other_files_can_be_used_now_is_not_scored(tmp_path, monkeypatch):
    for k, (label, text) in enumerate(rows(40)):
        file = tmp_path / "data" / label / f"{k}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    model = unrolled.fit(tmp_path / "data", tmp_path / "run", task="classify", **SMALL)
    assert model.evaluate(on="test")["count"] == 4
    files_of = reading.files_of
    monkeypatch.setattr(reading, "files_of", lambda *arguments, **settings: files_of(*arguments, **settings)[1:])
    with pytest.raises(RunError, match="not the same of it can be used now"):
        model.evaluate(on="test")


# -- from the weights of another run


def test_a_run_from_another_has_its_own_data_and_settings(trained, tmp_path):
    data = table(tmp_path / "new.csv", rows(60, (1, 3)), "label,sequence")
    told = []
    given = {"from_run": trained.run.path, "class_weights": "balanced", **CONTINUED, "listen": told.append}
    made = unrolled.fit(data, tmp_path / "run", task="classify", **given)
    assert made.task.symbols.names == trained.task.symbols.names and made.task.labels == ["a", "b"]
    o = made.options
    assert (o.label, o.sequence, o.split, o.folds, o.seeds) == (None, None, "80/10/10", None, None)
    assert (o.units, o.pool, o.places) == ("characters", trained.options.pool, trained.options.places)
    counts = np.bincount([made.task.labels.index(label) for label, _ in rows(60, (1, 3))])
    assert made.task.counts.sum() == 48 and made.task.counts[1] == pytest.approx(0.8 * counts[1], abs=1)
    assert made.model.head.weights.tolist() == pytest.approx((48 / (2 * made.task.counts)).tolist())
    about = dict(told[0]["about"])
    assert about["labels"] == f"a ({made.task.counts[0]}), b ({made.task.counts[1]}) in the training part"
    assert unrolled.load(tmp_path / "run").evaluate(data) == made.evaluate(data)


@pytest.mark.parametrize(
    ("name", "value"), [("units", "words"), ("pool", "mean,max"), ("context", 5), ("places", True)]
)
def test_what_the_weights_were_made_for_cannot_change(trained, tmp_path, name, value):
    assert getattr(trained.options, name) != value
    data = table(tmp_path / "new.csv", rows(20), "label,sequence")
    with pytest.raises(UsageError, match=f"^--{name}: .* must have the same value"):
        unrolled.fit(data, tmp_path / "run", task="classify", from_run=trained.run.path, **CONTINUED, **{name: value})


# -- weights that are not finite


@pytest.fixture
def damaged(trained, tmp_path):
    """A run with a weight that is not finite."""
    return with_nan(trained, tmp_path / "damaged")


def with_nan(model, where):
    shutil.copytree(model.run.path, where)
    arrays, about = read_arrays(where / "model.safetensors")
    name = next(name for name in arrays if name.startswith("head"))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] = np.nan
    write_arrays(where / "model.safetensors", arrays, about)
    return unrolled.load(where)


def test_damaged_weights_say_nothing(damaged, tmp_path):
    data = table(tmp_path / "new.csv", rows(20))
    for ask in (damaged.evaluate, damaged.classify, lambda path: damaged.evaluate(on="validation")):
        with pytest.raises(RunError, match=r"model\.safetensors is damaged: head.* not finite: train the"):
            ask(data)
    assert isinstance(damaged, Trained) and damaged.evidence(data).origin  # for a look inside
    with pytest.raises(RunError, match="is damaged: head.* not finite"):
        unrolled.fit(data, tmp_path / "run", task="classify", from_run=damaged.run.path, **CONTINUED)
    assert not (tmp_path / "run").exists()


def test_damaged_weights_of_a_text_say_nothing(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=0.1, hidden=4, threads=1, quiet=True)
    broken = with_nan(model, tmp_path / "damaged")
    for ask in (broken.evaluate, lambda: broken.score("to be"), lambda: broken.sample(5)):
        with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
            ask()


def test_outputs_that_are_not_finite_are_no_answer(tmp_path):
    data = table(tmp_path / "a.csv", rows(20), "label,sequence")
    model = unrolled.fit(data, tmp_path / "run", **SMALL)
    with torch.no_grad():
        model.model.head.map.bias.fill_(np.inf)
    with pytest.raises(RunError, match="line 2: the model's outputs are not finite"):
        list(model.classify(data).rows)


def test_scores_of_what_is_not_finite_are_not_finite():
    """So that training, which asks for them, can go on."""
    scores = Scores(["a", "b"])
    scores.add(np.full((2, 2), np.nan), np.array([0, 1]))
    assert np.isnan(scores.means()["loss"]) and scores.figures()["count"] == 2
