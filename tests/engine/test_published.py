"""Cells from the literature: the engine takes them, and computes what a loop over their equation computes."""

import pytest
import torch

from engine.looped import compare
from engine.published_cells import PUBLISHED, make

pytestmark = pytest.mark.usefixtures("path", "poisoned")

STEP_BY_STEP = {
    "SurrogateSpikes": r"stops the gradient \(detach",
    "FastWeights": "a state that is not a vector",
    "PhasedLSTM": "does not support aten::remainder",
}
"""Those that the compiler does not take, and why."""
IN_ENGINE = [name for name in PUBLISHED if name not in STEP_BY_STEP]
LENGTHS = [3, 0, 7, 1, 6, 7]


def resets(T=7, N=6):
    """New sequences at the first step, the last, twice in a row, everywhere, nowhere."""
    marks = torch.zeros(T, N, dtype=torch.bool)
    marks[0, 0] = marks[2, 2] = marks[3, 2] = marks[6, 2] = marks[5, 4] = True
    marks[:, 5] = True
    return marks


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", IN_ENGINE)
def test_a_published_cell_is_its_equation(name, reverse):
    own = make(name)
    compare(own, T=7, reverse=reverse)
    compare(own, T=7, lengths=LENGTHS, reverse=reverse)
    compare(own, T=7, resets=resets(), reverse=reverse)
    compare(own, T=7, lengths=LENGTHS, resets=resets(), reverse=reverse)


@pytest.mark.parametrize("name", STEP_BY_STEP)
def test_a_published_cell_that_the_engine_does_not_take(name):
    own = make(name)
    with pytest.raises(ValueError, match=STEP_BY_STEP[name]):
        compare(own)
    compare(own, T=7, lengths=LENGTHS, resets=resets(), backend="eager")
