"""The verb ``doctor``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.shared import json_option


@click.command(epilog="Example: unrolled doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Show what this installation can do.

    Prints versions, threads, and how and why each cell is run the way it is.
    """
    import platform

    import torch

    from unrolled import threads
    from unrolled.cells import ElmanCell, GRUCell, LSTMCell
    from unrolled.engine import native, verify
    from unrolled.layers.paths import usual
    from unrolled.version import __version__

    cells = {"lstm": LSTMCell(1, 1), "elman": ElmanCell(1, 1), "gru": GRUCell(1, 1)}
    cells["gru, reset after"] = GRUCell(1, 1, reset="after")
    built, verified = native.available(), verify.mode()
    paths = {name: usual(cell) for name, cell in cells.items()} | {"your own": "engine" if built else "eager"}
    facts: dict[str, Any] = {
        "unrolled": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": {
            "cores": threads.cores(),
            "used": threads.limited(torch.get_num_threads()),
            "why": threads.reason(),
        },
        "cuda": torch.cuda.is_available(),
        "engine": {
            "built": built,
            "path": native.path(),
            "paths": native.paths(),
            "threads": native.threads(),
            "missing": native.missing,
        },
        "verify": verified,
        "paths": paths,
    }
    if as_json:
        from json import dumps

        print(dumps(facts))
        return
    for name, fact in facts.items():
        if not isinstance(fact, dict) and name != "verify":
            print(f"{name:<18} {fact}")
        elif name == "threads":
            count = f"{fact['cores']} core{'s'[: fact['cores'] > 1]}"
            print(f"{name:<18} {fact['used']} at most, on {count}: {fact['why']}")
    if built:
        others = [p for p in native.paths() if p != native.path()]
        print(f"{'engine':<18} {native.path()}; UNROLLED_CPU can force {', '.join(others) or 'nothing else'}")
        print(f"{'engine threads':<18} {native.threads()}")
        print(f"{'verified':<18} {_VERIFIED[verified]} (UNROLLED_VERIFY={verified})")
    else:
        print(f"{'engine':<18} not built: {native.missing}")
        print(f"{'':<18} install a C++ compiler, then reinstall unrolled")
    print("\nHow cells are run on the CPU")
    for name, path in paths.items():
        print(f"  {name:<16} {path:<6} {_WHY[path]}")


_VERIFIED = {
    "first": "each cell of your own, against its equation, when first compiled",
    "always": "every cell, against its equation, when first compiled",
    "off": "no cells",
}
_WHY = {
    "engine": "compiled from the equation",
    "torch": "torch.nn's kernel, checked against the equation",
    "eager": "the equation, step by step: many times slower",
}
