"""Constants: inputs that stay the same for a whole sequence, in order or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.layers.checks import check_constants, shown

Constants = Any
"""For a cell: a tuple in the order of its ``constants``, or a dictionary by name. For a stack: see `per_layer`."""


def of_cell(name: str, constants: Constants, cell: Cell, x: Tensor) -> tuple[Tensor, ...]:
    """All constants of a cell in its order: those passed, and those that it draws.

    Raises:
        ValueError: too few, too many, or of another shape or type.
    """
    names = cell.constants
    if isinstance(constants, Mapping):
        check_names(name, constants, names)
        if missing := [label for label in names if label not in constants]:
            drawn = cell.draw_constants(x.shape[-2], x)
            constants = dict(zip(names[len(names) - len(drawn) :], drawn, strict=True)) | dict(constants)
            missing = [label for label in missing if label not in constants]
        if missing:
            raise ValueError(f"{name}: constants must have {', '.join(names)}, got none for {', '.join(missing)}")
        every = tuple(constants[label] for label in names)
    elif isinstance(constants, tuple | list):
        every = cell.all_constants(tuple(constants), x)
    else:
        raise ValueError(
            f"{name}: constants must be a tuple of tensors or a dictionary by name, got {shown(constants)}"
        )
    if len(every) != len(names):
        wanted = ", ".join(names) or "none"
        raise ValueError(f"{name}: got {len(constants)} constants, but the cell has: {wanted}")
    check_constants(name, every, cell, x)
    return every


def check_names(name: str, constants: Mapping, names: Iterable[str]) -> None:
    """ValueError if some of the constants are nobody's."""
    if unknown := [label for label in constants if label not in names]:
        wanted = ", ".join(names) or "none"
        raise ValueError(f"{name}: constants has {', '.join(map(repr, unknown))}, but the layers have: {wanted}")


def own(constants: Constants, names: Sequence[str]) -> Constants:
    """Of constants by name, those that a layer with these names takes; others as they are."""
    if not isinstance(constants, Mapping):
        return constants
    return {label: constants[label] for label in names if label in constants}


def joined(layers: Iterable[Any]) -> tuple[str, ...]:
    """The names of the constants of several layers, each once."""
    return tuple(dict.fromkeys(label for layer in layers for label in layer.constants))


def per_layer(name: str, constants: Constants, layers: Sequence[Any]) -> list[Constants]:
    """What each layer of a stack is passed.

    Arguments:
        constants: a dictionary by name, each for every layer that has a constant of this name; or one entry per
            layer, each as the layer takes it; or an empty tuple.

    Raises:
        ValueError: it is neither, or a name is no layer's.
    """
    if isinstance(constants, Mapping):
        check_names(name, constants, joined(layers))
        return [own(constants, layer.constants) for layer in layers]
    if not isinstance(constants, tuple | list) or len(constants) not in (0, len(layers)):
        raise ValueError(
            f"{name}: constants must be a dictionary by name, or have one entry per layer ({len(layers)}), "
            f"got {shown(constants)}"
        )
    if not constants:
        return [()] * len(layers)
    for k, (layer, entry) in enumerate(zip(layers, constants, strict=True)):
        if not isinstance(entry, tuple | list | Mapping) or (entry and not layer.constants):
            wanted = f"a tuple or a dictionary of {', '.join(layer.constants)}" if layer.constants else "()"
            raise ValueError(f"{name}: constants of layer {k} must be {wanted}, got {shown(entry)}")
    return list(constants)


def rows_of(constants: Constants, rows: Tensor) -> Constants:
    """The constants of some sequences of the batch, in the order of ``rows``, nested as before."""
    if isinstance(constants, Tensor):
        return constants.index_select(0, rows)
    if isinstance(constants, Mapping):
        return {label: rows_of(constant, rows) for label, constant in constants.items()}
    return tuple(rows_of(constant, rows) for constant in constants)
