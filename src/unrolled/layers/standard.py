"""LSTM, GRU and Elman as users of torch.nn know them: one call for layers, directions and dropout."""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell, VariationalDropout, WeightDrop, Zoneout
from unrolled.cells.arguments import share, whole
from unrolled.cells.initial import chrono_, forget_bias_, recurrent_
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.checks import as_tensor, check_resets, shown
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack


def _signature(layer: type[Standard]) -> Signature:
    """That of `Standard`, with the options of one class by name in place of any."""
    shared = list(signature(Standard.__init__).parameters.values())[1:-1]
    first = [p for p in shared if p.kind is not Parameter.KEYWORD_ONLY]
    own = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=usual, annotation=layer.__annotations__[name])
        for name, usual in layer._own.items()
    ]
    return Signature([*first, *own, *shared[len(first) :]])


class Standard(nn.Module):
    """What the three share: options, layers and directions, torch.nn's shapes at the border, `Stack` inside.

    Each has ``_own``: the options that it alone has and their defaults, which become its attributes; and ``_cell``.
    """

    _own: ClassVar[dict[str, Any]] = {}
    __signature__: ClassVar[Signature | None]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_own" in vars(cls):
            cls.__signature__ = _signature(cls)
        elif "__init__" in vars(cls):  # a person's own
            cls.__signature__ = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        backend: str = "auto",
        zoneout: float = 0.0,
        variational_dropout: float = 0.0,
        weight_drop: float = 0.0,
        checkpoint: int | None = None,
        recurrent_init: str = "orthogonal",
        **own: Any,
    ) -> None:
        super().__init__()
        for name in own.keys() - self._own.keys():
            raise TypeError(f"{self._name}.__init__() got an unexpected keyword argument {name!r}")
        for name, usual in self._own.items():
            setattr(self, name, own.get(name, usual))
        self.input_size = whole(self._name, "input_size", input_size)
        self.hidden_size = whole(self._name, "hidden_size", hidden_size)
        self.num_layers = whole(self._name, "num_layers", num_layers)
        self.bias, self.batch_first, self.dropout = bias, batch_first, share(self._name, "dropout", dropout)
        self.bidirectional = bidirectional
        self.zoneout, self.variational_dropout, self.weight_drop = zoneout, variational_dropout, weight_drop
        self.checkpoint = checkpoint
        layers: list[Recurrent | Bidirectional] = []
        width = self.input_size
        for _ in range(self.num_layers):
            cell, *back = (self._begun(width, recurrent_init, device, dtype) for _ in range(1 + bool(bidirectional)))
            if back:
                layers.append(Bidirectional(cell, back[0], backend, checkpoint))
            else:
                layers.append(Recurrent(cell, backend=backend, checkpoint=checkpoint))
            width = layers[-1].output_size
        self.stack = Stack(layers, dropout=self.dropout)

    def _cell(self, width: int, **where: Any) -> Cell:
        """A cell for inputs of that width; ``where`` is its device and dtype."""
        raise NotImplementedError

    def _begun(self, width: int, recurrent_init: str, device: Any, dtype: torch.dtype | None) -> Cell:
        """A cell with the first weights that were asked for, and with its random numbers in training."""
        cell = self._cell(width, device=device, dtype=dtype)
        if recurrent_init != "orthogonal":
            recurrent_(cell, recurrent_init)
        if (chrono := getattr(self, "chrono", None)) is not None:
            chrono_(cell, chrono)
        if self.zoneout:
            cell = Zoneout(cell, self.zoneout)
        if self.variational_dropout:
            cell = VariationalDropout(cell, self.variational_dropout)
        if self.weight_drop:
            cell = WeightDrop(cell, self.weight_drop)
        return cell

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def output_size(self) -> int:
        return self.stack.output_size

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Any = None,
        resets: Any = None,
    ) -> tuple[Tensor, Any]:
        """Run all layers; see the class for shapes, and `Recurrent` for lengths and resets."""
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{self._name}: x must be a tensor, got {type(x).__name__}. "
                "For sequences of different lengths pass the padded tensor and lengths=."
            )
        if x.dim() not in (2, 3):
            raise ValueError(
                f"{self._name}: x has shape {tuple(x.shape)}, expected 3 dimensions, or 2 for one sequence"
            )
        alone = x.dim() == 2
        batch_first = self.batch_first and not alone
        layout = "(T,)" if alone else "(N, T)" if batch_first else "(T, N)"
        resets = check_resets(self._name, resets, x, layout)
        if alone:
            x = x.unsqueeze(1)
            lengths = None if lengths is None else as_tensor(self._name, "lengths", lengths, x.device).reshape(-1)
            resets = None if resets is None else resets.unsqueeze(1)
        elif batch_first:
            x = x.transpose(0, 1)
            resets = None if resets is None else resets.transpose(0, 1)
        nested = None if state is None else self._nested(state, x.shape[1], alone)
        output, last = self.stack(x, nested, lengths, resets)
        stacked = self._stacked(last)
        if alone:
            stacked = tuple(s.squeeze(1) for s in stacked)
            output = output.squeeze(1)
        elif batch_first:
            output = output.transpose(0, 1)
        return output, stacked if len(stacked) > 1 else stacked[0]

    def _nested(self, state: Any, N: int, alone: bool) -> tuple:
        """torch.nn's (L * directions, N, H) tensors as one tuple a layer."""
        names = self._cell_state()
        states = (state,) if isinstance(state, Tensor) else tuple(state) if isinstance(state, tuple | list) else ()
        if len(states) != len(names) or not all(isinstance(s, Tensor) for s in states):
            wanted = "a tensor, h" if len(names) == 1 else f"a tuple ({', '.join(names)}) of tensors"
            raise ValueError(
                f"{self._name}: state must be {wanted}, got {shown(state)}. Pass None for a fresh start."
            )
        rows = self.num_layers * (2 if self.bidirectional else 1)
        for label, s in zip(names, states, strict=True):
            expected = (rows, self.hidden_size) if alone else (rows, N, self.hidden_size)
            if not torch.jit.is_tracing() and tuple(s.shape) != expected:
                raise ValueError(
                    f"{self._name}: {label}0 has shape {tuple(s.shape)}, expected "
                    f"(num_layers * directions, {'' if alone else 'N, '}H) = {expected}. "
                    "Pass None for a fresh start, or one state per layer and direction."
                )
        if alone:
            states = tuple(s.unsqueeze(1) for s in states)
        flat = [tuple(s[k] for s in states) for k in range(rows)]
        if self.bidirectional:
            return tuple(zip(flat[::2], flat[1::2], strict=True))
        return tuple(flat)

    def _stacked(self, state: tuple) -> tuple[Tensor, ...]:
        """One tuple a layer as torch.nn's (L * directions, N, H) tensors."""
        flat = [s for layer in state for s in layer] if self.bidirectional else state
        return tuple(torch.stack(same) for same in zip(*flat, strict=True))

    def _cell_state(self) -> tuple[str, ...]:
        return LSTMCell.state if isinstance(self, LSTM) else ("h",)

    def extra_repr(self) -> str:
        shown = [str(self.input_size), str(self.hidden_size)]
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
            ("zoneout", 0.0),
            ("variational_dropout", 0.0),
            ("weight_drop", 0.0),
            ("checkpoint", None),
        ):
            if (value := getattr(self, name)) != usual:
                shown.append(f"{name}={value}")
        return ", ".join(shown)

    def __repr__(self) -> str:
        return f"{self._name}({self.extra_repr()})"


class Elman(Standard):
    """Elman network of one or more layers, called as ``torch.nn.RNN`` is.

    Equation::

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)

    Shapes:
        x (T, N, D), or (N, T, D) with ``batch_first``, or (T, D) for one sequence; output (T, N, H), twice
        as wide if bidirectional; state h (L * directions, N, H), or (L * directions, H) for one sequence;
        lengths (N,), or a number for one sequence; resets (T, N), or (N, T) with ``batch_first``, or (T,) for
        one sequence. N may be 0, T may not.

    Arguments:
        input_size, hidden_size: D, H.
        num_layers: L.
        bias: whether there is a b.
        batch_first: x, output and resets are (N, T, ...); states are not.
        dropout: between layers, in training.
        bidirectional: a second cell in each layer runs backward.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        backend, checkpoint: as in `Recurrent`.
        zoneout: of every state, as in `Zoneout`.
        variational_dropout: on h, as in `VariationalDropout`.
        weight_drop: of the recurrent matrices, as in `WeightDrop`.
        recurrent_init: of the recurrent matrices: ``"orthogonal"``, ``"identity"`` (with ``relu``: IRNN) or
            ``"glorot"``; see `cells.initial.recurrent_`.

    Source:
        J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).

    >>> output, h = Elman(4, 3)(torch.zeros(5, 2, 4))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 3]), torch.Size([1, 2, 3]))
    """

    nonlinearity: str
    _own: ClassVar = {"nonlinearity": "tanh"}

    def _cell(self, width: int, **where: Any) -> Cell:
        return ElmanCell(width, self.hidden_size, self.bias, self.nonlinearity, **where)


class LSTM(Standard):
    """Long short-term memory of one or more layers, called as ``torch.nn.LSTM`` is.

    Equation::

        i, f, o = s(W [h; x] + b)    g = tanh(W [h; x] + b)    c_t = f*c_{t-1} + i*g    h_t = o*tanh(c_t)

    Shapes:
        as in `Elman`; the state is a pair h, c, each (L * directions, N, H).

    Arguments:
        as in `Elman`, and
        forget_bias: of every layer and direction at the start; 1 keeps the gate open.
        chrono: the longest lag in steps: biases of f and i for memories up to it, in place of
            ``forget_bias``; see `cells.initial.chrono_`.

    Source:
        see `LSTMCell`.

    >>> output, (h, c) = LSTM(4, 3, num_layers=2, bidirectional=True)(torch.zeros(5, 2, 4))
    >>> output.shape, c.shape
    (torch.Size([5, 2, 6]), torch.Size([4, 2, 3]))
    """

    forget_bias: float
    chrono: float | None
    _own: ClassVar = {"forget_bias": 1.0, "chrono": None}

    def _cell(self, width: int, **where: Any) -> Cell:
        return LSTMCell(width, self.hidden_size, self.bias, self.forget_bias, **where)


class GRU(Standard):
    """Gated recurrent units of one or more layers, called as ``torch.nn.GRU`` is.

    Equation::

        r, z = s(W [h; x] + b)    n = tanh(W_xn x + W_hn (r*h) + b_n)    h_t = z*h_{t-1} + (1 - z)*n

    Shapes:
        as in `Elman`; state h (L * directions, N, H).

    Arguments:
        as in `Elman`, and
        reset: ``"before"`` the recurrent matrix (the lecture), or ``"after"`` it (torch.nn.GRU).
        forget_bias: of z, the gate that keeps, at the start.
        chrono: the longest lag in steps: the bias of z for memories up to it, in place of ``forget_bias``.

    Source:
        see `GRUCell`.

    >>> output, h = GRU(4, 3, batch_first=True)(torch.zeros(2, 5, 4))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 3]), torch.Size([1, 2, 3]))
    """

    reset: str
    forget_bias: float
    chrono: float | None
    _own: ClassVar = {"reset": "before", "forget_bias": 0.0, "chrono": None}

    def _cell(self, width: int, **where: Any) -> Cell:
        cell = GRUCell(width, self.hidden_size, self.bias, self.reset, **where)
        if self.forget_bias:
            forget_bias_(cell, self.forget_bias)
        return cell
