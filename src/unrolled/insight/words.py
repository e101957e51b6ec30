"""Findings in sentences."""

from __future__ import annotations

import math

import numpy as np

from unrolled.insight.findings import REMEMBERED, Findings
from unrolled.insight.record import Record, furthest, reach, state_label
from unrolled.wording import counted, perplexity, short


def findings_in_words(kept: Record, found: Findings | None, unit: str, frequencies: float | None) -> list[str]:
    """What is most worth knowing, one sentence each.

    >>> from unrolled.insight.record import record
    >>> lags = {"event": "lags", "update": 9, "by_lag": {"1.h": [1.0, 0.2, 0.05, 0.0001]}}
    >>> print(*findings_in_words(record([lags]), None, "character", None)[0].split(" of its peak "), sep="\\n")
    In training, the gradient of one loss falls below a tenth
    2 steps back, and below a thousandth 3 steps back (h, layer 1, where it reaches furthest).
    """
    said = [_loss(found, unit, frequencies), _memory(found, unit), _gradient(kept)]
    if found is not None:
        said += [_felt(found), _gates(found), _units(found), _errors(found)]
    if kept.warnings:
        times = "once" if len(kept.warnings) == 1 else f"{len(kept.warnings)} times"
        causes = ", ".join(w["cause"] for w in kept.warnings)
        said.append(f"Training warned {times}: {causes}.")
    return [sentence for sentence in said if sentence]


def tiles_of(kept: Record, found: Findings | None, unit: str) -> list[tuple[str, str]]:
    """The few largest numbers, each with what it is."""
    made = []
    if (loss := _mean_loss(found)) is not None and found is not None and found.losses is not None:
        made.append((f"{loss:.3f}", f"nats per {unit} on this text"))
        if unit == "character":
            made.append((f"{loss / math.log(2):.2f}", "bits per character on this text"))
        else:
            made.append((short(perplexity(loss), 1), "perplexity on this text"))
    if (whole := kept.whole_validation) is not None:
        made.append((f"{whole:.3f}", "nats on the whole validation part (best weights)"))
    elif len(kept.validation["loss"]) and np.isfinite(kept.validation["loss"]).any():
        made.append((f"~{np.nanmin(kept.validation['loss']):.3f}", "nats, best estimate of the validation loss"))
    if len(kept.train["update"]):
        made.append((f"{kept.train['update'][-1]:,.0f}", "updates"))
    if (back := furthest(kept.by_lag, 0.01)) is not None:
        steps = f"> {back[2] - 1}" if back[1] is None else f"{back[1]}"
        made.append((steps, "steps until a gradient falls below 1%"))
    if found is not None and found.following:
        made.append((f"{len({u.feature for u in found.following})}", "readable features that units track"))
    return made


def _mean_loss(found: Findings | None) -> float | None:
    if found is None or found.losses is None or not np.isfinite(found.losses.loss).all():
        return None
    return float(found.losses.loss.mean())


def _loss(found: Findings | None, unit: str, frequencies: float | None) -> str:
    if (loss := _mean_loss(found)) is None or found is None or found.losses is None:
        return ""
    beside = ""
    if frequencies:
        verdict = "better" if loss < frequencies else "worse"
        beside = f", {verdict} than a table of frequencies ({frequencies:.2f})"
    return f"On these {counted(len(found.symbols), unit + 's')} the loss is {loss:.3f} nats per {unit}{beside}."


def _memory(found: Findings | None, unit: str) -> str:
    """How much the past before the last few symbols helps."""
    loss = _mean_loss(found)
    if loss is None or found is None or found.losses is None or REMEMBERED not in found.losses.short:
        return ""
    short = float(found.losses.short[REMEMBERED].mean())
    if len(found.symbols) <= 2 * REMEMBERED or not math.isfinite(short):
        return ""
    gain = short - loss
    much = f"memory from further back is worth {gain:.3f} nats"
    if gain < 0.005:
        much = (
            "context from further back makes the loss worse"
            if gain < -0.005
            else "the model remembers next to nothing from further back"
        )
    return f"With only the last {REMEMBERED} {unit}s as context the loss is {short:.3f}: {much}."


def _gradient(kept: Record) -> str:
    """How far back the gradient of a loss reaches, in the state where it reaches furthest."""
    found = []
    for name, kept_curves in kept.by_lag.items():
        curve = kept_curves.norms[-1]
        curve = curve[np.isfinite(curve)]
        if len(curve) and curve.max() > 0:
            found.append((name, reach(curve, 0.1), reach(curve, 0.001), len(curve) - 1))
    if not found:
        return ""
    name, near, far, last = max(found, key=lambda f: (f[2] or f[3] + 1, f[1] or f[3] + 1))
    where = f"({state_label(name)}, where it reaches furthest)"
    if near is None:
        return f"In training, the gradient of one loss is still above a tenth of its peak {last} steps back {where}."
    told = f"In training, the gradient of one loss falls below a tenth of its peak {near} steps back"
    if far is None:
        return f"{told}, and is still above a thousandth {last} steps back {where}."
    return f"{told}, and below a thousandth {far} steps back {where}."


def _felt(found: Findings) -> str:
    if found.gradient is None:
        return ""
    told = found.gradient.verdict
    return f"On this text the gradient through time is {told.kind}: {told.why} ({state_label(told.state)})."


def _gates(found: Findings) -> str:
    if not found.saturation:
        return ""
    if not found.gates:
        return "The cell has no gates: apart from its states, no value in its equation stays between 0 and 1."
    most = max(found.gates, key=lambda s: max(s.low_share, s.high_share))
    share, end = max((most.low_share, "closed"), (most.high_share, "open"))
    gate = f"{most.name} of layer {most.layer + 1}"
    return f"Gate {gate} saturates most: it is nearly {end} {share:.0%} of the time."


def _units(found: Findings) -> str:
    if not found.following:
        return ""
    best = found.following[0]
    return (
        f"Unit {best.name}[{best.unit}] of layer {best.layer + 1} tracks “{best.feature}” "
        f"(r = {best.correlation:+.2f} on the held-out half of the text)."
    )


def _errors(found: Findings) -> str:
    causes = [c for c in found.causes if c.name not in ("no error", "none of these") and c.count]
    if not causes:
        return ""
    most = max(causes, key=lambda c: c.share)
    errors = counted(most.count, "errors")
    return f"“{most.name}” costs most: {errors} make up {most.share:.0%} of the total loss."
