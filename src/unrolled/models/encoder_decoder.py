"""EncoderDecoder: one model reads a sequence, another one writes a sequence that need not be as long."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from unrolled.cells.arguments import kind
from unrolled.layers.constants import Constants
from unrolled.models.initial_state import InitialState, state_shapes
from unrolled.models.model import Model


class EncoderDecoder(nn.Module):
    """Two models, the second of which begins with what the first has read.

    Equation::

        s = encoder(source)        y_t = decoder(input_t), from the states s on

    The states s are the last ones of the encoder's layers, where its head is None; or what they are mapped to, where
    its head is an `InitialState`. To generate, pass ``start(source)`` as ``state=`` to `sample` or `beam_search` of
    ``decoder``.

    Shapes:
        source: the inputs of the encoder, (T, N) or (T, N, width); inputs and outputs: those of the decoder, whose T
        may be another one.

    Arguments:
        encoder: a `Model` with the head None, whose layers have states of the same widths as the decoder's; or one
            with one output, whose head is ``InitialState(..., decoder.stack)``.
        decoder: a `Model`, such as many-to-many with the symbol before each target as its input.

    Raises:
        ValueError: the states of the encoder are not those of the decoder.

    Source:
        I. Sutskever, O. Vinyals & Q. V. Le, "Sequence to sequence learning with neural networks" (2014), for the last
        states; K. Cho et al. (2014), see `InitialState`, for mapped ones.

    >>> encoder = unrolled.Model(unrolled.OneHot(5), unrolled.Stack([unrolled.LSTMCell(5, 8)]), None)
    >>> stack = unrolled.Stack([unrolled.LSTMCell(4, 8)])
    >>> decoder = unrolled.Model(unrolled.OneHot(4), stack, unrolled.Softmax(8, 4))
    >>> model = EncoderDecoder(encoder, decoder)
    >>> source, symbols = torch.zeros(7, 2, dtype=torch.long), torch.zeros(3, 2, dtype=torch.long)
    >>> model(source, symbols, source_lengths=[7, 4])[0].shape
    torch.Size([3, 2, 4])
    """

    def __init__(self, encoder: Model, decoder: Model) -> None:
        super().__init__()
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(part, Model):
                raise ValueError(f"EncoderDecoder: {name} must be an unrolled.Model, got {kind(part)}")
        wanted = state_shapes(decoder.stack)
        if isinstance(encoder.head, InitialState):
            if encoder.graph not in ("many-to-one", "one-to-one"):
                raise ValueError(
                    "EncoderDecoder: an encoder with the head InitialState needs the many-to-one or the one-to-one "
                    f"graph, got {encoder.graph}"
                )
            shapes = encoder.head.shapes
        elif encoder.head is None:
            shapes = state_shapes(encoder.stack)
        else:
            raise ValueError(
                f"EncoderDecoder: the head of the encoder must be an InitialState or None, got {kind(encoder.head)}"
            )
        if shapes != wanted:
            raise ValueError(
                f"EncoderDecoder: the encoder gives states of the shapes {_written(shapes)}, expected those of the "
                f"decoder, {_written(wanted)}; give the encoder the head InitialState(..., decoder.stack)"
            )
        self.encoder, self.decoder = encoder, decoder

    def start(self, source: Tensor, lengths: Any = None, constants: Constants = ()) -> tuple:
        """The states that the decoder begins with.

        Arguments:
            source, lengths, constants: inputs, lengths and constants of the encoder, as in `Model`.
        """
        output, last = self.encoder(source, lengths=lengths, constants=constants)
        state: tuple = last if self.encoder.head is None else output
        return state

    def forward(
        self,
        source: Tensor,
        inputs: Tensor,
        source_lengths: Any = None,
        source_constants: Constants = (),
        **of_the_decoder: Any,
    ) -> tuple[Any, Any]:
        """The outputs and the last states of the decoder.

        Arguments:
            source, source_lengths, source_constants: as in `start`.
            inputs: of the decoder.
            of_the_decoder: its other arguments, such as ``lengths``, ``previous`` and ``constants``, as in `Model`.
        """
        if "state" in of_the_decoder:
            raise ValueError("EncoderDecoder: state must not be passed, since the encoder gives it")
        state = self.start(source, source_lengths, source_constants)
        return self.decoder(inputs, state, **of_the_decoder)


def _written(shapes: Any) -> str:
    """Nested shapes with each one as a list."""
    return repr(_plain(shapes))


def _plain(shapes: Any) -> Any:
    return list(shapes) if hasattr(shapes, "numel") else tuple(map(_plain, shapes))
