"""Patterns, states and weights from outside: what they must be, and what to do if they are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import UsageError


def as_rows(what: str, given: Any, dtype: torch.dtype, width: int | None = None) -> Tensor:
    """Rows of numbers as a tensor (R, N), a copy; one row may come alone.

    Raises:
        UsageError: it holds no numbers, rows of different lengths, none at all, or other than ``width``.
    """
    if isinstance(given, list | tuple) and given and all(isinstance(g, Tensor | np.ndarray | list) for g in given):
        sizes = [np.shape(g) for g in given]
        for k, size in enumerate(sizes):
            if size != sizes[0]:
                raise UsageError(
                    f"Hopfield: {what} have different sizes: the first is {_size(sizes[0])}, number {k + 1} is "
                    f"{_size(size)}; resize them to one size"
                )
        given = torch.stack([torch.as_tensor(np.asarray(g)) for g in given])
    try:
        rows = torch.as_tensor(given if isinstance(given, Tensor) else np.asarray(given))
        if rows.is_complex():
            raise TypeError("complex numbers")
        rows = rows.detach().to(dtype=dtype, device="cpu", copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"Hopfield: {what} must be numbers, (P, N); got {type(given).__name__}") from error
    if rows.dim() == 1:
        rows = rows[None]
    if rows.dim() > 2:
        rows = rows.flatten(1)
    if rows.dim() != 2 or not rows.numel():
        raise UsageError(
            f"Hopfield: {what} are empty, shape {tuple(rows.shape)}; give at least one, with one number per unit"
        )
    if width is not None and rows.shape[1] != width:
        raise UsageError(f"Hopfield: {what} have {rows.shape[1]:,} units, the network has {width:,}")
    if not bool(torch.isfinite(rows).all()):
        raise UsageError(f"Hopfield: {what} contain a value that is not a finite number")
    return rows


def in_range(what: str, rows: Tensor, units: str, phi: str) -> Tensor:
    """The rows, if their values are such as the units can take.

    Raises:
        UsageError: a value outside.
    """
    low, high = (0, 1) if phi == "logistic" else (-1, 1)
    if units == "binary":
        if bool((rows.abs() != 1).any()):
            bad = float(rows[rows.abs() != 1][0])
            hint = "; for zeros and ones, give 2.0 * x - 1" if bad == 0 else "; units='graded' takes values between"
            raise UsageError(f"Hopfield: {what} of binary units must be -1 or 1, one value is {bad:g}{hint}")
    elif bool(((rows < low) | (rows > high)).any()):
        bad = float(rows[(rows < low) | (rows > high)][0])
        raise UsageError(f"Hopfield: {what} of these units must be from {low} to {high}, one value is {bad:g}")
    return rows


def as_threshold(given: Any, N: int, dtype: torch.dtype) -> Tensor:
    """Theta (N,), from one number or N."""
    try:
        theta = torch.as_tensor(given, dtype=dtype).detach().clone().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"Hopfield: threshold must be a number, or one per unit; got {type(given).__name__}"
        ) from error
    if len(theta) not in (1, N):
        raise UsageError(f"Hopfield: threshold has {len(theta)} values; give one, or one for each of the {N} units")
    if not bool(torch.isfinite(theta).all()):
        raise UsageError("Hopfield: threshold contains a value that is not a finite number")
    return theta.expand(N).clone()


def as_weights(given: Any, dtype: torch.dtype) -> Tensor:
    """W (N, N).

    Raises:
        UsageError: it is not square.
    """
    W = as_rows("weights", given, dtype)
    if W.shape[0] != W.shape[1]:
        raise UsageError(f"Hopfield: weights have shape {tuple(W.shape)}, expected (N, N)")
    return W


def as_options(rule: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a rule, checked."""
    known = {"perceptron": {"margin", "symmetric", "epochs"}, "dense": {"degree"}}.get(rule, set())
    for name in options:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"Hopfield: rule={rule!r} has no option {name!r}; it has {there}")
    for name in ("degree", "epochs"):
        value = options.get(name, 2)
        if isinstance(value, bool) or not isinstance(value, int) or value < (2 if name == "degree" else 1):
            raise UsageError(
                f"Hopfield: {name} must be a whole number, degree from 2 and epochs from 1; got {value!r}"
            )
    margin = options.get("margin", 0.0)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < math.inf:
        raise UsageError(f"Hopfield: margin must be a number from 0, got {margin!r}")
    return dict(options)


def one_of(name: str, given: object, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise UsageError(f"Hopfield: {name} must be one of {', '.join(allowed)}; got {given!r}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"
