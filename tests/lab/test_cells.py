"""The laboratory takes every cell that training takes: each name of the one table, and a file of one's own."""

import pytest
import torch

from helpers import OWN_CELL
from unrolled.cells.registry import CELLS
from unrolled.errors import UsageError
from unrolled.lab import adding, continual_reber, depth, elman_xor, forget_bias, latch, long_lag, reber, rtrl
from unrolled.lab.answers import Training
from unrolled.lab.catalogue import TITLES, chosen, experiment, picture
from unrolled.lab.experiment import Setting
from unrolled.lab.network import network
from unrolled.models.build import cells_of
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Regression
from unrolled.tasks.load import resolve_cell

pytestmark = pytest.mark.usefixtures("one_thread")

OWN = f"""{OWN_CELL}
class Broken(Own):
    def step(self, x, h):
        return torch.tanh(self.x.b(x))
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return f"{file}:Own"


@pytest.mark.parametrize("name", TITLES)
def test_every_experiment_takes_every_cell(name, own):
    one = experiment(name)
    for cell in (*CELLS, own):
        settings = chosen(one, (cell,), None)
        assert settings and {s.cell for s in settings} == {cell}
        places = {(s.lag, s.variant) for s in one.settings}
        assert {(s.lag, s.variant) for s in settings} <= places
        if cell in one.cells:
            assert settings == [s for s in one.settings if s.cell == cell]
    assert chosen(one, (), None) == list(one.settings)


def test_what_a_cell_that_is_not_in_the_table_runs():
    def settings(name, cell):
        return [s.where for s in chosen(experiment(name), (cell,), None)]

    assert settings("forget-bias", "lstm1997") == [""]  # it has no bias to vary
    assert settings("elman-xor", "lstm1997") == [""]
    assert settings("depth", "gru") == ["1 layer", "2 layers", "3 layers"]
    assert settings("latch", "elman") == settings("latch", "lstm")


@pytest.mark.parametrize("spec", ["rnn", "none.py:Own", "{file}:Other", "{file}:Broken"])
def test_what_is_no_cell_is_refused_as_in_training(spec, own):
    spec = spec.format(file=own.rpartition(":")[0])
    with pytest.raises(UsageError) as told:
        chosen(experiment("reber"), (spec,), None)
    if "Broken" in spec:  # training finds that when it builds the model
        assert str(told.value).startswith(f"--cell {spec}: AttributeError")
        return
    with pytest.raises(UsageError) as in_training:
        resolve_cell(spec)
    assert str(told.value) == str(in_training.value)


@pytest.mark.parametrize("cell", ["lstm1997", "own"])
def test_they_run(cell, own, monkeypatch):
    cell = own if cell == "own" else cell
    small = Training(hidden=4, batch=20, rate=0.01, budget=200)
    monkeypatch.setattr(adding, "TRAINING", dict.fromkeys(adding.LAGS, small))
    monkeypatch.setattr(latch, "TRAINING", small)
    monkeypatch.setattr(long_lag, "TRAINING", dict.fromkeys(long_lag.TRAINING, small))
    monkeypatch.setattr(long_lag, "FIRST", 2)
    for module, name, value in (
        *((forget_bias, "BUDGET", 200), (reber, "BUDGET", 512), (continual_reber, "UPDATES", 20)),
        *((elman_xor, "PASSES", 2), (rtrl, "TRIALS", 40)),
        *((depth, "UPDATES", 10), (depth, "PARAMETERS", 8000), (depth, "BATCH", 8), (depth, "BPTT", 32)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(continual_reber.Endless, "updates_per_epoch", 20)
    for name in ("adding", "latch", "long-lag", "forget-bias", "reber", "continual-reber", "elman-xor", "rtrl"):
        for setting in chosen(experiment(name), (cell,), 20 if name in ("adding", "latch", "long-lag") else None):
            outcome = experiment(name).run(setting, 1)
            assert picture(experiment(name), {setting: [outcome]}).axes
            assert (outcome.sequences > 0 and 0 <= outcome.score <= 1) or name == "continual-reber", setting
    setting = Setting(cell, None, "2 layers")
    outcome = depth.run(setting, 1)
    assert picture(depth.EXPERIMENT, {setting: [outcome]}).axes
    assert abs(outcome.details["parameters"] - 8000) < 800


def test_gates_begin_with_memories_up_to_the_lag():
    def cell_of(name):
        model = network(name, lambda: Vectors(2), 200, lambda H: Regression(H, 1), seed=1, longest=50)
        return cells_of(model.stack)[0]

    for name, gate, sign in (("lstm", "f", 1), ("gru", "z", 1), ("lstm1997", "i", -1)):
        cell = cell_of(name)
        memory = (sign * cell.x.bias.detach()[cell.x.rows(gate)]).exp()
        assert float(memory.min()) >= 0.99 and 40 < float(memory.max()) < 49.1
    assert not cell_of("elman").x.bias.any()
    before = torch.get_rng_state()
    cell_of("lstm")
    assert torch.equal(torch.get_rng_state(), before)
