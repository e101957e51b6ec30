"""One long sequence as parallel streams, cut in windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError
from unrolled.wording import counted


@dataclass(frozen=True)
class Window:
    """A stretch of all streams, for one update.

    Shapes:
        inputs, targets (T, N).

    Fields:
        counted: the last so many steps have losses that count.
        advance: the next window begins so many steps after this one.
        fresh: the window begins where the streams begin.
    """

    inputs: Tensor
    targets: Tensor
    counted: int
    advance: int
    fresh: bool


class Streams:
    """N parallel streams over one sequence; window k + 1 continues window k.

    Stream n reads symbols n*S, n*S + 1, ..., and each is followed by its target, the next symbol. An epoch
    is cut into the fewest updates of at most ``update_every`` new steps each, of nearly equal length; a
    window reaches back over at most ``bptt`` steps. So each symbol is a target once an epoch (but the
    first, and fewer than N at the end).

    Arguments:
        symbols: the sequence, whole numbers of any width.
        batch: N.
        bptt: the longest window; 0 for the whole stream (full backpropagation through time).
        update_every: new steps an update; None for as many as the window has (no overlap).
        unit: what the symbols are called in errors.

    Raises:
        DataError: a stream would be shorter than one window.
    """

    def __init__(
        self,
        symbols: np.ndarray,
        batch: int,
        bptt: int,
        update_every: int | None = None,
        unit: str = "symbols",
        device: str = "cpu",
    ) -> None:
        self.batch = batch
        self.length = (len(symbols) - 1) // batch
        self.bptt = bptt or self.length
        self.update_every = min(update_every or self.bptt, self.bptt)
        if self.length < max(self.bptt, 1):
            smaller = [f"--{name}" for name, value in (("batch", batch), ("bptt", bptt)) if value > 1]
            advice = ", or a smaller " + " or ".join(smaller) if smaller else ""
            raise DataError(
                f"the training part has {counted(len(symbols), unit)}, but --batch {batch:,} and --bptt {bptt:,} "
                f"need at least {batch * max(bptt, 1) + 1:,}. Use more data{advice}"
            )
        self.updates_per_epoch = -(-self.length // self.update_every)
        self.device = device
        self._symbols = symbols
        self._starts = np.arange(batch) * self.length

    def window(self, update: int) -> Window:
        """The window of update ``update`` of an epoch, 0 <= update < updates_per_epoch."""
        start, stop = self._start(update), self._edge(update + 1)
        rows = self._starts + np.arange(start, stop + 1)[:, None]
        stretch = torch.from_numpy(self._symbols[rows].astype(np.int64)).to(self.device)
        return Window(
            inputs=stretch[:-1],
            targets=stretch[1:],
            counted=stop - self._edge(update),
            advance=self._start(update + 1) - start,
            fresh=update == 0,
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
