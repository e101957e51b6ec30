"""The verb ``inspect``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from unrolled.cli.shared import NAME, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting
from unrolled.wording import counted, singular, wrapped


@click.command(epilog="Example: unrolled inspect runs/shakespeare")
@trained_run
@click.option(
    "--data", "--text", type=NAME, metavar="FILE", help="Data to analyse (default: the run's validation part)."
)
@click.option("--out", type=NAME, metavar="DIR", help="Output folder (default: RUN/inspect).")
@threaded(work_of_run)
@json_option
def inspect(
    run: str,
    cell: str | None,
    task: str | None,
    allow_code: bool,
    data: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Look inside the model in RUN: write a report as one page.

    The report covers learning, clipping, the gradient through time, gates, units
    that track readable features, errors and their causes, and samples. Writes
    report.html, its pictures as PNG files, and all numbers in report.json, which
    --json prints as well.
    """
    from unrolled.insight.report import report
    from unrolled.runs.folder import RunFolder

    folder = RunFolder(run)
    target = _target(folder, out)
    with _made(target, is_own=out is None), waiting("looking inside"):
        made = report(*_contents(folder, cell, task, allow_code, data))
        numbers = _written(target, made)
    if as_json:
        print(numbers)
        return
    for note in made.numbers["notes"]:
        print(wrapped(_plain(note), "! "))
    for sentence in made.sentences:
        print(wrapped(_plain(sentence)))
    size = len(made.html.encode()) / 1e6
    print(f"Report: {target / 'report.html'} ({size:.1f} MB) and {counted(len(made.pictures), 'pictures')}")


def _target(folder: Any, out: str | None) -> Path:
    """The folder to write to; nothing is written through a link that a run folder may hold."""
    from unrolled.errors import UsageError

    folder.config()
    target = Path(out) if out else folder.path / "inspect"
    if not out and target.is_symlink():
        raise UsageError(f"{target} is a symbolic link: choose a folder with --out")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file, expected a folder: choose another with --out")
    return target


@contextmanager
def _made(target: Path, is_own: bool) -> Iterator[None]:
    """The folder is there, before the work begins; it goes again if nothing comes of it.

    Arguments:
        is_own: it is the run's, which may be one that others keep.
    """
    from unrolled.errors import RunError
    from unrolled.runs.files import write_error

    is_new = not target.exists()
    try:
        try:
            target.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=target):
                pass
        except OSError as error:
            advice = "; choose another folder with --out DIR" if is_own else ""
            raise RunError(f"{write_error(target, error)}{advice}") from error
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # it was never made, or holds something already
                target.rmdir()
        raise


def _contents(
    folder: Any, cell: str | None, task: str | None, allow_code: bool, data: str | None
) -> tuple[Any, Any, Any]:
    """What the run says of itself, what training kept, and what was found."""
    from unrolled.errors import DataError, EmptyPartError, RunError
    from unrolled.insight.findings import examine
    from unrolled.insight.record import record
    from unrolled.insight.report import About
    from unrolled.tasks.load import load
    from unrolled.training.advice import Advice

    config = folder.config()
    steps = str(config.get("unit", "steps"))
    facts: dict[str, Any] = {"settings": config}
    notes: list[str] = []
    events: list[Any] = []
    try:
        events = folder.history()
        if not events:
            notes.append("The run has no history yet: training has not reached its first report.")
        elif not record(events).finished:
            notes.append(_unfinished(folder, events))
    except RunError as error:
        notes.append(f"{error}: learning and gradients cannot be shown.")
    found = None
    if not (folder.path / "model.safetensors").is_file():
        notes.append(
            "The run has no weights yet: training has not reached its first validation. The report leaves out "
            "gates, units and errors."
        )
    elif damage := _damage(folder):
        notes.append(f"{damage}: the report leaves out gates, units and errors.")
    else:
        trained = load(folder.path, cell, allow_code, task)
        try:
            evidence = trained.evidence(data)
        except (RunError, DataError, NotImplementedError) as error:
            if data is not None and isinstance(error, DataError) and not isinstance(error, EmptyPartError):
                raise
            notes.append(f"There is nothing to analyse: {error}.")
        else:
            notes += evidence.notes
            facts |= {"origin": evidence.origin, "frequencies": evidence.baseline}
            found = examine(
                trained.unchecked,
                evidence.inputs,
                evidence.labels,
                evidence.names,
                evidence.unknown,
                evidence.features,
                evidence.causes,
                Advice.of(config["training"], config["model"]).for_gradient,
                evidence.losses,
            )
        facts["scales"] = [(m.factor, m.unit) for m in trained.task.metrics if m.factor]
    about = About(
        title=folder.path.resolve().name or str(folder.path),
        model=_model(config["model"], steps, config["training"]),
        unit=singular(steps),
        samples=_samples(folder, notes),
        notes=notes,
        **facts,
    )
    return about, record(events), found


def _unfinished(folder: Any, events: list[Any]) -> str:
    """That there is more to come, or was."""
    updates = [e["update"] for e in events if isinstance(e, dict) and isinstance(e.get("update"), int)]
    return (
        f"Training is not finished: this is the run after {counted(max(updates, default=0), 'updates')}. "
        f"If it was stopped, resume it with: unrolled train --run {shlex.quote(str(folder.path))} --resume"
    )


def _damage(folder: Any) -> str:
    """What is wrong with the weights; empty if nothing is."""
    from unrolled.errors import RunError

    try:
        folder.read_model()
    except RunError as error:
        return str(error)
    return ""


def _model(model: dict[str, Any], units: str, training: dict[str, Any]) -> str:
    cell = str(model.get("cell", "?")).rpartition(":")[2]
    layers = model.get("layers", "?")
    return (
        f"{cell}, {layers} {'layer' if layers == 1 else 'layers'} of {model.get('hidden', '?')}, trained on "
        f"{units} with bptt {training.get('bptt', '?') or 'all'}, {training.get('optimizer', '?')}, "
        f"learning rate {training.get('lr', '?')}, clip {training.get('clip', '?')}"
    )


def _samples(folder: Any, notes: list[str]) -> list[tuple[int, str]]:
    """What the model wrote as it learnt, by update."""
    found = []
    for file in sorted((folder.path / "samples").glob("*.txt")):
        if file.stem.isdecimal() and file.is_file():
            try:
                found.append((int(file.stem), file.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                notes.append(f"Skipped {file}: it is not a text file.")
    return found


def _written(target: Path, made: Any) -> str:
    """All files; the numbers as JSON."""
    from json import dumps

    from unrolled.runs.files import write_atomically

    numbers = dumps(made.numbers, allow_nan=False)
    for name, content in made.pictures.items():
        write_atomically(target / name, content)
    write_atomically(target / "report.json", (numbers + "\n").encode())
    write_atomically(target / "report.html", made.html.encode("utf-8"))
    return numbers


def _plain(sentence: str) -> str:
    """A terminal obeys control characters; what a run or a text holds must not give it orders."""
    from unrolled.insight.page import visible

    return visible(sentence)
