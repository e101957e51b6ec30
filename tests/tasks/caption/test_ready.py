"""Features of pictures that somebody has computed already."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from grids import stacked
from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.features.ready import Ready
from unrolled.tasks.caption.features.source import source
from unrolled.tasks.caption.pairs import as_pictures

GRIDS = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)


def touch(folder, *names):
    """Pictures that are only named."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


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
    maps = GRIDS[:, :4].reshape(4, 2, 2, 3).transpose(0, 3, 1, 2).copy()  # (C, s, s)
    grids, _ = Ready(write_safetensors(tmp_path / "m.safetensors", maps)).seen(paths)
    assert (stacked(grids) == GRIDS[:, :4]).all()
    mixed = [GRIDS[0], GRIDS[1], np.where(GRIDS[2] > 0, np.nan, 0), GRIDS[3].astype(int)]
    grids, bad = Ready(write_npy(tmp_path / "x", mixed)).seen(paths)
    assert len(grids) == 2
    said = " / ".join(why for _, why in bad)
    assert "not all finite" in said and "int64 (6, 3)" in said


def test_most_features_have_the_shape_of_all(paths, tmp_path):
    odd = Ready(write_npy(tmp_path / "f", [GRIDS[0][:, :2], *GRIDS[1:]]))
    grids, bad = odd.seen(paths)
    assert (stacked(grids) == GRIDS[1:]).all()
    assert bad == [(0, "its features are (6, 2), expected (6, 3)")]
    grids, bad = odd.seen(paths[:1], (6, 3))
    assert not len(grids) and bad == [(0, "its features are (6, 2), expected (6, 3)")]


@pytest.mark.parametrize("shape", [(3, 2, 3), (7, 7, 128)])
def test_maps_are_squares_with_channels_first(paths, tmp_path, shape):
    """So that the places of (h, w, C) are not taken for channels, and no oblong for a square."""
    _, bad = Ready(write_npy(tmp_path / "f", [np.zeros(shape, np.float32)])).seen(paths[:1])
    assert f"its features are float32 {shape}, expected floats" in bad[0][1]


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
