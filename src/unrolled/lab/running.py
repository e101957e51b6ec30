"""Running experiments over seeds: each seed is kept as it ends, so that a stopped table goes on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from unrolled import workers
from unrolled.errors import UsageError
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.mark import mark
from unrolled.runs.files import append_line, held, sync, write_error


@dataclass(frozen=True)
class Row:
    """One line of the table: a setting over its seeds.

    Fields:
        solved, seeds: of how many.
        median_sequences: shown until the criterion was met; inf where at most half of the seeds met it.
        seconds: median of a seed, of processor time.
        score, chance: the median, and that of guesses at random.
        paper: what the paper reports.
    """

    name: str
    cell: str
    lag: int | None
    variant: str
    solved: int
    seeds: int
    median_sequences: float
    seconds: float
    score: float
    chance: float
    paper: str

    def as_json(self) -> dict[str, Any]:
        """JSON has no infinity and no NaN: they become null."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Seed:
    """One seed of one setting of one experiment."""

    experiment: Experiment
    setting: Setting
    seed: int


class Results:
    """The outcomes of one experiment, one JSON object a line in ``folder/NAME.jsonl``.

    Each line says which program it comes from: outcomes of another are not used, and stay where they are.

    Arguments:
        experiment: whose.
        folder: one that is there.
    """

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.path = folder / f"{experiment.name}.jsonl"
        self._experiment = experiment
        self._marks: dict[str, str] = {}
        self._known: dict[tuple[Setting, int, str], Outcome] = {}
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise write_error(self.path, error) from error
        for line in lines:
            self._read(line)

    def get(self, setting: Setting, seed: int) -> Outcome | None:
        """What came of a seed; None if it has not been run."""
        return self._known.get((setting, seed, self._mark(setting.cell)))

    def add(self, setting: Setting, seed: int, outcome: Outcome) -> None:
        """Keep an outcome."""
        content = {"code": self._mark(setting.cell), **asdict(setting), "seed": seed, **asdict(outcome)}
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            append_line(self.path, "")  # after a line that was cut short
        append_line(self.path, json.dumps(content))
        sync(self.path)
        self._known[setting, seed, self._mark(setting.cell)] = outcome

    def _mark(self, cell: str) -> str:
        """The mark of today's program. That of a cell of one's own needs its class, so it waits until one asks."""
        if cell not in self._marks:
            self._marks[cell] = mark(self._experiment, cell)
        return self._marks[cell]

    def _read(self, line: bytes) -> None:
        try:
            content = json.loads(line)
            setting = Setting(content.pop("cell"), content.pop("lag"), content.pop("variant"))
            key = setting, content.pop("seed"), content.pop("code")
            self._known[key] = Outcome(**content)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # cut short, or not ours: that seed is run again


def run(wanted: list[Seed], folder: Path, jobs: int = 1) -> Generator[tuple[Seed, Outcome, bool], None, None]:
    """Run what has not been run; (seed, outcome, whether it was there already) as each ends, those kept first.

    Arguments:
        wanted: seeds of any settings and experiments; those at the front begin first.
        folder: where outcomes are kept, by this process alone.
        jobs: how many seeds run at once, each in a process with one thread.

    Raises:
        RunError: another process keeps its outcomes there, or the folder cannot be written.
    """
    with held(
        _made(folder), "another process is running experiments here; wait for it, or choose another folder with --out"
    ):
        kept = {one.experiment.name: Results(one.experiment, folder) for one in wanted}
        missing = []
        for one in wanted:
            outcome = kept[one.experiment.name].get(one.setting, one.seed)
            if outcome is None:
                missing.append(one)
            else:
                yield one, outcome, True
        calls: list[workers.Call] = [(timed, (one.experiment.run, one.setting, one.seed)) for one in missing]
        with closing(workers.results(calls, jobs)) as made:
            for k, outcome in made:
                one = missing[k]
                kept[one.experiment.name].add(one.setting, one.seed, outcome)
                yield one, outcome, False


def timed(run: Callable[[Setting, int], Outcome], setting: Setting, seed: int) -> Outcome:
    """One seed, and the processor time that it took."""
    begun = time.process_time()
    outcome = run(setting, seed)
    return replace(outcome, seconds=time.process_time() - begun)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def seeds(experiment: Experiment, settings: list[Setting], count: int | None) -> list[Seed]:
    """The seeds of each setting from the experiment's first on: ``count``, or as many as the experiment says."""
    return [
        Seed(experiment, setting, seed)
        for setting in settings
        for seed in range(experiment.first_seed, experiment.first_seed + (count or experiment.seeds_of(setting)))
    ]


def row(experiment: Experiment, setting: Setting, outcomes: list[Outcome]) -> Row:
    """The table's line for the outcomes of all seeds."""
    if not outcomes:
        raise UsageError(f"{experiment.name}: no seed of {setting} has been run")
    return Row(
        name=experiment.name,
        cell=setting.cell,
        lag=setting.lag,
        variant=setting.variant,
        solved=sum(o.solved for o in outcomes),
        seeds=len(outcomes),
        median_sequences=median(o.sequences if o.solved else math.inf for o in outcomes),
        seconds=round(median(o.seconds for o in outcomes), 3),
        score=median(o.score for o in outcomes),
        chance=experiment.chance(setting, torch.Generator().manual_seed(1)),
        paper=experiment.paper(setting),
    )


def number(value: float) -> str:
    """Three digits, four from 1 on, or a whole number with commas.

    >>> number(0.00019531), number(1.3466), number(100_000.0)
    ('0.000195', '1.347', '100,000')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.{4 if value >= 1 else 3}g}"
