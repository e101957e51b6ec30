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
from unrolled.tasks.series.trace import Trace, read_trace, trace_of
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
        trace: by which a series without a name is known again; None where names say which one it is.
        source: the file; series: those that are used; left_out: the names of the others, by reason.
        unknown: those of other data that the run has not learnt from, which are scaled by their own first halves.
    """

    options_class = SeriesOptions
    options: SeriesOptions
    clock: Clock
    scalings: dict[str, list[Scaling]]
    covariates: Sequence[tuple[float, float]] = ()
    typical: tuple[float, float] | None = None
    repeats: tuple[float, ...] = ()
    trace: Trace | None = None
    source: Source
    series: list[Prepared]
    targets: tuple[str, ...]
    left_out: Mapping[str, Sequence[str]]
    unknown: Sequence[Series] = ()
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
        fitting = [one for one in enough if not choices.misfit(one, self.options)]
        if not known:
            kind = self.options.transform
            assert kind is not None
            self.scalings = {}
            for one in fitting:
                found = [fit_scaling(y, kind) for y in one.y[: cuts[one.name][0]].T]
                if all(scaling is not None for scaling in found):
                    self.scalings[one.name] = [scaling for scaling in found if scaling is not None]
            self._check_varies(data, fitting, kind)
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
        constant = [one.name for one in fitting if one.name not in self.scalings]
        self.left_out = _named(short=short, constant=constant, misfit=_without(enough, fitting))
        self.series = [self._prepared(one, self.scalings[one.name], cuts[one.name]) for one in used]
        if not known and len(used) == 1 and not used[0].name:
            self.trace = trace_of(self.series[0], source.columns.time is not None)
        self._calendar = self.series[0].calendar(np.arange(1)).shape[1]
        if self.layout.counts:
            values = [one.series.y[: one.training] for one in self.series]
            self._means = [mean_and_spread(partial(in_pieces, y))[0] for y in values]
        self.sequences = len(self.series)
        return sum(one.training for one in self.series)

    def read_all(self, data: str) -> int:
        """Other data, with the scalings that the run has; a series that it has not learnt from gets its own.

        A series is known by its name; one without a name, by its `Trace`.
        """
        self.source = self._source(data)
        self._check_same(data, self.source)
        self.series = []
        unknown: list[Series] = []
        still: list[str] = []
        some = [one for one in self.source.series if len(one.y)]
        fitting = [one for one in some if not choices.misfit(one, self.options)]
        for one in fitting:
            cut = max(len(one.y) // 2, min(first_origin(self.layout) + 1, len(one.y) - self.layout.horizon))
            known = self._known(one, cut)
            fitted = [fit_scaling(y, self.options.transform or "level") for y in one.y[: max(cut, 3)].T]
            own = [scaling for scaling in fitted if scaling is not None]
            if known is not None:
                self.series.append(known)
            elif len(own) == len(self.targets):
                self.series.append(self._prepared(one, own, (cut, cut)))
                unknown.append(one)
            else:
                still.append(one.name)
        if some and not fitting:
            raise DataError(f"{data}: {some[0].label} has {choices.misfit(some[0], self.options)}")
        if not self.series:
            raise DataError(f"{data} has no series with at least 3 steps that vary")
        self.left_out, self.unknown = _named(still=still, misfit=_without(some, fitting)), unknown
        return sum(len(one) for one in self.series)

    def _known(self, one: Series, cut: int) -> Prepared | None:
        """A series that the run has learnt from, with the scalings of the run."""
        if one.name not in self.scalings:
            return None
        made = self._prepared(one, self.scalings[one.name], (cut, cut))
        is_timed = self.source.columns.time is not None
        return made if one.name or self.trace is None or self.trace.fits(made, is_timed) else None

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

    def _check_varies(self, data: str, fitting: Sequence[Series], kind: str) -> None:
        if self.scalings:
            return
        if not fitting:
            least = "values below 0, or 0" if kind == "returns" else "values below 0"
            raise DataError(f"--transform {kind}: {data} has {least}: choose level or differences")
        raise DataError(f"{data}: {fitting[0].label} never changes in its training part: there is nothing to learn")

    def save(self, run: RunFolder) -> None:
        kept = {name: [scaling.as_json() for scaling in own] for name, own in self.scalings.items()}
        about: dict[str, Any] = {"covariates": list(self.covariates)}
        about |= {"clock": self.clock.as_json(), "targets": list(self.targets), "calendar": self._calendar}
        about |= {"typical": self.typical, "repeats": list(self.repeats), "scalings": kept}
        run.write_json("series.json", about | {"trace": None if self.trace is None else self.trace.as_json()})

    def restore(self, run: RunFolder) -> None:
        kept = run.read_json("series.json")
        self.clock, self.targets = Clock(**kept["clock"]), tuple(kept["targets"])
        self.typical = None if kept["typical"] is None else (float(kept["typical"][0]), float(kept["typical"][1]))
        self._calendar = int(kept["calendar"])
        self.covariates = [(float(mean), float(spread)) for mean, spread in kept["covariates"]]
        self.repeats = tuple(map(float, kept["repeats"]))
        self.trace = read_trace(**kept["trace"]) if kept.get("trace") else None
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


def _named(**names: Sequence[str]) -> dict[str, Sequence[str]]:
    """Those reasons that have any names."""
    return {reason: some for reason, some in names.items() if some}


def _without(series: Sequence[Series], others: Sequence[Series]) -> list[str]:
    """The names of the series that are not among the others."""
    names = {one.name for one in others}
    return [one.name for one in series if one.name not in names]


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
