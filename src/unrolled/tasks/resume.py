"""Going on with a run: where it stopped, further than it was asked to, or from its beginning."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.errors import UsageError
from unrolled.insight.watcher import GradientWatcher
from unrolled.options import flag
from unrolled.runs.folder import RunFolder
from unrolled.tasks.load import cell_of_run, check_source, load
from unrolled.tasks.opening import SECTION, check_data, data_of, data_section, restored, with_data
from unrolled.tasks.prepare import Listener, built, setting, started
from unrolled.threads import limited
from unrolled.training.kept import model_options
from unrolled.training.loop import Trainer
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task

_BUDGETS = ("epochs", "minutes")
_OF_A_BUDGET = (*_BUDGETS, "lr", "warmup")
"""Settings that may change when a finished run is trained further."""


def resume(
    folder: RunFolder,
    kind: type[Task],
    data: str | None,
    given: dict[str, Any],
    allow_code: bool,
    listen: Listener,
) -> Any:
    """Go on from the last checkpoint; a finished run goes on if a larger budget is given.

    Raises:
        UsageError: a setting that is not the run's. RunError: the folder, or the text, is not what it was.
    """
    config = folder.config()
    own = given.get("cell")
    cell = cell_of_run(folder, config, own if own not in CELLS else None, allow_code)
    training = folder.options(TrainingOptions, "training")
    finished = folder.finished
    asked = _asked(training, given) if finished else None
    check_settings(folder, config, given, _OF_A_BUDGET if asked else _BUDGETS if finished else ())
    check_source(folder, cell)
    check_source(folder, kind)
    if finished and asked is None:
        if data is not None:
            with setting(training):
                moved = _with_own_data(folder, kind, data, training)
            folder.write_config(config | {"data": data_section(moved, data)})
        return _finished(folder, kind, cell, training, given, listen)
    with setting(asked or training):
        task = _with_own_data(folder, kind, data, asked or training)
        chosen = [name for name in config.get("chosen", ()) if name not in given]
        watchers = [GradientWatcher()]
        trainer = Trainer(task, built(task, cell), asked or training, folder, listen, watchers, chosen=chosen)
        trainer.restore()
        if asked and not trainer.asks_for_more:
            return _finished(folder, kind, cell, training, given, listen)
        kept = config | ({"data": data_section(task, data)} if data is not None else {})
        if asked:
            folder.read_model()  # damage shows before anything is changed
            kept |= {
                "training": asdict(asked),
                "chosen": chosen,
                "earlier": [*folder.earlier(), _earlier(training, trainer)],
            }
        if kept != config:
            folder.write_config(kept)
        listen(started(task, kept, [], trainer))
        if trainer.progress.budget < len(kept.get("earlier", [])):
            trainer.begin_budget()
        trainer.run()
    return load(folder.path, cell=cell, task=kind)


def _with_own_data(folder: RunFolder, kind: type[Task], data: str | None, training: TrainingOptions) -> Task:
    """The task of a run with its data, which are where ``data`` says or where they lay."""
    path = data_of(folder, kind, data)
    task = with_data(restored(kind, folder), path, model_options(folder), training)
    check_data(folder, task, path)
    return task


def begin_again(
    folder: RunFolder, kind: type[Task], data: str | None, given: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The data and the settings of a run that never came to a checkpoint."""
    config = folder.config()
    check_settings(folder, config, given)
    settings = _settings(config)
    if settings["cell"] not in CELLS:
        if "cell" in given:
            settings["cell"] = given["cell"]
        elif config.get("from", {}).get("program"):
            del settings["cell"]
        else:
            raise UsageError(f"--cell: name the cell again: {folder.path} was started with {settings['cell']}")
    return data_of(folder, kind, data), settings


def check_settings(
    folder: RunFolder, config: dict[str, Any], given: dict[str, Any], free: tuple[str, ...] = ()
) -> None:
    """A resumed run keeps its settings, but the ones named in ``free``; what is given again must agree.

    Raises:
        UsageError: a setting differs.
    """
    kept = _settings(config)
    for name, value in given.items():
        if name == "cell":
            if (value in CELLS or kept["cell"] in CELLS) and value != kept["cell"]:
                raise UsageError(
                    f"--cell: {folder.path} was started with {kept['cell']}; a resumed run keeps its cell"
                )
        elif name == "threads" and kept.get(name) == limited(value):
            continue
        elif name not in free and kept.get(name) != value and str(kept.get(name)) != str(value):
            if name in _BUDGETS:
                raise UsageError(
                    f"{flag(name)}: {folder.path} has not used up its budget of {_budget(kept)}: "
                    "finish it with --resume alone, then train it further"
                )
            raise UsageError(
                f"{flag(name)}: {folder.path} was started with {kept.get(name)}, got {value}; "
                "a resumed run keeps its settings"
            )


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run by name."""
    return config["model"] | config[SECTION] | config["training"]


def _asked(training: TrainingOptions, given: dict[str, Any]) -> TrainingOptions | None:
    """The settings of a further budget; None if none is given, or plainly no larger one."""
    budget = {name: given[name] for name in _BUDGETS if name in given}
    if not budget:
        return None
    none: dict[str, Any] = dict.fromkeys(_BUDGETS)
    changed = replace(training, **none | {name: given[name] for name in _OF_A_BUDGET if name in given})
    for name in _BUDGETS:
        before, now = getattr(training, name), getattr(changed, name)
        if before is not None and now is not None and now <= before:
            return None
    return changed


def _earlier(training: TrainingOptions, trainer: Trainer) -> dict[str, Any]:
    """What config.toml keeps of a budget that is used up."""
    p = trainer.progress
    settings = {name: getattr(training, name) for name in _OF_A_BUDGET if getattr(training, name) is not None}
    return settings | {"updates": p.update, "seconds": round(p.seconds, 3)}


def _finished(
    folder: RunFolder,
    kind: type[Task],
    cell: type[Cell],
    training: TrainingOptions,
    given: dict[str, Any],
    listen: Listener,
) -> Any:
    """There is nothing to do: say so."""
    about = folder.checkpoint_about()
    event = {"event": "already finished", "run": str(folder.path), "budget": _budget(asdict(training))}
    event |= {"updates": about.get("update", 0), "minutes": round(about.get("seconds", 0.0) / 60, 2)}
    asked = {name: given[name] for name in _BUDGETS if name in given}
    listen(event | ({"asked": _budget(asked)} if asked else {}))
    return load(folder.path, cell=cell, task=kind)


def _budget(settings: dict[str, Any]) -> str:
    """``3 epochs``, ``1 minute``."""
    name = next(name for name in _BUDGETS if settings.get(name) is not None)
    amount = f"{settings[name]:g}"
    return f"{amount} {name.removesuffix('s') if amount == '1' else name}"
