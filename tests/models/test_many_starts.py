"""Decoding from many starts at once gives what decoding from each of them gives."""

import pytest
import torch

import unrolled
from unrolled.cells.attention import Attention
from unrolled.models import InitialState, Model, beam_searches, samples

V, H, N = 5, 6, 4


def model(graph="many-to-many"):
    torch.manual_seed(1)
    stack = unrolled.Stack([Attention(unrolled.GRUCell(V + 2, H), 2)])
    feedback = {"feedback": unrolled.OneHot(V)} if graph == "one-to-many" else {}
    encoder = unrolled.Linear(3, V) if feedback else unrolled.OneHot(V)
    made = Model(encoder, stack, unrolled.Softmax(H, V), graph=graph, **feedback).double()
    torch.nn.init.normal_(made.head.map.weight)
    return made


def given(made):
    """Starts, states and constants that differ, and those of one of them."""
    torch.manual_seed(2)
    state = InitialState(3, made.stack).double()(torch.randn(N, 3).double())
    grid = torch.randn(N, 7, 2).double()
    one_to_many = made.graph == "one-to-many"
    start = torch.randn(N, 3).double() if one_to_many else torch.tensor([[0, 1, 2, 0], [1, 1, 3, 4]])

    def of(n):
        one = start[n : n + 1] if one_to_many else start[:, n : n + 1]
        return one, {"state": tuple((s[0][n : n + 1],) for s in state), "constants": {"grid": grid[n : n + 1]}}

    return (start, {"state": state, "constants": {"grid": grid}}), of


@pytest.mark.parametrize("graph", ["many-to-many", "one-to-many"])
@pytest.mark.parametrize(("width", "penalty"), [(1, 0.0), (3, 0.7), (9, 2.0)])
def test_many_searches_are_those_of_each(graph, width, penalty):
    made = model(graph)
    (start, several), of = given(made)
    options = {"width": width, "stop": 0, "exclude": (2,), "length_penalty": penalty}
    found = beam_searches(made, start, 8, **options, **several)
    assert len(found) == N
    assert len({tuple(h.symbols for h in one) for one in found}) > 1
    for n in range(N):
        own, more = of(n)
        expected = unrolled.beam_search(made, own, 8, **options, **more)
        assert [h.symbols for h in found[n]] == [h.symbols for h in expected]
        for a, b in zip(found[n], expected, strict=True):
            assert a.log_probability == pytest.approx(b.log_probability)


@pytest.mark.parametrize("graph", ["many-to-many", "one-to-many"])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_many_samples_are_those_of_each(graph, temperature):
    """Sequence 0 has the numbers of `sample`; the others their own, so that only greedy ones can be compared."""
    made = model(graph)
    (start, several), of = given(made)
    found = samples(made, start, 12, stop=0, temperature=temperature, exclude=(2,), **several)
    for n in range(1 if temperature else N):
        own, more = of(n)
        expected = list(unrolled.sample(made, own, 12, temperature=temperature, exclude=(2,), **more))
        until = expected.index(0) + 1 if 0 in expected else 12
        assert list(found[n]) == expected[:until]
    assert all(0 not in one[:-1] and 2 not in one for one in found)
    assert samples(made, start, 12, stop=0, temperature=temperature, exclude=(2,), **several) == found


def test_sequences_do_not_depend_on_how_many_there_are():
    made = model()
    (start, several), of = given(made)
    own, more = of(0)
    assert samples(made, own, 9, stop=0, **more)[0] == samples(made, start, 9, stop=0, **several)[0]


@pytest.mark.parametrize("decode", [samples, beam_searches])
def test_what_is_no_model(decode):
    with pytest.raises(TypeError, match=f"{decode.__name__}: model must be an unrolled.Model"):
        decode(torch.nn.Linear(2, 2), torch.tensor([[0, 1]]), 3)
    gaussian = Model(unrolled.OneHot(V), unrolled.Stack([unrolled.GRUCell(V, 3)]), unrolled.models.Gaussian(3, 1))
    with pytest.raises(TypeError, match=f"{decode.__name__}: the model's head must give scores of symbols"):
        decode(gaussian, torch.tensor([[0, 1]]), 3)
