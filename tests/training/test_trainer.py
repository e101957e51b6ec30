"""The trainer by itself."""

import itertools
import math

import numpy as np
import pytest
import torch

from training.two_tasks import TASKS, FirstSymbol, Waves, lasting, trainer
from unrolled.runs.folder import RunFolder
from unrolled.runs.memory import MemoryRun
from unrolled.training.bptt import batch_loss
from unrolled.training.loop import Trainer
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions


@pytest.mark.parametrize("name", TASKS)
def test_it_learns_in_memory_and_counts_what_it_reads(name):
    task, run = TASKS[name](), MemoryRun()
    made, events = trainer(task, run)
    progress = made.run()
    per_epoch = made.batches.updates_per_epoch
    assert progress.finished and progress.update == 6 * per_epoch
    assert progress.symbols == sum(made.batches.batch_at(k).steps for k in range(6 * per_epoch))
    losses = [e["loss"] for e in run.history() if e["event"] == "train"]
    assert losses[-1] < losses[0]
    kept = {e["event"] for e in run.history()}
    assert kept >= {"train", "finished", "gradients", "lags"} and kept - {"gradients", "lags"} <= {
        e["event"] for e in events
    }
    assert bool(run.samples) == (name == "first")
    arrays, about = run.read_model()
    assert set(arrays) == set(made.model.state_dict()) and about["update"] <= progress.update


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("stop_at", [2, 11, 17])
def test_stopped_and_resumed_is_uninterrupted(name, stop_at, tmp_path):
    whole = MemoryRun()
    trainer(TASKS[name](), whole)[0].run()
    folder = RunFolder(tmp_path / "run")
    folder.create({"task": name, "options": {}, "model": {}, "data": {"path": ""}, "training": {}})
    first, _ = trainer(TASKS[name](), folder)

    def stop(event):
        if event["event"] == "update" and event["update"] == stop_at:
            raise KeyboardInterrupt

    first.listen = stop
    with pytest.raises(KeyboardInterrupt):
        first.run()
    again, _ = trainer(TASKS[name](), folder)
    torch.manual_seed(99)  # the checkpoint has the random state
    again.restore()
    again.run()
    assert lasting(folder) == lasting(whole)
    for mine, other in (
        (folder.read_model()[0], whole.read_model()[0]),
        (folder.read_checkpoint()[0], whole.read_checkpoint()[0]),
    ):
        assert set(mine) == set(other)
        assert all(np.array_equal(mine[name], other[name]) for name in mine)


def test_the_best_weights_are_those_of_the_tasks_criterion():
    """Accuracy chooses, the higher the better, though the loss says otherwise."""
    scores = iter([(1.0, 0.5), (0.9, 0.4), (0.8, 0.7), (0.1, 0.7), (0.2, math.nan), (0.3, 0.8)])

    class Scored(FirstSymbol):
        def validate(self, model, whole, tell=None):
            return dict(zip(("loss", "accuracy"), next(scores, (0.0, 0.0)), strict=True))

    run = MemoryRun()
    trainer(Scored(), run)[0].run()
    best = [e["best"] for e in run.history() if e["event"] == "validation"]
    assert best[:6] == [True, False, True, False, False, True] and not any(best[6:])


@pytest.mark.parametrize(
    ("schedule", "share"),
    [("linear", lambda p: 1 - p), ("constant", lambda p: 1), ("cosine", lambda p: (1 + math.cos(math.pi * p)) / 2)],
)
def test_the_rate_follows_the_schedule(schedule, share):
    run = MemoryRun()
    made, _ = trainer(Waves(), run, schedule=schedule, warmup=0.0)
    updates = made.run().update
    reports = [e for e in run.history() if e["event"] == "train"]
    for report in reports:
        assert report["lr"] == pytest.approx(0.02 * share((report["update"] - 1) / updates))
    assert len(reports) > 10


def test_momentum_reaches_the_optimizer():
    made, _ = trainer(Waves(), MemoryRun(), optimizer="sgd", momentum=0.0)
    made.run()
    assert made.optimizer.defaults["momentum"] == 0 and not made.optimizer.defaults["nesterov"]


@pytest.mark.parametrize("patience", [1, 2])
def test_patience(patience):
    class Worse(FirstSymbol):
        def validate(self, model, whole, tell=None):
            return {"loss": 1.0, "accuracy": 0.5}

    run = MemoryRun()
    made, _ = trainer(Worse(), run, patience=patience)
    progress = made.run()
    events = [e["event"] for e in run.history()]
    assert events.count("validation") == 1 + patience and progress.finished
    assert events[-1] == "finished" and "stopped early" in events
    assert progress.share < 1


def test_named_parts_of_the_loss_are_reported():
    class Parts(Waves):
        def loss(self, model, batch, state):
            made = batch_loss(model, batch, state)
            half = float(made.total.detach()) / 2
            return type(made)(made.total, made.count, made.state, {"first": (half, made.count), "rest": (0.0, 0)})

    run = MemoryRun()
    trainer(Parts(), run)[0].run()
    reports = [e for e in run.history() if e["event"] == "train"]
    for report in reports:
        assert report["first"] == pytest.approx(report["loss"] / 2) and math.isnan(report["rest"])  # mean of none
    assert len(reports) > 10


def test_updates_tell_their_parts_and_a_listener_may_stop():
    class Parts(Waves):
        def loss(self, model, batch, state):
            made = batch_loss(model, batch, state)
            return type(made)(made.total, made.count, made.state, {"steps": (float(made.count), 1)})

    run = MemoryRun()
    made, _ = trainer(Parts(), run)
    told = []

    def listen(event):
        if event["event"] == "update":
            told.append(event["parts"]["steps"])
            if event["update"] == 5:
                made.stop()

    made.listen = listen
    progress = made.run()
    assert told == [(float(made.batches.batch_at(k).steps), 1) for k in range(5)]
    assert progress.update == 5 and progress.finished and run.history()[-1]["event"] == "finished"
    assert run.read_model()[1]["update"] == 5


def test_a_state_is_carried_where_batches_continue_alone():
    """The losses of streams are those of one long run with the weights at each update; padded ones begin anew."""
    seen = []

    class Watched(Waves):
        def loss(self, model, batch, state):
            seen.append((batch.continues, state is not None))
            return batch_loss(model, batch, state)

    trainer(Watched(), MemoryRun())[0].run()
    assert {(True, True), (False, False)} == set(seen)
    seen.clear()
    trainer(Watched(), MemoryRun(), carry=False)[0].run()
    assert {state for _, state in seen} == {False}


class Rare(FirstSymbol):
    """Every third batch alone has losses."""

    name = "rare"

    def __init__(self):
        super().__init__()
        self.asked = 0

    def loss(self, model, batch, state):
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        self.asked += 1
        counted = torch.full(batch.targets.shape, self.asked % 3 == 1)
        return Loss(*model.head.loss(outputs, batch.targets, counted))


@pytest.mark.parametrize("optimizer", ["adam", "muon", "sgd"])
def test_an_update_without_a_loss_moves_nothing(optimizer):
    """Neither momentum nor weight decay, and the average of the weights takes nothing in."""
    task = Rare()
    made, _ = trainer(task, MemoryRun(), [], epochs=1, optimizer=optimizer, weight_decay=0.1)
    seen = []

    def listen(event):
        if event["event"] == "update":
            seen.append([p.detach().clone() for p in (*made.parameters, *made.average.values)])

    made.listen = listen
    progress = made.run()
    moved = [any(not torch.equal(a, b) for a, b in zip(x, y, strict=True)) for x, y in itertools.pairwise(seen)]
    assert moved == [k % 3 == 0 for k in range(1, progress.update)] and progress.steps == -(-progress.update // 3)
    made.save()
    made.average.updates = 0
    made.restore()
    assert made.average.updates == progress.steps


def test_scores_and_samples_are_made_in_evaluation(tmp_path):
    """A task that calls the model itself must not see what dropout leaves of it."""
    modes = []

    class Looking(FirstSymbol):
        def validate(self, model, whole, tell=None):
            modes.append(model.training or model.stack.training)
            return super().validate(model, whole, tell)

        def show(self, model, seed):
            modes.append(model.training)
            return super().show(model, seed)

        def loss(self, model, batch, state):
            assert model.training and model.stack.training
            return super().loss(model, batch, state)

    task = Looking()
    model = task.build()
    options = TrainingOptions(epochs=2, lr=0.01, ema=0.9)
    Trainer(task, model, options, MemoryRun(), lambda event: None).run()
    assert len(modes) > 5 and not any(modes)
