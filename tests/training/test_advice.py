"""Advice: for every combination of settings, nothing is recommended that is set, or that cannot be done."""

import itertools
import re

import pytest

from unrolled.errors import UsageError
from unrolled.insight.watch import Watch
from unrolled.models.options import ModelOptions
from unrolled.options import flag, option_names
from unrolled.tasks.text.options import TextOptions
from unrolled.training.advice import Advice
from unrolled.training.options import TrainingOptions

CHUNK = 100
CAUSES = (
    "too high",
    "too low",
    "clipped",
    "not finite",
    "vanishing",
    "short",
    "overfitting",
    "stuck",
    "dead",
    "trained vanishing",
    "trained exploding",
)
BUDGETS = ({"epochs": 1.0}, {"minutes": 0.5})
SPLITS = ({}, {"chrono": 50.0}, {"chrono": 5000.0}, {"forget_bias": 3.0})


def every_run():
    """Settings that can be told apart by some advice."""
    for lr, clip, budget, bptt in itertools.product(
        (0.0, 1.4e-3, 3.0), ("1", "5", "value:2", "off"), BUDGETS, (0, 100)
    ):
        yield (
            {"lr": lr, "clip": clip, "bptt": bptt, **budget},
            {"cell": "gru", "hidden": 64, "layers": 2, "dropout": 0.0},
        )
    for dropout, hidden, layers, first in itertools.product((0.0, 0.3, 0.4, 0.6), (1, 64), (1, 3), SPLITS):
        yield {"lr": 0.01, "epochs": 2.0}, {"hidden": hidden, "layers": layers, "dropout": dropout, **first}
    for kind, window, first in itertools.product(("orthogonal", "identity", "glorot"), (None, 20, 100), SPLITS):
        yield (
            {"lr": 0.01, "update_every": window},
            {"hidden": 8, "layers": 1, "dropout": 0.0, "recurrent_init": kind, **first},
        )
    for batch in (1, 16):
        yield {"lr": 0.01, "batch": batch}, {}


def cure(cause, advice, gated):
    """What is said of a cause that is there, as the loop or a report would."""
    watch, lr = Watch(), advice.options.lr
    chunk = advice.options.bptt or CHUNK
    warned = []
    if cause == "too high":
        for loss in (3.0, 5.0, 5.0, 5.0):  # near the end of the schedule, where the rate is small
            warned += watch.report(loss, 1.0, 0.0, 0.5, lr / (1 if loss == 3 else 100), lr, advice)
    elif cause in ("too low", "clipped"):
        watch.change = 1e-7 if cause == "too low" else 1e-3
        for loss in (3.0, 2.9, 2.8):
            warned += watch.report(loss, 1e3, float(cause == "clipped"), 0.5, lr, lr, advice)
    elif cause == "not finite":
        warned = watch.skipped(lr, advice)
    elif cause in ("vanishing", "short"):
        curve = [0.1**k if cause == "vanishing" else 1.0 for k in range(chunk)]
        for _ in range(2):
            warned += watch.lags({"1.h": curve}, 0.5, advice, gated)
    elif cause == "overfitting":
        for train, loss in ((2.0, 2.0), (1.9, 2.3), (1.8, 2.4), (1.7, 2.5)):
            watch.train = train
            warned += watch.validation(loss, advice)
    elif cause.startswith("trained"):
        return advice.for_gradient(cause.split()[1], gated, 200)
    else:
        return {"stuck": advice.stuck, "dead": advice.dead}[cause]()
    return warned[0]["cure"] if warned else ""


def recommended(text):
    """Options with the value that is recommended: not those of ``than --lr 3`` and ``in place of --chrono 3``."""
    return re.findall(r"(?<!than )(?<!in place of )(?<!nearer to )--([a-z-]+) ([\w.:e+-]+\w|\d)", text)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("cause", CAUSES)
def test_no_advice_for_what_is_set_or_cannot_be(cause, gated):
    flags = {flag(name) for kind in (TrainingOptions, ModelOptions) for name in option_names(kind)}
    said = 0
    for training, model in every_run():
        advice = Advice(TrainingOptions(**training), model)
        text = cure(cause, advice, gated)
        said += bool(text)
        kept = {name: value for name, value in (training | model).items() if value is not None}
        assert set(re.findall(r"--[\w-]+", text)) <= flags, text  # spelled as on the command line
        assert not any(
            name in text for name in option_names(TrainingOptions) | option_names(ModelOptions) if "_" in name
        )
        for name, value in recommended(text):
            name = name.replace("-", "_")
            if value in ("or", "than", "in", "nearer", "keep"):
                continue
            asked = kept.get(name, getattr(advice.options, name, None))
            assert str(asked) != value and not (isinstance(asked, float) and float(value) == asked), (text, kept)
            changed = {name: type(asked)(value)} if isinstance(asked, int | float) else {name: value}
            if name in option_names(TrainingOptions):
                TrainingOptions(**training | changed)  # it can be done
            elif name in ("chrono", "dropout"):
                ModelOptions(**{k: v for k, v in (model | {name: float(value)}).items() if k != "forget_bias"})
            if name == "clip":
                kind, limit = advice.options.clipping()
                assert kind != "norm" or float(value) < limit
        if cause == "too high" and training["lr"]:
            assert 0 < float(dict(recommended(text))["lr"]) < training["lr"]
        if cause == "too low" and training["lr"]:
            assert float(dict(recommended(text))["lr"]) > training["lr"]
        if training["lr"] == 0:
            assert "smaller --lr" not in text
        for name in ("hidden", "layers"):
            assert model.get(name) != 1 or f"--{name} than" not in text
        for name, value in (("dropout", 0.5), ("chrono", 201.0)):
            assert model.get(name, 0) < value or f"--{name}" not in text or "shorter --chrono" in text, text
        if "chrono" in dict(recommended(text)):
            assert "forget_bias" not in model or "in place of --forget-bias" in text
        if cause == "short":
            assert bool(text) == bool(advice.options.bptt)
        assert not re.search(r"\b1e-324|nan|inf\b|None|, ?[;.]|: *$| or *$|--\w+ than 0(?![.\d])", text), text
    assert said > 20


def test_a_rate_that_the_program_chose_is_its_own_fault():
    own, chosen = (Advice(TrainingOptions(lr=0.1), {}, chosen=names) for names in ((), ("hidden", "lr")))
    for say in (lambda advice: advice.rate_too_high(0.1), lambda advice: advice.rate_too_low(0.1)):
        assert say(chosen) == f"{say(own)}; the rate was the program's choice, which does not suit these data"


def test_advice_of_a_stored_configuration():
    kept = Advice.of({"lr": 0.1, "epochs": 2.0, "unknown": 3}, {"dropout": 0.6})
    assert kept.options.lr == 0.1 and "--dropout" not in kept.overfitting()


WRONG = [
    *({"minutes": v} for v in (0, -1, float("nan"), "x")),
    *({"epochs": v} for v in (0, -1, float("inf"), [])),
    *({"update_every": v} for v in (0, 101, "x", 1.5)),
    *({"weight_decay": v} for v in (-1, "x")),
    *({"save_every": v} for v in (-1, "x")),
    *({name: 0} for name in ("batch", "threads")),
    {"update_every": 50, "carry": False},
    {"minutes": 1.0, "epochs": 1.0},
    {"vocabulary_size": 1},
    {"recurrent_init": "zero"},
    {"forget_bias": float("inf")},
    {"forget_bias": 1.0, "chrono": 9.0},
    {"layers": 100_000},
]


@pytest.mark.parametrize("given", WRONG, ids=str)
def test_mistakes_name_options_as_they_are_spelled(given):
    kinds = TrainingOptions, ModelOptions, TextOptions
    kind = next(kind for kind in kinds if set(given) <= option_names(kind))
    with pytest.raises(UsageError) as caught:
        kind(**given)
    message = str(caught.value)
    assert flag(next(iter(given))) in message and not re.search(r"\b[a-z]+_[a-z]+\b", message)


def test_separate_sequences_are_not_cut_by_bptt():
    """They are read whole, so a longer or shorter window would change nothing."""
    options = TrainingOptions(epochs=1.0, lr=0.01, bptt=100)
    for windows in (True, False):
        advice = Advice(options, {"cell": "elman"}, windows)
        said = advice.chunk_too_short(200) + advice.vanishing(200, 3, gated=False)
        assert ("--bptt" in said) == windows
