"""Which experiments there are, by name, and what was asked of them. No torch here, so that the list is instant."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.errors import UsageError
from unrolled.lab.experiment import Experiment, Outcomes, Setting

TITLES = {
    "latch": "Latching the first inputs through noise (Bengio 1994)",
    "long-lag": "A symbol kept for 1,000 steps (Hochreiter & Schmidhuber 1997)",
    "adding": "The sum of two marked numbers (Hochreiter & Schmidhuber 1997)",
    "multiplication": "The product of two marked numbers (Hochreiter & Schmidhuber 1997)",
    "temporal-order": "Which came first, X or Y (Hochreiter & Schmidhuber 1997)",
    "clipping": "Temporal order at growing length (Pascanu 2013)",
    "forget-bias": "The forget gate's bias, on arithmetic (Jozefowicz 2015)",
    "reber": "Embedded Reber grammar (Hochreiter & Schmidhuber 1997)",
    "continual-reber": "Embedded Reber grammar as an endless stream (Gers & Schmidhuber 2000)",
    "elman-xor": "Exclusive or spread over time (Elman 1990)",
    "elman-letters": "Letters of ba, dii and guuu (Elman 1990)",
    "elman-words": "Words in a stream of letters (Elman 1990)",
    "elman-lexicon": "A lexicon from the order of words (Elman 1990)",
    "depth": "One, two and three layers at equal numbers of parameters",
    "rtrl": "A memory longer than the window: RTRL (Williams & Zipser 1989)",
}

PICTURES = {
    "latch": "draw_latch",
    "clipping": "draw_success",
    "elman-xor": "draw_xor",
    "elman-letters": "draw_letters",
    "elman-words": "draw_words",
    "elman-lexicon": "draw_lexicon",
    "depth": "draw_depth",
    "rtrl": "draw_rtrl",
}
"""Which figure shows the outcomes of an experiment, if not their training curves."""


def experiment(name: str) -> Experiment:
    """The experiment of that name; UsageError if there is none."""
    if name not in TITLES:
        raise UsageError(f"there is no experiment {name!r}; choose one of {', '.join(TITLES)}, or all")
    known: Experiment = import_module(f"unrolled.lab.{name.replace('-', '_')}").EXPERIMENT
    return known


def picture(experiment: Experiment, outcomes: Outcomes) -> Any:
    """A matplotlib figure of all outcomes; None where there is nothing to draw."""
    figures = import_module("unrolled.lab.figures")
    return getattr(figures, PICTURES.get(experiment.name, "draw_curves"))(experiment, outcomes)


def chosen(experiment: Experiment, cells: tuple[str, ...], lag: int | None) -> list[Setting]:
    """What to run: the settings of the experiment, or of these cells, or with another lag in place of its own.

    Arguments:
        cells: as ``unrolled train --cell`` takes them: names, or ``FILE.py:Class``; none for those of the table.

    Raises:
        UsageError: a cell that there is not or that does not run, or a lag where there is none.
    """
    from unrolled.lab.network import check_cell

    for cell in cells:
        check_cell(cell)
    settings = list(experiment.settings)
    if cells:
        order = list(dict.fromkeys((s.lag, s.variant) for s in settings))
        settings = [s for cell in dict.fromkeys(cells) for s in experiment.settings_of(cell)]
        settings.sort(key=lambda s: order.index((s.lag, s.variant)))
    if lag is None:
        return settings
    if all(s.lag is None for s in experiment.settings):
        raise UsageError(f"--lag: {experiment.name} has no lag to set")
    if lag < experiment.least_lag:
        raise UsageError(f"--lag: must be a whole number from {experiment.least_lag}, got {lag}")
    return list(dict.fromkeys(Setting(s.cell, lag, s.variant) for s in settings))
