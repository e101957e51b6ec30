"""What a model was unsure of: the loss of each symbol, what it expected, and why it was hard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.models.decode import evaluating
from unrolled.models.device import device_of
from unrolled.models.model import Model

_ROWS, _SCORES = 512, 1 << 21
"""Windows that are run side by side, and scores in memory at once."""


@dataclass(frozen=True)
class Losses:
    """Each symbol but the first, in one stream from the zero state. T is the length of the text.

    Fields:
        loss: -log p of each symbol (T-1,).
        candidates, probabilities: the most likely symbols at each step, best first (T-1, K).
        short: the loss of each symbol when the model sees only the k symbols before it, by k.

    Units: nats.
    """

    loss: np.ndarray
    candidates: np.ndarray
    probabilities: np.ndarray
    short: dict[int, np.ndarray]


@dataclass(frozen=True)
class Cause:
    """One cause: how many errors it explains, and its share of the total loss (0 to 1)."""

    name: str
    count: int
    nats: float
    share: float


def losses(model: Model, numbers: np.ndarray, top: int = 5, contexts: tuple[int, ...] = (10, 20)) -> Losses:
    """The loss of each symbol of a text, with all of its past, and with a short one.

    Arguments:
        model: a language model: symbols in, scores of the next symbol out.
        numbers: the text (T,).
        top: K, candidates kept for each step.
        contexts: lengths k of a short past: the states are reset k symbols back, so what is lost is
            what the model remembered from before.

    Cost:
        one pass over the text, and one over k times its length for each k.

    Raises:
        ValueError: fewer than two symbols.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.GRUCell(4, 8)]), unrolled.Softmax(8, 4))
    >>> found = losses(model, np.array([0, 1, 2, 3, 0, 1]), top=2, contexts=(3,))
    >>> found.loss.shape, found.candidates.shape, bool(np.allclose(found.loss[:3], found.short[3][:3]))
    ((5,), (5, 2), True)
    """
    if len(numbers) < 2:
        raise ValueError(f"losses: expected at least two symbols, got {len(numbers)}: the first one is not predicted")
    device = device_of(model)
    stream = torch.from_numpy(np.asarray(numbers, dtype=np.int64)).to(device)
    parts: list[Tensor] = []
    best: list[Tensor] = []
    likely: list[Tensor] = []
    with evaluating(model):
        h, _ = model.unroll(model.encoder(stream[:-1, None]))
        for hidden, target in _parts(model, h[:, 0], stream[1:]):
            logs = F.log_softmax(model.read(hidden).double(), dim=1)
            parts.append(-logs.gather(1, target[:, None])[:, 0])
            p, which = logs.topk(min(top, logs.shape[1]), dim=1)
            best.append(which)
            likely.append(p.exp())
        loss = torch.cat(parts)
        short = {k: _short(model, stream, k, loss) for k in contexts}
    return Losses(loss.cpu().numpy(), torch.cat(best).cpu().numpy(), torch.cat(likely).cpu().numpy(), short)


def _short(model: Model, stream: Tensor, k: int, loss: Tensor) -> np.ndarray:
    """The loss of each symbol from the k before it; the first k have no longer past anyway."""
    parts = [loss[:k]]
    if len(stream) - 1 > k:
        windows = stream.unfold(0, k + 1, 1)[1:].T  # (k + 1, T - 1 - k)
        for part in windows.split(_ROWS, dim=1):
            h, _ = model.unroll(model.encoder(part[:-1].contiguous()))
            for hidden, target in _parts(model, h[-1], part[-1]):
                logs = F.log_softmax(model.read(hidden).double(), dim=1)
                parts.append(-logs.gather(1, target[:, None])[:, 0])
    return torch.cat(parts).cpu().numpy()


def _parts(model: Model, h: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A few rows at a time: a large vocabulary has more scores than fit into memory at once."""
    rows = max(1, _SCORES // model.head.output_size)
    return zip(h.split(rows), targets.split(rows), strict=True)


def needs_memory(measured: Losses, context: int, gain: float = 0.5) -> np.ndarray:
    """Where the past before the last ``context`` symbols made the loss smaller by at least ``gain`` nats (T-1,)."""
    return measured.short[context] - measured.loss >= gain


def by_cause(loss: np.ndarray, causes: Mapping[str, np.ndarray], likely: float = 0.5) -> list[Cause]:
    """The total loss, divided among causes: each error goes to the first cause that fits it.

    An error is a symbol that the model gave a probability below ``likely``. The order of ``causes`` is
    the order of asking; errors that fit none are ``"none of these"``, and the loss of symbols
    that were no errors is listed last.

    Arguments:
        loss: of each symbol (T-1,), in nats.
        causes: where each of them holds (T-1,) bool, in order.

    Source:
        A. Karpathy, J. Johnson & L. Fei-Fei (2015), section 4.4, who remove errors cause by cause; an
        error there, too, is a probability below 0.5. The causes differ.

    >>> found = by_cause(np.array([2.0, 1.0, 1.0, 0.1]), {"new line": np.array([True, False, False, True])})
    >>> [(c.name, c.count) for c in found]
    [('new line', 1), ('none of these', 2), ('no error', 1)]
    """
    left = loss > -np.log(likely)
    right = ~left
    total = float(loss.sum()) or 1.0
    groups = []
    for name, holds in causes.items():
        if np.shape(holds) != loss.shape:
            raise ValueError(f"by_cause: {name!r} has shape {np.shape(holds)}, expected {loss.shape}, like the loss")
        here = left & np.asarray(holds, dtype=bool)
        groups.append((name, here))
        left = left & ~here
    groups += [("none of these", left), ("no error", right)]
    return [Cause(n, int(w.sum()), float(loss[w].sum()), float(loss[w].sum()) / total) for n, w in groups]
