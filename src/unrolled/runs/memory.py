"""A run that is kept in memory: for folds, ensembles over seeds, and whatever needs no folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from unrolled.errors import RunError
from unrolled.runs.arrays import Arrays


class MemoryRun:
    """What a trainer keeps of a run, as `RunFolder` keeps it, but in memory.

    Arguments:
        name: what errors call it.

    >>> run = MemoryRun()
    >>> run.append_history({"event": "train", "loss": 1.5})
    >>> run.history()
    [{'event': 'train', 'loss': 1.5}]
    """

    def __init__(self, name: str = "memory") -> None:
        self.path = PurePath(name)
        self.samples: dict[int, bytes] = {}
        self._files: dict[str, tuple[Arrays, dict[str, Any]]] = {}
        self._history: list[dict[str, Any]] = []

    def write_model(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """The weights for use."""
        self._files["model"] = _copied(arrays), dict(about)

    def read_model(self) -> tuple[Arrays, dict[str, Any]]:
        """The weights for use; RunError if there are none yet."""
        return self._read("model")

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Everything to go on."""
        self._files["resume"] = _copied(arrays), dict(about)

    def read_checkpoint(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything to go on; RunError if there is none yet."""
        return self._read("resume")

    def write_sample(self, update: int, content: bytes, suffix: str = ".txt") -> str:
        """Keep what the model made after ``update`` updates; what a file of it would be called."""
        self.samples[update] = content
        return f"{update:08d}{suffix}"

    def append_history(self, event: Mapping[str, Any]) -> None:
        """One more event."""
        self._history.append(dict(event))

    def sync_history(self) -> int:
        """A place to cut the history at."""
        return len(self._history)

    def cut_history(self, size: int) -> None:
        """Drop what was written after a checkpoint."""
        del self._history[size:]

    def history(self) -> list[dict[str, Any]]:
        """The events in order."""
        return list(self._history)

    def _read(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        if name not in self._files:
            raise RunError(f"{self.path} has no {name} yet")
        arrays, about = self._files[name]
        return _copied(arrays), dict(about)


def _copied(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Arrays that nobody else changes."""
    return {name: array.copy() for name, array in arrays.items()}
