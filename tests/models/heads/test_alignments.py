"""Sums over alignments, beside torch's in 64 bits: values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from unrolled.models.heads import alignments
from unrolled.models.heads.alignments import alignment_losses


def both(outputs, labels, steps, counts, dtype=torch.double):
    """Losses and gradients of their sum in proportions that differ, ours and torch's."""
    weights = torch.arange(1.0, len(steps) + 1, dtype=torch.double)
    found = []
    for logarithms in (False, True):
        x = outputs.to(dtype if not logarithms else torch.double).requires_grad_()
        if logarithms:
            losses = F.ctc_loss(x.log_softmax(-1), labels.T.contiguous(), steps, counts, reduction="none")
        else:
            losses = alignment_losses(x, labels, steps, counts)
            assert losses.dtype == dtype
        found.append((losses.detach(), torch.autograd.grad((losses * weights).sum(), x)[0]))
    return found


def drawn(T, N, S, V, seed, spread=2.0):
    """Sequences of several lengths with labels that fit."""
    random = torch.Generator().manual_seed(seed)
    outputs = spread * torch.randn(T, N, V, generator=random)
    labels = torch.randint(1, V, (S, N), generator=random)
    counts = torch.randint(0, S + 1, (N,), generator=random)
    repeats = torch.tensor([int((labels[1:c, n] == labels[: max(c - 1, 0), n]).sum()) for n, c in enumerate(counts)])
    least = (counts + repeats).clamp(min=1)
    steps = least + (torch.rand(N, generator=random) * (T - least + 1)).long()
    return outputs, labels, steps, counts


@settings(max_examples=80, deadline=None)
@given(
    S=st.integers(1, 9) | st.integers(10, 70),
    extra=st.integers(0, 12) | st.integers(13, 200),
    N=st.integers(1, 6),
    V=st.integers(2, 5) | st.integers(60, 70),
    seed=st.integers(0, 2**32),
    spread=st.sampled_from([0.1, 2.0, 20.0]),
)
def test_as_torch_in_64_bits(S, extra, N, V, seed, spread):
    ours, torchs = both(*drawn(2 * S + extra, N, S, V, seed, spread))
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float, torch.bfloat16])
def test_logarithms_are_added_in_64(dtype):
    outputs, labels, steps, counts = drawn(1000, 2, 100, 5, seed=4)
    outputs[:, :, 0] += 15  # so far ahead that logarithms are needed
    outputs = outputs.to(dtype)
    (losses, gradient), (exact, slope) = both(outputs, labels, steps, counts, dtype)
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(losses.double(), exact, rtol=rounding, atol=0)
    torch.testing.assert_close(gradient.double(), slope, rtol=2 * rounding, atol=1e-6)


def test_numbers_of_32_bits_are_added_in_64():
    case = drawn(700, 4, 250, 5, seed=3)
    (losses, gradient), (exact, slope) = both(*case, dtype=torch.float)
    torch.testing.assert_close(losses.double(), exact, rtol=1e-7, atol=0)  # rounded to 32 bits
    torch.testing.assert_close(gradient.double(), slope, rtol=0, atol=1e-6)  # the same, of numbers up to 4


@pytest.mark.parametrize("blank", [5.0, 30.0, 3000.0])
def test_labels_that_are_next_to_impossible(blank):
    """A network that says nothing: what leads to the labels is below any number of 64 bits beside what does not."""
    outputs, labels, steps, counts = drawn(900, 3, 300, 5, seed=1, spread=0.5)
    outputs[..., 0] += blank
    ours, torchs = both(outputs, labels, steps, counts)
    assert torchs[0].max() > 700
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_only_what_is_too_unlikely_takes_logarithms(monkeypatch):
    outputs, labels, steps, counts = drawn(400, 4, 150, 5, seed=2)
    counts[:], steps[:] = 150, 400
    outputs[:, 2] *= 40
    taken = []

    def spy(*given):
        taken.append(len(given[2]))
        return by_logarithms(*given)

    by_logarithms = alignments._by_logarithms
    monkeypatch.setattr(alignments, "_by_logarithms", spy)
    ours, torchs = both(outputs, labels, steps, counts)
    assert taken == [1]
    torch.testing.assert_close(ours[1], torchs[1], rtol=1e-9, atol=1e-9)


def test_too_many_labels_and_numbers_that_are_none():
    outputs, labels = torch.zeros(2, 3, 4), torch.tensor([[1, 1, 1], [1, 2, 2], [3, 3, 3]])
    outputs[0, 2, 1] = torch.nan
    losses = alignment_losses(outputs, labels, torch.tensor([2, 2, 2]), torch.tensor([2, 2, 1]))
    assert losses[0] == torch.inf and losses[1].isfinite() and losses[2].isnan()


def test_without_the_engine_it_is_torchs(monkeypatch):
    case = drawn(30, 4, 8, 5, seed=4)
    monkeypatch.setattr(alignments.native, "available", lambda: False)
    ours, torchs = both(*case)
    assert torch.equal(ours[0], torchs[0]) and torch.equal(ours[1], torchs[1])


def test_long_sequences_are_unlikely_and_need_no_logarithms(monkeypatch):
    T, N, S, V = 2_000, 2, 700, 5
    random = torch.Generator().manual_seed(0)
    labels, steps, counts = torch.randint(1, V, (S, N), generator=random), torch.full((N,), T), torch.full((N,), S)
    outputs = torch.randn(T, N, V, generator=random)
    outputs[torch.arange(T)[:, None], torch.arange(N), labels[torch.arange(T) * S // T]] += 1
    by_logarithms = both(outputs, labels, steps, counts)[1]
    monkeypatch.setattr(alignments, "_by_logarithms", lambda *given: pytest.fail("logarithms were taken"))
    losses = alignment_losses(outputs.double(), labels, steps, counts)
    assert by_logarithms[0].min() > 1_000
    torch.testing.assert_close(losses, by_logarithms[0], rtol=1e-9, atol=1e-9)
    ours = both(outputs, labels, steps, counts)[0]
    torch.testing.assert_close(ours[1], by_logarithms[1], rtol=1e-9, atol=1e-9)
