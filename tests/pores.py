"""Simulated pores for tests."""

import itertools

import numpy as np


def table(path, k=2):
    """Levels that are far apart, in the form of nanopore's tables."""
    words = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
    order = np.random.default_rng(0).permutation(len(words))
    lines = ["kmer\tlevel_mean\tlevel_stdv", *(f"{w}\t{60 + 4 * n}\t0.5" for w, n in zip(words, order, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path
