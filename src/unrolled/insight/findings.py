"""Everything that a report says about a model and one sequence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np
import torch

from unrolled.insight.errors import Cause, Losses, by_cause, losses, needs_memory
from unrolled.insight.exponents import Lyapunov, lyapunov
from unrolled.insight.gates import Named, gates, state_names
from unrolled.insight.gradient import Advise, GradientThroughTime, gradient_through_time
from unrolled.insight.names import layer_of, own_name
from unrolled.insight.saturation import Saturation, saturation
from unrolled.insight.units import Unit, units
from unrolled.layers.directions import read_ahead, recurrent_layers
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.wording import counted

CONTEXTS = (1, 2, 5, 10, 20, 50)
"""Lengths of a short past, to see what the long one is good for."""
REMEMBERED = 20
"""What is told only by a past longer than this needs long memory."""
BY_CHANCE = 0.05
"""So often, at most, does chance give a report any unit that is said to follow something."""
EXPLAINED = 0.1
"""The least share of a unit's variance, r squared, that its feature explains: with less nobody would see it there."""
LAGS, FEWEST_LAGS = 200, 20
"""Steps over which the gradient of one loss is followed back, and the fewest that tell anything."""
DRIVEN = 500
"""Steps of the text over which the Lyapunov exponent is measured."""
TRACED = 200_000
"""Values of units over the text that are kept, so that a page of them stays small."""

Causes = Callable[[np.ndarray | None], Mapping[str, np.ndarray]]
"""Where each cause of errors holds, (T-1,), in order; it is told where a long past is needed, if that is known."""


@dataclass(frozen=True)
class Trace:
    """One unit over the text: ``follows`` says what it is known to follow."""

    name: str
    unit: int
    values: np.ndarray
    follows: str = ""


@dataclass(frozen=True)
class Findings:
    """What was found; parts that could not be are empty, and ``notes`` say why.

    Fields:
        symbols: the text, as a person is to see it (T,).
        names: the symbol of each number that the model may expect; the empty one is the unknown.
        unknown: which of them the model does not know (T,).
        saturation: of every gate and state.
        means: the mean over the units of each gate at each step (T,), by name.
        followers: the best units for each feature, best first; those that chance explains, too.
        traces: units over the text.
        gradient: of the loss of one step, the text cut into sequences that end with it; None for too short a text.
        exponent: the largest Lyapunov exponent while reading.
        losses, causes: of each symbol but the first; None where there are none.
    """

    symbols: list[str]
    names: Sequence[str]
    unknown: np.ndarray
    saturation: list[Saturation] = field(default_factory=list)
    means: dict[str, np.ndarray] = field(default_factory=dict)
    followers: list[Unit] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    gradient: GradientThroughTime | None = None
    exponent: Lyapunov | None = None
    losses: Losses | None = None
    causes: list[Cause] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def following(self) -> list[Unit]:
        """Units whose correlation is large, and is not explained by chance."""
        return _following(self.followers)

    @property
    def gates(self) -> list[Saturation]:
        """Of the gates alone."""
        return [s for s in self.saturation if s.kind == "gate"]


def examine(
    model: Model,
    inputs: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str] = (),
    unknown: np.ndarray | None = None,
    features: Mapping[str, np.ndarray] | None = None,
    causes: Causes | None = None,
    advise: Advise | None = None,
    nats: np.ndarray | None = None,
) -> Findings:
    """Look at a model while it reads one sequence from the zero state.

    Arguments:
        model: of any task. How far back a loss is felt, and what it is with a short past, are looked at in a language
            model: symbols in, scores of the next symbol out.
        inputs: the sequence, (T,) whole numbers or (T, width) numbers.
        labels: what a person is to see of each step.
        names: the same for each number that a language model may expect (V,); none for any other model.
        unknown: which steps the model does not know (T,); None for none of them.
        features: what to look for in units, each (T,).
        causes: of errors; see `Causes`.
        advise: what to try against a gradient that vanishes or explodes; see `GradientThroughTime.advised`.
        nats: the loss of each step but the first (T-1,), of a model that is no language model.

    Cost:
        the cell's equation at each step, and a pass of the layers over about 90 times the sequence.

    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 8)])
    >>> model = unrolled.Model(unrolled.OneHot(4), stack, unrolled.Softmax(8, 4))
    >>> found = examine(model, np.arange(40) % 4, "abcd" * 10, "abcd", np.zeros(40, dtype=bool), {})
    >>> [s.name for s in found.gates], found.losses.loss.shape
    (['1.r', '1.z'], (39,))
    """
    T = len(inputs)
    unknown = np.zeros(T, dtype=bool) if unknown is None else unknown
    notes: list[str] = []
    if T < 2:
        few = "no steps" if T == 0 else "one step"
        notes.append(f"The sequence has {few}; a report needs at least two.")
        return Findings(list(labels), names, unknown, notes=notes)
    inputs = inputs.astype(np.int64) if inputs.dtype.kind in "iu" else inputs
    named = _named(model, inputs, notes)
    states = [key for key in state_names(model) if key in named]
    saturated = saturation(named, states)
    followers = _followers(named, states, features or {}, notes)
    lost = losses(model, inputs, contexts=CONTEXTS) if names else _given(nats, T)
    divided: list[Cause] = []
    if lost is not None and not np.isfinite(lost.loss).all():
        notes.append("The model's scores are not finite. Its weights are damaged, so no errors are shown.")
    elif lost is not None and causes is not None:
        divided = by_cause(lost.loss, causes(needs_memory(lost, REMEMBERED) if REMEMBERED in lost.short else None))
    gradient = _gradient(model, inputs, notes) if names else None
    return Findings(
        symbols=list(labels),
        names=names,
        unknown=unknown,
        saturation=saturated,
        means={s.name: named[s.name][:, 0].mean(axis=1) for s in saturated if s.kind == "gate"},
        followers=followers,
        traces=_traces(named, states, _following(followers)),
        gradient=gradient.advised(advise) if gradient is not None and advise is not None else gradient,
        exponent=_exponent(model, inputs, notes),
        losses=lost,
        causes=divided,
        notes=notes,
    )


def _given(nats: np.ndarray | None, T: int) -> Losses | None:
    """The losses that are known already, without what the model expected; ValueError where they are not T - 1."""
    if nats is None:
        return None
    if np.shape(nats) != (T - 1,):
        raise ValueError(f"examine: nats has shape {np.shape(nats)}, expected {(T - 1,)}: each step but the first")
    none = np.zeros((T - 1, 0))
    return Losses(np.asarray(nats, dtype=np.float64), none.astype(np.int64), none, {})


def _named(model: Model, inputs: np.ndarray, notes: list[str]) -> Named:
    """What the equations name, as far as it can be read: a cell of one's own may do anything."""
    device = device_of(model)
    try:
        named = gates(model, torch.from_numpy(inputs).to(device)[:, None])
    except Exception as error:
        notes.append(f"Gates and states could not be read: {type(error).__name__}: {error}")
        return {}
    finite = {key: values for key, values in named.items() if np.isfinite(values).all()}
    for name in (name for name in named if name not in finite):
        where = f"{own_name(name)} of layer {layer_of(name)}"
        notes.append(f"{where} is left out: it is not finite everywhere on this sequence.")
    return {key: _held(model, key, values, len(inputs)) for key, values in finite.items()}


def _held(model: Model, name: str, values: np.ndarray, T: int) -> np.ndarray:
    """Values of T steps: where a layer below makes one step of several, each value stands for all of these."""
    if len(values) == T or not len(values):
        return values
    ends = torch.arange(1, T + 1)  # the steps so far
    own = recurrent_layers(model.stack.layers)[int(layer_of(name).split()[0]) - 1]
    for below in takewhile(lambda layer: layer is not own, model.stack.layers):
        ends = below.output_lengths(ends)
    return values[(ends - 1).clamp(0, len(values) - 1).numpy()]


def _gradient(model: Model, numbers: np.ndarray, notes: list[str]) -> GradientThroughTime | None:
    """How far back one loss is felt: the text as sequences side by side, each with the loss of its last step."""
    steps = min(LAGS, len(numbers) // 4)
    if steps < FEWEST_LAGS:
        length = counted(len(numbers), "steps")
        notes.append(f"The sequence is too short to measure gradients through time: it has {length}.")
        return None
    side_by_side = len(numbers) // (steps + 1)
    cut = np.asarray(numbers[-side_by_side * (steps + 1) :], dtype=np.int64).reshape(side_by_side, steps + 1)
    sequences = torch.from_numpy(cut.T.copy())
    try:
        return gradient_through_time(model, sequences[:-1], sequences[-1])
    except Exception as error:  # as above
        notes.append(f"The gradient through time could not be measured: {type(error).__name__}: {error}")
        return None


def _exponent(model: Model, inputs: np.ndarray, notes: list[str]) -> Lyapunov | None:
    """How fast the network forgets a small difference while it reads."""
    if len(inputs) < 2 * FEWEST_LAGS:
        return None
    layers = model.stack.layers
    if read_ahead(layers):
        notes.append("No Lyapunov exponent was computed: it is not defined for a network that reads backward, too.")
        return None
    if not all(layer.keeps_steps for layer in layers):
        notes.append("No Lyapunov exponent was computed: not all layers of the network have the same steps.")
        return None
    stream = torch.from_numpy(inputs[:DRIVEN])[:, None]
    try:
        return lyapunov(model, stream, count=1)
    except Exception as error:  # as above
        notes.append(f"The Lyapunov exponent could not be measured: {type(error).__name__}: {error}")
        return None


def _followers(named: Named, states: list[str], features: Mapping[str, np.ndarray], notes: list[str]) -> list[Unit]:
    looked_at = {key: named[key] for key in states}
    if not looked_at or not features:
        return []
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            followers = units(looked_at, features, each=3)
    except ValueError as error:
        notes.append(f"Units could not be compared with the sequence: {error}.")
        return []
    notes += [f"{one.message}." for one in warned]
    return followers


def _following(units: list[Unit]) -> list[Unit]:
    return [u for u in units if u.p <= BY_CHANCE and u.correlation**2 >= EXPLAINED]


def _traces(named: Named, states: list[str], following: list[Unit]) -> list[Trace]:
    """The units that follow something, then those that move most, as many as there is room for."""
    if not states:
        return []
    T = len(named[states[0]])
    room = max(1, TRACED // T)
    keys: dict[tuple[str, int], str] = {}
    for u in following:
        keys.setdefault((u.name, u.unit), f"{u.feature}, r = {u.correlation:+.2f}")
    moves = [(float(s), name, k) for name in states for k, s in enumerate(named[name][:, 0].std(0))]
    for _, name, k in sorted(moves, key=lambda move: -move[0])[:room]:
        keys.setdefault((name, k), "")
    chosen = list(keys.items())[:room]
    return [Trace(name, k, named[name][:, 0, k], follows) for (name, k), follows in chosen]
