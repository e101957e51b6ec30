"""Forecasts of two series beside every baseline: what `unrolled train` chooses by itself, for three seeds.

    python benchmarks/series.py --sunspots FILE --prices FILE [--seeds 1 2 3] [--json]

FILE of sunspots is a table of years with twelve months each, or a CSV; 132 steps ahead. FILE of prices is a CSV whose
first column of numbers is the price of each month; 12 steps ahead. Scores are those of the test part, the last 20 %.

Where gluonts is installed (with torch and lightning), its DeepAR stands beside ours: two LSTM layers of 40 and a
Student-t, its own features of the calendar, trained on the same training part, with the weights that are best on the
same validation part. Prices are given to it as changes of their logarithms, as to our own model and the baselines.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.tasks.series import scoring

NAMES = ("mase", "smape", "crps", "coverage_80")


def as_csv(file: Path, folder: Path) -> Path:
    """The file itself if it is a CSV; else its lines of a year and its months as one."""
    if file.suffix == ".csv":
        return file
    lines = ["month,value"]
    for line in file.read_text().splitlines():
        year, *months = line.split() or [""]
        if re.fullmatch(r"\d{4}", year):
            lines += [f"{year}-{k:02d}-01,{value}" for k, value in enumerate(months, 1)]
    made = folder / "series.csv"
    made.write_text("\n".join(lines) + "\n")
    return made


def one_run(file: Path, horizon: int, seed: int, folder: Path, more: list[str]) -> dict:
    """Train, and score the test part."""
    run = folder / f"{file.stem}-{horizon}-{seed}"
    _unrolled("train", file, "--run", run, "--horizon", horizon, "--seed", seed, "--json", *more)
    figures: dict = json.loads(_unrolled("evaluate", run, "--on", "test", "--json"))
    if importlib.util.find_spec("gluonts"):
        figures["baselines"][f"DeepAR, seed {seed}"] = deepar(run, figures["origins"], seed)
    return figures


def deepar(run: Path, origins: int, seed: int) -> dict[str, float]:
    """The scores of gluonts' DeepAR on the origins of a run's test part.

    Source:
        D. Salinas et al., "DeepAR: probabilistic forecasting with autoregressive recurrent networks" (2020).
    """
    import unrolled

    task: Any = unrolled.load(run)._with_own_data("test", None)
    pairs = task._pairs("test", origins)
    found = scoring.Tally()
    for group in scoring.groups(task.series, pairs, task.layout):
        found.add(group, _deepar(group, task.layout.horizon, seed))
    return found.figures


def _deepar(group: scoring.Group, horizon: int, seed: int) -> np.ndarray:
    """Draws (O, H, M) for the origins of one series, each from the values before it."""
    import lightning
    import pandas
    from gluonts.dataset.common import ListDataset
    from gluonts.torch import DeepAREstimator

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    history = group.history
    x = np.diff(history.y, prepend=history.y[0]) if history.changes else history.y

    def until(*steps: int) -> Any:
        return ListDataset([{"start": pandas.Period("1871-01", "M"), "target": x[:n]} for n in steps], freq="M")

    lightning.seed_everything(seed, verbose=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    estimator = DeepAREstimator("M", horizon, context_length=2 * horizon, trainer_kwargs={"max_epochs": 50, **quiet})
    predictor = estimator.train(until(history.training), until(int(group.origins[0])))
    found = predictor.predict(until(*group.origins.tolist()), num_samples=200)
    draws = np.stack([one.samples.T for one in found])
    if not history.changes:
        return draws
    return history.y[group.origins - 1][:, None, None] + draws.cumsum(1)


def _unrolled(*arguments: object) -> str:
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def show(title: str, runs: dict[int, dict]) -> None:
    """A table: the model for each seed, and the baselines, which have none."""
    first = next(iter(runs.values()))
    print(f"{title}: {first['origins']} origins, {first['horizon']} steps each")
    print(f"{'':<20}" + "".join(f"{name:>13}" for name in NAMES))
    lines = {f"unrolled, seed {seed}": figures for seed, figures in runs.items()}
    for figures in runs.values():
        lines |= {name: one for name, one in figures["baselines"].items() if name not in lines}
    for name, figures in lines.items():
        print(f"{name:<20}" + "".join(f"{figures[key]:>13.4f}" for key in NAMES))
    for seed, figures in runs.items():
        print(f"seed {seed}: {' '.join(figures['notes'])}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sunspots", type=Path)
    parser.add_argument("--prices", type=Path)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    more = ["--threads", str(arguments.threads)] if arguments.threads else []
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, file, horizon in (("sunspots", arguments.sunspots, 132), ("prices", arguments.prices, 12)):
            if file is not None:
                data = as_csv(file, folder)
                results[title] = {seed: one_run(data, horizon, seed, folder, more) for seed in arguments.seeds}
    if arguments.json:
        print(json.dumps(results))
        return
    for title, runs in results.items():
        show(title, runs)


if __name__ == "__main__":
    main()
