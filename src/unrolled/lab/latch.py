"""Latching: keep what the first inputs said through noise; and what the gradient does meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells import ElmanCell
from unrolled.cells.initial import recurrent_
from unrolled.insight import gradient_through_time, lyapunov
from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.predictor import Predictor
from unrolled.lab.sequences import Batch, Recent, Task, Training, guessed, judged, train
from unrolled.layers import Recurrent

THREE, ONE = "3 inputs say it", "1 input says it"
INFORMATIVE = {THREE: 3, ONE: 1}
VARIANCE = 0.2
LARGEST_ERROR, MEAN_ERROR = 0.2, 0.01
TESTED = 256
CELLS = ("lstm", "gru", "lstm1997", "elman")
SCALES = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25)
"""Of an orthogonal recurrent matrix: its spectral radius."""


def draw(informative: int, lag: int, count: int, rng: np.random.Generator) -> Batch:
    """Noise behind one or three inputs that are 1 for the first class and -1 for the second; targets 1 and 0.

    Lengths are uniform from T to T + T/10, the noise is Gaussian with variance 0.2.

    Source:
        The two-sequence problem of Y. Bengio, P. Simard & P. Frasconi (1994) as Hochreiter & Schmidhuber (1997),
        section 5.3, task 3a, have it.

    >>> draw(1, 50, 2, np.random.default_rng(3)).target
    tensor([0., 0.])
    """
    lengths = rng.integers(lag, lag + lag // 10 + 1, size=count)
    x = rng.normal(0, VARIANCE**0.5, size=(int(lengths.max()), count))
    first = rng.integers(2, size=count)
    x[:informative] = 2 * first - 1
    x[np.arange(len(x))[:, None] >= lengths] = 0
    return Batch(torch.from_numpy(x[..., None]).float(), torch.from_numpy(lengths), torch.from_numpy(first).float())


def draw_three(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """Three informative inputs."""
    return draw(3, lag, count, rng)


def draw_one(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """One informative input."""
    return draw(1, lag, count, rng)


def loss(y: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of a logistic output."""
    return F.binary_cross_entropy_with_logits(y[:, 0], target)


def difference(y: Tensor, target: Tensor) -> Tensor:
    """The absolute error (N, 1) of the logistic output."""
    return (torch.sigmoid(y[:, 0]) - target)[:, None].abs()


def task(variant: str) -> Task:
    """The problem with one or three informative inputs."""
    return Task(1, 1, draw_three if variant == THREE else draw_one, loss, difference, LARGEST_ERROR)


TRAINING = Training(hidden=8, batch=50, rate=0.01, budget=200_000)
EVERY = 20
"""Updates between two tests."""


class TestSet:
    """The criterion ST2: none of 256 test sequences is misclassified, and their mean absolute error is below 0.01."""

    __test__ = False

    def __init__(self, one: Task, lag: int, seed: int) -> None:
        self._task = one
        self._batch = one.draw(lag, TESTED, np.random.default_rng([seed, lag, 2]))

    @torch.no_grad()
    def met(self, net: Predictor) -> bool:
        """Whether a network meets it."""
        y = net.last(self._batch.x, self._batch.lengths)
        wrong, _ = judged(self._task, y, self._batch.target)
        return not bool(wrong.any()) and float(difference(y, self._batch.target).mean()) < MEAN_ERROR


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained until the criterion ST2 is met; beside an Elman network, how gradients decay in such."""
    one, lag = task(setting.variant), setting.lag or 0
    tested = TestSet(one, lag, seed)

    def solved(net: Predictor, recent: Recent, shown: int) -> bool:
        return shown // TRAINING.batch % EVERY == 0 and tested.met(net)

    outcome = train(one, TRAINING, setting, seed, solved)
    if setting.cell == "elman":
        outcome.details["decay"] = [decay(scale, seed) for scale in SCALES]
    return outcome


def decay(scale: float, seed: int, hidden: int = 16, steps: int = 300) -> dict[str, float]:
    """The measured slope of log |dL_T/dh_{T-k}| against k, in a tanh network with an orthogonal matrix.

    Arguments:
        scale: of the matrix, its spectral radius.

    Returns:
        ``radius``, the logarithm of the spectral radius; ``slope`` without input, and ``noisy`` with the
        inputs of the task; ``exponent``, the largest Lyapunov exponent with these.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = Recurrent(recurrent_(ElmanCell(1, hidden), "orthogonal", scale))
    fit = (steps // 5, steps)
    x = draw(1, steps + 1, 1, np.random.default_rng(seed)).x[: steps + 1].double()
    slopes = [gradient_through_time(layer, given, fit=fit).decay["1.h"] for given in (torch.zeros_like(x), x)]
    exponent = float(lyapunov(layer, x, count=1).exponents[0])
    return {"radius": float(np.log(scale)), "slope": slopes[0], "noisy": slopes[1], "exponent": exponent}


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of one class drawn at random with certainty."""

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        return 200.0 * torch.randint(2, (len(batch.target), 1), generator=generator) - 100

    return guessed(task(setting.variant), setting.lag or 100, guess, generator)


def draw_latch(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The slope of the gradient against the spectral radius, as measured, and the training curves."""
    from unrolled.lab.figures import draw_curves, draw_decay

    measured = [d for of in outcomes.values() for o in of for d in o.details.get("decay", [])]
    return draw_decay(measured) if measured else draw_curves(experiment, outcomes)


EXPERIMENT = Experiment(
    name="latch",
    title="Latching through noise: the two-sequence problem",
    source="Y. Bengio, P. Simard & P. Frasconi, Learning long-term dependencies with gradient descent is difficult, "
    "IEEE Transactions on Neural Networks 5 (1994); sizes and criterion of S. Hochreiter & J. Schmidhuber, Neural "
    "Computation 9 (1997), section 5.3, task 3a",
    published="LSTM: 39,850 sequences at T = 100 with 3 informative inputs, 64,330 with 1; 452,460 at T = 1,000 "
    "with 3 (Table 4, means of 10 trials)",
    criterion="none of 256 test sequences is misclassified (error of 0.2 or more) and their mean absolute error is "
    "below 0.01 (ST2)",
    measure="share of 2,560 fresh sequences misclassified",
    settings=tuple(Setting(cell, lag, v) for lag, v in ((100, THREE), (100, ONE), (1000, THREE)) for cell in CELLS),
    run=run,
    chance=chance,
    published_at={
        (100, THREE): "LSTM: 39,850 sequences (Table 4)",
        (100, ONE): "LSTM: 64,330 sequences (Table 4)",
        (1000, THREE): "LSTM: 452,460 sequences (Table 4)",
    },
    draw=draw_latch,
    least_lag=10,
)
