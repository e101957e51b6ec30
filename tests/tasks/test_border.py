"""Mistakes at the Python border: one sentence, and nothing is left behind."""

import os

import pytest
import torch

import unrolled
from unrolled.errors import DataError, RunError, UsageError


class Wrong:
    """Something that no argument is."""

    def __repr__(self):  # the same in every process, as a test's name has to be
        return "Wrong()"


CELLS = {
    "a layer": (unrolled.GRU, "GRU is a layer, .* unrolled.GRUCell"),
    "a layer's object": (unrolled.GRU(2, 3), "GRU is a layer"),
    "torch's": (torch.nn.LSTM, "LSTM is a layer"),
    "a stack": (unrolled.Stack([unrolled.GRUCell(2, 3)]), "Stack is a layer"),
    "a cell's object": (unrolled.GRUCell(2, 3), "expected a class, got an instance of GRUCell"),
    "the base": (unrolled.Cell, "a subclass of unrolled.Cell"),
    **{repr(v): (v, "a subclass of unrolled.Cell") for v in (3, [], int, len, Wrong, b"gru", {"gru"})},
    "no such name": ("grü", "expected lstm, gru, elman"),
}
NAMES = (3, [], 2.5, b"text.txt", "", Wrong(), {"a": 1}, object)
SETTINGS = (
    "hidden",
    "minutes",
    "epochs",
    "bptt",
    "lr",
    "optimizer",
    "units",
    "split",
    "include",
    "clip",
    "device",
    "seed",
)


def left(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def refused(call, message):
    with pytest.raises((UsageError, RunError), match=message) as caught:
        call()
    sentence = str(caught.value)
    assert sentence and "\n" not in sentence and "Traceback" not in sentence


@pytest.mark.parametrize(("cell", "message"), CELLS.values(), ids=list(CELLS))
def test_what_is_no_cell(text, tmp_path, cell, message):
    refused(lambda: unrolled.fit(text, tmp_path / "a" / "b" / "run", cell=cell, epochs=1), message)
    assert left(tmp_path) == []


@pytest.mark.parametrize("wrong", NAMES, ids=repr)
def test_what_is_no_name(text, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    refused(lambda: unrolled.fit(wrong, tmp_path / "a" / "run", epochs=1), "data: ")
    refused(lambda: unrolled.fit(text, wrong, epochs=1), "^run: expected the name of a folder, got ")
    refused(lambda: unrolled.load(wrong), "^run: expected the name of a folder, got ")
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("wrong", [[], Wrong(), {}, unrolled.GRU, b"1", -7], ids=repr)
def test_what_is_no_setting(text, tmp_path, name, wrong):
    refused(lambda: unrolled.fit(text, tmp_path / "a" / "run", **{"epochs": 1} | {name: wrong}), "--")
    assert left(tmp_path) == []


def test_what_else_can_go_wrong_leaves_no_folder(text, tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    for data, given, reason in (
        (text, {"task": 3}, "--task: must be text, .*or FILE.py:Class, got 3$"),
        (text, {"task": []}, r"--task: must be text, .*or FILE.py:Class, got \[\]$"),
        (text, {"task": "singing"}, "--task: must be text, .*or FILE.py:Class, got 'singing'$"),
        (text, {"listen": 3}, "listen: expected a function of one event, got 3$"),
        (tmp_path / "short.txt", {}, "8 characters are too few for --batch 1 and --bptt 100, which need"),
        (text, {"hidden": 10**6}, "the model would have .* parameters and need .*: choose a smaller --hidden"),
        (text, {"layers": 1001}, "--layers: must be at most 1,000, got 1,001$"),
    ):
        with pytest.raises((UsageError, DataError), match=f"^{reason}"):
            unrolled.fit(data, tmp_path / "a" / "run", **{"epochs": 1} | given)
        assert left(tmp_path) == ["short.txt"]


def test_a_trained_model_says_what_it_expects(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=0.3, hidden=8, batch=4, bptt=20, threads=1, quiet=True)
    for wrong in ("x", 2.5, None, [], Wrong(), -1):
        with pytest.raises(ValueError, match="^length must be a whole number from 0, got "):
            model.sample(wrong)
    for given in (
        *({"prime": v} for v in (3, None, [])),
        *({"stop": v} for v in (3, [])),
        *({"temperature": v} for v in ("hot", -1, None, float("nan"))),
        *({"top_k": v} for v in ("3", 0, 2.5)),
        *({"top_p": v} for v in ("x", 0, 2)),
        *({"seed": v} for v in ("x", -1, 1.5)),
    ):
        with pytest.raises(ValueError, match=f"^{next(iter(given))}"):
            model.sample(5, **given)
    for wrong in NAMES:
        named = "^data: the name of the file or folder is empty$" if wrong == "" else "^data: expected the name of a"
        refused(lambda wrong=wrong: model.evaluate(wrong), named)
        refused(lambda wrong=wrong: model.evaluate(wrong, on="test"), named)
        refused(lambda wrong=wrong: model.evidence(wrong), named)
    for wrong in (3, None, [], b"x", ""):
        refused(lambda wrong=wrong: model.score(wrong), "score: ")
    refused(lambda: model.evaluate(on=3), "--on")
    (tmp_path / "other.txt").write_text("another text")
    refused(lambda: model.evaluate(tmp_path / "other.txt", on="test"), "--on test")
    assert {"loss"} <= set(model.evaluate(os.fspath(text)))


def test_sampling_from_something_else():
    model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.GRUCell(4, 3)]), unrolled.Softmax(3, 4))
    start = torch.zeros(1, 1, dtype=torch.long)
    for wrong in ("x", 3, unrolled.GRU(2, 3), None):
        with pytest.raises(TypeError, match=r"^sample: model must be an unrolled.Model, got .*"):
            unrolled.sample(wrong, start, 5)
        with pytest.raises(TypeError, match=r"^beam_search: model must be an unrolled.Model, got .*"):
            unrolled.beam_search(wrong, start, 5)
    assert len(list(unrolled.sample(model, start, 5))) == 5
