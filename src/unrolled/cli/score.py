"""The verb ``score``."""

from __future__ import annotations

import click

from unrolled.cli.shared import NAME, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting
from unrolled.wording import counted


@click.command(epilog='Example: unrolled score runs/shakespeare --text "the king" --text "the gnik"')
@trained_run
@click.option("--text", multiple=True, help="Text to score; can be repeated.")
@click.option(
    "--file", "files", type=NAME, multiple=True, metavar="FILE", help="File to score; - for standard input."
)
@click.option("--given", default="", metavar="TEXT", help="Text that comes before it.")
@click.option("--each", is_flag=True, help="Print the probability of each symbol as well.")
@threaded(work_of_run)
@json_option
def score(
    run: str,
    text: tuple[str, ...],
    files: tuple[str, ...],
    given: str,
    each: bool,
    as_json: bool,
    cell: str | None,
    task: str | None,
    allow_code: bool,
) -> None:
    """Print the probability of a text under the model in RUN.

    Without --given, the first symbol's probability is its frequency in training.
    """
    import math

    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    if not text and not files:
        raise UsageError("name a text to score: --text TEXT or --file FILE")
    model = load(run, cell, allow_code, task)
    if not hasattr(model, "score"):
        raise UsageError(f"{run} has a model of another task, which gives texts no probabilities")
    with waiting("scoring"):
        found = [model.score(one, given) for one in (*text, *map(model.read, files))]
    for scored in found:
        if as_json:
            from json import dumps

            content = {
                "text": scored.text,
                "probability": scored.probability,
                "log_probability": scored.log_probability,
                "unknown": scored.unknown,
                "symbols": scored.symbols,
                "log_probabilities": scored.log_probabilities,
            }
            print(dumps(content))
            continue
        bits = -scored.log_probability / math.log(2)
        print(
            f"p = {_power(scored.log_probability)}  log p = {scored.log_probability:.3f} nats  "
            f"{bits / len(scored.text):.3f} bits per character  {_shown(scored.text)}"
        )
        if scored.unknown:
            print(f"    {counted(scored.unknown, 'symbols')} that the model never saw, scored as unknown")
        if each:
            for symbol, log in zip(scored.symbols, scored.log_probabilities, strict=True):
                print(f"    {symbol!r:<16} {math.exp(log):.6f}")


def _shown(text: str) -> str:
    """The text, or the beginning of a long one."""
    return repr(text) if len(text) <= 60 else f"{text[:50]!r} ... ({len(text):,} characters)"


def _power(log_probability: float) -> str:
    """A probability from its logarithm, however small."""
    import math

    exponent = math.floor(log_probability / math.log(10))
    mantissa = math.exp(log_probability - exponent * math.log(10))
    return f"{mantissa:.3f}e{exponent:+03d}"
