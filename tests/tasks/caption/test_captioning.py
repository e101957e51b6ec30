"""The whole way: pictures and captions to a model, its captions, scores and page."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import unrolled
from tasks.caption.conftest import COLOURS, SMALL, write_colours
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks.caption import gallery, showing
from unrolled.tasks.registry import recognised


def test_a_folder_of_pictures_and_captions_is_recognised(colours):
    assert recognised(colours) == recognised(colours / "captions.csv") == "caption"


def test_what_was_learnt(trained, colours):
    figures = trained.evaluate(on="test")
    assert figures["bleu"][0] > 80 and figures["rouge_l"] > 0.8
    assert figures["loss"] < 0.5 and figures["scored"] == 3
    assert set(figures["baselines"]) == {"most_frequent", "nearest_picture"}
    nearest, frequent = (figures["baselines"][name]["rouge_l"] for name in ("nearest_picture", "most_frequent"))
    assert nearest > frequent
    assert "true_of_scene" not in figures and "alike" not in figures
    rows = dict(trained.rows(figures))
    assert rows["ROUGE-L"] == f"{figures['rouge_l']:.3f}" and "commonest" in rows and "nearest" in rows


def test_pictures_of_their_own(trained, tmp_path):
    write_colours(tmp_path, count=8, seed=9)
    (tmp_path / "08.png").write_bytes(b"nothing")
    files = trained.images([tmp_path])
    *made, (_, bad) = trained.caption(files)
    assert isinstance(bad, DataError)
    right = [re.search(rf"\b{name}\b", said[0]) for name, (_, said) in zip([*COLOURS] * 2, made, strict=True)]
    assert sum(map(bool, right)) >= 6
    files = files[:-1]
    several = [said for _, said in trained.caption(files, count=2)]
    assert all(len(set(said)) == 2 for said in several)
    drawn = [said for _, said in trained.caption(files, count=3, temperature=1.0, seed=4)]
    assert drawn == [said for _, said in trained.caption(files, count=3, temperature=1.0, seed=4)]
    assert all(len(said) == 3 for said in drawn)
    copies = [tuple(said) for _, said in trained.caption([files[0]] * 130, count=8, temperature=2.0)]
    assert copies[:64] != copies[64:128] and len(set(copies)) > 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 0}, "--beam: must be a whole number from 1"),
        ({"count": 0}, "--count: must be a whole number from 1"),
        ({"beam": 2, "count": 3}, "--count: a beam of 2 has no more captions than that, got 3"),
        ({"temperature": -1.0}, "--temperature: must be a number from 0"),
        ({"temperature": 1.0, "beam": 2}, "give one of the two"),
        ({"temperature": 1.0, "length_penalty": 2.0}, "--length-penalty is of the search"),
        ({"length_penalty": -1.0}, "--length-penalty: must be from 0 to 10"),
        ({"length_penalty": float("nan")}, "--length-penalty: must be from 0 to 10"),
    ],
)
def test_settings_out_of_range(trained, colours, settings, message):
    with pytest.raises(UsageError, match=message):
        list(trained.caption([colours / "00.png"], **settings))


def test_images_that_are_not_there(trained, tmp_path):
    with pytest.raises(UsageError, match="there is no file or folder"):
        trained.images([tmp_path / "none.png"])
    with pytest.raises(UsageError, match="has no pictures"):
        trained.images([tmp_path])


def test_the_page_holds_all_it_shows(trained):
    figures = trained.evaluate(on="test")
    page = (trained.run.path / "captions.html").read_text(encoding="utf-8")
    assert figures["page"] == str(trained.run.path / "captions.html")
    assert "http" not in page.replace("http-equiv", "") and "<link" not in page
    shown = figures["best"] + figures["worst"]
    assert len(shown) == 3 and all(one["rouge_l"] >= 0.5 for one in figures["best"])
    assert f"Successful captions: {len(figures['best']) or 'none'} of 3 have a ROUGE-L of 0.5 or more" in page
    words = sum(len(one["caption"].rstrip(".").split()) + one["caption"].endswith(".") for one in shown)
    assert page.count('<img src="data:image/jpeg;base64,') == len(shown) + words  # one above each word
    assert all(one["name"] in page for one in shown) and "the line is around all that has half" in page
    assert trained.pictures(figures)["captions.html"] == page.encode()


@pytest.mark.parametrize("ground", [0, 60, 255])
def test_where_it_looked_can_be_seen_on_any_picture(ground):
    picture = np.full((144, 144, 3), ground, np.uint8)
    picture[70:130, 70:130] = 255 - ground  # an object that is not looked at
    weights = np.full(36, 0.01)
    weights[7] = 0.65
    made = np.asarray(gallery.looked(Image.fromarray(picture), weights)).astype(int)
    assert np.abs(made[36, 36] - picture[36, 36]).max() < 8  # the middle of the second place of the second row
    assert np.abs(made[100, 100] - made[140, 20]).max() > 40
    line = (made == gallery._EDGE).all(-1)
    rows, columns = np.nonzero(line)
    assert 50 < line.sum() < 500 and max(rows.max(), columns.max()) < 60 and not line[32:41, 32:41].any()
    even = np.asarray(gallery.looked(Image.fromarray(picture), np.full(36, 1 / 36)))
    assert (even == picture).all()


@pytest.mark.parametrize(("image", "cell", "units"), [("first", "gru", "words"), ("state", "elman", "subwords")])
def test_the_other_ways_learn_too(colours, tmp_path, image, cell, units):
    if units == "subwords":
        pytest.importorskip("tokenizers")
    more = {"image": image, "cell": cell, "units": units, "vocabulary_size": 300}
    model = unrolled.fit(colours, tmp_path / "run", lr=0.003, epochs=30, **more, **SMALL)
    figures = model.evaluate(on="test")
    assert figures["rouge_l"] > 0.8
    page = (tmp_path / "run" / "captions.html").read_text(encoding="utf-8")
    assert page.count("<img") == len(figures["best"] + figures["worst"])
    again = unrolled.load(tmp_path / "run")
    assert again.evaluate(on="test")["bleu"] == figures["bleu"]


def test_resumed_is_as_if_it_had_not_stopped(colours, tmp_path):
    def stop_at(event):
        if event["event"] == "update" and event["update"] == 3:
            raise KeyboardInterrupt

    settings = SMALL | {"augment": True, "dropout": 0.3, "epochs": 1.0, "save_every": 0.0}
    whole = unrolled.fit(colours, tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(colours, tmp_path / "cut", listen=stop_at, **settings)
    cut = unrolled.fit(None, tmp_path / "cut", resume=True, quiet=True)
    for name, weight in whole.model.state_dict().items():
        assert np.array_equal(weight.numpy(), cut.model.state_dict()[name].numpy()), name


def test_a_run_that_begins_with_the_weights_of_another(trained, colours, tmp_path):
    told = []
    unrolled.fit(colours, tmp_path / "run", from_run=trained.run.path, epochs=0.3, threads=1, listen=told.append)
    losses = [e["validation"]["loss"] for e in told if e["event"] == "finished"]
    assert losses[0] < 0.5


def test_such_a_run_has_the_captions_of_its_own_data(trained, tmp_path):
    folder = write_colours(tmp_path / "some", count=4)
    text = "all that can be seen of this one is red or green or blue or yellow"
    rows = [f"{k:02d}.png,{text}" for k in range(4)]
    (folder / "captions.csv").write_text("\n".join(["path,caption", *rows]))
    settings = {"epochs": 1.0, "split": "100/0/0", "threads": 1, "quiet": True}
    model = unrolled.fit(folder, tmp_path / "run", from_run=trained.run.path, **settings)
    assert model.task.frequent == text and model.task.longest == len(text.split()) + 1
    assert model.task.sight == trained.task.sight


@pytest.mark.parametrize(
    "given", [{"size": 32}, {"image": "first"}, {"features": "efficientnet"}, {"units": "subwords"}, {"rare": 9}]
)
def test_settings_that_the_weights_of_another_run_do_not_fit(trained, colours, tmp_path, given):
    with pytest.raises(UsageError, match=f"^--{next(iter(given))}: .* must have the same value"):
        unrolled.fit(colours, tmp_path / "run", from_run=trained.run.path, quiet=True, **given)


def test_what_was_trained_on_is_never_in_the_test_part(tmp_path):
    """A table of pictures that lie elsewhere, of which one cannot be used any more."""
    colours = write_colours(tmp_path / "colours", count=20)
    table = tmp_path / "captions.csv"
    rows = (colours / "captions.csv").read_text().splitlines()
    table.write_text("\n".join([rows[0], *(f"colours/{row}" for row in rows[1:])]))
    unrolled.fit(table, tmp_path / "run", epochs=1.0, **SMALL)
    assert unrolled.load(tmp_path / "run").evaluate(on="test")["scored"] == 2
    (colours / "03.png").write_bytes(b"damaged")
    with pytest.raises(RunError, match="not the same of it can be used now"):
        unrolled.load(tmp_path / "run").evaluate(on="test")
    with pytest.raises(RunError, match="not the same of it can be used now"):
        unrolled.fit(None, tmp_path / "run", resume=True, epochs=2.0, quiet=True)
    assert unrolled.load(tmp_path / "run").evaluate(table)["scored"] == 19


def test_a_caption_that_is_longer_than_any_is_cut(tmp_path):
    folder = write_colours(tmp_path / "some", count=4)
    with open(folder / "captions.csv", "a", encoding="utf-8") as file:
        file.write(f"00.png,{'red ' * 300}\n")
    model = unrolled.fit(folder, tmp_path / "run", epochs=1.0, split="100/0/0", **SMALL)
    assert model.task.longest == 200 and model.evaluate(on="training")["scored"] == 4


def test_pictures_with_a_crowd_of_captions_do_not_hold_up_validation(tmp_path):
    folder = write_colours(tmp_path / "some", count=8)
    with open(folder / "captions.csv", "a", encoding="utf-8") as file:
        file.writelines(
            f"{k:02d}.png,number {n} of many\n{k:02d}.png,a red picture\n" for k in range(8) for n in range(60)
        )
    model = unrolled.fit(folder, tmp_path / "run", epochs=0.1, split="50/50/0", **SMALL)
    task, asked = model._with_own_data("validation", None), []
    loss = task.loss
    task.loss = lambda network, batch, state: asked.append(batch.inputs.shape[1]) or loss(network, batch, state)
    task.validate(model.model, whole=True)
    assert sum(asked) == 10 * len(task.parts["validation"])
    asked.clear()
    task.score(model.model, "validation")
    everything = sum(len(task.found.pictures[k].captions) for k in task.parts["validation"])
    assert sum(asked) == everything > 60 * len(task.parts["validation"]) > 0


def test_other_data_and_data_that_moved(trained, colours, tmp_path):
    other = write_colours(tmp_path / "other", count=6, seed=5)
    figures = trained.evaluate(other)
    assert figures["scored"] == 6 and set(figures["baselines"]) == {"most_frequent"}
    moved = shutil.copytree(colours, tmp_path / "moved")
    assert trained.evaluate(moved, on="test")["scored"] == 3


def test_bad_pictures_and_words_that_are_not_known(trained, tmp_path):
    folder = write_colours(tmp_path / "some", count=4)
    (folder / "01.png").write_bytes(b"nothing")
    with open(folder / "captions.csv", "a", encoding="utf-8") as file:
        file.write("00.png,an unheard zebra\n02.png,\nmissing.png,a red picture\n")
    figures = trained.evaluate(folder)
    assert figures["scored"] == 3 and np.isfinite(figures["loss"])


def test_no_picture_can_be_used(tmp_path):
    folder = write_colours(tmp_path / "none", count=2)
    for file in folder.glob("*.png"):
        file.write_bytes(b"nothing")
    with pytest.raises(
        DataError, match="has no picture with a caption that can be used: 00.png: it is not a picture"
    ):
        unrolled.fit(folder, tmp_path / "run", **SMALL)


def test_one_picture_alone(tmp_path):
    folder = write_colours(tmp_path / "one", count=1)
    model = unrolled.fit(folder, tmp_path / "run", epochs=2.0, **SMALL)
    assert [len(said) for _, said in model.caption([folder / "00.png"])] == [1]
    figures = model.evaluate(on="training")
    assert figures["scored"] == 1 and np.isnan(figures["cider"])
    assert ("CIDEr", "needs two pictures or more") in model.rows(figures)
    page = (tmp_path / "run" / "captions.html").read_text(encoding="utf-8")
    shown = " ".join([page, *(f"{name} {said}" for name, said in model.rows(figures))])
    assert not re.search(r"\bnan\b", shown)
    with pytest.raises(DataError, match="the validation part has nothing to score"):
        model.evaluate()


def test_data_that_name_training_alone_are_split(tmp_path):
    folder = write_colours(tmp_path / "data", count=20)
    (folder / "captions.csv").rename(folder / "captions_train.csv")
    model = unrolled.fit(folder, tmp_path / "run", epochs=0.3, **SMALL)
    assert [model.evaluate(on=part)["scored"] for part in ("training", "validation", "test")] == [16, 2, 2]
    told = []
    unrolled.fit(folder, tmp_path / "again", epochs=0.3, listen=told.append, **SMALL)
    about = next(e["about"] for e in told if "about" in e)
    assert ["", "the data name all of them training: split by --split 80/10/10"] in [list(row) for row in about]
    (folder / "captions_train.csv").rename(folder / "captions_val.csv")
    with pytest.raises(DataError, match=r"the training part has no pictures \(they are all validation\)"):
        unrolled.fit(folder, tmp_path / "none", **SMALL)


def test_both_directions_are_refused(colours, tmp_path):
    with pytest.raises(UsageError, match="--direction: captions are written word by word"):
        unrolled.fit(colours, tmp_path / "run", direction="both", **SMALL)


@pytest.mark.parametrize("name", ["caption.json", "vocabulary.json"])
def test_damaged_side_files(trained, tmp_path, name):
    run = shutil.copytree(trained.run.path, tmp_path / "run")
    (run / name).write_text(json.dumps({"longest": "many"}))
    with pytest.raises(RunError, match=f"{name} is damaged"):
        unrolled.load(run)


def test_a_network_that_says_the_same_of_all_says_so(colours, tmp_path):
    model = unrolled.fit(colours, tmp_path / "run", epochs=0.3, lr=1e-5, **SMALL)
    with torch.no_grad():
        model.model.eye.map.weight.zero_()
    figures = model.evaluate(on="training")
    assert re.match(r"\d+% of the pictures have the same caption", figures["alike"][0])
    assert "does not look at the picture" in figures["alike"][1]
    assert ("alike", figures["alike"][0]) in model.rows(figures)


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        ((0.5, 1.0, 1.0), "50% of the training captions are the same"),
        ((0.0, 0.001, 1.0), "hardly differ from one another"),
        ((0.0, 1.0, 0.001), "does not look at the picture"),
        ((0.0, 1.0, 1.0), "the search prefers what is common"),
    ],
)
def test_likely_causes(evidence, cause):
    first, *causes = showing.alike("a dog", 0.95, *evidence)
    assert first == "95% of the pictures have the same caption: a dog"
    assert len(causes) == 1 and cause in causes[0]
    assert showing.are_alike(0.95, 5) and not showing.are_alike(0.8, 5) and not showing.are_alike(1.0, 4)


def test_the_verb(cli, trained, colours, tmp_path):
    run = trained.run.path
    status, out, err = cli("caption", run, colours / "00.png", "--count", 2, "--beam", 4)
    assert (status, err, len(out.splitlines())) == (0, "", 2) and "\t" not in out
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    status, out, err = cli("caption", run, colours / "00.png", broken, colours / "01.png")
    assert status == 1 and "broken.png: it is not a picture" in err
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(colours / f"0{k}.png") for k in (0, 1)]
    assert cli("caption", run, broken)[:2] == (1, "")
    status, out, _ = cli("caption", run, colours / "02.png", "--json", "--temperature", 0.5, "--count", 3)
    assert status == 0 and len(json.loads(out)["captions"]) == 3
    assert cli("caption", run)[0] == 2 and cli("caption", run, tmp_path / "none.png")[0] == 2


def test_scores_as_json_and_the_report(cli, trained, tmp_path):
    figures = json.loads(cli("evaluate", trained.run.path, "--on", "test", "--json")[1])
    assert {"bleu", "cider", "rouge_l", "distinct", "baselines", "page", "best", "worst"} <= set(figures)
    assert len(figures["bleu"]) == 4
    status, out, _ = cli("evaluate", trained.run.path, "--on", "test", "--pictures", tmp_path / "pages")
    assert status == 0 and (tmp_path / "pages" / "captions.html").is_file() and "captions.html" in out
    status, out, _ = cli("inspect", trained.run.path, "--out", tmp_path / "report")
    page = (tmp_path / "report").read_text() if (tmp_path / "report").is_file() else ""
    said = page + "".join(p.read_text() for p in tmp_path.glob("report/*.html")) + out
    assert status == 0 and "this one reads pictures; unrolled evaluate shows its captions" in said


def test_other_runs_do_not_describe_pictures(cli, text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.2, hidden=8, batch=2, bptt=10, quiet=True)
    status, _, err = cli("caption", tmp_path / "run", tmp_path / "a.png")
    assert status == 2 and "the task text does not describe pictures" in err


def test_scenes_are_judged(tmp_path):
    from unrolled.tasks.caption.scenes.writing import write_scenes

    write_scenes(40, tmp_path / "scenes", size=32)
    model = unrolled.fit(tmp_path / "scenes", tmp_path / "run", epochs=0.5, **SMALL | {"size": 32})
    figures = model.evaluate(on="test")
    assert 0 <= figures["true_of_scene"] <= 1 and 0 <= figures["picks_its_scene"] <= 1
    assert all("true_of_scene" in scored for scored in figures["baselines"].values())
    assert all(one["true"] is True for one in figures["best"]) and figures["worst"]
    assert all(one["true"] is False for one in figures["worst"])
    assert "true" in dict(model.rows(figures))
