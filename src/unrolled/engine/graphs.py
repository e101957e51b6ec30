"""Graphs: whether torch writes down what happens, to do it again with other values."""

from __future__ import annotations

import torch


def values_are_known() -> bool:
    """Whether Python may ask for a number in a tensor: no graph is made, and no transformation is at work."""
    return not recorded() and not torch._C._are_functorch_transforms_active()


def recorded() -> bool:
    """Whether a graph is made of this call: then nothing may depend on the values in a tensor."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._len_torch_dispatch_stack() > 0
