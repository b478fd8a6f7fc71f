import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tifffile import imwrite

from intarsia.core import DataError
from intarsia.data.formats._tiff_pages import page_count, read_page
from intarsia.data.formats.stack import Stack, read_stack, write_stack

AXES = ("YX", "ZYX", "CYX", "TZYX", "ZCYX", "TZCYX", "YXS", "ZYXS")
TYPES = ("uint8", "uint16", "int16", "uint32", "float32", "float64")


def same(a: Stack, b: Stack) -> None:
    assert (a.axes, a.values.dtype, dict(a.pixel_size), a.channels) == (b.axes, b.values.dtype, dict(b.pixel_size), b.channels)
    np.testing.assert_array_equal(a.values, b.values)


@st.composite
def stacks(draw, least):
    axes = draw(st.sampled_from(AXES))
    shape = tuple(3 if axis == "S" else draw(st.integers(1 if axis in "YX" else least, 4)) for axis in axes)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 200, shape).astype(draw(st.sampled_from(TYPES)))
    sizes = {axis: draw(st.sampled_from([0.5, 0.065, 2.0])) for axis in axes if axis in "ZYX"} if draw(st.booleans()) else {}
    count = shape[axes.index("C")] if "C" in axes else 0
    return Stack(values, axes, sizes, tuple(f"dye {i}" for i in range(count)) if draw(st.booleans()) else ())


@pytest.mark.parametrize(("name", "least"), [("a.tif", 1), ("a.ome.tif", 2)])
def test_what_is_written_is_read(name, least, tmp_path):
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(stacks(least))
    def check(stack):
        same(read_stack(write_stack(tmp_path / name, stack)), stack)

    check()


def test_ome_drops_axes_of_length_one(tmp_path):
    stack = Stack(np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3), "ZCYX", {"Y": 0.5, "X": 0.5})
    back = read_stack(write_stack(tmp_path / "a.ome.tif", stack))
    assert (back.axes, back.values.tolist()) == ("YX", [[0, 1, 2], [3, 4, 5]])


def test_slices_are_pictures_with_channels_last():
    values = np.arange(2 * 3 * 2 * 4 * 5).reshape(2, 3, 2, 4, 5)
    found = dict(Stack(values, "TZCYX").slices())
    assert list(found) == ["t000_z000", "t000_z001", "t000_z002", "t001_z000", "t001_z001", "t001_z002"]
    np.testing.assert_array_equal(found["t001_z002"], values[1, 2].transpose(1, 2, 0))
    assert [(name, picture.shape) for name, picture in Stack(values[0, 0], "CYX").slices()] == [("", (4, 5, 2))]
    assert dict(Stack(values[0, 0], "ZYX").slices())["z001"].shape == (4, 5, 1)


def test_files_of_others(tmp_path):
    values = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
    path = tmp_path / "a.tif"
    imwrite(path, values, photometric="minisblack", metadata=None)
    assert read_stack(path).axes == "ZYX", "pages that nobody named"
    meta = {"spacing": 2.0, "unit": "um", "axes": "ZYX"}
    imwrite(path, values, imagej=True, resolution=(4.0, 2.0), metadata=meta)
    same(read_stack(path), Stack(values, "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.25}))
    nanometres = {
        "axes": "ZYX",
        "PhysicalSizeX": 65.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeZ": 1.0,
        "PhysicalSizeZUnit": "pixel",
    }
    imwrite(path, values.astype(">u2"), ome=True, photometric="minisblack", byteorder=">", metadata=nanometres)
    found = read_stack(path)
    assert {axis: round(size, 9) for axis, size in found.pixel_size.items()} == {"X": 0.065}, "pixels are no unit"
    assert found.values.tolist() == values.tolist()


def test_a_compression_of_others(tmp_path):
    from PIL import Image

    pages = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in (3, 7)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert read_stack(tmp_path / "a.tif").values[:, 0, 0].tolist() == [3, 7]
    assert (page_count(tmp_path / "a.tif"), read_page(tmp_path / "a.tif", 1)[0, 0]) == (2, 7)


def test_ome_that_names_other_files_opens_none(tmp_path):
    other = tmp_path / "other.ome.tif"
    imwrite(other, np.full((2, 3), 9, np.uint8), ome=True)
    path = tmp_path / "in/a.ome.tif"
    path.parent.mkdir()
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="3" SizeY="2" SizeZ="2" SizeC="1" SizeT="1"><TiffData IFD="0" FirstZ="0"/>'
        '<TiffData IFD="0" FirstZ="1"><UUID FileName="../other.ome.tif">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    imwrite(path, np.zeros((2, 3), np.uint8), description=text, metadata=None)
    assert read_stack(path).values.max() == 0


def test_errors(tmp_path):
    values = np.zeros((2, 3), np.uint8)
    for axes in ("ZYX", "YY", "QX"):
        with pytest.raises(DataError, match=f"has the axes '{axes}'; each is one of TZCYXS, once"):
            Stack(values, axes)
    with pytest.raises(DataError, match="'XY'; they end in YX or YXS"):
        Stack(values, "XY")
    with pytest.raises(DataError, match="A stack of 2 channels has 1 names"):
        Stack(np.zeros((2, 1, 1)), "CYX", channels=("a",))
    with pytest.raises(DataError, match=r"a.png ends in .png; a stack is written as .tif"):
        write_stack(tmp_path / "a.png", Stack(values, "YX"))
    with pytest.raises(DataError, match=r"a.tif cannot hold <U1 of shape"):
        write_stack(tmp_path / "a.tif", Stack(np.full((2, 3), "x"), "YX"))
    with pytest.raises(DataError, match="There is no file"):
        read_stack(tmp_path / "none.tif")
    (tmp_path / "b.tif").write_bytes(b"II*\0" + bytes(20))
    with pytest.raises(DataError, match=r"b.tif cannot be read as TIFF"):
        read_stack(tmp_path / "b.tif")
    write_stack(tmp_path / "c.tif", Stack(values, "YX"))
    with pytest.raises(DataError, match="there is no page 1; it has 1"):
        read_page(tmp_path / "c.tif", 1)
