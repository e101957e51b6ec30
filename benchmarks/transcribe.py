"""Spoken digits, and reads of a simulated nanopore: `unrolled train` beside a plain script, and templates.

    python benchmarks/transcribe.py --digits FOLDER [--seeds 1 2 3]
    python benchmarks/transcribe.py --genome lambda.fa --also ecoli.fa --levels levels.tsv [--minutes 15]

FOLDER has the Free Spoken Digit Dataset, ``{digit}_{speaker}_{number}.wav``; numbers 0 to 4 are the test part.
Strings of digits are made of recordings of the test part. The plain script (`plain_torch_ctc.py`) has the same
features and as many seconds as ours took. The nearest template is that of dynamic time warping on the same features.

Reads of 1,000 bases come from the genome without its last 8,500 bases, and from other genomes (`--also`) but for the
places where 20 bases are those of the test part; the reads of the test part from these 8,500 alone. The plain script
takes as many minutes, with batches of the same size. The likeliest path is that of the pore that made the reads
(`pore_viterbi.py`).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
import wave
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import plain_torch_ctc as plain
import torch
from pore_viterbi import likeliest

from unrolled.tasks.transcribe.reads.calling import WIDTH, beam_call
from unrolled.tasks.transcribe.reads.files import Signal, read_signals
from unrolled.tasks.transcribe.reads.levels import read_levels
from unrolled.tasks.transcribe.scores import Reads, Transcripts

PATTERN, TEST = r"^(\d)_", r"_[0-4]\.wav$"
STRINGS = 200
TEST_BASES, READ, TRAINING_READS, TEST_READS, PATHS = 8_500, 1_000, 18_000, 200, 20


def unrolled(*arguments: object) -> Any:
    """What a command prints as JSON, and the seconds that it took."""
    command = [sys.executable, "-m", "unrolled", *map(str, arguments), "--json"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(done.splitlines()[-1]), time.monotonic() - began


def ours(data: Path, run: Path, seed: int, *settings: object) -> float:
    """The seconds of a training."""
    return unrolled("train", data, "--run", run, "--seed", seed, *settings)[1]


def line(name: str, figures: dict[str, Any], seconds: float) -> None:
    """One result."""
    scores = {key: figures[key] for key in ("exact", "cer", "identity") if key in figures}
    shown = "".join(f"{key} {value:>8.2%}  " for key, value in scores.items())
    print(f"{name:<44} {shown} {seconds:>6.0f} s", flush=True)


def task_of(run: Path, part: str) -> Any:
    """The task of a run with its data: features and texts of a part."""
    import unrolled as library

    return library.load(run)._with_own_data(part, None)


class Frames(Sequence[np.ndarray]):
    """Frames of a part, as the layers of ours read them; made when they are asked for."""

    def __init__(self, task: Any, part: str) -> None:
        self.task, self.which = task, task.parts[part]

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, k: Any) -> Any:
        front, sound = self.task.front, self.task.found.sounds[self.which[k]]
        return front(torch.from_numpy(sound * np.float32(front.unit))[:, None])[:, 0].numpy()


def part_of(task: Any, part: str) -> tuple[Frames, list[str]]:
    """Frames and texts of a part."""
    return Frames(task, part), [task.found.texts[k] for k in task.parts[part]]


def beside(run: Path, seconds: float, seed: int, scores: Any) -> dict[str, Any]:
    """The plain script on the same features, for as long."""
    task = task_of(run, "test")
    frames, texts = part_of(task, "training")
    model = plain.train(
        frames, [task.labels(t) for t in texts], len(task.symbols), task.options.reduction, seconds, seed
    )
    frames, texts = part_of(task, "test")
    for n, (text, found) in enumerate(zip(texts, plain.transcribe(model, frames), strict=True)):
        scores.add(str(n), text, task.text_of(found), 0.0)
    return scores.figures()


def warped(x: np.ndarray, templates: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The cost of warping x (T, D) to each template (n, S, D), a frame of the path."""
    local = np.sqrt(np.square(x[:, None, None] - templates[None]).sum(-1))  # (T, n, S)
    best = np.full((len(templates), templates.shape[1] + 1), np.inf)
    best[:, 0] = 0
    for row in local:
        new = np.full_like(best, np.inf)
        for s in range(templates.shape[1]):
            new[:, s + 1] = row[:, s] + np.minimum(np.minimum(best[:, s], best[:, s + 1]), new[:, s])
        best = new
    return best[np.arange(len(lengths)), lengths] / (len(x) + lengths)


def nearest(run: Path) -> dict[str, Any]:
    """The text of the nearest recording of the training part."""
    task = task_of(run, "test")
    frames, texts = part_of(task, "training")
    lengths = np.array([len(x) for x in frames])
    templates = np.zeros((len(frames), lengths.max(), frames[0].shape[1]), np.float32)
    for one, x in zip(templates, frames, strict=True):
        one[: len(x)] = x
    scores = Transcripts()
    for n, (x, text) in enumerate(zip(*part_of(task, "test"), strict=True)):
        scores.add(str(n), text, texts[int(warped(x, templates, lengths).argmin())], 0.0)
    return scores.figures()


def strings(digits: Path, folder: Path) -> Path:
    """Recordings of 3 to 7 digits of the test part, one speaker each, with pauses of 0.1 to 0.5 seconds."""
    random = np.random.default_rng(0)
    by_speaker: dict[str, list[Path]] = {}
    for file in sorted(digits.glob("*_[0-4].wav")):
        by_speaker.setdefault(file.stem.split("_")[1], []).append(file)
    rows = [("file", "text")]
    for n in range(STRINGS):
        speaker = sorted(by_speaker)[n % len(by_speaker)]
        chosen = random.choice(np.array(by_speaker[speaker], dtype=object), random.integers(3, 8))
        pieces: list[np.ndarray] = []
        for file in chosen:
            with wave.open(str(file)) as sound:
                rate = sound.getframerate()
                pieces.append(np.frombuffer(sound.readframes(sound.getnframes()), np.int16))
            pieces.append(np.zeros(round(rate * random.uniform(0.1, 0.5)), np.int16))
        with wave.open(str(folder / f"{n}.wav"), "wb") as made:
            made.setnchannels(1)
            made.setsampwidth(2)
            made.setframerate(rate)
            made.writeframes(np.concatenate(pieces[:-1]).tobytes())
        rows.append((f"{n}.wav", "".join(file.stem[0] for file in chosen)))
    with (folder / "texts.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)
    return folder


def measure_digits(digits: Path, seeds: list[int], folder: Path) -> None:
    """Single digits, strings of them, and speakers that were never heard."""
    print("single digits")
    for seed in seeds:
        run = folder / f"digits-{seed}"
        seconds = ours(digits, run, seed, "--pattern", PATTERN, "--test", TEST, "--epochs", 10, "--no-augment")
        line(f"unrolled, seed {seed}", unrolled("evaluate", run, "--on", "test")[0], seconds)
        line(f"torch.nn.LSTM and CTC, seed {seed}", beside(run, seconds, seed, Transcripts()), seconds)
    began = time.monotonic()
    line("nearest template, dynamic time warping", nearest(run), time.monotonic() - began)
    print("strings of 3 to 7 digits")
    (folder / "strings").mkdir()
    data = strings(digits, folder / "strings")
    for seed in seeds:
        run = folder / f"joined-{seed}"
        settings = ("--pattern", PATTERN, "--test", TEST, "--epochs", 30, "--no-augment", "--join", 5)
        seconds = ours(digits, run, seed, *settings)
        line(f"unrolled, seed {seed}", unrolled("evaluate", run, data)[0], seconds)
    print("a speaker who was never heard, seed 1")
    for how in ("--no-augment", "--augment"):
        for speaker in sorted({file.stem.split("_")[1] for file in digits.glob("*.wav")}):
            run = folder / f"{speaker}{how}"
            test = f"_{speaker}_"
            seconds = ours(digits, run, 1, "--pattern", PATTERN, "--test", test, "--epochs", 30, how)
            line(f"{speaker}, {how}", unrolled("evaluate", run, "--on", "test")[0], seconds)


def bases_of(genome: Path) -> str:
    """All of its bases, one sequence behind the other."""
    return "".join(line.strip() for line in genome.read_text().splitlines() if not line.startswith(">")).upper()


def without(bases: str, others: str, k: int = 20) -> str:
    """Bases with N wherever k of them are in the others, on either strand."""
    both = (others, others[::-1].translate(str.maketrans("ACGT", "TGCA")))
    known = {one[i : i + k] for one in both for i in range(len(one) - k + 1)}
    made = bytearray(bases.encode())
    for i in range(len(bases) - k + 1):
        if bases[i : i + k] in known:
            made[i : i + k] = b"N" * k
    return made.decode()


def measure_reads(
    genome: Path, also: list[Path], levels: Path, seeds: list[int], minutes: float, threads: int, folder: Path
) -> None:
    """Reads of one end of a genome, by models of the rest of it, and of other genomes."""
    torch.set_num_threads(threads)
    bases = bases_of(genome)
    test = bases[-TEST_BASES:]
    training = [bases[:-TEST_BASES], *(without(bases_of(other), test) for other in also)]
    parts = {"training": (training, TRAINING_READS), "test": ([test], TEST_READS)}
    for seed, (name, (texts, count)) in enumerate(parts.items(), 1):
        (folder / f"{name}.fa").write_text("".join(f">{name}{k}\n{text}\n" for k, text in enumerate(texts)))
        simulate = [sys.executable, "-m", "unrolled", "simulate", "reads", "--genome", folder / f"{name}.fa"]
        simulate += ["--levels", levels, "-n", count, "--length", READ, "--out", folder / name, "--seed", seed]
        subprocess.run(list(map(str, simulate)), check=True, capture_output=True)
    began = time.monotonic()
    line(f"the likeliest path, {PATHS} reads", by_the_pore(folder / "test", levels), time.monotonic() - began)
    how = ("--cell", "gru", "--split", "97/2/1", "--minutes", minutes, "--threads", threads)
    runs = {seed: folder / f"pore-{seed}" for seed in seeds}
    for seed, run in runs.items():
        seconds = ours(folder / "training", run, seed, *how)
        line(f"unrolled, seed {seed}", unrolled("evaluate", run, folder / "test")[0], seconds)
    for seed, run in runs.items():
        task = task_of(run, "training")
        frames, texts = part_of(task, "training")
        labels = [task.labels(t) for t in texts]
        sizes = (len(task.symbols), task.options.reduction, 60 * minutes, seed, task.training.batch)
        model = plain.train(frames, labels, *sizes)
        task.read_all(str(folder / "test"))
        frames, texts = part_of(task, "all")
        scores = Reads()
        found = plain.transcribe(model, frames, lambda outputs: beam_call(outputs, WIDTH)[0])
        for n, (text, labels) in enumerate(zip(texts, found, strict=True)):
            scores.add(str(n), text, task.text_of(labels), 0.0)
        line(f"torch.nn.LSTM and CTC, seed {seed}", scores.figures(), 60 * minutes)


def by_the_pore(test: Path, levels: Path) -> dict[str, Any]:
    """The likeliest paths of some reads."""
    lines = (test / "reads.fasta").read_text().splitlines()
    bases = {name[1:]: text for name, text in zip(lines[::2], lines[1::2], strict=True)}
    scores, table = Reads(), read_levels(str(levels))
    for read in islice(read_signals(test / "reads.fast5"), PATHS):
        assert isinstance(read, Signal)
        scores.add(read.name, bases[read.name], likeliest(read.current, table), 0.0)
    return scores.figures()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--genome", type=Path)
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    parser.add_argument("--levels", type=Path)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        if arguments.digits:
            measure_digits(arguments.digits, arguments.seeds, Path(name))
        if arguments.genome:
            data = (arguments.genome, arguments.also, arguments.levels)
            budget = (arguments.minutes, arguments.threads)
            measure_reads(*data, arguments.seeds, *budget, Path(name))


if __name__ == "__main__":
    main()
