import numpy as np
import pytest

from intarsia.classical._modes import seek_modes
from intarsia.core import Array, SettingsError
from intarsia.data.datasets.bodies import Bodies
from intarsia.postprocess.joints import JointFinder, Proposals, back_project, joint_precision


def finder(bandwidth: float = 0.1, threshold: float = 0.1, push_back: float = 0.0) -> JointFinder:
    return JointFinder([[1]], [bandwidth], [threshold], [push_back])


def sure(count: int, share: float = 1.0) -> Array:
    """Probabilities of two classes for so many pixels, the second being likely."""
    return np.tile(np.array([1 - share, share], np.float32), (count, 1))


def found_at(*places: tuple[float, float]) -> Proposals:
    """Proposals on a line, each as x and its score."""
    return Proposals(
        np.array([[x, 0.0, 1.0] for x, _ in places]).reshape(-1, 3), np.array([score for _, score in places], np.float64)
    )


def test_a_pixel_back_in_space_by_hand() -> None:
    depth = np.full((5, 7), 2000, np.uint16)
    # The middle of the image is row 2, column 3; one pixel there is 2 / 100 m.
    points = back_project(depth, np.array([[2, 3], [2, 4], [0, 3]]), 100.0)
    assert points.tolist() == [[0, 0, 2], [pytest.approx(0.02), 0, 2], [0, pytest.approx(-0.04), 2]]


def test_two_pixels_by_hand() -> None:
    # Far apart, each is a mode; its score is P d^2, its place pushed back along z.
    points, prob = np.array([[0, 0, 2.0], [1, 0, 3.0]]), np.concatenate([sure(1, 0.5), sure(1, 0.4)])
    (found,) = finder(push_back=0.05).find(points, prob)
    assert found.places_m.tolist() == [[1, 0, pytest.approx(3.05)], [0, 0, pytest.approx(2.05)]]
    assert found.scores == pytest.approx([0.4 * 9, 0.5 * 4])
    # Two within the bandwidth are one mode, in their weighted middle if they are of one depth.
    points = np.array([[0, 0, 2.0], [0.03, 0, 2.0]])
    (found,) = finder().find(points, np.concatenate([sure(1, 0.75), sure(1, 0.25)]))
    assert len(found.scores) == 1
    assert 0.0 < found.places_m[0, 0] < 0.03 / 4 * 1.05
    assert found.scores == pytest.approx([1.0 * 4])


def test_a_gaussian_blob_has_its_mode_at_its_mean() -> None:
    blob = np.random.default_rng(0).normal([0.3, -0.2, 2.5], 0.04, (4000, 3))
    (found,) = finder().find(blob, sure(4000))
    assert len(found.scores) == 1
    np.testing.assert_allclose(found.places_m[0], blob.mean(0), atol=0.004)
    assert found.scores[0] == pytest.approx((blob[:, 2] ** 2).sum())


def test_modes_are_those_of_mean_shift_as_it_is_written_elsewhere() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(centre, 0.03, (25, 3)) for centre in ([0, 0, 2], [0.4, 0.1, 2.2], [0.1, 0.6, 1.9])])
    prob = rng.random((75, 1)).astype(np.float32) * [[-1, 1]] + [[1, 0]]
    (found,) = finder(threshold=0.3).find(points, prob)
    starts = points[prob[:, 1] >= 0.3]
    used = prob[:, 1] >= 0.02
    weights = prob[used, 1] * points[used, 2] ** 2
    modes, _ = seek_modes(points[used], starts, 0.1, weights=weights)
    assert len(found.scores) == len(modes) == 3
    np.testing.assert_allclose(np.sort(found.places_m, 0), np.sort(modes, 0), atol=1e-3)


def test_many_pixels_are_stood_for_by_some() -> None:
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal([x, 0, 2], 0.02, (count, 3)) for x, count in ((0, 3000), (1, 1000))])
    (found,) = finder().find(points, sure(4000))
    assert len(found.scores) == 2
    assert found.scores.sum() == pytest.approx((points[:, 2] ** 2).sum())
    assert found.scores[0] / found.scores[1] == pytest.approx(3, rel=0.1)


def test_unlikely_pixels_start_nothing_and_no_pixel_gives_nothing() -> None:
    points = np.full((5, 3), 2.0)
    for given, prob in ((points, sure(5, 0.05)), (points[:0], sure(0))):
        (found,) = finder().find(given, prob)
        assert found.places_m.shape == (0, 3)
        assert found.scores.shape == (0,)


def test_true_parts_give_joints_within_a_few_centimetres() -> None:
    data = Bodies(train=10, val=15, test=0, size_hw=(180, 240))
    published = JointFinder.published(data.parts_of_joint)
    proposals: dict[str, list[list[Proposals]]] = {}
    for split, keys in data.splits.items():
        for key in keys:
            body = data.body(key)
            places = np.argwhere(body.parts > 0)
            prob = np.eye(32)[body.parts[tuple(places.T)]]
            proposals.setdefault(split, []).append(published.find(back_project(body.depth_mm, places, data.focal_px), prob))
    true = {split: [data.body(key).joints_m for key in keys] for split, keys in data.splits.items()}
    better = published.pushed_back(proposals["train"], true["train"])
    moved = np.subtract(better.push_back_m, published.push_back_m)
    assert all(0.0 < back < 0.12 for back in better.push_back_m)
    errors = [
        np.linalg.norm(found.places_m[0] + [0, 0, moved[joint]] - joints[joint])
        for one, joints in zip(proposals["val"], true["val"], strict=True)
        for joint, found in enumerate(one)
        if len(found.scores)
    ]
    assert len(errors) > 0.95 * 16 * 15
    assert np.median(errors) < 0.03
    assert np.mean(np.array(errors) < 0.1) > 0.97


def test_average_precision_by_hand() -> None:
    true = np.array([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [np.nan] * 3])
    found = [
        found_at((0.05, 9), (0.06, 7)),  # right, and again: wrong
        found_at((0.5, 8), (0.09, 5)),  # wrong, then right
        found_at(),  # missed
        found_at((0.0, 6)),  # there is no such joint: wrong
    ]
    # In order of scores: right, wrong, wrong, wrong, right. Precision where it is right: 1 and 2 / 5; three joints.
    assert joint_precision(found, true) == pytest.approx((1 + 2 / 5) / 3)
    assert joint_precision(found, true, within_m=0.04) == 0
    assert joint_precision([found_at((0.01, 1))] * 3, true[:3]) == 1
    assert joint_precision([found_at()] * 3, true[:3]) == 0
    assert np.isnan(joint_precision([found_at((0.0, 1))], true[3:]))


def test_average_precision_by_a_slow_loop() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(0, 0.1, (30, 3))
    found = []
    for place in true:
        count = rng.integers(0, 4)
        found.append(Proposals(place + rng.normal(0, 0.08, (count, 3)), np.sort(rng.random(count))[::-1]))
    ranked = sorted(((s, i, q) for i, one in enumerate(found) for q, s in enumerate(one.scores)), key=lambda row: -row[0])
    done: set[int] = set()
    total = 0.0
    for rank, (_, i, q) in enumerate(ranked, 1):
        earlier = [np.linalg.norm(p - true[i]) <= 0.1 for p in found[i].places_m[:q]]
        if np.linalg.norm(found[i].places_m[q] - true[i]) <= 0.1 and not any(earlier):
            done.add(i)
            total += len(done) / rank
    assert joint_precision(found, true) == pytest.approx(total / 30)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"settings for \[1, 2\] joints"):
        JointFinder([[1], [2]], [0.1], [0.1], [0.0])
    with pytest.raises(SettingsError, match=r"bandwidth of JointFinder is 0 m"):
        JointFinder([[1]], [0], [0.1], [0.0])
