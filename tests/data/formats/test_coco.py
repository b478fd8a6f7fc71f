import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats.coco import read_coco, write_coco
from intarsia.data.formats.instance import read_object_ids

CLASSES = ClassSpace.from_names(["cell", "dog"], things=["cell", "dog"])


def test_write_then_read_is_the_identity(tmp_path):
    rng = np.random.default_rng(0)
    masks = [rng.random((7, 9)) < 0.5, np.zeros((7, 9), np.bool_), np.ones((7, 9), np.bool_)]
    score, crowd = np.array([0.1, 0.25, 1 / 3], np.float32), np.array([False, True, False])
    objects = Instances(InstanceMasks.pack(masks, (7, 9)), np.array([1, 0, 1]), CLASSES, score, crowd)
    nothing = Instances(InstanceMasks.pack([], (4, 5)), np.zeros(0, np.int32), CLASSES)
    again = read_coco(write_coco(tmp_path / "a.json", {"x.png": objects, "y.png": nothing}, CLASSES))
    assert again.classes.names == CLASSES.names
    found = again.instances["x.png"]
    assert [found.masks.mask(i).tolist() for i in range(3)] == [mask.tolist() for mask in masks]
    assert found.class_id.tolist() == [1, 0, 1]
    assert np.array_equal(found.score, score)
    assert np.array_equal(found.is_crowd, crowd)
    assert again.instances["y.png"].size_hw == (4, 5)
    assert again.instances["y.png"].score is None


def test_objects_are_written_image_by_image_and_a_failure_leaves_the_old_file(tmp_path):
    nothing = Instances(InstanceMasks.pack([], (4, 5)), np.zeros(0, np.int32), CLASSES)
    path = write_coco(tmp_path / "deep" / "a.json", {"x.png": nothing}, CLASSES)
    with pytest.raises(AttributeError):
        write_coco(path, {"y.png": nothing, "z.png": None}, CLASSES)
    assert list(read_coco(path).instances) == ["x.png"]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def content(*annotations: dict) -> dict:
    images = [{"id": 7, "file_name": "x.jpg", "height": 6, "width": 8}]
    categories = [{"id": 90, "name": "dog"}, {"id": 3, "name": "cell"}]
    return {
        "images": images,
        "categories": categories,
        "annotations": [{"image_id": 7, "category_id": 3, **a} for a in annotations],
    }


def write(path, data):
    path.write_text(json.dumps(data))
    return path


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
def test_polygons_and_run_lengths_of_both_kinds(tmp_path):
    square = [[1, 1, 5, 1, 5, 4, 1, 4]]
    crowd = {"size": [6, 8], "counts": [0, 6, 42]}
    file = read_coco(write(tmp_path / "a.json", content({"segmentation": square}, {"segmentation": crowd, "iscrowd": 1})))
    found = file.instances["x.jpg"]
    theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([[float(v) for v in square[0]]], 6, 8)))
    assert np.array_equal(found.masks.mask(0), theirs)
    assert found.masks.areas().tolist() == [12, 6]
    assert found.is_crowd.tolist() == [False, True]
    assert [file.classes.names[i] for i in found.class_id] == ["cell", "cell"]
    text = coco_mask.encode(np.asfortranarray(theirs))["counts"].decode()
    result = {"image_id": 7, "category_id": 90, "score": 0.5, "segmentation": {"size": [6, 8], "counts": text}}
    results = write(tmp_path / "b.json", [result])
    guessed = read_coco(results, file).instances["x.jpg"]
    assert np.array_equal(guessed.masks.mask(0), theirs)
    assert (guessed.score.tolist(), guessed.class_id.tolist()) == ([0.5], [0])
    assert len(read_coco(write(tmp_path / "c.json", []), file).instances["x.jpg"]) == 0


def test_real_files_agree_with_the_images_beside_them(shared_data):
    folder = shared_data("nuclei")
    file = read_coco(folder / "instances_val.json")
    assert sum(map(len, file.instances.values())) == 1691
    for name in list(file.instances)[:4]:
        ids = read_object_ids(folder / "instances" / "val" / name)
        assert file.instances[name].masks.areas().tolist() == np.bincount(ids.ravel())[1:].tolist()
        assert np.array_equal(file.instances[name].to_ids() > 0, ids > 0)


def test_errors(tmp_path):
    with pytest.raises(DataError, match=r"a\.json is a list of results"):
        read_coco(write(tmp_path / "a.json", []))
    with pytest.raises(DataError, match=r"b\.json is no file of COCO instances \(KeyError: 'annotations'\)"):
        read_coco(write(tmp_path / "b.json", {}))
    with pytest.raises(DataError, match=r"c\.json holds 1 objects without a mask .*5 in image 7.*Boxes alone"):
        read_coco(write(tmp_path / "c.json", content({"id": 5, "bbox": [0, 0, 2, 2]})))
    nothing = {"counts": [48]}
    with pytest.raises(DataError, match=r"d\.json holds 1 objects of image ids that it does not declare: 8"):
        read_coco(write(tmp_path / "d.json", content({"image_id": 8, "segmentation": nothing})))
    wrong = content({"category_id": 4, "segmentation": nothing}, {"category_id": 91, "segmentation": nothing})
    with pytest.raises(DataError, match=r"f\.json holds 2 objects of category ids .* declare: 4; 91\. Declared are 90, 3\."):
        read_coco(write(tmp_path / "f.json", wrong))
    flat = content({"id": 5, "bbox": [3, 4, 0, 2.5], "area": 1.5, "segmentation": nothing})
    with pytest.raises(
        DataError, match=r"g\.json holds 1 objects whose box .* no width or height: 5 in image 7: \[3, 4, 0, 2\.5\]"
    ):
        read_coco(write(tmp_path / "g.json", flat))
    file = read_coco(write(tmp_path / "h.json", content({"segmentation": {"counts": [40]}})))
    with pytest.raises(DataError, match=r"h\.json: a mask of image 7 cannot be read: Runs that add up to 40"):
        file.instances["x.jpg"]
    (tmp_path / "e.json").write_text("{")
    with pytest.raises(DataError, match=r"is no file of COCO instances \(JSONDecodeError"):
        read_coco(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"counts": [2**62] * 4 + [48]}, "Runs that add up to"),  # 48 in 64 bits
        ({"counts": [10**30]}, "too (big|large)"),
        ({"size": [8, 6], "counts": [48]}, r"It is of \[8, 6\] \(height, width\) pixels, and the image of \(6, 8\)"),
        ([[1, 1, 5]], r"A polygon is \[1, 1, 5\]; x, y, x, y"),
        ([[1, 1, 5, 1, 5, float("inf")]], "A polygon is"),
        ([[0, 0, 1e9, 0, 0, 5]], "A polygon is more than 16,777,216 pixels long"),
    ],
)
def test_masks_that_would_fill_the_memory_or_fit_no_image(shape, said, tmp_path):
    file = read_coco(write(tmp_path / "a.json", content({"segmentation": shape})))
    with pytest.raises(DataError, match=f"a.json: a mask of image 7 cannot be read: .*{said}"):
        file.instances["x.jpg"]
