"""Nanopore reads: simulated, kept in files, learnt, and written as bases."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.tasks.registry import recognised
from unrolled.tasks.simulating import simulated_reads
from unrolled.tasks.transcribe.fronts import Currents
from unrolled.tasks.transcribe.hearing import outputs_of
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.picturing import draw_heard
from unrolled.tasks.transcribe.reading import Collection
from unrolled.tasks.transcribe.reads.calling import beam_call, greedy_call, qualities
from unrolled.tasks.transcribe.reads.files import Signal, read_signals, write_fast5
from unrolled.tasks.transcribe.reads.levels import Levels, read_levels
from unrolled.tasks.transcribe.reads.options import BOUNDS
from unrolled.tasks.transcribe.reads.pieces import in_pieces
from unrolled.tasks.transcribe.reads.reading import read_reads
from unrolled.tasks.transcribe.reads.simulated import Pore, simulated
from unrolled.tasks.transcribe.scores import Reads
from unrolled.tasks.transcribe.task import TranscribeTask
from unrolled.training.options import TrainingOptions

h5py = pytest.importorskip("h5py")
pytest.importorskip("pyfastx")
pytest.importorskip("edlib")

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def table(path, k=2):
    """Levels that are far apart, in the form of nanopore's tables."""
    words = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
    order = np.random.default_rng(0).permutation(len(words))
    lines = ["kmer\tlevel_mean\tlevel_stdv", *(f"{w}\t{60 + 4 * n}\t0.5" for w, n in zip(words, order, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    return read_levels(str(table(tmp_path_factory.mktemp("levels") / "levels.tsv")))


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    steps = np.random.default_rng(1).integers(1, 4, 5000)  # no base twice in a row: its length could not be heard
    bases = "".join("ACGT"[base] for base in np.cumsum(steps) % 4)
    path.write_text(f">chromosome\n{bases}\n")
    return path, bases


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


def test_reads_without_bases_or_with_others_are_left_out(tmp_path):
    current = np.arange(50.0)
    names = ["good", "none", "odd"]
    write_fast5(tmp_path / "a.fast5", [Signal(name, current, 4000.0) for name in names])
    (tmp_path / "bases.fasta").write_text(">good\nACG\n>odd\nACNT\n")
    found = read_reads(str(tmp_path))
    assert found.texts == ["ACG"] and found.rate == 4000
    said = " / ".join(found.bad)
    assert "read none has no bases" in said and "read odd has the base 'N'" in said
    read = next(read_signals(tmp_path / "a.fast5"))
    assert found.sounds[0].tolist() == Currents(4000).normed(read.current).tolist()


def test_a_name_with_different_bases_is_an_error(tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal(name, np.arange(50.0), 4000.0) for name in ("one", "two")])
    (tmp_path / "a.fasta").write_text(">one\nACG\n>two\nCCC\n>chr\nACG\n")
    (tmp_path / "b.fastq").write_text("@one\nacg\n+\nIII\n@chr\nT\n+\nI\n")
    assert read_reads(str(tmp_path)).texts == ["ACG", "CCC"]  # the same bases, and different ones of no read
    (tmp_path / "c.fastq").write_text("@two\nCCT\n+\nIII\n")
    with pytest.raises(DataError, match=r"bases of read two differ in .*a\.fasta and .*c\.fastq"):
        read_reads(str(tmp_path))
    (tmp_path / "c.fastq").unlink()
    (tmp_path / "a.fasta").write_text(">one\nACG\n>one\nCCC\n")
    with pytest.raises(DataError, match=r"bases of read one differ in two records of .*a\.fasta"):
        read_reads(str(tmp_path))


def test_a_copy_of_a_file_gives_no_second_reads(tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal(name, np.arange(50.0), 4000.0) for name in ("one", "two")])
    (tmp_path / "copy.fast5").write_bytes((tmp_path / "a.fast5").read_bytes())
    (tmp_path / "a.fasta").write_text(">one\nACG\n>two\nCCC\n")
    found = read_reads(str(tmp_path))
    assert found.names == ["one", "two"] and len(found.bad) == 2
    assert "copy.fast5: read one is in " in found.bad[0] and "a.fast5 already" in found.bad[0]


def test_a_read_of_an_impossible_rate_does_not_take_the_others_away(tmp_path):
    rates = {"one": 4000.0, "two": float("inf"), "three": float("nan"), "four": 0.0}
    write_fast5(tmp_path / "a.fast5", [Signal(name, np.arange(50.0), rate) for name, rate in rates.items()])
    (tmp_path / "a.fasta").write_text("".join(f">{name}\nACG\n" for name in rates))
    found = read_reads(str(tmp_path))
    assert found.names == ["one"] and found.rate == 4000 and len(found.bad) == 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A run that has learnt nothing."""
    data = tmp_path_factory.mktemp("tiny")
    write_fast5(data / "a.fast5", [Signal(f"r{k}", np.arange(50.0), 4000.0) for k in range(4)])
    (data / "bases.fasta").write_text("".join(f">r{k}\nACG\n" for k in range(4)))
    unrolled.fit(data, data / "run", epochs=1.0, hidden=4, layers=1, split="50/25/25", threads=1, quiet=True)
    return data / "run"


def test_reads_that_can_be_used_are_called_whatever_lies_beside(tiny, tmp_path, cli):
    names = ["a b", "Zoë", "new\nline"]
    write_fast5(tmp_path / "a.fast5", [Signal(name, np.arange(50.0), 4000.0) for name in names])
    write_fast5(tmp_path / "b.fast5", [Signal("r", np.arange(50.0), 5000.0)])
    (tmp_path / "c.fast5").write_text("no")
    out = tmp_path / "o.fastq"
    status, said, wrong = cli("basecall", str(tiny), str(tmp_path), "-o", str(out))
    assert status == 0 and "1 read, 4 left out" in said
    assert out.read_text(encoding="utf-8").startswith("@Zoë\n")
    assert "read_id is 'a b'" in " ".join(wrong.split()) and "r has 5000 samples a second" in wrong


def test_no_read_at_all_is_an_error(tiny, tmp_path, cli):
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{n}", np.arange(50.0), 5000.0) for n in range(2)])
    out = tmp_path / "o.fastq"
    status, said, wrong = cli("basecall", str(tiny), str(tmp_path), "-o", str(out))
    assert (status, said) == (1, "") and not out.exists()
    assert "none of the reads can be used; the first: r0 has 5000 samples a second" in " ".join(wrong.split())
    (tmp_path / "a.fast5").write_text("no")
    status, *_ = cli("basecall", str(tiny), str(tmp_path / "a.fast5"), "-o", str(out))
    assert status == 1 and list(tmp_path.iterdir()) == [tmp_path / "a.fast5"]


@pytest.mark.parametrize(
    "broken", ["kmer\tlevel_mean\n", "kmer\tlevel_mean\tlevel_stdv\nA\t1\t1\n", "a,b\n1,2\n", ""]
)
def test_tables_that_are_not_of_levels(tmp_path, broken):
    (tmp_path / "t.tsv").write_text(broken)
    with pytest.raises(DataError):
        read_levels(str(tmp_path / "t.tsv"))


def test_identity_is_by_the_alignment():
    scores = Reads()
    scores.add("same", "ACGT", "ACGT", 1.0)
    scores.add("one changed", "ACGT", "ACTT", 1.0)
    scores.add("one more", "ACGT", "ACGGT", 1.0)
    scores.add("nothing", "ACGT", "", 1.0)
    assert scores.means()["identity"] == pytest.approx((1 + 3 / 4 + 4 / 5 + 0) / 4)
    assert scores.means()["cer"] == pytest.approx((0 + 1 + 1 + 4) / 16)
    scores.add("long", "ACGT" * 9, "ACGT" * 7, 1.0)
    said = TranscribeTask().rows(scores.figures() | {"on": "test"})
    assert [(label, text) for label, text in said if ": identity" in text] == [
        ("worst", "nothing: identity 0.00%, 4 bases, 0 called"),
        ("", "one changed: identity 75.00%, 4 bases, 4 called"),
        ("", "long: identity 77.78%, 36 bases, 28 called"),
        ("", "one more: identity 80.00%, 4 bases, 5 called"),
    ]


def test_a_picture_shows_the_current_itself(pore, monkeypatch):
    run, reads = pore
    trained = unrolled.load(run)
    trained.task.read_all(str(reads))
    drawn = []
    monkeypatch.setattr("unrolled.tasks.transcribe.task.draw_heard", lambda *given: drawn.append(given) or "figure")
    trained.task._drawn(trained.model, 0)
    ((frames, *_, seen),) = drawn
    samples = trained.task.found.sounds[0][: len(frames)]
    assert frames.shape[1] == 1 and np.allclose(frames[:, 0], samples / 4096) and seen == "current"
    assert draw_heard(*drawn[0]).axes[0].get_ylabel() == "current / its spread"
    evidence = trained.task.evidence(trained.model, "all")
    assert np.array_equal(evidence.features["current"], evidence.inputs[:, 0])


def test_a_beam_and_the_greedy_path_agree_where_all_is_clear():
    pytest.importorskip("fast_ctc_decode")
    import torch

    path = [0, 1, 1, 0, 1, 3, 3, 2, 0, 4, 0]
    outputs = 8 * torch.nn.functional.one_hot(torch.tensor(path), 5).float()
    labels, quality, steps = greedy_call(outputs)
    assert labels == [1, 1, 3, 2, 4] and len(quality) == 5 and min(quality) >= 20 and steps == [1, 4, 5, 7, 9]
    assert beam_call(outputs, 5).labels == labels and beam_call(outputs, 5).steps == steps


def read_of(posterior, call):
    """A call that looks at samples which are the numbers of steps."""
    return lambda samples: call(posterior[torch.from_numpy(samples[::3] // 3)])


@pytest.mark.parametrize("call", [greedy_call, lambda outputs: beam_call(outputs, 5)])
@pytest.mark.parametrize("samples", [1, 700, 701, 899, 900, 901, 5000])
def test_pieces_make_the_whole(call, samples):
    pytest.importorskip("fast_ctc_decode")
    random = np.random.default_rng(0)
    path = np.eye(5)[random.integers(5, size=1700)]
    posterior = torch.from_numpy(9 * path + random.normal(size=(1700, 5))).float()
    looking = read_of(posterior, call)
    read = np.arange(samples)
    whole = in_pieces(read, 3, looking)
    assert in_pieces(read, 3, looking, piece=701, overlap=100) == whole == looking(read)


def test_pieces_without_a_base_that_both_have_are_joined_in_the_middle():
    posterior = torch.full((400, 3), -9.0)
    posterior[:, 0] = 0
    posterior[100, 1] = posterior[300, 2] = 9
    assert in_pieces(np.arange(1200), 3, read_of(posterior, greedy_call), piece=700, overlap=100).steps == [100, 300]


@pytest.mark.parametrize("beam", [1, 5])
def test_a_long_read_is_called_in_pieces_as_it_is_whole(beam, pore, genome, levels, tmp_path, monkeypatch):
    run, _ = pore
    (read,) = simulated([("g", genome[1])], Pore(levels, shape=20), 1, 4000)
    write_fast5(tmp_path / "a.fast5", [Signal("r", read.current, 4000.0)])
    trained = unrolled.load(run)
    ((whole, _),) = trained.basecall(tmp_path, beam)
    sizes = []

    def seen(model, sounds, front):
        sizes.extend(map(len, sounds))
        return outputs_of(model, sounds, front)

    monkeypatch.setattr("unrolled.tasks.transcribe.trained.in_pieces", partial(in_pieces, piece=2000, overlap=500))
    monkeypatch.setattr("unrolled.tasks.transcribe.trained.outputs_of", seen)
    ((joined, _),) = trained.basecall(tmp_path, beam)
    assert len(sizes) > 20 and max(sizes) == 2000
    _, bases, _, quality = whole.splitlines()
    _, same, _, about = joined.splitlines()
    assert len(bases) > 3000
    if beam == 1:
        assert bases == same
        assert max(abs(ord(a) - ord(b)) for a, b in zip(quality, about, strict=True)) <= 1  # as they are rounded
    else:  # of several thousand bases, those that a beam full of doubts of long ago decides may differ
        assert pytest.importorskip("edlib").align(bases, same)["editDistance"] <= 5


@pytest.mark.parametrize("seed", range(8))
def test_steps_and_qualities_are_those_of_the_likeliest_path(seed):
    pytest.importorskip("fast_ctc_decode")
    outputs = torch.from_numpy(np.random.default_rng(seed).normal(size=(7, 3)) * 2).float()
    found, p = beam_call(outputs, 5), torch.softmax(outputs, 1).double().numpy()

    def runs(path):
        steps = np.flatnonzero(np.diff(path, prepend=-1))
        return [(path[t], t, n) for t, n in zip(steps, [*steps[1:], 7], strict=True) if path[t]]

    paths = [path for path in itertools.product(range(3), repeat=7) if [r[0] for r in runs(path)] == found.labels]
    best = runs(max(paths, key=lambda path: np.log(p[np.arange(7), path]).sum()))
    assert found.steps == [start for _, start, _ in best]
    assert found.qualities == qualities(np.array([p[start:end, label].max() for label, start, end in best]))


@pytest.fixture(scope="module")
def pore(genome, tmp_path_factory):
    """A run that has learnt to read, and its data."""
    place = tmp_path_factory.mktemp("pore")
    levels = str(table(place / "levels.tsv"))
    simulated_reads(str(genome[0]), levels, 300, place / "reads", length=40, seed=1, shape=20)
    settings = {"hidden": 24, "layers": 1, "batch": 5, "epochs": 7, "dropout": 0.0, "lr": 0.01, "threads": 1}
    unrolled.fit(place / "reads", place / "run", quiet=True, **settings)
    return place / "run", place / "reads"


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
        next(simulated([("g", "ACGT")], Pore(levels, dwell=100), 1, 1_000_000))


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


def test_a_full_disk_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    random = np.random.default_rng(0)
    reads = (Signal(f"r{k}", random.normal(90, 20, 20_000), 4000.0) for k in range(20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*reads\.fast5: File too large"):
            write_fast5(tmp_path / "reads.fast5", reads)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir()) and len(list(reads)) > 10  # it stopped at once


def test_from_a_genome_to_bases(pore, tmp_path, cli):
    run, reads = pore
    trained = unrolled.load(run)
    assert trained.evaluate(on="test")["identity"] > 0.85
    made = tmp_path / "out.fastq"
    status, out, _ = cli("basecall", str(run), str(reads), "-o", str(made))
    assert status == 0 and "300 reads" in out
    lines = made.read_text().splitlines()
    fasta = (reads / "reads.fasta").read_text().split()
    truth = dict(zip(fasta[::2], fasta[1::2], strict=True))
    scores = Reads()
    for name, bases, plus, quality in zip(*(lines[k::4] for k in range(4)), strict=True):
        assert plus == "+" and len(bases) == len(quality) and set(bases) <= set("ACGT")
        scores.add(name, truth[">" + name[1:]], bases, 0.0)
    assert scores.means()["scored"] == 300 and scores.means()["identity"] > 0.85
    evaluated = trained.evaluate(reads)  # the same search, on reads side by side
    assert evaluated["identity"] == pytest.approx(scores.means()["identity"], abs=1e-3)


def test_waves_of_a_current():
    z = np.array([[0.0, 1.0], [0.25, -3.0]], np.float32)
    seen = Currents(4000)(torch.from_numpy(z)).numpy()
    assert seen.shape == (2, 2, Currents.width) and np.array_equal(seen[..., 0], z)
    for k, length in enumerate((8, 4, 2, 1, 0.5)):
        np.testing.assert_allclose(seen[..., 1 + k], np.sin(2 * np.pi * z / length), atol=1e-5)
        np.testing.assert_allclose(seen[..., 6 + k], np.cos(2 * np.pi * z / length), atol=1e-5)


def test_a_run_with_other_waves_is_refused(tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{k}", np.arange(50.0), 4000.0) for k in range(4)])
    (tmp_path / "bases.fasta").write_text("".join(f">r{k}\nACG\n" for k in range(4)))
    run = tmp_path / "run"
    unrolled.fit(tmp_path, run, epochs=1.0, hidden=4, layers=1, split="50/25/25", threads=1, quiet=True)
    side = run / "transcribe.json"
    side.write_text(side.read_text().replace('"waves": 5', '"waves": 4'))
    with pytest.raises(RunError, match="4 waves in units of deviation, expected 5"):
        unrolled.load(run)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), unit=st.floats(0.01, 100), middle=st.floats(-1000, 1000))
def test_units_of_a_read_are_its_own(seed, unit, middle):
    x = np.random.default_rng(seed).normal(size=500)
    z = Currents(4000).normed(x) * Currents(4000).unit
    np.testing.assert_allclose(z, (x - x.mean()) / x.std(), atol=1e-3)
    np.testing.assert_allclose(Currents(4000).normed(middle + unit * x) * Currents(4000).unit, z, atol=1e-3)
    x[100] = 1e9  # what is no current of bases does not count for more than any other sample
    assert np.abs(np.delete(Currents(4000).normed(x) * Currents(4000).unit - z, 100)).max() < 0.35
    assert not Currents(4000).normed(np.full(9, middle)).any()


@pytest.mark.parametrize(("bases", "batch"), [(20, 32), (400, 11), (1_000, 4), (4_000, 2)])
def test_long_reads_are_fewer_in_a_batch(bases, batch, tmp_path):
    current = np.random.default_rng(0).normal(size=9 * bases)
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{k}", current, 4000.0) for k in range(3)])
    (tmp_path / "bases.fasta").write_text("".join(f">r{k}\n{'ACGT' * (bases // 4)}\n" for k in range(3)))
    task = TranscribeTask()
    steps = task.read(str(tmp_path))
    task.settle(ModelOptions(), TrainingOptions(), steps)
    assert task.training.batch == batch
    assert (task.model.direction, task.model.layers, task.model.hidden) == ("alternating", 5, 128)
    task.settle(ModelOptions(layers=1), TrainingOptions(), steps)
    assert task.model.direction == "both"


@pytest.mark.parametrize(("samples", "scored"), [(100, 300), (5_000, 100), (600_000, 1)])
def test_a_validation_while_training_takes_a_part_of_long_reads(samples, scored, monkeypatch):
    task = TranscribeTask()
    task.found, task.front = Collection(4000), Currents(4000)
    for k in range(400):
        task.found.add(np.zeros(0, np.int16), "A", None, f"r{k}")
    monkeypatch.setattr(type(task.found.sounds), "lengths", np.full(400, samples))
    task.parts = {"validation": np.arange(400)}
    seen = []
    monkeypatch.setattr(task, "_transcripts", lambda model, which, tell: seen.append(len(which)))
    task.validate(None, whole=False)
    task.validate(None, whole=True)
    assert seen == [scored, 400]


OF_SOUND = {"transcripts": "a.csv", "pattern": "(.)", "test": "a", "mels": 20, "join": 2}


@pytest.mark.parametrize("name", OF_SOUND)
def test_settings_of_sound_are_refused(name, tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{k}", np.arange(50.0), 4000.0) for k in range(4)])
    (tmp_path / "bases.fasta").write_text("".join(f">r{k}\nACG\n" for k in range(4)))
    with pytest.raises(UsageError, match=f"^--{name} is for sound, and these are reads of a nanopore"):
        unrolled.fit(tmp_path, tmp_path / "run", epochs=1.0, **{name: OF_SOUND[name]})
    assert not (tmp_path / "run").exists()


def test_reads_are_not_varied(tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal("r", np.arange(50.0), 4000.0)])
    (tmp_path / "bases.fasta").write_text(">r\nACG\n")
    task = TranscribeTask(TranscribeOptions(augment=True, split="100/0/0"))
    task.settle(ModelOptions(), TrainingOptions(), task.read(str(tmp_path)))
    one, other = (task.batches().batch_at(k).inputs for k in range(2))
    assert torch.equal(one, other)
    about = dict(task.about())
    assert about["training"] == "reads as they are" and about["signal"].startswith("1 read, ")
