"""The built-in cells in JAX: the same equations under lax.scan, compiled. Needs jax.

Input products of all steps are one product before the scan, which is what a person who knows JAX writes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from torch import Tensor

NAMES = ("x", "x.weight", "h.weight", "x.bias")
"""Arguments of every function here: the input (T, N, D), then the weights as the layers of unrolled name them."""


def lstm(x, W, U, b):
    N, H = x.shape[1], U.shape[1]

    def step(state, a_x):
        h, c = state
        a_i, a_f, a_g, a_o = jnp.split(a_x + h @ U.T, 4, axis=-1)
        c = jax.nn.sigmoid(a_f) * c + jax.nn.sigmoid(a_i) * jnp.tanh(a_g)
        h = jax.nn.sigmoid(a_o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (jnp.zeros((N, H)), jnp.zeros((N, H))), x @ W.T + b)[1]


def elman(x, W, U, b):
    def step(h, a_x):
        h = jnp.tanh(a_x + h @ U.T)
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[1], U.shape[1])), x @ W.T + b)[1]


def gru(x, W, U, b):
    H = U.shape[1]
    U_rz, U_n = U[: 2 * H], U[2 * H :]

    def step(h, a_x):
        r, z = jnp.split(jax.nn.sigmoid(a_x[:, : 2 * H] + h @ U_rz.T), 2, axis=-1)
        n = jnp.tanh(a_x[:, 2 * H :] + (r * h) @ U_n.T)
        h = z * h + (1 - z) * n
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[1], H)), x @ W.T + b)[1]


CELLS = {"lstm": lstm, "elman": elman, "gru": gru}


class Scan:
    """One cell on one input: what `competitors.Side` is for torch."""

    def __init__(self, cell: str, x: Tensor, upstream: Tensor, weights: dict[str, Tensor]) -> None:
        function, g = CELLS[cell], _array(upstream)
        given = {"x": x, **weights}
        self.arguments = [_array(given[name]) for name in NAMES]

        def loss(*arguments):
            return (function(*arguments) * g).sum()

        self._forward = jax.jit(function)
        self._train = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(NAMES)))))

    def forward(self) -> jax.Array:
        return self._forward(*self.arguments).block_until_ready()

    def train(self) -> tuple:
        return jax.block_until_ready(self._train(*self.arguments))

    def results(self) -> dict[str, Tensor]:
        """The output and every gradient, by name."""
        y, (_, gradients) = self.forward(), self.train()
        named = {"y": y, "y without gradients": y} | {f"d{name}": d for name, d in zip(NAMES, gradients, strict=True)}
        return {name: torch.from_numpy(np.array(value)) for name, value in named.items()}


def _array(tensor: Tensor) -> jax.Array:
    return jnp.array(tensor.detach().numpy())
