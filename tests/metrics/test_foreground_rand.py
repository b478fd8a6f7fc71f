import math

import numpy as np
import pytest
from skimage.measure import label
from skimage.metrics import adapted_rand_error, variation_of_information

from intarsia.core import LabelMap, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.foreground_rand import (
    ForegroundRandEvidence,
    observe_foreground_rand,
    score_foreground_rand,
    score_tallies,
)


def regions(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.int32))


def score(prediction, truth):
    return score_foreground_rand(observe_foreground_rand(regions(prediction), regions(truth), "a"))


def cells(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells between membranes, and a prediction with one membrane left out and one too many."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((40, 50))
    membrane = (y % 10 == 0) | (x % 10 == 0)
    truth = label(~membrane, connectivity=1)
    wrong = membrane.copy()
    wrong[1:-1, 10 * rng.integers(1, 5)] = y[1:-1, 0] % 10 == 0
    wrong[:, 10 * rng.integers(0, 5) + 5] = True
    return label(~wrong, connectivity=1), truth


def test_by_hand() -> None:
    """Cells of 4 and 2 pixels; the prediction cuts the first, and draws membrane over one pixel of the second."""
    truth, prediction = [[1, 1, 1, 1, 0, 2, 2]], [[5, 5, 6, 6, 9, 0, 7]]
    scores = score(prediction, truth)
    both, true, predicted = 4 + 4 + 1 + 1, 16 + 4, 4 + 4 + 1 + 1
    assert scores["rand_split"] == both / true
    assert scores["rand_merge"] == both / predicted
    assert scores["rand_f"] == 2 * both / (true + predicted)
    assert scores["rand_error"] == pytest.approx(1 - 2 / 3)
    of_truth = -(4 / 6 * math.log2(4 / 6) + 2 / 6 * math.log2(2 / 6))
    of_prediction = -(2 * 2 / 6 * math.log2(2 / 6) + 2 / 6 * math.log2(1 / 6))
    assert scores["info_split"] == pytest.approx(of_truth / of_prediction), "nothing is joined, so I = H(T)"
    assert scores["info_merge"] == pytest.approx(1)
    assert scores["info_f"] == pytest.approx(2 * of_truth / (of_truth + of_prediction))


@pytest.mark.parametrize("seed", range(3))
def test_equals_skimage_up_to_pairs_of_a_pixel_with_itself(seed) -> None:
    prediction, truth = cells(seed)
    filled = prediction.copy()
    filled[prediction == 0] = prediction.max() + 1 + np.arange((prediction == 0).sum())  # a region of its own for each pixel
    error, precision, recall = adapted_rand_error(truth, filled)
    scores = score(prediction, truth)
    pixels = (truth > 0).sum()

    def without_replacement(name: str, areas: np.ndarray) -> float:
        """(sum p^2 - n) / (sum s^2 - n) from sum p^2 / sum s^2."""
        squares = float((areas.astype(float) ** 2).sum())
        return (scores[name] * squares - pixels) / (squares - pixels)

    assert without_replacement("rand_split", np.bincount(truth.ravel())[1:]) == pytest.approx(precision)
    assert without_replacement("rand_merge", np.bincount(filled[truth > 0])) == pytest.approx(recall)
    assert scores["rand_error"] == pytest.approx(error, abs=0.02)
    over, under = variation_of_information(truth[truth > 0], filled[truth > 0])
    share = np.bincount(truth.ravel())[1:] / pixels
    of_truth = -(share * np.log2(share)).sum()
    shared = of_truth - under
    assert scores["info_merge"] == pytest.approx(shared / of_truth)
    assert scores["info_split"] == pytest.approx(shared / (shared + over))


def test_cutting_lowers_split_and_joining_lowers_merge() -> None:
    whole = np.ones((4, 8), int)
    halves = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 4, axis=0)
    cut, joined, equal = score(halves, whole), score(whole, halves), score(halves, halves * 7)
    assert (cut["rand_split"], cut["rand_merge"], joined["rand_split"], joined["rand_merge"]) == (0.5, 1, 1, 0.5)
    assert (cut["info_split"], cut["info_merge"], joined["info_split"], joined["info_merge"]) == (0, 1, 1, 0)
    assert all(equal[name] == 1 for name in ("rand_f", "rand_split", "rand_merge", "info_f", "info_split", "info_merge"))


def test_images_are_averaged_and_one_without_cells_does_not_count() -> None:
    rows = [observe_foreground_rand(*map(regions, cells(i)), str(i)) for i in range(4)]
    empty = observe_foreground_rand(regions([[1, 2]]), regions([[0, 0]]), "empty")
    assert math.isnan(score_foreground_rand(empty)["rand_f"])
    together = ForegroundRandEvidence.concatenate([*rows, empty])
    mean = np.mean([score_foreground_rand(row)["rand_f"] for row in rows])
    assert score_foreground_rand(together)["rand_f"] == pytest.approx(mean)
    low, high = bootstrap(together, score_tallies).of("rand_f")
    assert low <= mean <= high


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        score([[0]], [[0, 1]])
