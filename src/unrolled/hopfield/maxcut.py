"""Max-cut: a task at which a Hopfield network does well, since every state of it is an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError, UsageError
from unrolled.hopfield.capacity import signs
from unrolled.hopfield.dynamics import asynchronous
from unrolled.hopfield.wiring import Wiring
from unrolled.wording import counted

EXACT = 22
"""Vertices up to which the largest cut is found by trying all."""
MOST = 20_000
"""Vertices of a graph from a file, at most."""
HEAVIEST = 1e100
"""Of an edge, so that sums and their squares stay finite."""


@dataclass(frozen=True)
class Cut:
    """What the network found.

    Shapes:
        ``side`` (N,), -1 or 1; ``cuts`` one weight for each start.

    ``single`` is the mean cut of binary units, which stop in the first state that no single unit improves; ``weight``
    the best of all. ``bound`` is above every cut (from the largest eigenvalue of the Laplacian); ``exact`` the
    largest cut, known up to 22 vertices; ``half`` half of all edges, what a random division cuts on average.
    """

    side: Tensor
    weight: float
    cuts: tuple[float, ...]
    single: float
    total: float
    bound: float
    exact: float | None

    @property
    def half(self) -> float:
        return self.total / 2


def solve(
    weights: Tensor | np.ndarray,
    starts: int = 100,
    seed: int = 0,
    annealed: bool = True,
    tell: Callable[[float], None] | None = None,
) -> Cut:
    """Divide the vertices in two so that the edges between the parts weigh as much as possible.

    Equation::

        W = -weights: the energy is the weight of what is not cut, less that of what is, over 2
        annealed: graded units, whose gain rises from where all of them are undecided to where all are decided

    Arguments:
        weights: the graph, (N, N), symmetric.
        starts: random starts, all run together.
        annealed: begin with graded units; the end is settled by binary ones.
        tell: called with the share of the annealing that is done, now and then.

    Source:
        J. J. Hopfield & D. W. Tank (1985) for the gain that rises; C. Peterson & J. R. Anderson (1988), as mean-field
        annealing; C. Delorme & S. Poljak (1993) for the bound.

    >>> ring = torch.roll(torch.eye(6), 1, 0) + torch.roll(torch.eye(6), -1, 0)
    >>> found = solve(ring, starts=10)
    >>> found.weight, found.exact, found.half
    (6.0, 6.0, 3.0)
    """
    A = torch.as_tensor(weights).detach().to(torch.float64).clone()
    if A.dim() != 2 or A.shape[0] != A.shape[1] or not torch.equal(A, A.T) or not bool(torch.isfinite(A).all()):
        raise UsageError(f"Hopfield: the graph's weights must be (N, N), symmetric and finite; got {tuple(A.shape)}")
    if not isinstance(starts, int) or starts < 1:
        raise UsageError(f"Hopfield: starts must be a whole number from 1, got {starts!r}")
    A.fill_diagonal_(0.0)
    N, draw = len(A), torch.Generator().manual_seed(seed)

    def order() -> Tensor:
        return torch.randperm(N, generator=draw)

    theta = A.new_zeros(1, N, 1)
    binary = Wiring(-A[None], theta, "sign")
    start = signs((1, N, starts), draw).double()
    plain = asynchronous(binary, start.clone(), order, 1000, energy=False).v
    single = cut(A, plain[0])
    ends, cuts = plain[0], single
    if annealed and bool(A.any()):
        v = 0.01 * start
        strongest = float(torch.linalg.eigvalsh(-A).max())
        for k in range(_GAINS):
            gain = 0.8 / strongest * (_HIGHEST / 0.8) ** (k / (_GAINS - 1))
            v = asynchronous(Wiring(-A[None], theta, "tanh", gain), v, order, 3, 1e-6, energy=False).v
            if tell is not None:
                tell((k + 1) / _GAINS)
        v = torch.where(v == 0, start, torch.sign(v))
        ends = asynchronous(binary, v, order, 1000, energy=False).v[0]
        cuts = cut(A, ends)
    every, states = torch.cat([single, cuts]), torch.cat([plain[0], ends], 1)
    best = int(every.argmax())
    degree = A.sum(0)
    laplacian = torch.diag(degree) - A
    return Cut(
        states[:, best],
        float(every[best]),
        tuple(cuts.tolist()),
        float(single.mean()),
        float(A.sum() / 2),
        float(N / 4 * torch.linalg.eigvalsh(laplacian)[-1]),
        _largest(A) if N <= EXACT else None,
    )


_GAINS, _HIGHEST = 60, 40.0
"""Steps of the gain, evenly on a logarithmic scale, and its last value, in units of the one at which units decide."""


def cut(A: Tensor, v: Tensor) -> Tensor:
    """The weight that each state of (N, R) cuts."""
    return (A.sum() - (v * (A @ v)).sum(0)) / 4


def regular(vertices: int, degree: int, seed: int = 0) -> Tensor:
    """A random graph in which every vertex has ``degree`` edges, by pairing, without loops and double edges.

    >>> sorted(set(regular(10, 3).sum(0).tolist()))
    [3.0]
    """
    if not 0 < degree < vertices or vertices * degree % 2:
        raise UsageError(
            f"Hopfield: no graph has {vertices} vertices of {degree} edges each; degree must be below the number of "
            "vertices, and their product even"
        )
    if 2 * degree > vertices - 1:  # pairing would get stuck: take the edges that a sparse graph has not
        fewer = vertices - 1 - degree
        whole = 1 - torch.eye(vertices, dtype=torch.float64)
        return whole - regular(vertices, fewer, seed) if fewer else whole
    rng = np.random.default_rng(seed)
    A = np.zeros((vertices, vertices))
    while True:
        A[:] = 0
        free = rng.permutation(np.repeat(np.arange(vertices), degree)).tolist()
        stuck = 0
        while free and stuck < 200:
            x, y = (free.pop(int(rng.integers(len(free)))) for _ in range(2))
            if x == y or A[x, y]:
                free += [x, y]
                stuck += 1
            else:
                A[x, y] = A[y, x] = 1
                stuck = 0
        if not free:
            return torch.as_tensor(A)


def read_graph(path: str) -> Tensor:
    """The weights (N, N) of a graph from a file of edges, one a line: two vertices, and a weight or 1.

    Vertices count from 0; or from 1, where the first line is that of a G-set file: the numbers of vertices and edges.
    It is taken for one if no edge has vertex 0 or a vertex above that number.

    Raises:
        UsageError: there is no such file.
        DataError: a line is something else, or a header names another number of edges than there are.
    """
    if not Path(path).is_file():
        raise UsageError(
            f"{path} is a folder, expected a file" if Path(path).is_dir() else f"there is no file {path}"
        )
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [(k, parts) for k, line in enumerate(lines, start=1) if (parts := line.split("#")[0].split())]
    N, first = 0, 0
    if header := _header(path, rows):
        N, first = header, 1
        rows = rows[1:]
    edges = []
    for number, parts in rows:
        try:
            x, y = int(parts[0]) - first, int(parts[1]) - first
            weight = float(parts[2]) if len(parts) > 2 else 1.0
            if len(parts) > 3 or min(x, y) < 0 or max(x, y) >= MOST or x == y or not abs(weight) <= HEAVIEST:
                raise ValueError
        except (ValueError, IndexError) as error:
            raise DataError(
                f'{path}, line {number}: expected "vertex vertex" or "vertex vertex weight", with two different '
                f"vertices from {first} to {MOST - 1 + first:,} and a weight of at most {HEAVIEST:g}"
            ) from error
        edges.append((x, y, weight))
    if not edges:
        raise DataError(f"{path} contains no edges")
    N = N or 1 + max(max(x, y) for x, y, _ in edges)
    A = torch.zeros(N, N, dtype=torch.float64)
    for x, y, weight in edges:
        A[x, y] += weight
        A[y, x] += weight
    return A


def _header(path: str, rows: list[tuple[int, list[str]]]) -> int:
    """The number of vertices, if the first line is the header of a G-set file; else 0."""
    if len(rows) < 2 or len(rows[0][1]) != 2:
        return 0
    try:
        vertices, count = map(int, rows[0][1])
        ends = [int(part) for _, parts in rows[1:] for part in parts[:2]]
    except ValueError:  # which the edges' own check names
        return 0
    if min(ends) < 1 or max(ends) > vertices or vertices > MOST:
        return 0
    if count != len(rows) - 1:
        raise DataError(
            f"{path}, line {rows[0][0]}: as the header of a G-set file it names {counted(vertices, 'vertices')} and "
            f"{counted(count, 'edges')}, but {counted(len(rows) - 1, 'edges')} follow. If it is an edge itself, "
            "add its weight"
        )
    return vertices


def _largest(A: Tensor) -> float:
    """The largest cut, trying all divisions with the last vertex on one side."""
    N = len(A)
    best = 0.0
    numbers = torch.arange(2 ** (N - 1))
    for some in numbers.split(2**16):
        bits = (some[None] >> torch.arange(N)[:, None]) & 1
        best = max(best, float(cut(A, 2.0 * bits.double() - 1).max()))
    return best
