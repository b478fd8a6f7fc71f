import sys

import pytest

from intarsia.core import Catalog, UnknownNameError, nearest_names


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    package = tmp_path / "shelf_of_things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "pspnet.py").write_text("__all__ = ['PSPNet', 'helper']\nclass PSPNet: ...\ndef helper(): ...\n")
    (package / "segnet.py").write_text("raise RuntimeError('imported although nobody asked for it')\n")
    (package / "_machinery.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield Catalog("network", "shelf_of_things")
    for name in [n for n in sys.modules if n.startswith("shelf_of_things")]:
        del sys.modules[name]


def test_names_are_the_files_without_machinery_and_nothing_is_imported(shelf):
    assert shelf.names == ("pspnet", "segnet")
    assert len(shelf) == 2
    assert "pspnet" in shelf
    assert "_machinery" not in shelf
    assert "shelf_of_things.pspnet" not in sys.modules


def test_load_gives_the_first_public_name(shelf):
    assert shelf.load("pspnet").__name__ == "PSPNet"


def test_unknown_name_answers_with_the_nearest_and_all(shelf):
    with pytest.raises(
        UnknownNameError, match=r"no network called 'PSP-Net'\. Did you mean 'pspnet'.*\? Known: pspnet, segnet\."
    ):
        shelf.load("PSP-Net")
    with pytest.raises(UnknownNameError, match=r"no network called 'xyz'\. Known"):
        shelf.load("xyz")


def test_nearest_names_ignores_case_and_separators():
    assert nearest_names("deeplabv3+", ["deeplab_v3plus", "fcn", "unet"])[0] == "deeplab_v3plus"
    assert nearest_names("U-Net", ["fcn", "unet"]) == ["unet"]
    assert nearest_names("", ["fcn"]) == []
