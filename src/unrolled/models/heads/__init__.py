"""Heads: distributions over targets given the hidden state; each has a loss, log probabilities and draws."""

from unrolled.models.heads.bernoulli import Bernoulli
from unrolled.models.heads.ctc import CTC
from unrolled.models.heads.gaussian import Gaussian
from unrolled.models.heads.head import Head, Target
from unrolled.models.heads.mixture import GaussianMixture
from unrolled.models.heads.nade import NADE
from unrolled.models.heads.negative_binomial import NegativeBinomial
from unrolled.models.heads.quantiles import Quantiles
from unrolled.models.heads.regression import Regression
from unrolled.models.heads.side_by_side import SideBySide
from unrolled.models.heads.softmax import Softmax
from unrolled.models.heads.student_t import StudentT

__all__ = [
    "CTC",
    "NADE",
    "Bernoulli",
    "Gaussian",
    "GaussianMixture",
    "Head",
    "NegativeBinomial",
    "Quantiles",
    "Regression",
    "SideBySide",
    "Softmax",
    "StudentT",
    "Target",
]
