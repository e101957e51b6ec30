"""The verb ``simulate``."""

from __future__ import annotations

from pathlib import Path

import click

from unrolled.cli.shared import NAME
from unrolled.tasks.simulating import BOUNDS, RATES
from unrolled.wording import counted


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
@click.option(
    "--dwell", type=click.FloatRange(*BOUNDS["dwell"]), default=9.0, help="Samples of a base, in the mean (9)."
)
@click.option(
    "--shape",
    type=click.FloatRange(*BOUNDS["shape"]),
    default=2.0,
    help="Of the dwell times' gamma distribution (2).",
)
@click.option(
    "--noise", type=click.FloatRange(*BOUNDS["noise"]), default=1.0, help="Times the deviations of the table (1)."
)
@click.option(
    "--drift",
    type=click.FloatRange(*BOUNDS["drift"]),
    default=1.0,
    help="pA of standard deviation after a second (1).",
)
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
