"""What stands between pictures and the network that writes: places and what is seen there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CHANNELS = (16, 32, 64, 96, 96)
_STRIDES = (1, 2, 2, 2, 1)
_GROUPS = 8
_STRIDE = 8
"""Pixels from one place of the grid to the next."""
_MEAN, _SCALE = (127.5,) * 3, (64.0,) * 3
_PARTS = (1, 2, 4)
"""Into how many parts each side of a grid is cut."""


class Convnet(nn.Module):
    """A small convolutional network that is trained from scratch.

    Equation::

        y = (pixels - mean) / scale   y = relu(group_norm(W * y))  five times, 3 x 3, the middle three with stride 2
        g_k = relu(V y_k + b)         for each place k

    Shapes:
        pictures (P, S, S, 3) bytes; output (P, K, A) with K = (S / 8)^2 places.

    Arguments:
        size: S. width: A. mean, scale: of each colour, in the pictures that are trained on: most of a picture, such
            as its background, should be near 0, so that what differs is not small beside what does not.

    >>> Convnet(32, 24)(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape
    torch.Size([2, 16, 24])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        size: int,
        width: int,
        mean: Sequence[float] = _MEAN,
        scale: Sequence[float] = _SCALE,
    ) -> None:
        super().__init__()
        self.places, self.output_size = (size // _STRIDE) ** 2, width
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        channels = (3, *_CHANNELS)
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise(channels), _STRIDES, strict=True):
            convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            layers += [convolution, nn.GroupNorm(_GROUPS, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.map = _linear(_CHANNELS[-1], width)

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures - self.mean) / self.scale
        y = self.layers(x.permute(0, 3, 1, 2))
        return torch.relu(self.map(y.flatten(2).transpose(1, 2)))


class Projection(nn.Module):
    """Features of another network, normalised and mapped to fewer channels.

    Equation::

        y_k = relu(W layer_norm(x_k) + b)

    Shapes:
        grids (P, K, C) of any floats; output (P, K, A).

    Arguments:
        places, channels, width: K, C, A.

    >>> Projection(49, 1280, 128)(torch.zeros(2, 49, 1280, dtype=torch.float16)).shape
    torch.Size([2, 49, 128])
    """

    def __init__(self, places: int, channels: int, width: int) -> None:
        super().__init__()
        self.places, self.output_size = places, width
        self.norm, self.map = nn.LayerNorm(channels), _linear(channels, width)

    def forward(self, grids: Tensor) -> Tensor:
        return torch.relu(self.map(self.norm(grids.to(self.map.weight.dtype))))


class Summary(nn.Module):
    """One vector for a grid: what is seen anywhere, in each quarter, and in each sixteenth of it.

    Equation::

        v = layer_norm(W [max_k g_k over the whole ; over each of 2 x 2 parts ; over each of 4 x 4 parts] + b)

    Shapes:
        grid (P, K, A), K = S^2 places, row after row, or any other number, of the whole alone; output (P, D).

    Arguments:
        places, grid_size, output_size: K, A, D.

    Source:
        K. He, X. Zhang, S. Ren & J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual
        recognition" (2014).

    >>> Summary(49, 8, 20)(torch.zeros(2, 49, 8)).shape
    torch.Size([2, 20])
    """

    def __init__(self, places: int, grid_size: int, output_size: int) -> None:
        super().__init__()
        side = math.isqrt(places)
        self.shape = (side, side) if side**2 == places else (places, 1)
        self.levels, self.output_size = [parts for parts in _PARTS if parts <= self.shape[1]], output_size
        self.map = _linear(grid_size * sum(parts**2 for parts in self.levels), output_size)
        self.norm = nn.LayerNorm(output_size)

    def forward(self, grid: Tensor) -> Tensor:
        square = grid.transpose(1, 2).unflatten(2, self.shape)
        parts = [F.adaptive_max_pool2d(square, count).flatten(1) for count in self.levels]
        return self.norm(self.map(torch.cat(parts, dim=1)))


def _linear(width: int, output_size: int) -> nn.Linear:
    """A map that keeps the size of what it is given, as torch's own first weights do not."""
    made = nn.Linear(width, output_size)
    nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
    nn.init.zeros_(made.bias)
    return made
