"""One to one: a single step is an ordinary network with a hidden layer. It learns exclusive or."""

import torch

import unrolled
from unrolled import Linear, Model, Softmax, Stack


def main():
    torch.manual_seed(0)
    model = Model(Linear(2, 4), Stack([unrolled.ElmanCell(4, 8)]), Softmax(8, 2), graph="one-to-one")
    inputs = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    targets = torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        scores, _ = model(inputs)
        total, count = model.head.loss(scores, targets)
        unrolled.backward(total / count, model.parameters())
        optimizer.step()
    for (a, b), answer in zip(inputs.int().tolist(), model(inputs)[0].argmax(1).tolist(), strict=True):
        print(f"{a} xor {b} = {answer}")


if __name__ == "__main__":
    main()
