"""Two tasks that are not text: classes of sequences, and sequences of vectors."""

import numpy as np
import torch

import unrolled
from unrolled.insight.watcher import GradientWatcher
from unrolled.models import Linear, Model, OneHot, Regression, Softmax
from unrolled.training.bptt import batch_loss
from unrolled.training.loop import WALL_CLOCK_FIELDS, Trainer
from unrolled.training.options import TrainingOptions
from unrolled.training.padded import Padded
from unrolled.training.streams import Streams
from unrolled.training.task import Metric, Shown


class FirstSymbol:
    """Which of three symbols a sequence of any length began with: many to one, scored by accuracy."""

    name, unit = "first", "sequences"
    criterion = Metric("accuracy", "of the sequences", higher=True)

    def __init__(self, seed=0):
        random = np.random.default_rng(seed)
        self.sequences = [random.integers(0, 3, 1 + k % 9) for k in range(60)]
        self.answers = [x[0] for x in self.sequences]

    def settings(self):
        return {"cell": "gru", "hidden": 8, "layers": 1, "dropout": 0.0}

    def build(self):
        stack = unrolled.Stack([unrolled.GRUCell(3, 8)])
        return Model(OneHot(3), stack, Softmax(8, 3), graph="many-to-one")

    def batches(self):
        return Padded(self.sequences, self.answers, batch=7, seed=5)

    def loss(self, model, batch, state):
        return batch_loss(model, batch, state)

    def finish(self, model):
        return None

    def validate(self, model, whole, tell=None):
        every = Padded(self.sequences, self.answers, batch=len(self.sequences)).batch_at(0)
        with torch.no_grad():
            scores, _ = model(every.inputs, lengths=every.lengths)
            total, count = model.head.loss(scores, every.targets)
        right = (scores.argmax(1) == every.targets).float().mean()
        return {"loss": float(total) / count, "accuracy": float(right)}

    def show(self, model, seed):
        return Shown("table", b"first,guess\n0,0\n")


class Waves:
    """The next of two numbers: real vectors in parallel streams, with nothing to show."""

    name, unit = "waves", "steps"
    criterion = Metric("loss", "nats per step")

    def settings(self):
        return {"cell": "elman", "hidden": 6, "layers": 1, "dropout": 0.0}

    def build(self):
        return Model(Linear(2, 6), unrolled.Stack([unrolled.ElmanCell(6, 6)]), Regression(6, 2))

    def batches(self):
        t = np.arange(400) / 5
        return Streams(np.stack([np.sin(t), np.cos(t)], axis=1).astype(np.float32), batch=4, bptt=15)

    def loss(self, model, batch, state):
        return batch_loss(model, batch, state)

    def finish(self, model):
        return None

    def validate(self, model, whole, tell=None):
        return None

    def show(self, model, seed):
        return None


TASKS = {"first": FirstSymbol, "waves": Waves}


def trainer(task, run, watchers=None, **given):
    torch.manual_seed(1)
    options = TrainingOptions(**{"lr": 0.02, "ema": 0.9, "epochs": 6, "threads": 1, "save_every": 0.0} | given)
    events = []
    made = Trainer(
        task, task.build(), options, run, events.append, [GradientWatcher()] if watchers is None else watchers
    )
    return made, events


def lasting(run):
    """The history without what differs from run to run."""
    return [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in run.history()]
