"""The loss of connectionist temporal classification with its gradient: the engine beside torch's ctc_loss.

    python benchmarks/alignments.py [--threads 1]

Outputs that have learnt something: the labels stand at equal distances, 2 nats above noise of standard deviation 1.
Before a time is reported, losses and gradients are compared with torch's in 64 bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from timing import Plan, interleave
from torch.nn.functional import ctc_loss

from unrolled.models.heads.alignments import alignment_losses

SHAPES = ((1200, 32, 400, 5), (300, 32, 100, 5), (150, 32, 20, 30), (40, 32, 3, 12), (400, 16, 100, 1000))
"""Steps, sequences, labels of each, symbols: nanopore reads, speech, a spoken digit, subwords."""


def by_torch(x: torch.Tensor, labels: torch.Tensor, steps: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return ctc_loss(x.log_softmax(-1), labels.T.contiguous(), steps, counts, reduction="none")


def measured(T: int, N: int, S: int, V: int, plan: Plan) -> str:
    torch.manual_seed(1)
    labels, steps, counts = torch.randint(1, V, (S, N)), torch.full((N,), T), torch.full((N,), S)
    x = torch.randn(T, N, V)
    x[torch.arange(T)[:, None], torch.arange(N), labels[torch.arange(T) * S // T]] += 2 + torch.tensor(V).log()
    found = []
    for loss, dtype in ((alignment_losses, torch.float), (by_torch, torch.double)):
        given = x.to(dtype).requires_grad_()
        losses = loss(given, labels, steps, counts)
        found.append((losses.detach(), torch.autograd.grad(losses.sum(), given)[0]))
    if any((a - b).abs().max() > 1e-5 * b.abs().max() for a, b in zip(*found, strict=True)):
        raise SystemExit(f"{T} x {N}, {S} labels of {V}: the two differ")
    x.requires_grad_()

    def step(loss: Callable[..., torch.Tensor]) -> None:
        torch.autograd.grad(loss(x, labels, steps, counts).sum(), x)

    timings = interleave({"engine": lambda: step(alignment_losses), "torch": lambda: step(by_torch)}, plan)
    ours, torchs = (timings[name].median for name in ("engine", "torch"))
    shape = f"{T:>6} {N:>4} {S:>4} {V:>5}"
    if ours is None or torchs is None:
        return f"{shape}   too few undisturbed samples"
    return f"{shape} {1e3 * ours:>9.2f} {1e3 * torchs:>9.2f} {torchs / ours:>7.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{'steps':>6} {'N':>4} {'S':>4} {'V':>5} {'engine ms':>9} {'torch ms':>9} {'ratio':>7}")
    for shape in SHAPES:
        print(measured(*shape, Plan()), flush=True)


if __name__ == "__main__":
    main()
