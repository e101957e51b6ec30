"""NADE against the product over its keys, written as a loop; sums over all settings; draws; gradients."""

import itertools

import numpy as np
import pytest
import torch

from unrolled.models import NADE, Philox
from unrolled.models.heads import nade

K, UNITS = 6, 5


def head_and_outputs(seed=0, positions=1, size=2.0):
    generator = torch.Generator().manual_seed(seed)
    head = NADE(4, K, UNITS).double()
    with torch.no_grad():
        for p in head.parameters():
            p.copy_(size * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return head, torch.randn(positions, K + UNITS, generator=generator, dtype=torch.float64)


def every(keys=K):
    """All settings of the keys, (2^K, K)."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=keys)), dtype=torch.float64)


def by_hand(head, outputs, keys):
    """log p of one position, key after key, as the paper writes it."""
    W, V = head.W.detach().numpy(), head.V.detach().numpy()
    b, c = outputs[:K].numpy(), outputs[K:].numpy()
    total = 0.0
    for i in range(K):
        a = c + sum((float(keys[j]) * W[j] for j in range(i)), np.zeros(UNITS))
        p = 1 / (1 + np.exp(-(b[i] + V[i] @ (1 / (1 + np.exp(-a))))))
        total += np.log(p if keys[i] else 1 - p)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_every_setting_of_the_keys(seed):
    head, outputs = head_and_outputs(seed)
    found = head.log_prob(outputs.expand(2**K, -1), every())
    np.testing.assert_allclose(found.detach(), [by_hand(head, outputs[0], v) for v in every()], rtol=1e-12)
    assert float(found.detach().exp().sum()) == pytest.approx(1, abs=1e-12)


def test_many_positions_at_once_are_each_its_own(monkeypatch):
    head, outputs = head_and_outputs(1, positions=64)
    expected = [by_hand(head, y, v) for y, v in zip(outputs, every(), strict=True)]
    for most in (4096, 7):
        monkeypatch.setattr(nade, "_POSITIONS", most)
        found = head.log_prob(outputs.reshape(8, 8, -1), every().reshape(8, 8, K))
        np.testing.assert_allclose(found.detach().flatten(), expected, rtol=1e-12)


def test_the_keys_below_matter_and_those_above_do_not():
    head, outputs = head_and_outputs(2)
    y = head.conditionals(outputs.expand(2**K, -1), every()).detach()
    for v, row in zip(every(), y, strict=True):
        for i in range(K):
            same = (every()[:, :i] == v[:i]).all(1)
            torch.testing.assert_close(y[same, i], row[i].expand(int(same.sum())))
    assert (y.std(0)[1:] > 0.01).all() and float(y.std(0)[0]) < 1e-12


def test_gradients_are_those_of_finite_differences():
    head, outputs = head_and_outputs(3, positions=5, size=0.7)
    outputs.requires_grad_()
    v = every()[[0, 63, 21, 40, 7]]
    counted = torch.tensor([True, True, False, True, True])

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = head

        def forward(self, y):
            return self.head.loss(y, v, counted)[0]

    module = Loss()
    run = lambda y, W, V: torch.func.functional_call(module, {"head.W": W, "head.V": V}, (y,))  # noqa: E731
    assert torch.autograd.gradcheck(run, (outputs, head.W, head.V))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_have_the_probabilities_of_the_settings(temperature):
    """At a temperature, each choice of the next key is sharpened, which the loop here does by hand."""
    stats = pytest.importorskip("scipy.stats")
    head, outputs = head_and_outputs(4, size=1.0)
    expected = torch.zeros(2**K, dtype=torch.float64)
    for n, v in enumerate(every()):
        log = 0.0
        down = [i for i in range(K) if v[i]]
        for k in range(len(down) + 1):
            lowest = down[k - 1] + 1 if k else 0
            if lowest == K:
                break
            begun = torch.zeros(K, dtype=torch.float64)
            begun[down[:k]] = 1
            choices = []
            for following in (*range(lowest, K), None):
                keys = begun.clone()
                if following is not None:
                    keys[following] = 1
                end = K if following is None else following + 1
                y = head.conditionals(outputs, keys[None])[0].detach()
                logs = torch.nn.functional.logsigmoid(torch.where(keys != 0, y, -y))
                choices.append(float(logs[lowest:end].sum()))
            taken = len(choices) - 1 if k == len(down) else down[k] - lowest
            log += float(torch.log_softmax(torch.tensor(choices, dtype=torch.float64) / temperature, 0)[taken])
        expected[n] = np.exp(log)
    assert float(expected.sum()) == pytest.approx(1)
    if temperature == 1:
        torch.testing.assert_close(expected, head.log_prob(outputs.expand(2**K, -1), every()).exp().detach())
    many = 30_000
    drawn = head.sample(outputs.expand(many, -1), Philox(5), temperature)
    counts = np.bincount((drawn @ (2.0 ** torch.arange(K - 1, -1, -1, dtype=torch.float64))).long(), minlength=2**K)
    kept = expected.numpy() * many > 5
    observed, wanted = [*counts[kept], counts[~kept].sum()], [*expected[kept], expected[~kept].sum()]
    assert stats.chisquare(observed, np.array(wanted) / sum(wanted) * many).pvalue > 1e-6
    wrong = np.array(wanted) * np.where(np.arange(len(wanted)) % 2, 1.1, 0.9)
    assert stats.chisquare(observed, wrong / wrong.sum() * many).pvalue < 1e-6


def test_temperature_zero_takes_the_most_likely_next_key():
    head, outputs = head_and_outputs(6, positions=20)
    drawn = head.sample(outputs, Philox(1), 0)
    assert torch.equal(drawn, head.sample(outputs, Philox(2), 1e-9))
    assert torch.equal(drawn, head.sample(outputs, Philox(3), 0))


def test_a_position_draws_the_same_alone_and_among_others():
    head, outputs = head_and_outputs(7, positions=5)
    together = head.sample(outputs, Philox(1))
    for k in range(5):
        assert torch.equal(head.sample(outputs[k], Philox(1, position=k * K)), together[k])


def test_no_positions_have_no_loss():
    head, outputs = head_and_outputs(0, positions=3)
    total, count = head.loss(outputs, torch.zeros(3, K), torch.zeros(3, dtype=torch.bool))
    assert float(total) == 0 and count == 0
