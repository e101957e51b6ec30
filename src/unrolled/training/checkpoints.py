"""Checkpoints: everything that training needs to go on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.errors import RunError
from unrolled.layers.state import nested_as, tensors
from unrolled.training.averaging import Average

Arrays = dict[str, np.ndarray]


def to_arrays(named: Mapping[str, Tensor]) -> Arrays:
    """Tensors as arrays for a file."""
    return {name: tensor.detach().numpy(force=True) for name, tensor in named.items()}


def load_weights(model: nn.Module, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Copy arrays into the model's parameters and buffers.

    Raises:
        RunError: names or shapes differ.
    """
    target = model.state_dict()
    if set(arrays) != set(target):
        odd = sorted(set(arrays) ^ set(target))
        raise RunError(f"{where}: its weights do not match this model; they differ in {', '.join(odd[:4])}")
    for name, tensor in target.items():
        if tuple(tensor.shape) != arrays[name].shape:
            raise RunError(f"{where}: {name} has shape {arrays[name].shape}, the model expects {tuple(tensor.shape)}")
        tensor.copy_(torch.from_numpy(arrays[name]))


def check_finite(model: nn.Module, where: str) -> None:
    """RunError where a weight is infinite or NaN, so that nothing the model says has a meaning."""
    for name, tensor in model.named_parameters():
        if not torch.isfinite(tensor).all():
            raise RunError(f"{where} is damaged: {name} has values that are not finite: train the model again")


def pack(model: nn.Module, average: Average, optimizer: torch.optim.Optimizer, state: Any) -> Arrays:
    """Weights, averaged weights, optimizer, hidden states and torch's random state, by name."""
    named: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
    named |= {f"average.{k}": v for k, v in enumerate(average.values)}
    for index, slots in optimizer.state_dict()["state"].items():
        named |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in slots.items() if v is not None}
    named |= {f"state.{k}": v for k, v in enumerate(tensors(state))}
    named["random.torch"] = torch.get_rng_state()
    return to_arrays(named)


def unpack(
    arrays: Arrays,
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    nested: Any,
    where: str,
) -> Any:
    """Put a checkpoint's arrays back in their places; the hidden states, or None if none were kept.

    Arguments:
        nested: how the states are nested; see `layers.state.nesting`.
        where: the file, for errors.

    Raises:
        RunError: an array is missing, or does not fit.
    """
    load_weights(model, _under(arrays, "model."), where)
    for k, value in enumerate(average.values):
        value.copy_(torch.from_numpy(_one(arrays, f"average.{k}", where)))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, array in _under(arrays, "optimizer.").items():
        index, key = name.split(".", 1)
        slots.setdefault(int(index), {})[key] = torch.from_numpy(array.copy())
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    torch.set_rng_state(torch.from_numpy(_one(arrays, "random.torch", where).copy()))
    device = next(model.parameters()).device
    count = len(_under(arrays, "state."))
    if not count:
        return None
    states = [torch.from_numpy(_one(arrays, f"state.{k}", where).copy()).to(device) for k in range(count)]
    try:
        return nested_as(nested, states)
    except (IndexError, TypeError) as error:
        raise RunError(f"{where} is damaged: its hidden states are not nested as it says") from error


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _one(arrays: Arrays, name: str, where: str) -> np.ndarray:
    if name not in arrays:
        raise RunError(f"{where}: {name} is missing")
    return arrays[name]
