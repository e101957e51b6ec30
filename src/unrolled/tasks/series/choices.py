"""What a person left open, from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unrolled.errors import UsageError
from unrolled.models.options import ModelOptions
from unrolled.series import season as seasons
from unrolled.series.scaling import fit_scaling, in_pieces, suits
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.prepared import Layout
from unrolled.tasks.series.reading import Series, Source
from unrolled.training.options import TrainingOptions
from unrolled.training.sizes import choose_sizes

_LOOKED_AT = 30
"""So many of the longest series are looked at."""
_STEPS = 100_000
"""So many of the last steps of their training parts."""
_PATCHES = 12
"""A free-running network makes about so many steps over its horizon."""
_LARGEST_COUNT = 1_000
_WINDOW = 2_000
"""The longest context."""


def cuts(steps: int, horizon: int, shares: tuple[int, int, int]) -> tuple[int, int]:
    """Where the training and the validation part of a series end: as asked, but each with a whole horizon."""
    _, validation, test = shares
    last = max(steps * test // 100, horizon * (test > 0))
    middle = max(steps * validation // 100, horizon * (validation > 0))
    return steps - last - middle, steps - last


def fewest(horizon: int, options: SeriesOptions) -> int:
    """The fewest steps that a series can be used with."""
    _, validation, test = options.shares()
    return horizon * (2 + (validation > 0) + (test > 0)) + 3


def chosen(options: SeriesOptions, source: Source) -> SeriesOptions:
    """All settings of a new run; those that were given stay.

    Series without a level are modelled by their changes, as logarithms where all values are above 0, and are
    teacher-forced, since a change or two ahead is what there is to say of them. Series with a level run freely, so
    that a forecast far ahead is learnt as such.

    What is likely is judged by the training parts; what is possible, by all values: a head for counts, a logarithm
    or a root has nothing to say of others.
    """
    by_length = sorted(source.series, key=lambda one: -len(one.y))[:_LOOKED_AT]
    longest = len(by_length[0].y)
    H = options.horizon or source.horizon or min(source.clock.horizon, max(1, longest // 8))
    training = [(one, one.y[: max(cuts(len(one.y), H, options.shares())[0], 3), 0][-_STEPS:]) for one in by_length]
    training = [(one, y) for one, y in training if np.nanstd(y) > 0] or training
    looked = [y for _, y in training]
    transform = options.transform or _transform(looked, [_lowest(one) for one, _ in training])
    levels = [seasons.filled(y) for y in looked]
    flat = [_flat(y, transform) for y in levels]
    usual = source.clock.season
    found = [seasons.find_season(y, usual) for y in flat if len(y) > 8]
    S = options.season or (max(set(found), key=found.count) if found else 1)
    fault = next((fault for one in source.series if (fault := _not_counts(one.y))), 0.0)
    head = options.head or ("student-t" if fault else _head(looked, transform))
    if head == "negative-binomial" and fault:
        raise UsageError(f"--head negative-binomial: the values must be whole numbers from 0, got {fault:g}")
    forcing = options.forcing or ("teacher-forced" if transform in ("differences", "returns") else "free-running")
    free = forcing == "free-running"
    if options.patch is not None and options.patch > 1 and not free:
        raise UsageError("--patch: a teacher-forced network reads one step at a time: add --forcing free-running")
    if options.context is not None and options.context > longest:
        raise UsageError(f"--context: the longest series has {longest:,} steps, got {options.context:,}")
    patch = options.patch or (max(1, H // _PATCHES) if free else 1)
    shortest = min(len(y) for y in looked)
    context = options.context or min(max(5 * S if S > 1 else 0, 3 * H, 24), max(shortest - H * free, 2), _WINDOW)
    context = max(1, context // patch) * patch
    return replace(
        options, horizon=H, season=S, transform=transform, head=head, forcing=forcing, context=context, patch=patch
    )


def misfit(one: Series, options: SeriesOptions) -> str:
    """What a series has that cannot be modelled as the options say; empty if nothing."""
    kind, lowest = options.transform or "level", _lowest(one)
    if not suits(kind, lowest):
        return f"{lowest:g}, expected values {'above' if kind == 'returns' else 'from'} 0 for {kind}"
    if options.head == "negative-binomial" and (fault := _not_counts(one.y)):
        return f"{fault:g}, expected whole numbers from 0 for {options.head}"
    return ""


def check_training(model: ModelOptions, training: TrainingOptions, free: bool) -> None:
    """UsageError for settings that windows do not have."""
    if training.bptt not in (0, TrainingOptions().bptt):
        raise UsageError("--bptt: the windows of a series are unrolled whole: choose their length with --context")
    if training.update_every is not None:
        raise UsageError("--update-every: the windows of a series are separate: leave it out")
    if model.direction not in (None, "forward") and not free:
        raise UsageError(
            "--direction: a teacher-forced model must not see the steps that it predicts: leave out --direction, or "
            "add --forcing free-running"
        )


def sizes(
    model: ModelOptions, training: TrainingOptions, steps: int, layout: Layout
) -> tuple[ModelOptions, TrainingOptions]:
    """Small networks and short budgets for short series, which large ones learn by heart.

    Measured on monthly sunspots: 2,200 steps of training are learnt best by 32 units in less than 100 updates.
    """
    hidden = model.hidden or int(np.clip(8 * round(4 * (steps / 2_000) ** 0.25), 16, 128))
    dropout = model.dropout if model.dropout is not None else (0.5 if steps < 20_000 else 0.2)
    batch = training.batch or 32
    updates = float(np.clip(100 * (steps / 2_000) ** 0.5, 80, 4_000))
    span = layout.horizon if layout.free else layout.context
    if training.minutes is None and training.epochs is None:
        per_epoch = max(1.0, -(-max(steps // span, 1) // batch))
        training = replace(training, epochs=float(round(updates / per_epoch)) or 1.0)
    lr = training.lr if training.lr is not None else 5e-3
    ema = training.ema if training.ema is not None else 0.98
    model = replace(model, hidden=hidden, dropout=dropout)
    return choose_sizes(model, replace(training, batch=batch, lr=lr, ema=ema, bptt=0), steps)


def _lowest(one: Series) -> float:
    """The lowest value of all targets; NaN if none was observed."""
    return float(np.fmin.reduce(one.y, axis=None, initial=np.nan))


def _transform(series: Sequence[np.ndarray], lowest: Sequence[float]) -> str:
    """The one that fits most of the training parts, and suits all values from the lowest ones on."""
    votes = []
    for y, least in zip(series, lowest, strict=True):
        positive = suits("returns", least)
        w = np.log(y) if positive else y
        if not seasons.has_level(w):
            votes.append("returns" if positive else "differences")
        else:
            votes.append("sqrt" if suits("sqrt", least) and _skew(y) > 0.5 else "level")
    return max(set(votes), key=lambda name: (votes.count(name), name))


def _skew(y: np.ndarray) -> float:
    """The third moment over the spread: above 0 where high values lie far out."""
    spread = float(np.nanstd(y))
    return float(np.nanmean(((y - np.nanmean(y)) / spread) ** 3)) if spread > 0 else 0.0


def _flat(y: np.ndarray, transform: str) -> np.ndarray:
    """Where the season is looked for: without a trend."""
    scaling = fit_scaling(y, transform)
    z = y if scaling is None else scaling.forward(y)
    z = seasons.filled(z[1:] if scaling is not None and scaling.changes else z)
    return z - z.mean()


def _head(series: Sequence[np.ndarray], transform: str) -> str:
    """The one for counts where the first targets are small ones, and are not modelled by their changes."""
    small = all(np.nanmax(y) <= _LARGEST_COUNT for y in series)
    return "negative-binomial" if small and transform in ("level", "sqrt") else "student-t"


def _not_counts(y: np.ndarray) -> float:
    """A value of a series (T, K) that is no count; 0 if all are."""
    for some in in_pieces(y):
        bad = some[~np.isnan(some) & ((some < 0) | (some != np.floor(some)))]
        if len(bad):
            return float(bad[0])
    return 0.0
