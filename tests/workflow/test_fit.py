"""A classical method that learns goes the same way as a network, without torch."""

import io
import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

import intarsia
from intarsia.core import ModelFileError, SettingsError, UnknownNameError
from intarsia.data.formats import read_mask
from intarsia.inference import FittedMethod, read_model_card
from intarsia.recipes import Recipe, Stage, load_recipe

SMALL = {"trees": 4, "depth": 6, "scales": 2}


@pytest.fixture(scope="module")
def fitted(cells, tmp_path_factory):
    """What `train` returns, and what it printed."""
    console = Console(file=io.StringIO(), width=200)
    out = tmp_path_factory.mktemp("fitted") / "cells"
    done = intarsia.train(cells, model="random_forest", options=SMALL, seed=3, out=out, console=console)
    return done, console.file.getvalue()


def test_a_run_of_a_forest_is_a_run(fitted):
    done, said = fitted
    names = {path.name for path in done.out.iterdir()}
    assert names == {"best.safetensors", "recipe.toml", "check.json", "evaluation.json", "report.html"}
    assert done.evaluation.scores.miou > 0.9
    assert done.evaluation.predictor == "random_forest"
    assert "data: cells, 12 train, 3 val; 2 classes" in said
    assert "fitted in" in said


def test_the_out_of_bag_score_is_printed_saved_and_reported(fitted):
    done, said = fitted
    (note,) = [note for note in done.evaluation.notes if "Out of bag" in note]
    card = intarsia.load(done.out).card
    assert f"mIoU {card.scores['out_of_bag/miou']:.3f}" in note
    assert note in said
    assert note in done.report.read_text(encoding="utf-8")
    assert note in json.loads((done.out / "evaluation.json").read_text(encoding="utf-8"))["notes"]
    assert abs(card.scores["out_of_bag/miou"] - done.evaluation.scores.miou) < 0.1


def test_the_recipe_says_what_was_decided_and_makes_the_same_forest(fitted, tmp_path, quiet):
    done, _ = fitted
    text = (done.out / "recipe.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == {"made_by", "data", "seed", "model", "options"}
    recipe = load_recipe(done.out / "recipe.toml")
    assert recipe == done.recipe
    assert (recipe.seed, recipe.stages[0].options["trees"], recipe.stages[0].options["min_leaf"]) == (3, 4, 4)
    again = intarsia.train(recipe=done.out / "recipe.toml", out=tmp_path / "again", console=quiet)
    first, second = load_file(done.best), load_file(again.best)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_loaded_it_segments_like_a_network(fitted, cells, tmp_path):
    done, _ = fitted
    segment = intarsia.load(done.best)
    assert isinstance(segment, FittedMethod)
    path = cells / "images/c00.png"
    found = segment(path, prob=True)
    assert np.array_equal(found.ids, found.prob.argmax(0))
    np.testing.assert_allclose(found.prob.sum(0), 1, atol=1e-5)
    (row,) = intarsia.predict([path], model=done.out, out=tmp_path)
    assert row.error is None
    assert np.array_equal(read_mask(row.mask).ids, found.ids)


def test_the_four_commands_do_without_torch(cells, tmp_path):
    script = f"""
import sys
from intarsia.cli import main
data, run, out = {str(cells)!r}, {str(tmp_path / "run")!r}, {str(tmp_path / "out")!r}
best = run + "/best.safetensors"
for line in (
    ["train", data, "--model", "random_forest", "--out", run, "--set", "trees=2", "--set", "scales=1"],
    ["evaluate", data, "--model", best, "--out", out],
    ["predict", data + "/images/c00.png", "--model", best, "--out", out],
    ["report", run],
):
    sys.argv = ["intarsia", *line]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise
print([name for name in ("torch", "torchvision", "timm", "lightning") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "out/masks/c00.png").exists()
    for page in (tmp_path / "run/report.html", tmp_path / "out/report.html"):
        assert "Out of bag" in page.read_text(encoding="utf-8")


def test_what_networks_need_is_refused(cells, tmp_path, quiet, fitted):
    def train(**settings):
        intarsia.train(cells, out=tmp_path / "new", console=quiet, **{"model": "random_forest", **settings})

    with pytest.raises(SettingsError, match=r"on the processor; epochs, lr, device is for networks.*--set: trees, depth"):
        train(epochs=5, lr=0.1, device="cuda")
    with pytest.raises(SettingsError, match=r"random_forest has no option 'treees'\. Did you mean 'trees'"):
        train(options={"treees": 3})
    with pytest.raises(
        UnknownNameError, match=r"no network called 'random_forrest'.*learn without one: depth_forest, random_forest"
    ):
        train(model="random_forrest")
    with pytest.raises(SettingsError, match=r"seed of a run is given by --seed"):
        train(options={"rng": 3})
    with pytest.raises(SettingsError, match=r"the recipe has 2 stages"):
        train(recipe=Recipe((Stage("random_forest"), Stage("random_forest"))))
    with pytest.raises(SettingsError, match=r"slic is a classical method that learns nothing.*predict PHOTOS --model slic"):
        train(model="slic")
    with pytest.raises(SettingsError, match=r"There is a run in .*cells already"):
        intarsia.train(cells, model="random_forest", out=fitted[0].out, console=quiet)
    with pytest.raises(SettingsError, match=r"fitted in one go, and there is nothing to resume"):
        intarsia.train(out=fitted[0].out, resume=True, console=quiet)
    assert not (tmp_path / "new").exists()


def test_a_forest_is_no_network_and_its_name_no_model(fitted, cells):
    with pytest.raises(ModelFileError, match=r"holds a random_forest, which was fitted without a network"):
        read_model_card(fitted[0].best)
    with pytest.raises(SettingsError, match=r"random_forest knows nothing until it is fitted.*train DATA --model random_forest"):
        intarsia.evaluate(cells, model="random_forest")
    with pytest.raises(SettingsError, match=r"Options \(trees\) were given for .*best.safetensors.* has its own in"):
        intarsia.evaluate(cells, model=fitted[0].best, options={"trees": 3})
