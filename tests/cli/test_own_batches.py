"""Tasks in a person's own file whose batches, losses and models are not the usual ones: trained, scored, resumed."""

import numpy as np
import pytest
import torch

import unrolled
from unrolled.models import EncoderDecoder, Linear, Regression, SideBySide
from unrolled.runs.folder import RunFolder
from unrolled.training import Batch, Loss, build_stack
from unrolled.training.drawn import Drawn
from unrolled.training.loop import WALL_CLOCK_FIELDS
from unrolled.training.options import TrainingOptions

T, S, V = 7, 4, 3
"""Steps that are read, steps that are written, symbols."""
SETTINGS = {"hidden": 6, "cell": "gru", "threads": 1, "quiet": True, "lr": 0.02, "epochs": 1, "batch": 20}


class Own(unrolled.Task):
    """Symbols drawn at random; the subclass says how they become batches."""

    name = "own"

    def read(self, data):
        return 100

    def model_of(self, encoder, cell, options, head, graph="many-to-many"):
        stack = build_stack(cell, encoder.output_size, options)
        return unrolled.Model(encoder, stack, head and head(stack.output_size), graph)

    def batches(self, part="training"):
        return Drawn(self.drawn, self.training.batch, 6, [3, len(part)])

    def lengths(self, N, rng):
        return torch.from_numpy(rng.integers(1, T + 1, N))

    def symbols(self, rng, *shape):
        return torch.from_numpy(rng.integers(0, V, shape))


def softmax(width):
    return unrolled.Softmax(width, V)


class ToOne(Own):
    """Every sequence has T steps, so there are no lengths."""

    def build(self, cell, options, for_use=False):
        return self.model_of(unrolled.Embedding(V, 4), cell, options, softmax, "many-to-one")

    def drawn(self, N, rng):
        return Batch(self.symbols(rng, T, N), self.symbols(rng, N))


class Several(Own):
    """Two heads side by side, in sequences of several lengths."""

    def build(self, cell, options, for_use=False):
        heads = {"symbol": softmax, "number": lambda width: Regression(width, 2)}
        head = lambda width: SideBySide({name: make(width) for name, make in heads.items()})  # noqa: E731
        return self.model_of(unrolled.Embedding(V, 4), cell, options, head)

    def drawn(self, N, rng):
        lengths = self.lengths(N, rng)
        numbers = torch.from_numpy(rng.normal(size=(T, N, 2)).astype(np.float32))
        targets = {"symbol": self.symbols(rng, T, N), "number": numbers}
        return Batch(self.symbols(rng, T, N), targets, lengths, torch.arange(T)[:, None] < lengths)


class FromOne(Own):
    """One vector each, from which a sequence is to follow."""

    def build(self, cell, options, for_use=False):
        return self.model_of(Linear(5, 4), cell, options, softmax, "one-to-many")

    def drawn(self, N, rng):
        vectors = torch.from_numpy(rng.normal(size=(N, 5)).astype(np.float32))
        return Batch(vectors, self.symbols(rng, T, N), self.lengths(N, rng))

    def loss(self, model, batch, state):
        outputs, _ = model(batch.inputs, lengths=batch.lengths, steps=T)
        return Loss(*model.head.loss(outputs, batch.targets, torch.arange(T)[:, None] < batch.lengths))


class Translated(Own):
    """An encoder and a decoder; what is written has another length than what is read."""

    def build(self, cell, options, for_use=False):
        encoder = self.model_of(unrolled.Embedding(V, 4), cell, options, None)
        return EncoderDecoder(encoder, self.model_of(unrolled.Embedding(V + 1, 4), cell, options, softmax))

    def drawn(self, N, rng):
        return Batch(self.symbols(rng, T, N), self.symbols(rng, S, N), self.lengths(N, rng))

    def loss(self, model, batch, state):
        before = torch.cat([torch.full_like(batch.targets[:1], V), batch.targets[:-1]])
        outputs, _ = model(batch.inputs, before, source_lengths=batch.lengths)
        return Loss(*model.decoder.head.loss(outputs, batch.targets))


def fit(tmp_path, name, kind, **given):
    (tmp_path / "data").write_text("none")
    return unrolled.fit(tmp_path / "data", tmp_path / name, task=kind, **{**SETTINGS, **given})


def lasting(run):
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in RunFolder(run).history()]


@pytest.mark.parametrize("kind", [ToOne, Several, FromOne, Translated])
def test_it_is_trained_scored_and_resumed(tmp_path, kind):
    def stop(event):
        if event["event"] == "update" and event["update"] == 4:
            raise KeyboardInterrupt

    model = fit(tmp_path, "whole", kind, dropout=0.2, layers=2)
    assert model.evaluate() == model.evaluate()
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "run", kind, dropout=0.2, layers=2, save_every=0.0, listen=stop)
    unrolled.fit(None, tmp_path / "run", resume=True, task=kind, quiet=True)
    assert lasting(tmp_path / "run") == lasting(tmp_path / "whole")
    by_hand = [0.0, 0]
    model.task.training = RunFolder(tmp_path / "run").options(TrainingOptions, "training")
    batches = model.task.batches("validation")
    for update in range(6):
        with torch.no_grad():
            loss = model.task.loss(model.model, batches.batch_at(update), None)
        by_hand = [by_hand[0] + float(loss.total), by_hand[1] + loss.count]
    figures = model.evaluate()
    assert figures["scored"] == by_hand[1] and figures["loss"] == pytest.approx(by_hand[0] / by_hand[1], rel=1e-6)


def test_there_is_no_report_without_a_sequence_of_inputs(tmp_path):
    fit(tmp_path, "run", Translated)
    trained = unrolled.load(tmp_path / "run", task=Translated)
    with pytest.raises(NotImplementedError, match="does not read one input a step"):
        trained.evidence()


def test_what_a_task_gives_is_refused_before_anything_is_written(tmp_path):
    class NoLoss(ToOne):
        def loss(self, model, batch, state):
            return super().loss(model, batch, state).total

    class NoModel(ToOne):
        def build(self, cell, options, for_use=False):
            super().build(cell, options, for_use)

    for kind, message in ((NoLoss, "NoLoss.loss must return a Loss, got Tensor"), (NoModel, "must return a model")):
        with pytest.raises(TypeError, match=message):
            fit(tmp_path, "run", kind)
        assert not (tmp_path / "run").exists()
