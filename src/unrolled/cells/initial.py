"""First weights: recurrent matrices and biases that keep a state, or its gradient, over many steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.gates import Gates

RECURRENT = ("orthogonal", "identity", "glorot")


def recurrent_(cell: Any, kind: str, scale: float = 1.0) -> Any:
    """Set the recurrent matrices of a cell, gate by gate; the cell.

    Equation::

        W W^T = scale^2 I      "orthogonal": no direction shrinks or grows; what every `Cell` begins with
        W = scale I            "identity": a relu network that begins by remembering (IRNN)
        W ~ U(-a, a)           "glorot": a = scale sqrt(6 / (H + H))

    They are the matrices of the `Gates` under the name of a state, of the innermost cell.

    Raises:
        ValueError: another kind, a scale that is not above 0, or a cell without such matrices.

    Source:
        A. Saxe, J. McClelland & S. Ganguli (2014); Q. V. Le, N. Jaitly & G. Hinton, "A simple way to
        initialize recurrent networks of rectified linear units" (2015); X. Glorot & Y. Bengio (2010).

    >>> recurrent_(unrolled.ElmanCell(4, 2, nonlinearity="relu"), "identity").h.weight
    Parameter containing:
    tensor([[1., 0.],
            [0., 1.]], requires_grad=True)
    """
    name = type(cell).__name__
    if kind not in RECURRENT:
        raise ValueError(f"{name}: recurrent_init must be one of {', '.join(RECURRENT)}, got {kind!r}")
    if not scale > 0:
        raise ValueError(f"{name}: scale must be greater than 0, got {scale!r}")
    inner = _innermost(cell)
    matrices = [g for state in inner.state if isinstance(g := getattr(inner, state, None), Gates)]
    if not matrices:
        raise ValueError(f"{name}: there are no recurrent matrices to set: the cell has no Gates named after a state")
    for gates in matrices:
        for gate in gates.names:
            part = gates.weight.data[gates.rows(gate)]
            if kind == "orthogonal":
                nn.init.orthogonal_(part, gain=scale)
            elif kind == "identity":
                nn.init.eye_(part).mul_(scale)
            else:
                nn.init.xavier_uniform_(part, gain=scale)
    return cell


def chrono_(cell: Any, longest: float) -> Any:
    """Set the biases of the gates that keep and admit, so that memories last from 1 to ``longest`` steps; the cell.

    Equation::

        b_keep = log(u)    u ~ U(1, longest - 1), one a unit        b_admit = -b_keep

    A gate at s(b) forgets the share 1 - s(b) a step, so it holds about 1 + e^b = 1 + u steps. The gates are those
    that the cell names in ``keeps`` and ``admits``: f and i of the LSTM, z of the GRU.

    Units:
        ``longest`` in steps, the longest lag that matters.

    Raises:
        ValueError: ``longest`` is not above 2, or the cell names no such gate, or it has no bias.

    Source:
        C. Tallec & Y. Ollivier, "Can recurrent neural networks warp time?" (2018), section 2.

    >>> cell = chrono_(unrolled.LSTMCell(4, 8), longest=100)
    >>> b = cell.x.bias
    >>> bool((b[cell.x.rows("f")].exp() < 99.1).all()), bool((b[cell.x.rows("i")] == -b[cell.x.rows("f")]).all())
    (True, True)
    """
    name = type(cell).__name__
    if not isinstance(longest, int | float) or not longest > 2:
        raise ValueError(f"{name}: chrono must be the longest lag in steps, above 2, got {longest!r}")
    keep, bias, gates = _kept_by(cell, "chrono")
    keep.copy_(torch.empty_like(keep).uniform_(1, longest - 1).log_())
    if (admits := _innermost(cell).admits) is not None:
        bias[gates.rows(admits)] = -keep
    return cell


def forget_bias_(cell: Any, bias: float) -> Any:
    """Set the bias of the gate that keeps the old state, so that it begins open; the cell.

    Equation::

        b_keep = bias        f = s(bias) while weights are small: 0.73 at 1, 0.95 at 3

    The gate is the one that the cell names in ``keeps``: f of the LSTM, whose own bias begins at 1; z of the GRU.

    Raises:
        ValueError: the bias is not finite, or the cell names no such gate, or it has no bias.

    Source:
        F. Gers, J. Schmidhuber & F. Cummins (2000); R. Jozefowicz, W. Zaremba & I. Sutskever (2015).

    >>> cell = forget_bias_(unrolled.GRUCell(4, 2), 3.0)
    >>> cell.x.bias[cell.x.rows("z")].tolist()
    [3.0, 3.0]
    """
    name = type(cell).__name__
    if not isinstance(bias, int | float) or not math.isfinite(bias):
        raise ValueError(f"{name}: forget_bias must be a number, got {bias!r}")
    _kept_by(cell, "forget_bias")[0].fill_(bias)
    return cell


def _kept_by(cell: Any, option: str) -> tuple[Tensor, Tensor, Gates]:
    """The bias of the gate that keeps the state, the whole that it is a part of, and its gates."""
    name, inner = type(cell).__name__, _innermost(cell)
    gates = getattr(inner, "x", None)
    if inner.keeps is None or not isinstance(gates, Gates):
        raise ValueError(
            f"{name}: {option} needs a gate that keeps the state, and this cell names none. LSTM and GRU have one; "
            "in a cell of your own, set keeps = 'f', the name of one of the Gates of x"
        )
    if gates.bias is None:
        raise ValueError(f"{name}: {option} sets biases, but the cell has bias=False")
    bias = gates.bias.data
    return bias[gates.rows(inner.keeps)], bias, gates


def _innermost(cell: Any) -> Any:
    return getattr(cell, "innermost", cell)
