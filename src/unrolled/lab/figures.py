"""Pictures of experiments. They draw what they are given."""

from __future__ import annotations

from typing import Any

from unrolled.lab.experiment import Experiment, Outcomes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that people with any colour vision tell apart (Okabe & Ito)."""


def draw_curves(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The loss over the sequences shown, one line a seed, one colour a setting; a dot where it was solved.

    None where the outcomes have no curves.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    drawn = False
    for k, (setting, of) in enumerate(outcomes.items()):
        colour = COLOURS[k % len(COLOURS)]
        label = str(setting)
        for outcome in of:
            curve = [c for c in outcome.details.get("curve", []) if "loss" in c]
            if not curve:
                continue
            drawn = True
            shown = [c["sequences"] for c in curve]
            axes.plot(shown, [c["loss"] for c in curve], color=colour, alpha=0.6, linewidth=1, label=label)
            if outcome.solved:
                axes.plot(shown[-1], curve[-1]["loss"], "o", color=colour, markersize=4)
            label = "_"
    if not drawn:
        return None
    axes.set_yscale("log")
    axes.set_xlabel("sequences shown")
    axes.set_ylabel("training loss")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure
