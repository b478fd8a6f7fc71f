"""Readers and files that nobody vouches for: our errors or a truth, nothing outside the folder, no hang, little memory."""

import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, MultiLabel, Panoptic, Segment
from intarsia.data.formats import FORMATS, read_image, read_image_size, write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats._hostile import open_zip, read_json, read_xml, safe_join
from intarsia.data.formats._recognize import annotation_formats, find_format, format_kinds, format_reader, format_writer
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES
from intarsia.data.formats.dicom_seg import DicomSeg, read_dicom_seg, write_dicom_seg
from intarsia.data.formats.geotiff import GeoImage, epsg_keys, read_geotiff, write_geotiff
from intarsia.data.formats.nifti import Volume, read_nifti, write_nifti
from intarsia.data.formats.stack import Stack, read_stack, write_stack

CLASSES = ClassSpace.from_names(["sky", "cat", "dog"], things=["cat", "dog"])
IDS = np.random.default_rng(0).integers(0, 3, (7, 9)).astype(np.uint8)
LABELS = LabelMap(IDS, CLASSES)
OBJECTS = Instances(InstanceMasks.pack([IDS == 1, IDS == 2], (7, 9)), np.array([1, 2], np.int32), CLASSES)
SEGMENTS = Panoptic(IDS, (Segment(1, 1), Segment(2, 2)), CLASSES)
OF_CITY = Panoptic(IDS, (Segment(1, 0), Segment(2, 13)), CITYSCAPES_CLASSES)
TRUTHS = {"semantic": LABELS, "instance": OBJECTS, "panoptic": SEGMENTS}


class Case(NamedTuple):
    """How one format is written into an empty folder, and read from it."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]


def _function(name: str, verb: str) -> Callable[..., object]:
    public = FORMATS.module(name).__all__
    return getattr(FORMATS.module(name), next(each for each in public if each.startswith(f"{verb}_")))


def _one_file(name: str, truth: object, *more: object) -> Case:
    write, read = _function(name, "write"), _function(name, "read")
    return Case(lambda root: write(root / "a.png", truth), lambda root: read(root / "a.png", *more))


SEVERAL = MultiLabel(np.stack([IDS == 0, IDS < 2, IDS > 1]), CLASSES)
PICTURE = np.repeat(IDS[..., None], 3, 2) * 80
VOLUME = np.stack([IDS, IDS + 1])
CASES = {
    "binary": _one_file("binary", IDS > 0),
    "cityscapes": _one_file("cityscapes", OF_CITY),
    "class_files": Case(
        lambda root: _function("class_files", "write")(root, "a", SEVERAL),
        lambda root: _function("class_files", "read")(root, "a", CLASSES),
    ),
    "class_instance": Case(
        lambda root: _function("class_instance", "write")(root / "c.png", root / "i.png", SEGMENTS),
        lambda root: _function("class_instance", "read")(root / "c.png", root / "i.png", CLASSES),
    ),
    "color": _one_file("color", LABELS, CLASSES),
    "dicom_seg": Case(
        lambda root: write_dicom_seg(root / "a.dcm", DicomSeg(np.stack([VOLUME == 1, VOLUME == 2, VOLUME == 0]), CLASSES)),
        lambda root: read_dicom_seg(root / "a.dcm"),
    ),
    "geotiff": Case(
        lambda root: write_geotiff(root / "a.tif", GeoImage(IDS, (2.0, 0.0, 5.0, 0.0, -2.0, 9.0), epsg_keys(32633), 0.0)),
        lambda root: read_geotiff(root / "a.tif"),
    ),
    "image": Case(
        lambda root: [write_image(root / f"a.{ending}", PICTURE) for ending in ("png", "jpg", "tif", "bmp", "webp")],
        lambda root: [(read_image_size(path), read_image(path)) for path in root.iterdir()],
    ),
    "index": _one_file("index", LABELS),
    "instance": _one_file("instance", OBJECTS),
    "nifti": Case(
        lambda root: [write_nifti(root / f"a.nii{ending}", Volume(VOLUME)) for ending in ("", ".gz")],
        lambda root: [read_nifti(path) for path in root.iterdir()],
    ),
    "palette": _one_file("palette", LABELS),
    "panoptic": _one_file("panoptic", SEGMENTS),
    "stack": Case(
        lambda root: [write_stack(root / name, Stack(VOLUME, "ZYX", {"Z": 2.0})) for name in ("a.tif", "b.ome.tif")],
        lambda root: [read_stack(path) for path in root.iterdir()],
    ),
}


def _of_set(name: str) -> Case:
    target = getattr(FORMATS.module(name), "FILE", "a.json" if name.startswith("coco") else "")

    def write(root: Path) -> None:
        kind = format_kinds(name)[0]
        images = {key: root / "images" / f"{key}.png" for key in ("first", "deep/second")}
        for path in images.values():
            write_image(path, np.zeros((7, 9, 3), np.uint8))
        truths = {key: Annotated(key, TRUTHS[kind]) for key in images}
        format_writer(name)(root / target, AnnotatedSet("drawn", kind, CLASSES, tuple(images), truths.__getitem__, images))

    def read(root: Path) -> None:
        find_format(root / target)
        found = format_reader(name)(root / target)
        for key in found.keys:
            found.read(key)

    return Case(write, read)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted({*FORMATS.names, *annotation_formats()}))
@pytest.mark.parametrize("examples", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_every_reader_gives_a_truth_or_an_error_of_ours(name, examples, tmp_path, damaged, guarded):
    root = tmp_path / "root"
    root.mkdir()
    write_image(tmp_path / "secret.png", IDS)
    case = CASES[name] if name in CASES else _of_set(name)
    case.write(root)
    case.read(root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and "images" not in path.parts)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def attack(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(files))
        whole = path.read_bytes()
        path.write_bytes(data.draw(damaged(whole)))
        try:
            with guarded(root):
                case.read(root)
        finally:
            path.write_bytes(whole)

    attack()


@pytest.mark.slow
def test_readers_under_coverage_guided_fuzzing(tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed: pip install intarsia[fuzz]")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, name in ((0, "coco"), (1, "coco_panoptic"), (3, "panoptic"), (6, "palette"), (7, "index")):
        root = tmp_path / name
        root.mkdir()
        (CASES[name] if name in CASES else _of_set(name)).write(root)
        file = next(path for path in sorted(root.iterdir()) if path.suffix == (".json" if number < 4 else ".png"))
        (corpus / name).write_bytes(bytes([number]) + file.read_bytes())
    (corpus / "xml").write_bytes(b'\x04<a b="c"><d>1</d></a>')
    (corpus / "zip").write_bytes(b"\x05" + _zip(tmp_path / "a.zip", {"a/b": b"text" * 9}).read_bytes())
    script = Path(__file__).with_name("atheris_readers.py")
    options = ("-runs=30000", "-max_total_time=90", "-rss_limit_mb=4000", f"-artifact_prefix={tmp_path}/")
    done = subprocess.run([sys.executable, script, *options, corpus], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr


def test_the_guard_sees_what_it_must(tmp_path, guarded):
    root = tmp_path / "root"
    root.mkdir()
    write_image(tmp_path / "secret.png", IDS)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    for path in (root / "../secret.png", root / "link.png"):
        with pytest.raises(AssertionError), guarded(root):
            read_image(path)
    with pytest.raises(ZeroDivisionError), guarded(root):
        _ = 1 / 0
    with guarded(root):
        read_image(root / "none.png")


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/a", "C:\\a", "C:a", "\\\\host\\a", "", " ", "a\0b", "out/a", "..\\a", "x" * 300 + "/../.."]
)
def test_names_that_lead_out_of_a_folder(name, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"export\.json names .* which is no path inside .*root"):
        safe_join(tmp_path / "root", name, "export.json")
    assert safe_join(tmp_path / "root", "a\\b/c.png") == tmp_path / "root/a/b/c.png"


def test_json_and_xml_that_fill_the_memory(tmp_path):
    path = tmp_path / "a"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"a is no JSON file \(RecursionError"):
        read_json(path)
    with pytest.raises(DataError, match="has 100,000 bytes, more than the 1,000"):
        read_json(path, 1000)
    bomb = '<!DOCTYPE a [<!ENTITY b "{}"><!ENTITY c "&b;&b;">]><a>&c;</a>'.format("x" * 100)
    for text in (bomb, '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"declares a document type \('a'\)"):
            read_xml(path)
    path.write_text("<a><b>")
    with pytest.raises(DataError, match=r"is no XML file .*no element found"):
        read_xml(path)


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def test_archives(tmp_path):
    path = _zip(tmp_path / "a.zip", {"deep/a.txt": b"text", "large.bin": bytes(10**6)})
    with open_zip(path) as archive:
        assert archive.names == ("deep/a.txt", "large.bin")
        assert archive.read("deep/a.txt") == b"text"
        assert len(archive.read("large.bin")) == 10**6, "deflate may shrink a thousandfold"
        with pytest.raises(DataError, match=r"large\.bin in .* unpacks to more than 1,000 bytes"):
            archive.read("large.bin", 1000)
        with pytest.raises(DataError, match=r"holds no '\.\./b'"):
            archive.read("../b")
    for name in ("../b", "/etc/b", "a\\..\\..\\b"):
        with pytest.raises(DataError, match="is no path inside"), open_zip(_zip(tmp_path / "b.zip", {name: b""})):
            pass
    nameless = _zip(tmp_path / "b.zip", {"zzz": b""})
    nameless.write_bytes(nameless.read_bytes().replace(b"zzz", b"\0zz"))
    with pytest.raises(DataError, match=r"b\.zip names '', which is no path inside"), open_zip(nameless):
        pass
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"a\.zip is no ZIP archive \(File is not a zip file\)"), open_zip(path):
        pass
    size = whole.rindex(b"PK\x01\x02") + 24  # of the unpacked file, in the table of contents
    path.write_bytes(whole[:size] + struct.pack("<I", 10) + whole[size + 4 :])
    with open_zip(path) as archive, pytest.raises(DataError, match=r"large\.bin in .* cannot be unpacked \(Bad CRC-32"):
        archive.read("large.bin")
    with pytest.raises(DataError, match="There is no file"), open_zip(tmp_path / "c.zip"):
        pass


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_archives(data, tmp_path, damaged, guarded):
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    whole = _zip(root / "a.zip", {"a/b.txt": b"text" * 20, "c.bin": bytes(300)}).read_bytes()
    (root / "a.zip").write_bytes(data.draw(damaged(whole)))
    with guarded(root), open_zip(root / "a.zip") as archive:
        list(map(partial(archive.read, limit_bytes=1000), archive.names))
