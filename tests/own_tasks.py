"""Tasks in a person's own file, and data for them."""

from pathlib import Path

import numpy as np

import unrolled
from unrolled.training import Loss, Metric, Padded, build_stack

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LINES, ROWS = f"{EXAMPLES / 'labelled_lines.py'}:LabelledLines", f"{EXAMPLES / 'next_row.py'}:NextRow"
SIZES = {"hidden": 8, "cell": "gru", "threads": 1, "quiet": True, "lr": 0.02}


class Tagged(unrolled.Task):
    """Tags of steps: the sum so far of a sequence of numbers, modulo 3."""

    name, unit = "tagged", "steps"
    metrics = (Metric("accuracy", percent=True, higher=True), Metric("loss", "nats per step"))

    def read(self, data):
        draw = np.random.default_rng(int(Path(data).read_text()))
        inputs = [draw.integers(0, 5, draw.integers(1, 9)) for _ in range(40)]
        targets = [np.cumsum(x) % 3 for x in inputs]
        cuts = {"all": slice(40), "validation": slice(10), "test": slice(10, 20), "training": slice(20, 40)}
        self.parts = {name: (inputs[cut], targets[cut]) for name, cut in cuts.items()}
        return sum(map(len, self.parts["training"][0]))

    def build(self, cell, options, for_use=False):
        stack = build_stack(cell, 5, options, for_use)
        return unrolled.Model(unrolled.Embedding(5, 5), stack, unrolled.Softmax(stack.output_size, 3), dropout=0.4)

    def batches(self, part="training"):
        return Padded(*self.parts[part], batch=self.training.batch, seed=self.training.seed, by_step=True)

    def loss(self, model, batch, state):
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        mask = batch.mask & self.counts(batch)
        total, count = model.head.loss(outputs, batch.targets, mask)
        right = (outputs.argmax(-1) == batch.targets) & mask
        return Loss(total, count, parts={"accuracy": (right.sum(), mask.sum())})  # tensors, as they come

    def counts(self, batch):
        return batch.inputs != 2


def tagged(tmp_path, kind=Tagged, **given):
    (tmp_path / "seed").write_text("7")
    return unrolled.fit(tmp_path / "seed", tmp_path / "run", task=kind, **{"batch": 3, "epochs": 4, **SIZES, **given})
