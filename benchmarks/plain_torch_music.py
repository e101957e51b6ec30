"""The script that people write by hand: torch.nn.GRU on piano rolls, nothing of unrolled.

    python benchmarks/plain_torch_music.py COLLECTION.json --epochs 20 --seed 1

One layer of 46, 88 independent keys, batches of 4 pieces, Adam at 1e-2 with cosine decay, gradient norm clipped at 1.
The weights of the epoch that is best on the validation part are scored on the test part: the mean over all steps of
all pieces, the first step after silence.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HIDDEN, BATCH, LR, KEYS = 46, 4, 1e-2, 88


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(KEYS, HIDDEN)
        self.head = nn.Linear(HIDDEN, KEYS)

    def forward(self, x):
        return self.head(self.gru(x)[0])


def rolls(pieces):
    made = []
    for piece in pieces:
        roll = torch.zeros(len(piece) + 1, KEYS)
        for t, pitches in enumerate(piece):
            roll[t + 1, [p - 21 for p in pitches]] = 1
        made.append(roll)
    return made


def nats(model, pieces):
    """The sum of the losses, and the number of steps."""
    padded = nn.utils.rnn.pad_sequence(pieces)
    inside = torch.arange(len(padded) - 1)[:, None] < torch.tensor([len(p) - 1 for p in pieces])
    losses = F.binary_cross_entropy_with_logits(model(padded[:-1]), padded[1:], reduction="none").sum(2)
    return losses[inside].sum(), int(inside.sum())


def score(model, pieces):
    with torch.no_grad():
        parts = [nats(model, [piece]) for piece in pieces]
    return float(sum(total for total, _ in parts)) / sum(count for _, count in parts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("collection", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    parts = {name: rolls(pieces) for name, pieces in json.loads(arguments.collection.read_text()).items()}
    model = Plain()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    updates = arguments.epochs * math.ceil(len(parts["train"]) / BATCH)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    best, kept = math.inf, None
    draw = np.random.default_rng(arguments.seed)
    for _ in range(arguments.epochs):
        order = draw.permutation(len(parts["train"]))
        for start in range(0, len(order), BATCH):
            total, count = nats(model, [parts["train"][k] for k in order[start : start + BATCH]])
            optimizer.zero_grad()
            (total / count).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
        if (now := score(model, parts["valid"])) < best:
            best, kept = now, copy.deepcopy(model.state_dict())
    assert kept is not None
    model.load_state_dict(kept)
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"validation": best, "test": score(model, parts["test"]), "parameters": parameters}))


if __name__ == "__main__":
    main()
