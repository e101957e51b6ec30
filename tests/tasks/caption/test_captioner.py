"""The three ways of seeing a picture: teacher forcing and writing are one model; batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import EmptyPartError
from unrolled.models.options import ModelOptions
from unrolled.tasks.caption.captioner import Captioner
from unrolled.tasks.caption.convnet import Convnet
from unrolled.tasks.caption.options import IMAGES
from unrolled.tasks.caption.pairs import Pairs, before
from unrolled.tasks.caption.writing import Search, written

V, S = 7, 16


def captioner(image, layers=1, **options):
    torch.manual_seed(0)
    sizes = ModelOptions(hidden=12, layers=layers, dropout=0.0, direction="forward", **options)
    made = Captioner(Convnet(S, 8), unrolled.GRUCell, sizes, image, V)
    torch.nn.init.normal_(made.decoder.head.map.weight)
    return made.eval()


def pictures(count, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (S, S, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("image", IMAGES)
def test_what_is_written_is_what_teacher_forcing_would_write(image, layers):
    model, seen = captioner(image, layers), pictures(5)
    made = list(written(model, seen, Search(longest=9, beam=1), exclude=(0,)))
    symbols = torch.full((9, 5), -100)
    for n, (one,) in enumerate(made):
        symbols[: len(one), n] = torch.tensor(one)
    scores = model(torch.from_numpy(np.stack(seen)), torch.arange(5), before(symbols, model.end))
    scores[:, :, 0] = -torch.inf
    for n, (one,) in enumerate(made):
        assert scores[: len(one), n].argmax(1).tolist() == list(one)
    searched = list(written(model, seen, Search(longest=9, beam=4, count=3), exclude=(0,)))
    assert all(len(several) == 3 and 0 not in sum(several, ()) for several in searched)


@pytest.mark.parametrize("image", IMAGES)
def test_the_picture_matters_and_several_captions_share_one(image):
    model, seen = captioner(image), torch.from_numpy(np.stack(pictures(2)))
    previous = torch.tensor([[model.end] * 4, [1] * 4])
    scores = model(seen, torch.tensor([0, 1, 0, 1]), previous)
    torch.testing.assert_close(scores[:, 0], scores[:, 2])
    assert not torch.allclose(scores[:, 0], scores[:, 1])


@pytest.mark.parametrize("image", IMAGES)
def test_every_weight_gets_a_gradient(image):
    model = captioner(image)
    model.train()
    seen = torch.from_numpy(np.stack(pictures(3)))
    symbols = torch.tensor([[1, 2, 3], [4, 5, 1], [6, 6, -100]])
    total, count = model.losses(seen, torch.arange(3), before(symbols, 6), symbols, torch.tensor([3, 3, 2]))
    total.backward()
    assert count == 8
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_draws_differ_and_the_seed_repeats_them():
    model, seen = captioner("state"), pictures(3)
    search = Search(longest=9, beam=None, count=4, seed=5)
    one, two = (list(written(model, seen, search, ())) for _ in range(2))
    assert one == two and all(len(set(several)) > 1 for several in one)


def test_draws_differ_over_all_pictures_and_not_by_how_many_are_drawn_together():
    model, seen = captioner("state"), pictures(1) * 130
    search = Search(longest=20, beam=None, count=2, seed=5)
    whole = [tuple(several) for several in written(model, seen, search, ())]
    assert len(set(whole)) > 100 and whole[:10] != whole[64:74]
    some = [one for k in range(0, 130, 50) for one in written(model, seen[k : k + 50], replace(search, first=k), ())]
    assert whole == [tuple(several) for several in some]


def test_where_it_looks():
    model, seen = captioner("attention", layers=2), torch.from_numpy(np.stack(pictures(2)))
    symbols = torch.tensor([[1, 2], [3, 4], [5, 6]])
    alpha = model.looks(seen, symbols)
    assert alpha.shape == (3, 2, 4)
    torch.testing.assert_close(alpha.sum(2), torch.ones(3, 2))
    other = model.looks(seen, torch.tensor([[1, 2], [4, 3], [6, 5]]))
    torch.testing.assert_close(other[:2], alpha[:2])  # the last symbols are not read before they are written
    assert captioner("state").looks(seen, symbols) is None


def test_an_epoch_has_every_caption_with_its_picture():
    seen = pictures(4)
    captions = [np.array([k % 3, *[1] * (k % 4), 6]) for k in range(11)]
    of = np.array([k % 4 for k in range(11)])
    pairs = Pairs(seen, captions, of, end=6, batch=4, seed=3)
    found = []
    for k in range(pairs.updates_per_epoch):
        batch = pairs.batch_at(k)
        target = batch.targets
        assert batch.inputs[0].eq(6).all() and target.pictures.dtype == torch.uint8
        for n, length in enumerate(batch.lengths.tolist()):
            symbols = target.symbols[:length, n].tolist()
            assert (target.symbols[length:, n] == -100).all()
            assert batch.inputs[1:length, n].tolist() == symbols[:-1]
            picture = target.pictures[target.of[n]].numpy()
            found.append((tuple(symbols), next(k for k, one in enumerate(seen) if (one == picture).all())))
    assert sorted(found) == sorted((tuple(c.tolist()), int(k)) for c, k in zip(captions, of, strict=True))
    again = Pairs(seen, captions, of, end=6, batch=4, seed=3).batch_at(2 * pairs.updates_per_epoch + 1)
    assert torch.equal(again.inputs, pairs.batch_at(2 * pairs.updates_per_epoch + 1).inputs)
    with pytest.raises(EmptyPartError):
        Pairs(seen, [], of[:0], end=6, batch=4)


def test_shifted_pictures_keep_their_edges():
    seen = [np.arange(S, dtype=np.uint8)[:, None, None].repeat(S, 1).repeat(3, 2)]
    pairs = Pairs(seen, [np.array([6])], np.array([0]), end=6, batch=1, shifted=True)
    columns = {tuple(pairs.batch_at(k).targets.pictures[0, :, 0, 0].tolist()) for k in range(40)}
    plain = list(range(S))
    assert columns == {tuple(plain), (0, *plain[:-1]), (*plain[1:], S - 1)}


def test_exchanged_words_stand_in_the_same_place_of_other_captions():
    torch.manual_seed(0)
    model = captioner("state").train()
    model.noise = 0.4
    previous = torch.stack([torch.full((500,), model.end), *(torch.arange(500) % 6 for _ in range(3))])
    made = model._noised(previous, None)
    assert made[0].eq(model.end).all()
    share = (made[1:] != previous[1:]).double().mean()
    assert 0.25 < share < 0.4  # some are exchanged for the same word
    assert sorted(made[1].unique().tolist()) == [0, 1, 2, 3, 4, 5]


def test_no_word_is_exchanged_for_what_stands_behind_a_caption():
    torch.manual_seed(0)
    model = captioner("state").train()
    model.noise = 0.5
    lengths = torch.tensor([2, 9] * 200)
    previous = torch.where(torch.arange(9)[:, None] < lengths, torch.arange(400) % 5 + 1, 0)
    made = model._noised(previous, lengths)
    assert (made[2:, 1::2] > 0).all() and (made[:2, 1::2] != previous[:2, 1::2]).any()
    assert (made[2:, 1::2] != previous[2:, 1::2]).any()


def test_words_are_named_by_any_place():
    model, seen = captioner("state"), torch.from_numpy(np.stack(pictures(2)))
    symbols = torch.tensor([[1, 2, 1], [1, 6, 3], [6, -100, 6]])
    grid, of = model.eye(seen), torch.tensor([0, 1, 1])
    p = torch.sigmoid(model.named(grid).amax(1))
    expected = 0.0
    for n, words in enumerate(({1, 6}, {2, 6}, {1, 3, 6})):
        expected -= sum(torch.log(p[of[n], k] if k in words else 1 - p[of[n], k]) for k in range(V))
    torch.testing.assert_close(model.naming(grid, of, symbols), expected)
    given = (seen, of, before(symbols, 6), symbols, torch.tensor([3, 2, 3]))
    total, _ = model.losses(*given)
    learning, _ = model.train().losses(*given)
    torch.testing.assert_close(total, learning)  # the value is that of the sentences alone
