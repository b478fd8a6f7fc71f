import numpy as np
import pytest

from intarsia.core import ClassSpaceError, DataError, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.oxford_pet import BREEDS, OxfordPet
from intarsia.data.formats import write_image


def test_four_views_of_the_trimap(small_pets):
    dataset = open_dataset(small_pets)
    assert dataset.name == "oxford_pet", "recognised by its folders"
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 2, "val": 1, "test": 1}
    for view, animal, border in (("semantic", 1, 255), ("species", 1, 255), ("breeds", 6, 255), ("trimap", 1, 2)):
        data = open_dataset(small_pets, view=view)
        assert data.splits == dataset.splits
        row = [0, animal, animal, 0]
        assert data.read("test/Bengal_5").truth.ids.tolist() == [row, row, [0, border, border, 0]]
    key = next(key for keys in dataset.splits.values() for key in keys if key.endswith("yorkshire_terrier_7"))
    assert OxfordPet(small_pets, view="species").read(key).truth.areas() == {"background": 6, "cat": 0, "dog": 4}
    assert OxfordPet(small_pets, view="breeds").read(key).truth.areas()["yorkshire_terrier"] == 4


def test_breeds_are_numbered_by_the_alphabet():
    assert len(BREEDS) == 37
    assert [BREEDS[i - 1] for i in (1, 2, 6, 15, 21, 33, 37)] == [
        *("Abyssinian", "american_bulldog", "Bengal", "german_shorthaired", "Maine_Coon", "Siamese", "yorkshire_terrier")
    ], "as list.txt of the data numbers them"


def test_errors(small_pets):
    with pytest.raises(SettingsError, match="no instance truth; its views are semantic, species, breeds, trimap"):
        OxfordPet(small_pets, view="instance")
    with pytest.raises(DataError, match=r"There is no .*trainval.txt. Oxford-IIIT Pet is expected as\nROOT/images"):
        OxfordPet(small_pets / "images")
    trimap = small_pets / "annotations/trimaps/Bengal_5.png"
    write_image(trimap, np.full((3, 4), 9, np.uint8))
    with pytest.raises(ClassSpaceError, match=r"Bengal_5.png holds a value that no class claims: 9"):
        OxfordPet(small_pets).read("test/Bengal_5")
    trimap.unlink()
    with pytest.raises(DataError, match=r"trimaps lacks 1 of 4 listed files: Bengal_5"):
        OxfordPet(small_pets)
    for line, said in (("Bengal_5 6", "no list of photographs"), ("Bengal_5 38 1 1", "of breed 38"), ("../x 1 1 1", "'../x'")):
        (small_pets / "annotations/test.txt").write_text(line)
        with pytest.raises(DataError, match=said):
            OxfordPet(small_pets)
