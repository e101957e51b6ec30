"""Recurrent neural networks from their equations.

A cell is written once, as its equation in plain PyTorch. Training, sampling and pictures come from that
text. The names below are the public surface; they are imported when first used, so that ``import
unrolled`` and the command line's help do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.version import __version__

_HOME = {
    "Cell": "cells",
    "Gates": "cells",
    "ElmanCell": "cells",
    "LSTMCell": "cells",
    "LSTM1997Cell": "cells",
    "GRUCell": "cells",
    "HopfieldCell": "cells",
    "Zoneout": "cells",
    "VariationalDropout": "cells",
    "WeightDrop": "cells",
    "Recurrent": "layers",
    "Bidirectional": "layers",
    "Stack": "layers",
    "Elman": "layers",
    "LSTM": "layers",
    "GRU": "layers",
    "explain": "layers.explain",
    "from_torch": "layers",
    "to_torch": "layers",
    "Hopfield": "hopfield",
    "HopfieldLayer": "hopfield",
    "Model": "models",
    "OneHot": "models",
    "Embedding": "models",
    "Linear": "models",
    "Softmax": "models",
    "Regression": "models",
    "sample": "models",
    "beam_search": "models",
    "backward": "training.gradient",
    "RTRL": "training.rtrl",
    "Task": "training",
    "fit": "tasks.fit",
    "load": "tasks.load",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name == "insight":
        return import_module("unrolled.insight")
    if name not in _HOME:
        raise AttributeError(f"module 'unrolled' has no attribute {name!r}")
    value = getattr(import_module(f"unrolled.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
