import json
import math

import numpy as np
import pytest

from intarsia.core import Array, ClassSpace, DataError, Instances, LabelMap, Sample, SettingsError
from intarsia.evaluation import evaluate
from intarsia.metrics.confusion import observe_confusion, score_confusion


def test_scores_are_those_of_the_pooled_pixels(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    keys = stripes.splits["val"]
    rows = [observe_confusion(shifted.predict((s := stripes.read(key)).image), s.truth, key) for key in keys]
    pooled = score_confusion(sum(rows[1:], start=rows[0]))
    assert evaluation.scores.to_dict() == pooled.to_dict()
    assert evaluation.evidence.keys == tuple(keys)
    assert (evaluation.predictor, evaluation.dataset, evaluation.split) == ("shifted", "stripes", "val")
    assert evaluation.scores.share_scored == pytest.approx(19 / 20)
    low, high = evaluation.intervals.of("miou")
    assert low < evaluation.scores.miou < high


def test_each_image_has_its_score_and_the_worst_comes_first(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    assert evaluation.per_image["val/0"] == (1, 1)
    sample = stripes.read("val/4")
    alone = score_confusion(observe_confusion(shifted.predict(sample.image), sample.truth, "val/4"))
    assert evaluation.per_image["val/4"] == (pytest.approx(alone.miou), pytest.approx(alone.pixel_accuracy))
    assert evaluation.ranking[-1] == "val/0"
    scores = [evaluation.per_image[key].miou for key in evaluation.ranking]
    assert scores == sorted(scores)


def test_annotators_are_rows_of_their_own_and_one_image(shifted, stripes) -> None:
    stripes.annotators = 2
    evaluation = evaluate(shifted, stripes)
    assert len(evaluation.evidence.keys) == 12
    assert evaluation.images == len(evaluation.per_image) == 6
    stripes.annotators = 1
    assert evaluate(shifted, stripes).intervals.to_dict() == evaluation.intervals.to_dict()


def test_some_keys_and_progress(stripes, shifted) -> None:
    said = []
    evaluation = evaluate(shifted, stripes, keys=["val/1", "val/3"], progress=lambda *now: said.append(now))
    assert said == [(1, 2, "val/1"), (2, 2, "val/3")]
    assert evaluation.images == 2
    assert evaluation.seconds > 0
    assert evaluation.images_per_second == pytest.approx(2 / evaluation.seconds)


def test_what_a_reader_should_know_is_noted(stripes, shifted, monkeypatch) -> None:
    notes = evaluate(shifted, stripes, split="test").notes
    assert any("left out of the means: boat" in note for note in notes)
    assert any("at least 2 images, and there is 1" in note for note in notes)
    mostly_void = np.full((12, 20), 255, np.uint8)
    mostly_void[:, :2] = 1
    monkeypatch.setattr(stripes, "ids", lambda key: mostly_void)
    notes = evaluate(shifted, stripes).notes
    assert any("Only 10.0% of the pixels" in note for note in notes)
    assert any("All scored pixels are 'tree'" in note for note in notes)


def test_a_conversion_is_noted_once(stripes, shifted, monkeypatch) -> None:
    two, things = ClassSpace.from_names(["none", "car"]), ClassSpace.from_names(["car"])

    def read(key: str) -> Sample:
        cars = Instances.from_ids((stripes.ids(key) == 2).astype(np.uint8), things, 0)
        return Sample(np.zeros((12, 20, 3), np.uint8), (cars,), key)

    def predict(image: Array, hints: None = None) -> LabelMap:
        return LabelMap(np.ones((12, 20), np.uint8), two)

    monkeypatch.setattr(stripes, "read", read)
    monkeypatch.setattr(shifted, "predict", predict)
    evaluation = evaluate(shifted, stripes)
    assert sum("made of objects" in note for note in evaluation.notes) == 1
    assert evaluation.scores.classes.names == ("none", "car")


def test_to_dict_is_plain(stripes, shifted) -> None:
    plain = json.loads(json.dumps(evaluate(shifted, stripes).to_dict(), allow_nan=False))
    assert plain["scores"]["classes"][3]["iou"] is None
    assert plain["scores"]["share_scored"] == pytest.approx(19 / 20)
    assert plain["per_image"]["val/0"] == {"miou": 1, "pixel_accuracy": 1}
    assert len(plain["intervals"]["bounds"]["iou"]) == 4


def test_an_image_without_a_scored_pixel_stays_out_of_the_ranking(stripes, shifted, monkeypatch) -> None:
    ids = stripes.ids
    monkeypatch.setattr(stripes, "ids", lambda key: np.full((12, 20), 255, np.uint8) if key == "val/2" else ids(key))
    evaluation = evaluate(shifted, stripes)
    assert math.isnan(evaluation.per_image["val/2"].miou)
    assert "val/2" not in evaluation.ranking
    assert evaluation.to_dict()["per_image"]["val/2"] == {"miou": None, "pixel_accuracy": None}


def test_errors(stripes, shifted, monkeypatch) -> None:
    with pytest.raises(SettingsError, match=r"stripes has no split 'vall'\. Did you mean 'val'\? Its splits: train, val, test"):
        evaluate(shifted, stripes, "vall")
    with pytest.raises(SettingsError, match="the split 'train' of stripes is empty"):
        evaluate(shifted, stripes, "train")
    monkeypatch.setattr(stripes, "ids", lambda key: np.full((12, 20), 255, np.uint8))
    with pytest.raises(DataError, match="Not one pixel of stripes val has a truth: all of them are the ignore id 255"):
        evaluate(shifted, stripes)
    monkeypatch.setattr(stripes, "read", lambda key: Sample(np.zeros((12, 20, 3), np.uint8), (), key))
    with pytest.raises(DataError, match="val/0 has no truth"):
        evaluate(shifted, stripes)
