"""Trees of vectors: which lie close to each other, and how well a tree agrees with labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tree:
    """A leaf (one name, no branches) or two branches that join at ``height``."""

    names: tuple[str, ...]
    height: float = 0.0
    branches: tuple[Tree, ...] = ()

    @classmethod
    def read(cls, content: dict[str, Any]) -> Tree:
        """From what `as_json` made."""
        branches = tuple(cls.read(part) for part in content["branches"])
        return cls(tuple(content["names"]), content["height"], branches)

    def has(self, names: Collection[str]) -> bool:
        """Whether these names, and no others, make up one of the branches."""
        return set(self.names) == set(names) or any(branch.has(names) for branch in self.branches)

    def as_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists."""
        return {
            "names": list(self.names),
            "height": self.height,
            "branches": [part.as_json() for part in self.branches],
        }


def cluster(vectors: np.ndarray, names: Sequence[str]) -> Tree:
    """Join the two branches that lie closest again and again, until one tree is left.

    Equation::

        d(A, B)² = 2 |A| |B| / (|A| + |B|) * |mean of A - mean of B|²

    Between two leaves that is their distance. What d² grows by is the scatter within branches, so that single
    vectors far from all others do not end up alone.

    Shapes:
        vectors (K, H), one a name.

    Source:
        J. H. Ward, "Hierarchical grouping to optimize an objective function" (1963).

    >>> cluster(np.array([[0.0], [1.0], [5.0]]), ["a", "b", "c"]).branches[0].names
    ('a', 'b')
    """
    trees = [Tree((name,)) for name in names]
    means = vectors.astype(float)
    while len(trees) > 1:
        sizes = np.array([len(tree.names) for tree in trees])
        weights = 2 * sizes[:, None] * sizes / (sizes[:, None] + sizes)
        distance = weights**0.5 * np.linalg.norm(means[:, None] - means, axis=2)
        np.fill_diagonal(distance, np.inf)
        a, b = sorted(divmod(int(distance.argmin()), len(trees)))
        joined = Tree(trees[a].names + trees[b].names, float(distance[a, b]), (trees[a], trees[b]))
        means[a] = sizes[[a, b]] @ means[[a, b]] / sizes[[a, b]].sum()
        means = np.delete(means, b, axis=0)
        trees[a] = joined
        del trees[b]
    return trees[0]


def purity(tree: Tree, labels: dict[str, str]) -> float:
    """How pure the smallest branches are that hold two leaves of one label: 1 if each label has a branch of its own.

    Equation::

        mean over pairs a, b of one label of: share of that label among the leaves below their lowest common branch

    Source:
        dendrogram purity, K. Heller & Z. Ghahramani, "Bayesian hierarchical clustering" (2005), section 5.

    >>> purity(cluster(np.array([[0.0], [1.0], [5.0]]), ["a", "b", "c"]), {"a": "x", "b": "y", "c": "x"})
    0.6666666666666666
    """
    shares: list[float] = []

    def visit(branch: Tree) -> None:
        if not branch.branches:
            return
        below = [labels[name] for name in branch.names]
        left, right = ([labels[name] for name in part.names] for part in branch.branches)
        for label in set(left) & set(right):
            share = below.count(label) / len(below)
            shares.extend([share] * (left.count(label) * right.count(label)))
        for part in branch.branches:
            visit(part)

    visit(tree)
    return float(np.mean(shares))
