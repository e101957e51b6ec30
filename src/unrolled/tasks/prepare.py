"""What training needs before its first update, whether a run begins or goes on."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import nn

from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.engine import native
from unrolled.engine.prepared import widths
from unrolled.errors import DataError, UsageError
from unrolled.layers.directions import read_ahead
from unrolled.layers.paths import usual
from unrolled.layers.recurrent import Recurrent
from unrolled.models.build import check_memory, set_first_weights
from unrolled.models.model import Model
from unrolled.tasks.opening import SECTION
from unrolled.threads import limited, suited, using
from unrolled.training.batches import Batches
from unrolled.training.loop import Trainer
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.streams import Streams
from unrolled.training.task import Task

Listener = Callable[[dict[str, Any]], None]

_WAITS = 16
"""How often, about, threads wait for one another in an update: in the scans, the head, the loss, the optimizer."""


@contextmanager
def setting(training: TrainingOptions) -> Iterator[None]:
    """Threads and random numbers as the run has them; the caller's are as before afterwards.

    Raises:
        UsageError: there is no such device, or torch cannot use it.
    """
    try:
        torch.device(training.device)
    except RuntimeError as error:
        raise UsageError(f"--device: must be cpu, cuda or mps, got {training.device!r}") from error
    try:
        torch.zeros(1, device=training.device).item()  # the meta device makes tensors, and no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:60]
        raise UsageError(f"--device {training.device}: torch cannot use it here ({reason})") from error
    with using(training.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        yield


def use_threads(training: TrainingOptions, model: Model) -> int:
    """Make torch use what was asked for, one thread a core at most; else what is suited to the work of an update."""
    if training.threads is not None:
        threads = limited(training.threads)
    else:
        assert training.batch is not None
        steps = training.batch * (training.update_every or training.bptt or 100)
        operations = 6.0 * steps * sum(p.numel() for p in model.parameters())  # forward, and backward twice as many
        threads = suited(limited(torch.get_num_threads()), operations / _WAITS)
    torch.set_num_threads(threads)
    return threads


def built(task: Task, cell: type[Cell]) -> Model:
    """The model with its first weights, tried on a small batch, so that mistakes show before anything is written."""
    options = task.model
    assert options.layers is not None
    batches = task.batches()  # too few data show first
    try:
        check_memory(lambda layers: task.build(cell, replace(options, layers=layers)), options.layers)
        made: Any = task.build(cell, options)
        if not isinstance(made, nn.Module):
            raise TypeError(f"{type(task).__name__}.build must return a model, got {type(made).__name__}")
        model = cast(Model, made)
        _check_directions(model, batches, task)
        set_first_weights(model, options)
        model = model.to(task.training.device)
        losses = task.loss(model, task.example(), None)
    except (UsageError, DataError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            fewer = " or --layers" if options.layers > 1 else ""
            raise UsageError(f"the model does not fit in memory: choose a smaller --hidden{fewer}") from error
        if options.cell in CELLS:
            raise
        raise UsageError(f"--cell {options.cell}: {type(error).__name__}: {error}{_line(error, cell)}") from error
    if not isinstance(losses, Loss):
        raise TypeError(f"{type(task).__name__}.loss must return a Loss, got {type(losses).__name__}")
    return model


def _check_directions(model: Model, batches: Batches, task: Task) -> None:
    """UsageError where a model sees the step that it predicts: the targets of `Streams` are the next inputs."""
    if isinstance(batches, Streams) and read_ahead(model.modules()):
        raise UsageError(
            f"--direction: a model must not see the {task.step_unit} that it predicts: leave out --direction"
        )


def _line(error: Exception, cell: type[Cell]) -> str:
    """Where in the cell's own file it happened, if it did there."""
    file = inspect.getmodule(cell)
    own = getattr(file, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" ({own}, line {lines[-1]})" if lines else ""


def _path(model: Model) -> str:
    """The path of the first recurrent layer, with the constants that the cell's wrappers draw in training.

    Empty where the task gives the layer constants of its own, such as the grid of an image.
    """
    cell = next(layer.cell for layer in model.modules() if isinstance(layer, Recurrent))
    like = next(cell.parameters(), torch.empty(0))
    with torch.random.fork_rng(devices=[]):
        drawn = cell.draw_constants(1, like)
    return usual(cell, widths(drawn)) if len(drawn) == len(cell.constants) else ""


def started(task: Task, config: dict[str, Any], chosen: list[str], trainer: Trainer) -> dict[str, Any]:
    """The first event: what is trained on what, and which settings were chosen for the person."""
    settings = config["model"] | config[SECTION] | config["training"]
    earlier = config.get("earlier", [])
    event = {
        "event": "started",
        "run": str(trainer.run_folder.path),
        "unit": task.unit,
        "step_unit": task.step_unit,
        "metrics": [asdict(metric) for metric in task.metrics],
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "settings": {name: value for name, value in settings.items() if value is not None},
        "chosen": chosen,
        "updates": trainer.budget.updates,
        "from_update": trainer.progress.update,
        "budget": len(earlier) + 1,
        "further": trainer.progress.budget < len(earlier),
        "path": _path(trainer.model) if trainer.options.device == "cpu" else "",
        "engine_missing": native.missing,
        "data": config["data"] | task.facts(),
        "about": task.about(),
    }
    return event | ({"from": config["from"]} if "from" in config else {})
