"""JSB Chorales: nats per time step on the official test part, beside those of papers and of a plain torch.nn script.

    python benchmarks/music.py COLLECTION.json [--seeds 5] [--only plain,nade,peer] [--json]

COLLECTION.json has the chorales in steps of a quarter note, split as by Boulanger-Lewandowski et al. (2012):
229 pieces for training, 76 for validation, 77 for test. A figure is the mean over all steps of all pieces, empty
steps included, the first step of a piece predicted from silence. The best weights of each run are chosen on the
validation part, and the test part is scored once with them. Mean and standard deviation are over the seeds.

``plain``: 88 independent keys behind cells of the sizes of Chung et al. (2014): ``gru-46``, ``lstm-36``,
``elman-100``. ``peer``: `plain_torch_music.py`, with the plain head and the same budget. ``nade``: the head of
chords, at any size: ``lstm-128-nade``, trained on random transpositions, and ``lstm-128-untransposed``. ``--only``
takes any of these names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PLAIN = {"head": "bernoulli", "transpose": 0, "epochs": 20, "batch": 4, "lr": 1e-2, "dropout": 0.0}
PLAIN |= {"variational-dropout": 0.1, "weight-drop": 0.15, "weight-decay": 5e-5}
NADE = {"head": "nade", "cell": "lstm", "hidden": 128, "units": 128, "batch": 8}
CONFIGURATIONS: dict[str, dict[str, dict[str, object]]] = {
    "plain": {
        "gru-46": {**PLAIN, "cell": "gru", "hidden": 46},
        "lstm-36": {**PLAIN, "cell": "lstm", "hidden": 36},
        "elman-100": {**PLAIN, "cell": "elman", "hidden": 100, "lr": 3e-3},
    },
    "nade": {
        "lstm-128-nade": {**NADE, "transpose": 5, "epochs": 100, "lr": 4e-2, "dropout": 0.2},
        "lstm-128-untransposed": {
            **NADE,
            "transpose": 0,
            "epochs": 25,
            "lr": 2e-2,
            "dropout": 0.5,
            "variational-dropout": 0.2,
        },
    },
}
NAMES = {"peer", *CONFIGURATIONS, *(name for group in CONFIGURATIONS.values() for name in group)}
PAPERS = {
    "tanh (Chung et al. 2014)": 9.10,
    "LSTM (Chung et al. 2014)": 8.67,
    "GRU (Chung et al. 2014)": 8.54,
    "RNN-RBM (Boulanger-Lewandowski et al. 2012)": 6.27,
    "RNN-NADE (Boulanger-Lewandowski et al. 2012)": 5.56,
}


def ours(collection: Path, settings: dict[str, object], seed: int) -> dict:
    """The commands a person types: `train`, then `evaluate` on the test part."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        given = [f"--{name}={value}" for name, value in settings.items()]
        common = ["--task", "music", "--seed", seed, "--threads", 1, "--json"]
        events = _unrolled("train", collection, "--run", run, *common, *given).splitlines()
        test = json.loads(_unrolled("evaluate", run, "--on", "test", "--json"))
    return {
        "validation": json.loads(events[-1])["validation"]["nll_per_step"],
        "test": test["nll_per_step"],
        "frame_accuracy": test["frame_accuracy"],
        "parameters": json.loads(events[0])["parameters"],
    }


def peer(collection: Path, seed: int) -> dict:
    """The script beside this file."""
    script = Path(__file__).with_name("plain_torch_music.py")
    command = [sys.executable, str(script), str(collection), "--seed", str(seed)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _unrolled(*arguments: object) -> str:
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def line(name: str, runs: list[dict]) -> str:
    """Mean and standard deviation over the seeds."""
    test = [run["test"] for run in runs]
    spread = statistics.stdev(test) if len(test) > 1 else float("nan")
    held = statistics.mean(run["validation"] for run in runs)
    return f"{name:<46} {runs[0]['parameters']:>9,}  {held:>10.3f}  {statistics.mean(test):>6.3f} ± {spread:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="plain,nade,peer", help="Which, with commas between them.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wanted, seeds, made = set(arguments.only.split(",")), range(1, arguments.seeds + 1), {}
    if unknown := wanted - NAMES:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(sorted(NAMES))}")
    print(__doc__.split("\n\n")[2], file=sys.stderr)
    print(f"{'':<46} {'weights':>9}  {'validation':>10}  test, {arguments.seeds} seeds", flush=True)
    for group, settings in CONFIGURATIONS.items():
        for name, given in settings.items():
            if wanted & {group, name}:
                made[name] = [ours(arguments.collection, given, seed) for seed in seeds]
                print(line(f"unrolled, {name}", made[name]), flush=True)
    if "peer" in wanted:
        made["peer"] = [peer(arguments.collection, seed) for seed in seeds]
        print(line("plain torch.nn.GRU, 46", made["peer"]), flush=True)
    for name, value in PAPERS.items():
        print(f"{name:<46} {'':>9}  {'':>10}  {value:>6.2f}")
    if arguments.json:
        print(json.dumps(made))


if __name__ == "__main__":
    main()
