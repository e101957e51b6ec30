"""A yardstick for simulated reads: the likeliest bases by the very pore that made them, without its drift.

A hidden Markov model with two states a word: samples of gamma(2) dwell times leave one and then the other, each with
the same chance; short ones leave the first at once. It knows the table and the dwell times, which a network has to
learn, but takes the drift for noise, so that it is no bound. Used by `transcribe.py`.
"""

from __future__ import annotations

import math

import numpy as np

from unrolled.tasks.transcribe.reads.levels import BASES, Levels


def likeliest(current: np.ndarray, levels: Levels, dwell: float = 9.0) -> str:
    """The bases of the likeliest path through words and dwell times.

    Arguments:
        current: pA (samples,). dwell: the mean number of samples of a word, of gamma-distributed times of shape 2.
    """
    words = np.arange(len(levels.mean))
    before = np.stack([(base * len(words) + words) // 4 for base in range(4)], 1)  # (words, 4)
    stay = 1 - 2 / dwell
    once = 1 - math.exp(-3 / dwell) * (1 + 3 / dwell)  # of a time that is rounded to one sample
    to_second, leave_first, leave_second = (math.log(p) for p in (1 - stay - once, once / 4, (1 - stay) / 4))
    z = (current[:, None] - levels.mean) / levels.sd
    emitted = -0.5 * z**2 - np.log(levels.sd)
    first, second = emitted[0].copy(), np.full(len(words), -np.inf)
    # whence a first state came: 0 it stayed, 1 to 4 from a first state, 5 to 8 from a second one
    from_word = np.zeros((len(current), len(words)), np.int8)
    from_first = np.zeros((len(current), len(words)), bool)
    for t in range(1, len(current)):
        leaving = np.maximum(first + leave_first, second + leave_second)
        was_second = second + leave_second > first + leave_first
        came = leaving[before]
        best = came.argmax(1)
        new = came[words, best]
        stayed = first + math.log(stay)
        from_word[t] = np.where(new > stayed, 1 + best + 4 * was_second[before[words, best]], 0)
        from_first[t] = first + to_second > second + math.log(stay)
        second = np.maximum(first + to_second, second + math.log(stay)) + emitted[t]
        first = np.maximum(new, stayed) + emitted[t]
    word = int(np.maximum(first, second).argmax())
    in_second = bool(second[word] > first[word])
    path = [word]
    for t in range(len(current) - 1, 0, -1):
        if in_second:
            in_second = not from_first[t, word]
        elif from_word[t, word]:
            base, kind = (int(from_word[t, word]) - 1) % 4, int(from_word[t, word]) > 4
            word, in_second = int(before[word, base]), kind
            path.append(word)
    return "".join(BASES[word // 4 ** (levels.k - 1)] for word in reversed(path))
