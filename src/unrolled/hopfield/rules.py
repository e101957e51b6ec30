"""Learning rules: from patterns to weights. Each takes one set of patterns, or K of them at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Learned:
    """Weights (K, N, N) without their factor ``scale``.

    ``exact`` says that binary patterns give whole numbers or halves, whose sums are not rounded; ``unstable`` counts
    the patterns that the rule could not hold.
    """

    W: Tensor
    scale: float = 1.0
    exact: bool = False
    unstable: int = 0

    @property
    def dead(self) -> float:
        """What a field may come to by rounding alone, where it should be 0."""
        if self.exact:
            return 0.0
        return 8 * torch.finfo(self.W.dtype).eps * float(self.W.abs().sum(2).max())


def hebb(patterns: Tensor, self_connections: bool = False) -> Learned:
    """Hebb's rule.

    Equation::

        W = 1/N sum_mu xi^mu xi^mu^T

    Shapes:
        patterns (K, P, N).

    Source:
        J. J. Hopfield (1982), equation 2.

    >>> hebb(torch.ones(1, 2, 3)).W[0]
    tensor([[0., 2., 2.],
            [2., 0., 2.],
            [2., 2., 0.]])
    """
    W = torch.matmul(patterns.mT, patterns)
    return Learned(_diagonal(W, self_connections), 1 / patterns.shape[-1], exact=True)


def storkey(patterns: Tensor, self_connections: bool = False) -> Learned:
    """Storkey's rule: pattern by pattern, each corrected by the fields that the ones before it make.

    Equation::

        W_ij <- W_ij + 1/N (xi_i xi_j - xi_i h_ji - h_ij xi_j)        h_ij = sum over k, not i or j, of W_ik xi_k

    Source:
        A. J. Storkey & R. Valabregue, "The basins of attraction of a new Hopfield learning rule", Neural
        Networks 12 (1999).
    """
    K, P, N = patterns.shape
    W = patterns.new_zeros(K, N, N)
    for mu in range(P):
        xi = patterns[:, mu, :, None]  # (K, N, 1)
        others = _diagonal(W.clone(), False)
        h = torch.matmul(others, xi)
        seen = xi * h.mT - others.mT * xi.square()  # xi_i h_ji
        W += (xi * xi.mT - seen - seen.mT) / N
    return Learned(_diagonal(W, self_connections))


def projection(patterns: Tensor, self_connections: bool = False) -> Learned:
    """The projection, or pseudo-inverse, rule: W projects onto the space that the patterns span.

    Equation::

        W = Xi^T (Xi Xi^T)^+ Xi

    Every pattern is a fixed point, however correlated they are. Patterns that depend linearly on the others cost
    nothing, and hold as the others do.

    Source:
        L. Personnaz, I. Guyon & G. Dreyfus, "Information storage and retrieval in spin-glass like neural networks",
        Journal de Physique Lettres 46 (1985).
    """
    _, singular, basis = torch.linalg.svd(patterns.double(), full_matrices=False)
    kept = singular > singular[:, :1] * 1e-9 * max(patterns.shape[1:])
    basis = basis * kept[..., None]
    W = torch.matmul(basis.mT, basis)
    return Learned(_diagonal((W + W.mT) / 2, self_connections).to(patterns.dtype))


def perceptron(
    patterns: Tensor,
    self_connections: bool = False,
    margin: float = 0.5,
    symmetric: bool = True,
    epochs: int = 1000,
) -> Learned:
    """Perceptron learning of every unit's weights, until each pattern is stable with a margin.

    Equation::

        while xi_i^mu (W xi^mu)_i <= margin |W_i| for some i, mu:
            W_ij <- W_ij + 1/N sum of xi_i^mu xi_j^mu over them

    It begins with Hebb's weights, and stops early when no network has anything left to correct.

    Arguments:
        margin: kappa, in the field's own units: Gardner's, in which random patterns can be held up to 2 N of them at
            kappa = 0 by weights that need not be symmetric.
        symmetric: each correction is made to W_ij and W_ji alike, so that the network keeps its energy. Fewer
            patterns fit.
        epochs: the most passes over the patterns.

    Source:
        E. Gardner, "The space of interactions in neural network models", Journal of Physics A 21 (1988).
    """
    xi = patterns.double()
    N = xi.shape[-1]
    W = hebb(xi, self_connections).W
    left = torch.arange(len(xi))  # networks with something to correct
    for _ in range(epochs):
        now, w = (xi, W) if len(left) == len(xi) else (xi[left], W[left])
        wrong = now * torch.matmul(now, w.mT) <= margin * w.norm(dim=2)[:, None]
        busy = wrong.flatten(1).any(1)
        if not busy.any():
            break
        step = torch.matmul((now * wrong).mT, now)
        W[left] += _diagonal((step + step.mT) / 2 if symmetric else step, self_connections)
        left = left[busy]
    unstable = int((xi * torch.matmul(xi, W.mT) <= 0).any(2).sum())
    return Learned(W.to(patterns.dtype), 1 / N, exact=True, unstable=unstable)


RULES = {"hebb": hebb, "storkey": storkey, "projection": projection, "perceptron": perceptron}
"""The rules that make a matrix W."""

DENSE = ("dense", "softmax")
"""The rules that keep the patterns themselves (`unrolled.hopfield.dense`)."""


def holds(rule: str, N: int) -> tuple[float, str] | None:
    """How many random patterns a rule holds in a large network of N units, and whose figure that is.

    None where no figure is known that depends on N alone.

    >>> holds("hebb", 1000)
    (138.0, 'Amit, Gutfreund & Sompolinsky 1985')
    """
    return {
        "hebb": (0.138 * N, "Amit, Gutfreund & Sompolinsky 1985"),
        "storkey": (N / math.sqrt(2 * math.log(max(N, 2))), "Storkey 1997"),
        "projection": (float(N), "Personnaz, Guyon & Dreyfus 1985"),
    }.get(rule)


def _diagonal(W: Tensor, kept: bool) -> Tensor:
    if not kept:
        W.diagonal(dim1=-2, dim2=-1).zero_()
    return W
