"""torch.nn's own kernels for the cells that they know.

Nothing here defines a cell: the equation does, and the tests hold each kernel to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.compiler.hooks import any_hook

State = tuple[Tensor, ...]


def has_kernel(cell: Cell) -> bool:
    """Whether torch.nn can run this cell: exactly these classes, since a subclass may differ, as they are."""
    kind = type(cell)
    if kind not in _KERNELS or kind.step is not _STEPS[kind] or "step" in vars(cell) or any_hook(cell):
        return False
    if isinstance(cell, ElmanCell):
        return cell.phi is _PHI[cell.nonlinearity]
    return not isinstance(cell, GRUCell) or cell.reset == "after"


def scan(
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """As `engine.eager.scan`, by torch.nn's kernels. Lengths must be at least 1, and exclude resets."""
    if resets is not None:
        return _scan_segments(cell, x, state, resets, reverse)
    if lengths is not None:
        return _scan_lengths(cell, x, state, lengths, reverse)
    if reverse:
        output, state = _kernel(cell, x.flip(0), None, state)
        return output.flip(0), state
    return _kernel(cell, x, None, state)


def _scan_segments(cell: Cell, x: Tensor, state: State, resets: Tensor, reverse: bool) -> tuple[Tensor, State]:
    """One call for each stretch of time in which no sequence begins."""
    T, N, _ = x.shape
    initial = cell.initial_state(N, like=x)
    begins = resets.any(dim=1).nonzero().flatten().tolist()
    edges = sorted({0, T, *begins})
    stretches = list(zip(edges[:-1], edges[1:], strict=True))
    outputs: list[Tensor] = []
    for start, stop in reversed(stretches) if reverse else stretches:
        crossed = stop if reverse else start
        if crossed < T:
            fresh = resets[crossed].unsqueeze(1)
            state = tuple(torch.where(fresh, a, b) for a, b in zip(initial, state, strict=True))
        output, state = scan(cell, x[start:stop], state, reverse=reverse)
        outputs.append(output)
    return torch.cat(outputs[::-1] if reverse else outputs), state


def _scan_lengths(cell: Cell, x: Tensor, state: State, lengths: Tensor, reverse: bool) -> tuple[Tensor, State]:
    """Packed, which torch.nn needs to freeze each state at its own end."""
    order = _reversed_steps(x.shape[0], lengths) if reverse else None
    if order is not None:
        x = _take_steps(x, order)
    packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
    there, back = packed.sorted_indices, packed.unsorted_indices
    assert there is not None and back is not None
    data, last = _kernel(cell, packed.data, packed.batch_sizes, tuple(s[there] for s in state))
    output, _ = pad_packed_sequence(packed._replace(data=data), total_length=x.shape[0])
    if order is not None:
        inside = torch.arange(x.shape[0], device=x.device)[:, None] < lengths
        output = _take_steps(output, order) * inside[..., None]
    return output, tuple(s[back] for s in last)


def _reversed_steps(T: int, lengths: Tensor) -> Tensor:
    """(T, N): step length-1-t where t < length, t elsewhere."""
    t = torch.arange(T, device=lengths.device)[:, None]
    return torch.where(t < lengths, lengths - 1 - t, t)


def _take_steps(x: Tensor, steps: Tensor) -> Tensor:
    return x.gather(0, steps[..., None].expand(*steps.shape, x.shape[2]))


def _kernel(cell: Cell, x: Tensor, batch_sizes: Tensor | None, state: State) -> tuple[Tensor, State]:
    """One layer, one direction; ``x`` is (T, N, D), or packed data with its batch sizes."""
    function, kind_state = _KERNELS[type(cell)]
    if isinstance(cell, ElmanCell) and cell.nonlinearity == "relu":
        function = torch.rnn_relu
    hidden = tuple(s.unsqueeze(0) for s in state)
    weights = torch_weights(cell)
    has_biases = len(weights) == 4
    hx = list(hidden) if kind_state == "tuple" else hidden[0]
    layout: tuple = (1, 0.0, False, False)  # layers, dropout, training, bidirectional
    if batch_sizes is None:
        output, *last = function(x, hx, weights, has_biases, *layout, False)
    else:
        output, *last = function(x, batch_sizes, hx, weights, has_biases, *layout)
    return output, tuple(s.squeeze(0) for s in last)


_KERNELS: dict[type[Cell], tuple[Callable, str]] = {
    LSTMCell: (torch.lstm, "tuple"),
    GRUCell: (torch.gru, "single"),
    ElmanCell: (torch.rnn_tanh, "single"),
}
_STEPS = {kind: kind.step for kind in _KERNELS}
_PHI = {"tanh": torch.tanh, "relu": torch.relu}


def torch_weights(cell: Any) -> list[Tensor]:
    """weight_ih, weight_hh, bias_ih, bias_hh of torch.nn; the second bias is zero but for the GRU's d_n."""
    weights = [cell.x.weight, cell.h.weight]
    if cell.x.bias is None:
        return weights
    second = torch.zeros_like(cell.x.bias)
    if isinstance(cell, GRUCell) and cell.d_n is not None:
        second = torch.cat([second[: 2 * cell.hidden_size], cell.d_n])
    return [*weights, cell.x.bias, second]
