"""What an experiment of the laboratory is, and which there are. No torch here, so that the list is instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from unrolled.errors import UsageError

TITLES = {
    "latch": "Latching the first inputs through noise (Bengio 1994)",
    "long-lag": "A symbol kept for 1,000 steps (Hochreiter & Schmidhuber 1997)",
    "adding": "The sum of two marked numbers (Hochreiter & Schmidhuber 1997)",
    "multiplication": "The product of two marked numbers (Hochreiter & Schmidhuber 1997)",
    "temporal-order": "Which came first, X or Y (Hochreiter & Schmidhuber 1997)",
    "clipping": "Temporal order at growing length (Pascanu 2013)",
    "forget-bias": "The forget gate's bias, on arithmetic (Jozefowicz 2015)",
    "reber": "Embedded Reber grammar (Hochreiter & Schmidhuber 1997)",
    "continual-reber": "Embedded Reber grammar as an endless stream (Gers & Schmidhuber 2000)",
    "elman-xor": "Exclusive or spread over time (Elman 1990)",
    "elman-letters": "Letters of ba, dii and guuu (Elman 1990)",
    "elman-words": "Words in a stream of letters (Elman 1990)",
    "elman-lexicon": "A lexicon from the order of words (Elman 1990)",
    "depth": "One, two and three layers at equal numbers of parameters",
    "rtrl": "A memory longer than the window: RTRL (Williams & Zipser 1989)",
}


@dataclass(frozen=True)
class Setting:
    """One way to run an experiment.

    Fields:
        cell: the recurrent cell, by name.
        lag: T in steps, None where the experiment has none.
        variant: what else is varied, such as ``"no clipping"``; empty where nothing is.
    """

    cell: str
    lag: int | None = None
    variant: str = ""

    def __str__(self) -> str:
        """``lstm, T = 100, no clipping``."""
        return f"{self.cell}, {self.where}" if self.where else self.cell

    @property
    def where(self) -> str:
        """All but the cell: ``T = 100, no clipping``."""
        return ", ".join(part for part in ("" if self.lag is None else f"T = {self.lag:,}", self.variant) if part)


@dataclass(frozen=True)
class Outcome:
    """What came of one seed.

    Fields:
        solved: whether the experiment's criterion was met.
        sequences: training sequences shown until then, or in all.
        seconds: of processor time, one thread.
        score: the experiment's measure.
        details: more numbers, for pictures, JSON alone: ``curve`` is a list of records with ``sequences`` and others.
    """

    solved: bool
    sequences: int
    seconds: float
    score: float
    details: dict[str, Any] = field(default_factory=dict)


Outcomes = dict[Setting, list[Outcome]]


@dataclass(frozen=True)
class Experiment:
    """A classic experiment: data and criterion are the paper's; networks and their training are ours.

    Fields:
        source: paper and section.
        published: what the paper reports.
        criterion: when a seed counts as solved.
        measure: what a score is.
        settings: the whole table: every cell at the paper's own lags.
        run: one seed of one setting. A function of a module, since other processes call it.
        chance: the score of guesses at random, measured on the same data.
        published_at: what the paper reports for a lag and a variant, where it differs among them.
        draw: a picture of all outcomes; None for the training curves.
        least_lag: the shortest lag for which the data are defined.
        seeds: how many, if not 20 up to T = 100 and 5 beyond.
        first_seed: where they begin: seeds before it, or far beyond, chose the settings.
    """

    name: str
    title: str
    source: str
    published: str
    criterion: str
    measure: str
    settings: tuple[Setting, ...]
    run: Callable[[Setting, int], Outcome]
    chance: Callable[[Setting, Any], float]
    published_at: Mapping[tuple[int | None, str], str] = field(default_factory=dict)
    draw: Callable[[Experiment, Outcomes], Any] | None = None
    least_lag: int = 2
    seeds: int | None = None
    first_seed: int = 1

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells to compare, in the order of the table."""
        return tuple(dict.fromkeys(s.cell for s in self.settings))

    def paper(self, setting: Setting) -> str:
        """What the paper reports for a setting."""
        return self.published_at.get((setting.lag, setting.variant), self.published)

    def seeds_of(self, setting: Setting) -> int:
        """How many seeds a setting is run with, if nobody says."""
        if self.seeds is not None:
            return self.seeds
        return 20 if setting.lag is None or setting.lag <= 100 else 5


def experiment(name: str) -> Experiment:
    """The experiment of that name; UsageError if there is none."""
    if name not in TITLES:
        raise UsageError(f"there is no experiment {name!r}; choose one of {', '.join(TITLES)}, or all")
    made: Experiment = import_module(f"unrolled.lab.{name.replace('-', '_')}").EXPERIMENT
    return made


def chosen(experiment: Experiment, cells: tuple[str, ...], lag: int | None) -> list[Setting]:
    """What to run: the settings of the experiment, or of some of its cells, or with another lag in place of its own.

    Raises:
        UsageError: a cell that the experiment does not have, or a lag where there is none.
    """
    for cell in cells:
        if cell not in experiment.cells:
            raise UsageError(f"--cell: {experiment.name} runs {', '.join(experiment.cells)}, got {cell!r}")
    found = [s for s in experiment.settings if s.cell in (cells or experiment.cells)]
    if lag is None:
        return found
    if all(s.lag is None for s in experiment.settings):
        raise UsageError(f"--lag: {experiment.name} has no lag to set")
    if lag < experiment.least_lag:
        raise UsageError(f"--lag: must be a whole number from {experiment.least_lag}, got {lag}")
    return list(dict.fromkeys(Setting(s.cell, lag, s.variant) for s in found))
