"""Predicting what comes next in one long sequence: what Elman's experiments share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from unrolled.lab.experiment import Setting
from unrolled.lab.network import Vectors, network
from unrolled.lab.task import LabTask, Parts, Trained, options, train
from unrolled.models.heads import Bernoulli
from unrolled.models.model import Model
from unrolled.training.streams import Streams
from unrolled.training.task import Metric

SETTINGS = (Setting("elman"), Setting("lstm"), Setting("gru"))


class Prediction(LabTask):
    """The next step of one long sequence, read as parallel streams again and again.

    The gradient reaches back to a window's first step; Elman's own procedure cut it after one.

    Arguments:
        name: of the experiment.
        steps: the sequence, (S,) whole numbers or (S, width) numbers.
        streams, window: N, and steps between two updates.
        measure: the score, and what measures it.
    """

    def __init__(
        self,
        name: str,
        steps: np.ndarray,
        streams: int,
        window: int,
        measure: tuple[Metric, Callable[[Model], float]],
    ) -> None:
        super().__init__(name, Streams(steps, streams, window))
        self.criterion, self._measure = measure

    def score(self, model: Model) -> float:
        """The experiment's measure."""
        return self._measure(model)


def bits(cell: str, width: int, hidden: int, seed: int) -> Model:
    """A fresh network from bits to the probabilities of the next ones."""
    return network(cell, partial(Vectors, width), hidden, partial(Bernoulli, width=width), seed)


def read_again(
    task: Prediction,
    model: Model,
    passes: int,
    rate: float,
    done: Callable[[int, dict[str, Any]], bool] = lambda passes, record: False,
    every: int = 1,
) -> Trained:
    """Train for so many passes over the sequence; the rate of Adam falls linearly to zero over all of them.

    Arguments:
        passes: at most.
        done: told after each ``every`` passes of their number and the record, to which it may add; true ends
            training.

    Returns:
        What came of it; its ``sequences`` are passes.
    """
    updates = task.batches().updates_per_epoch

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        over, rest = divmod(update, updates)
        return not rest and (over % every == 0 or over == passes) and done(over, record)

    return train(
        task, model, options(rate, epochs=float(passes)), updates * every, solved, lambda update: update // updates
    )


def root_mean_square(errors: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The root of the mean square over these dimensions."""
    return errors.square().mean(dim).sqrt()
