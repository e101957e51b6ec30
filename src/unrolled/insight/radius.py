"""The spectral radius of recurrent matrices: what one step does to a gradient, as long as nothing bends it."""

from __future__ import annotations

import torch

from unrolled.cells import Cell, Gates
from unrolled.insight.inputs import check_weights


def spectral_radius(cell: Cell) -> dict[str, float]:
    """The largest absolute eigenvalue of each recurrent matrix of a cell, by gate.

    Equation::

        rho(W) = max_k |lambda_k(W)|

    For h_t = tanh(W h_{t-1} + ...) near zero, a gradient scales like rho^k over k steps. tanh' < 1 makes it smaller,
    and a W that is not normal makes it larger at first. The matrices are the ones that the innermost cell keeps
    under the name of a state: `Gates`, by gate name, or any module with a ``weight``, by number. Matrices kept
    elsewhere are not found.

    Raises:
        ValueError: it is not a cell, or its weights are on the meta device.

    >>> cell = unrolled.ElmanCell(4, 8)  # begins orthogonal
    >>> round(spectral_radius(cell)["h"], 6)
    1.0
    """
    if not isinstance(cell, Cell):
        raise ValueError(f"spectral_radius: expected a cell, got {type(cell).__name__}; pass the .cell of one layer")
    check_weights("spectral_radius", cell)
    inner = getattr(cell, "innermost", cell)
    radii = {}
    for state in inner.state:
        weight = getattr(getattr(inner, state, None), "weight", None)
        if not isinstance(weight, torch.Tensor) or weight.dim() != 2 or weight.shape[0] % weight.shape[1]:
            continue
        blocks = weight.detach().double().cpu().split(weight.shape[1])
        gates = getattr(inner, state)
        for k, block in enumerate(blocks):
            name = gates.names[k] if isinstance(gates, Gates) else state + (f"[{k}]" if len(blocks) > 1 else "")
            finite = bool(torch.isfinite(block).all())
            radii[name] = float(torch.linalg.eigvals(block).abs().max()) if finite else float("nan")
    return radii
