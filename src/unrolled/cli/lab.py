"""The verb ``lab``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from unrolled.cli.shared import NAME, json_option, print_rows, print_table
from unrolled.cli.threads import threads_option
from unrolled.errors import UsageError
from unrolled.threads import cores, limited
from unrolled.wording import counted, wrapped


@click.command(epilog="Example: unrolled lab reber --seeds 5")
@click.argument("name", required=False)
@click.option(
    "--cell", multiple=True, type=NAME, metavar="CELL", help="As in train: lstm, ..., FILE.py:Class; can be repeated."
)
@click.option("--lag", type=int, metavar="T", help="Time lag (default: the paper's).")
@click.option("--seeds", type=click.IntRange(1), help="Number of seeds (default: 20 up to T = 100, 5 beyond).")
@click.option("--jobs", type=click.IntRange(1), help="Seeds run in parallel (default: one per core).")
@click.option("--out", type=NAME, default="lab", show_default=True, metavar="DIR", help="Folder for the outcomes.")
@threads_option
@json_option
def lab(
    name: str | None,
    cell: tuple[str, ...],
    lag: int | None,
    seeds: int | None,
    jobs: int | None,
    out: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run classic experiments with the papers' data and criteria.

    Without NAME, lists the experiments; the name "all" runs every one. Each seed is
    saved when it ends, so a stopped table resumes where it was. A seed runs on one
    thread, so its outcome does not depend on --threads or --jobs.
    """
    from unrolled.lab.catalogue import TITLES, chosen, experiment

    if name is None:
        _list(TITLES, as_json)
        return
    if name == "all" and (cell or lag is not None):
        raise UsageError(
            "lab all: runs every cell at the papers' lags; leave out --cell and --lag, or name one experiment"
        )
    if Path(out).exists() and not Path(out).is_dir():
        raise UsageError(f"--out: {out} is a file, expected a folder")
    asked = [(one, chosen(one, cell, lag)) for one in map(experiment, TITLES if name == "all" else [name])]
    outcomes = _run(asked, seeds, _jobs(jobs, threads), Path(out), as_json)
    if as_json:
        _print_json(asked, outcomes)
        return
    for one, settings in asked:
        _introduce(one)
        _table(one, settings, outcomes)
        path = _picture(one, {s: outcomes[one.name, s] for s in settings}, Path(out))
        print(f"Picture: {path}\n" if path else "")


def _jobs(jobs: int | None, threads: int | None) -> int:
    """Seeds at once: what was asked for, but no more than there are threads for."""
    most = cores() if threads is None else limited(threads)
    return most if jobs is None else jobs if threads is None else min(jobs, most)


def _run(asked: list[Any], count: int | None, jobs: int, folder: Path, quiet: bool) -> dict[Any, list]:
    """The outcomes of each setting, in the order of the seeds; each is told as it ends."""
    from unrolled.lab.running import run, seeds

    wanted = [one for experiment, settings in asked for one in seeds(experiment, settings, count)]
    made: dict[Any, Any] = {}
    if not quiet:
        together = f", {min(jobs, len(wanted))} at a time" if len(wanted) > 1 else ""
        count_of = counted(len(wanted), "seeds")
        print(wrapped(f"Running {count_of}{together}; the outcome of each is printed when it ends."), flush=True)
    running = run(wanted, folder, jobs)
    try:
        for one, outcome, known in running:
            made[one.experiment.name, one.setting, one.seed] = outcome
            if not quiet:
                print(_line(one, outcome, known, len(made), len(wanted)), flush=True)
    except KeyboardInterrupt:
        print("\nStopped; finished seeds are saved. Run the same command again to continue.", file=sys.stderr)
        sys.exit(130)
    finally:
        running.close()
    outcomes: dict[Any, list] = {}
    for one in wanted:
        found = made[one.experiment.name, one.setting, one.seed]
        outcomes.setdefault((one.experiment.name, one.setting), []).append(found)
    return outcomes


def _list(titles: dict[str, str], as_json: bool) -> None:
    if as_json:
        from json import dumps

        for name, title in titles.items():
            print(dumps({"name": name, "title": title}))
        return
    print_rows(titles.items(), 16)
    print("\nNext: unrolled lab NAME")


def _print_json(asked: list[Any], outcomes: dict[Any, list]) -> None:
    from json import dumps

    from unrolled.lab.running import row

    for one, settings in asked:
        for setting in settings:
            print(dumps(row(one, setting, outcomes[one.name, setting]).as_json()))


def _introduce(chosen: Any) -> None:
    rows = [("experiment", chosen.title), ("paper", chosen.source), ("published", chosen.published)]
    print()
    print_rows([*rows, ("solved if", chosen.criterion), ("score", chosen.measure)], 11)


def _line(one: Any, outcome: Any, known: bool, count: int, of: int) -> str:
    from unrolled.lab.running import number

    end = "solved" if outcome.solved else "not solved"
    kept = "  (kept)" if known else ""
    return wrapped(
        f"[{count}/{of}] {one.experiment.name}: {one.setting}, seed {one.seed}: {end}, "
        f"{outcome.sequences:,} sequences, {outcome.seconds:.1f} s, score {number(outcome.score)}{kept}"
    )


def _table(chosen: Any, settings: list[Any], outcomes: dict[Any, list]) -> None:
    import math

    from rich import box
    from rich.table import Table

    from unrolled.lab.running import number, row

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("cell", no_wrap=True)
    for title in ("solved", "sequences", "seconds", "score", "chance"):
        table.add_column(title, justify="right", no_wrap=True)
    heading = ""
    for setting in settings:
        r = row(chosen, setting, outcomes[chosen.name, setting])
        if setting.where != heading:
            heading = setting.where
            if heading:
                table.add_row(heading)
        count = "-" if math.isinf(r.median_sequences) else f"{r.median_sequences:,.0f}"
        cells = [f"{r.solved} of {r.seeds}", count, f"{r.seconds:.1f}", number(r.score), number(r.chance)]
        table.add_row("  " * bool(heading) + r.cell, *cells)
    print()
    print_table(table)
    print()
    print(wrapped("Sequences, seconds and score: medians over seeds. Chance: the score of random guesses."))


def _picture(chosen: Any, outcomes: dict[Any, list], folder: Path) -> Path | None:
    from unrolled.lab.catalogue import picture

    figure = picture(chosen, outcomes)
    if figure is None:
        return None
    path = folder / f"{chosen.name}.png"
    figure.savefig(path)
    return path
