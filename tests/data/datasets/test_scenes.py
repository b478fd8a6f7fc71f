import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix

from intarsia.core import DataError, Dataset, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import _scenery, open_dataset
from intarsia.data.datasets._scenery import Scene, boundary_of, render_scene
from intarsia.data.datasets._scenery_ground import ground_places
from intarsia.data.datasets._scenery_light import draw_light
from intarsia.data.datasets._scenery_space import (
    BUILDING,
    CAR,
    GRASS,
    PAVEMENT,
    ROAD,
    SIGN,
    SKY,
    SUPERSAMPLE,
    TREE,
    Camera,
    Canvas,
)
from intarsia.data.datasets.scenes import SCENE_CLASSES, Scenes

CAMERA = Camera(size_hw=(300, 401), focal=300.0, horizon=99.0, eye_m=2.0, eye_u=1.0, cos=1.0, sin=0.0)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    data = Scenes()
    return [data.scene(key) for key in data.splits["train"][:100]]


def same(a: Scene, b: Scene) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Scene.__dataclass_fields__)


def test_the_camera_by_hand() -> None:
    # 100 samples below the horizon the ground is 300 * 2 / 100 = 6 m away; 50 samples right of the middle are 1 m there.
    across, along = ground_places(CAMERA, np.array([199]), np.array([250]))
    assert (across.item(), along.item()) == pytest.approx((1.0 + 1.0, 6.0))
    assert CAMERA.project_street(np.array([2.0]), 6.0, 0.0).tolist() == [[250.0, 199.0]]
    assert CAMERA.place(2.0, 6.0) == (1.0, 6.0)
    # Inverse depth there: of the ground, of a wall across the street at v = 4, of a wall along it at u = 3 (x = 2, so z = 12).
    x, y = 50 / 300, -100 / 300
    for plane, depth in (((0, 0, 1, 0), 6.0), ((0, 1, 0, 4), 4.0), ((1, 0, 0, 3), 12.0)):
        a, b, c = CAMERA.plane(*plane)
        assert 1 / (a * x + b * y + c) == pytest.approx(depth)


def test_a_shadow_by_hand() -> None:
    # The sun stands 45 degrees high on the right, so a board 2 m high on (0, 6) throws its shadow 2 m to the left.
    canvas = Canvas(CAMERA)
    half = np.sqrt(0.5)
    light = SimpleNamespace(sun_xyz=(half, half, 0.0), shadow=1.0)
    canvas.cast(np.array([0.0, 0.0, 0.5, 0.5]), np.array([0.0, 2.0, 0.0, 2.0]), np.array([5.9, 5.9, 6.1, 6.1]), light)
    row, column = int(199 / SUPERSAMPLE), CAMERA.center_x / SUPERSAMPLE
    dark = np.flatnonzero(canvas.shadow[row] > 128)
    metre = 50 / SUPERSAMPLE
    assert (dark[0], dark[-1]) == pytest.approx((column - 2 * metre, column + 0.5 * metre), abs=1.5)


def test_the_boundary_by_hand_and_by_a_slow_loop(scenes: list[Scene]) -> None:
    semantic = np.array([[3, 3, 3, 3], [3, 7, 7, 3], [3, 3, 3, 3]], np.uint8)
    instance = np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]], np.uint16)
    assert boundary_of(semantic, instance).tolist() == [[False, True, True, False], [True] * 4, [False, True, True, False]]
    for scene in scenes[:2]:
        region = list(zip(scene.semantic.ravel().tolist(), scene.instance.ravel().tolist(), strict=True))
        height, width = scene.semantic.shape
        for y in range(height):
            for x in range(width):
                near = [(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
                here = region[y * width + x]
                differs = any(region[b * width + a] != here for b, a in near if 0 <= b < height and 0 <= a < width)
                assert scene.boundary[y, x] == differs


def test_what_is_nearer_hides_what_is_farther(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painting back to front gives what a depth buffer gives that looks at each tree and thing alone."""
    paint = _scenery._paint_places
    seen = []

    def watch(canvas, trees, things, light):
        seen[:] = [canvas.copy(), trees, things, light]
        paint(canvas, trees, things, light)

    monkeypatch.setattr(_scenery, "_paint_places", watch)
    hidden = 0
    for number in range(12):
        scene = render_scene(np.random.default_rng([7, number]), (96, 128))
        background, trees, things, light = seen
        nearest = np.full(scene.depth_m.shape, np.inf)
        winner = np.zeros(scene.depth_m.shape, int)
        for place in (*trees, *things):
            alone = background.copy()
            paint(alone, [place] if place.class_id == TREE else [], [] if place.class_id == TREE else [place], light)
            surface = alone.samples[1::SUPERSAMPLE, 1::SUPERSAMPLE, 3]
            depth = np.where(surface >= len(background.surfaces), _scenery._depth(alone, surface), np.inf)
            hidden += int(((depth < np.inf) & (nearest < np.inf)).sum())
            winner = np.where(depth < nearest, things.index(place) + 1 if place in things else 0, winner)
            nearest = np.minimum(depth, nearest)
        painted = nearest < np.inf
        assert (winner[painted] == scene.instance[painted]).mean() > 0.999
        np.testing.assert_allclose(
            scene.depth_m[painted & (winner == scene.instance)], nearest[painted & (winner == scene.instance)]
        )
        assert not scene.instance[~painted].any()
    assert hidden > 1000


def test_the_same_key_is_the_same_picture() -> None:
    first, second = Scenes(size_hw=(64, 80)), Scenes(size_hw=(64, 80), train=9, val=2)
    keys = ["train/0003", "val/0001", "train/0000"]
    forward = {key: first.scene(key) for key in keys}
    backward = {key: second.scene(key) for key in reversed(keys)}
    assert all(same(forward[key], backward[key]) for key in keys)
    code = (
        "import zlib; from intarsia.data.datasets.scenes import Scenes; s = Scenes(size_hw=(64, 80)).scene('val/0001');"
        "print(zlib.crc32(s.image), zlib.crc32(s.depth_m), zlib.crc32(s.instance))"
    )
    printed = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert printed[0] == printed[1]


def test_other_seeds_splits_and_numbers_are_other_pictures() -> None:
    pictures = [
        Scenes(size_hw=(32, 32), seed=seed).scene(key).image.tobytes()
        for seed in (0, 1)
        for key in ("train/0000", "train/0001", "val/0000", "test/0000")
    ]
    assert len(set(pictures)) == len(pictures)


def test_the_parts_of_the_truth_agree(scenes: list[Scene]) -> None:
    things = np.array([entry.is_thing for entry in SCENE_CLASSES.classes])
    for scene in scenes:
        assert (scene.image.dtype, scene.semantic.dtype, scene.instance.dtype) == (np.uint8, np.uint8, np.uint16)
        counts = np.bincount(scene.instance.ravel())
        assert len(counts) == len(scene.class_of_instance) + 1
        assert (counts[1:] >= 14).all()  # no thing of which next to nothing is left
        numbered = scene.instance > 0
        assert np.array_equal(numbered, things[scene.semantic])
        assert np.array_equal(scene.class_of_instance[scene.instance[numbered] - 1], scene.semantic[numbered])
        assert scene.depth_m.dtype == np.float32
        assert scene.depth_m.min() > 1
        assert (scene.depth_m[scene.semantic == SKY] > 999).all()
        assert (scene.depth_m[numbered] < 40).all()
        ground = np.isin(scene.semantic, (ROAD, PAVEMENT, GRASS))
        nearer_below = np.diff(np.where(ground, scene.depth_m, np.nan), axis=0)
        assert np.nanmax(nearer_below) < 0


def test_every_class_is_common_enough(scenes: list[Scene]) -> None:
    counts = np.stack([np.bincount(scene.semantic.ravel(), minlength=len(SCENE_CLASSES)) for scene in scenes])
    assert ((counts > 0).mean(0) > 0.6).all()
    share = counts.sum(0) / counts.sum()
    assert share.max() < 0.3
    assert (share[[SKY, BUILDING, ROAD, PAVEMENT, GRASS, TREE, CAR]] > 0.05).all()
    assert share[SIGN] > 0.01
    heights = [np.ptp(np.nonzero(scene.instance == n)[0]) + 1 for scene in scenes for n in range(1, scene.instance.max() + 1)]
    assert np.mean(np.array(heights) >= 10) > 0.8


def test_day_dusk_and_clouds() -> None:
    lights = [draw_light(_scenery.Dice(np.random.default_rng(seed))) for seed in range(60)]
    overcast = [light for light in lights if light.sun_xyz[1] == 1]
    dusk = [light for light in lights if light.lit_windows == 0.5]
    assert min(len(overcast), len(dusk), 60 - len(overcast) - len(dusk)) >= 5
    assert all(np.linalg.norm(light.sun_xyz) == pytest.approx(1) for light in lights)


def test_a_forest_on_patches_cannot_tell_the_classes() -> None:
    """Classes are not coded by colour or texture: a random forest on 3 x 3 RGB patches stays below mIoU 0.5."""

    def patches(split: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        windows, labels = [], []
        data = Scenes()
        for key in data.splits[split][:count]:
            scene = data.scene(key)
            y, x = rng.integers(1, 127, (2, 250))
            window = np.lib.stride_tricks.sliding_window_view(scene.image, (3, 3), axis=(0, 1))
            windows.append(window[y - 1, x - 1].reshape(len(y), 27))
            labels.append(scene.semantic[y, x])
        return np.concatenate(windows), np.concatenate(labels)

    rng = np.random.default_rng(0)
    forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=0).fit(*patches("train", 100, rng))
    seen, truth = patches("val", 64, rng)
    confusion = confusion_matrix(truth, forest.predict(seen), labels=range(len(SCENE_CLASSES)))
    iou = confusion.diagonal() / (confusion.sum(0) + confusion.sum(1) - confusion.diagonal())
    assert 0.2 < iou.mean() < 0.5  # about 0.36


@pytest.mark.parametrize("size_hw", [(32, 32), (33, 57), (240, 320), (32, 500), (211, 32)])
def test_any_size(size_hw: tuple[int, int]) -> None:
    for number in range(3):
        scene = render_scene(np.random.default_rng(number), size_hw)
        assert scene.image.shape == (*size_hw, 3)
        assert all(part.shape == size_hw for part in (scene.semantic, scene.instance, scene.depth_m, scene.boundary))
        assert np.array_equal(np.unique(scene.instance[scene.instance > 0]), np.arange(len(scene.class_of_instance)) + 1)
        assert np.isfinite(scene.depth_m).all()


def test_a_canvas_has_room_for_every_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    depth = _scenery._depth

    def watch(canvas, surface):
        nonlocal most
        most = max(most, len(canvas.surfaces))
        return depth(canvas, surface)

    monkeypatch.setattr(_scenery, "_depth", watch)
    for number in range(20):
        render_scene(np.random.default_rng(number), (32, 400))
    assert 40 < most < 256


def test_the_views_show_one_truth() -> None:
    views = {view: Scenes(view=view) for view in ("semantic", "instance", "panoptic")}
    assert all(isinstance(data, Dataset) for data in views.values())
    assert [data.task for data in views.values()] == list(views)
    for key in ("train/0000", "test/0063"):
        scene = views["semantic"].scene(key)
        samples = {view: data.read(key) for view, data in views.items()}
        assert all(np.array_equal(sample.image, scene.image) and sample.key == key for sample in samples.values())
        label, instances, panoptic = (sample.truth for sample in samples.values())
        assert isinstance(label, LabelMap)
        assert isinstance(instances, Instances)
        assert isinstance(panoptic, Panoptic)
        assert np.array_equal(label.ids, scene.semantic)
        assert np.array_equal(instances.to_ids(), scene.instance)
        assert np.array_equal(instances.class_id, scene.class_of_instance)
        assert np.array_equal(panoptic.to_label_map().ids, scene.semantic)
        assert np.array_equal(panoptic.to_instances().to_ids(), scene.instance)
        assert label.areas() == panoptic.areas()


def test_the_catalogue_opens_it() -> None:
    data = open_dataset("scenes:train=3,test=0,size=33x57,seed=5", view="panoptic")
    assert isinstance(data, Scenes)
    assert (data.size_hw, data.seed, data.task) == ((33, 57), 5, "panoptic")
    assert dict(data.splits) == {
        "train": ("train/0000", "train/0001", "train/0002"),
        "val": tuple(f"val/{i:04d}" for i in range(64)),
    }
    assert Scenes.from_options({"size": "48"}).size_hw == (48, 48)
    assert Scenes.from_options({}).task == "semantic"
    assert "33 x 57 pixels, seed 5" in data.notes[0]
    assert "person, car, bicycle, sign are countable" in data.notes[1]
    assert [SCENE_CLASSES.index(name) for name in ("sky", "building", "tree", "car", "sign")] == [SKY, BUILDING, TREE, CAR, SIGN]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trian": "4"}, r"no option 'trian'. Did you mean 'train'.*\? Its options are train, val, test, size, seed"),
        ({"val": "many"}, "option val is 'many'; a whole number"),
        ({"train": "-3"}, "option train is -3; a whole number from 0 up"),
        ({"seed": "-1"}, "option seed is -1"),
        ({"size": "big"}, "option size is 'big'; HEIGHTxWIDTH such as 96x128"),
        ({"size": "96x128x3"}, "option size is '96x128x3'"),
        ({"size": "64x20"}, r"size is 64 x 20 \(height x width\); below 32 pixels"),
        ({"train": "0", "val": "0", "test": "0"}, "are all 0, so there is no picture"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Scenes.from_options(options)


def test_views_and_keys_that_there_are_not() -> None:
    with pytest.raises(SettingsError, match="no regions truth; its views are semantic, instance, panoptic"):
        Scenes(view="regions")
    data = Scenes(train=2, val=1, test=0)
    for key in ("train/0002", "train/1", "train/-001", "test/0000", "0001", "val/٠٠٠٠"):
        with pytest.raises(
            DataError, match=rf"no picture '{key}'; its keys are train/0000 ... train/0001, val/0000 ... val/0000"
        ):
            data.read(key)
