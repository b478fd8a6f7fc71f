"""What the CamVid bench of the CRF tells is what its settings give, and its unaries are like the stored ones."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from intarsia.core import LabelMap
from intarsia.data.datasets.camvid import CamVid
from intarsia.inference.refined import create_refinement
from intarsia.postprocess.dense_crf import refine

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    return runpy.run_path(str(BENCHMARKS / "crf_camvid.py"))


@pytest.fixture(scope="module")
def classes(shared_data):
    return CamVid(shared_data("camvid")).classes


def test_settings_tuned_on_train_images_reach_the_score_on_the_stored_one(bench, classes, shared_data):
    told = json.loads((BENCHMARKS / "results" / "crf_camvid.json").read_text())["stored_image"]
    image, unary, truth = bench["stored_case"](shared_data("dense_crf").parent, classes)
    assert bench["score"](LabelMap(unary.argmin(0).astype(np.uint8), classes), truth) == told["unaries"]
    assert told["unaries"]["miou"] == 0.5161
    name, field = create_refinement(file=BENCHMARKS / "results" / "crf_camvid.toml")
    found = bench["score"](refine(unary, image, field, classes=classes), truth)
    assert name == "crf"
    assert found["miou"] == pytest.approx(told["tuned"]["miou"], abs=2e-3)
    assert found["miou"] >= 0.60


def test_simulated_unaries_are_like_the_stored_ones(bench, classes, shared_data):
    _, unary, truth = bench["stored_case"](shared_data("dense_crf").parent, classes)
    prediction = bench["simulate"](truth, classes, np.random.default_rng(1))
    scores = bench["score"](prediction, truth)
    assert scores["pixel_accuracy"] == pytest.approx(0.878, abs=0.02)
    assert scores["miou"] == pytest.approx(0.516, abs=0.04)
    simulated = -np.log(prediction.prob)
    assert np.quantile(simulated, [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(unary, [0.25, 0.5, 0.75]), abs=0.5)
    assert np.abs(np.diff(simulated, axis=2)).mean() == pytest.approx(
        np.abs(np.diff(unary.astype(float), axis=2)).mean(), rel=0.2
    )
