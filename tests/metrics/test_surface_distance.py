import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.surface_distance import (
    SurfaceDistanceEvidence,
    observe_surface_distance,
    observe_volume_surface_distance,
    score_surface_distance,
    score_tallies,
    surface_distances,
)

CLASSES = ClassSpace.from_names(["ground", "organ", "nowhere"])


def labels(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), CLASSES)


def score(prediction, truth, **spacing):
    return score_surface_distance(observe_surface_distance(labels(prediction), labels(truth), "a", **spacing))


def ball(shape, middle, radius) -> np.ndarray:
    axes = np.indices(shape)
    return (sum((axis - m) ** 2 for axis, m in zip(axes, middle, strict=True)) <= radius**2).astype(np.uint8)


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)  # beside a face, and nothing outside the image


def test_by_hand() -> None:
    """Rows of a single pixel's height, of 1 and of 4 pixels: from the far end it is 3 to the nearest of the other."""
    truth, prediction = np.zeros((2, 5, 8), np.uint8)
    truth[2, 1], prediction[2, 1:5] = 1, 1
    scores = score(prediction, truth)
    assert scores.of("hausdorff", "organ") == 3
    assert scores.of("hausdorff_95", "organ") == pytest.approx(np.percentile([0, 1, 2, 3], 95))
    assert scores.of("average_distance", "organ") == (0 + 0 + 1 + 2 + 3) / 5
    assert score(prediction, truth, spacing=(7, 0.5)).of("hausdorff", "organ") == 1.5
    assert math.isnan(scores.of("hausdorff", "nowhere"))
    assert [scores.of(name, "organ") for name in ("both", "truth_only", "prediction_only")] == [1, 0, 0]


@pytest.mark.parametrize("spacing", [(1, 1), (0.7, 2.5)])
def test_equals_all_distances(spacing) -> None:
    truth, prediction = ball((40, 50), (20, 22), 11), ball((40, 50), (23, 26), 13)
    points = [np.argwhere(surface(mask.astype(bool))) * spacing for mask in (prediction, truth)]
    distances = cdist(*points)
    there, back = distances.min(1), distances.min(0)
    scores = score(prediction, truth, spacing=spacing)
    assert scores.of("hausdorff", "organ") == pytest.approx(max(there.max(), back.max()))
    assert scores.of("hausdorff_95", "organ") == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert scores.of("average_distance", "organ") == pytest.approx(np.concatenate([there, back]).mean())
    if spacing == (1, 1):
        lines = [surface(mask.astype(bool)) for mask in (prediction, truth)]
        assert scores.of("hausdorff", "organ") == pytest.approx(hausdorff_distance(*lines))


def test_a_volume() -> None:
    """Two balls whose surfaces are 4 mm apart along the coarse axis."""
    truth, prediction = ball((21, 30, 30), (8, 14, 14), 6), ball((21, 30, 30), (10, 14, 14), 6)
    spacing = (2.0, 0.5, 0.5)
    evidence = observe_volume_surface_distance(prediction, truth, CLASSES, "scan", spacing=spacing)
    far = ndimage.distance_transform_edt(~surface(truth.astype(bool)), sampling=spacing)[surface(prediction.astype(bool))]
    back = ndimage.distance_transform_edt(~surface(prediction.astype(bool)), sampling=spacing)[surface(truth.astype(bool))]
    scores = score_surface_distance(evidence)
    assert scores.of("hausdorff", "organ") == pytest.approx(max(far.max(), back.max()))
    assert scores.of("average_distance", "organ") == pytest.approx((far.sum() + back.sum()) / (far.size + back.size))
    assert (
        0.5 < scores.of("average_distance", "organ") < scores.of("hausdorff_95", "organ") <= scores.of("hausdorff", "organ") <= 4
    )


def test_ways_are_exchangeable_and_a_stray_pixel_moves_hausdorff_alone() -> None:
    truth, prediction = ball((60, 60), (20, 20), 12), ball((60, 60), (21, 20), 12)
    one, other = score(prediction, truth), score(truth, prediction)
    assert one.to_dict() == other.to_dict()
    assert score(truth, truth).of("hausdorff", "organ") == 0
    prediction[58, 58] = 1
    stray = score(prediction, truth)
    assert stray.of("hausdorff", "organ") > 30 > 3 > stray.of("hausdorff_95", "organ")


def test_ignored_pixels_make_no_surface() -> None:
    truth, prediction = np.zeros((2, 9, 9), np.uint8)
    truth[3:6, 3:6] = 1
    prediction[3:6, 3:8] = 1
    assert score(prediction, truth).of("hausdorff", "organ") == 2
    truth[:, 6:] = 255
    assert score(prediction, truth).of("hausdorff", "organ") == 0


def test_images_with_the_class_on_one_side_are_counted_not_averaged() -> None:
    full, empty = ball((20, 20), (9, 9), 5), np.zeros((20, 20), np.uint8)
    pairs = [(np.roll(full, 2, 0), full), (np.roll(full, 4, 0), full), (full, full), (empty, full), (full, empty)]
    rows = [observe_surface_distance(labels(p), labels(t), str(i)) for i, (p, t) in enumerate(pairs)]
    together = SurfaceDistanceEvidence.concatenate(rows)
    scores = score_surface_distance(together)
    assert [scores.of(name, "organ") for name in ("both", "truth_only", "prediction_only")] == [3, 1, 1]
    assert scores.of("hausdorff", "organ") == pytest.approx((2 + 4 + 0) / 3)
    low, high = bootstrap(together, score_tallies).of("hausdorff", 1)
    assert 0 <= low < 2 < high <= 4
    assert score_surface_distance(rows[3]).to_dict()["classes"][1]["hausdorff"] is None


def test_degenerate() -> None:
    assert score([[1]], [[1]]).of("hausdorff", "organ") == 0
    assert math.isnan(score([[1]], [[255]])["mean_hausdorff"])
    empty = np.zeros((0, 4), np.uint8)
    assert math.isnan(score(empty, empty)["mean_hausdorff"])


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"spacing is \(1, 1, 1\); 2 numbers above 0"):
        score([[0]], [[0]], spacing=(1, 1, 1))
    with pytest.raises(SettingsError, match=r"spacing is \(1, 0\)"):
        score([[0]], [[0]], spacing=(1, 0))
    volume = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(SegmentationError, match=r"scan: the prediction is 2 x 3 x 4 pixels \(depth x height x width\)"):
        observe_volume_surface_distance(volume, volume[:, :2], CLASSES, "scan", spacing=(1, 1, 1))
    with pytest.raises(SegmentationError, match="sets of 0 and 1 points"):
        surface_distances(np.zeros((0, 2)), np.zeros((1, 2)))
