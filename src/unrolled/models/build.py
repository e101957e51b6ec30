"""The one place where models are built: cells, their wrappers, layers and first weights, for every task."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from unrolled.cells.cell import Cell
from unrolled.cells.initial import chrono_, forget_bias_, recurrent_
from unrolled.cells.wrappers import VariationalDropout, WeightDrop, Wrapper, Zoneout
from unrolled.errors import UsageError
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.layer import Layer
from unrolled.layers.norm import LayerNorm
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack
from unrolled.models.options import ModelOptions
from unrolled.options import flag

_WRAPPERS: tuple[tuple[str, Callable[[Cell, float], Cell]], ...] = (
    ("weight_drop", WeightDrop),
    ("variational_dropout", VariationalDropout),
    ("zoneout", Zoneout),
)
_BYTES = 4 * 5
"""Of each parameter: its value, its average and its gradient, and the two moments of the optimizer."""


def build_stack(
    cell: Callable[[int, int], Cell], input_size: int, options: ModelOptions, for_use: bool = False
) -> Stack:
    """The recurrent layers that the options describe; of alternating ones the last reads forward.

    Arguments:
        cell: the class, or a function that makes one of an input and a hidden width.
        for_use: the stack is for trained weights. A cell without its equation, which cannot be told what to drop,
            is wrapped so that its weights have the same names.

    Raises:
        UsageError: the cell has nothing that a setting could drop.
    """
    assert options.hidden is not None and options.layers is not None and options.dropout is not None
    layers: list[Layer] = []
    for k in range(options.layers, 0, -1):
        if options.layer_norm:
            layers.append(LayerNorm(input_size))
        cells = [
            _wrapped(cell(input_size, options.hidden), options, for_use)
            for _ in range(2 if options.direction == "both" else 1)
        ]
        backward = options.direction == "alternating" and k % 2 == 0
        layers.append(Bidirectional(cells[0], cells[1]) if len(cells) == 2 else Recurrent(cells[0], reverse=backward))
        input_size = len(cells) * options.hidden
    return Stack(layers, dropout=options.dropout)


def _wrapped(cell: Cell, options: ModelOptions, for_use: bool) -> Cell:
    for name, wrapper in _WRAPPERS:
        if rate := getattr(options, name):
            try:
                cell = wrapper(cell, rate)
            except ValueError as error:
                if not for_use:
                    raise UsageError(f"{flag(name)}: {error}") from error
                cell = Wrapper(cell)
    return cell


def cells_of(model: nn.Module) -> list[Cell]:
    """The cells of all layers and directions, without their wrappers."""
    recurrent = (layer for layer in model.modules() if isinstance(layer, Recurrent))
    return [getattr(layer.cell, "innermost", layer.cell) for layer in recurrent]


def set_first_weights(model: nn.Module, options: ModelOptions) -> None:
    """The first weights of every layer, as far as the settings name any.

    Raises:
        UsageError: the cell has nothing that the setting could set.
    """
    wanted: tuple[tuple[str, Callable[[Cell, Any], Cell], Any], ...] = (
        ("recurrent_init", recurrent_, options.recurrent_init if options.recurrent_init != "orthogonal" else None),
        ("forget_bias", forget_bias_, options.forget_bias),
        ("chrono", chrono_, options.chrono),
    )
    for name, set_, value in wanted:
        if value is None:
            continue
        for cell in cells_of(model):
            try:
                set_(cell, value)
            except ValueError as error:
                raise UsageError(f"{flag(name)}: {error}") from error


def check_memory(build: Callable[[int], nn.Module], layers: int) -> None:
    """See that a model could be trained in this machine's memory, before any is taken for it.

    Arguments:
        build: the model with so many layers.
        layers: how many it is to have.

    Raises:
        UsageError: it could not.
    """
    sizes = []
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            for count in (1, 2):
                sizes.append(sum(p.numel() for p in build(count).parameters()))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except Exception:  # a cell that needs numbers when it is made, or a system that does not say: trying shows
        return
    parameters = sizes[0] + (layers - 1) * (sizes[1] - sizes[0])
    needed = _BYTES * parameters
    if needed > memory:
        raise UsageError(
            f"the model would have {parameters:,} parameters and need {needed / 2**30:,.0f} GiB to train; this "
            f"machine has {memory / 2**30:,.0f} GiB: choose a smaller --hidden" + (" or --layers" * (layers > 1))
        )
