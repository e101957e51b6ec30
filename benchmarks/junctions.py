"""What the program chooses for few letters of DNA, settled on UCI's splice junctions.

    python benchmarks/junctions.py splice.data [--samples 8] [--settings '{"pool": "mean"}' ...]

The file has a line ``EI, name, sequence`` for each sequence of 60 letters: EI is a donor, IE an acceptor, N neither.
A sample has 106 sequences for training, half of them junctions, and 400 others to test. Each is cut to 57 letters at
a place that differs by up to 3, and the two letters that all acceptors share are drawn anew. The probabilities of
three seeds are averaged. Nothing else is looked at to choose a setting.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import unrolled

TRAINING, TEST, CUT, MARK = 53, 200, 57, 28
"""Sequences of each label; letters that are left; where the letters before an acceptor stand."""
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"pool": "position"},
    {"places": False},
    {"pool": "max"},
    {"pool": "mean"},
)


def read(file: Path) -> dict[str, list[str]]:
    """The sequences by label."""
    found: dict[str, list[str]] = {"EI": [], "IE": [], "N": []}
    for line in file.read_text().splitlines():
        if line.strip():
            label, _, letters = (part.strip() for part in line.split(","))
            found[label].append(letters.lower())
    return found


def sample(found: dict[str, list[str]], kind: str, number: int, folder: Path) -> Path:
    """Two files of one sample, of which the first is named."""
    random = np.random.default_rng([number, kind == "IE"])
    lines: dict[str, list[str]] = {"TRAIN": [], "TEST": []}
    for label, sequences in (("+", found[kind]), ("-", found["N"])):
        order = random.permutation(len(sequences))[: TRAINING + TEST]
        for n, k in enumerate(order):
            letters = list(sequences[k])
            if kind == "IE":
                letters[MARK : MARK + 2] = random.choice(list("acgt"), 2)
            start = random.integers(0, len(letters) - CUT + 1)
            part = "TRAIN" if n < TRAINING else "TEST"
            lines[part].append(f"{label},{k},{''.join(letters[start : start + CUT])}")
    for part, rows in lines.items():
        (folder / f"junctions_{part}.data").write_text("\n".join(rows) + "\n")
    return folder / "junctions_TRAIN.data"


def score(file: Path, options: dict[str, Any], run: Path) -> tuple[float, float]:
    """The share of errors on the test part, and the log-loss."""
    settings = {"task": "classify", "cell": "gru", "folds": "official", "seeds": 3, "quiet": True, **options}
    figures = unrolled.fit(file, run, **settings).evaluate()
    return 1 - figures["accuracy"], figures["log_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--settings", nargs="*", type=json.loads, default=SETTINGS)
    arguments = parser.parse_args()
    found = read(arguments.file)
    print(f"{'setting':<36}{'donors':>9}{'acceptors':>11}   log-loss of both")
    for setting in arguments.settings:
        means = []
        for kind in ("EI", "IE"):
            scores = []
            for number in range(arguments.samples):
                with TemporaryDirectory() as name:
                    folder = Path(name)
                    scores.append(score(sample(found, kind, number, folder), setting, folder / "run"))
            means.append(np.mean(scores, axis=0))
        errors, losses = zip(*means, strict=True)
        print(f"{json.dumps(setting):<36}{errors[0]:>9.1%}{errors[1]:>11.1%}{np.mean(losses):>11.3f}", flush=True)


if __name__ == "__main__":
    main()
