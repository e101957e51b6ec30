"""Predicting what comes next in one long sequence: what Elman's experiments share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from unrolled.lab.experiment import Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, Parts, Trained, options, train
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Bernoulli
from unrolled.models.model import Model

SETTINGS = (Setting("elman"), Setting("lstm"), Setting("gru"))


def bits(cell: str, width: int, hidden: int, seed: int) -> Model:
    """A fresh network from bits to the probabilities of the next ones."""
    return network(cell, partial(Vectors, width), hidden, partial(Bernoulli, width=width), seed)


def read_again(
    task: LabTask,
    model: Model,
    passes: int,
    rate: float,
    done: Callable[[int, dict[str, Any]], bool] = lambda passes, record: False,
    every: int = 1,
) -> Trained:
    """Read one sequence again and again, for at most so many passes; ``sequences`` of what comes of it are passes.

    The gradient reaches back to a window's first step; Elman's own procedure cut it after one.

    Arguments:
        done: told after each ``every`` passes of their number and the record, to which it may add; true ends
            training.
    """
    updates = task.batches().updates_per_epoch

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        over, rest = divmod(update, updates)
        return not rest and (over % every == 0 or over == passes) and done(over, record)

    how = options(rate, epochs=float(passes))
    return train(task, model, how, updates * every, solved, lambda update: update // updates)


def root_mean_square(errors: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The root of the mean square over these dimensions."""
    return errors.square().mean(dim).sqrt()
