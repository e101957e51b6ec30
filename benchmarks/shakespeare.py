"""Validation loss after some minutes: `unrolled train` with default settings beside a plain torch.nn script.

    python benchmarks/shakespeare.py TEXT [--minutes 3] [--json]

TEXT is Tiny Shakespeare, 1,115,394 characters; first 90 % train, last 10 % validation. Both run one after the
other in processes of their own, so that neither has the other's warm caches, with the same threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def ours(text: Path, minutes: float, cell: str) -> dict:
    """The command a person types, and what `evaluate` says of its run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = ["train", text, "--run", run, "--split", "90/10/0", "--minutes", minutes, "--cell", cell, "--json"]
        events = [json.loads(line) for line in _unrolled(*command).splitlines()]
        figures = json.loads(_unrolled("evaluate", run, "--json"))
    started, finished = events[0], events[-1]
    assert abs(figures["loss"] - finished["validation"]["loss"]) < 1e-6
    return {
        "loss": figures["loss"],
        "characters": finished["symbols"],
        "characters_per_second": finished["symbols"] / (60 * minutes),
        "settings": {k: started["settings"][k] for k in ("hidden", "layers", "batch", "bptt", "lr", "dropout")},
    }


def plain(text: Path, minutes: float) -> dict:
    """The script beside this file."""
    script = Path(__file__).with_name("plain_torch.py")
    done = subprocess.run(
        [sys.executable, script, text, "--minutes", str(minutes)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def _unrolled(*arguments: object) -> str:
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--cells", nargs="*", default=["lstm"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {f"unrolled, {cell}": ours(arguments.text, arguments.minutes, cell) for cell in arguments.cells}
    results["plain torch.nn.LSTM"] = plain(arguments.text, arguments.minutes)
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':<22} {'validation':>10}  {'characters':>12}  {'a second':>9}")
    for name, r in results.items():
        print(f"{name:<22} {r['loss']:>10.4f}  {r['characters']:>12,}  {r['characters_per_second']:>9,.0f}")


if __name__ == "__main__":
    main()
