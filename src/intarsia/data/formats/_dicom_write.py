"""The attributes of a DICOM SEG file, as PS3.3 A.51 asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from intarsia import __version__
from intarsia.core import Array, BoolArray, ClassSpace, SegmentationClass

__all__ = ["seg_dataset"]

TISSUE = ("85756007", "SCT", "Tissue")
"""SNOMED's code for what every segment is, as its name says the rest."""


def seg_dataset(pydicom: Any, masks: BoolArray, classes: ClassSpace, affine: Array, attributes: Mapping[str, str]) -> Any:
    """The data set of a file.

    Args:
        pydicom: the package.
        masks: (K, Z, H, W) bool.
        classes: the K segments.
        affine: (4, 4), from (column, row, slice) to DICOM's millimetres, at right angles.
        attributes: of patient and study.
    """
    uid, now = pydicom.uid, datetime.now()
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.SegmentationStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, name, "")
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = uid.generate_uid(), uid.generate_uid()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.SeriesInstanceUID, dataset.Modality = uid.generate_uid(), "SEG"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.Manufacturer = dataset.ManufacturerModelName = "Intarsia"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = __version__, "0"
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "SEGMENTATION", "", ""
    dataset.ImageType, dataset.SegmentationType, dataset.LossyImageCompression = ["DERIVED", "PRIMARY"], "BINARY", "00"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    segments, slices, dataset.Rows, dataset.Columns = masks.shape
    dataset.NumberOfFrames = segments * slices
    bits = np.packbits(masks.reshape(-1), bitorder="little").tobytes()
    dataset.PixelData = bits + b"\0" * (len(bits) % 2)
    dataset["PixelData"].VR = "OB"
    dataset.SegmentSequence = [_segment(pydicom, index, entry) for index, entry in enumerate(classes.classes, 1)]
    _add_places(pydicom, dataset, affine, segments, slices)
    return dataset


def _add_places(pydicom: Any, dataset: Any, affine: Array, segments: int, slices: int) -> None:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / steps
    measures = _item(pydicom, PixelSpacing=_ds(pydicom, steps[[1, 0]]))
    measures.SliceThickness = measures.SpacingBetweenSlices = _ds(pydicom, steps[2:])[0]
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [_item(pydicom, ImageOrientationPatient=_ds(pydicom, directions[:, :2].T.ravel()))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    organization = pydicom.uid.generate_uid()
    dataset.DimensionOrganizationSequence = [_item(pydicom, DimensionOrganizationUID=organization)]
    pointers = ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))  # number of the segment, position of the slice
    dataset.DimensionIndexSequence = [
        _item(pydicom, DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
        for pointer, group in pointers
    ]
    frames = []
    for segment in range(1, segments + 1):
        for index in range(slices):
            frame = pydicom.Dataset()
            frame.FrameContentSequence = [_item(pydicom, DimensionIndexValues=[segment, index + 1])]
            place = affine[:3, 3] + index * affine[:3, 2]
            frame.PlanePositionSequence = [_item(pydicom, ImagePositionPatient=_ds(pydicom, place))]
            frame.SegmentIdentificationSequence = [_item(pydicom, ReferencedSegmentNumber=segment)]
            frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames


def _segment(pydicom: Any, number: int, entry: SegmentationClass) -> Any:
    from skimage.color import rgb2lab

    lab = (rgb2lab(np.array(entry.color, np.float64) / 255) + np.array([0, 128, 128])) * 65535 / [100, 255, 255]
    code = _item(pydicom, CodeValue=TISSUE[0], CodingSchemeDesignator=TISSUE[1], CodeMeaning=TISSUE[2])
    return _item(
        pydicom,
        SegmentNumber=number,
        SegmentLabel=entry.name,
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="Intarsia",
        SegmentedPropertyCategoryCodeSequence=[code],
        SegmentedPropertyTypeCodeSequence=[code],
        RecommendedDisplayCIELabValue=np.clip(np.rint(lab), 0, 65535).astype(int).tolist(),
    )


def _item(pydicom: Any, **values: Any) -> Any:
    item = pydicom.Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _ds(pydicom: Any, numbers: Array) -> list[Any]:
    """Numbers as DICOM writes them, in at most 16 characters."""
    return [pydicom.valuerep.DSfloat(float(number), auto_format=True) for number in numbers]
