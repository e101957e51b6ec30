"""The verb ``train``."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from unrolled.cli.shared import NAME, json_option
from unrolled.cli.threads import threads_option


@click.command(epilog="Example: unrolled train shakespeare.txt --run runs/shakespeare --minutes 3")
@click.argument("data", required=False, type=NAME)
@click.option("--run", type=NAME, metavar="DIR", help="Run folder to create.")
@click.option("--task", default="text", help="Task to learn: text.")
@click.option("--cell", type=NAME, metavar="CELL", help="lstm (default), gru, elman, or FILE.py:Class.")
@click.option("--hidden", type=int, help="Width of each hidden layer.")
@click.option("--layers", type=int, help="Hidden layers.")
@click.option("--batch", type=int, help="Parallel streams.")
@click.option("--bptt", type=int, help="Steps of truncated BPTT (100); 0 for all.")
@click.option("--update-every", type=int, help="New steps per update; below --bptt the window slides.")
@click.option("--carry/--no-carry", default=None, help="Carry the hidden state from chunk to chunk.")
@click.option("--minutes", type=float, help="Budget in minutes (3).")
@click.option("--epochs", type=float, help="Budget in passes over the training part.")
@click.option("--split", metavar="A/B/C", help="Training/validation/test in percent (90/5/5).")
@click.option("--units", help="characters (default), bytes or words.")
@click.option("--include", type=NAME, metavar="PATTERN", help="Files of a folder to read: '**/*.txt'.")
@click.option("--vocabulary-size", type=int, help="Largest vocabulary of words (20000).")
@click.option("--lr", type=float, help="Peak learning rate.")
@click.option("--optimizer", help="adam (default), adamw, rmsprop or sgd.")
@click.option("--weight-decay", type=float, help="Weight decay (0).")
@click.option("--warmup", type=float, help="Share of the budget for warm-up (0.02).")
@click.option("--dropout", type=float, help="Dropout between layers and before the output.")
@click.option("--recurrent-init", metavar="KIND", help="Initial W_hh: orthogonal (default), identity, glorot.")
@click.option("--forget-bias", type=float, help="Initial bias of the forget or update gate (lstm 1, gru 0).")
@click.option("--chrono", type=float, metavar="LAG", help="Initial gate biases for memories of up to LAG steps.")
@click.option("--clip", help="Limit of the gradient norm (1), value:5, or off.")
@click.option("--ema", type=float, help="Decay of the weight average; 0 for none.")
@click.option("--seed", type=int, help="Random seed (1).")
@threads_option
@click.option("--device", help="cpu (default), cuda or mps.")
@click.option("--save-every", type=float, metavar="SECONDS", help="Seconds between checkpoints (30).")
@click.option("--resume", is_flag=True, help="Resume a run; a larger budget trains it further.")
@click.option("--from", "from_run", type=NAME, metavar="RUN", help="Start from the best weights of another run.")
@click.option("--vocabulary", metavar="WHICH", help="With --from: extended (default), same or text.")
@click.option(
    "--allow-code", is_flag=True, help="With --resume or --from: run the cell's source code kept in the run."
)
@json_option
def train(
    data: str | None,
    run: str | None,
    task: str,
    resume: bool,
    from_run: str | None,
    allow_code: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a recurrent network on a text.

    DATA is a UTF-8 file, a folder of them, or - for standard input. Sizes that are
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

    show, cell = listener(as_json), options["cell"]
    try:
        fit(data, run, task=task, resume=resume, from_run=from_run, allow_code=allow_code, listen=show, **options)
    except KeyboardInterrupt:
        _say_how_to_go_on(run, cell, as_json)
        sys.exit(130)
    finally:
        show.close()
    if not as_json:
        from pathlib import Path

        own = "" if (Path(run) / "program.json").is_file() else _own_cell(cell)
        print(f"Next: unrolled sample {shlex.quote(run)}{own}")


def _say_how_to_go_on(run: str, cell: str | None, as_json: bool) -> None:
    from unrolled.runs.folder import RunFolder

    command = f"unrolled train --run {shlex.quote(run)} --resume{_own_cell(cell)}"
    if RunFolder(run).has_checkpoint:
        message = f"Stopped; everything is saved. Resume with: {command}"
    else:
        message = "Stopped before the first update; nothing was saved."
    print(message, file=sys.stderr if as_json else sys.stdout)


def _own_cell(cell: Any) -> str:
    return f" --cell {shlex.quote(cell)}" if cell and ":" in cell else ""
