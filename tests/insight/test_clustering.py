"""Trees of vectors, and how well they agree with labels, by their definitions."""

from itertools import combinations

import numpy as np
import pytest

from unrolled.insight.clustering import Tree, cluster, purity


def rng(seed=0):
    return np.random.default_rng(seed)


def branches(tree):
    return [tree, *(found for part in tree.branches for found in branches(part))]


def test_heights_are_the_growth_of_the_scatter():
    vectors = rng().normal(size=(12, 3))
    names = [str(k) for k in range(12)]
    tree = cluster(vectors, names)
    assert sorted(tree.names, key=int) == names and len(branches(tree)) == 23

    def scatter(of):
        part = vectors[[int(name) for name in of.names]]
        return ((part - part.mean(0)) ** 2).sum()

    for branch in branches(tree):
        if branch.branches:
            grown = scatter(branch) - sum(map(scatter, branch.branches))
            assert branch.height**2 == pytest.approx(2 * grown, rel=1e-12)
            assert all(part.height <= branch.height for part in branch.branches)


def test_groups_far_apart_become_branches():
    vectors = rng().normal(size=(9, 2)) + 50 * np.repeat([[0, 0], [1, 0], [0, 1]], 3, axis=0)
    tree = cluster(vectors, "abcdefghi")
    assert tree.has("abc") and tree.has("def") and tree.has("ghi") and not tree.has("abd")
    assert purity(tree, dict(zip("abcdefghi", "xxxyyyzzz", strict=True))) == 1
    assert Tree.read(tree.as_json()) == tree


def test_purity_by_its_definition():
    tree = cluster(rng().normal(size=(10, 2)), "abcdefghij")
    labels = dict(zip("abcdefghij", "xyxyxxyzzz", strict=True))
    shares = []
    for a, b in combinations("abcdefghij", 2):
        if labels[a] == labels[b]:
            below = min((t for t in branches(tree) if {a, b} <= set(t.names)), key=lambda t: len(t.names)).names
            shares.append(sum(labels[name] == labels[a] for name in below) / len(below))
    assert purity(tree, labels) == pytest.approx(np.mean(shares), rel=1e-12)
