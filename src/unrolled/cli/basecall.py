"""The verb ``basecall``."""

from __future__ import annotations

import sys

import click

from unrolled.cli.output import tell, written
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
    with written(out) as write:
        for made, is_bad in model.basecall(reads, beam):
            if is_bad:
                bad += 1
                print(complaint(str(made), sys.argv[1:]), file=sys.stderr)
            else:
                count += 1
                write(made)
    tell(out, f": {counted(count, 'reads')}" + (f", {bad:,} left out" if bad else ""))
