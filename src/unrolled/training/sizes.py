"""Sizes that a person did not name, from the data and the time allowed."""

from __future__ import annotations

import math
from dataclasses import replace

from unrolled.errors import UsageError
from unrolled.models.options import ModelOptions
from unrolled.training.options import TrainingOptions

MINUTES = 3.0
"""The budget when a person names none."""

_DECAY = {"muon": 0.1}
"""Weight decay where none is named: without it, matrices that Muon moves grow through a whole training."""

_LOAD = 4.0
"""Readings times weights for each symbol up to which dropout only slows down learning."""

_SPEED = 25_000 * 256**2
"""Characters a second on two cores at one layer of 256, times the weights of a gate: a guess at any width."""


def choose_sizes(
    model: ModelOptions,
    training: TrainingOptions,
    symbols: int,
    sequences: int | None = None,
    optimizer: str = "adam",
) -> tuple[ModelOptions, TrainingOptions]:
    """Fill in what was left open.

    The width grows with the number of symbols that the budget can read, since a larger network needs more
    of them. Batches are small and updates many in a short run; longer runs take larger batches, which
    the processor likes, as far as the optimizer does.

    Arguments:
        symbols: the length of the training part.
        sequences: how many separate sequences that is; None for one stream.
        optimizer: where none is named.

    Raises:
        UsageError: separate sequences, and a setting that only a stream has.
    """
    if sequences is not None:
        training = _unrolled_whole(training)
    if training.minutes is None and training.epochs is None:
        training = replace(training, minutes=MINUTES)
    hidden = model.hidden or _hidden(training, symbols)
    layers = model.layers or 1
    seen = symbols_in_budget(training, symbols, hidden, layers)
    chunk = training.update_every or training.bptt or 100
    if sequences is not None:
        chunk = max(1, symbols // max(sequences, 1))
    optimizer = training.optimizer or optimizer
    batch = training.batch or _batch(chunk, symbols, seen, 1 if sequences is not None else 8, optimizer)
    dropout = model.dropout if model.dropout is not None else _dropout(seen, symbols, hidden, layers)
    lr = training.lr if training.lr is not None else _learning_rate(optimizer, hidden)
    ema = training.ema if training.ema is not None else 0.99
    decay = training.weight_decay if training.weight_decay is not None else _DECAY.get(optimizer, 0.0)
    model = replace(model, hidden=hidden, layers=layers, dropout=dropout, direction=model.direction or "forward")
    return model, replace(training, batch=batch, optimizer=optimizer, lr=lr, weight_decay=decay, ema=ema)


def _unrolled_whole(training: TrainingOptions) -> TrainingOptions:
    """Settings for sequences that are not cut."""
    if training.bptt not in (0, TrainingOptions().bptt):
        raise UsageError("--bptt: these sequences are separate, and each is unrolled whole: leave it out")
    if training.update_every is not None:
        raise UsageError("--update-every: these sequences are separate, and each is unrolled whole: leave it out")
    return replace(training, bptt=0)


def symbols_in_budget(training: TrainingOptions, symbols: int, hidden: int, layers: int) -> int:
    """About how many symbols the budget trains on."""
    if training.epochs is not None:
        return int(training.epochs * symbols)
    assert training.minutes is not None
    return int(training.minutes * 60 * _SPEED / (hidden**2 * layers))


def _hidden(training: TrainingOptions, symbols: int) -> int:
    """A multiple of 32 from 64 to 1024: 256 for three minutes, or for 3.4 million symbols."""
    if training.epochs is not None:
        width = 256 * (training.epochs * symbols / 3.4e6) ** 0.6
    else:
        assert training.minutes is not None
        width = 256 * (training.minutes / MINUTES) ** 0.3
    fits = 64 * (symbols / 10_000) ** 0.5  # a small text is learnt by heart by a large network
    return 32 * round(min(max(min(width, fits), 64), 1024) / 32)


def _batch(chunk: int, symbols: int, seen: int, fewest: int, optimizer: str) -> int:
    """A power of two that leaves 1,500 updates, and a part of the data as long as ``fewest`` chunks side by side.

    Muon needs fewer updates, each of which takes it longer, and finds better weights with batches that stay small.
    """
    updates, most = (500, 16) if optimizer == "muon" else (1_500, 64)
    batch = 1
    while batch < most and seen / (2 * batch * chunk) > updates and symbols / (2 * batch) > fewest * chunk:
        batch *= 2
    return batch


def _dropout(seen: int, symbols: int, hidden: int, layers: int) -> float:
    """None while the network is small for what it reads, or reads it a few times; then more with each doubling.

    What is doubled is the number of times that the data are read, times the recurrent and input weights for each of
    their symbols: a network that is far smaller than its data cannot learn them by heart.
    """
    symbols = max(symbols, 1)
    load = seen / symbols * 8 * hidden**2 * layers / symbols
    wanted = 0.1 * math.log2(max(load, 1) / _LOAD)
    return round(min(0.5, wanted), 2) if wanted >= 0.05 else 0.0


def _learning_rate(optimizer: str, hidden: int) -> float:
    """Peak learning rates that were measured to work, smaller for wider networks."""
    peak = {"adam": 1e-2, "adamw": 1e-2, "muon": 5e-3, "rmsprop": 3e-3, "sgd": 1.0}[optimizer]
    return float(f"{peak * (256 / max(hidden, 128)) ** 0.5:.2g}")
