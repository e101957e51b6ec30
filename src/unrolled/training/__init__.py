"""Training: tasks, batches, backpropagation through time, the loop, checkpoints.

The names that a task of one's own needs are imported when first used.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Batch": "training.batches",
    "Batches": "training.batches",
    "DataError": "errors",
    "EmptyPartError": "errors",
    "Evidence": "training.task",
    "Loss": "training.losses",
    "Metric": "training.metric",
    "Padded": "training.padded",
    "Shown": "training.task",
    "Streams": "training.streams",
    "Task": "training.task",
    "batch_loss": "training.bptt",
    "build_stack": "models.build",
    "option": "options",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unrolled.training' has no attribute {name!r}")
    return getattr(import_module(f"unrolled.{_HOME[name]}"), name)
