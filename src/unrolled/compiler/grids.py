"""Grids: tensors (N, K, A) of an equation as K pieces (N, A), since a value of a program is (N, width).

Whatever an equation does to a grid becomes the same to its pieces: what is element-wise to each of them, a sum over K
to a chain of additions, a matrix product with weights to K linear maps. So a grid that is constant leaves the time
loop in pieces, and the engine needs no third dimension. The program grows with K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unrolled.compiler import shapes

MOST_PIECES = 512
"""Larger grids would make programs that take minutes to compile."""

_aten = torch.ops.aten
_ELEMENTWISE = frozenset(
    {"neg", "mul", "sigmoid", "tanh", "relu", "exp", "expm1", "log", "log1p", "square", "sqrt", "abs", "minimum"}
    | {"maximum", "gt", "ge", "lt", "le", "eq", "ne", "where", "add", "sub", "rsub", "div", "reciprocal", "rsqrt"}
    | {"silu", "pow", "softplus", "clamp", "clamp_min", "clamp_max", "hardtanh", "leaky_relu", "elu", "celu"}
    | {"addcmul", "lerp", "masked_fill", "hardsigmoid", "clone", "_to_copy"}
)
_SHAPING = frozenset({"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "alias", "contiguous"})


@dataclass
class Grid:
    """The pieces of a tensor (N, K, A), or of the same rows one below another, (N*K, A).

    Fields:
        pieces: K of (N, A); or, if ``turned``, A of (N, K), so that (N, A, 1) need not be cut into columns.
        flat: whether the tensor is (N*K, A).
    """

    pieces: list[Tensor]
    turned: bool = False
    flat: bool = False


@dataclass
class Grids:
    """The grids of one recording.

    Fields:
        batch: N.
        do: records an operation on tensors (N, width), and returns what it makes.
        is_value: whether a tensor depends on the sequence, rather than on parameters alone.
    """

    batch: int
    do: Callable[..., Any]
    is_value: Callable[[Tensor], bool]
    _known: dict[int, Grid] = field(default_factory=dict)
    _kept: list[Tensor] = field(default_factory=list)

    def cut(self, value: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A constant of shape (N, K*A) as the grid (N, K, A) of ``shape``, which is without the N."""
        return self._bound((self.batch, *shape), self._split(value, *shape), value.dtype)

    def takes(self, func: Any, args: Any, tensors: list[Tensor]) -> bool:
        """Whether the operation reads or makes a grid."""
        if any(id(t) in self._known for t in tensors):
            return True
        name, values = func.overloadpacket.__name__, [t for t in tensors if self.is_value(t)]
        if not values or name not in _SHAPING or values[0].dim() != 2:
            return False
        return func(*args).dim() == 3

    def record(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """What the operation makes.

        Raises:
            NotImplementedError: it is none of those that are known for grids.
        """
        name = func.overloadpacket.__name__
        if name in _ELEMENTWISE:
            return self._elementwise(func, args, kwargs)
        if name in _SHAPING or name == "expand":
            return self._shaped(func, args)
        handler = getattr(self, f"_on_{name}", None)
        if handler is None:
            raise NotImplementedError(f"the engine does not support {name} of a tensor (N, K, width)")
        made: Tensor = handler(*args, **kwargs)
        return made

    # Each operation

    def _elementwise(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        tensors = shapes.tensors_of(args, kwargs)
        shape = shapes.broadcast(*(t.shape for t in tensors))
        grids = [self._known[id(t)] for t in tensors if id(t) in self._known]
        each = {id(t): self._pieces(self._known[id(t)]) for t in tensors if id(t) in self._known}
        if len({grid.flat for grid in grids}) > 1 or any(self._is_mixed(t) for t in tensors):
            raise NotImplementedError("step combines (N, width) with (N, K, width), which torch aligns by the batch")
        if not grids[0].flat and shape[0] != self.batch:
            raise NotImplementedError("step computes across the sequences of the batch")
        count = max(map(len, each.values())) if grids[0].flat else shape[1]

        def of(a: Any, k: int) -> Any:
            if not isinstance(a, Tensor):
                return a
            if id(a) in each:
                return each[id(a)][k if len(each[id(a)]) > 1 else 0]
            while a.dim() > 1:  # a parameter's row for this piece
                wide = a.dim() == 2 and a.shape[0] > 1
                a = self.do(_aten.select.int, (a, 0, k if wide else 0), {})
            return a

        pieces = [
            self.do(func, tuple(of(a, k) for a in args), {key: of(a, k) for key, a in kwargs.items()})
            for k in range(count)
        ]
        return self._bound(shape, Grid(pieces, flat=grids[0].flat), pieces[0].dtype)

    def _is_mixed(self, a: Tensor) -> bool:
        return id(a) not in self._known and a.dim() > 0 and self.is_value(a)

    def _shaped(self, func: Any, args: Any) -> Tensor:
        """Another shape of the same numbers, or a repetition."""
        a, made = args[0], tuple(func(*args).shape)
        if func.overloadpacket is _aten.expand:
            return self._expanded(a, made)
        grid = self._known.get(id(a))
        if made == tuple(a.shape) and grid is not None:
            return self._bound(made, grid, a.dtype)
        if grid is not None and grid.flat:
            if made != (self.batch, len(grid.pieces), a.shape[1]):
                raise NotImplementedError("step changes the shape of a tensor (N, K, width) across its sequences")
            return self._bound(made, Grid(grid.pieces), a.dtype)
        if grid is not None and made[0] != self.batch and made == (a.shape[0] * a.shape[1], a.shape[2]):
            return self._bound(made, Grid(self._pieces(grid), flat=True), a.dtype)
        if made[0] != self.batch or len(made) not in (2, 3):
            raise NotImplementedError(f"step makes a tensor of shape {shapes.named(made, self.batch)}")
        whole = a if grid is None else self._joined(grid)
        if len(made) == 2:
            return whole
        return self._bound(made, self._split(whole, *made[1:]), a.dtype)

    def _expanded(self, a: Tensor, shape: tuple[int, ...]) -> Tensor:
        grid = self._known[id(a)]
        if len(shape) != 3 or shape[0] != self.batch or grid.flat:
            raise NotImplementedError(f"step expands a tensor to {shapes.named(shape, self.batch)}")
        if shape == tuple(a.shape):
            return self._bound(shape, grid, a.dtype)
        pieces = self._pieces(grid) * (shape[1] if a.shape[1] == 1 else 1)
        if shape[2] != a.shape[2]:
            pieces = [self.do(_aten.expand.default, (p, [self.batch, shape[2]]), {}) for p in pieces]
        return self._bound(shape, Grid(pieces), a.dtype)

    def _on_transpose(self, a: Tensor, first: int, second: int) -> Tensor:
        if {first % 3, second % 3} != {1, 2} or a.dim() != 3:
            raise NotImplementedError("step exchanges the sequences of the batch for something else")
        grid = self._known[id(a)]
        return self._bound((a.shape[0], a.shape[2], a.shape[1]), Grid(grid.pieces, not grid.turned), a.dtype)

    def _on_permute(self, a: Tensor, dims: list[int]) -> Tensor:
        order = [d % 3 for d in dims] if len(dims) == 3 else []
        if order == [0, 1, 2]:
            return self._bound(tuple(a.shape), self._known[id(a)], a.dtype)
        if order != [0, 2, 1]:
            raise NotImplementedError("step exchanges the sequences of the batch for something else")
        return self._on_transpose(a, 1, 2)

    def _on_select(self, a: Tensor, dim: int, index: int) -> Tensor:
        pieces = self._along(a, dim)
        return pieces[index % len(pieces)]

    def _on_slice(self, a: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
        made = tuple(_aten.slice.Tensor(a, dim, start, end, step).shape)
        if made == tuple(a.shape):
            return self._bound(made, self._known[id(a)], a.dtype)
        pieces = self._along(a, dim)[slice(start, end, step)]
        return self._bound(made, Grid(pieces, turned=dim % 3 == 2), a.dtype)

    def _on_cat(self, parts: list[Tensor], dim: int = 0) -> Tensor:
        if not all(id(part) in self._known for part in parts):
            raise NotImplementedError("step concatenates (N, K, width) with something else")
        pieces = [p for part in parts for p in self._along(part, dim)]
        made = list(parts[0].shape)
        made[dim % 3] = len(pieces)
        return self._bound(tuple(made), Grid(pieces, turned=dim % 3 == 2), parts[0].dtype)

    def _on_sum(self, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> Tensor:
        wanted = {d % 3 for d in ([dims] if isinstance(dims, int) else dims or range(3))}
        grid = self._known[id(a)]
        if 0 in wanted or grid.flat or kwargs.get("dtype") not in (None, a.dtype):
            raise NotImplementedError("step sums across the sequences of the batch, or in another type")
        if wanted == {1, 2}:
            made = self.do(_aten.sum.dim_IntList, (self._total(self._along(a, 1)), [1], True), {})
            return self._bound((self.batch, 1, 1), Grid([made]), a.dtype) if keepdim else self._alone(made)
        over_k = wanted == {1}
        if grid.turned == over_k:  # over the width of the pieces
            sums = [self.do(_aten.sum.dim_IntList, (p, [1], True), {}) for p in grid.pieces]
            made = self._cat(sums)
        else:
            made = self._total(grid.pieces)
        if not keepdim:
            return made
        shape = (self.batch, 1, a.shape[2]) if over_k else (self.batch, a.shape[1], 1)
        return self._bound(shape, Grid([made], turned=not over_k), a.dtype)

    def _on_mean(self, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> Tensor:
        made = self._on_sum(a, dims, keepdim, **kwargs)
        count = a.numel() // made.numel()
        if id(made) in self._known:
            return self._elementwise(_aten.div.Scalar, (made, count), {})
        divided: Tensor = self.do(_aten.div.Scalar, (made, count), {})
        return divided

    def _on__softmax(self, a: Tensor, dim: int, half_to_float: bool) -> Tensor:
        if dim % 3 == 0:
            raise NotImplementedError("step computes across the sequences of the batch")
        rows = self._along(a, 3 - dim % 3)  # those whose width is the dimension of the softmax
        pieces = [self.do(_aten._softmax.default, (p, 1, half_to_float), {}) for p in rows]
        return self._bound(tuple(a.shape), Grid(pieces, turned=dim % 3 == 1), a.dtype)

    def _on_mm(self, a: Tensor, b: Tensor) -> Tensor:
        return self._linear(_aten.mm.default, a, lambda p: (p, b), b)

    def _on_addmm(self, c: Tensor, a: Tensor, b: Tensor, **kwargs: Any) -> Tensor:
        return self._linear(_aten.addmm.default, a, lambda p: (c, p, b), b, kwargs)

    def _linear(
        self, func: Any, a: Tensor, args: Callable[[Tensor], tuple], b: Tensor, kwargs: dict[str, Any] | None = None
    ) -> Tensor:
        if id(a) not in self._known or id(b) in self._known or self.is_value(b):
            raise NotImplementedError("step multiplies two matrices that both depend on the sequence")
        pieces = [self.do(func, args(p), kwargs or {}) for p in self._known[id(a)].pieces]
        return self._bound((a.shape[0], b.shape[1]), Grid(pieces, flat=True), a.dtype)

    def _on_bmm(self, a: Tensor, b: Tensor) -> Tensor:
        if id(a) not in self._known or id(b) not in self._known:
            raise NotImplementedError("step multiplies (N, K, width) by a matrix that is the same for all sequences")
        left, right = self._known[id(a)], self._known[id(b)]
        shape = (self.batch, a.shape[1], b.shape[2])
        if left.turned and right.turned:  # (B^T A^T)^T
            rows = [self._product(p, Grid(left.pieces)) for p in right.pieces]
            return self._bound(shape, Grid(rows, turned=True), a.dtype)
        rows = [self._product(p, right) for p in self._pieces(left)]
        return self._bound(shape, Grid(rows), a.dtype)

    # What they are made of

    def _product(self, row: Tensor, grid: Grid) -> Tensor:
        """A row (N, K) times a grid (N, K, A): (N, A)."""
        if grid.turned:
            products = [self.do(_aten.mul.Tensor, (row, p), {}) for p in grid.pieces]
            return self._cat([self.do(_aten.sum.dim_IntList, (p, [1], True), {}) for p in products])
        columns = self._columns(row, 1)
        return self._total([self.do(_aten.mul.Tensor, (c, p), {}) for c, p in zip(columns, grid.pieces, strict=True)])

    def _along(self, a: Tensor, dim: int) -> list[Tensor]:
        """What lies along K, (N, A) each, or along A, (N, K) each."""
        grid = self._known[id(a)]
        if dim % 3 == 0 or grid.flat:
            raise NotImplementedError("step computes across the sequences of the batch")
        return self._pieces(grid if dim % 3 == 1 else Grid(grid.pieces, not grid.turned))

    def _pieces(self, grid: Grid) -> list[Tensor]:
        """The pieces along K, whichever way they are kept."""
        if not grid.turned:
            return grid.pieces
        columns = [self._columns(p, 1) for p in grid.pieces]
        return [self._cat(list(parts)) for parts in zip(*columns, strict=True)]

    def _joined(self, grid: Grid) -> Tensor:
        """The grid as (N, K*A)."""
        if grid.turned and len(grid.pieces) == 1:
            return grid.pieces[0]
        return self._cat(self._pieces(grid))

    def _split(self, value: Tensor, count: int, width: int) -> Grid:
        """(N, K*A) as the grid (N, K, A)."""
        return Grid([value], turned=True) if width == 1 else Grid(self._columns(value, width))

    def _columns(self, value: Tensor, width: int) -> list[Tensor]:
        """(N, K*width) as K of (N, width)."""
        if value.shape[1] == width:
            return [value]
        starts = range(0, value.shape[1], width)
        if len(starts) > MOST_PIECES:
            raise NotImplementedError(
                f"step uses a tensor (N, K, width) with K = {len(starts)}, more than {MOST_PIECES}"
            )
        return [self.do(_aten.slice.Tensor, (value, 1, start, start + width), {}) for start in starts]

    def _cat(self, parts: list[Tensor]) -> Tensor:
        made: Tensor = parts[0] if len(parts) == 1 else self.do(_aten.cat.default, (parts, 1), {})
        return made

    def _total(self, parts: list[Tensor]) -> Tensor:
        made = parts[0]
        for part in parts[1:]:
            made = self.do(_aten.add.Tensor, (made, part), {})
        return made

    def _alone(self, column: Tensor) -> Tensor:
        made: Tensor = self.do(_aten.squeeze.dim, (column, 1), {})
        return made

    def _bound(self, shape: tuple[int, ...], grid: Grid, dtype: torch.dtype) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        self._known[id(tensor)] = grid
        self._kept.append(tensor)
        return tensor
