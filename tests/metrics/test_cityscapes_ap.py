import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, InstanceMasks, Instances, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.cityscapes_ap import (
    CityscapesApEvidence,
    cityscapes_ap_of_draws,
    observe_cityscapes_ap,
    score_cityscapes_ap,
)

IDS = {"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}
CLASSES = ClassSpace.from_names(list(IDS), things=IDS)
SIZE = (60, 90)


def boxes(*spans: tuple[int, int], score=None, class_id=2, crowd=None) -> Instances:
    """Objects 20 pixels high from column to column."""
    masks = np.zeros((len(spans), *SIZE), np.bool_)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[:20, start:end] = True
    score = None if score is None else np.array(score, np.float32)
    crowd = None if crowd is None else np.array(crowd)
    return Instances(InstanceMasks.pack(masks, SIZE), np.full(len(spans), class_id), CLASSES, score, crowd)


def test_by_hand():
    """Two truths: one found with the second score at IoU 0.9, after a stranger; the other missed."""
    truth = boxes((0, 10), (20, 30))
    prediction = boxes((60, 70), (0, 9), score=[0.9, 0.8])
    scores = score_cityscapes_ap(observe_cityscapes_ap(prediction, truth, "a"))
    # points (recall, precision): (0, 1), (0, 0), (1/2, 1/2); half the recall between the neighbours: 0, 1/4, 1/4
    at = 1 / 4 * 0 + 1 / 4 * 1 / 2
    assert scores["ap_50"] == pytest.approx(at)
    assert scores["ap"] == pytest.approx(at * 8 / 10), "0.9 is not above 0.9"
    assert scores.of("truths_of_class", "car") == 2
    assert np.isnan(scores.of("ap_of_class", "bus"))


def test_the_rules():
    truth = boxes((0, 10))
    two = boxes((0, 10), (0, 9), score=[0.5, 0.9])
    best_first = score_cityscapes_ap(observe_cityscapes_ap(two, truth, "a"))
    # the higher score is the true positive: (0, 1), (1, 1), (1, 1/2)
    assert best_first["ap_50"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 1 + 0 * 1 / 2)
    crowd = boxes((0, 10), (20, 40), crowd=[False, True])
    on_it = boxes((22, 38), (0, 10), score=[0.9, 0.8])
    assert score_cityscapes_ap(observe_cityscapes_ap(on_it, crowd, "a"))["ap_50"] == 1
    void = np.zeros(SIZE, np.bool_)
    void[:, 60:] = True
    on_void = boxes((58, 70), (0, 10), score=[0.9, 0.8])
    assert score_cityscapes_ap(observe_cityscapes_ap(on_void, truth, "a", void=void))["ap_50"] == 1
    assert score_cityscapes_ap(observe_cityscapes_ap(on_void, truth, "a"))["ap_50"] < 1
    small = boxes((0, 10), (50, 54))  # 80 pixels
    scores = score_cityscapes_ap(observe_cityscapes_ap(boxes((0, 10)), small, "a"))
    assert (scores["ap_50"], scores.of("truths_of_class", "car")) == (1, 1), "below 100 pixels nothing is missed"


def scene(rng: np.random.Generator) -> tuple[np.ndarray, Instances]:
    """An image of Cityscapes' instance ids, with groups, small objects and void, and shaken copies as prediction."""
    ids = np.full(SIZE, 7, np.int32)  # road
    ids[: rng.integers(3, 12)] = 4  # void
    ids[:, 80:] = 29001  # a caravan, which is not evaluated and, as a single object, no void
    masks, classes = [], []
    for number in range(9):
        label = int(rng.choice(list(IDS.values())[:3]))
        y, x = rng.integers(0, 45), rng.integers(0, 70)
        h, w = rng.integers(4, 16), rng.integers(4, 22)
        ids[y : y + h, x : x + w] = label if rng.random() < 0.3 else label * 1000 + number
        for _ in range(2):
            dy, dx = rng.integers(-1, 2, 2)
            mask = np.zeros(SIZE, np.bool_)
            mask[max(0, y + dy) : y + dy + h, max(0, x + dx) : x + dx + w] = True
            masks.append(mask)
            classes.append(list(IDS.values()).index(label))
    masks.append(np.zeros(SIZE, np.bool_))
    score = rng.integers(1, 12, len(masks)).astype(np.float32) / 16
    return ids, Instances(InstanceMasks.pack(masks, SIZE), np.array([*classes, 0]), CLASSES, score)


def truth_of(ids: np.ndarray) -> tuple[Instances, np.ndarray]:
    labels = {n: n if n < 1000 else n // 1000 for n in np.unique(ids).tolist()}
    numbers = [n for n, label in labels.items() if label in IDS.values()]
    class_id = np.array([list(IDS.values()).index(labels[n]) for n in numbers])
    masks = InstanceMasks.pack((ids == n for n in numbers), SIZE)
    return Instances(masks, class_id, CLASSES, is_crowd=np.array([n < 1000 for n in numbers])), ids == 4


def published(scenes, folder, monkeypatch) -> np.ndarray:
    """(8, 10) AP of cityscapesScripts, from files as its users write them."""
    if not hasattr(np, "in1d"):  # removed from numpy after the last release of cityscapesScripts
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    official = importlib.import_module("cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling")
    from cityscapesscripts.evaluation.instances2dict import instances2dict

    arguments = SimpleNamespace(**{**vars(official.args), "quiet": True, "predictionPath": str(folder)})
    official.setInstanceLabels(arguments)
    assert arguments.instLabels == list(IDS)
    truths, texts = [], []
    for index, (ids, prediction) in enumerate(scenes):
        truths.append(str(folder / f"{index}_instanceIds.png"))
        Image.fromarray(ids.astype(np.uint16)).save(truths[-1])
        lines = []
        for number in range(len(prediction)):
            Image.fromarray(prediction.masks.mask(number).astype(np.uint8) * 255).save(folder / f"{index}_{number}.png")
            label = list(IDS.values())[prediction.class_id[number]]
            lines.append(f"{index}_{number}.png {label} {float(prediction.score[number])}\n")
        texts.append(folder / f"{index}.txt")
        texts[-1].write_text("".join(lines))
    found = instances2dict(truths, False)
    matches = official.matchGtWithPreds([str(text) for text in texts], truths, found, arguments)
    return official.evaluateMatches(matches, arguments)[0]


def test_as_cityscapes_scripts(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(6)]
    expected = published(scenes, tmp_path, monkeypatch)
    parts = []
    for index, (ids, prediction) in enumerate(scenes):
        truth, void = truth_of(ids)
        parts.append(observe_cityscapes_ap(prediction, truth, str(index), void=void))
    scores = score_cityscapes_ap(CityscapesApEvidence.concatenate(parts))
    np.testing.assert_allclose(scores.values["ap_of_class"], expected.mean(1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.values["ap_50_of_class"], expected[:, 0], rtol=0, atol=1e-12)
    assert scores["ap"] == pytest.approx(np.nanmean(expected), abs=1e-12)
    assert 0.05 < scores["ap"] < 0.9
    assert np.isfinite(expected).sum() == 30


def test_draws_and_merging():
    rng = np.random.default_rng(1)
    parts = []
    for index in range(5):
        ids, prediction = scene(rng)
        truth, void = truth_of(ids)
        parts.append(observe_cityscapes_ap(prediction, truth, str(index), void=void))
    evidence = CityscapesApEvidence.concatenate(parts)
    drawn = cityscapes_ap_of_draws(evidence)(np.array([[0, 2, 0, 1, 1]]))
    anew = score_cityscapes_ap(CityscapesApEvidence.concatenate([parts[n] for n in (1, 1, 3, 4)]))
    assert drawn["ap"][0] == pytest.approx(anew["ap"])
    low, high = bootstrap(evidence.draws, cityscapes_ap_of_draws(evidence), samples=50).of("ap")
    assert low < score_cityscapes_ap(evidence)["ap"] < high
    with pytest.raises(SettingsError, match=r"100.* does not merge with .*50"):
        evidence + observe_cityscapes_ap(boxes(), boxes(), "a", min_pixels=50)


def test_perfect_and_empty_and_json():
    truth, nothing = boxes((0, 10), (20, 30)), boxes()
    assert score_cityscapes_ap(observe_cityscapes_ap(truth, truth, "a"))["ap"] == 1
    assert score_cityscapes_ap(observe_cityscapes_ap(nothing, truth, "a"))["ap"] == 0
    scores = score_cityscapes_ap(observe_cityscapes_ap(truth, nothing, "a"))
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["ap"] is None


def test_errors():
    with pytest.raises(SegmentationError, match=r"void has shape \(3, 4\) and the truth \(60, 90\)"):
        observe_cityscapes_ap(boxes(), boxes(), "a", void=np.zeros((3, 4), np.bool_))
