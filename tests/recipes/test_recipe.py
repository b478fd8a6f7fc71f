import tomllib

import pytest

from intarsia.core import SettingsError, UnknownNameError
from intarsia.recipes import Recipe, Stage, load_recipe, recipe_names


def test_a_saved_recipe_reads_back_equal(tmp_path):
    recipe = Recipe(
        (
            Stage(model="fcn", options={"stride": 8}, imgsz=(120, 160), lr=1e-3, class_weights=(0.5, 2.0)),
            Stage(init="previous", ema=0.99, frozen=("encoder.",)),
        ),
        data="scenes:train=8",
        seed=7,
        made_by="0.1.0",
    )
    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe
    recipe.save(tmp_path / "recipe.toml")
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_settings_at_the_top_hold_for_every_stage():
    recipe = Recipe.from_dict({"model": "fcn", "epochs": 3, "stages": [{"options": {"stride": 32}}, {"epochs": 5}]})
    assert [stage.model for stage in recipe.stages] == ["fcn", "fcn"]
    assert [stage.epochs for stage in recipe.stages] == [3, 5]


def test_override_merges_options_and_leaves_what_is_none():
    recipe = Recipe((Stage(options={"a": 1}, epochs=3),)).override(options={"b": 2}, epochs=None, lr=0.1)
    assert recipe.stages[0] == Stage(options={"a": 1, "b": 2}, epochs=3, lr=0.1)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_along_can_be_read(name):
    assert load_recipe(name).stages


def test_fcn_goes_from_coarse_to_fine():
    recipe = load_recipe("fcn_staged")
    assert [stage.options["stride"] for stage in recipe.stages] == [32, 16, 8]
    assert [stage.init for stage in recipe.stages] == [None, "previous", "previous"]


def test_unknown_things_answer_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no recipe called 'fcn-stage'\. Did you mean 'fcn_staged'"):
        load_recipe("fcn-stage")
    with pytest.raises(SettingsError, match=r"has a setting 'epohcs' that does not exist\. Did you mean 'epochs'"):
        Recipe.from_dict({"epohcs": 3})
    with pytest.raises(SettingsError, match=r"There is no recipe at nowhere\.toml"):
        load_recipe("nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = ")
    with pytest.raises(SettingsError, match="is not a TOML file"):
        load_recipe(broken)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "linear"}, "schedule is 'linear'; it can be poly, cosine, constant"),
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": -1.0}, r"lr is -1\.0"),
        ({"imgsz": (0, 5)}, r"imgsz is \(0, 5\)"),
        ({"scale": (2.0, 1.0)}, r"scale is \(2\.0, 1\.0\)"),
        ({"ema": 1.0}, r"ema is 1\.0"),
        ({"warmup": 1.0}, r"warmup is 1\.0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Stage(**settings)
