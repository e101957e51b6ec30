"""Reads of a simulated pore."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pores import table
from unrolled.errors import DataError, UsageError
from unrolled.tasks.registry import recognised
from unrolled.tasks.simulating import simulated_reads
from unrolled.tasks.transcribe.reads.levels import Levels, read_levels
from unrolled.tasks.transcribe.reads.options import BOUNDS
from unrolled.tasks.transcribe.reads.reading import read_reads
from unrolled.tasks.transcribe.reads.simulated import Pore, simulated
from unrolled.tasks.transcribe.task import TranscribeTask

pytest.importorskip("h5py")
pytest.importorskip("pyfastx")
pytest.importorskip("edlib")

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_without_noise_the_current_is_that_of_the_words(levels):
    pore = Pore(levels, dwell=5, noise=0, drift=0)
    current = pore.current(np.array([0, 3, 3, 1]), np.random.default_rng(0))
    steps = [levels.mean[word] for word in (0 * 4 + 3, 3 * 4 + 3, 3 * 4 + 1)]
    assert [value for value, _ in itertools.groupby(current)] == steps


def test_dwell_noise_and_drift_are_as_large_as_they_say():
    levels = Levels(1, np.zeros(4), np.full(4, 2.0))
    random = np.random.default_rng(0)
    bases = random.integers(0, 4, 40_000)
    still = Pore(levels, drift=0).current(bases, random)
    assert len(still) / len(bases) == pytest.approx(9, rel=0.02) and still.std() == pytest.approx(2, rel=0.02)
    ends = [Pore(levels, noise=0, drift=3).current(np.zeros(1000, int), random)[4000] for _ in range(300)]
    assert np.std(ends) == pytest.approx(3, rel=0.15)


def test_reads_come_from_both_strands_at_the_places_that_they_name(levels, genome):
    _, bases = genome
    strands = set()
    for read in simulated([("g", bases)], Pore(levels), 60, 50, seed=4):
        start, strand = read.name.split("_")[-2:]
        place = bases[int(start) : int(start) + 50]
        assert read.bases == (place if strand == "+" else place[::-1].translate(COMPLEMENT))
        strands.add(strand)
    assert strands == {"+", "-"}
    again, third = (list(simulated([("g", bases)], Pore(levels), 3, 50, seed=4)) for _ in range(2))
    assert all((a.current == b.current).all() for a, b in zip(again, third, strict=True))


def test_unknown_bases_are_never_read(levels):
    reads = simulated([("g", "N" * 30 + "ACGTACGTAC" + "n" * 30)], Pore(levels), 20, 8)
    assert {read.name.split("_")[-2] for read in reads} <= {"30", "31", "32"}
    with pytest.raises(DataError, match="no stretch of 12 known bases"):
        list(simulated([("g", "ACGTACGT")], Pore(levels), 1, 11))


@pytest.mark.parametrize(
    "broken", ["kmer\tlevel_mean\n", "kmer\tlevel_mean\tlevel_stdv\nA\t1\t1\n", "a,b\n1,2\n", ""]
)
def test_tables_that_are_not_of_levels(tmp_path, broken):
    (tmp_path / "t.tsv").write_text(broken)
    with pytest.raises(DataError):
        read_levels(str(tmp_path / "t.tsv"))


def test_reads_by_the_command_line(genome, tmp_path, cli):
    given = {"--genome": genome[0], "--levels": table(tmp_path / "levels.tsv"), "--length": 40, "--shape": 20}
    given |= {"-n": 3, "--out": tmp_path / "reads"}
    status, out, _ = cli("simulate", "reads", *map(str, itertools.chain(*given.items())))
    assert status == 0 and "reads.fast5" in out and recognised(tmp_path / "reads") == "transcribe"


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e12"])
def test_numbers_that_make_no_reads(name, value, genome, tmp_path, cli):
    given = ["--genome", str(genome[0]), "--levels", str(table(tmp_path / "levels.tsv")), "-n", "2"]
    out = tmp_path / "reads"
    status, _, wrong = cli("simulate", "reads", *given, "--out", str(out), f"--{name}", value)
    assert status == 2 and f"--{name}" in wrong and not out.exists()
    with pytest.raises(UsageError, match=f"--{name}: must be from"):
        Pore(Levels(1, np.zeros(4), np.zeros(4)), **{name: float(value)})


@pytest.mark.parametrize("rate", BOUNDS["rate"])
def test_training_takes_every_rate_that_is_simulated(rate, genome, tmp_path):
    levels = str(table(tmp_path / "levels.tsv"))
    simulated_reads(str(genome[0]), levels, 3, tmp_path / "reads", length=20, seed=1, rate=rate)
    TranscribeTask().read(str(tmp_path / "reads"))


def test_a_read_with_too_many_samples_is_refused(levels):
    with pytest.raises(UsageError, match="--length: 1,000,000 bases of 100 samples are too many: at most 20,000,000"):
        simulated([("g", "ACGT")], Pore(levels, dwell=100), 1, 1_000_000)


def test_a_length_that_no_stretch_has_leaves_no_folder(genome, tmp_path):
    levels = str(table(tmp_path / "levels.tsv"))
    with pytest.raises(DataError, match="no stretch of 6,001 known bases"):
        simulated_reads(str(genome[0]), levels, 3, tmp_path / "reads", length=6_000, seed=1)
    assert not (tmp_path / "reads").exists()


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text("ACGTacgtN", max_size=30), min_size=1, max_size=4), length=st.integers(1, 6))
def test_every_place_of_known_bases_is_read_as_often(texts, length):
    levels = Levels(2, np.arange(16.0), np.zeros(16))
    whole = length + 1
    places = {
        (n, start) for n, text in enumerate(texts) for start in range(len(text) - length)
        if "N" not in text[start : start + whole]
    }  # fmt: skip
    genome = [(str(n), text) for n, text in enumerate(texts)]
    if not places:
        with pytest.raises(DataError, match="no stretch"):
            simulated(genome, Pore(levels, drift=0), 1, length)
        return
    seen = Counter()
    for read in simulated(genome, Pore(levels, noise=0, drift=0), 40 * len(places), length):
        _, n, start, strand = read.name.split("_")
        place = int(start) - (strand == "-")
        assert (int(n), place) in places
        seen[int(n), place] += 1
    assert seen.keys() == places and max(seen.values()) < 100


def test_any_name_of_a_sequence_makes_reads_that_can_be_used(genome, tmp_path):
    (tmp_path / "genome.fa").write_text(f">a/b c\n{genome[1]}\n")
    levels = str(table(tmp_path / "levels.tsv"))
    simulated_reads(str(tmp_path / "genome.fa"), levels, 3, tmp_path / "reads", length=20, seed=1)
    found = read_reads(str(tmp_path / "reads"))
    assert len(found.names) == 3 and not found.bad and "_a/b_" in found.names[0]


@pytest.mark.parametrize("there", ["reads.fast5", "reads.fasta"])
def test_older_reads_are_kept(there, genome, tmp_path, cli):
    (tmp_path / there).write_text("precious")
    given = ["--genome", str(genome[0]), "--levels", str(table(tmp_path / "levels.tsv")), "-n", "2"]
    status, _, wrong = cli("simulate", "reads", *given, "--out", str(tmp_path))
    assert status == 2 and f"{there} already" in " ".join(wrong.split())
    assert (tmp_path / there).read_text() == "precious"
