"""Cross-validation: several models a fold, each trained in memory, in worker processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

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
from unrolled.workers import results

FOLDS, FOUND = "folds.json", "folds.jsonl"
"""The scores of all folds in a run, and what each model said of the sequences held out."""
_TOLD_EVERY = 1.0
"""Seconds between reports."""


def cross_validate(
    folder: RunFolder,
    task: Task,
    named: str | type[Task] | None,
    data: str,
    given: Mapping[str, Any],
    cell: str | type[Cell],
    training: TrainingOptions,
    listen: Listener,
) -> dict[str, Any]:
    """Train ``task.seeds`` models in each of ``task.folds``, and score what they say of the sequences held out.

    Every model has the same settings, with seeds ``training.seed``, ``training.seed + 1`` and so on. Nothing of a
    fold's held-out sequences is used to train it, to stop it or to choose anything. What is done is kept in
    ``folds.jsonl``, so that a run that was stopped goes on behind it.

    Arguments:
        folder: of the run; the scores are written to its ``folds.json``.
        task: with its data read; named: its class or name, as the person gave it.
        given: the settings of the model, as the person gave them.
        training: its settings, likewise.

    Returns:
        The scores, as `Task.score_folds` gives them.
    """
    found = _kept(folder)
    wanted = [(fold, training.seed + k) for k in range(task.seeds) for fold in range(task.folds)]
    left = [one for one in wanted if one not in found]
    jobs = training.threads or limited(os.cpu_count() or 1)
    kind = named if named is not None else type(task)
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (train_fold, (kind, asdict(task.options), data, dict(given), cell, replace(training, seed=seed), fold))
        for fold, seed in left
    ]
    told = 0.0
    for k, made in results(calls, jobs):
        fold, seed = left[k]
        append_line(folder.path / FOUND, json.dumps({"fold": fold, "seed": seed, "held_out": made}))
        found[fold, seed] = made
        if time.monotonic() - told >= _TOLD_EVERY or len(found) == len(wanted):
            told = time.monotonic()
            score = task.criterion.of(task.score_folds({one: found[one] for one in wanted if one in found}))
            name = task.criterion.name
            listen({"event": "fold", "done": len(found), "of": len(wanted), "metric": name, "score": score})
    figures = task.score_folds({one: found[one] for one in wanted})
    folder.write_json(FOLDS, figures)
    return figures


def train_fold(
    kind: Any,
    options: Mapping[str, Any],
    data: str,
    given: Mapping[str, Any],
    cell: str | type[Cell],
    training: TrainingOptions,
    fold: int,
) -> Any:
    """What one model says of the sequences that its fold holds out; for a process of its own."""
    kind = task_for(kind, data)
    task = kind(kind.options_class(**options))
    training = replace(training, threads=1)
    name, cell_class = resolve_cell(cell)
    with setting(training):
        steps = task.read_fold(data, fold)
        task.settle(ModelOptions(cell=name, **given), training, steps)
        model = built(task, cell_class)
        run = MemoryRun(f"fold {fold + 1}")
        Trainer(task, model, task.training, run, lambda event: None).run()
        arrays, _ = run.read_model()
        load_weights(model, arrays, str(run.path))
        model.eval()
        return task.held_out(model)


def _kept(folder: RunFolder) -> dict[tuple[int, int], Any]:
    """What a run that was stopped has already; a line that was cut off is made again."""
    file = folder.path / FOUND
    if not file.is_file():
        return {}
    *lines, rest = file.read_text(encoding="utf-8").split("\n")
    if rest:
        write_atomically(file, "".join(line + "\n" for line in lines).encode("utf-8"))
    try:
        kept = [json.loads(line) for line in lines]
        return {(one["fold"], one["seed"]): one["held_out"] for one in kept}
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged: {error}") from error
