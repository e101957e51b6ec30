"""The text task from Python: fit, sample, score, evaluate."""

import json
import math

import numpy as np
import pytest
import torch

import unrolled
from helpers import TEXT, TINY
from unrolled.cells.initial import RECURRENT
from unrolled.errors import DataError, UsageError
from unrolled.tasks.symbols.baselines import bigram_loss, unigram_loss
from unrolled.tasks.symbols.part import Part
from unrolled.tasks.symbols.scoring import estimate, score
from unrolled.tasks.symbols.writing import until


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


@pytest.mark.parametrize("stop", [b"b", b"ab", b"abab", b"aab", b"zz"])
def test_until_is_exact_in_any_pieces(stop):
    text_ = b"xaabaababzzab"
    end = text_.find(stop)
    for size in (1, 2, 3, 20):
        pieces = [text_[k : k + size] for k in range(0, len(text_), size)]
        assert b"".join(until(pieces, stop)) == (text_[:end] if end >= 0 else text_)


def test_a_prime_with_unknown_characters_names_them(trained):
    with pytest.raises(UsageError, match="does not know the characters '§', 'Q': they are not"):
        trained.sample(5, prime="2 § Q §")
    with pytest.raises(ValueError, match="length must be a whole number from 0"):
        trained.sample(-1)
    with pytest.raises(ValueError, match="temperature must be"):
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
    with pytest.raises(UsageError, match="score: the text is empty"):
        trained.score("")


def test_loading_gives_the_same_model(trained):
    again = unrolled.load(trained.run.path)
    assert again.sample(30) == trained.sample(30)
    assert not again.model.training


@pytest.mark.parametrize("units", ["words", "bytes"])
def test_words_and_bytes(text, tmp_path, units):
    model = unrolled.fit(text, tmp_path / "run", epochs=1, units=units, **TINY)
    figures = model.evaluate()
    scored = figures["loss"] * figures["scored"] / math.log(2)
    assert figures["bits_per_character"] == pytest.approx(scored / figures["characters"])
    assert figures["characters"] > figures["scored"] or units == "bytes"
    assert model.sample(20, prime="2 times")
    assert model.score("2 times").log_probability < 0


def test_accents_in_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("é" * 2000)
    model = unrolled.fit(path, tmp_path / "run", epochs=1, units="bytes", **TINY)
    figures = model.evaluate()
    assert figures["scored"] == 199
    assert figures["characters"] == 99
    assert model.vocabulary.decode([0xC3, 0xA9, 0xC3, 65]) == "é\ufffdA"
    assert len(model.sample(50).encode()) >= 50


@pytest.mark.parametrize("cell", ["gru", "elman"])
@pytest.mark.parametrize("layers", [2, 3])
def test_cells_and_layers(text, tmp_path, cell, layers):
    model = unrolled.fit(text, tmp_path / "run", epochs=0.3, cell=cell, layers=layers, dropout=0.1, **TINY)
    assert len(model.model.stack.layers) == layers
    assert model.evaluate()["loss"] < math.log(30)


def test_first_weights_are_settings_of_every_layer(text):
    from unrolled.cells.registry import CELLS
    from unrolled.models.options import RECURRENT_INITS, ModelOptions
    from unrolled.tasks.opening import with_data
    from unrolled.tasks.prepare import built
    from unrolled.tasks.text.task import TextTask
    from unrolled.training.options import TrainingOptions

    assert RECURRENT_INITS == RECURRENT

    def cells(cell, **given):
        sizes = ModelOptions(cell=cell, hidden=8, layers=2, **given)
        task = with_data(TextTask(), str(text), sizes, TrainingOptions(epochs=1))
        return [layer.cell for layer in built(task, CELLS[cell]).stack.layers]

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


def test_unknown_options_are_named(text, tmp_path):
    with pytest.raises(UsageError, match="no option 'hiden'; did you mean 'hidden'"):
        unrolled.fit(text, tmp_path / "run", hiden=3)
    with pytest.raises(UsageError, match="--task: must be text"):
        unrolled.fit(text, tmp_path / "run", task="poker")
    for device, message in (("toaster", "must be cpu, cuda or mps, got 'toaster'"), ("meta", "torch cannot use it")):
        with pytest.raises(UsageError, match=f"--device.*: {message}"):
            unrolled.fit(text, tmp_path / "run", device=device)
    with pytest.raises(DataError, match="are too few for --batch 400 and --bptt"):
        unrolled.fit(text, tmp_path / "run", **TINY | {"batch": 400})
    assert not (tmp_path / "run").exists()


def test_a_small_text_gets_small_sizes(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("hello world\n" * 20)
    model = unrolled.fit(path, tmp_path / "run", epochs=2)
    assert model.model_options.hidden == 64


def test_baselines_against_counting_by_hand():
    training, held_out = np.array([0, 1, 1, 0, 1]), np.array([1, 0, 1])
    assert unigram_loss(training, held_out, 3) == pytest.approx(-(math.log(3 / 8) + math.log(4 / 8)) / 2)
    # after 1: one 0, one 1; after 0: two 1
    assert bigram_loss(training, held_out, 3) == pytest.approx(-(math.log(2 / 5) + math.log(3 / 5)) / 2)
    assert bigram_loss(training, held_out, 5000) is None


def test_nothing_to_score():
    model = unrolled.Model(unrolled.OneHot(3), unrolled.Stack([unrolled.ElmanCell(3, 2)]), unrolled.Softmax(2, 3))
    assert score(model, Part(np.array([1]), 0, {})) is None


def test_config_is_readable(trained):
    import tomllib

    config = tomllib.loads((trained.run.path / "config.toml").read_text())
    assert config["task"] == "text"
    assert config["model"]["hidden"] == 48
    assert config["training"]["epochs"] == 12
    assert json.loads((trained.run.path / "vocabulary.json").read_text())["units"] == "characters"
