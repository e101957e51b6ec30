"""Captions and pictures in the files of data sets, whole and damaged."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.reading import Picture, read_collection
from unrolled.tasks.caption.recognising import caption_files, is_captioned
from unrolled.tasks.registry import recognised


def write(folder, **files):
    """Files by their names, with ``__`` for a slash and ``_dot_`` for a dot; what is not text as JSON."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else
                         (content if isinstance(content, str) else json.dumps(content)).encode())  # fmt: skip
    return folder


def touch(folder, *names):
    """Pictures that are only looked for."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def named(collection, folder):
    return [(p.path.relative_to(folder).as_posix(), p.captions, p.part) for p in collection.pictures]


COCO = {
    "info": {"year": 2017},
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 9, "id": 1, "caption": "a  dog\n"},
        {"image_id": 7, "id": 2, "caption": "a cat"},
        {"image_id": 9, "id": 3, "caption": "two dogs"},
    ],
}


def test_coco(tmp_path):
    write(tmp_path, annotations__captions_train2017_dot_json=COCO)
    touch(tmp_path, "train2017/a.jpg", "train2017/b.jpg", "val2017/a.jpg")
    pictures = [
        ("train2017/b.jpg", ("a dog", "two dogs"), "training"),
        ("train2017/a.jpg", ("a cat",), "training"),
    ]
    whole = read_collection(tmp_path)
    assert named(whole, tmp_path) == pictures and whole.left_out == [("val2017/a.jpg", "it has no caption")]
    alone = read_collection(tmp_path / "annotations" / "captions_train2017.json")
    assert named(alone, tmp_path) == pictures and not alone.left_out


def test_coco_of_two_parts(tmp_path):
    write(tmp_path, captions_train_dot_json=COCO, captions_val_dot_json=COCO)
    touch(tmp_path, "train/a.jpg", "train/b.jpg", "val/a.jpg", "val/b.jpg")
    found = read_collection(str(tmp_path))
    assert [p.part for p in found.pictures] == ["training"] * 2 + ["validation"] * 2 and not found.left_out


def test_bad_entries_of_coco_are_listed(tmp_path):
    images = [*COCO["images"], {"id": 3, "file_name": "c.jpg"}, {"id": 4}, "x", {"id": [], "file_name": "d.jpg"}]
    images += [{"id": 5, "file_name": "gone.jpg"}]
    notes = [*COCO["annotations"], {"image_id": 9}, 5, {"image_id": 99, "caption": "x"}, {"image_id": {}}]
    notes += [{"image_id": 9, "caption": caption} for caption in (" ", ["x"], "x" * 10_001, "\ud800")]
    notes += [{"image_id": 5, "caption": "x"}] * 2
    write(tmp_path, c_dot_json={"images": images, "annotations": notes})
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    found = read_collection(tmp_path / "c.json")
    assert [p.captions for p in found.pictures] == [("a dog", "two dogs"), ("a cat",)]
    assert found.left_out == [
        ("gone.jpg", "there is no such picture (2 captions)"),
        *((f"c.json, image {k}", "it has no file_name, or no id") for k in (3, 4, 5)),
        ("c.json, annotation 3", "its caption is not a text"),
        *((f"c.json, annotation {k}", "its image_id is none of the images") for k in (4, 5, 6)),
        ("c.json, annotation 7", "its caption is empty"),
        ("c.json, annotation 8", "its caption is not a text"),
        ("c.json, annotation 9", "its caption has more than 10,000 characters"),
        ("c.json, annotation 10", "its caption is not UTF-8"),
        ("c.jpg", "it has no caption"),
    ]


def test_images_of_coco_with_the_same_number(tmp_path):
    images = [*COCO["images"], {"id": 9, "file_name": "c.jpg"}, COCO["images"][0]]  # the last one is the first again
    write(tmp_path, c_dot_json={"images": images, "annotations": COCO["annotations"]})
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    found = read_collection(tmp_path / "c.json")
    assert named(found, tmp_path) == [("a.jpg", ("a cat",), None)]
    assert found.left_out == [
        ("c.json, image 2", "c.jpg has the id of b.jpg"),
        *((f"c.json, annotation {k}", "its image_id is that of several images") for k in (0, 2)),
    ]


def test_karpathys_split(tmp_path):
    def image(name, split, *texts, **more):
        return {
            "filename": name,
            "split": split,
            "sentences": [{"raw": text, "tokens": []} for text in texts],
            **more,
        }

    images = [image("a.jpg", "train", "one", "two"), image("b.jpg", "restval", "three", filepath="val2014")]
    images += [image("c.jpg", "val", "four"), image("d.jpg", "test", "five"), image("e.jpg", "extra", "six")]
    images += [image("f.jpg", "test"), {"filename": "a.jpg"}, 3, {**images[0], "sentences": [{}, 4]}]
    write(
        tmp_path,
        dataset_dot_json={"images": images, "dataset": "flickr8k"},
        captions_dot_csv="path,caption\na.jpg,x\n",
    )
    touch(tmp_path, "images/a.jpg", "val2014/b.jpg", "other/b.jpg", "images/c.jpg", "images/d.jpg", "images/e.jpg")
    found = read_collection(tmp_path)
    assert named(found, tmp_path) == [
        ("images/a.jpg", ("one", "two"), "training"),
        ("val2014/b.jpg", ("three",), "training"),
        ("images/c.jpg", ("four",), "validation"),
        ("images/d.jpg", ("five",), "test"),
    ]
    assert found.left_out == [
        ("dataset.json, image 4", "its part is 'extra', expected training, validation or test"),
        *((f"dataset.json, image {k}", "it has no filename, no split, or no sentences") for k in (5, 6, 7)),
        *(("dataset.json, image 8", "its caption is not a text") for _ in range(2)),
        ("images/e.jpg", "it has no caption"),
        ("other/b.jpg", "it has no caption"),
    ]


TOKENS = "a.jpg#0\tA dog .\na.jpg#1\tA dog runs .\r\nb.jpg#0\tA cat .\nc.jpg#0\tTwo .\nd.jpg.1#0\tGone .\n\nno line\n"


def test_flickr8k(tmp_path):
    write(
        tmp_path,
        text__Flickr8k_dot_token_dot_txt=TOKENS,
        text__Flickr8k_dot_lemma_dot_token_dot_txt="a.jpg#0\tdog\n",
        text__CrowdFlowerAnnotations_dot_txt="a.jpg\tb.jpg#1\t0.0\t0\t3\n",
        text__Flickr_8k_dot_trainImages_dot_txt="a.jpg\n",
        text__Flickr_8k_dot_devImages_dot_txt="b.jpg\nd.jpg.1\n",
    )
    touch(tmp_path, "Flicker8k_Dataset/a.jpg", "Flicker8k_Dataset/b.jpg", "Flicker8k_Dataset/c.jpg")
    for path in (tmp_path, tmp_path / "text" / "Flickr8k.token.txt"):
        found = read_collection(path)
        assert named(found, tmp_path / "Flicker8k_Dataset") == [
            ("a.jpg", ("A dog .", "A dog runs ."), "training"),
            ("b.jpg", ("A cat .",), "validation"),
        ]
        assert found.left_out[:3] == [
            ("c.jpg", "it is in none of the lists of parts (1 caption)"),
            ("d.jpg.1", "there is no such picture (1 caption)"),
            ("Flickr8k.token.txt, line 7", "expected NAME#NUMBER, a tab and a caption"),
        ]
        assert len(found.left_out) == 3 + (path == tmp_path)


def test_a_picture_of_flickr8k_in_two_lists(tmp_path):
    write(
        tmp_path,
        a_dot_token_dot_txt=TOKENS,
        b_dot_trainImages_dot_txt="a.jpg\nb.jpg\nb.jpg\n",
        b_dot_testImages_dot_txt="a.jpg\nd.jpg.1\n",
        b_dot_devImages_dot_txt="d.jpg.1\n",
    )
    touch(tmp_path, "a.jpg", "b.jpg")
    found = read_collection(tmp_path / "a.token.txt")
    assert named(found, tmp_path) == [("b.jpg", ("A cat .",), "training")]
    assert ("a.jpg", "it belongs to test and training") in found.left_out
    assert ("d.jpg.1", "there is no such picture (1 caption)") in found.left_out


def test_links_lead_to_the_same_picture(tmp_path):
    touch(write(tmp_path, captions_dot_csv="path,caption\na.png,x\nimages/a.png,y\nb.png,z\n"), "images/a.png")
    touch(tmp_path, "images/b.png", "images/c.png")
    (tmp_path / "a_loop").symlink_to(tmp_path)
    (tmp_path / "current").symlink_to("images")
    found = read_collection(tmp_path)
    assert caption_files(tmp_path) == [("table", tmp_path / "captions.csv")]
    assert [(p.path.resolve(), p.captions) for p in found.pictures] == [
        (tmp_path.resolve() / "images" / "a.png", ("x", "y")),
        (tmp_path.resolve() / "images" / "b.png", ("z",)),
    ]
    assert found.left_out == [("images/c.png", "it has no caption")]
    touch(tmp_path, "other/b.png")
    assert "there are several" in dict(read_collection(tmp_path).left_out)["b.png"]


@pytest.mark.parametrize(("table", "cells"), [
    ("path,caption,id\na.png,a dog, running,5\nb.png,x,,,\n", "4 cells, expected 3: a text with a separator"),
    ("image|comment|n\na.png|a dog|running|5\nb.png|x|1\n", "4 cells, expected 3"),
])  # fmt: skip
def test_rows_with_more_cells_than_names(tmp_path, table, cells):
    write(touch(tmp_path, "a.png", "b.png"), c_dot_csv=table)
    found = read_collection(tmp_path / "c.csv")
    assert named(found, tmp_path) == [("b.png", ("x",), None)]
    assert [where for where, _ in found.left_out] == ["c.csv, line 2"] and f"it has {cells}" in found.left_out[0][1]


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("path,caption,part\na.png,\"one, two\",train\na.png,three,\nb.png,four,test\n", ("training", "test")),
        ("image,caption\na.png,one, two\na.png,three\nb.png,four\n", (None, None)),
        ("\n\nset\tfile\ttext\n\ntrain\ta.png\tone, two\n\ta.png\tthree\ntest\tb.png\tfour\n", ("training", "test")),
        ("image_name| comment_number| comment\na.png| 0| one, two\na.png|1|three\nb.png| 0| four\n", (None, None)),
        ("\ufeffa.png,one, two\r\na.png,three\r\nb.png,four", (None, None)),
        ("Caption;Image\n\"one, two\";a.png\nthree;a.png\nfour;b.png\n", (None, None)),
    ],
)  # fmt: skip
def test_tables(tmp_path, table, parts):
    write(touch(tmp_path, "in/a.png", "in/b.png"), any_dot_csv=table)
    found = read_collection(tmp_path)
    assert not found.left_out
    assert found.pictures == [
        Picture(tmp_path / "in" / "a.png", ("one, two", "three"), parts[0]),
        Picture(tmp_path / "in" / "b.png", ("four",), parts[1]),
    ]


def test_blanks_before_quotes_and_no_names_of_columns(tmp_path):
    write(touch(tmp_path, "a.jpg", "b.jpg"), c_dot_csv='a.jpg, "a dog, a cat"\nb.jpg, a bird, in flight\n')
    found = read_collection(tmp_path)
    assert [p.captions for p in found.pictures] == [("a dog, a cat",), ("a bird, in flight",)]


def test_bad_lines_of_a_table_are_listed(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png", "x/twice.png", "y/twice.png")
    lines = [b"path,part,caption", b"a.png,train,good", b"a.png", b"b.png,here,x", b"gone.png,,x", b",,x"]
    lines += [b"a.png,,caf\xe9", b"a.png,,", b"c.png,train,x", b"c.png,test,y", b"twice.png,,x", b"n\0l.png,,x"]
    lines += [b"a.png,," + b"x" * 300_000, b'a.png,,"open', b'a.png,,12" wide', *[b"a.png,train,good"] * 30]
    lines += [b'a.png,,"two\nlines"', b'a.png,,good "too"', b'a.png,,"' + b"y" * 130_000, b"z" * 130_000 + b'"']
    lines += [b"a.png,,last"]
    write(tmp_path, captions_dot_csv=b"\n".join(lines))
    found = read_collection(tmp_path / "captions.csv")
    captions = ("good", "open", '12" wide', "two lines", 'good "too"', "last")
    assert found.pictures == [Picture(tmp_path / "a.png", captions, "training")]
    why = dict(found.left_out)
    assert why["gone.png"] == why[""] == why["n\0l.png"] == "there is no such picture (1 caption)"
    assert why["captions.csv, line 3"] == "it has 1 cell, expected at least 3"
    assert why["captions.csv, line 4"] == "its part is 'here', expected training, validation or test"
    assert why["captions.csv, line 7"] == "its caption is not UTF-8"
    assert why["captions.csv, line 8"] == "its caption is empty"
    assert why["c.png"] == "it belongs to test and training"
    assert "there are several" in why["twice.png"]
    assert ("captions.csv, line 13", "its caption has more than 10,000 characters") in found.left_out
    assert "field larger than field limit" in why["captions.csv, line 49"]


def test_tables_by_part(tmp_path):
    touch(
        write(tmp_path, train_dot_csv="path,caption\na.png,x", test_dot_csv="path,caption\nb.png,y"), "a.png", "b.png"
    )
    assert [(p.path.name, p.part) for p in read_collection(tmp_path).pictures] == [
        ("b.png", "test"),
        ("a.png", "training"),
    ]


def test_a_table_may_name_pictures_elsewhere(tmp_path):
    touch(tmp_path, "far/a.png", "far/b.png")
    write(tmp_path, lists__x_dot_csv=f"path,caption\n../far/a.png,one\n{tmp_path}/far/b.png,two\n")
    assert len(read_collection(tmp_path / "lists" / "x.csv").pictures) == 2


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b'{"images": 5, "annotations": [{"caption": 1}]}',
            b'{"images": [], "annotations": {"caption": 1}}',
        ),
        b'{"images": [' + b"[" * 100_000 + b'"caption": ',
        b'{"images": [], "annotations": [], "n": 1, "caption": ' + b"9" * 5000 + b"}",
        b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "caption": "\xff"}',
        b'["images", {"caption": 1}]',
        json.dumps({**COCO, "annotations": COCO["annotations"][:1]}).encode(),
    ],
)
def test_damaged_json(tmp_path, content):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(DataError, match=r"c\.json"):
        read_collection(tmp_path / "c.json")


def test_json_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    write(tmp_path, c_dot_json=COCO)
    monkeypatch.setattr("unrolled.tasks.caption.reading._LARGEST_JSON", 10)
    with pytest.raises(DataError, match=r"c\.json is larger than 0 MiB"):
        read_collection(tmp_path / "c.json")


def test_data_without_captions(tmp_path):
    with pytest.raises(UsageError, match="there is no file or folder"):
        read_collection(tmp_path / "none")
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match="has no captions"):
        read_collection(tmp_path)
    write(tmp_path, c_dot_csv="path,caption\nx.png,one\ny.png,two\n")
    with pytest.raises(
        DataError, match=r"x\.png: there is no such picture \(1 caption\); and 2 more that cannot be used"
    ):
        read_collection(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "is_it"),
    [
        ("c.json", json.dumps(COCO), True),
        ("c.json", json.dumps({"images": [{"sentids": [1], "sentences": []}]}), True),
        ("c.json", json.dumps({"images": [{"id": 1}] * 9_000, "annotations": [{"caption": "x"}]}), True),
        ("c.json", json.dumps({"images": [], "annotations": [{"bbox": []}]}), False),
        ("c.json", json.dumps({"images/1.png": {"groups": []}}), False),
        ("c.txt", TOKENS, True),
        ("c.txt", "Chapter #1\tIt was a dark night.", False),
        ("c.csv", "path,caption\na.jpg,x\n", True),
        ("c.csv", "a.jpg,x\n", True),
        ("c.csv", "a.jpg,a dog runs,train\nb.jpg,a cat,test\n", False),
        ("c.csv", "a.jpg|0|a dog\n", False),
        ("c.txt", "a.jpg\ta.jpg#2\t0.33\t1\t2\n", False),
        ("c.csv", "path,text\na.wav,x\n", False),
        ("c.csv", "label,text\na.jpg,x\n", False),
        ("c.csv", "time,value\n1,2\n", False),
        *(("c.csv", text, False) for text in ("", "\n", "path,caption", "\0", '"')),
        ("c.md", "path,caption\na.jpg,x\n", False),
    ],
)
def test_what_is_recognised(tmp_path, name, content, is_it):
    write(tmp_path, **{name.replace(".", "_dot_"): content})
    assert is_captioned(tmp_path / name) == is_captioned(tmp_path) == is_it


@pytest.mark.parametrize(("table", "said"), [
    ("photo,words\n1.jpg,a dog\n", "c.csv has photo, words"),
    ("id;titel\n1;ein Hund\n", "c.csv has id, titel"),
    ("file,sentence\n1,a dog\n", "the first file of c.csv is '1', which does not end as pictures do"),
])  # fmt: skip
def test_a_folder_of_pictures_whose_table_has_other_columns(tmp_path, table, said):
    write(touch(tmp_path, *(f"images/{k}.jpg" for k in range(6))), c_dot_csv=table)
    assert recognised(tmp_path) == "caption"
    expected = r"a column of files \(path, image, .*\) and one of captions \(caption, .*"
    with pytest.raises(DataError, match=expected + said):
        read_collection(tmp_path)


@pytest.mark.parametrize("more", [
    {"c_dot_csv": "time,value\n2020-01-01,3\n"}, {"c_dot_txt": "1.jpg is a dog.\n"},
    {"c_dot_csv": "photo,words\n1.jpg,a dog\n", "d_dot_csv": "x,y\n1,2\n"},
])  # fmt: skip
def test_other_data_with_pictures_beside_them(tmp_path, more):
    write(touch(tmp_path, *(f"{k}.jpg" for k in range(6))), **more)
    assert not is_captioned(tmp_path)


def test_a_folder_of_nothing_but_pictures_lacks_their_captions(tmp_path):
    touch(tmp_path, *(f"{k}.png" for k in range(3)), ".hidden")
    assert recognised(tmp_path) == "caption"
    with pytest.raises(DataError, match="has no captions: expected captions of COCO"):
        read_collection(tmp_path)
    (tmp_path / "notes.md").write_text("about these pictures")
    assert recognised(tmp_path) != "caption"


def test_a_column_that_is_called_name(tmp_path):
    write(touch(tmp_path, "a.png"), c_dot_csv="name,description\na.png,a dog\n")
    assert recognised(tmp_path) == "caption"
    assert named(read_collection(tmp_path), tmp_path) == [("a.png", ("a dog",), None)]


@given(st.one_of(st.binary(max_size=200), st.text('ab.jpg#0\t\n,|"', max_size=60).map(str.encode)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path, content):
    touch(tmp_path, "a.jpg")
    for name in ("c.json", "c.csv", "c.txt"):
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(DataError):
            assert read_collection(tmp_path / name).pictures
        (tmp_path / name).unlink()


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["a.jpg", "", "train", "x y", "\0", "\udc00"])
)
KEYS = st.sampled_from(
    [
        "images",
        "annotations",
        "id",
        "image_id",
        "file_name",
        "caption",
        "filename",
        "split",
        "sentences",
        "raw",
        "filepath",
    ]
)
ENTRIES = st.recursive(
    LEAVES, lambda one: st.one_of(st.lists(one, max_size=3), st.dictionaries(KEYS, one, max_size=6))
)
LISTS = st.lists(st.dictionaries(KEYS, ENTRIES, max_size=6), max_size=4)


@given(st.fixed_dictionaries({"images": LISTS, "annotations": LISTS, "caption": LEAVES}))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_of_any_entries_is_read_or_refused(tmp_path, content):
    touch(tmp_path, "a.jpg")
    (tmp_path / "c.json").write_text(json.dumps(content))
    with contextlib.suppress(DataError):
        assert all(p.path == tmp_path / "a.jpg" and p.captions for p in read_collection(tmp_path / "c.json").pictures)
