"""Models that begin with given states: those of a vector, and those of another model."""

import pytest
import torch

import unrolled
from unrolled import Bidirectional, Embedding, Linear, Model, Regression, Softmax, Stack
from unrolled.layers import Convolution, LayerNorm
from unrolled.models import EncoderDecoder, InitialState, MeanPool

V, W, D, H, N = 6, 9, 4, 5, 3


def decoder_stack():
    return Stack([Convolution(D, D, 3, causal=True), unrolled.LSTMCell(D, H), LayerNorm(H), unrolled.GRUCell(H, 2)])


def test_every_state_is_a_map_of_the_vector():
    torch.manual_seed(0)
    start = InitialState(7, decoder_stack()).double()
    v = torch.randn(N, 7, dtype=torch.float64)
    (inputs,), (h1, c1), empty, (h3,) = start(v)
    W, b = start.map.weight, start.map.bias
    mapped = torch.stack([torch.tanh(W @ row + b) for row in v])
    torch.testing.assert_close(torch.cat([h1, c1, h3], 1), mapped)
    assert inputs.shape == (N, 2, D) and not inputs.any() and empty == ()
    assert len(b) == H + H + 2


@pytest.mark.filterwarnings("ignore:Matrix runs step by step")
def test_states_of_any_shape_and_of_both_directions():
    class Matrix(unrolled.Cell):
        state = ("h", "m")

        def state_shapes(self):
            return {"h": (2,), "m": (2, 3)}

        def step(self, x, h, m):
            return h, m

    torch.manual_seed(0)
    stack = Stack([Bidirectional(Matrix(D, 2), unrolled.GRUCell(D, H))])
    start = InitialState(7, stack)
    v = torch.randn(N, 7)
    (((h, m), (back,)),) = start(v)
    torch.testing.assert_close(torch.cat([h, m.flatten(1), back], 1), torch.tanh(start.map(v)))
    stack(torch.zeros(2, N, D), start(v))


def test_an_image_begins_a_caption():
    """The model of the picture has a single step; its outputs are the states of the decoder."""
    torch.manual_seed(0)
    decoder = Model(Embedding(V, D), decoder_stack(), Softmax(2, V))
    start = InitialState(7, decoder.stack)
    v, symbols = torch.randn(N, 7), torch.randint(V, (4, N))
    scores, _ = decoder(symbols, start(v))
    state = start(v)
    for symbol, truth in zip(symbols, scores, strict=True):
        y, state = decoder.step(symbol, state)
        torch.testing.assert_close(y, truth)
    assert not torch.allclose(scores, decoder(symbols)[0])
    decoder.head.loss(scores, symbols)[0].backward()
    assert start.map.weight.grad.abs().sum() > 0


def models(encoder_head, encoder_layers, graph="many-to-one", pool=None):
    torch.manual_seed(0)
    decoder = Model(Embedding(V, D), Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 4)]), Softmax(4, V))
    stack = Stack(encoder_layers)
    head = InitialState(stack.output_size, decoder.stack) if encoder_head else None
    return Model(Embedding(W, D), stack, head, graph, pool=pool), decoder


ENCODERS = {
    "last states": lambda: models(False, [unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 4)], "many-to-many"),
    "mapped": lambda: models(True, [Bidirectional(unrolled.GRUCell(D, 3), unrolled.LSTMCell(D, 2))]),
    "pooled": lambda: models(True, [unrolled.GRUCell(D, 3), LayerNorm(3)], pool=MeanPool()),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_begins_a_decoder(name):
    """Sources and targets of different lengths, NaN nowhere: each pair of sequences as if it were alone."""
    encoder, decoder = ENCODERS[name]()
    model = EncoderDecoder(encoder, decoder).double()
    source, inputs, targets = torch.randint(W, (7, N)), torch.randint(V, (4, N)), torch.randint(V, (4, N))
    source_lengths, lengths = [7, 2, 5], [1, 4, 3]
    poisoned = torch.where(torch.arange(7)[:, None] < torch.tensor(source_lengths), source, -1)
    counted = torch.arange(4)[:, None] < torch.tensor(lengths)
    y, last = model(poisoned, torch.where(counted, inputs, -1), source_lengths, lengths=lengths)
    total = decoder.head.loss(y, targets, counted)[0]
    alone = 0.0
    for n, (a, b) in enumerate(zip(source_lengths, lengths, strict=True)):
        output, states = encoder(source[:a, n : n + 1])
        state = states if encoder.head is None else output
        own, end = decoder(inputs[:b, n : n + 1], state)
        torch.testing.assert_close(y[:b, n : n + 1], own)
        torch.testing.assert_close(last[1][0][n : n + 1], end[1][0])
        alone = alone + decoder.head.loss(own, targets[:b, n : n + 1])[0]
    wanted = list(model.parameters())
    for a, b in zip(torch.autograd.grad(total, wanted), torch.autograd.grad(alone, wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_what_was_read_is_sampled_and_searched():
    """The engine's loop begins with the given states too."""
    encoder, decoder = ENCODERS["last states"]()
    model = EncoderDecoder(encoder, decoder).double()
    for p in model.parameters():
        torch.nn.init.normal_(p)
    source, begin = torch.randint(W, (7, 1)), torch.tensor([[0]])
    state = model.start(source)
    made = list(unrolled.sample(decoder, begin, 10, temperature=0, state=state))
    scores, _ = model(source, torch.tensor([0, *made])[:, None])
    assert made == scores[:-1, 0].argmax(1).tolist()
    best, *_ = unrolled.beam_search(decoder, begin, 3, width=4, state=state)
    logs = torch.log_softmax(model(source, torch.tensor([0, *best.symbols])[:, None])[0][:, 0].detach(), 1)
    total = sum(float(logs[k, symbol]) for k, symbol in enumerate(best.symbols))
    assert best.log_probability == pytest.approx(total, abs=1e-10)


def test_one_to_many_decoders_and_pictures():
    """A picture as a one-to-one encoder; the decoder's other arguments reach it."""
    torch.manual_seed(0)
    decoder = Model(Linear(2, D), Stack([unrolled.LSTMCell(D, H)]), Softmax(H, V), "one-to-many", Embedding(V, D))
    stack = Stack([unrolled.ElmanCell(8, 6)])
    model = EncoderDecoder(Model(Linear(10, 8), stack, InitialState(6, decoder.stack), "one-to-one"), decoder)
    picture, first, words = torch.randn(N, 10), torch.randn(N, 2), torch.randint(V, (3, N))
    y, _ = model(picture, first, previous=words)
    (h,) = stack.layers[0].cell(model.encoder.encoder(picture))
    truth, _ = decoder(first, model.encoder.head(h), previous=words)
    torch.testing.assert_close(y, truth)


def test_a_model_without_a_head_gives_h():
    stack = Stack([unrolled.GRUCell(D, H)])
    x = torch.randn(4, N, D)
    model = Model(Linear(D, D), stack, None)
    torch.testing.assert_close(model(x)[0], stack(model.encoder(x))[0])
    with pytest.raises(TypeError, match="scores of symbols"):
        unrolled.sample(model, x[:, :1], 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InitialState(7, unrolled.GRUCell(D, H)), "stack must be an unrolled.Stack, got GRUCell"),
        (lambda: InitialState(0, decoder_stack()), "input_size must be a whole number from 1, got 0"),
        (lambda: InitialState(7, decoder_stack())(torch.zeros(N, 6)), r"v has shape \(3, 6\), expected \(N, 7\)"),
        (lambda: EncoderDecoder(decoder_stack(), None), "encoder must be an unrolled.Model, got Stack"),
        (
            lambda: EncoderDecoder(*models(False, [unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 3)], "many-to-many")),
            r"of the shapes \(\(\[5\], \[5\]\), \(\[3\],\)\), expected those of the decoder, .* \(\[4\],\)\); give",
        ),
        (
            lambda: EncoderDecoder(*models(True, [unrolled.GRUCell(D, 3)], "many-to-many")),
            "needs the many-to-one or the one-to-one graph, got many-to-many",
        ),
        (
            lambda: EncoderDecoder(
                Model(Embedding(W, D), Stack([unrolled.GRUCell(D, H)]), Regression(H, 1)), ENCODERS["mapped"]()[1]
            ),
            "head of the encoder must be an InitialState or None, got Regression",
        ),
        (
            lambda: EncoderDecoder(*ENCODERS["mapped"]())(
                torch.zeros(2, N).long(), torch.zeros(2, N).long(), state=()
            ),
            "state must not be passed",
        ),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
