import numpy as np
import pytest

import intarsia
from intarsia.core import ClassSpace, DataError, LabelMap, Sample, SettingsError
from intarsia.evaluation.tune import RANGES, predictions_to_tune_on, tune_crf
from intarsia.inference.refined import create_refinement
from intarsia.postprocess.dense_crf import DenseCRF

CLASSES = ClassSpace.from_names(["dark", "bright"])


class Halves:
    """Images of a dark and a bright half whose border is elsewhere in each."""

    name, task, classes, notes = "halves", "semantic", CLASSES, ()

    def __init__(self, images=4):
        self.splits = {"train": [], "val": [str(number) for number in range(images)]}

    def read(self, key):
        ids = np.zeros((24, 40), np.uint8)
        ids[:, 12 + 4 * int(key) :] = 1
        image = (60 + 120 * ids[..., None] + np.random.default_rng(int(key)).normal(0, 8, (24, 40, 3))).astype(np.uint8)
        return Sample(image, (LabelMap(ids, CLASSES),), key)


class Speckled:
    """Finds the halves but for a fifth of the pixels, of which it is not sure."""

    name, task, classes = "speckled", "semantic", CLASSES

    def __init__(self):
        self.seen = 0

    def predict(self, image, hints=None, *, prob=False):
        self.seen += 1
        bright = (image.mean(2) > 120) ^ (np.random.default_rng(3).random(image.shape[:2]) < 0.2)
        second = np.where(bright, 0.7, 0.3).astype(np.float32)
        return LabelMap(bright.astype(np.uint8), CLASSES, np.stack([1 - second, second]) if prob else None)


def test_the_best_is_better_than_before_and_said_as_it_scores():
    predictor, dataset, told = Speckled(), Halves(), []
    cases = predictions_to_tune_on(predictor, dataset)
    tuned = tune_crf(cases, 8, progress=lambda *trial: told.append(trial))
    assert predictor.seen == 4
    assert [number for number, *_ in told] == list(range(1, 9))
    field, miou = tuned.best
    assert miou == max(trial[1] for trial in tuned.trials) > 0.98 > tuned.before + 0.2
    assert tuned.trials[0][0] == DenseCRF()
    evaluated = intarsia.evaluate(dataset, model=Speckled(), refine="crf", refine_options=vars(field))
    assert evaluated.scores.miou == pytest.approx(miou, abs=1e-6)
    assert intarsia.evaluate(dataset, model=Speckled()).scores.miou == tuned.before


def test_a_seed_repeats_a_search_within_the_ranges():
    cases = predictions_to_tune_on(Speckled(), Halves(2))
    first, again, other = (tune_crf(cases, 6, seed=seed).trials for seed in (1, 1, 2))
    assert first == again != other
    for field, _ in first:
        assert all(low <= getattr(field, name) <= high for name, (low, high) in RANGES.items())
    assert len({field.confidence for field, _ in first}) == 1
    hard = [(LabelMap(prediction.ids, CLASSES), sample) for prediction, sample in cases]
    assert len({field.confidence for field, _ in tune_crf(hard, 6).trials}) > 1


def test_images_are_drawn_by_the_seed():
    keys = [[sample.key for _, sample in predictions_to_tune_on(Speckled(), Halves(4), images=2, seed=seed)] for seed in range(6)]
    assert all(len(set(drawn)) == 2 for drawn in keys)
    assert len({tuple(drawn) for drawn in keys}) > 1
    assert predictions_to_tune_on(Speckled(), Halves(1))[0][0].prob.dtype == np.float16


def test_the_file_is_what_refine_file_reads(tmp_path):
    tuned = intarsia.tune_crf(Speckled(), Halves(2), trials=3, out=tmp_path / "crf.toml")
    assert create_refinement(file=tmp_path / "crf.toml") == ("crf", tuned.best[0])
    assert "# speckled on 2 images of halves val: mIoU 0.6" in (tmp_path / "crf.toml").read_text()


def test_errors():
    with pytest.raises(SettingsError, match="There are 0 images and 3 trials"):
        tune_crf([], 3)
    with pytest.raises(SettingsError, match=r"halves has no images in a split 'test'. Its splits: train, val"):
        predictions_to_tune_on(Speckled(), Halves(), "test")
    with pytest.raises(SettingsError, match="slic does not give each pixel a class"):
        intarsia.tune_crf("slic", Halves())
    nowhere = LabelMap(np.full((24, 40), 255, np.uint8), CLASSES)
    prediction, sample = predictions_to_tune_on(Speckled(), Halves(1))[0]
    with pytest.raises(SettingsError, match="None of the 1 images has a pixel with a truth"):
        tune_crf([(prediction, Sample(sample.image, (nowhere,), "x"))])
    with pytest.raises(DataError, match="no truth"):
        tune_crf([(prediction, Sample(sample.image, (), "x"))])
