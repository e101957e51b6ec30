"""Decoding: from outputs to symbols or numbers, by sampling, once for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import kind, whole
from unrolled.engine.stream import Choice
from unrolled.layers import modes
from unrolled.layers.constants import Constants, rows_of
from unrolled.layers.state import select
from unrolled.models import streaming
from unrolled.models.chooser import Chooser, check_temperature
from unrolled.models.device import device_of
from unrolled.models.heads import Head, Target
from unrolled.models.initial_state import InitialState
from unrolled.models.model import Model
from unrolled.models.philox import Philox, Rows


def sample(
    model: Model,
    start: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 1,
    exclude: Sequence[int] = (),
    state: Any = None,
    constants: Constants = (),
) -> Iterator[int]:
    """Symbols one at a time, each fed back as the next input.

    Equation::

        y_t = model(symbol_{t-1})        symbol_t ~ softmax(y_t / temperature)

    Arguments:
        model: many-to-many, or one-to-many with feedback; head `Softmax`.
        start: what precedes: symbols (T, 1), or one input (1, ...) for one-to-many.
        length: how many symbols.
        temperature, top_k, top_p, exclude: see `Chooser`.
        seed: the same seed gives the same symbols (Philox, one number a symbol).
        state: before ``start``, as `Stack` takes it: of an `InitialState` or an `EncoderDecoder`, for example.
        constants: of the layers, as `Stack` takes them.

    Yields:
        Symbols, as whole numbers.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(list(sample(model, torch.tensor([[0]]), 10)))
    10
    """
    check_model("sample", model)
    check_symbols("sample", model)
    choose = Chooser(temperature, top_k, top_p, tuple(exclude))
    return _symbols(model, start, length, choose, seed, state, constants)


def check_model(who: str, model: object) -> None:
    """TypeError for anything but a `Model`."""
    if not isinstance(model, Model):
        came = model if isinstance(model, type) else type(model)
        raise TypeError(
            f"{who}: model must be an unrolled.Model, got {came.__name__}; for a run, pass unrolled.load(RUN).model"
        )


def check_symbols(who: str, model: Model) -> None:
    """TypeError for a head whose outputs are known not to be scores of the next symbol."""
    head = model.head
    other = isinstance(head, Head) and (head.target != Target("integers") or not head.aligned)
    if head is None or isinstance(head, InitialState) or other:
        raise TypeError(f"{who}: the model's head must give scores of symbols, as Softmax does, got {kind(head)}")


def _symbols(
    model: Model, start: Tensor, length: int, choose: Chooser, seed: int, state: Any, constants: Constants
) -> Iterator[int]:
    numbers = Philox(seed)
    device_of(model)  # one without numbers is refused
    with evaluating(model):
        scores, state = model.begin(start, state, constants)
        fast = streaming.stream(model, state, Choice(*choose.settings, seed, position=1))
    if fast is not None and length > 0:
        first = choose(scores[0].numpy(force=True), numbers.uniform())
        yield first
        yield from streaming.symbols(fast, first, length - 1)
        return
    for k in range(length):
        symbol = choose(scores[0].numpy(force=True), numbers.uniform())
        yield symbol
        if k + 1 < length:
            with evaluating(model):
                scores, state = model.step(torch.tensor([symbol], device=start.device), state, constants)


def paths(
    model: Model,
    start: Tensor,
    length: int,
    *,
    count: int | None = None,
    temperature: float = 1.0,
    seed: int = 1,
    feed: Callable[[Tensor], Tensor] | None = None,
    state: Any = None,
    constants: Constants = (),
) -> Tensor:
    """Random continuations, all at once, for any head: each draw is fed back as its path's next input.

    Equation::

        y_t = model(d_{t-1})        d_t ~ p(. | y_t)

    Path n draws from its own random numbers, sequence n of the seed (`philox.Rows`), so that it does not depend
    on how many other paths there are, up to the rounding of matrix products of different sizes. With `Softmax`,
    path 0 has the symbols of `sample`.

    Arguments:
        model: many-to-many, or one-to-many with feedback; its head is a `Head` whose draws its encoder takes.
        start: what precedes: inputs (T, N, ...), or (N, ...) for one-to-many; one path for each of the N.
        length: how many steps.
        count: so many paths from each start, which is read once; those of the first start come first.
        temperature: see the head.
        seed: the same seed gives the same paths.
        feed: what the model reads next (N, ...), given all draws so far (k, N, ...), for models whose inputs are
            more than the last draw, such as one with the time of day; None for the last draw itself.
        state, constants: as in `sample`, for each of the N starts.

    Returns:
        The draws as they are fed back, (length, N, ...), with N * count for N where there is a count; see
        `Head.feedback`.

    Raises:
        ValueError: a head whose draws cannot be fed back, or arguments out of range. TypeError: a model or a
            head of another kind. RunError: outputs that are not finite.

    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 8)])
    >>> model = unrolled.Model(unrolled.Linear(2, 4), stack, unrolled.models.Gaussian(8, 2))
    >>> paths(model, torch.zeros(3, 1, 2), 10, count=100).shape
    torch.Size([10, 100, 2])
    """
    check_model("paths", model)
    head = model.head
    if not isinstance(head, Head):
        raise TypeError(f"paths: the model's head must be an unrolled.models.Head, got {kind(head)}")
    if not head.aligned:
        head.feedback(None)  # it says why not
    length = whole("paths", "length", length)
    count = None if count is None else whole("paths", "count", count)
    check_temperature(temperature)
    device_of(model)  # one without numbers is refused
    made = []
    with evaluating(model):
        outputs, state = model.begin(start, state, constants)
        if count is not None:
            rows = torch.arange(len(outputs), device=outputs.device).repeat_interleave(count)
            outputs, state, constants = outputs[rows], select(state, rows), rows_of(constants, rows)
        numbers = Rows(seed, len(outputs))
        for k in range(length):
            made.append(head.feedback(head.sample(outputs, numbers, temperature)))
            if k + 1 < length:
                following = made[-1] if feed is None else feed(torch.stack(made))
                outputs, state = model.step(following, state, constants)
    return torch.stack(made)


def samples(
    model: Model,
    start: Tensor,
    length: int,
    *,
    stop: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 1,
    first: int = 0,
    exclude: Sequence[int] = (),
    state: Any = None,
    constants: Constants = (),
) -> list[tuple[int, ...]]:
    """Symbols for many starts at once, each sequence up to its own ``stop``.

    Sequence n draws from its own random numbers, as in `paths`; sequence 0 has the symbols of `sample`.

    Arguments:
        model, temperature, top_k, top_p, exclude, state, constants: as in `sample`, for each of the N starts.
        start: what precedes: symbols (T, N), or one input each (N, ...) for one-to-many.
        length: the longest sequence, ``stop`` included.
        stop: the symbol that ends a sequence.
        seed: the same seed gives the same symbols.
        first: the random numbers are those of sequences ``first`` and on, for starts that are read some at a time.

    Returns:
        One sequence for each start, with its ``stop`` if it came to one.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(samples(model, torch.tensor([[0, 1, 2]]), 5, stop=0))
    3
    """
    check_model("samples", model)
    check_symbols("samples", model)
    length = whole("samples", "length", length)
    choose = Chooser(temperature, top_k, top_p, tuple(exclude))
    device = device_of(model)  # one without numbers is refused
    made: list[list[int]] = []
    with evaluating(model):
        scores, state = model.begin(start, state, constants)
        numbers = Rows(seed, len(scores), first)
        made, going = [[] for _ in scores], torch.ones(len(scores), dtype=torch.bool)
        for k in range(length):
            chosen = choose.each(scores.numpy(force=True), numbers.uniforms((len(scores),)).numpy())
            for n in going.nonzero()[:, 0].tolist():
                made[n].append(int(chosen[n]))
                going[n] = bool(chosen[n] != stop)
            if not going.any() or k + 1 == length:
                break
            scores, state = model.step(torch.from_numpy(chosen).to(device), state, constants)
    return [tuple(symbols) for symbols in made]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradient and no dropout inside; the modes are as before afterwards."""
    with torch.no_grad(), modes.evaluating(model) if model.training else nullcontext():
        yield
