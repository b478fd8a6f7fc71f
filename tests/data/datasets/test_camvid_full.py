import pytest

from intarsia.core import ClassSpaceError, DataError, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.datasets.camvid_full import _CLASSES, CamVidFull, _split_of


def test_all_classes_and_eleven(full_camvid):
    dataset = open_dataset(full_camvid)
    assert dataset.name == "camvid_full", "recognised by its folders"
    assert dataset.splits == {
        "train": ("train/0001TP_006690",),
        "val": ("val/0016E5_07959",),
        "test": ("test/Seq05VD_f00000",),
    }
    truth = dataset.read("val/0016E5_07959").truth
    assert truth.ids.tolist() == [[*range(30), 255, 30]], "in the order of the list, void next to last"
    assert (truth.classes.names[0], truth.classes.names[30]) == ("Animal", "Wall")
    eleven = CamVidFull(full_camvid, view="eleven").read("val/0016E5_07959").truth
    into = dict(zip(_CLASSES, eleven.ids[0].tolist(), strict=True))
    names = eleven.classes.names
    assert {names[into[name]] for name in ("Tunnel", "Wall", "Bridge", "Archway", "Building")} == {"building"}
    assert {names[into[name]] for name in ("TrafficLight", "Misc_Text")} == {"sign_symbol"}
    assert into["Void"] == eleven.classes.ignore_id
    assert sum(eleven.areas().values()) == 31


def test_eleven_are_those_of_the_small_version(full_camvid, small_camvid):
    pairs = zip(CamVidFull(full_camvid, view="eleven").classes.classes, CamVid(small_camvid).classes.classes, strict=True)
    assert all((a.name, a.color, a.is_thing) == (b.name, b.color, b.is_thing) for a, b in pairs)


def test_the_split_is_that_of_the_published_lists(shared_data):
    splits = CamVid(shared_data("camvid")).splits
    wrong = [key for keys in splits.values() for key in keys if _split_of(key.partition("/")[2]) != key.partition("/")[0]]
    assert not wrong


def test_the_list_of_colours_is_what_counts(full_camvid):
    path = full_camvid / "label_colors.txt"
    listed = path.read_text()
    path.write_text(listed.replace("64 128 64\t\tAnimal", "1 2 3\t\tAnimal"))
    with pytest.raises(ClassSpaceError, match="#408040"):
        CamVidFull(full_camvid).read("val/0016E5_07959")
    path.unlink()
    CamVidFull(full_camvid).read("val/0016E5_07959")
    for text, said in (
        ("64 128 Animal", "no list of colours"),
        ("64 128 64 Animal", "does not list CamVid's 32 classes: Archway"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            CamVidFull(full_camvid)


def test_errors(full_camvid):
    with pytest.raises(SettingsError, match="no instance truth; its views are semantic, eleven"):
        CamVidFull(full_camvid, view="instance")
    with pytest.raises(DataError, match="no sample 'val/x'"):
        CamVidFull(full_camvid).read("val/x")
    (full_camvid / "LabeledApproved_full/0016E5_07959_L.png").unlink()
    with pytest.raises(DataError, match=r"alone for 0016E5_07959 \(1 in all\). Expected is\nROOT/701_StillsRaw_full"):
        CamVidFull(full_camvid)
