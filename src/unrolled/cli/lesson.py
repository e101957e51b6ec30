"""The verb ``lesson``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unrolled.cli.shared import NAME, json_option, print_table
from unrolled.cli.threads import no_work, threaded
from unrolled.cli.waiting import waiting


@click.group(epilog="Example: unrolled lesson hello")
def lesson() -> None:
    """Short lessons: the lecture's examples, with every number shown."""


@lesson.command(epilog="Example: unrolled lesson hello --seed 2")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of the initial weights."
)
@threaded(no_work)
@json_option
def hello(seed: int, as_json: bool) -> None:
    """The smallest language model: four letters and one word."""
    from unrolled.lab.hello import HIDDEN, SEQUENCE, UPDATES, VOCABULARY, run

    outcome = run(seed)
    if as_json:
        from dataclasses import asdict
        from json import dumps

        print(dumps(asdict(outcome)))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f'Vocabulary {list(VOCABULARY)}, training sequence "{SEQUENCE}".', markup=False)
    console.print(f"Elman network, {HIDDEN} hidden units, {outcome.parameters} parameters:")
    console.print("  h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)      y_t = W_hy h_t + b_y\n")
    print_table(_table("Before training", outcome.before))
    console.print(f"loss {outcome.loss_before:.3f} nats\n")
    print_table(_table(f"After {UPDATES} updates of full backpropagation through time", outcome.after))
    console.print(f"loss {outcome.loss_after:.3f} nats\n")
    console.print("The input l is followed by l once and by o once:\nthe hidden state tells the two apart.\n")
    console.print(f'Given "{SEQUENCE[0]}" and then its own output, it writes: [bold]{outcome.written}[/bold]')


@lesson.command(epilog="Example: unrolled lesson gradients --out pictures")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of the initial weights."
)
@click.option(
    "--out", type=NAME, metavar="DIR", default=".", show_default=True, help="Folder for lesson-gradients.png."
)
@threaded(no_work)
@json_option
def gradients(seed: int, out: str, as_json: bool) -> None:
    """Why gradients vanish or explode, and what helps."""
    from unrolled.errors import UsageError

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {out} is a file, expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    from unrolled.lab.gradients import run
    from unrolled.lab.gradients_figure import draw_lesson

    with waiting("training"):
        outcome = run(seed)
    picture = str(folder / "lesson-gradients.png")
    draw_lesson(outcome).savefig(picture)
    if as_json:
        from json import dumps

        print(dumps(outcome.as_json() | {"picture": picture}))
        return
    from unrolled.cli.lesson_gradients import show

    show(outcome)
    print(f"Picture: {picture}")


def _table(title: str, steps: list[Any]) -> Any:
    """Time runs from left to right, and the network upwards, as in the lecture's figure."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for t, _ in enumerate(steps, start=1):
        table.add_column(f"t = {t}", justify="right")

    def vector(values: list[float], places: int) -> str:
        return "\n".join(f"{value:.{places}f}" for value in values)

    rows = [
        ("input", [step.input for step in steps]),
        ("one-hot x\n(h e l o)", [vector(step.one_hot, 0) for step in steps]),
        ("hidden h", [vector(step.hidden, 2) for step in steps]),
        ("scores y\n(h e l o)", [vector(step.scores, 2) for step in steps]),
        ("target", [step.target for step in steps]),
        ("p(target)", [f"{step.probability:.3f}" for step in steps]),
    ]
    for k, (name, cells) in enumerate(rows):
        table.add_row(name, *cells, end_section=k < len(rows) - 1)
    return table
