"""Nanopore reads: simulated, kept in files, learnt, and written as bases."""

import gzip

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.tasks.transcribe.fronts import Currents
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.picturing import draw_heard
from unrolled.tasks.transcribe.reading import Collection
from unrolled.tasks.transcribe.reads.calling import Call
from unrolled.tasks.transcribe.reads.files import Signal, read_signals, write_fast5
from unrolled.tasks.transcribe.reads.reading import read_reads
from unrolled.tasks.transcribe.scores import Reads
from unrolled.tasks.transcribe.task import TranscribeTask
from unrolled.training.options import TrainingOptions

h5py = pytest.importorskip("h5py")
pytest.importorskip("pyfastx")
pytest.importorskip("edlib")


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


def test_reads_without_bases_are_left_out_and_not_written(tiny, tmp_path, cli, monkeypatch):
    write_fast5(tmp_path / "a.fast5", [Signal("r", np.arange(50.0), 4000.0), Signal("s", np.ones(50), 4000.0)])
    calls = iter([Call([], [], []), Call([1], [9], [0])])
    monkeypatch.setattr("unrolled.tasks.transcribe.trained.in_pieces", lambda *_: next(calls))
    status, said, wrong = cli("basecall", str(tiny), str(tmp_path), "-o", str(tmp_path / "o.fastq.gz"))
    assert status == 0 and "1 read, 1 left out" in said and "the model finds no bases in r" in wrong
    with gzip.open(tmp_path / "o.fastq.gz", "rt") as file:
        assert file.read() == "@s\nA\n+\n*\n"


def test_bases_on_standard_output(tiny, tmp_path, cli):
    write_fast5(tmp_path / "a.fast5", [Signal("Zoe", np.arange(50.0), 4000.0)])
    status, said, wrong = cli("basecall", str(tiny), str(tmp_path), "-o", "-")
    assert status == 0 and said.startswith("@Zoe\n") and said.count("\n") == 4 and "wrote -: 1 read" in wrong


def test_no_read_at_all_is_an_error(tiny, tmp_path, cli):
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{n}", np.arange(50.0), 5000.0) for n in range(2)])
    out = tmp_path / "o.fastq"
    status, said, wrong = cli("basecall", str(tiny), str(tmp_path), "-o", str(out))
    assert (status, said) == (1, "") and not out.exists()
    assert "none of the reads can be used; the first: r0 has 5000 samples a second" in " ".join(wrong.split())
    (tmp_path / "a.fast5").write_text("no")
    status, *_ = cli("basecall", str(tiny), str(tmp_path / "a.fast5"), "-o", str(out))
    assert status == 1 and list(tmp_path.iterdir()) == [tmp_path / "a.fast5"]


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


@pytest.mark.parametrize(
    ("options", "optimizer", "lr", "decay"),
    [
        ({}, "muon", 0.004, 0.1),
        ({"minutes": 60.0}, "muon", 0.002, 0.1),
        ({"minutes": 3.0}, "muon", 0.0089, 0.1),
        ({"minutes": 0.1}, "muon", 0.01, 0.1),
        ({"epochs": 2.0}, "muon", 0.004, 0.1),
        ({"minutes": 3.0, "optimizer": "adam"}, "adam", 0.003, 0.0),
        ({"minutes": 3.0, "lr": 0.5}, "muon", 0.5, 0.1),
        ({"weight_decay": 0.0}, "muon", 0.004, 0.0),
        ({"optimizer": "adamw", "weight_decay": 0.3}, "adamw", 0.003, 0.3),
    ],
)
def test_the_rate_of_muon_falls_with_the_budget(options, optimizer, lr, decay, tmp_path):
    write_fast5(tmp_path / "a.fast5", [Signal(f"r{k}", np.arange(50.0), 4000.0) for k in range(3)])
    (tmp_path / "bases.fasta").write_text("".join(f">r{k}\nACG\n" for k in range(3)))
    task = TranscribeTask()
    task.settle(ModelOptions(), TrainingOptions(**options), task.read(str(tmp_path)))
    assert (task.training.optimizer, task.training.lr, task.training.weight_decay) == (optimizer, lr, decay)


@pytest.mark.parametrize(("samples", "scored"), [(100, 300), (5_000, 100), (600_000, 1)])
def test_a_validation_while_training_takes_a_part_of_long_reads(samples, scored, monkeypatch):
    task = TranscribeTask()
    task.found, task.front = Collection(4000), Currents(4000)
    for k in range(400):
        task.found.add(np.zeros(0, np.int16), "A", None, f"r{k}")
    monkeypatch.setattr(type(task.found.sounds), "lengths", np.full(400, samples))
    task.parts = {"validation": np.arange(400)}
    seen = []
    monkeypatch.setattr(task, "_transcripts", lambda model, which, tell: seen.append(which.tolist()))
    for whole in (False, False, True):
        task.validate(None, whole=whole)
    assert [len(which) for which in seen] == [scored, scored, 400] and seen[0] == seen[1]
    assert seen[0] == sorted(set(seen[0])) != [*range(scored)]  # some from all of it, and always the same


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
