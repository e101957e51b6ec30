"""Prefix beam search, against sums over all paths."""

import itertools
import math

import numpy as np
import pytest
import torch

import unrolled
from unrolled.models.ctc_search import ctc_search
from unrolled.models.heads import CTC
from unrolled.models.language import SymbolLanguage


def collapsed(path):
    """The labels of a path: repeats merged, blanks removed."""
    return tuple(k for k, _ in itertools.groupby(path) if k != 0)


def every_sequence(logs):
    """log p of every label sequence, as the sum over its paths."""
    found = {}
    T, V = logs.shape
    for path in itertools.product(range(V), repeat=T):
        p = math.exp(sum(logs[t, k] for t, k in enumerate(path)))
        found[collapsed(path)] = found.get(collapsed(path), 0.0) + p
    return {labels: math.log(p) for labels, p in found.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("T", "V"), [(1, 2), (4, 3), (5, 3), (3, 4)])
def test_a_wide_search_has_every_sequence_with_its_probability(seed, T, V):
    outputs = 2 * torch.randn(T, V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    exact = every_sequence(torch.log_softmax(outputs, 1).numpy())
    found = ctc_search(outputs, width=10_000)
    assert {one.symbols for one in found} == set(exact)
    for one in found:
        assert one.log_probability == pytest.approx(exact[one.symbols], abs=1e-9)
    values = [one.log_probability for one in found]
    assert values == sorted(values, reverse=True)


class Pairs:
    """A language of pairs: log p(label | the one before); its state is the one before."""

    def __init__(self, V, seed):
        self.table = np.log(np.random.default_rng(seed).dirichlet(np.ones(V), V))

    def begin(self):
        return 0, self.table[0]

    def step(self, states, labels):
        return list(labels), self.table[labels]

    def of(self, labels):
        return sum(self.table[a, b] for a, b in itertools.pairwise((0, *labels)))


@pytest.mark.parametrize("seed", range(4))
def test_a_language_model_and_a_bonus_add_what_the_equation_says(seed):
    outputs = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    exact = every_sequence(torch.log_softmax(outputs, 1).numpy())
    language = Pairs(3, seed)
    found = ctc_search(outputs, width=10_000, language=language, weight=0.7, bonus=0.3)
    assert len(found) == len(exact)
    for one in found:
        expected = exact[one.symbols] + 0.7 * language.of(one.symbols) + 0.3 * len(one.symbols)
        assert one.log_probability == pytest.approx(expected, abs=1e-9)


def test_a_narrow_search_is_no_better_than_the_truth_and_finds_what_is_clear():
    torch.manual_seed(0)
    head, labels = CTC(3, 5), (1, 1, 4, 2)
    path = [0, 1, 0, 1, 1, 4, 0, 2, 2, 0]
    outputs = 6 * torch.nn.functional.one_hot(torch.tensor(path), 5).double()
    best = ctc_search(outputs, width=3)[0]
    exact = head.double().log_prob(outputs[:, None], torch.tensor(labels)[:, None]).item()
    assert best.symbols == labels and exact - 0.05 < best.log_probability <= exact + 1e-9


def test_a_model_of_symbols_is_a_language():
    torch.manual_seed(1)
    model = unrolled.Model(unrolled.OneHot(5), unrolled.Stack([unrolled.GRUCell(5, 4)]), unrolled.Softmax(4, 5))
    symbols = [None, 2, 4, None]
    language = SymbolLanguage(model, symbols, [3], unknown=-9.0)
    state, first = language.begin()
    states, after = language.step([state, state], [2, 1])
    states, last = language.step(states[:1], [1])
    scores, _ = model(torch.tensor([[3], [4], [2]]))
    expected = torch.log_softmax(scores[:, 0].double(), 1).detach().numpy()
    for found, logs in zip((first, after[0], last[0]), expected, strict=True):
        assert found == pytest.approx([-9.0, logs[2], logs[4], -9.0], abs=1e-5)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="width"):
        ctc_search(torch.zeros(2, 3), width=0)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        ctc_search(torch.zeros(2))
    with pytest.raises(unrolled.errors.RunError, match="not finite"):
        ctc_search(torch.full((2, 3), float("nan")))
