"""Running experiments over seeds: each seed is kept as it ends, so that a stopped table goes on."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch

from unrolled.errors import UsageError
from unrolled.lab import workers
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.runs.files import append_line, held, sync, write_error

APART = {"experiment", "figures", "running", "workers"}
"""Modules of the laboratory that an outcome does not depend on."""


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
        self.code = code(experiment)
        self._known: dict[tuple[Setting, int], Outcome] = {}
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise write_error(self.path, error) from error
        for line in lines:
            self._read(line)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, setting: Setting, seed: int) -> Outcome | None:
        """What came of a seed; None if it has not been run."""
        return self._known.get((setting, seed))

    def add(self, setting: Setting, seed: int, outcome: Outcome) -> None:
        """Keep an outcome."""
        content = {"code": self.code, **asdict(setting), "seed": seed, **asdict(outcome)}
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            append_line(self.path, "")  # after a line that was cut short
        append_line(self.path, json.dumps(content))
        sync(self.path)
        self._known[setting, seed] = outcome

    def _read(self, line: bytes) -> None:
        try:
            content = json.loads(line)
            if content.pop("code") == self.code:
                setting = Setting(content.pop("cell"), content.pop("lag"), content.pop("variant"))
                key = setting, content.pop("seed")
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
        calls: list[workers.Call] = [(one.experiment.run, (one.setting, one.seed)) for one in missing]
        with closing(workers.results(calls, jobs)) as made:
            for k, outcome in made:
                one = missing[k]
                kept[one.experiment.name].add(one.setting, one.seed, outcome)
                yield one, outcome, False


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


def code(experiment: Experiment) -> str:
    """A mark of the program that an experiment's outcomes come from.

    It covers the experiment's module and the modules of the laboratory that it imports, but neither comments nor
    docstrings, and not what the experiment says of itself.
    """
    module = inspect.getmodule(experiment.run)
    names = {module.__name__} if module is not None else set()
    done: set[str] = set()
    while names - done:
        name = min(names - done)
        done.add(name)
        names |= _program(name)[1]
    text = "".join(_program(name)[0] for name in sorted(done))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def _program(module: str) -> tuple[str, frozenset[str]]:
    """A module's program without docstrings and ``EXPERIMENT``, and the modules of the laboratory it imports."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unrolled.lab"):
            apart = node.module == "unrolled.lab"
            used |= {f"unrolled.lab.{a.name}" for a in node.names} if apart else {node.module or ""}
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _says(part)]  # type: ignore[attr-defined]
    return ast.dump(tree), frozenset(name for name in used if name.rpartition(".")[2] not in APART)


def _says(part: ast.AST) -> bool:
    """Whether a statement is a docstring, or the description of an experiment."""
    if isinstance(part, ast.Expr):
        return isinstance(part.value, ast.Constant)
    named = part.targets if isinstance(part, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "EXPERIMENT" for target in named)
