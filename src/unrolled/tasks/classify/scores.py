"""How good predicted probabilities of labels are: sums that batches are added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.tasks.classify.reading import Data

BINS = 10
"""Of the calibration: shares of right answers by how sure the model was."""
_LEAST = 1e-12
"""Probabilities below count as this in the log-loss, so that one certain error is not infinite."""


class Scores:
    """Sums over predictions.

    Equation::

        log-loss = -mean log p(label)        balanced accuracy = mean over the labels that occur of the share right
        calibration error = sum over bins of (share of predictions) |share right - mean probability of the answer|

    Arguments:
        labels: their names.

    Source:
        C. Guo et al., "On calibration of modern neural networks" (2017), equation 3.

    >>> scores = Scores(["a", "b"])
    >>> scores.add(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]))
    >>> scores.figures()["errors"], scores.figures()["confusion"]
    (1, [[1, 0], [1, 0]])
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
        self.nats = 0.0
        self._bins = np.zeros((BINS, 3))  # predictions, right ones, sums of probabilities

    def add(self, probabilities: np.ndarray, targets: np.ndarray) -> None:
        """Predictions (n, labels) and what was right (n,)."""
        answers = probabilities.argmax(1)
        sure = probabilities[np.arange(len(targets)), answers]
        np.add.at(self.confusion, (targets, answers), 1)
        right = np.maximum(probabilities[np.arange(len(targets)), targets], _LEAST)
        self.nats -= float(np.log(right).sum())
        bins = np.minimum((np.nan_to_num(sure) * BINS).astype(int), BINS - 1)
        np.add.at(self._bins, bins, np.stack([np.ones_like(sure), answers == targets, sure], axis=1))

    @property
    def count(self) -> int:
        """How many predictions there were."""
        return int(self.confusion.sum())

    def means(self) -> dict[str, Any]:
        """The scores that are one number each."""
        right, of = self.confusion.diagonal(), self.confusion.sum(1)
        log_loss = self.nats / self.count
        return {
            "loss": log_loss,
            "accuracy": float(right.sum() / self.count),
            "balanced_accuracy": float((right[of > 0] / of[of > 0]).mean()),
            "scored": self.count,
        }

    def figures(self) -> dict[str, Any]:
        """All of them, with a report for each label."""
        means = self.means()
        errors = self.count - int(self.confusion.diagonal().sum())
        n, right, sure = self._bins[self._bins[:, 0] > 0].T
        return means | {
            "log_loss": means["loss"],
            "errors": errors,
            "count": self.count,
            "calibration_error": float(np.abs(right - sure).sum() / self.count),
            "classes": [self._of(k) for k in range(len(self.labels))],
            "confusion": self.confusion.tolist(),
            "calibration": [
                {"probability": s / c, "right": r / c, "count": int(c)}
                for c, r, s in zip(n, right, sure, strict=True)
            ],
        }

    def _of(self, k: int) -> dict[str, Any]:
        right, count, answered = self.confusion[k, k], self.confusion[k].sum(), self.confusion[:, k].sum()
        precision, recall = right / max(answered, 1), right / max(count, 1)
        f1 = 2 * precision * recall / max(precision + recall, _LEAST)
        return {
            "label": self.labels[k],
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "count": int(count),
        }


def scored_folds(found: Mapping[tuple[int, int], Any], data: Data, labels: Sequence[str]) -> dict[str, Any]:
    """Scores of cross-validation: each sequence by the models that did not see it.

    Equation::

        p(label) = mean over the seeds of p_seed(label)

    Arguments:
        found: by fold and seed, which sequences were held out, and the probabilities that they got.

    Returns:
        The figures of `Scores` for the averaged probabilities; ``wrong``, the names of the sequences that got
        another label; ``by_seed``, errors and log-loss of each seed alone.
    """
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    alone: dict[int, Scores] = {}
    for (_, seed), answers in sorted(found.items()):
        for k, probabilities in answers:
            p = np.array(probabilities).reshape(-1, len(labels))
            sums[k], counts[k] = sums.get(k, 0) + p, counts.get(k, 0) + 1
            alone.setdefault(seed, Scores(labels)).add(p, np.atleast_1d(data.targets[k]))
    scores, wrong = Scores(labels), []
    for k, total in sorted(sums.items()):
        p, right = total / counts[k], np.atleast_1d(data.targets[k])
        scores.add(p, right)
        if (p.argmax(1) != right).any() and k < len(data.names):
            wrong.append(data.names[k])
    seeds = [{"seed": seed, **one.figures()} for seed, one in alone.items()]
    kept = ("seed", "errors", "log_loss", "count")
    return scores.figures() | {"wrong": wrong, "by_seed": [{name: one[name] for name in kept} for one in seeds]}
