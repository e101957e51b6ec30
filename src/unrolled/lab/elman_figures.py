"""Pictures of Elman's experiments, after the figures of his paper."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.clustering import Tree
from unrolled.lab.elman_lexicon import KIND, KINDS, WORDS
from unrolled.lab.elman_xor import STEPS
from unrolled.lab.experiment import Experiment, Outcomes
from unrolled.lab.figures import draw_seeds


def draw_xor(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The error over twelve consecutive bits, as in the paper's figure 3: a faint line a seed, and their median."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    steps = np.arange(1, STEPS + 1)
    for colour, (setting, of) in zip(COLOURS, outcomes.items(), strict=False):
        draw_seeds(axes, steps, [outcome.details["error"] for outcome in of], colour, str(setting))
    for third in steps[2::3]:
        axes.axvspan(third - 0.25, third + 0.25, color="#eeeeee", zorder=0)
    axes.axhline(0.5, color="#555555", linewidth=1, linestyle=":", label="always saying 1/2")
    axes.set_xticks(steps)
    axes.set_ylim(0, None)
    axes.set_xlabel("bit predicted (grey: an exclusive or of the two before it)")
    axes.set_ylabel("root mean square error")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return figure


def draw_letters(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The errors of the first network over some letters, as in the paper's figures 4 and 5."""
    setting, of = next(iter(outcomes.items()))
    details = of[0].details
    letters, steps = details["letters"], np.arange(len(details["letters"]))
    consonant = np.array([letter in "bdg" for letter in letters])
    rows = {
        "root mean square of all": details["error"],
        "consonant": details["by_feature"]["consonant"],
        "high": details["by_feature"]["high"],
    }
    figure = new_figure(6.8, 5.4)
    for k, (name, errors) in enumerate(rows.items()):
        axes = figure.add_subplot(3, 1, k + 1)
        axes.bar(steps, errors, color=[COLOURS[1] if c else COLOURS[0] for c in consonant], width=0.7)
        axes.set_ylim(0, 1)
        axes.set_ylabel("error")
        axes.set_title(name if k == 0 else f"feature: {name}", fontsize=9, loc="left")
        axes.set_xticks(steps, list(letters))
    figure.suptitle(f"{experiment.title}: {setting}, red where a consonant comes", fontsize=10)
    return figure


def draw_words(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The error along the letters of the first network, as in the paper's figure 6, and by place in the word."""
    setting, of = next(iter(outcomes.items()))
    details = of[0].details
    steps = np.arange(len(details["error"]))
    begins = np.array(details["begins"])
    figure = new_figure(7.6, 5.2)
    upper, lower = figure.subplots(2, 1)
    upper.plot(steps, details["error"], color=COLOURS[0], linewidth=1)
    upper.plot(steps[begins], np.array(details["error"])[begins], "o", color=COLOURS[1], label="a word begins")
    upper.set_xticks(steps, list(details["letters"]), fontsize=8)
    upper.set_title(f"{setting}, the first seed, fresh sentences", fontsize=9, loc="left")
    upper.legend(fontsize=8, frameon=False)
    for colour, (one, seeds) in zip(COLOURS, outcomes.items(), strict=False):
        curves = [outcome.details["by_position"] for outcome in seeds]
        draw_seeds(lower, np.arange(1, len(curves[0]) + 1), curves, colour, str(one))
    lower.set_xlabel("place of the letter in its word")
    lower.set_title("mean over fresh sentences: a faint line a seed, and their median", fontsize=9, loc="left")
    lower.legend(fontsize=8, frameon=False)
    for axes in (upper, lower):
        axes.set_ylim(0, None)
        axes.set_ylabel("root mean square error")
    figure.suptitle(experiment.title, fontsize=10)
    return figure


def draw_lexicon(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The tree of the first seed of each cell, as in the paper's figure 7."""
    colours = dict(zip(KINDS, COLOURS, strict=False))
    figure = new_figure(3.4 * len(outcomes), 5.6)
    for k, (setting, of) in enumerate(outcomes.items()):
        axes = figure.add_subplot(1, len(outcomes), k + 1)
        tree = Tree.read(of[0].details["tree"])
        draw_tree(tree, axes, {word: colours[KIND[word]] for word in WORDS})
        axes.set_xlabel("distance")
        axes.set_title(f"{setting}, purity {of[0].score:.2f}", fontsize=9)
    for kind, colour in colours.items():
        axes.plot([], [], "s", color=colour, label=kind)
    figure.legend(loc="outside lower center", ncols=len(colours), fontsize=8, frameon=False)
    figure.suptitle("Mean hidden states of words, by what comes before and after them", fontsize=10)
    return figure


def draw_tree(tree: Tree, axes: Any, colours: dict[str, str]) -> None:
    """Draw it from left (the leaves) to right, names in their colours."""
    order = tree.names
    place = {name: len(order) - k for k, name in enumerate(order)}

    def visit(branch: Tree) -> float:
        if not branch.branches:
            return place[branch.names[0]]
        heights = [visit(part) for part in branch.branches]
        for part, y in zip(branch.branches, heights, strict=True):
            axes.plot([part.height, branch.height], [y, y], color="#444444", linewidth=1)
        axes.plot([branch.height] * 2, heights, color="#444444", linewidth=1)
        return float(np.mean(heights))

    visit(tree)
    axes.set_yticks([place[name] for name in order], order, fontsize=8)
    for tick, name in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(colours[name])
    axes.set_xlim(0, None)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
