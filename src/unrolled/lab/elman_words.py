"""Words in a stream of letters: the error of prediction rises where a word begins."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.figures import draw_seeds
from unrolled.lab.prediction import SETTINGS, read, root_mean_square, side_by_side, train
from unrolled.lab.predictor import Predictor

WORDS = [
    "many",
    "years",
    "ago",
    "a",
    "boy",
    "and",
    "girl",
    "lived",
    "by",
    "the",
    "sea",
    "they",
    "played",
    "happily",
    "house",
]
"""The 14 words that the paper shows, and a fifteenth of ours."""

SENTENCES, SHORTEST, LONGEST = 200, 4, 9
PASSES = 10
HIDDEN = 20
BITS = 5
STREAMS, WINDOW = 1, 10
LEARNING_RATE = 0.01


def draw(rng: np.random.Generator, sentences: int = SENTENCES) -> list[str]:
    """The words of sentences of 4 to 9 words, each drawn from the 15, one behind another.

    >>> draw(np.random.default_rng(0), 1)
    ['the', 'lived', 'boy', 'boy', 'many', 'years', 'many', 'ago', 'played']
    """
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=sentences)
    return [WORDS[k] for k in rng.integers(len(WORDS), size=lengths.sum())]


def code(rng: np.random.Generator) -> dict[str, Tensor]:
    """Five random bits for each letter, no two alike."""
    letters = sorted(set("".join(WORDS)))
    numbers = rng.permutation(2**BITS)[: len(letters)]
    return {
        letter: torch.tensor([n >> k & 1 for k in range(BITS)]).float()
        for letter, n in zip(letters, numbers, strict=True)
    }


def beginnings(words: list[str]) -> np.ndarray:
    """For each letter of the stream, whether a word begins with it."""
    return np.array([k == 0 for word in words for k in range(len(word))])


def peaks(errors: np.ndarray) -> np.ndarray:
    """Where the error is above that of the letter before and of the letter behind; the ends are none."""
    found = np.zeros(len(errors), dtype=bool)
    found[1:-1] = (errors[1:-1] > errors[:-2]) & (errors[1:-1] > errors[2:])
    return found


def agreement(found: np.ndarray, begins: np.ndarray) -> dict[str, float]:
    """Precision, recall and their harmonic mean (F1) of the beginnings that were found."""
    hits = int((found & begins).sum())
    precision, recall = hits / max(int(found.sum()), 1), hits / int(begins.sum())
    return {"precision": precision, "recall": recall, "f1": 2 * hits / int(found.sum() + begins.sum())}


def by_position(errors: np.ndarray, begins: np.ndarray) -> list[float]:
    """The mean error of first letters, of second ones, and so on."""
    at, place = [], 0
    for begin in begins:
        place = 0 if begin else place + 1
        at.append(place)
    return [float(errors[np.array(at) == k].mean()) for k in range(max(at) + 1)]


def run(setting: Setting, seed: int) -> Outcome:
    """Train for the paper's ten passes, then look for words in fresh sentences by the error alone."""
    begun = time.process_time()
    rng = np.random.default_rng([seed, 1990])
    bits, words = code(rng), draw(rng)
    fresh = draw(np.random.default_rng([seed, 1]))
    net = Predictor(setting.cell, BITS, HIDDEN, BITS, seed)
    streams = side_by_side(torch.stack([bits[letter] for letter in "".join(words)]), STREAMS)
    curve = train(net, streams[:-1], streams[1:], PASSES, WINDOW, LEARNING_RATE)
    text = torch.stack([bits[letter] for letter in "".join(fresh)])
    said = torch.sigmoid(read(net, text[:-1].unsqueeze(1))[0][:, 0])
    errors = root_mean_square(said - text[1:], 1).numpy()
    begins = beginnings(fresh)[1:]
    found = agreement(peaks(errors), begins)
    places = by_position(errors, begins)
    shown = 48
    details = {
        "curve": curve,
        **found,
        "by_position": places,
        "letters": "".join(fresh)[1 : shown + 1],
        "begins": begins[:shown].tolist(),
        "error": errors[:shown].tolist(),
    }
    solved = found["f1"] >= 2 * guessed(begins, seed) and places[0] > max(places[1:])
    return Outcome(solved, PASSES, time.process_time() - begun, found["f1"], details)


def guessed(begins: np.ndarray, seed: int) -> float:
    """F1 of the peaks of random errors, in the mean of 100 draws."""
    rng = np.random.default_rng([seed, 2])
    return float(np.mean([agreement(peaks(rng.random(len(begins))), begins)["f1"] for _ in range(100)]))


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers as errors."""
    begins = beginnings(draw(np.random.default_rng(1)))
    errors = torch.rand(100, len(begins), generator=generator).numpy()
    return float(np.mean([agreement(peaks(one), begins)["f1"] for one in errors]))


def picture(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The error along the letters of the first network, as in the paper's figure 6, and by place in the word."""
    setting, of = next(iter(outcomes.items()))
    details = of[0].details
    steps = np.arange(len(details["error"]))
    begins = np.array(details["begins"])
    figure = new_figure(7.6, 5.2)
    upper, lower = figure.subplots(2, 1)
    upper.plot(steps, details["error"], color=COLOURS[0], linewidth=1)
    upper.plot(steps[begins], np.array(details["error"])[begins], "o", color=COLOURS[1], label="a word begins")
    upper.set_xticks(steps, list(details["letters"]), fontsize=8)
    upper.set_title(f"{setting}, the first seed, fresh sentences", fontsize=9, loc="left")
    upper.legend(fontsize=8, frameon=False)
    for colour, (one, seeds) in zip(COLOURS, outcomes.items(), strict=False):
        curves = [outcome.details["by_position"] for outcome in seeds]
        draw_seeds(lower, np.arange(1, len(curves[0]) + 1), curves, colour, str(one))
    lower.set_xlabel("place of the letter in its word")
    lower.set_title("mean over fresh sentences: a faint line a seed, and their median", fontsize=9, loc="left")
    lower.legend(fontsize=8, frameon=False)
    for axes in (upper, lower):
        axes.set_ylim(0, None)
        axes.set_ylabel("root mean square error")
    figure.suptitle(experiment.title, fontsize=10)
    return figure


EXPERIMENT = Experiment(
    name="elman-words",
    title="Words in a stream of letters",
    source="J. L. Elman, Finding structure in time, Cognitive Science 14 (1990), the third simulation",
    published="the error is high where a word begins and falls along the word (figure 6), after 10 passes through "
    "200 sentences, 4,963 letters; 5 inputs, 20 hidden units",
    criterion="in fresh sentences first letters have the largest mean error of all places, and local peaks of the "
    "error find word beginnings with at least twice the F1 of random peaks (ours: the paper shows the error)",
    measure="F1 of word beginnings found at peaks of the error",
    settings=SETTINGS,
    run=run,
    chance=chance,
    draw=picture,
    first_seed=101,
)
