from typing import Any

import numpy as np
import pytest

from intarsia.core import DataError, Dataset, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets._bodies_figure import JOINTS, PARTS, PARTS_OF_JOINT, Figure, clothe, draw_skeleton
from intarsia.data.datasets._bodies_render import render_figure
from intarsia.data.datasets.bodies import Bodies, Body

SMALL = (60, 80)


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    data = Bodies(train=60)
    return [data.body(key) for key in data.splits["train"]]


def one_cone(a: list[float], b: list[float], radii: list[float]) -> Figure:
    """A capsule whose parts are 1 and 2 left and right of its middle, 3 and 4 below it."""
    middle = (np.array(a) + np.array(b)) / 2
    normals = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    return Figure(
        np.zeros((16, 3)),
        np.array([[a, b]]),
        np.array([radii]),
        normals,
        (normals @ middle),
        np.array([[1, 2, 3, 4]], np.uint8),
    )


def test_a_capsule_by_hand() -> None:
    # 3 m away, 0.25 m thick and 1 m between the middles of its ends, seen from the side at 30 pixels for 1 m at 1 m.
    depth, parts = render_figure(one_cone([-0.5, 0, 3], [0.5, 0, 3], [0.25, 0.25]), (21, 31), 30.0)
    assert depth[10, 15] == pytest.approx(2.75)
    # Its silhouette: half as wide as f tan(asin(r / z)) over the axis, 2.51; and 0.75 m to either side within 3 m, 7.5.
    assert np.flatnonzero(depth[:, 15]).tolist() == [8, 9, 10, 11, 12]
    assert np.flatnonzero(depth[10]).tolist() == list(range(8, 23))
    assert [parts[9, 10], parts[9, 20], parts[12, 10], parts[12, 20], parts[0, 0]] == [1, 2, 3, 4, 0]
    # A taper with sine 0.2: cut along the axis, its side is the line z = 3 - 0.25 / cos + x tan.
    depth, _ = render_figure(one_cone([-0.5, 0, 3], [0.5, 0, 3], [0.35, 0.15]), (21, 31), 30.0)
    cos = np.sqrt(1 - 0.2**2)
    assert depth[10, 15] == pytest.approx(3 - 0.25 / cos, abs=1e-6)
    assert depth[10, 19] == pytest.approx((3 - 0.25 / cos) / (1 - 0.2 / cos * 4 / 30), abs=1e-6)


def test_the_camera_sees_what_a_slow_loop_over_spheres_sees() -> None:
    """A round cone is all spheres between its ends; the nearest of very many of them is nearly what a ray meets."""
    rng = np.random.default_rng(3)
    for figure in (clothe(draw_skeleton(rng, max_turn=np.pi)).moved(np.array([0.1, 0, z])) for z in (1.2, 2.5)):
        focal, (height, width) = 50.0, (50, 60)
        depth, parts = render_figure(figure, (height, width), focal)
        y, x = np.indices((height, width)).reshape(2, -1)
        rays = np.stack([(x - 29.5) / focal, (y - 24.5) / focal, np.ones(len(x))], 1)
        slow = np.full(len(x), np.inf)
        share = np.linspace(0, 1, 300)[:, None]
        for (a, b), (ra, rb) in zip(figure.ends, figure.radii, strict=True):
            centres, radii = (1 - share) * a + share * b, ((1 - share) * ra + share * rb)[:, 0]
            dd, dc = (rays**2).sum(1)[:, None], rays @ centres.T
            inside = dc**2 - dd * ((centres**2).sum(1) - radii**2)
            t = np.where(inside >= 0, (dc - np.sqrt(inside.clip(0))) / dd, np.inf)
            slow = np.minimum(slow, np.where(t > 0, t, np.inf).min(1))
        seen = np.isfinite(slow).reshape(height, width)
        assert (seen != (depth > 0)).mean() < 0.001
        assert np.array_equal(depth > 0, parts > 0)
        both = seen & (depth > 0)
        assert np.abs(slow.reshape(height, width) - depth)[both].max() < 0.004


def test_pictures_depend_on_seed_and_key_alone() -> None:
    few, many, other = Bodies(train=2, size_hw=SMALL), Bodies(train=5, size_hw=SMALL), Bodies(train=2, size_hw=SMALL, seed=1)
    one, again = few.body("train/0001"), many.body("train/0001")
    for name in Body.__dataclass_fields__:
        assert np.array_equal(getattr(one, name), getattr(again, name))
    pictures = [one, few.body("train/0000"), many.body("val/0001"), other.body("train/0001")]
    assert len({picture.depth_mm.tobytes() for picture in pictures}) == 4


def test_it_is_a_data_set_of_depth_images_with_32_classes() -> None:
    data = open_dataset("bodies:train=2,val=1,test=0,size=61x83,seed=3,turn=180")
    assert isinstance(data, Dataset)
    assert dict(data.splits) == {"train": ("train/0000", "train/0001"), "val": ("val/0000",)}
    sample = data.read("val/0000")
    assert (sample.image.shape, sample.image.dtype) == ((61, 83, 1), np.uint16)
    assert isinstance(sample.truth, LabelMap)
    assert len(data.classes) == 32
    assert len(set(data.classes.names)) == len({entry.color for entry in data.classes.classes}) == 32
    assert len(PARTS) == 32
    assert len(JOINTS) == 16


def test_joints_belong_to_the_parts_called_so() -> None:
    of_joint = {joint: [PARTS[i] for i in ids] for joint, ids in zip(JOINTS, PARTS_OF_JOINT, strict=True)}
    assert of_joint["left_wrist"] == ["left_wrist"]
    assert sorted(of_joint["head"]) == ["left_lower_head", "left_upper_head", "right_lower_head", "right_upper_head"]


def test_people_are_whole_and_all_of_their_parts_are_seen(bodies: list[Body]) -> None:
    seen = np.zeros(32)
    for body in bodies:
        rim = np.concatenate([body.depth_mm[[0, -1]].ravel(), body.depth_mm[:, [0, -1]].ravel()])
        assert not rim.any()
        assert np.array_equal(body.depth_mm > 0, body.parts > 0)
        distance = body.depth_mm[body.depth_mm > 0] / 1000
        assert 1.9 < distance.min() < distance.max() < 6
        seen += np.bincount(body.parts.ravel(), minlength=32) > 0
    assert (seen[1:] > 0.6 * len(bodies)).all()
    assert np.mean([body.visible for body in bodies]) > 0.9


def test_joints_lie_inside_the_body_behind_their_own_part(bodies: list[Body]) -> None:
    focal = Bodies().focal_px
    behind = []
    for body in bodies:
        for (x, y, z), ids in zip(body.joints_m, PARTS_OF_JOINT, strict=True):
            row, column = round(y / z * focal + 119.5), round(x / z * focal + 159.5)
            if body.parts[row, column] in ids:
                behind.append(z - body.depth_mm[row, column] / 1000)
    assert len(behind) > 0.6 * 16 * len(bodies), "most joints are not hidden by another part"
    assert np.mean(np.array(behind) > -0.01) > 0.99
    assert 0.02 < np.median(behind) < 0.08
    assert max(behind) < 0.3


def test_left_is_the_persons_own(bodies: list[Body]) -> None:
    # Turned by at most 60 degrees, a person's left shoulder is on the right of the image.
    left, right = JOINTS.index("left_shoulder"), JOINTS.index("right_shoulder")
    assert np.mean([body.joints_m[left, 0] > body.joints_m[right, 0] for body in bodies]) > 0.95
    around = Bodies(train=40, turn=180, size_hw=SMALL)
    turned = [around.body(key).joints_m for key in around.splits["train"]]
    assert 0.25 < np.mean([joints[left, 0] > joints[right, 0] for joints in turned]) < 0.75


def test_bones_keep_their_lengths_and_limbs_their_distance() -> None:
    rng = np.random.default_rng(0)
    heights = []
    for _ in range(40):
        skeleton = draw_skeleton(rng, max_turn=1.0)
        at, stature = skeleton.places, skeleton.stature
        for side in ("left", "right"):
            bones = [np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"]) for a, b in (("hip", "knee"), ("elbow", "wrist"))]
            assert bones == pytest.approx([0.245 * stature, 0.146 * stature])
            wrist = at[f"{side}_wrist"]
            assert np.linalg.norm(wrist - (at["waist"] + at["collar"]) / 2) > 0.06 * stature
        heights.append(stature)
    assert 1.45 <= min(heights) < 1.6 < 1.85 < max(heights) <= 1.98


def test_a_smaller_image_shows_the_same_person_coarser() -> None:
    large, small = Bodies(train=3, size_hw=(240, 320)).body("train/0002"), Bodies(train=3, size_hw=(120, 160)).body("train/0002")
    np.testing.assert_allclose(large.joints_m, small.joints_m, atol=1e-6)
    assert (small.depth_mm > 0).mean() == pytest.approx((large.depth_mm > 0).mean(), rel=0.03)
    assert np.array_equal(np.unique(large.parts)[:1], [0])


def test_near_people_fill_the_image_and_may_leave_it() -> None:
    near = Bodies(train=6, distance_m=(0.8, 1.0), whole=False)
    bodies = [near.body(key) for key in near.splits["train"]]
    assert np.mean([(body.depth_mm > 0).mean() for body in bodies]) > 0.25
    assert any(body.depth_mm[-1].any() for body in bodies)


def test_depth_is_noisy_as_a_kinects() -> None:
    data = Bodies(train=1)
    body = data.body("train/0000")
    flat = body.depth_mm.astype(float)
    inner = (body.parts[1:-1, 1:-1] == body.parts[1:-1, 2:]) & (body.parts[1:-1, 1:-1] == body.parts[1:-1, :-2])
    inner &= body.parts[1:-1, 1:-1] > 0
    bend = (flat[1:-1, 2:] - 2 * flat[1:-1, 1:-1] + flat[1:-1, :-2])[inner]
    expected = np.sqrt(6) * 1.5 * (flat[flat > 0].mean() / 1000) ** 2
    assert np.median(np.abs(bend)) / 0.6745 == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": -1}, "train is -1"),
        ({"train": 0, "val": 0, "test": 0}, "all 0"),
        ({"size_hw": (20, 80)}, "20 x 80"),
        ({"turn": 200}, "turn is 200"),
        ({"distance_m": (3, 2)}, r"\(3, 2\) m"),
        ({"view": "instance"}, "no instance truth"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Bodies(**options)


def test_options_and_keys_that_are_unknown_are_named() -> None:
    with pytest.raises(SettingsError, match=r"no option 'trun'. Did you mean 'turn'"):
        open_dataset("bodies:trun=10")
    with pytest.raises(SettingsError, match=r"size is '96'; HEIGHTxWIDTH"):
        open_dataset("bodies:size=96")
    with pytest.raises(SettingsError, match=r"turn is 'half'"):
        open_dataset("bodies:turn=half")
    with pytest.raises(DataError, match=r"no picture 'train/0009'; its keys are train/0000 ... train/0002"):
        Bodies(train=3, val=0, test=0).read("train/0009")
