"""Models: encoder, stack and head in one of the lecture's graphs; and decoding, once for every task."""

from unrolled.models.chooser import Chooser
from unrolled.models.decode import Hypothesis, beam_search, paths, sample
from unrolled.models.encoders import Embedding, Linear, OneHot
from unrolled.models.heads import (
    CTC,
    Bernoulli,
    Gaussian,
    GaussianMixture,
    Head,
    NegativeBinomial,
    Quantiles,
    Regression,
    SideBySide,
    Softmax,
    StudentT,
    Target,
)
from unrolled.models.model import GRAPHS, Model
from unrolled.models.philox import Philox

__all__ = [
    "CTC",
    "GRAPHS",
    "Bernoulli",
    "Chooser",
    "Embedding",
    "Gaussian",
    "GaussianMixture",
    "Head",
    "Hypothesis",
    "Linear",
    "Model",
    "NegativeBinomial",
    "OneHot",
    "Philox",
    "Quantiles",
    "Regression",
    "SideBySide",
    "Softmax",
    "StudentT",
    "Target",
    "beam_search",
    "paths",
    "sample",
]
