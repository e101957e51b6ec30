"""Characters a second: `unrolled.sample` against the best loop written by hand in torch, and a loop over modules.

    python benchmarks/stream.py [--json] [--hidden 128 512] [--threads 2]

Two LSTM layers, 65 symbols, temperature 1. Before a speed is reported, the scores of the three are compared over a
sequence, and the symbols of `unrolled.sample` with those of its step-by-step path.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch
from timing import Plan, interleave
from torch import nn

import unrolled
from unrolled.models import decode, streaming

V, D = 65, 64
START = torch.tensor([[1], [2], [3]])


class ByHand:
    """The loop that one writes for speed: a table for the input, one matrix a layer, tensors reused."""

    def __init__(self, model: unrolled.Model) -> None:
        first, second = (layer.cell for layer in model.stack.layers)
        self.H = first.hidden_size
        self.table = model.encoder.weight @ first.x.weight.t() + first.x.bias
        self.W1 = first.h.weight.contiguous()
        self.W2 = torch.cat([second.x.weight, second.h.weight], 1).contiguous()
        self.b2 = second.x.bias
        self.Wy, self.by = model.head.map.weight, model.head.map.bias
        self.reset()

    def reset(self) -> None:
        self.h1, self.c1, self.c2 = (torch.zeros(self.H) for _ in range(3))
        self.x2 = torch.zeros(2 * self.H)

    def step(self, symbol: int) -> torch.Tensor:
        H = self.H
        self.h1 = self._cell(torch.addmv(self.table[symbol], self.W1, self.h1), self.c1)
        self.x2[:H] = self.h1
        self.x2[H:] = self._cell(torch.addmv(self.b2, self.W2, self.x2), self.c2)
        return torch.addmv(self.by, self.Wy, self.x2[H:])

    def _cell(self, a: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        H = self.H
        g = a[2 * H : 3 * H].tanh()
        a.sigmoid_()
        c.mul_(a[H : 2 * H]).add_(a[:H].mul_(g))
        return a[3 * H :] * c.tanh()

    @torch.no_grad()
    def sample(self, count: int) -> None:
        self.reset()
        symbol = 1
        for _ in range(count):
            p = torch.softmax(self.step(symbol), 0)
            symbol = int(torch.multinomial(p, 1))


class Modules(nn.Module):
    """The loop of most tutorials: an embedding, torch.nn.LSTM, a linear map."""

    def __init__(self, model: unrolled.Model) -> None:
        super().__init__()
        first = model.stack.layers[0].cell
        self.embed = nn.Embedding.from_pretrained(model.encoder.weight)
        self.lstm = nn.LSTM(D, first.hidden_size, 2)
        for k, layer in enumerate(model.stack.layers):
            one = unrolled.to_torch(_alone(layer.cell))
            for name, p in one.named_parameters():
                getattr(self.lstm, name.replace("l0", f"l{k}")).data.copy_(p)
        self.head = model.head.map

    @torch.no_grad()
    def sample(self, count: int) -> None:
        symbol, state = torch.tensor([[1]]), None
        for _ in range(count):
            y, state = self.lstm(self.embed(symbol), state)
            symbol = torch.multinomial(torch.softmax(self.head(y[0]), 1), 1)


def _alone(cell: unrolled.LSTMCell) -> unrolled.LSTM:
    layer = unrolled.LSTM(cell.input_size, cell.hidden_size)
    layer.stack.layers[0].cell.load_state_dict(cell.state_dict())
    return layer


@torch.no_grad()
def check(model: unrolled.Model, hand: ByHand, modules: Modules) -> str:
    """What differs; empty if nothing does."""
    symbols = torch.randint(V, (50,))
    truth, _ = model(symbols[:, None])
    hand.reset()
    by_hand = torch.stack([hand.step(int(s)) for s in symbols])
    y, _ = modules.lstm(modules.embed(symbols[:, None]))
    for name, scores in (("by hand", by_hand), ("modules", modules.head(y[:, 0]))):
        if (scores - truth[:, 0]).abs().max() > 1e-4 * truth.abs().max():  # float32, 50 steps
            return name
    fast = list(unrolled.sample(model, START, 300))
    real = streaming.stream
    decode.streaming.stream = lambda *a: None
    slow = list(unrolled.sample(model, START, 300))
    decode.streaming.stream = real
    return "" if fast == slow else "unrolled"


def measure(H: int, plan: Plan) -> dict:
    torch.manual_seed(1)
    stack = unrolled.Stack([unrolled.LSTMCell(D, H), unrolled.LSTMCell(H, H)])
    model = unrolled.Model(unrolled.Embedding(V, D), stack, unrolled.Softmax(H, V)).eval().requires_grad_(False)
    hand, modules = ByHand(model), Modules(model)
    failed = check(model, hand, modules)
    if failed:
        return {"hidden": H, "failed": failed}
    count = 400
    timings = interleave(
        {
            "unrolled": lambda: list(unrolled.sample(model, START, count)),
            "by hand": lambda: hand.sample(count),
            "modules": lambda: modules.sample(count),
        },
        plan,
    )
    speeds = {name: None if t.median is None else count / t.median for name, t in timings.items()}
    ours, best = speeds["unrolled"], speeds["by hand"]
    ratio = ours / best if ours and best else None
    return {"hidden": H, "characters_per_second": speeds, "ratio_to_by_hand": ratio}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = [measure(H, Plan()) for H in options.hidden]
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), "rows": rows}))
    for row in rows if not options.json else []:
        if "failed" in row:
            print(f"H={row['hidden']:<5} FAILED: {row['failed']} gives other results")
            continue
        speeds = "  ".join(f"{n} {s:,.0f}/s" if s else f"{n} busy" for n, s in row["characters_per_second"].items())
        ratio = row["ratio_to_by_hand"]
        print(f"H={row['hidden']:<5} {speeds}  ratio {ratio:.1f}" if ratio else f"H={row['hidden']:<5} {speeds}")
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
