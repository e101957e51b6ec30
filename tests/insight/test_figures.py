"""Figures of graphs: the boxes and arrows that the graph has."""

import pytest
from matplotlib.patches import FancyBboxPatch

import unrolled
from unrolled import Bidirectional, Linear, Model, Regression, Stack
from unrolled.insight import canvas
from unrolled.insight.figures import HIDDEN, INPUT, OUTPUT, draw_graph


def parts(model, steps):
    from matplotlib.colors import to_hex

    (axes,) = draw_graph(model, steps).axes
    colours = [to_hex(p.get_facecolor()) for p in axes.patches if isinstance(p, FancyBboxPatch)]
    arrows = [t for t in axes.texts if not t.get_text()]
    return [colours.count(c) for c in (INPUT, HIDDEN, OUTPUT)], len(arrows)


@pytest.mark.parametrize(
    ("graph", "layers", "boxes", "arrows"),
    [
        ("many-to-many", 1, [4, 4, 4], 4 + 3 + 4),
        ("many-to-many", 2, [4, 8, 4], 4 + 6 + 4 + 4),
        ("many-to-one", 1, [4, 4, 1], 4 + 3 + 1),
        ("one-to-many", 1, [1, 4, 4], 1 + 3 + 4),
        ("one-to-one", 1, [1, 1, 1], 2),
    ],
)
def test_boxes_and_arrows(graph, layers, boxes, arrows):
    stack = Stack([unrolled.GRUCell(2, 2) for _ in range(layers)])
    assert parts(Model(Linear(1, 2), stack, Regression(2, 1), graph), 4) == (boxes, arrows)


def test_feedback_and_directions():
    fed = Model(
        Linear(1, 2), Stack([unrolled.GRUCell(2, 2)]), unrolled.Softmax(2, 3), "one-to-many", unrolled.Embedding(3, 2)
    )
    assert parts(fed, 4) == ([4, 4, 4], 4 + 3 + 4)
    both = Model(
        Linear(1, 2), Stack([Bidirectional(unrolled.GRUCell(2, 2), unrolled.GRUCell(2, 2))]), Regression(4, 1)
    )
    assert parts(both, 3) == ([3, 3, 3], 3 + 2 + 3)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("count", [1, 2, 4, 6, 12])
@pytest.mark.parametrize("label", ["1", "layer 1", "layer 2 backward", "product of layer 12 backward f"])
def test_legends_above_lie_within_the_figure(size, count, label):
    figure, axes = canvas.new_figure(height=4.0)
    lines = [axes.plot([0, 1], label=label)[0] for _ in range(count)]
    canvas.legend_above(figure, lines, [label] * count, size)
    figure.canvas.draw()
    box, paper = figure.legends[0].get_window_extent(), figure.bbox
    assert paper.x0 <= box.x0 and box.x1 <= paper.x1 and paper.y0 <= box.y0 and box.y1 <= paper.y1
