"""Convolution: each output sees a few neighbouring steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.layers.checks import ended, shown
from unrolled.layers.layer import Layer


class Convolution(Layer):
    """A convolution over time: one weight matrix for each of k neighbouring steps.

    Equation::

        y_t = sum_{j=0}^{k-1} W_j x_{st - p + j} + b        x_t = 0 outside of the sequence
        causal: s = 1, p = k - 1, so that y_t sees x_{t-k+1} to x_t

    Each sequence is convolved as if it were alone: steps from its end on count as zeros. Its n steps become
    floor((n + 2p - k) / s) + 1, or n if causal; none where that is not positive, or n is 0. A reset separates two
    sequences, and neither sees the other's steps.

    A causal convolution can run as a stream: its state is the last k - 1 inputs. One that is not causal needs the
    whole sequence, and `step` is an error.

    Shapes:
        x (T, N, D); output (T', N, H), zero from each sequence's end on; state: causal, one tensor (N, k - 1, D),
        zeros at the start; otherwise none. resets (T, N), only with T' = T.

    Arguments:
        input_size, output_size: D, H.
        kernel: k.
        stride: s.
        padding: p, zeros on either side of each sequence.
        causal: see above; without stride and padding.
        bias: whether there is a b.

    Cost:
        D floats per step saved for the backward pass; kD with resets.

    Raises:
        ValueError: an argument does not fit, or x is shorter than the kernel.

    Source:
        A. Waibel et al., "Phoneme recognition using time-delay neural networks" (1989), without the nonlinearity;
        causal: A. van den Oord et al., "WaveNet: a generative model for raw audio" (2016), section 2.1, without
        dilation.

    >>> layer = Convolution(4, 3, kernel=3, causal=True)
    >>> y, (last_inputs,) = layer(torch.zeros(5, 2, 4))
    >>> y.shape, last_inputs.shape
    (torch.Size([5, 2, 3]), torch.Size([2, 2, 4]))
    >>> Convolution(4, 3, kernel=3, stride=2).output_lengths([5, 2, 0])
    tensor([2, 0, 0])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        causal: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(
            whole("Convolution", "input_size", input_size), whole("Convolution", "output_size", output_size)
        )
        self.kernel = whole("Convolution", "kernel", kernel)
        self.stride = whole("Convolution", "stride", stride)
        self.padding = whole("Convolution", "padding", padding, least=0)
        self.causal = causal
        if causal and (self.stride, self.padding) != (1, 0):
            raise ValueError(
                "Convolution: causal=True has one output for each step and its own padding, so it needs stride=1 and "
                f"padding=0, got {self.stride} and {self.padding}; for fewer steps put a TimeReduction behind it"
            )
        self.weight = nn.Parameter(torch.empty(self.output_size, self.input_size, self.kernel))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(self.output_size)) if bias else None

    @property
    def streams(self) -> bool:  # type: ignore[override]
        return self.causal

    @property
    def keeps_steps(self) -> bool:
        return self.causal or (self.stride == 1 and 2 * self.padding == self.kernel - 1)

    def output_lengths(self, lengths: Any) -> Any:
        lengths = super().output_lengths(lengths)
        if self.keeps_steps:
            return lengths
        left = (lengths + 2 * self.padding - self.kernel) // self.stride + 1
        return (left.clamp(min=0) if isinstance(left, Tensor) else max(left, 0)) * (lengths > 0)

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple:
        like = self.weight if like is None else like
        return (like.new_zeros(batch, self.kernel - 1, self.input_size),) if self.causal else ()

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The convolved steps; their lengths are `output_lengths`. The state is that at each sequence's own end."""
        lengths, resets = self._checked(x, lengths, resets)
        before, after = self._around(x, state)
        T = x.shape[0]
        x = torch.cat([before, ended(x, lengths), after])
        if resets is None:
            y = F.conv1d(x.permute(1, 2, 0), self.weight, self.bias, self.stride).permute(2, 0, 1)
        else:
            sequence = F.pad(resets.cumsum(0), (0, 0, len(before), 0))  # each sequence's number, 0 for the first
            sequence = torch.cat([sequence, sequence[-1:].expand(len(after), -1)])
            y = self._apart(x, sequence, T)
        if lengths is not None:
            y = ended(y, self.output_lengths(lengths))
        if not self.causal:
            return y, ()
        ends = torch.full_like(x[0, :, 0], T, dtype=torch.long) if lengths is None else lengths
        return y, (self._last(x, ends, None if resets is None else sequence),)

    def _around(self, x: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        """What comes before and after x: the state (k - 1, N, D) and nothing, or zeros (p, N, D)."""
        N = x.shape[1]
        if not self.causal:
            self._check_no_state(state)
            if not torch.jit.is_tracing() and not self.output_lengths(x.shape[0]):
                least = max(1, self.kernel - 2 * self.padding)
                raise ValueError(
                    f"Convolution: x has shape {tuple(x.shape)}, expected T of at least {least} for "
                    f"kernel={self.kernel} and padding={self.padding}"
                )
            zeros = x.new_zeros(self.padding, N, self.input_size)
            return zeros, zeros
        if state is None:
            state = self.initial_state(N, x)
        if not isinstance(state, tuple | list) or len(state) != 1 or not isinstance(state[0], Tensor):
            raise ValueError(
                f"Convolution: state must be a tuple with the last inputs, got {shown(state)}. "
                "Pass None for a fresh start."
            )
        expected = (N, self.kernel - 1, self.input_size)
        if not torch.jit.is_tracing() and tuple(state[0].shape) != expected:
            raise ValueError(
                f"Convolution: state has shape {tuple(state[0].shape)}, expected (N, k - 1, D) = {expected}"
            )
        if state[0].dtype != x.dtype or state[0].device != x.device:
            raise ValueError(
                f"Convolution: state is {state[0].dtype} on {state[0].device}, but x is {x.dtype} on {x.device}"
            )
        return state[0].transpose(0, 1), x[:0]

    def _apart(self, x: Tensor, sequence: Tensor, T: int) -> Tensor:
        """The outputs (T, N, H), each of the steps of its own sequence alone."""
        own = sequence[self.kernel - 1 if self.causal else self.padding :][:T]
        windows = x.unfold(0, self.kernel, 1)  # (T, N, D, k)
        visible = sequence.unfold(0, self.kernel, 1) == own[..., None]
        windows = torch.where(visible[:, :, None], windows, 0)
        return F.linear(windows.flatten(2), self.weight.flatten(1), self.bias)

    def _last(self, x: Tensor, ends: Tensor, sequence: Tensor | None) -> Tensor:
        """The k - 1 inputs (N, k - 1, D) before each sequence's end; zeros from before its last reset."""
        rows = ends + torch.arange(self.kernel - 1, device=x.device)[:, None]
        last = x.gather(0, rows[..., None].expand(-1, -1, x.shape[2]))
        if sequence is not None and self.kernel > 1:
            numbers = sequence.gather(0, rows)
            last = torch.where((numbers == numbers[-1])[..., None], last, 0)
        return last.transpose(0, 1).contiguous()

    def extra_repr(self) -> str:
        options = (
            *([f"stride={self.stride}"] if self.stride > 1 else []),
            *([f"padding={self.padding}"] if self.padding else []),
            *(["causal=True"] if self.causal else []),
            *(["bias=False"] if self.bias is None else []),
        )
        return ", ".join([f"{self.input_size}, {self.output_size}, kernel={self.kernel}", *options])
