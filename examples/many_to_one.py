"""Many to one: which of two letters comes more often? Sequences of different lengths in one batch."""

import torch

import unrolled
from unrolled import Bidirectional, Linear, Model, Softmax, Stack


def votes(T, N):
    """Steps of +1 and -1, a length for each sequence, and whether its sum is above zero."""
    steps = torch.randint(2, (T, N)).float() * 2 - 1
    lengths = torch.randint(0, T // 2, (N,)) * 2 + 1
    inside = torch.arange(T)[:, None] < lengths
    return steps[..., None], lengths, ((steps * inside).sum(0) > 0).long()


def main():
    torch.manual_seed(0)
    cells = unrolled.GRUCell(4, 8), unrolled.GRUCell(4, 8)
    model = Model(Linear(1, 4), Stack([Bidirectional(*cells)]), Softmax(16, 2), graph="many-to-one")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        steps, lengths, above = votes(T=15, N=32)
        scores, _ = model(steps, lengths=lengths)
        total, count = model.head.loss(scores, above)
        unrolled.backward(total / count, model.parameters()).clip_norm(1.0)
        optimizer.step()
    steps, lengths, above = votes(T=15, N=1000)
    scores, _ = model(steps, lengths=lengths)
    print(f"{(scores.argmax(1) == above).float().mean():.1%} of 1,000 new sequences right")


if __name__ == "__main__":
    main()
