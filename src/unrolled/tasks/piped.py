"""Data from standard input or a pipe: kept in the run, since they cannot be read a second time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unrolled.errors import UsageError
from unrolled.runs.files import write_error
from unrolled.runs.folder import RunFolder
from unrolled.tasks.data import STDIN, opened, same_data

KEPT = "data.txt"
"""The file in the run folder."""


@contextmanager
def at_hand(data: str, folder: RunFolder) -> Iterator[str]:
    """Inside, the name of a file or folder that holds the data; a pipe's are kept in the run, if one comes of it.

    Raises:
        RunError: the file cannot be written.
    """
    if not is_piped(data):
        yield data
        return
    kept = folder.path / KEPT
    try:
        try:
            with opened(data) as stream, open(kept, "wb") as file:
                shutil.copyfileobj(stream, file)
        except OSError as error:
            raise write_error(kept, error) from error
        yield str(kept)
    finally:
        if not folder.exists:
            with suppress(OSError):
                kept.unlink()


def own_data(run: RunFolder) -> str:
    """Where the data of a run lie: in the run, wherever it is now, if a pipe gave them; else where they lay."""
    kept = run.path / KEPT
    path: str = run.config()["data"]["path"]
    return str(kept) if kept.is_file() else path


def resumed_on(data: str | None, folder: RunFolder) -> str | None:
    """The data given again to a run: None where they are a pipe with what the run was begun on.

    Raises:
        UsageError: the pipe has something else.
    """
    if data is None or not is_piped(data):
        return data
    digest = hashlib.sha256()
    with opened(data) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if not same_data(folder.config()["data"], {"sha256": digest.hexdigest()}):
        raise UsageError(
            f"{folder.path} was started on different data than {data}: leave out {data} to resume on the "
            f"run's own data, or start a new run on it with --from {folder.path}"
        )
    return None


def is_piped(data: str) -> bool:
    """Whether this is standard input, or a file that can be read only once."""
    path = Path(data)
    return data == STDIN or (path.exists() and not path.is_file() and not path.is_dir())
