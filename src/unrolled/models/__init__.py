"""Models: encoder, stack and head in one of the lecture's graphs; and decoding, once for every task.

The names are imported when first used, so that the options, which command-line help shows, do not wait for torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "beam": ("Hypothesis", "beam_search", "beam_searches"),
    "chooser": ("Chooser",),
    "decode": ("paths", "sample", "samples"),
    "encoder_decoder": ("EncoderDecoder",),
    "encoders": ("Embedding", "Keys", "Linear", "OneHot", "Vectors"),
    "heads": (
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
    ),
    "initial_state": ("InitialState",),
    "model": ("GRAPHS", "Model"),
    "philox": ("Philox",),
    "pooling": ("AttentionPool", "ConcatPool", "LastPool", "MaxPool", "MeanPool"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unrolled.models' has no attribute {name!r}")
    return getattr(import_module(f"unrolled.models.{_HOME[name]}"), name)
