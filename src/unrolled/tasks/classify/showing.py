"""What a person is told of the data and of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.reading import Data
from unrolled.tasks.classify.symbols import Symbols
from unrolled.wording import counted

_LABELS, _BAD = 12, 8
_STEPS = {"dna": "letters of DNA", "protein": "amino acids", "values": "steps"}


def about(
    data: Data,
    symbols: Symbols,
    labels: Sequence[str],
    counts: np.ndarray,
    sizes: Mapping[str, int],
    options: ClassifyOptions,
) -> list[tuple[str, str]]:
    """The data in a few lines."""
    lengths = data.sequences.lengths
    least, most = int(lengths.min()), int(lengths.max())
    span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    steps = _STEPS.get(symbols.units, symbols.units)
    channels = f" of {counted(len(symbols.mean), 'channels')}" if symbols.units == "values" else ""
    rows = [("data", f"{counted(len(lengths), 'sequences')} of {span} {steps}{channels}")]
    rows.append(("", ", ".join(f"{part} {size:,}" for part, size in sizes.items())))
    shown = ", ".join(f"{label} ({count:,})" for label, count in zip(labels[:_LABELS], counts, strict=False))
    more = f", and {len(labels) - _LABELS} more" if len(labels) > _LABELS else ""
    of = " steps of the training part" if data.by_step else " in the training part"
    rows.append(("labels", shown + more + of))
    if symbols.units in ("words", "characters"):
        rows.append(("", f"{len(symbols.names) - 1:,} different {symbols.units}"))
    if data.cut:
        rows.append(("", f"{counted(data.cut, 'sequences')} cut to {options.longest:,} steps (--longest)"))
    if data.bad:
        rows.append(("left out", f"{counted(len(data.bad), 'files')} that cannot be used:"))
        rows += [("", reason) for reason in data.bad[:_BAD]]
        rows += [("", f"and {len(data.bad) - _BAD:,} more")] if len(data.bad) > _BAD else []
    parts = ["a label for each step" if data.by_step else f"pool {options.pool}"]
    parts += ["positions of the steps as inputs"] * bool(options.places)
    if options.context:
        parts.append(f"{counted(options.context, 'neighbours')} on either side of each step")
    return [*rows, ("task", ", ".join([*parts, f"augmentation {options.augment}"]))]


def tried(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """How the candidates did within the training part.

    >>> tried({"with places": {"errors": 2, "count": 9}, "without places": {"errors": 3, "count": 9}})
    'in cross-validation within the training part 2 of 9 wrong with places, 3 without places'
    """
    count = next(iter(figures.values()))["count"]
    (first, one), *others = figures.items()
    rest = "".join(f", {other['errors']:,} {name}" for name, other in others)
    return f"in cross-validation within the training part {one['errors']:,} of {count:,} wrong {first}{rest}"


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `Task.rows` does not say: errors, each label, calibration, seeds."""
    return list(_rows(figures))


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "errors", f"{figures['errors']:,} of {figures['count']:,}"
    yield "calibration", f"probabilities are off by {figures['calibration_error']:.1%} on average"
    for k, one in enumerate(figures["classes"][:_LABELS]):
        text = f"precision {one['precision']:.1%}, recall {one['recall']:.1%}, f1 {one['f1']:.3f}"
        yield "labels" if k == 0 else "", f"{one['label']} ({one['count']:,}): {text}"
    if len(figures["classes"]) > _LABELS:
        yield "", f"and {len(figures['classes']) - _LABELS} more (--json)"
    if seeds := figures.get("by_seed"):
        errors = [one["errors"] for one in seeds]
        if len(seeds) > 1:
            spread = f"mean {np.mean(errors):.1f}, standard deviation {np.std(errors, ddof=1):.1f}"
            yield "each seed", f"errors {', '.join(map(str, errors))}: {spread}"
    if choices := figures.get("choices"):
        yield "chosen", ", ".join(f"{name} in {counted(n, 'folds')}" for name, n in choices.items())
    if wrong := figures.get("wrong"):
        yield "wrong", ", ".join(wrong[:20]) + (f", and {len(wrong) - 20} more" if len(wrong) > 20 else "")
