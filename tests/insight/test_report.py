"""The page, its figures and its numbers: what is drawn is what was measured, and text stays text."""

import json
import math
import re

import numpy as np
import pytest
import torch

import unrolled
from unrolled.drawing import COLOURS, DrawingError
from unrolled.insight import gradient_through_time
from unrolled.insight import report_figures as draw
from unrolled.insight.canvas import as_png, as_svg
from unrolled.insight.errors import Cause
from unrolled.insight.findings import Findings, examine
from unrolled.insight.page import by_unit, chooser, page, reader, shades, table, text, visible
from unrolled.insight.record import Curves, furthest, reach, record
from unrolled.insight.report import About, report
from unrolled.insight.saturation import saturation
from unrolled.insight.sections import Sections
from unrolled.insight.words import findings_in_words
from unrolled.runs.numbers import finite

EVENTS = [
    {"event": "train", "update": 10, "loss": 3.0, "gradient_norm": 2.0, "clipped": 0.5, "lr": 0.01},
    {"event": "gradients", "update": 10, "by_position": {"1.h": [1.0, 2.0, 3.0]}},
    {"event": "lags", "update": 10, "by_lag": {"1.h": [1.0, 0.5, 0.25], "1.c": [1.0, 0.9, 0.8]}},
    {"event": "validation", "update": 10, "loss": 2.5, "bits_per_character": 3.6, "accuracy": 0.2, "best": True},
    {"event": "sample", "update": 10, "text": "not kept here"},
    {"event": "train", "update": 20, "loss": None, "gradient_norm": 1.0, "clipped": 0.0, "lr": 0.005},
    {"event": "gradients", "update": 20, "by_position": {"1.h": [4.0, 5.0]}},
    {"event": "lags", "update": 20, "by_lag": {"1.h": [1.0, 0.05, 0.0001], "1.c": [1.0, 0.5, 0.05]}},
    {"event": "warning", "cause": "overfitting", "evidence": "it rose", "cure": "more data", "update": 20},
    {"event": "finished", "update": 20, "clipped": 0.25, "skipped": 0},
]


# -- what training kept


def test_the_record_has_every_number_of_the_history():
    kept = record(EVENTS)
    assert kept.train["update"].tolist() == [10, 20]
    np.testing.assert_array_equal(kept.train["loss"], [3.0, math.nan])
    assert kept.train["clipped"].tolist() == [0.5, 0]
    assert set(kept.validation) == {"update", "loss"} and not kept.is_estimated
    assert record([{"event": "validation", "update": 1, "loss": 1.0, "estimate": True}]).is_estimated
    np.testing.assert_array_equal(kept.by_position["1.h"].norms, [[1, 2, 3], [4, 5, math.nan]])
    assert kept.by_lag["1.c"].updates.tolist() == [10, 20]
    assert kept.warnings == [{"cause": "overfitting", "evidence": "it rose", "cure": "more data", "update": 20}]
    assert kept.finished["clipped"] == 0.25


def test_how_far_a_gradient_reaches():
    curve = [0.5, 1.0, 0.3, 0.6, 0.05, 0.09, 0.002]
    assert [reach(curve, share) for share in (0.5, 0.1, 0.01, 0.001)] == [4, 4, 6, None]
    assert reach([0.0, 0.0], 0.1) is None and reach([], 0.1) is None
    assert reach([1.0, 0.01, math.nan], 0.1) == 1
    kept = record(EVENTS)
    assert furthest(kept.by_lag, 0.1) == ("1.c", 2, 3)
    assert furthest(kept.by_lag, 0.01) == ("1.c", None, 3)
    assert furthest({}, 0.1) is None


def test_sentences_say_where_a_gradient_ends():
    (gradient, warned) = findings_in_words(record(EVENTS), None, "character", None)
    assert "falls below a tenth of its peak 2 steps back, and is still above a thousandth 2 steps back" in gradient
    assert "(c, layer 1, where it reaches furthest)" in gradient
    assert warned == "Training warned once: overfitting."
    flat = [{"event": "lags", "update": 1, "by_lag": {"1.h": [1.0, 0.9]}}]
    assert "above a tenth of its peak 1 steps back" in findings_in_words(record(flat), None, "word", None)[0]


# -- figures


def lines(figure):
    return {line.get_label(): line.get_xydata().tolist() for axes in figure.axes for line in axes.lines}


def test_figures_draw_what_they_are_given():
    kept = record(EVENTS)
    drawn = lines(draw.learning_curves(kept))
    assert drawn["validation"] == [[10, 2.5]]
    estimated = [e | {"estimate": True} if e["event"] == "validation" else e for e in EVENTS]
    assert lines(draw.learning_curves(record(estimated)))["validation (estimate)"] == [[10, 2.5]]
    assert drawn["training"][0] == [10, 3]
    clipped = draw.steering(kept).axes[1].lines[0].get_ydata()
    assert clipped.tolist() == [50, 0]
    lags = lines(draw.lag_curves(kept.by_lag))
    assert lags["c, layer 1"] == [[0, 1], [1, 0.5], [2, 0.05]]
    (mesh,) = draw.gradient_maps({"1.h": kept.by_position["1.h"]}, "position").axes[0].collections
    np.testing.assert_allclose(mesh.get_array()[0], np.log10([1, 2, 3]))
    assert np.ma.is_masked(mesh.get_array()[1, 2])


def test_the_scatter_has_a_point_for_each_unit():
    random = np.random.default_rng(0)
    named = {f"{k}.{n}": random.random((50, 1, 4)) for k in (1, 2) for n in ("i", "f")}
    found = saturation(named | {"1.h": -np.ones((50, 1, 4))}, ["1.h"])
    figure = draw.saturation_scatter(found)
    titles = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert set(titles) == {"gate i", "gate f"}
    for s in found[:4]:
        layer, gate = s.name.split(".")
        points = titles[f"gate {gate}"].collections[int(layer) - 1]
        np.testing.assert_allclose(points.get_offsets(), np.stack([s.high, s.low], axis=1))
    assert draw.saturation_scatter(found[4:]) is None


def test_bars_of_causes_are_in_order():
    figure = draw.cause_bars([Cause("a", 1, 2.0, 0.25), Cause("no error", 2, 6.0, 0.75)])
    assert [bar.get_width() for bar in figure.axes[0].patches] == [75, 25]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["no error", "a"]


@pytest.mark.parametrize("value", [0.0, math.nan, 1e-300, 1e300])
def test_figures_of_odd_numbers(value):
    events = [
        {"event": "train", "update": k, "loss": value, "gradient_norm": value, "clipped": value, "lr": value}
        for k in (1, 2)
    ]
    events += [{"event": "lags", "update": k, "by_lag": {"1.h": [value] * 3}} for k in (1, 2)]
    kept = record(events)
    for figure in (
        draw.learning_curves(kept),
        draw.steering(kept),
        draw.lag_curves(kept.by_lag),
        draw.gradient_maps(kept.by_lag, "lag"),
        draw.context_curve({1: value}, value, "step"),
        draw.cause_bars([Cause("none", 0, value, value)]),
    ):
        if figure is not None:
            as_svg(figure, "odd")


def test_nothing_to_draw():
    kept = record([])
    assert draw.learning_curves(kept) is draw.steering(kept) is None
    assert draw.lag_curves({}) is draw.gradient_maps({}, "lag") is draw.gate_map({}, [], "step") is None
    assert draw.cause_bars([]) is draw.context_curve({}, 1.0, "step") is None


def test_a_picture_takes_the_colours_of_its_page():
    svg = as_svg(draw.learning_curves(record(EVENTS)), 'a "label"')
    assert 'aria-label="a &quot;label&quot;"' in svg
    assert "currentColor" in svg and "var(--c0)" in svg
    assert not any(colour in svg for colour in COLOURS)
    assert not re.search(r"<svg[^>]* (width|height)=", svg)
    assert "<text" in svg and "DejaVu" not in svg
    assert svg == as_svg(draw.learning_curves(record(EVENTS)), 'a "label"')


def test_names_that_look_like_mathematics():
    name = r"$\frac{$ a_b"
    events = [{"event": "lags", "update": k, "by_lag": {f"1.{name}": [1.0, 0.5]}} for k in (1, 2)]
    kept = record(events)
    for figure in (
        draw.lag_curves(kept.by_lag),
        draw.gradient_maps(kept.by_lag, "lag"),
        draw.gate_map({f"1.{name}": np.linspace(0, 1, 4)}, ["a", "b", "c", "d"], name),
        draw.context_curve({1: 2.0, 5: 1.5}, 1.0, name),
        draw.cause_bars([Cause(name, 1, 2.0, 0.5)]),
    ):
        assert "frac{$ a_b" in as_svg(figure, "names")


def test_a_report_goes_on_without_a_picture():
    figure = draw.cause_bars([Cause("a", 1, 2.0, 0.5)])
    figure.axes[0].set_title(r"$\frac{$")
    with pytest.raises(DrawingError, match="a picture cannot be drawn"):
        as_png(figure)
    made = Sections("step", {})
    assert "causes: a picture cannot be drawn" in made._picture(figure, "causes", "Causes.") and not made.pictures


def test_symbols_that_the_font_lacks_or_that_look_like_mathematics():
    figure = draw.gate_map({"1.f": np.linspace(0, 1, 4)}, ["漢", "$", "$x$", "😀"], "step")
    assert as_png(figure)[:4] == b"\x89PNG"
    assert "漢" in as_svg(figure, "gates")


# -- the page


def test_text_stays_text():
    assert text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert visible("a\tb\nc d\u3000e") == "a\tb\nc d\u3000e"
    assert visible("\x00\x1b\r\x7f\u202e\u2028\ud800\ufeff") == "\\x00\\x1b\\r\\x7f\\u202e\\u2028\\ud800\\ufeff"
    assert "<td class=code>&lt;i&gt;</td>" in table(["<h>"], [["<i>"]], code=(0,))
    assert "<h>" not in table(["<h>"], [])
    made = page("</title><script>", "")
    assert made.count("<script>") == 1
    made.encode("utf-8")


def test_the_reader_marks_losses_and_unknowns():
    html = reader(["<", "\n", "a"], np.array([False, True, False]), np.array([np.nan, 100.0, 1.0]), ['"', "b", "c"])
    assert html == (
        '<pre class="text" id="reader"><i class="l0" title="&quot;">&lt;</i>'
        '<i class="l6 x" title="b">↵\n</i><i class="l1" title="c">a</i></pre>'
    )


def test_units_in_colours():
    values = np.linspace(-1, 1, 101)
    assert shades(values)[[0, 50, 100]].tolist() == [0, 4, 8]
    assert (np.diff(shades(values)) >= 0).all()
    assert by_unit(["a", "b", "c"], np.array([1.0, 1.0, 1.0])).count("<i ") == 1
    html = chooser(["</option><b>"], [np.array([0.0, 1.0])])
    assert "<b>" not in html
    assert json.loads(re.search(r'id="traces">(.*?)</script>', html)[1]) == ["08"]


# -- the whole


def test_a_report_of_everything_that_means_harm():
    evil = "</script><script>alert(1)</script>"
    events = [{**e, "cause": evil, "evidence": evil} if e["event"] == "warning" else e for e in EVENTS]
    events.append({"event": "lags", "update": 30, "by_lag": {f"{evil}.h": [1.0, 0.1]}})
    about = About(evil, evil, evil, evil, 1.0, {evil: evil}, [(1, evil)], [evil])
    found = Findings([evil], ["", evil], np.array([True]), notes=[evil])
    made = report(about, record(events), found)
    assert made.html.count("<script") == 1 and "alert(1)</script>" not in made.html
    assert json.loads(json.dumps(made.numbers, allow_nan=False)) == made.numbers
    assert made.numbers["samples"] == [{"update": 1, "text": evil}]
    assert made.numbers["gradient_by_lag"]["1.c"]["reach"] == {"0.5": 2, "0.1": 2, "0.01": None, "0.001": None}


def test_json_has_no_infinity():
    given = {"a": [math.inf, np.float32(1.5), np.array([[np.nan, 1]])], "b": {"c": np.bool_(True)}, 3: None}
    assert finite(given) == {"a": [None, 1.5, [[None, 1.0]]], "b": {"c": True}, "3": None}


def test_a_product_that_falls_fast_does_not_press_the_gradients_into_a_strip():
    layer = unrolled.Recurrent(unrolled.LSTMCell(3, 4, forget_bias=-6.0))
    found = gradient_through_time(layer, torch.randn(40, 1, 3))
    norms = np.concatenate(list(found.norms.values()))
    assert found.kept["1.f"][-1] < 1e-6 * norms[norms > 0].min()
    figure = draw.felt_curves(found)
    low, _ = figure.axes[0].get_ylim()
    assert low >= norms[norms > 0].min() / 10
    assert len(figure.legends[0].get_texts()) == 3 and figure.axes[0].get_legend() is None


def test_maps_end_where_the_shortest_window_does():
    norms = np.ones((3, 40))
    norms[1, 37:] = np.nan
    figure = draw.gradient_maps({"1.h": Curves(np.arange(3.0), norms)}, "lag")
    assert figure.axes[0].get_xlim() == (-0.5, 36.5)
    norms[1, 10:] = np.nan  # another setting: nothing is hidden
    figure = draw.gradient_maps({"1.h": Curves(np.arange(3.0), norms)}, "lag")
    assert figure.axes[0].get_xlim() == (-0.5, 39.5)


def test_words_below_the_gates_have_room():
    words = [" consul", "↵", " acknowledgement"] * 20
    figure = draw.gate_map({"1.f": np.linspace(0, 1, 60)}, words, "step")
    labels = figure.axes[0].get_xticklabels()
    assert [one.get_text() for one in labels[:3]] == ["consul", "↵", "acknowledgement"] and len(labels) == 24
    figure.draw_without_rendering()
    boxes = [one.get_window_extent() for one in labels]
    assert all(a.x1 <= b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
    assert len(draw.gate_map({"1.f": np.linspace(0, 1, 60)}, "x" * 60, "step").axes[0].get_xticklabels()) == 48


def test_numbers_beside_the_curve_do_not_lie_on_it():
    """It falls: what stands to the upper right of a point is clear of the line from it."""
    figure = draw.context_curve({1: 3.16, 2: 2.69, 5: 1.72, 10: 1.5}, 1.44, "step")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    x, y = axes.lines[0].get_data()
    points = axes.transData.transform(np.stack([x, y], axis=1))
    for k, told in enumerate(axes.texts[:-1]):
        box = told.get_window_extent()
        inside = np.linspace(points[k], points[k + 1], 200)
        assert not any(box.contains(*point) for point in inside)
        before = np.linspace(points[max(k - 1, 0)], points[k], 200)
        assert not any(box.contains(*point) for point in before)


def test_losses_that_a_task_knows(tmp_path):
    """Of a model of numbers: in colours and among the surprises, without guesses, chances or perplexity."""
    model = unrolled.Model(
        unrolled.models.Vectors(2), unrolled.Stack([unrolled.GRUCell(2, 3)]), unrolled.models.Gaussian(3, 2)
    )
    inputs = torch.randn(30, 2).numpy()
    nats = np.linspace(-1, 1, 29)
    labels = [f"row {t}" for t in range(30)]
    causes = {"early": np.arange(29) < 20}
    found = examine(model, inputs, labels, causes=lambda memory: causes if memory is None else {}, nats=nats)
    assert found.losses.loss.tolist() == nats.tolist() and found.causes[0].name == "early"
    made = report(About("a run", "a model", "row"), record([]), found)
    assert "row 29" in made.html and "expected" not in made.html and "perplexity" not in made.html
    assert "1.00 nats" in made.html and ", p = " not in made.html
    with pytest.raises(ValueError, match=r"nats has shape \(30,\), expected \(29,\)"):
        examine(model, inputs, labels, nats=np.zeros(30))
