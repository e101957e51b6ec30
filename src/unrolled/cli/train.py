"""The verb ``train``."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from unrolled.cli.settings import SettingsCommand, task_of_arguments
from unrolled.cli.shared import NAME, json_option
from unrolled.tasks.registry import task_names


def _sections(args: list[str]) -> list[tuple[str, type]]:
    """The settings of a task's runs, by the part of the program that they belong to."""
    from unrolled.models.options import ModelOptions
    from unrolled.tasks.registry import options_class
    from unrolled.training.options import TrainingOptions

    task = task_of_arguments(args)
    return [("Model", ModelOptions), ("Training", TrainingOptions), (f"Task {task}", options_class(task))]


def _hint(args: list[str], option: str) -> str | None:
    """Which task has an option that the task of the arguments does not have."""
    from unrolled.options import flag, option_names
    from unrolled.tasks.registry import options_class

    own = task_of_arguments(args)
    others = [name for name in task_names() if option in map(flag, option_names(options_class(name)))]
    if not others:
        return None
    names = " and of ".join(f"--task {name}" for name in others)
    return f"{option} is an option of {names}, and the task is {own}: name the task, if that is not meant"


@click.command(
    cls=SettingsCommand,
    sections=_sections,
    hint=_hint,
    epilog="Example: unrolled train shakespeare.txt --run runs/shakespeare --minutes 3",
)
@click.argument("data", required=False, type=NAME)
@click.option("--run", type=NAME, metavar="DIR", help="Run folder to create.")
@click.option(
    "--task",
    type=NAME,
    help=f"Task to learn: {', '.join(task_names())}, or FILE.py:Class (default: by the data).",
)
@click.option("--resume", is_flag=True, help="Resume a run; a larger budget trains it further.")
@click.option("--from", "from_run", type=NAME, metavar="RUN", help="Start from the best weights of another run.")
@click.option(
    "--allow-code", is_flag=True, help="With --resume or --from: run the cell's source code kept in the run."
)
@json_option
def train(
    data: str | None,
    run: str | None,
    task: str | None,
    resume: bool,
    from_run: str | None,
    allow_code: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a recurrent network on DATA.

    DATA is a file, a folder, or - for standard input; a text is in UTF-8. Sizes that are
    not given are chosen and printed. --resume needs DATA only if the data has moved.
    To train a finished run further, give --resume and a larger budget, counted from
    the start of the run.
    """
    from unrolled.errors import UsageError

    if not run:
        raise UsageError("--run: name a folder for the run, such as --run runs/first")
    if data is None and not resume:
        raise UsageError("name a file or folder to train on: unrolled train FILE.txt --run " + run)
    if not as_json and sys.stdout.isatty():
        print("starting ...", end="\r", flush=True)
    from unrolled.tasks.fit import fit
    from unrolled.training.show import listener

    show, own = listener(as_json), _own("--cell", options["cell"]) + _own("--task", task)
    options |= {"task": task, "resume": resume, "from_run": from_run, "allow_code": allow_code}
    try:
        trained = fit(data, run, listen=show, **options)
    except KeyboardInterrupt:
        _say_how_to_go_on(run, own, as_json)
        sys.exit(130)
    finally:
        show.close()
    if not as_json:
        from pathlib import Path

        if (Path(run) / "program.json").is_file():  # the cell's equation is not needed any more
            own = _own("--task", task)
        following = "sample" if trained.generates else "forecast" if trained.forecasts else "evaluate"
        print(f"Next: unrolled {following} {shlex.quote(run)}{own}")


def _say_how_to_go_on(run: str, own: str, as_json: bool) -> None:
    from pathlib import Path

    from unrolled.runs.folder import RunFolder

    command = f"unrolled train --run {shlex.quote(run)} --resume{own}"
    if RunFolder(run).has_checkpoint or (Path(run) / "folds.jsonl").is_file():
        message = f"Stopped; everything is saved. Resume with:\n  {command}"
    else:
        message = "Stopped before the first update; nothing was saved."
    print(message, file=sys.stderr if as_json else sys.stdout)


def _own(option: str, name: str | None) -> str:
    """The option again, where it names a file of the person's own."""
    return f" {option} {shlex.quote(name)}" if name and ":" in name else ""
