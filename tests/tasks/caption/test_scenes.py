"""Scenes drawn by program: their captions, the judge of captions, the pictures, the parts, the files."""

import csv
import errno
import json
import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.scenes.drawing import draw
from unrolled.tasks.caption.scenes.judging import Claim, Said, facts, is_true, picks
from unrolled.tasks.caption.scenes.phrasing import every_phrasing, phrasings
from unrolled.tasks.caption.scenes.scene import (
    ATTRIBUTES,
    RELATIONS,
    SHAPES,
    SIZES,
    Group,
    Scene,
    among,
    is_valid,
    neighbours,
)
from unrolled.tasks.caption.scenes.splitting import PARTS, Combinations, parts_of
from unrolled.tasks.caption.scenes.writing import read_truth, write_scenes

GROUPS = st.builds(Group, **{name: st.sampled_from(values) for name, values in ATTRIBUTES.items()})
SCENES = st.one_of(
    GROUPS.map(lambda group: Scene((group,))),
    st.builds(Scene, st.tuples(GROUPS, GROUPS), st.sampled_from(RELATIONS)).filter(is_valid),
)
SCENE = Scene((Group(2, "small", "red", "star"), Group(1, "large", "blue", "cross")), "left of")


@given(SCENES)
@settings(deadline=None, max_examples=15)
def test_every_phrasing_is_true_of_its_scene_and_of_no_neighbour(scene):
    others = [other for _, other in neighbours(scene)]
    every = list(every_phrasing(scene))
    assert len(every) == len(set(every)) >= 8
    for caption in every:
        assert is_true(caption, scene), caption
        assert is_true(caption.replace(",", " ,").upper() + " .", scene), caption
        assert not any(is_true(caption, other) for other in others), caption


@given(SCENES, st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_a_true_caption_picks_its_scene_out_of_ten(scene, seed):
    random = np.random.default_rng(seed)
    (caption,) = phrasings(scene, 1, random)
    ten = among(scene, 10, random)
    assert len(set(ten)) == 10
    order = random.permutation(10)
    assert order[picks(caption, [ten[k] for k in order])] == 0


def test_neighbours_differ_in_one_attribute():
    for name, other in neighbours(SCENE):
        changed = [
            one
            for a, b in zip(SCENE.groups, other.groups, strict=True)
            for one in ATTRIBUTES
            if getattr(a, one) != getattr(b, one)
        ]
        assert changed == [name] or (name == "relation" and set(other.groups) == set(SCENE.groups))
    assert sum(1 for _ in neighbours(SCENE)) == 2 * (3 + 1 + 5 + 4) + 3
    names = {name for name, other in neighbours(SCENE) if other in among(SCENE, 6, np.random.default_rng(0))}
    assert names == {*ATTRIBUTES, "relation"}
    with pytest.raises(ValueError, match="29 scenes differ"):
        among(SCENE, 31, np.random.default_rng(0))


STARS, CROSS = Said(2, "small", "red", "star"), Said(1, "large", "blue", "cross")


@pytest.mark.parametrize(
    ("caption", "claim"),
    [
        ("two small red stars to the left of a large blue cross.", Claim((STARS, CROSS), "left of")),
        ("A big blue cross is right of two little stars in red", Claim((STARS, CROSS), "left of")),
        (
            "on the right is a large blue cross , on the left are two small red stars",
            Claim((STARS, CROSS), "left of"),
        ),
        ("a large blue cross at the bottom and two small red stars at the top", Claim((STARS, CROSS), "above")),
        ("there are two small red stars under one large cross in blue", Claim((CROSS, STARS), "above")),
        ("two small red stars at the top , a large blue cross at the bottom", Claim((STARS, CROSS), "above")),
        ("two red stars", Claim((Said(2, None, "red", "star"),))),
        ("a star", Claim((Said(1, None, None, "star"),))),
    ],
)
def test_what_a_caption_says(caption, claim):
    assert facts(caption) == claim


@pytest.mark.parametrize(
    "caption",
    [
        *("", "a", "red", "two small red star", "a small red stars", "a small small red star", "a red blue star"),
        *("a small red star in blue", "a small star in", "a small red star a", "five small red stars"),
        *("a red star left of", "left of a red star", "a red star and a blue cross", "a red star in in red"),
        "a red star on the left and a blue cross on the left",
        "a red star on the left and a blue cross at the bottom",
        "a red star left of a blue cross left of a red star",
    ],
)
def test_captions_that_say_nothing(caption):
    assert facts(caption) is None and not is_true(caption, SCENE) and picks(caption, [SCENE, SCENE]) is None


WORDS = [
    "a",
    "two",
    "small",
    "red",
    "star",
    "stars",
    "cross",
    "left",
    "of",
    "on",
    "the",
    "right",
    "and",
    ",",
    "is",
    "are",
    "there",
    "in",
    "above",
    "blue",
    "to",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join)))
def test_any_text_can_be_judged(text):
    claim = facts(text)
    assert claim is None or len(claim.groups) in (1, 2)


def test_a_caption_that_leaves_something_open_is_not_complete_and_picks_nothing():
    ten = among(SCENE, 10, np.random.default_rng(1))
    for caption in ("two small red stars", "two red stars left of a large blue cross"):
        assert not is_true(caption, SCENE) and picks(caption, ten) is None
    wrong = next(other for name, other in neighbours(SCENE) if name == "colour")
    assert picks(next(every_phrasing(SCENE)), [wrong, SCENE]) == 1


def masks(scene, random, size=64):
    """Where each group is, told by colour alone."""
    picture = draw(scene, random, size).astype(int)
    light = picture[0, 0] if scene.relation else picture[-1, -1]
    names = sorted({group.colour for group in scene.groups})
    seen = {"red": (215, 35, 35), "green": (40, 155, 60), "blue": (45, 85, 215), "yellow": (240, 205, 30)}
    seen |= {"purple": (145, 55, 175), "black": (25, 25, 25)}
    palette = np.array([light, *(seen[name] for name in names)])
    far = np.square(picture[:, :, None] - palette).sum(-1)
    nearest = np.where(far.min(-1) < 60**2, far.argmin(-1), 0)  # on an edge, two colours may mix to a third one
    return [nearest == 1 + names.index(group.colour) for group in scene.groups]


DIFFERENT = SCENES.filter(lambda scene: len({group.colour for group in scene.groups}) == len(scene.groups))


@given(DIFFERENT, st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_a_picture_shows_its_scene(scene, seed):
    seen = masks(scene, np.random.default_rng(seed), 128)
    centres = []
    for group, mask in zip(scene.groups, seen, strict=True):
        labels, found = ndimage.label(mask)
        areas = ndimage.sum_labels(mask, labels, range(1, found + 1))
        assert (areas > 30).sum() == group.count
        boxes = [s for s, area in zip(ndimage.find_objects(labels), areas, strict=True) if area > 30]
        heights = [rows.stop - rows.start for rows, _ in boxes]
        assert (min(heights) > 22) == (group.size == "large") and max(heights) < 34
        centres.append(np.mean([[(s.stop + s.start) / 2 for s in box] for box in boxes], axis=0))
    if scene.relation:
        down, right = centres[1] - centres[0]
        along, across = (right, down) if scene.relation == "left of" else (down, right)
        assert along > 1.4 * abs(across) and along > 32


def test_shapes_and_sizes_can_be_told_apart_at_64_pixels():
    random = np.random.default_rng(0)

    def shown(shape, size):
        """How much of each pixel one object covers, in the middle of 17 x 17."""
        picture = draw(Scene((Group(1, size, "black", shape),)), random)[..., 0].astype(float)
        cover = (picture.max() - picture) / np.ptp(picture)
        rows, columns = np.nonzero(cover > 0.5)
        y, x = round((rows.min() + rows.max()) / 2), round((columns.min() + columns.max()) / 2)
        return np.pad(cover, 9)[y + 1 : y + 18, x + 1 : x + 18]

    kinds = [(shape, size) for shape in SHAPES for size in SIZES for _ in range(30)]
    known = np.array([shown(*kind) for kind in kinds])
    for kind in kinds:
        assert kinds[int(np.square(known - shown(*kind)).sum((1, 2)).argmin())] == kind


def with_values(names, values):
    return replace(SCENE.groups[0], **dict(zip(names, values, strict=True)))


@pytest.mark.parametrize("names", [",".join(some) for n in (2, 3, 4) for some in combinations(ATTRIBUTES, n)])
def test_training_sees_every_value_but_not_every_combination(names):
    parts = Combinations(names)
    random = np.random.default_rng(0)
    chosen = names.split(",")
    seen = {}
    for part in PARTS:
        scenes = [parts.draw(part, random) for _ in range(400)]
        assert all(parts.part(scene) == part and is_valid(scene) for scene in scenes)
        seen[part] = {tuple(getattr(g, name) for name in chosen) for scene in scenes for g in scene.groups}
    for k, name in enumerate(chosen):
        assert {values[k] for values in seen["training"]} == set(ATTRIBUTES[name])
    kept = {
        part: {values for values in seen[part] if parts.part_of(with_values(chosen, values)) == part}
        for part in PARTS
    }
    assert seen["training"] == kept["training"] and not kept["training"] & (kept["validation"] | kept["test"])
    assert kept["validation"] and kept["test"] and not seen["validation"] & kept["test"]


@pytest.mark.parametrize("names", ["", "colour", "colour,colour", "colour,weight", "colour,shape,shape"])
def test_combinations_of_what_is_not_an_attribute(names):
    with pytest.raises(UsageError, match="--unseen: must be two or more of count, size, colour, shape"):
        Combinations(names)


def test_a_tenth_each_is_for_validation_and_test():
    parts = parts_of(50, np.random.default_rng(0))
    assert [parts.count(part) for part in PARTS] == [40, 5, 5]
    assert parts_of(1, np.random.default_rng(0)) == ["training"]


def test_scenes_in_files(tmp_path, cli):
    status, out, _ = cli("simulate", "scenes", "-n", 30, "--out", tmp_path / "a")
    assert status == 0 and "captions.csv and 30 pictures" in out
    truth = read_truth(tmp_path / "a")
    with open(tmp_path / "a" / "captions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 150 and len(truth) == 30
    parts = Combinations("count,size,colour,shape")
    for row in rows:
        scene = truth[tmp_path / "a" / row["path"]]
        assert is_true(row["caption"], scene) and parts.part(scene) == row["part"]
    with Image.open(tmp_path / "a" / rows[0]["path"]) as picture:
        assert picture.size == (64, 64) and picture.mode == "RGB"


def test_the_same_seed_gives_the_same_scenes(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_scenes(8, tmp_path / name, seed, size=40)
    contents = [[p.read_bytes() for p in sorted((tmp_path / name).rglob("*.*"))] for name in "abc"]
    assert contents[0] == contents[1] and not set(contents[0]) & set(contents[2])


def test_scenes_in_the_place_of_others(tmp_path, cli):
    write_scenes(12, tmp_path / "a", size=32)
    (tmp_path / "a" / ".hidden").write_text("")
    assert cli("simulate", "scenes", "-n", 5, "--out", tmp_path / "a", "--seed", 3)[0] == 0
    write_scenes(5, tmp_path / "b", seed=3)
    files = [{p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*g")} for n in "ab"]
    assert len(files[0]) == 5 and files[0] == files[1] and len(read_truth(tmp_path / "a")) == 5


@pytest.mark.parametrize("other", ["images/000007.png", "images/more/1.png", "notes.txt", "captions.csv"])
def test_files_of_others_are_not_touched(tmp_path, cli, other):
    if other != "captions.csv":
        write_scenes(3, tmp_path / "a", size=32)
    (tmp_path / "a" / other).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "a" / other).write_text("mine")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    status, _, err = cli("simulate", "scenes", "-n", 9, "--out", tmp_path / "a")
    why = "is not empty" if other == "captions.csv" else "has files that its scenes.json does not list"
    assert status == 2 and f"{tmp_path / 'a'} {why}, {tmp_path / 'a' / Path(other).parent}" in err
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("at", ["save", "replacing"])
def test_a_full_disk_leaves_no_scenes(tmp_path, cli, monkeypatch, at):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if at == "save":
        monkeypatch.setattr(Image.Image, "save", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    status, _, err = cli("simulate", "scenes", "-n", 3, "--out", tmp_path / "a")
    assert status == 1 and "cannot write scenes to" in err and "No space left" in err and "--resume" not in err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    monkeypatch.undo()
    assert cli("simulate", "scenes", "-n", 3, "--out", tmp_path / "a")[0] == 0


@pytest.mark.parametrize(
    "damaged",
    [
        *(
            "",
            "[]",
            "{",
            "[" * 100_000,
            '{"a": 1}',
            '{"a": {"groups": []}}',
            '{"a": {"groups": [], "relation": null}}',
        ),
        json.dumps({"a": {"groups": [{"count": 9, "size": "small", "colour": "red", "shape": "star"}]}}),
        json.dumps({"a": {"groups": [{**vars(SCENE.groups[0]), "count": []}], "relation": None}}),
        json.dumps({"a": {"groups": [vars(SCENE.groups[0])], "relation": "above"}}),
        json.dumps({"a": {"groups": [vars(SCENE.groups[0])] * 2, "relation": "above"}}),
        json.dumps({"a": {**SCENE.to_json(), "relation": ["above"]}}),
    ],
)
def test_damaged_truth(tmp_path, damaged):
    assert read_truth(tmp_path) == {}
    (tmp_path / "scenes.json").write_text(damaged)
    with pytest.raises(DataError, match="scenes.json"):
        read_truth(tmp_path)


def test_scenes_that_cannot_be_made(tmp_path, cli):
    (tmp_path / "file").write_text("")
    status, _, err = cli("simulate", "scenes", "-n", 3, "--out", tmp_path / "file")
    assert status == 2 and "--out: cannot write to" in err
    status, _, err = cli("simulate", "scenes", "-n", 3, "--out", tmp_path / "new", "--unseen", "colour")
    assert status == 2 and "--unseen: must be two or more" in err and not (tmp_path / "new").exists()
