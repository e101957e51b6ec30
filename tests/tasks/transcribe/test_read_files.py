"""Files of nanopore reads: POD5 and fast5, whole, damaged and cut."""

import datetime
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.errors import DataError, UsageError
from unrolled.tasks.transcribe.reads.files import Signal, every_signal, read_signals, write_fast5

h5py = pytest.importorskip("h5py")
pod5 = pytest.importorskip("pod5")

VBZ = 32020
"""The number of the filter of fast5 files from a device."""


def write_pod5(path, signals, rate=4000, offset=-10.0, scale=0.25):
    """A POD5 file of converter's steps, as a device writes it."""
    from pod5.pod5_types import EndReasonEnum

    began = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    about = ["acquisition_id", "experiment_name", "flow_cell_id", "flow_cell_product_code", "protocol_name"]
    about += ["protocol_run_id", "sample_id", "sequencing_kit", "sequencer_position", "sequencer_position_type"]
    about += ["software", "system_name", "system_type"]
    info = pod5.RunInfo(
        acquisition_start_time=began,
        protocol_start_time=began,
        adc_min=-4096,
        adc_max=4095,
        context_tags={},
        tracking_id={},
        sample_rate=rate,
        **dict.fromkeys(about, ""),
    )
    with pod5.Writer(path) as file:
        for k, signal in enumerate(signals):
            read = pod5.Read(
                uuid.UUID(int=k),
                pod5.Pore(1, 1, ""),
                pod5.Calibration(offset, scale),
                k,
                0,
                0.0,
                pod5.EndReason(EndReasonEnum.UNKNOWN, False),
                info,
                signal=np.asarray(signal, np.int16),
            )
            file.add_read(read)
    return path


def test_a_signal_survives_its_file(tmp_path):
    current = np.random.default_rng(0).normal(90, 15, 500)
    write_fast5(tmp_path / "a.fast5", [Signal("x1", current, 4000.0), Signal("x2", current[:7], 4000.0)])
    first, second = read_signals(tmp_path / "a.fast5")
    assert (first.name, first.rate, second.name) == ("x1", 4000.0, "x2")
    assert np.abs(first.current - current).max() <= 1440 / 8192 / 2 + 1e-4
    assert len(list(every_signal(tmp_path))) == 2


def test_fast5_of_a_single_read(tmp_path):
    with h5py.File(tmp_path / "one.fast5", "w") as file:
        raw = file.create_group("Raw/Reads/Read_17")
        raw["Signal"] = np.array([100, 200], np.int16)
        raw.attrs["read_id"] = b"the-id"
        channel = file.create_group("UniqueGlobalKey/channel_id").attrs
        channel["digitisation"], channel["range"], channel["offset"] = 10.0, 20.0, 5.0
        channel["sampling_rate"] = 5000.0
    (read,) = read_signals(tmp_path / "one.fast5")
    assert read.name == "the-id" and read.current.tolist() == [210.0, 410.0] and read.rate == 5000


def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "text.fast5").write_text("no")
    with pytest.raises(DataError, match="not an HDF5 file"):
        list(read_signals(tmp_path / "text.fast5"))
    with h5py.File(tmp_path / "empty.fast5", "w"):
        pass
    with pytest.raises(DataError, match="has no reads"):
        list(read_signals(tmp_path / "empty.fast5"))
    with h5py.File(tmp_path / "lame.fast5", "w") as file:
        file.create_group("read_a/Raw")["Signal"] = np.zeros(5, np.int16)
    (sentence,) = read_signals(tmp_path / "lame.fast5")
    assert "read a lacks its signal, or range" in sentence
    assert [isinstance(one, str) for one in every_signal(tmp_path)] == [True, True, True]
    with pytest.raises(UsageError, match="there is no file or folder"):
        list(every_signal(tmp_path / "none"))


def test_pod5_in_picoamperes(tmp_path):
    steps = np.random.default_rng(0).integers(200, 600, (3, 500))
    made = list(read_signals(write_pod5(tmp_path / "a.pod5", steps, rate=5000)))
    assert [read.name for read in made] == [str(uuid.UUID(int=k)) for k in range(3)]
    assert all(read.rate == 5000 for read in made)
    assert np.array_equal([read.current for read in made], 0.25 * (steps - 10.0))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    steps = np.random.default_rng(0).integers(200, 600, (20, 3000))
    return write_pod5(tmp_path_factory.mktemp("pod5") / "whole.pod5", steps).read_bytes()


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_cut_pod5_file_is_refused(share, whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("pod5") / "cut.pod5"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"cut\.pod5 is not a POD5 file, or a damaged one: "):
        list(read_signals(path))


def test_of_a_damaged_pod5_file_the_other_reads_are_read(whole, tmp_path):
    (tmp_path / "bad.pod5").write_bytes(whole[:5000] + bytes(50) + whole[5050:])
    write_pod5(tmp_path / "good.pod5", [[400] * 50])
    made = list(every_signal(tmp_path))
    bad = [read for read in made if isinstance(read, str)]
    assert len(bad) == 1 and len(made) == 21 and bad[0].startswith(f"{tmp_path / 'bad.pod5'}: read 0000")
    assert "is damaged: " in bad[0]


def test_pod5_without_a_rate_or_with_no_numbers(tmp_path):
    for name, changes in (("rate", {"rate": 0}), ("scale", {"scale": float("nan")})):
        (sentence,) = read_signals(write_pod5(tmp_path / f"{name}.pod5", [[400] * 50], **changes))
        expected = {"rate": "has 0 samples a second, expected 2,000 to 200,000"}
        assert sentence.endswith(expected.get(name, "is not a list of finite numbers of pA"))


def test_pod5_without_reads(tmp_path):
    with pytest.raises(DataError, match="none.pod5 has no reads"):
        list(read_signals(write_pod5(tmp_path / "none.pod5", [])))


CHANNEL = {"digitisation": 4.0, "range": 2.0, "offset": 1.0, "sampling_rate": 4000.0}
STEPS = np.arange(100, dtype=np.int16)


def write_one(file, group="read_x"):
    """A read that can be used."""
    file[f"{group}/Raw/Signal"] = STEPS
    file[f"{group}/Raw"].attrs["read_id"] = "x"
    file.create_group(f"{group}/channel_id").attrs.update(CHANNEL)


def put(file, place, value):
    """Replace a group, a dataset or, behind a colon, an attribute; `GONE` takes it away."""
    where, _, attribute = place.partition(":")
    within, name = (file[where].attrs, attribute) if attribute else (file, where)
    del within[name]
    if value is not GONE:
        within[name] = value


GONE = object()
CHANNEL_PLACES = [f"read_x/channel_id:{name}" for name in CHANNEL]
PLACES = ["read_x", "read_x/Raw", "read_x/Raw/Signal", "read_x/channel_id", "read_x/Raw:read_id", *CHANNEL_PLACES]
VALUES = [
    float("inf"),
    -float("inf"),
    float("nan"),
    1e300,
    -1e300,
    0.0,
    -1.0,
    5,
    True,
    1j,
    "four",
    b"\xff",
    "",
    "a b",
]
VALUES += [
    "a\nb",
    np.array([1.0, 2.0]),
    np.array([1.0, np.nan]),
    np.ones((3, 3)),
    np.array([b"a", b"b"]),
    np.zeros(0),
]
VALUES += [np.zeros((), [("a", "i4")]), h5py.Empty("f8"), h5py.Empty("S1")]
LINKS = [h5py.SoftLink("/nowhere"), h5py.SoftLink("/read_x"), h5py.ExternalLink("none.h5", "/a"), GONE]


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_read_does_not_take_the_others_away(place, tmp_path):
    write_fast5(tmp_path / "b.fast5", [Signal("good", np.arange(50.0), 4000.0)])
    for value in [*VALUES, *([GONE] if ":" in place else LINKS)]:
        with h5py.File(tmp_path / "a.fast5", "w") as file:
            write_one(file)
            put(file, place, value)
        other, good = every_signal(tmp_path)
        assert good.name == "good"
        if isinstance(other, str):
            assert other.startswith(f"{tmp_path / 'a.fast5'}") and len(other.splitlines()) == 1
        else:
            assert other.name.split() == [other.name] and 2_000 <= other.rate <= 200_000
            assert other.current.ndim == 1 and np.isfinite(other.current).all()


def not_utf8(file):
    file["read_x/Raw"].attrs.create("read_id", b"\xff\xfe", dtype=h5py.string_dtype("utf-8"))


def huge(file):
    del file["read_x/Raw/Signal"]
    file["read_x/Raw"].create_dataset("Signal", (10**12,), np.int16, chunks=(1 << 16,))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("read_x/channel_id:sampling_rate", float("inf"), "has inf samples a second, expected 2,000 to 200,000"),
        ("read_x/channel_id:sampling_rate", float("nan"), "has nan samples a second"),
        ("read_x/channel_id:offset", float("nan"), "is not a list of finite numbers of pA"),
        ("read_x/channel_id:digitisation", 0.0, "has a range of 2 in 0 steps, expected numbers above 0"),
        ("read_x/Raw/Signal", np.ones((3, 3)), "the signal of read x is not a list of numbers"),
        ("read_x/Raw:read_id", "a\nb", r"its read_id is 'a\nb', expected a word"),
        ("read_x/Raw:read_id", np.arange(3), "expected a word"),
    ],
)
def test_what_is_said_of_a_damaged_read(place, value, said, tmp_path):
    with h5py.File(tmp_path / "a.fast5", "w") as file:
        write_one(file)
        put(file, place, value)
    (sentence,) = every_signal(tmp_path)
    assert sentence.startswith(f"{tmp_path / 'a.fast5'}: ") and said in sentence


@pytest.mark.parametrize(
    ("damage", "said"), [(not_utf8, "expected a word"), (huge, "has 1,000,000,000,000 samples, expected at most")]
)
def test_a_name_that_is_no_text_and_a_signal_without_end(damage, said, tmp_path):
    with h5py.File(tmp_path / "a.fast5", "w") as file:
        write_one(file)
        damage(file)
    (sentence,) = every_signal(tmp_path)
    assert said in sentence


def test_groups_that_are_none(tmp_path):
    with h5py.File(tmp_path / "a.fast5", "w") as file:
        file["read_z"] = np.zeros(3)
        file.create_group(b"read_\xff")
        write_one(file)
    with h5py.File(tmp_path / "b.fast5", "w") as file:
        file["Raw/Reads"] = np.zeros(3)
    made = list(every_signal(tmp_path))
    assert [one.name for one in made if isinstance(one, Signal)] == ["x"]
    assert len(made) == 4 and "b.fast5 has no reads" in made[3]


def test_a_name_is_read_once(tmp_path):
    signal = np.arange(50.0)
    write_fast5(tmp_path / "a.fast5", [Signal("one", signal, 4000.0), Signal("two", signal, 4000.0)])
    write_fast5(tmp_path / "b.fast5", [Signal("two", signal + 9, 4000.0), Signal("six", signal, 4000.0)])
    one, two, six, again = every_signal(tmp_path)
    assert [one.name, two.name, six.name] == ["one", "two", "six"] and two.current[0] < 1
    assert again == f"{tmp_path / 'b.fast5'}: read two is in {tmp_path / 'a.fast5'} already, so this one is left out"


def test_fast5_compressed_as_a_device_does(tmp_path):
    pytest.importorskip("vbz_h5py_plugin")
    steps = np.random.default_rng(0).integers(200, 600, 5000).astype(np.int16)
    with h5py.File(tmp_path / "a.fast5", "w") as file:
        raw = file.create_group("read_a/Raw")
        raw.create_dataset("Signal", data=steps, chunks=(5000,), compression=VBZ, compression_opts=(0, 2, 1, 1))
        channel = file.create_group("read_a/channel_id").attrs
        channel["digitisation"], channel["range"], channel["offset"], channel["sampling_rate"] = 4.0, 2.0, 1.0, 4000.0
    (read,) = read_signals(tmp_path / "a.fast5")
    assert np.array_equal(read.current, (steps + 1.0) / 2)
