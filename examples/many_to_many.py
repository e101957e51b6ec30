"""Many to many, aligned: is each character inside quotes?"""

import torch

import unrolled
from unrolled import Model, OneHot, Softmax, Stack

ALPHABET = 'abc"'


def texts(T, N):
    """Random letters and quotes, and for each whether an odd number of quotes came before or at it."""
    symbols = torch.randint(len(ALPHABET), (T, N))
    inside = (symbols == ALPHABET.index('"')).cumsum(0) % 2
    return symbols, inside


def main():
    torch.manual_seed(0)
    model = Model(OneHot(4), Stack([unrolled.LSTMCell(4, 8)]), Softmax(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        symbols, inside = texts(T=20, N=32)
        scores, _ = model(symbols)
        total, count = model.head.loss(scores, inside)
        unrolled.backward(total / count, model.parameters()).clip_norm(1.0)
        optimizer.step()
    symbols, inside = texts(T=60, N=1)
    scores, _ = model(symbols)
    right = (scores.argmax(2) == inside).float().mean()
    print("".join(ALPHABET[k] for k in symbols[:, 0]))
    print("".join("-^"[k] for k in scores.argmax(2)[:, 0]))
    print(f"{right:.0%} right, at three times the length it was trained on")


if __name__ == "__main__":
    main()
