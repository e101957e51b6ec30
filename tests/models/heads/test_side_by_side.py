"""Several heads side by side: sums, parts, draws, and what is fed back."""

import math

import pytest
import torch

from head_cases import MAKE, H, outputs_and_targets
from unrolled.models import CTC, Bernoulli, Gaussian, NegativeBinomial, Regression, SideBySide, Softmax
from unrolled.models.philox import Philox, Rows

NAMES = ("softmax", "gaussian", "bernoulli", "quantiles")


def several():
    head = SideBySide({name: MAKE[name](2) for name in NAMES}).double()
    outputs, targets = [], {}
    for seed, (name, one) in enumerate(head.heads.items()):
        own, targets[name] = outputs_and_targets(one, 4, 3, seed=seed)
        outputs.append(own)
    return head, torch.cat(outputs, -1), targets


def test_outputs_and_sizes():
    head, outputs, _ = several()
    h = torch.randn(4, 3, H, dtype=torch.float64)
    assert head.input_size == H and head.output_size == outputs.shape[-1] == 4 + 4 + 2 + 10
    torch.testing.assert_close(head(h), torch.cat([one(h) for one in head.heads.values()], -1))
    assert list(head.target) == list(NAMES)
    assert set(head.state_dict()) == {f"each.{name}.map.{kind}" for name in NAMES for kind in ("weight", "bias")}
    assert sorted(head.describe(outputs)) == [
        "bernoulli.probability", "gaussian.mean", "gaussian.scale", "quantiles.quantiles", "softmax.probability",
    ]  # fmt: skip


def test_the_loss_is_the_sum_and_parts_name_its_terms():
    head, outputs, targets = several()
    counted = torch.arange(4)[:, None] < torch.tensor([4, 0, 2])
    own = dict(zip(NAMES, outputs.split([4, 4, 2, 10], -1), strict=True))
    for mask in (None, counted):
        expected = {name: head.heads[name].loss(own[name], targets[name], mask) for name in NAMES}
        assert head.parts(outputs, targets, mask) == expected
        total, count = head.loss(outputs, targets, mask)
        torch.testing.assert_close(total, sum(part for part, _ in expected.values()))
        assert count == (12 if mask is None else 6)
    logs = sum(head.heads[name].log_prob(own[name], targets[name]) for name in NAMES)
    torch.testing.assert_close(head.log_prob(outputs, targets), logs)


def test_targets_may_be_missing_in_one_head_only():
    head, outputs, targets = several()
    targets["softmax"][0] = -100
    masks = dict.fromkeys(NAMES, torch.zeros(4, 3, dtype=torch.bool))
    masks["softmax"] = None
    assert {name: count for name, (_, count) in head.parts(outputs, targets, masks).items()} == {
        "softmax": 9, "gaussian": 0, "bernoulli": 0, "quantiles": 0,
    }  # fmt: skip
    assert head.loss(outputs, targets, masks)[1] == 9
    masks["gaussian"] = torch.arange(4)[:, None] < torch.tensor([1, 0, 0])
    assert head.loss(outputs, targets, masks)[1] == 10


def test_padding_reaches_neither_the_sum_nor_a_gradient():
    head, outputs, targets = several()
    counted = torch.arange(4)[:, None] < torch.tensor([4, 0, 2])
    expected = head.loss(outputs, targets, counted)[0]
    outputs[~counted] = math.nan
    for name in ("gaussian", "bernoulli", "quantiles"):
        targets[name][~counted] = math.nan
    outputs.requires_grad_()
    total, count = head.loss(outputs, targets, counted)
    (slope,) = torch.autograd.grad(total, outputs)
    assert count == 6 and torch.equal(total, expected)
    assert not slope[~counted].any() and slope[counted].isfinite().all()


def test_draws_are_those_of_each_head_in_turn():
    head, outputs, targets = several()
    numbers = Philox(3)
    own = outputs.split([4, 4, 2, 10], -1)
    expected = {name: head.heads[name].sample(y, numbers, 0.7) for name, y in zip(NAMES, own, strict=True)}
    found = head.sample(outputs, Philox(3), 0.7)
    assert all(torch.equal(found[name], expected[name]) for name in NAMES)
    assert all(found[name].shape == targets[name].shape for name in NAMES)
    assert head.log_prob(outputs, found).isfinite().all()
    rows = head.sample(outputs, Rows(1, 4))
    few = head.sample(outputs[:2], Rows(1, 2))
    assert all(torch.equal(rows[name][:2], few[name]) for name in NAMES)


def test_feedback_joins_the_draws_and_split_takes_them_apart():
    head, outputs, _ = several()
    drawn = head.sample(outputs, Philox(1))
    joined = head.feedback(drawn)
    assert joined.shape == (4, 3, 1 + 2 + 2 + 2) and joined.dtype == torch.float64
    apart = head.split(joined)
    for name in NAMES:
        assert torch.equal(apart[name], drawn[name]) and apart[name].dtype == drawn[name].dtype
    symbols = SideBySide({"a": Softmax(H, 3), "b": Softmax(H, 5)})
    joined = symbols.feedback({"a": torch.tensor([2, 0]), "b": torch.tensor([4, 1])})
    assert joined.tolist() == [[2, 4], [0, 1]] and joined.dtype == torch.int64
    with pytest.raises(ValueError, match=r"SideBySide: shape is \(2, 3\), expected \(..., 2\)"):
        symbols.split(torch.zeros(2, 3))


def test_one_head_may_stand_twice():
    one = Regression(H, 1)
    head = SideBySide({"a": one, "b": one})
    assert head(torch.zeros(2, H)).shape == (2, 2)
    total, count = head.loss(torch.zeros(2, 2), {"a": torch.ones(2, 1), "b": 2 * torch.ones(2, 1)})
    assert (float(total), count) == (5, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SideBySide({}), "heads must be a dict of at least one head"),
        (lambda: SideBySide([Softmax(H, 2)]), "heads must be a dict"),
        (lambda: SideBySide({"a": Softmax(H, 2), "b": Softmax(H + 1, 2)}), "different input sizes: .*'b': 5"),
        (lambda: SideBySide({"a": CTC(H, 3)}), "'a' is CTC, expected a head with one target a position"),
        (lambda: SideBySide({"a": SideBySide({"b": Softmax(H, 2)})}), "'a' is SideBySide"),
        (lambda: SideBySide({"a": torch.nn.Linear(3, 3)}), "'a' is Linear"),
        (lambda: SideBySide({"a": Softmax}), "'a' is Softmax"),
        (lambda: SideBySide({"a.b": Softmax(H, 2)}), "a head cannot have the name 'a.b'"),
        (lambda: SideBySide({"type": Softmax(H, 2)}), "a head cannot have the name 'type'"),
        (lambda: SideBySide({3: Softmax(H, 2)}), "a head cannot have the name 3"),
    ],
)
def test_heads_that_cannot_stand_side_by_side(make, message):
    with pytest.raises(ValueError, match=f"SideBySide: .*{message}"):
        make()


def test_names_that_do_not_fit():
    head = SideBySide({"keys": Bernoulli(H, 2), "count": NegativeBinomial(H, 1), "size": Gaussian(H, 1)})
    outputs = torch.zeros(3, 6)
    with pytest.raises(ValueError, match="targets must be a dict of keys, count, size, got keys"):
        head.loss(outputs, {"keys": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match="targets must be a dict of keys, count, size, got Tensor"):
        head.log_prob(outputs, torch.zeros(3, 2))
    targets = {"keys": torch.zeros(3, 2), "count": torch.zeros(3, 1), "size": torch.zeros(3, 1)}
    with pytest.raises(ValueError, match="counted must be a dict of .*, got keys"):
        head.loss(outputs, targets, {"keys": None})
    with pytest.raises(ValueError, match=r"SideBySide: outputs have shape \(3, 5\), expected \(..., 6\)"):
        head.loss(outputs[:, :5], targets)
    assert head.loss(outputs, targets)[1] == 3
