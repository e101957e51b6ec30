"""A task of one's own: a table of numbers, each row predicted from those before it, with a spread for each column.

For `unrolled train TABLE.csv --run DIR --task examples/next_row.py:NextRow`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import unrolled
from unrolled.models import Gaussian, Linear, paths
from unrolled.training import DataError, Metric, Shown, Streams, build_stack, option


@dataclass(frozen=True)
class SampleOptions:
    rows: int = option(20, "Rows to write (20).")
    seed: int = option(1, "The same seed gives the same rows (1).")


class NextRow(unrolled.Task):
    name, unit, step_unit = "next-row", "rows", "rows"
    metrics = (Metric("loss", "nats per row"),)
    sample_class = SampleOptions
    scale: np.ndarray = np.zeros(0)  # mean and spread of each column, of the training part alone

    def read(self, data):
        lines = Path(data).read_text(encoding="utf-8").splitlines()
        if len(lines) < 3:
            raise DataError(f"{data} has only {len(lines)} rows, expected at least 3")
        try:
            table = np.loadtxt(lines, delimiter=",", dtype=np.float32, ndmin=2)
        except ValueError as error:
            raise DataError(f"{data} is no table of numbers with commas between them: {error}") from error
        cuts = len(table) * 80 // 100, len(table) * 90 // 100
        if not self.scale.size:
            training = table[: cuts[0]]
            self.scale = np.stack([training.mean(0), training.std(0) + 1e-6])
            self.last = training[-50:]
        table = (table - self.scale[0]) / self.scale[1]
        training, validation, test = np.split(table, cuts)
        self.parts = {"training": training, "validation": validation, "test": test, "all": table}
        return len(training)

    def save(self, run):
        run.write_json("table.json", {"scale": self.scale.tolist(), "last": self.last.tolist()})

    def restore(self, run):
        kept = run.read_json("table.json")
        self.scale, self.last = (np.array(kept[name], dtype=np.float32) for name in ("scale", "last"))

    def build(self, cell, options, for_use=False):
        width = self.scale.shape[1]
        stack = build_stack(cell, options.hidden, options, for_use)
        return unrolled.Model(Linear(width, options.hidden), stack, Gaussian(stack.output_size, width))

    def batches(self, part="training"):
        t = self.training
        if part == "training":
            return Streams(self.parts[part], t.batch, t.bptt, t.update_every, self.unit)
        return Streams(self.parts[part], 1, min(t.bptt, len(self.parts[part]) - 1), unit=self.unit)

    def sample(self, model, options):
        prime = torch.from_numpy((self.last - self.scale[0]) / self.scale[1])[:, None]
        rows = paths(model, prime, options.rows, seed=options.seed)[:, 0]
        rows = rows.numpy() * self.scale[1] + self.scale[0]
        return Shown("table", "".join(",".join(f"{v:.6g}" for v in row) + "\n" for row in rows).encode())
