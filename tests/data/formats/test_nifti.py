import gzip
import struct
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intarsia.core import DataError
from intarsia.data.formats.nifti import Volume, read_nifti, write_nifti

AFFINE = np.array([[-0.5, 0, 0, 90], [0, 0.75, 0.1, -126], [0, -0.1, 2, -72], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_what_is_written_is_read(name, tmp_path):
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        shape=st.lists(st.integers(1, 4), min_size=2, max_size=4).filter(lambda shape: len(shape) < 4 or shape[-1] > 1),
        dtype=st.sampled_from(["u1", "i2", "u2", "i4", "i8", "f4", "f8"]),
        seed=st.integers(0, 99),
    )
    def check(shape, dtype, seed):
        values = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
        back = read_nifti(write_nifti(tmp_path / name, Volume(values, AFFINE)))
        np.testing.assert_array_equal(back.values, values)
        assert back.values.dtype == values.dtype
        np.testing.assert_allclose(back.affine, AFFINE, rtol=1e-6)  # the header has single precision
        again = write_nifti(tmp_path / f"again_{name}", back)
        assert again.read_bytes() == (tmp_path / name).read_bytes()

    check()


def test_a_file_of_others_and_its_mask(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=">i2").reshape(2, 3, 4), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(AFFINE, 1, strip_shears=True)
    image.header["descrip"] = b"a scan"
    image.header.set_slope_inter(2, 1)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    volume = read_nifti(tmp_path / "scan.nii.gz")
    assert volume.values.tolist() == nibabel.load(tmp_path / "scan.nii.gz").get_fdata().tolist()
    assert volume.spacing == pytest.approx((0.5, 0.75664, 2.0025), abs=1e-4)
    mask = write_nifti(tmp_path / "mask.nii.gz", replace(volume, values=volume.values > 20))
    header = nibabel.load(mask).header
    assert (header.get_xyzt_units(), header["descrip"].item(), int(header["qform_code"])) == (("mm", "sec"), b"a scan", 1)
    np.testing.assert_allclose(nibabel.load(mask).affine, volume.affine)
    assert read_nifti(mask).values.tolist() == (volume.values > 20).astype(int).tolist(), "without the scale of the scan"


def test_pictures_of_a_volume():
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    found = Volume(values, AFFINE).stack()
    assert (found.axes, found.values.shape) == ("TZYX", (5, 4, 3, 2))
    pictures = dict(found.slices())
    np.testing.assert_array_equal(pictures["t004_z001"][..., 0], values[:, :, 1, 4].T)
    assert found.pixel_size["X"] == 500


def test_nifti_2(tmp_path):
    nibabel.save(nibabel.Nifti2Image(np.ones((2, 2, 2), np.float32), np.eye(4)), tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").values.sum() == 8


def test_errors(tmp_path, monkeypatch):
    volume = Volume(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(DataError, match=r"a.img ends in .img; a volume is written as .nii or .nii.gz"):
        write_nifti(tmp_path / "a.img", volume)
    with pytest.raises(DataError, match=r"a.nii cannot hold float16 of shape"):
        write_nifti(tmp_path / "a.nii", replace(volume, values=np.zeros((2, 3, 4), np.float16)))
    with pytest.raises(DataError, match=r"has shape \(2,\); numbers of \(X, Y, Z\)"):
        Volume(np.zeros(2))
    with pytest.raises(DataError, match=r"has shape \(3, 4\); 4 x 4 finite"):
        Volume(np.zeros((2, 2)), np.zeros((3, 4)))
    (tmp_path / "b.nii").write_bytes(b"not a volume")
    with pytest.raises(DataError, match=r"b.nii cannot be read as NIfTI \(it begins with b'not a vo'"):
        read_nifti(tmp_path / "b.nii")
    data = bytearray(write_nifti(tmp_path / "c.nii", volume).read_bytes())
    data[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    for name, content in (("c.nii", bytes(data)), ("c.nii.gz", gzip.compress(bytes(data)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="its header asks for 27,000,000,000,352 bytes"):
            read_nifti(tmp_path / name)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DataError, match=r"which the package nibabel reads and writes: pip install intarsia\[medical\]"):
        read_nifti(tmp_path / "c.nii")
