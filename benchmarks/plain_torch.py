"""The script that people write by hand: torch.nn.LSTM on one text, nothing of unrolled.

    python benchmarks/plain_torch.py TEXT --minutes 3

One layer of 256, embedding of 64, batch 64, 64 steps, Adam at 6e-3 with cosine decay over the time, gradient norm
clipped at 1, forget bias 1, orthogonal recurrent weights, state carried. First 90 % train, last 10 % validation.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

HIDDEN, EMBEDDING, BATCH, STEPS, LR = 256, 64, 64, 64, 6e-3


class Plain(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN)
        self.head = nn.Linear(HIDDEN, size)
        named = dict(self.lstm.named_parameters())
        for block in named["weight_hh_l0"].data.split(HIDDEN):
            nn.init.orthogonal_(block)
        named["bias_ih_l0"].data[HIDDEN : 2 * HIDDEN] = 1
        named["bias_hh_l0"].data[HIDDEN : 2 * HIDDEN] = 0

    def forward(self, x, state=None):
        h, state = self.lstm(self.embedding(x), state)
        return self.head(h), state


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    text = arguments.text.read_text(encoding="utf-8")
    symbols = {s: k for k, s in enumerate(sorted(set(text)))}
    data = torch.tensor([symbols[s] for s in text])
    cut = len(data) * 9 // 10
    train, held_out = data[:cut], data[cut:]
    model = Plain(len(symbols))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    length = (cut - 1) // BATCH
    inputs = train[: length * BATCH].view(BATCH, length).t().contiguous()
    targets = train[1 : length * BATCH + 1].view(BATCH, length).t().contiguous()
    budget, began, seen, place, state = 60 * arguments.minutes, time.monotonic(), 0, 0, None
    while (used := time.monotonic() - began) < budget:
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 + math.cos(math.pi * used / budget)) / 2
        if place + STEPS > length:
            place, state = 0, None
        x, y = inputs[place : place + STEPS], targets[place : place + STEPS]
        place += STEPS
        scores, state = model(x, state)
        state = tuple(s.detach() for s in state)
        loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += x.numel()
    nats, state = 0.0, None
    with torch.no_grad():
        for start in range(0, len(held_out) - 1, 2048):
            part = held_out[start : start + 2049]
            scores, state = model(part[:-1, None], state)
            nats += F.cross_entropy(scores[:, 0], part[1:], reduction="sum").item()
    print(
        json.dumps({"loss": nats / (len(held_out) - 1), "characters": seen, "characters_per_second": seen / budget})
    )


if __name__ == "__main__":
    main()
