"""Which operations of a program each ATen operation becomes. A handler writes them and names the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Concatenate

import torch
from torch import Tensor

from unrolled.compiler.program import ELEMENTWISE, View
from unrolled.compiler.writer import Writer

Handler = Callable[Concatenate[Writer, ...], Any]

BROADCASTING = frozenset(ELEMENTWISE)
_aten = torch.ops.aten
HANDLERS: dict[Any, Handler] = {}


def _on(*packets: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for name in packets:
            packet = getattr(_aten, name, None)
            if packet is not None:
                HANDLERS[packet] = handler
        return handler

    return register


def _width(result: Tensor) -> int:
    return result.shape[-1] if result.dim() == 2 else 1


def _each(r: Writer, result: Tensor, kind: str, *args: Any) -> str:
    """An element-wise operation on whatever its arguments are; a number alone becomes a value first."""
    width = _width(result)
    given = [r.operand(a, width) if isinstance(a, Tensor | int | float) else a for a in args]
    if not any(isinstance(a, str) for a in given):
        given[0] = r.emit("number", given[0], width=width)
    if result.dtype == torch.bool and kind not in _TRUTHS:
        raise NotImplementedError(f"step applies {kind} to conditions")
    return r.emit(kind, *given, width=width)


_TRUTHS = ("gt", "ge", "eq", "where", "minimum", "maximum", "mul", "sub", "copy")
"""What may make a condition, of 1 and 0."""


def _simple(name: str, kind: str) -> None:
    @_on(name)
    def handler(r: Writer, result: Tensor, *args: Any) -> str:
        return _each(r, result, kind, *args)


for _name in (
    *("neg", "mul", "sigmoid", "tanh", "relu", "exp", "expm1", "log", "log1p", "square", "sqrt", "abs"),
    *("minimum", "maximum", "gt", "ge", "eq", "where"),
):
    _simple(_name, _name)
for _name in ("sgn", "sign"):
    _simple(_name, "sign")


@_on("div")
def _div(r: Writer, result: Tensor, a: Any, b: Any, rounding_mode: str | None = None) -> str:
    if rounding_mode is not None:
        raise NotImplementedError("step divides with rounding")
    return _each(r, result, "div", a, b)


@_on("add")
def _add(r: Writer, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    if result.dtype == torch.bool:  # true + true is true
        return _each(r, result, "maximum", a, b)
    return _each(r, result, "add", a, b if alpha == 1 else _each(r, result, "mul", b, alpha))


@_on("sub")
def _sub(r: Writer, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    return _each(r, result, "sub", a, b if alpha == 1 else _each(r, result, "mul", b, alpha))


@_on("rsub")
def _rsub(r: Writer, result: Tensor, a: Any, b: Any, alpha: float = 1) -> str:
    return _each(r, result, "sub", b, a if alpha == 1 else _each(r, result, "mul", a, alpha))


@_on("lt")
def _lt(r: Writer, result: Tensor, a: Any, b: Any) -> str:
    return _each(r, result, "gt", b, a)


@_on("le")
def _le(r: Writer, result: Tensor, a: Any, b: Any) -> str:
    return _each(r, result, "ge", b, a)


@_on("ne")
def _ne(r: Writer, result: Tensor, a: Any, b: Any) -> str:
    return _not(r, result, _each(r, result, "eq", a, b))


def _not(r: Writer, result: Tensor, a: Any) -> str:
    return _each(r, result, "sub", 1.0, a)


def _conditions(name: str, *packets: str, of: Callable[..., str]) -> None:
    """An operation on conditions; numbers are none."""

    @_on(*packets)
    def handler(r: Writer, result: Tensor, *args: Any) -> str:
        if any(isinstance(a, Tensor) and a.dtype != torch.bool for a in args):
            raise NotImplementedError(f"step applies {name} to numbers")
        return of(r, result, *args)


_conditions("and", "bitwise_and", "logical_and", "__and__", of=lambda r, out, a, b: _each(r, out, "mul", a, b))
_conditions("or", "bitwise_or", "logical_or", "__or__", of=lambda r, out, a, b: _each(r, out, "maximum", a, b))
_conditions("xor", "bitwise_xor", "logical_xor", "__xor__", of=_ne)
_conditions("not", "bitwise_not", "logical_not", of=_not)


@_on("masked_fill")
def _masked_fill(r: Writer, result: Tensor, a: Tensor, mask: Tensor, value: Any) -> str:
    return _each(r, result, "where", mask, value, a)


@_on("reciprocal")
def _reciprocal(r: Writer, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "div", 1.0, a)


@_on("rsqrt")
def _rsqrt(r: Writer, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "div", 1.0, _each(r, result, "sqrt", a))


@_on("silu")
def _silu(r: Writer, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "mul", a, _each(r, result, "sigmoid", a))


@_on("pow")
def _pow(r: Writer, result: Tensor, a: Any, exponent: Any) -> str:
    if isinstance(exponent, Tensor) or exponent not in _POWERS:
        return _each(r, result, "pow", a, exponent)
    return _POWERS[exponent](r, result, a)


_POWERS: dict[float, Callable[..., str]] = {
    0: lambda r, out, a: r.emit("number", 1.0, width=_width(out)),
    1: lambda r, out, a: _each(r, out, "copy", a),
    2: lambda r, out, a: _each(r, out, "square", a),
    3: lambda r, out, a: _each(r, out, "mul", _each(r, out, "square", a), a),
    4: lambda r, out, a: _each(r, out, "square", _each(r, out, "square", a)),
    0.5: lambda r, out, a: _each(r, out, "sqrt", a),
    -0.5: lambda r, out, a: _each(r, out, "div", 1.0, _each(r, out, "sqrt", a)),
    -1: lambda r, out, a: _each(r, out, "div", 1.0, a),
    -2: lambda r, out, a: _each(r, out, "div", 1.0, _each(r, out, "square", a)),
}


@_on("softplus")
def _softplus(r: Writer, result: Tensor, a: Tensor, beta: float = 1, threshold: float = 20) -> str:
    scaled = a if beta == 1 else _each(r, result, "mul", a, beta)
    smooth = _each(
        r, result, "softplus", _each(r, result, "where", _each(r, result, "gt", scaled, threshold), 0.0, scaled)
    )
    bent = smooth if beta == 1 else _each(r, result, "div", smooth, beta)
    return _each(r, result, "where", _each(r, result, "gt", scaled, threshold), a, bent)


@_on("log_sigmoid_forward")
def _log_sigmoid(r: Writer, result: Any, a: Tensor) -> list[str]:
    below = _each(r, result[0], "minimum", a, 0.0)
    rest = _each(r, result[0], "exp", _each(r, result[0], "neg", _each(r, result[0], "abs", a)))
    return [_each(r, result[0], "sub", below, _each(r, result[0], "log1p", rest))]


@_on("hardsigmoid")
def _hardsigmoid(r: Writer, result: Tensor, a: Tensor) -> str:
    return _each(r, result, "div", _hardtanh(r, result, _each(r, result, "add", a, 3.0), 0.0, 6.0), 6.0)


@_on("leaky_relu")
def _leaky_relu(r: Writer, result: Tensor, a: Tensor, slope: float = 0.01) -> str:
    return _each(r, result, "where", _each(r, result, "gt", a, 0.0), a, _each(r, result, "mul", a, slope))


@_on("elu")
def _elu(r: Writer, result: Tensor, a: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> str:
    bounded = _each(r, result, "where", _each(r, result, "gt", a, 0.0), 0.0, a)  # no overflow where it is not used
    below = _each(r, result, "expm1", _each(r, result, "mul", bounded, input_scale))
    chosen = _each(r, result, "where", _each(r, result, "gt", a, 0.0), a, _each(r, result, "mul", below, alpha))
    return _each(r, result, "mul", chosen, scale)


@_on("celu")
def _celu(r: Writer, result: Tensor, a: Tensor, alpha: float = 1) -> str:
    return _elu(r, result, a, alpha, 1.0, 1.0 / alpha)


@_on("clamp", "clamp_min")
def _clamp(
    r: Writer, result: Tensor, a: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None
) -> str:
    """At a bound the gradient passes; NaN stays NaN."""
    low, high = low if min is None else min, high if max is None else max
    if low is not None:
        a = _each(r, result, "where", _each(r, result, "gt", low, a), low, a)
    if high is not None:
        a = _each(r, result, "where", _each(r, result, "gt", a, high), high, a)
    return a


@_on("hardtanh")
def _hardtanh(r: Writer, result: Tensor, a: Any, low: float = -1, high: float = 1) -> str:
    """As `_clamp`, but no gradient passes at a bound."""
    a = _each(r, result, "where", _each(r, result, "ge", low, a), low, a)
    return _each(r, result, "where", _each(r, result, "ge", a, high), high, a)


@_on("clamp_max")
def _clamp_max(r: Writer, result: Tensor, a: Any, high: Any) -> str:
    return _clamp(r, result, a, None, high)


@_on("addcmul")
def _addcmul(r: Writer, result: Tensor, a: Tensor, b: Tensor, c: Tensor, value: float = 1) -> str:
    product = _each(r, result, "mul", b, c)
    return _each(r, result, "add", a, product if value == 1 else _each(r, result, "mul", product, value))


@_on("lerp")
def _lerp(r: Writer, result: Tensor, a: Tensor, b: Tensor, weight: Any) -> str:
    return _each(r, result, "add", a, _each(r, result, "mul", weight, _each(r, result, "sub", b, a)))


@_on("mm", "matmul")
def _mm(r: Writer, result: Tensor, a: Tensor, b: Tensor) -> str:
    view = r.matrix(b)
    transposed = View(view.parameter, view.offset, view.shape[::-1], view.strides[::-1])
    return r.emit("linear", r.widened(a), width=_width(result), view=transposed)


@_on("linear")
def _linear(r: Writer, result: Tensor, a: Tensor, weight: Tensor, bias: Tensor | None = None) -> str:
    made = r.emit("linear", r.widened(a), width=_width(result), view=r.matrix(weight))
    return made if bias is None else _each(r, result, "add", made, bias)


@_on("addmm")
def _addmm(r: Writer, result: Tensor, c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> str:
    made: Any = _mm(r, result, a, b)
    if alpha != 1:
        made = _each(r, result, "mul", made, alpha)
    return _each(r, result, "add", made, c if beta == 1 else _each(r, result, "mul", c, beta))


@_on("mv")
def _mv(r: Writer, result: Tensor, a: Tensor, b: Tensor) -> str:
    return _mm(r, result, a, b.unsqueeze(1))


def _columns(r: Writer, a: Tensor, start: int, width: int) -> str:
    return r.emit("slice", r.widened(a), width=width, start=start)


def _last(a: Tensor, dim: int) -> None:
    if dim % a.dim() != 1:
        raise NotImplementedError("step computes across the sequences of the batch")


@_on("slice")
def _slice(
    r: Writer, result: Tensor, a: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> str:
    if result.shape == a.shape:
        return r.widened(a)
    _last(a, dim)
    if step != 1:
        raise NotImplementedError("step takes a slice with a stride")
    start = 0 if start is None else max(start if start >= 0 else start + a.shape[1], 0)
    return _columns(r, a, start, result.shape[1])


@_on("split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk")
def _split(r: Writer, result: Any, a: Tensor, sizes: Any, dim: int = 0) -> list[str]:
    _last(a, dim)
    starts = [sum(part.shape[1] for part in result[:k]) for k in range(len(result))]
    return [_columns(r, a, start, part.shape[1]) for start, part in zip(starts, result, strict=True)]


@_on("select")
def _select(r: Writer, result: Tensor, a: Tensor, dim: int, index: int) -> str:
    _last(a, dim)
    return _columns(r, a, index % a.shape[1], 1)


@_on("cat")
def _cat(r: Writer, result: Tensor, parts: list[Tensor], dim: int = 0) -> str:
    _last(result, dim)
    return r.emit("cat", *[r.widened(p) for p in parts], width=result.shape[1])


@_on("alias", "clone", "contiguous", "_to_copy", "lift_fresh", "view", "_unsafe_view", "reshape", "detach")
@_on("unsqueeze", "squeeze", "expand", "expand_as")
def _same(r: Writer, result: Tensor, a: Tensor, *args: Any, **kwargs: Any) -> str | float | None:
    if a.dim() == 0 and a.device.type == "cpu":
        return None  # a number
    if result.dtype != a.dtype and a.dtype != torch.bool and not result.is_floating_point():
        raise NotImplementedError(f"step converts {a.dtype} to {result.dtype}")
    value, width = r.widened(a), _width(result)
    if r.width(value) == 1 and width > 1 and result.dim() == 2:
        return r.emit("expand", value, width=width)
    return value


@_on("scalar_tensor")
def _scalar_tensor(r: Writer, result: Tensor, value: float, **kwargs: Any) -> float:
    return float(value)


def _filled(value: float) -> Callable[..., str | float]:
    def handler(r: Writer, result: Tensor, *args: Any, **kwargs: Any) -> str | float:
        if not result.dim():
            return value
        alone = result.dim() == 1 and result.shape[0] == r.batch
        return r.emit("number", value, width=1 if alone else result.shape[-1])

    return handler


for _name, _value in (("zeros", 0.0), ("ones", 1.0)):
    for _packet in (_name, f"{_name}_like", f"new_{_name}"):
        HANDLERS[getattr(_aten, _packet)] = _filled(_value)


@_on("full", "full_like", "new_full")
def _full(r: Writer, result: Tensor, *args: Any, **kwargs: Any) -> str | float:
    return _filled(float(kwargs.get("fill_value", args[-1] if args else math.nan)))(r, result)


def _hidden(a: Tensor, dims: Any) -> None:
    dims = [dims] if isinstance(dims, int) else list(dims or range(a.dim()))
    if [d % a.dim() for d in dims] != [1]:
        raise NotImplementedError("step sums across the sequences of the batch")


@_on("sum")
def _sum(r: Writer, result: Tensor, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> str:
    _hidden(a, dims)
    return r.emit("rowsum", r.widened(a), width=1)


@_on("mean")
def _mean(r: Writer, result: Tensor, a: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> str:
    _hidden(a, dims)
    return r.emit("mul", r.emit("rowsum", r.widened(a), width=1), 1.0 / a.shape[1], width=1)


@_on("_softmax")
def _softmax(r: Writer, result: Tensor, a: Tensor, dim: int, half_to_float: bool) -> str:
    _last(a, dim)
    value, width = r.widened(a), a.shape[1]
    top = r.emit("expand", r.emit("rowmax", value, width=1), width=width)
    powers = r.emit("exp", r.emit("sub", value, top))
    return r.emit("div", powers, r.emit("expand", r.emit("rowsum", powers, width=1), width=width))


@_on("_log_softmax")
def _log_softmax(r: Writer, result: Tensor, a: Tensor, dim: int, half_to_float: bool) -> str:
    _last(a, dim)
    value, width = r.widened(a), a.shape[1]
    shifted = r.emit("sub", value, r.emit("expand", r.emit("rowmax", value, width=1), width=width))
    total = r.emit("log", r.emit("rowsum", r.emit("exp", shifted), width=1))
    return r.emit("sub", shifted, r.emit("expand", total, width=width))


@_on("native_layer_norm")
def _layer_norm(r: Writer, result: Any, a: Tensor, shape: list[int], weight: Any, bias: Any, eps: float) -> list:
    if list(shape) != [a.shape[1]]:
        raise NotImplementedError("step applies a layer norm over axes other than the hidden one")
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
