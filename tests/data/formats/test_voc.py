import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, Panoptic, Segment
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats.class_instance import segments_of
from intarsia.data.formats.voc import read_voc, recognizes_voc, write_voc

CLASSES = ClassSpace.from_names(["background", "cat", "dog", "sky"], things=["cat", "dog"])
maps = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 7)))


def set_of(kind, classes, *truths):
    found = {f"in/image{n}": Annotated(f"in/image{n}", truth) for n, truth in enumerate(truths)}
    return AnnotatedSet("drawn", kind, classes, tuple(found), found.__getitem__)


def panoptic_of(ids):
    """0 void, 1 background, 2 and 3 cats, 4 and 5 dogs, 6 a crowd of dogs, 7 sky."""
    labels = np.array([255, 0, 1, 1, 2, 2, 2, 3])[ids]
    return segments_of(LabelMap(labels, CLASSES), np.where((ids > 1) & (ids < 6), ids, 0), "a", "b")


@given(maps)
@settings(max_examples=30, deadline=None)
def test_write_then_read_is_the_identity(new_folder, ids):
    panoptic, labels = panoptic_of(ids), LabelMap(np.where(ids > 3, 255, ids), CLASSES)
    with new_folder() as root:
        assert write_voc(root / "a", set_of("panoptic", CLASSES, panoptic)).lost == {}
        found = pickle.loads(pickle.dumps(read_voc(root / "a"))).read("in/image0").truth
        assert found.ids.tolist() == panoptic.ids.tolist()
        assert found.segments == panoptic.segments
        assert found.classes == replace(CLASSES, classes=found.classes.classes)
        write_voc(root / "b", set_of("semantic", CLASSES, labels))
        again = read_voc(root / "b")
        assert again.kind == "semantic"
        assert again.read("in/image0").truth.ids.tolist() == labels.ids.tolist()


def test_objects_get_a_background_and_what_is_hidden_is_said(tmp_path):
    masks = np.zeros((3, 4, 6), np.bool_)
    masks[0, 1:3, 1:4] = masks[1, 1:3, 3:5] = masks[2, 2, 2] = True
    classes = ClassSpace.from_names(["zebra", "ant"])
    objects = Instances(InstanceMasks.pack(masks, (4, 6)), np.array([1, 0, 0]), classes)
    report = write_voc(tmp_path, replace(set_of("instance", classes, objects), splits={"val": ("in/image0",), "test": ()}))
    assert report.objects == {"ant": 1, "zebra": 2}
    assert {sentence.split(" lies ")[1][:6]: count for sentence, count in report.lost.items()} == {"partly": 1, "wholly": 1}
    annotated = read_voc(tmp_path)
    assert annotated.classes.names == ("background", "zebra", "ant")
    assert annotated.splits == {"val": ["in/image0"]}
    found = annotated.read("in/image0")
    assert found.truth.to_label_map().ids.tolist() == [[0] * 6, [0, 2, 2, 2, 1, 0], [0, 2, 2, 2, 1, 0], [0] * 6]
    xml = (tmp_path / "Annotations" / "in" / "image0.xml").read_text()
    assert "<filename>image0.png</filename>" in xml
    assert "<xmin>2</xmin>\n\t\t\t<ymin>2</ymin>\n\t\t\t<xmax>4</xmax>\n\t\t\t<ymax>3</ymax>" in xml
    assert (tmp_path / "labelmap.txt").read_text().splitlines()[1:3] == ["background:0,0,0::", "zebra:128,0,0::"]


def test_many_objects_and_many_classes(tmp_path):
    classes = ClassSpace.from_names(
        ["background", *(f"class {n}" for n in range(300))], things=[f"class {n}" for n in range(300)]
    )
    ids = np.arange(300).reshape(15, 20)
    panoptic = Panoptic(ids, tuple(Segment(n, n) for n in range(1, 300)), classes)
    write_voc(tmp_path, set_of("panoptic", classes, panoptic))
    found = read_voc(tmp_path)
    assert found.classes.names == classes.names
    assert found.read("in/image0").truth.to_label_map().ids.tolist() == panoptic.to_label_map().ids.tolist()
    assert len(found.read("in/image0").truth.segments) == 299


def official(root, colors=None):
    """Masks as VOC has them: palette, 255 along borders, objects numbered through all classes."""
    labels = np.full((6, 8), 0, np.uint8)
    labels[1:5, 1:4], labels[1:5, 4:7], labels[0] = 15, 12, 255
    objects = np.where(labels == 15, 1, np.where(labels == 12, 2, labels)).astype(np.uint8)
    objects[4, 1] = 0
    palette = np.array([(0, 0, 0)] * 256, np.uint8)
    palette[[12, 15, 255]] = [(64, 0, 128), (192, 128, 128), (224, 224, 192)] if colors is None else colors
    for folder, values in (("SegmentationClass", labels), ("SegmentationObject", objects)):
        (root / folder).mkdir(parents=True)
        image = Image.fromarray(values)
        image.putpalette(palette.tobytes())
        image.save(root / folder / "2007_000032.png")
    (root / "Annotations").mkdir()
    entry = "<object><name>{}</name><pose>Left</pose><difficult>1</difficult><bndbox><xmin>2</xmin></bndbox></object>"
    (root / "Annotations" / "2007_000032.xml").write_text(f"<annotation>{entry.format('person')}</annotation>")
    (root / "Annotations" / "2007_000033.xml").write_text("<annotation/>")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000032\n2007_000033\n")
    write_image(root / "JPEGImages" / "2007_000032.png", np.zeros((6, 8, 3), np.uint8))
    return labels


def test_files_as_voc_has_them(tmp_path):
    labels = official(tmp_path)
    assert recognizes_voc(tmp_path) == "It has the folders Annotations/ and SegmentationClass/, as PASCAL VOC has."
    annotated = read_voc(tmp_path)
    assert annotated.classes.names[15] == "person"
    assert annotated.splits == {"train": ["2007_000032"]}
    assert annotated.image_path("2007_000032").is_file()
    assert [note.split(",")[0] for note in annotated.notes] == [
        "Neither labelmap.txt nor class_names.txt names the classes",
        "1 names in train.txt have no mask and were left out.",
        "1 images have boxes only and were left out.",
    ]
    found = annotated.read("2007_000032")
    assert found.truth.to_label_map().ids.tolist() == labels.tolist()
    assert sorted((s.class_id, s.is_crowd) for s in found.truth.segments) == [(0, False), (12, False), (15, False), (15, True)]
    assert found.properties == {"objects": [{"pose": "Left", "truncated": "0", "difficult": "1"}]}


def test_colors_of_a_label_map_and_names_of_labelme(tmp_path):
    official(tmp_path / "a", colors=[(9, 9, 9), (1, 2, 3), (224, 224, 192)])
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nfox: red:1,2,3::\nelk:9,9,9:head,leg:\n"
    (tmp_path / "a" / "labelmap.txt").write_text(lines)
    found = read_voc(tmp_path / "a")
    assert found.classes.names == ("background", "fox: red", "elk")
    ids = found.read("2007_000032").truth.to_label_map().ids
    assert (ids[0, 0], ids[1, 1], ids[1, 5], ids[5, 0]) == (255, 1, 2, 0)
    official(tmp_path / "b")
    names = ["__ignore__", "_background_", *(f"n{n}" for n in range(1, 16))]
    (tmp_path / "b" / "class_names.txt").write_text("\n".join(names))
    found = read_voc(tmp_path / "b")
    assert found.classes.names[:2] == ("background", "n1")
    assert found.read("2007_000032").truth.to_label_map().ids[1, 1] == 15


def test_errors(tmp_path):
    assert recognizes_voc(tmp_path) is None
    with pytest.raises(DataError, match=r"holds no masks SegmentationClass/NAME\.png"):
        read_voc(tmp_path)
    official(tmp_path)
    (tmp_path / "labelmap.txt").write_text("cat 3")
    with pytest.raises(DataError, match=r"labelmap\.txt is no list of classes"):
        read_voc(tmp_path)
    (tmp_path / "labelmap.txt").unlink()
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "SegmentationObject" / "2007_000032.png")
    with pytest.raises(DataError, match=r"SegmentationObject/2007_000032\.png is \(2, 3\) and .* \(6, 8\)"):
        read_voc(tmp_path).read("2007_000032")
    (tmp_path / "Annotations" / "2007_000032.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    with pytest.raises(DataError, match=r"2007_000032\.xml declares a document type"):
        read_voc(tmp_path).read("2007_000032")
    (tmp_path / "SegmentationObject" / "2007_000032.png").unlink()
    with pytest.raises(DataError, match="SegmentationObject lacks 1 of 1 masks: 2007_000032"):
        read_voc(tmp_path)
