"""The benches of objects on a handful of drawn scenes: rows, their table, and what is stopped and gone on with."""

import json
import sys
from pathlib import Path

import pytest

from intarsia.training import TrainingInterrupted

REPOSITORY = Path(__file__).resolve().parents[2]
SCENES = "scenes:train=4,val=2,test=0,size=48"
QUICK = ["--data", SCENES, "--size", "32", "--device", "cpu", "--set", "epochs=1", "--set", "batch=2", "--set", "precision='32'"]
TINY = "ternausnet_v2:width=2,depths=[1,1,1,1],channels=2"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run nuclei.py with some options; it reads and writes here only."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import nuclei
    import objects_bench

    mark = "made by benchmarks/nuclei.py"
    (tmp_path / "bench.md").write_text(f"before\n<!-- {mark}: begin -->\n<!-- {mark}: end -->\nafter\n")
    monkeypatch.setattr(objects_bench, "HERE", tmp_path)
    monkeypatch.setattr(objects_bench, "PAGE", tmp_path / "bench.md")
    monkeypatch.setattr(nuclei, "GRID", {"level": (0.5,), "depth": (0.75, 1.0)})

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["nuclei.py", *options, *QUICK, "--runs", str(tmp_path / "runs")])
        nuclei.main()
        return json.loads((tmp_path / "results/nuclei.json").read_text()), (tmp_path / "bench.md").read_text()

    return run


def test_networks_and_classical_methods_are_scored_at_one_size_in_one_table(bench):
    rows, page = bench(TINY, "--classical")
    assert set(rows) == {TINY, "threshold_watershed"}
    row = rows[TINY]
    assert row["epochs"] == 1
    assert row["stage"]["imgsz"] == row["stage"]["crop"] == [32, 32]
    assert row["stage"]["encoder_weights"] == "none"
    assert row["model"]["options"]["width"] == 2
    assert {row["size"] for row in rows.values()} == {32}
    assert all(0 <= row[title] <= 1 for row in rows.values() for title in ("mean precision", "AP", "AP50", "AJI"))
    assert row["command"].startswith(f"python benchmarks/nuclei.py '{TINY}' --size 32 --data {SCENES} --set epochs=1")
    assert rows["threshold_watershed"]["settings"]["depth"] in (0.75, 1.0)
    assert page.startswith("before\n<!--")
    assert page.endswith("-->\nafter\n")
    assert f"| `{TINY}` | {row['mean precision']:.3f} |" in page
    assert "| `mask_rcnn` | *not trained yet* |" in page
    assert "| `ternausnet_v2` | *not trained yet* |" not in page
    again, _ = bench(TINY)
    assert again == rows, "what has a result is not trained again"


def test_what_was_stopped_goes_on(bench, tmp_path, monkeypatch, capsys):
    import objects_bench

    trained = objects_bench.train_stage

    def stopped(*given, **named):
        raise TrainingInterrupted("interrupted")

    monkeypatch.setattr(objects_bench, "train_stage", stopped)
    with pytest.raises(FileNotFoundError):
        bench(TINY)
    assert "stopped and saved; the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(objects_bench, "train_stage", trained)
    rows, _ = bench(TINY)
    (tmp_path / "results/nuclei.json").unlink()
    monkeypatch.setattr(objects_bench, "train_stage", stopped)  # trained, but not scored: only that is left to do
    again, _ = bench(TINY)
    assert again[TINY]["AP"] == rows[TINY]["AP"]


def test_small_networks_are_made_of_options_that_exist(bench):
    import tomllib

    from intarsia.models import ModelSpec, describe_model, network_catalog
    from intarsia.recipes import Stage

    settings = tomllib.loads((REPOSITORY / "benchmarks/objects.toml").read_text())
    for name, small in settings["small"].items():
        stage = Stage(model=name, **{**settings["recipe"], **small})
        things = (1,) if network_catalog(name)[0] == "panoptic" else ()
        assert ModelSpec(name, 2, 3, stage.encoder, options=stage.options, thing_ids=things).name == describe_model(name)["name"]
