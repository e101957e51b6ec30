"""The verb ``hopfield``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.hopfield_arguments import Range, loads_of, names_of, not_an_input, size_of, unused
from unrolled.cli.shared import NAME, json_option, plain_warnings
from unrolled.cli.threads import no_work, threaded, work_of_capacity, work_of_maxcut, work_of_tsp
from unrolled.cli.waiting import waiting
from unrolled.wording import counted, wrapped

RULES = ("hebb", "storkey", "projection", "perceptron", "dense", "softmax")
UPDATES = ("asynchronous", "synchronous", "damped", "continuous")

_seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The same seed gives the same result.",
)


_share = Range(0, 1)


@click.group(
    short_help="Store patterns and recall them; measure capacity.",
    epilog="Example: unrolled hopfield store A.png B.png -o memory",
)
def hopfield() -> None:
    """Hopfield networks: store patterns, recall them, measure capacity.

    Stored pictures are minima of the network's energy.
    """


@hopfield.command(epilog="Example: unrolled hopfield store letters/*.png -o memory --size 32x32")
@click.argument("pictures", type=NAME, nargs=-1, required=True)
@click.option("-o", "--output", type=NAME, default="memory", show_default=True, help="File for the memory.")
@click.option("--rule", type=click.Choice(RULES), default="projection", show_default=True, help="Learning rule.")
@click.option(
    "--units", type=click.Choice(("binary", "graded")), default="binary", show_default=True, help="Kind of units."
)
@click.option("--size", metavar="WxH", help="Size of all pictures (default: the first one's, up to 4,096 units).")
@click.option(
    "--gain", type=click.FloatRange(0, min_open=True), default=4.0, show_default=True, help="Gain of graded units."
)
@click.option("--threshold", type=float, default=0.0, show_default=True, help="Added to every unit's field.")
@threaded(no_work)
@json_option
def store(
    pictures: tuple[str, ...],
    output: str,
    rule: str,
    units: str,
    size: str | None,
    gain: float,
    threshold: float,
    as_json: bool,
) -> None:
    """Store PICTURES in a memory.

    Pictures may have any format and size. All are scaled to one size and
    converted to black and white, or to gray with --units graded.
    """
    import numpy as np

    from unrolled.drawing import check_folder
    from unrolled.errors import UsageError
    from unrolled.hopfield import Hopfield, memory
    from unrolled.hopfield.pictures import LARGEST, read

    if units == "binary" and rule != "softmax":
        unused("--units graded and to --rule softmax", "gain")
    not_an_input([output], *pictures)
    check_folder(output)
    wanted = size_of(size)
    first = read(pictures[0], wanted, units)
    height, width = first.shape
    if first.size > LARGEST and rule not in ("dense", "softmax"):
        raise UsageError(
            f"{first.size:,} units are too many for a matrix W; choose a --size of at most {LARGEST:,} units"
        )
    rows = np.stack([first, *(read(p, (width, height), units) for p in pictures[1:])]).reshape(len(pictures), -1)
    with plain_warnings():
        net = Hopfield(rows, rule, units, gain, threshold)
        names = names_of(pictures)
        memory.save(net, output, {"width": width, "height": height, "names": names})
        from unrolled.hopfield.outcome import overlaps

        between = overlaps(net.patterns, net.patterns).fill_diagonal_(0).abs()
        update = "synchronous" if rule == "softmax" and units == "graded" else "asynchronous"
        with waiting("recalling"):
            kept = net.recall(net.patterns, update=update).outcome.count("recalled")
    facts = {
        "memory": output,
        "rule": rule,
        "units": units,
        "width": width,
        "height": height,
        "patterns": len(rows),
        "recalled": kept,
        "largest_overlap": float(between.max()),
    }
    if as_json:
        _print(facts)
        return
    count = counted(len(rows), "patterns")
    print(f"{output}: {count} of {width} x {height} = {counted(rows.shape[1], 'units')}, rule {rule}, {units}")
    print(f"{kept} of {len(rows)} patterns are stable; largest overlap between two patterns {between.max():.2f}")
    if float(between.max()) > 1 - 1e-9:
        a, b = divmod(int(between.argmax()), len(rows))
        print(wrapped(f"{names[a]} and {names[b]} are the same pattern, or one is the negative of the other"))
    print(f"Next: unrolled hopfield recall {output} {pictures[0]} --damage 0.2")


@hopfield.command(epilog="Example: unrolled hopfield recall memory damaged.png -o recalled")
@click.argument("memory", type=NAME)
@click.argument("picture", type=NAME)
@click.option("-o", "--output", type=NAME, default="recalled", show_default=True, help="Prefix of the output files.")
@click.option("--damage", type=_share, default=0.0, help="First corrupt this share of the units.")
@click.option("--cover", type=_share, default=0.0, help="First hide this share, from the bottom up.")
@click.option(
    "--update", type=click.Choice(UPDATES), default=None, help="How units are updated.  [default: asynchronous]"
)
@click.option(
    "--order",
    type=click.Choice(("random", "fixed")),
    default="random",
    show_default=True,
    help="Order of asynchronous updates.",
)
@_seed
@threaded(no_work)
@json_option
def recall(
    memory: str,
    picture: str,
    output: str,
    damage: float,
    cover: float,
    update: str | None,
    order: str,
    seed: int,
    as_json: bool,
) -> None:
    """Recall the pattern in MEMORY that PICTURE leads to.

    Writes the final state, a strip of intermediate states, and the curve
    of the energy: recalled.png, recalled-steps.png, recalled-energy.png.
    """
    from unrolled.drawing import check_folder
    from unrolled.errors import RunError
    from unrolled.hopfield import memory as files
    from unrolled.hopfield import pictures
    from unrolled.hopfield.figures import draw_energy, draw_steps
    from unrolled.hopfield.outcome import OUTCOMES

    not_an_input([f"{output}{end}" for end in (".png", "-steps.png", "-energy.png")], picture, memory)
    check_folder(output)
    with plain_warnings():
        net, about = files.load(memory)
        if not {"width", "height", "names"} <= set(about):
            raise RunError(f"{memory} does not hold pictures; use it from Python with unrolled.hopfield.memory.load")
        width, height, names = about["width"], about["height"], about["names"]
        start = pictures.read(picture, (width, height), net.units)
        start = pictures.damage(start, damage, cover, net.units, seed)
        softmax = net.rule == "softmax" and net.units == "graded"
        update = update or ("synchronous" if softmax else "asynchronous")
        if update != "asynchronous":
            unused("asynchronous updates", "order")
        frames = 6 if update == "asynchronous" else 1
        found = net.recall(start.reshape(-1), update=update, order=order, seed=seed, frames=frames, keep=True)
    unit = {"asynchronous": "sweeps", "continuous": "time in tau"}.get(update, "steps")
    pictures.write(
        f"{output}.png", found.state.reshape(height, width).numpy(), zoom=max(1, 256 // max(width, height))
    )
    assert found.states is not None
    chosen = _some(found.states[:, 0].numpy())
    shown = [found.states[k, 0].reshape(height, width).numpy() for k in chosen]
    titles = [f"{unit.split()[0].removesuffix('s')} {round(found.times[k], 2):g}" if k else "start" for k in chosen]
    draw_steps(shown, titles).savefig(f"{output}-steps.png")
    energy = [] if found.energy is None else found.energy[:, 0].tolist()
    if energy:
        draw_energy(found.times, energy, unit).savefig(f"{output}-energy.png")
    ranked = sorted(range(len(names)), key=lambda k: -abs(float(found.overlaps[0, k])))
    if as_json:
        mixture = found.mixture[0]
        _print(
            {
                "outcome": found.outcome[0],
                "pattern": names[found.pattern[0]],
                "mixture": [names[k] for k in mixture.patterns] if mixture else None,
                "steps": found.steps[0],
                "period": found.period[0],
                "overlaps": {names[k]: float(found.overlaps[0, k]) for k in ranked},
                "times": list(found.times),
                "energy": energy,
                "picture": f"{output}.png",
            }
        )
        return
    print(f"{found.outcome[0]} after {counted(found.steps[0], 'steps')}: {OUTCOMES[found.outcome[0]]}")
    if found.mixture[0] is not None:
        print(f"mixture of {', '.join(names[k] for k in found.mixture[0].patterns)}")
    for k in ranked[:10]:
        print(f"  overlap {float(found.overlaps[0, k]):6.3f}  {names[k]}")
    if energy:
        print(f"energy {energy[0] + 0.0:.4g} -> {energy[-1] + 0.0:.4g}")
    written = [f"{output}.png", f"{output}-steps.png", *([f"{output}-energy.png"] if energy else [])]
    print(f"Written: {', '.join(written)}")


@hopfield.command(epilog="Example: unrolled hopfield capacity --units 200 --rule hebb --rule projection")
@click.option("--units", type=click.IntRange(10, 20000), default=100, show_default=True, help="Number of units N.")
@click.option("--rule", "rules", type=click.Choice(RULES), multiple=True, help="Learning rule; can be repeated.")
@click.option("--loads", metavar="P,P,...", help="Numbers of patterns (default: ten, up to N / 2).")
@click.option("--flips", type=_share, default=0.15, show_default=True, help="Share of units flipped at the start.")
@click.option("--trials", type=click.IntRange(1), default=200, show_default=True, help="Trials per load and rule.")
@click.option("--self-connections", is_flag=True, help="Keep the diagonal of W.")
@click.option("--critical", is_flag=True, help="Find the load at which Hebb's rule fails instead.")
@click.option(
    "--networks", type=click.IntRange(2), default=10, show_default=True, help="Networks per --critical load."
)
@click.option("-o", "--output", type=NAME, default="capacity.png", show_default=True, help="Picture to write.")
@_seed
@threaded(work_of_capacity)
@json_option
def capacity(
    units: int,
    rules: tuple[str, ...],
    loads: str | None,
    flips: float,
    trials: int,
    self_connections: bool,
    critical: bool,
    networks: int,
    output: str,
    seed: int,
    as_json: bool,
) -> None:
    """Measure how many random patterns a network can store.

    Draws recall against load, with 95 % confidence bands and the theory; without
    --rule, for hebb, storkey, projection and perceptron.
    """
    from dataclasses import asdict

    from unrolled.drawing import check_picture
    from unrolled.hopfield.capacity import critical_load, measure
    from unrolled.hopfield.figures import draw_capacity

    if critical:
        unused("a measurement without --critical", "rules", "loads", "flips", "trials", "self_connections", "output")
        with waiting("measuring"):
            found = critical_load(units, networks, seed)
        if as_json:
            _print(asdict(found))
            return
        for P, shares in found.kept.items():
            print(f"{P:>6} patterns  {P / units:.3f} N  {sum(shares) / len(shares):.3f} of them keep overlap > 0.9")
        print(
            f"Half of the patterns keep it at {found.load:.4f} N "
            f"(95 % interval {found.low:.4f} to {found.high:.4f}). Theory for large N: 0.138 N"
        )
        return
    unused("--critical", "networks")
    check_picture(output)
    chosen = loads_of(loads) or sorted({max(1, round(units * k / 20)) for k in range(1, 11)})
    measured = []
    for rule in rules or RULES[:4]:
        with waiting(rule) as tell:
            measured.append(measure(units, chosen, rule, flips, trials, seed, self_connections, tell=tell))
        made = measured[-1]
        if as_json:
            points = [asdict(p) | {"rate": p.rate, "low": p.low, "high": p.high} for p in made.points]
            _print(asdict(made) | {"points": points})
        else:
            print(f"{made}\n")
    draw_capacity(measured).savefig(output)
    if not as_json:
        theory = ", ".join(f"{name} = {value:.3g}" for name, value in measured[0].theory.items())
        print(f"Theory for Hebb's rule, large N, no damage: {theory}\nWritten: {output}")


@hopfield.command(epilog="Example: unrolled hopfield tsp --cities 10 --starts 100")
@click.option(
    "--cities",
    type=click.IntRange(3, 60),
    default=10,
    show_default=True,
    help="Number of random cities in the unit square.",
)
@click.option("--starts", type=click.IntRange(1), default=100, show_default=True, help="Random starts.")
@click.option(
    "--distance", "D", type=Range(0, 1e6), default=500.0, show_default=True, help="Weight D of the tour length."
)
@click.option("-o", "--output", type=NAME, help="Draw the best tour to this file.")
@_seed
@threaded(work_of_tsp)
@json_option
def tsp(cities: int, starts: int, D: float, output: str | None, seed: int, as_json: bool) -> None:
    """Solve the travelling salesman problem (Hopfield & Tank 1985).

    Uses the paper's constants for 10 cities: A = B = 500, C = 200, D = 500, n = 15.
    """
    from unrolled.drawing import check_picture
    from unrolled.hopfield.figures import draw_tours
    from unrolled.hopfield.tsp import Constants, nearest, shortest, solve

    if output:
        check_picture(output)
    with waiting(f"{starts} starts") as tell:
        found = solve(count=cities, starts=starts, seed=seed, constants=Constants(D=D), tell=tell)
    mean = sum(found.lengths) / found.valid if found.valid else None
    best = min(found.lengths, default=None)
    if output:
        other = nearest(found.cities) if found.shortest is None else shortest(found.cities)
        draw_tours(found, other, "nearest neighbour" if found.shortest is None else "shortest").savefig(output)
    if as_json:
        facts = {"cities": found.cities.tolist(), "starts": starts, "valid": found.valid}
        facts |= {"unfinished": found.unfinished, "mean": mean, "best": best}
        facts |= {"shortest": found.shortest, "nearest": found.nearest}
        _print(facts | {"random": found.random, "tour": found.best, "picture": output})
        return
    print(f"{found.valid} of {counted(starts, 'starts')} ended in a valid tour ({found.unfinished} did not settle)")
    if not found.valid:
        print("This is common for this network. A smaller --distance finds more tours, but longer ones.")
    if mean is not None and best is not None:
        print(f"length  mean {mean:.3f}, best {best:.3f}")
    told = [] if found.shortest is None else [f"shortest {found.shortest:.3f}"]
    print(f"versus  {', '.join([*told, f'nearest neighbour {found.nearest:.3f}, random {found.random:.3f}'])}")
    if output:
        print(f"Written: {output}")


@hopfield.command(epilog="Example: unrolled hopfield maxcut --vertices 100 --degree 3")
@click.argument("graph", required=False, type=NAME)
@click.option(
    "--vertices", type=click.IntRange(2, 5000), default=100, show_default=True, help="Vertices of a random graph."
)
@click.option(
    "--degree", type=click.IntRange(1), default=3, show_default=True, help="Edges per vertex of a random graph."
)
@click.option("--starts", type=click.IntRange(1), default=100, show_default=True, help="Random starts.")
@_seed
@threaded(work_of_maxcut)
@json_option
def maxcut(graph: str | None, vertices: int, degree: int, starts: int, seed: int, as_json: bool) -> None:
    """Find a large cut of a graph (MAX-CUT).

    GRAPH is a file with one edge per line: "vertex vertex" or "vertex vertex
    weight". Vertices are counted from 0, or from 1 after a header "vertices edges",
    as in the G-set. Without GRAPH, a random regular graph is cut.
    """
    from unrolled.hopfield.maxcut import read_graph, regular, solve

    if graph:
        unused("a random graph, and GRAPH is given", "vertices", "degree")
    weights = read_graph(graph) if graph else regular(vertices, degree, seed)
    with waiting(f"{starts} starts") as tell:
        found = solve(weights, starts, seed, tell=tell)
    mean = sum(found.cuts) / len(found.cuts)
    if as_json:
        facts: dict[str, Any] = {"vertices": len(weights), "edges_weight": found.total, "cut": found.weight}
        facts |= {"mean": mean, "single": found.single, "bound": found.bound, "exact": found.exact}
        _print(facts | {"side": found.side.int().tolist()})
        return
    edges = int((weights != 0).sum()) // 2
    print(f"graph   {counted(len(weights), 'vertices')}, {counted(edges, 'edges')} of total weight {found.total:g}")
    best = f"{found.weight:g} at best, {mean:.1f} on average over {counted(starts, 'starts')}"
    print(f"cut     {best}; {found.single:.1f} with binary units alone")
    exact = "" if found.exact is None else f"largest cut {found.exact:g}, "
    print(f"versus  {exact}upper bound {found.bound:.1f}, random cut {found.half:g}")


def _some(states: Any, most: int = 8) -> list[int]:
    """Which states to show: the first, the last, and up to six between that differ from the one before."""
    import numpy as np

    changed = [k for k in range(1, len(states)) if not np.allclose(states[k], states[k - 1], atol=1e-3)]
    if len(changed) > most - 1:
        changed = [changed[round(i)] for i in np.linspace(0, len(changed) - 1, most - 1)]
    return [0, *changed] if changed else [0, len(states) - 1]


def _print(facts: Any) -> None:
    from json import dumps

    print(dumps(facts))
