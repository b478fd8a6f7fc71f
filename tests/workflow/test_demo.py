import dataclasses

import pytest

import intarsia
from intarsia.core import SettingsError
from intarsia.data.formats import read_image
from intarsia.recipes import load_recipe


@pytest.fixture(scope="module")
def tiny():
    """The demo's own recipe on fewer and smaller scenes, with a narrower network."""
    recipe = load_recipe("demo").override(options={"width": 4, "depth": 2}, batch=4)
    return dataclasses.replace(recipe, data="scenes:train=8,val=4,test=4,size=64")


def test_the_whole_way(tiny, tmp_path, quiet):
    out = tmp_path / "demo"
    done = intarsia.demo(out=out, epochs=1, recipe=tiny, device="cpu", console=quiet)
    assert done.run.out == out
    assert done.run.recipe.stages[0].epochs == 1
    assert done.run.evaluation.images == 4
    assert done.run.report.exists()
    height, width, _ = read_image(done.picture).shape
    assert height > 4 * 64, "a row for each of four scenes"
    assert width > 4 * 64, "image, truth, prediction and wrong pixels"
    assert len(list((done.predictions / "masks").glob("*.png"))) == 4
    again = intarsia.demo(out=out, epochs=1, recipe=tiny, device="cpu", console=quiet)
    assert again.run.evaluation.scores.miou == done.run.evaluation.scores.miou, "it replaces itself, and is the same again"
    model = done.run.best.read_bytes()
    with pytest.raises(SettingsError, match=r"The run in .*demo is not a demo of this version and stays"):
        intarsia.demo(out=out, epochs=1, device="cpu", console=quiet)
    assert done.run.best.read_bytes() == model


def test_a_run_of_somebody_is_not_replaced_by_the_demo(run, quiet):
    done, _ = run
    with pytest.raises(SettingsError, match=r"The run in .*cells is not a demo"):
        intarsia.demo(out=done.out, device="cpu", console=quiet)
    assert done.best.exists()
