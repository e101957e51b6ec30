"""What it costs to watch the gradient while training: the recorded updates, and the looks inside now and then.

    python benchmarks/recording.py [--cell lstm] [--json]

One layer of 256, batch 64, 64 steps, the text model. Updates with and without a recording are timed turn by turn in
one process, and the median of the differences is told; both must give the same gradients, bit for bit. A run records
one update after each of its 100 reports, at most every tenth, and looks inside 11 times: what share of training that
is, is told for runs of several lengths.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from unrolled.cells.registry import CELLS
from unrolled.insight.probes import GradientProbe
from unrolled.insight.watch import Change, Watch
from unrolled.insight.watcher import APART
from unrolled.models import Model
from unrolled.models.options import ModelOptions
from unrolled.tasks.text.task import language_model
from unrolled.training.advice import Advice
from unrolled.training.averaging import Average
from unrolled.training.bptt import batch_loss
from unrolled.training.gradient import backward
from unrolled.training.loop import REPORTS, VALIDATIONS
from unrolled.training.optimizers import make_optimizer
from unrolled.training.options import TrainingOptions
from unrolled.training.streams import Streams

HIDDEN, BATCH, STEPS, SYMBOLS = 256, 64, 64, 65
UPDATES = (200, 600, 2_500, 10_000)


class Text:
    """As much of a task as a probe asks for."""

    def loss(self, model, window, state):
        return batch_loss(model, window, state)


def setting(cell: str) -> tuple[Model, Streams]:
    """The model, and random symbols."""
    torch.manual_seed(1)
    numbers = np.random.default_rng(1).integers(0, SYMBOLS, BATCH * STEPS * 4 + 1)
    options = ModelOptions(hidden=HIDDEN, layers=1, dropout=0.0)
    return language_model(CELLS[cell], SYMBOLS, options), Streams(numbers, BATCH, STEPS)


def timed(turns: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Seconds of each function, turn by turn, after two turns that do not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for turn in range(turns + 2):
        for times, function in zip(seconds, functions, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 2:
                times.append(time.perf_counter() - start)
    return seconds


def difference(slow: list[float], fast: list[float]) -> float:
    """The median over turns: what else the machine does changes slowly."""
    return statistics.median(a - b for a, b in zip(slow, fast, strict=True))


def measure(cell: str, turns: int) -> dict:
    """Milliseconds of an update, of what a recorded one takes more, and of a look inside."""
    model, streams = setting(cell)
    probe, task, watch = GradientProbe(model), Text(), Watch()
    advice = Advice(TrainingOptions(), {})
    parameters = list(model.parameters())
    optimizer, average = make_optimizer("adam", model, 1e-4, 0.0), Average(model, 0.99)
    window = streams.batch_at(1)

    def gradients(wanted: bool) -> list[torch.Tensor]:
        with probe.watching(window, wanted):
            losses = batch_loss(model, window, None)
            backward(losses.total / losses.count, parameters)
        return [p.grad.clone() for p in parameters if p.grad is not None]

    assert all(map(torch.equal, gradients(True), gradients(False)))

    def update(wanted: bool) -> None:
        with probe.watching(window, wanted) as recorded:
            losses = batch_loss(model, window, None)
            gradient = backward(losses.total / losses.count, parameters)
        change = Change(parameters) if wanted else None
        gradient.clip_norm(1.0)
        optimizer.step()
        average.update()
        if recorded is not None and change is not None:
            change.size()
            json.dumps(probe.curves(recorded))

    def look() -> None:
        watch.lags(probe.by_lag(cast(Any, task), window, None), 0.5, advice)
        watch.units(probe.units(window, None), advice)

    updates, recorded, inside = timed(turns, lambda: update(False), lambda: update(True), look)
    without, with_ = timed(turns, lambda: gradients(False), lambda: gradients(True))
    plain, look_seconds = statistics.median(updates), statistics.median(inside)
    more, looks = difference(recorded, updates), VALIDATIONS + 1
    return {
        "cell": cell,
        "update_ms": 1e3 * plain,
        "recorded_more_ms": 1e3 * more,
        "recorded_more": more / plain,
        "backward_more": difference(with_, without) / plain,
        "look_ms": 1e3 * look_seconds,
        "position": {n: min(n // APART, REPORTS) * more / (n * plain) for n in UPDATES},
        "all": {n: (min(n // APART, REPORTS) * more + looks * look_seconds) / (n * plain) for n in UPDATES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", default="lstm", choices=sorted(CELLS))
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.cell, arguments.turns)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['cell']}: an update takes {found['update_ms']:.1f} ms")
    print(f"  recording the backward scan    {found['backward_more']:+.1%}")
    print(f"  with all that is kept of it    {found['recorded_more']:+.1%}, {found['recorded_more_ms']:.1f} ms")
    print(f"  a look inside                  {found['look_ms']:.1f} ms")
    print("share of training, by the length of the run:")
    for n in UPDATES:
        print(f"{n:>8,} updates   recorded {found['position'][n]:.2%}, with the looks inside {found['all'][n]:.2%}")


if __name__ == "__main__":
    main()
