"""One long sequence as parallel streams without end, cut in windows."""

from __future__ import annotations

import numpy as np

from unrolled.errors import DataError, EmptyPartError
from unrolled.training.batches import Batch, as_tensor
from unrolled.wording import counted


class Streams:
    """N parallel streams over one sequence; batch k + 1 continues batch k, until the sequence begins again.

    Stream n reads steps n*S, n*S + 1, ..., and the target of each is the next step. An epoch
    is cut into the fewest updates of at most ``update_every`` new steps each, of nearly equal length; a
    window reaches back over at most ``bptt`` steps. So each step is a target once an epoch (but the
    first, and fewer than N at the end).

    Arguments:
        steps: the sequence, (S,) whole numbers of any width, or (S, width) numbers, which keep their type.
        batch: N.
        bptt: the longest window; 0 for the whole stream (full backpropagation through time).
        update_every: new steps an update; None for as many as the window has (no overlap).
        unit: what the steps are called in errors.

    Raises:
        EmptyPartError: fewer than two steps. DataError: a stream would be shorter than one window.
    """

    def __init__(
        self,
        steps: np.ndarray,
        batch: int,
        bptt: int,
        update_every: int | None = None,
        unit: str = "steps",
        device: str = "cpu",
    ) -> None:
        if len(steps) < 2:
            raise EmptyPartError(f"the sequence has {counted(len(steps), unit)}, expected at least 2")
        self.batch = batch
        self.length = (len(steps) - 1) // batch
        self.bptt = bptt or self.length
        self.update_every = min(update_every or self.bptt, self.bptt)
        if self.length < max(self.bptt, 1):
            smaller = [f"--{name}" for name, value in (("batch", batch), ("bptt", bptt)) if value > 1]
            advice = ", or a smaller " + " or ".join(smaller) if smaller else ""
            raise DataError(
                f"{counted(len(steps), unit)} are too few for --batch {batch:,} and --bptt {bptt:,}, "
                f"which need at least {batch * max(bptt, 1) + 1:,}. Use more data{advice}"
            )
        self.updates_per_epoch = -(-self.length // self.update_every)
        self.device = device
        self._steps = steps
        self._starts = np.arange(batch) * self.length

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        k = update % self.updates_per_epoch
        start, stop = self._start(k), self._edge(k + 1)
        rows = self._starts + np.arange(start, stop + 1)[:, None]
        stretch = self._steps[rows]
        if stretch.dtype.kind in "iu":
            stretch = stretch.astype(np.int64)  # which torch counts with
        steps = as_tensor(stretch, self.device)
        return Batch(
            inputs=steps[:-1],
            targets=steps[1:],
            continues=k > 0,
            counted=stop - self._edge(k),
            advance=self._start(k + 1) - start,
        )

    def _edge(self, update: int) -> int:
        """Where the new steps of an update begin: equal parts of the stream, to one step."""
        return update * self.length // self.updates_per_epoch

    def _start(self, update: int) -> int:
        """Where the window of an update begins; after the last, the end of the stream."""
        if update == self.updates_per_epoch:
            return self.length
        return max(0, self._edge(update + 1) - self.bptt) if self.overlaps else self._edge(update)

    @property
    def overlaps(self) -> bool:
        """Whether a window reaches back before its new steps."""
        return self.update_every < self.bptt
