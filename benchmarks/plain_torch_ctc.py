"""The script that people write by hand for transcription: torch.nn.LSTM and CTCLoss, nothing of unrolled.

`Plain` reads frames in both directions, two layers of 128, after a convolution that makes one step of several frames;
Adam with cosine decay, gradient norm clipped at 1, batches of similar lengths. Used by `transcribe.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

HIDDEN, LR = 128, 2e-3


class Plain(nn.Module):
    def __init__(self, width: int, symbols: int, reduction: int) -> None:
        super().__init__()
        self.reduction = reduction
        self.conv = nn.Conv1d(width, HIDDEN, 2 * reduction + 1, stride=reduction, padding=reduction)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, 2, bidirectional=True, dropout=0.2)
        self.head = nn.Linear(2 * HIDDEN, symbols + 1)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log probabilities (T', N, V) of frames (T, N, width), and the lengths of those."""
        h = torch.relu(self.conv(x.permute(1, 2, 0))).permute(2, 0, 1)
        steps = (lengths - 1) // self.reduction + 1
        packed = nn.utils.rnn.pack_padded_sequence(h, steps, enforce_sorted=False)
        h, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], total_length=len(h))
        return self.head(h).log_softmax(-1), steps


def padded(frames: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    return nn.utils.rnn.pad_sequence([torch.from_numpy(x) for x in frames]), torch.tensor([len(x) for x in frames])


def train(
    frames: Sequence[np.ndarray],
    labels: list[np.ndarray],
    symbols: int,
    reduction: int,
    seconds: float,
    seed: int,
    batch: int = 32,
) -> Plain:
    """A model that was trained for so long; labels from 1 on."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = Plain(frames[0].shape[1], symbols, reduction)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    ctc = nn.CTCLoss(zero_infinity=True)
    lengths = np.array([len(x) for x in frames])
    began = time.monotonic()
    while True:
        order = np.argsort(lengths * random.uniform(0.9, 1.1, len(lengths)))
        batches = np.array_split(order, math.ceil(len(order) / batch))
        for k in random.permutation(len(batches)):
            share = (time.monotonic() - began) / seconds
            if share >= 1:
                return model.eval()
            optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + math.cos(math.pi * share))
            x, n = padded([frames[i] for i in batches[k]])
            y = torch.from_numpy(np.concatenate([labels[i] for i in batches[k]]))
            out, steps = model(x, n)
            optimizer.zero_grad()
            ctc(out, y, steps, torch.tensor([len(labels[i]) for i in batches[k]])).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()


def likeliest_path(log_probabilities: torch.Tensor) -> list[int]:
    """The labels of the likeliest path (T, V)."""
    best = log_probabilities.argmax(-1).tolist()
    return [b for b, a in zip(best, [0, *best], strict=False) if b and b != a]


def transcribe(
    model: Plain, frames: Sequence[np.ndarray], search: Callable[[torch.Tensor], list[int]] = likeliest_path
) -> list[list[int]]:
    """The labels of each, as the search finds them."""
    with torch.no_grad():
        return [search(model(*padded([x]))[0][:, 0]) for x in frames]
