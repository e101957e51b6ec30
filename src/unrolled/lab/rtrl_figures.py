"""The picture of the experiment on real-time recurrent learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.lab.experiment import Experiment, Outcome, Outcomes
from unrolled.lab.rtrl import LAG, VARIANTS


def draw_rtrl(experiment: Experiment, outcomes: Outcomes) -> Any:
    """Right answers while learning, and how far truncated gradients are from the exact one, by window."""
    figure = new_figure(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    cells = dict(zip(dict.fromkeys(setting.cell for setting in outcomes), COLOURS, strict=False))
    styles = dict(zip(VARIANTS, ("-", ":", "--"), strict=True))
    for setting, of in outcomes.items():
        queries, shares = _by_queries(of)
        style, label = styles[setting.variant], f"{setting.cell}, {setting.variant}"
        left.plot(queries, np.median(shares, axis=0), style, color=cells[setting.cell], linewidth=1.4, label=label)
        curves = [outcome.details["truncation"] for outcome in of if "truncation" in outcome.details]
        for when, style in (("at first", ":"), ("at last", "-")) if curves else ():
            mean = np.mean([c[when]["cosine"] for c in curves], axis=0)
            label = f"{setting.cell}, weights {when}"
            right.plot(curves[0][when]["window"], mean, style, color=cells[setting.cell], label=label)
    lag = setting.lag or LAG
    right.axvline(lag + 1, color="#888888", linewidth=1)
    right.text(lag + 1.2, 0.02, "the cue", color="#555555", fontsize=8, transform=right.get_xaxis_transform())
    left.set_xscale("log")
    left.set_ylim(0.4, 1.03)
    left.set_xlabel("queries answered")
    left.set_ylabel("right answers in fresh streams")
    left.set_title(f"a cue {lag} steps before the query, median of seeds", fontsize=10)
    left.legend(fontsize=7, frameon=False, labelspacing=0.25, loc="upper right")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel("window, in steps")
    right.set_ylabel("cosine with the exact gradient")
    right.set_title("truncated gradients, mean of seeds", fontsize=10)
    right.legend(fontsize=7, frameon=False)
    for axes in (left, right):
        bare(axes)
    return figure


def _by_queries(outcomes: list[Outcome]) -> tuple[list[int], np.ndarray]:
    """The share of right answers of each seed (seeds, tests); one that has learnt it stays where it ended."""
    curves = [[(c["sequences"], c["right"]) for c in outcome.details["curve"]] for outcome in outcomes]
    queries = [at for at, _ in max(curves, key=len)]
    shares = [[share for _, share in curve] + [curve[-1][1]] * (len(queries) - len(curve)) for curve in curves]
    return queries, np.array(shares)
