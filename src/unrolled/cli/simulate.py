"""The verb ``simulate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from unrolled.cli.shared import NAME
from unrolled.tasks.simulating import BOUNDS, RATES
from unrolled.wording import counted


def _of_the_pore(name: str, default: float, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option for a number that the simulated pore has."""
    return click.option(
        f"--{name}", type=click.FloatRange(*BOUNDS[name]), default=default, help=f"{text} ({default:g})."
    )


@click.group(epilog="Example: unrolled simulate reads --genome lambda.fa --levels levels.tsv -n 2000 --out reads")
def simulate() -> None:
    """Make data whose truth is known."""


@simulate.command(
    epilog="Example: unrolled simulate reads --genome lambda.fa --levels levels.tsv -n 2000 --out reads"
)
@click.option("--genome", type=NAME, required=True, metavar="FASTA", help="Where the bases come from.")
@click.option("--levels", type=NAME, required=True, metavar="TSV", help="Current of each word of bases.")
@click.option("-n", "count", type=click.IntRange(1), required=True, metavar="N", help="Reads.")
@click.option("--out", type=NAME, required=True, metavar="DIR", help="Folder for reads.fast5 and reads.fasta.")
@click.option("--length", type=click.IntRange(1), default=1000, help="Bases of a read (1000).")
@_of_the_pore("dwell", 9.0, "Samples of a base, in the mean")
@_of_the_pore("shape", 2.0, "Of the dwell times' gamma distribution")
@_of_the_pore("noise", 1.0, "Times the deviations of the table")
@_of_the_pore("drift", 1.0, "pA of standard deviation after a second")
@click.option("--rate", type=click.IntRange(RATES[0], RATES[-1]), default=4000, help="Samples a second (4000).")
@click.option("--seed", type=click.IntRange(0), default=1, help="The same seed gives the same reads (1).")
def reads(genome: str, levels: str, count: int, out: str, length: int, seed: int, **pore: float) -> None:
    """Draw reads through a simulated nanopore, from both strands of a genome."""
    from unrolled.tasks.simulating import simulated_reads

    file = simulated_reads(genome, levels, count, Path(out), length, seed, **pore)
    print(f"wrote {file} and {file.with_suffix('.fasta')}")


@simulate.command(epilog="Example: unrolled simulate scenes -n 5000 --out scenes")
@click.option("-n", "count", type=click.IntRange(1), required=True, metavar="N", help="Pictures.")
@click.option("--out", type=NAME, required=True, metavar="DIR", help="Folder for images and captions.csv.")
@click.option("--size", type=click.IntRange(32, 1024), default=64, help="Pixels of a side (64).")
@click.option(
    "--unseen",
    type=NAME,
    metavar="NAMES",
    default="count,size,colour,shape",
    help="Combinations of which attributes are kept from training (count,size,colour,shape).",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="The same seed gives the same scenes (1).")
def scenes(count: int, out: str, size: int, unseen: str, seed: int) -> None:
    """Draw scenes of objects, with captions and what is true of each."""
    from unrolled.tasks.simulating import simulated_scenes

    file = simulated_scenes(count, Path(out), seed, size, unseen)
    print(f"wrote {file} and {counted(count, 'pictures')}")
