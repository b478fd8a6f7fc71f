"""What takes any format: `read_mask`, `write_mask`, the raw values, the catalogue."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from intarsia.core import (
    ClassSpace,
    ClassSpaceError,
    DataError,
    InstanceMasks,
    Instances,
    IntarsiaError,
    LabelMap,
    MultiLabel,
    Panoptic,
    Segment,
)
from intarsia.data import formats
from intarsia.data.formats import (
    FORMATS,
    read_image_size,
    read_instances,
    read_mask,
    read_mask_values,
    read_panoptic,
    write_mask,
)
from intarsia.data.formats.class_files import read_class_files

CLASSES = ClassSpace.from_names(["background", "cell", "nucleus"], things=["cell"])
IDS = np.random.default_rng(0).choice([0, 1, 2, 255], (12, 17)).astype(np.uint8)


def test_write_mask_chooses_the_form_that_holds_it(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    path = LabelMap(IDS, CLASSES).save(tmp_path / "masks" / "label")
    assert (path.name, pillow(path).mode) == ("label.png", "P")
    np.testing.assert_array_equal(read_mask(path, CLASSES).ids, IDS)

    many = ClassSpace.from_names([f"c{i}" for i in range(300)])
    path = write_mask(tmp_path / "many.png", LabelMap(IDS.astype(np.int32) + 20, many))
    assert pillow(path).mode == "I;16"
    np.testing.assert_array_equal(read_mask(path, many).ids, IDS.astype(int) + 20)

    path = write_mask(tmp_path / "regions.png", LabelMap(IDS))
    assert pillow(path).mode == "I;16"
    np.testing.assert_array_equal(read_mask(path).ids, IDS)

    instances = Instances(InstanceMasks.pack([IDS == 1, IDS == 2], IDS.shape), np.array([1, 1]), CLASSES)
    np.testing.assert_array_equal(read_instances(write_mask(tmp_path / "i.png", instances)).to_ids(), instances.to_ids())

    panoptic = Panoptic(IDS, (Segment(1, 1), Segment(2, 2), Segment(255, 0)), CLASSES)
    np.testing.assert_array_equal(read_panoptic(write_mask(tmp_path / "p.png", panoptic)).ids, IDS)

    several = MultiLabel(np.stack([IDS == 0, IDS < 2, IDS > 1]), CLASSES)
    assert write_mask(tmp_path / "m.png", several) == tmp_path
    back = read_class_files(tmp_path, "m", CLASSES)
    assert isinstance(back, MultiLabel)
    np.testing.assert_array_equal(back.masks, several.masks)
    assert not list(tmp_path.glob("**/.*"))


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "webp"])
@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_any_kind_of_file_gives_the_same_ids(tmp_path: Path, ending: str, mode: str) -> None:
    values = np.where(IDS == 255, 0, IDS)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(CLASSES.colors.tobytes())
    elif mode == "RGB":
        image = Image.fromarray(CLASSES.colors[values])
    if ending == "webp" and mode != "RGB":
        image = Image.fromarray(np.repeat(values[..., None], 3, 2))  # WebP has no grey: greys are stored as RGB
    image.save(tmp_path / f"a.{ending}", **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_mask(tmp_path / f"a.{ending}", CLASSES).ids, values)


def test_raw_values_say_what_they_are(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8))
    image.save(tmp_path / "grey.png")
    image.putpalette([0, 0, 0, 255, 255, 255, 1, 2, 3])
    image.save(tmp_path / "palette.png")
    image.convert("RGB").save(tmp_path / "rgb.png")
    grey, palette, color = (read_mask_values(tmp_path / f"{name}.png") for name in ("grey", "palette", "rgb"))
    assert (grey.kind, grey.palette, grey.values.tolist()) == ("index", None, [[0, 2], [1, 2]])
    assert (palette.kind, palette.values.tolist()) == ("palette", [[0, 2], [1, 2]])
    assert palette.palette is not None
    assert palette.palette[:3].tolist() == [[0, 0, 0], [255, 255, 255], [1, 2, 3]]
    assert (color.kind, color.values[0, 1].tolist(), color.is_grey) == ("color", [1, 2, 3], False)
    tifffile.imwrite(tmp_path / "whole.tif", np.array([[0.0, 40.0]]))
    assert read_mask_values(tmp_path / "whole.tif").values.tolist() == [[0, 40]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_images_are(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(IDS)
    image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / "a.png", exif=exif)
    mask = read_mask(tmp_path / "a.png")
    assert mask.size_hw == read_image_size(tmp_path / "a.png") == (IDS.shape if orientation < 5 else IDS.shape[::-1])
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (-1, 0), 7: (-1, -1), 8: (0, -1)}[orientation]
    assert mask.ids[0, 0] == IDS[corner]  # where the stored picture holds what is seen at the top left


def test_errors_name_the_likely_cause(tmp_path: Path) -> None:
    blocks = np.kron(np.random.default_rng(0).integers(0, 3, (6, 6)), np.ones((5, 5))).astype(np.uint8)
    Image.fromarray(blocks * 90).save(tmp_path / "a.jpg")
    three = ClassSpace.from_dict({"classes": [{"name": n, "values": [v]} for n, v in (("a", 0), ("b", 90), ("c", 180))]})
    with pytest.raises(ClassSpaceError, match=r"a\.jpg, a JPEG, which changes values \(masks belong in PNG\), holds values"):
        read_mask(tmp_path / "a.jpg", three)
    tifffile.imwrite(tmp_path / "soft.tif", np.array([[0.0, 0.5, np.nan]]))
    with pytest.raises(DataError, match=r"soft\.tif holds 0\.5; a mask holds whole numbers"):
        read_mask(tmp_path / "soft.tif")
    tifffile.imwrite(tmp_path / "bands.tif", np.zeros((4, 5, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match=r"bands\.tif has 7 channels of uint8; a mask has one channel"):
        read_mask(tmp_path / "bands.tif")
    Image.new("RGB", (2, 2), (9, 0, 0)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="which class each of them means must be declared"):
        read_mask(tmp_path / "rgb.png")
    note = PngInfo()
    note.add_text("intarsia", "{no json")
    Image.fromarray(IDS).save(tmp_path / "note.png", pnginfo=note)
    with pytest.raises(DataError, match=r"stores in .*note\.png is damaged"):
        read_mask(tmp_path / "note.png")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_mask_gives_an_error_of_ours_or_a_mask(tmp_path: Path, data: st.DataObject) -> None:
    whole = write_mask(tmp_path / "whole.png", LabelMap(IDS, CLASSES)).read_bytes()
    damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=5)):
        damaged[position] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.png").write_bytes(damaged)
    try:
        seen = type(read_mask(tmp_path / "damaged.png", CLASSES)).__name__
    except IntarsiaError as error:
        seen = str(error)
    assert seen == "LabelMap" or "damaged.png" in seen


def test_the_catalogue_is_the_folder() -> None:
    folder = Path(formats.__file__).parent
    assert FORMATS.names == tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))
    for name in FORMATS.names:
        assert FORMATS.load(name).__name__.startswith("read_")
        assert any(public.startswith("write_") for public in FORMATS.module(name).__all__)


def test_formats_do_not_import_torch() -> None:
    code = "import sys, intarsia.data.formats; raise SystemExit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
