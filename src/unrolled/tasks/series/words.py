"""What is said of series and of forecasts, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.series.clock import Clock, label
from unrolled.tasks.series.prepared import Prepared
from unrolled.wording import counted

_BARS = "▁▂▃▄▅▆▇█"
_BY_CHANCE = 0.05
_MOVES = 0.1
"""Medians that go so little of the way are the last value again."""
INTERVALS = (("low_95", 0.025), ("low_80", 0.1), ("median", 0.5), ("high_80", 0.9), ("high_95", 0.975))


def about(task: Any) -> list[tuple[str, str]]:
    """The data of a series task in a few lines."""
    return list(_about(task))


def _about(task: Any) -> Iterator[tuple[str, str]]:
    f, o, source = task.facts(), task.options, task.source
    one = task.series[0]
    if len(task.series) == 1:
        yield "series", f"{counted(f['steps'], 'steps')}, {task.clock.name}, from {f['from']} to {f['to']}"
    else:
        yield "series", f"{len(task.series):,} with {counted(f['steps'], 'steps')} in all, {task.clock.name}"
    yield "", f"training {f['training']:,}, validation {f['validation']:,}, test {f['test']:,}"
    others = source.columns.others
    more = (
        f" (also there: {', '.join(others[:6])}{', ...' if len(others) > 6 else ''}; see --target)" if others else ""
    )
    yield "target", ", ".join(task.targets) + more
    if source.columns.covariates:
        ahead = min(each.series.later for each in task.series)
        behind = f", and {counted(ahead, 'steps')} behind its end" if ahead else ""
        yield "known", f"{', '.join(source.columns.covariates)}, in advance{behind}"
    if source.missing:
        yield "gaps", f"{counted(source.missing, 'steps')} without a value, which are not learnt"
    if source.irregular:
        which = "its" if len(task.series) == 1 else f"of {len(source.irregular):,} of them the"
        yield "steps", f"{which} times are not evenly apart: each row is one step"
    for sentence in left_out(task):
        yield "left out", sentence
    season = f"season of {o.season:,}" if o.season and o.season > 1 else "no season"
    yield "forecast", f"{counted(o.horizon or 0, 'steps')} ahead from {o.context:,} before, {season}"
    patch = f", {o.patch} steps at once" if (o.patch or 1) > 1 else ""
    yield "", f"{o.transform} scaled on the training part, {o.head}, {o.forcing}{patch}"
    if one.scalings[0].changes and (found := task._averaged()) is not None:
        yield "averages?", _averages(found)


def left_out(task: Any) -> Iterator[str]:
    """The series that are not used, by reason."""
    why = {
        "short": "too short",
        "constant": "constant in training",
        "still": "with too few values that vary",
        "misfit": f"with values that {task.options.transform} with {task.options.head} cannot have",
    }
    for reason, names in task.left_out.items():
        yield f"{len(names):,} {why[reason]}: {_listed(names)}"


def of_others(task: Any) -> Iterator[str]:
    """What a person should know of data that are not the run's own: how they are scaled, and what is left out."""
    if task.unknown and len(task.series) == 1:
        yield "The run has not learnt from this series: it is scaled by its own first half."
    elif task.unknown:
        names = [one.name for one in task.unknown]
        yield (
            f"The run has not learnt from {len(names):,} of the {len(task.series):,} series, which are scaled by "
            f"their own first halves: {_listed(names)}."
        )
    yield from (f"Left out: {sentence}." for sentence in left_out(task))


def which_steps(task: Any) -> str:
    """Which part of other data is scored."""
    if len(task.series) > 1:
        return "Scored is the second half of each series; the baselines are fitted on the first."
    one = task.series[0]
    since = label(one.series.moments[one.validation])
    return f"Scored are the steps from {since} on, the second half; the baselines are fitted on the first."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def rows(general: Sequence[tuple[str, str]], figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Scores for a person, with the baselines one below the other."""
    made = list(general)
    if "baselines" not in figures:
        return made
    made.insert(1, ("", f"{counted(figures['origins'], 'origins')}, {counted(figures['horizon'], 'steps')} each"))
    highest = max(figures["pit"])
    bars = "".join(_BARS[min(7, int(8 * share / highest))] for share in figures["pit"])
    made.append(("PIT", f"{bars}  (level if calibrated)"))
    made.append(("intervals", " and ".join(map(_width, figures["spread"]))))
    made.append(("", ""))
    made.append(("", f"{'':<17}{'MASE':>7}{'sMAPE':>8}{'CRPS':>8}{'in 80%':>8}"))
    lines = {"this model": figures, **figures["baselines"]}
    for name in sorted(lines, key=lambda name: lines[name]["crps"]):
        one = lines[name]
        numbers = f"{one['mase']:>7.3f}{one['smape']:>8.1%}{one['crps']:>8.4f}{one['coverage_80']:>8.1%}"
        made.append(("*" if name == "this model" else "", f"{name:<17}{numbers}"))
    made.append(("", ""))
    return made + [("note" if k == 0 else "", note) for k, note in enumerate(figures["notes"])]


def verdict(figures: Mapping[str, Any], part: str, averaged: float | None) -> list[str]:
    """What the scores of a part mean, in plain words."""
    notes = []
    test, baselines = figures["diebold_mariano"], figures["baselines"]
    best = test["against"]
    better = figures["crps"] < baselines[best]["crps"]
    known = np.isfinite(test["p"])
    p = f"Diebold-Mariano p = {test['p']:.2g} over {test['compared']}" if known else "too few origins for a test"
    if better and known and test["p"] < _BY_CHANCE:
        notes.append(f"The model beats every baseline in CRPS, the best of them ({best}) by more than chance ({p}).")
    elif better:
        notes.append(f"The model has the best CRPS, but {best} is so near that chance may explain it ({p}).")
    elif known and test["p"] < _BY_CHANCE:
        notes.append(
            f"The model does not beat the baselines: {best} has the better CRPS, beyond chance ({p}). Use {best}."
        )
    else:
        notes.append(f"The model does not beat the baselines: {best} has the better CRPS ({p}). Use {best}.")
    sharper = [name for name, one in baselines.items() if one["mase"] <= figures["mase"]]
    if better and sharper:
        notes.append(f"Its median is not better: {', '.join(sharper)} has no larger MASE.")
    if figures["moves"] < _MOVES:
        notes.append("Its median is almost the last value again: it says how far things move, not which way.")
    if averaged is not None:
        notes.append(_averages(averaged))
    covered = figures["coverage_80"]
    if part == "validation" and any(factor != 1 for factor in figures["spread"]):
        notes.append("The width of its intervals was fitted on this part: the test part shows whether it is right.")
    elif not 0.76 <= covered <= 0.84:
        size = "narrow" if covered < 0.8 else "wide"
        notes.append(f"Its 80% intervals are too {size}: {covered:.0%} of the values lie in them.")
    return notes


def widths(spread: Sequence[float], targets: Sequence[str]) -> str:
    """What was done to the intervals, in a sentence."""
    each = [
        _width(factor) + f" ({target})" * (len(targets) > 1) for factor, target in zip(spread, targets, strict=True)
    ]
    return f"Intervals: {', '.join(each)}, fitted on the validation part; the coverage above is without that."


def _width(factor: float) -> str:
    """
    >>> _width(0.861), _width(1.2), _width(1.001)
    ('narrowed to 0.86 of their width', 'widened to 1.20 of their width', 'as wide as the network makes them')
    """
    if abs(factor - 1) < 0.005:
        return "as wide as the network makes them"
    return f"{'narrowed' if factor < 1 else 'widened'} to {factor:.2f} of their width"


def _averages(found: float) -> str:
    return (
        f"The changes have an autocorrelation of {found:.2f} at lag 1 and none beyond, as averages over each period "
        "have: that part of a forecast cannot be traded on, since nobody could buy at the average."
    )


def _digits(levels: np.ndarray) -> int:
    """So many that levels (5, ...) differ where they are close together and far from 0.

    >>> _digits(np.linspace(-1, 1, 5)), _digits(1e7 + np.linspace(-1, 1, 5))
    (6, 11)
    """
    width = float(np.median(levels[-1] - levels[0]))
    return int(np.clip(np.ceil(np.log10(np.abs(levels).max() / width)) + 4, 6, 15)) if width > 0 else 6


def table(series: Sequence[Prepared], clock: Clock, targets: Sequence[str], made: np.ndarray) -> str:
    """Forecasts (O, H, K, M) as CSV: a row for each step of each target of each series."""
    import csv
    import io

    many, several = len(series) > 1 or bool(series[0].series.name), len(targets) > 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["series"] * many + ["time"] + ["target"] * several
    writer.writerow([*head, *(name for name, _ in INTERVALS)])
    for one, draws in zip(series, made, strict=True):
        levels = np.quantile(draws, [level for _, level in INTERVALS], axis=-1)  # (5, H, K)
        digits = _digits(levels)
        times = one.series.after(clock, draws.shape[0])
        for h, time in enumerate(times):
            for j, target in enumerate(targets):
                own = [one.series.name] * many + [label(time)] + [target] * several
                writer.writerow([*own, *(f"{value:.{digits}g}" for value in levels[:, h, j])])
    return text.getvalue()
