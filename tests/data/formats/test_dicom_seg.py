import sys
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, MultiLabel
from intarsia.data.formats.dicom_seg import DicomSeg, read_dicom_seg, write_dicom_seg

AFFINE = np.array([[-0.7, 0, 0, 90.25], [0, -0.8, 0, 120.5], [0, 0, 2.5, -72], [0, 0, 0, 1]])
TURN = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def drawn(shape, seed=0):
    classes = ClassSpace.from_names([f"organ {i}" for i in range(shape[0])])
    return DicomSeg(
        np.random.default_rng(seed).random(shape) > 0.6, classes, AFFINE, {"PatientID": "17", "StudyDate": "20200131"}
    )


@settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(shape=st.tuples(*[st.integers(1, 4)] * 4), seed=st.integers(0, 9), turned=st.booleans())
def test_what_is_written_is_read(tmp_path, shape, seed, turned):
    segments = drawn(shape, seed)
    segments = replace(segments, affine=TURN @ AFFINE) if turned else segments
    back = read_dicom_seg(write_dicom_seg(tmp_path / "a.dcm", segments))
    np.testing.assert_array_equal(back.masks, segments.masks)
    np.testing.assert_allclose(back.affine, segments.affine, atol=1e-6)
    assert [(c.name, c.color) for c in back.classes.classes] == [(c.name, c.color) for c in segments.classes.classes]
    assert {name: back.attributes[name] for name in segments.attributes} == dict(segments.attributes)


def test_slices_run_along_the_normal(tmp_path):
    segments = drawn((1, 3, 2, 2))
    flipped = replace(segments, affine=AFFINE @ np.diag([1, 1, -1, 1]))
    back = read_dicom_seg(write_dicom_seg(tmp_path / "a.dcm", flipped))
    np.testing.assert_array_equal(back.masks, segments.masks[:, ::-1])
    assert back.affine[2].tolist() == [0, 0, 2.5, -77], "the first slice is the lowest"


def test_slices_are_label_sets():
    segments = drawn((2, 3, 4, 5))
    found = dict(segments.slices())
    assert list(found) == ["z000", "z001", "z002"]
    assert isinstance(found["z001"], MultiLabel)
    np.testing.assert_array_equal(found["z001"].masks, segments.masks[:, 1])


def test_a_file_of_others(tmp_path):
    """Frames in another order, an empty slice left out, patient to the left as x: as tools write it."""
    path = write_dicom_seg(tmp_path / "a.dcm", drawn((2, 4, 3, 5)))
    whole = read_dicom_seg(path)
    dataset = pydicom.dcmread(path)
    assert list(dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient) == [
        1,
        0,
        0,
        0,
        1,
        0,
    ]
    frames = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), count=8 * 15, bitorder="little").reshape(8, 15)
    order = [7, 2, 4, 0, 5]  # slices 3, 2, 0, 0 and 1 of the segments 2, 1, 2, 1 and 2
    dataset.PerFrameFunctionalGroupsSequence = [dataset.PerFrameFunctionalGroupsSequence[i] for i in order]
    bits = np.packbits(frames[order].reshape(-1), bitorder="little").tobytes()
    dataset.PixelData, dataset.NumberOfFrames = bits + b"\0" * (len(bits) % 2), len(order)
    dataset.save_as(path)
    found = read_dicom_seg(path)
    expected = whole.masks.copy()
    expected[0, [1, 3]] = expected[1, 2] = False
    np.testing.assert_array_equal(found.masks, expected)
    np.testing.assert_allclose(found.affine, whole.affine)


def test_fractions_are_cut_at_half(tmp_path):
    path = write_dicom_seg(tmp_path / "a.dcm", drawn((1, 1, 2, 2)))
    dataset = pydicom.dcmread(path)
    dataset.SegmentationType, dataset.MaximumFractionalValue = "FRACTIONAL", 200
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelData = 8, 8, 7, bytes([99, 100, 0, 200])
    dataset.save_as(path)
    assert read_dicom_seg(path).masks.ravel().tolist() == [False, True, False, True]


def test_errors(tmp_path, monkeypatch):
    segments = drawn((1, 3, 2, 2))
    with pytest.raises(DataError, match=r"have shape \(3, 2, 2\); bool of \(segments, slices"):
        replace(segments, masks=segments.masks[0])
    slanted = AFFINE.copy()
    slanted[0, 1] = 1
    with pytest.raises(DataError, match="are not at right angles"):
        write_dicom_seg(tmp_path / "a.dcm", replace(segments, affine=slanted))
    path = write_dicom_seg(tmp_path / "a.dcm", segments)

    def changed(change):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(tmp_path / "b.dcm")
        return tmp_path / "b.dcm"

    def moved(dataset):
        dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient[2] += 1

    for change, said in (
        (lambda dataset: setattr(dataset, "SOPClassUID", "1.2.3"), r"its kind is 1\.2\.3"),
        (lambda dataset: setattr(dataset, "Rows", 900), r"it has 2 bytes for 3 frames of 900 x 2 pixels of 1 bits"),
        (lambda dataset: dataset.PerFrameFunctionalGroupsSequence.pop(), "the place of 2 of 3 frames"),
        (moved, "its slices are not evenly spaced"),
    ):
        with pytest.raises(DataError, match=said):
            read_dicom_seg(changed(change))
    (tmp_path / "c.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match=r"c.dcm cannot be read as DICOM SEG"):
        read_dicom_seg(tmp_path / "c.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"pip install intarsia\[medical\]"):
        read_dicom_seg(path)
