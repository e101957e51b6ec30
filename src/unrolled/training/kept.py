"""What a run folder says of its model, and whether new settings agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unrolled.errors import RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.options import flag
from unrolled.runs.folder import RunFolder


def model_options(run: RunFolder) -> ModelOptions:
    """The options of a run's model, with every choice made; RunError if they do not say how large it is."""
    options = run.options(ModelOptions, "model")
    if options.hidden is None or options.layers is None or options.dropout is None:
        raise RunError(f"{run.path / 'config.toml'} is damaged: it does not say how large the model is")
    return options


def check_same(name: str, own: Any, given: Mapping[str, Any], where: str) -> None:
    """UsageError if another value of a setting is given to a run that starts from the weights of ``where``."""
    if name in given and given[name] != own:
        raise UsageError(
            f"{flag(name)}: {where} has {name} {own}, got {given[name]}; a run started from its weights must "
            f"have the same value: leave out {flag(name)} or --from"
        )
