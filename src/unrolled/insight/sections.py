"""The sections of a report, each as HTML; empty where there is nothing to show. Their pictures are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.drawing import DrawingError
from unrolled.insight import report_figures as draw
from unrolled.insight.canvas import as_png, as_svg
from unrolled.insight.errors import Losses
from unrolled.insight.exponents import Lyapunov
from unrolled.insight.findings import BY_CHANCE, CONTEXTS, EXPLAINED, REMEMBERED, Findings
from unrolled.insight.gradient import GradientThroughTime
from unrolled.insight.names import label_of, layer_of
from unrolled.insight.page import by_unit, chooser, picture, reader, scales, table, text, unit_scale, visible
from unrolled.insight.record import Curves, Record, reach
from unrolled.insight.saturation import NEAR
from unrolled.insight.units import Unit

_SHARES = (0.5, 0.1, 0.01, 0.001)
_EXCERPT, _EXCERPTS = 600, 6
_SURPRISES = 12
_SAMPLE = 600
_ALWAYS = 0.9
"""A unit is called always open, or shut, if it is so in more than this share of the steps."""


class Sections:
    """Makes sections, and keeps their pictures by file name.

    Arguments:
        unit: of the sequences, such as ``"character"``.
        pictures: where PNG files go.
    """

    def __init__(self, unit: str, pictures: dict[str, bytes]) -> None:
        self.unit = unit
        self.pictures = pictures

    def learning(self, history: Record) -> str:
        """Losses, and what steered the steps: clipping above all."""
        curves = self._picture(
            draw.learning_curves(history),
            "learning",
            f"The training loss, averaged between reports, and {_how(history)}." + _further(history.further),
        )
        clipping = ""
        if isinstance(clipped := history.finished.get("clipped"), int | float):
            clipping = f" In all, {_percent(clipped)} of the updates were clipped"
            skipped = history.finished.get("skipped")
            clipping += f", and {skipped} skipped because the gradient was not finite." if skipped else "."
        steering = self._picture(
            draw.steering(history),
            "clipping",
            "Norm of the gradient before clipping, share of updates whose gradient was clipped, and "
            f"learning rate.{clipping}",
        )
        return _grid(curves, steering)

    def samples(self, samples: Sequence[tuple[int, str]]) -> str:
        """What the model wrote as it learnt; the last one open."""
        html = []
        for k, (update, written) in enumerate(samples):
            opened = " open" if k == len(samples) - 1 else ""
            cut = written if len(written) <= _SAMPLE else written[:_SAMPLE] + " ..."
            html.append(
                f"<details{opened}><summary>after {update:,} updates</summary>"
                f'<pre class="text">{text(cut)}</pre></details>'
            )
        return "".join(html)

    def gradients(self, history: Record, findings: Findings | None) -> str:
        """Of the trained model over the text; and by lag, and by position, as training kept them."""
        felt = None if findings is None else findings.gradient
        now = "" if findings is None or felt is None else self._felt(felt, findings.exponent)
        lags = self._picture(
            draw.lag_curves(history.by_lag),
            "gradient-by-lag",
            "Recorded in training: how strongly the loss of one step depends on each state k steps earlier. "
            "Faint lines show the first probe, the others the last. "
            "A straight line decays by the same factor per step.",
        )
        over = self._picture(
            draw.gradient_maps(history.by_lag, "lag k"),
            "gradient-by-lag-over-training",
            "The same over the course of training, from bottom to top. Bright means a strong gradient. What is dark "
            "on the right has no influence on learning.",
        )
        position = self._picture(
            draw.gradient_maps(history.by_position, "position in the chunk"),
            "gradient-by-position",
            "Norm of the gradient of a whole chunk's loss at each position. The nearest losses dominate it, so it "
            "does not show how far back a single loss reaches.",
        )
        rows = [[label_of(name), *_reaches(c)] for name, c in history.by_lag.items()]
        head = ["state", *(f"{share:.1%}".replace(".0%", "%") for share in _SHARES)]
        title = "Steps after which the gradient of one loss stays below a share of its peak (last probe)"
        steps = f"<h3>{title}</h3>{table(head, rows)}" if rows else ""
        return _grid(now, lags, over, position, _card(steps))

    def _felt(self, gradient: GradientThroughTime, exponent: Lyapunov | None) -> str:
        """The gradient of one loss back through the sequence, with a verdict."""
        drawn = self._picture(
            draw.felt_curves(gradient),
            "gradient-through-time",
            "The trained model on this sequence: how strongly the loss of one step depends on each state k steps "
            "earlier, and the product of the gates that keep that state, if the cell names such a gate.",
        )
        rows = []
        for name, v in gradient.verdicts.items():
            radius = [r for gate, r in gradient.radius.items() if layer_of(gate) == layer_of(name)]
            largest = f"{max(radius):.2f}" if radius else "-"
            rate = f"{v.rate:+.3f}" if np.isfinite(v.rate) else "-"
            rows.append([label_of(name), v.kind, f"{v.steps:.1f}" if np.isfinite(v.steps) else "-", rate, largest])
        head = ["state", "gradient", "steps", "slope", "radius"]
        notes = [
            f"In {label_of(gradient.verdict.state)}, where the gradient lasts longest, it is {gradient.verdict}.",
            "Steps: the half-life, or the doubling time. Slope: the change of the natural logarithm per step back. "
            "Radius: the largest spectral radius of the layer's recurrent matrices.",
        ]
        if exponent is not None:
            notes.append(f"Lyapunov exponents along the sequence: {exponent}.")
        notes += [f"{note}." for note in gradient.notes]
        words = "".join(f'<p class="soft">{text(line)}</p>' for line in notes)
        return drawn + _card(f"<h3>Does the gradient vanish?</h3>{table(head, rows)}{words}")

    def gates(self, findings: Findings) -> str:
        """Saturation of each gate and state, per layer."""
        if not findings.saturation:
            return ""
        scatter = self._picture(
            draw.saturation_scatter(findings.saturation),
            "saturation",
            "Each dot is one unit: the share of time its gate is nearly open, against the share it is nearly closed. "
            "On the dotted line the gate is always one or the other. At either end of that line it does not "
            "move at all (Karpathy, Johnson & Fei-Fei 2015).",
        )
        over = self._picture(
            draw.gate_map(findings.means, [visible(s).replace("\n", "↵") for s in findings.symbols], self.unit),
            "gates",
            f"Mean of each gate over its units, {self.unit} by {self.unit}, for the beginning of the sequence.",
        )
        none = (
            ""
            if findings.gates
            else "<p>This cell has no gates: apart from its states, no value stays between 0 and 1.</p>"
        )
        rows = [
            [
                label_of(s.name),
                {"gate": "gate", "tanh": "in [-1, 1]", "unbounded": "unbounded"}[s.kind],
                f"{round(s.mean, 2) + 0.0:.2f}",
                f"{s.low_share:.0%}",
                f"{s.high_share:.0%}",
                int((s.low > _ALWAYS).sum()),
                int((s.high > _ALWAYS).sum()),
                len(s.low),
            ]
            for s in sorted(findings.saturation, key=lambda s: s.kind != "gate")
        ]
        head = ["name", "kind", "mean", "near low end", "near high end", "units always low", "always high", "units"]
        legend = (
            f"Near an end: a gate is below {NEAR:g} or above {1 - NEAR:g}, any other value below {NEAR - 1:g} or "
            f"above {1 - NEAR:g}. Always: in more than {_ALWAYS:.0%} of the steps. A forget gate that is always high "
            "preserves its unit's memory. A unit that saturates at both ends acts as a switch or a counter."
        )
        return f'{none}{_grid(scatter, over)}{_card(table(head, rows))}<p class="soft">{text(legend)}</p>'

    def units(self, findings: Findings) -> str:
        """Units that follow something readable, and the sequence in their colours."""
        if not findings.followers:
            return ""
        following = findings.following
        head = ["feature", "unit", "r", "r on selection half", "p"]
        best = [u for k, u in enumerate(following) if u.feature not in {v.feature for v in following[:k]}]
        first, rest = best, [u for u in following if u not in best]
        html = _card(table(head, [_follower(u) for u in first])) if first else ""
        if rest:
            more = table(head, [_follower(u) for u in rest])
            html += f"<details><summary>{len(rest)} more units for these features</summary>{_card(more)}</details>"
        legend = (
            "Units are selected on the first half of the sequence; r is their correlation on the second half. p is "
            "how often any of the selected units correlates as strongly with its feature after the features have "
            f"been shifted along it. A unit is listed if its feature explains at least {EXPLAINED:.0%} of its "
            f"variance (|r| of {EXPLAINED**0.5:.2f} or more) and p is at most {BY_CHANCE:g}. One in "
            f"{1 / BY_CHANCE:.0f} sequences lists a unit by chance alone."
        )
        named = {u.feature for u in following}
        missing = [u.feature for u in findings.followers if u.feature not in named]
        lost = f"No unit tracks: {', '.join(dict.fromkeys(missing))}." if missing else ""
        return f'{html}<p class="soft">{text(legend)} {text(lost)}</p>{self._excerpts(findings, best)}'

    def errors(self, findings: Findings) -> str:
        """The loss of each step, why it was high, and what past it needed."""
        lost = findings.losses
        if lost is None or not np.isfinite(lost.loss).all():
            return ""
        causes = self._picture(
            draw.cause_bars(findings.causes),
            "causes",
            "The total loss, divided by cause. A step is an error if its probability is below one half. "
            "Each error is assigned to the first cause, from the top, that applies. Long memory: with only the "
            f"last {REMEMBERED} {self.unit}s as context the loss grows by at least half a nat.",
        )
        means = {k: float(v.mean()) for k, v in lost.short.items() if k in CONTEXTS}
        context = self._picture(
            draw.context_curve(means, float(lost.loss.mean()), self.unit) if means else None,
            "context",
            f"Mean loss when the model starts afresh that many {self.unit}s before each {self.unit}. The gap "
            "between a point and the dashed line is what memory from further back is worth.",
        )
        titles = [f"the first {self.unit} is given, not predicted"]
        titles += [_told(findings, lost, t) for t in range(len(lost.loss))]
        loss = np.concatenate([[np.nan], lost.loss])
        labels = [label_of(t.name, t.unit) + (f": {t.follows}" if t.follows else "") for t in findings.traces]
        choice = chooser(labels, [t.values for t in findings.traces])
        guess = " and what the model expected" if lost.candidates.size else ""
        text_in_colours = (
            f"<h3>The {'text' if findings.names else 'sequence'}, {self.unit} by {self.unit}</h3>{choice}{scales()}"
            f'<p id="told">Point at a {self.unit} to see its loss{guess}.</p>'
            f"{reader(findings.symbols, findings.unknown, loss, titles)}"
        )
        return f"{_grid(causes, context)}{text_in_colours}{self._surprises(findings, lost)}"

    def warnings(self, history: Record) -> str:
        """What training warned of."""
        lines = [
            f"Update {w['update']}: {w['cause']}. {w['evidence']}. What to try: {w['cure']}."
            for w in history.warnings
        ]
        if not lines:
            return "<p>Training gave no warnings.</p>" if len(history.train["update"]) else ""
        return "".join(f'<p class="note">{text(line)}</p>' for line in lines)

    def _picture(self, figure: Any, name: str, caption: str) -> str:
        """The figure with its caption; it is kept as a file, too. A note where it cannot be drawn."""
        if figure is None:
            return ""
        try:
            content, svg = as_png(figure), as_svg(figure, name)
        except DrawingError as error:
            return f'<p class="note">{text(f"{name}: {error}.")}</p>'
        self.pictures[f"{name}.png"] = content
        return picture(svg, caption)

    def _excerpts(self, findings: Findings, best: Sequence[Unit]) -> str:
        """The text in the colours of the first of these units."""
        traces = {(t.name, t.unit): t.values for t in findings.traces}
        excerpts = []
        for u in [u for u in best if (u.name, u.unit) in traces][:_EXCERPTS]:
            head = f"“{u.feature}”: {label_of(u.name, u.unit)}, r = {u.correlation:+.2f}"
            values = traces[u.name, u.unit][:_EXCERPT]
            excerpts.append(f"<div><h3>{text(head)}</h3>{by_unit(findings.symbols[:_EXCERPT], values)}</div>")
        return f'{unit_scale()}<div class="grid">{"".join(excerpts)}</div>' if excerpts else ""

    def _surprises(self, findings: Findings, lost: Losses) -> str:
        rows = []
        for t in np.argsort(-lost.loss, kind="stable")[:_SURPRISES]:
            past = [visible(s).replace("\n", "↵") for s in findings.symbols[max(0, t - 24) : t + 1]]
            before = ("" if findings.names else " ").join(past)
            rows.append([before[-40:], _name(findings.symbols[t + 1]), f"{lost.loss[t]:.2f}"])
            if lost.candidates.size:
                rows[-1].append(_expected(findings, lost, t, 3))
        head = ["context", "actual", "loss (nats)", "expected"][: 3 + bool(lost.candidates.size)]
        return f"<h3>The largest surprises</h3>{_card(table(head, rows, code=(0, 1, 3)))}"


def _how(history: Record) -> str:
    """How validation was scored while training, and at its end."""
    whole = history.whole_validation
    best = "" if whole is None else f". On the whole part, the best weights have a loss of {whole:.3f} nats"
    estimated = ", estimated on excerpts of the validation part" if history.is_estimated else ""
    return f"the validation loss{estimated}{best}"


def _grid(*figures: str) -> str:
    return f'<div class="grid">{"".join(figures)}</div>' if any(figures) else ""


def _card(html: str) -> str:
    return f'<div class="card">{html}</div>' if html else ""


def _follower(u: Unit) -> list[str]:
    return [u.feature, label_of(u.name, u.unit), f"{u.correlation:+.2f}", f"{u.picked:+.2f}", f"{u.p:.3f}"]


def _reaches(c: Curves) -> list[str]:
    length = int(np.isfinite(c.norms[-1]).sum())
    reached = (reach(c.norms[-1], share) for share in _SHARES)
    return [f"> {length - 1}" if steps is None else f"{steps}" for steps in reached]


def _told(findings: Findings, lost: Losses, t: int) -> str:
    """What is told of symbol t + 1."""
    unknown = " (unknown to the model)" if findings.unknown[t + 1] else ""
    name = _name(findings.symbols[t + 1])
    if not lost.candidates.size:  # of numbers there are densities, and no best guesses to list
        return f"{name}{unknown}: {lost.loss[t]:.2f} nats"
    p = _percent(np.exp(-lost.loss[t]))
    return f"{name}{unknown}: {lost.loss[t]:.2f} nats, p = {p}; expected: {_expected(findings, lost, t)}"


def _expected(findings: Findings, lost: Losses, t: int, most: int = 5) -> str:
    pairs = zip(lost.candidates[t][:most], lost.probabilities[t][:most], strict=True)
    return " · ".join(f"{_name(findings.names[which])} {_percent(p)}" for which, p in pairs)


def _name(symbol: str) -> str:
    """A symbol in a sentence."""
    named: Mapping[str, str] = {"": "(unknown)", " ": "(space)", "\n": "(new line)", "\t": "(tab)"}
    return named.get(symbol) or visible(symbol).replace("\n", "↵").replace(" ", "␣")


def _percent(p: Any) -> str:
    return f"{p:.0%}" if isinstance(p, int | float) and (p >= 0.095 or p == 0) else f"{float(p):.1%}"


def _further(updates: Sequence[float]) -> str:
    """That a run was trained further, and after which updates."""
    if not updates:
        return ""
    shown = ", ".join(f"{update:,.0f}" for update in updates)
    return f" Dotted lines mark where training continued with a new budget and schedule: update {shown}."
