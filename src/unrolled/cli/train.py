"""The verb ``train``."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

EXAMPLE = "Example: unrolled train shakespeare.txt --run runs/shakespeare --minutes 3"

Data = Annotated[str | None, typer.Argument(help="A UTF-8 file, or a folder of them. Not needed with --resume.")]


def train(
    data: Data = None,
    run: Annotated[str, typer.Option(help="The run folder to make.", show_default=False)] = "",
    task: Annotated[str, typer.Option(help="What to learn: text.")] = "text",
    cell: Annotated[str | None, typer.Option(help="lstm (default), gru, elman, or FILE.py:Class.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Width of each hidden layer.")] = None,
    layers: Annotated[int | None, typer.Option(help="Hidden layers.")] = None,
    batch: Annotated[int | None, typer.Option(help="Parallel streams.")] = None,
    bptt: Annotated[
        int | None, typer.Option(help="Steps that the gradient reaches back (default 100); 0: all.")
    ] = None,
    update_every: Annotated[
        int | None, typer.Option(help="New steps an update; fewer than --bptt: the window slides.")
    ] = None,
    carry: Annotated[
        bool | None, typer.Option("--carry/--no-carry", help="Carry the hidden state from chunk to chunk.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes (default 3).")] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget in passes over the training part.")] = None,
    split: Annotated[str | None, typer.Option(help="Training/validation/test in percent (90/5/5).")] = None,
    units: Annotated[str | None, typer.Option(help="characters (default), bytes or words.")] = None,
    include: Annotated[str | None, typer.Option(help="Files of a folder, as a pattern: '**/*.txt'.")] = None,
    vocabulary_size: Annotated[int | None, typer.Option(help="Most words known (20000).")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam (default), adamw, rmsprop or sgd.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay (0).")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of the budget with a rising rate (0.02).")] = None,
    dropout: Annotated[float | None, typer.Option(help="Between layers and before the scores.")] = None,
    clip: Annotated[str | None, typer.Option(help="Gradient norm (default 1), value:5, or off.")] = None,
    ema: Annotated[float | None, typer.Option(help="Averaging of weights: its decay; 0: none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (1).")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads (torch's choice).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu (default), cuda, mps.")] = None,
    save_every: Annotated[float | None, typer.Option(help="Seconds between checkpoints (30).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="With --resume: run the cell's source that the run keeps.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Train a recurrent network on a text. Sizes that are not given are chosen, and printed."""
    options = dict(locals())
    for name in ("data", "run", "task", "resume", "allow_code", "json"):
        del options[name]
    from unrolled.errors import UsageError

    if not run:
        raise UsageError("--run: name the folder to make, such as --run runs/first")
    if data is None and not resume:
        raise UsageError("name a file or a folder to learn from: unrolled train FILE.txt --run " + run)
    if not json and sys.stdout.isatty():
        print("starting ...", end="\r", flush=True)
    from unrolled.cli.progress import listener
    from unrolled.tasks.fit import fit

    show = listener(json)
    try:
        fit(data, run, task=task, resume=resume, allow_code=allow_code, listen=show, **options)
    except KeyboardInterrupt:
        _say_how_to_go_on(run, cell, json)
        raise typer.Exit(130) from None
    finally:
        show.close()
    if not json:
        print(f"Now: unrolled sample {shlex.quote(run)}{_own_cell(cell)}")


def _say_how_to_go_on(run: str, cell: str | None, json: bool) -> None:
    from unrolled.runs.folder import RunFolder

    command = f"unrolled train --run {shlex.quote(run)} --resume{_own_cell(cell)}"
    if RunFolder(run).has_checkpoint:
        message = f"Stopped; everything is saved. Go on with: {command}"
    else:
        message = "Stopped before the first update; nothing was saved."
    print(message, file=sys.stderr if json else sys.stdout)


def _own_cell(cell: Any) -> str:
    return f" --cell {shlex.quote(cell)}" if cell and ":" in cell else ""
