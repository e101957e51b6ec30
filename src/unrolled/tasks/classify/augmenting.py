"""Changes of sequences that leave their label as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from unrolled.errors import UsageError
from unrolled.tasks.classify.symbols import Symbols
from unrolled.training.batches import Batch

REPLACED = 0.1
"""The share of letters or words that are replaced."""
NOISE = 0.3
"""The standard deviation of what is added to values of variance 1."""
SHIFT = 2
"""The most steps that are cut off at either end."""


Change = Callable[[Batch, np.random.Generator], Batch]


def in_order(changes: Sequence[Change]) -> Change:
    """One change after the other."""

    def change(batch: Batch, random: np.random.Generator) -> Batch:
        for one in changes:
            batch = one(batch, random)
        return batch

    return change


def change_of(how: str, symbols: Symbols, by_step: bool) -> Change:
    """The change that a setting names.

    ``shift`` cuts up to two steps off either end. ``noise`` replaces one letter or word in ten by another one, drawn
    evenly, or adds to values of variance 1 a normal one of standard deviation 0.3. ``reverse-complement`` reads
    every second sequence of DNA from its other strand.

    Raises:
        UsageError: the change does not fit the data.
    """
    if how == "reverse-complement":
        if symbols.units != "dna" or by_step:
            kind = "labels of steps" if by_step else symbols.units
            raise UsageError(f"--augment reverse-complement: is for labelled sequences of DNA, and these have {kind}")
        assert symbols.alphabet is not None
        table = torch.from_numpy(symbols.alphabet.complements)
        return lambda batch, random: _other_strand(batch, random, table)
    if how == "shift":
        if by_step:
            raise UsageError("--augment shift: is for labels of whole sequences, and these have one a step")
        return _shifted
    if symbols.units == "values":
        return _noisy
    plain = len(symbols.alphabet.plain) if symbols.alphabet else len(symbols.names)
    return lambda batch, random: _replaced(batch, random, plain)


def _shifted(batch: Batch, random: np.random.Generator) -> Batch:
    assert batch.lengths is not None
    T, N = batch.inputs.shape[:2]
    starts, ends = torch.from_numpy(random.integers(0, SHIFT + 1, (2, N))).to(batch.lengths)
    short = batch.lengths <= 4 * SHIFT
    starts, ends = starts.masked_fill(short, 0), ends.masked_fill(short, 0)
    rows = (torch.arange(T, device=starts.device)[:, None] + starts) % T
    return replace(batch, inputs=batch.inputs[rows, torch.arange(N)], lengths=batch.lengths - starts - ends)


def _noisy(batch: Batch, random: np.random.Generator) -> Batch:
    noise = torch.from_numpy(random.standard_normal(tuple(batch.inputs.shape), dtype=np.float32))
    return replace(batch, inputs=batch.inputs + NOISE * noise.to(batch.inputs))


def _replaced(batch: Batch, random: np.random.Generator, plain: int) -> Batch:
    shape = tuple(batch.inputs.shape)
    others = torch.from_numpy(random.integers(0, plain, shape)).to(batch.inputs)
    chosen = torch.from_numpy(random.random(shape) < REPLACED).to(batch.inputs.device)
    return replace(batch, inputs=torch.where(chosen, others, batch.inputs))


def _other_strand(batch: Batch, random: np.random.Generator, table: torch.Tensor) -> Batch:
    assert batch.lengths is not None
    inputs = batch.inputs.clone()
    table = table.to(inputs)
    for n in np.flatnonzero(random.random(inputs.shape[1]) < 0.5):
        T = int(batch.lengths[n])
        inputs[:T, n] = table[inputs[:T, n].long()].flip(0)
    return replace(batch, inputs=inputs)
