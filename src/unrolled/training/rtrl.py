"""Real-time recurrent learning: the exact gradient, carried forward in time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call, jacrev, vmap

from unrolled.cells.cell import Cell
from unrolled.layers.checks import check_constants, check_input
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack

State = tuple[Tensor, ...]

LARGEST = 2**30
"""Numbers in an influence matrix, at most: 4 GiB in single precision."""


class RTRL:
    """Steps through a sequence and carries along how each state depends on each weight, through all of the past.

    Equation::

        s_t = step(x_t, s_{t-1}; theta)                all states of all layers, side by side
        P_t = J_t P_{t-1} + F_t                        the influence matrix ds_t / dtheta
        J_t = ds_t / ds_{t-1}    F_t = ds_t / dtheta at fixed s_{t-1}    P_0 = ds_0 / dtheta
        dL_t / dtheta = (dL_t / ds_t) P_t

    The outputs of `step` are ordinary tensors whose ``backward()`` gives the weights the last line. No graph of
    the past is kept, so a stream may be endless, and the weights may change after any step. While they stay the
    same, the gradient is that of backpropagation through all steps so far, exactly; once they change, P holds
    terms of older weights, and is exact in the limit of small learning rates.

    Shapes:
        x (N, D); y (N, H); influence (N, S, P) with S the widths of all states together and P the number of
        weights that take a gradient.

    Arguments:
        layers: a cell, a `Recurrent`, or a `Stack` of such.
        batch: N, streams side by side.
        constants: those of a single cell that has some, for all steps.

    Cost:
        N S P floats, whatever the number of steps; N S² P multiplications a step. For H units of one Elman
        layer that is about H³ floats and H⁴ multiplications: a method for small networks.

    Raises:
        ValueError: layers that need the future, draw random numbers, have no weights or too many; inputs that do
            not fit.

    Source:
        R. Williams & D. Zipser, "A learning algorithm for continually running fully recurrent neural networks",
        Neural Computation 1 (1989), equations 7 to 11, for any cell: J_t and F_t are derivatives of its step.

    >>> layer = unrolled.ElmanCell(2, 3).double()
    >>> rtrl = RTRL(layer)
    >>> for x in torch.ones(50, 1, 2).double():
    ...     y, (h,) = rtrl.step(x)
    >>> y.sum().backward()
    >>> exact, layer.h.weight.grad = layer.h.weight.grad, None
    >>> unrolled.Recurrent(layer)(torch.ones(50, 1, 2).double())[0][-1].sum().backward()
    >>> bool((layer.h.weight.grad - exact).abs().max() < 1e-10)
    True
    """

    def __init__(self, layers: Cell | Recurrent | Stack, batch: int = 1, constants: State = ()) -> None:
        if type(batch) is not int or batch < 1:
            raise ValueError(f"RTRL: batch must be a whole number from 1, got {batch!r}")
        self._cells = _cells(layers)
        self._nested = isinstance(layers, Stack)
        self._joint = _Joint(self._cells)
        weights = {name: p for name, p in self._joint.named_parameters() if p.requires_grad}
        if not weights:
            raise ValueError("RTRL: the layers have no weights that require gradients")
        self._names = tuple(weights)
        self._weights = tuple(weights.values())
        like = self._weights[0].new_empty(1, batch, 1)
        if len(self._cells) == 1:
            self._constants = _constants(self._cells[0], constants, like)
        elif constants or any(cell.constants for cell in self._cells):
            raise ValueError("RTRL: constants work with a single cell only, and there are several layers")
        else:
            self._constants = ()
        self.batch = batch
        size = batch * self._joint.width * sum(p.numel() for p in self._weights)
        if size > LARGEST:
            raise ValueError(
                f"RTRL: the influence matrix would have N S P = {size:,} numbers, more than {LARGEST:,}. "
                "RTRL is for small networks; train larger ones by backpropagation over a window"
            )
        self.reset()

    def reset(self, rows: Tensor | None = None) -> None:
        """Back to the initial states, whose influence matrix is zero unless they are learned.

        Arguments:
            rows: (N,) bool, which streams begin anew; None for all.
        """
        with torch.no_grad():
            by_name = jacrev(lambda theta: self._call(theta, "initial", self.batch))(self._theta())
            fresh = self._call(self._theta(), "initial", self.batch)
            influence = self._side_by_side(by_name)
        if rows is None:
            self._state, self.influence = fresh, influence
            return
        if not isinstance(rows, Tensor) or rows.shape != (self.batch,) or rows.dtype != torch.bool:
            raise ValueError(f"RTRL: rows must be a bool tensor ({self.batch},), one a stream, or None for all")
        self._state = torch.where(rows[:, None], fresh, self._state)
        self.influence = torch.where(rows[:, None, None], influence, self.influence)

    def step(self, x: Tensor) -> tuple[Tensor, Any]:
        """One step: y_t and the states, as ``layers.step`` returns them, and each knows its whole gradient.

        Arguments:
            x: input (N, D), without a gradient of its own.
        """
        cell = self._cells[0]
        if not isinstance(x, Tensor) or x.dim() != 2 or len(x) != self.batch:
            came = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"type {type(x).__name__}"
            raise ValueError(f"RTRL: x has {came}, expected one step (N, D) = {(self.batch, cell.input_size)}")
        check_input("RTRL", x[None], cell.input_size)
        if x.dtype != self._state.dtype or x.device != self._state.device:
            raise ValueError(
                f"RTRL: x has dtype {x.dtype} on {x.device}, the weights {self._state.dtype} on {self._state.device}"
            )
        if x.requires_grad:
            raise ValueError("RTRL: x requires a gradient, which would stop at this step; pass x.detach()")

        def step(theta: dict[str, Tensor], s: Tensor, x: Tensor, constants: State) -> tuple[Tensor, Tensor]:
            new = self._call(theta, "step", s, x, constants)
            return new, new

        derivatives = jacrev(step, argnums=(0, 1), has_aux=True)
        with torch.no_grad():
            (F, J), new = vmap(derivatives, in_dims=(None, 0, 0, 0), randomness="different")(
                self._theta(), self._state, x, self._constants
            )
            self.influence = torch.baddbmm(self._side_by_side(F), J, self.influence)
        self._state = new
        states = self._joint.split(_Known.apply(new, self.influence, *self._weights))
        return states[-1][0], states if self._nested else states[0]

    def _call(self, theta: dict[str, Tensor], method: str, *args: Any) -> Tensor:
        return functional_call(self._joint, theta, (method, *args))

    def _theta(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in zip(self._names, self._weights, strict=True)}

    def _side_by_side(self, by_name: dict[str, Tensor]) -> Tensor:
        """Derivatives (N, S, *shape) of each weight as one matrix (N, S, P)."""
        return torch.cat([by_name[name].flatten(2) for name in self._names], dim=2)


class _Joint(nn.Module):
    """Layers as one cell: the states of all, flattened, side by side."""

    def __init__(self, cells: list[Cell]) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.shapes = [tuple(cell.state_shapes().values()) for cell in cells]
        self.widths = [math.prod(shape) for shapes in self.shapes for shape in shapes]
        self.width = sum(self.widths)

    def forward(self, method: str, *args: Any) -> Tensor:
        """One of the methods below: `torch.func.functional_call` calls modules only."""
        result: Tensor = getattr(self, method)(*args)
        return result

    def initial(self, batch: int) -> Tensor:
        """(N, S)."""
        states = [s.flatten(1) for cell in self._each() for s in cell.initial_state(batch)]
        return torch.cat(states, dim=1)

    def step(self, s: Tensor, x: Tensor, constants: State) -> Tensor:
        """One step of one sequence: s (S,), x (D,) to (S,)."""
        stepped = []
        y = x[None]
        for cell, old in zip(self._each(), self.split(s[None]), strict=True):
            new = cell.checked(cell.step(y, *old, *(c[None] for c in constants)), old)
            stepped += [one.flatten() for one in new]
            y = new[0]
        return torch.cat(stepped)

    def split(self, s: Tensor) -> tuple[State, ...]:
        """(N, S) to the states of each layer in their own shapes."""
        parts = iter(s.split(self.widths, dim=1))
        return tuple(tuple(next(parts).reshape(len(s), *shape) for shape in shapes) for shapes in self.shapes)

    def _each(self) -> list[Cell]:
        return list(self.cells)  # type: ignore[arg-type]


class _Known(torch.autograd.Function):
    """States whose gradient with respect to the weights is known already."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, influence: Tensor, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(influence)
        ctx.shapes = [w.shape for w in weights]
        return states.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        (influence,) = ctx.saved_tensors
        flat = torch.einsum("ns,nsp->p", d_states, influence)
        parts = flat.split([shape.numel() for shape in ctx.shapes])
        return None, None, *(part.reshape(shape) for part, shape in zip(parts, ctx.shapes, strict=True))


def _cells(layers: Any) -> list[Cell]:
    """The cells from below to above, each of which can be stepped forward in time."""
    if isinstance(layers, Stack) and layers.dropout and layers.training and len(layers.layers) > 1:
        raise ValueError("RTRL: the stack applies dropout between layers; call stack.eval(), or set dropout=0")
    cells = []
    for layer in layers.layers if isinstance(layers, Stack) else [layers]:
        if isinstance(layer, Recurrent) and layer.reverse:
            raise ValueError("RTRL: runs forward in time, but a layer has reverse=True")
        cell = layer.cell if isinstance(layer, Recurrent) else layer
        if not isinstance(cell, Cell):
            raise ValueError(f"RTRL: expected a cell, a Recurrent or a Stack of them, got {type(cell).__name__}")
        if cell.prepares:
            raise ValueError(f"RTRL: {type(cell).__name__} draws random numbers for whole calls; call .eval() on it")
        cells.append(cell)
    return cells


def _constants(cell: Cell, passed: State, like: Tensor) -> State:
    constants = cell.all_constants(tuple(passed), like)
    if len(constants) != len(cell.constants):
        wanted = ", ".join(cell.constants) or "none"
        raise ValueError(f"RTRL: {len(passed)} constants were given, the cell has: {wanted}")
    check_constants("RTRL", constants, cell, like)
    return tuple(c.detach() for c in constants)
