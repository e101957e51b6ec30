"""The letters of ba, dii and guuu: what can be known is predicted, feature by feature."""

from __future__ import annotations

from typing import Any

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

FEATURES = ("consonant", "vowel", "interrupted", "high", "back", "voiced")
LETTERS = {
    "b": (1, 0, 1, 0, 0, 1),
    "d": (1, 0, 1, 1, 0, 1),
    "g": (1, 0, 1, 0, 1, 1),
    "a": (0, 1, 0, 0, 1, 1),
    "i": (0, 1, 0, 1, 0, 1),
    "u": (0, 1, 0, 1, 1, 1),
}
"""The features of each letter (the paper's table 1)."""

SYLLABLES = {"b": "ba", "d": "dii", "g": "guuu"}
CONSONANTS = 1000
LEAD_IN = 10
"""Consonants that a test reads before it counts: what a network says before its first letter is arbitrary."""
PASSES = 200
HIDDEN = 20
STREAMS, WINDOW = 4, 10
LEARNING_RATE = 0.01
LEAST = 20
"""Passes that even a network which knows all earlier goes on for, so that its errors can be looked at."""
SHOWN = 24
"""Letters in the picture."""

D = len(FEATURES)

OF_ALL_CONSONANTS = torch.tensor([len({LETTERS[letter][k] for letter in "bdg"}) == 1 for k in range(D)])
"""Which features all consonants share, so that they can be known wherever a consonant must come."""


def draw(rng: np.random.Generator, consonants: int = CONSONANTS) -> str:
    """Random consonants, each followed by its vowels: about 3,000 letters.

    >>> draw(np.random.default_rng(0), 3)
    'guuudiidii'
    """
    return "".join(SYLLABLES["bdg"[k]] for k in rng.integers(3, size=consonants))


def encode(letters: str) -> Tensor:
    """The features of each letter (T, 6)."""
    return torch.tensor([LETTERS[letter] for letter in letters]).float()


def knowable(letters: str) -> Tensor:
    """Which features of each letter follow from those before it: all of a vowel, four of a consonant (T, 6)."""
    vowel = torch.tensor([letter in "aiu" for letter in letters])
    return vowel[:, None] | OF_ALL_CONSONANTS


def share_right(said: Tensor, letters: str) -> float:
    """The share of knowable features on whose side of 1/2 the prediction lies; 1 only if all are right."""
    right = ((said > 0.5) == (encode(letters) > 0.5))[knowable(letters)]
    return 1.0 if bool(right.all()) else int(right.sum()) / right.numel()


def run(setting: Setting, seed: int) -> Outcome:
    """Train until all that can be known of a fresh sequence is predicted right, at most as long as in the paper.

    ``sequences`` counts the passes until then.
    """
    model = bits(setting.cell, D, HIDDEN, seed)
    rng = np.random.default_rng([seed, 1])
    lead_in, fresh = draw(rng, LEAD_IN), draw(rng)
    inputs = encode(lead_in + fresh)[:-1].unsqueeze(1)

    def said(model: Model) -> Tensor:
        return torch.sigmoid(read(model, inputs)[0][len(lead_in) - 1 :, 0])

    def right(model: Model) -> float:
        return share_right(said(model), fresh)

    def done(passes: int, record: dict[str, Any]) -> bool:
        record["right"] = right(model)
        return record["right"] == 1 and passes >= LEAST

    steps = encode(draw(np.random.default_rng([seed, 1990]))).numpy()
    measure = Metric("right", "of the predictable features", higher=True)
    task = LabTask("elman-letters", Streams(steps, STREAMS, WINDOW), measure, right)
    trained = read_again(task, model, PASSES, LEARNING_RATE, done)
    errors = said(model) - encode(fresh)
    details = {
        "curve": trained.curve,
        "letters": fresh[:SHOWN],
        "error": root_mean_square(errors, 1)[:SHOWN].tolist(),
        "by_feature": {name: errors[:SHOWN, k].abs().tolist() for k, name in enumerate(FEATURES)},
    }
    shown = next((c["sequences"] for c in trained.curve if c["right"] == 1), PASSES)
    return Outcome(trained.score == 1, shown, trained.score, details)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers."""
    letters = draw(np.random.default_rng(1))
    return share_right(torch.rand(len(letters), D, generator=generator), letters)


EXPERIMENT = Experiment(
    name="elman-letters",
    title="Letters of ba, dii and guuu",
    source="J. L. Elman, Finding structure in time, Cognitive Science 14 (1990), the second simulation",
    published="the error is high at consonants and low at vowels (figure 4), and low at consonants too for the "
    "features that they share (figure 5), after 200 passes through 2,993 letters; 6 inputs, 20 hidden units",
    criterion="every predictable feature, six of each vowel and four of each consonant, is on the right side "
    "of 1/2 in a fresh sequence of 1,000 consonants (ours: the paper shows the errors)",
    measure="share of the predictable features predicted right",
    settings=SETTINGS,
    run=run,
    chance=chance,
    first_seed=101,
)
