"""The spectral radius of recurrent matrices: what one step does to a gradient, as long as nothing bends it."""

from __future__ import annotations

import torch

from unrolled.cells import Cell, Gates


def spectral_radius(cell: Cell) -> dict[str, float]:
    """The largest absolute eigenvalue of each recurrent matrix of a cell, by gate.

    Equation::

        rho(W) = max_k |lambda_k(W)|

    For h_t = tanh(W h_{t-1} + ...) near zero a gradient goes like rho^k over k steps; tanh' < 1 takes from that, and
    a W that is not normal adds to it at first. The matrices are those of the `Gates` under the name of a state, of
    the innermost cell; a cell that keeps its matrices elsewhere has none here.

    >>> cell = unrolled.ElmanCell(4, 8)  # begins orthogonal
    >>> round(spectral_radius(cell)["h"], 6)
    1.0
    """
    inner = getattr(cell, "innermost", cell)
    found = {}
    for state in inner.state:
        gates = getattr(inner, state, None)
        if not isinstance(gates, Gates) or gates.input_size != gates.hidden_size:
            continue
        for name in gates.names:
            weight = gates.weight.detach()[gates.rows(name)].double().cpu()
            if bool(torch.isfinite(weight).all()):
                found[name] = float(torch.linalg.eigvals(weight).abs().max())
            else:
                found[name] = float("nan")
    return found
