"""How much memory a large table of series needs: `python benchmarks/series_memory.py 5000 2000`.

It writes a CSV file of so many daily series of so many steps, reads it, and trains on a few batches. Each line has
the highest resident memory so far, with that of Python, torch and polars.
"""

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np


def write(path: Path, series: int, steps: int) -> None:
    """A file of series with a weekly season, one behind the other."""
    random = np.random.default_rng(1)
    days = (np.datetime64("2015-01-01") + np.arange(steps)).astype(str)
    with open(path, "w") as file:
        file.write("id,day,value\n")
        for k in range(series):
            values = 50 + 10 * np.sin(2 * np.pi * np.arange(steps) / 7 + k) + 3 * random.normal(size=steps)
            file.write("".join(f"s{k:05d},{day},{v:.3f}\n" for day, v in zip(days, values, strict=True)))


def say(what: str) -> None:
    print(f"{what:<28} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>8,.0f} MiB", flush=True)


def main(series: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, series, steps)
        print(f"{series * steps:,} rows in {series:,} series, {path.stat().st_size / 2**20:,.0f} MiB")
        import polars
        import torch

        import unrolled
        from unrolled.models.options import ModelOptions
        from unrolled.tasks.series.task import SeriesTask
        from unrolled.training.options import TrainingOptions

        say(f"polars {polars.__version__}, torch {torch.__version__.partition('+')[0]}")
        task = SeriesTask()
        count = task.read(str(path))
        say("read")
        task.settle(ModelOptions(), TrainingOptions(), count)
        model = task.build(unrolled.LSTMCell, task.model)
        batches = task.batches()
        for update in range(5):
            task.loss(model, batches.batch_at(update), None).total.backward()
        say("five batches")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
