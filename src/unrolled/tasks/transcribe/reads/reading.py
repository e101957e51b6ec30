"""Reads with their bases, for training and for scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.fasta import fasta_records, is_fasta
from unrolled.tasks.folders import files_in, part_of_folder
from unrolled.tasks.transcribe.fronts import Currents
from unrolled.tasks.transcribe.reading import Collection
from unrolled.tasks.transcribe.reads.files import SUFFIXES, reads_of
from unrolled.tasks.transcribe.reads.levels import BASES

LONGEST = 60_000
"""Samples of a read that training can use."""


def read_reads(data: str) -> Collection:
    """All reads of a folder that have bases in one of its FASTA or FASTQ files, by their names.

    Raises:
        UsageError: there is no such folder. DataError: none of its reads can be used, or one has different bases in
            two files.
    """
    folder = Path(data)
    if not folder.is_dir():
        raise UsageError(f"{data} is not a folder of reads" if folder.exists() else f"there is no folder {data}")
    files = files_in(folder)
    bases, unlike = _bases([p for p in files if is_fasta(p)])
    signals = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not signals:
        raise DataError(f"{data} has no reads (names that end in {', '.join(SUFFIXES)})")
    if not bases:
        raise DataError(f"{data} has no bases of its reads: expected a FASTA or FASTQ file with the reads' names")
    found, rates = Collection(0), Counter[float]()
    for path, read in reads_of(signals):
        if isinstance(read, str):
            found.bad.append(read)
        elif read.name in unlike:
            raise DataError(unlike[read.name])
        elif (why := _unfit(bases.get(read.name), len(read.current))) is not None:
            found.bad.append(f"{path}: read {read.name} {why}")
        else:
            rates[read.rate] += 1
            part = part_of_folder(path.relative_to(folder))
            found.add(Currents(0).normed(read.current), bases[read.name], part, read.name)
    found.check_any()
    if len(rates) > 1:
        some = " and ".join(f"{rate:g}" for rate, _ in rates.most_common(2))
        raise DataError(f"{data} has reads of several rates, such as {some} samples a second: use a folder for each")
    found.rate = round(next(iter(rates)))
    return found


def _bases(files: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """The bases of each name, and a sentence for each name whose bases are not the same wherever it occurs."""
    bases: dict[str, str] = {}
    where: dict[str, Path] = {}
    unlike: dict[str, str] = {}
    for path in files:
        for one in fasta_records(path):
            first = where.setdefault(one.name, path)
            if bases.setdefault(one.name, one.sequence.upper()) != one.sequence.upper():
                place = f"{first} and {path}" if path != first else f"two records of {path}"
                unlike[one.name] = f"the bases of read {one.name} differ in {place}: keep only the true ones here"
    return bases, unlike


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
