import json
import math

import numpy as np
import pytest

from intarsia.core import Array, ClassSpace, DataError, Instances, LabelMap, Sample, SettingsError
from intarsia.evaluation import Evaluation, ScoreRefused, evaluate
from intarsia.metrics.confusion import observe_confusion, score_confusion


def test_scores_are_those_of_the_pooled_pixels(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    keys = stripes.splits["val"]
    rows = [observe_confusion(shifted.predict((s := stripes.read(key)).image), s.truth, key) for key in keys]
    pooled = score_confusion(sum(rows[1:], start=rows[0]))
    assert evaluation.scores.to_dict() == pooled.to_dict()
    np.testing.assert_array_equal(evaluation.confusion, sum(row.pooled for row in rows))
    assert evaluation.ignored_pixels == 6 * 12
    assert tuple(evaluation.per_image) == tuple(keys)
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
    assert evaluation.scores.rows == 12
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


def test_what_a_reader_should_know_is_noted(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes, split="test")
    assert any("IoU is NaN and left out of the means: boat. The mIoU is over 3 of the 4" in note for note in evaluation.notes)
    assert any("at least 2 images, and there is 1" in note for note in evaluation.notes)
    assert evaluation.absent == ("boat",)
    assert math.isnan(evaluation.scores.iou[3])
    assert evaluation.scores.miou == pytest.approx(np.mean(evaluation.scores.iou[:3]))
    assert evaluation.to_dict()["mean_over"] == {"classes": 3, "declared": 4, "absent": ["boat"]}


def mostly_ignored(key: str) -> Array:
    ids = np.full((12, 20), 255, np.uint8)
    ids[:, :2], ids[:, 2:4] = 1, 0
    return ids


def one_class(key: str) -> Array:
    return np.ones((12, 20), np.uint8)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            mostly_ignored,
            r"No score is given\. Only 20\.0% of the pixels of stripes val can be scored.*to ignore \(255\): `intarsia check`",
        ),
        (one_class, "No score is given. All 1440 scored pixels of stripes val are 'tree' in the truth, one of the 4 classes"),
    ],
)
def test_a_score_that_means_nothing_is_refused_and_given_with_a_warning_when_asked_for(
    stripes, shifted, monkeypatch, ids, words
) -> None:
    monkeypatch.setattr(stripes, "ids", ids)
    with pytest.raises(ScoreRefused, match=words + ".*allow_partial=True") as refused:
        evaluate(shifted, stripes)
    assert refused.value.to_dict() == {
        "predictor": "shifted",
        "dataset": "stripes",
        "split": "val",
        "refused": str(refused.value),
    }
    evaluation = evaluate(shifted, stripes, allow_partial=True)
    (warning,) = evaluation.warnings
    assert warning in str(refused.value)
    assert evaluation.to_dict()["warnings"] == [warning]


def test_half_of_the_pixels_is_enough_and_fewer_are_not(stripes, shifted, monkeypatch) -> None:
    ids = np.full((12, 20), 255, np.uint8)
    ids[:6], ids[0] = 1, 0
    monkeypatch.setattr(stripes, "ids", lambda key: ids)
    assert evaluate(shifted, stripes).warnings == ()
    ids[5, 0] = 255
    with pytest.raises(ScoreRefused, match=r"Only 49\.6% of the pixels"):
        evaluate(shifted, stripes)


def test_a_single_class_is_refused_also_if_it_is_the_only_one(stripes, shifted, monkeypatch) -> None:
    only = ClassSpace.from_names(["ground"])
    zeros = LabelMap(np.zeros((12, 20), np.uint8), only)
    monkeypatch.setattr(stripes, "read", lambda key: Sample(np.zeros((12, 20, 3), np.uint8), (zeros,), key))
    monkeypatch.setattr(shifted, "predict", lambda image: zeros)
    with pytest.raises(ScoreRefused, match="'ground' in the truth, the only class, so answering 'ground' everywhere"):
        evaluate(shifted, stripes)


def test_segments_are_counted_by_size(stripes, shifted) -> None:
    """Of 240 pixels, 6 are medium and 8 large. Car i is 2 + i columns wide and shifted by i, so 2 columns of it are right."""
    sizes = evaluate(shifted, stripes).sizes
    assert sizes.segments.tolist() == [[0, 0, 6], [0, 0, 6], [0, 1, 5], [0, 0, 0]]
    assert sizes.found[2].tolist() == [0, 1, 2]


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


def test_to_dict_is_plain_and_is_read_back(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    plain = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    again = Evaluation.from_dict(plain)
    assert again.to_dict() == evaluation.to_dict()
    assert again.ranking == evaluation.ranking
    assert again.intervals.of("iou", 1) == evaluation.intervals.of("iou", 1)
    with pytest.raises(DataError, match=r"The scores cannot be read \(KeyError: 'confusion'\); score again"):
        Evaluation.from_dict({name: value for name, value in plain.items() if name != "confusion"})
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
    with pytest.raises(ScoreRefused, match=r"Not one pixel of stripes val can be scored.*among those to ignore \(255\)"):
        evaluate(shifted, stripes, allow_partial=True)
    monkeypatch.setattr(stripes, "read", lambda key: Sample(np.zeros((12, 20, 3), np.uint8), (), key))
    with pytest.raises(DataError, match="val/0 has no truth"):
        evaluate(shifted, stripes)
