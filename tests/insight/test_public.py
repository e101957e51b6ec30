"""The room's public names, and its figures of gradients."""

import importlib
import subprocess
import sys

import numpy as np
import torch

import unrolled
from helpers import in_forks
from unrolled import insight
from unrolled.insight.gradient_figures import draw_gradient, draw_spectrum


def test_the_public_names():
    functions = {"gates", "gradient_through_time", "jacobian_spectrum", "lyapunov", "saturation", "spectral_radius"}
    functions |= {"state_names", "units"}
    assert {name for name in insight.__all__ if name[0].islower()} == functions
    for name in functions:
        assert callable(getattr(insight, name)) and ">>>" in getattr(insight, name).__doc__, name


def test_a_function_may_have_the_name_of_its_file():
    """Whichever is imported first."""
    names = ("gates", "saturation", "units")
    code = """
import unrolled
from unrolled.insight.{0} import {0} as own
import unrolled.insight.figures
assert unrolled.insight.{0} is own and callable(own)
"""
    in_forks(*map(code.format, names))
    for name in names:
        assert getattr(importlib.import_module(f"unrolled.insight.{name}"), name) is getattr(insight, name)


def test_insight_is_there_without_an_import_of_its_own():
    subprocess.run([sys.executable, "-c", "import unrolled; unrolled.insight.lyapunov"], check=True)


def test_gates_of_layers_that_take_the_batch_first_or_one_sequence():
    torch.manual_seed(1)
    layer, x = unrolled.GRU(3, 4, batch_first=True), torch.randn(2, 6, 3)
    named = insight.gates(layer, x)
    np.testing.assert_allclose(named["1.h"].transpose(1, 0, 2), layer(x)[0].detach(), rtol=1e-5, atol=1e-6)
    alone = insight.gates(layer, x[0])
    np.testing.assert_allclose(alone["1.z"][:, 0], named["1.z"][:, 0], rtol=1e-5, atol=1e-6)


def test_curves_are_those_that_were_found():
    stack = unrolled.Stack([unrolled.LSTMCell(3, 4), unrolled.ElmanCell(4, 4)])
    found = insight.gradient_through_time(stack, torch.randn(30, 1, 3))
    (axes,) = draw_gradient(found, "a title").axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
    assert list(drawn) == ["dL/dh, layer 1", "dL/dc, layer 1", "dL/dh, layer 2", "product of f, layer 1"]
    np.testing.assert_array_equal(drawn["dL/dh, layer 2"], found.norms["2.h"])
    assert axes.get_yscale() == "log" and axes.get_title() == "a title"
    (axes,) = draw_gradient(found).axes
    assert found.verdict.kind in axes.get_title()
    spectrum = insight.jacobian_spectrum(stack, torch.randn(30, 1, 3), over=[10], count=5)
    (axes,) = draw_spectrum(spectrum).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), np.median(spectrum.values, axis=0))
    np.testing.assert_allclose(axes.lines[1].get_ydata(), np.exp(spectrum.products[10].mean(axis=0) / 10))
    assert len(spectrum.products[10][0]) == 5
