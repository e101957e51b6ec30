"""What looks on while a model is trained."""

import itertools
import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from training.two_tasks import FirstSymbol, Waves, lasting, trainer
from unrolled.errors import RunError
from unrolled.runs.folder import RunFolder
from unrolled.runs.memory import MemoryRun
from unrolled.training.bptt import batch_loss
from unrolled.training.watcher import Watcher


class Counting(Watcher):
    """Writes down when it is called, and warns of every third update."""

    name = "counting"

    def __init__(self):
        self.calls, self.made = [], 0

    def begin(self, task, model, advice, fresh):
        self.calls.append(("begin", fresh))

    @contextmanager
    def differentiating(self, moment, batch):
        self.calls.append(("differentiating", moment.update, len(batch.inputs)))
        yield
        self.calls.append(("differentiated", moment.update))

    @contextmanager
    def stepping(self, moment):
        yield
        self.calls.append(("stepped", moment.update))

    def updated(self, moment):
        self.calls.append(("updated", moment.update))
        self.made += 1
        if self.made % 3 == 0:
            yield {"event": "warning", "cause": "three", "evidence": str(self.made), "cure": "none"}
        yield {"event": "made", "update": moment.update}

    def skipped(self, moment):
        self.calls.append(("skipped", moment.update))
        return ()

    def reported(self, moment, report):
        self.calls.append(("reported", moment.update, report["loss"]))
        return ()

    def validated(self, moment, scores):
        self.calls.append(("validated", moment.update, scores["loss"]))
        return ()

    def look(self, moment, batch, state):
        self.calls.append(("look", moment.update))
        return ()

    def as_json(self):
        return {"made": self.made}

    def restore(self, content):
        self.made = content["made"]


def test_watchers_are_called_in_their_order_and_change_nothing():
    watcher, run, bare = Counting(), MemoryRun(), MemoryRun()
    made, events = trainer(FirstSymbol(), run, [watcher], epochs=1)
    updates = made.run().update
    trainer(FirstSymbol(), bare, [], epochs=1)[0].run()
    assert all(np.array_equal(run.read_model()[0][name], array) for name, array in bare.read_model()[0].items())
    own = [e for e in lasting(run) if e["event"] not in ("made", "warning")]
    assert own == lasting(bare)
    assert [e["update"] for e in run.history() if e["event"] == "made"] == list(range(1, updates + 1))
    warned = [e["evidence"] for e in events if e["event"] == "warning"]
    assert warned == [str(k) for k in range(3, updates + 1, 3)] and not any(e["event"] == "made" for e in events)
    names = [call[0] for call in watcher.calls]
    assert names[:7] == ["begin", "differentiating", "differentiated", "stepped", "updated", "look", "reported"]
    assert watcher.calls[0] == ("begin", True) and watcher.calls[1][:2] == ("differentiating", 0)
    assert names.count("stepped") == names.count("updated") == updates
    reported = [call[1:] for call in watcher.calls if call[0] == "reported"]
    assert reported == [(e["update"], e["loss"]) for e in run.history() if e["event"] == "train"]
    validated = [call[1:] for call in watcher.calls if call[0] == "validated"]
    assert validated == [(e["update"], e["loss"]) for e in run.history() if e["event"] == "validation"] and validated


def test_a_watcher_sees_what_is_skipped():
    updates = itertools.count(1)

    class Odd(Waves):
        def loss(self, model, batch, state):
            made = batch_loss(model, batch, state)
            return replace(made, total=made.total * (math.nan if next(updates) % 4 == 0 else 1))

    watcher = Counting()
    progress = trainer(Odd(), MemoryRun(), [watcher], epochs=2)[0].run()
    skipped = [call[1] for call in watcher.calls if call[0] == "skipped"]
    assert skipped == list(range(4, progress.update + 1, 4)) and len(skipped) == progress.skipped
    stepped = [call[1] for call in watcher.calls if call[0] == "stepped"]
    assert stepped == [k for k in range(progress.update) if (k + 1) % 4]


def test_the_counts_of_a_watcher_are_in_the_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create({"task": "first", "options": {}, "model": {}, "data": {"path": ""}, "training": {}})
    updates = trainer(FirstSymbol(), folder, [Counting()], epochs=1)[0].run().update
    again = Counting()
    trainer(FirstSymbol(), folder, [again], epochs=1)[0].restore()
    assert again.made == updates
    with pytest.raises(RunError, match="damaged"):
        trainer(FirstSymbol(), folder, epochs=1)[0].restore()  # another watcher, of which it knows nothing
