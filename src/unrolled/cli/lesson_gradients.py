"""The lesson on gradients, as text."""

from __future__ import annotations

import math
from typing import Any

from unrolled.cli.shared import print_table


def show(lesson: Any) -> None:
    """Print the four parts, in lines that fit the terminal."""
    from rich.console import Console

    from unrolled.lab import gradients as lab

    console = Console(highlight=False)
    console.print("[bold]1. The same function, applied repeatedly[/bold]\n")
    console.print("f(x) = w x. The derivative of f(f(...f(x))) after n applications, by backpropagation:")
    print_table(_products(lesson.products))
    console.print("It is a product of n derivatives w. For w below 1 it vanishes, above 1 it explodes.\n")

    console.print("[bold]2. A network: h_t = tanh(W h_{t-1} + U x_t)[/bold]\n")
    console.print(
        f"{lab.UNITS} units, W orthogonal times r, so that its spectral radius is r. The loss is "
        "computed at the last step alone. The table shows the share of the gradient that is left k steps back, "
        "without input and with inputs of size 1:"
    )
    print_table(_networks(lesson.tanh))
    console.print(
        "Without input, h is 0 and tanh' is 1: the gradient is again a product of n "
        "derivatives, and the slope of log |dL/dh| is log r. With input, tanh' < 1 shrinks "
        "it, and the slope is the largest Lyapunov exponent: r = 1 does not preserve the "
        "gradient, and r > 1 does not always explode.\n"
    )
    console.print("[bold]3. Gates[/bold]\n")
    console.print("Other cells, untrained, with inputs of size 1. For the LSTM the gradient is dL/dc:")
    print_table(_gates(lesson.gates))
    console.print(
        "product: of the gate that keeps the state (z of the GRU, f of the LSTM), over "
        "100 steps. Having gates is not enough; they must be open. chrono=100 starts with "
        "memories of up to 100 steps.\n"
    )
    console.print("[bold]4. Clipping[/bold]\n")
    console.print(
        f"An Elman network that starts with r = {lab.EXPLODING:g} must remember the sign of its first "
        f"input through {lab.STEPS} steps of noise: {lab.UPDATES} updates of gradient descent at rate {lab.RATE:g}, "
        f"from each of {len(lesson.training[0].losses)} different initial weights."
    )
    print_table(_training(lesson.training))
    console.print(
        "Guessing has a loss of 0.693. A step along an exploded gradient is so large that "
        "the network becomes worse than guessing and does not recover. Clipping keeps the "
        "direction of the step and limits its length.\n"
    )


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k and column else "left", no_wrap=True)
    return table


def _number(value: float) -> str:
    """Three digits; without exponent from a thousandth to ten thousand."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")


def _products(products: list[Any]) -> Any:
    depths = list(products[0].derivatives)
    table = _table("", *(f"n = {n}" for n in depths))
    for p in products:
        table.add_row(f"w = {p.weight:g}", *(_number(p.derivatives[n]) for n in depths))
    return table


def _left(network: Any) -> list[str]:
    """Norms at some lags, as shares of the one that the loss gives."""
    norms = network.norms["c" if "c" in network.norms else "h"]
    first = norms[0] or norms[1]
    return [_number(norms[k] / first) for k in (1, 10, 50, 100)]


def _networks(networks: list[Any]) -> Any:
    table = _table("r", "", "k = 1", "10", "50", "100", "slope", "log r", "exponent")
    for n in networks:
        slopes = (f"{value:+.3f}" for value in (n.slope, math.log(n.radius), n.exponent))
        table.add_row(f"{n.radius:g}", "no input" if n.silent else "input", *_left(n), *slopes)
    return table


def _gates(networks: list[Any]) -> Any:
    table = _table("cell", "k = 1", "10", "50", "100", "product", "half-life")
    for n in networks:
        kept = "" if n.kept is None else _number(n.kept[100])
        table.add_row(n.name, *_left(n), kept, f"{math.log(2) / -n.slope:.1f}" if n.slope < 0 else "none")
    return table


def _training(training: list[Any]) -> Any:
    table = _table("", "largest |g|", "median |g|", "last loss", "learned")
    for one in training:
        norms = sorted(value for run in one.norms for value in run)
        ends = sorted(sum(run[-20:]) / 20 for run in one.losses)
        table.add_row(
            "clipping off" if one.clip is None else f"clipped at {one.clip:g}",
            _number(norms[-1]),
            _number(norms[len(norms) // 2]),
            _number(ends[len(ends) // 2]),
            f"{one.learnt} of {len(one.losses)}",
        )
    return table
