"""What constructors are given, checked: each error names the argument, what was expected and what came."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any


def whole(owner: str, name: str, value: Any, least: int = 1) -> int:
    """A whole number from ``least``, of Python's, numpy's or another library's type; True and 2.0 are none.

    Raises:
        ValueError: another value.

    >>> whole("LSTM", "hidden_size", np.int64(3))
    3
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{owner}: {name} must be a whole number from {least}, got {value!r}")
    return number


def share(owner: str, name: str, value: Any) -> float:
    """A number in [0, 1): a rate of dropout, for example.

    Raises:
        ValueError: another value.

    >>> share("Stack", "dropout", 0.5)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ValueError(f"{owner}: {name} must lie in [0, 1), got {value!r}")
    return float(value)


def kind(value: Any) -> str:
    """What a value is, for the end of an error: the name of its type, or that it is a class itself.

    >>> kind(3), kind(unrolled.GRUCell)
    ('int', 'the class GRUCell rather than an instance')
    """
    return f"the class {value.__name__} rather than an instance" if isinstance(value, type) else type(value).__name__
