"""What the tests of tasks share: a model that has learnt something of the text, and a clock that obeys."""

from types import SimpleNamespace

import pytest

import unrolled
from helpers import TINY
from unrolled.tasks.text.task import TextTask
from unrolled.training import loop


@pytest.fixture(scope="package")
def trained(text, tmp_path_factory):
    """A small model that has learnt something."""
    run = tmp_path_factory.mktemp("runs") / "tables"
    options = TINY | {"hidden": 48, "batch": 4, "bptt": 25}
    return unrolled.fit(text, run, epochs=12, **options)


@pytest.fixture
def clock(monkeypatch):
    """The training loop's clock: it moves by ``update`` seconds in an update, ``validation`` in a validation."""
    made = SimpleNamespace(now=0.0, update=1.0, validation=0.0)
    loss, validate = TextTask.loss, TextTask.validate

    def slow_loss(self, model, window, state):
        made.now += made.update * ((window.counted or 1) > 1)  # not in the probe's passes
        return loss(self, model, window, state)

    def slow_validate(self, model, whole, tell=None):
        made.now += made.validation
        return validate(self, model, whole, tell)

    monkeypatch.setattr(TextTask, "loss", slow_loss)
    monkeypatch.setattr(TextTask, "validate", slow_validate)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made
