"""Many random paths at once, for any head."""

import math

import numpy as np
import pytest
import torch

import unrolled
from head_cases import MAKE
from unrolled.errors import RunError
from unrolled.models import (
    CTC,
    Gaussian,
    Model,
    NegativeBinomial,
    OneHot,
    Quantiles,
    Regression,
    SideBySide,
    Softmax,
    paths,
)
from unrolled.models.philox import Rows

H = 4


def model(head, seed=0):
    torch.manual_seed(seed)
    encoder = OneHot(head.output_size) if head.target.width is None else unrolled.Linear(head.target.width, 3)
    cells = [unrolled.LSTMCell(encoder.output_size, 5), unrolled.GRUCell(5, H)]
    made = Model(encoder, unrolled.Stack(cells), head)
    for parameter in made.head.parameters():
        torch.nn.init.normal_(parameter)
    return made.double()


def start_for(head, T, N, seed=1):
    generator = torch.Generator().manual_seed(seed)
    if head.target.width is None:
        return torch.randint(head.output_size, (T, N), generator=generator)
    return torch.rand(T, N, head.target.width, generator=generator, dtype=torch.float64).round()


@pytest.mark.parametrize("temperature", [0, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("seed", [1, 2, 2**63])
def test_one_path_of_softmax_is_what_sample_gives(seed, temperature):
    m = model(Softmax(H, 6))
    start = torch.tensor([[1], [3]])
    expected = list(unrolled.sample(m, start, 80, temperature=temperature, seed=seed))
    found = paths(m, start, 80, temperature=temperature, seed=seed)
    assert found.shape == (80, 1) and found.dtype == torch.int64
    assert found[:, 0].tolist() == expected
    assert paths(m, start, 80, count=5, temperature=temperature, seed=seed)[:, 0].tolist() == expected


@pytest.mark.parametrize("name", MAKE)
def test_a_path_is_the_same_whatever_the_others(name):
    m = model(MAKE[name](2))
    start = start_for(m.head, 3, 6)
    many = paths(m, start, 12, seed=4)
    assert many.shape == m.head.target.shape((12, 6))
    for few in (1, 2, 5):
        torch.testing.assert_close(paths(m, start[:, :few], 12, seed=4), many[:, :few], rtol=1e-9, atol=1e-9)
    repeated = paths(m, start[:, :1], 12, count=6, seed=4)
    same = paths(m, start[:, :1].expand_as(start), 12, seed=4)
    torch.testing.assert_close(repeated, same, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(repeated[:, 0], many[:, 0], rtol=1e-9, atol=1e-9)
    assert not torch.equal(repeated[:, 0], repeated[:, 1]), "two paths have the same numbers"
    assert torch.equal(many, paths(m, start, 12, seed=4))
    assert not torch.equal(many, paths(m, start, 12, seed=5))


@pytest.mark.parametrize("name", MAKE)
def test_each_draw_is_fed_back(name):
    """The whole path, given to the model as its input, has the outputs that its draws came from."""
    m = model(MAKE[name](2))
    start = start_for(m.head, 3, 4)
    made = paths(m, start, 7, seed=2)
    outputs, _ = m(torch.cat([start, made[:-1]]))
    numbers = Rows(2, 4)
    expected = torch.stack([m.head.sample(y, numbers) for y in outputs[2:].detach()])
    torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-9)


def test_paths_have_the_distribution_of_a_linear_process():
    """An identity network is a random walk: after t steps, the variance is t times that of a step."""
    stats = pytest.importorskip("scipy.stats")
    cell = unrolled.ElmanCell(1, 1, nonlinearity="relu")
    m = Model(unrolled.Linear(1, 1), unrolled.Stack([cell]), Regression(1, 1)).double()
    far = 1000.0  # from where relu bends
    with torch.no_grad():
        for p in m.parameters():
            p.zero_()
        for p, value in (
            (m.encoder.map.weight, 1), (m.encoder.map.bias, far), (cell.x.weight, 1),
            (m.head.map.weight, 1), (m.head.map.bias, -far),
        ):  # fmt: skip
            p.fill_(value)
    found = paths(m, torch.zeros(1, 1, 1, dtype=torch.float64), 9, count=20_000)
    for t in (1, 4, 9):
        walk = found[t - 1, :, 0].numpy()
        assert stats.kstest(walk, stats.norm(0, math.sqrt(t)).cdf).pvalue > 1e-6
        assert stats.kstest(walk, stats.norm(0, 1.1 * math.sqrt(t)).cdf).pvalue < 1e-6


def test_paths_of_a_one_to_many_graph():
    torch.manual_seed(0)
    stack = unrolled.Stack([unrolled.LSTMCell(5, H)])
    m = Model(unrolled.Linear(2, 5), stack, Softmax(H, 4), graph="one-to-many", feedback=unrolled.Embedding(4, 5))
    images = torch.randn(3, 2)
    found = paths(m.double(), images.double(), 6, seed=3)
    assert found.shape == (6, 3)
    assert found[:, 0].tolist() == list(unrolled.sample(m, images[:1].double(), 6, seed=3))


class Columns(torch.nn.Module):
    """An encoder of symbols and numbers in one tensor."""

    input_kind, output_size = "numbers", 5

    def __init__(self):
        super().__init__()
        self.symbol, self.numbers = OneHot(3), unrolled.Linear(2, 2)

    def forward(self, v):
        return torch.cat([self.symbol(v[..., 0].long()), self.numbers(v[..., 1:])], -1)


def test_paths_of_several_heads_side_by_side():
    torch.manual_seed(0)
    head = SideBySide({"symbol": Softmax(H, 3), "numbers": Gaussian(H, 2)})
    m = Model(Columns(), unrolled.Stack([unrolled.GRUCell(5, H)]), head).double()
    found = paths(m, torch.zeros(1, 1, 3, dtype=torch.float64), 8, count=4)
    assert found.shape == (8, 4, 3)
    apart = head.split(found)
    assert set(apart["symbol"].flatten().tolist()) <= {0, 1, 2}
    outputs, _ = m(torch.cat([torch.zeros(1, 4, 3, dtype=torch.float64), found[:-1]]))
    assert head.log_prob(outputs, apart).isfinite().all()


def test_temperature_zero_has_one_path():
    for head in (Softmax(H, 5), NegativeBinomial(H, 1), Quantiles(H, (0.1, 0.5, 0.9)), Gaussian(H, 2)):
        found = paths(model(head), start_for(head, 2, 1), 6, count=3, temperature=0)
        torch.testing.assert_close(found, found[:, :1].expand_as(found), rtol=1e-9, atol=1e-9)


def test_the_models_mode_and_the_callers_random_numbers_are_left_alone():
    m = model(Gaussian(H, 1))
    m.dropout = 0.5
    m.train()
    before = torch.random.get_rng_state()
    found = paths(m, torch.zeros(1, 1, 1, dtype=torch.float64), 5, count=2)
    assert m.training and not found.requires_grad
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(found, paths(m.eval(), torch.zeros(1, 1, 1, dtype=torch.float64), 5, count=2))


def test_several_paths_from_each_of_several_starts():
    """Those of a start are what they are from a batch that repeats it."""
    m = model(Gaussian(H, 2))
    start = start_for(m.head, 4, 3)
    found = paths(m, start, 6, count=2, seed=3)
    torch.testing.assert_close(found, paths(m, start.repeat_interleave(2, 1), 6, seed=3), rtol=1e-9, atol=1e-9)


def test_what_the_model_reads_may_be_more_than_the_last_draw():
    """Fed the mean of all draws so far: a plain loop gives the same."""
    m = model(Gaussian(H, 1))
    start = start_for(m.head, 3, 2)
    found = paths(m, start, 5, seed=2, feed=lambda made: made.mean(0))
    made, numbers = [], Rows(2, 2)
    outputs, state = m.eval().begin(start)
    for _ in range(5):
        made.append(m.head.sample(outputs, numbers))
        outputs, state = m.step(torch.stack(made).mean(0), state)
    torch.testing.assert_close(found, torch.stack(made))


def test_what_cannot_go_on_is_refused():
    m, start = model(Gaussian(H, 1)), torch.zeros(1, 2, 1, dtype=torch.float64)
    for arguments, message in [
        ({"count": 0}, "count must be a whole number from 1"),
        ({"length": 0}, "length must be a whole number from 1"),
        ({"temperature": -1}, "temperature must be a number from 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            paths(m, start, **({"length": 3} | arguments))
    with pytest.raises(TypeError, match="model must be an unrolled.Model"):
        paths(m.stack, start, 3)
    ctc = Model(OneHot(3), unrolled.Stack([unrolled.GRUCell(3, H)]), CTC(H, 3))
    with pytest.raises(ValueError, match="cannot be fed back"):
        paths(ctc, torch.tensor([[1]]), 3)
    plain = torch.nn.Linear(H, 1)
    plain.input_size = H
    with pytest.raises(TypeError, match="head must be an unrolled.models.Head, got Linear"):
        paths(Model(unrolled.Linear(1, 3), unrolled.Stack([unrolled.GRUCell(3, H)]), plain), start, 3)
    with torch.no_grad():
        m.head.map.bias.fill_(np.nan)
    with pytest.raises(RunError, match="outputs are not finite"):
        paths(m, start, 3)
