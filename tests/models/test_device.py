"""Models without numbers: each use of them says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unrolled
from unrolled.insight.errors import losses
from unrolled.models import beam_search, sample
from unrolled.tasks.symbols.scoring import log_probabilities

USES = {
    "sample": lambda model: next(sample(model, torch.zeros(3, 1, dtype=torch.long), 2)),
    "beam_search": lambda model: beam_search(model, torch.zeros(3, 1, dtype=torch.long), 2),
    "losses": lambda model: losses(model, np.zeros(9, dtype=int)),
    "log_probabilities": lambda model: log_probabilities(model, np.zeros(9, dtype=int)),
}


@pytest.mark.parametrize("use", USES)
def test_a_model_on_the_meta_device_is_refused(use):
    model = unrolled.Model(unrolled.Embedding(6, 4), unrolled.Stack([unrolled.GRUCell(4, 5)]), unrolled.Softmax(5, 6))
    USES[use](model)
    with pytest.raises(ValueError, match="Model: its weights are on the meta device, which holds no numbers"):
        USES[use](model.to("meta"))


@pytest.mark.parametrize("name", ["lengths", "resets"])
def test_what_goes_with_the_inputs_has_numbers_too(name):
    layer, x = unrolled.LSTM(4, 5), torch.zeros(3, 2, 4)
    given = {"lengths": torch.tensor([3, 2]), "resets": torch.zeros(3, 2, dtype=torch.bool)}[name]
    layer(x, **{name: given})
    with pytest.raises(ValueError, match=f"{name} is on the meta device"):
        layer(x, **{name: given.to("meta")})
