"""The embedded Reber grammar: strings, endless streams, and the legal next symbols."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from unrolled.training.batches import Batch

SYMBOLS = "BTPSXVE"
"""The seven symbols, in the order of the input and output units."""

_REBER = ({"T": 1, "P": 2}, {"S": 1, "X": 3}, {"T": 2, "V": 4}, {"X": 2, "S": 5}, {"P": 3, "V": 5}, {"E": 6})
"""Reber's graph behind its first B: the edges of nodes 0 to 5, and 6 behind its E."""

_INNER = len(_REBER)


def _embedded() -> list[dict[str, int]]:
    """B, then T or P, then a string of Reber's grammar, then the same T or P, then E; the last node is the end."""
    nodes: list[dict[str, int]] = [{"B": 1}, {}]
    last = 2 + 2 * (_INNER + 2)
    for side in "TP":
        begin = len(nodes)
        nodes[1][side] = begin
        nodes.append({"B": begin + 1})
        nodes += [{symbol: begin + 1 + to for symbol, to in edges.items()} for edges in _REBER]
        nodes.append({side: last})
    return [*nodes, {"E": last + 1}, {}]


EDGES = _embedded()
"""The embedded graph: from each node, symbol -> next node."""

START, END = 0, len(EDGES) - 1

LEGAL = torch.tensor([[symbol in edges for symbol in SYMBOLS] for edges in EDGES])
"""Which symbols may come at each node (nodes, 7)."""


def draw(rng: np.random.Generator) -> str:
    """One string of the embedded Reber grammar; where two edges leave a node, each is taken with probability 1/2.

    Source:
        S. Hochreiter & J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), figures 3 and 4.

    >>> import numpy
    >>> string = draw(numpy.random.default_rng(0))
    >>> string[0], string[-1], string[1] == string[-2]
    ('B', 'E', True)
    """
    node, found = START, []
    while node != END:
        choices = list(EDGES[node].items())
        symbol, node = choices[rng.integers(len(choices))]
        found.append(symbol)
    return "".join(found)


def draw_many(count: int, rng: np.random.Generator, without: Collection[str] = ()) -> list[str]:
    """``count`` strings in the order drawn; those in ``without`` are drawn again."""
    found: list[str] = []
    while len(found) < count:
        string = draw(rng)
        if string not in without:
            found.append(string)
    return found


def nodes(string: str) -> list[int]:
    """The node behind each symbol.

    Raises:
        ValueError: the string is not of the grammar; the place is named.

    >>> nodes("BT")
    [1, 2]
    """
    node, found = START, []
    for k, symbol in enumerate(string):
        if symbol not in EDGES[node]:
            legal = " or ".join(EDGES[node]) or "nothing"
            raise ValueError(f"nodes: symbol {k} of {string!r} is {symbol!r}, expected {legal}")
        node = EDGES[node][symbol]
        found.append(node)
    return found


def legal_next(string: str) -> list[str]:
    """The symbols that may come behind each symbol.

    >>> legal_next("BTB")
    ['TP', 'B', 'TP']
    """
    return ["".join(EDGES[node]) for node in nodes(string)]


def encode(strings: list[str]) -> tuple[Batch, Tensor]:
    """Whole strings as a batch: symbols (T - 1, N), and the next symbols as targets.

    Returns:
        The batch, and what may come behind each symbol but the last, (T - 1, N, 7).
    """
    lengths = torch.tensor([len(s) for s in strings])
    T = int(lengths.max())
    symbols = torch.zeros(T, len(strings), dtype=torch.long)
    legal = torch.zeros(T - 1, len(strings), len(SYMBOLS), dtype=torch.bool)
    for n, string in enumerate(strings):
        symbols[: len(string), n] = torch.tensor([SYMBOLS.index(s) for s in string])
        legal[: len(string) - 1, n] = LEGAL[nodes(string)[:-1]]
    mask = torch.arange(T - 1)[:, None] < lengths - 1
    return Batch(symbols[:-1], symbols[1:], lengths - 1, mask), legal


def predicted(scores: Tensor, legal: Tensor) -> Tensor:
    """Whether each prediction is right: every legal next symbol is more active than every other symbol.

    Shapes:
        scores (..., 7); legal (..., 7), bool; returns (...), bool. A score that is not a number is wrong.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.1: "the output unit(s) corresponding to the possible next
        symbol(s) is(are) always the most active ones".

    >>> predicted(torch.tensor([0.1, 0.4, 0.3, 0, 0, 0, 0]), torch.tensor([0, 1, 1, 0, 0, 0, 0]).bool())
    tensor(True)
    """
    infinity = float("inf")
    least = scores.masked_fill(~legal, infinity).amin(-1)
    return least > scores.masked_fill(legal, -infinity).amax(-1)


class Streams:
    """Endless streams: one string behind another, with nothing between them.

    Arguments:
        count: N streams side by side.
        rng: where the edges are drawn from.

    >>> import numpy
    >>> symbols, legal = Streams(2, numpy.random.default_rng(0)).take(100)
    >>> symbols.shape, legal.shape
    (torch.Size([100, 2]), torch.Size([100, 2, 7]))
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._node = np.zeros(count, dtype=np.int64)

    def take(self, steps: int) -> tuple[Tensor, Tensor]:
        """The next symbols (T, N), and what may come behind each of them (T, N, 7)."""
        bits = self._rng.integers(2, size=(steps, len(self._node)))
        symbols, behind = np.empty_like(bits), np.empty_like(bits)
        for t in range(steps):
            symbols[t] = _SYMBOL[self._node, bits[t]]
            self._node = behind[t] = _BEHIND[self._node, bits[t]]
        return torch.from_numpy(symbols), LEGAL[torch.from_numpy(behind)]

    def restart(self, n: int) -> int:
        """Begin stream ``n`` anew; its first symbol, which is taken with that."""
        self._node[n] = _BEHIND[START, 0]
        return int(_SYMBOL[START, 0])


def _two_edges() -> tuple[np.ndarray, np.ndarray]:
    """Two edges a node, where there is one the same twice: symbols and next nodes; behind the end is the start."""
    choices = [list(edges.items()) for edges in EDGES[:-1]]
    pairs = [(c[0], c[-1]) for c in choices]
    symbol = np.array([[SYMBOLS.index(s) for s, _ in pair] for pair in pairs])
    behind = np.array([[START if to == END else to for _, to in pair] for pair in pairs])
    return symbol, behind


_SYMBOL, _BEHIND = _two_edges()
