"""What a layer is given, checked: each error names the argument, what was expected and what came."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells.cell import Cell


def check_input(name: str, x: Any, input_size: int) -> None:
    """``x`` is a floating tensor (T, N, D) with at least one step and one sequence."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: x must be a tensor (T, N, D), got {type(x).__name__}")
    if x.dim() != 3 or x.shape[2] != input_size:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}, expected (T, N, D) with D = {input_size}")
    if not x.shape[0] or not x.shape[1]:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}: no steps or no sequences")
    if not x.is_floating_point():
        raise ValueError(f"{name}: x has dtype {x.dtype}, expected a floating type")


def check_lengths(name: str, lengths: Any, x: Tensor) -> Tensor | None:
    """Lengths as an integer tensor (N,) between 0 and T, on the device of ``x``."""
    if lengths is None:
        return None
    T, N, _ = x.shape
    if isinstance(lengths, Tensor) and lengths.is_meta and not x.is_meta:
        raise ValueError(f"{name}: lengths is on the meta device, which holds no numbers; x is on {x.device}")
    lengths = torch.as_tensor(lengths, device=x.device)
    if lengths.shape != (N,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(
            f"{name}: lengths has shape {tuple(lengths.shape)} and dtype {lengths.dtype}, "
            f"expected (N,) = ({N},) whole numbers"
        )
    fit = ((lengths >= 0) & (lengths <= T)).all()
    if torch.compiler.is_compiling():  # what a graph holds is not known when it is made
        torch._assert_async(fit, f"{name}: lengths must lie between 0 and T = {T}")
    elif not bool(fit):
        raise ValueError(f"{name}: lengths must lie between 0 and T = {T}, got {lengths.tolist()}")
    return lengths.long()


def check_resets(name: str, resets: Any, x: Tensor) -> Tensor | None:
    """Resets as a bool tensor (T, N), on the device of ``x``."""
    if resets is None:
        return None
    if isinstance(resets, Tensor) and resets.is_meta and not x.is_meta:
        raise ValueError(f"{name}: resets is on the meta device, which holds no numbers; x is on {x.device}")
    resets = torch.as_tensor(resets, device=x.device)
    if resets.shape != x.shape[:2] or resets.dtype != torch.bool:
        raise ValueError(
            f"{name}: resets has shape {tuple(resets.shape)} and dtype {resets.dtype}, "
            f"expected (T, N) = {tuple(x.shape[:2])} bool"
        )
    return resets


def check_state(name: str, state: Any, cell: Cell, x: Tensor) -> tuple[Tensor, ...]:
    """The states of one layer and direction: a tuple, one (N, width) tensor a state."""
    shapes = cell.state_shapes()
    if not isinstance(state, tuple | list) or len(state) != len(shapes):
        got = f"{len(state)} entries" if isinstance(state, tuple | list) else type(state).__name__
        raise ValueError(
            f"{name}: state must be a tuple ({', '.join(shapes)},), got {got}. Pass None for a fresh start."
        )
    for (label, shape), tensor in zip(shapes.items(), state, strict=True):
        expected = (x.shape[1], *shape)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != expected:
            came = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{name}: state {label} has shape {came}, expected (N, width) = {expected}")
        if tensor.dtype != x.dtype:
            raise ValueError(f"{name}: state {label} has dtype {tensor.dtype}, x has {x.dtype}")
        if tensor.device != x.device:
            raise ValueError(f"{name}: state {label} is on {tensor.device}, x is on {x.device}")
    return tuple(state)


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
            raise ValueError(f"{name}: constant {label} has dtype {constant.dtype}, x has {x.dtype}")
        if constant.device != x.device:
            raise ValueError(f"{name}: constant {label} is on {constant.device}, x is on {x.device}")
