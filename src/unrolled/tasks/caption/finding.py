"""Where the pictures lie that a file of captions names."""

from __future__ import annotations

from pathlib import Path

_BESIDE = ("annotations", "captions", "text")
"""Ends of the names of folders that have captions alone: the pictures are next to them."""


class Finder:
    """Finds pictures by the names that a file of captions has for them.

    A name is looked for from the file's folder on; then in the folder whose name is part of the file's, as
    ``train2017`` in ``captions_train2017.json``; then in all folders, two levels deep, where it must be the only one.

    Arguments:
        file: with the captions; within: the folder that the person named, if they did not name the file.
    """

    def __init__(self, file: Path, within: Path | None) -> None:
        roots = [file.parent]
        if within is not None and within not in roots:
            roots.append(within)
        if file.parent.name.lower().endswith(_BESIDE) and file.parent.parent not in roots:
            roots.append(file.parent.parent)
        folders = [folder for root in roots for folder in _folders(root)]
        folders += [deeper for folder in folders for deeper in _folders(folder)]
        self._first = roots + [folder for folder in folders if folder.name.lower() in file.stem.lower()]
        self._others = [folder for folder in dict.fromkeys(folders) if folder not in self._first]

        self._found: dict[str, Path | str] = {}

    def find(self, name: str) -> Path | str:
        """The picture of that name, or why there is none."""
        if name not in self._found:
            self._found[name] = self._looked_for(name)
        return self._found[name]

    def _looked_for(self, name: str) -> Path | str:
        for folder in self._first:
            if _is_file(folder / name):
                return folder / name
        different: dict[Path, Path] = {}
        for folder in self._others:
            if _is_file(folder / name):
                different.setdefault((folder / name).resolve(), folder / name)  # links lead to the same picture
        found = list(different.values())
        if len(found) > 1:
            return f"there are several: {found[0]} and {found[1]}"
        return found[0] if found else "there is no such picture"


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
