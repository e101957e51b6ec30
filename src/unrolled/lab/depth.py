"""One, two and three hidden layers with the same number of parameters, on text."""

from __future__ import annotations

import math
import sysconfig
from bisect import bisect_left
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, options, train
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.tasks.symbols.baselines import bigram_loss
from unrolled.training.bptt import batch_loss
from unrolled.training.metric import Metric
from unrolled.training.streams import Streams

CHARACTERS = 1_000_000
VALIDATION = 0.1
PARAMETERS = 150_000
EMBEDDING = 64
DEPTHS = {"1 layer": 1, "2 layers": 2, "3 layers": 3}
UPDATES = 4000
BATCH, BPTT = 32, 64
LEARNING_RATE = 0.005


@cache
def text() -> tuple[np.ndarray, int]:
    """The first million characters of Python's own library, a module behind another, as numbers; and how many kinds.

    Modules in the order of their names, without the few characters that are not ASCII. It differs a little from
    one version of Python to the next.
    """
    found, length = [], 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        found.append(path.read_text(encoding="utf-8").encode("ascii", "ignore"))
        length += len(found[-1])
        if length >= CHARACTERS:
            break
    codes = np.frombuffer(b"".join(found)[:CHARACTERS], dtype=np.uint8)
    kinds, numbers = np.unique(codes, return_inverse=True)
    return numbers.astype(np.uint8), len(kinds)


def build(cell: str, layers: int, hidden: int, size: int, seed: int) -> Model:
    """Embedded characters, ``layers`` hidden layers of ``hidden`` units, and the scores of the next character."""
    encoder, head = partial(Embedding, size, EMBEDDING), partial(Softmax, vocabulary_size=size)
    return network(cell, encoder, hidden, head, seed, layers=layers)


def parameters(cell: str, layers: int, hidden: int, size: int) -> int:
    """How many a model has."""
    return sum(p.numel() for p in build(cell, layers, hidden, size, seed=1).parameters())


def width(cell: str, layers: int, size: int, wanted: int = PARAMETERS) -> int:
    """The H whose model is closest to ``wanted`` parameters.

    >>> [width("lstm", layers, 96) for layers in (1, 2, 3)]
    [150, 95, 76]
    """
    count = partial(parameters, cell, layers, size=size)
    most = 1
    while count(hidden=most) < wanted:
        most *= 2
    hidden = bisect_left(range(1, most), wanted, key=lambda H: count(hidden=H)) + 1
    return min(hidden, max(hidden - 1, 1), key=lambda H: abs(count(hidden=H) - wanted))


def run(setting: Setting, seed: int) -> Outcome:
    """Train on a budget of characters, the same for all; the score is the loss on the whole validation part."""
    numbers, size = text()
    edge = round(len(numbers) * (1 - VALIDATION))
    layers = DEPTHS[setting.variant]
    hidden = width(setting.cell, layers, size, PARAMETERS)
    model = build(setting.cell, layers, hidden, size, seed)
    begin = int(np.random.default_rng(seed).integers(edge))  # each seed begins at another place
    data = Streams(np.roll(numbers[:edge], -begin), BATCH, BPTT)
    score = partial(validation_loss, numbers=numbers[edge:])
    task = LabTask("depth", data, Metric("loss", "nats per character"), score, throughout=True)
    how = options(LEARNING_RATE, epochs=UPDATES / data.updates_per_epoch, schedule="cosine", warmup=0.02)
    trained = train(task, model, how, max(1, UPDATES // 10), shown=lambda update: update * BATCH * BPTT)
    held_out = [event["loss"] for event in trained.history if event["event"] == "validation"]
    pairs = bigram_loss(numbers[:edge], numbers[edge:], size)
    details = {
        "curve": [one | {"validation": loss} for one, loss in zip(trained.curve, held_out, strict=False)],
        "hidden": hidden,
        "parameters": sum(p.numel() for p in model.parameters()),
        "pairs": pairs,
    }
    solved = pairs is not None and trained.score < pairs
    return Outcome(solved, trained.shown, trained.score, details)


@torch.no_grad()
def validation_loss(model: Model, numbers: np.ndarray) -> float:
    """Nats a character, read as 32 streams."""
    streams = Streams(numbers, BATCH, 256)
    total, count, state = 0.0, 0, None
    for k in range(streams.updates_per_epoch):
        loss = batch_loss(model, streams.batch_at(k), state)
        total, count, state = total + float(loss.total), count + loss.count, loss.state
    return total / count


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The loss of guesses that take all characters for equally likely."""
    return math.log(text()[1])


EXPERIMENT = Experiment(
    name="depth",
    title="One, two and three layers at 150,000 parameters",
    source="the lecture: usually 2 to 3 hidden layers; the comparison at equal numbers of parameters is ours, on "
    "the source code of Python's library",
    published="no number",
    criterion="the validation loss is below that of a bigram table (this only shows that the network learns; "
    "compare the scores)",
    measure="validation loss in nats per character; lower is better",
    settings=tuple(Setting(cell, None, variant) for cell in ("lstm", "elman") for variant in DEPTHS),
    run=run,
    chance=chance,
    seeds=3,
    first_seed=101,
)
