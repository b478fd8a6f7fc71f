import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from intarsia.core import DataError
from intarsia.data.formats.image import read_image, read_image_size, write_image

RNG = np.random.default_rng(0)


def picture(dtype: str, channels: int, height: int = 13, width: int = 17) -> np.ndarray:
    if dtype == "float32":
        return RNG.normal(size=(height, width, channels)).astype(np.float32)
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


HELD = [("png", d, c) for d in ("uint8", "uint16") for c in (1, 3, 4)]
HELD += [("tif", d, c) for d in ("uint8", "uint16", "float32") for c in (1, 2, 3, 4, 5, 9)]
HELD += [("webp", "uint8", 3), ("webp", "uint8", 4), ("bmp", "uint8", 1), ("bmp", "uint8", 3)]


@pytest.mark.parametrize(("ending", "dtype", "channels"), HELD)
def test_write_then_read_is_the_identity(tmp_path: Path, ending: str, dtype: str, channels: int) -> None:
    image = picture(dtype, channels)
    path = write_image(tmp_path / "new" / f"a.{ending}", image)
    back = read_image(path)
    assert back.dtype == image.dtype
    assert back.flags.writeable
    np.testing.assert_array_equal(back, image)
    assert read_image_size(path) == (13, 17)
    assert [p.name for p in path.parent.iterdir()] == [f"a.{ending}"]  # no temporary file is left


def test_colour_is_rgb_in_every_type(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    orange = np.full((16, 16, 3), (250, 120, 10), np.uint8)
    for ending in ("png", "jpg", "tiff", "webp", "bmp"):
        back = read_image(write_image(tmp_path / f"a.{ending}", orange))
        assert np.abs(back.astype(int) - orange).max() <= 3, ending
    deep = read_image(write_image(tmp_path / "deep.png", orange.astype(np.uint16) * 257))
    assert deep[0, 0].tolist() == [250 * 257, 120 * 257, 10 * 257]
    assert pillow(tmp_path / "a.tiff").getpixel((0, 0)) == (250, 120, 10)
    assert cv2.imread(str(tmp_path / "deep.png"), cv2.IMREAD_UNCHANGED)[0, 0].tolist() == [10 * 257, 120 * 257, 250 * 257]


def test_jpeg_is_near_and_grey_jpeg_has_one_channel(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)[..., None]
    back = read_image(write_image(tmp_path / "a.jpg", ramp))
    assert back.shape == (40, 60, 1)
    assert np.abs(back.astype(int) - ramp).max() <= 2


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65501), ("a.webp", 16384)])
def test_a_side_that_the_type_does_not_hold(tmp_path: Path, name: str, side: int) -> None:
    with pytest.raises(DataError, match=rf"{name} cannot be written as .*1 x {side} \(height x width\).*PNG and TIFF hold more"):
        write_image(tmp_path / name, np.zeros((1, side, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    assert read_image(write_image(tmp_path / name, np.zeros((1, side - 1, 3), np.uint8))).shape == (1, side - 1, 3)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    grey = np.zeros((2, 3), np.uint8)
    (tmp_path / "file").write_text("")
    for name in ("file/a.png", "file/b/a.png", f"{'x' * 300}.png"):
        with pytest.raises(DataError, match=r"\.png cannot be written \(.*Errno"):
            write_image(tmp_path / name, grey)
    longest = f"{'é' * 125}x.png"  # 255 bytes, the most that a file system takes
    assert read_image(write_image(tmp_path / longest, grey)).shape == (2, 3, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", longest]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "png16", "jpg", "webp", "tif-pillow", "tif-lzw", "tif-16"])
def test_exif_orientation_is_applied(tmp_path: Path, pillow: Callable[[Path], Image.Image], kind: str, orientation: int) -> None:
    image = picture("uint8", 3, 6, 10)
    path = tmp_path / f"a.{kind[:3] if kind != 'webp' else kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray(image)
    if kind == "png16":
        write_image(path, image.astype(np.uint16) * 257)
        whole = path.read_bytes()
        content = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(content)) + b"eXIf" + content + struct.pack(">I", zlib.crc32(b"eXIf" + content))
        path.write_bytes(whole[:-12] + chunk + whole[-12:])  # behind the pixels, where the standard allows it too
    elif kind == "tif-16":
        tifffile.imwrite(path, image.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    elif kind.startswith("tif"):
        plain.save(path, compression="tiff_lzw" if "lzw" in kind else None, tiffinfo={274: orientation})
    else:
        plain.save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    stored = Image.fromarray(np.asarray(pillow(path)) if kind == "jpg" else image)
    stored.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored))
    found = read_image(path)
    np.testing.assert_array_equal(found // 257 if found.dtype == np.uint16 else found, expected)
    assert read_image_size(path) == expected.shape[:2]


def test_palettes_and_few_bits_are_expanded(tmp_path: Path, png_bytes: Callable[..., bytes]) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for ending in ("png", "bmp", "tif"):
        image.save(tmp_path / f"p.{ending}")
        assert read_image(tmp_path / f"p.{ending}").tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]], ending
    image.save(tmp_path / "t.png", transparency=1)
    assert read_image(tmp_path / "t.png").tolist() == [[[10, 20, 30, 255], [40, 50, 60, 0], [70, 80, 90, 255]]]
    for depth, row, values in ((1, b"\xa0", [255, 0, 255]), (2, b"\x1b", [0, 85, 170]), (4, b"\x01\x2f", [0, 17, 34])):
        (tmp_path / "g.png").write_bytes(png_bytes(3, 1, depth, 0, [row]))
        assert read_image(tmp_path / "g.png").ravel().tolist() == values


def test_alpha_cmyk_and_foreign_tiffs(tmp_path: Path, png_bytes: Callable[..., bytes]) -> None:
    grey_alpha = picture("uint8", 2)
    Image.merge("LA", [Image.fromarray(grey_alpha[..., k]) for k in (0, 1)]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), grey_alpha[..., [0, 0, 0, 1]])
    (tmp_path / "la16.png").write_bytes(png_bytes(1, 1, 16, 4, [b"\x12\x34\x56\x78"]))
    assert read_image(tmp_path / "la16.png").ravel().tolist() == [0x1234] * 3 + [0x5678]
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - [255, 0, 0]).max() <= 3
    bands = picture("uint16", 6)
    for name, array, options in (
        ("chw", np.moveaxis(bands, -1, 0), {"photometric": "minisblack"}),
        ("planar", np.moveaxis(bands, -1, 0), {"photometric": "minisblack", "planarconfig": "separate"}),
        ("tiled", bands, {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)}),
        ("big", bands, {"photometric": "minisblack", "planarconfig": "contig", "bigtiff": True, "byteorder": ">"}),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", array, **options)
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.tif"), bands, name)
        assert read_image(tmp_path / f"{name}.tif").dtype == np.uint16
    for dtype in ("uint8", "uint16"):
        lzw = picture(dtype, 3)
        cv2.imwrite(str(tmp_path / "lzw.tif"), lzw[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
        np.testing.assert_array_equal(read_image(tmp_path / "lzw.tif"), lzw)
    heights = np.array([[-5, 300]], np.int16)
    tifffile.imwrite(tmp_path / "dem.tif", heights)
    assert read_image(tmp_path / "dem.tif").tolist() == [[[-5.0], [300.0]]]
    Image.fromarray(heights > 0).save(tmp_path / "fax.tif", compression="group4")
    assert read_image(tmp_path / "fax.tif").ravel().tolist() == [0, 255]


def test_an_empty_sheet_of_many_pixels_is_no_damaged_file(tmp_path: Path) -> None:
    for ending in ("png", "jpg"):
        path = write_image(tmp_path / f"a.{ending}", np.zeros((4200, 4200), np.uint8))
        assert path.stat().st_size < 400_000
        assert read_image(path).shape == (4200, 4200, 1)
    Image.new("1", (4200, 4200)).save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").shape == (4200, 4200, 1)


def test_real_photographs_agree_with_opencv(shared_data) -> None:
    for path in sorted((shared_data("camvid") / "images" / "val").iterdir())[:3]:
        other = cv2.imread(str(path))[..., ::-1]
        np.testing.assert_array_equal(read_image(path), other)


@pytest.mark.parametrize(("ending", "dtype", "channels"), [("jpg", "uint8", 3), ("webp", "uint8", 3), *HELD[::3]])
def test_a_file_cut_off_anywhere_is_an_error(tmp_path: Path, ending: str, dtype: str, channels: int) -> None:
    path = write_image(tmp_path / f"a.{ending}", picture(dtype, channels, 40, 50))
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match=rf"a\.{ending} cannot be decoded: .*{int(len(whole) * share):,} bytes"):
            read_image(path)


def test_an_lzw_tiff_cut_off_is_an_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), picture("uint16", 3, 60, 70), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    whole = (tmp_path / "a.tif").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="cannot be decoded"):
            read_image(tmp_path / "a.tif")


BEGINNINGS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"RIFF\x10\0\0\0WEBPVP8 ",
    b"BM",
]
BEGINNINGS += [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02" + bytes(kind) for kind in ((8, 3), (16, 2), (4, 0), (7, 9))]


@pytest.mark.filterwarnings("ignore")  # Pillow warns about odd tags before it gives up
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(beginning=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=200))
def test_random_bytes_give_a_data_error_or_an_image(tmp_path: Path, beginning: bytes, rest: bytes) -> None:
    path = tmp_path / "noise.png"
    path.write_bytes(beginning + rest)
    for read in (read_image, read_image_size):
        try:
            seen = str(np.shape(read(path)))
        except DataError as error:
            seen = str(error)
        assert seen.startswith("(") or "noise.png" in seen


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from(["png", "jpg", "tif", "webp", "bmp"]))
def test_a_damaged_file_gives_a_data_error_or_an_image(tmp_path: Path, data: st.DataObject, ending: str) -> None:
    buffer = BytesIO()
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(
        buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending)
    )
    damaged = bytearray(buffer.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    path = tmp_path / f"damaged.{ending}"
    path.write_bytes(damaged)
    try:
        seen = str(read_image(path).ndim)
    except DataError as error:
        seen = str(error)
    assert seen == "3" or f"damaged.{ending}" in seen


def test_errors_name_file_and_cause(tmp_path: Path, png_bytes: Callable[..., bytes]) -> None:
    write_image(tmp_path / "street_01.png", picture("uint8", 3))
    with pytest.raises(DataError, match=r"There is no file .*street_1\.png\. Nearest there: street_01\.png"):
        read_image(tmp_path / "street_1.png")
    with pytest.raises(DataError, match=r"The folder .*nowhere does not exist"):
        read_image(tmp_path / "nowhere" / "a.png")
    with pytest.raises(DataError, match="is a folder, not a file"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_image("nul\0byte.png")
    for content, said in (
        (b"", r"is empty \(0 bytes\)"),
        (b"hello world", r"begins with b'hello wo'"),
        (b"<!doctype html>", "the download was answered with a page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\0\0\0\x18ftypheic", "convert it to JPEG or PNG"),
        (png_bytes(60_000, 60_000, 8, 2, [b"\0"]), "60000 x 60000 pixels, more than 1,073,741,824"),
        (png_bytes(60_000, 60_000, 16, 2, [b"\0"]), "60000 x 60000 pixels"),
        (png_bytes(20_000, 20_000, 8, 2, [b"\0"]), "20000 x 20000 pixels, which no file of this size holds"),
    ):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(DataError, match=rf"bad\.png.*{said}"):
            read_image(tmp_path / "bad.png")
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 8, 9), np.uint8), metadata={"axes": "ZYX"}, photometric="minisblack")
    with pytest.raises(DataError, match=r"a stack of shape \(4, 8, 9\) with the axes ZYX"):
        read_image(tmp_path / "stack.tif")
    tifffile.imwrite(tmp_path / "tall.tif", np.zeros((4, 20_000), np.float32))
    with tifffile.TiffFile(tmp_path / "tall.tif", mode="r+b") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(20_000)
    with pytest.raises(DataError, match=r"asks for \(20000, 20000\) values of float32, which no file of this size holds"):
        read_image(tmp_path / "tall.tif")
    tifffile.imwrite(tmp_path / "long.tif", np.zeros((8, 9), np.uint32))
    with pytest.raises(DataError, match=r"long\.tif has dtype uint32"):
        read_image(tmp_path / "long.tif")
    with pytest.raises(DataError, match=r"ends in \.gif"):
        write_image(tmp_path / "a.gif", picture("uint8", 3))
    with pytest.raises(
        DataError, match=r"PNG does not hold 5 channels of uint8\. It holds 1 or 3 or 4 channels of uint8 or uint16"
    ):
        write_image(tmp_path / "a.png", picture("uint8", 5))
    with pytest.raises(DataError, match="JPEG does not hold 3 channels of uint16"):
        write_image(tmp_path / "a.jpg", picture("uint16", 3))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_image(tmp_path / "folder.png", picture("uint8", 3))
    assert not list(tmp_path.glob(".*"))
