"""Sampling in one loop of the engine: the same symbols as step by step, for every cell and setting."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from helpers import ALL_CELLS, cells, engine_on
from unrolled.engine import native
from unrolled.engine.stream import Choice, Pace
from unrolled.errors import RunError
from unrolled.models import decode, streaming

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")
V, H = 11, 7
START = torch.tensor([[1], [4], [2]])


def model_of(*made: unrolled.Cell, encoder=None) -> unrolled.Model:
    torch.manual_seed(3)
    encoder = encoder or unrolled.Embedding(V, made[0].input_size)
    model = unrolled.Model(encoder, unrolled.Stack(list(made)), unrolled.Softmax(made[-1].output_size, V))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return model.double()


def both_ways(monkeypatch, model, start=START, length=60, **options):
    """The symbols of the engine's loop, and those made step by step."""
    opened = []
    real = streaming.stream
    monkeypatch.setattr(streaming, "stream", lambda *a: opened.append(real(*a)) or opened[-1])
    fast = list(unrolled.sample(model, start, length, **options))
    assert opened[-1] is not None, "the engine's loop was not used"
    monkeypatch.setattr(streaming, "stream", lambda *a: None)
    slow = list(unrolled.sample(model, start, length, **options))
    monkeypatch.setattr(streaming, "stream", real)
    return fast, slow


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ALL_CELLS)
def test_every_cell(monkeypatch, name, threads):
    with engine_on(threads):
        fast, slow = both_ways(monkeypatch, model_of(cells(5, H)[name], cells(H, H)[name]), seed=9)
    assert fast == slow
    assert len(set(fast)) > 2


@pytest.mark.parametrize("slower", [1, 2])
def test_the_faster_number_of_threads_is_found_and_the_other_tried_again(monkeypatch, slower):
    """By a clock on which one of them takes twice as long."""
    monkeypatch.setattr("unrolled.engine.stream._AGAIN", 100)
    pace, used = Pace(2), {1: 0, 2: 0}
    for count in (1, 2, 4, 8, 16, *[64] * 40):
        while count:
            threads, some = pace.next(count)
            assert 1 <= some <= count
            pace.note(threads, some, some * (2e-6 if threads == slower else 1e-6))
            used[threads] += some
            count -= some
    total = sum(used.values())
    assert 0 < used[slower] < 0.15 * total and total == 31 + 40 * 64
    slower = 3 - slower  # the machine has changed
    before = dict(used)
    for _ in range(40):
        threads, some = pace.next(64)
        pace.note(threads, some, some * (2e-6 if threads == slower else 1e-6))
        used[threads] += some
    assert used[3 - slower] - before[3 - slower] > used[slower] - before[slower]
    assert Pace(1).next(8) == (1, 8)


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole", "two-widths"])
def test_without_a_table_of_what_each_symbol_becomes(monkeypatch, name):
    """A vocabulary for which the table would be too large: the first layer multiplies at each symbol."""
    monkeypatch.setattr("unrolled.engine.stream._TABLE_BYTES", 0)
    fast, slow = both_ways(monkeypatch, model_of(cells(5, H)[name], cells(H, H)[name]), seed=2)
    assert fast == slow


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0.3},
        {"temperature": 3.0},
        {"top_k": 1},
        {"top_k": 3},
        {"top_k": 1000},
        {"top_p": 0.4},
        {"top_p": 1.0},
        {"top_k": 5, "top_p": 0.7, "temperature": 1.5},
        {"exclude": (0, 3, 9)},
        {"exclude": (2,), "top_p": 0.5},
        {"seed": 2**64 + 5},
        {"seed": -3},
    ],
)
def test_every_setting(monkeypatch, options):
    fast, slow = both_ways(monkeypatch, model_of(unrolled.LSTMCell(5, H)), length=120, **options)
    assert fast == slow
    assert not set(fast) & set(options.get("exclude", ()))


def test_one_hot_float_and_layers_of_different_widths(monkeypatch):
    model = model_of(unrolled.GRUCell(V, 33), unrolled.ElmanCell(33, 4), encoder=unrolled.OneHot(V)).float()
    fast, slow = both_ways(monkeypatch, model)
    assert fast == slow


def test_one_to_many_with_feedback(monkeypatch):
    stack = unrolled.Stack([unrolled.LSTMCell(6, H)])
    model = unrolled.Model(
        unrolled.Linear(3, 6), stack, unrolled.Softmax(H, V), "one-to-many", feedback=unrolled.Embedding(V, 6)
    )
    fast, slow = both_ways(monkeypatch, model, start=torch.randn(1, 3))
    assert fast == slow


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 40))
def test_the_random_numbers_are_those_of_numpy(seed, position):
    """All scores alike: symbol k is where the number k falls."""
    with torch.no_grad():
        model = model_of(unrolled.ElmanCell(5, 3))
        for p in model.head.parameters():
            p.zero_()
        _, state = model.begin(START)
        loop = streaming.stream(model, state, Choice(1.0, None, None, (), seed, position))
    numbers = decode.Philox(seed, position)
    choose = decode.Chooser()
    assert loop.take(1, 9) == [choose(np.zeros(V), numbers.uniform()) for _ in range(9)]


def test_symbols_come_while_they_are_made(monkeypatch):
    sizes = []
    real = streaming.Stream.take
    monkeypatch.setattr(streaming.Stream, "take", lambda s, last, n: sizes.append(n) or real(s, last, n))
    some = list(itertools.islice(unrolled.sample(model_of(unrolled.LSTMCell(5, H)), START, 10**9), 5))
    assert len(some) == 5 and sizes == [1, 2, 4]
    assert list(unrolled.sample(model_of(unrolled.LSTMCell(5, H)), START, 0)) == []


def test_weights_that_are_not_finite_are_refused():
    model = model_of(unrolled.LSTMCell(5, H))
    made = unrolled.sample(model, START, 50)
    next(made)
    with torch.no_grad():
        model.head.map.weight.fill_(float("nan"))
    with pytest.raises(RunError, match="not finite"):
        list(unrolled.sample(model, START, 50))


def test_what_has_no_loop_is_sampled_step_by_step():
    model = model_of(unrolled.LSTMCell(5, H))
    choice = Choice(1.0, None, None, (), 1, 1)
    state = model.begin(START)[1]
    assert streaming.stream(model, state, choice) is not None
    model.stack.layers[0].backend = "eager"
    assert streaming.stream(model, state, choice) is None
    model.stack.layers[0].backend = "auto"
    model.stack.register_forward_hook(lambda *a: None)
    assert streaming.stream(model, state, choice) is None
