"""CTC: a sequence of labels without their places in time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.alignments import BLANK, alignment_losses
from unrolled.models.heads.head import IGNORED, Head, Target, check_integers, checked
from unrolled.models.heads.softmax import draw_symbols
from unrolled.models.philox import Numbers


class CTC(Head):
    """Connectionist temporal classification: label sequences that are shorter than their inputs.

    Each step has a softmax over V symbols, of which 0 is the blank (torch's default) and 1 .. V - 1 are the
    labels. A path of T symbols gives a label sequence: repeats are merged, then blanks are removed. The
    probability of a label sequence is the sum over all its paths.

    Equation::

        y_t = W_hy h_t + b        p(labels) = sum over paths pi of the labels: prod_t softmax(y_t)[pi_t]

    A position is a whole sequence: losses, counts and log probabilities are one for each of the N.

    Shapes:
        h (T, N, H); outputs (T, N, V); targets (S, N) labels, padded with -100 behind each sequence's last one.
        ``counted`` (T, N) bool gives the lengths of the inputs: true up to each sequence's end. A sequence
        without a counted step does not count.

    Source:
        A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist temporal classification" (2006); see
        `alignments.alignment_losses`.

    >>> head = CTC(3, 5)
    >>> labels = torch.tensor([[1, 4], [1, -100]])
    >>> total, count = head.loss(head(torch.randn(6, 2, 3)), labels)
    >>> count
    2
    """

    aligned = False

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        vocabulary_size = whole(type(self).__name__, "vocabulary_size", vocabulary_size, least=2)
        super().__init__(hidden_size, vocabulary_size, Target("integers"))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``probability`` (T, N, V) of each symbol at each step, the blank first."""
        return {"probability": torch.softmax(outputs, dim=-1)}

    def log_prob(self, outputs: Tensor, targets: Tensor, counted: Tensor | None = None) -> Tensor:
        """log p(labels) of each sequence (N,), in nats; -inf for more labels than the steps can hold.

        Raises:
            ValueError: as in `loss`, except for too many labels.
        """
        targets, steps, labels = self._lengths(outputs, targets, counted)
        found = outputs.new_zeros(len(steps))
        rows = steps.nonzero()[:, 0]
        return found.index_put((rows,), -self._each(outputs, targets, steps, labels))

    def loss(self, outputs: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of -log p(labels) in nats, and the number of sequences that count.

        Arguments:
            outputs, targets, counted: see the class. What stands behind a sequence's end, NaN included, reaches
                neither the sum nor a gradient.

        Raises:
            ValueError: shapes or types that do not fit; a target that is not a label; a label behind -100; steps
                that count after one that does not; a sequence with more labels than its steps can hold (two
                equal labels in a row need a blank between them).
        """
        targets, steps, labels = self._lengths(outputs, targets, counted)
        repeats = ((targets[1:] == targets[:-1]) & (targets[1:] != IGNORED)).sum(0)
        long = (labels + repeats > steps).nonzero()[:, 0].tolist()
        if long:
            n = long[0]
            raise ValueError(
                f"{self._name}: sequence {n} has {int(labels[n])} labels, of which {int(repeats[n])} repeat the one "
                f"before; that takes {int(labels[n] + repeats[n])} steps, but {int(steps[n])} count"
            )
        return self._each(outputs, targets, steps, labels).sum(), int((steps > 0).sum())

    def greedy(self, outputs: Tensor, counted: Tensor | None = None) -> Tensor:
        """The labels of the most likely path (S, N), padded with -100; S is the longest.

        The most likely path need not belong to the most likely labels.

        >>> path = torch.tensor([[1], [1], [0], [1], [2], [0]])
        >>> CTC(3, 5).greedy(torch.nn.functional.one_hot(path, 5)).flatten().tolist()
        [1, 1, 2]
        """
        return _labels(outputs.argmax(-1), self._counted(outputs, counted))

    def sample(
        self, outputs: Tensor, random: Numbers, temperature: float = 1.0, counted: Tensor | None = None
    ) -> Tensor:
        """Labels (S, N) of a path drawn at random, padded with -100: one draw for each sequence.

        The symbol of each step is drawn by the rule of `Chooser`, one random number a step. Temperature 0 gives
        `greedy`.

        Raises:
            ValueError: outputs or a temperature that do not fit. RunError: outputs that are not finite.
        """
        inside = self._counted(outputs, counted)
        return _labels(self._sample(_masked(outputs, inside), random, temperature), inside)

    def feedback(self, sampled: Any) -> Any:
        """Refused: labels have no places in time."""
        raise ValueError(f"{self._name}: labels have no steps, so they cannot be fed back as the next input")

    def counts(self, targets: Tensor, counted: Tensor | None = None) -> Tensor:
        """Which sequences count: bool (N,)."""
        if counted is None:
            return torch.ones(targets.shape[1:], dtype=torch.bool, device=targets.device)
        return counted.any(0)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        return draw_symbols(outputs, random.uniforms(outputs.shape[:-1]), temperature)

    def _each(self, outputs: Tensor, targets: Tensor, steps: Tensor, labels: Tensor) -> Tensor:
        """-log p of the sequences with steps."""
        some = steps.nonzero()[:, 0]
        outputs, targets, steps, labels = outputs[:, some], targets[:, some], steps[some], labels[some]
        if not len(some):
            return outputs.sum(dim=(0, 2))
        inside = torch.arange(len(outputs), device=steps.device)[:, None] < steps
        known = torch.where(targets == IGNORED, 1, targets)
        return alignment_losses(_masked(outputs, inside), known, steps, labels)

    def _counted(self, outputs: Tensor, counted: Any) -> Tensor:
        """Where the steps of each sequence are (T, N)."""
        if outputs.dim() != 3 or outputs.shape[-1] != self.output_size:
            raise ValueError(
                f"{self._name}: outputs have shape {tuple(outputs.shape)}, expected (T, N, {self.output_size})"
            )
        if counted is None:
            return torch.ones(outputs.shape[:2], dtype=torch.bool, device=outputs.device)
        counted = checked(self._name, counted, outputs.shape[:2])
        if (counted[1:] & ~counted[:-1]).any():
            raise ValueError(f"{self._name}: counted has a step that counts after one that does not")
        return counted

    def _lengths(self, outputs: Tensor, targets: Tensor, counted: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The targets, -100 in sequences that do not count; how many steps and labels there are, (N,) each."""
        inside = self._counted(outputs, counted)
        if not isinstance(targets, Tensor):
            raise ValueError(f"{self._name}: targets is {type(targets).__name__}, expected a tensor")
        check_integers(self._name, targets)
        N = outputs.shape[1]
        if targets.dim() != 2 or targets.shape[1] != N:
            raise ValueError(f"{self._name}: targets have shape {tuple(targets.shape)}, expected (S, N) with N = {N}")
        targets = torch.where(inside.any(0), targets.long(), IGNORED)
        given = targets != IGNORED
        if (given[1:] & ~given[:-1]).any():
            raise ValueError(f"{self._name}: targets have a label behind {IGNORED}")
        bad = targets[given & ((targets <= BLANK) | (targets >= self.output_size))]
        if len(bad):
            raise ValueError(
                f"{self._name}: a target is {int(bad[0])}, expected a label from 1 to {self.output_size - 1}, or "
                f"{IGNORED} behind the last one"
            )
        return targets, inside.sum(0), given.sum(0)


def _masked(outputs: Tensor, inside: Tensor) -> Tensor:
    """The outputs (T, N, V) with zeros behind each sequence's end, from where no gradient comes."""
    return torch.where(inside.unsqueeze(-1), outputs, torch.zeros_like(outputs))


def _labels(path: Tensor, inside: Tensor) -> Tensor:
    """Paths (T, N) to labels (S, N): repeats merged, blanks removed, -100 behind."""
    before = torch.cat([torch.full_like(path[:1], BLANK), path[:-1]])
    kept = (path != before) & (path != BLANK) & inside
    place = torch.where(kept, kept.cumsum(0) - 1, len(path))
    table = path.new_full((len(path) + 1, path.shape[1]), IGNORED).scatter(0, place, path)
    return table[: int(kept.sum(0).max()) if kept.numel() else 0]
