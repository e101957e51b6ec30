"""Words in a stream of letters: the error of prediction rises where a word begins."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import read
from unrolled.lab.prediction import SETTINGS, bits, read_again, root_mean_square
from unrolled.lab.task import LabTask
from unrolled.models.model import Model
from unrolled.training.metric import Metric
from unrolled.training.streams import Streams

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
    rng = np.random.default_rng([seed, 1990])
    letters, words = code(rng), draw(rng)
    fresh = draw(np.random.default_rng([seed, 1]))
    text = torch.stack([letters[letter] for letter in "".join(fresh)])
    begins = beginnings(fresh)[1:]

    def errors(model: Model) -> np.ndarray:
        said = torch.sigmoid(read(model, text[:-1].unsqueeze(1))[0][:, 0])
        return root_mean_square(said - text[1:], 1).numpy()

    def f1(model: Model) -> float:
        return agreement(peaks(errors(model)), begins)["f1"]

    model = bits(setting.cell, BITS, HIDDEN, seed)
    steps = torch.stack([letters[letter] for letter in "".join(words)]).numpy()
    task = LabTask("elman-words", Streams(steps, STREAMS, WINDOW), Metric("f1", higher=True), f1)
    trained = read_again(task, model, PASSES, LEARNING_RATE)
    found, shown = errors(model), 48
    places = by_position(found, begins)
    details = {
        "curve": trained.curve,
        **agreement(peaks(found), begins),
        "by_position": places,
        "letters": "".join(fresh)[1 : shown + 1],
        "begins": begins[:shown].tolist(),
        "error": found[:shown].tolist(),
    }
    solved = trained.score >= 2 * guessed(begins, seed) and places[0] > max(places[1:])
    return Outcome(solved, PASSES, trained.score, details)


def guessed(begins: np.ndarray, seed: int) -> float:
    """F1 of the peaks of random errors, in the mean of 100 draws."""
    rng = np.random.default_rng([seed, 2])
    return float(np.mean([agreement(peaks(rng.random(len(begins))), begins)["f1"] for _ in range(100)]))


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers as errors."""
    begins = beginnings(draw(np.random.default_rng(1)))
    errors = torch.rand(100, len(begins), generator=generator).numpy()
    return float(np.mean([agreement(peaks(one), begins)["f1"] for one in errors]))


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
    first_seed=101,
)
