"""Simulated reads: stretches of a genome drawn through a pore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.options import check
from unrolled.runs.files import write_atomically
from unrolled.tasks.fasta import fasta_records
from unrolled.tasks.transcribe.reads.files import Signal, write_fast5
from unrolled.tasks.transcribe.reads.levels import BASES, Levels, read_levels
from unrolled.tasks.transcribe.reads.options import BOUNDS

_COMPLEMENT = np.array([3, 2, 1, 0])
_MOST = 20_000_000
"""Samples of a read, in the mean."""


@dataclass(frozen=True)
class Pore:
    """How bases become current.

    Equation::

        dwell_i ~ Gamma(shape, mean / shape), rounded, at least 1        samples of word i
        current_t = level of the word at t + noise * sd of the word * e_t + drift * b_t        e_t normal

    where b is a random walk whose standard deviation is 1 pA after a second.

    Fields:
        dwell, shape: samples a base in the mean, and the gamma distribution's shape.
        noise: times the table's own. drift: pA of standard deviation after a second.
        rate: samples a second.

    Raises:
        UsageError: a number that is out of its bounds.
    """

    levels: Levels
    dwell: float = 9.0
    shape: float = 2.0
    noise: float = 1.0
    drift: float = 1.0
    rate: int = 4_000

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            check(least <= value <= most, name, f"must be from {least:,} to {most:,}, got {value}")

    def current(self, bases: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Current in pA (samples,) for bases 0 to 3; the last k - 1 of them only as neighbours."""
        words = self.levels.words(bases)
        dwell = np.maximum(1, np.rint(random.gamma(self.shape, self.dwell / self.shape, len(words)))).astype(int)
        at = np.repeat(words, dwell)
        noise = self.noise * self.levels.sd[at] * random.standard_normal(len(at))
        drift = self.drift * np.cumsum(random.standard_normal(len(at))) / np.sqrt(self.rate)
        return np.asarray(self.levels.mean[at] + noise + drift)


@dataclass(frozen=True)
class Simulated:
    """A read.

    Fields:
        name: number, sequence, place of the bases in it, and strand; bases: that the pore has seen; current: in pA.
    """

    name: str
    bases: str
    current: np.ndarray


def simulated(
    genome: Sequence[tuple[str, str]], pore: Pore, count: int, length: int, seed: int = 1
) -> Iterator[Simulated]:
    """Reads of both strands, from places drawn evenly.

    Arguments:
        genome: names and bases of its sequences. Places with other letters than A, C, G and T are not read.
        length: bases of a read.

    Raises:
        UsageError: a read would have too many samples. DataError: no stretch of the genome is long enough.
    """
    samples = length * pore.dwell
    check(samples <= _MOST, "length", f"{length:,} bases of {pore.dwell:g} samples are too many: at most {_MOST:,}")
    k = pore.levels.k
    number_of = np.full(256, -1, np.int8)
    number_of[np.frombuffer(f"{BASES}{BASES.lower()}".encode(), np.uint8)] = [*range(len(BASES))] * 2
    whole = length + k - 1
    coded = [(name, number_of[np.frombuffer(text.encode("latin-1", "replace"), np.uint8)]) for name, text in genome]
    stretches = [(n, *one) for n, (_, bases) in enumerate(coded) for one in _stretches(bases >= 0, whole)]
    places = np.cumsum([size for *_, size in stretches])  # at which a read may begin, up to the end of each stretch
    if not len(places):
        raise DataError(f"the genome has no stretch of {whole:,} known bases: choose a smaller --length")

    def reads() -> Iterator[Simulated]:
        random = np.random.default_rng(seed)
        for number in range(count):
            place = int(random.integers(places[-1]))
            at = int(np.searchsorted(places, place, side="right"))
            n, start, size = stretches[at]
            start += place - int(places[at]) + size
            bases, strand = coded[n][1][start : start + whole].astype(np.int64), "+-"[random.integers(2)]
            if strand == "-":
                bases = _COMPLEMENT[bases[::-1]]
                start += k - 1  # the neighbours of the last base stand before it
            current = pore.current(bases, random)
            seen = "".join(BASES[b] for b in bases[:length])
            yield Simulated(f"read{number:06d}_{coded[n][0]}_{start}_{strand}", seen, current)

    return reads()


def _stretches(known: np.ndarray, whole: int) -> Iterator[tuple[int, int]]:
    """Where stretches of known bases begin, and at how many places of each a read of ``whole`` of them may begin."""
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin >= whole:
            yield begin, end - begin - whole + 1


def write_simulated(genome: str, levels: str, count: int, folder: Path, length: int, seed: int, **pore: Any) -> Path:
    """Reads in ``reads.fast5`` and their bases in ``reads.fasta`` of a folder; the path of the former.

    Raises:
        UsageError: a file is missing, a number is out of its bounds, or the folder has reads already.
        DataError: a file cannot be used.
    """
    if not Path(genome).is_file():
        raise UsageError(f"there is no file {genome}")
    file, truth = folder / "reads.fast5", folder / "reads.fasta"
    for there in (file, truth):
        if there.exists():
            raise UsageError(f"--out: there is {there} already: choose another folder")
    sequences = [(one.name, one.sequence) for one in fasta_records(Path(genome))]
    made = simulated(sequences, Pore(read_levels(levels), **pore), count, length, seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []

    def signals() -> Iterator[Signal]:
        for read in made:
            lines.append(f">{read.name}\n{read.bases}\n")
            yield Signal(read.name, read.current, float(pore.get("rate", Pore.rate)))

    write_fast5(file, signals())
    write_atomically(truth, "".join(lines).encode())
    return file
