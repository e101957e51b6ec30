"""Runs with a cell of one's own: its code, its program, its mistakes."""

import pytest
import torch

import unrolled
from helpers import TINY, PeepholeLSTM, TwoWidths
from unrolled.compiler.stored import stored_class
from unrolled.errors import RunError, UsageError
from unrolled.runs.folder import RunFolder
from unrolled.tasks.start import _keep_cell


def test_own_cell_from_a_class(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=1, cell=PeepholeLSTM, **TINY)
    assert isinstance(model.model.stack.layers[0].cell, PeepholeLSTM)
    assert "class PeepholeLSTM" in (tmp_path / "run" / "cell.py").read_text()
    for how in ({}, {"cell": PeepholeLSTM}, {"allow_code": True}):
        assert unrolled.load(tmp_path / "run", **how).sample(20) == model.sample(20)


def test_own_cell_runs_from_its_program_and_its_code_only_when_asked(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=PeepholeLSTM, layers=2, **TINY)
    (tmp_path / "run" / "cell.py").write_text("raise SystemExit('the code ran')")
    kept = unrolled.load(tmp_path / "run")
    assert not isinstance(kept.model.stack.layers[0].cell, PeepholeLSTM)
    assert kept.sample(50) == model.sample(50)
    assert kept.evaluate()["loss"] == pytest.approx(model.evaluate()["loss"], rel=1e-6)
    with pytest.raises(SystemExit, match="the code ran"):
        unrolled.load(tmp_path / "run", allow_code=True)
    program = tmp_path / "run" / "program.json"
    larger = program.read_text().replace('"tensors": {', '"tensors": {"more": [100000000],')
    program.write_text(larger)
    with pytest.raises(RunError, match="its tensors are larger than"):
        unrolled.load(tmp_path / "run")
    program.unlink()
    program.mkdir()
    with pytest.raises(RunError, match="it is not a regular file"):
        unrolled.load(tmp_path / "run")
    program.rmdir()
    program.write_text('{"cell": "PeepholeLSTM", "records": [{}]}')
    with pytest.raises(RunError, match=r"program\.json is damaged: a record has no input_size"):
        unrolled.load(tmp_path / "run")


def test_a_program_of_other_sizes_is_refused_in_one_sentence(text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.1, cell=PeepholeLSTM, **TINY)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("hidden = 8", "hidden = 9"))
    with pytest.raises(
        RunError,
        match=r"program\.json does not fit config\.toml: PeepholeLSTM: saved for cells of sizes \(input, hidden\) "
        r"\(128, 8\), got \(128, 9\)$",
    ):
        unrolled.load(tmp_path / "run")


def test_cells_of_bidirectional_layers_are_kept_too(tmp_path):
    layers = [unrolled.Bidirectional(PeepholeLSTM(D, 3), PeepholeLSTM(D, 4)) for D in (5, 7)]
    model = unrolled.Model(unrolled.OneHot(5), unrolled.Stack(layers), unrolled.Softmax(7, 2), "many-to-one")
    folder = RunFolder(tmp_path / "run")
    folder.create({"task": "text"})
    _keep_cell(folder, PeepholeLSTM, model)
    kind = stored_class(folder.read_json("program.json"))
    for layer in layers:
        for way in (layer.forward_layer, layer.backward_layer):
            kept, x = kind(way.input_size, way.output_size), torch.randn(2, way.input_size)
            kept.load_state_dict(way.cell.state_dict())
            torch.testing.assert_close(kept(x), way.cell(x))


def test_own_cell_without_a_program_is_not_run_unasked(text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=TwoWidths, **TINY)
    assert not (tmp_path / "run" / "program.json").exists()
    with pytest.raises(RunError, match="not run by default"):
        unrolled.load(tmp_path / "run")


def test_a_cell_with_a_scalar_parameter(text, tmp_path):
    class Scaled(unrolled.ElmanCell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.alpha = torch.nn.Parameter(torch.tensor(0.5))

        def step(self, x, h):
            return self.alpha * super().step(x, h)

    unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=Scaled, **TINY)
    assert unrolled.load(tmp_path / "run", cell=Scaled).sample(5)


def test_mistakes_in_a_cell_show_before_anything_is_written(text, tmp_path):
    class Wide(unrolled.Cell):
        def step(self, x, h):
            return torch.cat([h, h], dim=1)

    class Empty(unrolled.Cell):
        pass

    class Odd(unrolled.Cell):
        def __init__(self, input_size, hidden_size, more):
            super().__init__(input_size, hidden_size)

    for cell, message in ((Wide, "returned h with shape"), (Empty, "has no step"), (Odd, "missing 1 required")):
        with pytest.raises(UsageError, match=f"--cell .*{cell.__name__}: .*{message}"):
            unrolled.fit(text, tmp_path / "run", epochs=1, cell=cell, **TINY)
        assert not (tmp_path / "run").exists()


def test_a_built_in_cell_given_as_its_class_is_the_built_in_cell(text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=unrolled.ElmanCell, **TINY)
    assert unrolled.load(tmp_path / "run").model_options.cell == "elman"
    assert not (tmp_path / "run" / "cell.py").exists()
