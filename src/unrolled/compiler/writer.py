"""What the handlers of ATen operations write a program with."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from unrolled.compiler.program import View


class Writer(Protocol):
    """A program in the making. Values are known by their names.

    Fields:
        batch: N, as the equation sees it while it is traced.
    """

    batch: int

    def emit(self, kind: str, *args: Any, width: int | None = None, view: View | None = None, start: int = 0) -> str:
        """One operation; its value's name."""
        ...

    def width(self, value: str) -> int:
        """The columns of a value."""
        ...

    def operand(self, a: Any, width: int) -> str | float:
        """An argument of an element-wise operation: a number, a value, or part of a parameter as a row."""
        ...

    def matrix(self, a: Tensor) -> View:
        """A parameter's part as the matrix of a linear map."""
        ...

    def widened(self, tensor: Tensor) -> str:
        """A tensor as a value, also where it is a number or a parameter for all sequences."""
        ...
