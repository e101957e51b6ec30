"""A run that starts from another's weights: which rows it keeps, what it refuses, how it goes on."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import unrolled
from helpers import TEXT, TINY, PeepholeLSTM, TwoWidths, history
from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.runs.arrays import read_arrays
from unrolled.tasks.symbols.transfer import FRESH, carry_over, choice, match
from unrolled.tasks.symbols.vocabulary import Vocabulary
from unrolled.tasks.text.task import language_model
from unrolled.training.checkpoints import to_arrays

SIZES = {name: TINY[name] for name in ("batch", "bptt", "lr", "threads")}
OTHER = TEXT.replace("times", "tïmés").replace("3", "")


@pytest.fixture(scope="module")
def source(text, tmp_path_factory):
    run = tmp_path_factory.mktemp("source") / "run"
    unrolled.fit(text, run, epochs=1, layers=2, dropout=0.1, **TINY)
    return run


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text(OTHER)
    return path


def first_weights(data, run, **options):
    """The weights before the first update."""

    class StopError(Exception):
        pass

    caught = {}

    def listen(event):
        if event["event"] == "started":
            caught.update(event)
            raise StopError

    from unrolled.training.loop import Trainer

    made = []
    plain = Trainer.__init__

    def init(self, *arguments, **settings):
        plain(self, *arguments, **settings)
        made.append(to_arrays(self.model.state_dict()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "__init__", init)
        with pytest.raises(StopError):
            unrolled.fit(data, run, listen=listen, **options)
    return made[0], caught


def test_rows_by_hand():
    """abc, without b, and with d: a and c move, d is fresh, the unknown keeps its row."""
    old = Vocabulary("characters", ["", "a", "b", "c"], [0, 1, 1, 1])
    new = Vocabulary("characters", ["", "a", "c", "d"], [0, 1, 1, 1])
    rows = match(old, new)
    assert rows.numbers.tolist() == [0, 1, 3, FRESH]
    assert (rows.kept, rows.added, rows.dropped) == (2, 1, 1)
    source, model = (
        language_model(unrolled.ElmanCell, 4, ModelOptions(hidden=5, layers=1, dropout=0.0)) for _ in range(2)
    )
    with torch.no_grad():
        source.head.map.bias.copy_(torch.tensor([10.0, 11.0, 12.0, 13.0]))
        model.head.map.bias.copy_(torch.tensor([20.0, 21.0, 22.0, 23.0]))
    before, given_ = to_arrays(model.state_dict()), to_arrays(source.state_dict())
    before = {name: array.copy() for name, array in before.items()}
    carry_over(model, given_, rows, 4, "somewhere")
    after = to_arrays(model.state_dict())
    assert after["head.map.bias"].tolist() == [10.0, 11.0, 13.0, 23.0]
    for name in ("encoder.weight", "head.map.weight"):
        np.testing.assert_array_equal(after[name][:3], given_[name][[0, 1, 3]])
        np.testing.assert_array_equal(after[name][3], before[name][3])
    for name in set(after) - {"encoder.weight", "head.map.weight", "head.map.bias"}:
        np.testing.assert_array_equal(after[name], given_[name])
    with pytest.raises(RunError, match=r"somewhere: encoder\.weight has shape"):
        carry_over(model, given_ | {"encoder.weight": given_["encoder.weight"][:2]}, rows, 4, "somewhere")


symbols = st.lists(st.text(min_size=1, max_size=2), max_size=12, unique=True)


@given(symbols, symbols, st.sampled_from(["extended", "same", "text"]), st.integers(2, 16), st.data())
def test_every_symbol_has_its_own_row_or_a_fresh_one(old, new, how, most, data):
    units = data.draw(st.sampled_from(["characters", "words"]))
    if units == "words":
        old, new = old[: most - 1], new[: most - 1]  # as vocabularies of words are
    known = Vocabulary(
        units, ["", *old], data.draw(st.lists(st.integers(1, 9), min_size=len(old) + 1, max_size=len(old) + 1))
    )
    chosen = choice(known, how, most)(["", *new])
    assert len(set(chosen)) == len(chosen)
    assert chosen[0] == ""
    expected = {"same": set(old), "text": set(new), "extended": set(old) | set(new)}[how]
    if units == "words" and how == "extended":
        assert len(chosen) <= most
        assert set(new) <= set(chosen) - {""} <= expected
        assert len(chosen) == min(most, len(expected) + 1)
        left_out = [k for k, s in enumerate(known.symbols) if s not in chosen]
        spare = [k for k, s in enumerate(known.symbols) if s and s in chosen and s not in new]
        assert not left_out or not spare or known.counts[left_out].max() <= known.counts[spare].min()
    else:
        assert set(chosen) - {""} == expected
    own = Vocabulary(units, chosen, [0] * len(chosen))
    rows = match(known, own)
    for symbol, row in zip(chosen, rows.numbers.tolist(), strict=True):
        assert row == (known.symbols.index(symbol) if symbol in known.symbols else FRESH)
    assert rows.kept + rows.added == len(chosen) - 1
    assert rows.kept + rows.dropped == len(old)


@pytest.mark.parametrize("how", ["extended", "same", "text", None])
def test_the_new_run_begins_with_the_sources_weights(source, other, tmp_path, how):
    arrays, event = first_weights(other, tmp_path / "run", from_run=source, epochs=1, vocabulary=how, **SIZES)
    old, _ = read_arrays(source / "model.safetensors")
    known = json.loads((source / "vocabulary.json").read_text())["symbols"]
    in_text = set(OTHER[: len(OTHER) * 90 // 100])
    wanted = {"same": set(known[1:]), "text": in_text}.get(how, in_text | set(known[1:]))
    now = json.loads((tmp_path / "run" / "vocabulary.json").read_text())["symbols"]
    assert set(now[1:]) == wanted
    for number, symbol in enumerate(now):
        for name in ("encoder.weight", "head.map.weight", "head.map.bias"):
            if symbol in known:
                np.testing.assert_array_equal(arrays[name][number], old[name][known.index(symbol)])
    for name in old:
        if "stack" in name:
            np.testing.assert_array_equal(arrays[name], old[name])
    told = {name: event["from"][name] for name in ("kept", "added", "dropped")}
    both = wanted & set(known[1:])
    assert told == {"kept": len(both), "added": len(wanted) - len(both), "dropped": len(known) - 1 - len(both)}
    config = unrolled.runs.folder.RunFolder(tmp_path / "run").config()
    assert (config["model"]["hidden"], config["model"]["layers"], config["model"]["dropout"]) == (8, 2, 0.1)
    assert config["from"]["run"] == str(source)


@pytest.mark.parametrize("units", ["bytes", "words"])
def test_other_units_and_their_training(text, other, tmp_path, units):
    size = {"vocabulary_size": 40} if units == "words" else {}
    unrolled.fit(text, tmp_path / "a", epochs=0.5, units=units, **size, **TINY)
    model = unrolled.fit(other, tmp_path / "b", epochs=0.5, from_run=tmp_path / "a", **SIZES)
    assert model.options.units == units
    assert model.evaluate(on="test")["scored"] > 0
    if units == "words":
        assert len(model.vocabulary) == 40
    with pytest.raises(UsageError, match="--units: .* has units .*, got characters; .* leave out --units or --from"):
        unrolled.fit(other, tmp_path / "c", from_run=tmp_path / "a", units="characters")
    assert not (tmp_path / "c").exists()


def test_stopped_and_resumed_and_trained_further_equals_uninterrupted(source, other, tmp_path):
    class StopError(Exception):
        pass

    def listen(event):
        if event["event"] == "update" and event["update"] == 55:
            raise StopError

    options = {"from_run": source, "epochs": 1, "save_every": 0.0, **SIZES}
    unrolled.fit(other, tmp_path / "whole", **options)
    with pytest.raises(StopError):
        unrolled.fit(other, tmp_path / "run", listen=listen, **options)
    unrolled.fit(None, tmp_path / "run", resume=True)
    for folder in ("whole", "run"):
        unrolled.fit(None, tmp_path / folder, resume=True, epochs=1.2)
    (a, _), (b, _) = (read_arrays(tmp_path / f / "resume.safetensors") for f in ("whole", "run"))
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    with pytest.raises(UsageError, match="--from: .* was started from .*run, got elsewhere"):
        unrolled.fit(None, tmp_path / "run", resume=True, from_run="elsewhere")


def test_begun_without_a_checkpoint(source, other, tmp_path):
    options = {"from_run": source, "epochs": 1, "vocabulary": "text", **SIZES}
    one, _ = first_weights(other, tmp_path / "run", **options)
    again, _ = first_weights(other, tmp_path / "run", resume=True, **options)
    third, _ = first_weights(None, tmp_path / "run", resume=True)
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
        np.testing.assert_array_equal(one[name], third[name])
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    first_weights(other, tmp_path / "b", **options | {"from_run": moved})
    unrolled.fit(None, moved, resume=True, epochs=2)
    with pytest.raises(RunError, match="have changed since this run was started from them"):
        unrolled.fit(None, tmp_path / "b", resume=True)


def test_a_cell_of_ones_own_comes_as_its_program(text, other, tmp_path):
    unrolled.fit(text, tmp_path / "a", epochs=0.5, cell=PeepholeLSTM, **TINY)
    model = unrolled.fit(other, tmp_path / "b", epochs=0.5, from_run=tmp_path / "a", **SIZES)
    for name in ("program.json", "cell.py"):
        assert (tmp_path / "b" / name).read_text() == (tmp_path / "a" / name).read_text()
    unrolled.fit(None, tmp_path / "b", resume=True, epochs=0.8)
    assert unrolled.load(tmp_path / "b").model_options.cell == model.model_options.cell
    options = {"epochs": 0.1, "from_run": tmp_path / "a", "vocabulary": "same", **SIZES}  # no fresh rows
    program, own = (
        unrolled.fit(text, tmp_path / name, **options, **more)
        for name, more in (("f", {}), ("g", {"cell": PeepholeLSTM}))
    )
    assert own.evaluate()["loss"] == pytest.approx(program.evaluate()["loss"], rel=1e-5)
    with pytest.raises(UsageError, match="--cell: .* has .*PeepholeLSTM, got gru"):
        unrolled.fit(other, tmp_path / "d", epochs=1, from_run=tmp_path / "a", cell="gru", **SIZES)
    unrolled.fit(text, tmp_path / "e", epochs=0.3, cell=TwoWidths, **TINY)
    with pytest.raises(RunError, match="not run by default"):
        unrolled.fit(other, tmp_path / "d", epochs=1, from_run=tmp_path / "e", **SIZES)
    assert not (tmp_path / "d").exists()


def test_what_is_refused_leaves_no_folder(source, other, tmp_path):
    new = tmp_path / "new" / "deep" / "run"
    strange, damaged, bare = tmp_path / "strange.txt", tmp_path / "damaged", tmp_path / "bare"
    strange.write_text("αβγδ" * 400)
    for copy in (damaged, bare):
        shutil.copytree(source, copy)
    content = (source / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(content[:-7])
    (bare / "model.safetensors").unlink()
    for error, message, data, options in (
        (UsageError, "--hidden: .* has hidden 8, got 9", other, {"hidden": 9}),
        (UsageError, "--layers: .* has layers 2, got 1", other, {"layers": 1}),
        (UsageError, "--cell: .* has lstm, got gru", other, {"cell": "gru"}),
        (UsageError, "--forget-bias: .* has no initial weights to set", other, {"forget_bias": 1.0}),
        (UsageError, "--vocabulary: must be one of", other, {"vocabulary": "all"}),
        (
            UsageError,
            "--vocabulary: applies only to a run",
            other,
            {"vocabulary": "same", "from_run": None},
        ),
        (DataError, "none of its characters are in the vocabulary of", strange, {"vocabulary": "same"}),
        (RunError, "is not a run folder", other, {"from_run": tmp_path}),
        (RunError, r"model\.safetensors is damaged", other, {"from_run": damaged}),
        (RunError, "has no weights yet", other, {"from_run": bare}),
    ):
        with pytest.raises(error, match=message):
            unrolled.fit(data, new, **{"from_run": source, "epochs": 1} | SIZES | options)
        assert not (tmp_path / "new").exists()


def test_an_unfinished_source_gives_its_best_weights(text, other, tmp_path):
    class StopError(Exception):
        pass

    validations = []

    def listen(event):
        if event["event"] == "validation":
            validations.append(event)
            if len(validations) == 4:
                raise StopError

    with pytest.raises(StopError):
        unrolled.fit(text, tmp_path / "a", epochs=1, listen=listen, **TINY)
    _, event = first_weights(other, tmp_path / "b", from_run=tmp_path / "a", epochs=1, **SIZES)
    assert event["from"]["update"] == [e["update"] for e in validations if e["best"]][-1]
    assert history(tmp_path / "a")[-1]["event"] != "finished"
