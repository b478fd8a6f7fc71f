import io
import json
import os
import shlex
import shutil
import signal
import tomllib

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

import intarsia
from intarsia.core import ClassSpace, IntarsiaError, SettingsError
from intarsia.data.check import DataFaults
from intarsia.data.datasets import write_classes
from intarsia.data.formats import read_image, write_image
from intarsia.recipes import Recipe, Stage, load_recipe
from intarsia.workflow import evaluate as evaluating
from intarsia.workflow.run_folder import RunFolder

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


def test_nothing_is_trained_on_data_with_errors(cells, tmp_path, quiet):
    shutil.copytree(cells, tmp_path / "cells")
    (tmp_path / "cells/intarsia.toml").unlink()
    with pytest.raises(DataFaults, match=r"All 15 masks hold only 0 \(\d.*\) and 255 .*nothing says what 255 means") as stopped:
        intarsia.train(tmp_path / "cells", out=tmp_path / "run", console=quiet, **SMALL)
    assert '{ name = "foreground", values = [255]' in str(stopped.value)
    (tmp_path / "cells/masks/c03.png").unlink()
    (tmp_path / "cells/images/c05.png").write_bytes(b"no image")
    with pytest.raises(DataFaults, match=r"(?s)c03.*c05\.png is no PNG.*nothing says what 255 means"):
        intarsia.train(tmp_path / "cells", out=tmp_path / "run", console=quiet, **SMALL)
    assert not (tmp_path / "run").exists()


def test_warnings_are_printed_and_kept_for_the_report(cells, tmp_path, quiet):
    data = tmp_path / "cells"
    shutil.copytree(cells, data)
    write_image(data / "images/c00.png", read_image(data / "images/c00.png")[..., :1])
    done = intarsia.train(data, out=tmp_path / "run", epochs=1, console=quiet, **SMALL)
    assert "warning: The images have different numbers of channels: 3 in 14" in quiet.file.getvalue()
    (finding,) = json.loads((done.out / "check.json").read_text(encoding="utf-8"))["findings"]
    assert (finding["severity"], finding["code"], finding["fix"]) == ("warning", "mixed_channels", None)
    assert str(data / "images/c00.png") in finding["files"]
    assert "different numbers of channels" in done.report.read_text(encoding="utf-8")


def test_the_run_folder_holds_everything(run):
    done, _ = run
    names = {path.name for path in done.out.iterdir()}
    assert names == {
        "best.safetensors",
        "last.safetensors",
        "results.csv",
        "recipe.toml",
        "check.json",
        "evaluation.json",
        "report.html",
    }
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

    assert "time_s" not in (done.out / "recipe.toml").read_text(), "a resumed run would choose again"


def test_the_seed_of_a_training_does_not_move_images_between_train_and_val(cells, tmp_path, quiet):
    done = intarsia.train(cells, out=tmp_path / "seed1", seed=1, epochs=1, console=quiet, **SMALL)
    again = intarsia.evaluate(cells, model=done.out, device="cpu")
    assert list(again.per_image) == list(done.evaluation.per_image)
    assert again.scores.miou == done.evaluation.scores.miou


@pytest.fixture
def made(cells, tmp_path, quiet):
    """A small run that a test may destroy."""
    return intarsia.train(cells, out=tmp_path / "made", epochs=1, console=quiet, **SMALL)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "u-nett"}, "Did you mean 'unet'"),
        ({"epohcs": 3}, "Did you mean 'epochs'"),
        ({"options": {"widht": 4}}, "has no option 'widht'"),
        ({"device": "abacus"}, "The device 'abacus' cannot be used here"),
        ({"init": "nowhere.safetensors"}, "nowhere.safetensors does not exist"),
    ],
)
def test_a_mistake_leaves_the_run_that_was_to_be_replaced(made, cells, quiet, settings, message):
    before = contents(made.out)
    with pytest.raises(IntarsiaError, match=message):
        intarsia.train(cells, out=made.out, overwrite=True, epochs=1, console=quiet, **{**SMALL, **settings})
    assert contents(made.out) == before


def test_a_run_is_not_replaced_by_one_that_starts_from_it(made, cells, quiet):
    before = contents(made.out)
    with pytest.raises(SettingsError, match=r"best\.safetensors belongs to the run that would be replaced"):
        intarsia.train(cells, out=made.out, init=made.best, overwrite=True, epochs=1, console=quiet, **SMALL)
    assert contents(made.out) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_recipe_is_not_replaced_by_the_run_that_reads_it(cells, tmp_path, quiet, overwrite):
    recipe = tmp_path / "rec" / "recipe.toml"
    recipe.parent.mkdir()
    recipe.write_text(Recipe((Stage(epochs=1),)).to_toml())
    before = contents(recipe.parent)
    with pytest.raises(SettingsError, match=r"The recipe .*recipe\.toml lies in .*rec, where .* Choose another --out\."):
        intarsia.train(cells, recipe=recipe, out=recipe.parent, overwrite=overwrite, device="cpu", console=quiet)
    assert contents(recipe.parent) == before


def test_files_that_somebody_else_left_are_not_replaced_unless_asked(cells, tmp_path, quiet):
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"holds no run, but .*: evaluation\.json\. Choose another --out, or --overwrite"):
        intarsia.train(cells, out=tmp_path, epochs=1, console=quiet, **SMALL)
    assert (tmp_path / "evaluation.json").read_text() == "{}"
    RunFolder(tmp_path).refuse_new(overwrite=True, inits=[])


def test_overwrite_replaces_every_file_and_those_of_stages(made, cells, quiet):
    stage = made.out / "stage-1"
    stage.mkdir()
    (stage / "best.safetensors").write_bytes(made.best.read_bytes())
    (made.out / "notes.txt").write_text("mine")
    intarsia.train(cells, out=made.out, overwrite=True, epochs=1, console=quiet, **SMALL)
    assert not stage.exists()
    assert (made.out / "notes.txt").exists()


def test_a_first_stage_alone_is_a_run_too(tmp_path, cells, quiet):
    stage = tmp_path / "run" / "stage-1"
    stage.mkdir(parents=True)
    (stage / "last.ckpt").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"There is a run in .*run already\. Choose another"):
        intarsia.train(cells, out=tmp_path / "run", console=quiet, **SMALL)
    (tmp_path / "run" / "recipe.toml").write_text("")
    with pytest.raises(SettingsError, match="It was interrupted: --resume goes on with it"):
        RunFolder(tmp_path / "run").refuse_new(overwrite=False, inits=[])


def test_out_that_is_a_file_is_said(tmp_path, cells, quiet):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file is a file; --out names a folder"):
        intarsia.train(cells, out=tmp_path / "file", overwrite=True, console=quiet, **SMALL)


def test_a_run_goes_on_with_its_own_data_only(made, cells, tmp_path, quiet):
    (made.out / "report.html").unlink()
    for name in "ab":
        write_image(tmp_path / f"other/images/{name}.png", np.zeros((8, 8, 3), np.uint8))
        write_image(tmp_path / f"other/masks/{name}.png", np.eye(8, dtype=np.uint8)[..., None])
    with pytest.raises(SettingsError, match=r"made learnt from other data than other as it is now"):
        intarsia.train(tmp_path / "other", out=made.out, resume=True, console=quiet)
    assert load_recipe(made.out / "recipe.toml").data == str(cells)


def test_a_run_interrupted_while_it_was_scored_is_scored_when_resumed(cells, tmp_path, quiet, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    out = tmp_path / "a run"
    with monkeypatch.context() as patched:
        patched.setattr(evaluating, "evaluate", interrupt)
        with pytest.raises(IntarsiaError, match="To go on: ") as stopped:
            intarsia.train(cells, out=out, epochs=1, workers=0, console=quiet, **SMALL)
    line = str(stopped.value).partition("To go on: ")[2]
    assert shlex.split(line)[1:] == ["train", "--resume", "--out", str(out), "--device", "cpu", "--workers", "0"]
    model = (out / "best.safetensors").read_bytes()
    intarsia.train(out=out, resume=True, device="cpu", workers=0, console=quiet)
    assert (out / "best.safetensors").read_bytes() == model
    assert (out / "report.html").exists()
    with pytest.raises(SettingsError, match="is finished; there is nothing to resume"):
        intarsia.train(out=out, resume=True, console=quiet)


def test_only_the_first_process_of_a_parallel_training_asks_clears_and_prints(made, cells, monkeypatch, quiet):
    """Another process is started while the first trains, and must not stumble over what that has written."""
    before = contents(made.out)
    monkeypatch.setenv("LOCAL_RANK", "1")
    printed = len(quiet.file.getvalue())
    with pytest.raises(IntarsiaError, match="Did you mean 'unet'"):
        intarsia.train(cells, out=made.out, model="u-nett", console=quiet, **SMALL)
    assert contents(made.out) == before
    assert len(quiet.file.getvalue()) == printed


def test_names_of_folders_and_files_may_hold_anything(cells, tmp_path, quiet):
    data = tmp_path / "my [red] photos" / "größe :car: 写真"
    for number, kind in enumerate(("images", "masks") * 3):
        source = cells / kind / f"c{number // 2:02}.png"
        target = data / kind / f"{number // 2} [x] {{y}} é.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    shutil.copy(cells / "intarsia.toml", data)
    done = intarsia.train(data, out=data.parent / "run [1]", epochs=1, console=quiet, **SMALL)
    assert "data: größe :car: 写真, 2 train, 1 val" in quiet.file.getvalue()
    rows = intarsia.predict([data / "images"], model=done.out, out=tmp_path / "out [/]", device="cpu")
    assert [row.error for row in rows] == [None] * 3
    assert rows[0].mask == tmp_path / "out [/]" / "masks" / "0 [x] {y} é.png"
    assert rows[0].mask.exists()


@pytest.mark.parametrize(("dtype", "channels", "suffix"), [("uint16", 1, ".png"), ("float32", 3, ".tif"), ("uint8", 5, ".tif")])
def test_images_of_other_depths_and_channels_are_trained_on_and_predicted(dtype, channels, suffix, tmp_path, quiet):
    rng = np.random.default_rng(0)
    bright = {"uint16": 60_000, "float32": 2.5, "uint8": 200}[dtype]
    for number in range(6):
        mask = np.zeros((24, 24, 1), np.uint8)
        mask[4:16, 4 : 10 + number] = 1
        image = (rng.random((24, 24, channels)) * bright / 4 + mask * (bright / 2)).astype(dtype)
        write_image(tmp_path / "data/images" / f"{number}{suffix}", image)
        write_image(tmp_path / "data/masks" / f"{number}.png", mask)
    settings = {"options": {"width": 8, "depth": 1}, "epochs": 8, "lr": 1e-2}
    done = intarsia.train(tmp_path / "data", out=tmp_path / "run", device="cpu", console=quiet, **settings)
    assert done.evaluation.scores.miou > 0.9
    assert intarsia.load(done.best).preprocessing.in_channels == channels
    rows = intarsia.predict([tmp_path / "data/images"], model=done.best, out=tmp_path / "out", device="cpu")
    assert [row.error for row in rows] == [None] * 6


def test_more_classes_than_a_byte_tells_apart(tmp_path, quiet):
    for number in range(3):
        ids = np.arange(300, dtype=np.uint16).reshape(15, 20)
        write_image(tmp_path / "data/images" / f"{number}.png", np.full((15, 20, 3), number, np.uint8))
        write_image(tmp_path / "data/masks" / f"{number}.png", ids[..., None])
    write_classes(tmp_path / "data", ClassSpace.from_names([f"kind {number}" for number in range(300)]))
    done = intarsia.train(tmp_path / "data", out=tmp_path / "run", epochs=1, console=quiet, **SMALL)
    assert len(done.evaluation.scores.classes) == 300
    (row, *_) = intarsia.predict([tmp_path / "data/images"], model=done.best, out=tmp_path / "out", device="cpu")
    assert row.error is None
    assert sum(row.areas.values()) == 300


def test_nothing_to_train_on_is_said(quiet, tmp_path):
    with pytest.raises(SettingsError, match="There is no data to train on"):
        intarsia.train(console=quiet)
    with pytest.raises(SettingsError, match="There is no run to resume at"):
        intarsia.train(resume=True, out=tmp_path, console=quiet)
    with pytest.raises(IntarsiaError, match="There is no data set 'scene'"):
        intarsia.train("scene", console=quiet)
    for settings, message in (({"seed": -1}, "seed is -1"), ({"workers": -1}, "workers is -1"), ({"devices": 0}, "devices is 0")):
        with pytest.raises(SettingsError, match=message):
            intarsia.train("scenes", console=quiet, **settings)
