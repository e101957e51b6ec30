"""Files of nanopore reads: POD5, and HDF5 as fast5 with one read or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.runs.files import replacing
from unrolled.tasks.extras import needed
from unrolled.tasks.folders import files_in
from unrolled.tasks.transcribe.options import RATES

HDF5, POD5 = (".fast5", ".h5", ".hdf5"), (".pod5",)
SUFFIXES = (*POD5, *HDF5)
LONGEST = 100_000_000
"""Samples of a read, which takes a device more than five hours."""
_LARGEST = 1e6
"""pA; a current beyond is damage."""
_CHANNEL = ("range", "digitisation", "offset", "sampling_rate")
_DIGITS, _RANGE = 8192.0, 1440.0
"""Steps of a device's converter, and the picoamperes that they span, in files that are written."""


class Signal(NamedTuple):
    """A read's current in pA (samples,), and samples a second."""

    name: str
    current: np.ndarray
    rate: float


def read_signals(path: Path) -> Iterator[Signal | str]:
    """The reads of a file, one at a time; a sentence for one that cannot be used.

    Raises:
        DataError: the file cannot be used. UsageError: a library is missing.
    """
    if path.suffix.lower() in POD5:
        yield from _of_pod5(path)
    else:
        yield from _of_hdf5(path)


def every_signal(path: Path) -> Iterator[Signal | str]:
    """The reads of a file, or of all files of a folder; a sentence for a read or a file that cannot be used.

    Raises:
        UsageError: there is no such file or folder. DataError: a folder without such files.
    """
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    files = [p for p in files_in(path) if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} has no reads (names that end in {', '.join(SUFFIXES)})")
    for _, read in reads_of(files):
        yield read


def reads_of(files: Sequence[Path]) -> Iterator[tuple[Path, Signal | str]]:
    """The reads of files, each with its file and each name once; a sentence for what cannot be used."""
    seen: dict[str, Path] = {}
    for file in files:
        try:
            for read in read_signals(file):
                if isinstance(read, str):
                    yield file, read
                elif read.name in seen:
                    yield file, f"{file}: read {read.name} is in {seen[read.name]} already, so this one is left out"
                else:
                    seen[read.name] = file
                    yield file, read
        except DataError as error:
            yield file, str(error)


def _of_pod5(path: Path) -> Iterator[Signal | str]:
    pod5 = needed("pod5", "POD5 files")
    any_read = False
    try:
        with pod5.Reader(path) as reader:
            for read in reader.reads():
                any_read = True
                yield _pod5_signal(path, read)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a POD5 file, or a damaged one: {_first_line(error)}") from error
    if not any_read:
        raise DataError(f"{path} has no reads")


def _pod5_signal(path: Path, read: Any) -> Signal | str:
    try:
        if read.num_samples > LONGEST:
            return f"{path}: read {read.read_id} has {read.num_samples:,} samples, expected at most {LONGEST:,}"
        name, current, rate = str(read.read_id), read.signal_pa, float(read.run_info.sample_rate)
    except (RuntimeError, OSError, ValueError) as error:
        return f"{path}: read {read.read_id} is damaged: {_first_line(error)}"
    return _checked(path, name, np.asarray(current, np.float32), rate)


def _of_hdf5(path: Path) -> Iterator[Signal | str]:
    h5py = needed("h5py", "fast5 files")
    if find_spec("vbz_h5py_plugin"):  # the filter of nearly all files from a device
        import_module("vbz_h5py_plugin")
    try:
        with h5py.File(path, "r") as file:
            every = [name if isinstance(name, str) else name.decode(errors="replace") for name in file]
            found = [name for name in every if name.startswith("read_")]
            for name in found:
                yield _signal(path, file, f"{name}/Raw", f"{name}/channel_id", name.removeprefix("read_"))
            raw = None if found else file.get("Raw/Reads")
            if isinstance(raw, h5py.Group):
                found = list(raw)
                for name in found:
                    yield _signal(path, file, f"Raw/Reads/{name}", "UniqueGlobalKey/channel_id", name)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} is not an HDF5 file, or a damaged one: {_first_line(error)}") from error
    if not found:
        raise DataError(f"{path} has no reads: expected groups read_... or Raw/Reads, as in fast5 files")


def _signal(path: Path, file: Any, raw: str, channel: str, name: str) -> Signal | str:
    """One read of either kind of fast5.

    Arguments:
        raw, channel: the groups of its signal, and of its scale. name: where the file gives no other one.
    """
    try:
        name = _name(file[raw].attrs.get("read_id", name))
        steps, about = file[raw]["Signal"], file[channel].attrs
        size, digits, offset, rate = (float(np.asarray(about[key]).item()) for key in _CHANNEL)
        if steps.ndim != 1 or steps.dtype.kind not in "iuf":
            return f"{path}: the signal of read {name} is not a list of numbers"
        if len(steps) > LONGEST:
            return f"{path}: read {name} has {len(steps):,} samples, expected at most {LONGEST:,}"
        if not (0 < size < np.inf and 0 < digits < np.inf):
            return f"{path}: read {name} has a range of {size:g} in {digits:g} steps, expected numbers above 0"
        with np.errstate(all="ignore"):  # what is not finite is found below
            current = size / digits * (steps[()].astype(np.float32) + offset)
    except OSError:
        return f"{path}: read {name} is damaged, or compressed by a filter that is missing here (such as VBZ)"
    except KeyError:
        return f"{path}: read {name} lacks its signal, or range, digitisation, offset and sampling_rate"
    except Exception as error:  # h5py raises nearly any kind for a damaged file
        return f"{path}: read {name} cannot be used: {_first_line(error)}"
    return _checked(path, name, current, rate)


def _name(value: Any) -> str:
    """A name as a record of FASTQ can have it: one word.

    Raises:
        ValueError: it is none.
    """
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text or " " in text or not text.isprintable():
        raise ValueError(f"its read_id is {text!r}, expected a word")
    return str(text)


def _checked(path: Path, name: str, current: np.ndarray, rate: float) -> Signal | str:
    if current.ndim != 1 or not (np.abs(current) < _LARGEST).all():
        return f"{path}: the signal of read {name} is not a list of finite numbers of pA"
    least, most = RATES[0], RATES[-1]
    if not least <= rate <= most:
        return f"{path}: read {name} has {rate:g} samples a second, expected {least:,} to {most:,}"
    return Signal(name, current, rate)


def write_fast5(path: Path, reads: Iterable[Signal]) -> None:
    """A fast5 file with many reads, in steps of 0.18 pA.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    h5py = needed("h5py", "fast5 files")
    with replacing(path) as beside, _Patient(beside, "r+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                file.attrs["file_version"] = "2.2"
                for read in reads:
                    if disk.error is not None:
                        break
                    _write(file.create_group(f"read_{read.name.replace('/', '_')}"), read)
        except (OSError, RuntimeError):
            if disk.error is None:
                raise
        if disk.error is not None:
            raise disk.error


class _Patient(FileIO):
    """A file that keeps its first error, for HDF5, which cannot close a file that it cannot write."""

    error: OSError | None = None

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = self.error or error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size


def _write(group: Any, read: Signal) -> None:
    steps = np.clip(np.rint(read.current * (_DIGITS / _RANGE)), -32768, 32767).astype(np.int16)
    raw = group.create_group("Raw")
    raw.create_dataset("Signal", data=steps, compression="gzip", compression_opts=1)
    raw.attrs["read_id"] = read.name
    channel = group.create_group("channel_id").attrs
    channel["digitisation"], channel["range"], channel["offset"] = _DIGITS, _RANGE, 0.0
    channel["sampling_rate"] = read.rate


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
