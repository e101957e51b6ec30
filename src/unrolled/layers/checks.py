"""What a layer is given, checked: each error names the argument, what was expected and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.engine.graphs import recorded, values_are_known


def check_input(name: str, x: Any, input_size: int) -> None:
    """``x`` is a floating tensor (T, N, D) with at least one step; there may be no sequences."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: x must be a tensor (T, N, D), got {type(x).__name__}")
    if torch.jit.is_tracing():  # sizes are tensors, and whoever runs the trace checks them again
        return
    if x.dim() != 3 or x.shape[2] != input_size:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}, expected (T, N, D) with D = {input_size}")
    if not x.shape[0]:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}, expected at least one step")
    if not x.is_floating_point():
        raise ValueError(f"{name}: x has dtype {x.dtype}, expected a floating-point type")


def check_step(name: str, x: Any, input_size: int) -> None:
    """``x`` is a tensor (N, D): one step."""
    if not isinstance(x, Tensor) or x.dim() != 2 or x.shape[1] != input_size:
        came = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"type {type(x).__name__}"
        raise ValueError(f"{name}: x has {came}, expected one step (N, D) with D = {input_size}")


def check_weight(name: str, weight: Tensor | None, x: Tensor) -> None:
    """``x`` is where the weights are, and of their type unless autocast may change it."""
    if weight is None:
        return
    if weight.device != x.device:
        raise ValueError(f"{name}: x is on {x.device}, but the weights are on {weight.device}")
    lowered = x.dtype in (torch.bfloat16, torch.float16) and torch.is_autocast_enabled(x.device.type)
    if weight.dtype != x.dtype and not lowered:
        raise ValueError(f"{name}: x has dtype {x.dtype}, but the weights have {weight.dtype}")


def check_lengths(name: str, lengths: Any, T: int, N: int, device: torch.device) -> Tensor | None:
    """Lengths as an integer tensor (N,) between 0 and T, on ``device``."""
    if lengths is None:
        return None
    lengths = as_tensor(name, "lengths", lengths, device)
    if not torch.jit.is_tracing() and not lengths.numel():
        lengths = lengths.long()  # an empty list has no type
    whole = not (lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool)
    if not torch.jit.is_tracing() and (lengths.shape != (N,) or not whole):
        raise ValueError(
            f"{name}: lengths has shape {tuple(lengths.shape)} and dtype {lengths.dtype}, "
            f"expected (N,) = ({N},) integers"
        )
    lengths = lengths.long()  # before it is compared, since T may not fit a smaller type
    fit = ((lengths >= 0) & (lengths <= T)).all()
    if torch.jit.is_tracing():  # an index that must be in range, since traces lose assertions
        return torch.arange(T + 1, device=device).gather(0, lengths)
    if recorded():  # what a graph will hold is not known when it is made
        torch._assert_async(fit, f"{name}: lengths must lie between 0 and T = {T}")
    elif not bool(_under_vmap(fit).all()):
        raise ValueError(f"{name}: lengths must lie between 0 and T = {T}, got {lengths.tolist()}")
    return lengths


def as_lengths(name: str, lengths: Any) -> Tensor:
    """Lengths as an integer tensor (N,), whatever the sequences that they belong to."""
    lengths = as_tensor(
        name, "lengths", lengths, lengths.device if isinstance(lengths, Tensor) else torch.device("cpu")
    )
    if not torch.jit.is_tracing() and (
        lengths.dim() != 1 or lengths.dtype == torch.bool or lengths.is_floating_point() or lengths.is_complex()
    ):
        raise ValueError(
            f"{name}: lengths has shape {tuple(lengths.shape)} and dtype {lengths.dtype}, expected (N,) integers"
        )
    return lengths.long()


def inside(T: int, lengths: Tensor) -> Tensor:
    """Which steps (T, N) lie within the lengths (N,)."""
    return torch.arange(T, device=lengths.device)[:, None] < lengths


def ended(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T, N, D) with zeros from each sequence's end on, whatever stands there."""
    if lengths is None:
        return x
    T = x.shape[0]
    common = int(lengths.min()) if values_are_known() and lengths.numel() else 0  # steps of all sequences
    if common and common == T:
        return x
    first, rest = x.split([common, T - common])
    rest = torch.where(inside(T, lengths)[common:, :, None], rest, 0)
    return torch.cat([first, rest]) if common else rest


def _under_vmap(t: Tensor) -> Tensor:
    """All values of a tensor that vmap shows one at a time."""
    while torch._C._functorch.is_batchedtensor(t):
        t = torch._C._functorch.get_unwrapped(t)
    return t


def check_resets(name: str, resets: Any, x: Tensor, layout: str = "(T, N)") -> Tensor | None:
    """Resets as a bool tensor of the shape of ``x`` without its width, on the device of ``x``."""
    if resets is None:
        return None
    resets = as_tensor(name, "resets", resets, x.device)
    if not torch.jit.is_tracing() and (resets.shape != x.shape[:-1] or resets.dtype != torch.bool):
        raise ValueError(
            f"{name}: resets has shape {tuple(resets.shape)} and dtype {resets.dtype}, "
            f"expected {layout} = {tuple(x.shape[:-1])} bool"
        )
    return resets


def as_tensor(name: str, label: str, value: Any, device: torch.device) -> Tensor:
    """What was given as a tensor, a numpy array or (nested) lists, as a tensor on ``device``.

    Raises:
        ValueError: it is none of these, or on the meta device, which holds no numbers.
    """
    if isinstance(value, Tensor) and value.is_meta and device.type != "meta":
        raise ValueError(f"{name}: {label} is on the meta device, which holds no numbers, but x is on {device}")
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value).reshape(value.shape)  # it may be turned round, which torch does not take
    try:
        return torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name}: {label} must be a tensor, a numpy array or a list of numbers, got {shown(value)}"
        ) from error


def shown(value: Any) -> str:
    """What a value is, in short: a tuple by its entries.

    >>> shown((None, (torch.zeros(2), 3)))
    '(None, (Tensor, int))'
    """
    if isinstance(value, tuple | list) and len(value) <= 8:
        return f"({', '.join(map(shown, value))}{',' * (len(value) == 1)})"
    return "None" if value is None else type(value).__name__


def check_state(name: str, state: Any, cell: Cell, x: Tensor) -> tuple[Tensor, ...]:
    """The states of one layer and direction: a tuple, one (N, width) tensor a state."""
    shapes = cell.state_shapes()
    entries = list(state) if isinstance(state, tuple | list) else []
    if len(entries) != len(shapes) or not all(isinstance(s, Tensor) for s in entries):
        wanted = ", ".join(shapes) + ("," if len(shapes) == 1 else "")
        raise ValueError(
            f"{name}: state must be a tuple ({wanted}) of tensors, got {shown(state)}. Pass None for a fresh start."
        )
    for (label, shape), tensor in zip(shapes.items(), entries, strict=True):
        expected = (x.shape[1], *shape)
        if not torch.jit.is_tracing() and tuple(tensor.shape) != expected:
            raise ValueError(
                f"{name}: state {label} has shape {tuple(tensor.shape)}, expected (N, width) = {expected}"
            )
        if tensor.dtype != x.dtype:
            raise ValueError(f"{name}: state {label} has dtype {tensor.dtype}, but x has {x.dtype}")
        if tensor.device != x.device:
            raise ValueError(f"{name}: state {label} is on {tensor.device}, but x is on {x.device}")
    return tuple(entries)


def check_constants(name: str, constants: tuple, cell: Cell, x: Tensor) -> None:
    """Each constant is a tensor (N, ...) on the device of ``x``, and of its type where it has a fraction."""
    for label, constant in zip(cell.constants, constants, strict=True):
        if not isinstance(constant, Tensor):
            raise ValueError(f"{name}: constant {label} must be a tensor (N, ...), got {type(constant).__name__}")
        if not constant.dim() or constant.shape[0] != x.shape[1]:
            raise ValueError(
                f"{name}: constant {label} has shape {tuple(constant.shape)}, expected (N, ...) with N = {x.shape[1]}"
            )
        if (
            constant.is_floating_point()
            and constant.dtype != x.dtype
            and not torch.is_autocast_enabled(x.device.type)
        ):
            raise ValueError(f"{name}: constant {label} has dtype {constant.dtype}, but x has {x.dtype}")
        if constant.device != x.device:
            raise ValueError(f"{name}: constant {label} is on {constant.device}, but x is on {x.device}")
