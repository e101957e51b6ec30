"""What a task is: all that the loop, `fit`, `load` and the commands ever ask of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from unrolled.cells.cell import Cell
from unrolled.errors import EmptyPartError
from unrolled.models.decode import evaluating
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.options import NoOptions, check_types
from unrolled.runs.folder import RunFolder
from unrolled.training.batches import Batch, Batches
from unrolled.training.bptt import batch_loss
from unrolled.training.crossing import CrossValidation
from unrolled.training.losses import Loss, mean
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.sizes import choose_sizes
from unrolled.wording import counted

SUFFIXES = {"text": ".txt", "picture": ".png", "midi": ".mid", "wav": ".wav", "table": ".csv"}
PARTS = ("training", "validation", "test")
ALL = "all"
"""The part that is everything, of data that are read to be scored."""

Tell = Callable[[float], None]
"""Told now and then which share of a long work is done."""


@dataclass(frozen=True)
class Shown:
    """What a model made, for a person: a file and its kind.

    Fields:
        kind: one of text, picture, midi, wav and table.
        content: the bytes of the file; text in UTF-8.
        beside: the same in other forms, written beside it under the same name.
        note: what else a person should know.

    Raises:
        ValueError: another kind. TypeError: a content that is no bytes.
    """

    kind: str
    content: bytes
    beside: tuple[Shown, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in SUFFIXES:
            raise ValueError(f"Shown: kind must be one of {', '.join(SUFFIXES)}, got {self.kind!r}")
        if not isinstance(self.content, bytes):
            raise TypeError(f"Shown: content must be bytes, got {type(self.content).__name__}")

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return SUFFIXES[self.kind]

    @property
    def text(self) -> str | None:
        """What a terminal can show of it."""
        return self.content.decode("utf-8", "replace") if self.kind in ("text", "table") else None


@dataclass(frozen=True)
class Evidence:
    """One sequence for `unrolled.insight` to look at what the model does with it.

    Fields:
        origin: where it comes from, in words.
        inputs: the sequence, (T,) whole numbers or (T, width) numbers.
        labels: what a person is to see of each step.
        names: what a person is to see of each number that the model may expect (V,); none where these are no symbols.
        unknown: which steps the model cannot know (T,); None for none of them.
        features: what to look for in units, each (T,).
        causes: why a step is hard, each (T-1,) bool for the steps but the first, in the order of asking; called
            with where a long past is needed (T-1,), or None where that is not known.
        losses: nats of each step but the first (T-1,), where the task knows them; of symbols with ``names`` they are
            found without it.
        baseline: nats a step of the simplest guess, to compare with.
        notes: what a person should know of it.
    """

    origin: str
    inputs: np.ndarray
    labels: Sequence[str]
    names: Sequence[str] = ()
    unknown: np.ndarray | None = None
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    causes: Callable[[np.ndarray | None], Mapping[str, np.ndarray]] | None = None
    losses: np.ndarray | None = None
    baseline: float | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Answers:
    """A table that is made row by row.

    Fields:
        columns: their names.
        rows: texts and numbers, one for each column.
    """

    columns: Sequence[str]
    rows: Iterator[Sequence[str | float]]


class Task(CrossValidation):
    """One kind of sequence learning: what it reads, what it predicts, how that is scored and shown.

    A subclass says what its name is, reads data, makes a model and gives batches; the rest has a default. It is made
    in one of three ways: to train (`read`, then `settle`), to go on with or to use a run (`restore` before that), and
    to start from the weights of another run (`begin_from`).

    Attributes:
        name: its name in ``config.toml``.
        noun: what its data are called: "the text of runs/a".
        unit: what losses are counted over, in the plural: characters, words, steps, reviews.
        step_unit: what the steps of its sequences are, in the plural.
        optimizer: what it is trained with where a person names none.
        metrics: what it is scored by; the best weights are those that are best by the first one.
        options_class, sample_class: dataclasses of its settings, and of those of ``unrolled sample``; see `option`.
        options: its settings.
        model, training: the settings of the model and of training, once `settle` has made every choice.
        reads_pipes: whether `read_all` takes ``-``, standard input, and what can be read only once; else they are
            copied to a file before.
        sequences: how many separate sequences the training part has, as `read` found it; None for one stream.
        fingerprint: what tells its data from others, where `read` has found it; else the program does it.
        parts_digest: what tells its parts from others, where it depends on more than the data which of them can be
            used: on files elsewhere, or on what libraries can read.

    >>> class Parity(unrolled.Task):
    ...     name, unit = "parity", "sequences"
    >>> Parity().criterion.name, Parity().metrics[0].in_full(0.5)
    ('loss', '0.5000 nats per step')
    """

    name: ClassVar[str]
    noun: ClassVar[str] = "data"
    unit: str = "steps"
    step_unit: str = "steps"
    metrics: Sequence[Metric] = (Metric("loss", "nats per step"),)
    options_class: ClassVar[type] = NoOptions
    sample_class: ClassVar[type] = NoOptions
    options: Any
    model: ModelOptions
    training: TrainingOptions
    reads_pipes: ClassVar[bool] = False
    sequences: int | None = None
    optimizer: str = "adam"
    fingerprint: Mapping[str, str] | None = None
    parts_digest: str | None = None

    def __init__(self, options: Any = None) -> None:
        self.options = self.options_class() if options is None else options
        check_types(self.options)

    @property
    def criterion(self) -> Metric:
        """The score by which the best weights are chosen."""
        return self.metrics[0]

    # -- data and side files

    def read(self, data: str) -> int:
        """Read the data, and split them; how many steps the training part has.

        Raises:
            UsageError: there are no such data. DataError: they cannot be used.
        """
        raise NotImplementedError

    def read_all(self, data: str) -> int:
        """Read data that are to be scored whole, as the part `ALL`; how many steps they have."""
        return self.read(data)

    def save(self, run: RunFolder) -> None:
        """Write the side files: what using the model needs besides its weights and the settings."""

    def restore(self, run: RunFolder) -> None:
        """Read the side files; RunError where one is damaged."""

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        """Make the choices that were left open.

        Arguments:
            steps: of the training part.
        """
        self.model, self.training = choose_sizes(model, training, steps, self.sequences, self.optimizer)

    # -- what is trained

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Any:
        """The model, with fresh weights: a `Model`, or an `EncoderDecoder` where the loss is the task's own.

        See `build_stack` for its recurrent layers.

        Arguments:
            for_use: it is made for trained weights.
        """
        raise NotImplementedError

    def batches(self, part: str = "training") -> Batches:
        """One of the `PARTS`, or `ALL`, in batches; each sequence, or step, once an epoch.

        Raises:
            EmptyPartError: there is nothing in that part; `Padded` and `Streams` raise it.
        """
        raise NotImplementedError

    def example(self) -> Batch:
        """A batch to try the model and the loss on, before anything is written."""
        return self.batches().batch_at(0)

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """The losses of a batch."""
        return batch_loss(model, batch, state)

    def settings(self) -> Mapping[str, Any]:
        """The model's settings by name, for advice; see `Advice`."""
        return asdict(self.model)

    # -- scores

    def score(self, model: Model, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """The metrics of one part, and ``scored``, how many losses it has; None if there is nothing to score.

        By default the means of the losses and of their named parts over one epoch of `batches`.
        """
        try:
            batches = self.batches(part)
        except EmptyPartError:
            return None
        sums: dict[str, tuple[float, int]] = {}
        state = None
        with evaluating(model):
            for k in range(batches.updates_per_epoch):
                batch = batches.batch_at(k)
                losses = self.loss(model, batch, state if batch.continues else None)
                state = losses.state
                for name, (total, count) in {**losses.parts, "loss": (float(losses.total), losses.count)}.items():
                    before = sums.get(name, (0.0, 0))
                    sums[name] = before[0] + total, before[1] + count
                if tell is not None:
                    tell((k + 1) / batches.updates_per_epoch)
        scored = sums.get("loss", (0.0, 0))[1]
        return {name: mean(*of) for name, of in sums.items()} | {"scored": scored} if scored else None

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        """Scores on the validation part, with that of the criterion among them; None if there is no such part.

        Arguments:
            whole: all of it; otherwise as much as training can wait for. Scores of less have ``estimate``: True.
            tell: called with the share that is scored, now and then.
        """
        return self.score(model, "validation", tell)

    def finish(self, model: Model) -> str | None:
        """Change the best weights once training is over; what was changed, in a sentence, or None.

        Called behind the last `validate`. When a run is trained further, it goes on from weights without the change.
        """
        return None

    def facts(self) -> dict[str, Any]:
        """What was read, in numbers, for programs."""
        return {}

    def about(self) -> list[tuple[str, str]]:
        """The same for a person, in a few lines: a label each, or none, and a sentence."""
        return []

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Scores for a person: a label each, and a number with its unit."""
        rows = [("on", f"{figures['on']}, {counted(figures['scored'], self.unit)} scored")]
        return rows + [(m.title, m.in_full(figures[m.name])) for m in self.metrics if m.name in figures]

    # -- what a person sees

    def show(self, model: Model, seed: int) -> Shown | None:
        """A sample for a person while the model learns; None if the task has nothing to show."""
        return None

    def sample(self, model: Model, options: Any) -> Shown | Iterator[str] | Iterator[bytes]:
        """What ``unrolled sample`` writes: a file, or text or bytes piece by piece.

        Arguments:
            options: settings of ``sample_class``.

        Raises:
            NotImplementedError: the task cannot generate.
        """
        raise NotImplementedError

    def forecast(self, model: Model, horizon: int | None, seed: int) -> Sequence[Shown]:
        """What ``unrolled forecast`` writes: what comes after the end of the data that `read_all` has read.

        Arguments:
            horizon: so many steps; None for as many as the model was trained for.
            seed: the same seed gives the same forecast.

        Returns:
            A table first, and then what else there is to see of it, such as a picture.

        Raises:
            NotImplementedError: the task does not forecast. UsageError: a horizon that the model cannot have.
        """
        raise NotImplementedError

    def evidence(self, model: Model, part: str) -> Evidence:
        """A sequence of that part for a look inside; by default the longest of the part's first batch.

        Raises:
            NotImplementedError: the model does not read a sequence of inputs.
        """
        if not (isinstance(model, Model) and model.graph.startswith("many")):
            raise NotImplementedError("the task gives no sequence for a model that does not read one input a step")
        batch = self.batches(part).batch_at(0)
        longest = 0 if batch.lengths is None else int(batch.lengths.argmax())
        steps = len(batch.inputs) if batch.lengths is None else int(batch.lengths[longest])
        inputs = batch.inputs[:steps, longest].cpu().numpy()
        labels = [f"{v:g}" if np.ndim(v) == 0 else str(t) for t, v in enumerate(inputs)]
        return Evidence(f"the run's {part} part", inputs, labels)

    def answers(self, model: Model, data: str) -> Answers:
        """What the model says of each sequence of data without answers, for ``unrolled classify``.

        Raises:
            UsageError: there are no such data. DataError: they cannot be used. NotImplementedError: the task has no
                answers to give.
        """
        raise NotImplementedError

    def pictures(self, model: Model, part: str, figures: Mapping[str, Any]) -> Mapping[str, bytes]:
        """Pictures of scores, and of why the model answers as it does: PNG, or a page of HTML, by file name."""
        return {}

    # -- from the weights of another run

    def begin_from(self, source: Task, where: str) -> None:
        """Let the run start from the weights of ``source``, which has no data; called before `read`.

        Arguments:
            where: the folder of the other run, for errors.
        """

    @classmethod
    def take_over(cls, source: Any, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Settings of a run that starts from another's weights: those of the source, but for the ones given.

        Arguments:
            source: the settings of the other run.
            where: its folder, for errors.
        """
        return asdict(source) | dict(given)

    def carry_over(self, model: Model, arrays: Mapping[str, np.ndarray], where: str) -> dict[str, int]:
        """Give the new model the weights of the source; what the run's configuration keeps of it.

        Raises:
            RunError: they do not fit.
        """
        from unrolled.training.checkpoints import load_weights

        load_weights(model, arrays, where)
        return {}
