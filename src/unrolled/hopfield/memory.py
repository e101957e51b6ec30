"""A memory as a file: the patterns, and how they were stored. Ordinary safetensors; no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.errors import RunError
from unrolled.hopfield.network import Hopfield
from unrolled.runs.arrays import Arrays, read_about, read_arrays, write_arrays

FORMAT = "unrolled hopfield memory 1"


def save(net: Hopfield, path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write a network to a file. W is learned again when it is loaded, unless it was given.

    Arguments:
        about: what else is to be kept, as JSON: the size of pictures, their names.
    """
    patterns = net.patterns.numpy()
    arrays = {
        "patterns": patterns.astype(np.int8) if net.units == "binary" else patterns,
        "threshold": net.threshold.numpy(),
    }
    if net.rule == "given":
        arrays["weights"] = net.weights.numpy()
    settings = {
        "rule": net.rule,
        "units": net.units,
        "gain": net.gain,
        "phi": net.phi,
        "self_connections": net.self_connections,
        "options": net.options,
        "tau": net.tau,
        "dtype": str(net.dtype).removeprefix("torch."),
    }
    write_arrays(Path(path), arrays, {"format": FORMAT, "settings": settings, "about": about or {}})


def load(path: str | Path) -> tuple[Hopfield, dict[str, Any]]:
    """The network of a file that `save` wrote, and what was kept with it.

    Raises:
        RunError: the file is missing, damaged, or something else.
    """
    other = f"{path} is not a Hopfield memory; make one with: unrolled hopfield store PICTURES... -o MEMORY"
    if not Path(path).exists():
        raise RunError(f"there is no file {path}")
    if Path(path).is_dir():
        raise RunError(f"{path} is a folder, expected a Hopfield memory file")
    try:
        content = read_about(Path(path))
    except RunError as error:  # another kind of file, or a memory that was cut short
        raise RunError(f"{other} ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(other)
    arrays, content = read_arrays(Path(path))
    try:
        return _network(arrays, dict(content["settings"])), dict(content["about"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: it does not hold a valid network ({error})") from error


def _network(arrays: Arrays, settings: dict[str, Any]) -> Hopfield:
    settings["dtype"] = getattr(torch, settings["dtype"])
    if settings["rule"] == "given":
        for name in ("rule", "self_connections", "options"):
            settings.pop(name)
        patterns = arrays["patterns"] if len(arrays["patterns"]) else None
        return Hopfield.from_weights(arrays["weights"], patterns, threshold=arrays["threshold"], **settings)
    return Hopfield(arrays["patterns"].astype(np.float64), threshold=arrays["threshold"], **settings)
