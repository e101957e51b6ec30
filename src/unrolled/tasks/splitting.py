"""Parts and folds of sequences: every label has about the same share in each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.training.task import PARTS


def split(labels: np.ndarray, shares: tuple[int, int, int], parts: np.ndarray) -> np.ndarray:
    """Which of the `PARTS` each sequence belongs to; drawn once, whatever the seed of training.

    A label of three sequences or more has at least one in every part that has a share.

    Arguments:
        labels: one number each (n,).
        shares: of the parts in percent.
        parts: what the data say themselves, -1 for what is to be split. Where they have a test part, the rest is
            split into training and validation alone.
    """
    made = parts.astype(np.int8)
    given = {int(part) for part in np.unique(parts)} - {-1}
    _, validation, test = shares
    if PARTS.index("test") in given:
        validation, test = validation + test, 0
        made[made == PARTS.index("training")] = -1 if PARTS.index("validation") not in given else 0
    random = np.random.default_rng(0)
    for label in np.unique(labels):
        order = random.permutation(np.flatnonzero((labels == label) & (made == -1)))
        few = [_count(len(order), share) for share in (validation, test)]
        made[order[: few[0]]] = PARTS.index("validation")
        made[order[few[0] : sum(few)]] = PARTS.index("test")
        made[order[sum(few) :]] = PARTS.index("training")
    return made


def digest(names: Sequence[str], made: np.ndarray) -> str:
    """What tells one splitting from another: a digest of which sequences there are, and of their parts.

    Arguments:
        names: of the sequences. made: what `split` made of them.
    """
    lines = (f"{name}\0{part}\n" for name, part in zip(names, made.tolist(), strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _count(n: int, share: int) -> int:
    if not share or n < 3:
        return 0
    return min(max(1, round(n * share / 100)), max(1, n // 3))


def folds(labels: np.ndarray, how: str, parts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and held-out sequences of each fold.

    Arguments:
        how: ``leave-one-out``, ``official`` or a number. A test part of the data's own is used by ``official`` alone.
        parts: as for `split`.

    Raises:
        UsageError: there are too few sequences. DataError: there is no official split.

    >>> [held.tolist() for _, held in folds(np.array([0, 1, 0, 1]), "leave-one-out", np.full(4, -1))]
    [[0], [1], [2], [3]]
    """
    test = PARTS.index("test")
    everything = np.flatnonzero(parts != test)
    if how == "official":
        if not (parts == test).any():
            raise DataError(
                "--folds official: the data have no test part, such as a file NAME_TEST beside NAME_TRAIN"
            )
        return [(np.flatnonzero(parts != test), np.flatnonzero(parts == test))]
    if how == "leave-one-out":
        return [(np.delete(everything, k), everything[k : k + 1]) for k in range(len(everything))]
    count = int(how)
    if count > len(everything):
        raise UsageError(f"--folds: expected at most one fold per sequence, {len(everything):,}, got {count:,}")
    random = np.random.default_rng(0)
    some = [random.permutation(everything[labels[everything] == label]) for label in np.unique(labels[everything])]
    order = np.concatenate(some)
    fold = np.arange(len(order)) % count
    return [(np.sort(order[fold != k]), np.sort(order[fold == k])) for k in range(count)]
