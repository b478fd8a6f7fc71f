"""Instance networks by the same command as any other."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import intarsia
from intarsia.core import DataError, SettingsError
from intarsia.data.check import check_dataset
from intarsia.data.datasets import open_dataset
from intarsia.data.formats import write_image
from intarsia.recipes import Recipe, Stage

TINY = {"width": 2, "depths": (1, 1, 1, 1), "channels": 2}
SETTINGS = {"model": "ternausnet_v2", "options": TINY, "epochs": 1, "batch": 4, "device": "cpu", "precision": "32"}


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def test_from_scenes_to_a_run_that_is_scored_and_reported(tmp_path, console):
    done = intarsia.train("scenes:train=6,val=2,test=0,size=48", out=tmp_path / "run", console=console, **SETTINGS)
    said = console.file.getvalue()
    assert "objects in 6 training images" in said
    assert "occurs nowhere" not in said, "stuff is not to be learnt, and its absence is no warning"
    assert json.loads((done.out / "check.json").read_text(encoding="utf-8"))["findings"] == []
    assert done.recipe.stages[0].loss == "objects_and_borders"
    assert (done.out / "results.csv").read_text(encoding="utf-8").startswith("epoch,step,lr,val/ap")
    page = done.report.read_text(encoding="utf-8")
    assert "val/ap" in page
    assert "val/ap/person" not in page, "the curves show what all classes have together"
    assert intarsia.load(done.best).task == "instance"


def test_a_resumed_run_opens_its_data_for_objects_too(tmp_path, console):
    out = tmp_path / "run"
    intarsia.train("scenes:train=4,val=2,test=0,size=48", out=out, console=console, **SETTINGS)
    (out / "report.html").unlink()
    again = intarsia.train(out=out, resume=True, device="cpu", console=console)
    assert again.recipe.stages[0].model == "ternausnet_v2"


def test_a_network_that_is_told_the_classes_is_scored_with_what_tells_it(tmp_path, console):
    for i in range(4):
        ids = np.zeros((32, 32), np.uint16)
        ids[4:14, 4:14], ids[16:28, 14:28] = 1, 2
        write_image(tmp_path / f"data/images/{i}.png", np.where(ids[..., None] > 0, 220, 30 + i).repeat(3, 2).astype(np.uint8))
        write_image(tmp_path / f"data/instances/{i}.png", ids)
    told = {"model": "deep_watershed", "options": {"width": 2, "semantic": "given"}, "epochs": 1, "batch": 2, "device": "cpu"}
    out = tmp_path / "run"
    with pytest.raises(SettingsError, match=r"deep_watershed with the option semantic=given is told .* --semantic chan_vese"):
        intarsia.train(tmp_path / "data", out=out, console=console, **told)
    with pytest.raises(SettingsError, match=r"threshold_watershed finds objects, and does not say of each pixel"):
        intarsia.train(tmp_path / "data", out=out, console=console, semantic="threshold_watershed", **told)
    assert not out.exists(), "said before the training"
    done = intarsia.train(tmp_path / "data", out=out, console=console, semantic="chan_vese", **told)
    assert done.evaluation.per_image
    done.report.unlink()
    assert intarsia.report(out, data=tmp_path / "data", device="cpu").read_text(encoding="utf-8").count("<img") > 0
    with pytest.raises(SettingsError, match=r"ternausnet_v2 finds out itself where the classes are"):
        intarsia.train(tmp_path / "data", out=tmp_path / "x", console=console, semantic="chan_vese", **SETTINGS)
    with pytest.raises(SettingsError, match=r"random_forest is fitted without a network.*semantic is for networks"):
        intarsia.train("scenes", model="random_forest", out=tmp_path / "x", console=console, semantic="slic")


def test_pictures_without_objects_say_what_is_needed(tmp_path, console):
    for i in range(4):
        image = np.random.default_rng(i).integers(0, 255, (24, 24, 3)).astype(np.uint8)
        write_image(tmp_path / f"data/images/{i}.png", image)
        write_image(tmp_path / f"data/masks/{i}.png", (image[..., :1] > 128).astype(np.uint8))
    for task, model in (("instance", "ternausnet_v2"), ("panoptic", "panoptic_fpn")):
        settings = {"model": model, "epochs": 1, "device": "cpu"}
        with pytest.raises(DataError, match=rf"read as maps of classes, and not for {task} segmentation, which learns from"):
            intarsia.train(tmp_path / "data", out=tmp_path / "run", console=console, **settings)
    with pytest.raises(DataError, match=r"There is no data set '.*nowhere'"):
        intarsia.train(tmp_path / "nowhere", out=tmp_path / "run", console=console, **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_stages_for_two_tasks(tmp_path, console):
    both = Recipe((Stage("unet"), Stage("ternausnet_v2", init="previous")))
    with pytest.raises(SettingsError, match=r"these differ: unet \(semantic\), ternausnet_v2 \(instance\)\."):
        intarsia.train("scenes:train=4,val=2,test=0,size=48", recipe=both, out=tmp_path / "run", console=console)


def test_a_thing_that_is_nowhere_is_still_a_warning():
    scenes = open_dataset("scenes:train=1,val=1,test=0,size=32,seed=5", view="instance")
    shown = {int(i) for i in scenes.read("train/0000").truth.class_id}
    absent = [scenes.classes.names[i] for i in scenes.classes.thing_ids if i not in shown]
    said = " ".join(finding.message for finding in check_dataset(scenes).findings if finding.code == "absent_class")
    assert absent
    assert all(repr(name) in said for name in absent)
    assert "'sky'" not in said
