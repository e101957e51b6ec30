"""The verb ``transcribe``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from unrolled.cli.shared import NAME, complaint, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import harmless

_HEADERS = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd")
"""How sound files begin."""


@click.command(epilog="Example: unrolled transcribe runs/digits three.wav")
@trained_run
@click.argument("files", nargs=-1, required=True, type=NAME)
@click.option("--stream", is_flag=True, help="Print the text as the sound is read, in constant memory.")
@click.option("--beam", type=int, metavar="B", help="Search with so many hypotheses (default: the likeliest path).")
@click.option("--language-model", type=NAME, metavar="RUN", help="A run of text that helps the search.")
@click.option("--weight", type=float, help="Of the language model's log probability (0.5).")
@click.option("--bonus", type=float, help="For each symbol, against the language model's haste (1).")
@threaded(work_of_run)
@json_option
def transcribe(
    run: str,
    files: tuple[str, ...],
    cell: str | None,
    task: str | None,
    allow_code: bool,
    stream: bool,
    as_json: bool,
    **search: Any,
) -> None:
    """Write down what is said in FILES, with the model in RUN.

    FILES are sound files, or folders of them. With --stream, - is raw sound on
    standard input: 16 bits, little-endian, one channel, at the rate of the run.
    """
    from unrolled.errors import DataError, UsageError
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code, task)
    if not hasattr(model, "transcribe"):
        raise model.cannot("does not transcribe")
    search = {name: value for name, value in search.items() if value is not None}
    if stream:
        if len(files) != 1 or search or as_json:
            raise UsageError("--stream takes one file, and no --beam, --language-model or --json")
        _stream(model, files[0])
        return
    if "-" in files:
        raise UsageError("-: raw sound on standard input needs --stream")
    if "language_model" in search:
        search["language_model"] = load(search["language_model"])
    every, failed = model.recordings(files), 0
    for file in every:
        try:
            text = model.transcribe(file, **search)
        except DataError as error:
            if len(every) == 1:
                raise
            failed += 1
            print(complaint(str(error), sys.argv[1:]), file=sys.stderr)
            continue
        if as_json:
            print(json.dumps({"file": str(file), "text": text}))
        else:
            line = text if len(every) == 1 else f"{file}\t{text}"
            print(harmless(line) if sys.stdout.isatty() else line)
    if failed:
        sys.exit(1)


def _stream(model: Any, name: str) -> None:
    import numpy as np

    from unrolled.errors import UsageError

    if name == "-" and sys.stdin is None:
        raise UsageError("standard input is closed")

    rest = b""

    def piped() -> Iterator[Any]:
        nonlocal rest
        is_first = True
        while block := os.read(sys.stdin.fileno(), 1 << 14):
            if is_first and block.startswith(_HEADERS):
                raise UsageError(
                    "standard input is a sound file, expected raw samples of 16 bits: give the file's name"
                )
            is_first = False
            block = rest + block
            whole = len(block) - len(block) % 2
            rest = block[whole:]
            yield np.frombuffer(block[:whole], dtype="<i2")
        if is_first:
            raise UsageError("standard input is empty, expected raw samples of 16 bits")

    for text in model.listen(piped()) if name == "-" else model.stream(name):
        sys.stdout.write(harmless(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    print()
    if rest:
        raise UsageError("standard input ends within a sample of 16 bits: are these raw samples?")
