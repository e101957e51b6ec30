"""Sampling, beam search, and the counted random numbers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import models
from unrolled.errors import RunError
from unrolled.models import Chooser, Model, OneHot, Softmax
from unrolled.models.philox import Philox, Rows

V = 4


def model(seed=0):
    torch.manual_seed(seed)
    made = Model(OneHot(V), unrolled.Stack([unrolled.GRUCell(V, 6)]), Softmax(6, V))
    torch.nn.init.normal_(made.head.map.weight)
    return made


def philox_block(key, counter):
    """Philox 4x64-10 from the paper's definition."""
    m0, m1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157
    w0, w1, mask = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B, 2**64 - 1
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = m0 * c[0], m1 * c[2]
        c = [(p1 >> 64) ^ c[1] ^ k[0], p1 & mask, (p0 >> 64) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + w0) & mask, (k[1] + w1) & mask]
    return c


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), position=st.integers(0, 10_000), sequence=st.integers(0, 2**64 - 1))
def test_philox_is_the_cipher_of_its_counter(seed, position, sequence):
    for k in (0, sequence):
        block = philox_block((seed, k), (position // 4 + 1, 0, 0, 0))
        assert Philox(seed, position, k).uniform() == (block[position % 4] >> 11) * 2.0**-53


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    position=st.integers(0, 9),
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=4),
)
def test_many_numbers_at_once_are_those_one_by_one(seed, position, shapes):
    one, many = Philox(seed, position), Philox(seed, position)
    for shape in shapes:
        made = many.uniforms(shape)
        assert made.shape == tuple(shape) and made.dtype == torch.float64
        assert made.flatten().tolist() == [one.uniform() for _ in range(made.numel())]
        assert one.position == many.position
        assert one.uniform() == many.uniform()


def test_rows_have_their_own_numbers():
    rows, single = Rows(5, 3), [Philox(5, sequence=k) for k in range(3)]
    for shape in ((3,), (3, 2, 2), (3, 0), (3, 1)):
        made = rows.uniforms(shape)
        assert torch.equal(made, torch.stack([numbers.uniforms(shape[1:]) for numbers in single]))
    assert Rows(5, 0).uniforms((0, 4)).shape == (0, 4)
    with pytest.raises(ValueError, match=r"shape is \(2, 3\), expected \(N, ...\) with N = 3"):
        rows.uniforms((2, 3))


def test_philox_known_answer():
    """From the reference implementation's test vectors: counter 0, key 0."""
    assert philox_block((0, 0), (0, 0, 0, 0))[0] == 0x16554D9ECA36314C


def test_philox_goes_on_as_if_it_had_not_stopped():
    numbers = Philox(7)
    first = [numbers.uniform() for _ in range(11)]
    assert [Philox(7, k).uniform() for k in range(11)] == first
    assert all(0 <= u < 1 for u in first)


def test_the_same_seed_gives_the_same_symbols_and_another_seed_others():
    m, start = model(), torch.tensor([[1]])
    one, two, other = (list(unrolled.sample(m, start, 60, seed=s)) for s in (3, 3, 4))
    assert one == two
    assert one != other


def test_samples_have_the_models_probabilities():
    m, start = model(), torch.tensor([[2], [0]])
    p = torch.softmax(m.begin(start)[0][0], 0).detach().numpy()
    firsts = [next(unrolled.sample(m, start, 1, seed=s)) for s in range(3000)]
    counts = np.bincount(firsts, minlength=V)
    sd = np.sqrt(3000 * p * (1 - p))
    assert (abs(counts - 3000 * p) < 4.5 * sd).all()


def test_each_symbol_is_fed_back():
    m = model()
    written = list(unrolled.sample(m, torch.tensor([[1]]), 8, temperature=0))
    symbols = torch.tensor([[1], *([k] for k in written)])
    expected = m(symbols[:-1])[0].argmax(2).flatten().tolist()
    assert written == expected


def test_sampling_leaves_the_models_mode_and_needs_no_gradient():
    m = model()
    m.dropout = 0.5
    m.train()
    one = list(unrolled.sample(m, torch.tensor([[1]]), 20, temperature=0))
    assert m.training
    m.eval()
    assert one == list(unrolled.sample(m, torch.tensor([[1]]), 20, temperature=0))


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.floats(-5, 5), min_size=2, max_size=8),
    u=st.floats(0, 1, exclude_max=True),
    temperature=st.floats(0.1, 3),
    top_k=st.none() | st.integers(1, 9),
    top_p=st.none() | st.floats(0.05, 1),
)
def test_chooser_against_a_plain_definition(scores, u, temperature, top_k, top_p):
    p = np.exp(np.array(scores) / temperature)
    p /= p.sum()
    order = sorted(range(len(p)), key=lambda k: (-scores[k], k))
    kept = order[: top_k or len(order)]
    if top_p is not None:
        total, enough = 0.0, []
        for k in order:
            enough.append(k)
            total += p[k]
            if total >= top_p - 1e-12:
                break
        kept = [k for k in kept if k in enough]
    chosen = Chooser(temperature, top_k, top_p)(np.array(scores), u)
    near_ties = {k for k in range(len(p)) if any(abs(p[k] - p[j]) < 1e-9 for j in kept)}
    assert chosen in set(kept) | near_ties
    if top_k is None and top_p is None:
        total = np.cumsum(p)
        assert total[chosen] >= u - 1e-9
        assert chosen == 0 or total[chosen - 1] <= u + 1e-9


def test_chooser_excludes_and_is_greedy_at_zero():
    scores = np.array([9.0, 1.0, 3.0])
    assert Chooser(temperature=0)(scores, 0.9) == 0
    assert Chooser(temperature=0, exclude=(0,))(scores, 0.9) == 2
    assert all(Chooser(exclude=(0,))(scores, u) != 0 for u in np.linspace(0, 0.999, 50))
    assert Chooser(top_k=1)(scores, 0.999999) == 0


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"temperature": -1}, "temperature must be a number from 0, got -1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 0}, "top_k must be a whole number"),
        ({"top_p": 0}, "top_p must lie in"),
        ({"top_p": 1.1}, "top_p must lie in"),
    ],
)
def test_settings_out_of_range(settings_, message):
    with pytest.raises(ValueError, match=message):
        Chooser(**settings_)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(0, 5),
    seed=st.integers(0, 99),
    temperature=st.sampled_from([0, 0.3, 1.0]),
    top_k=st.none() | st.integers(1, 6),
    top_p=st.none() | st.floats(0.05, 1),
)
def test_choosing_for_many_rows_is_choosing_for_each(rows, seed, temperature, top_k, top_p):
    generator = np.random.default_rng(seed)
    scores, u = generator.normal(size=(rows, 5)).round(1), generator.random(rows)
    choose = Chooser(temperature, top_k, top_p, exclude=(2,))
    before = scores.copy()
    assert choose.each(scores, u).tolist() == [choose(s, v) for s, v in zip(scores, u, strict=True)]
    assert (scores == before).all()


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(unrolled.errors.RunError, match="not finite"):
        Chooser()(np.array([0.0, np.nan]), 0.5)


def exhaustive(m, start, length, stop=None):
    """Every sequence with its log probability, by the model's plain forward pass."""
    found = {}
    for symbols in itertools.product(range(V), repeat=length):
        if stop in symbols:
            symbols = symbols[: symbols.index(stop) + 1]
        inputs = torch.tensor([*start.flatten().tolist(), *symbols])[:, None]
        logs = torch.log_softmax(m(inputs[:-1])[0].detach().double(), 2)[len(start) - 1 :, 0]
        found[symbols] = float(sum(logs[t, k] for t, k in enumerate(symbols)))
    return sorted(found.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("stop", [None, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("penalty", [0, 0.5, 1.0, 2.5, 10])
def test_a_wide_beam_finds_what_exhaustive_search_finds(stop, seed, penalty):
    m, start = model(seed).double(), torch.tensor([[1], [3]])
    best = exhaustive(m, start, 4, stop)
    best.sort(key=lambda item: -item[1] / len(item[0]) ** penalty)
    found = unrolled.beam_search(m, start, 4, width=V**4, stop=stop, length_penalty=penalty)
    assert [h.symbols for h in found[:10]] == [symbols for symbols, _ in best[:10]]
    np.testing.assert_allclose([h.log_probability for h in found[:10]], [p for _, p in best[:10]], rtol=1e-12)


def without_an_early_end(m, start, length, width, stop, penalty):
    """Beam search by its definition, to the full length."""
    complete, beams = [], [((), 0.0)]
    for _ in range(length):
        grown = []
        for symbols, value in beams:
            inputs = torch.tensor([*start.flatten().tolist(), *symbols])[:, None]
            logs = torch.log_softmax(m(inputs)[0][-1, 0].detach(), 0).tolist()
            grown += [((*symbols, k), value + logs[k]) for k in range(V)]
        grown = sorted(grown, key=lambda h: -h[1])[:width]
        complete += [h for h in grown if h[0][-1] == stop]
        beams = [h for h in grown if h[0][-1] != stop]
    return sorted([*complete, *beams], key=lambda h: -h[1] / len(h[0]) ** penalty)[:width]


@pytest.mark.parametrize("penalty", [0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(6))
def test_a_search_that_ends_early_loses_nothing(seed, width, penalty):
    m, start = model(seed).double(), torch.tensor([[seed % V]])
    with torch.no_grad():
        m.head.map.bias[2] += 2.0  # sequences end early, and the penalty brings longer ones forward
    expected = without_an_early_end(m, start, 9, width, 2, penalty)
    found = unrolled.beam_search(m, start, 9, width=width, stop=2, length_penalty=penalty)
    assert [h.symbols for h in found] == [symbols for symbols, _ in expected]


def test_a_search_ends_when_nothing_can_win(monkeypatch):
    m, start = model().double(), torch.tensor([[1]])
    with torch.no_grad():
        m.head.map.bias[2] += 20.0
    steps = []
    real = Model.step
    monkeypatch.setattr(Model, "step", lambda self, *given: steps.append(1) or real(self, *given))
    unrolled.beam_search(m, start, 500, width=1, stop=2)
    assert not steps
    unrolled.beam_search(m, start, 500, width=2, stop=2, length_penalty=0.5)
    assert len(steps) < 30  # each further symbol costs 20 nats, and the full length divides them by 22


def test_the_penalty_prefers_longer_sequences():
    m, start = model(1).double(), torch.tensor([[1]])
    mean = {}
    for penalty in (0.0, 1.0, 4.0):
        found = unrolled.beam_search(m, start, 6, width=40, stop=2, length_penalty=penalty)
        mean[penalty] = np.mean([len(h.symbols) for h in found])
    assert mean[0.0] < mean[1.0] < mean[4.0]


@pytest.mark.parametrize("penalty", [-0.1, 10.5, float("nan"), True, "1", None])
def test_penalties_out_of_range(penalty):
    with pytest.raises(ValueError, match="length_penalty must be a number from 0 to 10"):
        unrolled.beam_search(model(), torch.tensor([[1]]), 3, length_penalty=penalty)


@pytest.mark.parametrize("decode", [unrolled.sample, unrolled.beam_search])
@pytest.mark.parametrize("head", [models.Gaussian(6, 1), models.CTC(6, V), models.SideBySide({"a": Softmax(6, V)})])
def test_heads_that_give_no_scores_of_symbols_are_refused(decode, head):
    m = Model(OneHot(V), unrolled.Stack([unrolled.GRUCell(V, 6)]), head)
    with pytest.raises(TypeError, match=f"{decode.__name__}: the model's head .* got {type(head).__name__}"):
        decode(m, torch.tensor([[1]]), 3)


def test_a_beam_of_one_is_greedy_and_a_wider_one_is_no_worse():
    m, start = model(), torch.tensor([[1]])
    greedy = tuple(unrolled.sample(m, start, 6, temperature=0))
    (one,) = unrolled.beam_search(m, start, 6, width=1)
    assert one.symbols == greedy
    assert unrolled.beam_search(m, start, 6, width=8)[0].log_probability >= one.log_probability - 1e-9


def test_beam_search_excludes():
    found = unrolled.beam_search(model(), torch.tensor([[1]]), 3, width=4, exclude=(0, 1))
    assert all(set(h.symbols) <= {2, 3} for h in found)
    with pytest.raises(ValueError, match="width and length"):
        unrolled.beam_search(model(), torch.tensor([[1]]), 0)


def test_what_cannot_go_on_step_by_step_is_refused():
    both = unrolled.Bidirectional(unrolled.GRUCell(V, 3), unrolled.GRUCell(V, 3))
    with pytest.raises(ValueError, match="layer 0 is Bidirectional, which needs the whole sequence"):
        next(unrolled.sample(Model(OneHot(V), unrolled.Stack([both]), Softmax(6, V)), torch.tensor([[0]]), 3))
    stack = unrolled.Stack([unrolled.GRUCell(V, 3)])
    for graph in ("one-to-many", "many-to-one", "one-to-one"):
        with pytest.raises(ValueError, match=f"{graph} without feedback"):
            unrolled.beam_search(Model(OneHot(V), stack, Softmax(3, V), graph), torch.tensor([0]), 3)


def test_beam_search_keeps_double_precision():
    m, start = model().double(), torch.tensor([[1]])
    (found,) = unrolled.beam_search(m, start, 300, width=1)
    numbers = torch.tensor([1, *found.symbols])[:, None]
    logs = torch.log_softmax(m(numbers[:-1])[0].detach(), 2)
    assert logs.dtype == torch.float64
    assert found.log_probability == pytest.approx(logs.gather(2, numbers[1:, :, None]).sum().item(), rel=1e-12)


def test_decoding_a_one_to_many_graph():
    torch.manual_seed(0)
    m = Model(
        unrolled.Linear(2, 5),
        unrolled.Stack([unrolled.LSTMCell(5, 6)]),
        Softmax(6, V),
        graph="one-to-many",
        feedback=unrolled.Embedding(V, 5),
    )
    image = torch.randn(1, 2)
    written = list(unrolled.sample(m, image, 5, temperature=0))
    scores, _ = m(image, previous=torch.tensor(written[:-1])[:, None])
    assert scores.argmax(2).flatten().tolist() == written


@pytest.mark.parametrize(("exclude", "message"), [((-1,), "got -1"), ((4,), "got 4"), (range(4), "leaves none of")])
def test_what_cannot_be_excluded(exclude, message):
    """A number below 0 would leave out another symbol; without any, one that is excluded would be chosen."""
    with pytest.raises(ValueError, match=f"exclude .*{message}"):
        Chooser(exclude=tuple(exclude))(np.zeros(4), 0.5)
    start = torch.tensor([[1]])
    small = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.GRUCell(4, 3)]), unrolled.Softmax(3, 4))
    for decode in (unrolled.sample, unrolled.beam_search):
        with pytest.raises(ValueError, match=f"exclude .*{message}"):
            list(decode(small, start, 3, exclude=tuple(exclude)))


def test_beam_search_refuses_damaged_weights():
    damaged = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.GRUCell(4, 3)]), unrolled.Softmax(3, 4))
    damaged.head.map.bias.data[1] = torch.nan
    with pytest.raises(RunError, match="scores are not finite"):
        unrolled.beam_search(damaged, torch.tensor([[1]]), 3)
