"""A sequence for a look inside: the longest one of a part, with what units may follow in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.tasks.classify.symbols import Symbols
from unrolled.training.task import Evidence

_MOST = 1_000
_FEATURES = 12


def longest(
    inputs: Sequence[np.ndarray], lengths: np.ndarray, symbols: Symbols, part: str, names: Sequence[str]
) -> Evidence:
    """The longest sequence of a part, up to 1,000 steps; those of several channels are shown by their numbers.

    Arguments:
        inputs: of the part, as the model reads them; lengths, names: of its sequences.
    """
    k = int(lengths.argmax())
    x = np.asarray(inputs[k])[:_MOST]
    name = names[k] if k < len(names) else f"number {k + 1}"
    features = {"place": np.arange(len(x), dtype=np.float64)}
    if symbols.units == "values":
        features |= {f"channel {c + 1}": x[:, c].astype(np.float64) for c in range(min(x.shape[1], _FEATURES))}
    else:
        often = [number for number in np.argsort(-np.bincount(x)) if (x == number).sum() > 1][:_FEATURES]
        features |= {symbols.names[number] or "unknown": (x == number).astype(np.float64) for number in often}
    shown = symbols.shown(x) if x.ndim == 1 or x.shape[1] == 1 else [str(t + 1) for t in range(len(x))]
    return Evidence(f"{name} of the {part} part", x, shown, features=features)
