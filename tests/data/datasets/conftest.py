"""Folders of images and masks, made for a test."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tifffile import imwrite

from intarsia.core import ClassSpace, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats._masks import palette_of, write_ids
from intarsia.data.formats.coco import write_coco


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """`make("images/a.jpg", "masks/a.png", ...)` writes 6 x 8 files: noise as images, the `values` in turn as masks."""

    def write(*names: str, values: tuple = (0, 1, 2), palette: list[int] | None = None) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "images" in path.parts or "image" in path.stem:
                write_image(path, np.random.default_rng(len(name)).integers(0, 255, (6, 8, 3), np.uint8))
                continue
            pixels = np.resize(np.array(values), (6, 8) if isinstance(values[0], int) else (6, 8, 3))
            picture = Image.fromarray(pixels.astype(np.uint16 if pixels.max() > 255 else np.uint8))
            if palette is not None:
                picture.putpalette(palette)
            picture.save(path)
        return tmp_path

    return write


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """One frame for each split, and the class list."""
    root = tmp_path / "frames"
    root.mkdir()
    rows = [f"{i} {name} 0 0 0" for i, name in enumerate(["sky", "building", "pole", "road", "pavement", "tree", "sign_symbol"])]
    rows += [f"{i} {name} 0 0 0" for i, name in enumerate(["fence", "car", "pedestrian", "bicyclist", "void"], 7)]
    (root / "classes.txt").write_text("# id name r g b\n" + "\n".join(rows))
    for split in ("train", "val", "test"):
        write_image(root / "images" / split / "x.jpg", np.zeros((3, 4, 3), np.uint8))
        write_image(root / "masks" / split / "x.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    return root


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """One frame of Cityscapes for each split: road and sky, two cars, and a group of cars."""
    for split, town in (("train", "ulm"), ("val", "lindau")):
        name = f"{split}/{town}/{town}_000000_000019"
        write_image(tmp_path / f"city/leftImg8bit/{name}_leftImg8bit.png", np.zeros((2, 3, 3), np.uint8))
        ids = np.array([[7, 7, 26000], [23, 26, 26001]])
        write_ids(tmp_path / f"city/gtFine/{name}_gtFine_instanceIds.png", ids, bits=16)
    return tmp_path / "city"


@pytest.fixture
def small_coco(tmp_path: Path) -> Path:
    """COCO's own layout: in each split an image with two objects, one with an object and a crowd, and one without."""
    root, classes = tmp_path / "coco_files", ClassSpace.from_names(["cat", "dog"], things=["cat", "dog"])
    masks = np.zeros((2, 6, 8), np.bool_)
    masks[0, :3, :4], masks[1, 2:, 3:] = True, True
    packed, nothing = InstanceMasks.pack(masks, (6, 8)), InstanceMasks.pack([], (6, 8))
    two, none = np.array([0, 1]), np.zeros(0, np.int32)
    found = {
        "000000000000.jpg": Instances(packed, two, classes),
        "000000000001.jpg": Instances(packed, two, classes, None, np.array([False, True])),
        "000000000009.jpg": Instances(nothing, none, classes),
    }
    for split in ("train", "val"):
        write_coco(root / f"annotations/instances_{split}2017.json", found, classes)
        for name in found:
            write_image(root / f"{split}2017" / name, np.zeros((6, 8, 3), np.uint8))
    return root


@pytest.fixture
def small_voc(tmp_path: Path) -> Path:
    """VOCdevkit with an image in train and in val, and SBD with these two and a further one: all of a cat and a dog."""
    base = tmp_path / "voc"
    root, sbd = base / "VOCdevkit/VOC2012", base / "benchmark_RELEASE/dataset"
    numbers = np.array([[0, 0, 255, 1], [0, 255, 1, 1], [0, 255, 2, 2]], np.uint8)
    labels = np.array([0, 8, 12] + [255] * 253, np.uint8)[numbers]  # nothing, a cat, a dog
    for name in ("2007_000032", "2007_000033"):
        write_image(root / "JPEGImages" / f"{name}.jpg", np.zeros((3, 4, 3), np.uint8))
        for folder, values in (("SegmentationClass", labels), ("SegmentationObject", numbers)):
            write_ids(root / folder / f"{name}.png", values, bits=8, palette=palette_of(None))
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "val.txt").write_text("2007_000033\n")
    (sbd / "cls").mkdir(parents=True)
    (sbd / "inst").mkdir()
    for name in ("2007_000032", "2007_000033", "2008_000002"):
        write_image(sbd / "img" / f"{name}.jpg", np.zeros((3, 4, 3), np.uint8))
        borders = np.array([None] * 20, object)[:, None]
        borders[:, 0] = [np.zeros((3, 4), np.uint8)] * 20
        whole = np.where(numbers == 255, 1, numbers)
        objects = {"Segmentation": whole, "Boundaries": borders[:2], "Categories": np.array([[8], [12]], np.uint8)}
        classes = {"Segmentation": np.array([0, 8, 12], np.uint8)[whole], "Boundaries": borders}
        savemat(sbd / "cls" / f"{name}.mat", {"GTcls": classes}, do_compression=True)
        savemat(sbd / "inst" / f"{name}.mat", {"GTinst": objects}, do_compression=True)
    (sbd / "train.txt").write_text("2007_000033\n2008_000002\n")
    (sbd / "val.txt").write_text("2007_000032\n")
    return base


@pytest.fixture
def small_ade(tmp_path: Path) -> Path:
    """An image of ADE20K for each split: wall, other, two persons, and a person that is in no object."""
    root = tmp_path / "ADEChallengeData2016"
    labels = np.array([[1, 1, 13, 13], [0, 13, 13, 13], [1, 1, 1, 150]], np.uint8)
    objects = np.zeros((3, 4, 3), np.uint8)
    objects[0, 2:], objects[1, 1:3], objects[2, 3] = (4, 1, 0), (4, 2, 0), (100, 7, 0)  # person, person, flag
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write_image(root / f"images/{folder}/{name}.jpg", np.zeros((3, 4, 3), np.uint8))
        write_ids(root / f"annotations/{folder}/{name}.png", labels, bits=8)
        write_image(root / f"annotations_instance/{folder}/{name}.png", objects)
    return root


@pytest.fixture
def small_coco_stuff(tmp_path: Path) -> Path:
    """An image of COCO-Stuff's val, and a map of train whose image was not downloaded."""
    root = tmp_path / "stuff"
    write_image(root / "val2017/000000000139.jpg", np.zeros((2, 3, 3), np.uint8))
    values = np.array([[0, 12, 255], [91, 181, 89]], np.uint8)
    for name in ("val2017/000000000139", "train2017/000000000009"):
        write_ids(root / f"stuffthingmaps/{name}.png", values, bits=8)
    return root


@pytest.fixture
def small_kitti(tmp_path: Path) -> Path:
    """Three images of KITTI: road, sky and a car without number; two cars and a trailer; a licence plate."""
    root = tmp_path / "data_semantics"
    labels = np.array([[7, 7, 26, 26], [23, 26, 26, 30], [23, 255, 26, 0]])
    numbers = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 0, 0, 0]])
    for name in ("000000_10", "000001_10", "000002_10"):
        write_image(root / f"training/image_2/{name}.png", np.zeros((3, 4, 3), np.uint8))
        write_ids(root / f"training/semantic/{name}.png", labels, bits=8)
        write_ids(root / f"training/instance/{name}.png", labels * 256 + numbers, bits=16)
    write_image(root / "testing/image_2/000000_10.png", np.zeros((3, 4, 3), np.uint8))
    return root


@pytest.fixture
def small_dsb(tmp_path: Path) -> Path:
    """Three images of the Data Science Bowl with three nuclei each, two of which overlap; one of the test as run lengths."""
    root = tmp_path / "dsb"
    nuclei = np.zeros((3, 4, 5), np.uint8)
    nuclei[0, :2, :2], nuclei[1, 1:3, 1:], nuclei[2, 3, 0] = 255, 255, 255
    names = {"stage1_train": ("aa", "bb", "cc"), "stage1_test": ("dd",)}
    for stage, name in ((stage, name) for stage, found in names.items() for name in found):
        write_image(root / stage / name / f"images/{name}.png", np.full((4, 5, 4), 255, np.uint8))
        for index, nucleus in enumerate(nuclei if stage == "stage1_train" else ()):
            write_image(root / stage / name / f"masks/{name}{index}.png", nucleus)
    rows = ["1 2 5 2", "6 2 10 2 14 2 18 2", "4 1"]
    table = "ImageId,EncodedPixels,Height,Width,Usage\n" + "".join(f"dd,{row},4,5,Public\n" for row in rows)
    (root / "stage1_solution.csv").write_text(table)
    return root


@pytest.fixture
def small_pets(tmp_path: Path) -> Path:
    """Oxford-IIIT Pet: three cats and a dog, whose trimaps have the border below."""
    root = tmp_path / "pets"
    breeds = {"Abyssinian_1": "1 1 1", "Abyssinian_2": "1 1 1", "yorkshire_terrier_7": "37 2 25", "Bengal_5": "6 1 2"}
    for name in breeds:
        write_image(root / f"images/{name}.jpg", np.zeros((3, 4, 3), np.uint8))
        write_ids(root / f"annotations/trimaps/{name}.png", np.array([[2, 1, 1, 2], [2, 1, 1, 2], [2, 3, 3, 2]]), bits=8)
    lines = [f"{name} {numbers}" for name, numbers in breeds.items()]
    (root / "annotations/trainval.txt").write_text("\n".join(lines[:3]))
    (root / "annotations/test.txt").write_text(lines[3] + "\n")
    (root / "annotations/list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n" + "\n".join(lines))
    return root


@pytest.fixture
def full_camvid(tmp_path: Path) -> Path:
    """A frame of the original CamVid for each split: all 32 classes in a row."""
    from intarsia.data.datasets.camvid_full import _CLASSES

    root = tmp_path / "camvid_full"
    colors = np.array([[color for color, _ in _CLASSES.values()]], np.uint8)
    for name in ("0001TP_006690", "0016E5_07959", "Seq05VD_f00000"):
        write_image(root / f"701_StillsRaw_full/{name}.png", np.zeros((1, 32, 3), np.uint8))
        write_image(root / f"LabeledApproved_full/{name}_L.png", colors)
    lines = [f"{red} {green} {blue}\t\t{name}" for name, ((red, green, blue), _) in _CLASSES.items()]
    (root / "label_colors.txt").write_text("\n".join(lines))
    return root


@pytest.fixture
def small_stack(tmp_path: Path) -> Path:
    """Five slices of ISBI's kind: cells left and right of a membrane, which has a gap in the last slice; one slice of test."""
    root = tmp_path / "isbi"
    root.mkdir()
    labels = np.full((5, 4, 6), 255, np.uint8)
    labels[:, :, 2] = 0
    labels[4, 1, 2] = 255
    for stage, count in (("train", 5), ("test", 1)):
        images = np.arange(count * 24, dtype=np.uint8).reshape(count, 4, 6)
        imwrite(root / f"{stage}-volume.tif", images, photometric="minisblack")
        imwrite(root / f"{stage}-labels.tif", labels[:count], photometric="minisblack", compression="zlib")
    return root


@pytest.fixture
def small_vistas(tmp_path: Path) -> Path:
    """Mapillary Vistas 2.0 with one image in each split, labelled in both versions: two cars, road, ego vehicle, unlabelled."""
    root = tmp_path / "vistas"

    def label(name: str, readable: str, color: list[int], evaluate: bool, instances: bool) -> dict[str, object]:
        return {"name": name, "readable": readable, "color": color, "evaluate": evaluate, "instances": instances}

    road = label("construction--flat--road", "Road", [128, 64, 128], True, False)
    car = label("object--vehicle--car", "Car", [0, 0, 142], True, True)
    ego = label("void--ego-vehicle", "Ego Vehicle", [120, 10, 10], True, False)
    void = label("void--unlabeled", "Unlabeled", [0, 0, 0], False, False)
    curb = label("construction--barrier--curb", "Curb", [196, 196, 196], True, False)
    ids = np.array([[0, 0, 1, 1], [0, 1, 1, 2], [3, 1, 3, 2]])  # labels of 1.2
    numbers = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]])
    segments = np.where(ids == 1, ids * 256 + numbers, ids * 256 + 7)
    segments[ids == 3] = 0
    for split, name in (("training", "abc-_1"), ("validation", "def")):
        write_image(root / f"{split}/images/{name}.jpg", np.zeros((3, 4, 3), np.uint8))
        for version, labels, table in (
            ("v1.2", [road, car, ego, void], [0, 1, 2, 3]),
            ("v2.0", [curb, road, car, ego, void], [1, 2, 3, 4]),
        ):
            (root / f"config_{version}.json").write_text(json.dumps({"labels": labels, "version": version}))
            own = np.array(table)[ids]
            folder = root / split / version
            write_ids(folder / f"labels/{name}.png", own, bits=8, palette=palette_of(None))
            write_ids(folder / f"instances/{name}.png", own * 256 + numbers, bits=16)
            rgb = np.stack([segments % 256, segments // 256, segments * 0], -1).astype(np.uint8)
            write_image(folder / f"panoptic/{name}.png", rgb)
            found = [{"id": int(n), "category_id": int(n) // 256 + 1, "iscrowd": int(n == 257)} for n in np.unique(segments) if n]
            categories = [
                {"id": i, "name": c["readable"], "isthing": int(bool(c["instances"])), "color": c["color"]}
                for i, c in enumerate((road, car, ego), 1)
            ]
            images = [{"id": name, "file_name": f"{name}.jpg", "height": 3, "width": 4}]
            annotations = [{"image_id": name, "file_name": f"{name}.png", "segments_info": found}]
            content = {"images": images, "annotations": annotations, "categories": categories}
            (folder / f"panoptic/panoptic_{'2018' if version == 'v1.2' else '2020'}.json").write_text(json.dumps(content))
    return root
