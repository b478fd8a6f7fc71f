import numpy as np
import pytest

from intarsia.classical import fit_method
from intarsia.classical._grow_trees import bootstrap_counts, grow_trees
from intarsia.classical._pixel_features import feature_planes
from intarsia.classical.random_forest import Learnt, RandomForest, _shares, out_of_bag_scores
from intarsia.core import ClassSpace, DataError, Instances, LabelMap, Panoptic, Sample, Segment, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.evaluation import evaluate

CLASSES = ClassSpace.from_names(["ground", "disc", "stripes"])
QUICK = {"trees": 8, "scales": 3}


def sample(number, height=64, width=80, channels=3):
    """A disc and a striped patch on a noisy ground, at chance places."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    cy, cx, left = rng.integers(15, height - 15), rng.integers(15, width // 2), rng.integers(width // 2, width - 20)
    label = np.zeros((height, width), np.uint8)
    label[(y - cy) ** 2 + (x - cx) ** 2 < 144] = 1
    label[10:40, left : left + 18] = 2
    image = np.full((height, width, 3), 90.0)
    image[label == 1] = (160, 110, 90)
    image[..., :] += np.where(label == 2, 45 * np.sign(np.sin(1.3 * (x + y))), 0)[..., None]
    image = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
    return Sample(image[..., :channels], (LabelMap(label, CLASSES),), f"train/{number}")


@pytest.fixture(scope="module")
def forest():
    return RandomForest.fit([sample(n) for n in range(6)], CLASSES, **QUICK)


def accuracy(forest, numbers=range(100, 103)):
    return np.mean([(forest.predict(sample(n).image).ids == sample(n).truth.ids).mean() for n in numbers])


# By hand


def test_how_many_pixels_of_each_class_are_drawn():
    counts = np.array([900, 100, 0, 25])
    assert _shares(counts, 100, 0).tolist() == [88, 10, 0, 3], "by area, and rounded up so that none is forgotten"
    assert _shares(counts, 45, 0.5).tolist() == [30, 10, 0, 5], "by the root: 30 to 10 to 5"
    assert _shares(counts, 30, 1).tolist() == [10, 10, 0, 10], "all alike"
    assert _shares(counts, 10_000, 1).tolist() == counts.tolist(), "not more than there are"


def test_out_of_bag_scores_by_hand():
    points, label = np.array([[0, 1, 2, 3, 4, 5]], np.float32), np.array([0, 0, 1, 1, 1, 0])
    trees = grow_trees(
        points[:, :4], label[:4], np.ones((1, 4)), classes=2, candidates=1, depth=1, min_leaf=1, rng=np.random.default_rng(0)
    )
    seen = np.array([[True, False, False, True, False, False]])
    worth = np.array([9.0, 1, 2, 9, 3, 4])
    learnt = Learnt(points, label, np.arange(6), worth, 1)
    scores = out_of_bag_scores(trees, learnt, seen)  # of 1, 2, 4, 5 the last is wrong, and stands for 4 of 10
    assert scores == {"out_of_bag/accuracy": 0.6, "out_of_bag/miou": pytest.approx((1 / 5 + 5 / 9) / 2), "out_of_bag/pixels": 4}
    assert out_of_bag_scores(trees, learnt, np.ones((1, 6), bool)) == {}


# Against others


def test_out_of_bag_is_like_cross_validation():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 900)).astype(np.float32)
    label = (points[0] + points[1] * points[2] + rng.normal(0, 0.7, 900) > 0).astype(int)
    grown = {"classes": 2, "candidates": 2, "depth": 20, "min_leaf": 3}

    def grow(chosen):
        weights = bootstrap_counts(np.arange(len(chosen)), 40, rng)
        return grow_trees(points[:, chosen], label[chosen], weights, rng=rng, **grown), weights

    trees, weights = grow(np.arange(900))
    bagged = out_of_bag_scores(trees, Learnt(points, label, np.arange(900), np.ones(900), 1), weights > 0)
    folds = np.arange(900) % 6
    right = [
        grow(np.flatnonzero(folds != fold))[0].predict(points[:, folds == fold]).argmax(1) == label[folds == fold]
        for fold in range(6)
    ]
    assert bagged["out_of_bag/pixels"] == 900
    assert bagged["out_of_bag/accuracy"] == pytest.approx(np.concatenate(right).mean(), abs=0.02)
    assert (trees.predict(points).argmax(1) == label).mean() > bagged["out_of_bag/accuracy"] + 0.1, (
        "on what it learnt it flatters"
    )


def test_prediction_is_the_forest_on_the_features(forest):
    image = sample(100).image
    found = forest.predict(image, prob=True)
    points = np.stack(feature_planes(image, scales=3)).reshape(-1, 64 * 80)
    np.testing.assert_allclose(found.prob.reshape(3, -1).T, forest.trees.predict(points), atol=1e-6)
    assert np.array_equal(found.ids, found.prob.argmax(0))
    assert found.classes is CLASSES


# Properties


def test_it_learns_colour_and_texture(forest):
    assert accuracy(forest) > 0.93
    assert forest.scores["out_of_bag/accuracy"] == pytest.approx(accuracy(forest), abs=0.04)


def test_a_few_strokes_do_as_masks():
    samples = []
    for number in range(4):
        whole = sample(number)
        said = np.zeros(whole.size_hw, bool)
        said[::7, ::3] = True
        samples.append(Sample(whole.image, (LabelMap(np.where(said, whole.truth.ids, 255).astype(np.uint8), CLASSES),), "few"))
    assert accuracy(RandomForest.fit(samples, CLASSES, **QUICK)) > 0.88


def test_bags_of_pixels_flatter():
    """The colours of each image are shifted: another image says little about it, and other pixels of the same say all."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(8):
        one = sample(number)
        shifted = (one.image.astype(int) + rng.integers(-70, 70, 3)).clip(0, 255).astype(np.uint8)
        samples.append(Sample(shifted, one.truths, one.key))
    images, pixels = (RandomForest.fit(samples, CLASSES, bagging=bagging, **QUICK) for bagging in ("images", "pixels"))
    assert pixels.scores["out_of_bag/accuracy"] > images.scores["out_of_bag/accuracy"] + 0.05
    assert "bags of pixels; others of the same image were" in pixels.note
    assert "(bags of images)" in images.note
    assert "bags of pixels" in RandomForest.fit(samples[:1], CLASSES, **QUICK).note, "one image has only pixels to draw"


def test_the_seed_decides(forest):
    samples = [sample(n) for n in range(6)]
    same, other = (RandomForest.fit(samples, CLASSES, rng=seed, **QUICK).to_arrays() for seed in (0, 1))
    assert all(np.array_equal(array, same[name]) for name, array in forest.to_arrays().items())
    assert not np.array_equal(same["feature"], other["feature"])


def test_arrays_and_options_make_it_again(forest):
    again = RandomForest.from_arrays(forest.to_arrays(), CLASSES, forest.options, forest.scores, forest.note)
    image = sample(100).image
    assert np.array_equal(again.predict(image).ids, forest.predict(image).ids)
    assert (again.options["trees"], again.options["channels"]) == (8, 3)
    with pytest.raises(ValueError, match=r"trees for 3 classes stand beside 2 names"):
        RandomForest.from_arrays(forest.to_arrays(), ClassSpace.from_names(["a", "b"]), forest.options, {}, "")
    with pytest.raises(ValueError, match="ask for unknown features"):
        RandomForest.from_arrays(forest.to_arrays(), CLASSES, {**forest.options, "scales": 1, "position": False}, {}, "")


# Degenerate


def test_images_of_other_kinds():
    mixed = RandomForest.fit([sample(0, channels=1), sample(1), sample(2)], CLASSES, **QUICK)
    assert (mixed.predict(sample(3).image).ids != mixed.predict(sample(3, channels=1).image).ids).any(), "it learnt colour too"
    assert mixed.predict(sample(3, channels=1).image).size_hw == (64, 80)
    assert mixed.predict(sample(3).image[..., 0]).size_hw == (64, 80), "without an axis of channels"
    deep = sample(3).image.astype(np.uint16) * 257
    assert (mixed.predict(deep).ids == mixed.predict(sample(3).image).ids).mean() > 0.999
    assert mixed.predict(sample(3).image[:1, :1]).size_hw == (1, 1)
    five = Sample(np.zeros((8, 8, 5), np.uint8), (LabelMap(np.zeros((8, 8), np.uint8), CLASSES),), "train/odd")
    with pytest.raises(DataError, match=r"train/odd: The image has 5 channels, and 3 were learnt from"):
        RandomForest.fit([sample(0), five], CLASSES, **QUICK)


def test_a_class_alone_and_none_at_all():
    ground = Sample(sample(0).image, (LabelMap(np.zeros((64, 80), np.uint8), CLASSES),), "plain")
    assert (RandomForest.fit([ground], CLASSES, **QUICK).predict(sample(1).image).ids == 0).all()
    ignored = Sample(sample(0).image, (LabelMap(np.full((64, 80), 255, np.uint8), CLASSES),), "void")
    assert accuracy(RandomForest.fit([ignored, *(sample(n) for n in range(4))], CLASSES, **QUICK)) > 0.9
    with pytest.raises(DataError, match=r"There is no pixel with a class to learn from"):
        RandomForest.fit([ignored], CLASSES, **QUICK)


def test_truths_of_other_kinds():
    one = sample(0)
    panoptic = Panoptic(one.truth.ids.astype(np.int32) + 1, tuple(Segment(k + 1, k) for k in range(3)), CLASSES)
    first, second = (
        RandomForest.fit([Sample(one.image, (truth,), "x")], CLASSES, **QUICK).to_arrays() for truth in (one.truth, panoptic)
    )
    assert np.array_equal(first["threshold"], second["threshold"])
    objects = Sample(one.image, (Instances.from_ids(one.truth.ids, CLASSES, 1),), "val/7")
    with pytest.raises(DataError, match=r"val/7 has Instances as its truth"):
        RandomForest.fit([objects], CLASSES)


def test_options_are_checked():
    with pytest.raises(SettingsError, match=r"depth is 0; a whole number from 1 up"):
        RandomForest.fit([], CLASSES, depth=0)
    with pytest.raises(SettingsError, match=r"balance is 2.0 and candidates 0; from 0 to 1"):
        RandomForest.fit([], CLASSES, balance=2.0)
    with pytest.raises(SettingsError, match=r"random_forest's option bagging can be 'images', 'pixels'; 'bags' was given"):
        fit_method("random_forest", [], CLASSES, bagging="bags")


# Real


def part(shared_data, pack, train, val, **options):
    """The evaluation of a forest that learnt from every n-th training image of a real data set."""
    data = open_dataset(f"{pack}:{shared_data(pack)}", view="semantic")
    keys = [data.splits[split][:: len(data.splits[split]) // count][:count] for split, count in (("train", train), ("val", val))]
    forest = RandomForest.fit(map(data.read, keys[0]), data.classes, **options)
    return forest, evaluate(forest, data, keys=keys[1])


def test_streets(shared_data):
    forest, evaluation = part(shared_data, "camvid", 16, 4)
    assert evaluation.scores.pixel_accuracy > 0.6
    assert evaluation.scores.miou > 0.3
    assert forest.note in evaluation.notes


def test_nuclei_of_grey_and_coloured_images(shared_data):
    data = open_dataset(shared_data("nuclei"), view="semantic")
    keys = [data.splits[split][::step] for split, step in (("train", 10), ("val", 10))]
    forest = RandomForest.fit(map(data.read, keys[0]), data.classes)
    assert forest.options["channels"] == 3
    assert evaluate(forest, data, keys=keys[1]).scores.miou > 0.75
