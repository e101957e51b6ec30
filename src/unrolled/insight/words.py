"""Findings in sentences."""

from __future__ import annotations

import math

import numpy as np

from unrolled.insight.about import About
from unrolled.insight.findings import REMEMBERED, Findings
from unrolled.insight.names import label_of, layer_of, own_name
from unrolled.insight.record import Record, furthest, reach
from unrolled.wording import counted, perplexity, short


def findings_in_words(history: Record, findings: Findings | None, unit: str, frequencies: float | None) -> list[str]:
    """What is most worth knowing, one sentence each.

    >>> from unrolled.insight.record import record
    >>> lags = {"event": "lags", "update": 9, "by_lag": {"1.h": [1.0, 0.2, 0.05, 0.0001]}}
    >>> print(*findings_in_words(record([lags]), None, "character", None)[0].split(" of its peak "), sep="\\n")
    In training, the gradient of one loss falls below a tenth
    2 steps back, and below a thousandth 3 steps back (h, layer 1, where it reaches furthest).
    """
    sentences = [_loss(findings, unit, frequencies), _memory(findings, unit), _gradient(history)]
    if findings is not None:
        sentences += [_felt(findings), _gates(findings), _units(findings), _errors(findings)]
    if history.warnings:
        times = "once" if len(history.warnings) == 1 else f"{len(history.warnings)} times"
        causes = ", ".join(w["cause"] for w in history.warnings)
        sentences.append(f"Training warned {times}: {causes}.")
    return [sentence for sentence in sentences if sentence]


def tiles_of(history: Record, findings: Findings | None, about: About) -> list[tuple[str, str]]:
    """The few largest numbers, each with what it is."""
    facts = []
    if (loss := _mean_loss(findings)) is not None and findings is not None and findings.losses is not None:
        this = "text" if findings.names else "sequence"
        facts.append((f"{loss:.3f}", f"nats per {about.unit} on this {this}"))
        facts += [(f"{loss * factor:.2f}", f"{unit} on this {this}") for factor, unit in about.scales]
        if findings.names and not about.scales:
            facts.append((short(perplexity(loss), 1), "perplexity on this text"))
    if (whole := history.whole_validation) is not None:
        facts.append((f"{whole:.3f}", "nats on the whole validation part (best weights)"))
    elif len(history.validation["loss"]) and np.isfinite(history.validation["loss"]).any():
        facts.append((f"~{np.nanmin(history.validation['loss']):.3f}", "nats, best estimate of the validation loss"))
    if len(history.train["update"]):
        facts.append((f"{history.train['update'][-1]:,.0f}", "updates"))
    if (back := furthest(history.by_lag, 0.01)) is not None:
        steps = f"> {back[2] - 1}" if back[1] is None else f"{back[1]}"
        facts.append((steps, "steps until a gradient falls below 1%"))
    if findings is not None and findings.following:
        facts.append((f"{len({u.feature for u in findings.following})}", "readable features that units track"))
    return facts


def _mean_loss(findings: Findings | None) -> float | None:
    if findings is None or findings.losses is None or not np.isfinite(findings.losses.loss).all():
        return None
    return float(findings.losses.loss.mean())


def _loss(findings: Findings | None, unit: str, frequencies: float | None) -> str:
    if (loss := _mean_loss(findings)) is None or findings is None or findings.losses is None:
        return ""
    beside = ""
    if frequencies:
        verdict = "better" if loss < frequencies else "worse"
        beside = f", {verdict} than a table of frequencies ({frequencies:.2f})"
    return f"On these {counted(len(findings.symbols), unit + 's')} the loss is {loss:.3f} nats per {unit}{beside}."


def _memory(findings: Findings | None, unit: str) -> str:
    """How much the past before the last few symbols helps."""
    loss = _mean_loss(findings)
    if loss is None or findings is None or findings.losses is None or REMEMBERED not in findings.losses.short:
        return ""
    short = float(findings.losses.short[REMEMBERED].mean())
    if len(findings.symbols) <= 2 * REMEMBERED or not math.isfinite(short):
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


def _gradient(history: Record) -> str:
    """How far back the gradient of a loss reaches, in the state where it reaches furthest."""
    reaches = []
    for name, recorded in history.by_lag.items():
        curve = recorded.norms[-1]
        curve = curve[np.isfinite(curve)]
        if len(curve) and curve.max() > 0:
            reaches.append((name, reach(curve, 0.1), reach(curve, 0.001), len(curve) - 1))
    if not reaches:
        return ""
    name, near, far, last = max(reaches, key=lambda f: (f[2] or f[3] + 1, f[1] or f[3] + 1))
    where = f"({label_of(name)}, where it reaches furthest)"
    if near is None:
        return f"In training, the gradient of one loss is still above a tenth of its peak {last} steps back {where}."
    falls = f"In training, the gradient of one loss falls below a tenth of its peak {near} steps back"
    if far is None:
        return f"{falls}, and is still above a thousandth {last} steps back {where}."
    return f"{falls}, and below a thousandth {far} steps back {where}."


def _felt(findings: Findings) -> str:
    if findings.gradient is None:
        return ""
    verdict = findings.gradient.verdict
    return f"On this sequence the gradient through time is {verdict.kind}: {verdict.why} ({label_of(verdict.state)})."


def _gates(findings: Findings) -> str:
    if not findings.saturation:
        return ""
    if not findings.gates:
        return "The cell has no gates: apart from its states, no value in its equation stays between 0 and 1."
    most = max(findings.gates, key=lambda s: max(s.low_share, s.high_share))
    share, end = max((most.low_share, "closed"), (most.high_share, "open"))
    gate = f"{own_name(most.name)} of layer {layer_of(most.name)}"
    return f"Gate {gate} saturates most: it is nearly {end} {share:.0%} of the time."


def _units(findings: Findings) -> str:
    if not findings.following:
        return ""
    best = findings.following[0]
    return (
        f"Unit {own_name(best.name)}[{best.unit}] of layer {layer_of(best.name)} tracks “{best.feature}” "
        f"(r = {best.correlation:+.2f} on the held-out half of the sequence)."
    )


def _errors(findings: Findings) -> str:
    causes = [c for c in findings.causes if c.name not in ("no error", "none of these") and c.count]
    if not causes:
        return ""
    most = max(causes, key=lambda c: c.share)
    errors = counted(most.count, "errors")
    return f"“{most.name}” costs most: {errors} make up {most.share:.0%} of the total loss."
