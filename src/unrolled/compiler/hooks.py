"""Hooks on a cell's modules: who has one, and the weights that some of them compute."""

from __future__ import annotations

from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from unrolled.cells.cell import Cell

_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_WEIGHTS = (SpectralNorm, WeightNorm, BasePruningMethod)


def tables(module: nn.Module) -> tuple[dict, ...]:
    """The hooks that a call of ``module`` runs."""
    return tuple(module.__dict__[name] for name in _TABLES)


def shared_tables() -> tuple[dict, ...]:
    """The hooks that a call of any module runs."""
    return tuple(
        getattr(torch_module, f"_global{name}") for name in _TABLES if hasattr(torch_module, f"_global{name}")
    )


def any_hook(cell: Cell) -> str:
    """A hook that a step runs, and its module; empty if there is none. The loop calls ``step``, not the cell."""
    for path, module in cell.named_modules():
        hooks = [hook for table in tables(module) for hook in table.values()] if module is not cell else []
        if hooks:
            return f"{path} has a hook, {getattr(hooks[0], '__qualname__', type(hooks[0]).__qualname__)}"
    return "torch has a global module hook" if any(shared_tables()) else ""


def compute_weights(cell: Cell) -> None:
    """Run the hooks that compute weights of cells themselves, as a call of the cell would.

    Those of the modules inside run when ``step`` calls these.
    """
    for module in cell.modules():
        if isinstance(module, Cell):
            for hook in module._forward_pre_hooks.values():
                if isinstance(hook, _WEIGHTS):
                    hook(module, ())
