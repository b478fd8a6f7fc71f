"""GeoTIFF: images and masks with any number of bands, that keep where on Earth they lie.

A coordinate system stands in the file as GeoKeys, numbers with a value each; all of them are kept, so that a system without an
EPSG code survives too. `transform` is (a, b, c, d, e, f): a pixel corner at (column, row) lies at x = a column + b row + c and
y = d column + e row + f, as in an affine matrix of GDAL or rasterio; a file whose places are those of the pixels' centres
(GTRasterType 2) is shifted by half a pixel when read, as GDAL does, and written back as it was. To keep the place of an image in
what was predicted from it, `dataclasses.replace(image, values=mask)`.

Source: OGC 19-008r4, GeoTIFF 1.1; GDAL's tags 42112 and 42113 for its metadata and the value that means "no data".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import Array, DataError
from intarsia.data.formats._decode import decode
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._tiff_pages import open_tiff

__all__ = ["read_geotiff", "GeoImage", "epsg_keys", "write_geotiff"]  # noqa: RUF022 - the catalogue offers the first

SCALE, TIEPOINTS, MATRIX = 33550, 33922, 34264
DIRECTORY, DOUBLES, TEXTS = 34735, 34736, 34737
GDAL_METADATA, GDAL_NODATA = 42112, 42113
MODEL_TYPE, RASTER_TYPE, CITATION, GEOGRAPHIC, GEOGRAPHIC_CITATION, PROJECTED, PROJECTED_CITATION = (
    *(1024, 1025, 1026, 2048),
    *(2049, 3072, 3073),
)
AREA, POINT = 1, 2
USER_DEFINED = 32767
SHORT, DOUBLE, ASCII = 3, 12, 2

Transform = tuple[float, float, float, float, float, float]
Key = int | str | tuple[float, ...] | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GeoImage:
    """An image and its place.

    Args:
        values: (H, W) or (H, W, C) of any dtype that TIFF holds.
        transform: from pixel corners to coordinates, see above; None where the file says none.
        keys: the GeoKeys, number to value: a whole number, text, or several numbers.
        nodata: the value of pixels without data; None where the file says none.
        metadata: GDAL's own, XML, as it stands in the file.
    """

    values: Array
    transform: Transform | None = None
    keys: Mapping[int, Key] = field(default_factory=dict)
    nodata: float | None = None
    metadata: str = ""

    @property
    def crs(self) -> str | None:
        """The coordinate system as "EPSG:32633", else the text that the file has for it, else None."""
        for key in (PROJECTED, GEOGRAPHIC):
            code = self.keys.get(key)
            if isinstance(code, int) and 0 < code < USER_DEFINED:
                return f"EPSG:{code}"
            if code == USER_DEFINED:
                break
        texts = (self.keys.get(key) for key in (PROJECTED_CITATION, CITATION, GEOGRAPHIC_CITATION))
        return next((text for text in texts if isinstance(text, str)), None)

    @property
    def valid(self) -> Array:
        """(H, W) bool, False where all bands have the value that means "no data"."""
        values = self.values.reshape(*self.values.shape[:2], -1)
        if self.nodata is None:
            return np.ones(values.shape[:2], np.bool_)
        missing = np.isnan(values) if math.isnan(self.nodata) else values == self.nodata
        return np.asarray(~missing.all(2))


def epsg_keys(code: int, *, is_geographic: bool = False) -> dict[int, Key]:
    """The GeoKeys of a coordinate system by its EPSG code; `is_geographic` for one in degrees, such as 4326.

    Raises:
        DataError: a code outside 1..32766, which are those that GeoTIFF holds.
    """
    if not 0 < code < USER_DEFINED:
        raise DataError(f"The EPSG code {code} does not fit GeoTIFF, which holds 1..{USER_DEFINED - 1}.")
    return {MODEL_TYPE: 2 if is_geographic else 1, RASTER_TYPE: AREA, GEOGRAPHIC if is_geographic else PROJECTED: code}


def read_geotiff(path: str | Path) -> GeoImage:
    """Read the first image of a TIFF file, all bands, and its place where it says one.

    Raises:
        DataError: a file that cannot be read, a stack, or tags that contradict each other.
    """
    path = Path(path)
    values = decode(path).values
    with open_tiff(path) as tiff:
        tags: dict[int, Any] = {code: _value(tiff.pages.first.tags.get(code)) for code in (*_GEO, GDAL_METADATA, GDAL_NODATA)}
        keys = _keys(tags)
        nodata = tags[GDAL_NODATA]
        text = tags[GDAL_METADATA]
        return GeoImage(
            values,
            _transform(tags, keys.get(RASTER_TYPE) == POINT),
            keys,
            None if nodata is None else float(str(nodata).strip("\0 ")),
            "" if text is None else str(text),
        )


def write_geotiff(path: str | Path, image: GeoImage) -> Path:
    """Write the image, deflated; whole or not at all. Read again it is the same.

    Raises:
        DataError: another ending than .tif or .tiff, values that TIFF does not hold, or a place that cannot be written.
    """
    from tifffile import imwrite

    path, values = Path(path), image.values
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}; GeoTIFF is written as .tif or .tiff.")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise DataError(f"{path}: the values have shape {values.shape}; an image is (height, width) or (height, width, bands).")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    values = values[..., 0] if values.shape[2:] == (1,) else values
    colour = values.shape[2:] in ((3,), (4,)) and values.dtype.kind == "u"
    buffer = BytesIO()
    try:
        imwrite(
            buffer,
            values,
            photometric="rgb" if colour else "minisblack",
            planarconfig="contig" if values.ndim == 3 else None,
            compression="zlib",
            metadata=None,
            extratags=_tags(image),
        )
    except (ValueError, TypeError, KeyError, struct.error) as error:
        raise DataError(f"{path} cannot hold {values.dtype} of shape {values.shape} with its place ({error}).") from error
    write_bytes(path, buffer.getvalue())
    return path


_GEO = (SCALE, TIEPOINTS, MATRIX, DIRECTORY, DOUBLES, TEXTS)


def _value(tag: Any) -> Any:
    return None if tag is None else tag.value


def _keys(tags: Mapping[int, Any]) -> dict[int, Key]:
    """GeoKeys: a header of four numbers, and four for each key: its number, the tag of its value (0 is here), count, place."""
    directory = [int(v) for v in np.ravel(tags[DIRECTORY] if tags[DIRECTORY] is not None else [])]
    doubles = np.ravel(tags[DOUBLES] if tags[DOUBLES] is not None else []).astype(np.float64).tolist()
    texts = tags[TEXTS] or ""
    texts = texts.decode("latin-1") if isinstance(texts, bytes) else str(texts)
    keys: dict[int, Key] = {}
    for start in range(4, 4 + 4 * (directory[3] if len(directory) > 3 else 0), 4):
        if start + 4 > len(directory):
            raise DataError(f"it lists {directory[3]} GeoKeys and holds {(len(directory) - 4) // 4}")
        key, where, count, place = directory[start : start + 4]
        if where == TEXTS:
            keys[key] = texts[place : place + count].rstrip("\0").removesuffix("|")
        elif where in (DOUBLES, DIRECTORY):
            found = tuple((doubles if where == DOUBLES else directory)[place : place + count])
            if len(found) != count:
                raise DataError(f"its GeoKey {key} lies at {place} of {len(doubles)} numbers")
            keys[key] = found
        elif where == 0:
            keys[key] = place
    return keys


def _transform(tags: Mapping[int, Any], is_point: bool) -> Transform | None:
    scale, tie, matrix = tags[SCALE], tags[TIEPOINTS], tags[MATRIX]
    if matrix is not None:
        a, b, _, c, d, e, _, f = (float(v) for v in matrix[:8])
    elif scale is not None and tie is not None:
        column, row, _, x, y = (float(v) for v in tie[:5])
        a, b, d, e = float(scale[0]), 0.0, 0.0, -float(scale[1])
        c, f = x - column * a, y - row * e
    else:
        return None
    if is_point:
        c, f = c - (a + b) / 2, f - (d + e) / 2
    if not all(map(math.isfinite, (a, b, c, d, e, f))):
        raise DataError(f"its place is {(a, b, c, d, e, f)}, which are no finite numbers")
    return a, b, c, d, e, f


def _tags(image: GeoImage) -> list[tuple[int, int, int, Any, bool]]:
    """Tags for tifffile: code, type, count, value, and that they stand in the first page only."""
    tags: list[tuple[int, int, int, Any, bool]] = []
    if image.transform is not None:
        a, b, c, d, e, f = (float(v) for v in image.transform)
        if image.keys.get(RASTER_TYPE) == POINT:
            c, f = c + (a + b) / 2, f + (d + e) / 2
        if b == d == 0 and a > 0 and e < 0:
            tags.append((SCALE, DOUBLE, 3, (a, -e, 0.0), True))
            tags.append((TIEPOINTS, DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True))
        else:
            tags.append((MATRIX, DOUBLE, 16, (a, b, 0.0, c, d, e, 0.0, f, *[0.0] * 4, 0.0, 0.0, 0.0, 1.0), True))
    rows: list[tuple[int, int, int, int]] = []
    doubles: list[float] = []
    texts = ""
    several: list[tuple[int, tuple[int, ...]]] = []
    for key, value in sorted(image.keys.items()):
        if isinstance(value, str):
            rows.append((key, TEXTS, len(value) + 1, len(texts)))
            texts += value + "|"
        elif isinstance(value, int):
            rows.append((key, 0, 1, value))
        elif all(isinstance(v, int) for v in value) and value:
            several.append((len(rows), tuple(int(v) for v in value)))
            rows.append((key, DIRECTORY, len(value), 0))
        else:
            rows.append((key, DOUBLES, len(value), len(doubles)))
            doubles += map(float, value)
    tail: list[int] = []
    for index, numbers in several:  # behind the keys
        rows[index] = (*rows[index][:3], 4 + 4 * len(rows) + len(tail))
        tail += numbers
    if rows:
        directory = (1, 1, 0, len(rows), *(number for row in rows for number in row), *tail)
        tags.append((DIRECTORY, SHORT, len(directory), directory, True))
    if doubles:
        tags.append((DOUBLES, DOUBLE, len(doubles), tuple(doubles), True))
    if texts:
        tags.append((TEXTS, ASCII, 0, texts, True))
    if image.metadata:
        tags.append((GDAL_METADATA, ASCII, 0, image.metadata, True))
    if image.nodata is not None:
        tags.append((GDAL_NODATA, ASCII, 0, f"{image.nodata:.17g}", True))
    return tags
