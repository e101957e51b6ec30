"""The classification task: parts, scores, folds, and what a trained model says."""

import json
import math
import random

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.layers import TimeWindow
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.classify.augmenting import change_of, in_order
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.reading import read_data
from unrolled.tasks.classify.scores import Scores
from unrolled.tasks.classify.symbols import Symbols
from unrolled.tasks.classify.task import ClassifyTask
from unrolled.tasks.splitting import folds, split
from unrolled.training.loop import WALL_CLOCK_FIELDS
from unrolled.training.options import TrainingOptions
from unrolled.training.padded import Padded

SMALL = {"hidden": 6, "cell": "gru", "threads": 1, "quiet": True, "epochs": 2, "batch": 16, "places": True}


def dna(seed, count, length=20):
    """Sequences of two labels; those of the label box have TATAAT from place 6 on."""
    draw = random.Random(seed)
    made = []
    for k in range(count):
        letters = [draw.choice("ACGT") for _ in range(length)]
        if k % 2:
            letters[6:12] = "TATAAT"
        made.append(("box" if k % 2 else "none", "".join(letters)))
    return made


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("classify") / "boxes.csv"
    file.write_text("label,sequence\n" + "".join(f"{label},{s}\n" for label, s in dna(1, 80)))
    return file


@pytest.fixture(scope="module")
def trained(table):
    return unrolled.fit(table, table.parent / "run", task="classify", **{**SMALL, "epochs": 30, "lr": 0.03})


def read(path, **options):
    return read_data(str(path), ClassifyOptions(**options))


# -- parts and folds


def test_every_part_and_fold_has_its_share_of_each_label():
    labels = np.array([0] * 50 + [1] * 20 + [2] * 3)
    parts = split(labels, (80, 10, 10), np.full(73, -1))
    for label in range(3):
        counts = np.bincount(parts[labels == label], minlength=3)
        assert counts.min() >= 1 and counts[0] >= counts[1:].max()
    none = np.full(73, -1)
    held = [held for _, held in folds(labels, "5", none)]
    assert sorted(np.concatenate(held)) == list(range(73))
    for training, held_out in folds(labels, "5", none):
        assert not set(training) & set(held_out) and abs((labels[held_out] == 0).sum() - 10) <= 1
    test = set(np.flatnonzero(parts == 2))  # as if the data had said so themselves
    for how in ("3", "leave-one-out"):
        made = folds(labels, how, parts)
        assert not any(test & {*training, *held_out} for training, held_out in made)
        assert sum(len(held_out) for _, held_out in made) == 73 - len(test)
    (training, held_out), *more = folds(labels, "official", parts)
    assert set(held_out) == test and len(training) == 73 - len(test) and not more


def test_scores_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    scores = Scores(["a", "b", "c"])
    scores.add(p[:2], np.array([0, 0]))
    scores.add(p[2:], np.array([1, 2]))
    figures = scores.figures()
    assert figures["log_loss"] == pytest.approx(-np.log([0.7, 0.1, 0.3, 0.6]).mean())
    assert (figures["errors"], figures["count"], figures["accuracy"]) == (2, 4, 0.5)
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert figures["classes"][0] == {"label": "a", "precision": 0.5, "recall": 0.5, "f1": 0.5, "count": 2}
    bins = {0.7: 1, 0.6: 1, 0.5: 0}  # 0.6 stands twice, right once
    gaps = abs(0.7 - bins[0.7]) + abs(1.2 - bins[0.6]) + abs(0.5 - bins[0.5])
    assert figures["calibration_error"] == pytest.approx(gaps / 4)


# -- augmentation


def batch_of(symbols, texts):
    inputs = [symbols.alphabet.encode(text, "") for text in texts]
    return Padded(inputs, [np.int64(0)] * len(texts), len(texts)).batch_at(0)


def test_augmentations_change_what_they_say():
    symbols = Symbols("dna")
    batch = batch_of(symbols, ["ACGTTGCAAGGT" * 2, "CCGTAGGTACTTA"])
    random_numbers = np.random.default_rng(1)
    shown = lambda b: ["".join(symbols.shown(b.inputs[: int(n), k])) for k, n in enumerate(b.lengths)]  # noqa: E731
    before, other = shown(batch), dict(zip("ACGT", "TGCA", strict=True))
    strands = {
        s for _ in range(20) for s in shown(change_of("reverse-complement", symbols, False)(batch, random_numbers))
    }
    assert strands == {*before, *("".join(other[c] for c in reversed(s)) for s in before)}
    for _ in range(20):
        for was, now in zip(before, shown(change_of("shift", symbols, False)(batch, random_numbers)), strict=True):
            assert now in was and len(was) - len(now) <= 4
    noisy = [change_of("noise", symbols, False)(batch, random_numbers).inputs for _ in range(200)]
    within = torch.arange(len(batch.inputs))[:, None] < batch.lengths
    changed = torch.stack([(x != batch.inputs)[within] for x in noisy]).float().mean()
    assert float(changed) == pytest.approx(0.075, abs=0.02)  # a tenth, of which a quarter is the same letter
    with pytest.raises(UsageError, match="is for labelled sequences of DNA, and these have words"):
        change_of("reverse-complement", Symbols("words"), False)


def test_augmentations_in_order_are_one_after_the_other():
    symbols = Symbols("dna")
    batch = batch_of(symbols, ["ACGTTGCAAGGT" * 2, "CCGTAGGTACTTA"])
    first, second = (change_of(how, symbols, False) for how in ("shift", "noise"))
    truth, ours = np.random.default_rng(1), np.random.default_rng(1)
    truth, ours = second(first(batch, truth), truth), in_order([first, second])(batch, ours)
    assert torch.equal(ours.inputs, truth.inputs) and torch.equal(ours.lengths, truth.lengths)
    assert not torch.equal(ours.lengths, batch.lengths) and not torch.equal(
        ours.inputs, first(batch, np.random.default_rng(1)).inputs
    )


def test_what_is_chosen_follows_from_the_data(tmp_path):
    """Units, how many sequences there are, and whether each step has a label."""
    values = "@problemName v\n@data\n" + "".join(f"{k},{k + 1}:{'xy'[k % 2]}\n" for k in range(400))
    many = "".join(f"{c},{s}\n" for c, s in dna(1, 3_000, 12))
    tags = "".join(f"{s},{'ab' * 10}\n" for _, s in dna(1, 40))
    files = {"few.csv": "".join(f"{c},{s}\n" for c, s in dna(1, 80)), "many.csv": many, "v.ts": values, "t.csv": tags}
    for name, text in files.items():
        first = {".ts": "", "t.csv": "sequence,tags\n"}.get(
            name if name == "t.csv" else name[-3:], "label,sequence\n"
        )
        (tmp_path / name).write_text(first + text)
    chosen = {}
    for name in files:
        task = ClassifyTask(ClassifyOptions(folds="5"))
        task.settle(ModelOptions(), TrainingOptions(), task.read(str(tmp_path / name)))
        o = task.options
        chosen[name] = (o.pool, o.places, o.context, o.augment, o.seeds, task.model.dropout, task.model.hidden)
    assert chosen == {
        "few.csv": ("mean,max,attention", True, 3, "shift,noise", 5, 0.5, 16),
        "many.csv": ("mean,max,attention", True, 0, "none", 1, 0.3, 64),
        "v.ts": ("position", True, 0, "noise", 3, 0.5, 32),
        "t.csv": (None, True, 0, "none", 5, 0.5, 16),
    }


def test_pools_stand_side_by_side(table, tmp_path):
    model = unrolled.fit(table, tmp_path / "run", pool="max,position,mean", **SMALL)
    assert [type(pool).__name__ for pool in model.model.pool.pools] == ["MaxPool", "PositionPool", "MeanPool"]
    assert model.model.head.input_size == 3 * model.model.stack.output_size
    assert unrolled.load(tmp_path / "run").evaluate(table) == model.evaluate(table)
    alone = unrolled.fit(table, tmp_path / "last", pool="last", **SMALL)
    assert alone.model.pool is None


def test_letters_are_read_between_their_neighbours(table, tmp_path):
    model = unrolled.fit(table, tmp_path / "run", context=2, **SMALL)
    window = model.model.stack.layers[0]
    assert (window.reach, window.of, window.input_size) == (2, 4, 4 + 32)
    assert unrolled.load(tmp_path / "run").evaluate(table) == model.evaluate(table)
    alone = unrolled.fit(table, tmp_path / "alone", context=0, augment="none", **SMALL)
    assert not any(isinstance(layer, TimeWindow) for layer in alone.model.stack.layers)


# -- trained


def test_scores_are_those_of_one_sequence_at_a_time(trained, table):
    figures = trained.evaluate(table)
    model, symbols = trained.model, trained.task.symbols
    nats, errors = 0.0, 0
    for label, text in dna(1, 80):
        scores, _ = model(torch.from_numpy(symbols.alphabet.encode(text, ""))[:, None])
        logs = torch.log_softmax(scores[0].detach().double(), 0)
        k = trained.task.labels.index(label)
        nats, errors = nats - float(logs[k]), errors + (int(logs.argmax()) != k)
    assert figures["log_loss"] == pytest.approx(nats / 80, rel=1e-5) and figures["errors"] == errors
    assert figures["count"] == figures["scored"] == 80 and figures["accuracy"] > 0.9
    assert trained.evaluate(on="test")["count"] == 8


def test_answers_for_sequences_of_another_length_warn_where_places_count(table, tmp_path):
    lines = ["label,sequence", *(f"{'ab'[k % 2]},{'ACGTACGTAC' if k % 2 else 'TTGCATTGCA'}" for k in range(20))]
    (tmp_path / "aligned.csv").write_text("\n".join(lines) + "\n")
    model = unrolled.fit(tmp_path / "aligned.csv", tmp_path / "run", task="classify", **SMALL)
    (tmp_path / "same.fa").write_text(">x\nACGTACGTAC\n")
    list(model.classify(tmp_path / "same.fa").rows)
    (tmp_path / "other.fa").write_text(">x\nACGTACGTAC\n>y\nACGT\n>z\nAC\n")
    with pytest.warns(UserWarning, match=r"have 10 steps.*record 2 \(y\) has 4") as warned:
        rows = list(unrolled.load(tmp_path / "run").classify(tmp_path / "other.fa").rows)
    assert len(rows) == 3 and len(warned) == 1


def test_answers_are_the_probabilities_of_the_scores(trained, table, tmp_path):
    answers = trained.classify(table)
    rows = list(answers.rows)
    assert answers.columns == ["name", "label", "true label", "p(box)", "p(none)"] and len(rows) == 80
    nats = [-math.log(row[3] if row[2] == "box" else row[4]) for row in rows]
    assert np.mean(nats) == pytest.approx(trained.evaluate(table)["log_loss"], rel=1e-9)
    (tmp_path / "new.fa").write_text(f">one\n{'ACGT' * 5}\n>two\n{'N' * 20}\n")
    assert next(trained.classify(tmp_path / "new.fa").rows)[0] == "one"
    (tmp_path / "bad.fa").write_text(f">one\n{'ACGT' * 5}\n>two\nAC!T{'A' * 16}\n")
    with pytest.raises(DataError, match="record 2 .two.: position 3 is '!'"):
        list(trained.classify(tmp_path / "bad.fa").rows)


def test_pictures_are_made_of_every_label(trained, table):
    made = trained.pictures(trained.evaluate(table), table)
    assert set(made) == {"confusion.png", "calibration.png", "importance-1-box.png", "importance-2-none.png"}
    assert all(content.startswith(b"\x89PNG") for content in made.values())


def lasting(run):
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in RunFolder(run).history()]


def test_a_resumed_run_with_augmentation_is_bit_exact(table, tmp_path):
    options = {**SMALL, "task": "classify", "augment": "noise", "save_every": 0.0, "pool": "attention"}

    def stop(event):
        if event["event"] == "update" and event["update"] == 5:
            raise KeyboardInterrupt

    unrolled.fit(table, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(table, tmp_path / "run", **{**options, "listen": stop})
    unrolled.fit(None, tmp_path / "run", resume=True, quiet=True)
    assert lasting(tmp_path / "run") == lasting(tmp_path / "whole")
    one, other = (RunFolder(tmp_path / n).read_model()[0] for n in ("run", "whole"))
    assert all(np.array_equal(one[key], other[key]) for key in other)


def test_folds_go_on_where_they_were_stopped_and_average_seeds(table, tmp_path):
    options = {**SMALL, "task": "classify", "folds": "3", "seeds": 2, "epochs": 1}
    unrolled.fit(table, tmp_path / "whole", **options)
    found = [json.loads(line) for line in (tmp_path / "whole" / "folds.jsonl").read_text().splitlines()][1:]
    assert len(found) == 6 and {(one["fold"], one["seed"]) for one in found} == {
        (f, s) for f in range(3) for s in (1, 2)
    }

    def stop(event):
        if event["event"] == "fold":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(table, tmp_path / "run", **{**options, "listen": stop})
    kept = (tmp_path / "run" / "folds.jsonl").read_text()
    (tmp_path / "run" / "folds.jsonl").write_text(kept + '{"fold": 2, "se')  # cut off by a killed process
    model = unrolled.fit(None, tmp_path / "run", resume=True, quiet=True)
    again = [json.loads(line) for line in (tmp_path / "run" / "folds.jsonl").read_text().splitlines()][1:]
    assert sorted(map(str, again)) == sorted(map(str, found))
    figures = model.evaluate()
    labels = sorted({"box", "none"})
    sums = np.zeros((80, 2))
    for one in found:
        for k, p in one["held_out"]:
            sums[k] += np.array(p) / 2
    assert np.allclose(sums.sum(1), 1)  # each sequence is held out once by each seed
    right = np.array([labels.index(label) for label, _ in dna(1, 80)])
    assert figures["on"] == "folds" and figures["errors"] == int((sums.argmax(1) != right).sum())
    assert figures["log_loss"] == pytest.approx(-np.log(sums[np.arange(80), right]).mean())
    assert model.evaluate(on="validation")["count"] == 8


def test_a_fold_learns_nothing_from_what_it_holds_out(tmp_path):
    """Scales, words and labels' shares come from the training part of the fold alone."""
    rows = "".join(f"{k},{k + 1}:{'xy'[k % 2]}\n" for k in range(6)) + "1000,1000:x\n"
    (tmp_path / "a.ts").write_text("@problemName a\n@data\n" + rows)
    for fold in range(7):
        task = ClassifyTask(ClassifyOptions(folds="leave-one-out"))
        task.read_fold(str(tmp_path / "a.ts"), fold)
        values = np.concatenate([task.data.sequences[k] for k in range(7) if k != fold])
        assert task.symbols.mean == pytest.approx(values.mean(0)) and task.counts.sum() == 6
        assert task.symbols.scale == pytest.approx(values.std(0), rel=1e-5)


def test_each_step_may_have_a_label(tmp_path):
    """Whether the letter before was a vowel."""
    draw = random.Random(1)
    words = ["".join(draw.choice("abcde") for _ in range(draw.randint(4, 9))) for _ in range(60)]
    tags = ["".join("v" if k and w[k - 1] in "ae" else "c" for k in range(len(w))) for w in words]
    (tmp_path / "t.csv").write_text(
        "sequence,tags\n" + "".join(f"{w},{t}\n" for w, t in zip(words, tags, strict=True))
    )
    model = unrolled.fit(
        tmp_path / "t.csv",
        tmp_path / "run",
        **{**SMALL, "units": "characters", "hidden": 12, "epochs": 40, "lr": 0.03},
    )
    figures = model.evaluate(tmp_path / "t.csv")
    assert figures["count"] == sum(map(len, words)) and figures["accuracy"] > 0.95
    rows = list(model.classify(tmp_path / "t.csv").rows)
    wrong = sum(a != b for row, t in zip(rows, tags, strict=True) for a, b in zip(row[1], t, strict=True))
    assert wrong == figures["errors"]


def test_words_and_values_are_read_again_as_they_were_trained_on(tmp_path):
    """A run of the folder: the scores of its parts are those of the same texts given as files of their own."""
    for label, words in (("good", "a fine film"), ("bad", "a dull film")):
        (tmp_path / "texts" / label).mkdir(parents=True)
        for k in range(12):
            (tmp_path / "texts" / label / f"{k}.txt").write_text(f"{words} {'so ' * (k % 3)}{label}{k}")
    rows = "".join(f"{k},{k + 1},{k % 5}:{-k},3,4:{'xy'[k % 2]}\n" for k in range(20))
    (tmp_path / "v.ts").write_text("@problemName v\n@data\n" + rows)
    for data, units in ((tmp_path / "texts", "words"), (tmp_path / "v.ts", "values")):
        model = unrolled.fit(data, tmp_path / units, task="classify", **SMALL)
        task = model.task
        assert (task.symbols.units, task.symbols.grows) == (units, False)
        whole = model.evaluate(data)
        assert whole["count"] == (24 if units == "words" else 20)
        parts = [model.evaluate(on=part) for part in ("training", "validation", "test")]
        nats = sum(part["log_loss"] * part["count"] for part in parts)
        assert nats / whole["count"] == pytest.approx(whole["log_loss"], rel=1e-5)
        assert len(model.pictures(whole, data)) == 4
    known = unrolled.load(tmp_path / "words").task.symbols.names
    assert known[0] == "" and {"a", "film", "fine", "so"} <= set(known) and "good3" not in known


def test_class_weights_count_rare_labels_more(table, tmp_path):
    rows = [(c, s) for k, (c, s) in enumerate(dna(3, 80)) if k % 2 == 0 or k % 8 == 1]
    (tmp_path / "a.csv").write_text("label,sequence\n" + "".join(f"{c},{s}\n" for c, s in rows))
    model = unrolled.fit(tmp_path / "a.csv", tmp_path / "run", class_weights="balanced", **SMALL)
    counts = model.task.counts
    assert model.model.head.weights.tolist() == pytest.approx((counts.sum() / (2 * counts)).tolist())


def test_a_label_or_a_width_that_the_model_does_not_know(trained, tmp_path):
    (tmp_path / "a.csv").write_text("label,sequence\nnew,ACGT\nbox,ACGT\n")
    with pytest.raises(DataError, match="line 2: has the label 'new', which the model does not know: box, none"):
        trained.evaluate(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folds": "1"}, "--folds: must be a number from 2, leave-one-out or official, got '1'"),
        ({"folds": "100"}, "--folds: expected at most one fold per sequence, 80, got 100"),
        ({"folds": "official"}, "the data have no test part"),
        ({"pool": "sum"}, "--pool: must be some of last, mean, max, attention, position, got 'sum'"),
        ({"pool": "mean,mean"}, "--pool: must be some of .*, got 'mean,mean'"),
        ({"pool": "mean,last"}, "--pool: last stands alone, got 'mean,last'"),
        ({"augment": "shift,sum"}, "--augment: must be none, or some of shift, noise, reverse-complement, got"),
        ({"augment": "shift,shift"}, "--augment: must be none, or some of"),
        ({"context": -1}, "--context: must be a number from 0, got -1"),
        ({"split": "80/10"}, "--split: expected training/validation/test in percent"),
        ({"sequence": "dna"}, "--sequence: .* has no column 'dna' in its first row: label, sequence"),
        ({"augment": "reverse-complement", "units": "characters"}, "is for labelled sequences of DNA"),
    ],
)
def test_settings_that_do_not_fit(table, tmp_path, given, message):
    with pytest.raises((UsageError, DataError), match=message):
        unrolled.fit(table, tmp_path / "run", task="classify", **{**SMALL, **given})
    assert not (tmp_path / "run").exists()
