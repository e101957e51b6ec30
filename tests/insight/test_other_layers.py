"""What is looked at in a stack whose recurrent layers have others between them."""

import numpy as np
import pytest
import torch

import unrolled
from unrolled import insight
from unrolled.insight.figures import draw_graph
from unrolled.insight.findings import examine
from unrolled.insight.gates import state_names
from unrolled.layers import Convolution, LayerNorm, TimeReduction, TimeWindow

T, N, D, H = 8, 2, 3, 4


def stack_of(*between):
    torch.manual_seed(0)
    return unrolled.Stack([unrolled.GRUCell(D, H), *between, unrolled.LSTMCell(between[-1].output_size, H)]).double()


def test_recurrent_layers_alone_are_counted():
    stack, x = stack_of(LayerNorm(H), Convolution(H, H, 2, causal=True)), torch.randn(T, N, D).double()
    assert state_names(stack) == ["1.h", "2.h", "2.c"]
    named = insight.gates(stack, x)
    y, _ = stack(x)
    np.testing.assert_allclose(named["2.h"], y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(named["1.h"], stack.layers[0](x)[0].detach().numpy(), rtol=1e-12)


def test_the_gradient_goes_through_them():
    """Against autograd of a plain loop, with zeros added to every state of the lower layer."""
    stack, x = stack_of(LayerNorm(H), Convolution(H, H, 2, causal=True)), torch.randn(T, N, D).double()
    found = insight.gradient_through_time(stack, x, loss=lambda y: y.sum() / N)
    zeros = [torch.zeros(N, H, dtype=torch.float64, requires_grad=True) for _ in range(T)]
    (h,), lower = stack.layers[0].initial_state(N, x), []
    for x_t, zero in zip(x, zeros, strict=True):
        h = stack.layers[0].cell.step(x_t, h) + zero
        lower.append(h)
    y = torch.stack(lower)
    for layer in stack.layers[1:]:
        y, _ = layer(y)
    truth = torch.autograd.grad(y[-1].sum() / N, zeros)
    np.testing.assert_allclose(found.norms["1.h"], [float(g.norm()) for g in truth[::-1]], rtol=1e-9)


def test_the_dynamics_of_the_recurrent_layers_below_and_above_them():
    stack, x = stack_of(LayerNorm(H)), torch.randn(T, N, D).double()
    middle, _ = stack.layers[1](stack.layers[0](x)[0])
    for number, alone, inputs in ((1, stack.layers[0], x), (2, stack.layers[2], middle)):
        of_stack = insight.jacobian_spectrum(stack, x, layer=number)
        of_layer = insight.jacobian_spectrum(alone, inputs.detach())
        np.testing.assert_allclose(of_stack.values, of_layer.values, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="LayerNorm is not a recurrent layer"):
        insight.jacobian_spectrum(stack, x)
    with pytest.raises(ValueError, match="layer must be an integer from 1 to 2, got 3"):
        insight.jacobian_spectrum(stack, x, layer=3)


def test_the_dynamics_above_a_layer_without_a_state():
    window = TimeWindow(D, 1)
    cell = unrolled.GRUCell(3 * D, H).double()
    x = torch.randn(T, N, D).double()
    of_stack = insight.jacobian_spectrum(unrolled.Stack([window, cell]), x)
    of_layer = insight.jacobian_spectrum(unrolled.Recurrent(cell), window(x)[0])
    np.testing.assert_array_equal(of_stack.values, of_layer.values)


NO_EXPONENT = "No Lyapunov exponent was computed: "


@pytest.mark.parametrize(
    ("layers", "note"),
    [
        (lambda: [unrolled.Recurrent(unrolled.GRUCell(12, H))], None),
        (
            lambda: [unrolled.Bidirectional(unrolled.GRUCell(12, H), unrolled.GRUCell(12, H))],
            "it is not defined for a network that reads backward, too.",
        ),
        (
            lambda: [unrolled.Recurrent(unrolled.GRUCell(12, H), reverse=True), unrolled.GRUCell(H, H)],
            "it is not defined for a network that reads backward, too.",
        ),
        (
            lambda: [TimeReduction(12, 2), unrolled.GRUCell(24, H)],
            "not all layers of the network have the same steps.",
        ),
    ],
)
def test_a_report_says_why_a_network_has_no_exponent(layers, note):
    stack = unrolled.Stack([TimeWindow(4, 1), *layers()])
    model = unrolled.Model(unrolled.OneHot(4), stack, unrolled.Softmax(stack.output_size, 4))
    found = examine(model.eval(), np.arange(60) % 4, "ACGT" * 15)
    assert (found.exponent is None) == (note is not None)
    assert [one for one in found.notes if "Lyapunov" in one] == ([NO_EXPONENT + note] if note else [])


def test_what_would_be_wrong_is_refused():
    reduced = stack_of(TimeReduction(H, 2))
    with pytest.raises(ValueError, match="layer 2, TimeReduction, changes the number of steps"):
        insight.gradient_through_time(reduced, torch.randn(T, N, D))
    with pytest.raises(ValueError, match="has no recurrent layer"):
        insight.gradient_through_time(unrolled.Stack([LayerNorm(D)]), torch.randn(T, N, D))
    model = unrolled.Model(
        unrolled.Linear(2, D), stack_of(LayerNorm(H)), unrolled.Softmax(H, 2), "many-to-one",
        pool=unrolled.models.MeanPool(),
    )  # fmt: skip
    with pytest.raises(ValueError, match="a pool over all steps"):
        insight.gradient_through_time(model.double(), torch.randn(T, N, 2))
    assert insight.gates(reduced, torch.randn(T, N, D))["2.h"].shape == (T // 2, N, H)
    with pytest.raises(ValueError, match="TimeReduction changes the number of steps"):
        draw_graph(unrolled.Model(unrolled.Linear(2, D), reduced, unrolled.Softmax(H, 2)))


@pytest.mark.parametrize(("pool", "outputs"), [(None, 1), (unrolled.models.MeanPool(), 4)])
def test_pictures_show_recurrent_layers_and_what_is_pooled(pool, outputs):
    """Arrows of four steps: 4 from inputs, 4 between the layers, 3 in time in each, and those to the output."""
    model = unrolled.Model(
        unrolled.Linear(2, D), stack_of(LayerNorm(H)), unrolled.Softmax(H, 2), "many-to-one", pool=pool
    )
    axes = draw_graph(model, steps=4).axes[0]
    assert len(axes.patches) == 4 + 8 + 1
    assert sum(type(text).__name__ == "Annotation" for text in axes.texts) == 4 + 4 + 6 + outputs


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_report_shows_fewer_steps_for_as_long_as_they_stand(factor):
    """The layer above a time reduction has fewer steps: labels and features are still those of the inputs."""
    torch.manual_seed(0)
    stack = unrolled.Stack([unrolled.GRUCell(D, H), TimeReduction(H, factor), unrolled.LSTMCell(factor * H, H)])
    model = unrolled.Model(unrolled.Linear(D, D), stack, unrolled.Softmax(H, 5)).eval()
    steps = 10 * factor + 1
    x = torch.randn(steps, D)
    slow = np.sin(np.arange(steps) // factor / 3)
    found = examine(model, x.numpy(), [str(t) for t in range(steps)], features={"slow": slow})
    assert not [note for note in found.notes if note.startswith("Units")]
    alone = insight.gates(model, x[:, None])["2.h"]
    assert len(alone) == -(-steps // factor)
    upper = next(trace for trace in found.traces if trace.name == "2.h")
    np.testing.assert_array_equal(upper.values, alone[np.arange(steps) // factor, 0, upper.unit])
