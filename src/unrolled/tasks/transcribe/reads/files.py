"""Files of nanopore reads: POD5, and HDF5 as fast5 with one read or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.runs.files import replacing
from unrolled.tasks.extras import needed
from unrolled.tasks.folders import files_in

HDF5, POD5 = (".fast5", ".h5", ".hdf5"), (".pod5",)
SUFFIXES = (*POD5, *HDF5)
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
        UsageError: there is no such file or folder. DataError: a folder without such files, or the only file is bad.
    """
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    if not path.is_dir():
        yield from read_signals(path)
        return
    files = [p for p in files_in(path) if p.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path} has no reads (names that end in {', '.join(SUFFIXES)})")
    for file in files:
        try:
            yield from read_signals(file)
        except DataError as error:
            yield str(error)


def _of_pod5(path: Path) -> Iterator[Signal | str]:
    pod5 = needed("pod5", "POD5 files")
    try:
        with pod5.Reader(path) as reader:
            for read in reader.reads():
                yield _pod5_signal(path, read)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a POD5 file, or a damaged one: {_first_line(error)}") from error


def _pod5_signal(path: Path, read: Any) -> Signal | str:
    try:
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
            found = [name for name in file if name.startswith("read_")]
            for name in found:
                yield _signal(path, file[name], file[name].get("Raw"), name.removeprefix("read_"))
            if not found:
                for name, raw in file.get("Raw/Reads", {}).items():
                    yield _signal(path, file.get("UniqueGlobalKey", {}), raw, name)
                    found.append(name)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} is not an HDF5 file, or a damaged one: {_first_line(error)}") from error
    if not found:
        raise DataError(f"{path} has no reads: expected groups read_... or Raw/Reads, as in fast5 files")


def _signal(path: Path, group: Any, raw: Any, name: str) -> Signal | str:
    """One read of either kind of fast5."""
    try:
        steps = raw["Signal"][()].astype(np.float32)
        channel = group["channel_id"].attrs
        scale = float(channel["range"]) / float(channel["digitisation"])
        rate, current = float(channel["sampling_rate"]), scale * (steps + float(channel["offset"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return f"{path}: read {name} lacks its signal, or range, digitisation, offset and sampling_rate"
    except OSError:
        return f"{path}: read {name} is compressed by a filter that is missing here (such as VBZ)"
    named = raw.attrs.get("read_id", name)
    return _checked(path, named.decode() if isinstance(named, bytes) else str(named), current, rate)


def _checked(path: Path, name: str, current: np.ndarray, rate: float) -> Signal | str:
    if current.ndim != 1 or not np.isfinite(current).all() or not rate > 0:
        return f"{path}: the signal of read {name} is not a list of finite numbers, or its rate not above 0"
    return Signal(name, current, rate)


def write_fast5(path: Path, reads: Iterable[Signal]) -> None:
    """A fast5 file with many reads, in steps of 0.18 pA."""
    h5py = needed("h5py", "fast5 files")
    with replacing(path) as beside, h5py.File(beside, "w") as file:
        file.attrs["file_version"] = "2.2"
        for read in reads:
            group = file.create_group(f"read_{read.name}")
            steps = np.clip(np.rint(read.current * (_DIGITS / _RANGE)), -32768, 32767).astype(np.int16)
            raw = group.create_group("Raw")
            raw.create_dataset("Signal", data=steps, compression="gzip", compression_opts=1)
            raw.attrs["read_id"] = read.name
            channel = group.create_group("channel_id").attrs
            channel["digitisation"], channel["range"], channel["offset"] = _DIGITS, _RANGE, 0.0
            channel["sampling_rate"] = read.rate


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
