"""The training loop: read, unroll, backpropagate, clip, step; report, validate, keep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from unrolled import memory
from unrolled.errors import RunError
from unrolled.layers.modes import evaluating
from unrolled.layers.state import is_finite, nesting
from unrolled.models.model import Model
from unrolled.runs.folder import RunFolder
from unrolled.runs.memory import MemoryRun
from unrolled.training import checkpoints
from unrolled.training.advice import Advice
from unrolled.training.averaging import Average
from unrolled.training.gradient import Gradient, backward
from unrolled.training.losses import Loss, mean
from unrolled.training.optimizers import make_optimizer
from unrolled.training.options import TrainingOptions
from unrolled.training.progress import Progress, Since
from unrolled.training.schedule import SCHEDULES, Budget, passed
from unrolled.training.stopping import StopRequest
from unrolled.training.streams import Streams
from unrolled.training.task import Task
from unrolled.training.watcher import Event, Moment, Watcher, entered

Listener = Callable[[dict[str, Any]], None]

REPORTS, VALIDATIONS, SAMPLES = 100, 10, 5
"""How often in a budget; marks of progress, so that a resumed run has the same ones."""

SKIPS_IN_A_ROW = 10
"""So many steps in a row without a finite gradient stop the run."""

WALL_CLOCK_FIELDS = ("seconds", "per_second", "seconds_left")
"""Fields of the history that differ between two runs of the same command."""


class Trainer:
    """Trains one model of one task in one run.

    Arguments:
        task: see `training.task`.
        model: what to train.
        options: with every choice made.
        run: where to keep it: a folder, or memory.
        listen: called with each event, a dictionary with ``event`` and its numbers: ``update`` (after each one, with
            the parts of its loss, not kept), ``train``, ``validation``, ``sample``, ``no sample``, ``skip``,
            ``warning``, ``further`` (one more budget begins), ``stopped early``, ``scoring``, ``finished``. The
            history keeps what watchers return besides.
        watchers: what looks on.
        fresh: whether the model's weights have not been trained before. chosen: settings that the program chose.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        options: TrainingOptions,
        run: RunFolder | MemoryRun,
        listen: Listener,
        watchers: Sequence[Watcher] = (),
        fresh: bool = True,
        chosen: Sequence[str] = (),
    ) -> None:
        self.task, self.model, self.options, self.run_folder = task, model, options, run
        self.listen, self.batches = listen, task.batches()
        self.advice = Advice(options, task.settings(), isinstance(self.batches, Streams), tuple(chosen))
        self.progress = Progress()
        self.state: Any = None
        assert options.lr is not None and options.ema is not None
        self.lr, self.clip = options.lr, options.clipping()
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = options.optimizer or "adam"
        self.optimizer = make_optimizer(optimizer, model, self.lr, options.weight_decay or 0.0, options.momentum)
        self.average, self.budget = Average(model, options.ema), self._budget(0, 0.0)
        self.watchers = watchers
        for watcher in watchers:
            watcher.begin(task, model, self.advice, fresh)

    # -- the way through

    def run(self) -> Progress:
        """Train until the budget is used.

        Raises:
            KeyboardInterrupt: the person, or the system, asked to stop; everything is saved.
            RunError: the gradient was not finite several times in a row, or a file cannot be written.
        """
        self._start_clock()
        with memory.kept(), StopRequest() as stop:
            while self.progress.share < 1 and not self.progress.stopped:
                if not self.model.training:
                    self.model.train()
                self._update()
                asked = stop.requested  # once: a signal between two looks would stop the run without saving
                if asked or time.monotonic() - self._saved_at >= self.options.save_every:
                    self.save()
                if asked:
                    raise KeyboardInterrupt
            if not self.progress.finished:
                self._finish()
        return self.progress

    def stop(self) -> None:
        """End training behind this update, as if the budget were used: for listeners."""
        self.progress.stopped = True

    def restore(self) -> None:
        """Go back to the run folder's checkpoint; history written after it is cut."""
        arrays, about = self.run_folder.read_checkpoint()
        where = str(self.run_folder.path / "resume.safetensors")
        try:
            self.progress, nested = Progress.from_json(about), about["state"]
            for watcher in self.watchers:
                watcher.restore(about["watchers"][watcher.name])
        except (KeyError, TypeError) as error:
            raise RunError(f"{where} is damaged: {error}") from error
        self.state = checkpoints.unpack(arrays, self.model, self.average, self.optimizer, nested, where)
        self.average.updates = self.progress.steps
        self.run_folder.cut_history(self.progress.history_size)
        self.budget = self._budget(self.progress.begun_update, self.progress.begun_seconds)

    @property
    def asks_for_more(self) -> bool:
        """Whether the options ask for more training than was done."""
        p = self.progress
        return not self._budget(p.update, p.seconds - p.scoring).is_empty

    def begin_budget(self) -> None:
        """Train further: one more budget, with a schedule of its own, from where the last one ended.

        The best weights so far are measured again, on the estimate that this budget's validations make, so
        that only better ones replace them.
        """
        p = self.progress
        p.begin_budget()
        for watcher in self.watchers:
            watcher.begin_budget()
        self.budget = self._budget(p.begun_update, p.begun_seconds)
        self._start_clock()
        scores, best_update, _ = self._score_best(whole=False)
        p.best = self.task.criterion.of(scores)
        p.best_update = best_update
        asked = {name: getattr(self.options, name) for name in ("epochs", "minutes") if getattr(self.options, name)}
        event = {"event": "further", "update": p.update, **asked, "lr": self.lr, "warmup": self.options.warmup}
        self._record(event | {"best_update": best_update} | ({"validation": scores} if scores is not None else {}))
        self.save()

    def save(self) -> None:
        """Write the checkpoint. Not while the gradient is not finite: the last good one stays."""
        if self.progress.skipped_in_a_row:
            return
        self.progress.history_size = self.run_folder.sync_history()
        self.progress.seconds = self._seconds()
        arrays = checkpoints.pack(self.model, self.average, self.optimizer, self.state)
        watchers = {watcher.name: watcher.as_json() for watcher in self.watchers}
        about = self.progress.as_json() | {"watchers": watchers, "state": nesting(self.state)}
        self.run_folder.write_checkpoint(arrays, about)
        self._saved_at = time.monotonic()

    # -- one update

    def _update(self) -> None:
        p = self.progress
        began = self._seconds()
        lr = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.batches.batch_at(p.update)
        state = self.state if batch.continues and self.options.carry else None
        random = torch.get_rng_state()
        moment = self._moment(lr)
        with entered(watcher.differentiating(moment, batch) for watcher in self.watchers):
            losses = self.task.loss(self.model, batch, state)
            gradient = backward(losses.total / max(losses.count, 1), self.parameters)
        loss = float(losses.total.detach())
        finite = math.isfinite(loss) and gradient.finite
        if not finite:
            with torch.random.fork_rng(devices=[]):  # as before this update, which a resumed run makes again
                torch.set_rng_state(random)
                self.save()  # the last good state; no more saving until the gradient is finite again
        p.update += 1
        p.symbols += batch.steps
        if finite:
            if losses.count:  # without a loss, momentum would still move the weights
                with entered(watcher.stepping(moment) for watcher in self.watchers):
                    self._step(gradient, loss, losses, batch.steps)
                self._watch(lambda watcher: watcher.updated(self._moment(lr)))
            self.state = losses.state
        else:
            self._skip(lr)
            self.state = losses.state if is_finite(losses.state) else None
        p.since.seconds += self._seconds() - began
        before, p.seconds = p.share, self._seconds()
        p.share = self.budget.progress(p.update, p.seconds - p.scoring)
        self._tell_update(mean(loss, losses.count), losses.parts)
        if finite and (p.update == 1 or passed(before, p.share, VALIDATIONS)):
            self._watch(lambda watcher: watcher.look(self._moment(lr), batch, state))
        self._at_marks(before, lr)
        if self.budget.minutes is not None:  # a mark that passes while another is attended to is not one more
            p.share = self._share()

    def _step(self, gradient: Gradient, loss: float, losses: Loss, steps: int) -> None:
        p, (kind, limit) = self.progress, self.clip
        clipped = False
        if kind == "norm":
            clipped = gradient.clip_norm(limit)
        elif kind == "value":
            clipped = gradient.clip_value(limit)
        self.optimizer.step()
        self.average.update()
        p.steps += 1
        p.skipped_in_a_row = 0
        p.clipped += clipped
        p.since.add(loss, losses, steps, gradient.norm, clipped)

    def _skip(self, lr: float) -> None:
        p = self.progress
        p.skipped += 1
        p.skipped_in_a_row += 1
        self.listen({"event": "skip", "update": p.update, "lr": lr})
        self._watch(lambda watcher: watcher.skipped(self._moment(lr)))
        if p.skipped_in_a_row == SKIPS_IN_A_ROW:
            good = f"{self.run_folder.path} keeps the last good state"
            raise RunError(
                f"stopped: the loss or gradient was not finite in {SKIPS_IN_A_ROW} updates in a row, the last "
                f"at update {p.update}, with learning rate {lr:.3g}. {good}. "
                f"In a new run, try {self.advice.not_finite()}"
            )

    # -- now and then

    def _at_marks(self, before: float, lr: float) -> None:
        p = self.progress
        if passed(before, p.share, REPORTS) and p.since.updates:
            self._report(lr)
        if p.skipped_in_a_row:
            return
        if passed(before, p.share, SAMPLES):
            self._sample()
        if passed(before, p.share, VALIDATIONS):
            self._validate(lr)
            self.save()

    def _report(self, lr: float) -> None:
        p, s = self.progress, self.progress.since
        event = {
            "event": "train",
            "update": p.update,
            "epoch": round(p.update / self.batches.updates_per_epoch, 4),
            "symbols": p.symbols,
            **s.means(),
            "skipped": p.skipped,
            "lr": lr,
            "seconds": round(p.seconds, 3),
            "per_second": round(s.symbols / max(s.seconds, 1e-9)),
        }
        p.since = Since()
        self._record(event)
        self._watch(lambda watcher: watcher.reported(self._moment(lr), event))

    def _validate(self, lr: float) -> None:
        p = self.progress
        p.validated_update = p.update
        with self.average.in_place(), evaluating(self.model):
            scores = self.task.validate(self.model, whole=False)
            score = self.task.criterion.of(scores)
            best = score is not None and self.task.criterion.improves(score, p.best)
            if best or scores is None or not p.best_update:
                p.best_update = p.update
                p.best = score if best else None
                self._keep_model(scores)
        if scores is not None:
            self._record({"event": "validation", "update": p.update, **scores, "best": best})
            self._watch(lambda watcher: watcher.validated(self._moment(lr), scores))
            p.worse = 0 if best else p.worse + 1
            if self.options.patience is not None and p.worse >= self.options.patience and p.share < 1:
                p.stopped = True
                self._record({"event": "stopped early", "update": p.update, "best_update": p.best_update})

    def _watch(self, ask: Callable[[Watcher], Iterable[Event]]) -> None:
        """Keep what the watchers return; tell the warnings."""
        for watcher in self.watchers:
            for event in ask(watcher):
                self.run_folder.append_history(event)
                if event["event"] == "warning":
                    self.listen(event)

    def _moment(self, lr: float) -> Moment:
        p = self.progress
        return Moment(p.update, p.share, lr, self.lr, first=not p.since.updates)

    def _sample(self) -> None:
        p = self.progress
        try:
            with self.average.in_place(), evaluating(self.model):
                shown = self.task.show(self.model, seed=self.options.seed)
        except RunError as error:  # training may still recover from it
            self.listen({"event": "no sample", "update": p.update, "reason": str(error)})
            return
        if shown is None:
            return
        file = self.run_folder.write_sample(p.update, shown.content, shown.suffix)
        text = {} if shown.text is None else {"text": shown.text}
        self.listen({"event": "sample", "update": p.update, "kind": shown.kind, "file": file, **text})

    def _finish(self) -> None:
        """Score the best weights on the whole validation part, and say that the run is finished."""
        p = self.progress
        if p.validated_update != p.update:
            self._validate(self._rate())
        self.listen({"event": "scoring", "update": p.update})
        began = self._seconds()
        scores, best_update, note = self._score_best(whole=True)
        p.scoring += self._seconds() - began
        event = {
            "event": "finished",
            "update": p.update,
            "symbols": p.symbols,
            "best_update": best_update,
            "clipped": p.clipped / max(p.steps, 1),
            "skipped": p.skipped,
            "seconds": round(self._seconds(), 3),
        }
        event |= {"note": note} if note is not None else {}
        self._record(event | ({"validation": scores} if scores is not None else {}))
        p.finished = True
        p.skipped_in_a_row = 0
        self.save()

    def _score_best(self, whole: bool) -> tuple[dict[str, float] | None, int, str | None]:
        """The validation scores of the weights that the folder keeps, and the update that they are from.

        Arguments:
            whole: on the whole part, and the task then finishes these weights; what it says of that comes last.
        """
        arrays, about = self.run_folder.read_model()
        latest = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        checkpoints.load_weights(self.model, arrays, str(self.run_folder.path / "model.safetensors"))
        with evaluating(self.model):
            scores = self.task.validate(self.model, whole, self._tell_scored if whole else None)
            note = self.task.finish(self.model) if whole else None
        if note is not None:
            self.run_folder.write_model(checkpoints.to_arrays(self.model.state_dict()), about)
        self.model.load_state_dict(latest)
        return scores, about["update"], note

    def _keep_model(self, scores: dict[str, float] | None) -> None:
        about = {"update": self.progress.update, "validation": scores}
        self.run_folder.write_model(checkpoints.to_arrays(self.model.state_dict()), about)

    def _record(self, event: dict[str, Any]) -> None:
        self.run_folder.append_history(event)
        self.listen(event)

    def _tell_update(self, loss: float, parts: Mapping[str, tuple[float, int]]) -> None:
        p = self.progress
        self.listen(
            {
                "event": "update",
                "update": p.update,
                "loss": loss,
                "parts": parts,
                "share": p.share,
                "seconds": p.seconds,
                "seconds_left": self.budget.seconds_left(p.update, p.seconds - p.scoring),
            }
        )

    def _tell_scored(self, share: float) -> None:
        self.listen({"event": "scored", "update": self.progress.update, "share": share})

    def _budget(self, updates: int, seconds: float) -> Budget:
        """The budget that begins there, and ends where the options say."""
        end = None
        if self.options.epochs is not None:
            end = max(1, round(self.options.epochs * self.batches.updates_per_epoch))
        return Budget(end, self.options.minutes, updates, seconds)

    def _start_clock(self) -> None:
        self._saved_at = time.monotonic()
        self._clock = self._saved_at - self.progress.seconds

    def _seconds(self) -> float:
        return time.monotonic() - self._clock

    def _share(self) -> float:
        """The share of the budget that is used by now."""
        return self.budget.progress(self.progress.update, self._seconds() - self.progress.scoring)

    def _rate(self) -> float:
        """The learning rate now."""
        return self.lr * SCHEDULES[self.options.schedule](self._share(), self.options.warmup)
