"""Models: encoder, stack and head in one of the lecture's graphs; and decoding, once for every task."""

from unrolled.models.chooser import Chooser
from unrolled.models.decode import Hypothesis, beam_search, sample
from unrolled.models.encoders import Embedding, Linear, OneHot
from unrolled.models.heads import Regression, Softmax
from unrolled.models.model import GRAPHS, Model

__all__ = [
    "GRAPHS",
    "Chooser",
    "Embedding",
    "Hypothesis",
    "Linear",
    "Model",
    "OneHot",
    "Regression",
    "Softmax",
    "beam_search",
    "sample",
]
