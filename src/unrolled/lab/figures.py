"""Pictures of experiments. They draw what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.insight.clustering import Tree
from unrolled.lab.depth import DEPTHS
from unrolled.lab.elman_lexicon import KIND, KINDS, WORDS
from unrolled.lab.elman_xor import STEPS
from unrolled.lab.experiment import Experiment, Outcome, Outcomes
from unrolled.lab.rtrl import LAG, VARIANTS


def draw_curves(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The loss over the sequences shown: a panel a lag and variant, a colour a cell, a line a seed.

    A dot is where the criterion was met. None where the outcomes have no curves.
    """
    cells = list(dict.fromkeys(s.cell for s in outcomes))
    panels: dict[str, Outcomes] = {}
    for setting, of in outcomes.items():
        if any("loss" in c for o in of for c in o.details.get("curve", [])):
            panels.setdefault(setting.where, {})[setting] = of
    if not panels:
        return None
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(max(6.4, 3.6 * across), 0.9 + 2.9 * down)
    grid = figure.subplots(down, across, squeeze=False).flat
    for axes, (title, of_panel) in zip(grid, panels.items(), strict=False):
        _curves(axes, of_panel, cells)
        axes.set_title(title, fontsize=9)
    for axes in list(grid)[len(panels) :]:
        axes.remove()
    figure.suptitle(experiment.title, fontsize=10)
    figure.supxlabel("sequences shown", fontsize=9)
    figure.supylabel("training loss", fontsize=9)
    return figure


def _curves(axes: Any, outcomes: Outcomes, cells: list[str]) -> None:
    for setting, of in outcomes.items():
        colour, label = COLOURS[cells.index(setting.cell) % len(COLOURS)], setting.cell
        for outcome in of:
            curve = [c for c in outcome.details.get("curve", []) if "loss" in c]
            if not curve:
                continue
            shown = [c["sequences"] for c in curve]
            axes.plot(shown, [c["loss"] for c in curve], color=colour, alpha=0.6, linewidth=1, label=label)
            if outcome.solved:
                axes.plot(shown[-1], curve[-1]["loss"], "o", color=colour, markersize=4)
            label = "_"
    axes.set_yscale("log")
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)


def draw_latch(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The slope of the gradient against the spectral radius where it was measured, else the training curves."""
    measured = [d for of in outcomes.values() for o in of for d in o.details.get("decay", [])]
    return draw_decay(measured) if measured else draw_curves(experiment, outcomes)


def draw_seeds(axes: Any, x: Any, curves: Any, colour: str, label: str) -> None:
    """One faint line a seed, and their median on top; curves (seeds, points)."""
    axes.plot(x, np.transpose(curves), color=colour, linewidth=0.7, alpha=0.25)
    axes.plot(x, np.median(curves, axis=0), color=colour, linewidth=1.8, label=label, zorder=3)


def draw_decay(measured: list[dict[str, float]]) -> Any:
    """Slopes of log gradients against the logarithm of the spectral radius, beside what theory says of them."""
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    radius = np.array([m["radius"] for m in measured])
    ends = np.array([radius.min(), radius.max()])
    axes.plot(ends, ends, color="black", linewidth=0.8, label="log spectral radius")
    for name, marker, label, colour in (
        ("slope", "o", "measured, no input", COLOURS[0]),
        ("noisy", "s", "measured, inputs of the task", COLOURS[1]),
        ("exponent", "x", "largest Lyapunov exponent, same inputs", "black"),
    ):
        values = [m[name] for m in measured]
        axes.plot(radius, values, marker, color=colour, label=label, markersize=5, alpha=0.7, fillstyle="none")
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_xlabel("log of the spectral radius of W_hh")
    axes.set_ylabel("slope of the log gradient, per step")
    axes.set_title("How fast the gradient of a tanh network decays", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure


def draw_success(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The share of seeds that solved the task against the lag, one line a cell and variant."""
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    lines: dict[str, list[tuple[int, float]]] = {}
    for setting, of in outcomes.items():
        if setting.lag is not None and of:
            share = sum(o.solved for o in of) / len(of)
            lines.setdefault(f"{setting.cell}, {setting.variant}", []).append((setting.lag, share))
    for k, (label, points) in enumerate(lines.items()):
        lags, shares = zip(*sorted(points), strict=True)
        axes.plot(lags, shares, "o-", color=COLOURS[k % len(COLOURS)], label=label, alpha=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("length of the sequences")
    axes.set_ylabel("share of seeds solved")
    _entitle(axes, experiment)
    axes.grid(alpha=0.2)
    return figure


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
    _entitle(axes, experiment, columns=2)
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
    _entitle(axes, experiment)
    axes.grid(alpha=0.2)
    return figure


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
    if right.get_legend_handles_labels()[0]:  # none where RTRL was not run
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


def _entitle(axes: Any, experiment: Experiment, columns: int = 1) -> None:
    """The experiment's title, and what the colours stand for."""
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False, ncols=columns)
