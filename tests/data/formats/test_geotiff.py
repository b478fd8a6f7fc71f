from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tifffile import TiffFile, imwrite

from intarsia.core import DataError
from intarsia.data.formats import read_image
from intarsia.data.formats.geotiff import GeoImage, epsg_keys, read_geotiff, write_geotiff

NUMBERS = st.floats(-1e7, 1e7, width=32)
PLACES = st.one_of(
    st.none(),
    st.tuples(st.sampled_from([0.5, 10.0]), st.just(0.0), NUMBERS, st.just(0.0), st.sampled_from([-0.5, -10.0]), NUMBERS),
    st.tuples(*[NUMBERS] * 6),
)
KEYS = st.one_of(
    st.just({}),
    st.sampled_from([epsg_keys(32633), epsg_keys(4326, is_geographic=True), epsg_keys(3857)]),
    st.just(
        {
            1024: 1,
            1025: 1,
            1026: "Local grid",
            2059: (298.257223563,),
            3072: 32767,
            3073: "Local | grid",
            3080: (1.0, 2.5),
            4000: (1, 2),
        }
    ),
)


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_read(tmp_path, data):
    bands, dtype = data.draw(st.sampled_from([(), (2,), (3,), (4,), (13,)])), data.draw(st.sampled_from(["u1", "u2", "i2", "f4"]))
    values = np.random.default_rng(0).integers(0, 200, (4, 5, *bands)).astype(dtype)
    nodata = data.draw(st.sampled_from([None, 0.0, -9999.0, float("nan"), 0.1]))
    image = GeoImage(values, data.draw(PLACES), data.draw(KEYS), nodata, data.draw(st.sampled_from(["", "<GDALMetadata/>"])))
    back = read_geotiff(write_geotiff(tmp_path / "a.tif", image))
    np.testing.assert_array_equal(back.values, values)
    assert back.values.dtype == values.dtype
    assert (back.transform, back.keys, back.metadata) == (image.transform, image.keys, image.metadata)
    assert back.nodata == nodata or (np.isnan(nodata) and np.isnan(back.nodata))
    assert np.array_equal(read_image(tmp_path / "a.tif").squeeze(), values), "an image like any other"


def written_by_hand(path, raster_type=1):
    """As GDAL writes a file of UTM zone 33 north, with pixels of 10 m and its upper left corner at 500000, 5400000."""
    directory = (1, 1, 0, 5, 1024, 0, 1, 1, 1025, 0, 1, raster_type, 1026, 34737, 22, 0, 3072, 0, 1, 32633, 2057, 34736, 1, 0)
    tags = [
        (33550, 12, 3, (10.0, 10.0, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 5400000.0, 0.0), True),
        (34735, 3, len(directory), directory, True),
        (34736, 12, 1, (6378137.0,), True),
        (34737, 2, 0, "WGS 84 / UTM zone 33N|", True),
        (42113, 2, 0, "-9999", True),
    ]
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    values[0, 0] = -9999
    imwrite(path, values, photometric="minisblack", metadata=None, extratags=tags)
    return path


def test_a_file_as_gdal_writes_it(tmp_path):
    image = read_geotiff(written_by_hand(tmp_path / "a.tif"))
    assert image.crs == "EPSG:32633"
    assert image.transform == (10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0)
    assert image.keys == {1024: 1, 1025: 1, 1026: "WGS 84 / UTM zone 33N", 3072: 32633, 2057: (6378137.0,)}
    assert (image.nodata, image.valid.sum(), image.valid[0, 0]) == (-9999.0, 11, False)


def test_places_of_centres_are_shifted_by_half_a_pixel_and_back(tmp_path):
    image = read_geotiff(written_by_hand(tmp_path / "a.tif", raster_type=2))
    assert image.transform == (10.0, 0.0, 499995.0, 0.0, -10.0, 5400005.0)
    write_geotiff(tmp_path / "b.tif", image)
    with TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.pages.first.tags[33922].value == (0.0, 0.0, 0.0, 500000.0, 5400000.0, 0.0)
        assert tiff.geotiff_metadata["ProjectedCSTypeGeoKey"] == 32633


def test_a_mask_takes_the_place_of_its_image(tmp_path):
    image = read_geotiff(written_by_hand(tmp_path / "a.tif"))
    mask = read_geotiff(write_geotiff(tmp_path / "mask.tif", replace(image, values=np.eye(3, 4, dtype=np.bool_), nodata=None)))
    assert (mask.crs, mask.transform, mask.nodata) == (image.crs, image.transform, None)
    assert mask.values.tolist() == np.eye(3, 4, dtype=int).tolist()


def test_names_of_systems():
    values = np.zeros((1, 1))
    assert GeoImage(values).crs is None
    assert GeoImage(values, keys=epsg_keys(4326, is_geographic=True)).crs == "EPSG:4326"
    assert GeoImage(values, keys={2048: 4326, 3072: 32767, 3073: "Local grid"}).crs == "Local grid"


def test_errors(tmp_path):
    with pytest.raises(DataError, match=r"The EPSG code 102100 does not fit GeoTIFF"):
        epsg_keys(102100)
    with pytest.raises(DataError, match=r"a.png ends in .png"):
        write_geotiff(tmp_path / "a.png", GeoImage(np.zeros((2, 2))))
    with pytest.raises(DataError, match=r"the values have shape \(2,\)"):
        write_geotiff(tmp_path / "a.tif", GeoImage(np.zeros(2)))
    tags = [(34735, 3, 4, (1, 1, 0, 9), True)]
    imwrite(tmp_path / "b.tif", np.zeros((2, 2), np.uint8), metadata=None, extratags=tags)
    with pytest.raises(DataError, match=r"b.tif cannot be read as TIFF \(it lists 9 GeoKeys and holds 0\)"):
        read_geotiff(tmp_path / "b.tif")
