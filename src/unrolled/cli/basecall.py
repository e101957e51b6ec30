"""The verb ``basecall``."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from unrolled.cli.shared import NAME, complaint, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import counted


@click.command(epilog="Example: unrolled basecall runs/pore reads -o reads.fastq")
@trained_run
@click.argument("reads", type=NAME)
@click.option(
    "-o",
    "--out",
    type=NAME,
    required=True,
    metavar="FILE",
    help="The FASTQ file to write; NAME.gz packs it, - prints.",
)
@click.option(
    "--beam",
    type=click.IntRange(1),
    metavar="B",
    default=5,
    help="Hypotheses of the search (5); 1: the likeliest path.",
)
@threaded(work_of_run)
def basecall(run: str, reads: str, cell: str | None, task: str | None, allow_code: bool, out: str, beam: int) -> None:
    """Write the bases of READS to a FASTQ file, with the model in RUN.

    READS is a POD5 or fast5 file, or a folder of them.
    """
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code, task)
    if not hasattr(model, "basecall"):
        raise model.cannot("does not read nanopore signals")
    count, bad = 0, 0
    with _written(out) as file:
        for made, is_bad in model.basecall(reads, beam):
            if is_bad:
                bad += 1
                print(complaint(str(made), sys.argv[1:]), file=sys.stderr)
            else:
                count += 1
                file.write(made)
    said = f"wrote {out}: {counted(count, 'reads')}" + (f", {bad:,} left out" if bad else "")
    print(said, file=sys.stderr if out == "-" else sys.stdout)


@contextmanager
def _written(out: str) -> Iterator[IO[str]]:
    """What is written becomes the file once it is whole."""
    from unrolled.runs.files import replacing

    if out == "-":
        yield sys.stdout
        return
    opened: Any = gzip.open if out.lower().endswith(".gz") else open
    with replacing(Path(out)) as beside, opened(beside, "wt", encoding="utf-8") as file:
        yield file
