"""The verb ``doctor``."""

from __future__ import annotations

import click

from unrolled.cli.shared import json_option


@click.command(epilog="Example: unrolled doctor")
@json_option
def doctor(as_json: bool) -> None:
    """What this installation can do.

    Versions, threads, and how each cell is run, and why.
    """
    import platform

    import torch

    from unrolled.cells import ElmanCell, GRUCell, LSTMCell
    from unrolled.layers.torch_kernels import has_kernel
    from unrolled.version import __version__

    cells = [
        ("lstm", LSTMCell(1, 1)),
        ("elman", ElmanCell(1, 1)),
        ("gru", GRUCell(1, 1)),
        ("gru, reset after", GRUCell(1, 1, reset="after")),
    ]
    paths = {name: "torch" if has_kernel(cell) else "eager" for name, cell in cells} | {"your own": "eager"}
    facts = {
        "unrolled": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.is_available(),
        "paths": paths,
    }
    if as_json:
        from json import dumps

        print(dumps(facts))
        return
    why = {
        "torch": "torch.nn's kernel, checked against the equation",
        "eager": "the equation, step by step: torch.nn has no kernel for it",
    }
    for name, fact in facts.items():
        if name != "paths":
            print(f"{name:<18} {fact}")
    print("\nHow cells are run")
    for name, path in paths.items():
        print(f"  {name:<16} {path:<6} {why[path]}")
