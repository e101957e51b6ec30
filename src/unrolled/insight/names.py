"""Names of states and gates: ``"1.h"`` is h of the first layer, ``"2 backward.c"`` is c of the second, in reverse."""

from __future__ import annotations


def layer_of(name: str) -> str:
    """The layer, and its direction if it has two.

    >>> layer_of("1.h"), layer_of("2 backward.c")
    ('1', '2 backward')
    """
    return name.rpartition(".")[0]


def own_name(name: str) -> str:
    """What the equation calls it.

    >>> own_name("2 backward.c")
    'c'
    """
    return name.rpartition(".")[2]


def label_of(name: str, unit: int | None = None) -> str:
    """How a person reads it; ``unit`` counts from 0.

    >>> label_of("2.c"), label_of("1 backward.h", 7)
    ('c, layer 2', 'h[7], layer 1 backward')
    """
    return f"{own_name(name)}{'' if unit is None else f'[{unit}]'}, layer {layer_of(name)}"
