"""The text task from Python: fit, sample, score, evaluate."""

import json
import math
import time

import numpy as np
import pytest
import torch

import unrolled
from helpers import TEXT, TINY, PeepholeLSTM, TwoWidths, history
from unrolled.cells.initial import RECURRENT
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks.text.baselines import bigram_loss, unigram_loss
from unrolled.tasks.text.reading import Part
from unrolled.tasks.text.scoring import estimate, score
from unrolled.tasks.text.writing import until


def test_it_learns_far_more_than_pairs_of_characters(trained):
    figures = trained.evaluate()
    assert figures["loss"] < 0.6 * figures["bigram_loss"] < figures["unigram_loss"]
    assert figures["bits_per_character"] == pytest.approx(figures["loss"] / math.log(2))
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert 0.5 < figures["accuracy"] <= 1
    assert figures["characters"] == len(TEXT) * 95 // 100 - len(TEXT) * 90 // 100 - 1


def test_evaluation_is_one_stream_each_symbol_but_the_first(trained, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text(TEXT[:5000])
    figures = trained.evaluate(str(path))
    numbers = torch.from_numpy(trained.vocabulary.encode(TEXT[:5000]))[:, None]
    with torch.no_grad():
        scores, _ = trained.model(numbers[:-1])
    nats = trained.model.head.loss(scores, numbers[1:])[0].item()
    assert figures["loss"] == pytest.approx(nats / (len(numbers) - 1), rel=1e-5)
    assert figures["accuracy"] == pytest.approx((scores.argmax(2) == numbers[1:]).float().mean().item())
    assert figures["unknown"] == {}


def test_symbols_never_seen_are_counted_and_scored(trained, tmp_path):
    path = tmp_path / "odd.txt"
    path.write_text("2 times 3 is §§ 6Ω\n")
    figures = trained.evaluate(str(path))
    assert figures["unknown"] == {"§": 2, "Ω": 1}
    assert math.isfinite(figures["loss"])


def test_sampling_streams_what_it_returns(trained):
    pieces = list(trained.stream(80, prime="3 times 4 is", seed=5))
    whole = trained.sample(80, prime="3 times 4 is", seed=5)
    assert "".join(pieces) == whole
    assert whole.startswith("3 times 4 is")
    assert len(whole) == len("3 times 4 is") + 80
    assert len(pieces) > 60
    assert trained.sample(40, seed=1) != trained.sample(40, seed=2)
    assert trained.sample(40) == trained.sample(40)
    assert len(trained.sample(40)) == 40
    assert trained.sample(0, prime="12") == "12"


def test_sampling_stops_before_the_stop_text(trained):
    line = trained.sample(500, prime="2 times", stop="\n", temperature=0.5)
    assert "\n" not in line
    assert len(line) < 200
    assert trained.sample(500, prime="2 times", temperature=0.5).startswith(line + "\n")


@pytest.mark.parametrize("stop", ["b", "ab", "abab", "aab", "zz"])
def test_until_is_exact_in_any_pieces(stop):
    text_ = "xaabaababzzab"
    end = text_.find(stop)
    for size in (1, 2, 3, 20):
        pieces = [text_[k : k + size] for k in range(0, len(text_), size)]
        assert "".join(until(pieces, stop)) == (text_[:end] if end >= 0 else text_)


def test_a_prime_with_unknown_characters_names_them(trained):
    with pytest.raises(UsageError, match="does not know the characters '§', 'Q'"):
        trained.sample(5, prime="2 § Q §")
    with pytest.raises(ValueError, match="length must be 0 or more"):
        trained.sample(-1)
    with pytest.raises(ValueError, match="temperature"):
        trained.sample(5, temperature=-1)


def test_score_is_the_product_of_the_steps(trained):
    whole = trained.score("7 times 8")
    assert whole.log_probability == pytest.approx(
        trained.score("7").log_probability + trained.score(" times 8", given="7").log_probability
    )
    counts = trained.vocabulary.counts
    first = counts[trained.vocabulary.numbers["7"]] / counts.sum()
    assert trained.score("7").probability == pytest.approx(first)
    assert whole.symbols == list("7 times 8")
    assert whole.log_probability > trained.score("7 tmies 8").log_probability
    total = sum(trained.score(s, given="12 ti").probability for s in trained.vocabulary.symbols[1:])
    assert 0.99 < total <= 1.0001  # the rest is the unknown symbol's
    with pytest.raises(UsageError, match="empty"):
        trained.score("")


def test_loading_gives_the_same_model(trained):
    again = unrolled.load(trained.run.path)
    assert again.sample(30) == trained.sample(30)
    assert not again.model.training


@pytest.mark.parametrize("units", ["words", "bytes"])
def test_words_and_bytes(text, tmp_path, units):
    model = unrolled.fit(text, tmp_path / "run", epochs=1, units=units, **TINY)
    figures = model.evaluate()
    scored = figures["loss"] * figures["symbols"] / math.log(2)
    assert figures["bits_per_character"] == pytest.approx(scored / figures["characters"])
    assert figures["characters"] > figures["symbols"] or units == "bytes"
    assert model.sample(20, prime="2 times")
    assert model.score("2 times").log_probability < 0


def test_accents_in_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("é" * 2000)
    model = unrolled.fit(path, tmp_path / "run", epochs=1, units="bytes", **TINY)
    figures = model.evaluate()
    assert figures["symbols"] == 199
    assert figures["characters"] == 99
    assert model.vocabulary.decode([0xC3, 0xA9, 0xC3, 65]) == "é\ufffdA"
    assert len(model.sample(50).encode()) >= 50


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
    with pytest.raises(RunError, match="it is no file"):
        unrolled.load(tmp_path / "run")
    program.rmdir()
    program.write_text('{"cell": "PeepholeLSTM", "layers": [{}]}')
    with pytest.raises(RunError, match=r"program\.json is damaged"):
        unrolled.load(tmp_path / "run")


def test_own_cell_without_a_program_is_not_run_unasked(text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=TwoWidths, **TINY)
    assert not (tmp_path / "run" / "program.json").exists()
    with pytest.raises(RunError, match="not run unasked"):
        unrolled.load(tmp_path / "run")


@pytest.mark.parametrize("cell", ["gru", "elman"])
@pytest.mark.parametrize("layers", [2, 3])
def test_cells_and_layers(text, tmp_path, cell, layers):
    model = unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=cell, layers=layers, dropout=0.1, **TINY)
    assert len(model.model.stack.layers) == layers
    assert model.evaluate()["loss"] < math.log(30)


def test_first_weights_are_settings_of_every_layer(text):
    from unrolled.tasks.text.build import CELLS
    from unrolled.tasks.text.options import RECURRENT_INITS, TextOptions
    from unrolled.tasks.text.task import TextTask
    from unrolled.training.options import TrainingOptions

    assert RECURRENT_INITS == RECURRENT

    def cells(cell, **given):
        task = TextTask(str(text), TextOptions(cell=cell, hidden=8, layers=2, **given), TrainingOptions(epochs=1))
        return [layer.cell for layer in task.build(CELLS[cell]).stack.layers]

    for cell in cells("gru", forget_bias=2.5, recurrent_init="identity"):
        assert bool((cell.x.bias[cell.x.rows("z")] == 2.5).all())
        assert torch.equal(cell.h.weight[cell.h.rows("n")].detach(), torch.eye(8))
    for cell in cells("lstm", chrono=50):
        bias = cell.x.bias.detach()
        assert 0 <= float(bias[cell.x.rows("f")].min()) < float(bias[cell.x.rows("f")].max()) < math.log(50)
        assert torch.equal(bias[cell.x.rows("i")], -bias[cell.x.rows("f")])


def test_a_run_with_first_weights_of_its_own_goes_on_and_loads(text, tmp_path):
    run = tmp_path / "run"
    unrolled.fit(text, run, **TINY, epochs=0.2, chrono=30)
    assert "chrono = 30" in (run / "config.toml").read_text()
    unrolled.fit(text, run, resume=True, chrono=30)
    assert unrolled.load(run).sample(5)


def test_the_history_says_what_happened(trained):
    events = history(trained.run.path)
    kinds = [e["event"] for e in events]
    assert kinds.count("train") == 100
    assert kinds.count("validation") == 10
    assert kinds[-1] == "finished"
    updates = [e["update"] for e in events if e["event"] == "train"]
    assert updates == sorted(set(updates))
    last = events[-1]
    assert last["update"] == updates[-1]
    train = [e for e in events if e["event"] == "train"]
    assert train[0]["lr"] < max(e["lr"] for e in train) <= 0.01
    assert train[-1]["lr"] < 1e-5
    validations = [e for e in events if e["event"] == "validation"]
    best = min(validations, key=lambda e: e["loss"])
    assert last["best_update"] == best["update"]
    assert last["validation"] == pytest.approx(
        {k: v for k, v in trained.evaluate().items() if k in last["validation"]}
    )
    assert 0 <= last["clipped"] <= 1
    assert len(list((trained.run.path / "samples").iterdir())) == 5


def test_the_best_weights_are_kept_not_the_last(text, tmp_path):
    """With a rate that grows absurd the model gets worse; the folder keeps the good one."""
    events = []
    unrolled.fit(
        text,
        tmp_path / "run",
        epochs=4,
        warmup=0.99,
        optimizer="sgd",
        ema=0.0,
        listen=events.append,
        **TINY | {"lr": 300.0},
    )
    losses = [e["loss"] for e in events if e["event"] == "validation"]
    assert losses[-1] > min(losses) + 0.5
    assert unrolled.load(tmp_path / "run").about["validation"]["loss"] == min(losses)


def test_without_a_validation_part_the_last_weights_are_kept(text, tmp_path):
    model = unrolled.fit(text, tmp_path / "run", epochs=1, split="100/0/0", **TINY)
    assert model.about["update"] == history(tmp_path / "run")[-1]["update"]
    with pytest.raises(DataError, match="nothing to score"):
        model.evaluate()


def test_clipping_and_its_share(text, tmp_path):
    seen = {}
    for clip in ("1e-3", "value:1e-9", "off"):
        unrolled.fit(text, tmp_path / clip, epochs=1, clip=clip, **TINY)
        seen[clip] = history(tmp_path / clip)[-1]["clipped"]
    assert seen == {"1e-3": 1.0, "value:1e-9": 1.0, "off": 0.0}


def test_what_is_not_finite_is_skipped_and_then_stops(text, tmp_path, monkeypatch):
    from unrolled.tasks.text.task import TextTask

    plain = TextTask.loss
    bad = set(range(30, 33))
    calls = []

    def loss(self, model, window, state):
        calls.extend([1] * (window.counted > 1))  # not the probe's
        total, count, following = plain(self, model, window, state)
        return (total * math.nan if len(calls) in bad else total), count, following

    monkeypatch.setattr(TextTask, "loss", loss)
    unrolled.fit(text, tmp_path / "few", epochs=1, **TINY)
    assert history(tmp_path / "few")[-1]["skipped"] == 3

    calls.clear()
    bad = set(range(100, 10_000))
    with pytest.raises(RunError, match="not finite in 10 updates in a row, the last being update 109") as stopped:
        unrolled.fit(text, tmp_path / "many", epochs=4, save_every=0, **TINY)
    assert "keeps the last good state" in str(stopped.value)
    arrays, about = unrolled.load(tmp_path / "many").run.read_checkpoint()
    assert about["update"] == 99
    assert all(np.isfinite(a).all() for name, a in arrays.items() if name.startswith("model."))


def test_not_finite_from_the_first_update(text, tmp_path):
    class NaNCell(unrolled.ElmanCell):
        def step(self, x, h):
            return super().step(x, h) * math.nan

    with pytest.raises(RunError, match="keeps the last good state"):
        unrolled.fit(text, tmp_path / "run", epochs=1, cell=NaNCell, **TINY)
    assert unrolled.runs.folder.RunFolder(tmp_path / "run").checkpoint_about()["update"] == 0


def test_a_validation_that_is_not_finite_is_never_the_best(text, tmp_path, monkeypatch):
    from unrolled.tasks.text.task import TextTask

    plain, calls = TextTask.validate, []

    def validate(self, model, whole):
        calls.append(1)
        scores = plain(self, model, whole)
        return scores | {"loss": math.nan} if len(calls) == 4 else scores

    monkeypatch.setattr(TextTask, "validate", validate)
    unrolled.fit(text, tmp_path / "run", epochs=2, **TINY)
    validations = [e for e in history(tmp_path / "run") if e["event"] == "validation"]
    assert validations[3]["loss"] is None
    assert [e["best"] for e in validations[:5]] == [True, True, True, False, True]


def test_a_sample_that_cannot_be_made_does_not_stop_training(text, tmp_path, monkeypatch):
    from unrolled.models.decode import Chooser

    def refuse(self, scores, u):
        raise RunError("the model's scores are not finite")

    monkeypatch.setattr(Chooser, "__call__", refuse)
    events = []
    unrolled.fit(text, tmp_path / "run", epochs=0.3, listen=events.append, **TINY)
    assert [e["reason"] for e in events if e["event"] == "no sample"]
    assert events[-1]["event"] == "finished"


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


def test_the_callers_threads_and_random_numbers_are_left_alone(text, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    unrolled.fit(text, tmp_path / "run", epochs=0.3, **TINY)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_run_inside_its_own_data_folder(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    model = unrolled.fit(tmp_path, tmp_path / "run", epochs=0.3, **TINY)
    assert model.evaluate()["loss"] > 0


def test_evaluating_many_words_takes_little_memory():
    """20,000 words in 16 streams: 2,048 steps at once would be 2.6 GB of scores."""
    import resource

    model = unrolled.Model(
        unrolled.Embedding(20_000, 4), unrolled.Stack([unrolled.ElmanCell(4, 2)]), unrolled.Softmax(2, 20_000)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert estimate(model, Part(np.arange(40_000) % 20_000, 39_999, {}), 1_600)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_an_exploding_run_stops_with_one_sentence(text, tmp_path):
    with pytest.raises(RunError, match="smaller --lr"):
        unrolled.fit(text, tmp_path / "run", epochs=5, optimizer="sgd", clip="off", warmup=0.0, **TINY | {"lr": 1e38})


# -- resuming


def test_unknown_options_are_named(text, tmp_path):
    with pytest.raises(UsageError, match="no option 'hiden'; did you mean 'hidden'"):
        unrolled.fit(text, tmp_path / "run", hiden=3)
    with pytest.raises(UsageError, match="--task: must be one of text"):
        unrolled.fit(text, tmp_path / "run", task="poker")
    for device in ("toaster", "meta"):
        with pytest.raises(UsageError, match=f"--device {device}: torch cannot use it here"):
            unrolled.fit(text, tmp_path / "run", device=device)
    with pytest.raises(DataError, match="too few for --batch 400 streams"):
        unrolled.fit(text, tmp_path / "run", **TINY | {"batch": 400})
    assert not (tmp_path / "run").exists()


def test_a_small_text_gets_small_sizes(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("hello world\n" * 20)
    model = unrolled.fit(path, tmp_path / "run", epochs=2)
    assert model.options.hidden == 64


def test_baselines_against_counting_by_hand():
    training, held_out = np.array([0, 1, 1, 0, 1]), np.array([1, 0, 1])
    assert unigram_loss(training, held_out, 3) == pytest.approx(-(math.log(3 / 8) + math.log(4 / 8)) / 2)
    # after 1: one 0, one 1; after 0: two 1
    assert bigram_loss(training, held_out, 3) == pytest.approx(-(math.log(2 / 5) + math.log(3 / 5)) / 2)
    assert bigram_loss(training, held_out, 5000) is None


def test_nothing_to_score():
    model = unrolled.Model(unrolled.OneHot(3), unrolled.Stack([unrolled.ElmanCell(3, 2)]), unrolled.Softmax(2, 3))
    assert score(model, Part(np.array([1]), 0, {})) is None


def test_a_built_in_cell_given_as_its_class_is_the_built_in_cell(text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=unrolled.ElmanCell, **TINY)
    assert unrolled.load(tmp_path / "run").options.cell == "elman"
    assert not (tmp_path / "run" / "cell.py").exists()


def test_a_short_budget_is_not_spent_on_validation_twice(text, tmp_path, monkeypatch):
    """A validation that takes as long as three marks is followed by training, and the last weights are validated."""
    from unrolled.tasks.text.task import TextTask

    plain = TextTask.validate

    def slow(self, model, whole):
        time.sleep(0.3)
        return plain(self, model, whole)

    monkeypatch.setattr(TextTask, "validate", slow)
    unrolled.fit(text, tmp_path / "run", minutes=1 / 60, **TINY)
    events = history(tmp_path / "run")
    at = [k for k, e in enumerate(events) if e["event"] == "validation"]
    assert all(b - a > 1 for a, b in zip(at, at[1:-1], strict=False))
    assert events[at[-1]]["update"] == events[-1]["update"]


def test_the_estimate_is_near_the_score_and_exact_for_small_parts(trained):
    numbers = trained.vocabulary.encode(TEXT).astype(np.uint8)
    part = Part(numbers, len(numbers) - 1, {})
    whole = score(trained.model, part).figures()
    assert estimate(trained.model, part, len(numbers)).figures() == whole
    guess = estimate(trained.model, part, len(numbers) // 2)
    assert guess.symbols == len(numbers) // 2 // 16 * 16 - 16
    assert guess.characters == guess.symbols
    # stretches of 160 characters that begin without knowing where they are score a little worse
    assert -0.1 < guess.figures()["loss"] - whole["loss"] < 0.3


def test_config_is_readable(trained):
    import tomllib

    config = tomllib.loads((trained.run.path / "config.toml").read_text())
    assert config["task"] == "text"
    assert config["text"]["hidden"] == 48
    assert config["training"]["epochs"] == 12
    assert json.loads((trained.run.path / "vocabulary.json").read_text())["units"] == "characters"
