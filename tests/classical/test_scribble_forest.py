import numpy as np
import pytest

from intarsia.classical import create_method
from intarsia.classical import scribble_forest as module
from intarsia.classical.scribble_forest import LiveForest, scribble_forest
from intarsia.core import ClassSpace, Hints, LabelMap, Sample, SettingsError
from intarsia.evaluation import Guided


def striped(height=96, width=128, seed=0):
    """Left plain, right of the same mean but striped, and a red square; and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.int32)
    truth[:, width // 2 :] = 1
    truth[10:40, 20:50] = 2
    image = np.full((height, width, 3), 128.0)
    image[:, width // 2 :] += 40 * np.sign(np.sin(np.arange(width - width // 2) * 0.8))[None, :, None]
    image[truth == 2] = (180, 90, 90)
    return (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8), truth


def scribbles_on(truth, lines):
    """A scribble map: rows and columns of the truth, three pixels wide."""
    drawn = np.full(truth.shape, -1, np.int32)
    for y0, y1, x0, x1 in lines:
        drawn[y0:y1, x0:x1] = truth[y0:y1, x0:x1]
    return drawn


STROKES = [(60, 63, 5, 55), (60, 63, 75, 120), (20, 23, 25, 45)]


def test_colour_and_texture_are_learnt_from_three_strokes():
    image, truth = striped()
    found = scribble_forest(image, Hints(scribbles=scribbles_on(truth, STROKES)))
    assert found.dtype == np.int32
    assert (found == truth).mean() > 0.95


def test_scribbles_keep_their_class_even_where_they_contradict_the_picture():
    image, truth = striped()
    drawn = scribbles_on(truth, STROKES)
    drawn[80, 10:14] = 7
    found = scribble_forest(image, Hints(scribbles=drawn))
    assert (found[drawn >= 0] == drawn[drawn >= 0]).all()
    assert set(np.unique(found)) <= {0, 1, 2, 7}, "class ids are those of the hints, gaps and all"


def test_it_follows_as_scribbles_come():
    image, truth = striped()
    live = LiveForest(image)
    assert live.classes.size == 0
    first = live.fit(Hints(scribbles=scribbles_on(truth, STROKES[:2])))
    assert set(np.unique(first)) == {0, 1}
    second = live.fit(Hints(scribbles=scribbles_on(truth, STROKES)))
    assert (second == truth).mean() > (first == truth).mean() + 0.05
    assert np.array_equal(second, scribble_forest(image, Hints(scribbles=scribbles_on(truth, STROKES)))), "as from the start"
    prob = live.prob()
    assert prob.shape == (3, *truth.shape)
    np.testing.assert_allclose(prob.sum(0), 1, atol=1e-5)
    unsaid = scribbles_on(truth, STROKES) < 0
    assert np.array_equal(live.classes[prob.argmax(0)][unsaid], second[unsaid])


def test_the_longer_stroke_does_not_win():
    """A class weighs by what it looks like: of pixels that look like both, as many go to either."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 156, (80, 80, 3), dtype=np.uint8)
    drawn = np.full((80, 80), -1, np.int32)
    drawn[:40], drawn[70:72, :30] = 0, 1
    live = LiveForest(image, depth=2, scales=1)
    live.fit(Hints(scribbles=drawn))
    assert abs(live.prob()[0].mean() - 0.5) < 0.1


def test_points_do_and_the_order_of_things_does_not_matter():
    image, truth = striped()
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.permutation(np.argwhere(truth == k))[:15] for k in range(3)])
    hints = Hints(points_yx=points, point_class=truth[tuple(points.T)])
    turned = Hints(points_yx=points[::-1], point_class=truth[tuple(points[::-1].T)])
    found = scribble_forest(image, hints)
    assert (found == truth).mean() > 0.85
    assert np.array_equal(scribble_forest(image, turned), found)
    classes = ClassSpace.from_names(["plain", "striped", "red"])
    sample = Sample(image, (LabelMap(truth, classes),), "one")
    guided = Guided(create_method("scribble_forest"), "clicks=15").predict_sample(sample)
    assert (guided.ids == truth).mean() > 0.85


def test_large_images_keep_no_features_and_come_out_the_same(monkeypatch):
    image, truth = striped()
    hints = Hints(scribbles=scribbles_on(truth, STROKES))
    kept = LiveForest(image)
    found, prob = kept.fit(hints), kept.prob()
    monkeypatch.setattr(module, "KEPT", 100)
    monkeypatch.setattr("intarsia.classical._pixel_features.STRIP", 128 * 32)
    large = LiveForest(image)
    assert (large.fit(hints) == found).mean() > 0.999
    assert np.abs(large.prob() - prob).mean() < 1e-3


def test_one_class_one_pixel_and_no_hint():
    image, truth = striped(24, 31)
    assert (scribble_forest(image, Hints(scribbles=np.where(truth == 1, 4, -1))) == 4).all()
    one = scribble_forest(image[:1, :1], Hints(points_yx=np.array([[0, 0]]), point_class=np.array([2])))
    assert one.tolist() == [[2]]
    with pytest.raises(SettingsError, match=r"no point and no scribbled pixel; a forest needs one of each class"):
        scribble_forest(image, Hints(scribbles=np.full((24, 31), -1)))
    with pytest.raises(SettingsError, match=r"has class shares after its first scribbles"):
        LiveForest(image).prob()
    with pytest.raises(SettingsError, match=r"trees is 0; a whole number from 1 up"):
        LiveForest(image, trees=0)
    with pytest.raises(SettingsError, match=r"scribbles are \(5, 5\) and the image \(24, 31\)"):
        LiveForest(image).fit(Hints(scribbles=np.zeros((5, 5), np.int32)))
