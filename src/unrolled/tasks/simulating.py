"""Data whose truth is known, made for tasks."""

from __future__ import annotations

from pathlib import Path

from unrolled.tasks.transcribe.options import RATES
from unrolled.tasks.transcribe.reads.options import BOUNDS

__all__ = ["BOUNDS", "RATES", "simulated_reads", "simulated_scenes"]


def simulated_reads(
    genome: str, levels: str, count: int, folder: Path, length: int, seed: int, **pore: float
) -> Path:
    """Reads of a nanopore in ``reads.fast5`` and their bases in ``reads.fasta`` of a folder; the path of the former.

    Arguments:
        genome, levels: a FASTA file, and a table of the current for each word of bases.
        count, length: how many reads, of how many bases.
        pore: as in `Pore`: dwell, shape, noise, drift, rate.

    Raises:
        UsageError: a file is missing, a number is out of its bounds, or the folder has reads already.
        DataError: a file cannot be used.
    """
    from unrolled.tasks.transcribe.reads.simulated import write_simulated

    return write_simulated(genome, levels, count, folder, length, seed, **pore)


def simulated_scenes(count: int, folder: Path, seed: int, size: int, unseen: str) -> Path:
    """Pictures of objects with captions in ``captions.csv`` of a folder, whose path it returns.

    Arguments:
        count: pictures; size: pixels of a side.
        unseen: attributes whose combinations training does not all see, as ``colour,shape``.

    Raises:
        UsageError: ``unseen`` does not name attributes, or the folder cannot be made.
    """
    from unrolled.tasks.caption.scenes.writing import write_scenes

    return write_scenes(count, folder, seed, size, unseen)
