"""To and from torch.nn: the same function, its weights in the other's layout."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unrolled.cells import GRUCell
from unrolled.cells.arguments import kind
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.standard import GRU, LSTM, Elman
from unrolled.layers.torch_kernels import torch_weights


def from_torch(module: nn.RNNBase) -> LSTM | GRU | Elman:
    """The layer that computes what a ``torch.nn.LSTM``, ``GRU`` or ``RNN`` computes.

    torch.nn adds two biases; ours has one, their sum, so values agree to rounding.

    Arguments:
        module: the torch module; it is left as it is.

    Raises:
        ValueError: the module has a projection (``proj_size``), or is no such module.

    >>> layer = from_torch(torch.nn.GRU(4, 3, num_layers=2))
    >>> layer.reset, layer.num_layers
    ('after', 2)
    """
    options: dict[str, Any] = (
        {
            "num_layers": module.num_layers,
            "bias": module.bias,
            "batch_first": module.batch_first,
            "dropout": module.dropout,
            "bidirectional": module.bidirectional,
            "device": module.weight_ih_l0.device,
            "dtype": module.weight_ih_l0.dtype,
        }
        if isinstance(module, nn.RNNBase)
        else {}
    )
    layer: LSTM | GRU | Elman
    if isinstance(module, nn.LSTM):
        if module.proj_size:
            raise ValueError(f"from_torch: proj_size = {module.proj_size} is not supported; it must be 0")
        layer = LSTM(module.input_size, module.hidden_size, **options)
    elif isinstance(module, nn.GRU):
        layer = GRU(module.input_size, module.hidden_size, reset="after", **options)
    elif isinstance(module, nn.RNN):
        layer = Elman(module.input_size, module.hidden_size, nonlinearity=module.nonlinearity, **options)
    else:
        raise ValueError(f"from_torch: expected a torch.nn.LSTM, GRU or RNN, got {kind(module)}")
    for cell, suffix in _cells(layer):
        _load(cell, module, suffix)
    return layer.train(module.training)


def to_torch(layer: LSTM | GRU | Elman) -> nn.RNNBase:
    """The ``torch.nn`` module that computes what ``layer`` computes.

    Raises:
        ValueError: torch.nn has no such function: a GRU with ``reset="before"``, a layer with zoneout,
            variational dropout or weight drop, or another layer.

    >>> to_torch(LSTM(4, 3))
    LSTM(4, 3)
    """
    if not isinstance(layer, LSTM | GRU | Elman):
        raise ValueError(f"to_torch: expected an unrolled LSTM, GRU or Elman, got {kind(layer)}")
    if isinstance(layer, GRU) and layer.reset != "after":
        raise ValueError(
            "to_torch: torch.nn.GRU resets after the recurrent matrix, this GRU before it, so the "
            "results would change. Create it with GRU(..., reset='after')."
        )
    for name in ("zoneout", "variational_dropout", "weight_drop"):
        if rate := getattr(layer, name):
            raise ValueError(
                f"to_torch: this {type(layer).__name__} has {name}={rate}, which torch.nn does not support. To "
                f"convert the weights alone, load the state of each cell into a layer without {name}."
            )
    weight = next(layer.parameters())
    options: dict[str, Any] = {
        "num_layers": layer.num_layers,
        "bias": layer.bias,
        "batch_first": layer.batch_first,
        "dropout": layer.dropout,
        "bidirectional": layer.bidirectional,
        "device": weight.device,
        "dtype": weight.dtype,
    }
    module: nn.RNNBase
    if isinstance(layer, Elman):
        module = nn.RNN(layer.input_size, layer.hidden_size, nonlinearity=layer.nonlinearity, **options)
    else:
        torch_class = nn.LSTM if isinstance(layer, LSTM) else nn.GRU
        module = torch_class(layer.input_size, layer.hidden_size, **options)
    for cell, suffix in _cells(layer):
        _store(cell, module, suffix)
    return module.train(layer.training)


def _cells(layer: LSTM | GRU | Elman) -> list[tuple[Any, str]]:
    """Each cell with the suffix that torch.nn gives its weights."""
    cells: list[tuple[Any, str]] = []
    for k, part in enumerate(layer.stack.layers):
        if isinstance(part, Bidirectional):
            cells += [(part.forward_layer.cell, f"l{k}"), (part.backward_layer.cell, f"l{k}_reverse")]
        else:
            cells.append((part.cell, f"l{k}"))
    return cells


def _load(cell: Any, module: nn.RNNBase, suffix: str) -> None:
    """Copy the weights of one layer and direction of a torch.nn module into ``cell``."""
    with torch.no_grad():
        cell.x.weight.copy_(getattr(module, f"weight_ih_{suffix}"))
        cell.h.weight.copy_(getattr(module, f"weight_hh_{suffix}"))
        if cell.x.bias is None:
            return
        first, second = getattr(module, f"bias_ih_{suffix}"), getattr(module, f"bias_hh_{suffix}")
        cell.x.bias.copy_(first + second)
        if isinstance(cell, GRUCell) and cell.d_n is not None:
            n = cell.x.rows("n")
            cell.x.bias[n] = first[n]
            cell.d_n.copy_(second[n])


def _store(cell: Any, module: nn.RNNBase, suffix: str) -> None:
    """Copy the weights of ``cell`` into one layer and direction of a torch.nn module."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    with torch.no_grad():
        for name, weight in zip(names, torch_weights(cell), strict=False):
            getattr(module, f"{name}_{suffix}").copy_(weight)
