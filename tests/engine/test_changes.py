"""A cell that changes after it has run runs as it is now."""

import warnings

import pytest
import torch
from torch import nn

import unrolled
from unrolled import Recurrent


class Changing(unrolled.Cell):
    """Everything that ``step`` reads can be exchanged."""

    def __init__(self):
        super().__init__(3, 4)
        self.x = unrolled.Gates("h", 3, 4)
        self.h = unrolled.Gates("h", 4, 4, bias=False)
        self.rate, self.flag, self.phi, self.module = 0.5, False, torch.tanh, nn.Tanh()
        self.rates, self.table = [0.5, 2.0], {"scale": 1.0}
        self.number = torch.tensor(0.5)
        self.register_buffer("factor", torch.tensor(0.5))

    def step(self, x, h):
        new = self.phi(self.x.h(x) + self.h.h(h) * self.number) + self.module(x[:, :1]) * self.factor
        new = new * self.rates[0] + self.rate * h * self.table["scale"]
        return new if self.flag else torch.relu(new)


def set_rate(cell):
    cell.rate = 0.25


def set_flag(cell):
    cell.flag = True


def set_function(cell):
    cell.phi = torch.sigmoid


def set_lambda(cell):
    cell.phi = lambda a: a * a


def set_module(cell):
    cell.module = nn.Sigmoid()


def set_list(cell):
    cell.rates[0] = 3.0


def set_dict(cell):
    cell.table["scale"] = 0.1


def set_number(cell):
    cell.number = torch.tensor(0.1)


def set_number_in_place(cell):
    cell.number.fill_(0.1)


def set_buffer(cell):
    cell.factor.fill_(2.0)


def set_weights(cell):
    cell.x = unrolled.Gates("h", 3, 4)


def set_weights_in_place(cell):
    with torch.no_grad():
        cell.h.weight.mul_(2)


def set_step(cell):
    cell.step = lambda x, h: torch.tanh(cell.x.h(x)) - h


def tie_weights(cell):
    cell.x.bias = nn.Parameter(cell.h.weight[0].detach().clone())


CHANGES = [v for name, v in list(globals().items()) if name.startswith(("set_", "tie_"))]


@pytest.mark.filterwarnings("ignore:.*runs step by step")
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_the_next_run_sees_the_change(change):
    torch.manual_seed(0)
    cell, x = Changing(), torch.randn(5, 2, 3)
    layer, truth = Recurrent(cell), Recurrent(cell, backend="eager")
    before = layer(x)[0]
    torch.testing.assert_close(before, truth(x)[0])
    change(cell)
    after = layer(x)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, truth(x)[0])


def test_the_built_in_cells_function_can_be_changed():
    cell, x = unrolled.ElmanCell(3, 4), torch.randn(5, 2, 3)
    layer = Recurrent(cell, backend="engine")
    layer(x)
    cell.phi = torch.relu
    torch.testing.assert_close(layer(x)[0], Recurrent(cell, backend="eager")(x)[0])


def test_weights_tied_and_untied():
    class Tied(unrolled.Cell):
        def __init__(self):
            super().__init__(4, 4)
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def step(self, x, h):
            return torch.tanh(self.a(x) + self.b(h))

    cell, x = Tied(), torch.randn(3, 2, 4)
    layer, truth = Recurrent(cell, backend="engine"), Recurrent(cell, backend="eager")
    own = cell.b.weight
    for weight in (own, cell.a.weight, own):
        cell.b.weight = weight
        y = layer(x)[0]
        torch.testing.assert_close(y, truth(x)[0])
        found = torch.autograd.grad(y.sum(), list(cell.parameters()))
        wanted = torch.autograd.grad(truth(x)[0].sum(), list(cell.parameters()))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # float32


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.int64, torch.int8, torch.bool])
@pytest.mark.filterwarnings("ignore:.*runs step by step")
@pytest.mark.parametrize("place", ["row", "matrix"])
def test_buffers_of_another_number_type(kind, place):
    """The engine computes in one number type: the result is the equation's all the same."""

    class Masked(unrolled.Cell):
        def __init__(self):
            super().__init__(3, 8)
            self.x = unrolled.Gates("h", 3, 8)
            self.h = nn.Linear(8, 8)
            self.register_buffer("row", (torch.arange(8) % 2).to(kind))
            self.register_buffer("matrix", (torch.arange(64).view(8, 8) % 3 > 0).to(kind))

        def step(self, x, h):
            if place == "row":
                return torch.tanh(self.x.h(x) + self.h(h)) * self.row
            return torch.tanh(self.x.h(x) + h @ self.matrix.to(h.dtype))

    cell, x = Masked(), torch.randn(5, 2, 3)
    truth = Recurrent(cell, backend="eager")(x)[0]
    torch.testing.assert_close(Recurrent(cell)(x)[0], truth)


@pytest.mark.filterwarnings("ignore:.*runs step by step")
def test_where_with_a_mask_of_bools():
    class Choosing(unrolled.Cell):
        def __init__(self):
            super().__init__(3, 8)
            self.x = unrolled.Gates("h", 3, 8)
            self.register_buffer("chosen", torch.arange(8) % 2 == 0)

        def step(self, x, h):
            return torch.where(self.chosen, torch.tanh(self.x.h(x) + h), h)

    cell, x = Choosing(), torch.randn(5, 2, 3)
    torch.testing.assert_close(Recurrent(cell)(x)[0], Recurrent(cell, backend="eager")(x)[0])


@pytest.mark.parametrize("place", ["row", "matrix"])
def test_a_buffer_of_double_precision_is_not_read_as_single(place):
    class Mixed(unrolled.Cell):
        def __init__(self):
            super().__init__(3, 8)
            self.x = unrolled.Gates("h", 3, 8)
            self.register_buffer("row", torch.ones(8, dtype=torch.float64))
            self.register_buffer("matrix", torch.ones(8, 8, dtype=torch.float64))

        def step(self, x, h):
            return torch.tanh(self.x.h(x) + (h * self.row if place == "row" else h @ self.matrix))

    x = torch.randn(5, 2, 3)
    for backend in ("eager", "engine"):
        try:
            y = Recurrent(Mixed(), backend=backend)(x)[0]
        except (ValueError, RuntimeError):
            continue  # torch multiplies no matrices of two number types
        assert place == "row" and y.dtype == torch.float64


class Cut(unrolled.Cell):
    """A cell that keeps a gradient from passing, in one of three ways."""

    def __init__(self, way):
        super().__init__(3, 4)
        self.x = unrolled.Gates("a", 3, 4)
        self.h = unrolled.Gates("a", 4, 4, bias=False)
        self.gain = torch.nn.Parameter(torch.ones(4))
        self.way = way

    def step(self, x, h):
        if self.way == "state":
            return torch.tanh(self.x(x) + self.h(h.detach()) * self.gain)
        if self.way == "parameter":
            return torch.tanh(self.x(x) + self.h(h) * self.gain.detach())
        with torch.no_grad():
            a = self.h(h) * self.gain
        return torch.tanh(self.x(x) + a)


@pytest.mark.parametrize("way", ["state", "parameter", "no_grad"])
def test_a_cut_gradient_stays_cut(way):
    torch.manual_seed(0)
    cell = Cut(way).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    found = []
    for backend in ("auto", "eager"):
        cell.zero_grad()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            Recurrent(cell, backend=backend)(x)[0].sum().backward()
        assert any("stops the gradient" in str(w.message) for w in said) == (backend == "auto")
        found.append([p.grad for p in cell.parameters()])
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)
