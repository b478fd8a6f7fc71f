import io
import os
import signal
import tomllib

import pytest
from rich.console import Console
from safetensors.numpy import load_file

import intarsia
from intarsia.core import IntarsiaError, SettingsError
from intarsia.recipes import Recipe, load_recipe

SMALL = {"options": {"width": 4, "depth": 1}, "device": "cpu"}


def same_weights(a, b):
    first, second = load_file(a), load_file(b)
    return all((first[name] == second[name]).all() for name in first)


def test_a_folder_of_0_and_255_masks_becomes_a_model_that_finds_the_foreground(run):
    done, text = run
    assert done.evaluation.scores.classes.names == ("background", "foreground")
    assert done.evaluation.scores.iou[1] > 0.8
    assert done.evaluation.scores.share_scored == 1.0
    assert "data: cells, 12 train, 3 val; 2 classes" in text
    assert "255" in text


def test_the_run_folder_holds_everything(run):
    done, _ = run
    names = {path.name for path in done.out.iterdir()}
    assert names == {"best.safetensors", "last.safetensors", "results.csv", "recipe.toml", "evaluation.json", "report.html"}
    page = done.report.read_text(encoding="utf-8")
    assert "foreground" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_saved_recipe_has_every_choice_filled_in_and_reproduces_the_run(run, tmp_path, quiet):
    done, _ = run
    recipe = load_recipe(done.out / "recipe.toml")
    assert recipe == done.recipe
    stage = recipe.stages[0]
    assert None not in (stage.lr, stage.batch, stage.crop, stage.epochs, stage.precision)
    assert stage.class_weights != "auto"
    again = intarsia.train(recipe=done.out / "recipe.toml", out=tmp_path / "again", device="cpu", console=quiet)
    assert same_weights(again.best, done.best)


def test_a_run_is_not_overwritten_by_accident(run, cells, quiet):
    done, _ = run
    with pytest.raises(SettingsError, match=r"There is a run in .*cells already\. Choose another --out, or --overwrite"):
        intarsia.train(cells, out=done.out, console=quiet, **SMALL)
    with pytest.raises(SettingsError, match="is finished; there is nothing to resume"):
        intarsia.train(out=done.out, resume=True, console=quiet)
    with pytest.raises(SettingsError, match="A resumed run keeps its settings, and epochs was given"):
        intarsia.train(out=done.out, resume=True, epochs=9, console=quiet)


class Impatient(Console):
    def print(self, *objects, **options):
        super().print(*objects, **options)
        if str(objects[0]).startswith("epoch 1/2"):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_says_the_line_that_resumes_and_the_line_works(cells, tmp_path, quiet):
    out = tmp_path / "broken"
    with pytest.raises(IntarsiaError, match=f"To go on: intarsia train --resume --out {out}"):
        intarsia.train(cells, out=out, epochs=2, console=Impatient(file=io.StringIO()), **SMALL)
    whole = intarsia.train(cells, out=tmp_path / "whole", epochs=2, console=quiet, **SMALL)
    resumed = intarsia.train(out=out, resume=True, device="cpu", console=quiet)
    assert same_weights(resumed.out / "last.safetensors", whole.out / "last.safetensors")


def test_stages_start_from_the_one_before(cells, tmp_path, quiet):
    staged = tomllib.loads(
        """
        model = "fcn"
        options = { width = 4, fc_channels = 16, padding = "same" }
        epochs = 1
        [[stages]]
        options = { width = 4, fc_channels = 16, padding = "same", stride = 32 }
        [[stages]]
        init = "previous"
        options = { width = 4, fc_channels = 16, padding = "same", stride = 16 }
        """
    )
    done = intarsia.train(cells, recipe=Recipe.from_dict(staged), out=tmp_path / "fcn", device="cpu", console=quiet)
    assert (tmp_path / "fcn" / "stage-1" / "best.safetensors").exists()
    assert "initialised from best.safetensors" in quiet.file.getvalue()
    assert intarsia.load(done.best, device="cpu").card.spec.options["stride"] == 16


def test_a_time_budget_is_turned_into_epochs_and_frozen(cells, tmp_path, quiet):
    done = intarsia.train(cells, out=tmp_path / "timed", time_s=1e-3, console=quiet, **SMALL)
    assert done.recipe.stages[0].epochs == 1


def test_nothing_to_train_on_is_said(quiet, tmp_path):
    with pytest.raises(SettingsError, match="There is no data to train on"):
        intarsia.train(console=quiet)
    with pytest.raises(SettingsError, match="There is no run to resume at"):
        intarsia.train(resume=True, out=tmp_path, console=quiet)
    with pytest.raises(IntarsiaError, match="There is no data set 'scene'"):
        intarsia.train("scene", console=quiet)
