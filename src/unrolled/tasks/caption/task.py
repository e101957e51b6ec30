"""The caption task: a sentence for each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.decode import evaluating
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.caption import choices, gallery, showing
from unrolled.tasks.caption.baselines import most_frequent, nearest
from unrolled.tasks.caption.captioner import Captioner
from unrolled.tasks.caption.options import CaptionOptions
from unrolled.tasks.caption.pairs import Pairs, as_pictures
from unrolled.tasks.caption.pictures import opened
from unrolled.tasks.caption.reading import Collection, read_collection
from unrolled.tasks.caption.scenes.scene import Scene
from unrolled.tasks.caption.scenes.writing import read_truth
from unrolled.tasks.caption.scores import check_scorers, scores
from unrolled.tasks.caption.scoring import Written, baseline, judged
from unrolled.tasks.caption.seeing import Sight
from unrolled.tasks.caption.words import Symbols, symbols_from_json, symbols_of
from unrolled.tasks.caption.writing import Search, written
from unrolled.tasks.sequences import Chosen
from unrolled.tasks.splitting import digest, split
from unrolled.training.batches import Batch
from unrolled.training.kept import check_same
from unrolled.training.losses import Loss, mean
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import ALL, PARTS, Evidence, Shown, Task, Tell

SIDE_FILE, SYMBOLS_FILE, PAGE = "caption.json", "vocabulary.json", "captions.html"
_FEW, _SHOWN = 200, 6
"""Pictures that are scored, and shown, while training."""
_REFERENCES = 10
"""Captions of a picture that count in validation: its time is that of the pictures, however many each has."""
_LISTED = ("successful", "best", "worst", "page")
"""What the page itself shows."""
_PAIRS = 128
"""Captions side by side where their loss is measured."""
_LOOKED_AT = 500
"""Pictures that are looked at to say why all captions are alike."""
_NO_PICTURE = np.full((64, 64, 3), 224, np.uint8)
_LONGEST = 200
"""Symbols of a caption; longer ones are cut there, without an end."""


class CaptionTask(Task):
    """A sentence for each picture; see `Task`.

    Attributes:
        symbols: what captions are made of. sight: how pictures are seen.
        longest: symbols of the longest caption.
        frequent, frequent_share: the commonest caption, and its share of all.
        found, seen: the pictures that were read, and what is seen of each. parts: the numbers of those of each part.
        is_all_training: the data say that all pictures are for training; then these are split.
    """

    name, noun = "caption", "pictures"
    unit, step_unit = "pictures", "words"
    options_class = CaptionOptions
    metrics: Sequence[Metric] = (
        Metric("loss", "nats per word", brief_digits=3),
        Metric("cider", "CIDEr-D", digits=3, higher=True, label="CIDEr", brief_digits=2),
    )
    symbols: Symbols
    sight: Sight
    longest: int = 0
    frequent: str
    frequent_share: float
    found: Collection
    seen: Sequence[np.ndarray]
    parts: Mapping[str, np.ndarray]
    is_all_training: bool = False

    # -- data and side files

    def read(self, data: str) -> int:
        self._read(data)
        given = np.array([-1 if one.part is None else PARTS.index(one.part) for one in self.found.pictures])
        self.is_all_training = bool((given == PARTS.index("training")).all())
        if self.is_all_training:  # as COCO's, where somebody has the larger file alone
            given[:] = -1
        made = split(np.zeros(len(given), np.int64), self.options.shares(), given)
        self.parts_digest = digest([self.name_of(k) for k in range(len(given))], made)
        self.parts = {part: np.flatnonzero(made == k) for k, part in enumerate(PARTS)}
        captions = self._captions("training")
        if not captions:
            named = sorted({str(one.part) for one in self.found.pictures if one.part})
            why = f"they are all {' or '.join(named)}" if named else f"--split {self.options.split}"
            raise DataError(f"{data}: the training part has no pictures ({why})")
        if not hasattr(self, "symbols"):
            self.symbols = symbols_of(captions, self.options)
            which = self.parts["training"]
            self.sight = self.sight.fitted(Chosen(self.seen, which), [self.found.pictures[k].path for k in which])
        if not hasattr(self, "frequent"):
            self.frequent, self.frequent_share = most_frequent(captions)
            longest = max(len(self.symbols.encode(one)) for one in captions)
            self.longest = max(min(longest, _LONGEST), self.longest)
        self.sequences = len(captions)
        return self._steps(captions)

    def read_all(self, data: str) -> int:
        self._read(data)
        self.parts = {ALL: np.arange(len(self.found.pictures))}
        return self._steps(self._captions(ALL))

    def _steps(self, captions: Sequence[str]) -> int:
        return sum(len(self.symbols.encode(one)) for one in captions)

    def _read(self, data: str) -> None:
        """The pictures that can be used, and what is seen of them."""
        check_scorers()
        found = read_collection(Path(data))
        self.folder = Path(data) if Path(data).is_dir() else Path(data).parent
        if not hasattr(self, "sight"):
            self.sight = choices.sight(self.options, [one.path for one in found.pictures])
        self.seen, bad = self.sight.seen([one.path for one in found.pictures])
        unusable = {k for k, _ in bad}
        left_out = [*found.left_out, *((self._name(found.pictures[k].path), why) for k, why in bad)]
        pictures = [one for k, one in enumerate(found.pictures) if k not in unusable]
        if not pictures:
            first = f": {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
            raise DataError(f"{data} has no picture with a caption that can be used{first}")
        self.found = Collection(pictures, left_out)
        self.truth = read_truth(self.folder)

    def _captions(self, part: str) -> list[str]:
        return [text for k in self.parts[part] for text in self.found.pictures[k].captions]

    def save(self, run: RunFolder) -> None:
        run.write_json(SYMBOLS_FILE, self.symbols.as_json())
        frequent = {"frequent": self.frequent, "frequent_share": self.frequent_share}
        run.write_json(SIDE_FILE, {"longest": self.longest, **frequent, "sight": self.sight.kept()})

    def restore(self, run: RunFolder) -> None:
        self.symbols = symbols_from_json(run.read_json(SYMBOLS_FILE), str(run.path / SYMBOLS_FILE))
        kept = run.read_json(SIDE_FILE)
        try:
            self.longest, self.frequent = int(kept["longest"]), str(kept["frequent"])
            self.frequent_share = float(kept["frequent_share"])
            self.sight = choices.restored(self.options, kept["sight"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.path / SIDE_FILE} is damaged: {error}") from error

    def begin_from(self, source: Task, where: str) -> None:
        assert isinstance(source, CaptionTask)
        self.symbols, self.sight, self.longest = source.symbols, source.sight, source.longest

    @classmethod
    def take_over(cls, source: CaptionOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        for name in ("image", "features", "size", "units", "rare", "vocabulary_size"):
            check_same(name, getattr(source, name), given, where)
        return super().take_over(source, given, where)

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        if model.direction == "both":
            raise UsageError("--direction: captions are written word by word: leave out --direction both")
        super().settle(*choices.sizes(model, training), steps)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Captioner:
        o = self.options
        eye, symbols = self.sight.eye(), self.symbols.end + 1
        return Captioner(eye, cell, options, o.image, symbols, for_use, o.word_noise)

    def batches(self, part: str = "training") -> Pairs:
        t, which = self.training, self.parts.get(part, np.empty(0, dtype=np.int64))
        return self._pairs(which, t.batch or 1, self.options.augment and self.sight.shifts and part == "training")

    def _pairs(self, which: np.ndarray, batch: int, shifted: bool = False, most: int | None = None) -> Pairs:
        captions: list[np.ndarray] = []
        of: list[int] = []
        for k in which:
            texts = self.found.pictures[k].captions[:most]
            captions += [self.symbols.encode(text)[:_LONGEST] for text in texts]
            of += [int(k)] * len(texts)
        t = self.training
        return Pairs(self.seen, captions, np.array(of), self.symbols.end, batch, t.seed, shifted, t.device)

    def loss(self, model: Any, batch: Batch, state: Any) -> Loss:
        """Teacher forcing: each word of a caption, given those before it."""
        target = batch.targets
        return Loss(*model.losses(target.pictures, target.of, batch.inputs, target.symbols, batch.lengths))

    # -- scores

    def search(self, **changes: Any) -> Search:
        """How captions are found, unless ``changes`` say otherwise."""
        usual = {"beam": self.options.beam_width, "length_penalty": self.options.length_penalty}
        return Search(longest=self.longest, **{**usual, **changes})

    def texts(
        self, model: Any, pictures: Sequence[np.ndarray], search: Search, tell: Tell | None = None
    ) -> list[list[str]]:
        """Captions of what is seen of pictures, the best first."""
        made = []
        for several in written(model, pictures, search, self.symbols.unknown):
            texts = [self.symbols.decode(one) for one in several]
            made.append(texts if search.beam is None else [*dict.fromkeys(texts)])
            if tell is not None:
                tell(len(made) / len(pictures))
        return made

    def score(self, model: Any, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """Loss, scores of captions found without the references, baselines, and the best and worst captions."""
        which = self.parts.get(part, np.empty(0, dtype=np.int64))
        if not len(which):
            return None
        made = self._scored(model, which, self.search(), tell)
        figures = made.figures() | {"baselines": self._baselines(which, made)}
        why = self._alike(model, which, made)
        return figures | ({"alike": why} if why else {})

    def validate(self, model: Any, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        which = self.parts["validation"]
        if not len(which):
            return None
        few = which if whole else np.sort(np.random.default_rng(0).permutation(which)[:_FEW])
        search = self.search() if whole else self.search(beam=1)
        made = self._scored(model, few, search, tell, _REFERENCES).means()
        made = showing.defined(made)
        return made | ({"estimate": True} if len(few) < len(which) else {})

    def _scored(
        self, model: Any, which: np.ndarray, search: Search, tell: Tell | None = None, most: int | None = None
    ) -> Written:
        """``most``: as many captions of each picture, the first ones, are what is looked for."""
        captions = [several[0] for several in self.texts(model, Chosen(self.seen, which), search, tell)]
        references = [self.found.pictures[k].captions[:most] for k in which]
        names = [self.name_of(int(k)) for k in which]
        loss, scored = self._loss(model, which, most=most), scores(captions, references)
        return Written(names, captions, references, loss, scored, judged(captions, self._scenes(which)))

    def _loss(self, model: Any, which: np.ndarray, exchanged: bool = False, most: int | None = None) -> float:
        """Nats a word of the references; ``exchanged``: each with another picture."""
        pairs = self._pairs(which, _PAIRS, most=most)
        total, count = 0.0, 0
        with evaluating(model):
            for k in range(pairs.updates_per_epoch):
                batch = pairs.batch_at(k)
                if exchanged:
                    other = replace(batch.targets, pictures=batch.targets.pictures.roll(1, 0))
                    batch = replace(batch, targets=other)
                losses = self.loss(model, batch, None)
                total, count = total + float(losses.total), count + losses.count
        return mean(total, count)

    def _baselines(self, which: np.ndarray, made: Written) -> dict[str, Any]:
        """The commonest caption for every picture; and the first one of the nearest training picture."""
        scenes = self._scenes(which)
        found = {"most_frequent": baseline([self.frequent] * len(which), made.references, scenes)}
        training = self.parts.get("training", np.empty(0, dtype=np.int64))
        if len(training) and not np.array_equal(training, which):
            described = [self._described(one) for one in (which, training)]
            captions = [self.found.pictures[training[k]].captions[0] for k in nearest(*described)]
            found["nearest_picture"] = baseline(captions, made.references, scenes)
        return found

    def _described(self, which: np.ndarray) -> np.ndarray:
        return np.stack([self.sight.described(self.seen[int(k)]) for k in which])

    def _alike(self, model: Any, which: np.ndarray, made: Written) -> list[str]:
        """Why nearly all captions are the same, if they are."""
        caption, share = made.commonest()
        if not showing.are_alike(share, len(which)):
            return []
        x = self._described(which[:_LOOKED_AT])
        spread = float(x.std(0).mean() / max(x.std(1).mean(), 1e-9))
        worth = self._loss(model, which[:_LOOKED_AT], exchanged=True) - self._loss(model, which[:_LOOKED_AT])
        return showing.alike(caption, share, self.frequent_share, spread, worth)

    def _scenes(self, which: np.ndarray) -> list[Scene | None]:
        return [self.truth.get(self.found.pictures[k].path) for k in which]

    def name_of(self, k: int) -> str:
        """A picture's path in the data."""
        return self._name(self.found.pictures[k].path)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)

    def facts(self) -> dict[str, Any]:
        return {
            "pictures": {part: len(which) for part, which in self.parts.items()},
            "captions": sum(len(one.captions) for one in self.found.pictures),
            "left_out": [f"{name}: {why}" for name, why in self.found.left_out],
        }

    def about(self) -> list[tuple[str, str]]:
        sizes = {part: len(self.parts[part]) for part in PARTS}
        common = self.frequent, self.frequent_share
        made = showing.about(self.found, sizes, self.symbols.end, self.options, self.sight.words, common)
        if self.is_all_training:
            made.insert(2, ("", f"the data name all of them training: split by --split {self.options.split}"))
        return made

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        return super().rows(showing.defined(figures)) + showing.rows(figures)

    # -- what a person sees

    def show(self, model: Any, seed: int) -> Shown | None:
        """Captions of a few pictures that are not trained on."""
        which = self.parts["validation"][:_SHOWN]
        texts = self.texts(model, Chosen(self.seen, which), self.search())
        lines = [f"{self.name_of(int(k))}: {several[0]}" for k, several in zip(which, texts, strict=True)]
        return Shown("text", "\n".join(lines).encode("utf-8", "replace")) if lines else None

    def evidence(self, model: Any, part: str) -> Evidence:
        raise NotImplementedError(
            "gates and units are shown as a model reads a sequence, and this one reads pictures; unrolled evaluate "
            f"shows its captions, in {PAGE}"
        )

    def pictures(self, model: Any, part: str, figures: Mapping[str, Any]) -> Mapping[str, bytes]:
        """The best and the worst captions with their pictures, and where the network looked, as one page."""
        number = {self.name_of(int(k)): int(k) for k in self.parts[part]}
        titled = zip(("Successful", "Unsuccessful"), ("best", "worst"), showing.successes(figures), strict=True)
        shown = [
            (f"{title} captions: {how_many}", [self._entry(model, number[one["name"]], one) for one in figures[key]])
            for title, key, how_many in titled
        ]
        rows = self.rows({name: value for name, value in figures.items() if name not in _LISTED})
        return {PAGE: gallery.page(rows, shown)}

    def _entry(self, model: Any, k: int, one: Mapping[str, Any]) -> gallery.Entry:
        symbols = self.symbols.encode(one["caption"])
        with evaluating(model):
            alpha = model.looks(as_pictures([self.seen[k]]), torch.from_numpy(symbols)[:, None])
        maps = None if alpha is None else alpha[: len(symbols) - 1, 0].numpy(force=True)
        try:
            picture = opened(self.found.pictures[k].path)
        except DataError:  # ready features are enough to describe it
            return gallery.Entry(_NO_PICTURE, one, self.symbols.pieces(symbols), None)
        return gallery.Entry(picture, one, self.symbols.pieces(symbols), maps)
