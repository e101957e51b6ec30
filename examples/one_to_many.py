"""One to many: caption a picture. The picture is a digit of seven segments, the caption its name."""

import torch

import unrolled
from unrolled import Embedding, Linear, Model, Softmax, Stack, beam_search

SEGMENTS = [
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
]
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LETTERS = "." + "efghinorstuvwxz"  # the full stop ends a name


def pictures():
    return torch.tensor([[float(lit) for lit in digit] for digit in SEGMENTS])


def captions():
    """(T, N): each name with its full stop, filled up with full stops; and which letters count."""
    longest = max(map(len, NAMES)) + 1
    rows = [[LETTERS.index(s) for s in (name + ".").ljust(longest, ".")] for name in NAMES]
    lengths = torch.tensor([len(name) + 1 for name in NAMES])
    return torch.tensor(rows).T, torch.arange(longest)[:, None] < lengths


def main():
    torch.manual_seed(0)
    V, D, H = len(LETTERS), 12, 24
    model = Model(
        Linear(7, D), Stack([unrolled.LSTMCell(D, H)]), Softmax(H, V), graph="one-to-many", feedback=Embedding(V, D)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    images, (names, counted) = pictures(), captions()
    for _ in range(150):
        scores, _ = model(images, previous=names[:-1])
        total, count = model.head.loss(scores, names, counted)
        unrolled.backward(total / count, model.parameters()).clip_norm(1.0)
        optimizer.step()
    for digit, image in enumerate(images):
        best, *_ = beam_search(model, image[None], length=6, width=3, stop=0)
        caption = "".join(LETTERS[k] for k in best.symbols[:-1])
        print(f"{digit}  {SEGMENTS[digit]}  {caption}  p = {torch.tensor(best.log_probability).exp():.3f}")


if __name__ == "__main__":
    main()
