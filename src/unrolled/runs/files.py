"""Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from unrolled.errors import RunError


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Replace ``path`` by the parts of ``content``: written beside it, synced, renamed, and the folder synced.

    A process killed at any moment leaves the old file or the new one.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    with replacing(path) as beside, open(beside, "wb") as file:
        file.writelines(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes the place of ``path`` once the block ends without an error.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    beside = None
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        yield Path(beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except BaseException as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def append_line(path: Path, line: str) -> None:
    """Append one line to a text file.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    try:
        with open(path, "ab", opener=_no_link) as file:
            file.write(line.encode("utf-8") + b"\n")
    except OSError as error:
        raise write_error(path, error) from error


def sync(path: Path) -> None:
    """See that what was appended to a file survives a loss of power."""
    try:
        with open(path, "ab", opener=_no_link) as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


@contextlib.contextmanager
def held(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder against other processes that would hold it too, where the system has such locks.

    The system lets go of it however the process ends.

    Arguments:
        folder: one that is there; if another process takes it away just now, it is made again.
        otherwise: what another process is doing there, said when one holds it.

    Raises:
        RunError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    while True:
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            continue
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"{folder}: {otherwise}") from error
            if _is_at(handle, folder):  # else whoever held it took it away, and another may have made it again
                yield
                return
        finally:
            os.close(handle)


def _is_at(handle: int, folder: Path) -> bool:
    """Whether an open folder is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(folder))
    except FileNotFoundError:
        return False


def write_error(path: Path, error: OSError) -> RunError:
    """What went wrong with writing ``path``, in one sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"no space left on the disk for {path}: free some space and try again; a training goes on with --resume "
            "from what it has saved"
        )
    return RunError(f"cannot write {path}: {error.strerror or error}")


def _no_link(name: str, flags: int) -> int:
    """Open, but not through a symbolic link, which a folder from elsewhere could hold."""
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
