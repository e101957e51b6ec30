"""Which operations of a program each ATen operation becomes. A handler writes them and names the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unrolled.compiler.program import ELEMENTWISE, View

if TYPE_CHECKING:
    from unrolled.compiler.trace import Recorder

BROADCASTING = frozenset(ELEMENTWISE)
_aten = torch.ops.aten
HANDLERS: dict[Any, Callable[..., Any]] = {}


def is_number(text: str) -> bool:
    """Whether a name would be read as a number: inf, nan."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _on(*packets: str) -> Callable[[Callable], Callable]:
    def register(handler: Callable) -> Callable:
        for name in packets:
            packet = getattr(_aten, name, None)
            if packet is not None:
                HANDLERS[packet] = handler
        return handler

    return register


_COMPARISONS = {getattr(_aten, name) for name in ("gt", "ge", "lt", "le", "eq")}
_BY_TORCH = {
    *("slice", "split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk", "select", "alias"),
    *("view", "_unsafe_view", "unsqueeze", "squeeze", "expand", "lift_fresh", "zeros", "ones", "full"),
    *("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"),
}


def result_of(func: Any, args: Any, kwargs: Any) -> Any:
    """What the operation makes, as tensors without data.

    Only views are asked of torch: its shape functions for the rest are Python, and import half of torch.
    """
    packet = func.overloadpacket
    name = packet.__name__
    if name in _BY_TORCH:
        return func(*args, **kwargs)
    if name in ("mm", "matmul", "addmm", "linear", "mv"):
        a, b = args[1:3] if name == "addmm" else args[:2]
        columns = b.shape[:1] if name == "linear" else b.shape[1:]
        return a.new_empty((a.shape[0], *columns), device="meta")
    if name in ("sum", "mean"):
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        return args[0].new_empty((args[0].shape[0], 1) if keep else args[0].shape[:1], device="meta")
    if name == "cat":
        dim = args[1] if len(args) > 1 else 0
        if any(t.dim() != 2 for t in args[0]) or dim % 2 != 1:
            raise NotImplementedError("cat across the sequences of the batch")
        return args[0][0].new_empty((args[0][0].shape[0], sum(t.shape[1] for t in args[0])), device="meta")
    if name == "native_layer_norm":
        a = args[0]
        return torch.empty_like(a), a.new_empty(a.shape[0], 1), a.new_empty(a.shape[0], 1)
    tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    kinds = [t.dtype for t in tensors if t.is_floating_point() and t.dim()] or [tensors[0].dtype]
    kind = torch.bool if packet in _COMPARISONS else kwargs.get("dtype") or max(kinds, key=lambda k: k.itemsize)
    return torch.empty(shape, dtype=kind, device="meta")


def _width(result: Tensor) -> int:
    return result.shape[-1] if result.dim() == 2 else 1


def _each(r: Recorder, result: Tensor, kind: str, *args: Any) -> str:
    """An element-wise operation on whatever its arguments are; a number alone becomes a value first."""
    width = _width(result)
    given = [r.operand(a, width) if isinstance(a, Tensor | int | float) else a for a in args]
    if not any(isinstance(a, str) for a in given):
        given[0] = r.emit("number", given[0], width=width)
    return r.emit(kind, *given, width=width)


def _simple(name: str, kind: str) -> None:
    @_on(name)
    def handler(r: Recorder, result: Tensor, *args: Any) -> str:
        return _each(r, result, kind, *args)


for _name in ("neg", "mul", "sigmoid", "tanh", "relu", "exp", "log", "square", "sqrt", "abs"):
    _simple(_name, _name)
for _name in ("minimum", "maximum", "gt", "ge", "eq", "where"):
    _simple(_name, _name)
_simple("sgn", "sign")
_simple("sign", "sign")


@_on("div")
def _div(r: Recorder, result: Tensor, a: Any, b: Any, rounding_mode: str | None = None) -> str:
    if rounding_mode is not None:
        raise NotImplementedError("division that rounds")
    return _each(r, result, "div", a, b)


@_on("add")
def _add(r: Recorder, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    return _each(r, result, "add", a, b if alpha == 1 else _each(r, result, "mul", b, alpha))


@_on("sub")
def _sub(r: Recorder, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    return _each(r, result, "sub", a, b if alpha == 1 else _each(r, result, "mul", b, alpha))


@_on("rsub")
def _rsub(r: Recorder, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    return _each(r, result, "sub", b, a if alpha == 1 else _each(r, result, "mul", a, alpha))


@_on("lt")
def _lt(r: Recorder, result: Tensor, a: Any, b: Any) -> str:
    return _each(r, result, "gt", b, a)


@_on("le")
def _le(r: Recorder, result: Tensor, a: Any, b: Any) -> str:
    return _each(r, result, "ge", b, a)


@_on("reciprocal")
def _reciprocal(r: Recorder, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "div", 1.0, a)


@_on("rsqrt")
def _rsqrt(r: Recorder, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "div", 1.0, _each(r, result, "sqrt", a))


@_on("silu")
def _silu(r: Recorder, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "mul", a, _each(r, result, "sigmoid", a))


@_on("pow")
def _pow(r: Recorder, result: Tensor, a: Any, exponent: Any) -> str:
    if exponent == 2:
        return _each(r, result, "square", a)
    if exponent == 0.5:
        return _each(r, result, "sqrt", a)
    if exponent == -1:
        return _each(r, result, "div", 1.0, a)
    if exponent == -0.5:
        return _each(r, result, "div", 1.0, _each(r, result, "sqrt", a))
    if exponent in (3, 4):
        squared = _each(r, result, "square", a)
        return _each(r, result, "mul", squared, squared if exponent == 4 else a)
    raise NotImplementedError(f"the power {exponent}")


@_on("softplus")
def _softplus(r: Recorder, result: Tensor, a: Tensor, beta: float = 1, threshold: float = 20) -> str:
    if beta == 1:
        return _each(r, result, "softplus", a)
    return _each(r, result, "div", _each(r, result, "softplus", _each(r, result, "mul", a, beta)), beta)


@_on("leaky_relu")
def _leaky_relu(r: Recorder, result: Tensor, a: Tensor, slope: float = 0.01) -> str:
    return _each(r, result, "where", _each(r, result, "gt", a, 0.0), a, _each(r, result, "mul", a, slope))


@_on("elu")
def _elu(r: Recorder, result: Tensor, a: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> str:
    bounded = _each(r, result, "where", _each(r, result, "gt", a, 0.0), 0.0, a)  # no overflow where it is not used
    below = _each(r, result, "sub", _each(r, result, "exp", _each(r, result, "mul", bounded, input_scale)), 1.0)
    chosen = _each(r, result, "where", _each(r, result, "gt", a, 0.0), a, _each(r, result, "mul", below, alpha))
    return _each(r, result, "mul", chosen, scale)


@_on("clamp", "hardtanh")
def _clamp(
    r: Recorder, result: Tensor, a: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None
) -> str:
    low, high = low if min is None else min, high if max is None else max
    if low is not None:
        a = _each(r, result, "where", _each(r, result, "gt", low, a), low, a)
    if high is not None:
        a = _each(r, result, "where", _each(r, result, "gt", a, high), high, a)
    return a


@_on("clamp_min")
def _clamp_min(r: Recorder, result: Tensor, a: Tensor, low: Any) -> str:
    return _clamp(r, result, a, low)


@_on("clamp_max")
def _clamp_max(r: Recorder, result: Tensor, a: Tensor, high: Any) -> str:
    return _clamp(r, result, a, None, high)


@_on("addcmul")
def _addcmul(r: Recorder, result: Tensor, a: Tensor, b: Tensor, c: Tensor, value: float = 1) -> str:
    product = _each(r, result, "mul", b, c)
    return _each(r, result, "add", a, product if value == 1 else _each(r, result, "mul", product, value))


@_on("lerp")
def _lerp(r: Recorder, result: Tensor, a: Tensor, b: Tensor, weight: Any) -> str:
    return _each(r, result, "add", a, _each(r, result, "mul", weight, _each(r, result, "sub", b, a)))


@_on("mm", "matmul")
def _mm(r: Recorder, result: Tensor, a: Tensor, b: Tensor) -> str:
    view = r.matrix(b)
    transposed = View(view.parameter, view.offset, view.shape[::-1], view.strides[::-1])
    return r.emit("linear", r.widened(a), width=_width(result), view=transposed)


@_on("linear")
def _linear(r: Recorder, result: Tensor, a: Tensor, weight: Tensor, bias: Tensor | None = None) -> str:
    made = r.emit("linear", r.widened(a), width=_width(result), view=r.matrix(weight))
    return made if bias is None else _each(r, result, "add", made, bias)


@_on("addmm")
def _addmm(r: Recorder, result: Tensor, c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> str:
    made: Any = _mm(r, result, a, b)
    if alpha != 1:
        made = _each(r, result, "mul", made, alpha)
    return _each(r, result, "add", made, c if beta == 1 else _each(r, result, "mul", c, beta))


@_on("mv")
def _mv(r: Recorder, result: Tensor, a: Tensor, b: Tensor) -> str:
    return _mm(r, result, a, b.unsqueeze(1))


def _columns(r: Recorder, a: Tensor, start: int, width: int) -> str:
    return r.emit("slice", r.widened(a), width=width, start=start)


def _last(a: Tensor, dim: int) -> None:
    if dim % a.dim() != 1:
        raise NotImplementedError("an operation across the sequences of the batch")


@_on("slice")
def _slice(
    r: Recorder, result: Tensor, a: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> str:
    if result.shape == a.shape:
        return r.widened(a)
    _last(a, dim)
    if step != 1:
        raise NotImplementedError("a slice with a step")
    start = 0 if start is None else min(start if start >= 0 else start + a.shape[1], a.shape[1])
    return _columns(r, a, start, result.shape[1])


@_on("split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk")
def _split(r: Recorder, result: Any, a: Tensor, sizes: Any, dim: int = 0) -> list[str]:
    _last(a, dim)
    starts = [sum(part.shape[1] for part in result[:k]) for k in range(len(result))]
    return [_columns(r, a, start, part.shape[1]) for start, part in zip(starts, result, strict=True)]


@_on("select")
def _select(r: Recorder, result: Tensor, a: Tensor, dim: int, index: int) -> str:
    _last(a, dim)
    return _columns(r, a, index % a.shape[1], 1)


@_on("cat")
def _cat(r: Recorder, result: Tensor, parts: list[Tensor], dim: int = 0) -> str:
    _last(result, dim)
    return r.emit("cat", *[r.widened(p) for p in parts], width=result.shape[1])


@_on("alias", "clone", "contiguous", "_to_copy", "lift_fresh", "view", "_unsafe_view", "reshape")
@_on("unsqueeze", "squeeze", "expand", "expand_as")
def _same(r: Recorder, result: Tensor, a: Tensor, *args: Any, **kwargs: Any) -> str | None:
    if a.dim() == 0 and a.device.type == "cpu":
        return None  # a number
    if kwargs.get("dtype", a.dtype) not in (a.dtype, result.dtype) or (
        a.is_floating_point() and result.dtype != a.dtype
    ):
        raise NotImplementedError(f"a change of the number type to {result.dtype}")
    value, width = r.widened(a), _width(result)
    if r.width(value) == 1 and width > 1:
        return r.emit("expand", value, width=width)
    return value


def _filled(value: float) -> Callable[..., str]:
    def handler(r: Recorder, result: Tensor, *args: Any, **kwargs: Any) -> str:
        return r.emit("number", value, width=result.shape[-1] if result.dim() else 1)

    return handler


for _name, _value in (("zeros", 0.0), ("zeros_like", 0.0), ("new_zeros", 0.0)):
    HANDLERS[getattr(_aten, _name)] = _filled(_value)
for _name, _value in (("ones", 1.0), ("ones_like", 1.0), ("new_ones", 1.0)):
    HANDLERS[getattr(_aten, _name)] = _filled(_value)


@_on("full", "full_like", "new_full")
def _full(r: Recorder, result: Tensor, *args: Any, **kwargs: Any) -> str:
    return _filled(float(kwargs.get("fill_value", args[-1] if args else math.nan)))(r, result)


def _hidden(a: Tensor, dims: Any) -> None:
    dims = [dims] if isinstance(dims, int) else list(dims or range(a.dim()))
    if [d % a.dim() for d in dims] != [1]:
        raise NotImplementedError("a sum across the sequences of the batch")


@_on("sum")
def _sum(r: Recorder, result: Tensor, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> str:
    _hidden(a, dims)
    return r.emit("rowsum", r.widened(a), width=1)


@_on("mean")
def _mean(r: Recorder, result: Tensor, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> str:
    _hidden(a, dims)
    return r.emit("mul", r.emit("rowsum", r.widened(a), width=1), 1.0 / a.shape[1], width=1)


@_on("_softmax")
def _softmax(r: Recorder, result: Tensor, a: Tensor, dim: int, half_to_float: bool) -> str:
    _last(a, dim)
    value, width = r.widened(a), a.shape[1]
    top = r.emit("expand", r.emit("rowmax", value, width=1), width=width)
    powers = r.emit("exp", r.emit("sub", value, top))
    return r.emit("div", powers, r.emit("expand", r.emit("rowsum", powers, width=1), width=width))


@_on("_log_softmax")
def _log_softmax(r: Recorder, result: Tensor, a: Tensor, dim: int, half_to_float: bool) -> str:
    _last(a, dim)
    value, width = r.widened(a), a.shape[1]
    shifted = r.emit("sub", value, r.emit("expand", r.emit("rowmax", value, width=1), width=width))
    total = r.emit("log", r.emit("rowsum", r.emit("exp", shifted), width=1))
    return r.emit("sub", shifted, r.emit("expand", total, width=width))


@_on("native_layer_norm")
def _layer_norm(r: Recorder, result: Any, a: Tensor, shape: list[int], weight: Any, bias: Any, eps: float) -> list:
    if list(shape) != [a.shape[1]]:
        raise NotImplementedError("a layer norm over other axes than the hidden one")
    value, width = r.widened(a), a.shape[1]
    mean = r.emit("mul", r.emit("rowsum", value, width=1), 1.0 / width)
    centred = r.emit("sub", value, r.emit("expand", mean, width=width))
    variance = r.emit("mul", r.emit("rowsum", r.emit("square", centred), width=1), 1.0 / width)
    scale = r.emit("div", 1.0, r.emit("sqrt", r.emit("add", variance, eps)), width=1)
    made = r.emit("layernorm", value, eps, width=width)
    if weight is not None:
        made = r.emit("mul", made, r.operand(weight, width))
    if bias is not None:
        made = r.emit("add", made, r.operand(bias, width))
    return [made, mean, scale]
