import json

import pytest

import intarsia
from intarsia.core import SettingsError


def test_evaluating_the_saved_file_gives_the_scores_of_the_run(run, cells, tmp_path):
    done, _ = run
    seen = []
    evaluation = intarsia.evaluate(cells, model=done.best, device="cpu", out=tmp_path, progress=lambda *step: seen.append(step))
    assert evaluation.scores.miou == done.evaluation.scores.miou
    assert len(seen) == 3
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved == json.loads(json.dumps(evaluation.to_dict()))
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_an_unknown_split_is_named(run, cells):
    done, _ = run
    with pytest.raises(SettingsError, match="test"):
        intarsia.evaluate(cells, model=done.best, split="test", device="cpu")
