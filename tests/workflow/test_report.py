import json
import os
import shutil
import sys

import numpy as np
import pytest

import intarsia
from intarsia.cli import main
from intarsia.core import SettingsError
from intarsia.data.formats import write_image


@pytest.fixture
def copy(run, tmp_path):
    """The run's folder, free to be changed."""
    shutil.copytree(run[0].out, tmp_path / "run")
    return tmp_path / "run"


def rebuilt(folder, **options):
    """The new page, and what was said."""
    said = []
    path = intarsia.report(folder, device="cpu", say=said.append, **options)
    return path.read_text(encoding="utf-8"), said


def test_a_run_is_reported_again_without_evaluating(run, copy):
    page = (copy / "report.html").read_text(encoding="utf-8")
    (copy / "report.html").unlink()
    assert rebuilt(copy) == (page, [])


def test_it_holds_all_that_a_run_has(copy):
    finding = {"severity": "warning", "code": "c", "message": "few foreground pixels", "files": ["c01.png"], "fix": None}
    (copy / "check.json").write_text(json.dumps({"findings": [finding]}))
    page, _ = rebuilt(copy)
    for part in ("data", "training", "classes", "confusion", "sizes", "worst", "settings", "environment", "command"):
        assert f'<section id="{part}">' in page
    assert "few foreground pixels" in page
    (copy / "check.json").write_text("{")
    assert "check.json cannot be read" in rebuilt(copy)[0]


def test_without_scores_the_model_is_evaluated(run, copy):
    (copy / "evaluation.json").unlink()
    page, said = rebuilt(copy)
    assert len(said) == 1
    assert said[0].endswith("evaluation.json. Evaluating again.")
    assert f"{run[0].evaluation.scores.miou:.3f}" in page
    assert "<td>unet</td>" in page
    assert rebuilt(copy) == (page, []), "once is enough"


@pytest.mark.parametrize("content", ["{", "{}", '{"predictor": "unet"}', "[]", '{"scores": {"miou": 0.5}}'])
def test_scores_that_cannot_be_read_are_made_again(copy, content):
    (copy / "evaluation.json").write_text(content)
    _, said = rebuilt(copy)
    assert len(said) == 1
    assert "evaluation.json cannot be read" in said[0]


def test_scores_that_are_not_the_model_s_are_made_again(run, copy):
    path = copy / "evaluation.json"
    saved = json.loads(path.read_text())
    for image in saved["per_image"].values():
        image["miou"] = max(0.0, image["miou"] - 0.3)
    path.write_text(json.dumps(saved))
    command = saved["command"]
    _, said = rebuilt(copy)
    assert said == ["The model does not reach the scores that were saved. Evaluating again."]
    again = json.loads(path.read_text())
    assert again["per_image"] == run[0].evaluation.to_dict()["per_image"]
    assert again["command"].startswith(f"{command}\n"), "that of the training stays, and the one that scored again comes after it"


def test_scores_of_other_images_are_made_again(cells, run, copy, tmp_path):
    data = tmp_path / "cells"
    for number in range(5):
        for kind in ("images", "masks"):
            (data / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(cells / kind / f"c{number:02}.png", data / kind / f"other{number}.png")
    page, said = rebuilt(copy, data=data)
    assert said == ["The scores are of other images or classes than the data hold now. Evaluating again."]
    assert "other" in page


def test_without_the_data_there_are_scores_and_no_pictures(run, copy, cells, tmp_path):
    recipe = copy / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(cells), str(tmp_path / "gone")))
    page, said = rebuilt(copy)
    assert "There are no pictures, since model or data cannot be opened" in said[0]
    assert "gone" in said[0]
    assert said[0].endswith("The report that this one replaces had some.")
    assert "replaces" not in page + rebuilt(copy)[1][0], "that one had none either"
    assert "--data says where" in page
    assert f"{run[0].evaluation.scores.miou:.3f}" in page
    assert "<img" not in page
    assert "<img" in rebuilt(copy, data=cells)[0]
    (copy / "evaluation.json").unlink()
    with pytest.raises(intarsia.IntarsiaError, match="gone"):
        rebuilt(copy)


def test_what_evaluate_wrote_is_reported_too(run, cells, tmp_path):
    intarsia.evaluate(cells, model=run[0].best, split="train", device="cpu", out=tmp_path)
    page, said = rebuilt(tmp_path)
    assert said == []
    assert "unet on cells train, 12 images" in page
    assert "<img" in page


def test_paths_typed_in_one_folder_are_found_from_another(run, cells, tmp_path, monkeypatch):
    monkeypatch.chdir(cells.parent)
    model = os.path.relpath(run[0].best)
    intarsia.evaluate("cells", model=model, device="cpu", out=tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    page, said = rebuilt("out")
    assert said == []
    assert "<img" in page


def test_a_refused_score_stays_refused_until_it_is_asked_for(run, tmp_path):
    """Masks of which an eighth was annotated."""
    data = tmp_path / "strokes"
    rng = np.random.default_rng(0)
    for number in range(4):
        mask = np.full((24, 32, 1), 128, np.uint8)
        mask[:3], mask[3, :4] = 0, 255
        write_image(data / "images" / f"{number}.png", rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
        write_image(data / "masks" / f"{number}.png", mask)
    (data / "intarsia.toml").write_text(
        "ignore = [128]\nclasses = [{ name = 'background', values = [0] }, { name = 'foreground', values = [255] }]\n"
    )
    out = tmp_path / "out"
    with pytest.raises(intarsia.IntarsiaError, match="No score is given"):
        intarsia.evaluate(data, model=run[0].best, device="cpu", out=out)
    page, said = rebuilt(out)
    assert said == []
    assert "mIoU" not in page
    page, said = rebuilt(out, allow_partial=True)
    assert said == ["The score was refused and is now asked for. Evaluating again."]
    assert "mean less than they seem" in page


@pytest.mark.parametrize("refused", [False, True])
def test_a_split_that_is_gone_is_said(copy, refused):
    saved = json.loads((copy / "evaluation.json").read_text())
    saved |= {"split": "test", **({"refused": "No score is given."} if refused else {})}
    (copy / "evaluation.json").write_text(json.dumps(saved))
    before = (copy / "evaluation.json").read_text()
    with pytest.raises(SettingsError, match=r"cells has no split 'test'.*Its splits: train, val\."):
        rebuilt(copy)
    assert (copy / "evaluation.json").read_text() == before


def test_a_damaged_model_is_not_blamed_on_the_data(run, copy):
    model = copy / "best.safetensors"
    model.write_bytes(model.read_bytes()[:-100])
    page, said = rebuilt(copy)
    assert "best.safetensors" in said[0]
    assert "--data" not in said[0] + page
    assert f"{run[0].evaluation.scores.miou:.3f}" in page


def test_the_command_line_says_where_the_page_is(copy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["intarsia", "report", str(copy), "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"report: {copy / 'report.html'}\n"


def test_a_folder_without_a_run_is_said(tmp_path):
    with pytest.raises(SettingsError, match=r"There is no run to report in .*nothing: There is no .*Give the folder of a run"):
        intarsia.report(tmp_path / "nothing")
