"""merge: two models on images, and files of two tools; and two annotators compared by score."""

import numpy as np
import pytest

import intarsia
from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.formats import read_panoptic, write_image, write_mask
from intarsia.data.formats.coco import write_coco

THINGS = ClassSpace.from_names(["car", "dog"], things=["car", "dog"])
LABELS = ClassSpace.from_names(["sky", "road", "car"])


def objects(drift=0):
    masks = np.zeros((2, 20, 30), np.bool_)
    masks[0, 5:15, 5 + drift : 15 + drift] = masks[1, 8:14, 10:25] = True
    return Instances(InstanceMasks.pack(masks, (20, 30)), np.array([0, 1]), THINGS, np.array([0.75, 0.5], np.float32))


def labels(drift=0):
    ids = np.zeros((20, 30), np.uint8)
    ids[10 + drift :] = 1
    return LabelMap(ids, LABELS)


@pytest.fixture
def files(tmp_path):
    write_coco(tmp_path / "objects.json", {"a.jpg": objects(), "deep/b.jpg": objects(1)}, THINGS)
    for name, drift in (("a", 0), ("deep/b", 2)):
        write_mask(tmp_path / f"labels/{name}.png", labels(drift))
        write_mask(tmp_path / f"numbers/{name}.png", objects(drift))
    return tmp_path


@pytest.mark.parametrize("source", ["objects.json", "numbers"])
def test_files_of_one_name_are_merged(files, source):
    seen = []
    written = intarsia.merge(files / source, files / "labels", out=files / "out", progress=lambda *said: seen.append(said))
    assert [path.relative_to(files / "out").as_posix() for path in written] == ["masks/a.png", "masks/deep/b.png"]
    assert seen == [(1, 2, "a"), (2, 2, "deep/b")]
    merged = read_panoptic(written[0])
    assert [merged.classes.names[s.class_id] for s in merged.segments] == ["car", "dog", "sky", "road"]
    assert np.bincount(merged.ids.ravel())[1:3].tolist() == [100, 60], "the dog's 30 pixels on the car are the car's"
    table = (files / "out/objects.csv").read_text().splitlines()
    assert len(table) == 9
    intarsia.merge(files / source, files / "labels", out=files / "out", max_overlap=0.1, min_score=0.6)
    assert len(read_panoptic(written[0]).segments) == 3


def test_two_methods_on_images(tmp_path):
    y, x = np.mgrid[:40, :60]
    disc = np.where(np.hypot(y - 20, x - 20) < 9, 220, 40).astype(np.uint8)
    write_image(tmp_path / "photos/a.png", disc[..., None].repeat(3, 2))
    written = intarsia.merge("threshold_watershed", "chan_vese", images=[tmp_path / "photos"], out=tmp_path / "out")
    merged = read_panoptic(written[0])
    assert isinstance(merged, Panoptic)
    counted = [s for s in merged.segments if merged.classes.classes[s.class_id].is_thing]
    assert len(counted) == 1
    assert np.count_nonzero(merged.ids == counted[0].id) == pytest.approx(np.pi * 81, rel=0.1)
    assert (tmp_path / "out/overlays/a.jpg").exists()


def test_errors(files):
    with pytest.raises(SettingsError, match=r"threshold_watershed is a model, and .*labels are files"):
        intarsia.merge("threshold_watershed", files / "labels", out=files / "out")
    with pytest.raises(SettingsError, match="no images to look at: add --images"):
        intarsia.merge("threshold_watershed", "chan_vese", out=files / "out")
    with pytest.raises(SettingsError, match="Images were given beside files"):
        intarsia.merge(files / "numbers", files / "labels", images=["x"], out=files / "out")
    with pytest.raises(SettingsError, match="min_score is 2; it lies in"):
        intarsia.merge(files / "numbers", files / "labels", min_score=2, out=files / "out")
    (files / "labels/a.png").unlink()
    with pytest.raises(DataError, match=r"Of 2 predictions in .*numbers, a have no truth"):
        intarsia.merge(files / "numbers", files / "labels", out=files / "out")
    write_mask(files / "labels/a.png", LabelMap(np.zeros((5, 5), np.uint8), LABELS))
    with pytest.raises(DataError, match=r"a\.png is \(5, 5\) .* in an image of \(20, 30\)"):
        intarsia.merge(files / "numbers", files / "labels", out=files / "out")
    write_image(files / "labels/a.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(DataError, match=r"a\.png does not say which classes"):
        intarsia.merge(files / "numbers", files / "labels", out=files / "out")
    write_image(files / "numbers/a.png", np.zeros((20, 30), np.uint16))
    with pytest.raises(DataError, match=r"a\.png holds object numbers and does not say their classes"):
        intarsia.merge(files / "numbers", files / "labels", out=files / "out")


def test_two_annotators_agree_as_much_either_way(files):
    """Human consistency: what one of two annotators drew, scored against the other."""
    intarsia.merge(files / "objects.json", files / "labels", out=files / "first")
    write_coco(files / "again.json", {"a.jpg": objects(1), "deep/b.jpg": objects(2)}, THINGS)
    intarsia.merge(files / "again.json", files / "labels", out=files / "second")
    one, other = files / "first/masks", files / "second/masks"
    there, back = (intarsia.score(a, b, "panoptic").scores["panoptic_quality"] for a, b in ((one, other), (other, one)))
    assert 0.5 < there["pq"] < 1
    assert {name: there[name] for name in ("pq", "sq", "rq")} == {name: back[name] for name in ("pq", "sq", "rq")}
    ap = intarsia.score(files / "again.json", files / "objects.json", "instance").scores["coco_mask_ap"]
    assert 0.5 < ap["ap"] <= 1
