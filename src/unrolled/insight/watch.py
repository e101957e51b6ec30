"""Watching training: what plainly goes wrong, said once, with the evidence and a cure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unrolled.insight.probes import Curves
from unrolled.training.advice import Advice
from unrolled.wording import short

Warned = dict[str, Any]
"""An event: ``cause``, ``evidence`` and ``cure``, in words."""

IN_A_ROW = 3
"""So many reports in a row before a trend is called one."""

WARMED_UP = 0.2
"""From this share of the budget on curves over lags are judged: before, nothing has been learnt."""

FORGOTTEN, FELT = 1e-3, 0.1
"""Shares of the gradient at lag 0: below the first nothing is learnt; above the second much is."""

STUCK, DEAD = 0.01, 1e-4
"""A gate this near to 0 or 1 all the time does not decide; a state that varies less carries nothing."""

FEWEST = 20
"""Over fewer steps and sequences together, any unit may stand still."""

FAR_ABOVE = 10
"""So many times the limit, gradients explode, whatever the optimizer."""

LEAST_UPDATE = 3e-5
"""Smaller changes of the weights, relative to the weights, take ten thousands of updates to do anything."""

ABOVE = 0.05
"""A loss that is this many nats above the lowest has not risen plainly, however low that was."""

TOO_HIGH = "learning rate too high"
FOLLOWING = {
    "most steps clipped",
    "gradient vanishes",
    "chunk shorter than the memory",
    "gates stuck",
    "dead units",
}
"""What too high a rate brings about: once that is said, they are no causes of their own."""


@dataclass
class Watch:
    """Judges what the loop measured; each cause is warned of once a run.

    The counts are part of a checkpoint, so that a resumed run says what an uninterrupted one would.
    """

    said: list[str] = field(default_factory=list)
    fresh: bool = True
    """Whether weights were fresh at the start; trained ones may lose by a rising rate what a falling one won."""
    clipped: int = 0
    high: int = 0
    low: int = 0
    worse: int = 0
    vanishing: int = 0
    short: int = 0
    highest: float = 0.0
    """The highest learning rate so far."""
    change: float | None = None
    """The relative size of the last update that was measured."""
    train: float | None = None
    """The mean loss of the last report."""
    first_loss: float | None = None
    lowest_loss: float | None = None
    best_validation: float | None = None
    train_at_best: float | None = None

    def report(
        self, loss: float, norm: float, clipped: float, share: float, lr: float, peak: float, advice: Advice
    ) -> list[Warned]:
        """A report of training: means of loss and gradient norm, share of steps clipped, learning rate and its peak.

        Steps of an optimizer that divides by the gradient's own size are as large with clipping as without it.
        """
        warned, change, kind = [], self.change, advice.options.optimizer
        self.highest = max(self.highest, lr)
        small = change is not None and change < LEAST_UPDATE and lr > peak / 2
        cut_short = small and kind == "sgd" and clipped > 0.5  # the limit makes it small, not the rate
        rule, limit = advice.options.clipping()
        harmful = kind == "sgd" or rule == "value" or norm > FAR_ABOVE * limit
        self.clipped = self.clipped + 1 if clipped > 0.5 and harmful and share > WARMED_UP else 0
        self.low = self.low + 1 if small and not cut_short else 0
        above = self._take(loss, share)
        self.high = self.high + 1 if above and self.highest and not small else 0
        if self.high >= IN_A_ROW:
            assert self.lowest_loss is not None  # of an earlier report
            warned += self._once(
                TOO_HIGH,
                f"the loss rose from {short(self.lowest_loss, 3)} to {short(loss, 3)} nats "
                f"at rates up to {self.highest:.2g}",
                advice.rate_too_high(self.highest),
            )
        if self.clipped >= IN_A_ROW:
            warned += self._once(
                "most steps clipped",
                f"{clipped:.0%} of the gradients since the last report exceeded the limit of --clip",
                advice.clipped(change if cut_short else None),
            )
        if self.low >= IN_A_ROW:
            warned += self._once(
                "learning rate too low",
                f"an update changes the weights by {change:.0e} of their size",
                advice.rate_too_low(peak),
            )
        return warned

    def _take(self, loss: float, share: float) -> bool:
        """Keep a report's loss; whether it is plainly above the lowest, or above the first.

        That a loss is not finite is a cause of its own, and nothing that later ones could be compared with.
        """
        if not math.isfinite(loss):
            return False
        self.train = loss
        if self.first_loss is None or self.lowest_loss is None:
            self.first_loss = self.lowest_loss = loss
        self.lowest_loss = min(self.lowest_loss, loss)
        above_start = self.fresh and loss > self.first_loss and share > WARMED_UP
        return above_start or loss > self.lowest_loss + max(0.5 * abs(self.lowest_loss), ABOVE)

    def skipped(self, lr: float, advice: Advice) -> list[Warned]:
        """A loss or gradient that is not finite."""
        return self._once(
            "loss not finite",
            f"a loss or gradient was infinite or NaN at a rate of {lr:.2g}; that update was skipped",
            f"{advice.not_finite()}, if it happens again",
        )

    def lags(self, curves: Curves, share: float, advice: Advice, gated: bool = False) -> list[Warned]:
        """The gradient of one loss, by lag; whether gates keep the state."""
        warned: list[Warned] = []
        firsts = [curve for name, curve in curves.items() if name.endswith(".h")] or list(curves.values())[:1]
        if share < WARMED_UP or not firsts or len(firsts[0]) < 10:
            return warned
        states = {}
        for name, curve in curves.items():
            peak = max(curve)
            if peak > 0 and all(map(math.isfinite, curve)):  # of one that overflowed no shares are known
                states[name] = [value / peak for value in curve]
        if not states:
            return warned
        reach = {
            name: max(k for k, value in enumerate(curve) if value >= FORGOTTEN) for name, curve in states.items()
        }
        T = len(firsts[0])
        name, furthest = max(reach.items(), key=lambda item: item[1])
        self.vanishing = self.vanishing + 1 if furthest < T / 10 else 0
        if self.vanishing >= 2:
            warned += self._once(
                "gradient vanishes",
                f"{furthest + 1} steps back, the gradient of a loss is below a thousandth of its peak "
                f"(state {name}); a chunk has {T} steps",
                advice.vanishing(T, furthest, gated),
            )
        at_start = {name: curve[-1] for name, curve in states.items()}
        name, left = max(at_start.items(), key=lambda item: item[1])
        self.short = self.short + 1 if left > FELT and advice.options.carry else 0
        if self.short >= 2 and (cure := advice.chunk_too_short(T)):
            warned += self._once(
                "chunk shorter than the memory",
                f"{left:.0%} of the gradient is left at the far end of the chunk, {T - 1} steps back (state {name})",
                cure,
            )
        return warned

    def validation(self, loss: float, advice: Advice) -> list[Warned]:
        """A validation's loss."""
        train = self.train
        if not math.isfinite(loss):
            return []
        if self.best_validation is None or loss < self.best_validation:
            self.best_validation, self.train_at_best, self.worse = loss, train, 0
            self.high = 0  # losses of a few updates rise and fall with the lengths in their batches
            return []
        if self.train_at_best is None:  # the best came before the first report
            self.train_at_best = train
        falling = train is not None and self.train_at_best is not None and train < self.train_at_best
        rose = loss > self.best_validation + 0.01 * abs(self.best_validation)
        self.worse = self.worse + 1 if rose and falling else 0
        if self.worse < IN_A_ROW:  # an estimate that rises twice may fall again
            return []
        return self._once(
            "overfitting",
            f"the validation loss rose from {short(self.best_validation, 3)} to {short(loss, 3)} nats, "
            f"while the training loss fell from {self.train_at_best:.3f} to {train:.3f}",
            advice.overfitting(),
        )

    def units(
        self, looked: Iterable[tuple[str, Mapping[str, Tensor], tuple[str, ...]]], advice: Advice
    ) -> list[Warned]:
        """What the equations name, over a stretch of steps.

        Arguments:
            looked: of each layer its number, its arrays (R, width) by name, one row a step and sequence, and which of
                them are states.
        """
        stuck: dict[str, float] = {}
        dead: dict[str, float] = {}
        steps = 0
        for layer, named, states in looked:
            for name, values in named.items():
                steps = len(values)
                if steps < FEWEST:
                    continue
                if name not in states and bool((values >= 0).all()) and bool((values <= 1).all()):
                    share = float(((values < STUCK).all(0) | (values > 1 - STUCK).all(0)).float().mean())
                    if share > 0.5:
                        stuck[f"{name} of layer {layer}"] = share
                elif name == states[0]:
                    share = float(((values.amax(0) - values.amin(0)) < DEAD).float().mean())
                    if share > 0.1:
                        dead[f"{name} of layer {layer}"] = share
        warned: list[Warned] = []
        if stuck:
            warned += self._once(
                "gates stuck",
                f"{_listed(stuck)} of the units stayed within {STUCK:g} of 0 or 1 at each of {steps} steps",
                advice.stuck(),
            )
        if dead:
            warned += self._once(
                "dead units",
                f"{_listed(dead)} of the units did not change over {steps} steps",
                advice.dead(),
            )
        return warned

    def _once(self, cause: str, evidence: str, cure: str) -> list[Warned]:
        if cause in self.said or (cause in FOLLOWING and TOO_HIGH in self.said):
            return []
        self.said.append(cause)
        return [{"event": "warning", "cause": cause, "evidence": evidence, "cure": cure}]


def _listed(shares: Mapping[str, float]) -> str:
    """``f of layer 1: 62%, o of layer 2: 75%``."""
    return ", ".join(f"{name}: {share:.0%}" for name, share in shares.items())


class Change:
    """How much one update changes the weights, relative to their size."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.before = [p.detach().clone() for p in parameters]

    def size(self) -> float:
        """||w_after - w_before|| / ||w_before||."""
        now = [p.detach() for p in self.parameters]
        moved = torch.nn.utils.get_total_norm(torch._foreach_sub(now, self.before))
        return float(moved / torch.nn.utils.get_total_norm(self.before).clamp_min(1e-30))
