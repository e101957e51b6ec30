"""Scenes as files: pictures, captions, and what is true of each picture."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unrolled.errors import DataError, RunError, UsageError
from unrolled.runs.files import replacing
from unrolled.tasks.caption.scenes.drawing import draw
from unrolled.tasks.caption.scenes.phrasing import phrasings
from unrolled.tasks.caption.scenes.scene import Scene
from unrolled.tasks.caption.scenes.splitting import Combinations, parts_of
from unrolled.wording import counted

IMAGES = "images"
CAPTIONS = "captions.csv"
TRUTH = "scenes.json"
_LARGEST = 1 << 28
"""Bytes of a file of scenes that is read."""


def write_scenes(
    count: int,
    folder: Path,
    seed: int = 1,
    size: int = 64,
    unseen: str = "count,size,colour,shape",
    captions: int = 5,
) -> Path:
    """Pictures in ``images``, their captions in ``captions.csv``, their scenes in ``scenes.json``; the second's path.

    Scenes that were written there before are replaced; if it stops on the way, nothing is left of either.

    Arguments:
        count: pictures; four fifths are for training, a tenth each for validation and test.
        size: pixels of a side.
        unseen: attributes whose combinations make the parts, see `Combinations`.
        captions: of a picture, all different.

    Raises:
        UsageError: ``unseen`` does not name attributes, or the folder has other files. RunError: the files cannot be
            written.
    """
    combinations = Combinations(unseen)
    try:
        _remove(_of_scenes(folder))
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: cannot write to {folder}: {error.strerror or error}") from error
    names = [f"{IMAGES}/{k:06d}.png" for k in range(count)]
    try:
        _write(combinations, folder, names, np.random.default_rng(seed), size, captions)
    except BaseException as error:
        with contextlib.suppress(OSError):
            _remove([folder / name for name in (*names, CAPTIONS, TRUTH)])
        cause = error.__cause__ or error
        if isinstance(cause, OSError):
            raise RunError(f"cannot write scenes to {folder}: {cause.strerror or cause}") from error
        raise
    return folder / CAPTIONS


def _write(
    combinations: Combinations,
    folder: Path,
    names: Sequence[str],
    random: np.random.Generator,
    size: int,
    captions: int,
) -> None:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["path", "caption", "part"])
    truth = []
    for name, part in zip(names, parts_of(len(names), random), strict=True):
        scene = combinations.draw(part, random)
        # not synced, which would take most of the time: the captions are, after all pictures
        Image.fromarray(draw(scene, random, size)).save(folder / name, format="png")
        rows.writerows([name, caption, part] for caption in phrasings(scene, captions, random))
        truth.append(f"{json.dumps(name)}: {json.dumps(scene.to_json())}")
    for file, text in ((TRUTH, "{\n" + ",\n".join(truth) + "\n}\n"), (CAPTIONS, table.getvalue())):
        with replacing(folder / file) as beside:
            beside.write_text(text, encoding="utf-8", newline="")


def _of_scenes(folder: Path) -> list[Path]:
    """The files of a folder that `write_scenes` wrote.

    Raises:
        UsageError: it has others, but for hidden ones.
    """
    if not folder.is_dir():
        return []
    try:
        ours = {path for path in read_truth(folder) if path.parent == folder / IMAGES}
    except DataError as error:
        raise UsageError(f"--out: {error}: name another folder") from error
    has_scenes = (folder / TRUTH).is_file()
    ours |= {folder / CAPTIONS, folder / TRUTH} if has_scenes else set()
    inside = (folder, folder / IMAGES) if (folder / IMAGES).is_dir() else (folder,)
    found = [path for place in inside for path in sorted(place.iterdir()) if path not in inside]
    other = [str(path) for path in found if path not in ours and not path.name.startswith(".")]
    if other:
        more = f" and {counted(len(other) - 3, 'more files')}" if len(other) > 3 else ""
        why = f"has files that its {TRUTH} does not list" if has_scenes else "is not empty"
        raise UsageError(f"--out: {folder} {why}, {', '.join(other[:3])}{more}: remove them, or name a new folder")
    return [path for path in found if path in ours]


def _remove(paths: Sequence[Path]) -> None:
    """Remove files, those of the captions first, so that these never stand beside other pictures."""
    for path in sorted(paths, key=lambda path: path.parent.name == IMAGES):
        path.unlink(missing_ok=True)


def read_truth(folder: Path) -> dict[Path, Scene]:
    """The scene of each picture of a folder that `write_scenes` wrote; empty if it has none.

    Raises:
        DataError: its ``scenes.json`` is damaged.
    """
    path = folder / TRUTH
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path} is larger than {_LARGEST >> 20} MiB")
        found = json.loads(path.read_bytes())
        return {folder / name: Scene.from_json(value) for name, value in found.items()}
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
