"""Folders of data: which files count, and which part of the data their names say they are."""

from __future__ import annotations

from pathlib import Path

from unrolled.runs.folder import is_run

PART_NAMES = {"train": "training", "training": "training", "test": "test", "eval": "test"}
PART_NAMES |= dict.fromkeys(("valid", "val", "validation", "dev"), "validation")
"""What files and folders of a part are called, in lower case."""


def files_in(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files of a folder in the order of their names, but for hidden ones and those of runs.

    Raises:
        ValueError, NotImplementedError, IndexError: the pattern is not a glob pattern.
    """
    runs = {p.parent for p in folder.rglob("config.toml") if is_run(p.parent)}
    found = (p for p in folder.glob(pattern) if p.is_file() and not is_hidden(p.relative_to(folder)))
    return sorted(p for p in found if not runs & set(p.parents))


def part_of_folder(path: Path) -> str | None:
    """The part that the first folder of a path says, which may say more, as LibriSpeech's ``train-clean-100`` does.

    >>> part_of_folder(Path("train-clean-100/84/1.flac")), part_of_folder(Path("trains/1.flac"))
    ('training', None)
    """
    folders = path.parts[:-1]
    return PART_NAMES.get(folders[0].lower().partition("-")[0]) if folders else None


def is_hidden(path: Path) -> bool:
    """Whether the name, or that of a folder above, begins with a dot."""
    return any(name.startswith(".") for name in path.parts)
