"""The picture of the experiment on depth."""

from __future__ import annotations

from typing import Any

from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.depth import DEPTHS
from unrolled.lab.experiment import Experiment, Outcomes


def draw_depth(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The validation loss over the characters read, one line a seed."""
    figure = new_figure(6.4, 4)
    axes = figure.add_subplot()
    cells = list(dict.fromkeys(setting.cell for setting in outcomes))
    for setting, of in outcomes.items():
        colour = COLOURS[list(DEPTHS).index(setting.variant)]
        style = ("-", "--", ":", "-.")[cells.index(setting.cell) % 4]
        for k, outcome in enumerate(of):
            curve = outcome.details["curve"]
            axes.plot(
                [c["sequences"] / 1e6 for c in curve],
                [c["validation"] for c in curve],
                style,
                color=colour,
                linewidth=1.2,
                label=f"{setting}: {outcome.details['hidden']} units a layer" if k == 0 else "_",
            )
    axes.set_xlabel("million characters read")
    axes.set_ylabel("validation loss, nats a character")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure
