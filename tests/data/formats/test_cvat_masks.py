import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats.cvat_masks import read_cvat_masks, recognizes_cvat_masks, write_cvat_masks


def one_object_a_pixel(objects):
    """The objects without what a later one covers, and without those that are covered wholly."""
    numbers = np.zeros(objects.size_hw, np.int32)
    for index in range(len(objects)):
        numbers[objects.masks.mask(index)] = index + 1
    return Instances.from_ids(numbers, objects.classes, {i + 1: int(c) for i, c in enumerate(objects.class_id)})


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_objects_written_and_read_are_the_same(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        drawn = data.draw(drawn_objects)
        flat = list(map(one_object_a_pixel, drawn))
        given_set = object_set(root, flat)
        for path in (root, root / "export.zip"):
            report = write_cvat_masks(path, given_set)
            assert (report.images, report.lost) == (2, {})
            assert report.round_trip_iou in (1, None)
            same_objects(given_set, read_cvat_masks(path))
        write_cvat_masks(root, object_set(root, drawn))
        same_objects(given_set, read_cvat_masks(root))


@given(ids=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 2, 255])))
@settings(max_examples=20, deadline=None)
def test_label_maps_written_and_read_are_the_same(ids, new_folder):
    with new_folder() as root:
        classes = ClassSpace.from_names(["sky", "tree", "a:b"])
        given_set = AnnotatedSet("drawn", "semantic", classes, ("a",), {"a": Annotated("a", LabelMap(ids, classes))}.__getitem__)
        write_cvat_masks(root, given_set)
        annotated = read_cvat_masks(root)
        assert (annotated.kind, annotated.classes.names) == ("semantic", classes.names)
        assert np.array_equal(annotated.read("a").truth.ids, ids)


def test_many_classes_splits_and_what_is_lost(tmp_path, object_set):
    """Of 5 objects the crowd and the background are left out, the second is covered wholly, and the third by half."""
    classes = ClassSpace.from_names([*(f"class {n}" for n in range(299)), "background"])
    whole, half = np.ones((4, 4), np.bool_), np.arange(16).reshape(4, 4) < 8
    objects = Instances(
        InstanceMasks.pack([whole, np.eye(4, dtype=np.bool_) & half, whole, half, whole], (4, 4)),
        np.array([3, 4, 298, 7, 299]),
        classes,
        is_crowd=np.array([True, False, False, False, False]),
    )
    given_set = object_set(tmp_path, [objects])
    report = write_cvat_masks(tmp_path, replace(given_set, splits={"val": ("first",)}))
    assert (report.round_trip_iou, report.lowest_iou) == (0.5, 0)
    assert report.objects == {"class 298": 1, "class 7": 1}
    assert report.lost == {
        "a crowd was left out: the format knows single objects only": 1,
        "an object without a class was left out": 1,
        "an object lies wholly under others, and one pixel holds one object here": 1,
        "an object lies partly under others, and one pixel holds one object here": 1,
    }
    annotated = read_cvat_masks(tmp_path)
    assert annotated.classes.names == classes.names[:-1]
    assert annotated.splits == {"val": ("first",)}
    found = pickle.loads(pickle.dumps(annotated)).read("first")
    assert [annotated.classes.names[i] for i in found.truth.class_id] == ["class 298", "class 7"]
    assert found.truth.masks.areas().tolist() == [8, 8]


LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:0,0,255:head,tail:run\n"
CAT, DOG, NONE = (250, 50, 83), (0, 0, 255), (0, 0, 0)
FIRST, SECOND, FIFTH = (128, 0, 0), (0, 128, 0), (128, 0, 128)


@pytest.fixture
def export(tmp_path):
    """An export as CVAT writes it: numbers of objects by the colours of PASCAL VOC, of which the fifth is purple."""
    write_image(tmp_path / "SegmentationClass" / "my photo.png", np.array([[CAT, CAT, DOG], [NONE, CAT, DOG]], np.uint8))
    write_image(
        tmp_path / "SegmentationObject" / "my photo.png", np.array([[FIFTH, FIFTH, FIRST], [SECOND, NONE, FIRST]], np.uint8)
    )
    write_image(tmp_path / "JPEGImages" / "my photo.jpg", np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "labelmap.txt").write_text(LABEL_MAP)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "Validation.txt").write_text('"my photo"\nnot labelled\n')
    return tmp_path


def test_an_export_as_cvat_writes_it(export):
    assert recognizes_cvat_masks(export).endswith("holds labelmap.txt and SegmentationClass/, as CVAT's segmentation masks do.")
    annotated = read_cvat_masks(export)
    assert annotated.classes.names == ("cat", "dog")
    assert annotated.classes.colors.tolist() == [[250, 50, 83], [0, 0, 255]]
    assert (annotated.keys, annotated.splits) == (("my photo",), {"val": ("my photo",)})
    assert annotated.image_path("my photo") == export / "JPEGImages" / "my photo.jpg"
    found = annotated.read("my photo")
    assert found.truth.class_id.tolist() == [1, 0]
    assert found.truth.masks.boxes_xyxy.tolist() == [[2, 0, 3, 2], [0, 0, 2, 1]]
    assert found.lost == ("pixels of a class that belong to no object were left out", "an object without a class was left out")


def test_palettes_greys_and_masks_without_objects(export):
    name = "my photo.png"
    for folder, values in (("SegmentationClass", [[1, 1, 2], [0, 1, 2]]), ("SegmentationObject", [[5, 5, 1], [2, 0, 1]])):
        Image.fromarray(np.array(values, np.uint8)).save(export / folder / name)
    assert read_cvat_masks(export).read("my photo").truth.masks.areas().tolist() == [2, 2]
    image = Image.fromarray(np.array([[7, 7, 9], [0, 7, 9]], np.uint8))
    palette = np.zeros((256, 3), np.uint8)
    palette[7], palette[9] = CAT, DOG
    image.putpalette(palette.tobytes())
    image.save(export / "SegmentationClass" / name)
    assert read_cvat_masks(export).read("my photo").truth.class_id.tolist() == [1, 0]
    (export / "SegmentationObject" / name).unlink()
    annotated = read_cvat_masks(export)
    assert annotated.classes.names == ("background", "cat", "dog")
    assert annotated.read("my photo").truth.ids.tolist() == [[1, 1, 2], [0, 1, 2]]


def test_an_archive(export, tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(export.rglob("*")):
            archive.write(file, file.relative_to(export))
    assert recognizes_cvat_masks(path) == "export.zip is an archive with SegmentationClass/, as CVAT's segmentation masks are."
    assert read_cvat_masks(path).read("my photo").truth.class_id.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labelmap.txt", None, r"holds no labelmap\.txt, which says the classes"),
        ("labelmap.txt", b"background:0,0,0::\n", "names no class but background"),
        ("labelmap.txt", b"cat:1,2::\n", r"labelmap\.txt is no label map of CVAT \(ValueError"),
        ("labelmap.txt", b"cat:1,2,300::\n", r"labelmap\.txt: The colour \(1, 2, 300\) of class 'cat'"),
        (
            "labelmap.txt",
            b"background:0,0,0::\ncat:0,0,255::\n",
            r"my photo\.png holds a value that no class claims: #fa3253 \(50",
        ),
        ("SegmentationClass/my photo.png", None, "holds no mask. Expected: SegmentationClass/"),
        ("SegmentationClass/my photo.png", b"\x89PNG", r"SegmentationClass/my photo\.png, cannot be read"),
        ("SegmentationObject/my photo.png", b"", r"my photo\.png is empty"),
    ],
)
def test_errors(export, name, content, message):
    if content is None:
        (export / name).unlink()
    else:
        (export / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cvat_masks(export).read("my photo")


def test_masks_of_different_sizes_and_values(export):
    write_image(export / "SegmentationObject" / "my photo.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"the masks of my photo are of different sizes, \(2, 3\) and \(3, 3\)"):
        read_cvat_masks(export).read("my photo")
    write_image(export / "SegmentationClass" / "my photo.png", np.full((3, 3), 3, np.uint8))
    with pytest.raises(DataError, match=r"holds the value 3, and the labelmap\.txt has 3 classes, counted from 0"):
        read_cvat_masks(export).read("my photo")
