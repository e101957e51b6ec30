"""Sizes that a person did not name, from the data and the time allowed."""

from __future__ import annotations

from dataclasses import replace

from unrolled.tasks.text.options import TextOptions
from unrolled.training.options import TrainingOptions

MINUTES = 3.0
"""The budget when a person names none."""

_SPEED = 30_000 * 192**2
"""Characters a second on two cores at one layer of 192, times the weights of a gate: a guess at any width."""


def choose_sizes(
    text: TextOptions, training: TrainingOptions, symbols: int
) -> tuple[TextOptions, TrainingOptions]:
    """Fill in what was left open.

    The width grows with the number of symbols that the budget can read, since a larger network needs more
    of them. Batches are small and updates many in a short run; longer runs take larger batches, which
    the processor likes.

    Arguments:
        symbols: the length of the training part.
    """
    if training.minutes is None and training.epochs is None:
        training = replace(training, minutes=MINUTES)
    hidden = text.hidden or _hidden(training, symbols)
    layers = text.layers or 1
    seen = symbols_in_budget(training, symbols, hidden, layers)
    batch = training.batch or _batch(training, symbols, seen)
    epochs = seen / max(symbols, 1)
    dropout = text.dropout if text.dropout is not None else _dropout(epochs)
    lr = training.lr if training.lr is not None else _learning_rate(training.optimizer, hidden)
    ema = training.ema if training.ema is not None else 0.99
    text = replace(text, hidden=hidden, layers=layers, dropout=dropout)
    return text, replace(training, batch=batch, lr=lr, ema=ema)


def symbols_in_budget(training: TrainingOptions, symbols: int, hidden: int, layers: int) -> int:
    """About how many symbols the budget trains on."""
    if training.epochs is not None:
        return int(training.epochs * symbols)
    assert training.minutes is not None
    return int(training.minutes * 60 * _SPEED / (hidden**2 * layers))


def _hidden(training: TrainingOptions, symbols: int) -> int:
    """A multiple of 32 from 64 to 1024."""
    if training.epochs is not None:
        work = (training.epochs * symbols / 5.4e6) ** 0.5
    else:
        assert training.minutes is not None
        work = (training.minutes / MINUTES) ** 0.3
    fits = (symbols / 10_000) ** 0.5  # a small text is learnt by heart by a large network
    return 32 * round(min(max(192 * work, 64), max(64 * fits, 64), 1024) / 32)


def _batch(training: TrainingOptions, symbols: int, seen: int) -> int:
    """A power of two that leaves some thousand updates and at least eight chunks a stream."""
    chunk = training.update_every or training.bptt or 100
    batch = 1
    while batch < 64 and seen / (2 * batch * chunk) > 5_000 and symbols / (2 * batch) > 8 * chunk:
        batch *= 2
    return batch


def _dropout(epochs: float) -> float:
    """None while the text is read a few times, then more with each reading."""
    return round(min(0.5, max(0.0, 0.1 * (epochs / 10) ** 0.5 if epochs > 10 else 0.0)), 2)


def _learning_rate(optimizer: str, hidden: int) -> float:
    """Peak learning rates that were measured to work, smaller for wider networks."""
    scale = (192 / hidden) ** 0.5
    return float(f"{ {'adam': 4e-3, 'adamw': 4e-3, 'rmsprop': 2e-3, 'sgd': 0.5}[optimizer] * scale:.2g}")
