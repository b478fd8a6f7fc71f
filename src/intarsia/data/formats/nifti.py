"""NIfTI: medical volumes and their masks, .nii and .nii.gz, with the affine matrix that says where each voxel lies.

Values stand as in the file, first axis x: `values[i, j, k]` is the voxel whose centre lies at affine @ (i, j, k, 1), in
millimetres, x to the right, y to the front, z to the top of the patient. Nothing is turned. The header is kept, so that units,
codes and descriptions survive; to give a mask the place of its volume, `dataclasses.replace(volume, values=mask)`.

Needs the package nibabel (`pip install intarsia[medical]`). Source: the NIfTI-1 and NIfTI-2 standards, https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import Array, DataError
from intarsia.data.formats._files import read_bytes, write_bytes
from intarsia.data.formats.stack import Stack

__all__ = ["read_nifti", "Volume", "write_nifti"]  # noqa: RUF022 - the catalogue offers the first

MOST_TIMES = 1100
"""Deflate shrinks 1032-fold at most."""
HEADERS = {348: "Nifti1Image", 540: "Nifti2Image"}
"""Bytes of a header, which are its first number, and nibabel's class."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and its place.

    Args:
        values: (X, Y, Z), (X, Y, Z, T) or (X, Y).
        affine: (4, 4) from indices to millimetres.
        header: of the file it was read from; empty for a new one.

    Raises:
        DataError: another number of dimensions, or an affine of another shape.
    """

    values: Array
    affine: Array = field(default_factory=lambda: np.eye(4))
    header: bytes = b""

    def __post_init__(self) -> None:
        if self.values.ndim not in (2, 3, 4) or self.values.dtype.kind not in "biuf" or 0 in self.values.shape:
            raise DataError(f"A volume of {self.values.dtype} has shape {self.values.shape}; numbers of (X, Y, Z) are expected.")
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise DataError(f"The affine of a volume has shape {self.affine.shape}; 4 x 4 finite numbers are expected.")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres from one voxel to the next along x, y and z."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    def stack(self) -> Stack:
        """The volume as pictures, whose rows run along y and whose columns run along x."""
        axes = "TZYX"[-self.values.ndim :]
        sizes = {axis: 1000 * size for axis, size in zip("XYZ", self.spacing, strict=True) if axis in axes and size > 0}
        return Stack(self.values.T, axes, sizes)


def read_nifti(path: str | Path) -> Volume:
    """Read a volume; where the file scales its values, they are scaled, to float64.

    Raises:
        DataError: a file that cannot be read, is no NIfTI, or claims more than it holds; or nibabel is missing.
    """
    path = Path(path)
    nibabel, data = _nibabel(path), read_bytes(path)
    try:
        packed = data[:2] == b"\x1f\x8b"
        begin = _unpacked(data, 540) if packed else data[:540]
        size = next((s for s in HEADERS if int.from_bytes(begin[:4], "little") == s or int.from_bytes(begin[:4], "big") == s), 0)
        if not size:
            raise DataError(f"it begins with {begin[:8]!r}, and a header of NIfTI says its length, 348 or 540")
        kind = getattr(nibabel, HEADERS[size])
        header = kind.header_class.from_fileobj(BytesIO(begin))
        wanted = math.prod(int(n) for n in header.get_data_shape()) * header.get_data_dtype().itemsize
        wanted += int(header.get_data_offset())
        if not 0 < wanted <= (MOST_TIMES * len(data) + 2**16 if packed else len(data)):
            raise DataError(f"its header asks for {wanted:,} bytes, which no file of this size holds")
        image = kind.from_bytes(_unpacked(data, wanted) if packed else data)
        values = np.asanyarray(image.dataobj)
        values = np.array(values, values.dtype.newbyteorder("="))
        return Volume(values, np.asarray(image.affine, np.float64), image.header.binaryblock)
    except MemoryError:
        raise
    except Exception as error:  # nibabel raises whatever it likes on damaged data
        said = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(
            f"{path} cannot be read as NIfTI ({said[:300]}). It was cut off, is damaged or of another kind."
        ) from error


def write_nifti(path: str | Path, volume: Volume) -> Path:
    """Write a volume, whole or not at all; bool as uint8. Read again it is the same.

    Raises:
        DataError: another ending than .nii or .nii.gz, values that NIfTI does not hold, or a place that cannot be written; or
            nibabel is missing.
    """
    path = Path(path)
    nibabel = _nibabel(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}; a volume is written as .nii or .nii.gz.")
    values = volume.values.astype(np.uint8) if volume.values.dtype == np.bool_ else volume.values
    try:
        kind = getattr(nibabel, HEADERS.get(len(volume.header), "Nifti1Image"))
        header = kind.header_class.from_fileobj(BytesIO(volume.header)) if volume.header else None
        data = kind(values, volume.affine, header, dtype=values.dtype).to_bytes()
    except Exception as error:  # as above
        raise DataError(f"{path} cannot hold {values.dtype} of shape {values.shape} ({error}).") from error
    write_bytes(path, gzip.compress(data, 6, mtime=0) if path.suffix.lower() == ".gz" else data)
    return path


def _nibabel(path: Path) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise DataError(f"{path} is NIfTI, which the package nibabel reads and writes: pip install intarsia[medical].") from error
    return nibabel


def _unpacked(data: bytes, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            return file.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"it cannot be unpacked: {error}") from error
