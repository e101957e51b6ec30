"""What an experiment of the laboratory is, one way to run it, and what comes of a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One way to run an experiment.

    Fields:
        cell: the recurrent cell: a name, or ``FILE.py:Class``.
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
        score: the experiment's measure.
        details: more numbers, for pictures, JSON alone: ``curve`` is a list of records with ``sequences`` and others.
        seconds: of processor time, one thread, as whoever ran the seed measured.
    """

    solved: bool
    sequences: int
    score: float
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


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
    least_lag: int = 2
    seeds: int | None = None
    first_seed: int = 1

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells to compare, in the order of the table."""
        return tuple(dict.fromkeys(s.cell for s in self.settings))

    def settings_of(self, cell: str) -> list[Setting]:
        """The settings of a cell, in the order of the table.

        A cell that the table does not have gets every lag and variant that it has; if some of its cells run without
        a variant, because only others can be varied, so does this one.
        """
        if cell in self.cells:
            return [s for s in self.settings if s.cell == cell]
        bare = [s for s in self.settings if not s.variant]
        return list(dict.fromkeys(Setting(cell, s.lag, s.variant) for s in bare or self.settings))

    def paper(self, setting: Setting) -> str:
        """What the paper reports for a setting."""
        return self.published_at.get((setting.lag, setting.variant), self.published)

    def seeds_of(self, setting: Setting) -> int:
        """How many seeds a setting is run with, if nobody says."""
        if self.seeds is not None:
            return self.seeds
        return 20 if setting.lag is None or setting.lag <= 100 else 5
