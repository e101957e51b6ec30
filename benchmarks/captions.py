"""Captions of scenes with combinations of attributes that training has not seen, beside what is to be beaten.

    python benchmarks/captions.py [--pictures 6000] [--minutes 15] [--seeds 3] [--images attention state first]

Every model has the defaults of `unrolled train`, but for how the picture comes to it. The weights are chosen on the
validation part, whose combinations are others than those of the test part; nothing is chosen on the test part.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import unrolled
from unrolled.tasks.caption.options import IMAGES
from unrolled.tasks.simulating import simulated_scenes

COLUMNS = ("true_of_scene", "picks_its_scene", "cider", "rouge_l", "distinct")


def processor() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def row(name: str, figures: list[dict[str, Any]], seconds: list[float]) -> str:
    """Means, and the spread of the first two, over the seeds."""
    cells = []
    for column in COLUMNS:
        values = np.array([one[column] for one in figures])
        share = column in COLUMNS[:2] or column == "distinct"
        cell = f"{values.mean():.1%}" if share else f"{values.mean():.3f}"
        cells.append(cell + (f" ± {values.std(ddof=1):.1%}" if column in COLUMNS[:2] and len(values) > 1 else ""))
    bleu = np.mean(np.array([one["bleu"][3] for one in figures], float))  # not a number where captions are short
    took = f"{np.mean(seconds):.0f} s of processor" if seconds else ""
    return f"| {name} | {' | '.join(cells)} | {bleu:.1f} | {took} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--epochs", type=float, help="in place of the minutes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--images", nargs="+", default=list(IMAGES), choices=IMAGES)
    told = parser.parse_args()
    budget = {"epochs": told.epochs} if told.epochs else {"minutes": told.minutes}
    print(f"{processor()}; {told.pictures:,} pictures, {budget}, {told.seeds} seeds\n")
    print("| | true | picks | CIDEr-D | ROUGE-L | distinct | BLEU-4 | training |\n|---|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        simulated_scenes(told.pictures, data, seed=1, size=64, unseen="count,size,colour,shape")
        found: dict[str, Any] = {}
        for image in told.images:
            figures, seconds = [], []
            for seed in range(1, told.seeds + 1):
                run, began = Path(folder) / f"{image}{seed}", time.process_time()
                model = unrolled.fit(data, run, image=image, seed=seed, threads=told.threads, quiet=True, **budget)
                seconds.append(time.process_time() - began)
                figures.append(model.evaluate(on="test"))
            found = figures[0]["baselines"]
            print(row(image, figures, seconds), flush=True)
        for name, scored in found.items():
            print(row(name.replace("_", " "), [scored], []))


if __name__ == "__main__":
    main()
