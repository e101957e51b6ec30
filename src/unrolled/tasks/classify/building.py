"""The model of a classification, and the choices that a person left to the program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.layers import Stack, TimeWindow
from unrolled.models.build import build_stack
from unrolled.models.encoders import Embedding, Mixture, Positions, Vectors
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.models.pooling import AttentionPool, ConcatPool, MaxPool, MeanPool, Pool, PositionPool
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.symbols import Symbols
from unrolled.training.options import TrainingOptions

WAVES = 16
_EMBEDDING = 64
_FEW = 2_000
"""Sequences up to which a training part is small."""
_TINY = 200
"""Sequences up to which it is so small that a run takes seconds."""
_UPDATES = 1_500
"""Of a run on much data; on few, every sequence is read `_MOST_EPOCHS` times at most."""
_MOST_EPOCHS = 60
_CONTEXT = 3
"""Neighbours on either side that each letter is read with, where sequences are few."""
_STEPS_PER_SECOND = 10_000
"""That a budget counts on."""
_MOST_MINUTES = 5.0
_FEWEST, _MOST_STEPS = 20, 2_000_000
"""Sequences from which on, and steps of training up to which, places are tried by cross-validation."""


def choose(options: ClassifyOptions, symbols: Symbols, lengths: np.ndarray, by_step: bool) -> ClassifyOptions:
    """Fill in pool, places, context, augmentation, and seeds of a fold.

    Sequences of one length are taken to be aligned: then places have a meaning. A network that sees few sequences
    has less to learn by heart where they are changed each time, and finds short patterns of letters more easily
    where it reads each letter between its neighbours.

    Arguments:
        lengths: of the training part.
    """
    aligned = len(lengths) > 1 and bool((lengths == lengths[0]).all())
    pool = None if by_step else options.pool or _pool(symbols, aligned)
    places = options.places if options.places is not None else aligned
    context, augment = 0, "none"
    if len(lengths) <= _FEW and not by_step:
        if symbols.alphabet:
            context, augment = _CONTEXT, "shift,noise"
        elif symbols.units == "values":
            augment = "noise"
    context = options.context if options.context is not None else context
    seeds = options.seeds
    if options.folds is not None:
        seeds = seeds or (5 if len(lengths) <= _TINY else 3 if len(lengths) <= _FEW else 1)
    augment = options.augment or augment
    return replace(options, pool=pool, places=places, context=context, augment=augment, seeds=seeds)


def _pool(symbols: Symbols, aligned: bool) -> str:
    if symbols.alphabet:
        return "mean,max,attention"
    return "position" if aligned else "mean" if symbols.units == "values" else "max"


def with_and_without_places(
    options: ClassifyOptions, training: TrainingOptions, steps: int, sequences: int
) -> dict[str, ClassifyOptions]:
    """What a small training part is to decide, where trying both takes little time.

    Arguments:
        options: as `choose` made them. steps, sequences: of the training part.
    """
    is_short = training.epochs is not None and training.epochs * steps <= _MOST_STEPS and training.minutes is None
    if not (_FEWEST <= sequences <= _TINY and is_short and options.places) or "position" in options.pools():
        return {}
    return {"with places": options, "without places": replace(options, places=False)}


def sizes(
    model: ModelOptions, training: TrainingOptions, steps: int, sequences: int
) -> tuple[ModelOptions, TrainingOptions]:
    """Fill in sizes and the budget: small and in both directions, and longer where there is more to learn."""
    few, tiny = sequences <= _FEW, sequences <= _TINY
    model = replace(
        model,
        direction=model.direction or "both",
        hidden=model.hidden or (16 if tiny else 32 if few else 64),
        dropout=model.dropout if model.dropout is not None else (0.5 if few else 0.3),
    )
    batch = training.batch or (32 if few and not tiny else 64)
    if training.minutes is None and training.epochs is None:
        epochs = min(_MOST_EPOCHS, max(3, round(_UPDATES * batch / sequences)))
        if epochs * steps > 60 * _MOST_MINUTES * _STEPS_PER_SECOND:
            training = replace(training, minutes=_MOST_MINUTES)
        else:
            training = replace(training, epochs=float(epochs))
    if training.lr is None and training.is_adam:
        training = replace(training, lr=0.02 if tiny else 0.01 if few else 0.005)
    return model, replace(training, batch=batch)


def build_model(
    cell: type[Cell],
    options: ModelOptions,
    for_use: bool,
    task: ClassifyOptions,
    symbols: Symbols,
    by_step: bool,
    steps: int,
    counts: np.ndarray,
) -> Model:
    """Encoder, recurrent layers, pool and `Softmax`.

    Arguments:
        steps: of the longest sequence. counts: of each label in the training part.
    """
    encoder: Any
    if symbols.units == "values":
        encoder = Vectors(len(symbols.mean))
    elif symbols.alphabet:
        encoder = Mixture(symbols.alphabet.rows)
    else:
        encoder = Embedding(len(symbols.names), _EMBEDDING)
    alone = encoder.output_size
    if task.places:
        encoder = Positions(encoder, steps, WAVES)
    if task.context:
        window = TimeWindow(encoder.output_size, task.context, of=alone)
        stack = build_stack(cell, window.output_size, options, for_use)
        stack = Stack([window, *stack.layers], stack.dropout if len(stack.layers) > 1 else 0.0)
    else:
        stack = build_stack(cell, encoder.output_size, options, for_use)
    weights = None
    if task.class_weights == "balanced":
        seen = np.maximum(counts, 1)
        weights = seen.sum() / (len(seen) * seen)
    assert options.dropout is not None
    H = stack.output_size
    if by_step:
        return Model(encoder, stack, Softmax(H, len(counts), weights), dropout=options.dropout)
    names = task.pools()
    head = Softmax(H * len(names), len(counts), weights)
    pool = None if names == ["last"] else ConcatPool(H, [_made(name, H, steps) for name in names])
    return Model(encoder, stack, head, "many-to-one", dropout=options.dropout, pool=pool)


def _made(name: str, H: int, steps: int) -> Pool:
    made: dict[str, Any] = {"mean": MeanPool, "max": MaxPool}
    made |= {"attention": lambda: AttentionPool(H), "position": lambda: PositionPool(H, steps)}
    pool: Pool = made[name]()
    return pool
