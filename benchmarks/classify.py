"""Classification beside scikit-learn: DNA in leave-one-out, several channels of values in their official split.

    python benchmarks/classify.py --dna promoters.data --values JapaneseVowels_TRAIN.ts [--threads 2]

Every model has the defaults of `unrolled train`, but for the cell; nothing is chosen on what is held out. The peers
read counts of k-mers (k = 1 to 4), or values brought to the longest length by repeating the last one, scaled.
Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import unrolled
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.reading import Data, read_data


def ours(data: str, how: str, arguments: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """Figures of cross-validation, and seconds."""
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = {"folds": how, "seeds": arguments.seeds, "threads": arguments.threads, "cell": arguments.cell}
        model = unrolled.fit(data, run, task="classify", quiet=True, **options)
        return model.evaluate(), time.monotonic() - began


def kmers(data: Data) -> np.ndarray:
    """Counts of every k-mer, k = 1 to 4, of plain letters."""
    names = ["".join(one) for k in range(1, 5) for one in itertools.product("ACGT", repeat=k)]
    place = {name: k for k, name in enumerate(names)}
    counts = np.zeros((len(data.sequences), len(names)))
    for row, x in enumerate(data.sequences):
        text = "".join(data.symbols.shown(x))
        for k in range(1, 5):
            for start in range(len(text) - k + 1):
                if (column := place.get(text[start : start + k])) is not None:
                    counts[row, column] += 1
    return counts


def letters(data: Data) -> np.ndarray:
    """One-hot letters at every place, of sequences of one length."""
    assert data.symbols.alphabet is not None
    return np.stack([data.symbols.alphabet.rows[x].ravel() for x in data.sequences])


def flat(data: Data) -> np.ndarray:
    """Values side by side, the last ones repeated to the longest length."""
    T = int(data.sequences.lengths.max())
    return np.stack([np.concatenate([x, np.repeat(x[-1:], T - len(x), 0)]).ravel() for x in data.sequences])


def peers(features: dict[str, np.ndarray], data: Data, how: str) -> None:
    """A line for each peer."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from unrolled.tasks.splitting import folds

    y = np.array(data.targets)
    for name, x in features.items():
        for model in (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
            RandomForestClassifier(500, random_state=1),
        ):
            began = time.monotonic()
            found = [
                (held, model.fit(x[some], y[some]).predict_proba(x[held])) for some, held in folds(y, how, data.parts)
            ]
            held, p = np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])
            wrong = int((p.argmax(1) != y[held]).sum())
            loss = -np.log(np.maximum(p[np.arange(len(held)), y[held]], 1e-12)).mean()
            kind = type(model).__name__ if not hasattr(model, "steps") else "LogisticRegression"
            line(f"{kind} on {name}", wrong, len(held), float(loss), time.monotonic() - began)


def line(name: str, wrong: int, count: int, loss: float, seconds: float) -> None:
    """One result."""
    print(
        f"{name:<44} {wrong:>4} of {count:<5} {1 - wrong / count:>7.2%}  log-loss {loss:.3f}  {seconds:>6.0f} s",
        flush=True,
    )


def measure(data: str, how: str, arguments: argparse.Namespace) -> None:
    """One data set."""
    print(f"{Path(data).name}, {how}: wrong, accuracy")
    figures, seconds = ours(data, how, arguments)
    line(
        f"unrolled, {arguments.cell}, {len(figures['by_seed'])} averaged",
        figures["errors"],
        figures["count"],
        figures["log_loss"],
        seconds,
    )
    print(f"  each seed alone: {', '.join(str(one['errors']) for one in figures['by_seed'])} wrong")
    found = read_data(data, ClassifyOptions())
    if found.symbols.units == "values":
        features = {"values": flat(found)}
    else:
        features = {"k-mers": kmers(found)}
        if len(set(found.sequences.lengths.tolist())) == 1:
            features["letters by place"] = letters(found)
    peers(features, found, how)
    print(json.dumps({"data": Path(data).name, "folds": how, **figures}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dna", help="labelled DNA, for leave-one-out")
    parser.add_argument("--values", help="a training part beside its test part")
    parser.add_argument("--seeds", type=int, help="the program's choice if not given")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cell", default="gru")
    arguments = parser.parse_args()
    if arguments.dna:
        measure(arguments.dna, "leave-one-out", arguments)
    if arguments.values:
        measure(arguments.values, "official", arguments)


if __name__ == "__main__":
    main()
