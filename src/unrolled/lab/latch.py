"""Latching: keep what the first inputs said through noise; and what the gradient does meanwhile."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from unrolled.cells import ElmanCell
from unrolled.cells.initial import recurrent_
from unrolled.insight import gradient_through_time, lyapunov
from unrolled.lab.answers import Problem, Recent, Training, guessed, judged, learn
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.layers import Recurrent
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Bernoulli
from unrolled.models.model import Model
from unrolled.training.batches import Batch

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

    >>> draw(1, 50, 2, np.random.default_rng(3)).targets.tolist()
    [[0.0], [0.0]]
    """
    lengths = rng.integers(lag, lag + lag // 10 + 1, size=count)
    x = rng.normal(0, VARIANCE**0.5, size=(int(lengths.max()), count))
    first = rng.integers(2, size=count)
    x[:informative] = 2 * first - 1
    x[np.arange(len(x))[:, None] >= lengths] = 0
    inputs, targets = torch.from_numpy(x[..., None]).float(), torch.from_numpy(first[:, None]).float()
    return Batch(inputs, targets, torch.from_numpy(lengths))


def difference(outputs: Tensor, targets: Tensor) -> Tensor:
    """The absolute error (N, 1) of the logistic output."""
    return (torch.sigmoid(outputs) - targets).abs()


def problem(variant: str) -> Problem:
    """The problem with one or three informative inputs."""
    made = partial(Vectors, 1), partial(Bernoulli, width=1)
    return Problem("latch", *made, partial(draw, INFORMATIVE[variant]), difference, LARGEST_ERROR)


TRAINING = Training(hidden=8, batch=50, rate=0.01, budget=200_000)
EVERY = 20
"""Updates between two tests."""


@torch.no_grad()
def is_latched(model: Model, one: Problem, batch: Batch) -> bool:
    """The criterion ST2: no test sequence is misclassified, and their mean absolute error is below 0.01."""
    outputs, _ = model(batch.inputs, lengths=batch.lengths)
    wrong, _ = judged(one, outputs, batch.targets)
    return not bool(wrong.any()) and float(difference(outputs, batch.targets).mean()) < MEAN_ERROR


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained until the criterion ST2 is met; beside an Elman network, how gradients decay in such."""
    one = problem(setting.variant)
    tested = one.draw(setting.lag or 0, TESTED, np.random.default_rng([seed, setting.lag or 0, 2]))

    def stop(model: Model, recent: Recent, update: int) -> bool:
        return update % EVERY == 0 and is_latched(model, one, tested)

    outcome = learn(one, TRAINING, setting, seed, stop)
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
    x = draw(1, steps + 1, 1, np.random.default_rng(seed)).inputs[: steps + 1].double()
    slopes = [gradient_through_time(layer, given, fit=fit).decay["1.h"] for given in (torch.zeros_like(x), x)]
    exponent = float(lyapunov(layer, x, count=1).exponents[0])
    return {"radius": float(np.log(scale)), "slope": slopes[0], "noisy": slopes[1], "exponent": exponent}


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of one class drawn at random with certainty."""

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        return 200.0 * torch.randint(2, (len(batch.targets), 1), generator=generator) - 100

    return guessed(problem(setting.variant), setting.lag or 100, guess, generator)


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
    least_lag=10,
)
