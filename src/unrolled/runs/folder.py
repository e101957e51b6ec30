"""A run: one folder that a person can read."""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli_w

from unrolled.errors import RunError, UsageError
from unrolled.runs.arrays import Arrays, read_about, read_arrays, write_arrays
from unrolled.runs.files import append_line, held, sync, write_atomically, write_error
from unrolled.runs.numbers import finite
from unrolled.version import __version__

FORMAT = 3

T = TypeVar("T")


class RunFolder:
    """A run folder::

        config.toml          what was asked and what was chosen
        vocabulary.json      (and whatever else the task keeps)
        model.safetensors    the best weights by validation loss, averaged if averaging is on
        history.jsonl        one JSON object a line: training, validation, gradients through time, warnings, the end
        samples/             what the model wrote as it learnt
        resume.safetensors   everything to go on; its JSON part is in the header
        cell.py, task.py     the source of a person's own cell and task
        program.json         the program that the compiler made of it

    Arguments:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        if not isinstance(path, str | os.PathLike) or not (name := os.fspath(path)) or isinstance(name, bytes):
            raise UsageError(f"run: expected the name of a folder, got {path!r}")
        self.path = Path(path)

    # -- being there

    @property
    def exists(self) -> bool:
        """Whether there is a run here."""
        return (self.path / "config.toml").is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether training can go on from here."""
        return (self.path / "resume.safetensors").is_file()

    @property
    def finished(self) -> bool:
        """Whether training came to the end of its last budget."""
        if not self.has_checkpoint:
            return False
        about = self.checkpoint_about()
        return bool(about.get("finished")) and about.get("budget", 0) == len(self.earlier())

    def earlier(self) -> list[dict[str, Any]]:
        """The budgets that came before the one of ``[training]``; none if the run was not trained further."""
        return list(self.config().get("earlier", []))

    def check_free(self) -> None:
        """RunError if the folder holds a run; UsageError if it holds something else."""
        if self.exists:
            if self.finished:
                advice = "or train that run further with --resume and a larger --epochs or --minutes"
                raise RunError(f"{self.path} holds a finished run: name another folder, {advice}")
            advice = "or continue with --resume"
            raise RunError(f"{self.path} holds an unfinished run: name another folder, {advice}")
        if self.path.is_dir() and any(not p.name.startswith(".") for p in self.path.iterdir()):
            raise UsageError(f"--run {self.path}: the folder holds other files; name a new or empty folder")

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the folder and write its configuration."""
        try:
            (self.path / "samples").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from error
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace the configuration."""
        head = {"format": FORMAT, "unrolled": __version__}
        config = head | _without_none(dict(config)) | head
        write_atomically(self.path / "config.toml", _encoded(tomli_w.dumps(config)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that two processes do not train in it at once; what stays empty goes again."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"--run {self.path}: this is a file, expected a folder")
        new = [self.path, *(folder for folder in self.path.parents if not os.path.lexists(folder))]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _remove_empty(new[1:])
            raise write_error(self.path, error) from error
        with held(self.path, "another process is training in this folder"):
            try:
                yield
            finally:
                _remove_empty(new)  # by who holds it alone: else two could hold folders of one name

    # -- its files

    def config(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            RunError: no run here, or a damaged, older or newer one.
        """
        file = self.path / "config.toml"
        try:
            config = tomllib.loads(file.read_bytes().decode("utf-8", "surrogateescape"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunError(f"{self.path} is not a run folder: {self._no_run()}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise RunError(f"{file} is damaged: {error}") from error
        version = config.get("format")
        if not isinstance(version, int) or not isinstance(config.get("task"), str):
            raise RunError(f"{file} is damaged: the format or the task is missing")
        if version > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer unrolled ({config.get('unrolled')}, format {version}); "
                f"this one ({__version__}) reads format {FORMAT}: update unrolled"
            )
        if version < FORMAT:
            raise RunError(
                f"{self.path} has format {version} of run folders, from before the first release, and this version "
                f"reads format {FORMAT}: train the run again"
            )
        parts = [config.get(name) for name in ("options", "model", "data", "training")]
        if not all(isinstance(part, dict) for part in parts) or "path" not in config["data"]:
            raise RunError(f"{file} is damaged: a section is missing")
        earlier = config.get("earlier", [])
        if not isinstance(earlier, list) or not all(isinstance(budget, dict) for budget in earlier):
            raise RunError(f"{file} is damaged: [[earlier]] is not a list of budgets")
        return config

    def _no_run(self) -> str:
        """Why there is no run, and where there are some."""
        inner = [str(run.path) for run in find_runs(self.path)] if self.path.is_dir() else []
        if not inner:
            return "it has no config.toml" if self.path.exists() else "there is no such folder"
        some = ", ".join(inner[:5]) + (f" and {len(inner) - 5:,} more" if len(inner) > 5 else "")
        return f"it holds {'the run' if len(inner) == 1 else 'the runs'} {some}"

    def options(self, kind: type[T], section: str) -> T:
        """One section of the configuration as its options class; RunError if it does not fit."""
        try:
            return kind(**self.config()[section])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.path / 'config.toml'} is damaged: section [{section}]: {error}") from error

    def write_json(self, name: str, content: Any) -> None:
        """A side file of the task."""
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_atomically(self.path / name, text.encode("utf-8"))

    def read_json(self, name: str) -> Any:
        """A side file of the task; RunError if it is missing or damaged."""
        file = self.path / name
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{file} is missing") from error
        except (ValueError, RecursionError, OSError) as error:
            raise RunError(f"{file} is damaged: {error}") from error

    def write_text(self, name: str, text: str) -> None:
        """A text file, such as the source of a cell."""
        write_atomically(self.path / name, text.encode("utf-8"))

    def write_model(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """The weights for use, and where they come from."""
        write_arrays(self.path / "model.safetensors", arrays, about)

    def read_model(self) -> tuple[Arrays, dict[str, Any]]:
        """The weights for use; RunError if they are missing or damaged."""
        if not (self.path / "model.safetensors").is_file():
            raise RunError(f"{self.path} has no weights yet: training has not reached its first validation")
        return read_arrays(self.path / "model.safetensors")

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Everything to go on, in one file: one rename is one commit."""
        write_arrays(self.path / "resume.safetensors", arrays, about)

    def read_checkpoint(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything to go on; RunError if it is missing or damaged."""
        return read_arrays(self.path / "resume.safetensors")

    def checkpoint_about(self) -> dict[str, Any]:
        """The JSON part of the checkpoint alone."""
        return read_about(self.path / "resume.safetensors")

    def write_sample(self, update: int, content: bytes, suffix: str = ".txt") -> str:
        """Keep what the model made after ``update`` updates; the name of the file."""
        file = self.path / "samples" / f"{update:08d}{suffix}"
        write_atomically(file, content)
        return str(file)

    # -- history

    @property
    def history_size(self) -> int:
        """The size of the history, in bytes: a place to cut it at."""
        file = self.path / "history.jsonl"
        return file.stat().st_size if file.is_file() else 0

    def sync_history(self) -> int:
        """See that the history is on the disk; its size."""
        if self.history_size:
            sync(self.path / "history.jsonl")
        return self.history_size

    def append_history(self, event: Mapping[str, Any]) -> None:
        """One more line."""
        append_line(self.path / "history.jsonl", json.dumps(finite(event)))

    def cut_history(self, size: int) -> None:
        """Drop what was written after a checkpoint."""
        if self.history_size > size:
            write_atomically(self.path / "history.jsonl", (self.path / "history.jsonl").read_bytes()[:size])

    def history(self) -> list[dict[str, Any]]:
        """The events in order; a last line that was cut short is left out."""
        file = self.path / "history.jsonl"
        if not file.is_file():
            return []
        *lines, _ = file.read_bytes().split(b"\n")  # the rest is empty, or a line cut short
        events = []
        for number, line in enumerate(lines, start=1):
            try:
                events.append(json.loads(line))
            except ValueError as error:
                raise RunError(f"{file} is damaged at line {number}: {error}") from error
        return events


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, from the innermost on, as long as nothing came into them."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def find_runs(folder: str | os.PathLike) -> list[RunFolder]:
    """The run folders at and below ``folder``, two levels deep, by name."""
    here = Path(folder)
    if not here.is_dir():
        raise UsageError(f"there is no folder {folder}")
    configs = [file for pattern in ("", "*/", "*/*/") for file in here.glob(pattern + "config.toml")]
    return [RunFolder(file.parent) for file in sorted(configs) if is_run(file.parent)]


def is_run(folder: Path) -> bool:
    """Whether a folder looks like a run, even a damaged one."""
    return (folder / "config.toml").is_file() and (folder / "samples").is_dir()


def _encoded(text: str) -> bytes:
    """UTF-8, and a file name's bytes that are not as they are."""
    return text.encode("utf-8", "surrogateescape")


def _without_none(value: Any) -> Any:
    """TOML has no null: what is None is left out."""
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value
