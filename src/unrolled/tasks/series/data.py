"""The data of the series task: what is read, how it is scaled, and what a run keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from unrolled.errors import DataError, RunError, UsageError
from unrolled.runs.folder import RunFolder
from unrolled.series.clock import Clock, label
from unrolled.series.scaling import PIECE, Scaling, fit_scaling, in_pieces, mean_and_spread
from unrolled.tasks.series import choices
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.prepared import Layout, Prepared, fit_repeats, prepared
from unrolled.tasks.series.reading import Series, Source, check_long_enough, read_series
from unrolled.tasks.series.windows import first_origin
from unrolled.training.task import Task


class SeriesData(Task):
    """What a series task reads.

    Attributes:
        clock, targets: of the data.
        scalings: of each series by name, one for each target.
        covariates: the mean and the spread of each, on the training parts.
        typical: mean and standard deviation of the logarithms of the spreads of many series; None for one.
        repeats: see `fit_repeats`.
        source: the file; series: those that are used; left_out: the names of the others, by reason.
    """

    options_class = SeriesOptions
    options: SeriesOptions
    clock: Clock
    scalings: dict[str, list[Scaling]]
    covariates: Sequence[tuple[float, float]] = ()
    typical: tuple[float, float] | None = None
    repeats: tuple[float, ...] = ()
    source: Source
    series: list[Prepared]
    targets: tuple[str, ...]
    left_out: Mapping[str, Sequence[str]]
    _calendar = 0
    _means: Sequence[float] = ()

    def read(self, data: str) -> int:
        known = hasattr(self, "scalings")
        source = self.source = self._source(data) if known else read_series(data, self.options)
        if not known:
            self.clock, self.targets = source.clock, source.columns.targets
            self.options = choices.chosen(self.options, source)
        self._check_same(data, source)
        H = self.layout.horizon
        enough, short = check_long_enough(source, choices.fewest(H, self.options), data)
        cuts = {one.name: choices.cuts(len(one.y), H, self.options.shares()) for one in enough}
        if not known:
            kind = self.options.transform
            assert kind is not None
            self.scalings = {}
            for one in enough:
                found = [fit_scaling(y, kind) for y in one.y[: cuts[one.name][0]].T]
                if all(scaling is not None for scaling in found):
                    self.scalings[one.name] = [scaling for scaling in found if scaling is not None]
            self._check_varies(data, enough, kind)
            self.covariates = fit_covariates(
                [one.known[: cuts[one.name][0]] for one in enough], source.columns.covariates, data
            )
            spreads = np.log([scaling.spread for own in self.scalings.values() for scaling in own])
            if self.layout.season > 1 and not self.layout.counts:
                parts = [(one.y[: cuts[one.name][0]], self.scalings.get(one.name)) for one in enough]
                self.repeats = fit_repeats([(y, own) for y, own in parts if own], self.layout.season)
            if len(self.scalings) > 1:
                self.typical = float(spreads.mean()), max(float(spreads.std()), 1e-6)
        used = [one for one in enough if one.name in self.scalings]
        constant = [one.name for one in enough if one.name not in self.scalings]
        self.left_out = {"short": short, "constant": constant}
        self.series = [self._prepared(one, self.scalings[one.name], cuts[one.name]) for one in used]
        self._calendar = self.series[0].calendar(np.arange(1)).shape[1]
        if self.layout.counts:
            values = [one.series.y[: one.training] for one in self.series]
            self._means = [mean_and_spread(partial(in_pieces, y))[0] for y in values]
        self.sequences = len(self.series)
        return sum(one.training for one in self.series)

    def read_all(self, data: str) -> int:
        """Other data, with the scalings that the run has; a series that it does not know gets its own."""
        self.source = self._source(data)
        self._check_same(data, self.source)
        self.left_out = {"short": [], "constant": []}
        self.series = []
        for one in (one for one in self.source.series if len(one.y)):
            cut = max(len(one.y) // 2, min(first_origin(self.layout) + 1, len(one.y) - self.layout.horizon))
            fitted = [fit_scaling(y, self.options.transform or "level") for y in one.y[: max(cut, 3)].T]
            own = self.scalings.get(one.name) or [scaling for scaling in fitted if scaling is not None]
            if len(own) == len(self.targets):
                self.series.append(self._prepared(one, own, (cut, cut)))
        if not self.series:
            raise DataError(f"{data} has no series with at least 3 steps that vary")
        return sum(len(one) for one in self.series)

    def _source(self, data: str) -> Source:
        """The data of a run: its own, or others, whose targets are the columns of the same names."""
        return read_series(data, self.options, self.targets)

    def _prepared(self, one: Series, scalings: Sequence[Scaling], cuts: tuple[int, int]) -> Prepared:
        return prepared(one, scalings, self.clock, self.layout, cuts, self.typical, self.covariates)

    def _check_same(self, data: str, source: Source) -> None:
        """DataError where data have another clock or other targets than the run."""
        if len(source.columns.targets) != len(self.targets):
            raise DataError(f"{data} has {len(source.columns.targets)} targets, the run has {len(self.targets)}")
        if source.clock.dated != self.clock.dated or source.clock.name != self.clock.name:
            raise DataError(
                f"the steps of {data} ({source.clock.name}) differ from those of the training data "
                f"({self.clock.name})"
            )

    def _check_varies(self, data: str, series: Sequence[Series], kind: str) -> None:
        if self.scalings:
            return
        one = series[0]
        if kind in ("returns", "sqrt") and np.nanmin(one.y) <= 0:
            raise DataError(f"--transform {kind}: {data} has values below 0, or 0: choose level or differences")
        raise DataError(f"{data}: {one.label} never changes in its training part: there is nothing to learn")

    def save(self, run: RunFolder) -> None:
        kept = {name: [scaling.as_json() for scaling in own] for name, own in self.scalings.items()}
        about: dict[str, Any] = {"covariates": list(self.covariates)}
        about |= {"clock": self.clock.as_json(), "targets": list(self.targets), "calendar": self._calendar}
        run.write_json(
            "series.json", about | {"typical": self.typical, "repeats": list(self.repeats), "scalings": kept}
        )

    def restore(self, run: RunFolder) -> None:
        kept = run.read_json("series.json")
        self.clock, self.targets = Clock(**kept["clock"]), tuple(kept["targets"])
        self.typical = None if kept["typical"] is None else (float(kept["typical"][0]), float(kept["typical"][1]))
        self._calendar = int(kept["calendar"])
        self.covariates = [(float(mean), float(spread)) for mean, spread in kept["covariates"]]
        self.repeats = tuple(map(float, kept["repeats"]))
        self.scalings = {name: [Scaling(**one) for one in own] for name, own in kept["scalings"].items()}
        o = self.options
        if None in (o.horizon, o.season, o.transform, o.head, o.forcing, o.context, o.patch) or not self.scalings:
            raise RunError(f"{run.path} is damaged: a setting of its series is missing")

    @property
    def layout(self) -> Layout:
        """How a forecast is made."""
        o = self.options
        assert o.horizon is not None and o.season is not None and o.context is not None and o.patch is not None
        free, counts = o.forcing == "free-running", o.head == "negative-binomial"
        return Layout(o.horizon, o.season, o.context, o.patch, free, counts, self.repeats)

    def facts(self) -> dict[str, Any]:
        one = self.series[0]
        return {
            "series": len(self.series),
            "steps": sum(len(one) for one in self.series),
            "training": sum(one.training for one in self.series),
            "validation": sum(one.validation - one.training for one in self.series),
            "test": sum(len(one) - one.validation for one in self.series),
            "missing": self.source.missing,
            "from": label(one.series.moments[0]),
            "to": label(one.series.moments[len(one) - 1]),
        }


def fit_covariates(parts: Sequence[np.ndarray], names: Sequence[str], data: str) -> list[tuple[float, float]]:
    """The mean and the standard deviation of each covariate over the training parts (T, C) of all series.

    Raises:
        UsageError: one never changes there.
    """
    found = []
    for k, name in enumerate(names):
        mean, spread = mean_and_spread(partial(_joined, parts, k))
        if not spread > 1e-12 * max(1.0, *(float(np.abs(part[:, k]).max(initial=0)) for part in parts)):
            raise UsageError(
                f"--covariates: {name} never changes in the training part of {data}, so it cannot be learnt from: "
                f"leave out {name}"
            )
        found.append((mean, spread))
    return found


def _joined(parts: Sequence[np.ndarray], k: int) -> Iterator[np.ndarray]:
    """One column of all parts, a few parts at a time."""
    some, count = [], 0
    for part in parts:
        for values in in_pieces(part[:, k]):
            some.append(values)
            count += len(values)
            if count >= PIECE:
                yield np.concatenate(some)
                some, count = [], 0
    if some:
        yield np.concatenate(some)
