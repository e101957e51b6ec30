"""The series task: a network that forecasts distributions of one or many series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.drawing import DrawingError
from unrolled.errors import DataError, EmptyPartError, UsageError
from unrolled.layers import Stack, TimeExpansion
from unrolled.models.build import build_stack
from unrolled.models.decode import evaluating
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Gaussian, Head, NegativeBinomial, Quantiles, StudentT
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.series import season as seasons
from unrolled.series.clock import label
from unrolled.series.spread import distances, spread_of
from unrolled.tasks.series import choices, picture, scoring, words
from unrolled.tasks.series.data import SeriesData
from unrolled.tasks.series.forecasting import forecast, forecasts, scaled
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.prepared import Prepared, window
from unrolled.tasks.series.windows import Pair, Windows, covered, rolling_origins
from unrolled.training.batches import Batch
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import ALL, Evidence, Shown, Tell
from unrolled.wording import counted

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_MOST_DRAWS, _DRAWS, _FEW_DRAWS = 4_000, 200, 100
_ORIGINS, _FEW_ORIGINS = 400, 100
"""Origins of all series together, when scored whole and while training; scored whole, each series has one or more."""
_OF_ONE = 40
"""The most origins of one series."""


class SeriesTask(SeriesData):
    """Forecasts of one or many series; see `Task`."""

    name, noun = "series", "data"
    unit = step_unit = "steps"
    metrics = (
        Metric("loss", "nats per step", brief_digits=3),
        Metric("crps", "of the naive error", label="CRPS", brief_digits=3),
        Metric("mase", digits=3, label="MASE", in_lines=False),
        Metric("smape", digits=1, percent=True, label="sMAPE", in_lines=False),
        Metric("coverage_80", "in the 80% intervals", digits=1, percent=True, label="coverage", brief="in 80%"),
    )

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        choices.check_training(model, training, self.layout.free)
        self.model, self.training = choices.sizes(model, training, steps, self.layout)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        layout, K = self.layout, len(self.targets)
        width = layout.width * K + self._calendar + (self.typical is not None) * K + layout.free
        width += len(self.covariates) * layout.patch
        stack = build_stack(cell, width, options, for_use)
        assert options.dropout is not None
        dropout = options.dropout
        if layout.patch > 1:
            expansion = TimeExpansion(stack.output_size, 8 * K, layout.patch, dropout)
            stack, dropout = Stack([*stack.layers, expansion], dropout=options.dropout), 0.0
        head = self._head(stack.output_size, K)
        if layout.counts and not for_use and self._means:
            with torch.no_grad():  # begin with counts of the right size
                head.map.bias[:K] = math.log(max(float(np.mean(self._means)), 1e-3))
        model = Model(Vectors(width), stack, head, dropout=dropout)
        model.register_buffer("spread", torch.ones(K))  # the draws' distances from their median, over the head's
        return model

    def _head(self, size: int, K: int) -> Head:
        if self.options.head == "quantiles":
            return Quantiles(size, LEVELS, K)
        kinds: dict[str, Any] = {"gaussian": Gaussian, "negative-binomial": NegativeBinomial, "student-t": StudentT}
        made: Head = kinds[str(self.options.head)](size, K)
        return made

    def batches(self, part: str = "training") -> Windows:
        return self._windows(None if part == "training" else self._pairs(part))

    def _windows(self, pairs: Sequence[Pair] | None) -> Windows:
        """Those about some origins; None for random ones in the training parts."""
        t = self.training
        assert t.batch is not None
        if pairs is not None and not self.layout.free:  # the window ends behind the horizon
            pairs = [(k, o + self.layout.horizon) for k, o in pairs]
        return Windows(self.series, self.layout, t.batch, t.seed, pairs, t.device)

    def example(self) -> Batch:
        batch, steps = self.batches().batch_at(0), 2
        return Batch(batch.inputs[:steps, :2], batch.targets[: steps * self.layout.patch, :2])

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """Of every step that was observed, behind the origin where the network runs freely."""
        outputs, _ = model(batch.inputs)
        last = len(outputs) if batch.counted is None else batch.counted
        outputs, targets = outputs[-last:], batch.targets[-last:]
        wanted = ~torch.isnan(targets).any(-1)
        return Loss(*model.head.loss(outputs, torch.nan_to_num(targets), wanted))

    def finish(self, model: Model) -> str | None:
        """Fit how wide the draws are to the validation part; counts stay as the head has them."""
        pairs = self._pairs("validation")
        if self.layout.counts or not pairs:
            return None
        ratios: list[list[np.ndarray]] = [[] for _ in self.targets]
        for actual, made in scaled(model, self.series, pairs, self.layout, _DRAWS, seed=1):
            for j, own in enumerate(ratios):
                own.append(distances(actual[..., j], made[:, :, j]))
        independent = covered(pairs, self.layout.horizon) / self.layout.horizon
        found = [spread_of(np.concatenate(own), independent) for own in ratios]
        model.get_buffer("spread").copy_(torch.tensor(found))
        return words.widths(found, self.targets)

    @classmethod
    def take_over(cls, source: SeriesOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """All but the split, which is of the other data; columns have the names that they had."""
        return super().take_over(replace(source, split=SeriesOptions().split), given, where)

    def carry_over(self, model: Model, arrays: Mapping[str, np.ndarray], where: str) -> dict[str, int]:
        found = super().carry_over(model, arrays, where)
        model.get_buffer("spread").fill_(1)
        return found

    # -- scores

    def _pairs(self, part: str, most: int | None = None) -> list[Pair]:
        """The origins of a part: their whole horizons lie in it.

        Arguments:
            most: of all series together, of which some have none where they are more; None for about `_ORIGINS`.
        """
        count = len(self.series)
        each = min(_OF_ONE, max(1, (most or _ORIGINS) // count))
        some = np.linspace(0, count - 1, min(count, most or count)).round().astype(int)
        return [
            (k, int(o))
            for k in some.tolist()
            for o in rolling_origins(*self._bounds(self.series[k], part), self.layout.horizon, each)
        ]

    def _bounds(self, one: Prepared, part: str) -> tuple[int, int]:
        """Where the first horizon of a part may begin, and where the last one ends."""
        low, high = {
            "training": (min(self.layout.context, one.training // 2), one.training),
            "validation": (one.training, one.validation),
            "test": (one.validation, len(one)),
            ALL: (one.validation, len(one)),
        }[part]
        return max(low, 1), high

    def score(self, model: Model, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """Rolling origins, beside baselines: see `scoring` and ``docs/series.md``."""
        found = self._scores(model, self._pairs(part), _DRAWS, tell, compare=True)
        if found is None:
            return None
        figures, scores, origins = found
        figures |= {
            "origins": origins,
            "horizon": self.layout.horizon,
            "pit": scores.own.pit,
            "baselines": {name: one.figures for name, one in scores.baselines.items()},
            "diebold_mariano": scores.compared(),
            "moves": scores.moves,
            "spread": model.get_buffer("spread").tolist(),
        }
        notes = words.verdict(figures, part, self._averaged())
        others = [words.which_steps(self), *words.of_others(self)] if part == ALL else []
        return figures | {"notes": notes + others}

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        """The same without the baselines, on fewer origins while training, and before the spread is fitted there."""
        model.get_buffer("spread").fill_(1)
        pairs = self._pairs("validation", None if whole else _FEW_ORIGINS)
        found = self._scores(model, pairs, _DRAWS if whole else _FEW_DRAWS, tell)
        if found is None:
            return None
        return found[0] if whole else found[0] | {"estimate": True}

    def _scores(
        self, model: Model, pairs: Sequence[Pair], draws: int, tell: Tell | None, compare: bool = False
    ) -> tuple[dict[str, Any], scoring.Scores, int] | None:
        """The figures of some origins, where they come from, and the number of the origins."""
        if not pairs:
            return None
        total, count = self._losses(model, pairs)
        found, done = scoring.Scores(self.layout, compare), 0
        for some, made in forecasts(model, self.series, pairs, self.layout, draws, seed=1):
            found.add(self.series, some, made)
            done += len(some)
            if tell is not None:
                tell(done / len(pairs))
        if not count or not len(found.own):
            return None
        return {"loss": total / count, **found.own.figures, "scored": found.own.scored}, found, len(pairs)

    def _losses(self, model: Model, pairs: Sequence[Pair]) -> tuple[float, int]:
        """Their sum over the horizons behind some origins, and how many there are."""
        windows, total, count = self._windows(pairs), 0.0, 0
        with evaluating(model):
            for k in range(windows.updates_per_epoch):
                losses = self.loss(model, windows.batch_at(k), None)
                total, count = total + float(losses.total), count + losses.count
        return total, count

    def _averaged(self) -> float | None:
        """The autocorrelation of changes that look averaged, of the first target of most series."""
        if not all(one.scalings[0].changes for one in self.series):
            return None
        found = [seasons.looks_averaged(one.scaled(np.arange(one.training))[:, 0]) for one in self.series[:50]]
        signs = [value for value in found if value is not None]
        return float(np.mean(signs)) if 2 * len(signs) > len(found) else None

    def about(self) -> list[tuple[str, str]]:
        return words.about(self)

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        return words.rows(super().rows(figures), figures)

    # -- what a person sees

    def show(self, model: Model, seed: int) -> Shown | None:
        """The first forecast of the validation part, as a picture."""
        pairs = self._pairs("validation", 1)[:1]
        if not pairs:
            return None
        made = forecast(model, self.series, pairs, self.layout, _FEW_DRAWS, seed)
        return Shown("picture", picture.draw(self, pairs, made, self.targets))

    def pictures(self, model: Model, part: str, figures: Mapping[str, Any]) -> Mapping[str, bytes]:
        """Forecasts of the part, beside what came."""
        pairs = self._pairs(part)
        some = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, picture.MOST).round().astype(int))]
        made = forecast(model, self.series, some, self.layout, _DRAWS, seed=1)
        return {"forecasts.png": picture.draw(self, some, made, self.targets)}

    def forecast(self, model: Model, horizon: int | None, seed: int) -> list[Shown]:
        """What comes behind the end of each series: a table, and a picture of the first ones."""
        asked = self.layout.horizon if horizon is None else horizon
        if asked > self.layout.horizon and self.layout.free:
            raise UsageError(
                f"--horizon: this model was trained to look at most {self.layout.horizon:,} steps ahead, got "
                f"{asked:,}: train one with --horizon {asked}"
            )
        self.options = replace(self.options, horizon=self.layout.horizon if self.layout.free else asked)
        self._check_known(asked)
        series = [self._prepared(one.series, one.scalings, (one.training, one.validation)) for one in self.series]
        pairs = [(k, len(one)) for k, one in enumerate(series)]
        draws = int(np.clip(_MOST_DRAWS // len(series), _DRAWS, 1_000))
        made = forecast(model, series, pairs, self.layout, draws, seed)[:, :asked]
        table = words.table(series, self.clock, self.targets, made)
        notes, pictures = list(words.of_others(self)), []
        try:
            pictures.append(Shown("picture", picture.draw(self, pairs, made, self.targets)))
        except DrawingError as error:
            notes.append(f"There is no picture: {error}.")
        return [Shown("table", table.encode("utf-8"), note=" ".join(notes)), *pictures]

    def _check_known(self, horizon: int) -> None:
        """DataError unless the covariates are known so far behind the end of every series."""
        fewest = min(self.series, key=lambda one: one.series.later)
        ahead = fewest.series.later
        if not self.covariates or ahead >= horizon:
            return
        of, target = f" of {fewest.series.label}" if fewest.series.name else "", self.targets[0]
        raise DataError(
            f"a forecast of {counted(horizon, 'steps')} needs {self.options.covariates} of these steps, and the data"
            f"{of} have {f'only {ahead:,}' if ahead else 'none'} of them: add rows at the end, with {target} empty"
            + (f", or give --horizon {ahead}" if ahead else "")
        )

    def evidence(self, model: Model, part: str) -> Evidence:
        """A window about the last origin of a part, one row for each step of the network."""
        layout = self.layout
        bounds = [self._bounds(one, part) for one in self.series]
        last = [(k, high - layout.horizon) for k, (low, high) in enumerate(bounds) if high - layout.horizon >= low]
        if not last:
            raise EmptyPartError(f"the {part} part has no origin with a whole horizon behind it")
        k, origin = last[-1]
        one = self.series[k]
        begin = origin - min(layout.context, origin // layout.patch * layout.patch)
        end = origin + (layout.ahead if layout.free else 0)
        inputs = window(one, origin, layout, begin, end)
        steps = np.arange(begin, end, layout.patch)
        level = np.nan_to_num(one.scaled(np.minimum(steps, len(one) - 1))[:, 0])
        times = one.series.when(self.clock, steps)
        labels = [label(time) for time in times]
        features = {"value": level, "behind the origin": (steps >= origin).astype(float)}
        if layout.season > 1:
            angle = 2 * np.pi * steps / layout.season
            features |= {"season (sine)": np.sin(angle), "season (cosine)": np.cos(angle)}
        where = f"{one.series.label} around {label(one.series.when(self.clock, np.array([origin]))[0])}"
        origin_of = f"the run's {part} part, {where}" if part != ALL else where
        return Evidence(origin_of, inputs, labels, features={n: v for n, v in features.items() if np.std(v) > 0})
