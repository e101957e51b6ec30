"""Travelling salesman and max-cut: what the networks minimise is the task, and what is beside them is right."""

import itertools

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, UsageError
from unrolled.hopfield import maxcut, tsp


def test_the_energy_is_hopfield_and_tanks():
    """Their equation 8, summed as it is written, for units that are not a tour."""
    rng = np.random.default_rng(1)
    N, c = 4, tsp.Constants()
    places = rng.random((N, 2))
    d = np.linalg.norm(places[:, None] - places[None], axis=2)
    v = rng.random((N, N))
    r = range(N)
    E = c.A / 2 * sum(v[x, i] * v[x, j] for x in r for i in r for j in r if i != j)
    E += c.B / 2 * sum(v[x, i] * v[y, i] for i in r for x in r for y in r if x != y)
    E += c.C / 2 * (v.sum() - c.n * N) ** 2
    E += (
        c.D
        / 2
        * sum(d[x, y] * v[x, i] * (v[y, (i + 1) % N] + v[y, (i - 1) % N]) for x in r for y in r if x != y for i in r)
    )
    net = tsp.wiring(torch.as_tensor(d), c)
    state = torch.as_tensor(v.reshape(1, -1, 1))
    own = net.energy(state) - tsp_integral(net, v)
    assert np.isclose(float(own[0, 0]) + c.C / 2 * (c.n * N) ** 2, E)


def tsp_integral(net, v):
    return float(np.sum(v * np.log(v) + (1 - v) * np.log(1 - v) + np.log(2))) / net.gain


@pytest.mark.parametrize("seed", range(3))
def test_shortest_is_shortest(seed):
    places = np.random.default_rng(seed).random((7, 2))
    every = min(tsp.length(places, (0, *rest)) for rest in itertools.permutations(range(1, 7)))
    tour = tsp.shortest(places)
    assert sorted(tour) == list(range(7))
    assert np.isclose(tsp.length(places, tour), every)
    assert tsp.length(places, tsp.nearest(places)) >= every - 1e-12


def test_tours_are_read_honestly():
    found = tsp.solve(count=6, starts=30, seed=3)
    assert len(found.tours) == 30 and len(found.lengths) == found.valid
    for tour, length in zip([t for t in found.tours if t is not None], found.lengths, strict=True):
        assert sorted(tour) == list(range(6))
        assert length >= found.shortest - 1e-9
    assert found.valid > 0 and found.best in found.tours
    assert tsp._tour(np.eye(4, dtype=bool)[[2, 0, 3, 1]]) == (1, 3, 0, 2)
    assert tsp._tour(np.array([[1, 1], [0, 0]], dtype=bool)) is None
    assert tsp._tour(np.array([[1, 1], [1, 0]], dtype=bool)) is None


def test_tsp_mistakes():
    with pytest.raises(UsageError, match="three points"):
        tsp.solve(np.zeros((2, 2)))
    with pytest.raises(UsageError, match="starts"):
        tsp.solve(starts=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_cut_is_found_in_small_graphs(seed):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.integers(-2, 4, (11, 11)), 1)
    A = torch.as_tensor(A + A.T).double()
    every = max(
        float(sum(A[i, j] for i in range(11) for j in range(i) if bits >> i & 1 != bits >> j & 1))
        for bits in range(2**10)
    )
    found = maxcut.solve(A, starts=50)
    assert found.exact == every == found.weight <= found.bound + 1e-9
    assert float(maxcut.cut(A, found.side[:, None].double())[0]) == found.weight
    assert found.total == float(A.sum()) / 2 and max(found.cuts) <= found.weight


def test_a_graph_in_two_colours_is_cut_whole():
    """A torus of even sides: the whole of it can be cut, and annealing finds that, though single units do not."""
    side = 10
    A = torch.zeros(side, side, side, side)
    for i, j in itertools.product(range(side), repeat=2):
        for k, m in ((i, (j + 1) % side), ((i + 1) % side, j)):
            A[i, j, k, m] = A[k, m, i, j] = 1
    found = maxcut.solve(A.reshape(100, 100), starts=20)
    assert found.weight == found.total == 200.0
    assert found.single < 180


def test_a_regular_graph():
    A = maxcut.regular(60, 5, seed=2)
    assert torch.equal(A, A.T) and set(A.sum(0).tolist()) == {5.0}
    assert bool((A.diagonal() == 0).all()) and set(A.unique().tolist()) == {0.0, 1.0}
    for vertices, degree in ((5, 3), (4, 4), (4, 0)):
        with pytest.raises(UsageError, match="no graph"):
            maxcut.regular(vertices, degree)


@pytest.mark.parametrize(("vertices", "degree"), [(60, 58), (30, 29), (41, 30)])
def test_a_graph_with_nearly_all_edges(vertices, degree):
    A = maxcut.regular(vertices, degree, seed=1)
    assert bool((A.sum(0) == degree).all()) and torch.equal(A, A.T) and set(A.unique().tolist()) <= {0.0, 1.0}
    assert not A.diagonal().any()


def test_graphs_from_files(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("# a path\n0 1\n1 2 2.5\n\n")
    assert maxcut.read_graph(path).tolist() == [[0, 1, 0], [1, 0, 2.5], [0, 2.5, 0]]
    for line in ("0", "0 x", "1 1", "0 -1", "0 1 nan", "0 1 2 3", "0 999999999"):
        path.write_text("0 1\n" + line)
        with pytest.raises(
            DataError,
            match='line 2: expected "vertex vertex" or "vertex vertex weight", with two different vertices from 0',
        ):
            maxcut.read_graph(path)
    path.write_text("")
    with pytest.raises(DataError, match="no edges"):
        maxcut.read_graph(path)


def test_maxcut_mistakes():
    for A in (torch.zeros(2, 3), torch.tensor([[0.0, 1], [0, 0]]), torch.full((2, 2), torch.nan)):
        shape = ", ".join(map(str, A.shape))
        with pytest.raises(UsageError, match=rf"must be \(N, N\), symmetric and finite; got \({shape}\)"):
            maxcut.solve(A)
    assert maxcut.solve(torch.zeros(3, 3), starts=2).weight == 0.0
