"""What a recall came to: a stored pattern, something near it, its negative, a mixture, another state, a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unrolled.wording import counted

OUTCOMES = {
    "recalled": "a stored pattern",
    "near": "settled near a stored pattern or its negative",
    "reversed": "the negative of a stored pattern",
    "mixture": "a mixture of stored patterns",
    "spurious": "settled far from every stored pattern",
    "cycle": "cycling forever",
    "unfinished": "still changing when the steps ran out",
}
"""What `Recall.outcome` can say."""

NEAR = 0.9
"""The overlap from which a state is near a pattern, or is called a mixture."""
SAME = 0.99
"""The overlap from which a graded state is a pattern; binary ones must be equal in every unit."""

_AT_ONCE = 256
"""States that are held against mixtures together."""


@dataclass(frozen=True)
class Mixture:
    """Patterns whose weighted majority a state is: ``sign(sum sign_k xi_k)``, and its overlap with the state."""

    patterns: tuple[int, ...]
    signs: tuple[int, ...]
    overlap: float

    def __str__(self) -> str:
        parts = [f"{'+' if s > 0 else '-'}{k + 1}" for k, s in zip(self.patterns, self.signs, strict=True)]
        return f"{' '.join(parts)} (overlap {self.overlap:.2f})"


@dataclass(frozen=True)
class Recall:
    """What `Hopfield.recall` returns.

    Shapes:
        ``state`` as the start was given, (N,) or (R, N); ``outcome``, ``pattern``, ``steps``, ``period`` and
        ``mixture`` one entry a state; ``overlaps`` (R, P); ``times`` (M,); ``energy`` (M, R); ``states`` (M, R, N)
        if they were kept.

    Units:
        ``steps`` sweeps over all units that changed something, synchronous steps, or steps of integration; ``times``
        sweeps, steps, or the time of tau; overlaps from -1 to 1: the cosine of state and pattern, which for binary
        units is 1 - 2 (share of units that differ).

    ``pattern`` is the stored pattern with the largest overlap without its sign, counted from 0; -1 if nothing is
    stored. ``period`` is 1 at rest, 2 and more in a cycle, 0 if unfinished. ``energy`` is None where none exists.
    """

    state: Tensor
    outcome: tuple[str, ...]
    pattern: tuple[int, ...]
    overlaps: Tensor
    steps: tuple[int, ...]
    period: tuple[int, ...]
    mixture: tuple[Mixture | None, ...]
    times: tuple[float, ...]
    energy: Tensor | None
    states: Tensor | None

    @property
    def converged(self) -> bool:
        """Whether every state came to rest."""
        return all(p == 1 for p in self.period)

    def counts(self) -> dict[str, int]:
        """How many states had each outcome."""
        return {name: self.outcome.count(name) for name in OUTCOMES if name in self.outcome}

    def __str__(self) -> str:
        if len(self.outcome) > 1:
            return f"{len(self.outcome)} states: " + ", ".join(f"{n} {name}" for name, n in self.counts().items())
        text = f"{self.outcome[0]} after {counted(self.steps[0], 'steps')}: {OUTCOMES[self.outcome[0]]}"
        if self.mixture[0] is not None:
            text += f", {self.mixture[0]}"
        elif self.pattern[0] >= 0:
            text += f"; pattern {self.pattern[0] + 1}, overlap {float(self.overlaps[0, self.pattern[0]]):.3f}"
        return text


def overlaps(state: Tensor, patterns: Tensor) -> Tensor:
    """Cosines of states (R, N) and patterns (P, N): (R, P); 0 for a state or pattern that is all 0."""
    sizes = state.norm(dim=1)[:, None] * patterns.norm(dim=1)
    return state @ patterns.T / sizes.clamp_min(torch.finfo(state.dtype).tiny)


def judge(state: Tensor, patterns: Tensor, period: Tensor, binary: bool) -> dict[str, Any]:
    """The fields of `Recall` that say what the states (R, N), around 0, are."""
    R, P = len(state), len(patterns)
    cosines = state @ patterns.T / state.shape[1] if binary else overlaps(state, patterns)  # exact if binary
    best = cosines.abs().argmax(1) if P else torch.full((R,), -1)
    outcome = ["spurious"] * R
    mixture: list[Mixture | None] = [None] * R
    if P:
        m = cosines.gather(1, best[:, None])[:, 0]
        same, negative = (m == 1, m == -1) if binary else (m >= SAME, m <= -SAME)
        for name, true in (("near", m.abs() >= NEAR), ("recalled", same), ("reversed", negative)):
            for r in true.nonzero()[:, 0].tolist():
                outcome[r] = name
    for r, p in enumerate(period.tolist()):
        if p != 1:
            outcome[r] = "cycle" if p else "unfinished"
    rows = [r for r, name in enumerate(outcome) if name == "spurious"]
    for some in (rows[k : k + _AT_ONCE] for k in range(0, len(rows), _AT_ONCE)):
        for r, found in zip(some, _mixtures(state[some], patterns, cosines[some]), strict=True):
            if found is not None:
                outcome[r], mixture[r] = "mixture", found
    return {
        "outcome": tuple(outcome),
        "pattern": tuple(best.tolist()),
        "overlaps": cosines,
        "mixture": tuple(mixture),
    }


def _mixtures(state: Tensor, patterns: Tensor, cosines: Tensor) -> list[Mixture | None]:
    """For each state the best majority of the 3, 5 or 7 patterns that it overlaps most, if it is near one."""
    found: list[Mixture | None] = [None] * len(state)
    ranked = cosines.abs().argsort(dim=1, descending=True)
    for size in (3, 5, 7):
        if size > len(patterns):
            break
        chosen = ranked[:, :size]
        signs = torch.sign(cosines.gather(1, chosen))
        majority = torch.sign((signs[..., None] * patterns[chosen]).sum(1))
        likeness = (torch.sign(state) * majority).sum(1) / state.shape[1]
        for r in range(len(state)):
            last = found[r]
            if float(likeness[r]) >= NEAR and (last is None or float(likeness[r]) > last.overlap + 1e-12):
                found[r] = Mixture(tuple(chosen[r].tolist()), tuple(signs[r].int().tolist()), float(likeness[r]))
    return found
