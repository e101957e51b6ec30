"""What training shows: live in a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from unrolled.runs.numbers import finite
from unrolled.training.metric import Metric
from unrolled.wording import aligned, columns, counted, harmless, short, singular, wrapped

Event = dict[str, Any]

_LIVE_EVERY, _COUNT_EVERY = 0.25, 5.0
"""Seconds between two states of the line, and between lines that count models."""
_EVERY = 1.0
"""Seconds from one line to the next one of its kind, so that a run of a few seconds prints few of them."""


def listener(as_json: bool) -> PlainLines:
    """The way to show events that fits where the output goes."""
    if as_json:
        return JsonLines()
    return LiveLine() if sys.stdout.isatty() else PlainLines()


@contextmanager
def showing(listen: Callable[[Event], None] | None, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Who is told of events: the listener that was given, or a display, or nobody."""
    if listen is not None or quiet:
        yield listen or (lambda event: None)
        return
    show = listener(as_json=False)
    try:
        yield show
    finally:
        show.close()


class PlainLines:
    """A line for each report, but of those that follow at once; a subclass may do more with the time between."""

    may_wait: tuple[str, ...] = ("train", "validation", "sample")

    def __init__(self) -> None:
        self.written: dict[str, float] = {}
        self.waiting: dict[str, Event] = {}
        self.unit = "steps"
        self.metrics: list[Metric] = []
        self.seconds_left = math.inf
        self.counted_at = 0.0
        self.told = False
        self.is_narrow = False

    def __call__(self, event: Event) -> None:
        kind = event["event"]
        if kind in self.may_wait:
            self.waiting.pop(kind, None)
            if time.monotonic() - self.written.get(kind, -math.inf) < _EVERY:
                self.waiting[kind] = event
                return
            self.written[kind] = time.monotonic()
        elif kind != "update":  # what comes next refers to the last ones
            self._write_waiting()
        self._show(event)

    def _show(self, event: Event) -> None:
        method = getattr(self, "_" + event["event"].replace(" ", "_"), None)
        if method is not None:
            method(event)

    def _write_waiting(self) -> None:
        """The last report of each kind, in their order."""
        for event in self.waiting.values():
            self._show(event)
        self.waiting = {}

    def close(self) -> None:
        """Training has ended, one way or another."""
        self._write_waiting()

    def write(self, text: str) -> None:
        """One finished line or block."""
        print(text, flush=True)

    def _say(self, sentence: str, indent: str = "") -> None:
        """One sentence, in lines that fit the terminal."""
        self.write(wrapped(sentence, indent=indent))

    # -- events

    def _started(self, e: Event) -> None:
        self.unit = e["step_unit"]
        self.metrics = [Metric(**metric) for metric in e["metrics"]]
        if e["further"]:
            self._say(f"Training {e['run']} further from update {e['from_update']:,}.")
        elif e["from_update"]:
            self._say(f"Resuming {e['run']} after update {e['from_update']:,}.")
        rows = _introduction(e)
        if e["chosen"]:
            rows.append(("", "* chosen from the data and the budget; give the option to set it yourself"))
        self.write("\n".join(aligned(rows, 10)))
        self.write("")

    def _already_finished(self, e: Event) -> None:
        done = f"{e['run']} is finished after {e['budget']}"
        if "asked" in e:
            trained = f"{counted(e['updates'], 'updates')}, {_amount(e['minutes'], 'minutes')}"
            done += f" ({trained}): {e['asked']} in total is not more"
        self._say(
            f"{done}. To train it further, give a larger --epochs or --minutes, counted from the start of the run."
        )

    def _further(self, e: Event) -> None:
        if (v := e.get("validation")) is not None:
            score = self.metrics[0].in_brief(v[self.metrics[0].name])
            self._say(f"best so far {e['best_update']:>6,}  {score}, scored again", "  ")

    def _update(self, e: Event) -> None:
        self.seconds_left = e["seconds_left"]

    def _train(self, e: Event) -> None:
        self.write(self._report(e))

    def _report(self, e: Event) -> str:
        parts = [f"update {e['update']:>6,}", *self._losses(e), f"|g| {e['gradient_norm']:.2f}"]
        parts += [f"clipped {e['clipped']:.0%}", f"{_thousands(e['per_second'])}/s"]
        parts += [f"{duration(self.seconds_left)} left"] + [f"skipped {e['skipped']}"] * (e["skipped"] > 0)
        self.is_narrow = self.is_narrow or len("  ".join(parts)) > columns()
        if self.is_narrow:  # from here on, so that columns stay where they are
            parts = [part for part in parts if not part.endswith("/s")]
        return "  ".join(parts)

    def _losses(self, e: Event) -> list[str]:
        """The training loss, its named parts, and what else is the same number in other units."""
        losses = [f"loss {short(e['loss'], 3)}"]
        losses += [f"{m.brief or m.title} {m.number(e['loss'] * m.factor, 2)}" for m in self.metrics if m.factor]
        return losses + [
            m.in_brief(e[m.name]) for m in self.metrics if m.name in e and m.name != "loss" and m.in_lines
        ]

    def _validation(self, e: Event) -> None:
        best = "  best so far" if e["best"] else ""
        mark = "~" if e.get("estimate") else ""
        scores = "  ".join(filter(None, (m.in_brief(e[m.name], mark) for m in self.metrics if m.name in e)))
        self._say(f"validation {e['update']:>6,}  {scores}{best}", "  ")
        if mark and not self.told:
            self.told = True
            self._say("  ~ estimated on excerpts of the validation part", "    ")

    def _sample(self, e: Event) -> None:
        if "text" in e:
            self.write("\n".join("  | " + line for line in _first_lines(e["text"])))
        else:
            self._say(f"wrote {e['file']}", "  ")

    def _fold(self, e: Event) -> None:
        self._count("cross-validation", e)

    def _choosing(self, e: Event) -> None:
        self._count("choosing by cross-validation", e)

    def _count(self, what: str, e: Event) -> None:
        """How many models of many are done."""
        now, is_done = time.monotonic(), e["done"] == e["of"]
        if not is_done and now - self.counted_at < _COUNT_EVERY:
            return
        self.counted_at = now
        score = (
            f", {e['metric'].replace('_', ' ')} so far {short(e['score'], 4)}" if e.get("score") is not None else ""
        )
        self._say(f"{what}: {e['done']:,} of {e['of']:,} models{score}", "  ")

    def _scoring(self, e: Event) -> None:
        self._say("scoring the best weights on the whole validation part ...")

    def _no_sample(self, e: Event) -> None:
        self._say(f"update {e['update']:,}: no sample, {e['reason']}", "  ")

    def _skip(self, e: Event) -> None:
        self._say(f"update {e['update']:,} skipped: its loss or gradient is not finite", "  ")

    def _warning(self, e: Event) -> None:
        self._say(f"! {e['cause']}: {e['evidence']}.", "  ")
        self._say(f"  Try: {e['cure']}.", "  ")

    def _finished(self, e: Event) -> None:
        self.write("")
        self._say(
            f"{counted(e['update'], 'updates')} in {duration(e['seconds'])}, {counted(e['symbols'], self.unit)}; "
            f"clipped {e['clipped']:.1%}, skipped {e['skipped']}."
        )
        if (v := e.get("validation")) is not None:
            scores = ", ".join(f"{m.title} {m.in_full(v[m.name])}".strip() for m in self.metrics if m.name in v)
            self._say(f"Best weights (update {e['best_update']:,}) on the whole validation part: {scores}.")
        if "note" in e:
            self._say(e["note"])


class LiveLine(PlainLines):
    """As plain lines for what stays; reports go into one line that is always up to date."""

    may_wait = ("validation", "sample")

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(highlight=False)
        self.line = ""
        self.shown_at = 0.0
        self.scoring_since = 0.0
        self.live: Any = None

    def write(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
        super().close()

    def _update(self, e: Event) -> None:
        super()._update(e)
        now = time.monotonic()
        if now - self.shown_at < _LIVE_EVERY:
            return
        self.shown_at = now
        if not self.line:
            self.line = f"loss {short(e['loss'], 3)}"
        self._draw(e["share"])

    def _draw(self, share: float) -> None:
        from rich.live import Live

        if self.live is None:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        table = Table.grid(padding=(0, 1), expand=False)
        left = f"{duration(self.seconds_left)} left"
        if self.console.width < 80:  # what there is room for
            table.add_row(f"{share:.0%}", self.line[: max(0, self.console.width - len(left) - 7)], left)
        else:
            table.add_row(ProgressBar(100, share * 100, width=12), f"{share:.0%}", self.line, left)
        self.live.update(table, refresh=True)

    def _train(self, e: Event) -> None:
        self.line = (
            f"{' '.join(self._losses(e))} |g| {e['gradient_norm']:.2f} "
            f"clip {e['clipped']:.0%} {_thousands(e['per_second'])}/s"
        )

    def _sample(self, e: Event) -> None:
        from rich.markup import escape

        if "text" not in e:
            super()._sample(e)
            return
        lines = (f"  [dim]|[/dim] [cyan]{escape(line)}[/cyan]" for line in _first_lines(harmless(e["text"])))
        self.console.print("\n".join(lines), soft_wrap=True)

    def _count(self, what: str, e: Event) -> None:
        print(f"\r  {what}: {e['done']:,} of {e['of']:,} models", end="", flush=True)
        if e["done"] == e["of"]:
            print("\r\x1b[K", end="")
            super()._count(what, e)

    def _scoring(self, e: Event) -> None:
        self.close()
        super()._scoring(e)
        self.scoring_since = time.monotonic()

    def _scored(self, e: Event) -> None:
        now = time.monotonic()
        if now - self.shown_at < _LIVE_EVERY:
            return
        self.shown_at, self.line = now, "scoring"
        self.seconds_left = (now - self.scoring_since) * (1 / max(e["share"], 1e-9) - 1)
        self._draw(e["share"])

    def _finished(self, e: Event) -> None:
        self.close()
        super()._finished(e)


class JsonLines(PlainLines):
    """Every event but those that move a bar, as one JSON object a line."""

    def __call__(self, event: Event) -> None:
        if event["event"] not in ("update", "scored"):
            print(json.dumps(finite(event)), flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(192.4), duration(7300)
    ('3:12', '2:01:40')
    """
    if not math.isfinite(seconds):
        return "?"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _first_lines(text: str) -> list[str]:
    """What of a sample fits the terminal; Chinese takes two columns a character."""
    shown = []
    for line in map(Text, text.splitlines()[:6]):
        line.truncate(min(78, columns()) - 4, overflow="ellipsis")
        shown.append(line.plain)
    return shown


def _thousands(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"


def _introduction(e: Event) -> list[tuple[str, str]]:
    """What is about to happen, in a few lines; a star marks what the program chose."""
    s = e["settings"]

    def star(name: str) -> str:
        return "*" if name in e["chosen"] else ""

    layers = f"{s['layers']}{star('layers')} {'layer' if s['layers'] == 1 else 'layers'}"
    layers += {"both": " in both directions", "alternating": ", backward and forward,"}.get(s["direction"], "")
    window = f"bptt {s['bptt'] or 'all'}"
    if s.get("update_every"):
        window += f", update every {s['update_every']}"
    if not s["carry"]:
        window += ", state not carried"
    decay = f", weight decay {s['weight_decay']:g}{star('weight_decay')}" if s.get("weight_decay") else ""
    rows = [(label, sentence) for label, sentence in e["about"]]
    if (source := e.get("from")) is not None:
        rows.append(("weights", f"from {source['run']} (update {source['update']:,})"))
    return [
        *rows,
        (
            "model",
            f"{s['cell']}, {layers} of {s['hidden']}{star('hidden')}, {counted(e['parameters'], 'parameters')}",
        ),
        ("", f"dropout {s['dropout']:g}{star('dropout')}, averaging {s['ema']:g}{star('ema')}{decay}"),
        *_slow(e),
        ("training", f"{s['optimizer']}, learning rate {s['lr']:g}{star('lr')}, clip {s['clip']}"),
        ("", f"batch {s['batch']}{star('batch')}, {window}, seed {s['seed']}, {counted(s['threads'], 'threads')}"),
        ("budget", _budget(s, e["updates"]) + (", counted from the run's start" if e["budget"] > 1 else "")),
    ]


def _budget(s: Event, updates: int | None) -> str:
    if "epochs" in s:
        return f"{_amount(s['epochs'], 'epochs')}, {counted(updates or 0, 'updates')}"
    return _amount(s["minutes"], "minutes")


def _amount(value: float, noun: str) -> str:
    return f"{value:g} {singular(noun) if value == 1 else noun}"


def _slow(e: Event) -> Iterator[tuple[str, str]]:
    """That the engine is missing, and what this cell does without it."""
    if e.get("engine_missing") and e.get("path") == "eager":
        yield "", "the engine was not built: this cell runs step by step, many times slower (see unrolled doctor)"
    elif e.get("engine_missing") and e.get("path"):
        yield "", "the engine was not built: torch's kernels are used (see unrolled doctor)"
