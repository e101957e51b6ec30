"""Gradient through time: how much of one loss is felt k steps back, in every state of every layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.engine.recording import recording
from unrolled.insight.names import layer_of
from unrolled.insight.opening import Opened, inputs_of, opened, plain
from unrolled.insight.radius import spectral_radius
from unrolled.insight.verdict import FEWEST, Verdict, decay, verdict
from unrolled.layers import Bidirectional, Recurrent
from unrolled.layers.directions import directions

Advise = Callable[[str, bool, int], str]
Curves = dict[str, np.ndarray]
"""By layer and state (``"1.h"``), or layer and gate (``"1.f"``): one number a lag, from lag 0 on."""


@dataclass(frozen=True)
class GradientThroughTime:
    """How the gradient of one loss goes back through time. Layers count from 1, as in a run's history.

    Fields:
        lags: 0, 1, ..., K: steps back from the loss.
        norms: ||dL/ds|| of each state, that many steps back; over all sequences.
        kept: of each layer whose cell names the gate that keeps its state, the product of that gate over the last
            k steps: the root of its mean square over units and sequences. It is 1 at lag 0.
        decay: slope of log norm against lag, by state; NaN where there are too few steps.
        radius: spectral radius of each recurrent matrix, by layer and gate.
        verdicts: in words, by state.
        fitted: first and last lag of the slopes.
        loss: what L is, in words.
        notes: what could not be shown, and why.

    Units:
        norms in units of L for one unit of the state; slopes in 1/steps, of the natural logarithm.
    """

    lags: np.ndarray
    norms: Curves
    kept: Curves
    decay: dict[str, float]
    radius: dict[str, float]
    verdicts: dict[str, Verdict]
    fitted: tuple[int, int]
    loss: str
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the state in which the gradient lasts longest."""
        known = {name: v for name, v in self.verdicts.items() if v.kind != "unknown"} or self.verdicts
        return known[max(known, key=lambda name: (known[name].kind == "exploding", known[name].rate))]

    def advised(self, advise: Advise) -> GradientThroughTime:
        """The same with other advice: ``advise`` is given a verdict's kind, whether gates keep the state, and K."""
        gated = {layer_of(name) for name in self.kept}
        advised = {
            name: replace(v, cure=advise(v.kind, layer_of(name) in gated, len(self.lags) - 1))
            for name, v in self.verdicts.items()
            if v.cure
        }
        return replace(self, verdicts=self.verdicts | advised)

    def as_json(self) -> dict[str, Any]:
        """Everything as numbers, lists and words; infinite values and NaN are None."""
        words = {name: asdict(v) | {"words": str(v)} for name, v in self.verdicts.items()}
        fields = {
            name: getattr(self, name) for name in ("lags", "norms", "kept", "decay", "radius", "fitted", "loss")
        }
        return plain(fields | {"verdicts": words, "verdict": str(self.verdict), "notes": self.notes})


def gradient_through_time(
    model: nn.Module,
    x: Tensor,
    targets: Tensor | None = None,
    *,
    lags: int | None = None,
    at: int | None = None,
    fit: tuple[int, int] | None = None,
    loss: Callable[[Tensor], Tensor] | None = None,
    state: Any = None,
    seed: int = 0,
) -> GradientThroughTime:
    """The norms of dL_T/ds_{T-k}, k = 0, 1, ..., of every state s of every layer; L_T is the loss of one step.

    Equation::

        dL_T/ds_{T-k} = dL_T/ds_T  J_T J_{T-1} ... J_{T-k+1}        J_t = ds_t/ds_{t-1}, all states together

    Works for every cell, including your own. A state is differentiated as the next step receives it, and the
    first state also as the output of the layer. In an LSTM, c_T itself has no gradient, since no later step reads it.
    A cell that runs backward in time is followed into the future. Everything is computed in float64, on a copy.

    Shapes:
        x: symbols (T, N) or vectors (T, N, D), as the model takes them; one sequence also without its N, and then
        targets without theirs.

    Arguments:
        model: a `Model`, `Stack`, `LSTM`, `GRU`, `Elman`, or one `Recurrent` or `Bidirectional` layer.
        targets: of a `Model`: what step ``at`` should give, (N, ...), or of every step, (T, N, ...). L is then the
            loss of the model's head, a mean over sequences.
        lags: K, the most steps back; None for all there are.
        at: the step that L belongs to. None: the last one; with a bidirectional layer, the middle.
        fit: first and last lag of the slopes; None: from a tenth of the lags on.
        loss: L as a function of the outputs of that step (N, width), in place of targets.
        state: before the first step; one entry a layer, for a single layer its own.
        seed: without targets and loss, L is u y for a random direction u, drawn with it.

    Cost:
        one forward and one backward pass in float64, and one step-by-step pass for the gates.

    Raises:
        ValueError: the model has no recurrent layers, or an argument does not fit. A sequence shorter than ``lags``
            is not an error; ``notes`` says so.

    Source:
        J. Hochreiter (1991); Y. Bengio, P. Simard & P. Frasconi (1994); R. Pascanu, T. Mikolov & Y. Bengio (2013).

    >>> layer = unrolled.Recurrent(unrolled.LSTMCell(4, 8, forget_bias=3.0))
    >>> found = gradient_through_time(layer, torch.randn(60, 2, 4))
    >>> found.norms["1.h"].shape, float(found.norms["1.c"][0]), float(found.kept["1.f"][0])
    ((60,), 0.0, 1.0)
    """
    who = "gradient_through_time"
    parts = opened(who, model, x, state)
    if parts.model is not None and parts.model.pool is not None:
        raise ValueError(
            f"{who}: the model has a pool over all steps, so that its loss belongs to no single one; pass its .stack"
        )
    broken = [name for name, p in model.named_parameters() if bool(torch.isnan(p).any())]
    if broken:
        raise ValueError(f"{who}: {broken[0]} contains NaN: these weights are not usable")
    if not bool(torch.isfinite(parts.x).all()):
        raise ValueError(f"{who}: x contains infinite values or NaN")
    T = len(parts.x)
    if lags is not None and (type(lags) is not int or lags < 1):
        raise ValueError(f"{who}: lags must be an integer of at least 1, got {lags!r}")
    if fit is not None and not (_whole(fit) and len(fit) == 2 and 0 <= fit[0] <= fit[1] - FEWEST + 1):
        raise ValueError(
            f"{who}: fit must be the first and last lag of the slope, at least {FEWEST} lags, such as (10, 100), "
            f"got {fit}"
        )
    ways = directions(parts.layers)
    origins = _origins(who, parts, ways, at)
    with recording() as recorded, torch.enable_grad():
        outputs = _outputs(parts, origins)
        value, words = _loss(who, parts, outputs, targets, loss, origins, seed)
        torch.autograd.grad(value, parts.x, allow_unused=True)
    longest = max((o if not ways[w].reverse else T - 1 - o) for w, o in origins.items())
    notes = []
    if lags is not None and lags > longest:
        notes.append(f"lags are shown up to {longest}, not {lags}: the sequence has only {T} steps")
    K = longest if lags is None else min(lags, longest)
    norms: Curves = {}
    for (way, layer), record in zip(ways.items(), recorded.records, strict=True):
        for name in layer.cell.state:
            curve = record.norms[name].numpy() if name in record.norms else np.zeros(T)
            norms[f"{way}.{name}"] = _back(curve, origins[way], layer.reverse)[: K + 1]
    products, without = _products(parts, origins, K)
    radius = {f"{w}.{gate}": rho for w, layer in ways.items() for gate, rho in spectral_radius(layer.cell).items()}
    fitted = _fitted(fit, K, notes)
    slopes = {name: decay(curve, *fitted) for name, curve in norms.items()}
    verdicts = {
        name: verdict(name, curve, slopes[name], ways[layer_of(name)].cell, products, radius)
        for name, curve in norms.items()
    }
    return GradientThroughTime(
        np.arange(K + 1), norms, products, slopes, radius, verdicts, fitted, words, (*notes, *without)
    )


def _whole(numbers: Any) -> bool:
    return isinstance(numbers, tuple | list) and all(type(k) is int for k in numbers)


def _fitted(fit: tuple[int, int] | None, K: int, notes: list[str]) -> tuple[int, int]:
    """First and last lag of the slopes: what was asked for, as far as there are lags."""
    usual = (K // 10, K)
    if fit is None:
        return usual
    if fit[1] <= K:
        return fit
    if K - fit[0] + 1 >= FEWEST:
        notes.append(f"slopes are fitted up to lag {K}, the last one, not {fit[1]}")
        return fit[0], K
    notes.append(f"slopes are fitted from lag {usual[0]} to {K}, not {fit[0]} to {fit[1]}: lag {K} is the last one")
    return usual


def _origins(who: str, parts: Opened, ways: dict[str, Recurrent], at: int | None) -> dict[str, int]:
    """The step from which each direction's lags count."""
    T = len(parts.x)
    if parts.model is not None and parts.model.graph == "many-to-one":
        if at not in (None, T - 1, -1):
            raise ValueError(f"{who}: a many-to-one model has its loss at the end, got at={at}")
        return {name: 0 if layer.reverse else T - 1 for name, layer in ways.items()}
    reverse = {layer.reverse for layer in ways.values()}
    if at is None:
        at = T // 2 if len(reverse) == 2 else 0 if reverse == {True} else T - 1
    if not -T <= at < T:
        raise ValueError(f"{who}: at={at} is out of range: the sequence has {T} steps")
    return dict.fromkeys(ways, at % T)


def _outputs(parts: Opened, origins: dict[str, int]) -> Tensor:
    """What the last layer gives out at the step of the loss (N, width). The first input takes the gradient."""
    x = parts.x.requires_grad_()
    for k, layer in enumerate(parts.layers):
        x, _ = layer(x, parts.states[k])
    last = parts.layers[-1]
    ends = list(origins.values())
    if isinstance(last, Bidirectional):
        ahead, back = x.split([last.forward_layer.output_size, last.backward_layer.output_size], dim=2)
        return torch.cat([ahead[ends[-2]], back[ends[-1]]], dim=1)
    return x[ends[-1]]


def _loss(
    who: str,
    parts: Opened,
    h: Tensor,
    targets: Tensor | None,
    loss: Callable[[Tensor], Tensor] | None,
    origins: dict[str, int],
    seed: int,
) -> tuple[Tensor, str]:
    """L, and what it is."""
    model, N = parts.model, len(h)
    y = h if model is None else model.read(h)
    at = next(iter(origins.values()))
    if loss is not None:
        value = loss(y)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(f"{who}: loss must return one number for outputs of shape {tuple(y.shape)}")
        if not value.requires_grad:
            raise ValueError(f"{who}: loss must depend on the outputs, but it returned a number without a gradient")
        return value.reshape(()), f"the given loss at step {at}"
    if targets is None:
        u = torch.randn(y.shape[1:], dtype=y.dtype, generator=torch.Generator().manual_seed(seed))
        return (y * (u / u.norm())).sum() / N, f"a random projection of the outputs of step {at}"
    if model is None or not hasattr(model.head, "loss"):
        raise ValueError(
            f"{who}: targets need a Model whose head has a loss; pass loss=, a function of the outputs, instead"
        )
    targets = targets.detach().cpu()
    targets = targets.double() if targets.is_floating_point() else targets
    if parts.alone:
        every = model.graph == "many-to-many" and targets.dim() and len(targets) == len(parts.x)
        targets = targets.unsqueeze(1 if every else 0)
    if model.graph == "many-to-many" and targets.shape[:2] == parts.x.shape[:2]:
        targets = targets[at]
    if not targets.dim() or len(targets) != N:
        raise ValueError(
            f"{who}: targets have shape {tuple(targets.shape)}, expected (N, ...) or (T, N, ...), N = {N}"
        )
    total, count = model.head.loss(y, targets)
    return total / count, f"the loss of step {at}"


def _back(values: np.ndarray, origin: int, reverse: bool) -> np.ndarray:
    """Steps of a sequence in the order of their lag."""
    return values[origin:] if reverse else values[: origin + 1][::-1]


def _products(parts: Opened, origins: dict[str, int], K: int) -> tuple[Curves, list[str]]:
    """Products of the gates that keep, by lag; and of which layers there are none."""
    products: Curves = {}
    notes = []
    for way, layer in directions(parts.layers).items():
        cell = getattr(layer.cell, "innermost", layer.cell)
        kind = type(cell).__name__
        if cell.keeps is None:
            notes.append(f"layer {way}: {kind} names no gate that keeps its state, so no product of gates is shown")
            continue
        k = int(way.split()[0]) - 1
        first = parts.states[k]
        if isinstance(parts.layers[k], Bidirectional) and first is not None:
            first = first[layer.reverse]
        named = layer.gates(inputs_of(parts, k), first)
        if cell.keeps not in named:
            notes.append(f"layer {way}: the equation of {kind} does not contain {cell.keeps!r}")
            continue
        steps = _back(named[cell.keeps].numpy(), origins[way], layer.reverse)[:K]
        product = np.concatenate([np.ones((1, *steps.shape[1:])), np.cumprod(steps, axis=0)])
        products[f"{way}.{cell.keeps}"] = np.sqrt((product**2).mean(axis=(1, 2)))
    return products, notes
