"""DICOM SEG: segments of a medical volume, as a mask for each segment and slice, with their place in the patient.

Types BINARY and FRACTIONAL are read, of the latter what is at least half; BINARY is written, of all slices. Frames may come in
any order and leave out slices without a segment; they are put in order along the normal of the slices. `affine` is that of
`nifti`, in millimetres, x to the right, y to the front, z to the top, from (column, row, slice); DICOM itself counts x to the
left and y to the back. Names and ids of patient and study are kept, so a file that is written belongs to the same study, and is
as private.

Pixels that are compressed are refused with a sentence. Needs the package pydicom (`pip install intarsia[medical]`). Source: DICOM
PS3.3 A.51 and C.8.20, https://dicom.nema.org.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import Array, BoolArray, ClassSpace, DataError, MultiLabel, SegmentationClass, default_color
from intarsia.data.formats._decode import MAX_PIXELS
from intarsia.data.formats._dicom_write import seg_dataset
from intarsia.data.formats._files import read_bytes, write_bytes

__all__ = ["read_dicom_seg", "DicomSeg", "write_dicom_seg"]  # noqa: RUF022 - the catalogue offers the first

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Implicit and explicit little endian: pixels as they are."""
KEPT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID"),
)
TO_DICOM = np.diag([-1.0, -1.0, 1.0, 1.0])
UNEVEN = 0.05
"""Share of the distance of slices by which a slice may lie off its place."""


@dataclass(frozen=True, eq=False)
class DicomSeg:
    """Segments of a volume.

    Args:
        masks: (K, Z, H, W) bool; segments may overlap.
        classes: the K segments.
        affine: (4, 4) from (column, row, slice) to millimetres.
        attributes: of patient and study, by DICOM's keywords.

    Raises:
        DataError: shapes that do not fit each other.
    """

    masks: BoolArray
    classes: ClassSpace
    affine: Array = field(default_factory=lambda: np.eye(4))
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.masks.ndim != 4 or self.masks.dtype != np.bool_ or len(self.masks) != len(self.classes) or 0 in self.masks.shape:
            raise DataError(
                f"Masks of {self.masks.dtype} have shape {self.masks.shape}; bool of (segments, slices, height, width) is "
                f"expected, for {len(self.classes)} segments."
            )
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise DataError(f"The affine of segments has shape {self.affine.shape}; 4 x 4 finite numbers are expected.")

    def slices(self) -> Iterator[tuple[str, MultiLabel]]:
        """Each slice as its name, such as "z012", and the segments in it."""
        for index in range(self.masks.shape[1]):
            yield f"z{index:03}", MultiLabel(self.masks[:, index], self.classes)


def read_dicom_seg(path: str | Path) -> DicomSeg:
    """Read a file.

    Raises:
        DataError: a file that cannot be read, is no DICOM SEG of these kinds, or whose slices are not evenly spaced; or pydicom
            is missing.
    """
    path = Path(path)
    pydicom, data = _pydicom(path), read_bytes(path)
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        syntax = str(meta.get("TransferSyntaxUID", PLAIN[0]))
        if syntax not in PLAIN:
            raise DataError(
                f"its pixels are compressed, or in another order of bytes, {syntax}: save it as explicit little endian"
            )
        dataset = pydicom.dcmread(BytesIO(data))
        if str(dataset.get("SOPClassUID")) != SEG:
            raise DataError(f"its kind is {dataset.get('SOPClassUID')}; that of segments is {SEG}")
        attributes = {name: str(dataset.get(name)) for name in KEPT if dataset.get(name) not in (None, "")}
        numbers, classes = _segments(dataset)
        frames = _frames(dataset)
        owner, positions, orientation, spacing, thickness = _places(dataset, numbers, len(frames))
        index, affine = _grid(positions, orientation, spacing, thickness)
        shape = len(classes), int(index.max()) + 1, *frames.shape[1:]
        if math.prod(shape) > MAX_PIXELS:
            raise DataError(f"its segments and slices are {shape}, more than {MAX_PIXELS:,} pixels in all")
        masks = np.zeros(shape, np.bool_)
        for frame, segment, place in zip(frames, owner, index, strict=True):
            masks[segment, place] |= frame
        return DicomSeg(masks, classes, TO_DICOM @ affine, attributes)
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises whatever it likes on damaged data
        said = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be read as DICOM SEG ({said[:300]}). It is damaged or of another kind.") from error


def write_dicom_seg(path: str | Path, segments: DicomSeg) -> Path:
    """Write a file, whole or not at all. Read again it is the same, but slices run along the normal of rows and columns.

    Raises:
        DataError: an affine whose axes are not at right angles, no segment, or a place that cannot be written; or pydicom is
            missing.
    """
    path = Path(path)
    pydicom = _pydicom(path)
    masks, affine = segments.masks, TO_DICOM @ segments.affine
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if (steps == 0).any() or not np.allclose((d := affine[:3, :3] / steps).T @ d, np.eye(3), atol=1e-3):
        raise DataError(f"{path}: the axes of the affine\n{segments.affine}\nare not at right angles, as DICOM asks for.")
    if np.linalg.det(d) < 0:
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, masks.shape[1] - 1], [0, 0, 0, 1]])
        masks = masks[:, ::-1]
    try:
        buffer = BytesIO()
        seg_dataset(pydicom, masks, segments.classes, affine, segments.attributes).save_as(buffer, enforce_file_format=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path} cannot hold these segments ({error}).") from error
    write_bytes(path, buffer.getvalue())
    return path


def _pydicom(path: Path) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise DataError(f"{path} is DICOM, which the package pydicom reads and writes: pip install intarsia[medical].") from error
    return pydicom


def _segments(dataset: Any) -> tuple[dict[int, int], ClassSpace]:
    """Position of each segment's number, and the segments as classes."""
    from skimage.color import lab2rgb

    numbers: dict[int, int] = {}
    entries = []
    labels = [str(s.get("SegmentLabel", "")) or f"segment {s.SegmentNumber}" for s in dataset.SegmentSequence]
    for index, segment in enumerate(dataset.SegmentSequence):
        number, lab = int(segment.SegmentNumber), segment.get("RecommendedDisplayCIELabValue")
        color = default_color(index + 1)
        if lab is not None and len(lab) == 3:
            plain = np.array(lab, np.float64) * [100, 255, 255] / 65535 - [0, 128, 128]
            red, green, blue = np.rint(lab2rgb(plain) * 255).astype(int).tolist()
            color = red, green, blue
        name = labels[index] if labels.count(labels[index]) == 1 else f"{labels[index]} {number}"
        entries.append(SegmentationClass(name, color, (number,)))
        numbers[number] = index
    if len(numbers) != len(entries):
        raise DataError("it gives two segments one number")
    return numbers, ClassSpace(tuple(entries), ignore_id=255 if len(entries) <= 255 else 65535, ignore_sources=())


def _frames(dataset: Any) -> BoolArray:
    """(F, H, W) bool."""
    count, height, width = int(dataset.get("NumberOfFrames", 1)), int(dataset.Rows), int(dataset.Columns)
    bits, pixels = int(dataset.BitsAllocated), count * height * width
    data = np.frombuffer(dataset.PixelData, np.uint8)
    if bits not in (1, 8) or count < 1 or height < 1 or width < 1 or len(data) < math.ceil(pixels * bits / 8):
        raise DataError(f"it has {len(data):,} bytes for {count} frames of {height} x {width} pixels of {bits} bits")
    if bits == 1:
        return np.unpackbits(data, count=pixels, bitorder="little").astype(np.bool_).reshape(count, height, width)
    kind, most = str(dataset.get("SegmentationType", "")), int(dataset.get("MaximumFractionalValue", 1))
    if kind not in ("BINARY", "FRACTIONAL"):
        raise DataError(f"its segments are of type {kind}; BINARY and FRACTIONAL are read")
    return (2 * data[:pixels].astype(np.int32) >= max(most, 1)).reshape(count, height, width)


def _places(dataset: Any, numbers: Mapping[int, int], count: int) -> tuple[list[int], Array, Array, Array, float]:
    """Segment and position of each frame; directions (2, 3), spacing of rows and columns, and of slices, which all share."""
    shared, own = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
    if len(own) != count:
        raise DataError(f"it says the place of {len(own)} of {count} frames")

    def of(frame: Any, name: str) -> Any:
        group = frame.get(name) or shared.get(name)
        if not group:
            raise DataError(f"it lacks {name}, without which the place of its slices is unknown")
        return group[0]

    owner = [numbers[int(of(f, "SegmentIdentificationSequence").ReferencedSegmentNumber)] for f in own]
    positions = np.array([of(f, "PlanePositionSequence").ImagePositionPatient for f in own], np.float64)
    orientations = np.array([of(f, "PlaneOrientationSequence").ImageOrientationPatient for f in own], np.float64)
    if positions.shape != (count, 3) or orientations.shape != (count, 6) or np.ptp(orientations, axis=0).max() > 1e-3:
        raise DataError("its slices do not all have three coordinates and one orientation")
    measures = of(own[0], "PixelMeasuresSequence")
    spacing = np.array(measures.PixelSpacing, np.float64)
    thickness = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1)
    return owner, positions, orientations[0].reshape(2, 3), spacing, thickness


def _grid(positions: Array, orientation: Array, spacing: Array, thickness: float) -> tuple[Array, Array]:
    """Of each frame the number of its slice, and the affine to DICOM's millimetres."""
    normal = np.cross(*orientation)
    depth = positions @ normal
    apart = np.diff(np.unique(np.round(depth, 3)))
    step = float(apart.min()) if len(apart) else abs(thickness)
    if len(apart) and 0 < abs(thickness) < step * (1 - UNEVEN):
        step = abs(thickness)
    places = (depth - depth.min()) / step
    index = np.rint(places)
    odd = np.abs(places - index).max()
    if not (np.isfinite(places).all() and odd <= UNEVEN and index.max() < MAX_PIXELS) or spacing.shape != (2,):
        raise DataError(f"its slices are not evenly spaced: one lies {odd:.2f} of their distance {step:g} off its place")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[0] * spacing[1], orientation[1] * spacing[0]
    affine[:3, 2], affine[:3, 3] = normal * step, positions[int(depth.argmin())]
    return index.astype(np.int64), affine
