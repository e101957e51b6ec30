"""Data from standard input or a pipe: kept in the run, since they cannot be read a second time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unrolled.errors import RunError
from unrolled.runs.files import write_error
from unrolled.runs.folder import RunFolder
from unrolled.tasks.text.files import STDIN, opened

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


def resumed_on(data: str | None, config: dict[str, Any], folder: RunFolder) -> str | None:
    """The data given again to a run: None where they are a pipe with what the run was begun on.

    Raises:
        RunError: the pipe has something else.
    """
    if data is None or not is_piped(data):
        return data
    digest = hashlib.sha256()
    with opened(data) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != config["data"].get("sha256"):
        raise RunError(
            f"{folder.path} was begun on other data than {data} has; to go on with its own, leave {data} out"
        )
    return None


def is_piped(data: str) -> bool:
    """Whether this is standard input, or a file that can be read only once."""
    path = Path(data)
    return data == STDIN or (path.exists() and not path.is_file() and not path.is_dir())
