"""A memory longer than the window: exact gradients forward in time beside truncated backpropagation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, Parts, options, train
from unrolled.models.encoders import OneHot
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.batches import Batch
from unrolled.training.bptt import batch_loss
from unrolled.training.drawn import Drawn
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.rtrl import RTRL

LAG = 10
CELLS = ("elman", "lstm", "gru")
VARIANTS = {"RTRL": None, "window T / 2": lambda lag: lag // 2, "window T + 1": lambda lag: lag + 1}
"""How far back a loss reaches, in steps: RTRL through all of the past."""

HIDDEN = 8
STREAMS = 8
LEARNING_RATE = 0.01
TRIALS = 3000
"""In each stream, at most: one update a trial."""
EVERY = 20
TEST = 1000
CUES, DISTRACTORS, QUERY = (0, 1), (2, 3), 4
SYMBOLS = 5


def draw(rng: np.random.Generator, trials: int, streams: int, lag: int) -> tuple[Tensor, Tensor]:
    """Trials behind one another: a cue, ``lag`` - 1 random distractors, and the query, whose answer is the cue.

    Shapes:
        symbols (trials, lag + 1, N); answers (trials, N), 0 or 1.

    >>> x, answers = draw(np.random.default_rng(0), 1, 1, lag=4)
    >>> x.flatten().tolist(), answers.tolist()
    ([1, 3, 2, 2, 4], [[1]])
    """
    answers = rng.integers(2, size=(trials, streams))
    symbols = rng.integers(2, size=(trials, lag + 1, streams)) + DISTRACTORS[0]
    symbols[:, 0], symbols[:, lag] = answers, QUERY
    return torch.from_numpy(symbols), torch.from_numpy(answers)


def trial(lag: int, streams: int, rng: np.random.Generator) -> Batch:
    """One trial, behind those before it, whose last step alone has a loss."""
    symbols, answers = draw(rng, 1, streams, lag)
    return Batch(symbols[0], answers.expand(lag + 1, -1), continues=True, counted=1)


def windowed(window: int) -> Callable[[Model, Batch, Any], Loss]:
    """The loss of a query that reaches back over the last ``window`` steps: truncated backpropagation."""

    def loss(model: Model, batch: Batch, state: Any) -> Loss:
        before = len(batch.inputs) - window
        if before:
            with torch.no_grad():
                _, state = model.unroll(model.encoder(batch.inputs[:before]), state)
        return batch_loss(model, replace(batch, inputs=batch.inputs[before:], targets=batch.targets[before:]), state)

    return loss


def forward(model: Model) -> Callable[[Model, Batch, Any], Loss]:
    """The loss of a query that reaches back through all of the past: RTRL carries states and gradients itself."""
    rtrl = RTRL(model.stack, STREAMS)

    def loss(model: Model, batch: Batch, state: Any) -> Loss:
        if not model.training:  # a probe reads a few streams again: they are not what comes next
            return batch_loss(model, batch, state)
        for x_t in model.encoder(batch.inputs):
            h, _ = rtrl.step(x_t)
        return Loss(*model.head.loss(model.read(h), batch.targets[-1]))

    return loss


def begin(cell: str, hidden: int, seed: int) -> Model:
    """A fresh network from symbols to the two answers."""
    return network(cell, partial(OneHot, SYMBOLS), hidden, partial(Softmax, vocabulary_size=len(CUES)), seed)


@torch.no_grad()
def share_right(model: Model, seed: int, lag: int) -> float:
    """The share of right answers in fresh streams."""
    symbols, answers = draw(np.random.default_rng([seed, 1]), TEST // STREAMS, STREAMS, lag)
    outputs, _ = model(symbols.flatten(0, 1))
    return float((outputs[lag :: lag + 1].argmax(-1) == answers).float().mean())


def run(setting: Setting, seed: int) -> Outcome:
    """Learn from streams that never end, one update a query, until all answers in fresh streams are right."""
    lag = setting.lag or LAG
    model = begin(setting.cell, HIDDEN, seed)
    reach = VARIANTS[setting.variant]
    data = Drawn(partial(trial, lag), STREAMS, TRIALS, [seed, 1989, 0])
    right = partial(share_right, seed=seed, lag=lag)
    loss = forward(model) if reach is None else windowed(reach(lag))
    task = LabTask("rtrl", data, Metric("right", "of the answers", higher=True), right, loss)
    first = truncation(model, lag, seed) if reach is None else None

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        if update % EVERY:
            return False
        record["right"] = right(model)
        return record["right"] == 1

    trained = train(task, model, options(LEARNING_RATE, schedule="constant"), EVERY, solved)
    details: dict[str, Any] = {"curve": trained.curve}
    if first is not None:
        details |= {"truncation": {"at first": first, "at last": truncation(model, lag, seed)}}
    return Outcome(trained.score == 1, trained.shown, trained.score, details)


def truncation(model: Model, lag: int, seed: int, trials: int = 10) -> dict[str, Any]:
    """How far gradients of truncated losses are from the exact one, in double precision, with the weights held.

    The losses are those of the last half of the trials, each reaching back over k steps: ``window`` lists the k,
    ``cosine`` the cosine with the exact gradient of the recurrent layer, ``ratio`` the norm as a share of the exact
    one. ``difference`` is the largest between any entry of the gradients of RTRL and of backpropagation through
    all steps, ``largest`` the largest entry.
    """
    model = copy.deepcopy(model).double()
    symbols, answers = draw(np.random.default_rng([seed, 2]), trials, STREAMS, lag)
    steps, half = model.encoder(symbols.flatten(0, 1)), trials // 2
    queries = [(k + 1) * (lag + 1) - 1 for k in range(half, trials)]

    def gradient(h: Tensor) -> Tensor:
        loss = F.cross_entropy(model.read(h).flatten(0, -2), answers[half:].flatten())
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.stack.parameters()))])

    exact = gradient(model.unroll(steps)[0][queries])
    rtrl = RTRL(model.stack, STREAMS)
    ahead = gradient(torch.stack([rtrl.step(x_t)[0] for x_t in steps])[queries])
    windows = list(range(1, 2 * lag + 1))
    found = [gradient(_cut(model, steps, queries, k)) for k in windows]
    return {
        "window": windows,
        "cosine": [float(F.cosine_similarity(g, exact, dim=0)) for g in found],
        "ratio": [float(g.norm() / exact.norm()) for g in found],
        "difference": float((ahead - exact).abs().max()),
        "largest": float(exact.abs().max()),
    }


def _cut(model: Model, steps: Tensor, queries: list[int], k: int) -> Tensor:
    """h at the queries, each with a graph of its own k steps: all windows side by side, as one batch."""
    layer = model.stack.layers[0]
    windows, states = [], []
    with torch.no_grad():
        for query in queries:
            windows.append(steps[query - k + 1 : query + 1])
            states.append(layer(steps[: query - k + 1])[1])
    state = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    h, _ = layer(torch.cat(windows, dim=1), state)
    return h[-1].unflatten(0, (len(queries), STREAMS))


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of right answers of guesses."""
    return float(torch.randint(2, (2, TEST), generator=generator).diff(dim=0).eq(0).float().mean())


EXPERIMENT = Experiment(
    name="rtrl",
    title="A memory longer than the window: RTRL",
    source="the method: R. Williams & D. Zipser, A learning algorithm for continually running fully recurrent neural "
    "networks, Neural Computation 1 (1989); the task is ours",
    published="no number for this task; the paper shows what such networks of 2 to 15 units learn in streams",
    criterion="every answer is right in fresh streams of 1,000 queries",
    measure="share of correct answers",
    settings=tuple(Setting(cell, LAG, variant) for cell in CELLS for variant in VARIANTS),
    run=run,
    chance=chance,
    seeds=10,
    first_seed=101,
)
