"""Inputs that stay the same for a whole sequence, through stacks, directions and models."""

import pytest
import torch
from torch import nn

import unrolled
from unrolled import Bidirectional, Gates, Model, Recurrent, Stack

T, N, D, H, K, A = 6, 3, 4, 5, 4, 2
LENGTHS = [6, 2, 0]


class Context(unrolled.Cell):
    """It sees one vector at every step."""

    constants = ("context",)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = Gates("a", input_size, hidden_size)
        self.h = Gates("a", hidden_size, hidden_size, bias=False)
        self.c = nn.Linear(A, hidden_size)

    def step(self, x, h, context):
        return torch.tanh(self.x(x) + self.h(h) + self.c(context))


class Attention(unrolled.Cell):
    """It looks at a grid (N, K, A) where its state points, and sees the context too."""

    constants = ("grid", "context")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = Gates("a", input_size, hidden_size)
        self.h = Gates("a", hidden_size, hidden_size, bias=False)
        self.query = nn.Linear(hidden_size, A)
        self.seen = nn.Linear(2 * A, hidden_size)

    def step(self, x, h, grid, context):
        a = torch.softmax((grid * self.query(h)[:, None]).sum(2), dim=1)
        seen = (a[:, :, None] * grid).sum(1)
        return torch.tanh(self.x(x) + self.h(h) + self.seen(torch.cat([seen, context], 1)))


def given(seed=0):
    torch.manual_seed(seed)
    grid, context = torch.randn(N, K, A, dtype=torch.float64), torch.randn(N, A, dtype=torch.float64)
    return {"grid": grid.requires_grad_(), "context": context.requires_grad_()}


def inputs():
    torch.manual_seed(1)
    return torch.randn(T, N, D, dtype=torch.float64, requires_grad=True)


def by_hand(cell, x, lengths, constants, reverse=False):
    """A loop over each sequence alone: outputs (T, N, H), zero in the padding, and its last state."""
    outputs, last = [], []
    for n, length in enumerate(lengths):
        own = [c[n : n + 1] for c in constants]
        (h,) = cell.initial_state(1, like=x)
        ys = [torch.zeros(1, cell.hidden_size, dtype=x.dtype)] * len(x)
        for t in reversed(range(length)) if reverse else range(length):
            h = ys[t] = cell.step(x[t, n : n + 1], h, *own)
        outputs.append(torch.stack(ys))
        last.append(h)
    return torch.cat(outputs, 1), torch.cat(last)


def poisoned(x, lengths):
    """The same with NaN in the padding, in which no gradient may be either."""
    within = torch.arange(len(x))[:, None] < torch.tensor(lengths)
    return torch.where(within[..., None], x, torch.nan)


def same_gradients(ours, truth, wanted):
    for a, b in zip(
        torch.autograd.grad(ours, wanted, allow_unused=True),
        torch.autograd.grad(truth, wanted, allow_unused=True),
        strict=True,
    ):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_a_stack_gives_each_layer_the_constants_that_its_cell_names():
    torch.manual_seed(2)
    cells = [Context(D, H).double(), unrolled.GRUCell(H, H).double(), Attention(H, H).double()]
    stack, x, c = Stack(list(cells)), inputs(), given()
    assert stack.constants == ("context", "grid")
    y, ((h1,), _, (h3,)) = stack(poisoned(x, LENGTHS), lengths=LENGTHS, constants=c)
    first, last1 = by_hand(cells[0], x, LENGTHS, (c["context"],))
    second, _ = Recurrent(cells[1], backend="eager")(first, lengths=LENGTHS)
    third, last3 = by_hand(cells[2], second, LENGTHS, (c["grid"], c["context"]))
    torch.testing.assert_close([y, h1, h3], [third, last1, last3], rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(y)
    same_gradients(
        (y * weights).sum() + h1.sum(), (third * weights).sum() + last1.sum(), [x, *c.values(), *stack.parameters()]
    )


def test_both_directions_get_the_constants():
    torch.manual_seed(2)
    ahead, back = Context(D, H).double(), Attention(D, H).double()
    layer, x, c = Bidirectional(ahead, back), inputs(), given()
    assert layer.constants == ("context", "grid")
    y, ((h1,), (h2,)) = layer(poisoned(x, LENGTHS), lengths=LENGTHS, constants=c)
    first, last1 = by_hand(ahead, x, LENGTHS, (c["context"],))
    second, last2 = by_hand(back, x, LENGTHS, (c["grid"], c["context"]), reverse=True)
    truth = torch.cat([first, second], 2)
    torch.testing.assert_close([y, h1, h2], [truth, last1, last2], rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(y)
    same_gradients((y * weights).sum(), (truth * weights).sum(), [x, *c.values(), *layer.parameters()])


def test_a_tuple_goes_to_both_directions_and_an_entry_to_each_layer():
    torch.manual_seed(2)
    both = Bidirectional(Context(D, H).double(), Context(D, H).double())
    top = Context(2 * H, H).double()
    x, c = inputs(), given()["context"]
    other = c + 1
    y, _ = Stack([both, top])(x, constants=[(c,), {"context": other}])
    middle, _ = both(x, constants={"context": c})
    torch.testing.assert_close(y, Recurrent(top)(middle, constants=(other,))[0])
    assert not torch.allclose(y, Stack([both, top])(x, constants={"context": c})[0])


def test_what_a_cell_draws_itself_may_be_left_out_or_passed_by_name():
    torch.manual_seed(2)
    cell = unrolled.VariationalDropout(Context(D, H).double(), 0.5)
    stack, x, c = Stack([cell]), inputs(), given()["context"]
    assert stack.constants == ("context", "m_h")
    torch.manual_seed(3)
    drawn, _ = stack(x, constants={"context": c})
    torch.manual_seed(3)
    (m,) = cell.draw_constants(N, x)
    passed, _ = stack(x, constants={"m_h": m, "context": c})
    torch.testing.assert_close(drawn, passed)
    torch.testing.assert_close(passed, Recurrent(cell)(x, constants=(c, m))[0])
    assert not torch.allclose(passed, stack(x, constants={"m_h": torch.ones_like(m), "context": c})[0])
    stack.eval()
    assert stack.constants == ("context",)
    with pytest.raises(ValueError, match="constants has 'm_h', but the layers have: context"):
        stack(x, constants={"m_h": m, "context": c})


def test_steps_and_gates_with_constants():
    torch.manual_seed(2)
    stack = Stack([Context(D, H).double(), unrolled.LSTMCell(H, H).double(), Attention(H, 3).double()])
    x, c = inputs().detach(), given()
    truth, last = stack(x, constants=c)
    state = None
    for x_t, y_t in zip(x, truth, strict=True):
        y, state = stack.step(x_t, state, c)
        torch.testing.assert_close(y, y_t)
    torch.testing.assert_close(state, last)
    named = stack.gates(x, constants=c)
    torch.testing.assert_close(named[2]["h"], truth)
    torch.testing.assert_close(named[2]["a"].sum(2), torch.ones(T, N, dtype=torch.float64))
    both = Bidirectional(Context(D, 2).double(), Context(D, 2).double())
    named = both.gates(x, constants={"context": c["context"]})
    torch.testing.assert_close(torch.cat([named["h"], named["h_back"]], 2), both(x, constants=(c["context"],))[0])


@pytest.mark.parametrize("graph", ["many-to-many", "many-to-one", "one-to-many", "one-to-one"])
def test_models_pass_constants_lengths_and_resets_on(graph):
    torch.manual_seed(2)
    stack = Stack([Context(D, H), Attention(H, H)])
    model = Model(unrolled.Linear(2, D), stack, unrolled.Regression(H, 3), graph).double()
    steps = 1 if graph == "one-to-one" else T
    lengths = [min(n, steps) for n in LENGTHS]
    c = given()
    v = torch.randn(*((T, N, 2) if graph.startswith("many") else (N, 2)), dtype=torch.float64)
    resets = torch.zeros(steps, N, dtype=torch.bool)
    resets[steps // 2, 0] = True
    more = {"steps": T} if graph == "one-to-many" else {}
    y, last = model(v, lengths=lengths, resets=resets, constants=c, **more)
    x = model.encoder(v) if graph.startswith("many") else model.encoder(v)[None]
    x = torch.cat([x, x.new_zeros(steps - len(x), N, D)])
    h, state = stack(x, None, lengths, resets, c)
    truth = {"many-to-one": state[-1][0], "one-to-one": h[0]}.get(graph, h)
    torch.testing.assert_close([y, *last], [model.head(truth), *state])
    assert not torch.allclose(model(v, lengths=lengths, constants=c, **more)[0], y) or steps == 1
    assert not torch.allclose(model(v, lengths=lengths, resets=resets, constants=given(7), **more)[0], y)


def test_decoding_with_constants_and_a_first_state():
    torch.manual_seed(4)
    V = 7
    model = Model(unrolled.Embedding(V, D), Stack([Context(D, H), Attention(H, H)]), unrolled.Softmax(H, V)).double()
    for p in model.parameters():
        torch.nn.init.normal_(p)
    c = {name: constant[:1].detach() for name, constant in given().items()}
    state = tuple((torch.randn(1, H, dtype=torch.float64),) for _ in "12")
    start = torch.tensor([[1], [2]])

    def scores(symbols):
        """The whole sequence at once."""
        numbers = torch.tensor([1, 2, *symbols])[:, None]
        return torch.log_softmax(model(numbers, state, constants=c)[0][:, 0], 1).detach()

    made = list(unrolled.sample(model, start, 8, temperature=0, state=state, constants=c))
    assert made == scores(made).argmax(1)[1:-1].tolist()
    for best in unrolled.beam_search(model, start, 4, width=3, state=state, constants=c):
        logs = scores(best.symbols)
        total = sum(float(logs[1 + k, symbol]) for k, symbol in enumerate(best.symbols))
        assert best.log_probability == pytest.approx(total, abs=1e-10)
    drawn = unrolled.models.paths(model, start, 5, count=6, state=state, constants=c)
    one = list(unrolled.sample(model, start, 5, state=state, constants=c))
    assert drawn[:, 0].tolist() == one and len({tuple(path) for path in drawn.T.tolist()}) > 1


GIVEN = {"grid": torch.zeros(N, K, A), "context": torch.zeros(N, A)}


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"grid": GIVEN["grid"]}, r"Recurrent\(Attention\): constants must have grid, context, got none for context"),
        (GIVEN | {"image": GIVEN["grid"]}, "Stack: constants has 'image', but the layers have: grid, context"),
        (GIVEN | {"context": torch.zeros(N + 1, A)}, r"context has shape \(4, 2\), expected \(N, ...\) with N = 3"),
        (GIVEN | {"context": 3.0}, r"constant context must be a tensor \(N, ...\), got float"),
        ((), r"got 0 constants, but the cell has: grid, context"),
        (tuple(GIVEN.values()), r"constants of layer 0 must be \(\), got Tensor"),
        (((), GIVEN["grid"]), "constants of layer 1 must be a tuple or a dictionary of grid, context, got Tensor"),
        (((GIVEN["grid"],), ()), r"constants of layer 0 must be \(\), got \(Tensor,\)"),
        (((),), r"one entry per layer \(2\), got \(\(\),\)"),
        (GIVEN["grid"], r"a dictionary by name, or have one entry per layer \(2\), got Tensor"),
        (None, "got None"),
    ],
)
def test_constants_that_do_not_fit(constants, message):
    stack = Stack([unrolled.GRUCell(D, H), Attention(H, H)])
    with pytest.raises(ValueError, match=message):
        stack(torch.zeros(T, N, D), constants=constants)


def test_constants_that_do_not_fit_a_layer():
    layer = Recurrent(Context(D, H))
    with pytest.raises(ValueError, match="must be a tuple of tensors or a dictionary by name, got Tensor"):
        layer(torch.zeros(T, 1, D), constants=torch.zeros(1, 1, A))  # a tensor would pass for a tuple of its rows
    both = Bidirectional(unrolled.GRUCell(D, H), Context(D, H))
    with pytest.raises(ValueError, match="Bidirectional: constants has 'grid', but the layers have: context"):
        both(torch.zeros(T, N, D), constants=GIVEN)
    with pytest.raises(ValueError, match=r"Recurrent\(GRUCell\): got 1 constants, but the cell has: none"):
        both(torch.zeros(T, N, D), constants=(GIVEN["context"],))


def test_constants_inside_torch_compile():
    torch.manual_seed(2)
    stack, x, c = Stack([Context(D, H), unrolled.GRUCell(H, H)]).double(), inputs(), given()["context"]
    ours = torch.compile(stack, fullgraph=True, backend="aot_eager")(x, constants={"context": c})[0]
    truth = stack(x, constants={"context": c})[0]
    torch.testing.assert_close(ours, truth)
    same_gradients(ours.sum(), truth.sum(), [x, c, *stack.parameters()])
