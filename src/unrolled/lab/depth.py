"""One, two and three hidden layers with the same number of parameters, on text."""

from __future__ import annotations

import math
import sysconfig
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.cells.registry import CELLS
from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.predictor import update
from unrolled.layers.stack import Stack
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.tasks.text.baselines import bigram_loss
from unrolled.training.bptt import batch_loss
from unrolled.training.schedule import cosine
from unrolled.training.streams import Streams

CHARACTERS = 1_000_000
VALIDATION = 0.1
PARAMETERS = 150_000
EMBEDDING = 64
DEPTHS = {"1 layer": 1, "2 layers": 2, "3 layers": 3}
MAPS = {"lstm": 4, "gru": 3, "elman": 1}
"""Linear maps of each input in a cell: its gates and candidates."""

UPDATES = 4000
BATCH, BPTT = 32, 64
LEARNING_RATE = 0.005
EVERY = 500


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stack = Stack([CELLS[cell](hidden if k else EMBEDDING, hidden) for k in range(layers)])
        return Model(Embedding(size, EMBEDDING), stack, Softmax(hidden, size))


def parameters(cell: str, layers: int, hidden: int, size: int) -> int:
    """How many a model has.

    Equation::

        V E + G (E + H + 1) H + (L - 1) G (2 H + 1) H + (H + 1) V

    with the G maps of the cell, the V characters, and the E numbers that stand for each.
    """
    G = MAPS[cell]
    lowest, others = G * (EMBEDDING + hidden + 1) * hidden, G * (2 * hidden + 1) * hidden
    return size * EMBEDDING + lowest + (layers - 1) * others + (hidden + 1) * size


def width(cell: str, layers: int, size: int, wanted: int = PARAMETERS) -> int:
    """The H whose model is closest to ``wanted`` parameters.

    >>> [width("lstm", layers, 96) for layers in (1, 2, 3)]
    [150, 95, 76]
    """
    hidden = 1
    while parameters(cell, layers, hidden, size) < wanted:
        hidden += 1
    return min(hidden, hidden - 1, key=lambda H: abs(parameters(cell, layers, H, size) - wanted))


def run(setting: Setting, seed: int) -> Outcome:
    """Train on a budget of characters, the same for all; the score is the loss on the whole validation part."""
    begun = time.process_time()
    numbers, size = text()
    edge = round(len(numbers) * (1 - VALIDATION))
    layers = DEPTHS[setting.variant]
    hidden = width(setting.cell, layers, size)
    model = build(setting.cell, layers, hidden, size, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    begin = int(np.random.default_rng(seed).integers(edge))  # each seed begins at another place
    streams = Streams(np.roll(numbers[:edge], -begin), BATCH, BPTT)
    curve: list[dict[str, float]] = []
    losses, state = [], None
    for k in range(UPDATES):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * cosine(k / UPDATES, 0.02)
        batch = streams.batch_at(k)
        loss = batch_loss(model, batch, state if batch.continues else None)
        total, count, state = loss.total, loss.count, loss.state
        losses.append(update(model, optimizer, total / count))
        if (k + 1) % EVERY == 0:
            held_out = validation_loss(model, numbers[edge:])
            shown = (k + 1) * BATCH * BPTT
            curve.append({"sequences": shown, "loss": float(np.mean(losses)), "validation": held_out})
            losses = []
    score = curve[-1]["validation"]
    pairs = bigram_loss(numbers[:edge], numbers[edge:], size)
    details = {
        "curve": curve,
        "hidden": hidden,
        "parameters": sum(p.numel() for p in model.parameters()),
        "pairs": pairs,
    }
    solved = pairs is not None and score < pairs
    return Outcome(solved, UPDATES * BATCH * BPTT, time.process_time() - begun, score, details)


@torch.no_grad()
def validation_loss(model: Model, numbers: np.ndarray) -> float:
    """Nats a character, read as 32 streams."""
    streams = Streams(numbers, BATCH, 256)
    losses, counted, state = 0.0, 0, None
    for k in range(streams.updates_per_epoch):
        loss = batch_loss(model, streams.batch_at(k), state)
        total, count, state = loss.total, loss.count, loss.state
        losses, counted = losses + float(total), counted + count
    return losses / counted


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The loss of guesses that take all characters for equally likely."""
    return math.log(text()[1])


def picture(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The validation loss over the characters read, one line a seed."""
    figure = new_figure(6.4, 4)
    axes = figure.add_subplot()
    cells = list(dict.fromkeys(setting.cell for setting in outcomes))
    for setting, of in outcomes.items():
        colour = COLOURS[list(DEPTHS).index(setting.variant)]
        style = ("-", "--", ":")[cells.index(setting.cell)]
        for k, outcome in enumerate(of):
            curve = outcome.details["curve"]
            axes.plot(
                [c["sequences"] / 1e6 for c in curve],
                [c["validation"] for c in curve],
                style,
                color=colour,
                linewidth=1.2,
                label=f"{setting}: {outcome.details['hidden']} units a layer" if k == 0 else "_",
            )
    axes.set_xlabel("million characters read")
    axes.set_ylabel("validation loss, nats a character")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure


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
    draw=picture,
    seeds=3,
    first_seed=101,
)
