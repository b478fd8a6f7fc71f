from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from intarsia.core import ClassSpace, ClassSpaceError, DataError, LabelMap, SegmentationError
from intarsia.data.formats.index import read_index, write_index

THREE = ClassSpace.from_names(["sky", "road", "car"])


@pytest.mark.parametrize(("count", "bits"), [(3, "L"), (255, "L"), (300, "I;16")])
def test_write_then_read_is_the_identity(tmp_path: Path, pillow: Callable[[Path], Image.Image], count: int, bits: str) -> None:
    classes = ClassSpace.from_names([f"c{i}" for i in range(count)])
    ids = np.random.default_rng(0).choice([*range(count), classes.ignore_id], (23, 31)).astype(classes.id_dtype)
    path = write_index(tmp_path / "a.png", LabelMap(ids, classes))
    back = read_index(path, classes)
    np.testing.assert_array_equal(back.ids, ids)
    assert back.ids.dtype == ids.dtype
    assert pillow(path).mode == bits
    np.testing.assert_array_equal(np.asarray(pillow(path)), ids)
    assert read_index(path).classes == classes


def test_region_numbers_are_16_bits_and_come_back(tmp_path: Path) -> None:
    regions = np.array([[1, 2, 65535], [7, 7, 0]], np.int64)
    path = write_index(tmp_path / "regions", LabelMap(regions))
    assert path.name == "regions.png"
    back = read_index(path)
    np.testing.assert_array_equal(back.ids, regions)
    assert back.classes is None


def test_source_values_are_translated(tmp_path: Path) -> None:
    classes = ClassSpace.from_dict(
        {"classes": [{"name": "background", "values": [0, 3]}, {"name": "cell", "values": [7]}], "ignore": [9]}
    )
    Image.fromarray(np.array([[0, 3, 7, 9, 255]], np.uint8)).save(tmp_path / "a.png")
    assert read_index(tmp_path / "a.png", classes).ids.tolist() == [[0, 0, 1, 255, 255]]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=arrays(np.uint8, (3, 5), elements=st.integers(0, 15)), depth=st.sampled_from([1, 2, 4, 8]))
def test_values_are_read_raw_at_every_bit_depth(
    tmp_path: Path, png_bytes: Callable[..., bytes], values: np.ndarray, depth: int
) -> None:
    values &= 2**depth - 1
    bits = np.unpackbits(values[..., None], axis=2)[..., 8 - depth :].reshape(3, -1)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(5, 3, depth, 0, [np.packbits(row).tobytes() for row in bits]))
    np.testing.assert_array_equal(read_index(path).ids, values)


def test_classes_of_a_file_of_ours_are_matched_by_name(tmp_path: Path) -> None:
    path = write_index(tmp_path / "a.png", LabelMap(np.array([[0, 1, 2, 255]], np.uint8), THREE))
    other = ClassSpace.from_names(["car", "water", "road", "sky"], ignore_id=77)
    assert read_index(path, other).ids.tolist() == [[3, 2, 0, 77]]
    binary = ClassSpace.from_dict({"classes": [{"name": n, "values": [v]} for n, v in (("sky", 0), ("road", 128), ("car", 255))]})
    assert read_index(path, binary).ids.tolist() == [[0, 1, 2, 255]]  # ids that we wrote are not source values
    with pytest.raises(ClassSpaceError, match=r"written with the classes sky, road, car, and car is not among .* sky, road"):
        read_index(path, ClassSpace.from_names(["sky", "road"]))


def test_errors(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1], [1, 7]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ClassSpaceError, match=r"a\.png holds a value that no class claims: 7 \(25\.00% of pixels\)"):
        read_index(tmp_path / "a.png", THREE)
    Image.new("RGB", (3, 3), (1, 2, 3)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png holds RGB colours, where grey values or palette indices were asked for"):
        read_index(tmp_path / "rgb.png", THREE)
    with pytest.raises(SegmentationError, match="the id 65536 does not fit the 16 bits"):
        write_index(tmp_path / "b.png", LabelMap(np.array([[65536]])))
    with pytest.raises(DataError, match=r"b\.jpg ends in \.jpg; masks are written as PNG"):
        write_index(tmp_path / "b.jpg", LabelMap(np.zeros((2, 2), np.uint8), THREE))
