import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

import intarsia
from intarsia.cli import main
from intarsia.core import ClassSpace, SettingsError
from intarsia.data.datasets import write_classes
from intarsia.data.formats import write_image
from intarsia.evaluation import Evaluation, ScoreRefused
from intarsia.workflow.results import Results

SMALL = {"options": {"width": 4, "depth": 1}, "device": "cpu"}


def test_evaluating_the_saved_file_gives_the_scores_of_the_run(run, cells, tmp_path):
    done, _ = run
    seen = []
    evaluation = intarsia.evaluate(cells, model=done.best, device="cpu", out=tmp_path, progress=lambda *step: seen.append(step))
    assert evaluation.scores.miou == done.evaluation.scores.miou
    assert len(seen) == 3
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved.items() >= json.loads(json.dumps(evaluation.to_dict())).items()
    assert saved["inputs"] == {"data": str(cells), "model": str(done.best)}
    assert saved["environment"]["device"] == "cpu"
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_scores_of_a_run_are_not_replaced_by_those_of_other_data(run, sparse):
    done, _ = run
    before = {file: file.read_bytes() for file in done.out.iterdir()}
    with pytest.raises(SettingsError, match=r"There is a run in .*cells, whose own scores .*`intarsia report .*cells` builds"):
        intarsia.evaluate(sparse, model=done.best, device="cpu", out=done.out)
    assert {file: file.read_bytes() for file in done.out.iterdir()} == before


def test_what_is_saved_is_read_back(run):
    done, _ = run
    results = Results.load(done.out)
    assert isinstance(results.outcome, Evaluation)
    assert results.outcome.scores.to_dict() == done.evaluation.scores.to_dict()
    assert results.settings["model"] == "unet"
    rows = [line for line in (done.out / "evaluation.json").read_text().splitlines() if line.strip().startswith("[")]
    assert any(line.count(",") >= 2 for line in rows), "a row of the matrix stands in one line"


def test_names_are_saved_as_they_are(tmp_path):
    odd = '[\n 1,  2 ] "x"'
    Results(ScoreRefused(odd, odd, odd, "val"), odd, {odd: odd}, {}, {}).save(tmp_path)
    again = Results.load(tmp_path)
    assert (str(again.outcome), again.outcome.predictor, again.command, again.settings) == (odd, odd, odd, {odd: odd})


def test_an_unknown_split_is_named(run, cells):
    done, _ = run
    with pytest.raises(SettingsError, match="test"):
        intarsia.evaluate(cells, model=done.best, split="test", device="cpu")


@pytest.fixture(scope="session")
def sparse(tmp_path_factory):
    """Masks in which one pixel in eight was annotated, as background or cell."""
    root = tmp_path_factory.mktemp("sparse") / "strokes"
    rng = np.random.default_rng(0)
    for number in range(5):
        mask = np.full((24, 32, 1), 255, np.uint8)
        mask[:3], mask[3, :4] = 0, 1
        write_image(root / "images" / f"{number}.png", rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
        write_image(root / "masks" / f"{number}.png", mask)
    write_classes(root, ClassSpace.from_names(["background", "cell"]))
    return root


@pytest.fixture(scope="session")
def refused(sparse, tmp_path_factory):
    console = Console(file=io.StringIO(), width=200)
    return intarsia.train(sparse, out=tmp_path_factory.mktemp("runs") / "strokes", epochs=1, console=console, **SMALL)


def test_a_training_whose_score_is_refused_keeps_its_model_and_reports_why(refused):
    assert refused.best.is_file()
    with pytest.raises(ScoreRefused, match=r"No score is given\. Only 13\.0% of the pixels of strokes val can be scored"):
        _ = refused.evaluation
    saved = json.loads((refused.out / "evaluation.json").read_text())
    assert saved["refused"] == str(refused.outcome)
    assert "scores" not in saved
    page = refused.report.read_text(encoding="utf-8")
    assert "Only 13.0% of the pixels" in page
    assert "mIoU" not in page
    assert "train/loss" in page
    assert page.count("<img") == 4


def test_a_refused_score_is_an_error_that_leaves_a_report_and_can_be_had_all_the_same(refused, sparse, tmp_path):
    with pytest.raises(ScoreRefused, match=r"Only 13\.0% of the pixels"):
        intarsia.evaluate(sparse, model=refused.best, device="cpu", out=tmp_path)
    assert "mIoU" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    evaluation = intarsia.evaluate(sparse, model=refused.best, device="cpu", out=tmp_path, allow_partial=True)
    assert "Only 13.0% of the pixels" in evaluation.warnings[0]
    assert json.loads((tmp_path / "evaluation.json").read_text())["warnings"] == list(evaluation.warnings)
    assert "mean less than they seem" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_command_line_refuses_with_exit_code_2_and_no_number_that_looks_like_a_score(refused, sparse, monkeypatch, capsys):
    def run(*options):
        arguments = ["evaluate", str(sparse), "--model", str(refused.best), "--device", "cpu", *options]
        monkeypatch.setattr(sys, "argv", ["intarsia", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    code, said, complaint = run()
    assert (code, said) == (2, "")
    assert complaint.startswith("error: No score is given. Only 13.0% of the pixels")
    assert "--allow-partial" in complaint
    code, said, complaint = run("--json")
    assert code == 2
    assert json.loads(said)["refused"] in complaint
    code, said, _ = run("--allow-partial")
    assert code == 0
    assert said.startswith("warning: Only 13.0% of the pixels")
    code, said, _ = run("--allow-partial", "--json")
    assert code == 0
    assert json.loads(said)["warnings"][0].startswith("Only 13.0%")


def test_a_classical_method_with_options_is_scored_by_what_its_borders_allow(cells):
    fine = intarsia.evaluate(cells, model="slic", options={"segments": 80})
    coarse = intarsia.evaluate(cells, model="slic", options={"segments": 2})
    assert fine.scores.miou > coarse.scores.miou
    assert any("the best that its borders allow" in note for note in fine.notes)
