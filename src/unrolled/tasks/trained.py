"""A trained model, from its run folder: score it, let it generate, look inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unrolled.cells import Cell
from unrolled.errors import DataError, UsageError
from unrolled.models.model import Model
from unrolled.options import option_names
from unrolled.runs.folder import RunFolder
from unrolled.tasks.data import file_name, same_data
from unrolled.tasks.folds import FOLDS
from unrolled.tasks.opening import check_parts, restored, with_all, with_data
from unrolled.tasks.piped import own_data
from unrolled.training.checkpoints import check_finite, load_weights
from unrolled.training.kept import model_options
from unrolled.training.options import TrainingOptions
from unrolled.training.task import ALL, PARTS, Answers, Evidence, Shown, Task


class Trained:
    """A trained model of any task.

    Attributes:
        run: the folder.
        config: what ``config.toml`` says.
        task: its `Task`, with its side files, but without data.
        unchecked: its `model`, also where that is damaged, to look inside.
        options, model_options: the settings of the task and of the model.
    """

    def __init__(self, run: RunFolder, kind: type[Task], cell: type[Cell]) -> None:
        self.run = run
        self.config: dict[str, Any] = run.config()
        self.model_options = model_options(run)
        self.task: Any = restored(kind, run)
        self.options = self.task.options
        self.unchecked: Model = self.task.build(cell, self.model_options, for_use=True)
        arrays, self.about = run.read_model()
        load_weights(self.unchecked, arrays, self._weights)
        self.unchecked.eval()

    @property
    def model(self) -> Model:
        """The `Model`, with its best weights, in evaluation mode.

        Raises:
            RunError: they are not finite.
        """
        if not self._is_checked:
            check_finite(self.unchecked, self._weights)
            self._is_checked = True
        return self.unchecked

    _is_checked = False

    @property
    def _weights(self) -> str:
        """Their file."""
        return str(self.run.path / "model.safetensors")

    def evaluate(
        self,
        data: str | os.PathLike | None = None,
        on: str | None = None,
        tell: Callable[[float], None] | None = None,
    ) -> dict[str, Any]:
        """Scores on a part of the run's own data, or on other data.

        Arguments:
            data: a file or folder, ``-`` for standard input; None for the run's own data, where they lay when the
                run was trained.
            on: ``"validation"`` (the default without ``data``), ``"test"`` or ``"training"``, of the run's own
                data, which ``data`` may name at a new path; None with ``data`` for the whole of them, or for series
                their second half, since forecasts need a past. A run with cross-validation has ``"folds"`` besides,
                which is then the default.
            tell: called with the share that is scored, now and then.

        Returns:
            on; the task's metrics, by name; ``scored``, how many losses that was; and what else the task tells.

        Raises:
            UsageError: no such file or part, or a part of data that are not the run's.
            DataError: nothing to score, or the run's data have moved or changed.
        """
        if data is None and on in (None, "folds") and (self.run.path / FOLDS).is_file():
            return {"on": "folds", **self.run.read_json(FOLDS)}
        return self._scored(data, on, tell)[2]

    def _scored(
        self, data: str | os.PathLike | None, on: str | None, tell: Callable[[float], None] | None
    ) -> tuple[Task, str, dict[str, Any]]:
        """The task with the data, the part of them, and what `evaluate` gives."""
        path = None if data is None else file_name(data)
        if path is not None and on is None:
            part, name = ALL, path
            task = with_all(restored(type(self.task), self.run), path, self.model_options, self._training)
        else:
            part = name = "validation" if on is None else on
            task = self._with_own_data(part, path)
        figures: dict[str, Any] | None = task.score(self.model, part, tell)
        if figures is None:
            raise DataError(f"{name if part == ALL else f'the {name} part'} has nothing to score")
        if self.has_pictures:  # a pipe cannot be read for them again
            self._last = path, name, part, task
        return task, part, {"on": name, **figures}

    @property
    def generates(self) -> bool:
        """Whether there is anything to `generate`."""
        return type(self.task).sample is not Task.sample

    def rows(self, figures: dict[str, Any]) -> list[tuple[str, str]]:
        """What `evaluate` gave, for a person: a label each, and a number with its unit."""
        rows: list[tuple[str, str]] = self.task.rows(figures)
        return rows

    def generate(self, **settings: Any) -> Shown | Iterator[str] | Iterator[bytes]:
        """What the model makes, as its task has it: a file, or pieces of text or bytes.

        Arguments:
            settings: those of ``unrolled sample``, with underscores.

        Raises:
            UsageError: there is no such setting, or the task cannot generate.
        """
        kind = type(self.task)
        if not self.generates:
            raise self.cannot("has nothing to sample")
        if unknown := sorted(settings.keys() - option_names(kind.sample_class)):
            raise UsageError(f"there is no setting {unknown[0]!r}")
        made: Any = self.task.sample(self.model, kind.sample_class(**settings))
        if not isinstance(made, Shown | Iterator):
            raise TypeError(
                f"{kind.__name__}.sample must return a Shown, or an iterator of text or bytes, got "
                f"{type(made).__name__}"
            )
        return made

    @property
    def forecasts(self) -> bool:
        """Whether there is anything to `forecast`."""
        return type(self.task).forecast is not Task.forecast

    def forecast(
        self, data: str | os.PathLike | None = None, horizon: int | None = None, seed: int = 1
    ) -> Sequence[Shown]:
        """What comes after the end of the data: a table, and what else there is to see of it.

        Arguments:
            data: a file or folder; None for the run's own.
            horizon: so many steps; None for as many as the model was trained for.
            seed: the same seed gives the same forecast.

        Raises:
            UsageError: the task does not forecast, or not so far. DataError: the data cannot be used.
        """
        if not self.forecasts:
            raise self.cannot("does not forecast")
        if horizon is not None and horizon < 1:
            raise UsageError(f"--horizon: must be a whole number from 1, got {horizon}")
        if data is None and not Path(own_data(self.run)).exists():
            raise DataError(
                f"the run's {self.task.noun} is no longer at {own_data(self.run)}: give its new path, "
                f"unrolled forecast {self.run.path} FILE"
            )
        path = own_data(self.run) if data is None else file_name(data)
        task = with_all(restored(type(self.task), self.run), path, self.model_options, self._training)
        made: Sequence[Shown] = task.forecast(self.model, horizon, seed)
        return made

    @property
    def classifies(self) -> bool:
        """Whether there is anything to `classify`."""
        return type(self.task).answers is not Task.answers

    def classify(self, data: str | os.PathLike) -> Answers:
        """What the model says of each sequence of data that need no answers: a table, made row by row.

        Raises:
            UsageError: the task has no answers to give, or there are no such data. DataError: they cannot be used.
        """
        if not self.classifies:
            raise self.cannot("does not classify sequences")
        answers: Answers = restored(type(self.task), self.run).answers(self.model, file_name(data))
        return answers

    @property
    def verb(self) -> str:
        """The command that shows what the model is for."""
        can = {"sample": self.generates, "forecast": self.forecasts, "classify": self.classifies}
        return next((verb for verb, is_so in can.items() if is_so), "evaluate")

    def cannot(self, what: str) -> UsageError:
        """The error for a command that is not for this task; ``what`` the task does not do."""
        path = self.run.path
        return UsageError(f"{path}: the task {self.config['task']} {what}: see unrolled {self.verb} {path}")

    _last: tuple[str | None, str, str, Task] | None = None
    """What `evaluate` read last, for its pictures: the data, ``on``, the part, and the task with them."""

    @property
    def has_pictures(self) -> bool:
        """Whether its task draws pictures of scores."""
        return type(self.task).pictures is not Task.pictures

    def pictures(self, figures: dict[str, Any], data: str | os.PathLike | None = None) -> dict[str, bytes]:
        """Pictures of what `evaluate` gave, and of why the model answers as it does: PNG, or a page, by file name.

        Arguments:
            figures: of `evaluate`; data: what was given to it. They are read again unless they came last.
        """
        on, path = figures["on"], None if data is None else file_name(data)
        if self._last is not None and self._last[:2] == (path, on):
            _, _, part, task = self._last
        elif path is not None and on not in PARTS:
            task, part = with_all(restored(type(self.task), self.run), path, self.model_options, self._training), ALL
        else:
            part = on if on in PARTS else "training"
            task = self._with_own_data(part, path)
        return dict(task.pictures(self.model, part, figures))

    def evidence(self, data: str | os.PathLike | None = None) -> Evidence:
        """A sequence for `unrolled.insight` to look at what the model does with it.

        Arguments:
            data: a file or folder; None for the run's own validation part.

        Raises:
            UsageError: no such file. DataError: it cannot be used.
        """
        if data is None:
            evidence: Evidence = self._with_own_data("validation", None).evidence(self.unchecked, "validation")
            return evidence
        task = with_all(restored(type(self.task), self.run), file_name(data), self.model_options, self._training)
        return task.evidence(self.unchecked, ALL)

    def _with_own_data(self, on: str, moved: str | None) -> Task:
        """The task with the run's own data, which may have moved."""
        if on not in PARTS:
            raise UsageError(f"--on: must be validation, test or training, got {on!r}")
        own, noun = own_data(self.run), self.task.noun
        if moved is None and not Path(own).exists():
            raise DataError(
                f"the run's {noun} is no longer at {own}: give its new path, "
                f"unrolled evaluate {self.run.path} FILE --on {on}"
            )
        task = with_data(restored(type(self.task), self.run), moved or own, self.model_options, self._training)
        assert task.fingerprint is not None
        if not same_data(self.config["data"], task.fingerprint):
            if moved is None:
                raise DataError(f"{own} has changed since this run was trained, and so has its {on} part")
            raise UsageError(
                f"--on {on}: {moved} is not the {noun} that this run was trained on ({own}): leave out --on "
                "to score all of it"
            )
        check_parts(self.run, task, moved or own)
        return task

    @property
    def _training(self) -> TrainingOptions:
        return self.run.options(TrainingOptions, "training")

    def __repr__(self) -> str:
        o = self.model_options
        return f"{type(self).__name__}({str(self.run.path)!r}, {o.cell}, {o.layers} x {o.hidden}, {self.task.unit})"
