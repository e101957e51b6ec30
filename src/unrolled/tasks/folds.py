"""Cross-validation, and choosing by it: many models, each trained in memory, in worker processes."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from unrolled.cells import Cell
from unrolled.errors import RunError
from unrolled.models.options import ModelOptions
from unrolled.runs.files import append_line, write_atomically
from unrolled.runs.folder import RunFolder
from unrolled.runs.memory import MemoryRun
from unrolled.tasks.load import resolve_cell
from unrolled.tasks.prepare import Listener, built, setting
from unrolled.tasks.registry import task_for
from unrolled.threads import limited
from unrolled.training.checkpoints import load_weights
from unrolled.training.loop import Trainer
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task
from unrolled.workers import Call, results

FOLDS, FOUND = "folds.json", "folds.jsonl"
"""The scores of all folds in a run, and what each model said of the sequences held out."""
_TOLD_EVERY = 1.0
"""Seconds between reports."""


@dataclass(frozen=True)
class Recipe:
    """What every model is made of, but for the task's options and the seed.

    Fields:
        kind: the task's class or name.
        given: the settings of the model, as the person gave them; training: its settings, likewise.
    """

    kind: str | type[Task] | None
    data: str
    given: Mapping[str, Any]
    cell: str | type[Cell]
    training: TrainingOptions


class _One(NamedTuple):
    """One model: of a fold, None for the training part itself; or of a part of that, to try a candidate."""

    fold: int | None
    seed: int
    candidate: str | None = None
    inner: int | None = None


def select(task: Task, recipe: Recipe, listen: Listener) -> None:
    """Let the task take the candidate that is best in cross-validation within its training part.

    In this process: a program without a guard around its main part may call it.
    """
    wanted = _tries(task, recipe, [None])
    found: dict[_One, Any] = {}
    tell = _Teller(listen, task, "choosing", len(wanted))
    for one, made in _trained(task, recipe, wanted, {}, jobs=1):
        found[one] = made
        tell(len(found))
    task.take(*_best(task, found, None))


def begin(folder: RunFolder, task: Task, recipe: Recipe) -> None:
    """Keep what all models are made of, before there is a run: one that goes on finds its own choices as given."""
    candidates = {name: asdict(one) for name, one in task.candidates.items()}
    first = {"candidates": candidates, "model": dict(recipe.given), "training": asdict(recipe.training)}
    write_atomically(folder.path / FOUND, (json.dumps(first) + "\n").encode("utf-8"))


def cross_validate(folder: RunFolder, task: Task, recipe: Recipe, listen: Listener) -> dict[str, Any]:
    """Train ``task.seeds`` models in each of ``task.folds``, and score what they say of the sequences held out.

    The models of a fold have the same settings, with seeds ``training.seed``, ``training.seed + 1`` and so on. Where
    the task has candidates, those are of the one that is best in cross-validation within the fold's training part.
    Nothing of a fold's held-out sequences is used to train it, to stop it or to choose anything. What is done is kept
    in ``folds.jsonl``, so that a run that was stopped goes on behind it.

    Arguments:
        folder: of the run, as `begin` left it or with some folds; the scores are written to its ``folds.json``.
        task: with its data read.

    Returns:
        The scores, as `Task.score_folds` gives them; ``choices``, in how many folds each candidate was chosen.
    """
    recipe, found = _kept(folder, task, recipe)
    tries = _tries(task, recipe, range(task.folds))
    tell = _Teller(listen, task, "choosing", len(tries))
    for one, made in _trained(task, recipe, [one for one in tries if one not in found], {}):
        found[one] = _keep(folder, one, made)
        tell(sum(one in found for one in tries))
    folds: list[int | None] = list(range(task.folds))
    chosen = {fold: _best(task, found, fold)[0] for fold in folds} if tries else {}
    wanted = [_One(fold, recipe.training.seed + k) for k in range(task.seeds) for fold in folds]
    tell = _Teller(listen, task, "fold", len(wanted))
    for one, made in _trained(task, recipe, [one for one in wanted if one not in found], chosen):
        found[one] = _keep(folder, one, made)
        done = [one for one in wanted if one in found]
        tell(len(done), partial(_scored, task, {one: found[one] for one in done}))
    figures = _scored(task, {one: found[one] for one in wanted})
    if chosen:
        figures["choices"] = dict(Counter(chosen.values()).most_common())
    folder.write_json(FOLDS, figures)
    return figures


def train_fold(recipe: Recipe, options: Mapping[str, Any], seed: int, fold: int | None, inner: int | None) -> Any:
    """What one model says of the sequences that its fold holds out; for a process of its own."""
    kind = task_for(recipe.kind, recipe.data)
    task = kind(kind.options_class(**options))
    training = replace(recipe.training, threads=1, seed=seed)
    name, cell = resolve_cell(recipe.cell)
    with setting(training):
        steps = task.read_fold(recipe.data, fold, inner)
        task.settle(ModelOptions(cell=name, **recipe.given), training, steps)
        model = built(task, cell)
        run = MemoryRun("the training part" if fold is None else f"fold {fold + 1}")
        Trainer(task, model, task.training, run, lambda event: None).run()
        arrays, _ = run.read_model()
        load_weights(model, arrays, str(run.path))
        model.eval()
        return task.held_out(model)


def _tries(task: Task, recipe: Recipe, folds: Iterable[int | None]) -> list[_One]:
    """The models that are trained only to choose; a seed for each part that is held out."""
    inner, seed = range(task.inner_folds), recipe.training.seed
    return [_One(fold, seed + k, name, k) for k in inner for fold in folds for name in task.candidates]


def _trained(
    task: Task, recipe: Recipe, wanted: Sequence[_One], chosen: Mapping[int | None, str], jobs: int | None = None
) -> Iterator[tuple[_One, Any]]:
    """What each model says, as they are done; ``chosen`` has the candidate of each fold."""
    calls: list[Call] = []
    for one in wanted:
        name = one.candidate or chosen.get(one.fold)
        options = asdict(task.options if name is None else task.candidates[name])
        calls.append((train_fold, (recipe, options, one.seed, one.fold, one.inner)))
    for k, made in results(calls, jobs or recipe.training.threads or limited(os.cpu_count() or 1)):
        yield wanted[k], made


def _best(task: Task, found: Mapping[_One, Any], fold: int | None) -> tuple[str, dict[str, dict[str, Any]]]:
    """The best candidate for a training part, and the scores of all."""
    said: dict[str, dict[tuple[int, int], Any]] = {name: {} for name in task.candidates}
    for one, made in found.items():
        if one.fold == fold and one.candidate is not None and one.inner is not None:
            said[one.candidate][one.inner, 0] = made
    figures = {name: task.score_folds(made) for name, made in said.items()}
    return min(figures, key=lambda name: task.rank(figures[name])), figures


class _Teller:
    """Tells the listener about once a second how many models are done."""

    def __init__(self, listen: Listener, task: Task, event: str, of: int) -> None:
        self._listen, self._event, self._of, self._told = listen, event, of, 0.0
        self._criterion = task.criterion

    def __call__(self, done: int, score: Callable[[], dict[str, Any]] | None = None) -> None:
        if time.monotonic() - self._told >= _TOLD_EVERY or done == self._of:
            self._told = time.monotonic()
            more = {} if score is None else {"metric": self._criterion.name, "score": self._criterion.of(score())}
            self._listen({"event": self._event, "done": done, "of": self._of, **more})


def _scored(task: Task, found: Mapping[_One, Any]) -> dict[str, Any]:
    return task.score_folds({(one.fold or 0, one.seed): made for one, made in found.items()})


def _keep(folder: RunFolder, one: _One, made: Any) -> Any:
    append_line(folder.path / FOUND, json.dumps({**one._asdict(), "held_out": made}))
    return made


def _kept(folder: RunFolder, task: Task, recipe: Recipe) -> tuple[Recipe, dict[_One, Any]]:
    """What `begin` kept, with the task's candidates, and what was found; a line that was cut off is made again."""
    file = folder.path / FOUND
    try:
        *lines, rest = file.read_text(encoding="utf-8").split("\n")
        first, *kept = [json.loads(line) for line in lines]
        task.candidates = {name: task.options_class(**one) for name, one in first["candidates"].items()}
        training = replace(TrainingOptions(**first["training"]), threads=recipe.training.threads)
        found = {_One(**{name: one[name] for name in _One._fields}): one["held_out"] for one in kept}
        recipe = replace(recipe, given=dict(first["model"]), training=training)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is damaged: {error}") from error
    if rest:
        write_atomically(file, "".join(line + "\n" for line in lines).encode("utf-8"))
    return recipe, found
