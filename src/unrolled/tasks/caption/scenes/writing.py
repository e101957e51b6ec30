"""Scenes as files: pictures, captions, and what is true of each picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from unrolled.errors import DataError, UsageError
from unrolled.runs.files import write_atomically, write_error
from unrolled.tasks.caption.scenes.drawing import draw
from unrolled.tasks.caption.scenes.phrasing import phrasings
from unrolled.tasks.caption.scenes.scene import Scene
from unrolled.tasks.caption.scenes.splitting import Combinations, parts_of

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

    Arguments:
        count: pictures; four fifths are for training, a tenth each for validation and test.
        size: pixels of a side.
        unseen: attributes whose combinations make the parts, see `Combinations`.
        captions: of a picture, all different.

    Raises:
        UsageError: ``unseen`` does not name attributes. RunError: the files cannot be written.
    """
    combinations = Combinations(unseen)
    random = np.random.default_rng(seed)
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for name in (CAPTIONS, TRUTH):  # they come last, so that captions never stand beside other pictures
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--out: cannot write to {folder}: {error.strerror or error}") from error
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["path", "caption", "part"])
    truth = []
    for k, part in enumerate(parts_of(count, random)):
        scene = combinations.draw(part, random)
        name = f"images/{k:06d}.png"
        _write_png(folder / name, draw(scene, random, size))
        rows.writerows([name, caption, part] for caption in phrasings(scene, captions, random))
        truth.append(f"{json.dumps(name)}: {json.dumps(scene.to_json())}")
    write_atomically(folder / TRUTH, ("{\n" + ",\n".join(truth) + "\n}\n").encode())
    write_atomically(folder / CAPTIONS, table.getvalue().encode())
    return folder / CAPTIONS


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


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Not synced, which would take most of the time: the captions are, after all pictures."""
    try:
        Image.fromarray(picture).save(path, format="png")
    except OSError as error:
        raise write_error(path, error) from error
