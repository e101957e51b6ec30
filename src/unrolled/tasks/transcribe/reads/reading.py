"""Reads with their bases, for training and for scores."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.fasta import fasta_records, is_fasta
from unrolled.tasks.folders import PART_NAMES, files_in
from unrolled.tasks.transcribe.fronts import Currents
from unrolled.tasks.transcribe.reading import Collection
from unrolled.tasks.transcribe.reads.files import SUFFIXES, read_signals
from unrolled.tasks.transcribe.reads.levels import BASES

LONGEST = 60_000
"""Samples of a read that training can use."""


def read_reads(data: str) -> Collection:
    """All reads of a folder that have bases in one of its FASTA or FASTQ files, by their names.

    Raises:
        UsageError: there is no such folder. DataError: none of its reads can be used.
    """
    folder = Path(data)
    if not folder.is_dir():
        raise UsageError(f"{data} is not a folder of reads" if folder.exists() else f"there is no folder {data}")
    files = files_in(folder)
    bases = {one.name: one.sequence.upper() for p in files if is_fasta(p) for one in fasta_records(p)}
    signals = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not signals:
        raise DataError(f"{data} has no reads (names that end in {', '.join(SUFFIXES)})")
    if not bases:
        raise DataError(f"{data} has no bases of its reads: expected a FASTA or FASTQ file with the reads' names")
    found, rates = Collection(0), Counter[float]()
    for path in signals:
        part = PART_NAMES.get(path.relative_to(folder).parts[0].lower())
        try:
            for read in read_signals(path):
                if isinstance(read, str):
                    found.bad.append(read)
                elif (why := _unfit(bases.get(read.name), len(read.current))) is not None:
                    found.bad.append(f"{path}: read {read.name} {why}")
                else:
                    rates[read.rate] += 1
                    found.add(Currents(0).normed(read.current), bases[read.name], part, read.name)
        except DataError as error:
            found.bad.append(str(error))
    found.check_any()
    if len(rates) > 1:
        some = " and ".join(f"{rate:g}" for rate, _ in rates.most_common(2))
        raise DataError(f"{data} has reads of several rates, such as {some} samples a second: use a folder for each")
    found.rate = round(next(iter(rates)))
    return found


def _unfit(bases: str | None, samples: int) -> str | None:
    """Why a read cannot be used, if it cannot."""
    if bases is None:
        return "has no bases in any FASTA or FASTQ file"
    if set(bases) - set(BASES):
        return f"has the base {min(set(bases) - set(BASES))!r}, expected A, C, G and T"
    if samples < 2:
        return "has no signal"
    if samples > LONGEST:
        return f"has {samples:,} samples; training takes at most {LONGEST:,}"
    return None
