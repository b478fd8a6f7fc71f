from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from intarsia.classical import describe_method, fit_method
from intarsia.classical._depth_feature import FAR_MM, difference, with_far
from intarsia.classical._depth_training import Examples, _n_log_n, draw_offsets, find_splits, grow_tree
from intarsia.classical.depth_forest import DepthForest, _draw_pixels
from intarsia.core import Array, ClassSpace, DataError, LabelMap, Sample, SettingsError
from intarsia.data.datasets.bodies import Bodies
from intarsia.inference import read_method, write_method

QUICK = {"trees": 2, "depth": 8, "pixels": 300, "candidates": 30, "thresholds": 8}
TWO = ClassSpace.from_names(["nothing", "thing"])


@pytest.fixture(scope="module")
def data() -> Bodies:
    return Bodies(train=24, val=6, size_hw=(60, 80), turn=20)


@pytest.fixture(scope="module")
def forest(data: Bodies) -> DepthForest:
    return DepthForest.fit(map(data.read, data.splits["train"]), data.classes, **QUICK)


def ask(depth: Array, y: int, x: int, *offsets: float) -> int:
    """The feature, with offsets uy, ux, vy, vx."""
    return int(difference(with_far(depth)[None], 0, y + 1, x + 1, *np.array(offsets, np.float32)))


def samples(*pairs: tuple[Array, Array], classes: ClassSpace = TWO) -> list[Sample]:
    return [Sample(depth[..., None], (LabelMap(ids.astype(np.uint8), classes),), f"{i}") for i, (depth, ids) in enumerate(pairs)]


def test_a_feature_by_hand() -> None:
    depth = np.zeros((5, 7), np.uint16)
    depth[2] = [1000, 1100, 2000, 2200, 0, 1500, 1600]
    # At 2 m an offset of 4 pixel metres is 2 pixels: to the right there is nothing, to the left 1000 mm.
    assert ask(depth, 2, 2, 0, 4, 0, -4) == FAR_MM - 1000
    assert ask(depth, 2, 2, 0, 6, 0, 0) == 1500 - 2000
    assert ask(depth, 2, 2, 0, 2.9, 0, 0) == 200, "1.45 pixels are 1"
    assert ask(depth, 2, 2, 0, 3, 0, 0) == FAR_MM - 2000, "1.5 pixels are 2"
    # At 1 m it is 4 pixels; what leaves the image is far, whichever way.
    assert ask(depth, 2, 0, 0, 5, 0, 6) == 1500 - 1600
    for away in ((0, -1), (0, 7), (-3, 0), (3, 0), (0, -1e4), (1e4, 1e4)):
        assert ask(depth, 2, 0, *away, 0, 0) == FAR_MM - 1000


def test_a_plane_answers_zero_inside() -> None:
    plane = np.full((40, 40), 2500, np.uint16)
    offsets = draw_offsets(np.random.default_rng(0), (200,), 40.0)  # 16 pixels at 2.5 m
    assert {ask(plane, 20, 20, *row) for row in offsets} == {0}


def test_three_times_as_near_and_as_large_is_the_same() -> None:
    """Differences on a figure scale with it; of a flat one, probes see that it is there or not, and answers are alike."""
    rng = np.random.default_rng(1)
    relief = np.where(rng.random((20, 20)) < 0.7, rng.integers(900, 1800, (20, 20)) * 3, 0).astype(np.uint16)
    flat = np.where(relief > 0, np.uint16(3000), relief)
    larger = np.ones((3, 3), np.uint16)
    answers = set()
    for row in draw_offsets(rng, (300,), 20.0):
        y, x = rng.choice(np.argwhere(relief))
        far, near = ask(relief, y, x, *row), ask(np.kron(relief // 3, larger), 3 * y + 1, 3 * x + 1, *row)
        if abs(far) < 2 * 1800:  # both probes on the figure, or neither
            assert far == 3 * near
        far, near = ask(flat, y, x, *row), ask(np.kron(flat // 3, larger), 3 * y + 1, 3 * x + 1, *row)
        assert [far > cut for cut in (-5000, -10, 10, 5000)] == [near > cut for cut in (-5000, -10, 10, 5000)]
        answers.add(far)
    assert answers == {0, FAR_MM - 3000, 3000 - FAR_MM}


def test_the_best_question_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(4)
    images = with_far(rng.integers(800, 3000, (30, 30)).astype(np.uint16))[None]
    pixels = np.concatenate([np.zeros((60, 1)), rng.integers(1, 31, (60, 2))], 1).astype(np.int32)
    label = rng.integers(0, 4, 60).astype(np.uint8)
    order = rng.permutation(60).astype(np.int32)
    spans = np.array([[0, 25], [25, 27], [27, 60]])
    tried = draw_offsets(rng, (3, 12), 15.0)
    picks = rng.integers(0, [[25], [2], [33]], (3, 6))
    gain, chosen, cuts = find_splits(Examples(images, pixels, label), order, spans, tried, picks, 5, _n_log_n(60))

    def entropy(ids: Array) -> float:
        share = np.bincount(ids) / max(len(ids), 1)
        return float(-(share[share > 0] * np.log2(share[share > 0])).sum())

    for s, (start, stop) in enumerate(spans):
        own = order[start:stop]
        best = 0.0
        for row in tried[s]:
            answers = np.array([difference(images, *pixels[i], *row) for i in own])
            for cut in answers[picks[s]]:
                right = answers > cut
                parts = [label[own[right]], label[own[~right]]]
                gained = entropy(label[own]) - sum(len(part) / len(own) * entropy(part) for part in parts)
                assert gained > -1e-12
                best = max(best, gained)
        assert gain[s] == pytest.approx(best, abs=1e-12)
        answers = np.array([difference(images, *pixels[i], *tried[s, chosen[s]]) for i in own])
        parts = [label[own[answers > cuts[s]]], label[own[answers <= cuts[s]]]]
        gained = entropy(label[own]) - sum(len(part) / len(own) * entropy(part) for part in parts)
        assert gained == pytest.approx(best, abs=1e-12)


def test_paths_and_leaves_are_those_of_a_slow_walk(forest: DepthForest, data: Bodies) -> None:
    depth = data.body("val/0000").depth_mm
    places, prob = forest.posterior(depth)
    images = with_far(depth)[None]
    for (y, x), found in zip(places[::7], prob[::7], strict=True):
        shares = []
        for root in forest.roots:
            node = root
            while forest.children[node] > 0:
                answer = difference(images, 0, y + 1, x + 1, *forest.offsets[node])
                node = forest.children[node] + int(answer > forest.thresholds[node])
            counts = forest.counts[-forest.children[node]]
            shares.append(counts / counts.sum())
        np.testing.assert_allclose(found, np.mean(shares, 0), atol=1e-6)
    assert 3 < forest.path_length(depth) <= 8


def test_a_forest_of_one_leaf_says_how_frequent_classes_are(data: Bodies) -> None:
    train = [data.read(key) for key in data.splits["train"][:5]]
    stump = DepthForest.fit(train, data.classes, trees=1, depth=0, pixels=10**6, bagging=False)
    frequent = sum(np.bincount(sample.truth.ids.ravel(), minlength=32) for sample in train)
    frequent[0] = 0  # no depth there
    assert np.array_equal(stump.counts, frequent[None])
    _, prob = stump.posterior(train[0].image[..., 0])
    np.testing.assert_allclose(prob, np.tile(frequent / frequent.sum(), (len(prob), 1)), rtol=1e-6)


def test_all_pixels_of_the_training_lie_in_some_leaf_and_children_part_them(data: Bodies) -> None:
    images = np.stack([with_far(data.body(key).depth_mm) for key in data.splits["train"][:3]])
    label = np.stack([data.body(key).parts for key in data.splits["train"][:3]])
    examples = Examples(images, *_draw_pixels(label, np.array([0, 1, 1, 2]), 200, np.random.default_rng(0), 0))
    grown = []
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            grown.append(
                grow_tree(
                    examples,
                    32,
                    depth=6,
                    candidates=20,
                    thresholds=5,
                    reach=30.0,
                    min_pixels=10,
                    rng=np.random.default_rng(2),
                    pool=pool,
                    workers=workers,
                )
            )
    for one, other in zip(*grown, strict=True):
        assert np.array_equal(one, other), "threads change nothing"
    tree = grown[0]
    assert np.array_equal(tree.counts.sum(0), np.bincount(examples.label, minlength=32))
    inner = tree.children > 0
    assert np.array_equal(np.sort(tree.children[inner]), np.arange(1, len(inner), 2))
    assert np.array_equal(np.sort(-tree.children[~inner]), np.arange(len(tree.counts)))


def test_pixels_are_drawn_evenly_from_the_classes() -> None:
    label = np.full((1, 20, 20), 255, np.uint8)
    label[0, :, :10] = 1
    label[0, :2, 10:15] = 2
    label[0, 5, 12] = 3
    pixels, ids = _draw_pixels(label, np.array([0, 0]), 40, np.random.default_rng(0), 255)
    assert np.bincount(ids).tolist() == [0, 58, 20, 2]
    assert np.array_equal(label[pixels[:, 0], pixels[:, 1] - 1, pixels[:, 2] - 1], ids)
    assert len(np.unique(pixels[:40], axis=0)) == 40


def test_it_learns_parts_and_more_depth_tells_more(forest: DepthForest, data: Bodies) -> None:
    def accuracy(some: DepthForest) -> float:
        shares = []
        for key in data.splits["val"]:
            body = data.body(key)
            seen = body.parts > 0
            shares.append((some.predict(body.depth_mm).ids[seen] == body.parts[seen]).mean())
        return float(np.mean(shares))

    found = [accuracy(forest.cut(depth)) for depth in (0, 3, 8)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.35, "chance is 0.1, the share of the largest part"
    assert forest.scores["out_of_bag/mean_accuracy"] == pytest.approx(0.4, abs=0.15)
    assert f"{forest.scores['out_of_bag/mean_accuracy']:.1%}" in forest.note


def test_cutting_to_a_depth_is_growing_to_it(data: Bodies, forest: DepthForest) -> None:
    train = [data.read(key) for key in data.splits["train"]]
    shallow = DepthForest.fit(train, data.classes, **{**QUICK, "trees": 1, "depth": 4})
    deep = DepthForest.fit(train, data.classes, **{**QUICK, "trees": 1})
    depth = data.body("val/0001").depth_mm
    assert np.array_equal(deep.cut(4).posterior(depth)[1], shallow.posterior(depth)[1])
    assert np.array_equal(forest.cut(8).posterior(depth)[1], forest.posterior(depth)[1])


def test_it_is_saved_and_loaded_like_a_model(forest: DepthForest, data: Bodies, tmp_path: Path) -> None:
    loaded = read_method(write_method(tmp_path / "best.safetensors", forest))
    image = data.read("val/0002").image
    one, other = forest.predict(image, prob=True), loaded.predict(image, prob=True)
    assert np.array_equal(one.ids, other.ids)
    assert one.prob is not None
    assert other.prob is not None
    assert np.array_equal(one.prob, other.prob)
    np.testing.assert_allclose(one.prob.sum(0), 1, atol=1e-5)
    assert np.array_equal(one.prob.argmax(0), one.ids)
    assert loaded.card.options == forest.options
    assert loaded.note == forest.note


def test_it_stands_in_the_catalogue_as_a_method_that_learns(data: Bodies) -> None:
    about = describe_method("depth_forest")
    assert about["result"] == "learned"
    assert about["options"]["depth"] == 20
    assert "Shotton" in about["citation"]
    train = [data.read(key) for key in data.splits["train"][:4]]
    one = fit_method("depth_forest", train, data.classes, **QUICK, rng=3)
    again = DepthForest.fit(train, data.classes, **QUICK, rng=3)
    for name, array in one.to_arrays().items():
        assert np.array_equal(array, again.to_arrays()[name])
    other = DepthForest.fit(train, data.classes, **QUICK, rng=4)
    assert not np.array_equal(other.offsets[0], again.offsets[0])


def test_degenerate_images() -> None:
    ones = np.full((8, 8), 1500, np.uint16)
    single = DepthForest.fit(samples((ones, np.ones((8, 8)))), TWO, bagging=False, **QUICK)
    assert len(single.children) == 2, "one class: nothing to ask, one leaf a tree"
    assert (single.predict(ones).ids == 1).all()
    empty = single.predict(np.zeros((3, 1), np.uint16), prob=True)
    assert not empty.ids.any()
    assert empty.prob is not None
    assert (empty.prob[0] == 1).all()
    assert single.predict(np.full((1, 1), 900, np.uint16)).ids.tolist() == [[1]]
    ignored = np.where(np.arange(64).reshape(8, 8) % 2, 1, 255)
    assert DepthForest.fit(samples((ones, ignored)), TWO, bagging=False, **QUICK).counts.sum() == 2 * 32


def test_what_cannot_be_learnt_or_segmented_is_said(forest: DepthForest) -> None:
    ones = np.full((8, 8), 1500, np.uint16)
    with pytest.raises(DataError, match=r"is uint8 of shape \(8, 8, 3\); depth_forest takes depth in millimetres"):
        forest.predict(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="1 is 4 x 5 pixels and the first image 8 x 8"):
        DepthForest.fit(samples((ones, ones > 0), (ones[:4, :5], ones[:4, :5] > 0)), TWO)
    with pytest.raises(DataError, match="None of the 1 training images"):
        DepthForest.fit(samples((0 * ones, ones > 0)), TWO)
    with pytest.raises(SettingsError, match="option trees is 0; a whole number from 1"):
        DepthForest.fit([], TWO, trees=0)
    with pytest.raises(SettingsError, match="option reach is -1; pixel metres above 0"):
        DepthForest.fit([], TWO, reach=-1)
    with pytest.raises(SettingsError, match=r"has no option 'dept'. Did you mean 'depth'"):
        fit_method("depth_forest", [], TWO, dept=3)
    arrays = forest.to_arrays()
    for name, wrong in (
        ("children", arrays["children"] + 1),
        ("roots", arrays["roots"] + 10**6),
        ("offsets", arrays["offsets"][1:]),
    ):
        with pytest.raises(ValueError, match="contradict each other"):
            DepthForest({**arrays, name: wrong}, forest.classes, forest.options)
