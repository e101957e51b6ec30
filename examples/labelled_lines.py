"""A task of one's own: lines of a label, a tab and a text; the model reads the text and names the label.

For `unrolled train LINES.tsv --run DIR --task examples/labelled_lines.py:LabelledLines`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import unrolled
from unrolled.training import DataError, Loss, Metric, Padded, build_stack, option


@dataclass(frozen=True)
class Options:
    held_out: int = option(10, "Percent of the lines for validation, and as many for test (10).")


class LabelledLines(unrolled.Task):
    name, unit, step_unit = "labelled-lines", "lines", "characters"
    metrics = (Metric("accuracy", percent=True, digits=1, higher=True), Metric("loss", "nats per line"))
    options_class = Options
    letters = ""
    labels: tuple[str, ...] = ()

    def read(self, data):
        lines = [line.split("\t", 1) for line in Path(data).read_text(encoding="utf-8").splitlines() if "\t" in line]
        if not lines:
            raise DataError(f"{data} has no line with a label, a tab and a text")
        labels = {label for label, _ in lines}
        if not self.labels:  # a run that exists has its own
            self.letters = "".join(sorted({c for _, text in lines for c in text}))
            self.labels = tuple(sorted(labels))
        if new := sorted(labels - set(self.labels)):
            raise DataError(f"{data} has the label {new[0]!r}, which the model does not know")
        number = {c: k + 1 for k, c in enumerate(self.letters)}  # 0 is any other character
        texts = [np.array([number.get(c, 0) for c in text] or [0]) for _, text in lines]
        targets = [np.int64(self.labels.index(label)) for label, _ in lines]
        order = np.random.default_rng(0).permutation(len(lines))
        few = len(lines) * self.options.held_out // 100
        cuts = {"all": order, "validation": order[:few], "test": order[few : 2 * few], "training": order[2 * few :]}
        self.parts = {name: ([texts[k] for k in ks], [targets[k] for k in ks]) for name, ks in cuts.items()}
        self.sequences = len(self.parts["training"][0])
        return sum(len(x) for x in self.parts["training"][0])

    def save(self, run):
        run.write_json("symbols.json", {"letters": self.letters, "labels": self.labels})

    def restore(self, run):
        symbols = run.read_json("symbols.json")
        self.letters, self.labels = symbols["letters"], tuple(symbols["labels"])

    def begin_from(self, source, where):  # the weights know its letters and labels by their numbers
        self.letters, self.labels = source.letters, source.labels

    def build(self, cell, options, for_use=False):
        encoder = unrolled.Embedding(len(self.letters) + 1, 32)
        stack = build_stack(cell, 32, options, for_use)
        return unrolled.Model(
            encoder, stack, unrolled.Softmax(stack.output_size, len(self.labels)), graph="many-to-one"
        )

    def batches(self, part="training"):
        return Padded(*self.parts[part], batch=self.training.batch, seed=self.training.seed)

    def loss(self, model, batch, state):
        scores, _ = model(batch.inputs, lengths=batch.lengths)
        total, count = model.head.loss(scores, batch.targets)
        right = int((scores.argmax(1) == batch.targets).sum())
        return Loss(total, count, parts={"accuracy": (right, count)})

    def about(self):
        sizes = ", ".join(f"{name} {len(self.parts[name][0]):,}" for name in ("training", "validation", "test"))
        return [("lines", sizes), ("labels", ", ".join(self.labels[:10]))]
