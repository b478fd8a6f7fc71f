import tomllib
from dataclasses import fields

import pytest

from intarsia.core import SettingsError, UnknownNameError
from intarsia.recipes import Recipe, Stage, load_recipe, recipe_names
from intarsia.recipes.stage import RULES


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


def test_a_file_to_start_from_leaves_stages_that_go_on_from_the_one_before(tmp_path):
    recipe = load_recipe("fcn_staged").override(init=tmp_path / "vgg.safetensors")
    assert [stage.init for stage in recipe.stages] == [str(tmp_path / "vgg.safetensors"), "previous", "previous"]
    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe


def test_a_time_budget_is_for_all_stages_together():
    assert [stage.time_s for stage in load_recipe("fcn_staged").override(time_s=90).stages] == [30, 30, 30]


def test_one_number_is_a_square():
    assert Stage(imgsz=256) == Stage(imgsz=[256, 256]) == Stage(imgsz=(256, 256))


def test_every_setting_has_its_rule():
    assert list(RULES) == [entry.name for entry in fields(Stage)]


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
    broken.write_bytes("# größer\nepochs = 3".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"broken\.toml is not a TOML file, which is text in UTF-8"):
        load_recipe(broken)
    with pytest.raises(SettingsError, match=r"The call has a setting 'epohcs' that does not exist\. Did you mean 'epochs'"):
        Recipe((Stage(),)).override(epohcs=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stages": [1]}, r"The recipe has stages = \[1\]; each stage is a table"),
        ({"stages": 3}, "The recipe has stages = 3"),
        ({"stages": []}, "The recipe has no stage"),
        ({"seed": "x"}, "The recipe: seed is 'x'; it can be a whole number, 0 or greater"),
        ({"seed": -1}, "The recipe: seed is -1"),
        ({"data": 3}, "The recipe: data is 3; it can be a text"),
        ({"epochs": "many"}, "The recipe: epochs is 'many'; it can be a whole number greater than 0"),
        ({"init": "previous"}, 'The first stage has init "previous", and there is no stage before it'),
    ],
)
def test_content_that_cannot_be_meant_is_refused(content, message):
    with pytest.raises(SettingsError, match=message):
        Recipe.from_dict(content)


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
        ({"epochs": 2.5}, r"epochs is 2\.5; it can be a whole number greater than 0"),
        ({"batch": True}, "batch is True"),
        ({"patience": -1}, "patience is -1; it can be a whole number, 0 or greater"),
        ({"model": 3}, "model is 3; it can be a text"),
        ({"imgsz": 0}, r"imgsz is \(0, 0\)"),
        ({"options": [1]}, r"options is \(1,\); it can be a table"),
        (
            {"class_weights": ("1",)},
            "class_weights is .*; it can be auto, median_frequency, log, none, or a number for each class",
        ),
        ({"frozen": "encoder"}, "frozen is 'encoder'; it can be a list of texts"),
        ({"compile": "yes"}, "compile is 'yes'; it can be true or false"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Stage(**settings)
