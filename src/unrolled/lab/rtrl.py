"""A memory longer than the window: exact gradients forward in time beside truncated backpropagation."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.predictor import Predictor, update
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
        inputs (trials, lag + 1, N, 5); answers (trials, N), 0 or 1.

    >>> x, answers = draw(np.random.default_rng(0), 1, 1, lag=4)
    >>> x.argmax(-1).flatten().tolist(), answers.tolist()
    ([1, 3, 2, 2, 4], [[1]])
    """
    answers = rng.integers(2, size=(trials, streams))
    symbols = rng.integers(2, size=(trials, lag + 1, streams)) + DISTRACTORS[0]
    symbols[:, 0], symbols[:, lag] = answers, QUERY
    return F.one_hot(torch.from_numpy(symbols), SYMBOLS).float(), torch.from_numpy(answers)


class Windowed:
    """A learner whose losses reach back over the last ``window`` steps: truncated backpropagation through time."""

    def __init__(self, net: Predictor, window: int) -> None:
        self.net = net
        self.window = window
        self.state: Any = None

    def read(self, x: Tensor) -> Tensor:
        """One trial (lag + 1, N, D) to h at its last step."""
        before = len(x) - self.window
        with torch.no_grad():
            if before:
                _, self.state = self.net.layer(x[:before], self.state)
        h, state = self.net.layer(x[before:], self.state)
        self.state = tuple(s.detach() for s in state)
        return h[-1]


class Forward:
    """A learner whose losses reach back through all of the past: RTRL."""

    def __init__(self, net: Predictor) -> None:
        self.rtrl = RTRL(net.layer, STREAMS)

    def read(self, x: Tensor) -> Tensor:
        """One trial (lag + 1, N, D) to h at its last step."""
        for x_t in x:
            h, _ = self.rtrl.step(x_t)
        return h


@torch.no_grad()
def share_right(net: Predictor, seed: int, lag: int) -> float:
    """The share of right answers in fresh streams."""
    x, answers = draw(np.random.default_rng([seed, 1]), TEST // STREAMS, STREAMS, lag)
    y, _, _ = net(x.flatten(0, 1))
    return float((y[lag :: lag + 1].argmax(-1) == answers).float().mean())


def run(setting: Setting, seed: int) -> Outcome:
    """Learn from streams that never end, one update a query, until all answers in fresh streams are right."""
    begun = time.process_time()
    lag = setting.lag or LAG
    net = Predictor(setting.cell, SYMBOLS, HIDDEN, len(CUES), seed)
    reach = VARIANTS[setting.variant]
    learner = Forward(net) if reach is None else Windowed(net, reach(lag))
    first = truncation(net, lag, seed) if reach is None else None
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    rng = np.random.default_rng([seed, 1989])
    curve: list[dict[str, float]] = []
    losses = []
    for k in range(1, TRIALS + 1):
        x, answers = draw(rng, 1, STREAMS, lag)
        losses.append(update(net, optimizer, F.cross_entropy(net.map(learner.read(x[0])), answers[0])))
        if k % EVERY == 0:
            right = share_right(net, seed, lag)
            curve.append({"sequences": k * STREAMS, "loss": float(np.mean(losses)), "right": right})
            losses = []
            if right == 1:
                break
    details: dict[str, Any] = {"curve": curve}
    if first is not None:
        details |= {"truncation": {"at first": first, "at last": truncation(net, lag, seed)}}
    score = curve[-1]["right"]
    return Outcome(score == 1, int(curve[-1]["sequences"]), time.process_time() - begun, score, details)


def truncation(net: Predictor, lag: int, seed: int, trials: int = 10) -> dict[str, Any]:
    """How far gradients of truncated losses are from the exact one, in double precision, with the weights held.

    The losses are those of the last half of the trials, each reaching back over k steps: ``window`` lists the k,
    ``cosine`` the cosine with the exact gradient of the recurrent layer, ``ratio`` the norm as a share of the exact
    one. ``difference`` is the largest between any entry of the gradients of RTRL and of backpropagation through
    all steps, ``largest`` the largest entry.
    """
    net = copy.deepcopy(net).double()
    x, answers = draw(np.random.default_rng([seed, 2]), trials, STREAMS, lag)
    x, half = x.double(), trials // 2
    steps = x.flatten(0, 1)
    queries = [(k + 1) * (lag + 1) - 1 for k in range(half, trials)]

    def gradient(h: Tensor) -> Tensor:
        loss = F.cross_entropy(net.map(h).flatten(0, -2), answers[half:].flatten())
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.layer.parameters()))])

    exact = gradient(net.layer(steps)[0][queries])
    rtrl = RTRL(net.layer, STREAMS)
    forward = gradient(torch.stack([rtrl.step(x_t)[0] for x_t in steps])[queries])
    windows = list(range(1, 2 * lag + 1))
    found = [gradient(_cut(net, steps, queries, k)) for k in windows]
    return {
        "window": windows,
        "cosine": [float(F.cosine_similarity(g, exact, dim=0)) for g in found],
        "ratio": [float(g.norm() / exact.norm()) for g in found],
        "difference": float((forward - exact).abs().max()),
        "largest": float(exact.abs().max()),
    }


def _cut(net: Predictor, steps: Tensor, queries: list[int], k: int) -> Tensor:
    """h at the queries, each with a graph of its own k steps: all windows side by side, as one batch."""
    windows, states = [], []
    with torch.no_grad():
        for query in queries:
            windows.append(steps[query - k + 1 : query + 1])
            states.append(net.layer(steps[: query - k + 1])[1])
    state = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    h, _ = net.layer(torch.cat(windows, dim=1), state)
    return h[-1].unflatten(0, (len(queries), STREAMS))


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of right answers of guesses."""
    return float(torch.randint(2, (2, TEST), generator=generator).diff(dim=0).eq(0).float().mean())


def picture(experiment: Experiment, outcomes: Outcomes) -> Any:
    """Right answers while learning, and how far truncated gradients are from the exact one, by window."""
    figure = new_figure(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    cells = dict(zip(CELLS, COLOURS, strict=False))
    styles = dict(zip(VARIANTS, ("-", ":", "--"), strict=True))
    for setting, of in outcomes.items():
        queries, shares = _by_queries(of)
        style, label = styles[setting.variant], f"{setting.cell}, {setting.variant}"
        left.plot(queries, np.median(shares, axis=0), style, color=cells[setting.cell], linewidth=1.4, label=label)
        curves = [outcome.details["truncation"] for outcome in of if "truncation" in outcome.details]
        for when, style in (("at first", ":"), ("at last", "-")) if curves else ():
            mean = np.mean([c[when]["cosine"] for c in curves], axis=0)
            label = f"{setting.cell}, weights {when}"
            right.plot(curves[0][when]["window"], mean, style, color=cells[setting.cell], label=label)
    lag = setting.lag or LAG
    right.axvline(lag + 1, color="#888888", linewidth=1)
    right.text(lag + 1.2, 0.02, "the cue", color="#555555", fontsize=8, transform=right.get_xaxis_transform())
    left.set_xscale("log")
    left.set_ylim(0.4, 1.03)
    left.set_xlabel("queries answered")
    left.set_ylabel("right answers in fresh streams")
    left.set_title(f"a cue {lag} steps before the query, median of seeds", fontsize=10)
    left.legend(fontsize=7, frameon=False, labelspacing=0.25, loc="upper right")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel("window, in steps")
    right.set_ylabel("cosine with the exact gradient")
    right.set_title("truncated gradients, mean of seeds", fontsize=10)
    right.legend(fontsize=7, frameon=False)
    for axes in (left, right):
        bare(axes)
    return figure


def _by_queries(outcomes: list[Outcome]) -> tuple[list[int], np.ndarray]:
    """The share of right answers of each seed (seeds, tests); one that has learnt it stays where it ended."""
    curves = [[(c["sequences"], c["right"]) for c in outcome.details["curve"]] for outcome in outcomes]
    queries = [at for at, _ in max(curves, key=len)]
    shares = [[share for _, share in curve] + [curve[-1][1]] * (len(queries) - len(curve)) for curve in curves]
    return queries, np.array(shares)


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
    draw=picture,
    seeds=10,
    first_seed=101,
)
