"""The verb ``doctor``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.shared import json_option, print_rows
from unrolled.wording import counted


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
    rows = [(name, str(fact)) for name, fact in facts.items() if not isinstance(fact, dict) and name != "verify"]
    count = counted(threads.cores(), "cores")
    rows.insert(4, ("threads", f"{facts['threads']['used']} at most, on {count}: {facts['threads']['why']}"))
    if built:
        others = [p for p in native.paths() if p != native.path()]
        rows += [
            ("engine", f"{native.path()}; UNROLLED_CPU can force {', '.join(others) or 'nothing else'}"),
            ("engine threads", f"from {native.threads()}"),
            ("verified", f"{_VERIFIED[verified]} (UNROLLED_VERIFY={verified})"),
        ]
    else:
        rows += [
            ("engine", f"not built: {native.missing}"),
            ("", "install a C++ compiler, then reinstall unrolled"),
        ]
    print_rows(rows, 16)
    print("\nHow cells are run on the CPU")
    print_rows([(f"  {name}", f"{path:<6} {_WHY[path]}") for name, path in paths.items()], 20)


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
