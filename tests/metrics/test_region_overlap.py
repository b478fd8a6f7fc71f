import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.metrics import variation_of_information
from sklearn.metrics import rand_score

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.region_overlap import SCORES, RegionEvidence, observe_region_overlap, score_region_overlap, score_tallies


def regions(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.int32))


def score(prediction, *truths, **distance):
    return score_region_overlap(observe_region_overlap(regions(prediction), [regions(t) for t in truths], "a", **distance))


def blobs(seed: int, count: int = 9, side: int = 5, shape=(31, 44)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, count, (-(-shape[0] // side), -(-shape[1] // side)))
    return np.kron(coarse, np.ones((side, side), np.int64))[: shape[0], : shape[1]]


def test_by_hand() -> None:
    """Truth 1111 2222, prediction 3333 4455."""
    scores = score([[3, 3, 3, 3, 4, 4, 5, 5]], [[1, 1, 1, 1, 2, 2, 2, 2]])
    assert scores["rand_index"] == pytest.approx(1 - 4 / 28), "of 28 pairs the 4 between the two 4s and the two 5s are not alike"
    assert scores["over_segmentation"] == pytest.approx(0.5), "half of the pixels cost one bit"
    assert scores["under_segmentation"] == 0
    assert scores["variation_of_information"] == pytest.approx(0.5)
    assert scores["covering"] == (4 * 1 + 4 * 0.5) / 8
    assert scores["undersegmentation_error"] == 0
    assert scores["achievable_accuracy"] == 1
    turned = score([[1, 1, 1, 1, 2, 2, 2, 2]], [[3, 3, 3, 3, 4, 4, 5, 5]])
    assert turned["covering"] == (4 * 1 + 2 * 0.5 + 2 * 0.5) / 8
    assert turned["undersegmentation_error"] == 4 / 8, "each of the small two leaks as much as it holds"
    assert turned["achievable_accuracy"] == 6 / 8
    assert (scores["boundary_recall"], scores["boundary_precision"]) == (1, 4 / 4)
    exact = score([[3, 3, 3, 3, 4, 4, 5, 5]], [[1, 1, 1, 1, 2, 2, 2, 2]], distance_px=0)
    assert (exact["boundary_recall"], exact["boundary_precision"]) == (1, 2 / 4)


def slow(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Masks, one pair at a time."""
    trues, predicted = ([ids == number for number in np.unique(ids)] for ids in (truth, prediction))
    covering = sum(t.sum() * max((t & p).sum() / (t | p).sum() for p in predicted) for t in trues)
    leak = sum(min((t & p).sum(), (p & ~t).sum()) for t in trues for p in predicted if (t & p).any())
    best = sum(max((t & p).sum() for t in trues) for p in predicted)
    return {
        "covering": covering / truth.size,
        "undersegmentation_error": leak / truth.size,
        "achievable_accuracy": best / truth.size,
    }


def edge(ids: np.ndarray) -> np.ndarray:
    cross = ndimage.generate_binary_structure(2, 1)
    return ndimage.minimum_filter(ids, footprint=cross) != ndimage.maximum_filter(ids, footprint=cross)


@pytest.mark.parametrize("seed", range(3))
def test_equals_libraries_and_slow_loops(seed) -> None:
    truth, prediction = blobs(seed), blobs(seed + 10, count=20, side=4)
    scores = score(prediction, truth, distance_px=1.5)
    over, under = variation_of_information(truth, prediction)
    assert scores["over_segmentation"] == pytest.approx(over)
    assert scores["under_segmentation"] == pytest.approx(under)
    assert scores["rand_index"] == pytest.approx(rand_score(truth.ravel(), prediction.ravel()))
    for name, value in slow(prediction, truth).items():
        assert scores[name] == pytest.approx(value), name
    lines = [edge(ids) for ids in (truth, prediction)]
    far = [ndimage.distance_transform_edt(~line) for line in lines]
    assert scores["boundary_recall"] == pytest.approx((far[1][lines[0]] <= 1.5).mean())
    assert scores["boundary_precision"] == pytest.approx((far[0][lines[1]] <= 1.5).mean())


def test_several_annotators_are_averaged_and_numbers_do_not_matter() -> None:
    prediction, truths = blobs(0), [blobs(i, count=4, side=9) for i in range(1, 4)]
    together = score(prediction, *truths)
    apart = [score(prediction, truth) for truth in truths]
    renamed = score((np.random.default_rng(0).permutation(1000)[:9] * 1000)[prediction], *truths)
    for name in SCORES:
        assert together[name] == pytest.approx(np.mean([one[name] for one in apart]))
        assert renamed[name] == pytest.approx(together[name])
    perfect = score(prediction, prediction)
    assert [perfect[name] for name in SCORES] == pytest.approx([1, 0, 0, 0, 1, 0, 1, 1, 1])


def test_the_people_of_bsds_agree_with_one_another_more_than_with_a_grid(shared_data) -> None:
    folder = shared_data("bsds") / "segmentations"
    rows, grid = [], []
    for key in ("2018", "87015", "157087"):
        maps = [LabelMap(np.array(Image.open(path)).astype(np.int32)) for path in sorted(folder.glob(f"{key}_a*.png"))]
        rows.append(observe_region_overlap(maps[0], maps[1:], key))
        y, x = np.indices(maps[0].size_hw)
        grid.append(observe_region_overlap(regions(y // 60 * 100 + x // 60), maps[1:], key))
    people, squares = (score_region_overlap(RegionEvidence.concatenate(part)) for part in (rows, grid))
    assert people["rand_index"] > 0.8
    assert people["variation_of_information"] < squares["variation_of_information"] - 1
    assert people["covering"] > squares["covering"] + 0.1
    assert people["boundary_precision"] > squares["boundary_precision"] + 0.2


def test_merging_and_intervals() -> None:
    rows = [observe_region_overlap(regions(blobs(i)), regions(blobs(i, side=6)), str(i)) for i in range(5)]
    together = RegionEvidence.concatenate(rows)
    scores = score_region_overlap(together)
    assert scores["covering"] == pytest.approx(np.mean([score_region_overlap(row)["covering"] for row in rows]))
    low, high = bootstrap(together, score_tallies).of("covering")
    assert low < scores["covering"] < high


def test_degenerate() -> None:
    one = score(np.zeros((4, 4)), np.zeros((4, 4)))
    assert [one["rand_index"], one["variation_of_information"], one["covering"]] == [1, 0, 1]
    assert math.isnan(one["boundary_recall"]), "there is no boundary"
    assert score([[3]], [[7]])["rand_index"] == 1
    classes = ClassSpace.from_names(["a", "b"])
    half = LabelMap(np.array([[0, 0, 1, 1, 255, 255]], np.int32), classes)
    ignored = observe_region_overlap(regions([[5, 5, 6, 6, 7, 8]]), half, "a")
    assert score_region_overlap(ignored)["rand_index"] == score_region_overlap(ignored)["covering"] == 1
    nothing = observe_region_overlap(regions([[5]]), LabelMap(np.full((1, 1), 255, np.int32), classes), "b")
    assert score_region_overlap(nothing).to_dict()["covering"] is None
    assert score_region_overlap(nothing + ignored)["covering"] == 1


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        score([[0]], [[0, 1]])
    with pytest.raises(SegmentationError, match="a: there is no annotator"):
        score([[0]])
    with pytest.raises(SettingsError, match="may be -2 pixels apart"):
        score([[0]], [[0]], distance_px=-2)
