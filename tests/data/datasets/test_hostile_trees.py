"""Every data set of files on damaged ones: a sample or one of our errors, nothing outside the folder, no hang, little memory."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intarsia.data.datasets import open_dataset

TREES = {
    "ade20k": ("small_ade", "panoptic"),
    "camvid": ("small_camvid", "semantic"),
    "camvid_full": ("full_camvid", "eleven"),
    "cityscapes": ("city", "panoptic"),
    "coco": ("small_coco", "instance"),
    "coco_stuff": ("small_coco_stuff", "semantic"),
    "dsb2018": ("small_dsb", "instance"),
    "isbi": ("small_stack", "instance"),
    "kitti": ("small_kitti", "panoptic"),
    "mapillary": ("small_vistas", "panoptic"),
    "oxford_pet": ("small_pets", "breeds"),
    "sbd": ("small_voc", "instance"),
    "voc": ("small_voc", "instance"),
}
"""Fixture and view of each data set."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("examples", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_damaged_file(name, examples, request, damaged, guarded):
    fixture, view = TREES[name]
    root = request.getfixturevalue(fixture)
    opened = f"{name}:{root}/benchmark_RELEASE" if name == "sbd" else f"{name}:{root}"
    files = sorted(path for path in root.rglob("*") if path.is_file())

    def read_all() -> None:
        dataset = open_dataset(opened, view=view)
        for key in (key for keys in dataset.splits.values() for key in keys):
            dataset.read(key)

    read_all()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def attack(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(files))
        whole = path.read_bytes()
        path.write_bytes(data.draw(damaged(whole)))
        try:
            with guarded(root):
                read_all()
        finally:
            path.write_bytes(whole)

    attack()
