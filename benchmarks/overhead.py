"""What a training step costs beside its recurrent layer: embedding, loss, backward of both, clipping, optimizer,
averaging, reporting and checkpoints.

    python benchmarks/overhead.py [--json]

One layer of 256, batch 64, 64 steps. Both are timed in one process, turn by turn, and compared by medians; the
gradients of both are compared first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

import unrolled
from unrolled.tasks.fit import fit

HIDDEN, BATCH, STEPS, LAYER = 256, 64, 64, "lstm"


def text() -> str:
    """Enough letters for a few hundred updates, of 65 kinds."""
    generator = torch.Generator().manual_seed(0)
    return "".join(chr(48 + k) for k in torch.randint(65, (BATCH * STEPS * 80,), generator=generator).tolist())


def layer_alone() -> tuple[unrolled.Recurrent, torch.Tensor, torch.Tensor]:
    """The recurrent layer with inputs as wide as the text model's."""
    layer = unrolled.Recurrent(unrolled.LSTMCell(128, HIDDEN))
    x = torch.randn(STEPS, BATCH, 128, requires_grad=True)
    return layer, x, torch.randn(STEPS, BATCH, HIDDEN)


def check() -> None:
    """The layer that is timed computes the equation and its gradients."""
    layer, x, upstream = layer_alone()
    slow = unrolled.Recurrent(layer.cell, backend="eager")
    gradients = []
    for one in (layer, slow):
        output, _ = one(x)
        gradients.append(torch.autograd.grad(output, [x, *layer.parameters()], upstream))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def measure() -> dict[str, float]:
    """Medians, in milliseconds, of a whole update and of the layer's forward and backward alone."""
    layer, x, upstream = layer_alone()
    alone: list[float] = []
    whole: list[float] = []
    last = [0.0]

    def listen(event: dict) -> None:
        if event["event"] != "update":
            return
        whole.append(time.perf_counter() - last[0])
        start = time.perf_counter()
        output, _ = layer(x)
        output.backward(upstream)
        alone.append(time.perf_counter() - start)
        last[0] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "text.txt"
        data.write_text(text())
        last[0] = time.perf_counter()
        fit(data, Path(folder) / "run", epochs=2, hidden=HIDDEN, batch=BATCH, bptt=STEPS, save_every=5, listen=listen)
    step, recurrent = statistics.median(whole[5:]), statistics.median(alone[5:])
    return {
        "updates": len(whole),
        "step_ms": 1e3 * step,
        "recurrent_layer_ms": 1e3 * recurrent,
        "share_around": 1 - recurrent / step,
        "mean_share_around": 1 - sum(alone[5:]) / sum(whole[5:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    check()
    result = measure()
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"step                {result['step_ms']:8.2f} ms (median of {result['updates']} updates)")
    print(f"recurrent layer     {result['recurrent_layer_ms']:8.2f} ms")
    print(f"all the rest        {result['share_around']:8.1%} of a step (medians)")
    print(f"with checkpoints,\nvalidation, samples {result['mean_share_around']:8.1%} (means)")


if __name__ == "__main__":
    main()
