"""A trained captioner, from its run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unrolled.errors import DataError, RunError, UsageError
from unrolled.runs.files import write_atomically
from unrolled.tasks.caption.recognising import SUFFIXES
from unrolled.tasks.caption.task import PAGE
from unrolled.tasks.folders import files_in
from unrolled.tasks.trained import Trained

_AT_ONCE = 64
"""Pictures that are read before any of them is described."""


class TrainedCaptioner(Trained):
    """A trained model of captions; see `Trained`."""

    verb = "caption"

    def images(self, names: Sequence[str | os.PathLike]) -> list[Path]:
        """The files that are named, and the pictures in folders that are.

        Raises:
            UsageError: one is not there, or a folder has none.
        """
        found: list[Path] = []
        for path in map(Path, names):
            if not path.exists():
                raise UsageError(f"there is no file or folder {path}")
            inside = [p for p in files_in(path) if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
            if not inside:
                raise UsageError(f"the folder {path} has no pictures")
            found += inside
        return found

    def caption(
        self,
        images: Sequence[str | os.PathLike],
        beam: int | None = None,
        count: int = 1,
        temperature: float | None = None,
        length_penalty: float | None = None,
        seed: int = 1,
    ) -> Iterator[tuple[Path, list[str] | DataError]]:
        """The captions of each picture, the best first; or why it cannot be used.

        Arguments:
            images: files.
            beam: width of the search; 1 is greedy; None for that of training, or ``count`` if that is more.
            count: captions a picture: the best of the search, fewer where subwords spell some alike; or draws.
            temperature: draw each word, instead of a search; less than 1 prefers what is likely.
            length_penalty: of the search, see `beam_search`; None for that of training.
            seed: of the draws; each picture of a call has draws of its own.

        Raises:
            UsageError: a setting out of range.
        """
        for name, value in (("beam", beam), ("count", count)):
            if value is not None and not 1 <= value <= 1_000:
                raise UsageError(f"--{name}: must be a whole number from 1 to 1,000, got {value}")
        if beam is not None and count > beam:
            raise UsageError(f"--count: a beam of {beam} has no more captions than that, got {count}")
        if temperature is not None and not 0 <= temperature < float("inf"):
            raise UsageError(f"--temperature: must be a number from 0, got {temperature}")
        if beam is not None and temperature is not None:
            raise UsageError("--temperature draws each word, and --beam searches: give one of the two")
        if length_penalty is not None and not 0 <= length_penalty <= 10:
            raise UsageError(f"--length-penalty: must be from 0 to 10, got {length_penalty}")
        if length_penalty is not None and temperature is not None:
            raise UsageError("--length-penalty is of the search, and --temperature draws: give one of the two")
        changes: dict[str, Any] = {"count": count, "seed": seed}
        changes |= {} if beam is None else {"beam": beam}
        changes |= {} if temperature is None else {"beam": None, "temperature": temperature}
        changes |= {} if length_penalty is None else {"length_penalty": length_penalty}
        search = self.task.search(**changes)
        paths = [Path(image) for image in images]
        described = 0
        unclear = {paths[k]: why for k, why in self.task.sight.unclear(paths)}
        for first in range(0, len(paths), _AT_ONCE):
            some = paths[first : first + _AT_ONCE]
            clear = [path for path in some if path not in unclear]
            seen, bad = self.task.sight.seen(clear)
            now, described = replace(search, first=described), described + len(seen)
            why = unclear | {clear[k]: reason for k, reason in bad}
            texts = iter(self.task.texts(self.model, seen, now) if len(seen) else [])
            for path in some:
                yield path, DataError(f"{path}: {why[path]}") if path in why else next(texts)

    def evaluate(
        self,
        data: str | os.PathLike | None = None,
        on: str | None = None,
        tell: Callable[[float], None] | None = None,
    ) -> dict[str, Any]:
        """As `Trained.evaluate`; the best and worst captions are in ``captions.html`` of the run, too: ``page``."""
        task, part, figures = self._scored(data, on, tell)
        page = self.run.path / PAGE
        try:
            write_atomically(page, task.pictures(self.model, part, figures)[PAGE])
        except RunError:  # a run that may only be read
            return figures
        return figures | {"page": str(page)}
